//! Laws of the whole dialect, and what it cannot say.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::conversation::*;
use crate::document::Document;
use crate::error::{CannotSay, Invalid};
use crate::exchange::{AnswerContext, ModelFacts, Observed, Target};
use crate::loss::{Losses, ParameterPolicy};

fn read(body: &str) -> Result<Request, Invalid> {
    CODEC.read_request(&Document::of(body).unwrap())
}

fn with_target<T>(policy: &ParameterPolicy, f: impl FnOnce(&Target<'_>) -> T) -> T {
    f(&Target { model: "m", quirks: &[], facts: &ModelFacts::default(), policy })
}

fn write(request: &Request) -> Result<Value, CannotSay> {
    let written = with_target(&ParameterPolicy::default(), |target| {
        CODEC.write_request(request, target, &mut Losses::new(false))
    })?;
    Ok(serde_json::from_slice(&written).unwrap())
}

fn adapted(body: &str) -> Value {
    let policy =
        ParameterPolicy { additional_drop_params: vec!["best_of".to_owned()], ..ParameterPolicy::default() };
    let mut document = Document::of(body).unwrap();
    with_target(&policy, |target| {
        CODEC.adapt_request(&mut document, target, &mut Losses::new(false)).unwrap()
    });
    serde_json::from_slice(&document.to_bytes()).unwrap()
}

fn answer(include_usage: bool) -> AnswerContext {
    AnswerContext {
        model: "alias".to_owned(),
        seed: "seed".to_owned(),
        created: 1,
        include_usage,
        request: None,
    }
}

fn golden(folder: &str) -> Vec<(String, String)> {
    let path = format!("{}/golden/{folder}/openai_completions", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    // Beside an input stand its translations, `<case>.to-<dialect>.json`.
    files.retain(|path| !path.to_string_lossy().contains(".to-"));
    files.sort();
    let name = |path: &std::path::Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

fn events(stream: &[u8], cut: usize) -> Vec<Event> {
    let mut reader = CODEC.stream_reader("seed");
    let mut events = Vec::new();
    for piece in stream.chunks(cut.max(1)) {
        reader.push(piece, &mut events).unwrap();
    }
    reader.finish(&mut events).unwrap();
    events
}

fn relayed(stream: &[u8], cut: usize, include_usage: bool) -> (String, Observed) {
    let mut relay = CODEC.stream_relay(Arc::new(answer(include_usage)));
    let mut out = Vec::new();
    for piece in stream.chunks(cut.max(1)) {
        relay.push(piece, &mut out).unwrap();
    }
    relay.finish(&mut out).unwrap();
    (String::from_utf8(out).unwrap(), relay.observed().clone())
}

#[test]
fn golden_requests_say_the_same_when_they_are_written() {
    for (name, body) in golden("requests") {
        let request = read(&body).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = write(&request).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read(&written.to_string()).unwrap(), request, "{name}");
    }
}

#[test]
fn golden_answers_say_the_same_when_they_are_written() {
    for (name, body) in golden("answers") {
        let response = CODEC.read_response(body.as_bytes(), "seed").unwrap();
        let written = CODEC.write_response(&response, &answer(false));
        let mut expected: Value = serde_json::from_str(&body).unwrap();
        expected["model"] = json!("alias");
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), expected, "{name}");
    }
}

#[test]
fn golden_answers_pass_with_another_model_name_only() {
    for (name, body) in golden("answers") {
        let (out, observed) = CODEC.relay_response(body.as_bytes(), &answer(false)).unwrap();
        let model = observed.model.unwrap();
        let expected = body.replace(&format!("\"model\": \"{model}\""), "\"model\": \"alias\"");
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{name}");
        assert!(observed.has_content && observed.text_bytes > 0 && observed.usage.is_some(), "{name}");
    }
}

#[test]
fn golden_streams_say_the_same_when_they_are_written() {
    for (name, body) in golden("streams") {
        let read = events(body.as_bytes(), usize::MAX);
        assert_eq!(read.last(), Some(&Event::End), "{name}");
        let mut writer = CODEC.stream_writer(Arc::new(answer(true)));
        let mut out = Vec::new();
        for event in &read {
            writer.write(event, &mut out);
        }
        let again: Vec<Event> = events(&out, usize::MAX)
            .into_iter()
            .map(|event| match event {
                Event::Start { id, created, extra, .. } => {
                    let model = match &read[0] {
                        Event::Start { model, .. } => model.clone(),
                        other => panic!("{name}: {other:?}"),
                    };
                    Event::Start { id, model, created, extra }
                }
                // The provider's own object is not repeated to clients.
                Event::Usage(usage) => {
                    let original = read.iter().find_map(|event| match event {
                        Event::Usage(usage) => usage.original.clone(),
                        _ => None,
                    });
                    Event::Usage(Usage { original, ..usage })
                }
                other => other,
            })
            .collect();
        assert_eq!(again, read, "{name}");
    }
}

#[test]
fn usage_in_streams_is_shown_to_clients_that_asked() {
    let (_, body) = golden("streams").into_iter().find(|(name, _)| name == "text").unwrap();
    let (shown, observed) = relayed(body.as_bytes(), usize::MAX, true);
    assert_eq!(shown, body.replace("gpt-3.5-turbo-instruct", "alias"));
    assert_eq!(observed.usage.map(|usage| (usage.input, usage.output)), Some((5, 7)));
    let (hidden, observed) = relayed(body.as_bytes(), usize::MAX, false);
    assert!(!hidden.contains("usage") && hidden.ends_with("data: [DONE]\n\n"), "{hidden}");
    assert!(observed.usage.is_some() && observed.complete && observed.has_content);
}

#[test]
fn a_stream_that_breaks_off_is_not_complete() {
    let start = r#"data: {"choices":[{"text":"a","index":0,"finish_reason":null}]}"#;
    let start = format!("{start}\n\n");
    let mut reader = CODEC.stream_reader("s");
    reader.push(start.as_bytes(), &mut Vec::new()).unwrap();
    assert!(reader.finish(&mut Vec::new()).is_err());
    let mut relay = CODEC.stream_relay(Arc::new(answer(true)));
    relay.push(start.as_bytes(), &mut Vec::new()).unwrap();
    assert!(relay.finish(&mut Vec::new()).is_err());
}

#[test]
fn only_one_text_can_be_asked_by_chat() {
    let refused = |prompt: Value| read(&json!({"model": "m", "prompt": prompt}).to_string()).unwrap_err();
    assert_eq!(refused(json!(["a", "b"])).param.as_deref(), Some("prompt"));
    assert!(refused(json!([1, 2])).message.contains("not tokens"));
    assert!(refused(json!([[1, 2]])).message.contains("not tokens"));
    assert!(refused(json!({})).message.contains("expected a string or a list"));
    assert!(read(r#"{"model":"m"}"#).unwrap_err().message.contains("Missing required parameter"));
    assert_eq!(read(r#"{"prompt":"x","n":"two"}"#).unwrap_err().param.as_deref(), Some("n"));
}

#[test]
fn prompts_of_tokens_pass_to_providers_of_this_dialect() {
    let body = r#"{"prompt":[[1,2],[3]],"model":"x"}"#;
    assert_eq!(CODEC.check_request(&Document::of(body).unwrap()), Ok(()));
    assert_eq!(adapted(body), json!({"prompt": [[1, 2], [3]], "model": "m"}));
}

#[test]
fn requests_are_adapted_to_the_deployment() {
    assert_eq!(adapted(r#"{"prompt":["a"],"best_of":2}"#), json!({"prompt": "a", "model": "m"}));
    assert_eq!(adapted(r#"{"prompt":["a","b"]}"#), json!({"prompt": ["a", "b"], "model": "m"}));
    assert_eq!(
        adapted(r#"{"prompt":"a","stream":true}"#),
        json!({"prompt": "a", "stream": true, "model": "m", "stream_options": {"include_usage": true}})
    );
}

#[test]
fn what_chat_cannot_say_is_refused_or_dropped() {
    for field in [r#""suffix":"x""#, r#""echo":true"#, r#""best_of":2"#] {
        let request = read(&format!(r#"{{"model":"m","prompt":"a",{field}}}"#)).unwrap();
        let error = CODEC.report_untranslatable(&request, &mut Losses::new(false)).unwrap_err();
        assert!(field.contains(&error.param), "{error}");
        let mut losses = Losses::new(true);
        CODEC.report_untranslatable(&request, &mut losses).unwrap();
        assert_eq!(losses.notes().len(), 1);
    }
    let harmless = read(r#"{"model":"m","prompt":"a","suffix":"","echo":false,"best_of":1}"#).unwrap();
    CODEC.report_untranslatable(&harmless, &mut Losses::new(false)).unwrap();
}

#[test]
fn conversations_become_one_prompt() {
    let turns = vec![Message::text(Role::System, "Be brief."), Message::text(Role::User, "Hi")];
    let mut request = Request::new(Dialect::OpenaiChat, "m", turns);
    request.sampling.logprobs = Some(true);
    assert_eq!(write(&request).unwrap(), json!({"model": "m", "prompt": "Be brief.\n\nHi", "logprobs": 0}));
    request.tools.push(Tool::Function(FunctionTool { name: "f".to_owned(), ..FunctionTool::default() }));
    assert_eq!(write(&request).unwrap_err().param, "tools");
}

#[test]
fn the_first_token_of_an_echoed_prompt_has_no_probability() {
    let body = json!({"choices": [{"text": "ab", "logprobs": {
        "tokens": ["a", "b"], "token_logprobs": [null, -1.0], "top_logprobs": [null, {"b": -1.0}],
        "text_offset": [0, 1]}}]});
    let response = CODEC.read_response(body.to_string().as_bytes(), "s").unwrap();
    let tokens = response.choices[0].logprobs.as_deref().unwrap();
    assert_eq!(tokens.iter().map(|token| token.token.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!((tokens[0].top[0].logprob + 1.0).abs() < f64::EPSILON);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        prompt in "[a-zé \"\\\\\n{}]{0,12}",
        max_output_tokens in prop::option::of(any::<u64>()),
        temperature in prop::option::of(0..20_i32),
        stop in prop::collection::vec("[a-z]{1,4}", 0..3),
        top_logprobs in prop::option::of(0..5_u64),
        stream in prop::option::of(any::<bool>()),
        suffix in prop::option::of("[a-z]{1,4}"),
    ) {
        let message = Message::text(Role::User, prompt);
        let mut request = Request::new(Dialect::OpenaiCompletions, "m", vec![message]);
        request.max_output_tokens = max_output_tokens;
        request.sampling.temperature = temperature.map(Into::into);
        request.sampling.stop = stop;
        request.sampling.logprobs = top_logprobs.map(|_| true);
        request.sampling.top_logprobs = top_logprobs;
        request.stream = stream.map(|include_usage| StreamOptions { include_usage, extra: Extra::new() });
        request.extra.extend(suffix.map(|suffix| ("suffix".to_owned(), json!(suffix))));
        let written = write(&request).unwrap();
        prop_assert_eq!(read(&written.to_string()).unwrap(), request);
    }

    #[test]
    fn a_stream_cut_anywhere_says_the_same(cut in 1..200_usize) {
        for (_, body) in golden("streams") {
            prop_assert_eq!(events(body.as_bytes(), cut), events(body.as_bytes(), usize::MAX));
            prop_assert_eq!(relayed(body.as_bytes(), cut, true), relayed(body.as_bytes(), usize::MAX, true));
        }
    }

    #[test]
    fn no_bytes_panic(text in "[\\[\\]{}\":,a-z0-9 ]{0,60}") {
        let body = format!(r#"{{"prompt":{text},"choices":{text}}}"#);
        if let Ok(document) = Document::of(&body) {
            let _ = CODEC.check_request(&document);
            let _ = CODEC.read_request(&document);
        }
        let _ = CODEC.read_response(body.as_bytes(), "s");
        let _ = CODEC.relay_response(body.as_bytes(), &answer(false));
    }
}
