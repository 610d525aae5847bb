//! OpenAI Chat Completions: `POST /v1/chat/completions`, the protocol that OpenAI, Azure and about a hundred other
//! providers speak, and most clients
//! (<https://platform.openai.com/docs/api-reference/chat>).

use std::sync::Arc;

use crate::Dialect;
use crate::codec::{Codec, StreamReader, StreamRelay, StreamWriter};
use crate::conversation::{Request, Response};
use crate::document::Document;
use crate::error::{BadReply, CannotSay, ErrorReply, Invalid, ProviderError};
use crate::exchange::{AnswerContext, Header, Observed, Target};
use crate::loss::Losses;
use crate::openai_error;

pub(crate) mod adapt;
mod media;
mod message;
pub(crate) mod relay;
mod request;
pub(crate) mod response;
mod stream;
pub(crate) mod usage;
mod wire;

/// Reads and writes OpenAI Chat Completions.
#[derive(Debug)]
pub struct OpenaiChat;

impl Codec for OpenaiChat {
    fn check_request(&self, document: &Document<'_>) -> Result<(), Invalid> {
        request::check(document)
    }

    fn read_request(&self, document: &Document<'_>) -> Result<Request, Invalid> {
        request::read(document)
    }

    fn write_request(
        &self,
        request: &Request,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<Vec<u8>, CannotSay> {
        request::write(request, target, losses)
    }

    fn adapt_request(
        &self,
        document: &mut Document<'_>,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<Vec<Header>, CannotSay> {
        adapt::adapt_request(document, target, losses)?;
        Ok(Vec::new())
    }

    fn read_response(&self, body: &[u8], seed: &str) -> Result<Response, BadReply> {
        response::read(body, seed)
    }

    fn write_response(&self, response: &Response, answer: &AnswerContext) -> Vec<u8> {
        response::write(response, answer)
    }

    fn relay_response(&self, body: &[u8], answer: &AnswerContext) -> Result<(Vec<u8>, Observed), BadReply> {
        relay::relay_response(body, answer, Dialect::OpenaiChat)
    }

    fn stream_reader(&self, seed: &str) -> Box<dyn StreamReader> {
        Box::new(stream::Reader::new(seed))
    }

    fn stream_writer(&self, answer: Arc<AnswerContext>) -> Box<dyn StreamWriter> {
        Box::new(stream::Writer::new(answer))
    }

    fn stream_relay(&self, answer: Arc<AnswerContext>) -> Box<dyn StreamRelay> {
        Box::new(relay::Relay::new(&answer, Dialect::OpenaiChat))
    }

    fn read_error(&self, status: u16, body: &[u8]) -> ProviderError {
        openai_error::read(status, body)
    }

    fn write_error(&self, error: &ErrorReply) -> Vec<u8> {
        openai_error::write(error)
    }
}

#[cfg(test)]
mod tests;
