//! Fits a request of this dialect to its target, in place: what need not change is not touched.

use serde_json::{Number, Value};

use crate::CannotSay;
use crate::Dialect;
use crate::conversation::{Seal, SealKind};
use crate::document::Document;
use crate::exchange::Target;
use crate::loss::{Change, Losses};
use crate::quirk::{NamedQuirk, Quirk};

pub(super) fn adapt(
    document: &mut Document<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    if document.text("model").ok().flatten().as_deref() != Some(target.model) {
        document.set_text("model", target.model);
    }
    for path in &target.policy.additional_drop_params {
        if drop_path(document, path) {
            losses.note(path.as_str(), Change::Dropped, "by additional_drop_params");
        }
    }
    for quirk in target.quirks {
        apply(quirk, document, target, losses)?;
    }
    drop_foreign_seals(document, losses);
    Ok(())
}

fn apply(
    quirk: &Quirk,
    document: &mut Document<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    match quirk {
        Quirk::Lacks(name) if document.has(name) && !target.policy.allowed_params.contains(name) => {
            let why = format!("the provider of `{}` does not support it", target.model);
            losses.cannot_carry(name.as_str(), why)?;
            document.remove(name);
        }
        Quirk::Renames { from, to } if document.get(from).is_some() => {
            document.rename(from, to);
            losses.note(from.as_str(), Change::Renamed, to.as_str());
        }
        Quirk::Injects { name, value } if !document.has(name) => {
            document.set_value(name, value);
            losses.note(name.as_str(), Change::Added, "the provider demands it");
        }
        Quirk::Clamps { name, min, max } => {
            if let Some(Value::Number(number)) = document.value(name)
                && let Some(bound) = bound(&number, min.as_ref(), max.as_ref())
            {
                document.set_value(name, &Value::Number(bound.clone()));
                losses.note(
                    name.as_str(),
                    Change::Changed,
                    format!("{number} to {bound}, the provider's bound"),
                );
            }
        }
        Quirk::MapsValue { name, from, to } if document.value(name).as_ref() == Some(from) => {
            document.set_value(name, to);
            losses.note(
                name.as_str(),
                Change::Changed,
                format!("{from} to {to}, the provider's word for it"),
            );
        }
        Quirk::Named(NamedQuirk::NoStrictTools) => {
            let path = "tools[*].strict";
            if drop_path(document, path) {
                losses.note(path, Change::Dropped, "the provider refuses it");
            }
        }
        // The others are about parameters and messages of Chat Completions, which are other ones here.
        _ => {}
    }
    Ok(())
}

/// The bound that the number is beyond.
fn bound<'a>(number: &Number, min: Option<&'a Number>, max: Option<&'a Number>) -> Option<&'a Number> {
    let value = number.as_f64()?;
    min.filter(|min| min.as_f64().is_some_and(|min| value < min))
        .or_else(|| max.filter(|max| max.as_f64().is_some_and(|max| value > max)))
}

/// Takes out what a path like `user`, `text.verbosity` or `tools[*].strict` names; says whether there was such.
fn drop_path(document: &mut Document<'_>, path: &str) -> bool {
    let (name, steps) = split_path(path);
    if steps.is_empty() {
        return document.remove(name);
    }
    let Some(mut value) = document.value(name) else { return false };
    let dropped = drop_in(&mut value, &steps);
    if dropped {
        document.set_value(name, &value);
    }
    dropped
}

enum Step<'a> {
    Field(&'a str),
    Index(usize),
    Each,
}

fn split_path(path: &str) -> (&str, Vec<Step<'_>>) {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    let steps = rest.split(['.', '[']).filter(|step| !step.is_empty());
    let steps = steps.map(|step| match step.strip_suffix(']') {
        Some("*" | "") => Step::Each,
        Some(index) => index.parse().map_or(Step::Field(index), Step::Index),
        None => Step::Field(step),
    });
    (name, steps.collect())
}

fn drop_in(value: &mut Value, steps: &[Step<'_>]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return false };
    match (step, value) {
        (Step::Field(name), Value::Object(fields)) if rest.is_empty() => fields.shift_remove(*name).is_some(),
        (Step::Field(name), Value::Object(fields)) => {
            fields.get_mut(*name).is_some_and(|value| drop_in(value, rest))
        }
        (Step::Index(index), Value::Array(items)) if rest.is_empty() => {
            *index < items.len() && {
                items.remove(*index);
                true
            }
        }
        (Step::Index(index), Value::Array(items)) => {
            items.get_mut(*index).is_some_and(|item| drop_in(item, rest))
        }
        (Step::Each, Value::Array(items)) if rest.is_empty() => {
            let dropped = !items.is_empty();
            items.clear();
            dropped
        }
        (Step::Each, Value::Array(items)) => {
            let mut dropped = false;
            for item in items {
                dropped |= drop_in(item, rest);
            }
            dropped
        }
        _ => false,
    }
}

/// Reasoning that another provider sealed, which a client sends back after the model changed: OpenAI would
/// refuse an `encrypted_content` that it did not make, and an id that it did not give.
fn drop_foreign_seals(document: &mut Document<'_>, losses: &mut Losses) {
    if !document.get("input").is_some_and(Seal::is_wrapped_in) {
        return;
    }
    let Some(Value::Array(mut items)) = document.value("input") else { return };
    let before = items.len();
    let mut changed = false;
    items.retain_mut(|item| {
        let Some(fields) = item.as_object_mut().filter(|fields| is_foreign(fields)) else { return true };
        changed = true;
        fields.shift_remove("encrypted_content");
        fields.shift_remove("id");
        ["summary", "content"]
            .iter()
            .any(|name| fields.get(*name).and_then(Value::as_array).is_some_and(|parts| !parts.is_empty()))
    });
    if changed {
        let gone = before - items.len();
        document.set_value("input", &Value::Array(items));
        let why = format!("seals of another provider are left out, with {gone} items that were nothing else");
        losses.note("input", Change::Changed, why);
    }
}

fn is_foreign(item: &crate::conversation::Extra) -> bool {
    item.get("type").and_then(Value::as_str) == Some("reasoning")
        && item.get("encrypted_content").and_then(Value::as_str).is_some_and(|text| {
            let seal = Seal::from_slot(Dialect::OpenaiResponses, SealKind::Encrypted, text);
            seal.value_for(Dialect::OpenaiResponses, SealKind::Encrypted).is_none()
        })
}
