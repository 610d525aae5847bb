//! What a client says.

mod messages;
mod settings;
mod tools;

use serde::de::DeserializeOwned;

use super::super::wire;
use super::check::{FIELDS, check};
use crate::Dialect;
use crate::conversation::{AudioOutput, Request, StreamOptions};
use crate::document::Document;
use crate::error::Invalid;
use crate::json;

/// See [`Codec::read_request`](crate::codec::Codec::read_request).
pub(in crate::openai_chat) fn read(document: &Document<'_>) -> Result<Request, Invalid> {
    check(document)?;
    let wire_messages: Vec<wire::Message> = field(document, "messages")?.unwrap_or_default();
    let model = document.text("model")?.unwrap_or_default().into_owned();
    let mut request = Request::new(Dialect::OpenaiChat, model, messages::read(wire_messages)?);
    request.tools = tools::read(document)?;
    request.tool_choice = tools::read_choice(document)?;
    request.parallel_tool_calls = field(document, "parallel_tool_calls")?;
    request.output_format = settings::read_output_format(document)?;
    request.sampling = settings::read_sampling(document)?;
    request.max_output_tokens = match field(document, "max_completion_tokens")? {
        Some(tokens) => Some(tokens),
        None => field(document, "max_tokens")?,
    };
    request.reasoning = settings::read_reasoning(document)?;
    request.modalities = settings::read_modalities(document)?;
    request.audio = field(document, "audio")?
        .map(|audio: wire::AudioOutput| AudioOutput { voice: audio.voice, format: audio.format });
    if document.flag("stream")? == Some(true) {
        let options: wire::StreamOptions = field(document, "stream_options")?.unwrap_or_default();
        let include_usage = options.include_usage.unwrap_or(false);
        request.stream = Some(StreamOptions { include_usage, extra: options.extra });
    }
    request.user = field(document, "user")?;
    request.metadata = field(document, "metadata")?;
    request.service_tier = field(document, "service_tier")?;
    request.prompt_cache_key = field(document, "prompt_cache_key")?;
    for name in document.names() {
        if FIELDS.iter().all(|(known, _)| *known != name)
            && let Some(value) = document.value(name)
            && !value.is_null()
        {
            request.extra.insert(name.to_owned(), value);
        }
    }
    Ok(request)
}

/// Reads one field; the error names it from the top of the body.
fn field<T: DeserializeOwned>(document: &Document<'_>, name: &str) -> Result<Option<T>, Invalid> {
    match document.get(name) {
        None | Some("null") => Ok(None),
        Some(text) => json::read(text.as_bytes()).map(Some).map_err(|error| error.under(name)),
    }
}
