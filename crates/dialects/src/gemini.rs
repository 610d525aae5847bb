//! Google Gemini's `generateContent` and `streamGenerateContent`, as AI Studio and Vertex AI speak it
//! (<https://ai.google.dev/api/generate-content>).
//!
//! The model and whether to stream are said by the path, not by the body: requests are read with an empty model
//! unless the body names one, and never ask for a stream by themselves. Function calls come whole, answers stream
//! as server-sent events without a closing mark, and thinking is signed (`thoughtSignature`).

use crate::codec::Codec;

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

/// See [`Codec`].
pub(crate) static CODEC: Codec = Codec {
    check_request: request::check,
    read_request: request::read,
    report_untranslatable: request::report_untranslatable,
    write_request: request::write,
    adapt_request: adapt::adapt_request,
    read_response: response::read,
    write_response: response::write,
    relay_response: |body, _| relay::relay(body),
    stream_reader: |seed| Box::new(stream::Reader::new(seed)),
    stream_writer: |answer| Box::new(stream::Writer::new(answer)),
    stream_relay: |_| Box::new(relay::GeminiRelay::new()),
    read_error: error::read,
    write_error: error::write,
};
