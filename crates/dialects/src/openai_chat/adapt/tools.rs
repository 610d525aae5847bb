//! `tools`, `functions`, `tool_choice` and `response_format`.

use memchr::memmem;
use serde_json::Value;

use super::has;
use crate::document::Document;
use crate::error::CannotSay;
use crate::exchange::Target;
use crate::loss::{Change, Losses};
use crate::quirk::{NamedQuirk, Quirk};

pub(super) fn adapt(
    document: &mut Document<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    edit_tools(document, target, losses);
    ask_for_tool(document, target, losses);
    search_by_tool(document, target, losses)
}

fn mentions(text: &str, name: &str) -> bool {
    memmem::find(text.as_bytes(), name.as_bytes()).is_some()
}

fn edit_tools(document: &mut Document<'_>, target: &Target<'_>, losses: &mut Losses) {
    let Some(text) = document.get("tools") else { return };
    let strict = has(target, NamedQuirk::NoStrictTools) && mentions(text, r#""strict""#);
    let closed = has(target, NamedQuirk::NoClosedToolSchemas) && mentions(text, r#""additionalProperties""#);
    let marks = !target.has(&Quirk::KeepsCacheControl) && mentions(text, r#""cache_control""#);
    if !(strict || closed || marks) {
        return;
    }
    let Some(Value::Array(mut tools)) = document.value("tools") else { return };
    let mut changed = false;
    for tool in tools.iter_mut().filter_map(Value::as_object_mut) {
        if marks {
            changed |= tool.shift_remove("cache_control").is_some();
        }
        if strict {
            // LiteLLM's clients also write it beside the function.
            changed |= tool.shift_remove("strict").is_some();
        }
        let Some(Value::Object(function)) = tool.get_mut("function") else { continue };
        if strict {
            changed |= function.shift_remove("strict").is_some();
        }
        if marks {
            changed |= function.shift_remove("cache_control").is_some();
        }
        if closed && let Some(schema) = function.get_mut("parameters") {
            changed |= open_schema(schema);
        }
    }
    if changed {
        document.set_value("tools", &Value::Array(tools));
        losses.note("tools", Change::Changed, "marks that this provider does not take are left out");
    }
}

/// Takes `additionalProperties: false` out at every depth; says whether there was one.
fn open_schema(schema: &mut Value) -> bool {
    match schema {
        Value::Object(fields) => {
            let closed = fields.get("additionalProperties") == Some(&Value::Bool(false));
            if closed {
                fields.shift_remove("additionalProperties");
            }
            fields.values_mut().fold(closed, |changed, inner| open_schema(inner) || changed)
        }
        Value::Array(items) => {
            items.iter_mut().filter_map(|inner| open_schema(inner).then_some(())).count() > 0
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// What a user turn says where `tool_choice: required` is unknown
/// (<https://platform.moonshot.ai/docs/guide/migrating-from-openai-to-kimi>: the vendor's own advice).
const SELECT_A_TOOL: &str = "Please select a tool to handle the current issue.";

fn ask_for_tool(document: &mut Document<'_>, target: &Target<'_>, losses: &mut Losses) {
    if !has(target, NamedQuirk::RequiredToolChoiceIsAsked)
        || document.get("tool_choice") != Some(r#""required""#)
    {
        return;
    }
    document.remove("tool_choice");
    let Some(Value::Array(mut messages)) = document.value("messages") else { return };
    messages.push(serde_json::json!({"role": "user", "content": SELECT_A_TOOL}));
    document.set_value("messages", &Value::Array(messages));
    losses.note("tool_choice", Change::Changed, "a user turn asks for a tool");
}

fn search_by_tool(
    document: &mut Document<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    if !document.has("web_search_options") {
        return Ok(());
    }
    let tool = target.quirks.iter().find_map(|quirk| match quirk {
        Quirk::SearchesByTool(tool) => Some(tool),
        _ => None,
    });
    let Some(tool) = tool else { return Ok(()) };
    if target.facts.supports_web_search == Some(false) {
        losses.cannot_carry("web_search_options", format!("`{}` cannot search", target.model))?;
        document.remove("web_search_options");
        return Ok(());
    }
    let mut tools = match document.value("tools") {
        Some(Value::Array(tools)) => tools,
        _ => Vec::new(),
    };
    tools.push(tool.clone());
    document.set_value("tools", &Value::Array(tools));
    document.remove("web_search_options");
    losses.note("web_search_options", Change::Renamed, "an entry of `tools`");
    Ok(())
}
