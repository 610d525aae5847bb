use proptest::prelude::*;
use serde_json::{Number, Value, json};

use super::*;
use crate::Dialect;
use crate::conversation::*;
use crate::document::Document;
use crate::error::{CannotSay, Invalid};
use crate::exchange::{ModelFacts, Target};
use crate::gemini::seal;
use crate::loss::{Losses, ParameterPolicy};
use crate::quirk::Quirk;

fn written_for(
    request: &Request,
    model: &str,
    policy: &ParameterPolicy,
    quirks: &[Quirk],
) -> Result<Value, CannotSay> {
    let facts = ModelFacts::default();
    let target = Target { model, quirks, facts: &facts, policy };
    let body = write(request, &target, &mut Losses::new(policy.drop_params))?;
    Ok(serde_json::from_slice(&body).unwrap())
}

fn written(request: &Request) -> Value {
    written_for(request, "gemini-2.5-flash", &ParameterPolicy::default(), &[]).unwrap()
}

fn refused(request: &Request) -> String {
    written_for(request, "gemini-2.5-flash", &ParameterPolicy::default(), &[]).unwrap_err().param
}

fn chat(messages: Vec<Message>) -> Request {
    Request::new(Dialect::OpenaiChat, "alias", messages)
}

fn ask() -> Request {
    chat(vec![Message::text(Role::User, "Hi")])
}

fn read_text(body: &str) -> Result<Request, Invalid> {
    read(&Document::of(body).unwrap())
}

fn golden_requests() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/requests/gemini");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let inputs = files.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    inputs
        .map(|path| {
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                std::fs::read_to_string(&path).unwrap(),
            )
        })
        // Beside an input stand its translations, `<case>.to-<dialect>.json`.
        .filter(|(name, _)| !name.contains('.'))
        .collect()
}

/// The request as it is after it was written for Gemini 3 and read again.
fn again(request: &Request) -> Request {
    let body = written_for(request, "gemini-3-pro", &ParameterPolicy::default(), &[]).unwrap();
    read_text(&body.to_string()).unwrap()
}

#[test]
fn every_golden_request_is_read_and_survives_being_written() {
    let goldens = golden_requests();
    assert!(goldens.len() >= 15);
    for (name, text) in goldens {
        let mut request = read_text(&text).unwrap();
        if matches!(request.reasoning.thinking, Some(Thinking::Budget(_) | Thinking::Disabled)) {
            // Gemini 3 has levels instead.
            request.reasoning = ReasoningRequest::default();
        }
        // The temperature and the signatures of calls are filled in for Gemini 3; other dialects' are not for Google.
        request.sampling.temperature.get_or_insert(Number::from_f64(1.0).unwrap());
        let mut signed = again(&request);
        for (message, original) in signed.messages.iter_mut().zip(&request.messages) {
            for (part, original) in message.parts.iter_mut().zip(&original.parts) {
                match (part, original) {
                    (Part::ToolCall(part), Part::ToolCall(original)) => {
                        part.seal.clone_from(&original.seal);
                    }
                    (Part::Reasoning(part), Part::Reasoning(original)) => {
                        part.seal.clone_from(&original.seal);
                    }
                    _ => {}
                }
            }
        }
        assert_eq!(signed, request, "{name}");
    }
}

#[test]
fn both_spellings_are_the_same_request() {
    let camel = r#"{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}],"generationConfig":{"topK":3,"thinkingConfig":{"thinkingBudget":0}},"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}}}"#;
    let snake = r#"{"system_instruction":{"parts":[{"text":"s"}]},"contents":[{"parts":[{"inline_data":{"mime_type":"image/png","data":"AA=="}}]}],"generation_config":{"top_k":3,"thinking_config":{"thinking_budget":0}},"tool_config":{"function_calling_config":{"mode":"ANY","allowed_function_names":["f"]}}}"#;
    assert_eq!(read_text(camel).unwrap(), read_text(snake).unwrap());
}

#[test]
fn mistakes_are_named() {
    let param = |body: &str| read_text(body).unwrap_err().to_string();
    assert!(param("{}").starts_with("`contents`: the field is required"));
    assert_eq!(param(r#"{"contents":"hi"}"#), "`contents`: expected an array, found `\"hi\"`");
    assert_eq!(
        param(r#"{"contents":[{"role":"assistant","parts":[]}]}"#),
        "`contents[0].role`: expected `user` or `model`, found `assistant`"
    );
    assert_eq!(
        param(r#"{"contents":[{"parts":[{"text":5}]}]}"#),
        "`contents[0].parts[0].text`: invalid type: integer `5`, expected a string"
    );
    for (part, path) in [
        (r#"{"inlineData":{"data":"AA=="}}"#, ".inlineData.mimeType"),
        (r#"{"fileData":{"mimeType":"a/b"}}"#, ".fileData.fileUri"),
        (r#"{"functionCall":{"args":{}}}"#, ".functionCall.name"),
        (r#"{"functionResponse":{"response":{}}}"#, ".functionResponse.name"),
        (
            r#"{"functionResponse":{"name":"f","parts":[{"inlineData":{"data":"AA=="}}]}}"#,
            ".functionResponse.parts[0].inlineData.mimeType",
        ),
        ("{}", ""),
    ] {
        let error = read_text(&format!(r#"{{"contents":[{{"parts":[{part}]}}]}}"#)).unwrap_err();
        assert_eq!(error.param.unwrap(), format!("contents[0].parts[0]{path}"));
    }
    assert_eq!(
        param(r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png"}}]}]}"#),
        "`contents[0].parts[0].inlineData`: missing field `data`"
    );
    assert_eq!(
        param(r#"{"contents":[],"tools":[{"functionDeclarations":[{"description":"d"}]}]}"#),
        "`tools[0].functionDeclarations[0].name`: the field is missing; give a string"
    );
    assert_eq!(
        param(r#"{"contents":[],"generationConfig":{"maxOutputTokens":"many"}}"#),
        "`generationConfig.maxOutputTokens`: invalid type: string \"many\", expected u64"
    );
}

#[test]
fn results_without_ids_find_their_calls() {
    let request = read_text(
        r#"{"contents":[
            {"role":"model","parts":[{"functionCall":{"name":"f","args":{"n":1}}},{"functionCall":{"name":"f","args":{"n":2}}},{"functionCall":{"name":"g"}}]},
            {"role":"user","parts":[{"functionResponse":{"name":"g","response":{}}},{"functionResponse":{"name":"f","response":{"output":"1"}}},{"functionResponse":{"name":"f","response":{"output":"2"}}}]}]}"#,
    )
    .unwrap();
    let calls: Vec<&str> = request.messages[0]
        .parts
        .iter()
        .map(|part| match part {
            Part::ToolCall(call) => call.id.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    let results: Vec<&str> = request.messages[1]
        .parts
        .iter()
        .map(|part| match part {
            Part::ToolResult(result) => result.call_id.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(results, [calls[2], calls[0], calls[1]]);
}

#[test]
fn a_history_of_stream_chunks_is_one_turn() {
    let (_, text) = golden_requests().into_iter().find(|(name, _)| name == "streamed-history").unwrap();
    let request = read_text(&text).unwrap();
    let [_, turn, _] = request.messages.as_slice() else { panic!("{:?}", request.messages) };
    assert_eq!(turn.parts.len(), 3);
    assert!(matches!(&turn.parts[0], Part::Reasoning(thought) if thought.text == "I need the tool."));
    assert_eq!(turn.parts[1], Part::text("Let me look."));
}

#[test]
fn the_pieces_of_a_streamed_thought_are_what_was_signed() {
    let parts = |parts: Value| {
        let turn = json!({"contents": [{"role": "model", "parts": parts}]}).to_string();
        read_text(&turn).unwrap().messages.remove(0).parts
    };
    let sealed = |text: &str, seal: Seal| {
        Part::Reasoning(Reasoning { text: text.to_owned(), seal: Some(seal), ..Reasoning::default() })
    };
    let thought = |text: &str, signature: &str| sealed(text, seal::read(signature));
    let redacted = Seal::new(Dialect::AnthropicMessages, SealKind::Redacted, "r");
    assert_eq!(
        parts(json!([
            {"text": "I need ", "thought": true},
            {"text": "the tool.", "thought": true},
            {"thought": true, "thoughtSignature": "c2lnMQ=="},
            {"text": "And ", "thought": true},
            {"text": "another.", "thought": true, "thoughtSignature": "c2lnMg=="},
            {"text": "", "thought": true, "thoughtSignature": seal::write(&redacted)},
        ])),
        [thought("I need the tool.", "c2lnMQ=="), thought("And another.", "c2lnMg=="), sealed("", redacted)]
    );
}

#[test]
fn roles_alternate_and_results_have_their_own_turn() {
    let call = |id: &str, name: &str| Part::ToolCall(ToolCall::function(id, name, r#"{"zone": "UTC"}"#));
    let result = |id: &str, text: &str| {
        Part::ToolResult(ToolResult {
            call_id: id.to_owned(),
            name: None,
            parts: vec![Part::text(text), Part::text("!")],
            is_error: false,
            cache: None,
            extra: Extra::new(),
        })
    };
    let request = chat(vec![
        Message::text(Role::System, "Be terse."),
        Message::text(Role::User, "First."),
        Message::text(Role::User, "Second."),
        Message::new(Role::Assistant, vec![Part::text("Checking."), call("a", "f"), call("b", "g")]),
        Message::new(Role::Tool, vec![result("a", "4C")]),
        Message::new(Role::Tool, vec![result("b", "12:00")]),
        Message::text(Role::Developer, "Answer in French."),
        Message::text(Role::User, "Well?"),
    ]);
    assert_eq!(
        written(&request),
        json!({
            "systemInstruction": {"parts": [{"text": "Be terse."}, {"text": "Answer in French."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "First."}, {"text": "Second."}]},
                {"role": "model", "parts": [
                    {"text": "Checking."},
                    {"functionCall": {"name": "f", "args": {"zone": "UTC"}}},
                    {"functionCall": {"name": "g", "args": {"zone": "UTC"}}}
                ]},
                {"role": "user", "parts": [
                    {"functionResponse": {"name": "f", "response": {"content": "4C!"}}},
                    {"functionResponse": {"name": "g", "response": {"content": "12:00!"}}}
                ]},
                {"role": "user", "parts": [{"text": "Well?"}]}
            ]
        })
    );
}

#[test]
fn a_conversation_without_turns_gets_one() {
    assert_eq!(written(&chat(vec![]))["contents"], json!([{"role": "user", "parts": [{"text": " "}]}]));
    let system_only = chat(vec![Message::text(Role::System, "Say hello.")]);
    assert_eq!(written(&system_only)["contents"], json!([{"role": "user", "parts": [{"text": "."}]}]));
}

#[test]
fn gemini_3_needs_ids_and_a_signature_on_the_first_call_of_a_step() {
    let mut signed = ToolCall::function("b", "f", "{}");
    signed.seal = Some(Seal::new(Dialect::Gemini, SealKind::Signature, "c2ln"));
    let mut foreign = ToolCall::function("c", "f", "{}");
    foreign.seal = Some(Seal::new(Dialect::AnthropicMessages, SealKind::Signature, "c2ln"));
    let turn =
        |calls: Vec<ToolCall>| Message::new(Role::Assistant, calls.into_iter().map(Part::ToolCall).collect());
    let request = chat(vec![
        Message::text(Role::User, "Hi"),
        turn(vec![ToolCall::function("a", "f", ""), ToolCall::function("a2", "f", "{}")]),
        Message::text(Role::User, "and"),
        turn(vec![signed]),
        Message::text(Role::User, "and"),
        turn(vec![foreign]),
    ]);
    let body = written_for(&request, "gemini-3-pro-preview", &ParameterPolicy::default(), &[]).unwrap();
    let contents = &body["contents"];
    assert_eq!(
        contents[1]["parts"],
        json!([
            {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "skip_thought_signature_validator"},
            {"functionCall": {"id": "a2", "name": "f", "args": {}}}
        ])
    );
    assert_eq!(contents[3]["parts"][0]["thoughtSignature"], "c2ln");
    assert_eq!(contents[5]["parts"][0]["thoughtSignature"], "skip_thought_signature_validator");
    assert_eq!(body["generationConfig"], json!({"temperature": 1.0}));
}

#[test]
fn thinking_is_asked_for_in_the_models_way() {
    let asked = |model: &str, effort: Option<&str>, thinking: Option<Thinking>| {
        let mut request = ask();
        request.reasoning.effort = effort.map(Effort::from_name);
        request.reasoning.thinking = thinking;
        written_for(&request, model, &ParameterPolicy::default(), &[])
            .map(|body| body["generationConfig"]["thinkingConfig"].clone())
    };
    let budget = |tokens: i64, shown: bool| json!({"includeThoughts": shown, "thinkingBudget": tokens});
    let level = |level: &str, shown: bool| json!({"includeThoughts": shown, "thinkingLevel": level});
    for (model, effort, expected) in [
        ("gemini-2.5-flash", "minimal", budget(1, true)),
        ("gemini-2.5-flash-lite", "minimal", budget(512, true)),
        ("gemini-2.5-pro", "minimal", budget(128, true)),
        ("gemini-2.5-flash", "low", budget(1024, true)),
        ("gemini-2.5-flash", "high", budget(4096, true)),
        ("gemini-2.5-flash", "none", budget(0, false)),
        ("gemini-2.5-pro", "none", budget(128, false)),
        ("gemini-3-pro-preview", "medium", level("high", true)),
        ("gemini-3-pro-preview", "none", level("low", false)),
        ("gemini-3-flash-preview", "minimal", level("minimal", true)),
    ] {
        assert_eq!(asked(model, Some(effort), None).unwrap(), expected, "{model} {effort}");
    }
    assert_eq!(asked("gemini-2.5-flash", None, Some(Thinking::Budget(2048))).unwrap(), budget(2048, true));
    assert_eq!(
        asked("gemini-2.5-flash", None, Some(Thinking::Budget(99_999))).unwrap(),
        budget(24_576, true)
    );
    assert_eq!(asked("gemini-2.5-flash", None, Some(Thinking::Adaptive)).unwrap(), budget(-1, true));
    assert_eq!(asked("gemini-2.5-flash", None, Some(Thinking::Disabled)).unwrap(), budget(0, false));
    assert_eq!(asked("gemini-3-pro", None, Some(Thinking::Budget(1024))).unwrap(), level("low", true));
    assert_eq!(asked("gemini-2.0-flash", Some("low"), None).unwrap_err().param, "reasoning_effort");
    assert_eq!(asked("gemini-2.0-flash", Some("none"), None).unwrap(), Value::Null);
}

#[test]
fn formats_media_and_limits() {
    let mut request = ask();
    request.sampling.n = Some(2);
    request.sampling.stop = vec!["END".to_owned(), "###".to_owned()];
    request.sampling.logprobs = Some(true);
    request.sampling.top_logprobs = Some(2);
    request.max_output_tokens = Some(77);
    request.service_tier = Some("default".to_owned());
    request.output_format = Some(OutputFormat::JsonSchema(JsonSchema {
        name: "city".to_owned(),
        schema: Some(json!({"type": "object", "additionalProperties": false})),
        strict: Some(true),
        ..JsonSchema::default()
    }));
    let mut image = Media::new(
        MediaKind::Image,
        Source::Url { url: "https://example.com/pic.png?x=1".to_owned(), media_type: None },
    );
    image.detail = Some("low".to_owned());
    request.messages[0].parts.push(Part::Media(image));
    assert_eq!(
        written(&request),
        json!({
            "contents": [{"role": "user", "parts": [
                {"text": "Hi"},
                {"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/pic.png?x=1"}}
            ]}],
            "generationConfig": {
                "candidateCount": 2, "maxOutputTokens": 77, "stopSequences": ["END", "###"],
                "responseLogprobs": true, "logprobs": 2,
                "responseMimeType": "application/json",
                "responseJsonSchema": {"type": "object", "additionalProperties": false},
                "mediaResolution": "MEDIA_RESOLUTION_LOW"
            },
            "serviceTier": "standard"
        })
    );
}

#[test]
fn speech_is_pcm16() {
    let mut request = ask();
    request.modalities = vec![Modality::Audio];
    request.audio = Some(AudioOutput { voice: Some(json!("Kore")), format: Some("pcm16".to_owned()) });
    assert_eq!(
        written(&request)["generationConfig"],
        json!({
            "responseModalities": ["AUDIO"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}
        })
    );
    request.audio = Some(AudioOutput { voice: None, format: Some("mp3".to_owned()) });
    assert_eq!(refused(&request), "audio.format");
}

#[test]
fn tools_and_their_choice() {
    let mut request = ask();
    let function = |name: &str| {
        Tool::Function(FunctionTool {
            name: name.to_owned(),
            parameters: Some(
                json!({"type": "object", "properties": {"zone": {"type": "string"}}, "additionalProperties": false}),
            ),
            strict: Some(true),
            ..FunctionTool::default()
        })
    };
    request.tools = vec![
        function("f"),
        Tool::WebSearch(WebSearch { context_size: Some("low".to_owned()), ..WebSearch::default() }),
        function("g"),
    ];
    let choice = |request: &mut Request, choice: ToolChoice| {
        request.tool_choice = Some(choice);
        written(request)["toolConfig"]["functionCallingConfig"].clone()
    };
    assert_eq!(choice(&mut request, ToolChoice::Auto), json!({"mode": "AUTO"}));
    assert_eq!(choice(&mut request, ToolChoice::None), json!({"mode": "NONE"}));
    assert_eq!(choice(&mut request, ToolChoice::Required), json!({"mode": "ANY"}));
    assert_eq!(
        choice(&mut request, ToolChoice::Function("g".to_owned())),
        json!({"mode": "ANY", "allowedFunctionNames": ["g"]})
    );
    let schema = json!({"type": "object", "properties": {"zone": {"type": "string"}}});
    assert_eq!(
        written(&request)["tools"],
        json!([
            {"functionDeclarations": [{"name": "f", "parameters": schema}, {"name": "g", "parameters": schema}]},
            {"googleSearch": {}}
        ])
    );
    request.parallel_tool_calls = Some(false);
    assert_eq!(refused(&request), "parallel_tool_calls");
}

#[test]
fn what_cannot_be_said_is_refused_or_dropped() {
    let with = |edit: fn(&mut Request)| {
        let mut request = ask();
        edit(&mut request);
        request
    };
    let cases: [(&str, Request); 5] = [
        (
            "logit_bias",
            with(|r| r.sampling.logit_bias = Some(Extra::from_iter([("1".to_owned(), json!(-100))]))),
        ),
        ("prediction", with(|r| _ = r.extra.insert("prediction".to_owned(), json!({"type": "content"})))),
        ("stop", with(|r| r.sampling.stop = vec!["x".to_owned(); 6])),
        ("tools", with(|r| r.tools = vec![Tool::Opaque(json!({"type": "computer_use"}))])),
        (
            "messages[1].tool_calls[0].function.arguments",
            with(|r| {
                let call = ToolCall::function("a", "f", r#"{"city": "Os"#);
                r.messages.push(Message::new(Role::Assistant, vec![Part::ToolCall(call)]));
            }),
        ),
    ];
    for (param, request) in cases {
        assert_eq!(refused(&request), param);
        let drop = ParameterPolicy { drop_params: true, ..ParameterPolicy::default() };
        assert!(written_for(&request, "gemini-2.5-flash", &drop, &[]).is_ok(), "{param}");
    }
    let mut unknown = ask();
    unknown.extra.insert("zz_custom".to_owned(), json!({"a": 1}));
    unknown.user = Some("user-7".to_owned());
    assert_eq!(written(&unknown), written(&ask()));
}

#[test]
fn operators_can_let_parameters_pass_or_drop_them() {
    let mut request = ask();
    request.extra.insert("prediction".to_owned(), json!(1));
    let policy = ParameterPolicy {
        additional_drop_params: vec!["prediction".to_owned()],
        ..ParameterPolicy::default()
    };
    assert_eq!(written_for(&request, "gemini-2.5-flash", &policy, &[]).unwrap(), written(&ask()));
    let policy =
        ParameterPolicy { allowed_params: vec!["prediction".to_owned()], ..ParameterPolicy::default() };
    assert_eq!(written_for(&request, "gemini-2.5-flash", &policy, &[]).unwrap()["prediction"], 1);
}

#[test]
fn metadata_are_labels_where_the_row_accepts_them() {
    let mut request = ask();
    request.metadata = Some(Extra::from_iter([("team".to_owned(), json!("blue"))]));
    assert_eq!(written(&request).get("labels"), None);
    let quirks = [Quirk::Accepts("metadata".to_owned())];
    let body = written_for(&request, "gemini-2.5-pro", &ParameterPolicy::default(), &quirks).unwrap();
    assert_eq!(body["labels"], json!({"team": "blue"}));
}

prop_compose! {
    fn seal()(value in "[A-Za-z0-9+/]{4,12}") -> Seal {
        Seal::new(Dialect::Gemini, SealKind::Signature, value)
    }
}

fn user_part() -> impl Strategy<Value = Part> {
    prop_oneof![
        "[a-zé ]{1,8}".prop_map(Part::text),
        (
            "[A-Za-z0-9+/]{4}",
            prop::sample::select(vec!["image/png", "audio/wav", "video/mp4", "application/pdf"])
        )
            .prop_map(|(data, media_type)| {
                let kind = match media_type {
                    "image/png" => MediaKind::Image,
                    "audio/wav" => MediaKind::Audio,
                    "video/mp4" => MediaKind::Video,
                    _ => MediaKind::File,
                };
                Part::Media(Media::new(kind, Source::Base64 { media_type: media_type.to_owned(), data }))
            }),
        "[a-z]{1,5}".prop_map(|name| Part::Media(Media::new(
            MediaKind::Video,
            Source::Url { url: format!("gs://bucket/{name}.mp4"), media_type: Some("video/mp4".to_owned()) },
        ))),
    ]
}

/// A question, an answer with calls, their results, and a last word.
fn round() -> impl Strategy<Value = Vec<Message>> {
    let thought = prop::option::of(("[a-z ]{1,9}", prop::option::of(seal())));
    let calls = prop::collection::vec(("[a-z]{1,4}", "[a-z ]{1,6}", any::<bool>(), seal()), 0..3);
    (
        prop::collection::vec(user_part(), 1..3),
        thought,
        "[a-z]{1,5}",
        prop::option::of(seal()),
        calls,
        any::<u32>(),
    )
        .prop_map(|(question, thought, text, text_seal, calls, number)| {
            let mut turn = Vec::new();
            turn.extend(
                thought.map(|(text, seal)| Part::Reasoning(Reasoning { text, seal, ..Reasoning::default() })),
            );
            turn.push(Part::Text(Text { text, seal: text_seal, ..Text::default() }));
            let mut results = Vec::new();
            for (index, (name, text, is_error, seal)) in calls.into_iter().enumerate() {
                let id = format!("call-{number}-{index}");
                let mut call = ToolCall::function(&id, &name, json!({"q": text}).to_string());
                call.seal = Some(seal);
                turn.push(Part::ToolCall(call));
                results.push(Part::ToolResult(ToolResult {
                    call_id: id,
                    name: Some(name),
                    parts: vec![Part::text(text)],
                    is_error,
                    cache: None,
                    extra: Extra::new(),
                }));
            }
            let mut messages = vec![Message::new(Role::User, question), Message::new(Role::Assistant, turn)];
            if !results.is_empty() {
                messages.push(Message::new(Role::User, results));
                messages.push(Message::text(Role::Assistant, "Done."));
            }
            messages
        })
}

fn tool_choice() -> impl Strategy<Value = Option<ToolChoice>> {
    let names = || vec!["f".to_owned(), "g".to_owned()];
    prop::sample::select(vec![
        None,
        Some(ToolChoice::Auto),
        Some(ToolChoice::None),
        Some(ToolChoice::Required),
        Some(ToolChoice::Function("f".to_owned())),
        Some(ToolChoice::Allowed { names: names(), required: true }),
        Some(ToolChoice::Allowed { names: names(), required: false }),
    ])
}

prop_compose! {
    fn conversation()(
        system in prop::option::of("[a-z ]{1,9}"),
        rounds in prop::collection::vec(round(), 1..4),
        choice in tool_choice(),
        format in prop::sample::select(vec![
            None,
            Some(OutputFormat::Text),
            Some(OutputFormat::JsonObject),
            Some(OutputFormat::JsonSchema(JsonSchema { schema: Some(json!({"type": "array"})), ..JsonSchema::default() })),
        ]),
        effort in prop::sample::select(vec![None, Some(Effort::Low), Some(Effort::High)]),
        shown in any::<bool>(),
        temperature in 0_u32..3,
        (max, n, stop) in (prop::option::of(1_u64..9999), prop::option::of(1_u64..5), prop::collection::vec("[A-Z]{1,3}", 0..5)),
        tier in prop::option::of(prop::sample::select(vec!["default", "flex", "priority"])),
        unknown in prop::option::of(any::<u32>()),
    ) -> Request {
        let mut messages: Vec<Message> = system.map(|text| Message::text(Role::System, text)).into_iter().collect();
        messages.extend(rounds.into_iter().flatten());
        let mut request = Request::new(Dialect::Gemini, "", messages);
        request.tools = vec![
            Tool::Function(FunctionTool {
                name: "f".to_owned(),
                description: Some("does it".to_owned()),
                parameters: Some(json!({"type": "object", "properties": {"q": {"type": ["string", "null"]}}, "required": ["q"]})),
                ..FunctionTool::default()
            }),
            Tool::WebSearch(WebSearch::default()),
            Tool::UrlFetch(Extra::new()),
        ];
        request.tool_choice = choice;
        request.output_format = format;
        request.reasoning.summary =
            effort.as_ref().map(|_| if shown { ReasoningSummary::Auto } else { ReasoningSummary::Omitted });
        request.reasoning.effort = effort;
        request.sampling.temperature = Some(temperature.into());
        request.sampling.n = n;
        request.sampling.stop = stop;
        request.max_output_tokens = max;
        request.service_tier = tier.map(str::to_owned);
        if let Some(number) = unknown {
            request.extra.insert("newField".to_owned(), json!(number));
            request.extra.insert("generationConfig".to_owned(), json!({"newKnob": number}));
        }
        request
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(request in conversation()) {
        prop_assert_eq!(again(&request), request);
    }

    #[test]
    fn no_bytes_panic(body in "\\{\"contents\":\\[(\\{\"(role|parts)\":(\"[a-z]{0,5}\"|\\[\\{\"(text|functionCall|inlineData)\":(1|\"x\"|\\{\\}|null)\\}\\]|null)\\},?){0,3}\\]\\}") {
        if let Ok(document) = Document::of(&body) {
            let _ = read(&document);
        }
    }
}
