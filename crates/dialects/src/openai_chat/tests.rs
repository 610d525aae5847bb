//! Laws of the whole dialect.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::conversation::*;
use crate::document::Document;
use crate::error::{CannotSay, Invalid};
use crate::exchange::{AnswerContext, ModelFacts, Target};
use crate::loss::{Losses, ParameterPolicy};

fn read(body: &str) -> Result<Request, Invalid> {
    CODEC.read_request(&Document::of(body).unwrap())
}

fn write(request: &Request) -> Result<Value, CannotSay> {
    let target = Target {
        model: "m",
        quirks: &[],
        facts: &ModelFacts::default(),
        policy: &ParameterPolicy::default(),
    };
    let bytes = CODEC.write_request(request, &target, &mut Losses::new(false))?;
    Ok(serde_json::from_slice(&bytes).unwrap())
}

fn golden(folder: &str) -> Vec<(String, String)> {
    let path = format!("{}/golden/{folder}/openai_chat", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    let name = |path: &std::path::Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    // Beside an input stand its translations, `<case>.to-<dialect>.json`.
    files.retain(|path| !name(path).contains('.'));
    files.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn golden_requests_say_the_same_when_they_are_written() {
    for (name, body) in golden("requests") {
        let request = read(&body).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = write(&request).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut again = read(&written.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
        again.model.clone_from(&request.model);
        assert_eq!(again, request, "{name}");
    }
}

#[test]
fn golden_answers_say_the_same_when_they_are_written() {
    let answer = AnswerContext {
        model: "alias".to_owned(),
        seed: "seed".to_owned(),
        created: 1,
        include_usage: false,
        request: None,
    };
    for (name, body) in golden("answers") {
        let response = CODEC.read_response(body.as_bytes(), "seed").unwrap();
        let written = CODEC.write_response(&response, &answer);
        let mut again = CODEC.read_response(&written, "seed").unwrap();
        assert_eq!(again.model.as_deref(), Some("alias"));
        again.model.clone_from(&response.model);
        assert_eq!(again, response, "{name}");
    }
}

#[test]
fn a_mistake_is_named_with_its_place() {
    let param = |body: Value| read(&body.to_string()).unwrap_err().param.unwrap();
    assert_eq!(param(json!({"model": "m"})), "messages");
    assert_eq!(param(json!({"messages": {}})), "messages");
    assert_eq!(param(json!({"messages": [], "temperature": "hot"})), "temperature");
    assert_eq!(param(json!({"messages": [], "n": -1})), "n");
    assert_eq!(param(json!({"messages": [{"content": "x"}]})), "messages[0].role");
    assert_eq!(param(json!({"messages": [{"role": "robot"}]})), "messages[0].role");
    assert_eq!(param(json!({"messages": [{"role": "tool", "content": "x"}]})), "messages[0].tool_call_id");
    assert_eq!(param(json!({"messages": [{"role": "user", "content": 5}]})), "messages[0].content");
    assert_eq!(
        param(json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]})),
        "messages[0].content[0].text"
    );
    assert_eq!(param(json!({"messages": [], "tools": [{"type": "function"}]})), "tools[0].function");
    assert_eq!(param(json!({"messages": [], "tool_choice": "maybe"})), "tool_choice");
    assert_eq!(
        param(json!({"messages": [], "response_format": {"type": "json_schema"}})),
        "response_format.json_schema"
    );
    assert_eq!(param(json!({"messages": [], "modalities": ["smell"]})), "modalities[0]");
}

#[test]
fn what_is_missing_is_named_with_its_place() {
    let param = |body: Value| read(&body.to_string()).unwrap_err().param.unwrap();
    for role in ["system", "developer", "user"] {
        assert_eq!(param(json!({"messages": [{"role": role, "content": null}]})), "messages[0].content");
    }
    assert_eq!(param(json!({"messages": [{"role": "tool", "tool_call_id": "a"}]})), "messages[0].content");
    for (part, field) in [
        (json!({"text": "x"}), "type"),
        (json!({"type": "image_url"}), "image_url"),
        (json!({"type": "file"}), "file"),
    ] {
        let body = json!({"messages": [{"role": "user", "content": [part]}]});
        assert_eq!(param(body), format!("messages[0].content[0].{field}"));
    }
    for (turn, path) in [
        (json!({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}), "tool_calls[0].id"),
        (json!({"tool_calls": [{"id": "a", "function": {}}]}), "tool_calls[0].function.name"),
        (json!({"tool_calls": [{"id": "a", "function": {"name": "f"}}]}), "tool_calls[0].function.arguments"),
        (json!({"tool_calls": [{"id": "a", "custom": {"name": "f"}}]}), "tool_calls[0].custom.input"),
        (json!({"function_call": {}}), "function_call.name"),
        (json!({"audio": {}}), "audio.id"),
    ] {
        let mut turn = turn;
        turn["role"] = json!("assistant");
        assert_eq!(param(json!({"messages": [turn]})), format!("messages[0].{path}"));
    }
    for (name, value, path) in [
        ("tools", json!([{}]), "tools[0].type"),
        ("tool_choice", json!({}), "tool_choice.type"),
        ("tool_choice", json!({"type": "function"}), "tool_choice.function.name"),
        ("response_format", json!({}), "response_format.type"),
        ("thinking", json!({}), "thinking.type"),
    ] {
        let mut body = json!({"messages": []});
        body[name] = value;
        assert_eq!(param(body), path);
    }
}

#[test]
fn the_quick_check_finds_types_without_reading() {
    let check = |body: &str| CODEC.check_request(&Document::of(body).unwrap()).map_err(|error| error.param);
    assert_eq!(check(r#"{"messages":[{"anything":1}],"stop":null,"unknown":{}}"#), Ok(()));
    assert_eq!(check(r#"{"messages":null}"#), Err(Some("messages".to_owned())));
    assert_eq!(check(r#"{"messages":[],"stream":"yes"}"#), Err(Some("stream".to_owned())));
    assert_eq!(check(r#"{"messages":[],"verbosity":3}"#), Err(Some("verbosity".to_owned())));
}

#[test]
fn results_of_deprecated_functions_find_their_call() {
    let (_, body) = golden("requests").into_iter().find(|(name, _)| name == "functions-legacy").unwrap();
    let request = read(&body).unwrap();
    let [Part::ToolCall(call)] = request.messages[1].parts.as_slice() else { panic!("{request:?}") };
    let [Part::ToolResult(result)] = request.messages[2].parts.as_slice() else { panic!("{request:?}") };
    assert_eq!(call.id, result.call_id);
    assert_eq!(request.tool_choice, Some(ToolChoice::Function("get_weather".to_owned())));
}

#[test]
fn signatures_are_found_wherever_clients_keep_them() {
    let (_, body) = golden("requests").into_iter().find(|(name, _)| name == "thought-signatures").unwrap();
    let request = read(&body).unwrap();
    let parts = request.messages[1].parts.iter();
    let seals: Vec<_> = parts
        .filter_map(|part| match part {
            Part::ToolCall(call) => Some((call.id.as_str(), call.seal.clone().unwrap().value)),
            _ => None,
        })
        .collect();
    assert_eq!(seals, [("call_1", "c2ln".to_owned()), ("call_2", "c2lnMg==".to_owned())]);
    let [Part::ToolResult(result)] = request.messages[2].parts.as_slice() else { panic!("{request:?}") };
    assert_eq!(result.call_id, "call_1");
}

#[test]
fn results_in_a_user_turn_become_messages_of_their_own() {
    let result = ToolResult {
        call_id: "a".to_owned(),
        name: None,
        parts: vec![Part::text("4C")],
        is_error: false,
        cache: None,
        extra: Extra::new(),
    };
    let turn = Message::new(Role::User, vec![Part::ToolResult(result), Part::text("And?")]);
    let written = write(&Request::new(Dialect::AnthropicMessages, "m", vec![turn])).unwrap();
    assert_eq!(
        written["messages"],
        json!([{"role": "tool", "content": "4C", "tool_call_id": "a"}, {"role": "user", "content": "And?"}])
    );
}

#[test]
fn foreign_reasoning_goes_only_to_providers_that_want_it() {
    let seal = Some(Seal::new(Dialect::AnthropicMessages, SealKind::Signature, "sig"));
    let reasoning = Part::Reasoning(Reasoning { text: "hm".to_owned(), seal, ..Reasoning::default() });
    let turn = Message::new(Role::Assistant, vec![reasoning, Part::text("Hi")]);
    let request = Request::new(Dialect::AnthropicMessages, "m", vec![turn]);
    assert_eq!(write(&request).unwrap()["messages"], json!([{"role": "assistant", "content": "Hi"}]));
}

#[test]
fn thinking_that_cannot_be_switched_off_is_noted() {
    let notes = |supports_reasoning, supports_none_reasoning_effort| {
        let facts =
            ModelFacts { supports_reasoning, supports_none_reasoning_effort, ..ModelFacts::default() };
        let target = Target { model: "m", quirks: &[], facts: &facts, policy: &ParameterPolicy::default() };
        let mut request =
            Request::new(Dialect::AnthropicMessages, "m", vec![Message::text(Role::User, "hi")]);
        request.reasoning.thinking = Some(Thinking::Disabled);
        let mut losses = Losses::new(false);
        CODEC.write_request(&request, &target, &mut losses).unwrap();
        losses.notes().iter().map(|note| note.param.clone()).collect::<Vec<_>>()
    };
    assert_eq!(notes(None, None), ["thinking"]);
    assert_eq!(notes(Some(true), Some(true)), Vec::<String>::new());
    assert_eq!(notes(Some(false), None), Vec::<String>::new());
}

#[test]
fn what_chat_completions_cannot_say_is_refused() {
    let refused = |change: fn(&mut Request)| {
        let mut request =
            Request::new(Dialect::AnthropicMessages, "m", vec![Message::text(Role::User, "Hi")]);
        change(&mut request);
        write(&request).unwrap_err().param
    };
    assert_eq!(refused(|r| r.tools.push(Tool::CodeExecution(Extra::new()))), "tools[0]");
    assert_eq!(refused(|r| r.tools.push(Tool::Opaque(json!({})))), "tools[0]");
    assert_eq!(refused(|r| r.tool_choice = Some(ToolChoice::Opaque(json!({})))), "tool_choice");
    assert_eq!(refused(|r| r.output_format = Some(OutputFormat::Opaque(json!({})))), "response_format");
    assert_eq!(
        refused(|r| {
            let value = json!({});
            let dialect = Dialect::AnthropicMessages;
            r.messages.push(Message::new(Role::User, vec![Part::Opaque(Opaque { dialect, value })]));
        }),
        "messages[1]"
    );
}

#[test]
fn counts_of_all_providers_are_understood() {
    let usage = |body: Value| {
        let body = json!({"choices": [], "usage": body}).to_string();
        CODEC.read_response(body.as_bytes(), "s").unwrap().usage.unwrap()
    };
    let deepseek = usage(json!({"prompt_tokens": 30, "completion_tokens": 4, "prompt_cache_hit_tokens": 10}));
    assert_eq!((deepseek.input, deepseek.cache_read), (30, 10));
    let xai = usage(json!({"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 40,
        "completion_tokens_details": {"reasoning_tokens": 6}}));
    assert_eq!((xai.output, xai.reasoning), (10, 6), "thinking is counted beside the completion");
    let odd = usage(json!({"prompt_tokens": 30.0, "completion_tokens": null}));
    assert_eq!((odd.input, odd.output), (30, 0));
    let written = usage(json!({"prompt_tokens": 30, "cache_creation_input_tokens": 8,
        "prompt_tokens_details": {"cache_creation_token_details": {"ephemeral_1h_input_tokens": 3}}}));
    assert_eq!((written.cache_write_5m, written.cache_write_1h), (5, 3));
}

#[test]
fn finish_reasons_of_all_providers_are_understood() {
    let stop = |reason: Value| {
        let body = json!({"choices": [{"message": {"content": "x"}, "finish_reason": reason}]}).to_string();
        CODEC.read_response(body.as_bytes(), "s").unwrap().choices.remove(0).stop
    };
    assert_eq!(stop(Value::Null), StopReason::EndTurn);
    assert_eq!(stop(json!("eos")), StopReason::EndTurn);
    assert_eq!(stop(json!("length")), StopReason::MaxTokens);
    assert_eq!(stop(json!("sensitive")), StopReason::ContentFilter);
    assert_eq!(stop(json!("network_error")), StopReason::Error);
    assert_eq!(
        stop(json!("insufficient_system_resource")),
        StopReason::Other("insufficient_system_resource".into())
    );
}

fn words() -> impl Strategy<Value = String> {
    "[a-zé \"\\\\\n{}]{1,12}"
}

fn name() -> impl Strategy<Value = String> {
    "[a-z_]{1,8}"
}

fn cache() -> impl Strategy<Value = Option<CacheMarker>> {
    let ttl = prop::option::of(prop::sample::select(vec![CacheTtl::FiveMinutes, CacheTtl::OneHour]));
    prop::option::of(ttl.prop_map(|ttl| CacheMarker { ttl }))
}

fn text_part() -> impl Strategy<Value = Part> {
    (words(), cache()).prop_map(|(text, cache)| Part::Text(Text { text, cache, ..Text::default() }))
}

fn media_part() -> impl Strategy<Value = Part> {
    let base64 = |kind: &'static str| {
        "[A-Za-z0-9+/]{4,8}".prop_map(move |data| Source::Base64 { media_type: kind.to_owned(), data })
    };
    let url = name().prop_map(|name| Source::Url { url: format!("https://x/{name}"), media_type: None });
    let image = (prop_oneof![base64("image/png"), url], prop::option::of(name()))
        .prop_map(|(source, detail)| Media { detail, ..Media::new(MediaKind::Image, source) });
    let audio = prop_oneof![base64("audio/wav"), base64("audio/mpeg")]
        .prop_map(|source| Media::new(MediaKind::Audio, source));
    let id = name().prop_map(|name| Source::FileId(format!("file-{name}")));
    // A file that is sent inside always gets a name.
    let inside = (base64("application/pdf"), name().prop_map(Some));
    let file = prop_oneof![inside, (id, prop::option::of(name()))]
        .prop_map(|(source, name)| Media { name, ..Media::new(MediaKind::File, source) });
    (prop_oneof![image, audio, file], cache())
        .prop_map(|(media, cache)| Part::Media(Media { cache, ..media }))
}

fn reasoning_part() -> impl Strategy<Value = Part> {
    let seal = prop_oneof![
        Just(Seal::new(Dialect::AnthropicMessages, SealKind::Signature, "sig")),
        Just(Seal::new(Dialect::Gemini, SealKind::Signature, "sig")),
    ];
    (words(), seal).prop_map(|(text, seal)| {
        Part::Reasoning(Reasoning { text, seal: Some(seal), ..Reasoning::default() })
    })
}

fn assistant() -> impl Strategy<Value = Message> {
    let seal = prop::option::of(prop_oneof![
        Just(Seal::new(Dialect::Gemini, SealKind::Signature, "c2ln")),
        Just(Seal::new(Dialect::OpenaiChat, SealKind::Signature, "c2ln")),
    ]);
    let kind = prop::sample::select(vec![ToolCallKind::Function, ToolCallKind::Custom]);
    let call = (name(), words(), kind, seal).prop_map(|(name, arguments, kind, seal)| {
        Part::ToolCall(ToolCall { kind, seal, ..ToolCall::function(format!("call_{name}"), name, arguments) })
    });
    (
        prop::option::of(reasoning_part()),
        prop::option::of(text_part()),
        prop::option::of(words().prop_map(Part::Refusal)),
        prop::collection::vec(call, 0..3),
    )
        .prop_map(|(reasoning, text, refusal, calls)| {
            let parts = reasoning.into_iter().chain(text).chain(refusal).chain(calls).collect();
            Message::new(Role::Assistant, parts)
        })
}

fn message() -> impl Strategy<Value = Message> {
    let role = prop::sample::select(vec![Role::System, Role::Developer, Role::User]);
    let parts = prop::collection::vec(prop_oneof![3 => text_part(), 1 => media_part()], 0..4);
    let said = (role, parts, prop::option::of(name()))
        .prop_map(|(role, parts, name)| Message { name, ..Message::new(role, parts) });
    let result = (name(), prop::collection::vec(text_part(), 0..3)).prop_map(|(id, parts)| {
        let (name, is_error, cache, extra) = (None, false, None, Extra::new());
        let result = ToolResult { call_id: id, name, parts, is_error, cache, extra };
        Message::new(Role::Tool, vec![Part::ToolResult(result)])
    });
    prop_oneof![said, result, assistant()]
}

prop_compose! {
    fn request()(
        messages in prop::collection::vec(message(), 0..5),
        tools in prop::collection::vec((name(), prop::option::of(words()), prop::option::of(any::<bool>()), cache()), 0..3),
        choice in prop::sample::select(vec![
            ToolChoice::Auto,
            ToolChoice::Required,
            ToolChoice::None,
            ToolChoice::Function("f".to_owned()),
            ToolChoice::Custom("f".to_owned()),
            ToolChoice::Allowed { names: vec!["f".to_owned()], required: true },
        ]),
        temperature in prop::option::of(0..20_i32),
        stop in prop::collection::vec(words(), 0..3),
        max_output_tokens in prop::option::of(any::<u64>()),
        effort in prop::option::of(name()),
        budget in prop::option::of(1..9_u64),
        stream in prop::option::of(any::<bool>()),
        user in prop::option::of(words()),
    ) -> Request {
        let mut request = Request::new(Dialect::OpenaiChat, "m", messages);
        request.tools = tools.into_iter().map(|(name, description, strict, cache)| {
            Tool::Function(FunctionTool { name, description, strict, cache, ..FunctionTool::default() })
        }).collect();
        // Without tools there is nothing to choose.
        request.tool_choice = (!request.tools.is_empty()).then_some(choice);
        request.sampling.temperature = temperature.map(Into::into);
        request.sampling.stop = stop;
        request.max_output_tokens = max_output_tokens;
        request.reasoning.effort = effort.as_deref().map(Effort::from_name);
        request.reasoning.thinking = budget.map(Thinking::Budget);
        request.stream =
            stream.map(|include_usage| StreamOptions { include_usage, extra: Extra::new() });
        request.user = user;
        request
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(request in request()) {
        let written = write(&request).unwrap();
        prop_assert_eq!(read(&written.to_string()).unwrap(), request);
    }

    #[test]
    fn answers_are_read_as_they_were_written(message in assistant(), stop in prop::sample::select(vec![
        StopReason::MaxTokens, StopReason::ToolCalls, StopReason::ContentFilter, StopReason::Other("odd".to_owned()),
    ])) {
        let mut response = Response::new(Dialect::OpenaiChat);
        response.id = Some("i".to_owned());
        response.model = Some("alias".to_owned());
        response.created = Some(7);
        response.choices.push(Choice { index: 0, parts: message.parts, stop, logprobs: None, extra: Extra::new() });
        let answer = AnswerContext {
            model: "alias".to_owned(),
            seed: "s".to_owned(),
            created: 1,
            include_usage: false,
            request: None,
        };
        let written = CODEC.write_response(&response, &answer);
        prop_assert_eq!(CODEC.read_response(&written, "s").unwrap(), response);
    }

    #[test]
    fn no_request_panics(messages in "[\\[\\]{}\":,a-z0-9 ]{0,60}", field in name()) {
        let body = format!(r#"{{"messages":{messages},"{field}":{messages}}}"#);
        if let Ok(document) = Document::of(&body) {
            let _ = CODEC.check_request(&document);
            let _ = CODEC.read_request(&document);
        }
        let _ = CODEC.read_response(body.as_bytes(), "s");
    }
}
