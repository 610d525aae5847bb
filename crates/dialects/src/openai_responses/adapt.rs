//! Fits a request of this dialect to its target, in place: what need not change is not touched.

use serde_json::Value;

use crate::CannotSay;
use crate::Dialect;
use crate::adapt;
use crate::conversation::{Seal, SealKind};
use crate::document::Document;
use crate::exchange::Target;
use crate::field_path;
use crate::loss::{Change, Losses};
use crate::quirk::{NamedQuirk, Quirk};

pub(super) fn adapt_request(
    document: &mut Document<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    adapt::write_model(document, target.model);
    adapt::drop_listed(document, target, losses, field_path::remove_exact);
    adapt::refuse_lacking(document, target, losses)?;
    adapt::edit_fields(document, target, losses);
    // The other quirks are about parameters and messages of Chat Completions, which are other ones here.
    let strict = "tools[*].strict";
    if target.has(&Quirk::Named(NamedQuirk::NoStrictTools)) && field_path::remove_exact(document, strict) {
        losses.note(strict, Change::Dropped, "this provider refuses it");
    }
    drop_foreign_seals(document, losses);
    Ok(())
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
