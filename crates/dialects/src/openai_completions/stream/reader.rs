//! Reads the choices of a provider's stream. Each is one text.

use serde_json::Value;

use super::super::response::read_logprobs;
use super::super::wire;
use crate::conversation::{Delta, Event, PartStart};
use crate::error::BadReply;
use crate::openai_chat::response::read_stop;
use crate::openai_stream::{self, Choice};

pub(in super::super) type Reader = openai_stream::Reader<ChoiceState>;

/// What has been read of a choice.
#[derive(Debug)]
pub(in super::super) struct ChoiceState {
    index: u32,
    open: bool,
    finished: bool,
}

impl Choice for ChoiceState {
    type Piece = wire::Choice;

    const ANSWER: &'static str = "text completion";

    fn new(index: u32, _seed: &str) -> Self {
        Self { index, open: false, finished: false }
    }

    fn index_of(piece: &wire::Choice) -> Option<u32> {
        piece.index
    }

    fn index(&self) -> u32 {
        self.index
    }

    fn is_finished(&self) -> bool {
        self.finished
    }

    fn take(&mut self, piece: wire::Choice, events: &mut Vec<Event>) -> Result<(), BadReply> {
        if let Some(text) = piece.text.filter(|text| !text.is_empty()) {
            if !self.open {
                self.open = true;
                events.push(Event::PartStart { choice: self.index, part: 0, start: PartStart::Text });
            }
            events.push(Event::Delta { choice: self.index, part: 0, delta: Delta::Text(text) });
        }
        if let Some(tokens) = piece.logprobs.map(read_logprobs).filter(|tokens| !tokens.is_empty()) {
            events.push(Event::Logprobs { choice: self.index, tokens });
        }
        if let Some(reason) = piece.finish_reason.filter(|reason| !reason.is_empty()) {
            self.finish(Some(&reason), piece.stop_reason.as_ref(), events);
        }
        Ok(())
    }

    fn end(&mut self, events: &mut Vec<Event>) -> Result<(), BadReply> {
        self.finish(None, None, events);
        Ok(())
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
