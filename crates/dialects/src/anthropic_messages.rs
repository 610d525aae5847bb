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

use crate::codec::Codec;

/// See [`Codec`].
pub(crate) static CODEC: Codec = Codec {
    check_request: request::check,
    read_request: request::read,
    report_untranslatable: request::report_untranslatable,
    write_request: request::write,
    adapt_request: adapt::adapt_request,
    read_response: response::read,
    write_response: response::write,
    relay_response: relay::response,
    stream_reader: |seed| Box::new(stream::Reader::new(seed)),
    stream_writer: |answer| Box::new(stream::Writer::new(answer)),
    stream_relay: |answer| Box::new(relay::Relay::new(answer)),
    read_error: error::read,
    write_error: error::write,
};
