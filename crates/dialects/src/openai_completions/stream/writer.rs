//! Writes a stream for a client.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::super::response::write_logprobs;
use super::super::wire;
use crate::codec::StreamWriter;
use crate::conversation::{Delta, Event, Part, PartStart, StopReason, Usage};
use crate::error::ErrorReply;
use crate::exchange::AnswerContext;
use crate::framing::sse::write_event;
use crate::json;
use crate::openai_chat::relay::DONE;
use crate::openai_chat::response::write_stop;
use crate::openai_chat::usage::{self, Shares};
use crate::openai_error;

/// See [`Codec::stream_writer`](crate::codec::Codec::stream_writer).
#[derive(Debug)]
pub(in super::super) struct Writer {
    answer: Arc<AnswerContext>,
    /// The fields that every chunk begins with, up to `choices`, as JSON without the closing brace.
    head: String,
    usage: Option<Usage>,
    /// Per choice: where its next token begins in the text, in characters.
    offsets: Vec<(u32, u64)>,
    /// The chunk being written; kept for its memory.
    chunk: Vec<u8>,
}

#[derive(Serialize)]
struct Choice<'a> {
    text: &'a str,
    index: u32,
    logprobs: Option<wire::Logprobs>,
    finish_reason: Option<&'a str>,
}

impl Writer {
    pub(in super::super) fn new(answer: Arc<AnswerContext>) -> Self {
        let mut writer =
            Self { answer, head: String::new(), usage: None, offsets: Vec::new(), chunk: Vec::new() };
        writer.write_head(None, None);
        writer
    }

    fn write_head(&mut self, id: Option<&str>, created: Option<u64>) {
        let id = id.map_or_else(|| format!("cmpl-{}", self.answer.seed), str::to_owned);
        self.head = format!(
            r#"{{"id":{},"object":"text_completion","created":{},"model":{}"#,
            Value::from(id),
            created.unwrap_or(self.answer.created),
            Value::from(self.answer.model.as_str()),
        );
    }

    fn choice(&mut self, choice: &Choice<'_>, out: &mut Vec<u8>) {
        self.chunk.clear();
        self.chunk.extend_from_slice(self.head.as_bytes());
        self.chunk.extend_from_slice(br#","choices":["#);
        // Writing to memory; maps have text keys: this cannot fail.
        if serde_json::to_writer(&mut self.chunk, choice).is_ok() {
            self.chunk.extend_from_slice(b"]}");
            write_event(None, &self.chunk, out);
        }
    }

    fn text(&mut self, index: u32, text: &str, out: &mut Vec<u8>) {
        self.choice(&Choice { text, index, logprobs: None, finish_reason: None }, out);
    }

    fn logprobs(&mut self, index: u32, tokens: &[crate::conversation::TokenLogprob], out: &mut Vec<u8>) {
        let place = match self.offsets.iter().position(|(choice, _)| *choice == index) {
            Some(place) => place,
            None => {
                self.offsets.push((index, 0));
                self.offsets.len() - 1
            }
        };
        let Some((_, offset)) = self.offsets.get_mut(place) else { return };
        let logprobs = Some(write_logprobs(tokens, offset));
        self.choice(&Choice { text: "", index, logprobs, finish_reason: None }, out);
    }

    fn finish(&mut self, index: u32, reason: &StopReason, out: &mut Vec<u8>) {
        let (reason, native) = write_stop(reason);
        let finish_reason = Some(native.unwrap_or(reason));
        self.choice(&Choice { text: "", index, logprobs: None, finish_reason }, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(usage) = self.usage.take()
            && self.answer.include_usage
        {
            self.chunk.clear();
            self.chunk.extend_from_slice(self.head.as_bytes());
            self.chunk.extend_from_slice(br#","choices":[],"usage":"#);
            let usage = usage::write(&usage, Shares::default(), false);
            self.chunk.extend_from_slice(&json::write(&usage));
            self.chunk.push(b'}');
            write_event(None, &self.chunk, out);
        }
        write_event(None, DONE.as_bytes(), out);
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, created, .. } => self.write_head(id.as_deref(), *created),
            Event::PartStart { choice, start: PartStart::Whole(Part::Text(text)), .. } => {
                self.text(*choice, &text.text, out);
            }
            // Of texts and refusals; thinking has deltas of its own kind.
            Event::Delta { choice, delta: Delta::Text(text), .. } => self.text(*choice, text, out),
            Event::Logprobs { choice, tokens } => self.logprobs(*choice, tokens, out),
            Event::Finish { choice, reason } => self.finish(*choice, reason, out),
            Event::Usage(usage) => self.usage = Some(usage.clone()),
            Event::End => self.end(out),
            Event::PartStart { .. } | Event::Delta { .. } | Event::PartStop { .. } | Event::Error(_) => {}
        }
    }

    fn write_error(&mut self, error: &ErrorReply, out: &mut Vec<u8>) {
        write_event(None, &openai_error::write(error), out);
    }
}
