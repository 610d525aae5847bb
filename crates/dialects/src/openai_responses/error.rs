//! Errors within an answer: the events `error` and `response.failed`, and the `error` of an answer whose status is
//! `failed` (<https://platform.openai.com/docs/api-reference/responses-streaming/error>).

use serde_json::Value;

use crate::error::ProviderError;
use crate::openai_error;

/// Reads the data of an `error` or `response.failed` event.
pub(super) fn read_event(data: &str) -> ProviderError {
    let tree: Value = serde_json::from_str(data).unwrap_or_else(|_| data.into());
    let inner = tree.get("response").and_then(|response| response.get("error")).or_else(|| tree.get("error"));
    read(inner.filter(|error| !error.is_null()).unwrap_or(&tree))
}

/// Reads the error object of an answer whose status is `failed`.
pub(super) fn read_object(text: &str) -> ProviderError {
    read(&serde_json::from_str(text).unwrap_or_else(|_| text.into()))
}

fn read(error: &Value) -> ProviderError {
    let word = |name: &str| error.get(name).and_then(Value::as_str);
    // The `error` event has its own name in the place of the kind.
    let is_kind = |kind: &str| kind != "error" && !kind.starts_with("response.");
    let kind = word("type").filter(|kind| is_kind(kind));
    let mut read = openai_error::read_value(status_of(kind, word("code")), error);
    read.kind = read.kind.filter(|kind| is_kind(kind));
    read
}

/// The status that an error within a stream would have had as an answer.
fn status_of(kind: Option<&str>, code: Option<&str>) -> u16 {
    match code {
        Some("rate_limit_exceeded" | "insufficient_quota") => return 429,
        Some("authentication_error" | "invalid_api_key") => return 401,
        Some("permission_error") => return 403,
        Some("not_found_error" | "model_not_found") => return 404,
        Some("request_timeout" | "vector_store_timeout") => return 408,
        Some("server_error") => return 500,
        // The rest of the documented codes blame the prompt or its images.
        Some(code) if is_about_the_prompt(code) => return 400,
        _ => {}
    }
    match kind {
        Some("invalid_request_error") => 400,
        Some("rate_limit_error" | "tokens" | "requests" | "insufficient_quota") => 429,
        Some("authentication_error") => 401,
        _ => 500,
    }
}

fn is_about_the_prompt(code: &str) -> bool {
    code.starts_with("invalid_")
        || code.starts_with("image_")
        || code.ends_with("_policy")
        || code.ends_with("_policy_violation")
        || matches!(
            code,
            "context_length_exceeded"
                | "content_filter"
                | "unsupported_image_media_type"
                | "empty_image_file"
                | "failed_to_download_image"
        )
}
