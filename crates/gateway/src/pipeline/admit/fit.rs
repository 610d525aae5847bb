//! `budget_fit`: an answer is kept as short as what is left of the tightest budget pays for.

use std::sync::Arc;

use catalog::NanoUsd;
use dialects::Dialect;
use dialects::document::Document;
use serde_json::{Value, json};

use super::extent::Extent;
use crate::snapshot::Served;

/// The longest answer of a model that nobody knows the longest answer of.
const UNKNOWN_MOST: u64 = 32_768;

/// The longest answer that a group's models give by themselves, and whether that is known.
pub(super) fn longest(members: &[Arc<Served>]) -> (u64, bool) {
    let own = members.iter().map(|served| served.deployment.facts.max_output_tokens);
    match own.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max()) {
        Some(most) => (most, true),
        None => (UNKNOWN_MOST, false),
    }
}

/// The shortest answer that may be asked for: OpenAI's Responses take no less than 16 tokens
/// (<https://platform.openai.com/docs/api-reference/responses/create>), Anthropic's Messages more than what is given for
/// thinking (<https://platform.claude.com/docs/en/build-with-claude/extended-thinking>; both read 2026-11-21).
pub(super) fn shortest(document: &Document<'_>, dialect: Dialect) -> u64 {
    let thinking = || {
        let thinking: Value = serde_json::from_str(document.get("thinking")?).ok()?;
        thinking.get("budget_tokens")?.as_u64()
    };
    match dialect {
        Dialect::OpenaiResponses => 16,
        Dialect::AnthropicMessages => thinking().map_or(1, |budget| budget.saturating_add(1)),
        Dialect::OpenaiChat | Dialect::OpenaiCompletions | Dialect::Gemini => 1,
    }
}

/// How many tokens each answer may have, at most `most`, so that the call costs no more than `room` wherever in the group
/// it goes. Zero: not one. `None`: nobody knows what it costs.
pub(super) fn affordable(
    extent: &Extent<'_>,
    members: &[Arc<Served>],
    most: u64,
    room: NanoUsd,
) -> Option<u64> {
    let pays = |tokens: u64| Some(extent.most_among(members, tokens)? <= room);
    if pays(most)? {
        return Some(most);
    }
    // Longer answers are never cheaper: `low` fits, or is zero; `high` does not.
    let (mut low, mut high) = (0, most);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if pays(middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(low)
}

/// Says in a client's request that an answer may have at most so many tokens.
pub(in crate::pipeline) fn limit(document: &mut Document<'_>, dialect: Dialect, tokens: u64) {
    match dialect {
        Dialect::Gemini => {
            let config = document.get("generationConfig").and_then(|text| serde_json::from_str(text).ok());
            let mut config: Value = config.filter(Value::is_object).unwrap_or_else(|| json!({}));
            if let Some(config) = config.as_object_mut() {
                config.insert("maxOutputTokens".to_owned(), json!(tokens));
            }
            document.set_value("generationConfig", &config);
        }
        Dialect::OpenaiResponses => document.set("max_output_tokens", tokens.to_string()),
        Dialect::OpenaiChat if document.has("max_completion_tokens") => {
            document.set("max_completion_tokens", tokens.to_string());
            document.remove("max_tokens");
        }
        Dialect::OpenaiChat | Dialect::OpenaiCompletions | Dialect::AnthropicMessages => {
            document.set("max_tokens", tokens.to_string());
        }
    }
}
