//! A conversation of any dialect as a request of this one.

use serde_json::{Value, json};

use super::read::{ENCRYPTED_REASONING, INSTRUCTIONS, LOGPROBS};
use super::{input, settings, tools};
use crate::conversation::{Extra, Message, Modality, OutputFormat, Part, Request, Role};
use crate::exchange::Target;
use crate::json;
use crate::loss::{Change, Losses};
use crate::{CannotSay, Dialect};

/// The least that the API accepts as `max_output_tokens`.
const MIN_OUTPUT_TOKENS: u64 = 16;

/// Fields of Chat Completions that have the same name and meaning here.
const SHARED_WITH_CHAT: [&str; 4] =
    ["store", "safety_identifier", "prompt_cache_retention", "prompt_cache_options"];

/// Fields that OpenAI's server can honour because it keeps earlier answers, conversations or prompts, and why
/// another provider cannot.
const SERVER_STATE: [(&str, &str); 4] = [
    (
        "previous_response_id",
        "only the provider that gave the earlier answer has it; send the whole conversation as `input` instead",
    ),
    ("conversation", "conversations are kept at OpenAI; send the whole conversation as `input` instead"),
    ("prompt", "prompt templates are kept at OpenAI; send the prompt's text as `instructions` or `input`"),
    (
        "background",
        "this model's provider cannot answer in the background; leave the field out and wait, or stream",
    ),
];

/// Reports what a request of this dialect asks of OpenAI's server and no other provider can do.
pub(in crate::openai_responses) fn report_server_state(
    request: &Request,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    for (name, why) in SERVER_STATE {
        match request.extra.get(name) {
            None | Some(Value::Bool(false)) => {}
            Some(_) => losses.cannot_carry(name, why)?,
        }
    }
    Ok(())
}

pub(in crate::openai_responses) fn write(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<u8>, CannotSay> {
    let native = request.dialect == Dialect::OpenaiResponses;
    refuse_unsayable(request, losses)?;

    let mut body = Body(Extra::new());
    body.put("model", target.model);
    let (instructions, messages) = split_instructions(request);
    body.put("input", input::write_input(messages, request.dialect, losses)?);
    body.put_some("instructions", instructions);
    body.put_some(
        "max_output_tokens",
        request.max_output_tokens.map(|tokens| raised(tokens, native, losses)),
    );
    body.put_some("temperature", request.sampling.temperature.clone().map(Value::Number));
    body.put_some("top_p", request.sampling.top_p.clone().map(Value::Number));
    body.put_some("top_logprobs", request.sampling.top_logprobs);
    let tools = tools::write_tools(request, losses)?;
    if !tools.is_empty() {
        body.put("tools", tools);
    }
    body.put_some("tool_choice", tools::write_choice(request, losses)?);
    body.put_some("parallel_tool_calls", request.parallel_tool_calls);
    if let (Some(OutputFormat::Opaque(_)), false) = (&request.output_format, native) {
        losses.cannot_carry("response_format", "the Responses API does not know this output format")?;
    }
    body.put_some("text", settings::text_config(request));
    let reasons = target.facts.supports_reasoning;
    let reasoning = settings::write_reasoning(request, target.facts);
    if let Some(effort) = &request.reasoning.effort
        && let Some(lower) = target.facts.highest_effort_below(effort)
    {
        losses.note("reasoning_effort", Change::Changed, format!("`{}` → `{}`", effort.name(), lower.name()));
    }
    if reasoning.is_some() && reasons == Some(false) && !native {
        losses.cannot_carry("reasoning", format!("`{}` does not reason", target.model))?;
    } else {
        body.put_some("reasoning", reasoning);
    }
    body.put_some("include", include(request, reasons));
    body.put_some("user", request.user.as_deref());
    body.put_some("metadata", request.metadata.clone().map(Value::Object));
    body.put_some("service_tier", request.service_tier.as_deref().map(tier));
    body.put_some("prompt_cache_key", request.prompt_cache_key.as_deref());
    if let Some(options) = &request.stream {
        body.put("stream", true);
        if native && !options.extra.is_empty() {
            body.put("stream_options", options.extra.clone());
        }
    }
    if !native && request.is_cache_marked() {
        losses.note("cache_control", Change::Dropped, "OpenAI caches by itself");
    }
    for (name, value) in &request.extra {
        let chat = request.dialect == Dialect::OpenaiChat;
        if body.0.contains_key(name) || (chat && name == "verbosity") || losses.has_dropped(name) {
            // Said already.
        } else if native || (chat && SHARED_WITH_CHAT.contains(&name.as_str())) {
            body.put(name, value.clone());
        } else {
            losses.note(name.as_str(), Change::Dropped, "the Responses API has no such field");
        }
    }
    Ok(json::write(&body.0))
}

/// System prompts at the beginning are `instructions`; a conversation that was read from this dialect remembers
/// whether they were.
pub(in crate::openai_responses) fn split_instructions(request: &Request) -> (Option<String>, &[Message]) {
    let messages = request.messages.as_slice();
    let leading = if request.dialect == Dialect::OpenaiResponses {
        usize::from(messages.first().is_some_and(|first| first.extra.contains_key(INSTRUCTIONS)))
    } else {
        messages.iter().take_while(|message| is_plain_system(message)).count()
    };
    let (system, rest) = messages.split_at(leading.min(messages.len()));
    let mut texts = system.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
        Part::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    let Some(first) = texts.next() else { return (None, rest) };
    let instructions = texts.fold(first.to_owned(), |joined, text| joined + "\n" + text);
    (Some(instructions), rest)
}

fn is_plain_system(message: &Message) -> bool {
    message.role == Role::System && message.parts.iter().all(|part| matches!(part, Part::Text(_)))
}

fn raised(tokens: u64, native: bool, losses: &mut Losses) -> u64 {
    if native || tokens >= MIN_OUTPUT_TOKENS {
        return tokens;
    }
    losses.note(
        "max_output_tokens",
        Change::Changed,
        format!("{tokens} is raised to {MIN_OUTPUT_TOKENS}, the least that the Responses API accepts"),
    );
    MIN_OUTPUT_TOKENS
}

/// What the answer shall contain beside the usual. Reasoning is asked for in a form that the client can send
/// back, since nobody else keeps it.
fn include(request: &Request, reasons: Option<bool>) -> Option<Value> {
    let native = request.dialect == Dialect::OpenaiResponses;
    let mut include = Vec::new();
    if request.reasoning.encrypted || (!native && reasons != Some(false)) {
        include.push(json!(ENCRYPTED_REASONING));
    }
    if request.sampling.logprobs == Some(true) {
        include.push(json!(LOGPROBS));
    }
    if let (true, Some(Value::Array(others))) = (native, request.extra.get("include")) {
        include.extend(others.iter().cloned());
    }
    (!include.is_empty()).then(|| include.into())
}

/// Anthropic's word for the ordinary tier.
fn tier(name: &str) -> &str {
    match name {
        "standard_only" | "standard" => "default",
        other => other,
    }
}

fn refuse_unsayable(request: &Request, losses: &mut Losses) -> Result<(), CannotSay> {
    let sampling = &request.sampling;
    let given = [
        ("top_k", sampling.top_k.is_some()),
        ("frequency_penalty", sampling.frequency_penalty.as_ref().is_some_and(is_not_zero)),
        ("presence_penalty", sampling.presence_penalty.as_ref().is_some_and(is_not_zero)),
        ("seed", sampling.seed.is_some()),
        ("logit_bias", sampling.logit_bias.as_ref().is_some_and(|bias| !bias.is_empty())),
        ("stop", !sampling.stop.is_empty()),
        ("n", sampling.n.is_some_and(|n| n != 1)),
        ("audio", request.audio.is_some()),
        ("modalities", request.modalities.iter().any(|modality| *modality != Modality::Text)),
    ];
    for (name, given) in given {
        if given {
            losses.cannot_carry(name, format!("the Responses API has no `{name}`"))?;
        }
    }
    Ok(())
}

fn is_not_zero(number: &serde_json::Number) -> bool {
    number.as_f64().is_none_or(|value| value.abs() > 0.0)
}

struct Body(Extra);

impl Body {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn put_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }
}
