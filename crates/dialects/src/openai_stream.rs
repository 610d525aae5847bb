//! Reads OpenAI's streams, whose frame chat and text completions share: chunks in JSON, each with pieces of some
//! choices, an `error` in the place of a chunk, `[DONE]` at the end
//! (<https://platform.openai.com/docs/api-reference/chat/streaming>).

use std::fmt::Debug;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::codec::StreamReader;
use crate::conversation::{Event, Extra};
use crate::error::BadReply;
use crate::framing::sse::SseReader;
use crate::json;
use crate::openai_chat::relay::DONE;
use crate::openai_chat::usage;
use crate::openai_error;

/// One of the choices of an answer, put together from its pieces.
pub(crate) trait Choice: Debug + Send {
    /// An entry of a chunk's `choices`.
    type Piece: DeserializeOwned;

    /// What the chunks are of, for messages.
    const ANSWER: &'static str;

    /// `seed` makes ids where the provider gives none.
    fn new(index: u32, seed: &str) -> Self;

    /// Which choice a piece belongs to; the first, if it does not say.
    fn index_of(piece: &Self::Piece) -> Option<u32>;

    fn index(&self) -> u32;

    /// Why it ended has been told. Nothing more is taken then.
    fn is_finished(&self) -> bool;

    /// Appends the events of a piece; those of the choice's end if it says why it ended.
    ///
    /// # Errors
    /// When the piece is not understood.
    fn take(&mut self, piece: Self::Piece, events: &mut Vec<Event>) -> Result<(), BadReply>;

    /// The stream ended properly, and the choice did not say why.
    ///
    /// # Errors
    /// When what was held back is not understood.
    fn end(&mut self, events: &mut Vec<Event>) -> Result<(), BadReply>;
}

/// See [`Codec::stream_reader`](crate::codec::Codec::stream_reader).
#[derive(Debug)]
pub(crate) struct Reader<C> {
    sse: SseReader,
    answer: Answer<C>,
}

impl<C: Choice> Reader<C> {
    pub(crate) fn new(seed: &str) -> Self {
        let answer = Answer { seed: seed.to_owned(), started: false, over: false, choices: Vec::new() };
        Self { sse: SseReader::default(), answer }
    }
}

impl<C: Choice> StreamReader for Reader<C> {
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), BadReply> {
        self.sse.push(bytes)?;
        while let Some(event) = self.sse.next_event()? {
            self.answer.take(event.data, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), BadReply> {
        if let Some(event) = self.sse.finish()? {
            self.answer.take(event.data, events)?;
        }
        if self.answer.over {
            return Ok(());
        }
        if !self.answer.choices.iter().any(C::is_finished) {
            return Err(BadReply::new("the stream broke off before a `finish_reason` or `[DONE]`"));
        }
        self.answer.end(events)
    }
}

#[derive(Deserialize)]
struct Chunk<P> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    created: Option<Value>,
    // Not `default`: that would ask for a default of the choices too.
    choices: Option<Vec<P>>,
    #[serde(default)]
    usage: Option<Value>,
    /// Groq reports usage here.
    #[serde(default)]
    x_groq: Option<GroqFields>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct GroqFields {
    #[serde(default)]
    usage: Option<Value>,
}

/// What has been read of the answer.
#[derive(Debug)]
struct Answer<C> {
    seed: String,
    started: bool,
    /// Nothing follows any more.
    over: bool,
    choices: Vec<C>,
}

impl<C: Choice> Answer<C> {
    fn take(&mut self, data: &str, events: &mut Vec<Event>) -> Result<(), BadReply> {
        let data = data.trim();
        if self.over || data.is_empty() {
            return Ok(());
        }
        if data == DONE {
            return self.end(events);
        }
        let chunk: Chunk<C::Piece> = serde_json::from_str(data)
            .map_err(|error| BadReply::new(format!("not a chunk of a {}: {error}", C::ANSWER)))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            self.over = true;
            events.push(Event::Error(openai_error::read_event(&error)));
            return Ok(());
        }
        let pieces = chunk.choices.unwrap_or_default();
        // Azure's first event has neither id nor model, and nothing that is carried.
        let blank = pieces.is_empty() && chunk.id.as_deref().is_none_or(str::is_empty);
        if !self.started && !blank {
            self.started = true;
            events.push(Event::Start {
                id: chunk.id.filter(|id| !id.is_empty()),
                model: chunk.model.filter(|model| !model.is_empty()),
                created: chunk
                    .created
                    .as_ref()
                    .and_then(Value::as_number)
                    .and_then(json::whole)
                    .filter(|created| *created > 0),
                extra: Extra::new(),
            });
        }
        for piece in pieces {
            self.take_piece(piece, events)?;
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

    fn take_piece(&mut self, piece: C::Piece, events: &mut Vec<Event>) -> Result<(), BadReply> {
        let index = C::index_of(&piece).unwrap_or(0);
        let place = match self.choices.iter().position(|choice| choice.index() == index) {
            Some(place) => place,
            None => {
                self.choices.push(C::new(index, &self.seed));
                self.choices.len() - 1
            }
        };
        match self.choices.get_mut(place).filter(|choice| !choice.is_finished()) {
            Some(choice) => choice.take(piece, events),
            None => Ok(()),
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) -> Result<(), BadReply> {
        self.start(events);
        for choice in self.choices.iter_mut().filter(|choice| !choice.is_finished()) {
            choice.end(events)?;
        }
        self.over = true;
        events.push(Event::End);
        Ok(())
    }
}
