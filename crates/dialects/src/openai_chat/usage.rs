//! The `usage` object (<https://platform.openai.com/docs/api-reference/chat/object#chat/object-usage>, read
//! 2026-11-21), with what providers of this dialect add to it.

use serde_json::{Map, Number, Value};

use crate::conversation::{Part, Usage};
use crate::document::Document;

/// Reads a usage object. Counts that are missing, `null` or no numbers are zero.
pub(super) fn read(value: &Value) -> Usage {
    let top = |name: &str| count(value.get(name));
    let input = |name: &str| count(value.get("prompt_tokens_details").and_then(|details| details.get(name)));
    let output =
        |name: &str| count(value.get("completion_tokens_details").and_then(|details| details.get(name)));

    let prompt = top("prompt_tokens");
    let mut completion = top("completion_tokens");
    let reasoning = output("reasoning_tokens");
    // xAI counts thinking beside the completion, and only the total says so
    // (https://docs.x.ai/docs/guides/reasoning, read 2026-11-21).
    if reasoning > 0 && top("total_tokens") == prompt.saturating_add(completion).saturating_add(reasoning) {
        completion = completion.saturating_add(reasoning);
    }
    let writes = value.get("prompt_tokens_details").and_then(|d| d.get("cache_creation_token_details"));
    let hour = count(writes.and_then(|writes| writes.get("ephemeral_1h_input_tokens")));
    let written = first([
        input("cache_creation_tokens"),
        input("cache_write_tokens"),
        top("cache_creation_input_tokens"),
    ]);
    let searches = value.get("server_tool_use").and_then(|tools| tools.get("web_search_requests"));
    Usage {
        input: prompt,
        // OpenAI; DeepSeek; Moonshot; Anthropic's name, which LiteLLM repeats.
        cache_read: first([
            input("cached_tokens"),
            top("prompt_cache_hit_tokens"),
            top("cached_tokens"),
            top("cache_read_input_tokens"),
        ]),
        cache_write_5m: written.saturating_sub(hour),
        cache_write_1h: hour,
        input_audio: input("audio_tokens"),
        input_image: input("image_tokens"),
        input_video: input("video_tokens"),
        output: completion,
        reasoning: reasoning.min(completion),
        output_audio: output("audio_tokens"),
        output_image: output("image_tokens"),
        accepted_prediction: output("accepted_prediction_tokens"),
        rejected_prediction: output("rejected_prediction_tokens"),
        // Perplexity; Anthropic's field, which LiteLLM repeats.
        web_searches: first([top("num_search_queries"), count(searches)]),
        audio_ms: 0,
        characters: 0,
        service_tier: value.get("service_tier").and_then(Value::as_str).map(str::to_owned),
        cost: value.get("cost").and_then(Value::as_number).cloned(),
        original: Some(value.clone()),
    }
}

/// How much of an answer was thinking and how much was said, in bytes of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) thinking: u64,
    pub(super) rest: u64,
}

impl Shares {
    pub(super) fn of(parts: &[Part]) -> Self {
        let mut shares = Self::default();
        for part in parts {
            match part {
                Part::Reasoning(reasoning) => shares.thinking += len(&reasoning.readable()),
                Part::Text(text) => shares.rest += len(&text.text),
                Part::Refusal(text) => shares.rest += len(text),
                Part::ToolCall(call) => shares.rest += len(&call.name) + len(&call.arguments),
                Part::Media(_) | Part::ToolResult(_) | Part::Opaque(_) => {}
            }
        }
        shares
    }

    pub(super) fn add(&mut self, other: Self) {
        self.thinking = self.thinking.saturating_add(other.thinking);
        self.rest = self.rest.saturating_add(other.rest);
    }

    /// The share of `output` tokens that was thinking. Anthropic and many servers of open models show their thinking
    /// but do not count it; LiteLLM's clients get an estimate then, and so do ours. Never used for costs.
    pub(super) fn estimate(self, output: u64) -> u64 {
        if self.thinking == 0 {
            return 0;
        }
        let all = u128::from(self.thinking) + u128::from(self.rest);
        let share = u128::from(output) * u128::from(self.thinking) / all;
        u64::try_from(share).unwrap_or(output).max(1).min(output)
    }
}

fn len(text: &str) -> u64 {
    text.len() as u64
}

/// Some servers count in floats.
fn count(value: Option<&Value>) -> u64 {
    match value {
        Some(Value::Number(number)) => number.as_u64().or_else(|| whole(number)).unwrap_or(0),
        _ => 0,
    }
}

fn whole(number: &Number) -> Option<u64> {
    number.to_string().split('.').next()?.parse().ok()
}

/// The first count that is there at all.
fn first<const N: usize>(counts: [u64; N]) -> u64 {
    counts.into_iter().find(|count| *count > 0).unwrap_or(0)
}

/// Writes a usage object. `own`: it was read from this dialect, so the original goes back.
pub(super) fn write(usage: &Usage, shares: Shares, own: bool) -> Value {
    if own && let Some(original) = &usage.original {
        return original.clone();
    }
    let mut input = Map::new();
    input.insert("cached_tokens".to_owned(), Value::from(usage.cache_read));
    input.insert("audio_tokens".to_owned(), Value::from(usage.input_audio));
    let mut output = Map::new();
    let reasoning = if usage.reasoning > 0 { usage.reasoning } else { shares.estimate(usage.output) };
    output.insert("reasoning_tokens".to_owned(), Value::from(reasoning));
    output.insert("audio_tokens".to_owned(), Value::from(usage.output_audio));
    output.insert("accepted_prediction_tokens".to_owned(), Value::from(usage.accepted_prediction));
    output.insert("rejected_prediction_tokens".to_owned(), Value::from(usage.rejected_prediction));
    let mut object = Map::new();
    object.insert("prompt_tokens".to_owned(), Value::from(usage.input));
    object.insert("completion_tokens".to_owned(), Value::from(usage.output));
    object.insert("total_tokens".to_owned(), Value::from(usage.total()));
    if usage.cache_write() > 0 {
        // LiteLLM's names.
        input.insert("cache_creation_tokens".to_owned(), Value::from(usage.cache_write()));
        let writes = Map::from_iter([
            ("ephemeral_5m_input_tokens".to_owned(), Value::from(usage.cache_write_5m)),
            ("ephemeral_1h_input_tokens".to_owned(), Value::from(usage.cache_write_1h)),
        ]);
        input.insert("cache_creation_token_details".to_owned(), Value::Object(writes));
        object.insert("cache_creation_input_tokens".to_owned(), Value::from(usage.cache_write()));
        object.insert("cache_read_input_tokens".to_owned(), Value::from(usage.cache_read));
    }
    for (name, tokens) in [("image_tokens", usage.input_image), ("video_tokens", usage.input_video)] {
        if tokens > 0 {
            input.insert(name.to_owned(), Value::from(tokens));
        }
    }
    if usage.output_image > 0 {
        output.insert("image_tokens".to_owned(), Value::from(usage.output_image));
    }
    object.insert("prompt_tokens_details".to_owned(), Value::Object(input));
    object.insert("completion_tokens_details".to_owned(), Value::Object(output));
    if usage.web_searches > 0 {
        let tools = Map::from_iter([("web_search_requests".to_owned(), Value::from(usage.web_searches))]);
        object.insert("server_tool_use".to_owned(), Value::Object(tools));
    }
    if let Some(tier) = &usage.service_tier {
        object.insert("service_tier".to_owned(), Value::from(tier.as_str()));
    }
    if let Some(cost) = &usage.cost {
        object.insert("cost".to_owned(), Value::Number(cost.clone()));
    }
    Value::Object(object)
}

/// A provider's usage object with the estimated count of thinking put in; every other byte of it stays.
pub(super) fn with_reasoning(usage: &str, reasoning: u64) -> String {
    let with = |object: &str, name: &str, value: String| {
        let mut document = Document::of(object).ok()?;
        document.set(name, value);
        String::from_utf8(document.to_bytes()).ok()
    };
    let document = Document::of(usage);
    let details = document.as_ref().ok().and_then(|usage| usage.get("completion_tokens_details"));
    let details = details
        .and_then(|details| with(details, "reasoning_tokens", reasoning.to_string()))
        .unwrap_or_else(|| format!(r#"{{"reasoning_tokens":{reasoning}}}"#));
    with(usage, "completion_tokens_details", details).unwrap_or_else(|| usage.to_owned())
}
