//! Writing: every event of the documented sequence, numbered, and at the end the same Response object that an
//! unstreamed answer would be.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::super::answer::{self, Answer, Body, Content, ContentKind, Item, NO_ARGUMENTS};
use super::super::wire::{self, DeltaOut};
use super::super::{item, outcome};
use crate::codec::StreamWriter;
use crate::conversation::{
    Delta, Event, Part, PartStart, Reasoning, Seal, StopReason, ToolCall, ToolCallKind,
};
use crate::error::ErrorReply;
use crate::exchange::AnswerContext;
use crate::framing::sse;

#[derive(Debug)]
pub(in crate::openai_responses) struct Writer {
    answer: Answer,
    frames: Frames,
    begun: bool,
    ended: bool,
    /// The conversation's parts that are being written.
    open: Vec<OpenPart>,
    /// How much of each item has been told, in the order of the answer's items.
    progress: Vec<Progress>,
}

#[derive(Debug)]
struct OpenPart {
    number: u32,
    place: Spot,
    /// Of a text or call. That of reasoning stands in its item.
    seal: Option<Seal>,
}

/// What a part of the conversation becomes.
#[derive(Clone, Copy, Debug)]
enum Spot {
    /// A part of a message, once there is something in it.
    Waiting(ContentKind),
    Content {
        item: usize,
        content: usize,
    },
    /// An item of its own. `first` is where its first summary goes: behind thinking that had no other place.
    Reasoning {
        item: usize,
        first: usize,
    },
    Call {
        item: usize,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Parts that are still growing.
    open_parts: u32,
    done: bool,
}

/// Numbers events and writes them.
#[derive(Debug, Default)]
struct Frames {
    next: u64,
}

impl Frames {
    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    fn write(&mut self, kind: &'static str, mut fields: Value, out: &mut Vec<u8>) {
        let mut event = json!({"type": kind, "sequence_number": self.number()});
        if let (Value::Object(event), Value::Object(fields)) = (&mut event, &mut fields) {
            event.append(fields);
        }
        frame(kind, &event, out);
    }
}

/// One event. JSON text has no line ends, so the data is one line.
fn frame(kind: &str, event: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    // Writing such values into memory cannot fail.
    _ = serde_json::to_writer(&mut *out, event);
    out.extend_from_slice(b"\n\n");
}

impl Writer {
    pub(in crate::openai_responses) fn new(context: &Arc<AnswerContext>) -> Self {
        Self {
            answer: Answer::new(context),
            frames: Frames::default(),
            begun: false,
            ended: false,
            open: Vec::new(),
            progress: Vec::new(),
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            self.frames.write(wire::CREATED, json!({"response": self.answer.begun()}), out);
            self.frames.write(wire::IN_PROGRESS, json!({"response": self.answer.begun()}), out);
        }
    }

    fn start_part(&mut self, part: u32, start: &PartStart, out: &mut Vec<u8>) {
        let place = match start {
            PartStart::Text | PartStart::Audio { .. } => Spot::Waiting(ContentKind::Text),
            PartStart::Refusal => Spot::Waiting(ContentKind::Refusal),
            PartStart::Reasoning { id } => {
                let reasoning = Reasoning { id: id.clone(), ..Reasoning::default() };
                Spot::Reasoning { item: self.start_item(Body::Reasoning(reasoning), out), first: 0 }
            }
            PartStart::ToolCall { id, name, kind, extra } => {
                let mut call = ToolCall::function(id.as_str(), name.as_str(), "");
                call.kind = *kind;
                call.extra.clone_from(extra);
                Spot::Call { item: self.start_item(Body::Call(call), out) }
            }
            PartStart::Whole(whole) => return self.write_whole(part, whole, out),
        };
        self.open.push(OpenPart { number: part, place, seal: None });
    }

    /// A part that comes in one piece, told as if it had come in deltas.
    fn write_whole(&mut self, part: u32, whole: &Part, out: &mut Vec<u8>) {
        match whole {
            Part::Text(text) => {
                self.start_part(part, &PartStart::Text, out);
                self.grow(part, &Delta::Text(text.text.clone()), out);
                for citation in &text.citations {
                    self.grow(part, &Delta::Citation(citation.clone()), out);
                }
                self.keep_seal(part, text.seal.as_ref());
            }
            Part::Refusal(refusal) => {
                self.start_part(part, &PartStart::Refusal, out);
                self.grow(part, &Delta::Text(refusal.clone()), out);
            }
            Part::Reasoning(reasoning) => {
                self.start_part(part, &PartStart::Reasoning { id: reasoning.id.clone() }, out);
                if !reasoning.text.is_empty() {
                    self.grow(part, &Delta::Thinking(reasoning.text.clone()), out);
                }
                for (index, text) in (0..).zip(&reasoning.summary) {
                    self.grow(part, &Delta::Summary { index, text: text.clone() }, out);
                }
                self.keep_seal(part, reasoning.seal.as_ref());
            }
            Part::ToolCall(call) => {
                let start = PartStart::ToolCall {
                    id: call.id.clone(),
                    name: call.name.clone(),
                    kind: call.kind,
                    extra: call.extra.clone(),
                };
                self.start_part(part, &start, out);
                self.grow(part, &Delta::Arguments(call.arguments.clone()), out);
                self.keep_seal(part, call.seal.as_ref());
            }
            Part::Media(media) if answer::text_for(media).is_some() => {
                self.start_part(part, &PartStart::Text, out);
                self.grow_text(part, answer::text_for(media).unwrap_or_default(), out);
            }
            Part::Media(_) | Part::Opaque(_) | Part::ToolResult(_) => {
                let index = self.answer.items.len();
                self.answer.push_part(whole);
                self.announce(index, out);
            }
        }
    }

    fn place(&self, part: u32) -> Option<Spot> {
        self.open.iter().find(|open| open.number == part).map(|open| open.place)
    }

    fn open_mut(&mut self, part: u32) -> Option<&mut OpenPart> {
        self.open.iter_mut().find(|open| open.number == part)
    }

    /// Adds an item to the answer and tells of it.
    fn start_item(&mut self, body: Body, out: &mut Vec<u8>) -> usize {
        let index = self.answer.push(body);
        self.announce(index, out);
        index
    }

    fn announce(&mut self, index: usize, out: &mut Vec<u8>) {
        if index < self.answer.items.len() {
            self.close_items(false, out);
        }
        let Some(item) = self.answer.items.get(index) else { return };
        let growing = matches!(item.body, Body::Reasoning(_) | Body::Call(_));
        self.progress.push(Progress { open_parts: u32::from(growing), done: false });
        let fields = json!({"output_index": index, "item": item.value("in_progress")});
        self.frames.write(wire::ITEM_ADDED, fields, out);
    }

    /// Tells that items are done: all, or those that do not grow any more.
    fn close_items(&mut self, all: bool, out: &mut Vec<u8>) {
        for (index, (item, progress)) in self.answer.items.iter().zip(&mut self.progress).enumerate() {
            if !progress.done && (all || progress.open_parts == 0) {
                progress.done = true;
                let status = self.answer.item_status(index);
                let fields = json!({"output_index": index, "item": item.value(status)});
                self.frames.write(wire::ITEM_DONE, fields, out);
            }
        }
    }

    /// The message and the place in it that the part's text goes to; made when the first text comes.
    fn content(&mut self, part: u32, out: &mut Vec<u8>) -> Option<(usize, usize)> {
        let kind = match self.place(part)? {
            Spot::Waiting(kind) => kind,
            Spot::Content { item, content } => return Some((item, content)),
            Spot::Reasoning { .. } | Spot::Call { .. } => return None,
        };
        if !matches!(self.answer.items.last(), Some(Item { body: Body::Message(_), .. })) {
            self.start_item(Body::Message(Vec::new()), out);
        }
        let item = self.answer.push_content(Content::new(kind));
        let content = match self.answer.items.get(item).map(|item| &item.body) {
            Some(Body::Message(contents)) => contents.len().saturating_sub(1),
            _ => 0,
        };
        if let Some(progress) = self.progress.get_mut(item) {
            progress.open_parts += 1;
        }
        self.open_mut(part)?.place = Spot::Content { item, content };
        let fields = json!({
            "item_id": self.id(item),
            "output_index": item,
            "content_index": content,
            "part": Content::new(kind).value(),
        });
        self.frames.write(wire::CONTENT_ADDED, fields, out);
        Some((item, content))
    }

    fn id(&self, item: usize) -> &str {
        self.answer.items.get(item).map_or("", |item| &item.id)
    }

    fn grow(&mut self, part: u32, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) | Delta::AudioTranscript(text) => self.grow_text(part, text, out),
            Delta::Citation(citation) => {
                let Some((item, content)) = self.content(part, out) else { return };
                let Some(place) = content_mut(&mut self.answer.items, item, content) else { return };
                let index = place.annotations.len();
                let Some(annotation) = place.cite(citation).cloned() else { return };
                let fields = json!({
                    "item_id": self.id(item),
                    "output_index": item,
                    "content_index": content,
                    "annotation_index": index,
                    "annotation": annotation,
                });
                self.frames.write(wire::ANNOTATION_ADDED, fields, out);
            }
            Delta::Thinking(text) => self.grow_thinking(part, text, out),
            Delta::Summary { index, text } => {
                let Some(Spot::Reasoning { item, first }) = self.place(part) else { return };
                self.grow_summary(item, first + *index as usize, text, out);
            }
            Delta::Arguments(text) => self.grow_arguments(part, text, out),
            Delta::Seal(seal) => self.keep_seal(part, Some(seal)),
            // There is no output item for sound.
            Delta::AudioData(_) => {}
        }
    }

    fn grow_text(&mut self, part: u32, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let Some((item, content)) = self.content(part, out) else { return };
        let Some(Item { id, body: Body::Message(contents) }) = self.answer.items.get_mut(item) else {
            return;
        };
        let Some(place) = contents.get_mut(content) else { return };
        place.text.push_str(text);
        let no_logprobs = Value::Array(Vec::new());
        let (kind, logprobs) = match place.kind {
            ContentKind::Text => (wire::TEXT_DELTA, Some(&no_logprobs)),
            ContentKind::Refusal => (wire::REFUSAL_DELTA, None),
        };
        let event = DeltaOut {
            kind,
            sequence_number: self.frames.number(),
            item_id: id,
            output_index: item,
            content_index: Some(content),
            summary_index: None,
            delta: text,
            logprobs,
        };
        frame(kind, &event, out);
    }

    fn grow_thinking(&mut self, part: u32, text: &str, out: &mut Vec<u8>) {
        let Some(Spot::Reasoning { item, .. }) = self.place(part) else { return };
        if self.answer.items.get(item).is_some_and(Item::is_foreign_reasoning) {
            if let Some(open) = self.open_mut(part) {
                open.place = Spot::Reasoning { item, first: 1 };
            }
            return self.grow_summary(item, 0, text, out);
        }
        let Some(Item { id, body: Body::Reasoning(reasoning) }) = self.answer.items.get_mut(item) else {
            return;
        };
        reasoning.text.push_str(text);
        let event = DeltaOut {
            kind: wire::REASONING_TEXT_DELTA,
            sequence_number: self.frames.number(),
            item_id: id,
            output_index: item,
            content_index: Some(0),
            summary_index: None,
            delta: text,
            logprobs: None,
        };
        frame(wire::REASONING_TEXT_DELTA, &event, out);
    }

    fn grow_summary(&mut self, item: usize, index: usize, text: &str, out: &mut Vec<u8>) {
        let Some(Item { id, body: Body::Reasoning(reasoning) }) = self.answer.items.get_mut(item) else {
            return;
        };
        while reasoning.summary.len() <= index {
            let at = reasoning.summary.len();
            if let Some(before) = at.checked_sub(1) {
                finish_summary(&mut self.frames, id, item, before, reasoning, out);
            }
            reasoning.summary.push(String::new());
            let fields = json!({
                "item_id": id,
                "output_index": item,
                "summary_index": at,
                "part": {"type": "summary_text", "text": ""},
            });
            self.frames.write(wire::SUMMARY_ADDED, fields, out);
        }
        if let Some(paragraph) = reasoning.summary.get_mut(index) {
            paragraph.push_str(text);
        }
        let event = DeltaOut {
            kind: wire::SUMMARY_TEXT_DELTA,
            sequence_number: self.frames.number(),
            item_id: id,
            output_index: item,
            content_index: None,
            summary_index: Some(index),
            delta: text,
            logprobs: None,
        };
        frame(wire::SUMMARY_TEXT_DELTA, &event, out);
    }

    fn grow_arguments(&mut self, part: u32, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let Some(Spot::Call { item }) = self.place(part) else { return };
        let Some(Item { id, body: Body::Call(call) }) = self.answer.items.get_mut(item) else { return };
        call.arguments.push_str(text);
        let kind = match call.kind {
            ToolCallKind::Function => wire::ARGUMENTS_DELTA,
            ToolCallKind::Custom => wire::INPUT_DELTA,
        };
        let event = DeltaOut {
            kind,
            sequence_number: self.frames.number(),
            item_id: id,
            output_index: item,
            content_index: None,
            summary_index: None,
            delta: text,
            logprobs: None,
        };
        frame(kind, &event, out);
    }

    fn keep_seal(&mut self, part: u32, seal: Option<&Seal>) {
        let (Some(seal), Some(place)) = (seal, self.place(part)) else { return };
        if let Spot::Reasoning { item, .. } = place {
            if let Some(Item { body: Body::Reasoning(reasoning), .. }) = self.answer.items.get_mut(item) {
                reasoning.seal = Some(seal.clone());
            }
        } else if let Some(open) = self.open_mut(part) {
            open.seal = Some(seal.clone());
        }
    }

    fn stop_part(&mut self, part: u32, out: &mut Vec<u8>) {
        if let Some(Spot::Call { item }) = self.place(part)
            && self.answer.items.get(item).is_some_and(Item::lacks_arguments)
        {
            self.grow_arguments(part, NO_ARGUMENTS, out);
        }
        let Some(at) = self.open.iter().position(|open| open.number == part) else { return };
        let OpenPart { place, seal, .. } = self.open.remove(at);
        match place {
            Spot::Waiting(_) => {}
            Spot::Content { item, content } => self.finish_content(item, content, out),
            Spot::Reasoning { item, .. } => self.finish_reasoning(item, out),
            Spot::Call { item } => self.finish_call(item, out),
        }
        if let Spot::Content { item, .. } | Spot::Reasoning { item, .. } | Spot::Call { item } = place
            && let Some(progress) = self.progress.get_mut(item)
        {
            progress.open_parts = progress.open_parts.saturating_sub(1);
        }
        if let Some(index) = self.answer.push_seal(seal.as_ref()) {
            self.announce(index, out);
            if let Some(progress) = self.progress.get_mut(index) {
                progress.open_parts = 0;
            }
        }
    }

    fn finish_content(&mut self, item: usize, content: usize, out: &mut Vec<u8>) {
        let Some(Item { id, body: Body::Message(contents) }) = self.answer.items.get(item) else { return };
        let Some(place) = contents.get(content) else { return };
        let (kind, fields) = match place.kind {
            ContentKind::Text => (
                wire::TEXT_DONE,
                json!({
                    "item_id": id,
                    "output_index": item,
                    "content_index": content,
                    "text": place.text,
                    "logprobs": item::write_logprobs(&place.logprobs),
                }),
            ),
            ContentKind::Refusal => (
                wire::REFUSAL_DONE,
                json!({
                    "item_id": id,
                    "output_index": item,
                    "content_index": content,
                    "refusal": place.text,
                }),
            ),
        };
        self.frames.write(kind, fields, out);
        let fields = json!({
            "item_id": id,
            "output_index": item,
            "content_index": content,
            "part": place.value(),
        });
        self.frames.write(wire::CONTENT_DONE, fields, out);
    }

    fn finish_reasoning(&mut self, item: usize, out: &mut Vec<u8>) {
        let Some(Item { id, body: Body::Reasoning(reasoning) }) = self.answer.items.get(item) else { return };
        if let Some(last) = reasoning.summary.len().checked_sub(1) {
            finish_summary(&mut self.frames, id, item, last, reasoning, out);
        }
        if !reasoning.text.is_empty() {
            let fields =
                json!({"item_id": id, "output_index": item, "content_index": 0, "text": reasoning.text});
            self.frames.write(wire::REASONING_TEXT_DONE, fields, out);
        }
    }

    fn finish_call(&mut self, item: usize, out: &mut Vec<u8>) {
        let Some(Item { id, body: Body::Call(call) }) = self.answer.items.get(item) else { return };
        let (kind, fields) = match call.kind {
            ToolCallKind::Function => (
                wire::ARGUMENTS_DONE,
                json!({
                    "item_id": id,
                    "output_index": item,
                    "name": call.name,
                    "arguments": call.arguments,
                }),
            ),
            ToolCallKind::Custom => {
                (wire::INPUT_DONE, json!({"item_id": id, "output_index": item, "input": call.arguments}))
            }
        };
        self.frames.write(kind, fields, out);
    }

    /// Ends what is still open, whole or not.
    fn close_all(&mut self, out: &mut Vec<u8>) {
        while let Some(part) = self.open.first().map(|open| open.number) {
            self.stop_part(part, out);
        }
        self.close_items(true, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.close_all(out);
        let kind = match self.answer.stop.as_ref().map(outcome::write) {
            Some(("incomplete", _)) => wire::INCOMPLETE,
            Some(("failed", _)) => wire::FAILED,
            _ => wire::COMPLETED,
        };
        self.frames.write(kind, json!({"response": self.answer.finished()}), out);
        sse::write_event(None, wire::DONE.as_bytes(), out);
        self.ended = true;
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        if let Event::Start { id, .. } = event {
            self.answer.set_id(id.as_deref());
        }
        self.begin(out);
        match event {
            Event::PartStart { choice: 0, part, start } => self.start_part(*part, start, out),
            Event::Delta { choice: 0, part, delta } => self.grow(*part, delta, out),
            Event::PartStop { choice: 0, part } => self.stop_part(*part, out),
            Event::Logprobs { choice: 0, tokens } => self.answer.push_logprobs(tokens),
            Event::Finish { choice: 0, reason } => {
                self.answer.stop = Some(reason.clone());
                self.close_all(out);
            }
            Event::Usage(usage) => {
                self.answer.set_service_tier(usage.service_tier.as_deref());
                self.answer.usage = Some(usage.clone());
            }
            Event::End => self.end(out),
            // There is one choice: this API knows no `n`. Errors come by `write_error`.
            Event::Start { .. }
            | Event::PartStart { .. }
            | Event::Delta { .. }
            | Event::PartStop { .. }
            | Event::Logprobs { .. }
            | Event::Finish { .. }
            | Event::Error(_) => {}
        }
    }

    fn write_error(&mut self, error: &ErrorReply, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.begin(out);
        self.answer.stop = Some(StopReason::Error);
        let response = self.answer.failed(failure_code(error.status), &error.message);
        write_failure(self.frames.number(), &response, out);
    }
}

/// The event of an answer that broke off.
pub(in crate::openai_responses) fn write_failure(number: u64, response: &impl Serialize, out: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct Failed<'a, R> {
        #[serde(rename = "type")]
        kind: &'static str,
        sequence_number: u64,
        response: &'a R,
    }
    frame(wire::FAILED, &Failed { kind: wire::FAILED, sequence_number: number, response }, out);
}

/// The code in a failed answer. LiteLLM's, where OpenAI documents none: its own list knows the first two.
pub(in crate::openai_responses) fn failure_code(status: u16) -> &'static str {
    match status {
        429 => "rate_limit_exceeded",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "request_timeout",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

fn content_mut(items: &mut [Item], item: usize, content: usize) -> Option<&mut Content> {
    match &mut items.get_mut(item)?.body {
        Body::Message(contents) => contents.get_mut(content),
        Body::Reasoning(_) | Body::Call(_) | Body::Whole(_) => None,
    }
}

fn finish_summary(
    frames: &mut Frames,
    id: &str,
    item: usize,
    index: usize,
    reasoning: &Reasoning,
    out: &mut Vec<u8>,
) {
    let text = reasoning.summary.get(index).map_or("", String::as_str);
    let fields = json!({"item_id": id, "output_index": item, "summary_index": index, "text": text});
    frames.write(wire::SUMMARY_TEXT_DONE, fields, out);
    let part = json!({"type": "summary_text", "text": text});
    let fields = json!({"item_id": id, "output_index": item, "summary_index": index, "part": part});
    frames.write(wire::SUMMARY_DONE, fields, out);
}
