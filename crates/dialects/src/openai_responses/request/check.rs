//! A look at a request's top-level fields that builds nothing.

use crate::document::Document;
use crate::error::Invalid;
use crate::shape::{self, Shape};

const FIELDS: [(&str, Shape); 29] = [
    ("background", Shape::Flag),
    ("conversation", Shape::TextOrObject),
    ("include", Shape::List),
    ("input", Shape::TextOrList),
    ("instructions", Shape::Text),
    ("max_output_tokens", Shape::Number),
    ("max_tool_calls", Shape::Number),
    ("metadata", Shape::Object),
    ("model", Shape::Text),
    ("parallel_tool_calls", Shape::Flag),
    ("previous_response_id", Shape::Text),
    ("prompt", Shape::Object),
    ("prompt_cache_key", Shape::Text),
    ("prompt_cache_options", Shape::Object),
    ("prompt_cache_retention", Shape::Text),
    ("reasoning", Shape::Object),
    ("safety_identifier", Shape::Text),
    ("service_tier", Shape::Text),
    ("store", Shape::Flag),
    ("stream", Shape::Flag),
    ("stream_options", Shape::Object),
    ("temperature", Shape::Number),
    ("text", Shape::Object),
    ("tool_choice", Shape::TextOrObject),
    ("tools", Shape::List),
    ("top_logprobs", Shape::Number),
    ("top_p", Shape::Number),
    ("truncation", Shape::Text),
    ("user", Shape::Text),
];

/// Checks that there is an input, and the JSON types of the fields that are known.
pub(in crate::openai_responses) fn check(document: &Document<'_>) -> Result<(), Invalid> {
    if !["input", "prompt", "previous_response_id", "conversation"].iter().any(|name| document.has(name)) {
        return Err(Invalid::new("input", "Missing required parameter: 'input'."));
    }
    shape::check(document, |name| shape::listed(&FIELDS, name))
}
