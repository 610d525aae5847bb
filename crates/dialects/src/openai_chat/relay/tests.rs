use proptest::prelude::*;

use super::*;
use crate::error::ErrorClass;

fn answer(include_usage: bool) -> AnswerContext {
    AnswerContext {
        model: "alias".to_owned(),
        seed: "s".to_owned(),
        created: 1,
        include_usage,
        request: None,
    }
}

fn relay(chunks: &[&[u8]], include_usage: bool) -> (String, Observed, Result<(), BadReply>) {
    let mut relay = Relay::new(&answer(include_usage), Dialect::OpenaiChat);
    let mut out = Vec::new();
    let mut result = Ok(());
    for chunk in chunks {
        result = result.and_then(|()| relay.push(chunk, &mut out));
    }
    let result = result.and_then(|()| relay.finish(&mut out));
    (String::from_utf8(out).unwrap(), relay.observed().clone(), result)
}

fn relayed(stream: &str, include_usage: bool) -> String {
    let (text, _, result) = relay(&[stream.as_bytes()], include_usage);
    result.unwrap();
    text
}

const TEXT: &str = include_str!("../../../golden/streams/openai_chat/text-usage.sse");
const TOOLS: &str = include_str!("../../../golden/streams/openai_chat/tool-calls.sse");
const DETAILS: &str = include_str!("../../../golden/streams/openai_chat/reasoning-details.sse");
const LIST: &str = include_str!("../../../golden/streams/openai_chat/content-list.sse");
const ERROR: &str = include_str!("../../../golden/streams/openai_chat/error-event.sse");
const AZURE: &str = include_str!("../../../golden/streams/openai_chat/azure-filter-first.sse");

#[test]
fn an_answer_keeps_every_byte_but_the_model() {
    let body = |model: &str| {
        format!(
            r#"{{ "id":"c1", "model" : "{model}" ,"x":[1.50,"model"],"choices":[{{"index":0,"message":{{"role":"assistant","content":"Grüße \"model\"","model":"inner"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}}}"#
        )
    };
    let (out, observed) =
        relay_response(body("gpt-4o-2024").as_bytes(), &answer(false), Dialect::OpenaiChat).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), body("alias"));
    assert_eq!(observed.id.as_deref(), Some("c1"));
    assert_eq!(observed.model.as_deref(), Some("gpt-4o-2024"));
    assert_eq!(observed.stop, Some(StopReason::EndTurn));
    assert_eq!(observed.usage.map(|usage| (usage.input, usage.output)), Some((3, 2)));
    assert!(observed.has_content && observed.complete);
}

#[test]
fn thinking_is_put_where_clients_look() {
    let body = r#"{"model":"m","choices":[{"message":{"content":"a","reasoning":"b\n"}}]}"#;
    let (out, _) = relay_response(body.as_bytes(), &answer(false), Dialect::OpenaiChat).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"model":"alias","choices":[{"message":{"content":"a","reasoning":"b\n","reasoning_content":"b\n"}}]}"#
    );
    let body = r#"{"choices":[{"message":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"b"}]},{"type":"text","text":"a"}]}}]}"#;
    let (out, _) = relay_response(body.as_bytes(), &answer(false), Dialect::OpenaiChat).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"choices":[{"message":{"content":"a","reasoning_content":"b"}}]}"#
    );
}

#[test]
fn what_is_no_answer_is_refused() {
    for body in ["", "{}", "[]", r#"{"id":"x","choices":[{"#, r#"{"error":{"message":"no"},"choices":[]}"#] {
        assert!(relay_response(body.as_bytes(), &answer(false), Dialect::OpenaiChat).is_err(), "{body}");
    }
}

#[test]
fn a_stream_keeps_every_byte_but_the_model() {
    for stream in [TEXT, TOOLS] {
        assert_eq!(relayed(stream, true), stream.replace(r#""model":"gpt-4o""#, r#""model":"alias""#));
    }
}

#[test]
fn usage_that_was_not_asked_for_is_left_out() {
    let (text, observed, _) = relay(&[TEXT.as_bytes()], false);
    assert!(!text.contains("prompt_tokens"));
    assert_eq!(observed.usage.map(|usage| (usage.input, usage.cache_read)), Some((14, 4)));
    let beside_words = LIST.replace(
        "\"content\":\"\"},\"logprobs\":null,\"finish_reason\":\"stop\"",
        "\"content\":\"!\"},\"logprobs\":null,\"finish_reason\":\"stop\"",
    );
    let text = relayed(&beside_words, false);
    assert!(text.contains(r#""usage":null"#) && text.contains(r#""content":"!""#));
}

#[test]
fn a_stream_is_observed() {
    let (_, observed, result) = relay(&[TOOLS.as_bytes()], false);
    result.unwrap();
    assert_eq!(observed.id.as_deref(), Some("chatcmpl-B1"));
    assert_eq!(observed.model.as_deref(), Some("gpt-4o"));
    assert_eq!(observed.stop, Some(StopReason::ToolCalls));
    assert!(observed.complete && observed.has_content && observed.text_bytes > 0);
}

#[test]
fn a_role_alone_is_no_content() {
    let first = TEXT.split_inclusive("\n\n").next().unwrap();
    let (_, observed, result) = relay(&[first.as_bytes()], false);
    assert!(!observed.has_content);
    assert!(result.is_err(), "and the stream broke off");
}

#[test]
fn thinking_in_a_stream_is_put_where_clients_look() {
    let text = relayed(DETAILS, true);
    assert!(text.contains(r#""reasoning":"A river","reasoning_content":"A river""#));
    assert!(!text.contains("OPENROUTER"), "comments stay behind");
    let text = relayed(LIST, true);
    assert!(text.contains(r#""delta":{"content":null,"reasoning_content":"A river"}"#));
}

#[test]
fn uncounted_thinking_is_estimated_for_the_client_and_not_for_the_bill() {
    let (text, observed, _) = relay(&[LIST.as_bytes()], true);
    let usage = text.split(r#""usage":"#).nth(1).unwrap();
    assert!(usage.contains(r#""completion_tokens_details":{"reasoning_tokens":"#), "{usage}");
    assert_eq!(observed.usage.unwrap().reasoning, 0);
}

#[test]
fn a_message_beside_the_delta_is_not_read_twice() {
    let chunk =
        r#"data: {"choices":[{"delta":{"content":"b"},"message":{"content":"ab"},"finish_reason":"stop"}]}"#;
    let (text, observed, result) = relay(&[format!("{chunk}\n\n").as_bytes()], false);
    result.unwrap();
    assert!(text.starts_with(chunk));
    assert_eq!(observed.text_bytes, 1);
}

#[test]
fn azures_first_event_gets_its_object() {
    assert!(relayed(AZURE, false).starts_with(
        r#"data: {"id":"","object":"chat.completion.chunk","created":0,"model":"alias","choices":[],"prompt_filter"#
    ));
}

#[test]
fn an_error_event_is_reported_and_not_passed_on() {
    let (text, observed, result) = relay(&[ERROR.as_bytes()], false);
    result.unwrap();
    assert!(!text.contains("error") && !text.contains(DONE));
    let error = observed.error.unwrap();
    assert_eq!((error.status, error.class), (502, ErrorClass::BadGateway));
    assert!(!observed.complete);
}

#[test]
fn a_missing_done_is_put_in_and_a_broken_stream_is_not_whole() {
    let without_done = TEXT.replace("data: [DONE]\n\n", "");
    assert!(relayed(&without_done, true).ends_with("data: [DONE]\n\n"));
    let cut = &TEXT[..TEXT.find("finish_reason\":\"stop").unwrap()];
    let (text, observed, result) = relay(&[cut.rsplit_once("data:").unwrap().0.as_bytes()], true);
    assert!(result.is_err() && !observed.complete && !text.contains(DONE));
}

proptest! {
    #[test]
    fn cuts_do_not_matter(
        which in 0..6_usize,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        include_usage in any::<bool>(),
    ) {
        let stream = [TEXT, TOOLS, DETAILS, LIST, ERROR, AZURE][which].as_bytes();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        let chunks: Vec<&[u8]> = places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(relay(&chunks, include_usage), relay(&[stream], include_usage));
    }

    #[test]
    fn unknown_fields_keep_every_byte(
        name in "[a-z_]{1,12}",
        number in "-?[1-9][0-9]{0,20}(\\.[0-9]{1,20})?(e[0-9])?",
        space in "[ \n\t]{0,4}",
        text in "[^\"\\\\\\p{C}]{0,20}",
    ) {
        let body = |model: &str| format!(
            r#"{{"x_{name}":{space}{number},"model":{space}"{model}"{space},"choices":[{{"y_{name}":[{number}],"message":{{"content":"{text}","z_{name}":"{text}"}}}}]}}{space}"#
        );
        let (out, _) = relay_response(body("theirs").as_bytes(), &answer(true), Dialect::OpenaiChat).unwrap();
        prop_assert_eq!(String::from_utf8(out).unwrap(), body("alias"));
    }

    #[test]
    fn what_is_like_the_event_before_is_passed_on_as_if_it_were_not(
        events in prop::collection::vec((0..8_usize, r#"[a-z"\\é{},:]{0,6}"#, "[a-z]{0,3}"), 0..12),
    ) {
        let event = |(kind, words, padding): &(usize, String, String)| {
            let words = serde_json::to_string(words).unwrap();
            let choice = match kind {
                0..4 => format!(r#"{{"index":0,"delta":{{"content":{words}}},"finish_reason":null}}"#),
                4 => format!(r#"{{"delta":{{"reasoning_content":{words}}}}}"#),
                5 => format!(r#"{{"delta":{{"content":{words},"reasoning_content":"x"}}}}"#),
                6 => format!(r#"{{"delta":{{"content":"a","tool_calls":[{{"function":{{"arguments":{words}}}}}]}}}}"#),
                _ => format!(r#"{{"delta":{{"content":{words}}},"finish_reason":"stop"}}"#),
            };
            let padding = if *kind == 3 { format!(r#","obfuscation":"{padding}""#) } else { String::new() };
            format!("data: {{\"model\":\"m\",\"choices\":[{choice}]{padding}}}\n\n")
        };
        let stream: Vec<String> = events.iter().map(event).collect();
        let relay = || Relay::new(&answer(true), Dialect::OpenaiChat);
        let (mut learning, mut forgetting) = (relay(), relay());
        let (mut out, mut expected) = (Vec::new(), Vec::new());
        for event in &stream {
            learning.push(event.as_bytes(), &mut out).unwrap();
            forgetting.passage.repeats = Repeats::default();
            forgetting.push(event.as_bytes(), &mut expected).unwrap();
        }
        prop_assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8(expected).unwrap());
        prop_assert_eq!(learning.observed(), forgetting.observed());
        prop_assert_eq!(learning.passage.shares, forgetting.passage.shares);
        prop_assert_eq!(learning.passage.finished, forgetting.passage.finished);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), tail in "[\\[\\]{}\":,a-z0-9]{0,60}") {
        let _ = relay_response(&bytes, &answer(true), Dialect::OpenaiChat);
        let _ = relay_response(tail.as_bytes(), &answer(true), Dialect::OpenaiChat);
        let mut relay = Relay::new(&answer(true), Dialect::OpenaiChat);
        let mut out = Vec::new();
        let _ = relay.push(&bytes, &mut out);
        let _ = relay.push(format!("data: {tail}\n\n").as_bytes(), &mut out);
        let _ = relay.finish(&mut out);
    }
}
