//! Google's error object (<https://cloud.google.com/apis/design/errors>).

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{ErrorClass, ErrorReply, ProviderError, message_of_nothing, message_of_text};

#[derive(Debug, Deserialize)]
struct Body {
    error: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    code: Option<u16>,
    message: Option<String>,
    status: Option<String>,
    details: Option<Vec<Detail>>,
}

/// The fields of `ErrorInfo`, `RetryInfo` and `BadRequest` together; each detail has those of its type.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Detail {
    reason: Option<String>,
    retry_delay: Option<String>,
    field_violations: Option<Vec<FieldViolation>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FieldViolation {
    field: Option<String>,
}

pub(super) fn read(status: u16, body: &[u8]) -> ProviderError {
    if let Some(found) = parse(body) {
        return classify(status, found);
    }
    ProviderError::new(ErrorClass::from_status(status), status, message_of_text(status, body))
}

/// The `error` object of a stream's chunk.
pub(super) fn read_object(error: &Value) -> ProviderError {
    let found = Status::deserialize(error).unwrap_or_default();
    classify(found.code.unwrap_or(0), found)
}

/// `RetryInfo.retryDelay`: a duration in protobuf's JSON, `7.5s`.
fn delay(text: &str) -> Option<Duration> {
    let seconds = text.strip_suffix('s')?;
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let nanoseconds = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(Duration::new(seconds.parse().ok()?, nanoseconds))
}

/// The object, or an array of one, as streams without `alt=sse` have it.
fn parse(body: &[u8]) -> Option<Status> {
    if let Ok(body) = serde_json::from_slice::<Body>(body) {
        return Some(body.error);
    }
    serde_json::from_slice::<Vec<Body>>(body).ok()?.into_iter().next().map(|body| body.error)
}

fn classify(status: u16, found: Status) -> ProviderError {
    let details = found.details.unwrap_or_default();
    let reason = details.iter().find_map(|detail| detail.reason.clone());
    let field = details.iter().flat_map(|detail| detail.field_violations.iter().flatten());
    let message = found
        .message
        .filter(|message| !message.is_empty())
        .or_else(|| found.status.clone())
        .unwrap_or_else(|| message_of_nothing(status));
    let class = class_of(status, found.status.as_deref(), reason.as_deref(), &message);
    ProviderError {
        param: field.filter_map(|violation| violation.field.clone()).find(|field| !field.is_empty()),
        kind: found.status,
        code: reason,
        retry_after: details.iter().find_map(|detail| delay(detail.retry_delay.as_deref()?)),
        ..ProviderError::new(class, status, message)
    }
}

fn class_of(status: u16, word: Option<&str>, reason: Option<&str>, message: &str) -> ErrorClass {
    let class = match (status, word) {
        // Events without a number are told apart by their word.
        (0, Some(word)) => ErrorClass::from_status(status_of(word)),
        (0, None) => ErrorClass::Internal,
        (status, _) => ErrorClass::from_status(status),
    };
    if class != ErrorClass::BadRequest {
        return class;
    }
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if matches!(reason, Some("API_KEY_INVALID" | "API_KEY_EXPIRED"))
        || says(&["API key not valid", "API key expired"])
    {
        ErrorClass::Authentication
    } else {
        ErrorClass::from_words(message).unwrap_or(class)
    }
}

/// `google.rpc.Code` and the HTTP status it stands for.
const CODES: &[(&str, u16)] = &[
    ("INVALID_ARGUMENT", 400),
    ("FAILED_PRECONDITION", 400),
    ("OUT_OF_RANGE", 400),
    ("UNAUTHENTICATED", 401),
    ("PERMISSION_DENIED", 403),
    ("NOT_FOUND", 404),
    ("ABORTED", 409),
    ("ALREADY_EXISTS", 409),
    ("RESOURCE_EXHAUSTED", 429),
    ("CANCELLED", 499),
    ("INTERNAL", 500),
    ("UNKNOWN", 500),
    ("DATA_LOSS", 500),
    ("UNIMPLEMENTED", 501),
    ("UNAVAILABLE", 503),
    ("DEADLINE_EXCEEDED", 504),
];

fn status_of(word: &str) -> u16 {
    CODES.iter().find(|(name, _)| *name == word).map_or(500, |(_, status)| *status)
}

fn word_of(status: u16) -> &'static str {
    match status {
        408 => "DEADLINE_EXCEEDED",
        502 | 529 => "UNAVAILABLE",
        status => match CODES.iter().find(|(_, listed)| *listed == status) {
            Some((name, _)) => name,
            None if status < 500 => "INVALID_ARGUMENT",
            None => "INTERNAL",
        },
    }
}

pub(super) fn write(error: &ErrorReply) -> Vec<u8> {
    let (code, message) = (error.status, &error.message);
    json!({"error": {"code": code, "message": message, "status": word_of(code)}}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_status_reason_and_words() {
        let class = |status, body: &str| read(status, body.as_bytes()).class;
        assert_eq!(
            class(
                400,
                r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#
            ),
            ErrorClass::Authentication
        );
        assert_eq!(
            class(
                400,
                r#"{"error":{"code":400,"message":"The input token count (1200345) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#
            ),
            ErrorClass::ContextWindowExceeded
        );
        assert_eq!(
            class(400, r#"{"error":{"message":"The prompt was blocked by safety filters."}}"#),
            ErrorClass::ContentPolicy
        );
        assert_eq!(
            class(429, r#"[{"error":{"code":429,"message":"Quota exceeded."}}]"#),
            ErrorClass::RateLimited
        );
        assert_eq!(class(502, "<html>502 Bad Gateway</html>"), ErrorClass::BadGateway);
    }

    #[test]
    fn the_wrong_field_and_the_reason_are_kept() {
        let error = read(
            400,
            br#"{"error":{"code":400,"message":"Invalid value","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"contents[0].role"}]}]}}"#,
        );
        assert_eq!(error.param.as_deref(), Some("contents[0].role"));
        assert_eq!(error.kind.as_deref(), Some("INVALID_ARGUMENT"));
    }

    #[test]
    fn the_wait_that_google_asks_for_is_kept() {
        let wait = |delay: &str| {
            let info = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay});
            let error = json!({"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [info]});
            read(429, json!({"error": error}).to_string().as_bytes()).retry_after
        };
        assert_eq!(wait("7.5s"), Some(Duration::from_millis(7500)));
        assert_eq!(wait("30s"), Some(Duration::from_secs(30)));
        for nonsense in ["", "s", "-1s", "soon", "1.é23456789s"] {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_streams_error_has_its_own_status() {
        let error = read_object(&json!({"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}));
        assert_eq!((error.class, error.status), (ErrorClass::Unavailable, 503));
        let error = read_object(&json!({"status": "RESOURCE_EXHAUSTED"}));
        assert_eq!((error.class, error.message.as_str()), (ErrorClass::RateLimited, "RESOURCE_EXHAUSTED"));
    }

    #[test]
    fn clients_get_googles_shape() {
        let reply = ErrorReply {
            status: 429,
            message: "slow down".to_owned(),
            kind: "throttling_error",
            param: None,
            code: None,
        };
        assert_eq!(
            String::from_utf8(write(&reply)).unwrap(),
            r#"{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}"#
        );
    }
}
