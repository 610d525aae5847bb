//! OpenAI Completions, the legacy text protocol: `POST /v1/completions`. A prompt goes in, its continuation comes out
//! (<https://platform.openai.com/docs/api-reference/completions>).
//!
//! Errors, usage, stop reasons and the frame of its streams are those of [`openai_chat`](crate::openai_chat).

use crate::Dialect;
use crate::codec::Codec;
use crate::openai_chat::relay;
use crate::openai_error;

mod adapt;
mod request;
mod response;
mod stream;
mod wire;

/// See [`Codec`].
pub(crate) static CODEC: Codec = Codec {
    check_request: request::check,
    read_request: request::read,
    report_untranslatable: request::report_untranslatable,
    write_request: |request, _, losses| request::write(request, losses),
    adapt_request: |document, target, losses| {
        adapt::adapt_request(document, target, losses);
        Ok(Vec::new())
    },
    read_response: |body, _| response::read(body),
    write_response: response::write,
    relay_response: |body, answer| relay::relay_response(body, answer, Dialect::OpenaiCompletions),
    stream_reader: |seed| Box::new(stream::Reader::new(seed)),
    stream_writer: |answer| Box::new(stream::Writer::new(answer)),
    stream_relay: |answer| Box::new(relay::Relay::new(&answer, Dialect::OpenaiCompletions)),
    read_error: openai_error::read,
    write_error: openai_error::write,
};

#[cfg(test)]
mod tests;
