use serde_json::json;

use super::*;
use crate::error::{ErrorClass, ErrorReply};

#[test]
fn errors_are_classified() {
    let read = |status: u16, body: &str| CODEC.read_error(status, body.as_bytes());
    let cases = [
        (
            400,
            r#"{"error":{"message":"Too long.","type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}"#,
            ErrorClass::ContextWindowExceeded,
        ),
        (
            400,
            r#"{"error":{"message":"Your input exceeds the context window of this model.","type":"invalid_request_error"}}"#,
            ErrorClass::ContextWindowExceeded,
        ),
        (400, r#"{"error":{"message":"Flagged.","code":"content_filter"}}"#, ErrorClass::ContentPolicy),
        (400, r#"{"error":{"message":"Flagged.","code":"bio_policy"}}"#, ErrorClass::ContentPolicy),
        (
            401,
            r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            ErrorClass::Authentication,
        ),
        (
            404,
            r#"{"error":{"message":"No such model","type":"invalid_request_error","code":"model_not_found"}}"#,
            ErrorClass::NotFound,
        ),
        (
            429,
            r#"{"error":{"message":"Slow down","type":"requests","code":"rate_limit_exceeded"}}"#,
            ErrorClass::RateLimited,
        ),
        (500, r#"{"error":{"message":"Bad value","type":"invalid_request_error"}}"#, ErrorClass::BadRequest),
        (500, r#"{"error":{"message":"Oops","type":"server_error"}}"#, ErrorClass::Internal),
        (503, "upstream connect error", ErrorClass::Unavailable),
    ];
    for (status, body, class) in cases {
        let error = read(status, body);
        assert_eq!((error.class, error.status), (class, status), "{body}");
    }
    assert_eq!(read(503, "upstream connect error\n").message, "upstream connect error");
    assert_eq!(read(500, r#"{"error":"out of memory"}"#).message, "out of memory");
    assert_eq!(read(422, r#"{"detail":"no"}"#).message, "no");
    assert_eq!(read(500, "\u{0}").message, "\u{0}");
}

#[test]
fn an_error_is_written_in_openais_shape() {
    let reply = ErrorReply {
        status: 400,
        message: "no".to_owned(),
        kind: "invalid_request_error",
        param: Some("input".to_owned()),
        code: Some("400".to_owned()),
    };
    assert_eq!(
        json(&CODEC.write_error(&reply)),
        json!({"error": {"message": "no", "type": "invalid_request_error", "param": "input", "code": "400"}})
    );
}
