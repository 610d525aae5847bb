//! Complete answers.

use serde_json::{Map, Value, json};

use super::wire;
use crate::Dialect;
use crate::conversation::{Choice, Part, Response, TokenLogprob};
use crate::error::BadReply;
use crate::exchange::AnswerContext;
use crate::json;
use crate::openai_chat::response::{read_stop, write_stop};
use crate::openai_chat::usage::{self, Shares};
use crate::openai_error;

/// See [`Codec::read_response`](crate::codec::Codec::read_response).
pub(super) fn read(body: &[u8]) -> Result<Response, BadReply> {
    let wire: wire::Answer = serde_json::from_slice(body)
        .map_err(|error| BadReply::new(format!("not a text completion: {error}")))?;
    if let Some(error) = wire.error.filter(|error| !error.is_null()) {
        return Err(BadReply::new(openai_error::read_event(&error).message));
    }
    let Some(choices) = wire.choices else {
        return Err(BadReply::new("not a text completion: there are no `choices`"));
    };
    let mut extra = wire.extra;
    extra.shift_remove("object");
    Ok(Response {
        dialect: Dialect::OpenaiCompletions,
        id: wire.id.filter(|id| !id.is_empty()),
        model: wire.model.filter(|model| !model.is_empty()),
        created: wire.created.as_ref().and_then(Value::as_number).and_then(json::whole),
        choices: (0..).zip(choices).map(|(index, choice)| read_choice(choice, index)).collect(),
        usage: wire.usage.filter(Value::is_object).map(|value| usage::read(&value)),
        service_tier: None,
        extra,
    })
}

fn read_choice(choice: wire::Choice, index: u32) -> Choice {
    let text = choice.text.filter(|text| !text.is_empty());
    Choice {
        index: choice.index.unwrap_or(index),
        parts: text.map(Part::text).into_iter().collect(),
        stop: read_stop(choice.finish_reason.as_deref(), choice.stop_reason.as_ref(), false),
        logprobs: choice.logprobs.map(read_logprobs),
        extra: Map::new(),
    }
}

/// Tokens without a probability (the first of an echoed prompt) are left out.
pub(super) fn read_logprobs(logprobs: wire::Logprobs) -> Vec<TokenLogprob> {
    let mut tops = logprobs.top_logprobs.unwrap_or_default().into_iter();
    let tokens = logprobs.tokens.into_iter().zip(logprobs.token_logprobs);
    tokens
        .map(|(token, logprob)| (token, logprob, tops.next().flatten().unwrap_or_default()))
        .filter_map(|(token, logprob, top)| {
            let top = top.into_iter().filter_map(|(token, logprob)| {
                Some(TokenLogprob { token, logprob: logprob.as_f64()?, bytes: None, top: Vec::new() })
            });
            Some(TokenLogprob { token, logprob: logprob?, bytes: None, top: top.collect() })
        })
        .collect()
}

/// `offset`: where the first token begins in the text, in characters; moved behind the last.
pub(super) fn write_logprobs(tokens: &[TokenLogprob], offset: &mut u64) -> wire::Logprobs {
    let mut logprobs = wire::Logprobs::default();
    let mut tops = Vec::with_capacity(tokens.len());
    for token in tokens {
        logprobs.tokens.push(token.token.clone());
        logprobs.token_logprobs.push(Some(token.logprob));
        logprobs.text_offset.push(*offset);
        *offset = offset.saturating_add(token.token.chars().count() as u64);
        let top = token.top.iter().map(|top| (top.token.clone(), json!(top.logprob)));
        tops.push(Some(top.collect::<Map<_, _>>()).filter(|top| !top.is_empty()));
    }
    logprobs.top_logprobs = tops.iter().any(Option::is_some).then_some(tops);
    logprobs
}

/// See [`Codec::write_response`](crate::codec::Codec::write_response).
pub(super) fn write(response: &Response, answer: &AnswerContext) -> Vec<u8> {
    let own = response.dialect == Dialect::OpenaiCompletions;
    let mut body = Map::new();
    let id = response.id.clone().unwrap_or_else(|| format!("cmpl-{}", answer.seed));
    body.insert("id".to_owned(), Value::from(id));
    body.insert("object".to_owned(), Value::from("text_completion"));
    body.insert("created".to_owned(), Value::from(response.created.unwrap_or(answer.created)));
    body.insert("model".to_owned(), Value::from(answer.model.as_str()));
    body.insert("choices".to_owned(), response.choices.iter().map(write_choice).collect());
    if let Some(usage) = &response.usage {
        // As in streams, where the usage is all that follows the text.
        let mut usage = usage.clone();
        usage.service_tier = usage.service_tier.or_else(|| response.service_tier.clone());
        let mut shares = Shares::default();
        for choice in &response.choices {
            shares.add(Shares::of(&choice.parts));
        }
        let usage = serde_json::to_value(usage::write(&usage, shares, own)).unwrap_or_default();
        body.insert("usage".to_owned(), usage);
    }
    if own {
        body.extend(response.extra.clone());
    }
    Value::Object(body).to_string().into_bytes()
}

/// What is not text (thinking, media) has no place here, and the client asked for none.
fn write_choice(choice: &Choice) -> Value {
    let text: String = choice
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.text.as_str(),
            Part::Refusal(text) => text,
            _ => "",
        })
        .collect();
    let logprobs = choice.logprobs.as_deref().map(|tokens| write_logprobs(tokens, &mut 0));
    let (reason, native) = write_stop(&choice.stop);
    json!({
        "text": text,
        "index": choice.index,
        "logprobs": logprobs,
        "finish_reason": native.unwrap_or(reason),
    })
}
