//! Edits of a request that every dialect makes in the same way: the model's name, the operator's list of parameters
//! to leave out, and the quirks that are about one top-level field.

use serde_json::{Number, Value};

use crate::document::Document;
use crate::error::CannotSay;
use crate::exchange::Target;
use crate::loss::{Change, Losses};
use crate::quirk::Quirk;

/// Names the model as the provider does.
pub(crate) fn write_model(document: &mut Document<'_>, model: &str) {
    if document.text("model").ok().flatten().as_deref() != Some(model) {
        document.set_text("model", model);
    }
}

/// Leaves out what `additional_drop_params` names; `remove` finds it and says whether there was such.
pub(crate) fn drop_listed(
    document: &mut Document<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
    mut remove: impl FnMut(&mut Document<'_>, &str) -> bool,
) {
    for path in &target.policy.additional_drop_params {
        if remove(document, path) {
            losses.note(path, Change::Dropped, "`additional_drop_params` names it");
        }
    }
}

/// Applies every [`Quirk::Lacks`].
///
/// # Errors
/// As [`lack`].
pub(crate) fn refuse_lacking(
    document: &mut Document<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    for quirk in target.quirks {
        if let Quirk::Lacks(name) = quirk {
            lack(document, name, target, losses)?;
        }
    }
    Ok(())
}

/// Leaves out a parameter that the provider does not know (`name`, or `name.value` for one value of it), unless the
/// operator wants it sent. What asks for nothing goes without a complaint. Says whether the field was removed.
///
/// # Errors
/// When the parameter asks for something, and `losses` does not allow to leave it out.
pub(crate) fn lack(
    document: &mut Document<'_>,
    name: &str,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<bool, CannotSay> {
    let (field, only) = name.split_once('.').map_or((name, None), |(field, value)| (field, Some(value)));
    let Some(text) = document.get(field) else { return Ok(false) };
    let other_value = only.is_some_and(|only| !is_of_kind(document, field, only));
    if other_value || target.policy.allowed_params.iter().any(|allowed| allowed == field) {
        return Ok(false);
    }
    if says_nothing(field, text) {
        losses.note(field, Change::Dropped, "it says what happens anyway");
    } else {
        losses.cannot_carry(name, "this provider does not know it")?;
    }
    Ok(document.remove(field))
}

/// Whether the field's value, or its `type`, is `kind`: `tool_choice.required`, `response_format.json_schema`.
fn is_of_kind(document: &Document<'_>, field: &str, kind: &str) -> bool {
    match document.value(field) {
        Some(Value::String(text)) => text == kind,
        Some(Value::Object(fields)) => fields.get("type").and_then(Value::as_str) == Some(kind),
        _ => false,
    }
}

/// Whether a parameter asks for what the provider does without it. Usage in streams is the gateway's own business.
pub(crate) fn says_nothing(name: &str, text: &str) -> bool {
    matches!(
        (name, text),
        (_, "null")
            | ("n", "1")
            | ("tool_choice", r#""auto""#)
            | ("parallel_tool_calls", "true")
            | ("logprobs" | "store", "false")
            | ("presence_penalty" | "frequency_penalty" | "top_logprobs", "0" | "0.0")
            | ("stop" | "tools" | "functions", "[]")
            | ("modalities", r#"["text"]"#)
            | ("stream_options", _)
    )
}

/// Applies the quirks that give one field another name, value or bound.
pub(crate) fn edit_fields(document: &mut Document<'_>, target: &Target<'_>, losses: &mut Losses) {
    for quirk in target.quirks {
        match quirk {
            Quirk::Renames { from, to } if document.rename(from, to) => {
                losses.note(from, Change::Renamed, format!("`{to}`"));
            }
            Quirk::Injects { name, value } if !document.has(name) => {
                document.set_value(name, value);
                losses.note(name, Change::Added, "this provider wants it");
            }
            Quirk::MapsValue { name, from, to } if document.value(name).as_ref() == Some(from) => {
                document.set_value(name, to);
                losses.note(name, Change::Changed, format!("{from} is {to} here"));
            }
            Quirk::Clamps { name, min, max } => clamp(document, name, min.as_ref(), max.as_ref(), losses),
            // The others are about more than one field.
            _ => {}
        }
    }
}

/// Brings a number into the range.
pub(crate) fn clamp(
    document: &mut Document<'_>,
    name: &str,
    min: Option<&Number>,
    max: Option<&Number>,
    losses: &mut Losses,
) {
    let Some(number) = document.value(name).and_then(|value| value.as_f64()) else { return };
    let below = min.filter(|min| min.as_f64().is_some_and(|min| number < min));
    let above = max.filter(|max| max.as_f64().is_some_and(|max| number > max));
    if let Some(bound) = below.or(above) {
        document.set(name, bound.to_string());
        losses.note(name, Change::Changed, format!("this provider's bound is {bound}"));
    }
}
