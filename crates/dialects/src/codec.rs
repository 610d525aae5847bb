//! What every dialect can do: the one interface between a dialect's module and the rest of the world.

use std::fmt::Debug;
use std::sync::Arc;

use crate::conversation::{Event, Request, Response};
use crate::document::Document;
use crate::error::{BadReply, CannotSay, ErrorReply, Invalid, ProviderError};
use crate::exchange::{AnswerContext, Header, Observed, Target};
use crate::loss::Losses;

/// What a client gets of an answer that passes through, and what was seen of it.
pub type Relayed = Result<(Vec<u8>, Observed), BadReply>;

/// Reads and writes one dialect. It has no state; streams get a reader or writer of their own.
///
/// The methods say what each function promises, and the dialect's module which function that is.
#[derive(Debug)]
pub struct Codec {
    pub(crate) check_request: fn(&Document<'_>) -> Result<(), Invalid>,
    pub(crate) read_request: fn(&Document<'_>) -> Result<Request, Invalid>,
    pub(crate) report_untranslatable: fn(&Request, &mut Losses) -> Result<(), CannotSay>,
    pub(crate) write_request: fn(&Request, &Target<'_>, &mut Losses) -> Result<Vec<u8>, CannotSay>,
    pub(crate) adapt_request:
        fn(&mut Document<'_>, &Target<'_>, &mut Losses) -> Result<Vec<Header>, CannotSay>,
    pub(crate) read_response: fn(&[u8], &str) -> Result<Response, BadReply>,
    pub(crate) write_response: fn(&Response, &AnswerContext) -> Vec<u8>,
    pub(crate) relay_response: fn(&[u8], &AnswerContext) -> Relayed,
    pub(crate) stream_reader: fn(&str) -> Box<dyn StreamReader>,
    pub(crate) stream_writer: fn(Arc<AnswerContext>) -> Box<dyn StreamWriter>,
    pub(crate) stream_relay: fn(Arc<AnswerContext>) -> Box<dyn StreamRelay>,
    pub(crate) read_error: fn(u16, &[u8]) -> ProviderError,
    pub(crate) write_error: fn(&ErrorReply) -> Vec<u8>,
}

impl Codec {
    /// Looks at the fields the gateway itself relies on, and at the JSON types of the others, without building
    /// anything. Called before a request is passed through; [`Codec::read_request`] checks the same and more.
    ///
    /// # Errors
    /// Names the first field that is missing or has a wrong type.
    pub fn check_request(&self, document: &Document<'_>) -> Result<(), Invalid> {
        (self.check_request)(document)
    }

    /// Reads a client's request.
    ///
    /// # Errors
    /// Names the first field that is missing, has a wrong type or an impossible value.
    pub fn read_request(&self, document: &Document<'_>) -> Result<Request, Invalid> {
        (self.read_request)(document)
    }

    /// Reports what a request that was read from this dialect asks of its own provider's server, and no other
    /// dialect could say (an earlier answer that is kept there, for example). Called before another dialect
    /// writes the request.
    ///
    /// # Errors
    /// When there is such a field, and `losses` does not allow to leave it out.
    pub fn report_untranslatable(&self, request: &Request, losses: &mut Losses) -> Result<(), CannotSay> {
        (self.report_untranslatable)(request, losses)
    }

    /// Writes a request that was read from another dialect as this dialect's standard has it; what the target's
    /// provider does differently is the business of [`Codec::adapt_request`], which is always called afterwards.
    ///
    /// # Errors
    /// When the request says what this dialect cannot, and `losses` does not allow to leave it out.
    pub fn write_request(
        &self,
        request: &Request,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<Vec<u8>, CannotSay> {
        (self.write_request)(request, target, losses)
    }

    /// Edits a request in this dialect, the client's own or one we wrote, so that the target's provider accepts
    /// it: the model's name, the provider's quirks, parameters that this model refuses, usage in streams. Returns
    /// headers that belong to the body (`anthropic-beta`).
    ///
    /// # Errors
    /// When the request says what the target does not accept, and `losses` does not allow to leave it out.
    pub fn adapt_request(
        &self,
        document: &mut Document<'_>,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<Vec<Header>, CannotSay> {
        (self.adapt_request)(document, target, losses)
    }

    /// Reads a complete answer with a success status. `seed` makes ids where the provider gave none.
    ///
    /// # Errors
    /// When the body is not an answer in this dialect.
    pub fn read_response(&self, body: &[u8], seed: &str) -> Result<Response, BadReply> {
        (self.read_response)(body, seed)
    }

    /// Writes a complete answer for a client.
    #[must_use]
    pub fn write_response(&self, response: &Response, answer: &AnswerContext) -> Vec<u8> {
        (self.write_response)(response, answer)
    }

    /// Passes a complete answer on to a client of this dialect: edits the model's name, keeps every other byte.
    ///
    /// # Errors
    /// When the body is not an answer in this dialect.
    pub fn relay_response(
        &self,
        body: &[u8],
        answer: &AnswerContext,
    ) -> Result<(Vec<u8>, Observed), BadReply> {
        (self.relay_response)(body, answer)
    }

    #[must_use]
    pub fn stream_reader(&self, seed: &str) -> Box<dyn StreamReader> {
        (self.stream_reader)(seed)
    }

    #[must_use]
    pub fn stream_writer(&self, answer: Arc<AnswerContext>) -> Box<dyn StreamWriter> {
        (self.stream_writer)(answer)
    }

    #[must_use]
    pub fn stream_relay(&self, answer: Arc<AnswerContext>) -> Box<dyn StreamRelay> {
        (self.stream_relay)(answer)
    }

    /// Reads a provider's answer with an error status. Never fails: what is not in the dialect's shape becomes
    /// the message.
    #[must_use]
    pub fn read_error(&self, status: u16, body: &[u8]) -> ProviderError {
        (self.read_error)(status, body)
    }

    /// The body of an error answer.
    #[must_use]
    pub fn write_error(&self, error: &ErrorReply) -> Vec<u8> {
        (self.write_error)(error)
    }
}

/// Reads a provider's event stream.
pub trait StreamReader: Send + Debug {
    /// Feeds bytes however they were cut; appends the events they complete. A provider's error event becomes
    /// [`Event::Error`], after which nothing follows.
    ///
    /// # Errors
    /// When the bytes are not this dialect.
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), BadReply>;

    /// The connection ended; appends the last events.
    ///
    /// # Errors
    /// When the stream broke off before its proper end.
    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), BadReply>;
}

/// Writes an event stream for a client.
pub trait StreamWriter: Send + Debug {
    /// Appends what the client is told of `event`. [`Event::Error`] is not written here: the gateway decides what
    /// the client hears and calls [`StreamWriter::write_error`].
    fn write(&mut self, event: &Event, out: &mut Vec<u8>);

    /// Ends the stream with an error, never as if it were complete.
    fn write_error(&mut self, error: &ErrorReply, out: &mut Vec<u8>);
}

/// Passes an event stream on to a client of the same dialect.
pub trait StreamRelay: Send + Debug {
    /// Feeds bytes however they were cut; appends what the client gets. Edits the model's name, leaves out usage
    /// that the client did not ask for, keeps every other byte of every event. An error event of the provider is
    /// not passed on but reported by [`StreamRelay::observed`].
    ///
    /// # Errors
    /// When the bytes are not this dialect.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BadReply>;

    /// The connection ended; appends what was still held back.
    ///
    /// # Errors
    /// When the stream broke off before its proper end.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BadReply>;

    fn observed(&self) -> &Observed;

    /// Ends the stream with an error, never as if it were complete.
    fn write_error(&mut self, error: &ErrorReply, out: &mut Vec<u8>);
}
