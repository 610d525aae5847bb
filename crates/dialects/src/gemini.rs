//! Google Gemini's `generateContent` and `streamGenerateContent`, as AI Studio and Vertex AI speak it
//! (<https://ai.google.dev/api/generate-content>).
//!
//! The model and whether to stream are said by the path, not by the body: requests are read with an empty model
//! unless the body names one, and never ask for a stream by themselves. Function calls come whole, answers stream
//! as server-sent events without a closing mark, and thinking is signed (`thoughtSignature`).

use std::sync::Arc;

use crate::codec::{Codec, StreamReader, StreamRelay, StreamWriter};
use crate::conversation::{Request, Response};
use crate::document::Document;
use crate::error::{BadReply, CannotSay, ErrorReply, Invalid, ProviderError};
use crate::exchange::{AnswerContext, Header, Observed, Target};
use crate::loss::Losses;

mod adapt;
pub mod array;
pub mod count;
mod error;
mod finish;
mod grounding;
mod model;
mod part;
mod relay;
mod request;
mod response;
mod schema;
mod seal;
mod stream;
mod usage;
mod wire;

/// The dialect's [`Codec`].
#[derive(Debug)]
pub struct Gemini;

impl Codec for Gemini {
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

    fn relay_response(&self, body: &[u8], _: &AnswerContext) -> Result<(Vec<u8>, Observed), BadReply> {
        relay::relay(body)
    }

    fn stream_reader(&self, seed: &str) -> Box<dyn StreamReader> {
        Box::new(stream::Reader::new(seed))
    }

    fn stream_writer(&self, answer: Arc<AnswerContext>) -> Box<dyn StreamWriter> {
        Box::new(stream::Writer::new(answer))
    }

    fn stream_relay(&self, _: Arc<AnswerContext>) -> Box<dyn StreamRelay> {
        Box::new(relay::GeminiRelay::new())
    }

    fn read_error(&self, status: u16, body: &[u8]) -> ProviderError {
        error::read(status, body)
    }

    fn write_error(&self, error: &ErrorReply) -> Vec<u8> {
        error::write(error)
    }
}
