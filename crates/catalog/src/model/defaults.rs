//! What follows from a model's name when the price map does not know it: LiteLLM's fall-back rules, so that a
//! model works on the day it comes out. Prices never follow from a name.

use super::{ModelEntry, Origin};
use crate::pattern;

/// What every Claude model can do.
const CLAUDE: [(&str, &str); 11] = [
    ("mode", "\"chat\""),
    ("max_input_tokens", "200000"),
    ("max_output_tokens", "64000"),
    ("max_tokens", "64000"),
    ("supports_function_calling", "true"),
    ("supports_pdf_input", "true"),
    ("supports_prompt_caching", "true"),
    ("supports_reasoning", "true"),
    ("supports_response_schema", "true"),
    ("supports_tool_choice", "true"),
    ("supports_vision", "true"),
];

/// What came with a version of Claude.
const CLAUDE_SINCE: [((u32, u32), &str); 3] = [
    ((4, 5), "supports_tool_search"),
    ((4, 6), "supports_adaptive_thinking"),
    ((4, 8), "supports_mid_conversation_system"),
];

const OPENAI_REASONING: [&str; 9] =
    ["o#", "o#-*", "gpt-5*", "gpt-6*", "gpt-7*", "gpt-8*", "gpt-9*", "*codex*", "*deep-research*"];

const OPENAI: [(&str, &str); 3] =
    [("mode", "\"chat\""), ("supports_function_calling", "true"), ("supports_reasoning", "true")];

const GEMINI: [(&str, &str); 11] = [
    ("mode", "\"chat\""),
    ("max_input_tokens", "1048576"),
    ("max_output_tokens", "65535"),
    ("supports_audio_input", "true"),
    ("supports_function_calling", "true"),
    ("supports_pdf_input", "true"),
    ("supports_reasoning", "true"),
    ("supports_response_schema", "true"),
    ("supports_system_messages", "true"),
    ("supports_tool_choice", "true"),
    ("supports_vision", "true"),
];

const WANDB: [(&str, &str); 2] = [("mode", "\"chat\""), ("supports_reasoning", "true")];

/// An entry for an unknown model of a known family.
pub(super) fn of_family(provider: Option<&str>, model: &str) -> Option<ModelEntry> {
    let bare = model.rsplit('/').next().unwrap_or(model);
    let claude = bare.find("claude-").and_then(|at| bare.get(at..));
    let fields: &[(&str, &str)] = if claude.is_some() {
        &CLAUDE
    } else if pattern::any(&OPENAI_REASONING, bare).is_some() && !bare.contains("-chat") {
        &OPENAI
    } else if pattern::any(&["gemini-#*pro*", "gemini-#*flash*"], bare).is_some()
        && gemini_version(bare) >= (2, 5)
    {
        &GEMINI
    } else if provider == Some("wandb") {
        &WANDB
    } else {
        return None;
    };
    let mut entry = ModelEntry::empty(model);
    entry.origin = Origin::Family;
    for (field, json) in fields {
        entry.set_default(field, json);
    }
    for field in claude.map(claude_fields).unwrap_or_default() {
        entry.set_default(field, "true");
    }
    if let Some(provider) = provider {
        entry.set_default("litellm_provider", &format!("\"{provider}\""));
    }
    Some(entry)
}

/// What a Claude model has beyond [`CLAUDE`]. `name` begins with `claude-`.
fn claude_fields(name: &str) -> Vec<&'static str> {
    let always_thinks = name.contains("fable") || name.contains("mythos");
    let version = claude_version(name);
    let mut fields: Vec<_> = CLAUDE_SINCE
        .into_iter()
        .filter(|(since, _)| always_thinks || version >= *since)
        .map(|(_, field)| field)
        .collect();
    if always_thinks {
        fields.push("thinking_always_on");
    }
    if version == (4, 6) {
        fields.push("supports_legacy_thinking");
    }
    fields
}

/// `claude-opus-4-6-20260101` → (4, 6). Numbers of more than two digits are dates.
fn claude_version(name: &str) -> (u32, u32) {
    let is_version = |word: &&str| word.len() <= 2 && word.bytes().all(|byte| byte.is_ascii_digit());
    let mut numbers = name.split(['-', '.', '@']).skip_while(|word| !is_version(word)).take_while(is_version);
    let mut next = || numbers.next().and_then(|word| word.parse().ok()).unwrap_or_default();
    (next(), next())
}

/// `gemini-2.5-pro` → (2, 5).
fn gemini_version(name: &str) -> (u32, u32) {
    let version = name.split('-').nth(1).unwrap_or_default();
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    (major.parse().unwrap_or_default(), minor.parse().unwrap_or_default())
}
