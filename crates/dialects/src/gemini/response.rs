//! Complete answers.

use serde_json::Value;

use super::part::Reader;
use super::{finish, grounding, part, usage, wire};
use crate::Dialect;
use crate::conversation::{Choice, Extra, Media, MediaKind, Part, Response, StopReason, TokenLogprob, Usage};
use crate::error::BadReply;
use crate::exchange::AnswerContext;

pub(super) fn read(body: &[u8], seed: &str) -> Result<Response, BadReply> {
    let wire: wire::Response = serde_json::from_slice(body)
        .map_err(|error| BadReply::new(format!("the answer is not what generateContent gives: {error}")))?;
    let blocked = wire.prompt_feedback.as_ref().and_then(block_reason).is_some();
    if wire.candidates.is_empty() && !blocked {
        return Err(BadReply::new("the answer has neither `candidates` nor a `promptFeedback.blockReason`"));
    }
    let mut response = Response::new(Dialect::Gemini);
    let mut searches = 0_u64;
    let mut calls = 0_u32;
    for (position, candidate) in wire.candidates.into_iter().enumerate() {
        let index = candidate.index.unwrap_or_else(|| u32::try_from(position).unwrap_or(u32::MAX));
        let (choice, searched) = read_candidate(candidate, index, seed, &mut calls);
        searches = searches.saturating_add(searched);
        response.choices.push(choice);
    }
    if response.choices.is_empty() {
        response.choices.push(Choice {
            index: 0,
            parts: Vec::new(),
            stop: StopReason::ContentFilter,
            logprobs: None,
            extra: Extra::new(),
        });
    }
    response.id = wire.response_id;
    response.model = wire.model_version;
    response.usage = wire.usage_metadata.map(|metadata| read_usage(metadata, searches));
    response.service_tier = response.usage.as_ref().and_then(|usage| usage.service_tier.clone());
    response.extra = wire.extra;
    if let Some(feedback) = wire.prompt_feedback {
        response.extra.insert("promptFeedback".to_owned(), feedback);
    }
    Ok(response)
}

fn read_candidate(candidate: wire::Candidate, index: u32, seed: &str, calls: &mut u32) -> (Choice, u64) {
    let wire_parts = candidate.content.map(|content| content.parts).unwrap_or_default();
    let mut parts: Vec<Part> = wire_parts
        .into_iter()
        .map(|part| {
            part::read(part, || {
                *calls += 1;
                call_id(seed, *calls - 1)
            })
        })
        .collect();
    let mut extra = candidate.extra;
    let mut searches = 0;
    if let Some(metadata) = candidate.grounding_metadata {
        let text = |index: usize| match parts.get(index) {
            Some(Part::Text(text)) => Some((index, text.text.as_str())),
            _ => None,
        };
        let first = || (0..parts.len()).find_map(text);
        let found = grounding::read(&metadata, |index| text(index).or_else(first));
        searches = found.searches;
        for (index, citation) in found.citations {
            if let Some(Part::Text(text)) = parts.get_mut(index) {
                text.citations.push(citation);
            }
        }
        extra.insert("groundingMetadata".to_owned(), metadata);
    }
    parts.retain(|part| !is_void(part));
    let called = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    let word = candidate.finish_reason.as_deref().unwrap_or("STOP");
    let stop = finish::read(word, called);
    if finish::write(&stop) != word {
        extra.insert("finishReason".to_owned(), Value::from(word));
    }
    let logprobs = candidate.logprobs_result.map(read_logprobs);
    (Choice { index, parts, stop, logprobs, extra }, searches)
}

/// The id of a function call that came without one.
pub(super) fn call_id(seed: &str, number: u32) -> String {
    format!("call_{seed}_{number}")
}

/// Gemini closes some answers with a text that says nothing.
pub(super) fn is_void(part: &Part) -> bool {
    match part {
        Part::Text(text) => text.text.is_empty() && text.seal.is_none(),
        Part::Reasoning(reasoning) => reasoning.text.is_empty() && reasoning.seal.is_none(),
        _ => false,
    }
}

pub(super) fn block_reason(feedback: &Value) -> Option<&str> {
    feedback.get("blockReason").and_then(Value::as_str)
}

pub(super) fn read_usage(metadata: Value, searches: u64) -> Usage {
    let wire: wire::UsageMetadata = serde::Deserialize::deserialize(&metadata).unwrap_or_default();
    Usage { original: Some(metadata), ..usage::read(&wire, searches) }
}

pub(super) fn read_logprobs(result: wire::LogprobsResult) -> Vec<TokenLogprob> {
    let token = |candidate: wire::TokenCandidate, top| TokenLogprob {
        token: candidate.token,
        logprob: candidate.log_probability,
        bytes: None,
        top,
    };
    let mut top = result.top_candidates.into_iter();
    let chosen = result.chosen_candidates.into_iter();
    chosen
        .map(|candidate| {
            let likeliest = top.next().map(|top| top.candidates).unwrap_or_default();
            token(candidate, likeliest.into_iter().map(|candidate| token(candidate, Vec::new())).collect())
        })
        .collect()
}

pub(super) fn write_logprobs(tokens: &[TokenLogprob]) -> wire::LogprobsResult {
    let candidate = |token: &TokenLogprob| wire::TokenCandidate {
        token: token.token.clone(),
        log_probability: token.logprob,
    };
    wire::LogprobsResult {
        top_candidates: tokens
            .iter()
            .map(|token| wire::TopCandidates { candidates: token.top.iter().map(candidate).collect() })
            .collect(),
        chosen_candidates: tokens.iter().map(candidate).collect(),
    }
}

pub(super) fn write(response: &Response, answer: &AnswerContext) -> Vec<u8> {
    let own = response.dialect == Dialect::Gemini;
    let mut extra = if own { response.extra.clone() } else { Extra::new() };
    let prompt_feedback = extra.shift_remove("promptFeedback");
    let candidates = if prompt_feedback.as_ref().and_then(block_reason).is_some() {
        Vec::new()
    } else {
        response.choices.iter().map(|choice| write_candidate(choice, response.dialect, answer)).collect()
    };
    let wire = wire::Response {
        candidates,
        prompt_feedback,
        usage_metadata: response.usage.as_ref().map(|usage| usage::write(usage, response.dialect)),
        model_version: Some(response.model.clone().unwrap_or_else(|| answer.model.clone())),
        response_id: Some(response.id.clone().unwrap_or_else(|| answer.seed.clone())),
        error: None,
        extra,
    };
    serde_json::to_vec(&wire).unwrap_or_default()
}

fn write_candidate(choice: &Choice, read_from: Dialect, answer: &AnswerContext) -> wire::Candidate {
    let own = read_from == Dialect::Gemini;
    let mut extra = if own { choice.extra.clone() } else { Extra::new() };
    let finish_reason = match extra.shift_remove("finishReason") {
        Some(Value::String(word)) => word,
        _ => finish::write(&choice.stop).to_owned(),
    };
    let mut parts = Vec::with_capacity(choice.parts.len());
    let mut cited = Vec::new();
    for part in &choice.parts {
        let Some(mut written) = part::write(part, read_from, Reader::Client) else { continue };
        if let (Part::Media(Media { kind: MediaKind::Audio, .. }), Some(blob)) =
            (part, &mut written.inline_data)
            && !own
        {
            part::audio_type(answer).clone_into(&mut blob.mime_type);
        }
        if let Part::Text(text) = part {
            cited.push((parts.len(), text.text.as_str(), text.citations.as_slice()));
        }
        parts.push(written);
    }
    let grounding_metadata =
        extra.shift_remove("groundingMetadata").or_else(|| grounding::write(cited.into_iter()));
    wire::Candidate {
        content: Some(wire::Content { role: Some("model".to_owned()), parts }),
        finish_reason: Some(finish_reason),
        index: Some(choice.index),
        logprobs_result: choice.logprobs.as_deref().map(write_logprobs),
        grounding_metadata,
        extra,
    }
}

#[cfg(test)]
mod tests;
