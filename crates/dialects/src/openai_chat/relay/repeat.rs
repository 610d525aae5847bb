//! Events that say the same as the one before in other words: nearly all of a stream.
//!
//! What decides about such an event is known from the last one, so only the words are looked at. That takes a quarter of
//! what walking through every field takes.

use super::{Edits, Look, is_text, text_len};
use crate::json::scan::Scan;
use crate::openai_chat::usage::Shares;

/// The last event of a stream, if others may be like it.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    pieces: Vec<Piece>,
    /// What the event says beside the words that change.
    fixed: Shares,
    /// Events in a row that were like none before. Where all differ nothing is learned any more.
    misses: u8,
}

/// A part of the event that is the same in each, and the text behind it that is not.
#[derive(Debug)]
struct Piece {
    came: String,
    goes: String,
    hole: Option<Hole>,
}

/// A text that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hole {
    Words,
    Thinking,
    /// OpenAI's `obfuscation`, which hides the length of the words.
    Padding,
}

const MAX_MISSES: u8 = 8;

impl Repeats {
    /// Appends to `out` what `data` comes to, if it differs from the last event in its words alone, and tells how much
    /// it says. Otherwise `out` is left with anything.
    pub(super) fn pass(&self, data: &str, out: &mut Vec<u8>) -> Option<Shares> {
        let mut shares = self.fixed;
        let mut rest = data;
        for piece in &self.pieces {
            rest = rest.strip_prefix(piece.came.as_str())?;
            out.extend_from_slice(piece.goes.as_bytes());
            let Some(hole) = piece.hole else { break };
            let text = Scan::of(rest).value().ok().filter(|text| is_whole_text(rest, text))?;
            out.extend_from_slice(text.as_bytes());
            shares.add(hole.shares(text));
            rest = rest.get(text.len()..)?;
        }
        (!self.pieces.is_empty() && rest.is_empty()).then_some(shares)
    }

    /// An event was like the one before.
    pub(super) fn hit(&mut self) {
        self.misses = 0;
    }

    /// Remembers an event that was not like the one before, if others may be like it. Those that tell something new for
    /// once (a role, usage, the end) are not worth it.
    pub(super) fn learn(&mut self, data: &str, look: &Look<'_>, edits: &Edits<'_, '_>) {
        let choices = &look.choices;
        let is_plain = choices.count == 1
            && !choices.calls_or_shows
            && !choices.finished
            && choices.odd.is_empty()
            && look.usage.is_none()
            && edits.others.is_empty();
        let words = choices.words.filter(|_| is_plain && self.misses < MAX_MISSES);
        let Some(words) = words else { return };
        self.misses += 1;
        let padding = look.padding.filter(|padding| is_text(padding)).map(|padding| (padding, Hole::Padding));
        let mut holes: Vec<(&str, Hole)> = [Some(words), padding].into_iter().flatten().collect();
        holes.sort_by_key(|(text, _)| edits.place(text).start);
        self.fixed = choices.shares.less(words.1.shares(words.0));
        self.pieces.clear();
        let mut from = 0;
        let ends = holes.into_iter().map(|(text, hole)| (edits.place(text), Some(hole)));
        for (place, hole) in ends.chain([(data.len()..data.len(), None)]) {
            let Some(came) = data.get(from..place.start) else { return self.pieces.clear() };
            let goes = edits.written(from..place.start);
            self.pieces.push(Piece { came: came.to_owned(), goes, hole });
            from = place.end;
        }
    }
}

impl Hole {
    fn shares(self, text: &str) -> Shares {
        let bytes = text_len(text) as u64;
        match self {
            Self::Words => Shares { rest: bytes, ..Shares::default() },
            Self::Thinking => Shares { thinking: bytes, ..Shares::default() },
            Self::Padding => Shares::default(),
        }
    }
}

/// Whether a string stands at the very beginning of what was walked over.
fn is_whole_text(rest: &str, text: &str) -> bool {
    rest.starts_with('"') && text.len() >= 2
}
