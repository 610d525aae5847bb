//! Complete answers.

use serde::Serialize;
use serde_json::Value;

use super::usage::{self, Shares};
use super::{message, wire};
use crate::Dialect;
use crate::conversation::{Choice, Extra, Part, Response, StopReason, TokenLogprob};
use crate::error::BadReply;
use crate::exchange::AnswerContext;
use crate::json;
use crate::openai_error;

/// See [`Codec::read_response`](crate::codec::Codec::read_response).
pub(super) fn read(body: &[u8], seed: &str) -> Result<Response, BadReply> {
    let wire: wire::Response = serde_json::from_slice(body)
        .map_err(|error| BadReply::new(format!("not a chat completion: {error}")))?;
    if let Some(error) = wire.error.filter(|error| !error.is_null()) {
        return Err(BadReply::new(openai_error::read_event(&error).message));
    }
    let Some(choices) = wire.choices else {
        return Err(BadReply::new("not a chat completion: there are no `choices`"));
    };
    let choices: Result<Vec<Choice>, BadReply> =
        choices.into_iter().enumerate().map(|(index, choice)| read_choice(choice, index, seed)).collect();
    let mut extra = wire.extra;
    extra.shift_remove("object");
    Ok(Response {
        dialect: Dialect::OpenaiChat,
        id: wire.id.filter(|id| !id.is_empty()),
        model: wire.model.filter(|model| !model.is_empty()),
        created: wire.created.as_ref().and_then(Value::as_number).and_then(json::whole),
        choices: choices?,
        usage: wire.usage.filter(Value::is_object).map(|value| usage::read(&value)),
        service_tier: wire.service_tier,
        extra,
    })
}

fn read_choice(choice: wire::Choice, index: usize, seed: &str) -> Result<Choice, BadReply> {
    let mut message = choice.message.unwrap_or_default();
    let mut extra = choice.extra;
    // Keyed, so that it does not run into the choice's own unknown fields.
    let mut message_extra = std::mem::take(&mut message.extra);
    message_extra.shift_remove("role");
    if !message_extra.is_empty() {
        extra.insert("message".to_owned(), Value::Object(message_extra));
    }
    let ids = if index == 0 { seed.to_owned() } else { format!("{seed}_{index}") };
    let parts = message::read_assistant(message, &ids)
        .map_err(|error| BadReply::new(format!("choices[{index}].message: {error}")))?;
    let stop = read_stop(choice.finish_reason.as_deref(), choice.stop_reason.as_ref(), calls_tools(&parts));
    Ok(Choice {
        index: choice.index.or_else(|| u32::try_from(index).ok()).unwrap_or_default(),
        parts,
        stop,
        logprobs: choice.logprobs.and_then(read_logprobs),
        extra,
    })
}

fn calls_tools(parts: &[Part]) -> bool {
    parts.iter().any(|part| matches!(part, Part::ToolCall(_)))
}

/// Why the answer ended, in the words of all providers of this dialect. A missing reason, and `stop` after a tool
/// call (xAI, some servers of open models), are put right.
pub(crate) fn read_stop(reason: Option<&str>, sequence: Option<&Value>, calls_tools: bool) -> StopReason {
    match reason {
        None | Some("" | "stop" | "eos" | "end_turn" | "stop_sequence" | "null") if calls_tools => {
            StopReason::ToolCalls
        }
        None | Some("" | "eos" | "end_turn" | "null") => StopReason::EndTurn,
        Some("stop" | "stop_sequence") => match sequence {
            Some(Value::String(sequence)) => StopReason::StopSequence(Some(sequence.clone())),
            _ if reason == Some("stop_sequence") => StopReason::StopSequence(None),
            _ => StopReason::EndTurn,
        },
        Some("length" | "max_tokens" | "model_length") => StopReason::MaxTokens,
        Some("tool_calls" | "tool_use" | "function_call") => StopReason::ToolCalls,
        // `sensitive` is Z.ai's word.
        Some("content_filter" | "sensitive") => StopReason::ContentFilter,
        Some("error" | "network_error") => StopReason::Error,
        Some(other) => StopReason::Other(other.to_owned()),
    }
}

/// The word that OpenAI has for it, and the provider's own where OpenAI has none.
pub(crate) fn write_stop(stop: &StopReason) -> (&'static str, Option<&str>) {
    match stop {
        StopReason::EndTurn | StopReason::StopSequence(_) => ("stop", None),
        StopReason::Pause => ("stop", Some("pause_turn")),
        StopReason::MaxTokens => ("length", None),
        StopReason::ToolCalls => ("tool_calls", None),
        StopReason::ContentFilter => ("content_filter", None),
        // OpenRouter's word; OpenAI ends such answers otherwise.
        StopReason::Error => ("error", None),
        StopReason::Other(reason) => ("stop", Some(reason)),
    }
}

pub(super) fn read_logprobs(logprobs: wire::Logprobs) -> Option<Vec<TokenLogprob>> {
    let tokens = logprobs.content.or(logprobs.refusal)?;
    Some(tokens.into_iter().map(read_logprob).collect())
}

fn read_logprob(token: wire::TokenLogprob) -> TokenLogprob {
    TokenLogprob {
        token: token.token,
        logprob: token.logprob,
        bytes: token.bytes,
        top: token.top_logprobs.into_iter().map(read_logprob).collect(),
    }
}

pub(super) fn write_logprobs(tokens: &[TokenLogprob]) -> wire::Logprobs {
    wire::Logprobs { content: Some(tokens.iter().map(write_logprob).collect()), refusal: None }
}

fn write_logprob(token: &TokenLogprob) -> wire::TokenLogprob {
    wire::TokenLogprob {
        token: token.token.clone(),
        logprob: token.logprob,
        bytes: token.bytes.clone(),
        top_logprobs: token.top.iter().map(write_logprob).collect(),
    }
}

/// See [`Codec::write_response`](crate::codec::Codec::write_response).
pub(super) fn write(response: &Response, answer: &AnswerContext) -> Vec<u8> {
    let own = response.dialect == Dialect::OpenaiChat;
    let made_id;
    let id = match &response.id {
        Some(id) => id.as_str(),
        None => {
            made_id = format!("chatcmpl-{}", answer.seed);
            &made_id
        }
    };
    let usage = response.usage.as_ref().map(|usage| {
        let mut shares = Shares::default();
        for choice in &response.choices {
            shares.add(Shares::of(&choice.parts));
        }
        usage::write(usage, shares, own)
    });
    json::write(&Written {
        id,
        object: "chat.completion",
        created: response.created.unwrap_or(answer.created),
        model: &answer.model,
        choices: response.choices.iter().map(|choice| write_choice(choice, own)).collect(),
        usage,
        // `standard` is Anthropic's name for the ordinary one, which `usage` keeps as LiteLLM does.
        service_tier: response.service_tier.as_deref().map(|tier| match tier {
            "standard" if !own => "default",
            tier => tier,
        }),
        extra: own.then_some(&response.extra),
    })
}

/// An answer as it is written. (A [`wire::Response`] is for reading: it takes what providers get wrong.)
#[derive(Serialize)]
struct Written<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<WrittenChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<usage::Written<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(flatten)]
    extra: Option<&'a Extra>,
}

#[derive(Serialize)]
struct WrittenChoice<'a> {
    index: u32,
    message: WrittenMessage,
    logprobs: Option<wire::Logprobs>,
    finish_reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_specific_fields: Option<NativeReason<'a>>,
    #[serde(flatten)]
    extra: Extra,
}

#[derive(Serialize)]
struct WrittenMessage {
    role: &'static str,
    /// Clients read it without looking whether it is there.
    content: Option<wire::Content>,
    #[serde(flatten)]
    rest: wire::Message,
}

#[derive(Serialize)]
struct NativeReason<'a> {
    native_finish_reason: &'a str,
}

fn write_choice(choice: &Choice, own: bool) -> WrittenChoice<'_> {
    // What answers of this dialect cannot hold (hosted tools' runs of another) the client did not ask of it.
    let (mut message, _) = message::write_assistant(&choice.parts, own);
    message::sign_ids(&choice.parts, &mut message);
    let mut extra = if own { choice.extra.clone() } else { Extra::new() };
    if let Some(Value::Object(fields)) = extra.shift_remove("message") {
        message.extra = fields;
    }
    message.role = None;
    let (reason, native) = write_stop(&choice.stop);
    WrittenChoice {
        index: choice.index,
        message: WrittenMessage { role: "assistant", content: message.content.take(), rest: message },
        logprobs: choice.logprobs.as_deref().map(write_logprobs),
        finish_reason: native.filter(|_| own).unwrap_or(reason),
        provider_specific_fields: native
            .filter(|_| !own)
            .map(|native_finish_reason| NativeReason { native_finish_reason }),
        extra,
    }
}
