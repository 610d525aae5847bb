//! OpenAI Chat Completions: `POST /v1/chat/completions`, the protocol that OpenAI, Azure and about a hundred other
//! providers speak, and most clients
//! (<https://platform.openai.com/docs/api-reference/chat>).

use crate::Dialect;
use crate::codec::Codec;
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

/// See [`Codec`].
pub(crate) static CODEC: Codec = Codec {
    check_request: request::check,
    read_request: request::read,
    report_untranslatable: |_, _| Ok(()),
    write_request: request::write,
    adapt_request: |document, target, losses| {
        adapt::adapt_request(document, target, losses).map(|()| Vec::new())
    },
    read_response: response::read,
    write_response: response::write,
    relay_response: |body, answer| relay::relay_response(body, answer, Dialect::OpenaiChat),
    stream_reader: |seed| Box::new(stream::Reader::new(seed)),
    stream_writer: |answer| Box::new(stream::Writer::new(answer)),
    stream_relay: |answer| Box::new(relay::Relay::new(&answer, Dialect::OpenaiChat)),
    read_error: openai_error::read,
    write_error: openai_error::write,
};

#[cfg(test)]
mod tests;
