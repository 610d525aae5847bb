use serde_json::json;

use super::*;
use crate::conversation::{
    CacheMarker, FunctionTool, Message, OutputFormat, ReasoningRequest, Role, Thinking, Tool, ToolChoice,
    ToolResult,
};
use crate::error::Invalid;
use crate::exchange::{ModelFacts, Target};
use crate::loss::{Losses, ParameterPolicy};
use crate::quirk::Quirk;

fn write(request: &Request, drop_params: bool) -> Result<(Value, Vec<String>), crate::CannotSay> {
    let (facts, policy) = (ModelFacts::default(), ParameterPolicy::default());
    let target = Target { model: &request.model, quirks: &[], facts: &facts, policy: &policy };
    let mut losses = Losses::new(drop_params);
    let body = CODEC.write_request(request, &target, &mut losses)?;
    let notes = losses.into_notes().into_iter().map(|note| note.param).collect();
    Ok((json(&body), notes))
}

fn adapt(body: &str, quirks: &[Quirk], policy: &ParameterPolicy) -> String {
    let facts = ModelFacts::default();
    let target = Target { model: "gpt-5.1", quirks, facts: &facts, policy };
    let mut document = Document::of(body).unwrap();
    CODEC.adapt_request(&mut document, &target, &mut Losses::new(true)).unwrap();
    String::from_utf8(document.to_bytes()).unwrap()
}

fn invalid(body: &str) -> String {
    let document = Document::of(body).unwrap();
    let checked: Invalid = CODEC.read_request(&document).unwrap_err();
    checked.to_string()
}

#[test]
fn what_is_read_is_written_and_read_again() {
    for (name, text) in golden("requests") {
        CODEC.check_request(&Document::of(&text).unwrap()).unwrap();
        let request = read_request(&text);
        let (written, notes) = write(&request, false).unwrap();
        if name == "foreign-seals" {
            // They are not for the provider's eyes.
            continue;
        }
        assert_eq!(read_request(&written.to_string()), request, "{name}");
        assert!(notes.is_empty(), "{name}: {notes:?}");
    }
}

#[test]
fn a_request_that_fits_is_not_touched() {
    for (name, text) in golden("requests") {
        if name != "foreign-seals" {
            assert_eq!(adapt(&text, &[], &ParameterPolicy::default()), text, "{name}");
        }
    }
}

#[test]
fn items_of_the_model_are_one_turn() {
    let request = read_request(&golden_file("requests", "tool-turn"));
    let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool, Role::User]);
    assert!(matches!(
        request.messages[1].parts.as_slice(),
        [Part::Text(_), Part::ToolCall(_), Part::ToolCall(_)]
    ));
    assert!(matches!(request.messages[2].parts.as_slice(), [Part::ToolResult(_), Part::ToolResult(_)]));
}

#[test]
fn instructions_are_a_system_message_in_front() {
    let request = read_request(r#"{"model":"m","instructions":"Be terse.","input":"Hi"}"#);
    let [instructions, user] = request.messages.as_slice() else { panic!("{:?}", request.messages) };
    assert_eq!((instructions.role, &instructions.parts), (Role::System, &vec![Part::text("Be terse.")]));
    assert_eq!(user, &Message::text(Role::User, "Hi"));
    assert!(request.extra.is_empty(), "other dialects have nothing to report as lost");
}

#[test]
fn settings_find_their_places() {
    let request = read_request(&golden_file("requests", "hosted-tools"));
    let Tool::WebSearch(search) = &request.tools[0] else { panic!("{:?}", request.tools) };
    assert_eq!(search.allowed_domains, ["vg.no", "nrk.no"]);
    assert_eq!(search.location.as_ref().unwrap()["city"], "Oslo");
    assert!(matches!(request.tools[1], Tool::CodeExecution(_)));
    assert_eq!(request.sampling.logprobs, Some(true));
    assert_eq!(request.extra["include"], json!(["web_search_call.action.sources"]));

    let request = read_request(&golden_file("requests", "allowed-tools"));
    let names = vec!["get_weather".to_owned()];
    assert_eq!(request.tool_choice, Some(ToolChoice::Allowed { names, required: true }));

    let request = read_request(&golden_file("requests", "json-schema"));
    assert!(
        matches!(&request.output_format, Some(OutputFormat::JsonSchema(schema)) if schema.name == "city_info")
    );
    assert_eq!(request.extra["text"], json!({"verbosity": "low"}));
}

#[test]
fn seals_of_other_providers_come_back() {
    let request = read_request(&golden_file("requests", "foreign-seals"));
    let [Part::Reasoning(reasoning), Part::ToolCall(call)] = request.messages[1].parts.as_slice() else {
        panic!("{:?}", request.messages[1])
    };
    assert_eq!(reasoning.readable(), "I need the tool.");
    assert_eq!(reasoning.seal, Some(Seal::new(Dialect::AnthropicMessages, SealKind::Signature, "RXVBQkNE")));
    assert_eq!(call.seal, Some(Seal::new(Dialect::Gemini, SealKind::Signature, "Q2lRQg==")));
}

#[test]
fn openai_is_not_shown_seals_of_other_providers() {
    let adapted = adapt(&golden_file("requests", "foreign-seals"), &[], &ParameterPolicy::default());
    let input = &json(adapted.as_bytes())["input"];
    assert_eq!(
        input[1],
        json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "I need the tool."}]})
    );
    let kinds: Vec<_> = input.as_array().unwrap().iter().map(|item| item["type"].clone()).collect();
    assert_eq!(
        kinds,
        [Value::Null, "reasoning".into(), "function_call".into(), "function_call_output".into()]
    );
}

#[test]
fn mistakes_are_named() {
    assert_eq!(invalid(r#"{"model":"m"}"#), "`input`: Missing required parameter: 'input'.");
    assert_eq!(invalid(r#"{"input":null}"#), "`input`: Missing required parameter: 'input'.");
    assert_eq!(invalid(r#"{"input":3}"#), "`input`: expected a string or an array, found `3`");
    assert_eq!(
        invalid(r#"{"input":"x","temperature":"hot"}"#),
        "`temperature`: expected a number, found `\"hot\"`"
    );
    assert_eq!(
        invalid(r#"{"input":"x","max_output_tokens":-1}"#),
        "`max_output_tokens`: expected a whole number that is not negative, found `-1`"
    );
    assert_eq!(
        invalid(r#"{"input":[{"role":"robot","content":"x"}]}"#),
        "`input[0].role`: expected `user`, `assistant`, `system` or `developer`, found `robot`"
    );
    assert_eq!(
        invalid(r#"{"input":[{"role":"user","content":[{"type":"input_text"}]}]}"#),
        "`input[0].content[0].text`: the field is missing; give a string"
    );
    assert_eq!(
        invalid(r#"{"input":[{"type":"function_call_output","output":"x"}]}"#),
        "`input[0].call_id`: the field is missing; give a string"
    );
    assert_eq!(
        invalid(r#"{"input":"x","tools":[{"type":"function"}]}"#),
        "`tools[0].name`: the field is missing; give a string"
    );
    assert_eq!(
        invalid(r#"{"input":"x","tool_choice":"maybe"}"#),
        "`tool_choice`: expected `auto`, `required`, `none` or an object, found `\"maybe\"`"
    );
    assert_eq!(
        invalid(r#"{"input":"x","tool_choice":{"type":"function"}}"#),
        "`tool_choice.name`: the field is missing; name the tool to be called"
    );
    assert_eq!(
        invalid(r#"{"input":[{"type":"function_call","call_id":"a","name":"f"}]}"#),
        "`input[0].arguments`: the field is missing; give a string"
    );
    assert_eq!(
        invalid(r#"{"input":[{"type":"custom_tool_call","call_id":"a","name":"f"}]}"#),
        "`input[0].input`: the field is missing; give a string"
    );
    assert_eq!(
        invalid(r#"{"input":"x","text":{"format":{"type":"json_schema","name":"a"}}}"#),
        "`text.format.schema`: the field is missing; give a JSON schema"
    );
}

#[test]
fn a_conversation_of_another_dialect_is_written() {
    let call = Part::ToolCall(ToolCall::function("toolu_1", "get_weather", r#"{"city":"Oslo"}"#));
    let thinking = Reasoning {
        text: "I need the tool.".to_owned(),
        seal: Some(Seal::new(Dialect::AnthropicMessages, SealKind::Signature, "c2ln")),
        ..Reasoning::default()
    };
    let result = ToolResult {
        call_id: "toolu_1".to_owned(),
        name: None,
        parts: vec![Part::text("4 °C")],
        is_error: false,
        cache: None,
        extra: Extra::new(),
    };
    let system = Part::Text(Text {
        text: "Be terse.".to_owned(),
        cache: Some(CacheMarker { ttl: None }),
        ..Text::default()
    });
    let mut request = Request::new(
        Dialect::AnthropicMessages,
        "gpt-5.1",
        vec![
            Message::new(Role::System, vec![system]),
            Message::text(Role::User, "Weather in Oslo?"),
            Message::new(Role::Assistant, vec![Part::Reasoning(thinking), call]),
            Message::new(Role::User, vec![Part::ToolResult(result), Part::text("Well?")]),
        ],
    );
    request.tools =
        vec![Tool::Function(FunctionTool { name: "get_weather".to_owned(), ..FunctionTool::default() })];
    request.reasoning =
        ReasoningRequest { thinking: Some(Thinking::Budget(1024)), ..ReasoningRequest::default() };
    request.max_output_tokens = Some(3);
    let (body, notes) = write(&request, false).unwrap();
    assert_eq!(
        body,
        json!({
            "model": "gpt-5.1",
            "input": [
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Weather in Oslo?"}]},
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "I need the tool."}]},
                {"type": "function_call", "call_id": "toolu_1", "name": "get_weather", "arguments": "{\"city\":\"Oslo\"}"},
                {"type": "function_call_output", "call_id": "toolu_1", "output": "4 °C"},
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Well?"}]},
            ],
            "instructions": "Be terse.",
            "max_output_tokens": 16,
            "tools": [{
                "type": "function",
                "name": "get_weather",
                "parameters": {"type": "object", "properties": {}},
                "strict": false,
            }],
            "reasoning": {"effort": "low"},
            "include": ["reasoning.encrypted_content"],
        })
    );
    assert_eq!(notes, ["max_output_tokens", "cache_control"]);
}

#[test]
fn what_this_api_cannot_say_is_refused_or_noted() {
    let mut request = Request::new(Dialect::OpenaiChat, "gpt-5.1", vec![Message::text(Role::User, "Hi")]);
    request.sampling.stop = vec!["END".to_owned()];
    assert_eq!(write(&request, false).unwrap_err().to_string(), "`stop`: the Responses API has no `stop`");
    let (body, notes) = write(&request, true).unwrap();
    assert_eq!(body.get("stop"), None);
    assert_eq!(notes, ["stop"]);
}

#[test]
fn what_only_openais_server_can_do_is_refused_elsewhere() {
    let request = read_request(&golden_file("requests", "server-state"));
    let error = CODEC.report_untranslatable(&request, &mut Losses::new(false)).unwrap_err();
    assert_eq!(error.param, "previous_response_id");
    let mut losses = Losses::new(true);
    CODEC.report_untranslatable(&request, &mut losses).unwrap();
    let names: Vec<&str> = losses.notes().iter().map(|note| note.param.as_str()).collect();
    assert_eq!(names, ["previous_response_id", "background"]);
}

#[test]
fn a_request_is_fitted_to_its_target() {
    let policy = ParameterPolicy {
        additional_drop_params: vec![
            "tools[*].strict".to_owned(),
            "text.verbosity".to_owned(),
            "user".to_owned(),
        ],
        ..ParameterPolicy::default()
    };
    let body = r#"{"model":"alias", "input":"x","user":"u","store":true,"top_p":2,
        "tools":[{"type":"function","name":"f","strict":true}],"text":{"verbosity":"low"},"new":[1.50]}"#;
    let quirks = [
        Quirk::Lacks("store".to_owned()),
        Quirk::Clamps { name: "top_p".to_owned(), min: None, max: serde_json::from_str("1").ok() },
        Quirk::Injects { name: "service_tier".to_owned(), value: "flex".into() },
    ];
    assert_eq!(
        adapt(body, &quirks, &policy),
        r#"{"model":"gpt-5.1", "input":"x","top_p":1,
        "tools":[{"type":"function","name":"f"}],"text":{},"new":[1.50],"service_tier":"flex"}"#
    );
}

proptest! {
    #[test]
    fn no_change_of_a_request_panics(index in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), value in "null|1|\"x\"|\\[\\]|\\{\\}|true|\\[null\\]") {
        let files = golden("requests");
        let (_, text) = &files[index.index(files.len())];
        let mut tree: Value = serde_json::from_str(text).unwrap();
        let count = count(&tree);
        replace(&mut tree, at.index(count), &serde_json::from_str(&value).unwrap());
        let text = tree.to_string();
        if let Ok(document) = Document::of(&text)
            && let Ok(request) = CODEC.read_request(&document)
        {
            let _ = write(&request, true);
            adapt(&text, &[], &ParameterPolicy::default());
        }
    }
}

/// How many values there are in a tree.
fn count(tree: &Value) -> usize {
    1 + match tree {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// Puts `new` in the place of the value number `at`.
fn replace(tree: &mut Value, mut at: usize, new: &Value) {
    if at == 0 {
        *tree = new.clone();
        return;
    }
    at -= 1;
    let mut visit = |child: &mut Value| {
        let size = count(child);
        if at < size {
            replace(child, at, new);
        }
        let found = at < size;
        at = at.saturating_sub(size);
        found
    };
    match tree {
        Value::Array(items) => _ = items.iter_mut().any(&mut visit),
        Value::Object(fields) => _ = fields.values_mut().any(&mut visit),
        _ => {}
    }
}
