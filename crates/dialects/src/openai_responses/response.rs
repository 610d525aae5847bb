//! Complete answers.

use serde_json::Value;

use super::answer::Answer;
use super::fields::{Fields, Place};
use super::{item, outcome, usage};
use crate::Dialect;
use crate::conversation::{Choice, Part, Response, StopReason, TokenLogprob, Usage};
use crate::error::{BadReply, Invalid};
use crate::exchange::AnswerContext;
use crate::json;

/// Reads a provider's answer.
pub(super) fn read(body: &[u8], seed: &str) -> Result<Response, BadReply> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| BadReply::new(format!("the answer is not JSON: {error}")))?;
    let mut body = Fields::of(body, &Place::Body).map_err(|error| bad(&error))?;
    if let Some(error) = body.take("error") {
        let message = error.get("message").and_then(Value::as_str);
        return Err(BadReply::new(message.map_or_else(|| error.to_string(), str::to_owned)));
    }
    let mut response = Response::new(Dialect::OpenaiResponses);
    response.id = body.text("id").map_err(|error| bad(&error))?;
    response.model = body.text("model").map_err(|error| bad(&error))?;
    // Some servers write it as a float.
    response.created = body.take("created_at").as_ref().and_then(Value::as_number).and_then(json::whole);
    response.service_tier = body.text("service_tier").map_err(|error| bad(&error))?;
    let status = body.text("status").map_err(|error| bad(&error))?;
    let Some(output) = body.list("output").map_err(|error| bad(&error))? else {
        return Err(BadReply::new("the answer has no `output`"));
    };
    let searches = count_searches(&output);
    let (parts, logprobs) = read_output(output, seed)?;
    let details = body.object("incomplete_details").map_err(|error| bad(&error))?.unwrap_or_default();
    let reason = details.get("reason").and_then(Value::as_str);
    let stop = outcome::read(status.as_deref(), reason, has_calls(&parts));
    if stop == StopReason::Error && parts.is_empty() {
        return Err(BadReply::new(format!("the answer's status is `{}`", status.unwrap_or_default())));
    }
    response.usage = body
        .take("usage")
        .and_then(|value| usage::read(&value.to_string()))
        .map(|usage| Usage { web_searches: searches, service_tier: response.service_tier.clone(), ..usage });
    let logprobs = (!logprobs.is_empty()).then_some(logprobs);
    response.choices.push(Choice {
        index: 0,
        parts,
        stop,
        logprobs,
        extra: crate::conversation::Extra::new(),
    });
    response.extra = body.rest();
    Ok(response)
}

/// Writes an answer for a client. There is one: this API knows no `n`.
pub(super) fn write(response: &Response, context: &AnswerContext) -> Vec<u8> {
    let mut answer = Answer::new(context);
    answer.set_id(response.id.as_deref());
    answer.set_service_tier(response.service_tier.as_deref());
    if let Some(choice) = response.choices.first() {
        for part in &choice.parts {
            answer.push_part(part);
        }
        if let Some(tokens) = &choice.logprobs {
            answer.push_logprobs(tokens);
        }
        answer.stop = Some(choice.stop.clone());
    }
    answer.usage.clone_from(&response.usage);
    json::write(&answer.finished())
}

/// The parts of all items, in order, and the log probabilities of their texts.
fn read_output(output: Vec<Value>, seed: &str) -> Result<(Vec<Part>, Vec<TokenLogprob>), BadReply> {
    let list = Place::Field(&Place::Body, "output");
    let mut parts = Vec::new();
    let mut logprobs = Vec::new();
    for (index, value) in output.into_iter().enumerate() {
        let place = Place::Item(&list, index);
        if let Some(content) = value.get("content").and_then(Value::as_array) {
            let tokens = content.iter().filter_map(|part| part.get("logprobs")).flat_map(item::read_logprobs);
            logprobs.extend(tokens);
        }
        parts.extend(read_item(value, &place, seed).map_err(|error| bad(&error))?);
    }
    Ok((parts, logprobs))
}

/// One item of an output. `seed` makes the id of a call that has none.
pub(super) fn read_item(value: Value, place: &Place<'_>, seed: &str) -> Result<Vec<Part>, Invalid> {
    let mut fields = Fields::of(value, place)?;
    Ok(match fields.kind() {
        Some("message") => match fields.take("content") {
            Some(content) => item::read_content(content, &Place::Field(place, "content"))?,
            None => Vec::new(),
        },
        Some("function_call" | "custom_tool_call") => {
            fields.default_text("call_id", || call_id(seed, place));
            vec![Part::ToolCall(item::read_call(fields)?)]
        }
        Some("reasoning") => vec![Part::Reasoning(item::read_reasoning(fields)?)],
        _ => vec![item::opaque(Value::Object(fields.rest()))],
    })
}

fn call_id(seed: &str, place: &Place<'_>) -> String {
    let index = if let Place::Item(_, index) = place { *index } else { 0 };
    format!("call_{seed}{index:02x}")
}

/// Searches that are billed: a page that was opened or searched in is not.
pub(super) fn count_searches(output: &[Value]) -> u64 {
    let searches = output.iter().filter(|item| {
        let action = item.get("action").and_then(|action| action.get("type")).and_then(Value::as_str);
        item.get("type").and_then(Value::as_str) == Some("web_search_call")
            && matches!(action, None | Some("search"))
    });
    searches.count().try_into().unwrap_or(u64::MAX)
}

pub(super) fn has_calls(parts: &[Part]) -> bool {
    parts.iter().any(|part| matches!(part, Part::ToolCall(_)))
}

pub(super) fn bad(error: &Invalid) -> BadReply {
    BadReply::new(format!("the answer cannot be read: {error}"))
}
