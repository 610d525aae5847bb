//! Errors: `{"error": {"message", "type", "param", "code"}}`
//! (<https://platform.openai.com/docs/guides/error-codes>, read 2026-11-21), in streams the events `error` and
//! `response.failed`.

use serde_json::{Value, json};

use crate::error::{ErrorClass, ErrorReply, ProviderError};

/// Reads an error answer. What has another shape becomes the message.
pub(super) fn read(status: u16, body: &[u8]) -> ProviderError {
    let text = String::from_utf8_lossy(body);
    let tree: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = match tree.get("error") {
        Some(error) if !error.is_null() => error,
        _ => &tree,
    };
    from_tree(status, error, text.trim())
}

/// Reads the data of an `error` or `response.failed` event.
pub(super) fn read_event(data: &str) -> ProviderError {
    let tree: Value = serde_json::from_str(data).unwrap_or_default();
    let inner = tree.get("response").and_then(|response| response.get("error")).or_else(|| tree.get("error"));
    let error = inner.filter(|error| !error.is_null()).unwrap_or(&tree);
    from_tree(0, error, data)
}

/// Reads the error object of an answer whose status is `failed`.
pub(super) fn read_object(text: &str) -> ProviderError {
    from_tree(0, &serde_json::from_str(text).unwrap_or_default(), text)
}

fn from_tree(status: u16, error: &Value, whole: &str) -> ProviderError {
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    let message = text("message")
        .or_else(|| text("detail"))
        .or_else(|| error.as_str().map(str::to_owned))
        .unwrap_or_else(|| whole.to_owned());
    // The `error` event has its own name in the place of the kind.
    let kind = text("type").filter(|kind| kind != "error" && !kind.starts_with("response."));
    // Some servers repeat the status here, as a number.
    let code =
        text("code").or_else(|| error.get("code").and_then(Value::as_u64).map(|code| code.to_string()));
    let status = if status == 0 { status_of(kind.as_deref(), code.as_deref()) } else { status };
    let class = classify(status, kind.as_deref(), code.as_deref(), &message);
    ProviderError { class, status, message, kind, code, param: text("param") }
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

fn classify(status: u16, kind: Option<&str>, code: Option<&str>, message: &str) -> ErrorClass {
    let lower = message.to_ascii_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
    if code == Some("context_length_exceeded")
        || says(&[
            "maximum context length",
            "context window",
            "maximum prompt length",
            "input tokens exceed",
            "prompt is too long",
        ])
    {
        return ErrorClass::ContextWindowExceeded;
    }
    let by_policy = code.is_some_and(|code| {
        code == "content_filter" || code.contains("_policy") || code == "moderation_blocked"
    });
    if by_policy || says(&["content management policy", "safety system", "violating our usage policy"]) {
        return ErrorClass::ContentPolicy;
    }
    match ErrorClass::from_status(status) {
        // The caller's mistake, whatever the status says.
        ErrorClass::Internal | ErrorClass::Conflict if kind == Some("invalid_request_error") => {
            ErrorClass::BadRequest
        }
        class => class,
    }
}

/// The body of an error answer.
pub(super) fn write(error: &ErrorReply) -> Vec<u8> {
    let body = json!({
        "error": {
            "message": error.message,
            "type": error.kind,
            "param": error.param,
            "code": error.code,
        }
    });
    body.to_string().into_bytes()
}
