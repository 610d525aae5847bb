//! The parameters at the top of the body.

use serde_json::Value;

use super::{Family, has, is_openai_model};
use crate::adapt;
use crate::conversation::Effort;
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
    let family = Family::of(target.model);
    convert_reasoning(document, target, losses);
    refuse_gated(document, target, family, losses)?;
    refuse_lacking(document, target, losses)?;
    if family.reasons() {
        adapt_to_family(document, target, family, losses)?;
    }
    apply_quirks(document, target, losses);
    write_stream_options(document, target, losses);
    Ok(())
}

/// The name of every parameter that is sent only to models that are known to take it. Two of them are dropped
/// without a complaint, since clients send them to every model as a matter of course.
fn refuse_gated(
    document: &mut Document<'_>,
    target: &Target<'_>,
    family: Family,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    let own = is_openai_model(target.model);
    for (name, known) in [("user", own), ("metadata", false)] {
        if document.has(name) && !known && !is_allowed(target, name) {
            document.remove(name);
            losses.note(name, Change::Dropped, "this provider does not ask for it");
        }
    }
    let reasons = target.facts.supports_reasoning == Some(true) || family.reasons();
    for (name, known) in [
        ("reasoning_effort", reasons),
        ("thinking", false),
        ("verbosity", matches!(family, Family::Gpt { .. })),
        ("prompt_cache_retention", own),
    ] {
        if document.has(name) && !known && !is_allowed(target, name) {
            losses.cannot_carry(name, format!("`{}` is not known to take it", target.model))?;
            document.remove(name);
        }
    }
    refuse_effort(document, target, family, losses)
}

fn is_allowed(target: &Target<'_>, name: &str) -> bool {
    target.policy.allowed_params.iter().any(|allowed| allowed == name)
        || target.quirks.iter().any(|quirk| matches!(quirk, Quirk::Accepts(accepted) if accepted == name))
}

/// Levels of effort that the model is known not to have.
fn refuse_effort(
    document: &mut Document<'_>,
    target: &Target<'_>,
    family: Family,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    let Some(Value::String(effort)) = document.value("reasoning_effort") else { return Ok(()) };
    let facts = target.facts;
    if let Some(lower) = facts.highest_effort_below(&Effort::from_name(&effort)) {
        losses.note("reasoning_effort", Change::Changed, format!("`{effort}` → `{}`", lower.name()));
        document.set_text("reasoning_effort", lower.name());
        return Ok(());
    }
    let known = match Effort::from_name(&effort) {
        Effort::None if family.reasons() => {
            facts.supports_none_reasoning_effort.or(Some(family.reasoning_can_be_off()))
        }
        Effort::None => facts.supports_none_reasoning_effort,
        Effort::Minimal => facts.supports_minimal_reasoning_effort,
        Effort::Low | Effort::Medium | Effort::High | Effort::XHigh | Effort::Max | Effort::Other(_) => None,
    };
    let listed = target.policy.allowed_params.iter().any(|allowed| allowed == "reasoning_effort");
    if known == Some(false) && !listed {
        losses.cannot_carry("reasoning_effort", format!("`{}` has no effort `{effort}`", target.model))?;
        document.remove("reasoning_effort");
    }
    Ok(())
}

/// Brings the two ways to ask for reasoning into the one that the provider has.
fn convert_reasoning(document: &mut Document<'_>, target: &Target<'_>, losses: &mut Losses) {
    let always = target.quirks.iter().any(
        |quirk| matches!(quirk, Quirk::ReasonsByPromptMode { models } if target.model.starts_with(models.as_str())),
    );
    if always && (document.has("reasoning_effort") || document.has("thinking")) {
        document.remove("reasoning_effort");
        document.remove("thinking");
        document.set_text("prompt_mode", "reasoning");
        losses.note("reasoning_effort", Change::Renamed, "`prompt_mode`");
        return;
    }
    if has(target, NamedQuirk::ReasoningIsSwitch) {
        let effort = document.value("reasoning_effort");
        let thinking = document.value("thinking");
        let off = match (&thinking, &effort) {
            (Some(Value::Object(fields)), _) => {
                fields.get("type").and_then(Value::as_str) == Some("disabled")
            }
            (_, Some(Value::String(effort))) => effort == "none",
            _ => return,
        };
        document.remove("reasoning_effort");
        document.set("thinking", if off { r#"{"type":"disabled"}"# } else { r#"{"type":"enabled"}"# });
        losses.note("reasoning_effort", Change::Changed, "`thinking` is a switch here");
    } else if has(target, NamedQuirk::ThinkingBecomesEffort) && document.has("thinking") {
        let thinking = document.value("thinking").unwrap_or_default();
        document.remove("thinking");
        let budget = thinking.get("budget_tokens").and_then(Value::as_u64);
        let effort = match thinking.get("type").and_then(Value::as_str) {
            Some("disabled") => Effort::None,
            _ => budget.map_or(Effort::Medium, Effort::from_budget),
        };
        if !document.has("reasoning_effort") {
            document.set_text("reasoning_effort", effort.name());
        }
        losses.note("thinking", Change::Renamed, "`reasoning_effort`");
    }
}

fn refuse_lacking(
    document: &mut Document<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    for quirk in target.quirks {
        let Quirk::Lacks(name) = quirk else { continue };
        let by_quirk = match name.as_str() {
            "web_search_options" => {
                target.quirks.iter().any(|quirk| matches!(quirk, Quirk::SearchesByTool(_)))
            }
            "service_tier" => has(target, NamedQuirk::ServiceTierIsCompletionWindow),
            _ => false,
        };
        if by_quirk {
            continue;
        }
        let removed = adapt::lack(document, name, target, losses)?;
        if name == "tools" && (removed || !document.has(name)) {
            drop_tool_settings(document);
        }
    }
    Ok(())
}

/// Without tools they say nothing, and are refused.
fn drop_tool_settings(document: &mut Document<'_>) {
    document.remove("tool_choice");
    document.remove("parallel_tool_calls");
}

/// OpenAI's reasoning models.
fn adapt_to_family(
    document: &mut Document<'_>,
    target: &Target<'_>,
    family: Family,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    if document.has("max_tokens") && !document.has("max_completion_tokens") {
        document.rename("max_tokens", "max_completion_tokens");
        losses.note("max_tokens", Change::Renamed, "`max_completion_tokens`");
    }
    // From GPT-5.1 on no effort means no reasoning.
    let off = family.reasoning_can_be_off()
        && matches!(document.get("reasoning_effort"), None | Some("null" | r#""none""#));
    let refused: &[&str] = match family {
        _ if off => &["frequency_penalty", "presence_penalty", "logit_bias", "stop"],
        _ => &[
            "temperature",
            "top_p",
            "frequency_penalty",
            "presence_penalty",
            "logit_bias",
            "logprobs",
            "top_logprobs",
        ],
    };
    for name in refused {
        let Some(text) = document.get(name) else { continue };
        if target.policy.allowed_params.iter().any(|allowed| allowed == name) {
            continue;
        }
        let default = matches!((*name, text), ("temperature" | "top_p", "1" | "1.0"))
            || adapt::says_nothing(name, text);
        if default {
            continue;
        }
        losses.cannot_carry(*name, format!("`{}` refuses it while it reasons", target.model))?;
        document.remove(name);
    }
    Ok(())
}

fn apply_quirks(document: &mut Document<'_>, target: &Target<'_>, losses: &mut Losses) {
    adapt::edit_fields(document, target, losses);
    for quirk in target.quirks {
        match quirk {
            Quirk::SeveralAnswersNeedTemperature(least) => {
                let several = document.value("n").and_then(|n| n.as_u64()).is_some_and(|n| n > 1);
                if several {
                    adapt::clamp(document, "temperature", Some(least), None, losses);
                }
            }
            Quirk::Named(NamedQuirk::ServiceTierIsCompletionWindow) => {
                if let Some(tier) = document.value("service_tier").filter(|tier| !tier.is_null()) {
                    let mut metadata = document.value("metadata").unwrap_or_default();
                    if !metadata.is_object() {
                        metadata = Value::Object(serde_json::Map::new());
                    }
                    if let Value::Object(fields) = &mut metadata {
                        fields.insert("completion_window".to_owned(), tier);
                    }
                    document.set_value("metadata", &metadata);
                    document.remove("service_tier");
                    losses.note("service_tier", Change::Renamed, "`metadata.completion_window`");
                }
            }
            _ => {}
        }
    }
}

/// Usage is always asked for, so that the cost is exact; the client sees it only if it asked itself.
pub(crate) fn write_stream_options(document: &mut Document<'_>, target: &Target<'_>, losses: &mut Losses) {
    let lacks =
        target.quirks.iter().any(|quirk| matches!(quirk, Quirk::Lacks(name) if name == "stream_options"));
    if document.get("stream") != Some("true") || lacks {
        return;
    }
    match document.value("stream_options") {
        Some(Value::Object(options)) if options.get("include_usage") == Some(&Value::Bool(true)) => {}
        Some(Value::Object(mut options)) => {
            options.insert("include_usage".to_owned(), Value::Bool(true));
            document.set_value("stream_options", &Value::Object(options));
            losses.note("stream_options", Change::Changed, "usage is always asked for");
        }
        _ => {
            document.set("stream_options", r#"{"include_usage":true}"#);
            losses.note("stream_options", Change::Added, "usage is always asked for");
        }
    }
}
