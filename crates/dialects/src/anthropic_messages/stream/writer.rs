use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::super::{block, error, response, usage, wire};
use crate::Dialect;
use crate::codec;
use crate::conversation::{
    CustomTool, Delta, Event, Extra, PartStart, Seal, SealKind, StopReason, ToolCallKind, Usage,
};
use crate::error::ErrorReply;
use crate::exchange::AnswerContext;
use crate::framing::sse;

/// Writes a stream for a client.
///
/// Blocks never overlap here: while one part is open, what comes for others waits.
#[derive(Debug)]
pub(in super::super) struct Writer {
    answer: Arc<AnswerContext>,
    /// The id of an answer whose `message_start` is still to come: it waits for a first report of usage.
    start: Option<Option<String>>,
    started: bool,
    usage: Usage,
    stop: Option<StopReason>,
    /// The number of the next block.
    next: u32,
    current: Option<Current>,
    waiting: VecDeque<Waiting>,
}

/// The part that is being written.
#[derive(Debug)]
struct Current {
    part: u32,
    start: PartStart,
    /// Its `content_block_start` is out. Text and thinking wait for something to say: the API does not take
    /// empty text back.
    open: bool,
    /// The paragraph of the reasoning's summary that is being written.
    paragraph: u32,
    /// Of a text or tool call, which have no slot for it.
    seal: Option<Seal>,
}

/// A part that began while another was open.
#[derive(Debug)]
struct Waiting {
    part: u32,
    start: PartStart,
    deltas: Vec<Delta>,
    stopped: bool,
}

#[derive(Serialize)]
struct DeltaEvent<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    index: u32,
    delta: BlockDelta<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum BlockDelta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "citations_delta")]
    Citations { citation: &'a Value },
}

impl Writer {
    pub(in super::super) fn new(answer: Arc<AnswerContext>) -> Self {
        Self {
            answer,
            start: None,
            started: false,
            usage: Usage::default(),
            stop: None,
            next: 0,
            current: None,
            waiting: VecDeque::new(),
        }
    }

    /// Writes `message_start`, if it has not been written.
    fn open_message(&mut self, out: &mut Vec<u8>) {
        if self.started {
            return;
        }
        self.started = true;
        let message = json!({
            "id": response::id(self.start.take().flatten().as_deref(), &self.answer),
            "type": "message",
            "role": "assistant",
            "model": self.answer.model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage::write(&self.usage),
        });
        write_event("message_start", &json!({"type": "message_start", "message": message}), out);
    }

    fn begin(&mut self, part: u32, start: PartStart, out: &mut Vec<u8>) {
        let mut current = Current { part, start, open: false, paragraph: 0, seal: None };
        match &current.start {
            PartStart::ToolCall { id, name, kind, extra: _ } => {
                let call = wire::Block::ToolUse(wire::ToolUseBlock {
                    id: id.clone(),
                    name: name.clone(),
                    input: json!({}),
                    cache_control: None,
                    extra: Extra::new(),
                });
                self.start_block(&call, out);
                current.open = true;
                if *kind == ToolCallKind::Custom {
                    let beginning = format!("{{\"{}\":\"", CustomTool::INPUT);
                    self.delta(BlockDelta::InputJson { partial_json: &beginning }, out);
                }
            }
            PartStart::Whole(whole) => {
                let mut blocks = Vec::new();
                response::write_part(whole, false, &mut blocks);
                for block in blocks {
                    self.whole_block(&block, out);
                }
            }
            PartStart::Text | PartStart::Refusal | PartStart::Reasoning { .. } | PartStart::Audio { .. } => {}
        }
        self.current = Some(current);
    }

    fn start_block(&self, block: &wire::Block, out: &mut Vec<u8>) {
        let event = json!({"type": "content_block_start", "index": self.next, "content_block": block});
        write_event("content_block_start", &event, out);
    }

    fn stop_block(&mut self, out: &mut Vec<u8>) {
        write_event("content_block_stop", &json!({"type": "content_block_stop", "index": self.next}), out);
        self.next += 1;
    }

    /// A block that comes in one piece. Clients build text, thinking and input from deltas, and take the rest
    /// from the start.
    fn whole_block(&mut self, block: &wire::Block, out: &mut Vec<u8>) {
        match block {
            wire::Block::Text(text) => {
                self.start_block(&block::text(""), out);
                self.delta(BlockDelta::Text { text: &text.text }, out);
                for citation in text.citations.iter().flatten() {
                    self.delta(BlockDelta::Citations { citation }, out);
                }
            }
            wire::Block::Thinking(thinking) => {
                self.start_block(&block::thinking(String::new(), None), out);
                if !thinking.thinking.is_empty() {
                    self.delta(BlockDelta::Thinking { thinking: &thinking.thinking }, out);
                }
                if !thinking.signature.is_empty() {
                    self.delta(BlockDelta::Signature { signature: &thinking.signature }, out);
                }
            }
            wire::Block::ToolUse(call) => {
                let empty = wire::ToolUseBlock { input: json!({}), ..call.clone() };
                self.start_block(&wire::Block::ToolUse(empty), out);
                self.delta(BlockDelta::InputJson { partial_json: &call.input.to_string() }, out);
            }
            block => self.start_block(block, out),
        }
        self.stop_block(out);
    }

    fn delta(&self, delta: BlockDelta<'_>, out: &mut Vec<u8>) {
        let event = DeltaEvent { kind: "content_block_delta", index: self.next, delta };
        write_event("content_block_delta", &event, out);
    }

    /// Starts the current block now that it has something to say.
    fn open_block(&mut self, out: &mut Vec<u8>) {
        let Some(current) = &mut self.current else { return };
        if current.open {
            return;
        }
        current.open = true;
        let block = match current.start {
            PartStart::Reasoning { .. } => block::thinking(String::new(), None),
            _ => block::text(""),
        };
        self.start_block(&block, out);
    }

    fn write_delta(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        let Some(current) = &mut self.current else { return };
        match (&current.start, delta) {
            (PartStart::Text | PartStart::Refusal, Delta::Text(text))
            | (PartStart::Audio { .. }, Delta::AudioTranscript(text))
                if !text.is_empty() =>
            {
                self.open_block(out);
                self.delta(BlockDelta::Text { text }, out);
            }
            (PartStart::Text, Delta::Citation(citation)) => {
                let citation = block::write_citation(citation);
                self.open_block(out);
                self.delta(BlockDelta::Citations { citation: &citation }, out);
            }
            (PartStart::Reasoning { .. }, Delta::Thinking(text)) if !text.is_empty() => {
                self.open_block(out);
                self.delta(BlockDelta::Thinking { thinking: text }, out);
            }
            (PartStart::Reasoning { .. }, Delta::Summary { index, text }) if !text.is_empty() => {
                let apart = current.open && current.paragraph != *index;
                current.paragraph = *index;
                let text =
                    if apart { Cow::Owned(format!("\n\n{text}")) } else { Cow::Borrowed(text.as_str()) };
                self.open_block(out);
                self.delta(BlockDelta::Thinking { thinking: &text }, out);
            }
            (PartStart::Reasoning { .. }, Delta::Seal(seal)) => {
                let signature = seal.to_slot(Dialect::AnthropicMessages, SealKind::Signature);
                self.open_block(out);
                self.delta(BlockDelta::Signature { signature: &signature }, out);
            }
            (PartStart::Text | PartStart::ToolCall { .. }, Delta::Seal(seal)) => {
                current.seal = Some(seal.clone());
            }
            (PartStart::ToolCall { kind: ToolCallKind::Function, .. }, Delta::Arguments(json)) => {
                self.delta(BlockDelta::InputJson { partial_json: json }, out);
            }
            (PartStart::ToolCall { kind: ToolCallKind::Custom, .. }, Delta::Arguments(text)) => {
                // Inside the string that the block's first delta began.
                let quoted = Value::from(text.as_str()).to_string();
                let inside =
                    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
                self.delta(BlockDelta::InputJson { partial_json: inside }, out);
            }
            // Sound, which Anthropic's clients cannot play, and what says nothing.
            _ => {}
        }
    }

    /// Ends the current part, then writes what waited, up to a part that is not complete.
    fn finish_part(&mut self, out: &mut Vec<u8>) {
        loop {
            self.close_current(out);
            let Some(waiting) = self.waiting.pop_front() else { return };
            self.begin(waiting.part, waiting.start, out);
            for delta in &waiting.deltas {
                self.write_delta(delta, out);
            }
            if !waiting.stopped {
                return;
            }
        }
    }

    fn close_current(&mut self, out: &mut Vec<u8>) {
        let Some(current) = self.current.take() else { return };
        if current.open {
            if matches!(current.start, PartStart::ToolCall { kind: ToolCallKind::Custom, .. }) {
                self.delta(BlockDelta::InputJson { partial_json: "\"}" }, out);
            }
            self.stop_block(out);
        }
        if let Some(seal) = current.seal {
            self.whole_block(&block::sealed_after(&seal), out);
        }
    }

    fn end_message(&mut self, out: &mut Vec<u8>) {
        for waiting in &mut self.waiting {
            waiting.stopped = true;
        }
        self.finish_part(out);
        let stop = self.stop.take().unwrap_or(StopReason::EndTurn);
        let (stop_reason, stop_sequence) = response::write_stop(&stop);
        let event = json!({
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason, "stop_sequence": stop_sequence},
            "usage": usage::write(&self.usage),
        });
        write_event("message_delta", &event, out);
        write_event("message_stop", &json!({"type": "message_stop"}), out);
    }
}

impl codec::StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, .. } => {
                self.start = Some(id.clone());
                return;
            }
            Event::Usage(usage) => {
                self.usage = usage.clone();
                return;
            }
            _ => self.open_message(out),
        }
        match event {
            Event::PartStart { choice: 0, part, start } => match &self.current {
                Some(_) => self.waiting.push_back(Waiting {
                    part: *part,
                    start: start.clone(),
                    deltas: Vec::new(),
                    stopped: false,
                }),
                None => self.begin(*part, start.clone(), out),
            },
            Event::Delta { choice: 0, part, delta } => {
                if self.current.as_ref().is_some_and(|current| current.part == *part) {
                    self.write_delta(delta, out);
                } else if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.part == *part) {
                    waiting.deltas.push(delta.clone());
                }
            }
            Event::PartStop { choice: 0, part } => {
                if self.current.as_ref().is_some_and(|current| current.part == *part) {
                    self.finish_part(out);
                } else if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.part == *part) {
                    waiting.stopped = true;
                }
            }
            Event::Finish { choice: 0, reason } => self.stop = Some(reason.clone()),
            Event::End => self.end_message(out),
            // Anthropic has one answer, and no probabilities.
            _ => {}
        }
    }

    fn write_error(&mut self, error: &ErrorReply, out: &mut Vec<u8>) {
        sse::write_event(Some("error"), &error::write(error), out);
    }
}

fn write_event(name: &str, data: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    // Our own values have string keys only, and a `Vec` takes every byte; JSON has no line end in it.
    _ = serde_json::to_writer(&mut *out, data);
    out.extend_from_slice(b"\n\n");
}
