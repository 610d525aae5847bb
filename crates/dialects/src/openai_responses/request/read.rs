//! A client's request into the conversation model.

use serde_json::Value;

use super::super::fields::{Fields, Place};
use super::{check, input, settings, tools};
use crate::Dialect;
use crate::conversation::{Extra, Message, Request, Role, StreamOptions};
use crate::document::Document;
use crate::error::Invalid;
use crate::json;

/// Asks for the reasoning in encrypted form.
pub(super) const ENCRYPTED_REASONING: &str = "reasoning.encrypted_content";
/// Asks for log probabilities.
pub(super) const LOGPROBS: &str = "message.output_text.logprobs";

/// Among a message's extra fields: it was not in the `input`, but is the request's `instructions`.
pub(super) const INSTRUCTIONS: &str = "instructions";

/// Reads a request. `instructions` become a system message in front, with a mark by which it is told from a system
/// message of the input.
pub(in crate::openai_responses) fn read(document: &Document<'_>) -> Result<Request, Invalid> {
    check(document)?;
    let mut map = Extra::new();
    for name in document.names() {
        let text = document.get(name).unwrap_or("null");
        let value: Value = json::read(text.as_bytes()).map_err(|error| error.under(name))?;
        map.insert(name.to_owned(), value);
    }
    let mut body = Fields::new(map, &Place::Body);

    let mut messages = Vec::new();
    let instructions = body.text("instructions")?;
    if let Some(text) = instructions {
        let mut message = Message::text(Role::System, text);
        message.extra.insert(INSTRUCTIONS.to_owned(), Value::Bool(true));
        messages.push(message);
    }
    if let Some(items) = body.take("input") {
        input::read_input(items, &mut messages)?;
    }
    let model = body.text("model")?.unwrap_or_default();
    let mut request = Request::new(Dialect::OpenaiResponses, model, messages);
    request.tools = tools::read_tools(body.list("tools")?.unwrap_or_default())?;
    request.tool_choice = body.take("tool_choice").map(tools::read_choice).transpose()?;
    request.parallel_tool_calls = body.flag("parallel_tool_calls")?;
    request.sampling.temperature = body.number("temperature")?;
    request.sampling.top_p = body.number("top_p")?;
    request.sampling.top_logprobs = body.count("top_logprobs")?;
    request.max_output_tokens = body.count("max_output_tokens")?;
    request.user = body.text("user")?;
    request.metadata = body.object("metadata")?;
    request.service_tier = body.text("service_tier")?;
    request.prompt_cache_key = body.text("prompt_cache_key")?;

    let mut rest = Extra::new();
    let mut keep = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            rest.insert(name.to_owned(), value);
        }
    };
    if let Some(text) = body.object("text")? {
        let (format, others) = settings::read_text(text)?;
        request.output_format = format;
        keep("text", (!others.is_empty()).then_some(Value::Object(others)));
    }
    if let Some(reasoning) = body.object("reasoning")? {
        let (asked, others) = settings::read_reasoning(reasoning)?;
        request.reasoning = asked;
        keep("reasoning", (!others.is_empty()).then_some(Value::Object(others)));
    }
    let mut include = body.texts("include")?;
    request.reasoning.encrypted = include.iter().any(|name| name == ENCRYPTED_REASONING);
    request.sampling.logprobs = include.iter().any(|name| name == LOGPROBS).then_some(true);
    include.retain(|name| name != ENCRYPTED_REASONING && name != LOGPROBS);
    keep("include", (!include.is_empty()).then(|| include.into()));
    let streams = body.flag("stream")? == Some(true);
    let options = body.object("stream_options")?.unwrap_or_default();
    if streams {
        request.stream = Some(StreamOptions { include_usage: true, extra: options });
    }
    rest.extend(body.rest());
    request.extra = rest;
    Ok(request)
}
