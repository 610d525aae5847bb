//! Errors: `{type: error, error: {type, message}, request_id}`, as an answer of its own or as an event.
//!
//! Types and statuses: <https://platform.claude.com/docs/en/api/errors>.

use serde::Deserialize;
use serde_json::json;

use crate::error::{ErrorClass, ErrorReply, ProviderError, message_of_text};

use super::wire::ErrorBody;

/// Bodies of Anthropic, and of the hosts in front of it: OpenAI's shape, AWS's and Google's.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    error: Option<Inner>,
    #[serde(default, alias = "Message", alias = "detail")]
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Inner {
    Body(ErrorBody),
    Text(String),
}

pub(super) fn read(status: u16, body: &[u8]) -> ProviderError {
    let (kind, message) = match serde_json::from_slice::<Envelope>(body) {
        Ok(Envelope { error: Some(Inner::Body(error)), message }) => (error.kind, error.message.or(message)),
        Ok(Envelope { error: Some(Inner::Text(text)), .. }) => (None, Some(text)),
        Ok(Envelope { error: None, message }) => (None, message),
        Err(_) => (None, None),
    };
    let message = message.unwrap_or_else(|| message_of_text(status, body));
    classify(status, kind, message)
}

/// The error of an `error` event, which comes after a success status.
pub(super) fn of_event(error: ErrorBody) -> ProviderError {
    let status = error.kind.as_deref().map_or(0, status_of_kind);
    classify(status, error.kind, error.message.unwrap_or_else(|| "the provider broke off".to_owned()))
}

fn classify(status: u16, kind: Option<String>, message: String) -> ProviderError {
    let by_words = ErrorClass::from_words(&message);
    let class = match (status, by_words) {
        (413, Some(ErrorClass::ContextWindowExceeded)) => ErrorClass::ContextWindowExceeded,
        (400, Some(class)) => class,
        (400, None) if kind.as_deref() == Some("billing_error") => ErrorClass::PaymentRequired,
        (0, _) => ErrorClass::Internal,
        (status, _) => ErrorClass::from_status(status),
    };
    ProviderError { kind, ..ProviderError::new(class, status, message) }
}

fn status_of_kind(kind: &str) -> u16 {
    match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => 500,
    }
}

fn kind_of_status(status: u16) -> &'static str {
    match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        _ => "api_error",
    }
}

pub(super) fn write(error: &ErrorReply) -> Vec<u8> {
    json!({"type": "error", "error": {"type": kind_of_status(error.status), "message": error.message}})
        .to_string()
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn class(status: u16, body: &str) -> ErrorClass {
        read(status, body.as_bytes()).class
    }

    fn anthropic(kind: &str, message: &str) -> String {
        json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})
            .to_string()
    }

    #[test]
    fn the_text_refines_the_status() {
        let too_long =
            anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum");
        assert_eq!(class(400, &too_long), ErrorClass::ContextWindowExceeded);
        let filtered = anthropic("invalid_request_error", "Output blocked by content filtering policy");
        assert_eq!(class(400, &filtered), ErrorClass::ContentPolicy);
        assert_eq!(class(400, &anthropic("invalid_request_error", "bad")), ErrorClass::BadRequest);
        assert_eq!(class(529, &anthropic("overloaded_error", "Overloaded")), ErrorClass::Overloaded);
        assert_eq!(class(503, &anthropic("api_error", "later")), ErrorClass::Unavailable);
    }

    #[test]
    fn other_shapes_give_a_message_too() {
        assert_eq!(read(502, b"<html>Bad gateway</html>").message, "<html>Bad gateway</html>");
        assert_eq!(read(403, br#"{"message":"not signed"}"#).message, "not signed");
        assert_eq!(read(500, br#"{"error":"no"}"#).message, "no");
        assert_eq!(read(502, "é".repeat(3000).as_bytes()).message.chars().count(), 2000);
        assert_eq!(read(500, b"").message, "the provider answered with status 500 and no message");
    }

    #[test]
    fn an_event_says_its_status_by_its_type() {
        let error =
            of_event(ErrorBody { kind: Some("overloaded_error".into()), message: Some("Overloaded".into()) });
        assert_eq!((error.class, error.status), (ErrorClass::Overloaded, 529));
    }

    #[test]
    fn a_client_is_told_in_anthropics_words() {
        let reply = |status| ErrorReply {
            status,
            message: "m".into(),
            kind: "x",
            param: None,
            code: Some(status.to_string()),
        };
        let kind = |status| {
            let body: Value = serde_json::from_slice(&write(&reply(status))).unwrap();
            body.pointer("/error/type").and_then(Value::as_str).unwrap().to_owned()
        };
        assert_eq!(kind(400), "invalid_request_error");
        assert_eq!(kind(429), "rate_limit_error");
        assert_eq!(kind(500), "api_error");
        assert_eq!(kind(529), "overloaded_error");
        assert_eq!(kind(418), "api_error");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(status in 0_u16..1000, bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(!read(status, &bytes).message.is_empty() || !bytes.is_empty());
        }
    }
}
