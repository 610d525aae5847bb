//! Complete answers.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{block, usage, wire};
use crate::Dialect;
use crate::conversation::{Choice, Extra, MediaKind, Part, Response, Seal, SealKind, Source, StopReason};
use crate::error::BadReply;
use crate::exchange::AnswerContext;
use crate::json;

/// The tool by which models without structured outputs are made to answer by a schema (`response_format`). A call
/// of it *is* the answer: it is read as text, and no tool call as far as the client can see. The name is
/// LiteLLM's; a client's own tool must not have it.
pub(super) const ANSWER_TOOL: &str = "json_tool_call";

pub(super) fn read(body: &[u8], seed: &str) -> Result<Response, BadReply> {
    let answer: wire::Answer = serde_json::from_slice(body)
        .map_err(|error| BadReply::new(format!("the answer is not an Anthropic message: {error}")))?;
    let mut calls = 0_usize;
    let mut answered = false;
    let mut thinking_bytes = 0_usize;
    let mut parts = block::read_content(wire::Content::Blocks(answer.content));
    for (index, part) in parts.iter_mut().enumerate() {
        match part {
            Part::ToolCall(call) if call.name == ANSWER_TOOL => {
                answered = true;
                *part = Part::text(std::mem::take(&mut call.arguments));
            }
            Part::ToolCall(call) => {
                calls += 1;
                if call.id.is_empty() {
                    call.id = format!("toolu_{seed}{index}");
                }
            }
            Part::Reasoning(reasoning) => thinking_bytes += reasoning.text.len(),
            _ => {}
        }
    }
    let counted = answer.usage.as_ref().and_then(|usage| wire::Usage::deserialize(usage).ok());
    let usage = counted.map(|counted| {
        let mut read = usage::read(&counted);
        usage::estimate_reasoning(&mut read, thinking_bytes);
        read.original = answer.usage;
        read
    });
    let mut extra = answer.extra;
    for said in ["type", "role"] {
        extra.shift_remove(said);
    }
    Ok(Response {
        id: answer.id,
        model: answer.model,
        choices: vec![Choice {
            index: 0,
            parts,
            stop: read_stop(answer.stop_reason.as_deref(), answer.stop_sequence, answered && calls == 0),
            logprobs: None,
            extra: Extra::new(),
        }],
        service_tier: usage.as_ref().and_then(|usage| usage.service_tier.clone()),
        usage,
        extra,
        ..Response::new(Dialect::AnthropicMessages)
    })
}

/// `answered`: the only tool that was called is [`ANSWER_TOOL`].
pub(super) fn read_stop(reason: Option<&str>, sequence: Option<String>, answered: bool) -> StopReason {
    match reason {
        Some("tool_use") if answered => StopReason::EndTurn,
        Some("end_turn") | None => StopReason::EndTurn,
        Some("tool_use") => StopReason::ToolCalls,
        Some("max_tokens" | "model_context_window_exceeded") => StopReason::MaxTokens,
        Some("stop_sequence") => StopReason::StopSequence(sequence),
        Some("pause_turn") => StopReason::Pause,
        Some("refusal") => StopReason::ContentFilter,
        Some(other) => StopReason::Other(other.to_owned()),
    }
}

/// The stop reason and the stop sequence.
pub(super) fn write_stop(stop: &StopReason) -> (&str, Option<&str>) {
    match stop {
        StopReason::StopSequence(sequence) => ("stop_sequence", sequence.as_deref()),
        StopReason::MaxTokens => ("max_tokens", None),
        StopReason::ToolCalls => ("tool_use", None),
        StopReason::ContentFilter => ("refusal", None),
        StopReason::Pause => ("pause_turn", None),
        // Words of other dialects mean nothing to this dialect's clients.
        StopReason::EndTurn | StopReason::Error | StopReason::Other(_) => ("end_turn", None),
    }
}

pub(super) fn write(response: &Response, answer: &AnswerContext) -> Vec<u8> {
    let native = response.dialect == Dialect::AnthropicMessages;
    let choice = response.choices.first();
    let mut blocks = Vec::new();
    for part in choice.map(|choice| choice.parts.as_slice()).unwrap_or_default() {
        write_part(part, native, &mut blocks);
    }
    let (stop_reason, stop_sequence) = choice.map_or(("end_turn", None), |choice| write_stop(&choice.stop));
    let usage = response.usage.as_ref();
    let original = usage.and_then(|usage| usage.original.clone()).filter(|_| native);
    let mut body = json!({
        "id": id(response.id.as_deref(), answer),
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": blocks,
        "stop_reason": stop_reason,
        "stop_sequence": stop_sequence,
        "usage": original.unwrap_or_else(|| json!(usage::write(&usage.cloned().unwrap_or_default()))),
    });
    if let (Value::Object(body), true) = (&mut body, native) {
        body.extend(response.extra.clone());
    }
    json::write(&body)
}

/// The provider's id of the answer, else one of ours.
pub(super) fn id(id: Option<&str>, answer: &AnswerContext) -> String {
    id.map_or_else(|| format!("msg_{}", answer.seed), str::to_owned)
}

/// Appends what a client gets of a part. `native`: its extra fields are Anthropic's own.
pub(super) fn write_part(part: &Part, native: bool, blocks: &mut Vec<wire::Block>) {
    let own = |extra: &Extra| if native { extra.clone() } else { Extra::new() };
    match part {
        Part::Text(text) if text.text.is_empty() => {}
        Part::Text(text) => blocks.push(wire::Block::Text(wire::TextBlock {
            text: text.text.clone(),
            citations: (!text.citations.is_empty())
                .then(|| text.citations.iter().map(block::write_citation).collect()),
            cache_control: None,
            extra: own(&text.extra),
        })),
        Part::Refusal(text) => blocks.push(block::text(text.clone())),
        Part::ToolCall(call) => blocks.push(wire::Block::ToolUse(wire::ToolUseBlock {
            id: call.id.clone(),
            name: call.name.clone(),
            input: block::write_input(&call.arguments, call.kind),
            cache_control: None,
            extra: own(&call.extra),
        })),
        Part::Reasoning(reasoning) => {
            let seal = reasoning.seal.as_ref();
            let redacted =
                seal.and_then(|seal| seal.value_for(Dialect::AnthropicMessages, SealKind::Redacted));
            blocks.push(match redacted {
                Some(data) => wire::Block::RedactedThinking(wire::RedactedThinkingBlock {
                    data: data.to_owned(),
                    extra: own(&reasoning.extra),
                }),
                None => block::thinking(reasoning.readable(), seal),
            });
        }
        Part::Media(media) => match (&media.source, media.kind) {
            (Source::Base64 { media_type, data }, MediaKind::Image) => {
                blocks
                    .push(image(wire::Source::Base64 { media_type: media_type.clone(), data: data.clone() }));
            }
            (Source::Url { url, .. }, MediaKind::Image) => {
                blocks.push(image(wire::Source::Url { url: url.clone() }));
            }
            // Anthropic's clients cannot play a sound, but they can read what is said in it.
            _ => blocks.extend(media.transcript.clone().map(block::text)),
        },
        Part::Opaque(opaque) if opaque.dialect == Dialect::AnthropicMessages => {
            blocks.push(wire::Block::Other(opaque.value.clone()));
        }
        Part::Opaque(_) | Part::ToolResult(_) => {}
    }
    blocks.extend(own_seal(part).map(block::sealed_after));
}

/// The seal of a part that has no slot for one here.
fn own_seal(part: &Part) -> Option<&Seal> {
    match part {
        Part::Text(text) => text.seal.as_ref(),
        Part::ToolCall(call) => call.seal.as_ref(),
        _ => None,
    }
}

fn image(source: wire::Source) -> wire::Block {
    wire::Block::Image(wire::ImageBlock { source, cache_control: None, extra: Extra::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::{Reasoning, ToolCall, Usage};

    fn context() -> AnswerContext {
        AnswerContext {
            model: "alias".into(),
            seed: "0123".into(),
            created: 0,
            include_usage: true,
            request: None,
        }
    }

    fn answered(parts: Vec<Part>, stop: StopReason) -> Value {
        let response = Response {
            choices: vec![Choice { index: 0, parts, stop, logprobs: None, extra: Extra::new() }],
            usage: Some(Usage { input: 10, cache_read: 4, output: 2, ..Usage::default() }),
            ..Response::new(Dialect::OpenaiChat)
        };
        serde_json::from_slice(&write(&response, &context())).unwrap()
    }

    #[test]
    fn an_answer_of_another_dialect_is_a_message() {
        let call = Part::ToolCall(ToolCall::function("call_1", "f", "{\"a\":1}"));
        let body = answered(vec![Part::text(""), Part::text("Hm."), call], StopReason::ToolCalls);
        assert_eq!(
            body,
            json!({
                "id": "msg_0123", "type": "message", "role": "assistant", "model": "alias",
                "content": [{"type": "text", "text": "Hm."},
                            {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}}],
                "stop_reason": "tool_use", "stop_sequence": null,
                "usage": {"input_tokens": 6, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4,
                          "output_tokens": 2},
            })
        );
    }

    #[test]
    fn foreign_reasoning_comes_back_from_the_client_unharmed() {
        let reasoning = Part::Reasoning(Reasoning {
            summary: vec!["Thought.".into()],
            seal: Some(Seal::new(Dialect::OpenaiResponses, SealKind::Encrypted, "gAAA")),
            ..Reasoning::default()
        });
        let body = answered(vec![reasoning], StopReason::EndTurn);
        let read: wire::Content = serde_json::from_value(body["content"].clone()).unwrap();
        let parts = block::read_content(read);
        let [Part::Reasoning(back)] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!(back.text, "Thought.");
        assert_eq!(back.seal, Some(Seal::new(Dialect::OpenaiResponses, SealKind::Encrypted, "gAAA")));
    }

    #[test]
    fn a_call_of_the_answer_tool_is_the_answer() {
        let body = json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use",
            "content": [{"type": "tool_use", "id": "t", "name": ANSWER_TOOL, "input": {"city": "Oslo"}}],
        });
        let response = read(body.to_string().as_bytes(), "s").unwrap();
        assert_eq!(response.choices[0].parts, [Part::text(r#"{"city":"Oslo"}"#)]);
        assert_eq!(response.choices[0].stop, StopReason::EndTurn);
    }

    #[test]
    fn stop_reasons_are_those_of_every_dialect() {
        let read = |reason: &str| read_stop(Some(reason), None, false);
        assert_eq!(read("model_context_window_exceeded"), StopReason::MaxTokens);
        assert_eq!(read("refusal"), StopReason::ContentFilter);
        assert_eq!(read("pause_turn"), StopReason::Pause);
        assert_eq!(read("new"), StopReason::Other("new".into()));
        for stop in ["end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"] {
            assert_eq!(write_stop(&read(stop)), (stop, None));
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert!(read(b"", "s").is_err());
        assert!(read(br#"{"type":"error"}"#, "s").is_err());
    }
}
