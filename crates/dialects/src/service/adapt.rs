//! Edits a request so that one provider's one model accepts it.

use serde_json::Value;

use super::Service;
use crate::document::Document;
use crate::error::{CannotSay, Invalid};
use crate::exchange::Target;
use crate::loss::{Change, Losses};
use crate::quirk::{NamedQuirk, Quirk};
use crate::{adapt, field_path};

/// Writes the model's name and does what the endpoint's quirks ask. Other fields pass, known or not.
///
/// # Errors
/// When the provider does not know a parameter, and `losses` does not allow to leave it out.
pub fn adapt(
    service: Service,
    document: &mut Document<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    document.set_text("model", target.model);
    adapt::drop_listed(document, target, losses, field_path::remove_exact);
    for quirk in target.quirks {
        match quirk {
            Quirk::Lacks(name) => refuse(name, document, target, losses)?,
            Quirk::Renames { from, to } if document.rename(from, to) => {
                losses.note(from, Change::Renamed, format!("`{to}`"));
            }
            Quirk::Injects { name, value } if !document.has(name) => document.set_value(name, value),
            Quirk::Named(NamedQuirk::EmbeddingInputIsList) if service == Service::Embeddings => {
                list_input(document);
            }
            Quirk::Named(NamedQuirk::NoTokensAsInput) if service == Service::Embeddings => {
                refuse_tokens(document)?;
            }
            Quirk::Named(NamedQuirk::FloatsGoUnasked)
                if document.get("encoding_format").is_some_and(|format| format.trim() == "\"float\"") =>
            {
                document.remove("encoding_format");
            }
            _ => {}
        }
    }
    Ok(())
}

fn refuse(
    name: &str,
    document: &mut Document<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    let (field, only) = name.split_once('.').map_or((name, None), |(field, value)| (field, Some(value)));
    let said = document.value(field).filter(|value| !value.is_null());
    let Some(said) = said else { return Ok(()) };
    let allowed = target.policy.allowed_params.iter().any(|allowed| allowed == field);
    if allowed || only.is_some_and(|only| said.as_str() != Some(only)) {
        return Ok(());
    }
    losses.cannot_carry(name, "this provider does not know it")?;
    document.remove(field);
    Ok(())
}

fn list_input(document: &mut Document<'_>) {
    if let Some(text) = document.get("input").filter(|input| input.starts_with('"')) {
        let list = format!("[{text}]");
        document.set("input", list);
    }
}

fn refuse_tokens(document: &Document<'_>) -> Result<(), CannotSay> {
    let Some(Value::Array(items)) = document.value("input") else { return Ok(()) };
    if items.iter().all(Value::is_string) {
        return Ok(());
    }
    Err(CannotSay {
        param: "input".to_owned(),
        message: "this provider embeds text, not tokens; send strings".to_owned(),
    })
}

/// Names the first field that every request of the service has and this one lacks.
///
/// # Errors
/// As it says.
pub(super) fn check(service: Service, document: &Document<'_>) -> Result<(), Invalid> {
    let wanted: &[&str] = match service {
        Service::Embeddings | Service::Moderations | Service::Speech => &["input"],
        Service::Rerank => &["query", "documents"],
        Service::Images => &["prompt"],
        Service::Transcriptions | Service::Translations => &[],
    };
    match wanted.iter().find(|name| !document.has(name)) {
        Some(name) => Err(Invalid::new(*name, format!("Missing required parameter: '{name}'."))),
        None => Ok(()),
    }
}
