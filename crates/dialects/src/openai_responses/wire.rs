//! Names and shapes of the event stream
//! (<https://platform.openai.com/docs/api-reference/responses-streaming>).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

pub(super) const CREATED: &str = "response.created";
pub(super) const IN_PROGRESS: &str = "response.in_progress";
pub(super) const QUEUED: &str = "response.queued";
pub(super) const COMPLETED: &str = "response.completed";
pub(super) const INCOMPLETE: &str = "response.incomplete";
pub(super) const FAILED: &str = "response.failed";
pub(super) const ERROR: &str = "error";
pub(super) const ITEM_ADDED: &str = "response.output_item.added";
pub(super) const ITEM_DONE: &str = "response.output_item.done";
pub(super) const CONTENT_ADDED: &str = "response.content_part.added";
pub(super) const CONTENT_DONE: &str = "response.content_part.done";
pub(super) const TEXT_DELTA: &str = "response.output_text.delta";
pub(super) const TEXT_DONE: &str = "response.output_text.done";
pub(super) const ANNOTATION_ADDED: &str = "response.output_text.annotation.added";
pub(super) const REFUSAL_DELTA: &str = "response.refusal.delta";
pub(super) const REFUSAL_DONE: &str = "response.refusal.done";
pub(super) const SUMMARY_ADDED: &str = "response.reasoning_summary_part.added";
pub(super) const SUMMARY_DONE: &str = "response.reasoning_summary_part.done";
pub(super) const SUMMARY_TEXT_DELTA: &str = "response.reasoning_summary_text.delta";
pub(super) const SUMMARY_TEXT_DONE: &str = "response.reasoning_summary_text.done";
pub(super) const REASONING_TEXT_DELTA: &str = "response.reasoning_text.delta";
pub(super) const REASONING_TEXT_DONE: &str = "response.reasoning_text.done";
pub(super) const ARGUMENTS_DELTA: &str = "response.function_call_arguments.delta";
pub(super) const ARGUMENTS_DONE: &str = "response.function_call_arguments.done";
pub(super) const INPUT_DELTA: &str = "response.custom_tool_call_input.delta";
pub(super) const INPUT_DONE: &str = "response.custom_tool_call_input.done";

/// What LiteLLM ends its streams with. OpenAI does not, but its SDKs stop there.
pub(super) const DONE: &str = "[DONE]";

/// An event that carries the next piece of something; by far the most frequent ones.
#[derive(Debug, Serialize)]
pub(super) struct DeltaOut<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) sequence_number: u64,
    pub(super) item_id: &'a str,
    pub(super) output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) summary_index: Option<usize>,
    pub(super) delta: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs: Option<&'a Value>,
}

/// Any event, as it is read. The meaning of the fields depends on the type; what a type does not have is absent.
#[derive(Debug, Deserialize)]
pub(super) struct EventIn<'a> {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) output_index: u64,
    #[serde(default)]
    pub(super) content_index: u64,
    #[serde(default)]
    pub(super) summary_index: u32,
    #[serde(borrow)]
    pub(super) delta: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) item: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) part: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) annotation: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) response: Option<&'a RawValue>,
}

/// What is looked at in a Response object that is passed on.
#[derive(Debug, Deserialize)]
pub(super) struct Glance<'a> {
    pub(super) id: Option<String>,
    /// Unread, for its place in the text.
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    pub(super) status: Option<String>,
    pub(super) service_tier: Option<String>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    pub(super) incomplete_details: Option<IncompleteDetails>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    pub(super) output: Option<Vec<ItemGlance>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct IncompleteDetails {
    pub(super) reason: Option<String>,
}

/// What is looked at in an item that is passed on.
#[derive(Debug, Deserialize)]
pub(super) struct ItemGlance {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) action: Option<ActionGlance>,
    pub(super) arguments: Option<TextLength>,
    pub(super) input: Option<TextLength>,
    pub(super) content: Option<Vec<ContentGlance>>,
    pub(super) encrypted_content: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ActionGlance {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ContentGlance {
    pub(super) text: Option<TextLength>,
    pub(super) refusal: Option<TextLength>,
}

/// The length of a string, in bytes, without the string. Anything else has none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TextLength(pub(super) u64);

impl<'de> Deserialize<'de> for TextLength {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let quotes = if raw.starts_with('"') { 2 } else { raw.len() };
        Ok(Self(raw.len().saturating_sub(quotes).try_into().unwrap_or(u64::MAX)))
    }
}

/// An event that carries a Response object.
#[derive(Debug, Deserialize)]
pub(super) struct SnapshotIn<'a> {
    #[serde(borrow)]
    pub(super) response: &'a RawValue,
}

/// The `error` event: its fields stand at the top, or, as some servers write it, in an `error` object.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorIn<'a> {
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}
