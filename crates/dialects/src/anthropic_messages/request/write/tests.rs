use serde_json::{Number, Value, json};

use super::turns::SYSTEM_NOTE;
use super::*;
use crate::anthropic_messages::response::ANSWER_TOOL;
use crate::conversation::{
    CustomTool, Effort, Extra, FunctionTool, JsonSchema, Media, MediaKind, Message, OutputFormat, Part,
    Reasoning, Role, Seal, SealKind, Source, Thinking, Tool, ToolCall, ToolCallKind, ToolChoice, ToolResult,
    WebSearch,
};
use crate::document::Document;
use crate::exchange::ModelFacts;
use crate::loss::ParameterPolicy;

const SONNET: &str = "claude-sonnet-4-5-20250929";

/// A chat request to write, and where it goes.
struct Case {
    request: Request,
    model: &'static str,
    facts: ModelFacts,
    policy: ParameterPolicy,
}

impl Case {
    fn new(messages: Vec<Message>) -> Self {
        Self {
            request: Request::new(Dialect::OpenaiChat, "alias", messages),
            model: SONNET,
            facts: ModelFacts { max_output_tokens: Some(64000), ..ModelFacts::default() },
            policy: ParameterPolicy::default(),
        }
    }

    fn question() -> Self {
        Self::new(vec![Message::text(Role::User, "Hi")])
    }

    fn to(mut self, model: &'static str) -> Self {
        self.model = model;
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Request)) -> Self {
        change(&mut self.request);
        self
    }

    fn run(&self) -> Result<(Value, Vec<String>), CannotSay> {
        let target = Target { model: self.model, quirks: &[], facts: &self.facts, policy: &self.policy };
        let mut losses = Losses::new(self.policy.drop_params);
        let body = write(&self.request, &target, &mut losses)?;
        let params = losses.notes().iter().map(|note| note.param.clone()).collect();
        Ok((serde_json::from_slice(&body).unwrap(), params))
    }

    fn body(&self) -> Value {
        self.run().unwrap().0
    }

    fn notes(&self) -> Vec<String> {
        self.run().unwrap().1
    }

    fn refused(&self) -> String {
        self.run().unwrap_err().param
    }

    /// The fields beside those that every body has.
    fn settings(&self) -> Value {
        let mut body = self.body();
        for name in ["model", "messages"] {
            body.as_object_mut().unwrap().remove(name);
        }
        body
    }
}

fn said(text: &str) -> Value {
    json!([{"type": "text", "text": text}])
}

fn call(id: &str) -> Message {
    Message::new(Role::Assistant, vec![Part::ToolCall(ToolCall::function(id, "f", "{\"a\":1}"))])
}

fn answer(id: &str, parts: Vec<Part>) -> Message {
    let result = ToolResult {
        call_id: id.to_owned(),
        name: None,
        parts,
        is_error: false,
        cache: None,
        extra: Extra::new(),
    };
    Message::new(Role::Tool, vec![Part::ToolResult(result)])
}

fn function(name: &str) -> Tool {
    Tool::Function(FunctionTool { name: name.to_owned(), ..FunctionTool::default() })
}

fn schema(format: &mut Option<OutputFormat>) {
    let schema = json!({"type": "object", "properties": {"inner": {"type": "object", "properties": {"default": {"type": "object"}}}}});
    *format = Some(OutputFormat::JsonSchema(JsonSchema { schema: Some(schema), ..JsonSchema::default() }));
}

#[test]
fn max_tokens_is_the_models_most_or_a_default() {
    assert_eq!(Case::question().settings(), json!({"max_tokens": 64000}));
    let mut unknown = Case::question();
    unknown.facts = ModelFacts::default();
    assert_eq!(unknown.settings(), json!({"max_tokens": 4096}));
    assert_eq!(Case::question().with(|r| r.max_output_tokens = Some(7)).settings(), json!({"max_tokens": 7}));
}

#[test]
fn turns_of_the_same_role_become_one_and_results_come_first() {
    let body = Case::new(vec![
        Message::text(Role::System, "Be terse."),
        Message::text(Role::Developer, "Use English."),
        Message::text(Role::User, "Weather?"),
        call("a"),
        call("b"),
        Message::text(Role::User, "Quick!"),
        answer("a", vec![Part::text("4C")]),
        answer("b", vec![Part::text("4C"), Part::text("rain")]),
    ])
    .with(|r| r.tools.push(function("f")))
    .body();
    assert_eq!(
        body["system"],
        json!([{"type": "text", "text": "Be terse."}, {"type": "text", "text": "Use English."}])
    );
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": said("Weather?")},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "b", "name": "f", "input": {"a": 1}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "4C"},
                {"type": "tool_result", "tool_use_id": "b", "content": [
                    {"type": "text", "text": "4C"}, {"type": "text", "text": "rain"}]},
                {"type": "text", "text": "Quick!"},
            ]},
        ])
    );
}

#[test]
fn empty_text_is_left_out_and_a_prefill_is_trimmed() {
    let body = Case::new(vec![
        Message::text(Role::User, " \n"),
        Message::text(Role::User, " Hi "),
        Message::text(Role::Assistant, ""),
        Message::text(Role::Assistant, "Well, \n"),
    ])
    .body();
    assert_eq!(
        body["messages"],
        json!([{"role": "user", "content": said(" Hi ")}, {"role": "assistant", "content": said("Well,")}])
    );
}

#[test]
fn a_conversation_needs_a_turn() {
    assert_eq!(Case::new(vec![]).refused(), "messages");
    assert_eq!(Case::new(vec![Message::text(Role::System, "Say hello.")]).refused(), "messages");
}

#[test]
fn late_system_messages_are_turns_where_the_model_takes_them() {
    let messages = vec![
        Message::text(Role::User, "Hi"),
        Message::text(Role::System, "French."),
        Message::text(Role::User, "Go on."),
    ];
    let case = Case::new(messages);
    assert_eq!(
        case.body()["messages"],
        json!([{"role": "user", "content": [
            {"type": "text", "text": "Hi"}, {"type": "text", "text": SYSTEM_NOTE},
            {"type": "text", "text": "French."}, {"type": "text", "text": "Go on."}]}])
    );
    assert_eq!(
        case.to("claude-opus-4-8").body()["messages"],
        json!([{"role": "user", "content": said("Hi")}, {"role": "system", "content": said("French.")},
               {"role": "user", "content": said("Go on.")}])
    );
}

#[test]
fn a_history_with_calls_has_a_tool() {
    let case = Case::new(vec![Message::text(Role::User, "?"), call("a"), answer("a", vec![])]);
    assert_eq!(
        case.body()["tools"],
        json!([{"name": "dummy_tool", "input_schema": {"type": "object", "properties": {}}, "type": "custom",
                "description": "This is a dummy tool call"}])
    );
    assert!(case.notes().contains(&"tools".to_owned()));
}

#[test]
fn only_anthropics_own_thinking_goes_back() {
    let thought = |seal: Option<Seal>| {
        let thought = Reasoning { text: "Hm.".to_owned(), seal, ..Reasoning::default() };
        let parts = vec![Part::Reasoning(thought), Part::text("Hello")];
        Case::new(vec![Message::text(Role::User, "Hi"), Message::new(Role::Assistant, parts)])
    };
    let own = |kind| Some(Seal::new(DIALECT, kind, "sig"));
    let first = |case: &Case| case.body()["messages"][1]["content"][0].clone();
    assert_eq!(
        first(&thought(own(SealKind::Signature))),
        json!({"type": "thinking", "thinking": "Hm.", "signature": "sig"})
    );
    assert_eq!(first(&thought(own(SealKind::Redacted))), json!({"type": "redacted_thinking", "data": "sig"}));
    for foreign in [None, Some(Seal::new(Dialect::Gemini, SealKind::Signature, "sig"))] {
        let case = thought(foreign);
        assert_eq!(first(&case), json!({"type": "text", "text": "Hello"}));
        assert!(case.notes().contains(&"messages[].reasoning".to_owned()));
    }
}

#[test]
fn files_go_where_the_api_reads_them() {
    let file = |source: Source, name: Option<&str>| {
        let media = Media { name: name.map(str::to_owned), ..Media::new(MediaKind::File, source) };
        Case::new(vec![Message::new(Role::User, vec![Part::Media(media)])])
    };
    let block = |case: Case| case.body()["messages"][0]["content"][0].clone();
    let base64 =
        |media_type: &str, data: &str| Source::Base64 { media_type: media_type.into(), data: data.into() };
    assert_eq!(
        block(file(base64("application/pdf", "JVBE"), Some("a.pdf"))),
        json!({"type": "document", "title": "a.pdf",
               "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}})
    );
    assert_eq!(
        block(file(base64("text/csv", "YSxi"), None)),
        json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}})
    );
    assert_eq!(
        block(file(Source::FileId("f".into()), None)),
        json!({"type": "container_upload", "file_id": "f"})
    );
    assert_eq!(
        block(file(Source::FileId("f".into()), Some("a.pdf"))),
        json!({"type": "document", "title": "a.pdf", "source": {"type": "file", "file_id": "f"}})
    );
    assert_eq!(file(base64("application/zip", "UEs="), None).refused(), "file");
    assert_eq!(file(Source::Url { url: "gs://b/a.pdf".into(), media_type: None }, None).refused(), "file");
}

#[test]
fn ids_are_made_acceptable_on_both_sides() {
    let case = Case::new(vec![Message::text(Role::User, "?"), call("call.1:x"), answer("call.1:x", vec![])]);
    let body = case.body();
    assert_eq!(body.pointer("/messages/1/content/0/id"), Some(&json!("call_1_x")));
    assert_eq!(body.pointer("/messages/2/content/0/tool_use_id"), Some(&json!("call_1_x")));
}

#[test]
fn tools_and_their_choice() {
    let custom = CustomTool { name: "sh".to_owned(), ..CustomTool::default() };
    let search = WebSearch { context_size: Some("medium".into()), ..WebSearch::default() };
    let body = Case::question()
        .with(|r| {
            r.tools = vec![function("f"), Tool::Custom(custom), Tool::WebSearch(search)];
            r.tool_choice = Some(ToolChoice::Function("f".into()));
            r.parallel_tool_calls = Some(false);
        })
        .settings();
    assert_eq!(
        body,
        json!({
            "max_tokens": 64000,
            "tools": [
                {"name": "f", "input_schema": {"type": "object", "properties": {}}, "type": "custom"},
                {"name": "sh", "type": "custom", "input_schema": {"type": "object",
                    "properties": {"input": {"type": "string"}}, "required": ["input"]}},
                {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
            ],
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
        })
    );
    let choice =
        |choice| Case::question().with(|r| r.tool_choice = Some(choice)).settings()["tool_choice"].clone();
    assert_eq!(choice(ToolChoice::Required), json!({"type": "any"}));
    assert_eq!(choice(ToolChoice::None), json!({"type": "none"}));
    let parallel = Case::question().with(|r| r.parallel_tool_calls = Some(true));
    assert_eq!(
        parallel.settings()["tool_choice"],
        json!({"type": "auto", "disable_parallel_tool_use": false})
    );
    let allowed = Case::question().with(|r| {
        r.tools = vec![function("f"), function("g")];
        r.tool_choice = Some(ToolChoice::Allowed { names: vec!["g".into()], required: true });
    });
    assert_eq!(allowed.settings().pointer("/tools/0/name"), Some(&json!("g")));
    assert_eq!(allowed.settings()["tools"].as_array().map(Vec::len), Some(1));
}

/// <https://docs.litellm.ai/docs/completion/computer_use>
#[test]
fn tools_in_anthropics_form_stay_as_a_chat_client_wrote_them() {
    let sent = |tools: &Value| {
        let chat = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": tools});
        let chat = chat.to_string();
        let document = Document::parse(chat.as_bytes()).unwrap();
        let read = Dialect::OpenaiChat.codec().read_request(&document).unwrap();
        Case::question().with(|request| request.tools = read.tools).settings()["tools"].clone()
    };
    let marker = json!({"type": "ephemeral"});
    let tools = json!([
        {"type": "computer_20250124", "name": "computer", "display_width_px": 1024, "display_height_px": 768},
        {"type": "bash_20250124", "name": "bash", "cache_control": marker},
        {"type": "web_search_20260209", "name": "web_search", "max_uses": 2, "allowed_domains": ["a.example"],
            "allowed_callers": ["direct"], "cache_control": marker},
        {"type": "web_fetch_20260209", "name": "web_fetch", "citations": {"enabled": true}},
        {"type": "code_execution_20250522", "name": "code_execution"},
    ]);
    assert_eq!(sent(&tools), tools);
    let openais = json!([{"type": "web_search_preview_2025_03_11", "max_uses": 2, "filters": {}}]);
    assert_eq!(sent(&openais), json!([{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]));
}

#[test]
fn free_text_of_a_custom_call_is_an_argument() {
    let call = ToolCall { kind: ToolCallKind::Custom, ..ToolCall::function("c", "sh", "ls -l") };
    let case = Case::new(vec![
        Message::text(Role::User, "?"),
        Message::new(Role::Assistant, vec![Part::ToolCall(call)]),
    ]);
    assert_eq!(case.body().pointer("/messages/1/content/0/input"), Some(&json!({"input": "ls -l"})));
}

#[test]
fn schemas_are_closed_for_models_with_structured_outputs() {
    let body = Case::question().with(|r| schema(&mut r.output_format)).settings();
    let closed = json!({"type": "object", "additionalProperties": false, "properties": {"inner": {
        "type": "object", "additionalProperties": false,
        "properties": {"default": {"type": "object", "additionalProperties": false}}}}});
    assert_eq!(
        body,
        json!({"max_tokens": 64000, "output_format": {"type": "json_schema", "schema": closed}})
    );
}

#[test]
fn older_models_answer_by_a_tool() {
    let case = || Case::question().to("claude-3-5-sonnet-20241022").with(|r| schema(&mut r.output_format));
    let alone = case().settings();
    assert_eq!(alone.pointer("/tools/0/name"), Some(&json!(ANSWER_TOOL)));
    assert_eq!(alone["tool_choice"], json!({"type": "tool", "name": ANSWER_TOOL}));
    let beside_others = case().with(|r| r.tools.push(function("f"))).settings();
    assert_eq!(beside_others["tool_choice"], json!({"type": "any"}));
    let thinking = case().to("claude-3-7-sonnet").with(|r| r.reasoning.effort = Some(Effort::Low)).settings();
    assert_eq!(thinking["tool_choice"], json!({"type": "auto"}));
}

#[test]
fn json_without_a_schema_is_noted() {
    let case = Case::question().with(|r| r.output_format = Some(OutputFormat::JsonObject));
    assert_eq!(case.settings(), json!({"max_tokens": 64000}));
    assert!(case.notes().contains(&"response_format".to_owned()));
}

#[test]
fn an_effort_is_a_budget_or_an_effort() {
    let effort = |model, effort: Effort| {
        Case::question().to(model).with(|r| r.reasoning.effort = Some(effort)).settings()
    };
    for (name, budget) in [("minimal", 1024), ("low", 1024), ("medium", 2048), ("high", 4096), ("max", 16384)]
    {
        assert_eq!(
            effort(SONNET, Effort::from_name(name)),
            json!({"max_tokens": budget + 4096, "thinking": {"type": "enabled", "budget_tokens": budget}})
        );
    }
    assert_eq!(effort(SONNET, Effort::None), json!({"max_tokens": 64000}));
    assert_eq!(
        effort("claude-opus-4-6", Effort::Minimal),
        json!({"max_tokens": 64000, "thinking": {"type": "adaptive", "display": "summarized"},
               "output_config": {"effort": "low"}})
    );
    assert_eq!(effort("claude-opus-5", Effort::None)["thinking"], json!({"type": "disabled"}));
    assert_eq!(effort("claude-fable-5", Effort::None).get("thinking"), None);
}

#[test]
fn a_budget_fits_under_the_callers_limit() {
    let limited = |most| {
        let case = Case::question().with(|r| {
            r.reasoning.effort = Some(Effort::High);
            r.max_output_tokens = Some(most);
        });
        case.settings()
    };
    assert_eq!(
        limited(3000),
        json!({"max_tokens": 3000, "thinking": {"type": "enabled", "budget_tokens": 2999}})
    );
    assert_eq!(limited(500), json!({"max_tokens": 500}));
}

#[test]
fn thinking_is_said_as_the_model_takes_it() {
    let thinking = |model, thinking: Thinking| {
        Case::question().to(model).with(|r| r.reasoning.thinking = Some(thinking)).settings()["thinking"]
            .clone()
    };
    let enabled = json!({"type": "enabled", "budget_tokens": 2048});
    assert_eq!(thinking(SONNET, Thinking::Budget(2048)), enabled);
    assert_eq!(thinking(SONNET, Thinking::Disabled), json!({"type": "disabled"}));
    assert_eq!(thinking(SONNET, Thinking::Adaptive), json!({"type": "enabled", "budget_tokens": 4096}));
    assert_eq!(
        thinking("claude-opus-4-8", Thinking::Budget(2048)),
        json!({"type": "adaptive", "display": "summarized"})
    );
    let old =
        Case::question().to("claude-3-5-haiku-20241022").with(|r| r.reasoning.effort = Some(Effort::Low));
    assert_eq!(old.refused(), "reasoning_effort");
}

#[test]
fn thinking_without_its_signature_is_switched_off_if_repairs_are_allowed() {
    let mut case = Case::new(vec![Message::text(Role::User, "?"), call("a"), answer("a", vec![])])
        .with(|r| r.reasoning.effort = Some(Effort::Low));
    assert!(case.settings().get("thinking").is_some());
    case.policy.modify_params = true;
    assert_eq!(case.settings().get("thinking"), None);
}

#[test]
fn sampling_is_refused_where_the_model_refuses_it() {
    let number = |n: f64| Number::from_f64(n);
    let cool = |model| Case::question().to(model).with(|r| r.sampling.temperature = number(0.2));
    assert_eq!(cool(SONNET).settings()["temperature"], json!(0.2));
    assert_eq!(cool("claude-opus-4-7").refused(), "temperature");
    assert_eq!(cool(SONNET).with(|r| r.reasoning.effort = Some(Effort::Low)).refused(), "temperature");
    let default = Case::question().to("claude-opus-4-7").with(|r| r.sampling.temperature = number(1.0));
    assert_eq!(default.settings().get("temperature"), None);
    for (top_p, taken) in [(1.0, true), (0.95, true), (0.9, false)] {
        let case = Case::question().with(|r| {
            r.reasoning.effort = Some(Effort::Low);
            r.sampling.top_p = number(top_p);
        });
        match case.run() {
            Ok((body, _)) => assert_eq!((&body["top_p"], taken), (&json!(top_p), true)),
            Err(refused) => assert_eq!((refused.param.as_str(), taken), ("top_p", false)),
        }
    }
    let stop = Case::question().with(|r| r.sampling.stop = vec!["\n\n".into(), "END".into()]);
    assert_eq!(stop.settings()["stop_sequences"], json!(["END"]));
}

#[test]
fn of_temperature_and_top_p_newer_models_get_the_one_that_says_something() {
    let drawn = |model, temperature: f64, top_p: f64, drop_params| {
        let mut case = Case::question().to(model).with(|r| {
            r.sampling.temperature = Number::from_f64(temperature);
            r.sampling.top_p = Number::from_f64(top_p);
        });
        case.policy.drop_params = drop_params;
        let body = case.settings();
        (body.get("temperature").and_then(Value::as_f64), body.get("top_p").and_then(Value::as_f64))
    };
    assert_eq!(drawn(SONNET, 0.2, 1.0, false), (Some(0.2), None));
    assert_eq!(drawn(SONNET, 1.0, 0.5, false), (None, Some(0.5)));
    assert_eq!(drawn(SONNET, 0.2, 0.5, true), (Some(0.2), None));
    assert_eq!(drawn(SONNET, 0.2, 0.5, false), (Some(0.2), Some(0.5)), "the provider's refusal says it best");
    assert_eq!(drawn("claude-sonnet-4-20250514", 0.2, 0.5, true), (Some(0.2), Some(0.5)));
}

#[test]
fn tools_are_strict_where_the_operator_wants_it_and_the_model_can() {
    let tool = |model, allowed: &[&str]| {
        let parameters = json!({"type": "object", "properties": {"a": {"type": "object"}}});
        let strict = FunctionTool {
            name: "f".into(),
            parameters: Some(parameters),
            strict: Some(true),
            ..FunctionTool::default()
        };
        let mut case = Case::question().to(model).with(|r| r.tools.push(Tool::Function(strict)));
        case.policy.allowed_params = allowed.iter().map(ToString::to_string).collect();
        let noted = case.notes().contains(&"tools[].function.strict".to_owned());
        (case.settings()["tools"][0].clone(), noted)
    };
    let (strict, noted) = tool(SONNET, &["strict"]);
    assert_eq!(
        (strict, noted),
        (
            json!({"name": "f", "type": "custom", "strict": true, "input_schema": {
                "type": "object", "additionalProperties": false,
                "properties": {"a": {"type": "object", "additionalProperties": false}}}}),
            false
        )
    );
    for (model, allowed) in [("claude-3-5-sonnet-20241022", ["strict"].as_slice()), (SONNET, &[])] {
        let (loose, noted) = tool(model, allowed);
        assert_eq!((loose.get("strict"), noted), (None, true));
    }
}

#[test]
fn an_effort_above_the_models_highest_is_noted() {
    let case = Case::question().to("claude-opus-4-6").with(|r| r.reasoning.effort = Some(Effort::XHigh));
    assert_eq!(case.settings()["output_config"], json!({"effort": "high"}));
    assert!(case.notes().contains(&"reasoning_effort".to_owned()));
}

#[test]
fn what_anthropic_lacks_is_refused_dropped_or_forced() {
    let case = || {
        Case::question().with(|r| {
            r.sampling.seed = Some(Number::from(1));
            r.extra.insert("verbosity".into(), json!("low"));
            r.extra.insert("zz_custom".into(), json!({"a": 1}));
            r.extra.insert("store".into(), json!(false));
        })
    };
    assert_eq!(case().refused(), "seed");
    assert_eq!(Case::question().with(|r| r.sampling.n = Some(2)).refused(), "n");
    assert_eq!(Case::question().with(|r| r.sampling.n = Some(1)).settings(), json!({"max_tokens": 64000}));
    let mut lenient = case();
    lenient.policy.drop_params = true;
    assert_eq!(lenient.settings(), json!({"max_tokens": 64000, "zz_custom": {"a": 1}}));
    let mut named = case();
    named.policy.additional_drop_params = vec!["seed".into(), "verbosity".into()];
    assert_eq!(named.settings(), json!({"max_tokens": 64000, "zz_custom": {"a": 1}}));
    let mut forced = case();
    forced.policy.allowed_params = vec!["seed".into(), "verbosity".into()];
    assert_eq!(
        forced.settings(),
        json!({"max_tokens": 64000, "seed": 1, "verbosity": "low", "zz_custom": {"a": 1}})
    );
}

#[test]
fn anthropics_own_fields_pass_unless_they_are_said_already() {
    let case = Case::question().to("claude-opus-4-6").with(|r| {
        r.extra.insert("output_config".into(), json!({"effort": "max"}));
        r.extra.insert("inference_geo".into(), json!("eu"));
    });
    assert_eq!(
        case.settings(),
        json!({"max_tokens": 64000, "output_config": {"effort": "max"}, "inference_geo": "eu"})
    );
    let twice = case.with(|r| r.reasoning.effort = Some(Effort::Low));
    assert_eq!(twice.settings()["output_config"], json!({"effort": "low"}));
    assert!(twice.notes().contains(&"output_config".to_owned()));
}

#[test]
fn the_user_comes_from_either_place() {
    let user = |change: fn(&mut Request)| Case::question().with(change).settings().get("metadata").cloned();
    assert_eq!(user(|r| r.user = Some("u".into())), Some(json!({"user_id": "u"})));
    let labels =
        |r: &mut Request| r.metadata = json!({"user_id": "u-17", "team": "blue"}).as_object().cloned();
    assert_eq!(user(labels), Some(json!({"user_id": "u-17"})));
    assert_eq!(user(|r| r.metadata = json!({"team": "blue"}).as_object().cloned()), None);
}
