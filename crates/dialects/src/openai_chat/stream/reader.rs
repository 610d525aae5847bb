//! Reads a provider's stream. The dialect has no marks where a part begins or ends: they are put in here.

use serde_json::Value;

use super::super::relay::DONE;
use super::super::response::{read_created, read_logprobs, read_stop};
use super::super::{media, message, usage, wire};
use crate::codec::StreamReader;
use crate::conversation::{Delta, Event, Extra, Part, PartStart, Reasoning, Seal, ToolCallKind};
use crate::error::BadReply;
use crate::framing::sse::{SseEvent, SseReader};
use crate::openai_error;

/// See [`Codec::stream_reader`](crate::codec::Codec::stream_reader).
#[derive(Debug)]
pub(in super::super) struct Reader {
    sse: SseReader,
    answer: Answer,
}

impl Reader {
    pub(in super::super) fn new(seed: &str) -> Self {
        let answer = Answer {
            seed: seed.to_owned(),
            started: false,
            finished: false,
            over: false,
            choices: Vec::new(),
        };
        Self { sse: SseReader::default(), answer }
    }
}

impl StreamReader for Reader {
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), BadReply> {
        self.sse.push(bytes)?;
        while let Some(event) = self.sse.next_event()? {
            self.answer.take(event, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), BadReply> {
        if let Some(event) = self.sse.finish()? {
            self.answer.take(event, events)?;
        }
        if self.answer.over {
            return Ok(());
        }
        if !self.answer.finished {
            return Err(BadReply::new("the stream broke off before a `finish_reason` or `[DONE]`"));
        }
        self.answer.end(events);
        Ok(())
    }
}

/// What has been read of the answer.
#[derive(Debug)]
struct Answer {
    seed: String,
    started: bool,
    /// Some choice has ended.
    finished: bool,
    /// Nothing follows any more.
    over: bool,
    choices: Vec<ChoiceState>,
}

impl Answer {
    fn take(&mut self, event: SseEvent<'_>, events: &mut Vec<Event>) -> Result<(), BadReply> {
        let data = event.data.trim();
        if self.over || data.is_empty() {
            return Ok(());
        }
        if data == DONE {
            self.end(events);
            return Ok(());
        }
        let chunk: wire::Chunk = serde_json::from_str(data)
            .map_err(|error| BadReply::new(format!("not a chunk of a chat completion: {error}")))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            self.over = true;
            events.push(Event::Error(openai_error::read_event(&error)));
            return Ok(());
        }
        let choices = chunk.choices.unwrap_or_default();
        // Azure's first event has neither id nor model, and nothing that is carried.
        let blank = choices.is_empty() && chunk.id.as_deref().is_none_or(str::is_empty);
        if !self.started && !blank {
            self.started = true;
            events.push(Event::Start {
                id: chunk.id.filter(|id| !id.is_empty()),
                model: chunk.model.filter(|model| !model.is_empty()),
                created: chunk.created.as_ref().and_then(read_created).filter(|created| *created > 0),
                extra: Extra::new(),
            });
        }
        for choice in choices {
            self.take_choice(choice, events)?;
        }
        let counts = chunk.usage.or_else(|| chunk.x_groq.and_then(|groq| groq.usage));
        if let Some(counts) = counts.filter(Value::is_object) {
            self.start(events);
            events.push(Event::Usage(usage::read(&counts)));
        }
        Ok(())
    }

    fn start(&mut self, events: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            events.push(Event::Start { id: None, model: None, created: None, extra: Extra::new() });
        }
    }

    fn take_choice(&mut self, choice: wire::ChunkChoice, events: &mut Vec<Event>) -> Result<(), BadReply> {
        let index = choice.index.unwrap_or(0);
        let place = match self.choices.iter().position(|state| state.index == index) {
            Some(place) => place,
            None => {
                self.choices.push(ChoiceState::new(index));
                self.choices.len() - 1
            }
        };
        let Some(state) = self.choices.get_mut(place) else { return Ok(()) };
        if state.finished {
            return Ok(());
        }
        if let Some(delta) = choice.delta {
            state.take(delta, &self.seed, events)?;
        }
        if let Some(tokens) = choice.logprobs.and_then(read_logprobs).filter(|tokens| !tokens.is_empty()) {
            events.push(Event::Logprobs { choice: index, tokens });
        }
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            self.finished = true;
            state.finish(Some(&reason), choice.stop_reason.as_ref(), &self.seed, events);
        }
        Ok(())
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        self.start(events);
        for state in &mut self.choices {
            if !state.finished {
                state.finish(None, None, &self.seed, events);
            }
        }
        self.over = true;
        events.push(Event::End);
    }
}

/// The part that text-like deltas continue. Tool calls stand beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Reasoning,
    Audio,
}

#[derive(Debug)]
struct ChoiceState {
    index: u32,
    next_part: u32,
    open: Option<(Kind, u32)>,
    calls: Vec<Call>,
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

impl ChoiceState {
    fn new(index: u32) -> Self {
        Self { index, next_part: 0, open: None, calls: Vec::new(), details: Vec::new(), finished: false }
    }

    fn take(&mut self, delta: wire::Message, seed: &str, events: &mut Vec<Event>) -> Result<(), BadReply> {
        self.take_reasoning(&delta, events);
        match delta.content {
            Some(wire::Content::Text(text)) => self.take_text(Kind::Text, text, events),
            Some(wire::Content::Parts(parts)) => {
                for part in parts {
                    match media::read_part(part).map_err(|error| BadReply::new(error.to_string()))? {
                        Part::Text(text) => self.take_text(Kind::Text, text.text, events),
                        Part::Reasoning(reasoning) => self.think(reasoning.text, events),
                        part => self.whole(part, events),
                    }
                }
            }
            None => {}
        }
        for annotation in delta.annotations.unwrap_or_default() {
            let part = self.open(Kind::Text, events);
            self.delta(part, Delta::Citation(message::read_annotation(annotation)), events);
        }
        if let Some(refusal) = delta.refusal {
            self.take_text(Kind::Refusal, refusal, events);
        }
        for image in delta.images.unwrap_or_default() {
            let part = media::read_part(image).map_err(|error| BadReply::new(error.to_string()))?;
            self.whole(part, events);
        }
        if let Some(audio) = delta.audio {
            self.take_audio(audio, events);
        }
        for call in delta.tool_calls.unwrap_or_default() {
            self.take_call(call, seed, events);
        }
        if let Some(function) = delta.function_call {
            // The deprecated form has one call, and no id.
            let call =
                wire::ToolCall { index: Some(0), function: Some(function), ..wire::ToolCall::default() };
            self.take_call(call, seed, events);
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
    fn open(&mut self, kind: Kind, events: &mut Vec<Event>) -> u32 {
        if let Some((open, part)) = self.open
            && open == kind
        {
            return part;
        }
        self.close(events);
        self.close_calls(events);
        let start = match kind {
            Kind::Text => PartStart::Text,
            Kind::Refusal => PartStart::Refusal,
            Kind::Reasoning => PartStart::Reasoning { id: None },
            Kind::Audio => PartStart::Audio { id: None },
        };
        let part = self.begin(start, events);
        self.open = Some((kind, part));
        part
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        let Some((kind, part)) = self.open.take() else { return };
        if kind == Kind::Reasoning
            && let Some(seal) = message::seal_of_details(&std::mem::take(&mut self.details))
        {
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

    fn take_text(&mut self, kind: Kind, text: String, events: &mut Vec<Event>) {
        if !text.is_empty() {
            let part = self.open(kind, events);
            self.delta(part, Delta::Text(text), events);
        }
    }

    fn think(&mut self, text: String, events: &mut Vec<Event>) {
        if !text.is_empty() {
            let part = self.open(Kind::Reasoning, events);
            self.delta(part, Delta::Thinking(text), events);
        }
    }

    fn take_reasoning(&mut self, delta: &wire::Message, events: &mut Vec<Event>) {
        let blocks = delta.thinking_blocks.as_deref().unwrap_or_default();
        let details = delta.reasoning_details.as_deref().unwrap_or_default();
        // The last block of a part may repeat its text beside the signature.
        let thinking = self.open.is_some_and(|(kind, _)| kind == Kind::Reasoning);
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
                let part = self.open(Kind::Reasoning, events);
                self.delta(part, Delta::Seal(seal), events);
            }
        }
        if details.is_empty() {
            return;
        }
        if self.open.is_some_and(|(kind, _)| kind == Kind::Reasoning) {
            for detail in details {
                merge_detail(&mut self.details, detail);
            }
        } else if let Some(seal) = message::seal_of_details(details) {
            let reasoning = Reasoning { seal: Some(seal), ..Reasoning::default() };
            self.whole(Part::Reasoning(reasoning), events);
        }
    }

    fn take_audio(&mut self, audio: wire::Audio, events: &mut Vec<Event>) {
        let part = match self.open {
            Some((Kind::Audio, part)) => part,
            _ => {
                self.close(events);
                self.close_calls(events);
                let part = self.begin(PartStart::Audio { id: audio.id }, events);
                self.open = Some((Kind::Audio, part));
                part
            }
        };
        if let Some(data) = audio.data.filter(|data| !data.is_empty()) {
            self.delta(part, Delta::AudioData(data), events);
        }
        if let Some(transcript) = audio.transcript.filter(|text| !text.is_empty()) {
            self.delta(part, Delta::AudioTranscript(transcript), events);
        }
    }

    fn take_call(&mut self, piece: wire::ToolCall, seed: &str, events: &mut Vec<Event>) {
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
        let number = place;
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
                    self.start_call(number, seed, events);
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

    fn start_call(&mut self, place: usize, seed: &str, events: &mut Vec<Event>) {
        let part = self.next_part;
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
            let whole = call.kind == ToolCallKind::Custom
                || serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments).is_ok();
            if whole {
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
        seed: &str,
        events: &mut Vec<Event>,
    ) {
        self.close(events);
        for place in 0..self.calls.len() {
            if self.calls.get(place).is_some_and(|call| call.part == CallPart::Waiting) {
                self.start_call(place, seed, events);
            }
        }
        self.close_calls(events);
        self.finished = true;
        let reason = read_stop(reason, sequence, !self.calls.is_empty());
        events.push(Event::Finish { choice: self.index, reason });
    }
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
