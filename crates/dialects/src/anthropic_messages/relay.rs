//! Answers that pass from a provider to a client of the same dialect: the model's name is edited, every other
//! byte stays. A delta is looked at, not taken apart.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::{memchr2, memmem};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::response::read_stop;
use super::{error, usage, wire};
use crate::Dialect;
use crate::codec::StreamRelay;
use crate::conversation::Seal;
use crate::document::Document;
use crate::error::{BadReply, ErrorReply};
use crate::exchange::{AnswerContext, Observed};
use crate::framing::sse::{self, SseReader};

pub(super) fn response(body: &[u8], answer: &AnswerContext) -> Result<(Vec<u8>, Observed), BadReply> {
    let not_a_message = |error: &dyn std::fmt::Display| {
        BadReply::new(format!("the answer is not an Anthropic message: {error}"))
    };
    let message: Message<'_> = serde_json::from_slice(body).map_err(|error| not_a_message(&error))?;
    let mut observed =
        Observed { dialect: Some(Dialect::AnthropicMessages), complete: true, ..Observed::default() };
    for block in &message.content {
        observed.see(block);
    }
    observed.usage = message.usage.as_ref().map(usage::read);
    observed.stop = Some(read_stop(message.stop_reason.as_deref(), message.stop_sequence, false));
    observed.id = message.id;
    observed.model = message.model;
    let mut document = Document::parse(body).map_err(|error| not_a_message(&error))?;
    document.set_text("model", &answer.model);
    Ok((document.to_bytes(), observed))
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(borrow)]
    content: Vec<Piece<'a>>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    stop_sequence: Option<String>,
    #[serde(default)]
    usage: Option<wire::Usage>,
}

/// What a block or a delta has of generated text, as JSON text; and how the message ended.
#[derive(Default, Deserialize)]
struct Piece<'a> {
    #[serde(default, borrow)]
    text: Option<&'a RawValue>,
    #[serde(default, borrow)]
    thinking: Option<&'a RawValue>,
    /// Of hidden thinking.
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
    /// Of thinking.
    #[serde(default, borrow)]
    signature: Option<&'a RawValue>,
    /// Of a tool call.
    #[serde(default, borrow)]
    input: Option<&'a RawValue>,
    #[serde(default, borrow)]
    partial_json: Option<&'a RawValue>,
    /// Of the last delta, that of the message.
    #[serde(default, borrow)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    stop_sequence: Option<Cow<'a, str>>,
}

trait See {
    fn see(&mut self, piece: &Piece<'_>);
}

impl See for Observed {
    fn see(&mut self, piece: &Piece<'_>) {
        let texts = [piece.text, piece.thinking, piece.data, piece.partial_json];
        let length = |raw: Option<&RawValue>| raw.map_or(0, |raw| raw.get().len().saturating_sub(2));
        let bytes = texts.into_iter().map(length).sum::<usize>() + length(piece.input);
        // Base64, in which nothing is escaped; it is empty where a block begins.
        let seals = [piece.data, piece.signature].into_iter().flatten();
        let seals = seals.map(|raw| raw.get().trim_matches('"')).filter(|value| !value.is_empty());
        self.seals.extend(seals.map(Seal::mark));
        self.has_content = self.has_content || bytes > 0 || piece.input.is_some();
        self.text_bytes = self.text_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }
}

/// Passes a stream on.
#[derive(Debug)]
pub(super) struct Relay {
    answer: Arc<AnswerContext>,
    /// The beginning of an event whose end has not come.
    held: Vec<u8>,
    /// How much of `held` is known to have no event's end.
    scanned: usize,
    usage: wire::Usage,
    observed: Observed,
}

impl Relay {
    pub(super) fn new(answer: Arc<AnswerContext>) -> Self {
        let observed = Observed { dialect: Some(Dialect::AnthropicMessages), ..Observed::default() };
        Self { answer, held: Vec::new(), scanned: 0, usage: wire::Usage::default(), observed }
    }

    /// Passes on the events that `bytes` begins with; says how many bytes they were.
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, BadReply> {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..)
            && let Some(end) = event_end(rest, 0)
        {
            self.event(rest.get(..end).unwrap_or_default(), out)?;
            done += end;
        }
        Ok(done)
    }

    /// One event with its blank line.
    fn event(&mut self, event: &[u8], out: &mut Vec<u8>) -> Result<(), BadReply> {
        if self.observed.error.is_some() {
            return Ok(());
        }
        let Some(data) = data_of(event)? else {
            out.extend_from_slice(event);
            return Ok(());
        };
        let not_understood =
            |error| BadReply::new(format!("an event of the stream is not understood: {error}"));
        let seen: Event<'_> = serde_json::from_str(&data).map_err(not_understood)?;
        match &*seen.kind {
            "content_block_delta" => {
                if let Some(delta) = &seen.delta {
                    self.observed.see(delta);
                }
            }
            "content_block_start" => {
                if let Some(block) = &seen.content_block {
                    self.observed.see(block);
                }
            }
            "message_start" => return self.start(event, &data, out),
            "message_delta" => {
                if let Some(later) = &seen.usage {
                    usage::merge(&mut self.usage, later);
                    self.observed.usage = Some(usage::read(&self.usage));
                }
                if let Some(delta) = seen.delta.filter(|delta| delta.stop_reason.is_some()) {
                    let reason = delta.stop_reason.as_deref();
                    let sequence = delta.stop_sequence.map(Cow::into_owned);
                    self.observed.stop = Some(read_stop(reason, sequence, false));
                }
            }
            "message_stop" => self.observed.complete = true,
            "error" => {
                let body = seen.error.unwrap_or(wire::ErrorBody { kind: None, message: None });
                self.observed.error = Some(error::of_event(body));
                return Ok(());
            }
            _ => {}
        }
        out.extend_from_slice(event);
        Ok(())
    }

    fn start(&mut self, event: &[u8], data: &str, out: &mut Vec<u8>) -> Result<(), BadReply> {
        let not_understood =
            |error| BadReply::new(format!("`message_start` of the stream is not understood: {error}"));
        let mut outer = Document::of(data).map_err(not_understood)?;
        let Some(message) = outer.get("message").map(str::to_owned) else {
            out.extend_from_slice(event);
            return Ok(());
        };
        let mut message = Document::of(&message).map_err(not_understood)?;
        self.observed.id = message.text("id").map_err(not_understood)?.map(Cow::into_owned);
        self.observed.model = message.text("model").map_err(not_understood)?.map(Cow::into_owned);
        if let Some(usage) = message.get("usage").and_then(|usage| serde_json::from_str(usage).ok()) {
            self.usage = usage;
            self.observed.usage = Some(usage::read(&self.usage));
        }
        message.set_text("model", &self.answer.model);
        let message = String::from_utf8(message.to_bytes())
            .map_err(|_| BadReply::new("`message_start` of the stream is not UTF-8"))?;
        outer.set("message", message);
        let edited = outer.to_bytes();
        match memmem::find(event, data.as_bytes()) {
            Some(at) => {
                out.extend_from_slice(event.get(..at).unwrap_or_default());
                out.extend_from_slice(&edited);
                out.extend_from_slice(event.get(at + data.len()..).unwrap_or_default());
            }
            // The data came in several lines.
            None => sse::write_event(Some("message_start"), &edited, out),
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    delta: Option<Piece<'a>>,
    #[serde(default, borrow)]
    content_block: Option<Piece<'a>>,
    #[serde(default)]
    usage: Option<wire::Usage>,
    #[serde(default)]
    error: Option<wire::ErrorBody>,
}

impl StreamRelay for Relay {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BadReply> {
        if self.held.is_empty() {
            // The usual case: whole events, which need not be copied together first.
            let done = self.pass(bytes, out)?;
            self.held.extend_from_slice(bytes.get(done..).unwrap_or_default());
        } else {
            self.held.extend_from_slice(bytes);
            if event_end(&self.held, self.scanned).is_some() {
                let mut held = std::mem::take(&mut self.held);
                let done = self.pass(&held, out)?;
                held.drain(..done);
                self.held = held;
            }
        }
        // A line end at the end may be the first half of a blank line.
        self.scanned = self.held.len().saturating_sub(4);
        if self.held.len() > SseReader::MAX_EVENT_BYTES {
            return Err(BadReply::new(format!(
                "an event is longer than {} bytes",
                SseReader::MAX_EVENT_BYTES
            )));
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BadReply> {
        let mut rest = std::mem::take(&mut self.held);
        if !rest.is_empty() {
            // Some providers leave out the last blank line; the client needs it.
            let missing: &[u8] = match rest.as_slice() {
                [.., b'\r' | b'\n', b'\r'] => b"",
                [.., b'\n'] => b"\n",
                _ => b"\n\n",
            };
            rest.extend_from_slice(missing);
            self.event(&rest, out)?;
        }
        if self.observed.complete || self.observed.error.is_some() {
            return Ok(());
        }
        Err(BadReply::new("the provider's stream ended before `message_stop`"))
    }

    fn observed(&self) -> &Observed {
        &self.observed
    }

    fn write_error(&mut self, error: &ErrorReply, out: &mut Vec<u8>) {
        sse::write_event(Some("error"), &error::write(error), out);
    }
}

/// Where the first event that ends at or behind `from` is over: behind its blank line. A CR at the very end may be
/// half of a CRLF, so it decides nothing.
fn event_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut line = from;
    let mut at_line_start = from == 0;
    loop {
        let offset = memchr2(b'\n', b'\r', bytes.get(line..)?)?;
        let end = line + offset;
        let next = match (bytes.get(end), bytes.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => end + 2,
            (Some(b'\r'), None) => return None,
            _ => end + 1,
        };
        if offset == 0 && at_line_start {
            return Some(next);
        }
        line = next;
        at_line_start = true;
    }
}

/// The data of an event; `None` for comments and blank lines.
fn data_of(event: &[u8]) -> Result<Option<Cow<'_, str>>, BadReply> {
    let text = std::str::from_utf8(event).map_err(|_| BadReply::new("an event is not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut data: Option<Cow<'_, str>> = None;
    for line in text.split(['\n', '\r']) {
        let Some(value) = line.strip_prefix("data:") else { continue };
        let value = value.strip_prefix(' ').unwrap_or(value);
        data = Some(match data {
            None => Cow::Borrowed(value),
            Some(before) => {
                let mut joined = before.into_owned();
                joined.push('\n');
                joined.push_str(value);
                Cow::Owned(joined)
            }
        });
    }
    Ok(data.filter(|data| !data.is_empty()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::conversation::StopReason;
    use crate::error::ErrorClass;

    fn context() -> Arc<AnswerContext> {
        Arc::new(AnswerContext {
            model: "alias".into(),
            seed: "0".into(),
            created: 0,
            include_usage: true,
            request: None,
        })
    }

    fn stream(line_end: &str) -> String {
        [
            ("message_start", r#"{"type":"message_start","message":{"id":"msg_1", "model":"claude", "content":[],"usage":{"input_tokens":3,"output_tokens":1},"new":1.0}}"#),
            ("content_block_start", r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#),
            ("ping", r#"{"type": "ping"}"#),
            ("content_block_delta", r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Grüße"}, "new":1e2}"#),
            ("content_block_stop", r#"{"type":"content_block_stop","index":0}"#),
            ("message_delta", r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":9}}"#),
            ("message_stop", r#"{"type":"message_stop"}"#),
        ]
        .map(|(name, data)| format!("event: {name}{line_end}data: {data}{line_end}{line_end}"))
        .concat()
    }

    fn relayed(chunks: &[&[u8]]) -> (String, Relay, Result<(), BadReply>) {
        let mut relay = Relay::new(context());
        let mut out = Vec::new();
        for chunk in chunks {
            relay.push(chunk, &mut out).unwrap();
        }
        let end = relay.finish(&mut out);
        (String::from_utf8(out).unwrap(), relay, end)
    }

    #[test]
    fn only_the_models_name_changes() {
        for line_end in ["\n", "\r\n", "\r"] {
            let stream = format!(": hello{line_end}{line_end}{}", stream(line_end));
            let (out, relay, end) = relayed(&[stream.as_bytes()]);
            assert_eq!(out, stream.replace(" \"model\":\"claude\"", " \"model\":\"alias\""));
            end.unwrap();
            let observed = relay.observed();
            assert_eq!((observed.id.as_deref(), observed.model.as_deref()), (Some("msg_1"), Some("claude")));
            assert_eq!(observed.usage.as_ref().map(|usage| (usage.input, usage.output)), Some((3, 9)));
            assert_eq!(observed.stop, Some(StopReason::EndTurn));
            assert!(observed.complete && observed.has_content);
            assert_eq!(observed.text_bytes, 7);
        }
    }

    #[test]
    fn an_error_event_is_told_not_passed() {
        let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
        let whole = stream("\n");
        let half = whole.split("event: content_block_stop").next().unwrap();
        let (out, relay, end) = relayed(&[half.as_bytes(), error.as_bytes(), b"event: ping\ndata: {}\n\n"]);
        assert_eq!(out, half.replace("\"claude\"", "\"alias\""));
        assert_eq!(relay.observed().error.as_ref().map(|error| error.class), Some(ErrorClass::Overloaded));
        end.unwrap();
    }

    #[test]
    fn a_stream_that_breaks_off_is_not_complete() {
        let whole = stream("\n");
        let (_, _, end) = relayed(&[whole.split("event: message_stop").next().unwrap().as_bytes()]);
        assert!(end.is_err());
    }

    #[test]
    fn a_missing_last_line_end_is_added() {
        let whole = stream("\n");
        let (out, _, end) = relayed(&[whole.trim_end().as_bytes()]);
        end.unwrap();
        assert!(out.ends_with("{\"type\":\"message_stop\"}\n\n"));
    }

    #[test]
    fn a_complete_answer_keeps_every_other_byte() {
        let body = "{\"id\": \"msg_1\",\"model\":\"claude\", \"content\": [{\"type\":\"text\",\"text\":\"Hi\", \"x\": 1.0}],\n \"stop_reason\":\"max_tokens\", \"usage\":{\"input_tokens\":1,\"output_tokens\":2},\"new\":[1e3]}";
        let (out, observed) = response(body.as_bytes(), &context()).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), body.replace("claude", "alias"));
        assert_eq!(observed.stop, Some(StopReason::MaxTokens));
        assert_eq!((observed.text_bytes, observed.has_content, observed.complete), (2, true, true));
        assert!(response(b"{\"type\":\"error\"}", &context()).is_err());
        assert!(response(b"", &context()).is_err());
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let text = stream(line_end);
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            places.extend([0, text.len()]);
            places.sort_unstable();
            let chunks: Vec<&[u8]> = places.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            let (cut, cut_relay, _) = relayed(&chunks);
            let (whole, whole_relay, _) = relayed(&[text.as_bytes()]);
            prop_assert_eq!(cut, whole);
            prop_assert_eq!(cut_relay.observed(), whole_relay.observed());
        }

        #[test]
        fn unknown_fields_pass(name in "[a-z]{1,8}", text in "\\PC{0,12}", number in any::<i32>()) {
            let name = format!("new_{name}");
            let data = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": &text}, &name: number});
            let event = format!("event: content_block_delta\ndata: {data}\n\n");
            let (out, _, _) = relayed(&[event.as_bytes()]);
            prop_assert_eq!(out, event);
            let body = json!({"model": "m", "content": [{"type": "text", "text": &text, &name: number}], &name: &text});
            let (out, _) = response(body.to_string().as_bytes(), &context()).unwrap();
            let mut expected = body;
            expected["model"] = json!("alias");
            prop_assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut relay = Relay::new(context());
            let mut out = Vec::new();
            for chunk in bytes.chunks(7) {
                let _ = relay.push(chunk, &mut out);
            }
            let _ = relay.finish(&mut out);
            let _ = response(&bytes, &context());
        }
    }
}
