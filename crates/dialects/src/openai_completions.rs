//! OpenAI Completions, the legacy text protocol: `POST /v1/completions`. A prompt goes in, its continuation comes out
//! (<https://platform.openai.com/docs/api-reference/completions>).
//!
//! Errors, usage, stop reasons and the frame of its streams are those of [`openai_chat`](crate::openai_chat).

use std::sync::Arc;

use crate::Dialect;
use crate::codec::{Codec, StreamReader, StreamRelay, StreamWriter};
use crate::conversation::{Request, Response};
use crate::document::Document;
use crate::error::{BadReply, CannotSay, ErrorReply, Invalid, ProviderError};
use crate::exchange::{AnswerContext, Header, Observed, Target};
use crate::loss::Losses;
use crate::openai_chat::relay;
use crate::openai_error;

mod adapt;
mod request;
mod response;
mod stream;
mod wire;

/// Reads and writes OpenAI Completions.
#[derive(Debug)]
pub struct OpenaiCompletions;

impl Codec for OpenaiCompletions {
    fn check_request(&self, document: &Document<'_>) -> Result<(), Invalid> {
        request::check(document)
    }

    fn read_request(&self, document: &Document<'_>) -> Result<Request, Invalid> {
        request::read(document)
    }

    fn report_untranslatable(&self, request: &Request, losses: &mut Losses) -> Result<(), CannotSay> {
        request::report_untranslatable(request, losses)
    }

    fn write_request(
        &self,
        request: &Request,
        _target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<Vec<u8>, CannotSay> {
        request::write(request, losses)
    }

    fn adapt_request(
        &self,
        document: &mut Document<'_>,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<Vec<Header>, CannotSay> {
        adapt::adapt_request(document, target, losses);
        Ok(Vec::new())
    }

    fn read_response(&self, body: &[u8], _seed: &str) -> Result<Response, BadReply> {
        response::read(body)
    }

    fn write_response(&self, response: &Response, answer: &AnswerContext) -> Vec<u8> {
        response::write(response, answer)
    }

    fn relay_response(&self, body: &[u8], answer: &AnswerContext) -> Result<(Vec<u8>, Observed), BadReply> {
        relay::relay_response(body, answer, Dialect::OpenaiCompletions)
    }

    fn stream_reader(&self, seed: &str) -> Box<dyn StreamReader> {
        Box::new(stream::Reader::new(seed))
    }

    fn stream_writer(&self, answer: Arc<AnswerContext>) -> Box<dyn StreamWriter> {
        Box::new(stream::Writer::new(answer))
    }

    fn stream_relay(&self, answer: Arc<AnswerContext>) -> Box<dyn StreamRelay> {
        Box::new(relay::Relay::new(&answer, Dialect::OpenaiCompletions))
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
