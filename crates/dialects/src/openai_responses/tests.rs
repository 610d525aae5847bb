mod answers;
mod errors;
mod relay;
mod requests;
mod streams;

use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::CODEC;
use crate::Dialect;
use crate::conversation::{
    Choice, Citation, Delta, Event, Extra, Part, PartStart, Reasoning, Request, Response, Seal, SealKind,
    StopReason, Text, ToolCall, ToolCallKind, Usage,
};
use crate::document::Document;
use crate::exchange::AnswerContext;

/// The golden files of a kind, by name.
fn golden(kind: &str) -> Vec<(String, String)> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "golden", kind, "openai_responses"].iter().collect();
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        // Beside an input stand its translations, `<case>.to-<dialect>.json`.
        .filter(|(name, _)| !name.contains('.'))
        .collect();
    assert!(!files.is_empty());
    files.sort();
    files
}

fn golden_file(kind: &str, name: &str) -> String {
    golden(kind).into_iter().find(|(file, _)| file == name).unwrap().1
}

fn read_request(text: &str) -> Request {
    CODEC.read_request(&Document::of(text).unwrap()).unwrap()
}

fn context(request: Option<Request>) -> Arc<AnswerContext> {
    Arc::new(AnswerContext {
        model: "alias".to_owned(),
        seed: "5eed".to_owned(),
        created: 1_760_000_000,
        include_usage: true,
        request: request.map(Arc::new),
    })
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// The events of a stream: name and data.
fn frames(stream: &[u8]) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(stream).unwrap();
    text.split("\n\n")
        .filter_map(|frame| {
            let (name, data) = frame.split_once('\n')?;
            let name = name.strip_prefix("event: ").unwrap();
            Some((name.to_owned(), serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap()))
        })
        .collect()
}

/// `bytes` in the pieces that `cuts` make of it.
fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// What a provider's stream would be for this answer.
fn events_of(response: &Response) -> Vec<Event> {
    let mut events = vec![Event::Start {
        id: response.id.clone(),
        model: response.model.clone(),
        created: response.created,
        extra: Extra::new(),
    }];
    let choice = &response.choices[0];
    for (number, part) in (0..).zip(&choice.parts) {
        let mut deltas = Vec::new();
        let start = match part {
            Part::Text(text) => {
                deltas.extend(halves(&text.text).map(Delta::Text));
                deltas.extend(text.citations.iter().cloned().map(Delta::Citation));
                deltas.extend(text.seal.clone().map(Delta::Seal));
                PartStart::Text
            }
            Part::Refusal(text) => {
                deltas.extend(halves(text).map(Delta::Text));
                PartStart::Refusal
            }
            Part::Reasoning(reasoning) => {
                deltas.extend(halves(&reasoning.text).map(Delta::Thinking));
                for (index, text) in (0..).zip(&reasoning.summary) {
                    deltas.extend(halves(text).map(|text| Delta::Summary { index, text }));
                }
                deltas.extend(reasoning.seal.clone().map(Delta::Seal));
                PartStart::Reasoning { id: reasoning.id.clone() }
            }
            Part::ToolCall(call) => {
                deltas.extend(halves(&call.arguments).map(Delta::Arguments));
                deltas.extend(call.seal.clone().map(Delta::Seal));
                PartStart::ToolCall {
                    id: call.id.clone(),
                    name: call.name.clone(),
                    kind: call.kind,
                    extra: call.extra.clone(),
                }
            }
            whole => PartStart::Whole(whole.clone()),
        };
        events.push(Event::PartStart { choice: 0, part: number, start });
        events.extend(deltas.into_iter().map(|delta| Event::Delta { choice: 0, part: number, delta }));
        events.push(Event::PartStop { choice: 0, part: number });
    }
    if let Some(tokens) = choice.logprobs.clone() {
        events.push(Event::Logprobs { choice: 0, tokens });
    }
    events.push(Event::Finish { choice: 0, reason: choice.stop.clone() });
    events.extend(response.usage.clone().map(Event::Usage));
    events.push(Event::End);
    events
}

/// A text in two deltas; of an empty one, none.
fn halves(text: &str) -> impl Iterator<Item = String> {
    let middle = text.char_indices().map(|(at, _)| at).nth(text.chars().count() / 2).unwrap_or(0);
    let (first, second) = text.split_at(middle);
    [first.to_owned(), second.to_owned()].into_iter().filter(|half| !half.is_empty())
}

/// The answer that a stream's events make.
fn collect(events: &[Event]) -> Response {
    let mut response = Response::new(Dialect::OpenaiResponses);
    let mut choice = Choice {
        index: 0,
        parts: Vec::new(),
        stop: StopReason::EndTurn,
        logprobs: None,
        extra: Extra::new(),
    };
    let mut ended = false;
    for event in events {
        assert!(!ended, "nothing follows the end");
        match event {
            Event::Start { id, model, created, .. } => {
                assert!(choice.parts.is_empty(), "the start comes first");
                response.id.clone_from(id);
                response.model.clone_from(model);
                response.created = *created;
            }
            Event::PartStart { part, start, .. } => {
                assert_eq!(*part as usize, choice.parts.len(), "parts are counted");
                choice.parts.push(begin(start));
            }
            Event::Delta { part, delta, .. } => grow(&mut choice.parts[*part as usize], delta),
            Event::PartStop { .. } => {}
            Event::Logprobs { tokens, .. } => {
                choice.logprobs.get_or_insert_default().extend(tokens.iter().cloned());
            }
            Event::Finish { reason, .. } => choice.stop = reason.clone(),
            Event::Usage(usage) => response.usage = Some(usage.clone()),
            Event::Error(error) => panic!("{error}"),
            Event::End => ended = true,
        }
    }
    assert!(ended);
    response.choices.push(choice);
    response
}

fn begin(start: &PartStart) -> Part {
    match start {
        PartStart::Text | PartStart::Audio { .. } => Part::text(""),
        PartStart::Refusal => Part::Refusal(String::new()),
        PartStart::Reasoning { id } => Part::Reasoning(Reasoning { id: id.clone(), ..Reasoning::default() }),
        PartStart::ToolCall { id, name, kind, extra } => {
            Part::ToolCall(ToolCall { kind: *kind, extra: extra.clone(), ..ToolCall::function(id, name, "") })
        }
        PartStart::Whole(part) => part.clone(),
    }
}

fn grow(part: &mut Part, delta: &Delta) {
    match (part, delta) {
        (Part::Text(text), Delta::Text(more)) => text.text.push_str(more),
        (Part::Text(text), Delta::Citation(citation)) => text.citations.push(citation.clone()),
        (Part::Text(text), Delta::Seal(seal)) => text.seal = Some(seal.clone()),
        (Part::Refusal(text), Delta::Text(more)) => text.push_str(more),
        (Part::Reasoning(reasoning), Delta::Thinking(more)) => reasoning.text.push_str(more),
        (Part::Reasoning(reasoning), Delta::Summary { index, text }) => {
            let index = *index as usize;
            if reasoning.summary.len() <= index {
                reasoning.summary.resize(index + 1, String::new());
            }
            reasoning.summary[index].push_str(text);
        }
        (Part::Reasoning(reasoning), Delta::Seal(seal)) => reasoning.seal = Some(seal.clone()),
        (Part::ToolCall(call), Delta::Arguments(more)) => call.arguments.push_str(more),
        (Part::ToolCall(call), Delta::Seal(seal)) => call.seal = Some(seal.clone()),
        (part, delta) => panic!("{delta:?} does not belong to {part:?}"),
    }
}

/// Answers of any dialect, as far as this one can say them.
fn any_response() -> impl Strategy<Value = Response> {
    let text = "[a-zé\"\\\\\n]{1,12}";
    let seal = prop::option::of(prop_oneof![
        Just(Seal::new(Dialect::AnthropicMessages, SealKind::Signature, "c2ln")),
        Just(Seal::new(Dialect::OpenaiResponses, SealKind::Encrypted, "gAAA")),
    ]);
    let part = prop_oneof![
        (text, prop::option::of("https://[a-z]{1,5}\\.example")).prop_map(|(text, url)| {
            let citations = url.map(|url| Citation { url: Some(url), ..Citation::default() });
            Part::Text(Text { text, citations: citations.into_iter().collect(), ..Text::default() })
        }),
        text.prop_map(Part::Refusal),
        (text, prop::collection::vec(text, 0..3), seal).prop_map(|(text, summary, seal)| {
            Part::Reasoning(Reasoning { text, summary, seal, ..Reasoning::default() })
        }),
        ("[a-z]{1,4}", "(\\{\"a\":\"[a-z]{0,9}\"\\})?", any::<bool>()).prop_map(
            |(name, arguments, custom)| {
                let kind = if custom { ToolCallKind::Custom } else { ToolCallKind::Function };
                Part::ToolCall(ToolCall {
                    kind,
                    ..ToolCall::function(format!("call_{name}"), name, arguments)
                })
            }
        ),
    ];
    let stop = prop_oneof![
        Just(StopReason::EndTurn),
        Just(StopReason::MaxTokens),
        Just(StopReason::ContentFilter),
        Just(StopReason::ToolCalls)
    ];
    (prop::collection::vec(part, 0..6), stop, any::<u32>(), any::<u32>()).prop_map(
        |(parts, stop, input, output)| {
            let mut response = Response::new(Dialect::AnthropicMessages);
            response.choices.push(Choice { index: 0, parts, stop, logprobs: None, extra: Extra::new() });
            response.usage = Some(Usage { input: input.into(), output: output.into(), ..Usage::default() });
            response
        },
    )
}
