use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::Dialect;
use crate::codec::{StreamReader, StreamWriter};
use crate::conversation::{
    Delta, Event, Extra, Part, PartStart, Reasoning, Seal, SealKind, StopReason, ToolCallKind, Usage,
};
use crate::error::{BadReply, ErrorClass, ErrorReply};
use crate::exchange::AnswerContext;

const TEXT: &str = include_str!("../../../golden/streams/openai_chat/text-usage.sse");
const TOOLS: &str = include_str!("../../../golden/streams/openai_chat/tool-calls.sse");
const WHOLE: &str = include_str!("../../../golden/streams/openai_chat/whole-calls-without-index.sse");
const DETAILS: &str = include_str!("../../../golden/streams/openai_chat/reasoning-details.sse");
const LIST: &str = include_str!("../../../golden/streams/openai_chat/content-list.sse");
const ERROR: &str = include_str!("../../../golden/streams/openai_chat/error-event.sse");
const TWO: &str = include_str!("../../../golden/streams/openai_chat/two-choices.sse");

fn read(chunks: &[&[u8]]) -> (Vec<Event>, Result<(), BadReply>) {
    let mut reader = Reader::new("seed");
    let mut events = Vec::new();
    let mut result = Ok(());
    for chunk in chunks {
        result = result.and_then(|()| reader.push(chunk, &mut events));
    }
    let result = result.and_then(|()| reader.finish(&mut events));
    (events, result)
}

fn events(stream: &str) -> Vec<Event> {
    let (events, result) = read(&[stream.as_bytes()]);
    result.unwrap();
    events
}

/// The events of the first choice in short: `+` begins a part, `-` ends it.
fn outline(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| match event {
            Event::Start { .. } => "start".to_owned(),
            Event::PartStart { part, start, .. } => match start {
                PartStart::Text => format!("+{part} text"),
                PartStart::Refusal => format!("+{part} refusal"),
                PartStart::Reasoning { .. } => format!("+{part} reasoning"),
                PartStart::ToolCall { id, name, .. } => format!("+{part} {name}({id})"),
                PartStart::Audio { .. } => format!("+{part} audio"),
                PartStart::Whole(_) => format!("+{part} whole"),
            },
            Event::Delta { part, delta, .. } => match delta {
                Delta::Text(text) | Delta::Thinking(text) | Delta::Arguments(text) => {
                    format!("{part} {text}")
                }
                Delta::Seal(_) => format!("{part} seal"),
                other => format!("{part} {other:?}"),
            },
            Event::PartStop { part, .. } => format!("-{part}"),
            Event::Logprobs { .. } => "logprobs".to_owned(),
            Event::Finish { reason, .. } => format!("{reason:?}"),
            Event::Usage(usage) => format!("usage {}+{}", usage.input, usage.output),
            Event::Error(error) => format!("error {}", error.status),
            Event::End => "end".to_owned(),
        })
        .collect()
}

#[test]
fn parts_begin_and_end() {
    assert_eq!(
        outline(&events(TEXT)),
        ["start", "+0 text", "0 The", "0  Danube ✓.", "-0", "EndTurn", "usage 14+9", "end"]
    );
    assert_eq!(
        outline(&events(LIST)),
        [
            "start",
            "+0 reasoning",
            "0 A river",
            "0  is wanted.",
            "-0",
            "+1 text",
            "1 The Danube.",
            "-1",
            "EndTurn",
            "usage 14+9",
            "end"
        ]
    );
}

#[test]
fn a_call_ends_where_the_next_begins() {
    assert_eq!(
        outline(&events(TOOLS)),
        [
            "start",
            "+0 get_weather(call_1)",
            "0 {\"city\": ",
            "0 \"Oslo\"}",
            "-0",
            "+1 get_time(call_2)",
            "1 {\"zone\": \"Europe/Oslo\"}",
            "-1",
            "ToolCalls",
            "usage 14+9",
            "end"
        ]
    );
}

#[test]
fn whole_calls_without_index_and_with_the_wrong_reason_are_understood() {
    assert_eq!(
        outline(&events(WHOLE)),
        ["start", "+0 f(a)", "0 {}", "-0", "+1 g(b)", "1 {\"x\":1}", "-1", "ToolCalls", "usage 14+9", "end"]
    );
}

#[test]
fn pieces_of_several_calls_may_come_by_turns() {
    let piece = |index: u32, rest: &str| {
        format!(
            r#"data: {{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":{index},{rest}}}]}}}}]}}"#
        ) + "\n\n"
    };
    let stream = [
        piece(0, r#""id":"a","function":{"name":"f","arguments":""}"#),
        piece(1, r#""id":"b","function":{"name":"g","arguments":""}"#),
        piece(0, r#""function":{"arguments":"{}"}"#),
        piece(1, r#""function":{"arguments":"[]"}"#),
        "data: [DONE]\n\n".to_owned(),
    ];
    assert_eq!(
        outline(&events(&stream.concat())),
        ["start", "+0 f(a)", "+1 g(b)", "0 {}", "1 []", "-0", "-1", "ToolCalls", "end"]
    );
}

/// The dialect has one content and a list of calls, and no order between them.
#[test]
fn what_is_said_while_a_call_is_in_the_making_costs_the_call_nothing() {
    let call = |piece: &str| format!(r#"{{"tool_calls":[{{"index":0,{piece}}}]}}"#);
    let first = call(r#""id":"c","function":{"name":"f","arguments":"{\"a\""}"#);
    let last = call(r#""function":{"arguments":":1}"}"#);
    let deltas =
        [&first, r#"{"content":"Hm."}"#, r#"{"reasoning_content":"So?"}"#, &last, r#"{"content":"!"}"#];
    let mut stream: String = deltas
        .map(|delta| format!("data: {{\"id\":\"x\",\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n"))
        .concat();
    stream.push_str("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n");
    assert_eq!(
        outline(&events(&stream)),
        [
            "start",
            "+0 f(c)",
            "0 {\"a\"",
            "0 :1}",
            "-0",
            "+1 text",
            "1 Hm.",
            "-1",
            "+2 reasoning",
            "2 So?",
            "-2",
            "+3 text",
            "3 !",
            "-3",
            "ToolCalls",
            "end"
        ]
    );
}

#[test]
fn every_call_with_index_zero_is_one_of_its_own() {
    let call = |id: &str| {
        format!(
            r#"data: {{"choices":[{{"delta":{{"tool_calls":[{{"index":0,"id":"{id}","function":{{"name":"f","arguments":"{{}}"}}}}]}}}}]}}"#
        ) + "\n\n"
    };
    let stream = [call("a"), call("b"), "data: [DONE]\n\n".to_owned()].concat();
    assert_eq!(
        outline(&events(&stream)),
        ["start", "+0 f(a)", "0 {}", "-0", "+1 f(b)", "1 {}", "-1", "ToolCalls", "end"]
    );
}

#[test]
fn a_call_without_id_gets_one() {
    let stream = "data: {\"choices\":[{\"delta\":{\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}},\"finish_reason\":\"function_call\"}]}\n\n";
    assert_eq!(outline(&events(stream)), ["start", "+0 f(call_seed_0)", "0 {}", "-0", "ToolCalls", "end"]);
}

#[test]
fn reasoning_details_become_one_seal() {
    let events = events(DETAILS);
    let seal = events.iter().find_map(|event| match event {
        Event::Delta { delta: Delta::Seal(seal), .. } => Some(seal),
        _ => None,
    });
    let details: Value = serde_json::from_str(&seal.unwrap().value).unwrap();
    assert_eq!(
        details,
        serde_json::json!([{"type": "reasoning.text", "text": "A river is wanted.", "format": "anthropic-claude-v1",
            "index": 0, "signature": "c2ln"}])
    );
}

#[test]
fn choices_are_kept_apart() {
    let said = |wanted: u32| -> String {
        let texts = events(TWO).into_iter().filter_map(move |event| match event {
            Event::Delta { choice, delta: Delta::Text(text), .. } if choice == wanted => Some(text),
            _ => None,
        });
        texts.collect()
    };
    assert_eq!((said(0).as_str(), said(1).as_str()), ("ab", "xy"));
}

#[test]
fn an_error_event_ends_the_stream() {
    let events = events(ERROR);
    let Some(Event::Error(error)) = events.last() else { panic!("{events:?}") };
    assert_eq!((error.status, error.class), (502, ErrorClass::BadGateway));
}

#[test]
fn a_stream_without_an_end_is_broken() {
    let cut = TEXT.split_inclusive("\n\n").take(2).collect::<String>();
    assert!(read(&[cut.as_bytes()]).1.is_err());
    let no_done = TEXT.replace("data: [DONE]\n\n", "");
    assert_eq!(events(&no_done), events(TEXT));
}

fn context(include_usage: bool) -> Arc<AnswerContext> {
    Arc::new(AnswerContext {
        model: "alias".to_owned(),
        seed: "seed".to_owned(),
        created: 7,
        include_usage,
        request: None,
    })
}

fn write(events: &[Event], include_usage: bool) -> String {
    let mut writer = Writer::new(context(include_usage));
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    String::from_utf8(out).unwrap()
}

fn chunks(stream: &str) -> Vec<Value> {
    stream
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn start() -> Event {
    Event::Start { id: None, model: Some("theirs".to_owned()), created: None, extra: Extra::new() }
}

fn part(start: PartStart, deltas: Vec<Delta>) -> Vec<Event> {
    let mut events = vec![Event::PartStart { choice: 0, part: 0, start }];
    events.extend(deltas.into_iter().map(|delta| Event::Delta { choice: 0, part: 0, delta }));
    events.push(Event::PartStop { choice: 0, part: 0 });
    events
}

fn stream_of(parts: Vec<Event>, reason: StopReason) -> Vec<Event> {
    let mut events = vec![start()];
    events.extend(parts);
    events.push(Event::Finish { choice: 0, reason });
    events.push(Event::Usage(Usage { input: 3, output: 10, ..Usage::default() }));
    events.push(Event::End);
    events
}

#[test]
fn a_stream_begins_with_the_role_and_ends_with_usage_and_done() {
    let text = part(PartStart::Text, vec![Delta::Text("a".to_owned()), Delta::Text("b".to_owned())]);
    let written = write(&stream_of(text, StopReason::EndTurn), true);
    assert!(written.ends_with("data: [DONE]\n\n"));
    let chunks = chunks(&written);
    assert_eq!(chunks[0]["choices"][0]["delta"], serde_json::json!({"role": "assistant", "content": "a"}));
    assert_eq!(chunks[1]["choices"][0]["delta"], serde_json::json!({"content": "b"}));
    assert_eq!(
        chunks[2]["choices"][0],
        serde_json::json!({"index": 0, "delta": {}, "finish_reason": "stop"})
    );
    assert_eq!(chunks[3]["choices"], serde_json::json!([]));
    assert_eq!(chunks[3]["usage"]["total_tokens"], 13);
    for chunk in &chunks {
        assert_eq!(chunk["id"], "chatcmpl-seed");
        assert_eq!(chunk["model"], "alias");
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["created"], 7);
    }
}

#[test]
fn usage_is_written_only_if_asked_for() {
    let text = part(PartStart::Text, vec![Delta::Text("a".to_owned())]);
    assert!(!write(&stream_of(text, StopReason::EndTurn), false).contains("usage"));
}

#[test]
fn an_empty_answer_still_has_a_role() {
    let chunks = chunks(&write(&stream_of(Vec::new(), StopReason::MaxTokens), false));
    assert_eq!(chunks[0]["choices"][0]["delta"], serde_json::json!({"role": "assistant", "content": ""}));
    assert_eq!(chunks[1]["choices"][0]["finish_reason"], "length");
}

#[test]
fn a_signature_comes_with_the_whole_thinking() {
    let seal = Seal::new(Dialect::AnthropicMessages, SealKind::Signature, "sig");
    let deltas = vec![Delta::Thinking("a ".to_owned()), Delta::Thinking("b".to_owned()), Delta::Seal(seal)];
    let thinking = part(PartStart::Reasoning { id: None }, deltas);
    let chunks = chunks(&write(&stream_of(thinking, StopReason::EndTurn), true));
    assert_eq!(chunks[0]["choices"][0]["delta"]["reasoning_content"], "a ");
    assert_eq!(
        chunks[2]["choices"][0]["delta"]["thinking_blocks"],
        serde_json::json!([{"type": "thinking", "thinking": "a b", "signature": "sig"}])
    );
    assert_eq!(chunks[4]["usage"]["completion_tokens_details"]["reasoning_tokens"], 10, "all was thinking");
}

#[test]
fn redacted_thinking_comes_whole() {
    let seal = Some(Seal::new(Dialect::AnthropicMessages, SealKind::Redacted, "xyz"));
    let whole = Part::Reasoning(Reasoning { seal, ..Reasoning::default() });
    let chunks =
        chunks(&write(&stream_of(part(PartStart::Whole(whole), vec![]), StopReason::EndTurn), false));
    assert_eq!(
        chunks[0]["choices"][0]["delta"]["thinking_blocks"],
        serde_json::json!([{"type": "redacted_thinking", "data": "xyz"}])
    );
}

#[test]
fn a_call_without_arguments_gets_an_empty_object() {
    let call = PartStart::ToolCall {
        id: "a".to_owned(),
        name: "f".to_owned(),
        kind: ToolCallKind::Function,
        extra: Extra::new(),
    };
    let chunks = chunks(&write(&stream_of(part(call, vec![]), StopReason::ToolCalls), false));
    let first = &chunks[0]["choices"][0]["delta"]["tool_calls"][0];
    assert_eq!(
        *first,
        serde_json::json!({"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}})
    );
}

#[test]
fn an_error_ends_the_stream_without_done() {
    let mut out = Vec::new();
    let error =
        ErrorReply { status: 500, message: "m".to_owned(), kind: "server_error", param: None, code: None };
    Writer::new(context(true)).write_error(&error, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(
        text,
        "data: {\"error\":{\"message\":\"m\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n"
    );
}

#[test]
fn what_was_read_is_written_so_that_it_reads_the_same() {
    for stream in [TEXT, TOOLS, WHOLE, DETAILS, LIST, TWO] {
        let first = events(stream);
        let again = events(&write(&first, true));
        let content = |events: &[Event]| -> Vec<Event> {
            let kept = events.iter().filter(|event| !matches!(event, Event::Usage(_) | Event::Start { .. }));
            kept.cloned().collect()
        };
        assert_eq!(content(&again), content(&first));
    }
}

proptest! {
    #[test]
    fn cuts_do_not_matter(
        which in 0..7_usize,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let stream = [TEXT, TOOLS, WHOLE, DETAILS, LIST, ERROR, TWO][which].as_bytes();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        let chunks: Vec<&[u8]> = places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(read(&chunks), read(&[stream]));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), json in "[\\[\\]{}\":,a-z0-9]{0,60}") {
        let _ = read(&[&bytes, format!("data: {json}\n\n").as_bytes()]);
    }

    #[test]
    fn every_order_of_parts_is_well_formed(
        deltas in prop::collection::vec(
            prop::sample::select(vec![
                r#"{"content":"a"}"#,
                r#"{"reasoning_content":"b"}"#,
                r#"{"refusal":"c"}"#,
                r#"{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{}"}}]}"#,
                r#"{"tool_calls":[{"index":1,"id":"y","function":{"name":"g","arguments":"{\"a\":"}}]}"#,
                r#"{"tool_calls":[{"index":1,"function":{"arguments":"1}"}}]}"#,
                r#"{"thinking_blocks":[{"type":"redacted_thinking","data":"d"}]}"#,
                r#"{"annotations":[{"type":"url_citation","url_citation":{"url":"u"}}]}"#,
            ]),
            0..10,
        ),
    ) {
        let stream: String =
            deltas.iter().map(|delta| format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n")).collect();
        let mut open = Vec::new();
        let mut next = 0;
        for event in events(&(stream + "data: [DONE]\n\n")) {
            match event {
                Event::PartStart { part, .. } => {
                    prop_assert_eq!(part, next);
                    next += 1;
                    open.push(part);
                }
                Event::Delta { part, .. } => prop_assert!(open.contains(&part)),
                Event::PartStop { part, .. } => {
                    let before = open.len();
                    open.retain(|open| *open != part);
                    prop_assert_eq!(open.len() + 1, before);
                }
                Event::Finish { .. } => prop_assert!(open.is_empty()),
                _ => {}
            }
        }
    }
}
