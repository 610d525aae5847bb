//! `usage` (<https://platform.openai.com/docs/api-reference/responses/object>). `input_tokens`
//! and `output_tokens` are totals, as the model's are.

use serde::Deserialize;
use serde_json::{Number, Value, json};

use crate::conversation::Usage;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wire {
    input_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
    /// Aggregators report what they charge.
    cost: Option<Number>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    audio_tokens: Option<u64>,
    image_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
    audio_tokens: Option<u64>,
    image_tokens: Option<u64>,
}

/// Reads a usage object; `None` for `null` and for what is no usage.
pub(super) fn read(text: &str) -> Option<Usage> {
    let wire: Wire = serde_json::from_str::<Option<Wire>>(text).ok()??;
    let input = wire.input_tokens_details.unwrap_or_default();
    let output = wire.output_tokens_details.unwrap_or_default();
    Some(Usage {
        input: wire.input_tokens.unwrap_or(0),
        cache_read: input.cached_tokens.unwrap_or(0),
        cache_write_5m: input.cache_write_tokens.unwrap_or(0),
        input_audio: input.audio_tokens.unwrap_or(0),
        input_image: input.image_tokens.unwrap_or(0),
        output: wire.output_tokens.unwrap_or(0),
        reasoning: output.reasoning_tokens.unwrap_or(0),
        output_audio: output.audio_tokens.unwrap_or(0),
        output_image: output.image_tokens.unwrap_or(0),
        cost: wire.cost,
        original: serde_json::from_str(text).ok(),
        ..Usage::default()
    })
}

pub(super) fn write(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write(),
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total(),
    })
}
