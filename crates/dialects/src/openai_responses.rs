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

use crate::codec::Codec;
use crate::openai_error;

/// See [`Codec`].
pub(crate) static CODEC: Codec = Codec {
    check_request: request::check,
    read_request: request::read,
    report_untranslatable: request::report_server_state,
    write_request: request::write,
    adapt_request: |document, target, losses| {
        adapt::adapt_request(document, target, losses).map(|()| Vec::new())
    },
    read_response: response::read,
    write_response: response::write,
    relay_response: relay::response,
    stream_reader: |seed| Box::new(stream::Reader::new(seed)),
    stream_writer: |answer| Box::new(stream::Writer::new(&answer)),
    stream_relay: |answer| Box::new(relay::Relay::new(answer)),
    read_error: openai_error::read,
    write_error: openai_error::write,
};
