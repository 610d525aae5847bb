//! `countTokens` (<https://ai.google.dev/api/tokens>).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{request, wire};
use crate::conversation::Request;
use crate::document::Document;
use crate::error::{BadReply, Invalid};
use crate::json;

/// Reads a request to count: `contents` alone, or a whole `generateContentRequest`. Vertex AI takes the fields of
/// the latter beside `contents`.
///
/// # Errors
/// Names the first field that is missing or has a wrong type.
pub fn read_request(document: &Document<'_>) -> Result<Request, Invalid> {
    for name in ["generateContentRequest", "generate_content_request"] {
        if let Some(text) = document.get(name).filter(|text| *text != "null") {
            let inside = |error: Invalid| Invalid {
                param: Some(match error.param {
                    Some(param) => format!("{name}.{param}"),
                    None => name.to_owned(),
                }),
                message: error.message,
            };
            let inner = Document::of(text).map_err(inside)?;
            return request::read(&inner).map_err(inside);
        }
    }
    request::check(document)?;
    let mut wire: wire::Request = json::read(&document.to_bytes())?;
    // Older requests of Vertex AI say their model twice, as a path.
    wire.extra.remove("instances");
    request::read_wire(wire)
}

/// Writes the request that has AI Studio count the tokens of `generate_content`, a body of generateContent for
/// `model`. Vertex AI takes that body as it is.
///
/// # Errors
/// When `generate_content` is not a JSON object.
pub fn write_request(generate_content: &[u8], model: &str) -> Result<Vec<u8>, Invalid> {
    let inner: Map<String, Value> = json::read(generate_content)?;
    let model = if model.contains('/') { model.to_owned() } else { format!("models/{model}") };
    let mut fields = Map::from_iter([("model".to_owned(), Value::String(model))]);
    fields.extend(inner);
    Ok(json!({"generateContentRequest": fields}).to_string().into_bytes())
}

/// Reads the number of tokens from an answer.
///
/// # Errors
/// When the body is not an answer of countTokens.
pub fn read_response(body: &[u8]) -> Result<u64, BadReply> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        #[serde(default)]
        total_tokens: u64,
    }
    serde_json::from_slice::<Answer>(body)
        .map(|answer| answer.total_tokens)
        .map_err(|error| BadReply::new(format!("the answer is not what countTokens gives: {error}")))
}

/// Writes the answer for a client.
#[must_use]
pub fn write_response(tokens: u64) -> Vec<u8> {
    json!({
        "totalTokens": tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}],
    })
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_the_request_are_read() {
        for body in [
            r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#,
            r#"{"generateContentRequest":{"model":"models/gemini-2.5-flash","contents":[{"parts":[{"text":"hi"}]}]}}"#,
        ] {
            let request = read_request(&Document::of(body).unwrap()).unwrap();
            assert_eq!(request.messages.len(), 1);
        }
    }

    #[test]
    fn mistakes_inside_are_named_with_their_path() {
        let document = Document::of(r#"{"generateContentRequest":{"contents":{}}}"#).unwrap();
        let error = read_request(&document).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("generateContentRequest.contents"));
    }

    #[test]
    fn ai_studio_gets_the_request_wrapped() {
        let body = write_request(br#"{"contents":[]}"#, "gemini-2.5-flash").unwrap();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"generateContentRequest":{"model":"models/gemini-2.5-flash","contents":[]}}"#
        );
        assert_eq!(read_response(&write_response(31)).unwrap(), 31);
    }
}
