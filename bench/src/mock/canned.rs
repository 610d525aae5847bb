//! What the mock says in each dialect, made once and then only handed out.

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::json;

/// The protocol that a request was made in, as its path tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `POST …/chat/completions`
    OpenAiChat,
    /// `POST …/responses`
    OpenAiResponses,
    /// `POST …/messages`
    AnthropicMessages,
    /// `POST …/models/MODEL:generateContent` and `:streamGenerateContent`
    Gemini,
}

/// The text of every answer that is not streamed.
pub const TEXT: &str = "A toll road is a road that one pays to use. The charge is taken at a booth or by a tag on \
     the windscreen, and it pays for building the road and for keeping it. Roads of this kind are older than \
     paving.";

/// The text of every delta of a stream.
pub const DELTA: &str = " paving";

/// The answer to one request, whole and in events.
#[derive(Debug)]
pub struct Canned {
    /// The body of an answer that is not streamed.
    pub whole: Bytes,
    /// The same with 64 MiB of text, under gzip; made when first used.
    pub bomb: LazyLock<Bytes, Box<dyn FnOnce() -> Bytes + Send>>,
    /// The events before the text.
    pub opening: Vec<Bytes>,
    /// One piece of text.
    pub delta: Bytes,
    /// The events that say how the answer ended; `usage` is sent only if the request asks for it.
    pub closing: Vec<Bytes>,
    /// OpenAI Chat's chunk with the token counts.
    pub usage: Option<Bytes>,
    /// The event after which nothing comes.
    pub done: Option<Bytes>,
    /// An error in the middle of a stream.
    pub error: Bytes,
}

impl Canned {
    /// The answer that is not streamed, with so many bytes of text before the usual ones.
    pub fn with_text(&self, bytes: u32) -> Bytes {
        let at = memchr::memmem::find(&self.whole, TEXT.as_bytes()).expect("every answer has the text");
        if bytes == 0 {
            return self.whole.clone();
        }
        let (before, after) = self.whole.split_at(at);
        [before, &vec![b'.'; bytes as usize], after].concat().into()
    }
}

impl Dialect {
    /// The dialect that lives at a path.
    pub fn at(path: &str) -> Option<Self> {
        Some(match path.trim_end_matches('/') {
            path if path.ends_with("/chat/completions") => Self::OpenAiChat,
            path if path.ends_with("/responses") => Self::OpenAiResponses,
            path if path.ends_with("/messages") => Self::AnthropicMessages,
            path if path.ends_with(":generateContent") => Self::Gemini,
            path if path.ends_with(":streamGenerateContent") => Self::Gemini,
            _ => return None,
        })
    }

    /// The canned answer in this dialect.
    pub fn canned(self) -> &'static Canned {
        static CHAT: LazyLock<Canned> = LazyLock::new(openai_chat);
        static RESPONSES: LazyLock<Canned> = LazyLock::new(openai_responses);
        static MESSAGES: LazyLock<Canned> = LazyLock::new(anthropic_messages);
        static GEMINI: LazyLock<Canned> = LazyLock::new(gemini);
        match self {
            Self::OpenAiChat => &CHAT,
            Self::OpenAiResponses => &RESPONSES,
            Self::AnthropicMessages => &MESSAGES,
            Self::Gemini => &GEMINI,
        }
    }

    /// The body of an error in this dialect's form. `code` is OpenAI's, and is left out where it is empty.
    pub fn error(self, status: StatusCode, code: &str, message: &str) -> Bytes {
        let body = match self {
            Self::OpenAiChat | Self::OpenAiResponses => {
                let kind = match status.as_u16() {
                    401 => "authentication_error",
                    403 => "permission_error",
                    429 => "rate_limit_error",
                    500.. => "server_error",
                    _ => "invalid_request_error",
                };
                let code = Some(code).filter(|code| !code.is_empty());
                json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
            }
            Self::AnthropicMessages => {
                let kind = match status.as_u16() {
                    401 => "authentication_error",
                    403 => "permission_error",
                    404 => "not_found_error",
                    413 => "request_too_large",
                    429 => "rate_limit_error",
                    529 => "overloaded_error",
                    500.. => "api_error",
                    _ => "invalid_request_error",
                };
                json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_mock"})
            }
            Self::Gemini => {
                let kind = match status.as_u16() {
                    401 => "UNAUTHENTICATED",
                    403 => "PERMISSION_DENIED",
                    404 => "NOT_FOUND",
                    429 => "RESOURCE_EXHAUSTED",
                    503 => "UNAVAILABLE",
                    504 => "DEADLINE_EXCEEDED",
                    500.. => "INTERNAL",
                    _ => "INVALID_ARGUMENT",
                };
                json!({"error": {"code": status.as_u16(), "message": message, "status": kind}})
            }
        };
        body.to_string().into()
    }
}

/// An SSE event without a name.
fn data(payload: &serde_json::Value) -> Bytes {
    format!("data: {payload}\n\n").into()
}

/// An SSE event named for its payload's `type`.
fn named(payload: &serde_json::Value) -> Bytes {
    let name = payload.get("type").and_then(serde_json::Value::as_str).unwrap_or_default();
    format!("event: {name}\ndata: {payload}\n\n").into()
}

/// 64 MiB of text in place of the answer's own, under gzip.
fn bomb(whole: Bytes) -> LazyLock<Bytes, Box<dyn FnOnce() -> Bytes + Send>> {
    LazyLock::new(Box::new(move || {
        use std::io::Write;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let whole = String::from_utf8_lossy(&whole);
        let (before, after) = whole.split_once(TEXT).expect("every answer has the text");
        let written = gzip
            .write_all(before.as_bytes())
            .and_then(|()| gzip.write_all(&vec![b'a'; 64 << 20]))
            .and_then(|()| gzip.write_all(after.as_bytes()))
            .and_then(|()| gzip.finish());
        written.expect("writing to memory").into()
    }))
}

fn openai_chat() -> Canned {
    let usage = json!({
        "prompt_tokens": 12, "completion_tokens": 48, "total_tokens": 60,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0}
    });
    let whole: Bytes = json!({
        "id": "chatcmpl-mock", "object": "chat.completion", "created": 1_700_000_000, "model": "mock",
        "choices": [{
            "index": 0, "message": {"role": "assistant", "content": TEXT, "refusal": null},
            "logprobs": null, "finish_reason": "stop"
        }],
        "usage": usage, "service_tier": "default", "system_fingerprint": "fp_mock"
    })
    .to_string()
    .into();
    let chunk = |choices: serde_json::Value, usage: &serde_json::Value| {
        data(&json!({
            "id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": "mock", "system_fingerprint": "fp_mock", "choices": choices, "usage": usage
        }))
    };
    let choice = |delta: serde_json::Value, reason: Option<&str>| {
        chunk(
            json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]),
            &serde_json::Value::Null,
        )
    };
    Canned {
        bomb: bomb(whole.clone()),
        whole,
        opening: vec![choice(json!({"role": "assistant", "content": "", "refusal": null}), None)],
        delta: choice(json!({"content": DELTA}), None),
        closing: vec![choice(json!({}), Some("stop"))],
        usage: Some(chunk(json!([]), &usage)),
        done: Some(Bytes::from_static(b"data: [DONE]\n\n")),
        error: data(&json!({"error": {
            "message": "The server had an error while processing your request.", "type": "server_error",
            "param": null, "code": null
        }})),
    }
}

fn openai_responses() -> Canned {
    let usage = json!({
        "input_tokens": 12, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 48, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 60
    });
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
    let item = |status: &str, content: serde_json::Value| {
        json!({
            "type": "message", "id": "msg_mock", "status": status, "role": "assistant", "content": content
        })
    };
    let response = |status: &str, output: serde_json::Value, usage: serde_json::Value| {
        json!({
            "id": "resp_mock", "object": "response", "created_at": 1_700_000_000, "status": status,
            "error": null, "incomplete_details": null, "model": "mock", "output": output,
            "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "usage": usage
        })
    };
    let finished = || json!([item("completed", json!([part(TEXT)]))]);
    let whole: Bytes = response("completed", finished(), usage.clone()).to_string().into();
    let at = |kind: &str, field: &str, value: serde_json::Value| {
        let mut event = json!({"type": kind, "item_id": "msg_mock", "output_index": 0, "content_index": 0});
        if let Some(event) = event.as_object_mut() {
            event.insert(field.to_owned(), value);
        }
        named(&event)
    };
    let opened = || response("in_progress", json!([]), serde_json::Value::Null);
    Canned {
        bomb: bomb(whole.clone()),
        whole,
        opening: vec![
            named(&json!({"type": "response.created", "response": opened()})),
            named(&json!({"type": "response.in_progress", "response": opened()})),
            named(&json!({
                "type": "response.output_item.added", "output_index": 0,
                "item": item("in_progress", json!([]))
            })),
            at("response.content_part.added", "part", part("")),
        ],
        delta: at("response.output_text.delta", "delta", DELTA.into()),
        closing: vec![
            at("response.output_text.done", "text", TEXT.into()),
            at("response.content_part.done", "part", part(TEXT)),
            named(&json!({
                "type": "response.output_item.done", "output_index": 0,
                "item": item("completed", json!([part(TEXT)]))
            })),
        ],
        usage: None,
        done: Some(named(&json!({
            "type": "response.completed", "response": response("completed", finished(), usage)
        }))),
        error: named(&json!({
            "type": "error", "code": "server_error", "param": null,
            "message": "The server had an error while processing your request."
        })),
    }
}

fn anthropic_messages() -> Canned {
    let message = |content: serde_json::Value, reason: Option<&str>, output_tokens: u32| {
        json!({
            "id": "msg_mock", "type": "message", "role": "assistant", "model": "mock", "content": content,
            "stop_reason": reason, "stop_sequence": null,
            "usage": {
                "input_tokens": 12, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                "output_tokens": output_tokens, "service_tier": "standard"
            }
        })
    };
    let whole: Bytes =
        message(json!([{"type": "text", "text": TEXT}]), Some("end_turn"), 48).to_string().into();
    Canned {
        bomb: bomb(whole.clone()),
        whole,
        opening: vec![
            named(&json!({"type": "message_start", "message": message(json!([]), None, 1)})),
            named(&json!({
                "type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}
            })),
            named(&json!({"type": "ping"})),
        ],
        delta: named(&json!({
            "type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": DELTA}
        })),
        closing: vec![
            named(&json!({"type": "content_block_stop", "index": 0})),
            named(&json!({
                "type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                "usage": {"output_tokens": 48}
            })),
        ],
        usage: None,
        done: Some(named(&json!({"type": "message_stop"}))),
        error: named(&json!({
            "type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}
        })),
    }
}

fn gemini() -> Canned {
    let response = |text: &str, reason: Option<&str>| {
        json!({
            "candidates": [{
                "content": {"parts": [{"text": text}], "role": "model"}, "finishReason": reason, "index": 0
            }],
            "usageMetadata": {
                "promptTokenCount": 12, "candidatesTokenCount": 48, "totalTokenCount": 60,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}]
            },
            "modelVersion": "mock", "responseId": "mock"
        })
    };
    let whole: Bytes = response(TEXT, Some("STOP")).to_string().into();
    let mut delta = response(DELTA, None);
    if let Some(candidate) =
        delta.pointer_mut("/candidates/0").and_then(|candidate| candidate.as_object_mut())
    {
        candidate.shift_remove("finishReason");
    }
    Canned {
        bomb: bomb(whole.clone()),
        whole,
        opening: Vec::new(),
        delta: data(&delta),
        closing: Vec::new(),
        usage: None,
        // Gemini's streams have no end mark but the finish reason on the last chunk.
        done: Some(data(&response("", Some("STOP")))),
        error: data(&json!({"error": {
            "code": 503, "message": "The model is overloaded. Please try again later.", "status": "UNAVAILABLE"
        }})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Dialect; 4] =
        [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::AnthropicMessages, Dialect::Gemini];

    #[test]
    fn every_dialect_answers_with_the_text_once_in_about_600_bytes() {
        for dialect in ALL {
            let whole = String::from_utf8_lossy(&dialect.canned().whole);
            assert_eq!(whole.matches(TEXT).count(), 1, "{dialect:?}");
            assert!((400..900).contains(&whole.len()), "{dialect:?}: {} bytes", whole.len());
        }
    }

    #[test]
    fn every_event_ends_with_an_empty_line() {
        for canned in ALL.map(Dialect::canned) {
            let ends = canned.closing.iter().chain(&canned.usage).chain(&canned.done);
            for event in canned.opening.iter().chain([&canned.delta, &canned.error]).chain(ends) {
                assert!(event.ends_with(b"\n\n"), "{event:?}");
            }
        }
    }

    #[test]
    fn the_bomb_is_small_and_opens_to_the_whole_answer() {
        use std::io::Read;
        let canned = Dialect::OpenAiChat.canned();
        assert!(canned.bomb.len() < 128 << 10);
        let mut text = String::new();
        flate2::read::GzDecoder::new(&canned.bomb[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text.len(), canned.whole.len() - TEXT.len() + (64 << 20));
        assert!(text.ends_with('}'));
    }
}
