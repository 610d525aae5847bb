//! One part of a turn, in both directions.

use serde_json::{Map, Value, json};

use super::{seal, wire};
use crate::Dialect;
use crate::conversation::{
    CustomTool, Extra, Media, MediaKind, Opaque, Part, Reasoning, Seal, Source, Text, ToolCall, ToolCallKind,
    ToolResult,
};
use crate::error::Invalid;
use crate::exchange::AnswerContext;
use crate::media_type;

/// Who reads what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Gemini itself; `with_ids` for the models that know ids of function calls.
    Google { with_ids: bool },
    /// Someone who speaks to us as to Gemini.
    Client,
}

/// Checks that a part has the fields that Google demands of requests; answers may lack some.
///
/// # Errors
/// Names the field, relative to the part.
pub(super) fn check(part: &wire::Part) -> Result<(), Invalid> {
    let missing = |field: &str| Err(Invalid::new(field, "the field is missing; give a string"));
    match part {
        wire::Part { function_call: Some(call), .. } if call.name.is_empty() => missing("functionCall.name"),
        wire::Part { function_response: Some(result), .. } => {
            if result.name.is_empty() {
                return missing("functionResponse.name");
            }
            result.parts.iter().enumerate().try_for_each(|(index, part)| {
                check(part).map_err(|error| error.under(&format!("functionResponse.parts[{index}]")))
            })
        }
        wire::Part { inline_data: Some(blob), .. } if blob.mime_type.is_empty() => {
            missing("inlineData.mimeType")
        }
        wire::Part { file_data: Some(file), .. } if file.file_uri.is_empty() => missing("fileData.fileUri"),
        wire::Part {
            text: None,
            thought: None,
            thought_signature: None,
            inline_data: None,
            file_data: None,
            function_call: None,
            extra,
            ..
        } if extra.is_empty() => {
            Err(Invalid::body("a part needs content: `text`, `inlineData`, `functionCall`, …"))
        }
        _ => Ok(()),
    }
}

/// Reads a part. `new_id` names function calls that have no id; results without one are left with an empty id.
pub(super) fn read(part: wire::Part, new_id: impl FnOnce() -> String) -> Part {
    let seal = part.thought_signature.as_deref().map(seal::read);
    let thought = part.thought == Some(true);
    match part {
        wire::Part { function_call: Some(call), extra, .. } => Part::ToolCall(ToolCall {
            id: call.id.filter(|id| !id.is_empty()).unwrap_or_else(new_id),
            name: call.name,
            arguments: Value::Object(call.args.unwrap_or_default()).to_string(),
            kind: ToolCallKind::Function,
            seal,
            cache: None,
            extra: with_inner(extra, "functionCall", call.extra),
        }),
        wire::Part { function_response: Some(result), extra, .. } => {
            let (text, is_error) = result_text(&result.response);
            let mut parts = Vec::with_capacity(1 + result.parts.len());
            if !text.is_empty() || result.parts.is_empty() {
                parts.push(Part::text(text));
            }
            parts.extend(result.parts.into_iter().map(|part| read(part, String::new)));
            Part::ToolResult(ToolResult {
                call_id: result.id.unwrap_or_default(),
                name: Some(result.name),
                parts,
                is_error,
                cache: None,
                extra: with_inner(extra, "functionResponse", result.extra),
            })
        }
        // Google's SDKs leave an empty text out: what is left of the last piece of a stream is its signature.
        wire::Part { text: None, inline_data: None, file_data: None, extra, .. }
            if thought && extra.is_empty() =>
        {
            Part::Reasoning(Reasoning { seal, extra, ..Reasoning::default() })
        }
        wire::Part { text: None, inline_data: None, file_data: None, extra, .. }
            if !thought && seal.is_some() && extra.is_empty() =>
        {
            Part::Text(Text { seal, extra, ..Text::default() })
        }
        wire::Part { text: Some(text), extra, .. } if thought => {
            Part::Reasoning(Reasoning { text, seal, extra, ..Reasoning::default() })
        }
        wire::Part { text: Some(text), extra, .. } => {
            Part::Text(Text { text, seal, extra, ..Text::default() })
        }
        wire::Part { inline_data: Some(blob), extra, .. } if !thought => Part::Media(Media {
            name: blob.display_name,
            seal,
            extra,
            ..Media::new(
                media_type::kind(&blob.mime_type),
                Source::Base64 { media_type: blob.mime_type, data: seal::standard_alphabet(blob.data) },
            )
        }),
        wire::Part { file_data: Some(file), extra, .. } if !thought => {
            let kind = file.mime_type.as_deref().map_or(MediaKind::File, media_type::kind);
            Part::Media(Media {
                name: file.display_name,
                seal,
                extra,
                ..Media::new(kind, Source::Url { url: file.file_uri, media_type: file.mime_type })
            })
        }
        // Code that Google ran, images that were only thought of, kinds of parts yet to come.
        other => Part::Opaque(Opaque {
            dialect: Dialect::Gemini,
            value: serde_json::to_value(other).unwrap_or_default(),
        }),
    }
}

/// Writes a part; `None` if the dialect has no words for it. Results are written by [`result`].
pub(super) fn write(part: &Part, read_from: Dialect, reader: Reader) -> Option<wire::Part> {
    let own = read_from == Dialect::Gemini;
    let extra = |extra: &Extra| if own { extra.clone() } else { Extra::new() };
    Some(match part {
        Part::Text(text) => wire::Part {
            text: Some(text.text.clone()),
            thought_signature: signature(text.seal.as_ref(), reader),
            extra: extra(&text.extra),
            ..wire::Part::default()
        },
        Part::Refusal(text) => wire::Part { text: Some(text.clone()), ..wire::Part::default() },
        Part::Reasoning(reasoning) => {
            let text = reasoning.readable();
            let thought_signature = signature(reasoning.seal.as_ref(), reader);
            if text.is_empty() && thought_signature.is_none() {
                return None;
            }
            wire::Part {
                text: Some(text),
                thought: Some(true),
                thought_signature,
                extra: extra(&reasoning.extra),
                ..wire::Part::default()
            }
        }
        Part::ToolCall(call) => {
            let (outer, inner) = split_inner(extra(&call.extra), "functionCall");
            wire::Part {
                function_call: Some(wire::FunctionCall {
                    id: (reader != Reader::Google { with_ids: false }).then(|| call.id.clone()),
                    name: call.name.clone(),
                    args: Some(arguments(call).unwrap_or_else(|| wrapped("arguments", &call.arguments))),
                    extra: inner,
                }),
                thought_signature: signature(call.seal.as_ref(), reader),
                extra: outer,
                ..wire::Part::default()
            }
        }
        Part::Media(media) => {
            let display_name = if own { media.name.clone() } else { None };
            let part = wire::Part {
                thought_signature: signature(media.seal.as_ref(), reader),
                extra: extra(&media.extra),
                ..wire::Part::default()
            };
            match &media.source {
                Source::Base64 { media_type, data } => wire::Part {
                    inline_data: Some(wire::Blob {
                        mime_type: media_type.clone(),
                        data: data.clone(),
                        display_name,
                    }),
                    ..part
                },
                Source::Url { url, media_type } => wire::Part {
                    file_data: Some(wire::FileData {
                        mime_type: media_type.clone().or_else(|| media_type::of_name(url).map(str::to_owned)),
                        file_uri: url.clone(),
                        display_name,
                    }),
                    ..part
                },
                // The id is that of an earlier answer of another provider.
                Source::FileId(_) if media.kind == MediaKind::Audio && !own => match &media.transcript {
                    Some(transcript) => wire::Part { text: Some(transcript.clone()), ..part },
                    None => return None,
                },
                Source::FileId(id) => wire::Part {
                    file_data: Some(wire::FileData { mime_type: None, file_uri: id.clone(), display_name }),
                    ..part
                },
                Source::Text(text) => wire::Part { text: Some(text.clone()), ..part },
            }
        }
        Part::Opaque(opaque) if opaque.dialect == Dialect::Gemini => {
            serde_json::from_value(opaque.value.clone()).ok()?
        }
        Part::Opaque(_) | Part::ToolResult(_) => return None,
    })
}

/// `speechConfig` of an answer that one speaker speaks.
pub(super) fn one_voice(voice: &Value) -> Value {
    json!({"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}})
}

/// The media type of a sound in an answer: OpenAI says the format in the request only.
pub(super) fn audio_type(answer: &AnswerContext) -> &'static str {
    let audio = answer.request.as_ref().and_then(|request| request.audio.as_ref());
    match audio.and_then(|audio| audio.format.as_deref()) {
        Some("wav") => "audio/wav",
        Some("mp3") => "audio/mpeg",
        Some("flac") => "audio/flac",
        Some("opus") => "audio/ogg",
        _ => "audio/L16;codec=pcm;rate=24000",
    }
}

/// Writes a tool's result for the function `name`. Its text is Gemini's `response`, its media are `parts` of it.
pub(super) fn result(result: &ToolResult, name: String, read_from: Dialect, reader: Reader) -> wire::Part {
    let own = read_from == Dialect::Gemini;
    let (outer, inner) =
        split_inner(if own { result.extra.clone() } else { Extra::new() }, "functionResponse");
    let mut text = String::new();
    let mut parts = Vec::new();
    for part in &result.parts {
        match part {
            Part::Text(piece) => text.push_str(&piece.text),
            other => parts.extend(write(other, read_from, reader)),
        }
    }
    let response = if result.is_error {
        wrapped("error", &text)
    } else {
        object(&text).unwrap_or_else(|| wrapped("content", &text))
    };
    wire::Part {
        function_response: Some(wire::FunctionResponse {
            id: (reader != Reader::Google { with_ids: false }).then(|| result.call_id.clone()),
            name,
            response,
            parts,
            extra: inner,
        }),
        extra: outer,
        ..wire::Part::default()
    }
}

/// A call's arguments as an object; `None` if they are no JSON object.
pub(super) fn arguments(call: &ToolCall) -> Option<Extra> {
    match call.kind {
        ToolCallKind::Function if call.arguments.trim().is_empty() => Some(Extra::new()),
        ToolCallKind::Function => object(&call.arguments),
        // Custom tools take free text, functions take named arguments.
        ToolCallKind::Custom => Some(wrapped(CustomTool::INPUT, &call.arguments)),
    }
}

fn object(text: &str) -> Option<Extra> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn wrapped(name: &str, text: &str) -> Extra {
    Map::from_iter([(name.to_owned(), Value::from(text))])
}

/// Google names `output` and `error`; its Python SDK writes `result`, LiteLLM `content`. Anything else is the
/// result itself.
fn result_text(response: &Extra) -> (String, bool) {
    let mut fields = response.iter();
    match (fields.next(), fields.next()) {
        (Some((name, Value::String(text))), None) => match name.as_str() {
            "content" | "output" | "result" => return (text.clone(), false),
            "error" => return (text.clone(), true),
            _ => {}
        },
        (None, _) => return (String::new(), false),
        _ => {}
    }
    (json!(response).to_string(), false)
}

fn signature(seal: Option<&Seal>, reader: Reader) -> Option<String> {
    match reader {
        Reader::Google { .. } => seal.and_then(seal::native).map(str::to_owned),
        Reader::Client => seal.map(seal::write),
    }
}

/// Keeps the unknown fields of an inner object under its name.
fn with_inner(mut extra: Extra, name: &str, inner: Extra) -> Extra {
    if !inner.is_empty() {
        extra.insert(name.to_owned(), Value::Object(inner));
    }
    extra
}

fn split_inner(mut extra: Extra, name: &str) -> (Extra, Extra) {
    match extra.remove(name) {
        Some(Value::Object(inner)) => (extra, inner),
        _ => (extra, Extra::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_json(part: Value) -> Part {
        read(serde_json::from_value(part).unwrap(), || "made".to_owned())
    }

    #[test]
    fn unknown_fields_and_kinds_survive() {
        for part in [
            json!({"text": "watch", "videoMetadata": {"fps": 1}}),
            json!({"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "c2ln"}),
            json!({"functionCall": {"id": "a", "name": "f", "args": {"x": 1.50}, "willContinue": true}, "partMetadata": {"k": 1}}),
            json!({"thought": true, "inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
            json!({"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/v.mp4"}, "videoMetadata": {"startOffset": "2s"}}),
        ] {
            let written = write(&read_json(part.clone()), Dialect::Gemini, Reader::Client).unwrap();
            assert_eq!(serde_json::to_value(written).unwrap(), part);
        }
    }

    #[test]
    fn results_are_read_in_any_wrapping() {
        let text = |response: Value| match read_json(
            json!({"functionResponse": {"name": "f", "response": response}}),
        ) {
            Part::ToolResult(result) => match result.parts.as_slice() {
                [Part::Text(text)] => (text.text.clone(), result.is_error),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        assert_eq!(text(json!({"output": "4C"})), ("4C".to_owned(), false));
        assert_eq!(text(json!({"result": "4C"})), ("4C".to_owned(), false));
        assert_eq!(text(json!({"error": "no such city"})), ("no such city".to_owned(), true));
        assert_eq!(text(json!({"temp": 4})), (r#"{"temp":4}"#.to_owned(), false));
    }

    #[test]
    fn url_safe_base64_becomes_standard() {
        let Part::Media(media) =
            read_json(json!({"inline_data": {"mime_type": "image/png", "data": "-_-_"}}))
        else {
            panic!()
        };
        assert_eq!(media.source, Source::Base64 { media_type: "image/png".into(), data: "+/+/".into() });
    }
}
