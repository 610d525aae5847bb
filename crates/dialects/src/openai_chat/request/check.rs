//! A look at a request's top-level fields that builds nothing.

use crate::document::Document;
use crate::error::Invalid;
use crate::shape::{self, Shape};

/// The fields of a request that [`Request`] has a place for, and those whose type is checked on the way through.
pub(super) const FIELDS: &[(&str, Shape)] = &[
    ("audio", Shape::Object),
    ("frequency_penalty", Shape::Number),
    ("function_call", Shape::TextOrObject),
    ("functions", Shape::List),
    ("logit_bias", Shape::Object),
    ("logprobs", Shape::Flag),
    ("max_completion_tokens", Shape::Number),
    ("max_tokens", Shape::Number),
    ("messages", Shape::List),
    ("metadata", Shape::Object),
    ("modalities", Shape::List),
    ("model", Shape::Text),
    ("n", Shape::Number),
    ("parallel_tool_calls", Shape::Flag),
    ("presence_penalty", Shape::Number),
    ("prompt_cache_key", Shape::Text),
    ("reasoning_effort", Shape::TextOrObject),
    ("response_format", Shape::Object),
    ("seed", Shape::Number),
    ("service_tier", Shape::Text),
    ("stop", Shape::TextOrList),
    ("stream", Shape::Flag),
    ("stream_options", Shape::Object),
    ("temperature", Shape::Number),
    ("thinking", Shape::Object),
    ("tool_choice", Shape::TextOrObject),
    ("tools", Shape::List),
    ("top_k", Shape::Number),
    ("top_logprobs", Shape::Number),
    ("top_p", Shape::Number),
    ("user", Shape::Text),
    ("web_search_options", Shape::Object),
];

/// Fields that stay in `extra`, and whose type is checked.
const EXTRA_FIELDS: &[(&str, Shape)] = &[
    ("prediction", Shape::Object),
    ("prompt_cache_retention", Shape::Text),
    ("safety_identifier", Shape::Text),
    ("store", Shape::Flag),
    ("verbosity", Shape::Text),
];

/// See [`Codec::check_request`](crate::codec::Codec::check_request).
pub(in crate::openai_chat) fn check(document: &Document<'_>) -> Result<(), Invalid> {
    if !document.has("messages") {
        return Err(Invalid::new("messages", "Missing required parameter: 'messages'."));
    }
    shape::check(document, |name| shape::listed(FIELDS, name).or_else(|| shape::listed(EXTRA_FIELDS, name)))
}
