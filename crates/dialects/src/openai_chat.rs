//! Not written yet.

use std::sync::Arc;

use crate::codec::{Codec, StreamReader, StreamRelay, StreamWriter};
use crate::conversation::{Request, Response};
use crate::document::Document;
use crate::error::{BadReply, CannotSay, ErrorReply, Invalid, ProviderError};
use crate::exchange::{AnswerContext, Header, Observed, Target};
use crate::loss::Losses;

#[derive(Debug)]
pub struct OpenaiChat;

#[allow(clippy::todo)]
impl Codec for OpenaiChat {
    fn check_request(&self, _: &Document<'_>) -> Result<(), Invalid> {
        todo!()
    }
    fn read_request(&self, _: &Document<'_>) -> Result<Request, Invalid> {
        todo!()
    }
    fn write_request(&self, _: &Request, _: &Target<'_>, _: &mut Losses) -> Result<Vec<u8>, CannotSay> {
        todo!()
    }
    fn adapt_request(
        &self,
        _: &mut Document<'_>,
        _: &Target<'_>,
        _: &mut Losses,
    ) -> Result<Vec<Header>, CannotSay> {
        todo!()
    }
    fn read_response(&self, _: &[u8], _: &str) -> Result<Response, BadReply> {
        todo!()
    }
    fn write_response(&self, _: &Response, _: &AnswerContext) -> Vec<u8> {
        todo!()
    }
    fn relay_response(&self, _: &[u8], _: &AnswerContext) -> Result<(Vec<u8>, Observed), BadReply> {
        todo!()
    }
    fn stream_reader(&self, _: &str) -> Box<dyn StreamReader> {
        todo!()
    }
    fn stream_writer(&self, _: Arc<AnswerContext>) -> Box<dyn StreamWriter> {
        todo!()
    }
    fn stream_relay(&self, _: Arc<AnswerContext>) -> Box<dyn StreamRelay> {
        todo!()
    }
    fn read_error(&self, _: u16, _: &[u8]) -> ProviderError {
        todo!()
    }
    fn write_error(&self, _: &ErrorReply) -> Vec<u8> {
        todo!()
    }
}
