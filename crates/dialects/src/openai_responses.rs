//! OpenAI Responses: `POST /v1/responses`
//! (<https://platform.openai.com/docs/api-reference/responses>).
//!
//! Input and output are lists of *items*: messages, calls of tools and their results, reasoning, runs of hosted
//! tools. Consecutive items of the model are one turn of the conversation.
//!
//! Where the documentation is silent, this dialect does what LiteLLM's clients know: streams end in
//! `data: [DONE]`, which OpenAI's own do not have and its SDKs accept.

mod adapt;
mod answer;
mod error;
mod fields;
mod item;
mod media;
mod outcome;
mod relay;
mod request;
mod response;
mod stream;
#[cfg(test)]
mod tests;
mod usage;
mod wire;

use std::sync::Arc;

use crate::codec::{Codec, StreamReader, StreamRelay, StreamWriter};
use crate::conversation::{Request, Response};
use crate::document::Document;
use crate::error::{BadReply, CannotSay, ErrorReply, Invalid, ProviderError};
use crate::exchange::{AnswerContext, Header, Observed, Target};
use crate::loss::Losses;
use crate::openai_error;

/// Reads and writes the Responses API.
#[derive(Debug)]
pub struct OpenaiResponses;

impl Codec for OpenaiResponses {
    fn check_request(&self, document: &Document<'_>) -> Result<(), Invalid> {
        request::check(document)
    }

    fn read_request(&self, document: &Document<'_>) -> Result<Request, Invalid> {
        request::read(document)
    }

    fn report_untranslatable(&self, request: &Request, losses: &mut Losses) -> Result<(), CannotSay> {
        request::report_server_state(request, losses)
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
        relay::response(body, answer)
    }

    fn stream_reader(&self, seed: &str) -> Box<dyn StreamReader> {
        Box::new(stream::Reader::new(seed))
    }

    fn stream_writer(&self, answer: Arc<AnswerContext>) -> Box<dyn StreamWriter> {
        Box::new(stream::Writer::new(&answer))
    }

    fn stream_relay(&self, answer: Arc<AnswerContext>) -> Box<dyn StreamRelay> {
        Box::new(relay::Relay::new(answer))
    }

    fn read_error(&self, status: u16, body: &[u8]) -> ProviderError {
        openai_error::read(status, body)
    }

    fn write_error(&self, error: &ErrorReply) -> Vec<u8> {
        openai_error::write(error)
    }
}
