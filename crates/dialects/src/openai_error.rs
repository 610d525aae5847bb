//! OpenAI's error object `{"error": {"message", "type", "param", "code"}}`, and what the many servers that speak its
//! dialects make of it
//! (<https://platform.openai.com/docs/guides/error-codes>).

use serde_json::Value;

use crate::error::{ErrorClass, ErrorReply, ProviderError, message_of_text};

/// See [`Codec::read_error`](crate::codec::Codec::read_error).
pub(crate) fn read(status: u16, body: &[u8]) -> ProviderError {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => read_value(status, &value),
        Err(_) => {
            let message = message_of_text(status, body);
            finish(ProviderError::new(ErrorClass::from_status(status), status, message))
        }
    }
}

/// Reads an error object of a stream, or of an answer with a success status: its own words name the status.
pub(crate) fn read_event(error: &Value) -> ProviderError {
    let status = ["code", "status", "status_code"]
        .iter()
        .find_map(|name| number(error.get(*name)?))
        .and_then(|number| u16::try_from(number).ok())
        .filter(|status| (400..600).contains(status));
    let mut read = read_value(status.unwrap_or(0), error);
    if status.is_none() {
        read.class = refine(class_of_words(&read), &read);
    }
    read
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn class_of_words(error: &ProviderError) -> ErrorClass {
    let words = [error.kind.as_deref(), error.code.as_deref()];
    let says = |needle: &str| words.iter().flatten().any(|word| word.contains(needle));
    match () {
        () if says("rate_limit") || says("insufficient_quota") => ErrorClass::RateLimited,
        () if says("overloaded") => ErrorClass::Overloaded,
        () if says("authentication") || says("invalid_api_key") => ErrorClass::Authentication,
        () if says("permission") => ErrorClass::PermissionDenied,
        () if says("not_found") => ErrorClass::NotFound,
        () if says("timeout") => ErrorClass::Timeout,
        () if says("invalid_request") => ErrorClass::BadRequest,
        () if says("unavailable") => ErrorClass::Unavailable,
        () => ErrorClass::Internal,
    }
}

/// Reads a parsed body, or the error object alone.
pub(crate) fn read_value(status: u16, body: &Value) -> ProviderError {
    // Some wrap the object in a list (Google's OpenAI surface).
    let body = match body {
        Value::Array(items) => items.first().unwrap_or(body),
        body => body,
    };
    let object = match body.get("error") {
        Some(inner @ Value::Object(_)) => inner,
        _ => body,
    };
    let message = read_message(object).or_else(|| read_message(body)).unwrap_or_else(|| body.to_string());
    let mut error = ProviderError::new(ErrorClass::from_status(status), status, message);
    let word = |name: &str| match object.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    error.kind = word("type").or_else(|| word("status"));
    error.code = word("code").or_else(|| word("error_code"));
    error.param = word("param");
    finish(error)
}

/// The words of an error: OpenAI's `message`; a bare `error` (Hugging Face); FastAPI's `detail`; Cloudflare's
/// `errors`; OpenRouter's `metadata.raw` stays where it is.
fn read_message(object: &Value) -> Option<String> {
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Array(items) => {
            let lines: Vec<String> = items.iter().filter_map(read_detail).collect();
            (!lines.is_empty()).then(|| lines.join("; "))
        }
        Value::Object(_) => read_message(value),
        _ => None,
    };
    ["message", "error", "detail", "errors", "msg", "error_message"]
        .iter()
        .find_map(|name| object.get(*name).and_then(text))
        .or_else(|| object.as_str().map(str::to_owned))
}

fn read_detail(item: &Value) -> Option<String> {
    let message = match item {
        Value::String(text) => return Some(text.clone()),
        item => item.get("msg").or_else(|| item.get("message"))?.as_str()?,
    };
    let place = item.get("loc").and_then(Value::as_array).map(|path| {
        let steps = path.iter().map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned));
        steps.collect::<Vec<_>>().join(".")
    });
    Some(place.map_or_else(|| message.to_owned(), |place| format!("{place}: {message}")))
}

fn finish(mut error: ProviderError) -> ProviderError {
    error.class = refine(error.class, &error);
    error
}

/// What the status does not tell: the kind, the code or the words do.
fn refine(class: ErrorClass, error: &ProviderError) -> ErrorClass {
    let code = error.code.as_deref().unwrap_or_default();
    if code == "context_length_exceeded" && matches!(class, ErrorClass::NotFound | ErrorClass::Internal) {
        return ErrorClass::ContextWindowExceeded;
    }
    // The caller's mistake, whatever the status says.
    let blamed = error.kind.as_deref() == Some("invalid_request_error")
        && matches!(class, ErrorClass::Internal | ErrorClass::Conflict);
    let class = if blamed { ErrorClass::BadRequest } else { class };
    match class {
        ErrorClass::BadRequest | ErrorClass::PayloadTooLarge | ErrorClass::Unprocessable => {}
        _ => return class,
    }
    match code {
        "context_length_exceeded" => return ErrorClass::ContextWindowExceeded,
        "content_filter" | "moderation_blocked" => return ErrorClass::ContentPolicy,
        code if code.ends_with("_policy") || code.ends_with("_policy_violation") => {
            return ErrorClass::ContentPolicy;
        }
        _ => {}
    }
    if let Some(class) = ErrorClass::from_words(&error.message) {
        class
    } else if code == "model_not_found" {
        ErrorClass::NotFound
    } else if code == "invalid_api_key" || error.message.to_ascii_lowercase().contains(WRONG_KEY) {
        ErrorClass::Authentication
    } else {
        class
    }
}

const WRONG_KEY: &str = "incorrect api key provided";

/// See [`Codec::write_error`](crate::codec::Codec::write_error).
pub(crate) fn write(error: &ErrorReply) -> Vec<u8> {
    let body = serde_json::json!({
        "error": {
            "message": error.message,
            "type": error.kind,
            "param": error.param,
            "code": error.code,
        }
    });
    body.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_provider_s_words_are_found() {
        let cases = [
            (r#"{"error":{"message":"no","type":"x","param":"p","code":"c"}}"#, "no"),
            (r#"{"error":"no"}"#, "no"),
            (r#"{"object":"error","message":"no","type":"invalid_model","code":1500}"#, "no"),
            (r#"{"detail":"no"}"#, "no"),
            (r#"{"detail":[{"loc":["body","n"],"msg":"no"}]}"#, "body.n: no"),
            (r#"{"success":false,"errors":[{"code":7000,"message":"no"}]}"#, "no"),
            (r#"[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]"#, "no"),
            ("<html>no</html>", "<html>no</html>"),
            (r#""no""#, "no"),
            ("{}", "{}"),
        ];
        for (body, message) in cases {
            assert_eq!(read(400, body.as_bytes()).message, message, "{body}");
        }
    }

    #[test]
    fn code_or_words_refine_a_bad_request() {
        let class = |status, body: &str| read(status, body.as_bytes()).class;
        assert_eq!(
            class(400, r#"{"error":{"code":"context_length_exceeded","message":"x"}}"#),
            ErrorClass::ContextWindowExceeded
        );
        assert_eq!(
            class(400, r#"{"error":"This model's maximum context length is 10 tokens."}"#),
            ErrorClass::ContextWindowExceeded
        );
        assert_eq!(
            class(400, r#"{"error":{"code":"content_filter","message":"x"}}"#),
            ErrorClass::ContentPolicy
        );
        assert_eq!(class(400, r#"{"error":{"message":"bad"}}"#), ErrorClass::BadRequest);
        assert_eq!(class(429, r#"{"error":{"message":"context window"}}"#), ErrorClass::RateLimited);
        assert_eq!(class(502, "<html>"), ErrorClass::BadGateway);
    }

    #[test]
    fn an_error_event_names_its_status_or_its_kind() {
        let read = |text: &str| read_event(&serde_json::from_str(text).unwrap());
        let error = read(r#"{"message":"m","code":502,"metadata":{"provider_name":"x"}}"#);
        assert_eq!((error.status, error.class), (502, ErrorClass::BadGateway));
        let error = read(r#"{"message":"m","type":"server_error","code":null}"#);
        assert_eq!((error.status, error.class), (0, ErrorClass::Internal));
        let error = read(r#"{"message":"m","type":"rate_limit_error"}"#);
        assert_eq!((error.status, error.class), (0, ErrorClass::RateLimited));
        assert_eq!(read(r#""plain words""#).message, "plain words");
    }

    #[test]
    fn what_is_written_is_read() {
        let reply = ErrorReply {
            status: 400,
            message: "m".to_owned(),
            kind: "invalid_request_error",
            param: Some("p".to_owned()),
            code: Some("400".to_owned()),
        };
        let error = read(400, &write(&reply));
        assert_eq!(error.message, reply.message);
        assert_eq!(error.kind.as_deref(), Some(reply.kind));
        assert_eq!((error.param, error.code), (reply.param, reply.code));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(status in any::<u16>(), body in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(status, &body);
        }
    }
}
