use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Dialect;
use crate::codec::{StreamReader, StreamWriter};
use crate::conversation::*;
use crate::error::{BadReply, ErrorReply};
use crate::exchange::AnswerContext;

fn golden(case: &str) -> Vec<u8> {
    std::fs::read(format!("{}/golden/streams/gemini/{case}.sse", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

const CASES: [&str; 9] = [
    "text",
    "thinking-then-call",
    "parallel-calls",
    "signed-text",
    "grounded",
    "image",
    "two-candidates",
    "blocked-prompt",
    "error-midway",
];

fn read_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Result<(), BadReply>) {
    let mut reader = Reader::new("seed");
    let mut events = Vec::new();
    for chunk in chunks {
        if let Err(error) = reader.push(chunk, &mut events) {
            return (events, Err(error));
        }
    }
    let end = reader.finish(&mut events);
    (events, end)
}

fn read_golden(case: &str) -> Vec<Event> {
    let (events, end) = read_chunks([golden(case).as_slice()]);
    end.unwrap();
    events
}

fn writer() -> Writer {
    Writer::new(Arc::new(AnswerContext {
        model: "alias".to_owned(),
        seed: "seed".to_owned(),
        created: 0,
        include_usage: true,
        request: None,
    }))
}

fn write_events(events: &[Event]) -> Vec<u8> {
    let (mut writer, mut out) = (writer(), Vec::new());
    events.iter().for_each(|event| writer.write(event, &mut out));
    out
}

fn written_chunks(events: &[Event]) -> Vec<Value> {
    let text = String::from_utf8(write_events(events)).unwrap();
    text.split_terminator("\n\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect()
}

fn delta(part: u32, delta: Delta) -> Event {
    Event::Delta { choice: 0, part, delta }
}

fn begin(part: u32, start: PartStart) -> Event {
    Event::PartStart { choice: 0, part, start }
}

fn stop(part: u32) -> Event {
    Event::PartStop { choice: 0, part }
}

/// Everything but where the pieces were cut and how often usage was told.
fn essence(events: &[Event]) -> Vec<Event> {
    let mut out: Vec<Event> = Vec::new();
    let mut usage = None;
    for event in events {
        match (out.last_mut(), event) {
            (
                Some(Event::Delta { delta: Delta::Text(before), .. }),
                Event::Delta { delta: Delta::Text(more), .. },
            )
            | (
                Some(Event::Delta { delta: Delta::Thinking(before), .. }),
                Event::Delta { delta: Delta::Thinking(more), .. },
            ) => before.push_str(more),
            (_, Event::Usage(last)) => usage = Some(Usage { original: None, ..last.clone() }),
            _ => out.push(event.clone()),
        }
    }
    out.extend(usage.map(Event::Usage));
    out
}

#[test]
fn thinking_then_a_call() {
    let events = read_golden("thinking-then-call");
    let signature =
        Seal::new(Dialect::Gemini, SealKind::Signature, "CpcBAcu98PDoHn8xkRW5Yg2tq3C1mF0b9w7a+Zp4/Q==");
    let kinds: Vec<Event> = essence(&events);
    assert_eq!(
        kinds[1..kinds.len() - 1],
        [
            begin(0, PartStart::Reasoning { id: None }),
            delta(0, Delta::Thinking("I need the tool.".to_owned())),
            stop(0),
            begin(1, PartStart::Text),
            delta(1, Delta::Text("Let me look.".to_owned())),
            stop(1),
            begin(
                2,
                PartStart::ToolCall {
                    id: "call_seed_0".to_owned(),
                    name: "get_weather".to_owned(),
                    kind: ToolCallKind::Function,
                    extra: Extra::new(),
                }
            ),
            delta(2, Delta::Seal(signature)),
            delta(2, Delta::Arguments(r#"{"city":"Oslo","unit":"c"}"#.to_owned())),
            stop(2),
            Event::Finish { choice: 0, reason: StopReason::ToolCalls },
            Event::End,
        ]
    );
    let Some(Event::Usage(usage)) = kinds.last() else { panic!() };
    assert_eq!((usage.input, usage.output, usage.reasoning), (70, 50, 30));
}

#[test]
fn a_signature_may_follow_its_text() {
    let events = read_golden("signed-text");
    assert!(events.iter().any(|event| matches!(event, Event::Delta { part: 0, delta: Delta::Seal(_), .. })));
    assert_eq!(events.iter().filter(|event| matches!(event, Event::PartStart { .. })).count(), 1);
}

#[test]
fn sources_of_a_stream_count_from_its_beginning() {
    let events = read_golden("grounded");
    let spans: Vec<(u64, u64)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Delta { delta: Delta::Citation(citation), .. } => Some((citation.start?, citation.end?)),
            _ => None,
        })
        .collect();
    assert_eq!(spans, [(0, 32), (0, 32), (33, 50)]);
    assert!(events.iter().any(|event| matches!(event, Event::Usage(usage) if usage.web_searches == 2)));
}

#[test]
fn every_candidate_finishes() {
    let events = read_golden("two-candidates");
    let finished: Vec<u32> = events
        .iter()
        .filter_map(|event| match event {
            Event::Finish { choice, .. } => Some(*choice),
            _ => None,
        })
        .collect();
    assert_eq!(finished, [0, 1]);
}

#[test]
fn a_blocked_prompt_is_a_complete_answer() {
    let events = read_golden("blocked-prompt");
    assert!(events.contains(&Event::Finish { choice: 0, reason: StopReason::ContentFilter }));
    assert_eq!(events.last(), Some(&Event::End));
}

#[test]
fn an_error_ends_the_stream() {
    let events = read_golden("error-midway");
    let Some(Event::Error(error)) = events.last() else { panic!("{events:?}") };
    assert_eq!(
        (error.status, error.message.as_str()),
        (503, "The model is overloaded. Please try again later.")
    );
}

#[test]
fn a_stream_without_a_reason_to_end_is_broken() {
    let whole = golden("text");
    let cut = whole.len() - 40;
    for length in [0, 10, cut] {
        assert!(read_chunks([&whole[..length]]).1.is_err(), "{length}");
    }
}

#[test]
fn what_comes_after_the_reason_is_not_lost() {
    let stream = concat!(
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"STOP\"}]}\n\n",
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\"}]},\"finishReason\":\"STOP\"}]}\n\n",
    );
    let (events, end) = read_chunks([stream.as_bytes()]);
    end.unwrap();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Finish { .. })).count(), 1);
    assert!(events.contains(&delta(0, Delta::Text("b".to_owned()))));
}

#[test]
fn calls_are_written_whole_and_sources_last() {
    let events = [
        Event::Start {
            id: Some("id".to_owned()),
            model: Some("m".to_owned()),
            created: None,
            extra: Extra::new(),
        },
        begin(0, PartStart::Text),
        delta(0, Delta::Text("Oslo".to_owned())),
        delta(
            0,
            Delta::Citation(Citation { url: Some("https://a.example".to_owned()), ..Citation::default() }),
        ),
        stop(0),
        begin(
            1,
            PartStart::ToolCall {
                id: "c".to_owned(),
                name: "f".to_owned(),
                kind: ToolCallKind::Function,
                extra: Extra::new(),
            },
        ),
        delta(1, Delta::Arguments("{\"n\"".to_owned())),
        delta(1, Delta::Arguments(": 1}".to_owned())),
        stop(1),
        Event::Finish { choice: 0, reason: StopReason::ToolCalls },
        Event::Usage(Usage { input: 1, output: 2, ..Usage::default() }),
        Event::End,
    ];
    let chunk =
        |candidate: Value| json!({"candidates": [candidate], "modelVersion": "m", "responseId": "id"});
    let content = |part: Value| json!({"role": "model", "parts": [part]});
    let mut chunks = written_chunks(&events);
    assert_eq!(chunks[0], chunk(json!({"content": content(json!({"text": "Oslo"})), "index": 0})));
    assert_eq!(
        chunks[1],
        chunk(
            json!({"content": content(json!({"functionCall": {"id": "c", "name": "f", "args": {"n": 1}}})), "index": 0})
        )
    );
    let last = chunks.pop().unwrap();
    assert_eq!(chunks.len(), 2);
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert_eq!(
        last["candidates"][0]["groundingMetadata"]["groundingChunks"][0]["web"]["uri"],
        "https://a.example"
    );
    assert_eq!(last["usageMetadata"]["totalTokenCount"], 3);
}

#[test]
fn paragraphs_of_a_summary_stay_apart() {
    let chunks = written_chunks(&[
        begin(0, PartStart::Reasoning { id: None }),
        delta(0, Delta::Summary { index: 0, text: "One.".to_owned() }),
        delta(0, Delta::Summary { index: 1, text: "Two.".to_owned() }),
    ]);
    let texts: Vec<&Value> = chunks.iter().map(|c| &c["candidates"][0]["content"]["parts"][0]).collect();
    assert_eq!(
        texts,
        [&json!({"text": "One.", "thought": true}), &json!({"text": "\n\nTwo.", "thought": true})]
    );
}

#[test]
fn errors_are_told_in_the_stream_as_googles_sdk_looks_for_them() {
    let mut out = Vec::new();
    let reply = ErrorReply {
        status: 503,
        message: "gone".to_owned(),
        kind: "internal_server_error",
        param: None,
        code: None,
    };
    writer().write_error(&reply, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "data: {\"error\":{\"code\":503,\"message\":\"gone\",\"status\":\"UNAVAILABLE\"}}\n\n"
    );
}

fn seals() -> impl Strategy<Value = Option<Seal>> {
    let dialect =
        prop::sample::select(vec![Dialect::Gemini, Dialect::AnthropicMessages, Dialect::OpenaiResponses]);
    prop::option::of(
        (dialect, "[A-Za-z0-9+/]{4,9}")
            .prop_map(|(dialect, value)| Seal::new(dialect, SealKind::Signature, value)),
    )
}

/// The events of one part: its kind changes from part to part, so that two texts never meet.
fn part(number: u32) -> impl Strategy<Value = Vec<Event>> {
    let pieces = prop::collection::vec("[a-zé]{1,5}", 1..4);
    (pieces, seals()).prop_map(move |(pieces, seal)| {
        let (start, wrap): (PartStart, fn(String) -> Delta) = match number % 3 {
            0 => (PartStart::Reasoning { id: None }, Delta::Thinking),
            1 => (PartStart::Text, Delta::Text),
            _ => (
                PartStart::ToolCall {
                    id: format!("c{number}"),
                    name: "f".to_owned(),
                    kind: ToolCallKind::Function,
                    extra: Extra::new(),
                },
                Delta::Arguments,
            ),
        };
        let mut events = vec![begin(number, start)];
        let mut seal = seal.map(|seal| delta(number, Delta::Seal(seal)));
        if number % 3 == 2 {
            events.extend(seal.take());
            events.push(delta(number, Delta::Arguments(json!({"q": pieces.concat()}).to_string())));
        } else {
            events.extend(pieces.into_iter().map(|piece| delta(number, wrap(piece))));
        }
        events.extend(seal);
        events.push(stop(number));
        events
    })
}

fn answer() -> impl Strategy<Value = Vec<Event>> {
    (1_u32..6)
        .prop_flat_map(|parts| (0..parts).map(part).collect::<Vec<_>>())
        .prop_flat_map(|parts| (Just(parts), any::<u16>(), any::<u16>()))
        .prop_map(|(parts, input, output)| {
            let called = parts.len() > 2;
            let mut events = vec![Event::Start {
                id: Some("id".to_owned()),
                model: Some("m".to_owned()),
                created: None,
                extra: Extra::new(),
            }];
            events.extend(parts.into_iter().flatten());
            let reason = if called { StopReason::ToolCalls } else { StopReason::EndTurn };
            events.push(Event::Finish { choice: 0, reason });
            events.push(Event::Usage(Usage {
                input: input.into(),
                output: output.into(),
                ..Usage::default()
            }));
            events.push(Event::End);
            events
        })
}

proptest! {
    #[test]
    fn cuts_do_not_matter(case in prop::sample::select(CASES.to_vec()), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let whole = golden(case);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
        places.extend([0, whole.len()]);
        places.sort_unstable();
        let chunks = places.windows(2).map(|pair| &whole[pair[0]..pair[1]]);
        prop_assert_eq!(read_chunks(chunks).0, read_golden(case));
    }

    #[test]
    fn what_is_written_is_read(events in answer()) {
        let (read, end) = read_chunks([write_events(&events).as_slice()]);
        prop_assert!(end.is_ok());
        prop_assert_eq!(essence(&read), essence(&events));
    }

    #[test]
    fn no_bytes_panic(case in prop::sample::select(CASES.to_vec()), at in any::<prop::sample::Index>(), noise in prop::collection::vec(any::<u8>(), 1..5)) {
        let mut bytes = golden(case);
        let at = at.index(bytes.len());
        bytes.splice(at..at, noise);
        let _ = read_chunks([bytes.as_slice()]);
    }
}
