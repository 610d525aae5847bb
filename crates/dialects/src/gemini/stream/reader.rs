//! A stream of Gemini's.

use serde_json::Value;

use crate::codec::StreamReader;
use crate::conversation::{Delta, Event, Extra, Part, PartStart, Seal, StopReason, Usage};
use crate::error::BadReply;
use crate::framing::sse::SseReader;
use crate::gemini::{error, finish, grounding, part, response, wire};

#[derive(Debug)]
pub(in crate::gemini) struct Reader {
    sse: SseReader,
    state: State,
}

impl Reader {
    pub(in crate::gemini) fn new(seed: &str) -> Self {
        Self { sse: SseReader::default(), state: State { seed: seed.to_owned(), ..State::default() } }
    }
}

impl StreamReader for Reader {
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), BadReply> {
        self.sse.push(bytes)?;
        while let Some(event) = self.sse.next_event()? {
            self.state.chunk(event.data, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), BadReply> {
        if let Some(event) = self.sse.finish()? {
            self.state.chunk(event.data, events)?;
        }
        self.state.end(events)
    }
}

/// What is known of the answer so far.
#[derive(Debug, Default)]
struct State {
    seed: String,
    started: bool,
    failed: bool,
    blocked: bool,
    /// Function calls that came without an id.
    unnamed_calls: u32,
    choices: Vec<ChoiceState>,
    usage: Option<Usage>,
    searches: u64,
}

#[derive(Debug, Default)]
struct ChoiceState {
    index: u32,
    parts: u32,
    open: Option<Open>,
    called: bool,
    /// Held back until the stream ends: Google may repeat it, and may send parts after it.
    finish: Option<String>,
}

/// The text or thinking that is being received.
#[derive(Debug)]
struct Open {
    part: u32,
    thinking: bool,
    sealed: bool,
    /// Kept since grounding counts bytes where citations count characters.
    text: String,
}

/// One event's JSON: an answer, or an error, which may stand in an array.
fn parse(data: &str) -> Result<wire::Response, BadReply> {
    serde_json::from_str(data).or_else(|error| match serde_json::from_str::<Vec<wire::Response>>(data) {
        Ok(mut list) if list.len() == 1 => Ok(list.pop().unwrap_or_default()),
        _ => Err(BadReply::new(format!("an event of the stream is not an answer of Gemini: {error}"))),
    })
}

impl State {
    fn chunk(&mut self, data: &str, events: &mut Vec<Event>) -> Result<(), BadReply> {
        if self.failed {
            return Ok(());
        }
        let chunk = parse(data)?;
        if let Some(failure) = chunk.error {
            self.failed = true;
            events.push(Event::Error(error::read_object(&failure)));
            return Ok(());
        }
        if !self.started {
            self.started = true;
            events.push(Event::Start {
                id: chunk.response_id,
                model: chunk.model_version,
                created: None,
                extra: Extra::new(),
            });
        }
        self.blocked |= chunk.prompt_feedback.as_ref().and_then(response::block_reason).is_some();
        for (position, candidate) in chunk.candidates.into_iter().enumerate() {
            let index = candidate.index.unwrap_or_else(|| u32::try_from(position).unwrap_or(u32::MAX));
            self.candidate(index, candidate, events);
        }
        if let Some(metadata) = chunk.usage_metadata {
            self.usage(metadata, events);
        }
        Ok(())
    }

    fn candidate(&mut self, index: u32, candidate: wire::Candidate, events: &mut Vec<Event>) {
        let at = self.choices.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
            self.choices.push(ChoiceState { index, ..ChoiceState::default() });
            self.choices.len() - 1
        });
        let Some(choice) = self.choices.get_mut(at) else { return };
        for wire in candidate.content.map(|content| content.parts).unwrap_or_default() {
            let part = part::read(wire, || {
                self.unnamed_calls += 1;
                response::call_id(&self.seed, self.unnamed_calls - 1)
            });
            choice.part(part, events);
        }
        if let Some(metadata) = candidate.grounding_metadata {
            self.searches = self.searches.saturating_add(choice.grounding(&metadata, events));
        }
        if let Some(result) = candidate.logprobs_result {
            let tokens = response::read_logprobs(result);
            events.push(Event::Logprobs { choice: index, tokens });
        }
        if candidate.finish_reason.is_some() {
            choice.finish = candidate.finish_reason;
        }
    }

    fn usage(&mut self, metadata: Value, events: &mut Vec<Event>) {
        let usage = response::read_usage(metadata, self.searches);
        if self.usage.as_ref() != Some(&usage) {
            events.push(Event::Usage(usage.clone()));
            self.usage = Some(usage);
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) -> Result<(), BadReply> {
        if self.failed {
            return Ok(());
        }
        if self.choices.is_empty() && self.blocked {
            events.push(Event::Finish { choice: 0, reason: StopReason::ContentFilter });
            events.push(Event::End);
            return Ok(());
        }
        if self.choices.is_empty() || self.choices.iter().any(|choice| choice.finish.is_none()) {
            return Err(BadReply::new("the stream broke off before a `finishReason`"));
        }
        for choice in &mut self.choices {
            choice.close(events);
            let word = choice.finish.take().unwrap_or_default();
            events.push(Event::Finish { choice: choice.index, reason: finish::read(&word, choice.called) });
        }
        events.push(Event::End);
        Ok(())
    }
}

impl ChoiceState {
    fn part(&mut self, part: Part, events: &mut Vec<Event>) {
        match part {
            part if response::is_void(&part) => {}
            Part::Text(text) => self.text(false, text.text, text.seal, events),
            Part::Reasoning(reasoning) => self.text(true, reasoning.text, reasoning.seal, events),
            Part::ToolCall(call) => {
                self.called = true;
                let number = self.begin(
                    PartStart::ToolCall { id: call.id, name: call.name, kind: call.kind, extra: call.extra },
                    events,
                );
                let delta = |delta| Event::Delta { choice: self.index, part: number, delta };
                // The seal first: some writers have no place for it behind the call's beginning.
                events.extend(call.seal.map(|seal| delta(Delta::Seal(seal))));
                events.push(delta(Delta::Arguments(call.arguments)));
                events.push(Event::PartStop { choice: self.index, part: number });
            }
            whole => {
                let number = self.begin(PartStart::Whole(whole), events);
                events.push(Event::PartStop { choice: self.index, part: number });
            }
        }
    }

    fn text(&mut self, thinking: bool, text: String, seal: Option<Seal>, events: &mut Vec<Event>) {
        let continues = self.open.as_ref().is_some_and(|open| open.thinking == thinking && !open.sealed);
        if !continues {
            let start = if thinking { PartStart::Reasoning { id: None } } else { PartStart::Text };
            let part = self.begin(start, events);
            self.open = Some(Open { part, thinking, sealed: false, text: String::new() });
        }
        let Some(open) = &mut self.open else { return };
        let (choice, part) = (self.index, open.part);
        if !text.is_empty() {
            if !thinking {
                open.text.push_str(&text);
            }
            let delta = if thinking { Delta::Thinking(text) } else { Delta::Text(text) };
            events.push(Event::Delta { choice, part, delta });
        }
        if let Some(seal) = seal {
            open.sealed = true;
            events.push(Event::Delta { choice, part, delta: Delta::Seal(seal) });
        }
    }

    /// Citations of the text that is open; those of texts that are closed come too late.
    fn grounding(&self, metadata: &Value, events: &mut Vec<Event>) -> u64 {
        let open = self.open.as_ref().filter(|open| !open.thinking);
        let found = grounding::read(metadata, |_| open.map(|open| (0, open.text.as_str())));
        if let Some(open) = open {
            events.extend(found.citations.into_iter().map(|(_, citation)| Event::Delta {
                choice: self.index,
                part: open.part,
                delta: Delta::Citation(citation),
            }));
        }
        found.searches
    }

    fn begin(&mut self, start: PartStart, events: &mut Vec<Event>) -> u32 {
        self.close(events);
        let part = self.parts;
        self.parts += 1;
        events.push(Event::PartStart { choice: self.index, part, start });
        part
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if let Some(open) = self.open.take() {
            events.push(Event::PartStop { choice: self.index, part: open.part });
        }
    }
}
