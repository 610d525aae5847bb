//! Anthropic Messages: `POST /v1/messages`.
//!
//! Written down from Anthropic's API reference (<https://platform.claude.com/docs/en/api/messages>) and the types of
//! its official SDK. Spoken by Anthropic itself, Claude on Vertex AI, Bedrock and Azure, and by a dozen other hosts
//! under an `/anthropic` path.

mod adapt;
mod block;
mod error;
mod model;
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

/// The dialect's [`Codec`].
#[derive(Debug)]
pub struct AnthropicMessages;

impl Codec for AnthropicMessages {
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
        adapt::adapt_request(document, target, losses)
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
        Box::new(stream::Writer::new(answer))
    }

    fn stream_relay(&self, answer: Arc<AnswerContext>) -> Box<dyn StreamRelay> {
        Box::new(relay::Relay::new(answer))
    }

    fn read_error(&self, status: u16, body: &[u8]) -> ProviderError {
        error::read(status, body)
    }

    fn write_error(&self, error: &ErrorReply) -> Vec<u8> {
        error::write(error)
    }
}
