//! Reads the choices of a provider's stream. The dialect has no marks where a part begins or ends: they are put in here.

use std::mem::{Discriminant, discriminant};

use serde_json::Value;

use super::super::response::{read_logprobs, read_stop};
use super::super::{media, message, wire};
use crate::conversation::{Delta, Event, Extra, Part, PartStart, Reasoning, Seal, ToolCallKind};
use crate::error::BadReply;
use crate::openai_stream::{self, Choice};

pub(in super::super) type Reader = openai_stream::Reader<ChoiceState>;

const THOUGHT: PartStart = PartStart::Reasoning { id: None };

/// What has been read of a choice.
#[derive(Debug)]
pub(in super::super) struct ChoiceState {
    index: u32,
    seed: String,
    next_part: u32,
    /// The part that text-like deltas of its kind continue. Tool calls stand beside it.
    open: Option<(Discriminant<PartStart>, u32)>,
    calls: Vec<Call>,
    /// What was said while a call was in the making. The dialect allows it, and the conversation does not; it is told
    /// when the calls are whole.
    late: Vec<wire::Message>,
    /// OpenRouter's `reasoning_details` of the open reasoning part, put together.
    details: Vec<Extra>,
    finished: bool,
}

/// A tool call in the making.
#[derive(Debug)]
struct Call {
    index: Option<u64>,
    id: Option<String>,
    kind: ToolCallKind,
    name: String,
    arguments: String,
    seal: Option<Seal>,
    part: CallPart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallPart {
    /// The name has not come yet.
    Waiting,
    Open(u32),
    Closed,
}

impl Choice for ChoiceState {
    type Piece = wire::ChunkChoice;

    const ANSWER: &'static str = "chat completion";

    fn new(index: u32, seed: &str) -> Self {
        Self {
            index,
            seed: seed.to_owned(),
            next_part: 0,
            open: None,
            calls: Vec::new(),
            late: Vec::new(),
            details: Vec::new(),
            finished: false,
        }
    }

    fn index_of(piece: &wire::ChunkChoice) -> Option<u32> {
        piece.index
    }

    fn index(&self) -> u32 {
        self.index
    }

    fn is_finished(&self) -> bool {
        self.finished
    }

    fn take(&mut self, piece: wire::ChunkChoice, events: &mut Vec<Event>) -> Result<(), BadReply> {
        if let Some(delta) = piece.delta {
            self.take_delta(delta, events)?;
        }
        if let Some(tokens) = piece.logprobs.and_then(read_logprobs).filter(|tokens| !tokens.is_empty()) {
            events.push(Event::Logprobs { choice: self.index, tokens });
        }
        match piece.finish_reason.filter(|reason| !reason.is_empty()) {
            Some(reason) => self.finish(Some(&reason), piece.stop_reason.as_ref(), events),
            None => Ok(()),
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) -> Result<(), BadReply> {
        self.finish(None, None, events)
    }
}

impl ChoiceState {
    fn take_delta(&mut self, mut delta: wire::Message, events: &mut Vec<Event>) -> Result<(), BadReply> {
        let calls = delta.tool_calls.take().unwrap_or_default();
        let function = delta.function_call.take();
        if says_something(&delta) && (!self.late.is_empty() || self.is_calling()) {
            self.late.push(delta);
        } else {
            self.say(delta, events)?;
        }
        for call in calls {
            self.take_call(call, events);
        }
        if let Some(function) = function {
            // The deprecated form has one call, and no id.
            let call =
                wire::ToolCall { index: Some(0), function: Some(function), ..wire::ToolCall::default() };
            self.take_call(call, events);
        }
        Ok(())
    }

    /// Some call is not whole yet.
    fn is_calling(&self) -> bool {
        self.calls.iter().any(|call| match call.part {
            CallPart::Waiting => true,
            CallPart::Open(_) => !call.is_whole(),
            CallPart::Closed => false,
        })
    }

    /// Tells all of a delta but its calls.
    fn say(&mut self, delta: wire::Message, events: &mut Vec<Event>) -> Result<(), BadReply> {
        self.take_reasoning(&delta, events);
        match delta.content {
            Some(wire::Content::Text(text)) => self.take_text(PartStart::Text, text, events),
            Some(wire::Content::Parts(parts)) => {
                for part in parts {
                    match media::read_part(part).map_err(|error| BadReply::new(error.to_string()))? {
                        Part::Text(text) => self.take_text(PartStart::Text, text.text, events),
                        Part::Reasoning(reasoning) => self.think(reasoning.text, events),
                        part => self.whole(part, events),
                    }
                }
            }
            None => {}
        }
        for annotation in delta.annotations.unwrap_or_default() {
            let part = self.open(PartStart::Text, events);
            self.delta(part, Delta::Citation(message::read_annotation(annotation)), events);
        }
        if let Some(refusal) = delta.refusal {
            self.take_text(PartStart::Refusal, refusal, events);
        }
        for image in delta.images.unwrap_or_default() {
            let part = media::read_part(image).map_err(|error| BadReply::new(error.to_string()))?;
            self.whole(part, events);
        }
        if let Some(audio) = delta.audio {
            self.take_audio(audio, events);
        }
        Ok(())
    }

    fn delta(&self, part: u32, delta: Delta, events: &mut Vec<Event>) {
        events.push(Event::Delta { choice: self.index, part, delta });
    }

    fn begin(&mut self, start: PartStart, events: &mut Vec<Event>) -> u32 {
        let part = self.next_part;
        self.next_part += 1;
        events.push(Event::PartStart { choice: self.index, part, start });
        part
    }

    fn stop(&self, part: u32, events: &mut Vec<Event>) {
        events.push(Event::PartStop { choice: self.index, part });
    }

    /// The open part of this kind; another one is closed.
    fn open(&mut self, start: PartStart, events: &mut Vec<Event>) -> u32 {
        let kind = discriminant(&start);
        if let Some((open, part)) = self.open
            && open == kind
        {
            return part;
        }
        self.close(events);
        self.close_calls(events);
        let part = self.begin(start, events);
        self.open = Some((kind, part));
        part
    }

    fn is_thinking(&self) -> bool {
        self.open.is_some_and(|(kind, _)| kind == discriminant(&THOUGHT))
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        let thought = self.is_thinking();
        let Some((_, part)) = self.open.take() else { return };
        if thought && let Some(seal) = message::seal_of_details(&std::mem::take(&mut self.details)) {
            self.delta(part, Delta::Seal(seal), events);
        }
        self.stop(part, events);
    }

    fn whole(&mut self, part: Part, events: &mut Vec<Event>) {
        self.close(events);
        self.close_calls(events);
        let part = self.begin(PartStart::Whole(part), events);
        self.stop(part, events);
    }

    fn take_text(&mut self, start: PartStart, text: String, events: &mut Vec<Event>) {
        if !text.is_empty() {
            let part = self.open(start, events);
            self.delta(part, Delta::Text(text), events);
        }
    }

    fn think(&mut self, text: String, events: &mut Vec<Event>) {
        if !text.is_empty() {
            let part = self.open(THOUGHT, events);
            self.delta(part, Delta::Thinking(text), events);
        }
    }

    fn take_reasoning(&mut self, delta: &wire::Message, events: &mut Vec<Event>) {
        let blocks = delta.thinking_blocks.as_deref().unwrap_or_default();
        let details = delta.reasoning_details.as_deref().unwrap_or_default();
        // The last block of a part may repeat its text beside the signature.
        let thinking = self.is_thinking();
        let fresh = |block: &&wire::ThinkingBlock| !thinking || block.signature.is_none();
        let text = match delta.reasoning_content.as_ref().or(delta.reasoning.as_ref()) {
            Some(text) => text.clone(),
            None if !blocks.is_empty() => {
                blocks.iter().filter(fresh).filter_map(|block| block.thinking.as_deref()).collect()
            }
            None => details.iter().filter_map(message::detail_text).collect(),
        };
        self.think(text, events);
        for block in blocks {
            let Reasoning { seal: Some(seal), .. } = message::read_thinking_block(block) else { continue };
            if block.kind == "redacted_thinking" {
                let redacted = Reasoning { seal: Some(seal), ..Reasoning::default() };
                self.whole(Part::Reasoning(redacted), events);
            } else {
                let part = self.open(THOUGHT, events);
                self.delta(part, Delta::Seal(seal), events);
            }
        }
        if details.is_empty() {
            return;
        }
        if self.is_thinking() {
            for detail in details {
                merge_detail(&mut self.details, detail);
            }
        } else if let Some(seal) = message::seal_of_details(details) {
            let reasoning = Reasoning { seal: Some(seal), ..Reasoning::default() };
            self.whole(Part::Reasoning(reasoning), events);
        }
    }

    fn take_audio(&mut self, audio: wire::Audio, events: &mut Vec<Event>) {
        let part = self.open(PartStart::Audio { id: audio.id }, events);
        if let Some(data) = audio.data.filter(|data| !data.is_empty()) {
            self.delta(part, Delta::AudioData(data), events);
        }
        if let Some(transcript) = audio.transcript.filter(|text| !text.is_empty()) {
            self.delta(part, Delta::AudioTranscript(transcript), events);
        }
    }

    fn take_call(&mut self, piece: wire::ToolCall, events: &mut Vec<Event>) {
        self.close(events);
        let seal = message::tool_call_seal(&piece);
        let (kind, name, arguments) = match (piece.function, piece.custom) {
            (_, Some(custom)) => (ToolCallKind::Custom, custom.name, custom.input),
            (function, None) => {
                let function = function.unwrap_or_default();
                (ToolCallKind::Function, function.name, function.arguments)
            }
        };
        let id = piece.id.filter(|id| !id.is_empty());
        let place = match self.find_call(piece.index, id.as_deref()) {
            Some(place) => place,
            None => {
                self.close_complete_calls(events);
                self.calls.push(Call {
                    index: piece.index,
                    id: None,
                    kind,
                    name: String::new(),
                    arguments: String::new(),
                    seal: None,
                    part: CallPart::Waiting,
                });
                self.calls.len() - 1
            }
        };
        let Some(call) = self.calls.get_mut(place) else { return };
        if call.id.is_none() {
            call.id = id;
        }
        if let Some(name) = name
            && call.part == CallPart::Waiting
        {
            call.name.push_str(&name);
        }
        let arguments = arguments.unwrap_or_default();
        call.arguments.push_str(&arguments);
        match call.part {
            CallPart::Open(part) => {
                if !arguments.is_empty() {
                    self.delta(part, Delta::Arguments(arguments), events);
                }
                if let Some(seal) = seal {
                    self.delta(part, Delta::Seal(seal), events);
                }
            }
            CallPart::Waiting => {
                call.seal = seal.or(call.seal.take());
                if !call.name.is_empty() {
                    self.start_call(place, events);
                }
            }
            CallPart::Closed => {}
        }
    }

    /// The call that a piece continues. Some servers leave the index out, or give every call the same; then a new id
    /// begins a new call.
    fn find_call(&self, index: Option<u64>, id: Option<&str>) -> Option<usize> {
        let place = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index),
            None if id.is_some() => self.calls.iter().rposition(|call| call.id.as_deref() == id),
            None => self.calls.len().checked_sub(1),
        }?;
        let known = self.calls.get(place)?.id.as_deref();
        let same = id.is_none() || known.is_none() || known == id;
        same.then_some(place)
    }

    fn start_call(&mut self, place: usize, events: &mut Vec<Event>) {
        let part = self.next_part;
        let seed = &self.seed;
        let Some(call) = self.calls.get_mut(place) else { return };
        self.next_part += 1;
        let (id, id_seal) = match &call.id {
            Some(id) => message::split_id(id),
            None if self.index == 0 => (format!("call_{seed}_{place}"), None),
            None => (format!("call_{seed}_{}_{place}", self.index), None),
        };
        call.part = CallPart::Open(part);
        let start = PartStart::ToolCall { id, name: call.name.clone(), kind: call.kind, extra: Extra::new() };
        let seal = call.seal.take().or(id_seal);
        let arguments = call.arguments.clone();
        events.push(Event::PartStart { choice: self.index, part, start });
        if !arguments.is_empty() {
            self.delta(part, Delta::Arguments(arguments), events);
        }
        if let Some(seal) = seal {
            self.delta(part, Delta::Seal(seal), events);
        }
    }

    /// Another call begins: those whose arguments are whole are done. The rest may go on, should pieces of several
    /// calls come by turns.
    fn close_complete_calls(&mut self, events: &mut Vec<Event>) {
        for place in 0..self.calls.len() {
            let Some(call) = self.calls.get_mut(place) else { continue };
            let CallPart::Open(part) = call.part else { continue };
            if call.is_whole() {
                call.part = CallPart::Closed;
                self.stop(part, events);
            }
        }
    }

    fn close_calls(&mut self, events: &mut Vec<Event>) {
        for place in 0..self.calls.len() {
            let Some(call) = self.calls.get_mut(place) else { continue };
            if let CallPart::Open(part) = call.part {
                call.part = CallPart::Closed;
                self.stop(part, events);
            }
        }
    }

    fn finish(
        &mut self,
        reason: Option<&str>,
        sequence: Option<&Value>,
        events: &mut Vec<Event>,
    ) -> Result<(), BadReply> {
        self.close(events);
        for place in 0..self.calls.len() {
            if self.calls.get(place).is_some_and(|call| call.part == CallPart::Waiting) {
                self.start_call(place, events);
            }
        }
        self.close_calls(events);
        for delta in std::mem::take(&mut self.late) {
            self.say(delta, events)?;
        }
        self.close(events);
        self.finished = true;
        let reason = read_stop(reason, sequence, !self.calls.is_empty());
        events.push(Event::Finish { choice: self.index, reason });
        Ok(())
    }
}

impl Call {
    /// Nothing more need come: the arguments are JSON. Where free text ends cannot be seen.
    fn is_whole(&self) -> bool {
        self.kind == ToolCallKind::Custom
            || serde_json::from_str::<serde::de::IgnoredAny>(&self.arguments).is_ok()
    }
}

/// Whether a delta tells something beside calls.
fn says_something(delta: &wire::Message) -> bool {
    let content = match &delta.content {
        Some(wire::Content::Text(text)) => !text.is_empty(),
        Some(wire::Content::Parts(parts)) => !parts.is_empty(),
        None => false,
    };
    let texts = [&delta.refusal, &delta.reasoning_content, &delta.reasoning];
    content
        || texts.into_iter().flatten().any(|text| !text.is_empty())
        || delta.reasoning_details.as_ref().is_some_and(|details| !details.is_empty())
        || delta.thinking_blocks.as_ref().is_some_and(|blocks| !blocks.is_empty())
        || delta.annotations.as_ref().is_some_and(|annotations| !annotations.is_empty())
        || delta.images.as_ref().is_some_and(|images| !images.is_empty())
        || delta.audio.is_some()
}

/// Adds a piece to the entry with its `type` and `index`: texts grow, other fields are replaced.
fn merge_detail(details: &mut Vec<Extra>, piece: &Extra) {
    let key = |detail: &Extra| (detail.get("type").cloned(), detail.get("index").cloned());
    let Some(detail) = details.iter_mut().find(|detail| key(detail) == key(piece)) else {
        details.push(piece.clone());
        return;
    };
    for (name, value) in piece {
        match (detail.get_mut(name), value) {
            (_, Value::Null) => {}
            (Some(Value::String(text)), Value::String(more))
                if matches!(name.as_str(), "text" | "summary" | "data") =>
            {
                text.push_str(more);
            }
            _ => {
                detail.insert(name.clone(), value.clone());
            }
        }
    }
}
