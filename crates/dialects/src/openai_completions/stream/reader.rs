//! Reads a provider's stream. Each choice is one text.

use serde_json::Value;

use super::super::response::read_logprobs;
use super::super::wire;
use crate::codec::StreamReader;
use crate::conversation::{Delta, Event, Extra, PartStart};
use crate::error::BadReply;
use crate::framing::sse::{SseEvent, SseReader};
use crate::openai_chat::relay::DONE;
use crate::openai_chat::response::{read_created, read_stop};
use crate::openai_chat::usage;
use crate::openai_error;

/// See [`Codec::stream_reader`](crate::codec::Codec::stream_reader).
#[derive(Debug, Default)]
pub(in super::super) struct Reader {
    sse: SseReader,
    answer: Answer,
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
        if !self.answer.choices.iter().any(|choice| choice.finished) {
            return Err(BadReply::new("the stream broke off before a `finish_reason` or `[DONE]`"));
        }
        self.answer.end(events);
        Ok(())
    }
}

/// What has been read of the answer.
#[derive(Debug, Default)]
struct Answer {
    started: bool,
    /// Nothing follows any more.
    over: bool,
    choices: Vec<ChoiceState>,
}

#[derive(Clone, Copy, Debug)]
struct ChoiceState {
    index: u32,
    open: bool,
    finished: bool,
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
        let chunk: wire::Answer = serde_json::from_str(data)
            .map_err(|error| BadReply::new(format!("not a chunk of a text completion: {error}")))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            self.over = true;
            events.push(Event::Error(openai_error::read_event(&error)));
            return Ok(());
        }
        if !self.started {
            self.started = true;
            events.push(Event::Start {
                id: chunk.id.filter(|id| !id.is_empty()),
                model: chunk.model.filter(|model| !model.is_empty()),
                created: chunk.created.as_ref().and_then(read_created),
                extra: Extra::new(),
            });
        }
        for choice in chunk.choices.unwrap_or_default() {
            self.take_choice(choice, events);
        }
        if let Some(counts) = chunk.usage.filter(Value::is_object) {
            events.push(Event::Usage(usage::read(&counts)));
        }
        Ok(())
    }

    fn take_choice(&mut self, choice: wire::Choice, events: &mut Vec<Event>) {
        let index = choice.index.unwrap_or(0);
        let place = match self.choices.iter().position(|state| state.index == index) {
            Some(place) => place,
            None => {
                self.choices.push(ChoiceState { index, open: false, finished: false });
                self.choices.len() - 1
            }
        };
        let Some(state) = self.choices.get_mut(place).filter(|state| !state.finished) else { return };
        if let Some(text) = choice.text.filter(|text| !text.is_empty()) {
            if !state.open {
                state.open = true;
                events.push(Event::PartStart { choice: index, part: 0, start: PartStart::Text });
            }
            events.push(Event::Delta { choice: index, part: 0, delta: Delta::Text(text) });
        }
        if let Some(tokens) = choice.logprobs.map(read_logprobs).filter(|tokens| !tokens.is_empty()) {
            events.push(Event::Logprobs { choice: index, tokens });
        }
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            state.finish(Some(&reason), choice.stop_reason.as_ref(), events);
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            events.push(Event::Start { id: None, model: None, created: None, extra: Extra::new() });
        }
        for state in self.choices.iter_mut().filter(|state| !state.finished) {
            state.finish(None, None, events);
        }
        self.over = true;
        events.push(Event::End);
    }
}

impl ChoiceState {
    fn finish(&mut self, reason: Option<&str>, sequence: Option<&Value>, events: &mut Vec<Event>) {
        if self.open {
            events.push(Event::PartStop { choice: self.index, part: 0 });
        }
        self.finished = true;
        let reason = read_stop(reason, sequence, false);
        events.push(Event::Finish { choice: self.index, reason });
    }
}
