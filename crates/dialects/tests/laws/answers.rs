//! Writing and reading complete answers, and telling them as streams.

use std::fmt::Write as _;

use dialects::Dialect;
use dialects::conversation::{
    Choice, Citation, Event, Media, MediaKind, Part, Response, Source, StopReason, TokenLogprob, Usage,
    replay,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::gather::gather;
use crate::{any_dialect, context, fuzz, generate, golden, order, write_stream};

fn write(response: &Response, to: Dialect) -> Vec<u8> {
    to.codec().write_response(response, &context())
}

fn read(body: &[u8], from: Dialect) -> Response {
    let read = from.codec().read_response(body, "5eed");
    read.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
}

fn written_and_read(response: &Response, dialect: Dialect) -> Response {
    read(&write(response, dialect), dialect)
}

/// The answer that a client makes of the stream.
fn streamed(events: &[Event], dialect: Dialect) -> Response {
    let stream = write_stream(dialect, events);
    let read = fuzz::read_stream(dialect, [stream.as_slice()]);
    assert_eq!(order::mistake(&read, true), None, "{}", String::from_utf8_lossy(&stream));
    gather(dialect, &read)
}

/// What an answer and its stream have in common. A stream has no place for some of the rest: how JSON arguments
/// were spaced, where a seal sat, which of two texts that follow each other a citation belongs to, which queries
/// a search ran; and where nobody counted the thinking, a stream has an estimate.
#[derive(Debug, PartialEq)]
struct Told {
    id: Option<String>,
    model: Option<String>,
    choices: Vec<(Vec<Piece>, StopReason, Option<Vec<TokenLogprob>>)>,
    usage: Option<Usage>,
    tier: Option<String>,
}

#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Citation(Option<String>, Option<String>),
    Thought(String),
    Call(String, String, Value),
    Refusal(String),
    Media(MediaKind, Source, Option<String>),
    Opaque(Value),
}

impl Told {
    fn of(response: Response) -> Self {
        let choices = response.choices.into_iter();
        // Which of the two places a tier is read from says nothing.
        let counted = response.usage.as_ref().and_then(|usage| usage.service_tier.clone());
        let plain =
            |usage| Usage { original: None, service_tier: None, web_searches: 0, reasoning: 0, ..usage };
        Self {
            id: response.id,
            model: response.model,
            choices: choices.map(|choice| (pieces(choice.parts), choice.stop, choice.logprobs)).collect(),
            usage: response.usage.map(plain),
            // Chat's `usage` keeps Anthropic's word for OpenAI's `default`.
            tier: response.service_tier.or(counted).map(|tier| match tier.as_str() {
                "standard" => "default".to_owned(),
                _ => tier,
            }),
        }
    }
}

fn pieces(parts: Vec<Part>) -> Vec<Piece> {
    let (mut pieces, mut citations) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Text(text) => {
                match pieces.last_mut() {
                    Some(Piece::Text(before)) => before.push_str(&text.text),
                    _ => pieces.push(Piece::Text(text.text)),
                }
                let of = |citation: Citation| Piece::Citation(citation.url, citation.title);
                citations.extend(text.citations.into_iter().map(of));
            }
            // Holds nothing but the seal of what is before it.
            Part::Reasoning(reasoning) if reasoning.readable().is_empty() => {}
            Part::Reasoning(reasoning) => pieces.push(Piece::Thought(reasoning.readable())),
            Part::ToolCall(call) => {
                let arguments = serde_json::from_str(&call.arguments).unwrap_or(Value::from(call.arguments));
                pieces.push(Piece::Call(call.id, call.name, arguments));
            }
            Part::Refusal(text) => pieces.push(Piece::Refusal(text)),
            Part::Media(Media {
                kind: MediaKind::Audio,
                source: Source::Base64 { data, .. },
                transcript,
                ..
            }) => {
                // The format is the one that the request asked for.
                let source = Source::Base64 { media_type: String::new(), data };
                pieces.push(Piece::Media(MediaKind::Audio, source, transcript));
            }
            Part::Media(media) => pieces.push(Piece::Media(media.kind, media.source, media.transcript)),
            Part::Opaque(opaque) => pieces.push(Piece::Opaque(opaque.value)),
            Part::ToolResult(_) => panic!("{part:?}"),
        }
    }
    pieces.extend(citations);
    pieces
}

/// What a dialect can say is what it reads of what it wrote; said again, nothing changes.
#[test]
fn golden_answers_are_a_fixed_point_from_the_second_time_on() {
    for input in golden::inputs("answers") {
        for dialect in Dialect::ALL {
            let once = written_and_read(&read(input.text.as_bytes(), input.dialect), dialect);
            let twice = written_and_read(&once, dialect);
            assert_eq!(twice, once, "{} in {dialect}", input.name);
        }
    }
}

#[test]
fn golden_answers_say_the_same_as_streams() {
    let mut wrong = String::new();
    for input in golden::inputs("answers") {
        for dialect in Dialect::ALL {
            let response = read(input.text.as_bytes(), input.dialect);
            let whole = Told::of(written_and_read(&response, dialect));
            let streamed = Told::of(streamed(&replay(response), dialect));
            if streamed != whole {
                writeln!(wrong, "{} in {dialect}\n  streamed {streamed:?}\n  whole    {whole:?}", input.name)
                    .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_dialect_can_say_the_common_core(
        (response, dialect) in any_dialect().prop_flat_map(|from| (generate::response(from), any_dialect())),
    ) {
        let once = written_and_read(&response, dialect);
        prop_assert_eq!(Core::of(&once), Core::of(&response));
        prop_assert_eq!(written_and_read(&once, dialect), once);
    }

    #[test]
    fn an_answer_and_its_stream_say_the_same(
        (response, dialect) in any_dialect().prop_flat_map(|from| (generate::response(from), any_dialect())),
    ) {
        let whole = Told::of(written_and_read(&response, dialect));
        let streamed = Told::of(streamed(&generate::stream(response), dialect));
        prop_assert_eq!(streamed, whole);
    }
}

/// What every dialect can say of an answer.
#[derive(Debug, PartialEq)]
struct Core {
    said: Vec<Said>,
    stop: StopReason,
    usage: Usage,
}

#[derive(Debug, PartialEq)]
enum Said {
    Text(String),
    Thought(String),
    Call(String, String, Value),
}

impl Core {
    fn of(response: &Response) -> Self {
        let [Choice { parts, stop, .. }] = response.choices.as_slice() else { panic!("{response:?}") };
        let said = parts.iter().map(|part| match part {
            Part::Text(text) => Said::Text(text.text.clone()),
            Part::Reasoning(reasoning) => Said::Thought(reasoning.readable()),
            Part::ToolCall(call) => {
                let arguments = serde_json::from_str(&call.arguments).unwrap();
                Said::Call(call.id.clone(), call.name.clone(), arguments)
            }
            other => panic!("{other:?}"),
        });
        let usage = response.usage.clone().unwrap();
        let usage = Usage {
            input: usage.input,
            cache_read: usage.cache_read,
            output: usage.output,
            reasoning: usage.reasoning,
            ..Usage::default()
        };
        Self { said: said.collect(), stop: stop.clone(), usage }
    }
}
