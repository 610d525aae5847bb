//! The dialect as a whole: laws over generated conversations and over the golden files.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Number, Value, json};

use super::CODEC;
use crate::Dialect;
use crate::conversation::{
    CacheMarker, CacheTtl, Delta, Event, FunctionTool, Media, MediaKind, Message, Part, PartStart, Reasoning,
    Request, Role, Seal, SealKind, Source, StopReason, StreamOptions, Text, Thinking, Tool, ToolCall,
    ToolCallKind, ToolChoice, ToolResult, Usage,
};
use crate::document::Document;
use crate::error::ErrorReply;
use crate::exchange::{AnswerContext, ModelFacts, Target};
use crate::loss::{Losses, ParameterPolicy};

fn golden(kind: &str) -> Vec<(String, String)> {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(kind).join("anthropic_messages");
    let mut files: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.file_name().unwrap().to_str().unwrap().contains(".to-"))
        .filter(|path| path.extension().is_some_and(|extension| extension != "snap"))
        .map(|path| {
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn answer_context(model: &str) -> Arc<AnswerContext> {
    Arc::new(AnswerContext {
        model: model.to_owned(),
        seed: "0123".to_owned(),
        created: 0,
        include_usage: true,
        request: None,
    })
}

fn read(body: &str) -> Request {
    CODEC.read_request(&Document::of(body).unwrap()).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// Writes a request for the model that it names, and reads what was written.
fn written_and_read(request: &Request) -> Request {
    let (facts, policy) = (ModelFacts::default(), ParameterPolicy::default());
    let target = Target { model: &request.model, quirks: &[], facts: &facts, policy: &policy };
    let written = CODEC.write_request(request, &target, &mut Losses::new(false)).unwrap();
    read(std::str::from_utf8(&written).unwrap())
}

fn events(chunks: &[&[u8]]) -> Vec<Event> {
    let mut reader = CODEC.stream_reader("0123");
    let mut events = Vec::new();
    for chunk in chunks {
        reader.push(chunk, &mut events).unwrap();
    }
    reader.finish(&mut events).unwrap();
    events
}

fn stream_of(events: &[Event], model: &str) -> String {
    let mut writer = CODEC.stream_writer(answer_context(model));
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    String::from_utf8(out).unwrap()
}

fn cut<'a>(text: &'a str, cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect()
}

#[test]
fn golden_requests_pass_through_unchanged() {
    for (name, body) in golden("requests") {
        let mut document = Document::of(&body).unwrap();
        CODEC.check_request(&document).unwrap();
        let model = document.text("model").unwrap().unwrap().into_owned();
        let (facts, policy) = (ModelFacts::default(), ParameterPolicy::default());
        let target = Target { model: &model, quirks: &[], facts: &facts, policy: &policy };
        CODEC.adapt_request(&mut document, &target, &mut Losses::new(false)).unwrap();
        assert_eq!(String::from_utf8(document.to_bytes()).unwrap(), body, "{name}");
    }
}

#[test]
fn golden_requests_mean_the_same_when_rebuilt() {
    for (name, body) in golden("requests") {
        let request = read(&body);
        assert_eq!(written_and_read(&request), request, "{name}");
    }
}

#[test]
fn golden_answers_are_rebuilt_whole() {
    for (name, body) in golden("answers") {
        let mut expected: Value = serde_json::from_str(&body).unwrap();
        let response = CODEC.read_response(body.as_bytes(), "0123").unwrap();
        let model = expected["model"].as_str().unwrap();
        let written = CODEC.write_response(&response, &answer_context(model));
        if name == "answer-tool" {
            expected["content"] =
                json!([{"type": "text", "text": "{\"city\":\"Oslo\",\"population\":717710}"}]);
            expected["stop_reason"] = json!("end_turn");
        }
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), expected, "{name}");
    }
}

#[test]
fn golden_answers_pass_through_but_for_the_model() {
    for (name, body) in golden("answers") {
        let (out, observed) = CODEC.relay_response(body.as_bytes(), &answer_context("alias")).unwrap();
        let model = observed.model.unwrap();
        let expected = body.replace(&format!("\"model\": \"{model}\""), "\"model\":\"alias\"");
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{name}");
        let read = CODEC.read_response(body.as_bytes(), "0123").unwrap().usage.unwrap();
        assert_eq!(observed.usage, Some(Usage { original: None, ..read }), "{name}");
    }
}

#[test]
fn golden_streams_are_rebuilt_whole() {
    for (name, stream) in golden("streams") {
        let events = events(&[stream.as_bytes()]);
        if name == "overloaded" {
            assert!(matches!(events.last(), Some(Event::Error(_))));
            continue;
        }
        let Some(Event::Start { model: Some(model), .. }) = events.first() else { panic!("{name}") };
        let rewritten = stream_of(&events, model);
        assert_eq!(self::events(&[rewritten.as_bytes()]), events, "{name}");
    }
}

#[test]
fn golden_streams_pass_through_but_for_the_model() {
    for (name, stream) in golden("streams") {
        let mut relay = CODEC.stream_relay(answer_context("alias"));
        let mut out = Vec::new();
        relay.push(stream.as_bytes(), &mut out).unwrap();
        relay.finish(&mut out).unwrap();
        let model = relay.observed().model.clone().unwrap();
        let passed = stream.split("event: error").next().unwrap_or_default();
        let expected = passed.replace(&format!("\"model\":\"{model}\""), "\"model\":\"alias\"");
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{name}");
        assert_eq!(relay.observed().complete, name != "overloaded", "{name}");
    }
}

#[test]
fn a_stream_is_written_in_the_order_that_clients_expect() {
    let text = |part| Event::PartStart { choice: 0, part, start: PartStart::Text };
    let more = |part, text: &str| Event::Delta { choice: 0, part, delta: Delta::Text(text.to_owned()) };
    let stop = |part| Event::PartStop { choice: 0, part };
    let events = [
        Event::Start { id: None, model: None, created: None, extra: serde_json::Map::new() },
        text(0),
        stop(0),
        text(1),
        more(1, "Hi"),
        stop(1),
        Event::Finish { choice: 0, reason: StopReason::StopSequence(Some("END".into())) },
        Event::Usage(Usage { input: 5, cache_read: 2, output: 1, web_searches: 1, ..Usage::default() }),
        Event::End,
    ];
    let zero = r#""usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}"#;
    let total = r#""usage":{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":2,"output_tokens":1,"server_tool_use":{"web_search_requests":1,"web_fetch_requests":0}}"#;
    let expected = [
        format!("event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_0123\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"alias\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,{zero}}}}}\n\n"),
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n".to_owned(),
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n".to_owned(),
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n".to_owned(),
        format!("event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"END\"}},{total}}}\n\n"),
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_owned(),
    ];
    assert_eq!(stream_of(&events, "alias"), expected.concat());
}

#[test]
fn an_error_ends_a_stream_for_good() {
    let mut writer = CODEC.stream_writer(answer_context("alias"));
    let mut out = Vec::new();
    let error = ErrorReply { status: 529, message: "Overloaded".into(), kind: "x", param: None, code: None };
    writer.write_error(&error, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"
    );
}

#[test]
fn a_stream_that_breaks_off_is_an_error() {
    let (_, stream) = golden("streams").into_iter().find(|(name, _)| name == "text").unwrap();
    let half = stream.split("event: message_stop").next().unwrap();
    let mut reader = CODEC.stream_reader("0123");
    let mut events = Vec::new();
    reader.push(half.as_bytes(), &mut events).unwrap();
    assert!(reader.finish(&mut events).is_err());
    assert!(!events.contains(&Event::End));
}

/// A part of a streamed answer, with the text that its deltas add up to.
fn streamed(events: &[Event]) -> Vec<(String, String)> {
    let mut parts: Vec<(String, String)> = Vec::new();
    for event in events {
        match event {
            Event::PartStart { start, .. } => parts.push((format!("{start:?}"), String::new())),
            Event::Delta { part, delta, .. } => {
                let text = match delta {
                    Delta::Text(text) | Delta::Arguments(text) | Delta::Thinking(text) => text.clone(),
                    Delta::Seal(seal) => format!("<{seal:?}>"),
                    other => format!("{other:?}"),
                };
                parts[usize::try_from(*part).unwrap()].1.push_str(&text);
            }
            _ => {}
        }
    }
    parts
}

fn visible() -> impl Strategy<Value = String> {
    "[a-zA-Zé東\"\\\\{}]{1,6}( [a-z\n]{1,4}[a-z])?"
}

fn seal() -> impl Strategy<Value = Seal> {
    "[a-zA-Z0-9+/=]{1,12}".prop_map(|value| Seal::new(Dialect::AnthropicMessages, SealKind::Signature, value))
}

fn cache() -> impl Strategy<Value = Option<CacheMarker>> {
    let ttl = prop::sample::select(vec![None, Some(CacheTtl::FiveMinutes), Some(CacheTtl::OneHour)]);
    prop::option::weighted(0.2, ttl.prop_map(|ttl| CacheMarker { ttl }))
}

fn text() -> impl Strategy<Value = Part> {
    (visible(), cache()).prop_map(|(text, cache)| Part::Text(Text { text, cache, ..Text::default() }))
}

fn media() -> impl Strategy<Value = Part> {
    let source = prop_oneof![
        "[a-zA-Z0-9+/]{4}"
            .prop_map(|data| (MediaKind::Image, Source::Base64 { media_type: "image/png".into(), data })),
        "[a-zA-Z0-9+/]{4}".prop_map(|data| (
            MediaKind::File,
            Source::Base64 { media_type: "application/pdf".into(), data }
        )),
        "[a-z]{1,5}".prop_map(|path| {
            (MediaKind::Image, Source::Url { url: format!("https://example.com/{path}"), media_type: None })
        }),
        "file_[a-z]{3}".prop_map(|id| (MediaKind::File, Source::FileId(id))),
        visible().prop_map(|text| (MediaKind::File, Source::Text(text))),
    ];
    (source, cache())
        .prop_map(|((kind, source), cache)| Part::Media(Media { cache, ..Media::new(kind, source) }))
}

fn call(id: usize) -> impl Strategy<Value = Part> {
    ("[a-z_]{1,8}", prop::option::of((visible(), any::<i64>()))).prop_map(move |(name, argument)| {
        let arguments = argument.map_or_else(|| json!({}), |(text, number)| json!({text: number}));
        Part::ToolCall(ToolCall::function(format!("toolu_{id}"), name, arguments.to_string()))
    })
}

fn result(id: usize) -> impl Strategy<Value = Part> {
    (prop::collection::vec(prop_oneof![text(), media()], 0..3), any::<bool>(), cache()).prop_map(
        move |(parts, is_error, cache)| {
            Part::ToolResult(ToolResult {
                call_id: format!("toolu_{id}"),
                name: None,
                parts,
                is_error,
                cache,
                extra: serde_json::Map::new(),
            })
        },
    )
}

fn reasoning() -> impl Strategy<Value = Part> {
    (visible(), seal()).prop_map(|(text, seal)| {
        Part::Reasoning(Reasoning { text, seal: Some(seal), ..Reasoning::default() })
    })
}

/// A turn of the user, one of the assistant that calls a tool, and its result.
fn round(id: usize) -> impl Strategy<Value = Vec<Message>> {
    let user = prop::collection::vec(prop_oneof![text(), media()], 1..3);
    let assistant = (prop::option::of(reasoning()), prop::option::of(text()), call(id));
    (user, assistant, result(id)).prop_map(|(user, (thought, said, call), result)| {
        let assistant = thought.into_iter().chain(said).chain([call]).collect();
        vec![
            Message::new(Role::User, user),
            Message::new(Role::Assistant, assistant),
            Message::new(Role::User, vec![result]),
            Message::text(Role::Assistant, "Done."),
        ]
    })
}

prop_compose! {
    fn request()(
        system in prop::option::of(text()),
        rounds in (round(1), round(2)),
        tools in prop::collection::vec(("[a-z]{1,6}", prop::option::of(visible()), cache()), 1..3),
        choice in prop::option::of(prop::sample::select(vec![
            ToolChoice::Auto, ToolChoice::Required, ToolChoice::Function("f".into()),
        ])),
        parallel in any::<bool>(),
        (temperature, top_k, stop) in (
            prop::option::of(0_u32..=10), prop::option::of(1_u32..50), prop::collection::vec(visible(), 0..3),
        ),
        (max, budget, stream, user) in (
            3000_u64..9000, prop::option::of(1024_u64..2000), any::<bool>(), prop::option::of("[a-z]{1,5}"),
        ),
    ) -> Request {
        let mut request = Request::new(Dialect::AnthropicMessages, "claude-sonnet-4-5", Vec::new());
        request.messages.extend(system.map(|part| Message::new(Role::System, vec![part])));
        request.messages.extend(rounds.0);
        request.messages.extend(rounds.1);
        request.tools = tools.into_iter().map(|(name, description, cache)| Tool::Function(FunctionTool {
            name, description, cache,
            parameters: Some(json!({"type": "object", "properties": {"a": {"type": "string"}}})),
            ..FunctionTool::default()
        })).collect();
        request.parallel_tool_calls = choice.is_some().then_some(parallel);
        request.tool_choice = choice;
        if budget.is_none() {
            request.sampling.temperature = temperature.and_then(|tenths| Number::from_f64(f64::from(tenths) / 10.0));
            request.sampling.top_k = top_k.map(Number::from);
        }
        request.sampling.stop = stop;
        request.max_output_tokens = Some(max);
        request.reasoning.thinking = budget.map(Thinking::Budget);
        request.stream = stream.then(|| StreamOptions { include_usage: true, ..StreamOptions::default() });
        request.user = user;
        request
    }
}

/// Streamed parts: how each begins, and its deltas.
fn streamed_parts() -> impl Strategy<Value = Vec<(PartStart, Vec<Delta>)>> {
    let texts = || prop::collection::vec(visible(), 1..4);
    let call = ("[a-z]{1,5}", texts()).prop_map(|(name, pieces)| {
        let start = PartStart::ToolCall {
            id: format!("toolu_{name}"),
            name,
            kind: ToolCallKind::Function,
            extra: serde_json::Map::new(),
        };
        (start, pieces.into_iter().map(Delta::Arguments).collect())
    });
    let text = texts().prop_map(|texts| (PartStart::Text, texts.into_iter().map(Delta::Text).collect()));
    let thought = (texts(), seal()).prop_map(|(texts, seal)| {
        let deltas = texts.into_iter().map(Delta::Thinking).chain([Delta::Seal(seal)]).collect();
        (PartStart::Reasoning { id: None }, deltas)
    });
    prop::collection::vec(prop_oneof![call, text, thought], 1..5)
}

proptest! {
    #[test]
    fn what_is_written_is_read(request in request()) {
        prop_assert_eq!(written_and_read(&request), request);
    }

    #[test]
    fn cuts_do_not_matter(
        which in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let streams = golden("streams");
        let (_, stream) = which.get(&streams);
        prop_assert_eq!(events(&cut(stream, &cuts)), events(&[stream.as_bytes()]));
    }

    /// However the deltas of several parts are mixed, the client gets whole blocks one after the other.
    #[test]
    fn blocks_never_overlap(parts in streamed_parts(), order in prop::collection::vec(any::<prop::sample::Index>(), 40)) {
        let mut mixed = vec![Event::Start { id: None, model: None, created: None, extra: serde_json::Map::new() }];
        let mut plain = mixed.clone();
        let mut queues: Vec<Vec<Event>> = Vec::new();
        for (number, (start, deltas)) in (0_u32..).zip(&parts) {
            let mut events = vec![Event::PartStart { choice: 0, part: number, start: start.clone() }];
            events.extend(deltas.iter().map(|delta| Event::Delta { choice: 0, part: number, delta: delta.clone() }));
            events.push(Event::PartStop { choice: 0, part: number });
            plain.extend(events.clone());
            mixed.push(events.remove(0));
            queues.push(events);
        }
        for index in order {
            let open: Vec<usize> = (0..queues.len()).filter(|queue| !queues[*queue].is_empty()).collect();
            if !open.is_empty() {
                let queue = &mut queues[*index.get(&open)];
                mixed.push(queue.remove(0));
            }
        }
        mixed.extend(queues.into_iter().flatten());
        let end = [Event::Finish { choice: 0, reason: StopReason::EndTurn }, Event::End];
        mixed.extend(end.clone());
        plain.extend(end);
        let read = events(&[stream_of(&mixed, "alias").as_bytes()]);
        prop_assert_eq!(streamed(&read), streamed(&plain));
        let mut open = None;
        for event in &read {
            match event {
                Event::PartStart { part, .. } => {
                    prop_assert_eq!(open, None);
                    open = Some(*part);
                }
                Event::Delta { part, .. } => prop_assert_eq!(open, Some(*part)),
                Event::PartStop { .. } => open = None,
                _ => {}
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(document) = Document::parse(&bytes) {
            let _ = CODEC.read_request(&document);
        }
        let _ = CODEC.read_response(&bytes, "0123");
        let mut reader = CODEC.stream_reader("0123");
        let mut events = Vec::new();
        for chunk in bytes.chunks(7) {
            let _ = reader.push(chunk, &mut events);
        }
        let _ = reader.finish(&mut events);
    }

    #[test]
    fn no_event_panics(kind in "(message_start|content_block_(start|delta|stop)|message_(delta|stop)|error|ping)", value in "\\PC{0,20}") {
        let piece = json!({"type": value, "text": value, "input": value, "id": value, "name": value});
        let event = json!({"type": kind, "index": 0, "message": {"id": value}, "content_block": piece, "delta": piece, "error": {}});
        let data = format!("data: {event}\n\n");
        let mut reader = CODEC.stream_reader("0123");
        let mut events = Vec::new();
        let _ = reader.push(b"data: {\"type\":\"message_start\",\"message\":{}}\n\n", &mut events);
        for _ in 0..2 {
            let _ = reader.push(data.as_bytes(), &mut events);
        }
        let _ = reader.finish(&mut events);
    }
}
