//! Requests: read from a client, written for a provider.

use serde_json::Value;

use super::wire;
use crate::Dialect;
use crate::conversation::{Extra, Message, Modality, OutputFormat, Part, Request, Role, StreamOptions};
use crate::document::Document;
use crate::error::{CannotSay, Invalid};
use crate::json;
use crate::loss::{Change, Losses};

/// See [`Codec::check_request`](crate::codec::Codec::check_request). Prompts of tokens are only looked at where they
/// would have to be understood.
pub(super) fn check(document: &Document<'_>) -> Result<(), Invalid> {
    match document.get("prompt") {
        None => Err(Invalid::new("prompt", "Missing required parameter: 'prompt'.")),
        Some(prompt) if prompt.starts_with(['"', '[', 'n']) => {
            document.flag("stream")?;
            Ok(())
        }
        Some(prompt) => {
            let found: String = prompt.chars().take(40).collect();
            Err(Invalid::new("prompt", format!("expected a string or a list, found `{found}`")))
        }
    }
}

/// See [`Codec::read_request`](crate::codec::Codec::read_request).
pub(super) fn read(document: &Document<'_>) -> Result<Request, Invalid> {
    check(document)?;
    let wire: wire::Request = json::read(&document.to_bytes())?;
    let message = Message::text(Role::User, read_prompt(wire.prompt)?);
    let mut request = Request::new(Dialect::OpenaiCompletions, wire.model, vec![message]);
    request.max_output_tokens = wire.max_tokens;
    let sampling = &mut request.sampling;
    sampling.temperature = wire.temperature;
    sampling.top_p = wire.top_p;
    sampling.top_k = wire.top_k;
    sampling.frequency_penalty = wire.frequency_penalty;
    sampling.presence_penalty = wire.presence_penalty;
    sampling.seed = wire.seed;
    sampling.logit_bias = wire.logit_bias;
    sampling.n = wire.n;
    sampling.logprobs = wire.logprobs.map(|_| true);
    sampling.top_logprobs = wire.logprobs;
    sampling.stop = match wire.stop {
        None => Vec::new(),
        Some(wire::Stop::One(stop)) => vec![stop],
        Some(wire::Stop::Several(stops)) => stops,
    };
    if wire.stream == Some(true) {
        let options = wire.stream_options.unwrap_or_default();
        let include_usage = options.include_usage.unwrap_or(false);
        request.stream = Some(StreamOptions { include_usage, extra: options.extra });
    }
    request.user = wire.user;
    request.extra = wire.extra.into_iter().filter(|(_, value)| !value.is_null()).collect();
    Ok(request)
}

/// A prompt that a chat model can be asked: one text.
fn read_prompt(prompt: Value) -> Result<String, Invalid> {
    let tokens = "this model is asked by chat, which takes text, not tokens; send the prompt as a string";
    match prompt {
        Value::String(text) => Ok(text),
        Value::Null => Err(Invalid::new("prompt", "Missing required parameter: 'prompt'.")),
        Value::Array(mut items) => match (items.pop(), items.is_empty()) {
            (Some(Value::String(text)), true) => Ok(text),
            (Some(Value::String(_)), false) => Err(Invalid::new(
                "prompt",
                "this model is asked by chat, which takes one prompt per request; send them one by one",
            )),
            (Some(Value::Number(_) | Value::Array(_)), _) => Err(Invalid::new("prompt", tokens)),
            _ => Err(Invalid::new("prompt", "expected a string or a list of strings")),
        },
        _ => Err(Invalid::new("prompt", "expected a string or a list of strings")),
    }
}

/// See [`Codec::report_untranslatable`](crate::codec::Codec::report_untranslatable).
pub(super) fn report_untranslatable(request: &Request, losses: &mut Losses) -> Result<(), CannotSay> {
    for (name, harmless, why) in [
        ("suffix", Value::from(""), "chat models do not fill in text between a prompt and a suffix"),
        ("echo", Value::from(false), "chat models do not repeat the prompt"),
        ("best_of", Value::from(1), "chat models do not choose among their own answers; `n` gives several"),
    ] {
        if request.extra.get(name).is_some_and(|value| *value != harmless) {
            losses.cannot_carry(name, why)?;
        }
    }
    Ok(())
}

/// See [`Codec::write_request`](crate::codec::Codec::write_request).
pub(super) fn write(request: &Request, losses: &mut Losses) -> Result<Vec<u8>, CannotSay> {
    let own = request.dialect == Dialect::OpenaiCompletions;
    if !own {
        report_lost(request, losses)?;
    }
    let sampling = &request.sampling;
    let body = wire::Request {
        model: request.model.clone(),
        prompt: Value::from(write_prompt(&request.messages, losses)?),
        max_tokens: request.max_output_tokens,
        temperature: sampling.temperature.clone(),
        top_p: sampling.top_p.clone(),
        top_k: sampling.top_k.clone(),
        n: sampling.n,
        stream: request.stream.is_some().then_some(true),
        stream_options: request.stream.as_ref().and_then(|options| {
            let extra = if own { options.extra.clone() } else { Extra::new() };
            let include_usage = options.include_usage.then_some(true);
            (include_usage.is_some() || !extra.is_empty())
                .then_some(wire::StreamOptions { include_usage, extra })
        }),
        logprobs: sampling.logprobs.filter(|wanted| *wanted).map(|_| sampling.top_logprobs.unwrap_or(0)),
        stop: (!sampling.stop.is_empty()).then(|| wire::Stop::Several(sampling.stop.clone())),
        presence_penalty: sampling.presence_penalty.clone(),
        frequency_penalty: sampling.frequency_penalty.clone(),
        seed: sampling.seed.clone(),
        logit_bias: sampling.logit_bias.clone(),
        user: request.user.clone(),
        extra: if own { request.extra.clone() } else { Extra::new() },
    };
    // Maps with text keys and JSON values only: this cannot fail.
    Ok(serde_json::to_vec(&body).unwrap_or_default())
}

/// The turns as one text. Base models have no notion of roles, so none is made up.
fn write_prompt(messages: &[Message], losses: &mut Losses) -> Result<String, CannotSay> {
    let mut turns = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let mut turn = String::new();
        for part in &message.parts {
            match part {
                Part::Text(text) => turn.push_str(&text.text),
                Part::Refusal(text) => turn.push_str(text),
                Part::Reasoning(_) => {
                    losses.note(format!("messages[{index}]"), Change::Dropped, "earlier reasoning");
                }
                Part::Media(_) | Part::ToolCall(_) | Part::ToolResult(_) | Part::Opaque(_) => {
                    losses.cannot_carry(format!("messages[{index}]"), "text completions take text only")?;
                }
            }
        }
        turns.push(turn);
    }
    if turns.len() > 1 {
        losses.note("messages", Change::Changed, "joined into one prompt: text completions have no roles");
    }
    Ok(turns.join("\n\n"))
}

fn report_lost(request: &Request, losses: &mut Losses) -> Result<(), CannotSay> {
    if !request.tools.is_empty() {
        losses.cannot_carry("tools", "text completions call no tools")?;
    }
    if !matches!(request.output_format, None | Some(OutputFormat::Text)) {
        losses.cannot_carry("response_format", "text completions have no output formats")?;
    }
    if request.modalities.iter().any(|modality| *modality != Modality::Text) {
        losses.cannot_carry("modalities", "text completions give text only")?;
    }
    let silent = [
        ("reasoning_effort", !request.reasoning.is_empty()),
        ("tool_choice", request.tool_choice.is_some()),
        ("parallel_tool_calls", request.parallel_tool_calls.is_some()),
        ("metadata", request.metadata.is_some()),
        ("service_tier", request.service_tier.is_some()),
        ("prompt_cache_key", request.prompt_cache_key.is_some()),
        ("cache_control", request.is_cache_marked()),
    ];
    let silent = silent.into_iter().filter(|(_, said)| *said).map(|(name, _)| name);
    for name in silent.chain(request.extra.keys().map(String::as_str)) {
        if !losses.has_dropped(name) {
            losses.note(name, Change::Dropped, "OpenAI Completions has no such field");
        }
    }
    Ok(())
}
