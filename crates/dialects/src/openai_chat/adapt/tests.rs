use serde_json::{Value, json};

use super::*;
use crate::error::CannotSay;
use crate::exchange::ModelFacts;
use crate::loss::ParameterPolicy;

#[derive(Default)]
struct Case {
    model: &'static str,
    quirks: Vec<Quirk>,
    facts: ModelFacts,
    policy: ParameterPolicy,
}

fn on(model: &'static str) -> Case {
    Case { model, ..Case::default() }
}

impl Case {
    fn quirk(mut self, quirk: Quirk) -> Self {
        self.quirks.push(quirk);
        self
    }

    fn named(self, quirk: NamedQuirk) -> Self {
        self.quirk(Quirk::Named(quirk))
    }

    fn reasons(mut self) -> Self {
        self.facts.supports_reasoning = Some(true);
        self
    }

    fn dropping(mut self) -> Self {
        self.policy.drop_params = true;
        self
    }

    fn text(&self, body: &str) -> Result<String, CannotSay> {
        let mut document = Document::of(body).unwrap();
        let target =
            Target { model: self.model, quirks: &self.quirks, facts: &self.facts, policy: &self.policy };
        adapt_request(&mut document, &target, &mut Losses::new(self.policy.drop_params))?;
        Ok(String::from_utf8(document.to_bytes()).unwrap())
    }

    /// The adapted body of a request with a user turn and `fields`, without model and messages.
    fn fields(&self, fields: Value) -> Result<Value, String> {
        let mut body = json!({"model": "alias", "messages": [{"role": "user", "content": "Hi"}]});
        let Value::Object(fields) = fields else { panic!("{fields}") };
        body.as_object_mut().unwrap().extend(fields);
        let text = self.text(&body.to_string()).map_err(|refusal| refusal.param)?;
        let mut adapted: Value = serde_json::from_str(&text).unwrap();
        let object = adapted.as_object_mut().unwrap();
        object.remove("model");
        object.remove("messages");
        Ok(adapted)
    }

    fn messages(&self, messages: Value) -> Result<Value, String> {
        let mut body = json!({"model": "alias"});
        body["messages"] = messages;
        let text = self.text(&body.to_string()).map_err(|refusal| refusal.param)?;
        Ok(serde_json::from_str::<Value>(&text).unwrap()["messages"].clone())
    }
}

fn lacks(name: &str) -> Quirk {
    Quirk::Lacks(name.to_owned())
}

fn accepts(name: &str) -> Quirk {
    Quirk::Accepts(name.to_owned())
}

#[test]
fn an_ordinary_request_keeps_every_byte_but_the_model() {
    let body = |model: &str| {
        format!(
            r#"{{ "temperature" : 0.50, "model":"{model}","messages":[ {{"role":"user","content":"Hi é"}} ],
               "tools":[{{"type":"function","function":{{"name":"f","strict":true}}}}], "new_field": [1.0] }}"#
        )
    };
    assert_eq!(on("gpt-4o").text(&body("alias")).unwrap(), body("gpt-4o"));
}

#[test]
fn streams_always_ask_for_usage() {
    let wanted = json!({"stream": true, "stream_options": {"include_usage": true}});
    assert_eq!(on("m").fields(json!({"stream": true})).unwrap(), wanted);
    assert_eq!(
        on("m").fields(json!({"stream": true, "stream_options": {"x": 1, "include_usage": false}})).unwrap(),
        json!({"stream": true, "stream_options": {"x": 1, "include_usage": true}})
    );
    assert_eq!(
        on("m").quirk(lacks("stream_options")).fields(wanted).unwrap(),
        json!({"stream": true}),
        "a provider without stream options is not asked, and the client is not refused"
    );
    assert_eq!(on("m").fields(json!({"stream": false})).unwrap(), json!({"stream": false}));
}

#[test]
fn what_a_provider_lacks_is_refused_or_dropped() {
    let case = || on("m").quirk(lacks("seed"));
    assert_eq!(case().fields(json!({"seed": 1})), Err("seed".to_owned()));
    assert_eq!(case().dropping().fields(json!({"seed": 1})), Ok(json!({})));
    assert_eq!(case().fields(json!({"seed": null})), Ok(json!({})), "null says nothing");
    let mut allowed = case();
    allowed.policy.allowed_params.push("seed".to_owned());
    assert_eq!(allowed.fields(json!({"seed": 1})), Ok(json!({"seed": 1})));
}

#[test]
fn what_happens_anyway_is_no_loss() {
    for (name, value) in [("n", json!(1)), ("parallel_tool_calls", json!(true)), ("logprobs", json!(false))] {
        assert_eq!(on("m").quirk(lacks(name)).fields(json!({name: value})), Ok(json!({})), "{name}");
    }
    assert_eq!(on("m").quirk(lacks("n")).fields(json!({"n": 2})), Err("n".to_owned()));
}

#[test]
fn one_value_of_a_parameter_may_be_lacking() {
    let case = || on("m").quirk(lacks("response_format.json_schema")).quirk(lacks("tool_choice.function"));
    let object = json!({"response_format": {"type": "json_object"}, "tool_choice": "none"});
    assert_eq!(case().fields(object.clone()), Ok(object));
    assert!(case().fields(json!({"response_format": {"type": "json_schema"}})).is_err());
    assert!(case().fields(json!({"tool_choice": {"type": "function", "function": {"name": "f"}}})).is_err());
}

#[test]
fn without_tools_their_settings_go_too() {
    let case = on("m").quirk(lacks("tools")).dropping();
    let fields =
        json!({"tools": [{"type": "function"}], "tool_choice": "required", "parallel_tool_calls": false});
    assert_eq!(case.fields(fields), Ok(json!({})));
}

#[test]
fn gated_parameters_go_to_models_that_are_known_to_take_them() {
    let user = json!({"user": "u"});
    assert_eq!(on("gpt-4o").fields(user.clone()), Ok(user.clone()));
    assert_eq!(on("openai/gpt-4o").fields(user.clone()), Ok(json!({})), "dropped without a complaint");
    assert_eq!(on("m").quirk(accepts("user")).fields(user.clone()), Ok(user));
    assert_eq!(on("gpt-4o").fields(json!({"metadata": {"a": "b"}})), Ok(json!({})));

    let effort = json!({"reasoning_effort": "low"});
    assert_eq!(on("m").fields(effort.clone()), Err("reasoning_effort".to_owned()));
    assert_eq!(on("m").reasons().fields(effort.clone()), Ok(effort.clone()));
    assert_eq!(on("m").quirk(accepts("reasoning_effort")).fields(effort.clone()), Ok(effort));
    assert_eq!(on("gpt-5").fields(json!({"thinking": {"type": "enabled"}})), Err("thinking".to_owned()));
    assert_eq!(on("gpt-4o").fields(json!({"verbosity": "low"})), Err("verbosity".to_owned()));
    assert!(on("gpt-5").fields(json!({"verbosity": "low"})).is_ok());
}

#[test]
fn an_effort_that_the_model_is_known_not_to_have_is_refused_or_the_next_lower_one() {
    let none = || json!({"reasoning_effort": "none"});
    assert_eq!(on("gpt-5").fields(none()), Err("reasoning_effort".to_owned()));
    assert_eq!(on("gpt-5.1").fields(none()), Ok(none()), "GPT-5.1 brought it");
    assert_eq!(on("grok-4").reasons().fields(none()), Ok(none()), "nothing is known");
    let mut case = on("m").reasons();
    case.facts.supports_xhigh_reasoning_effort = Some(false);
    case.facts.supports_max_reasoning_effort = Some(false);
    for above in ["xhigh", "max"] {
        assert_eq!(case.fields(json!({"reasoning_effort": above})), Ok(json!({"reasoning_effort": "high"})));
    }
}

#[test]
fn openai_s_reasoning_models_have_their_own_names_and_limits() {
    let tokens = json!({"max_tokens": 9});
    assert_eq!(on("o3-mini").fields(tokens.clone()), Ok(json!({"max_completion_tokens": 9})));
    assert_eq!(on("gpt-5-mini").fields(tokens.clone()), Ok(json!({"max_completion_tokens": 9})));
    for other in ["gpt-4o", "gpt-5-chat-latest", "openai/gpt-5", "gpt-oss-120b", "olmo"] {
        assert_eq!(on(other).fields(tokens.clone()), Ok(tokens.clone()), "{other}");
    }
    let temperature = json!({"temperature": 0.2});
    assert_eq!(on("gpt-5").fields(temperature.clone()), Err("temperature".to_owned()));
    assert_eq!(on("gpt-5").dropping().fields(temperature.clone()), Ok(json!({})));
    assert!(on("gpt-5").fields(json!({"temperature": 1})).is_ok(), "the only value it takes");
    assert!(on("gpt-5.2").fields(temperature.clone()).is_ok(), "it does not reason unless asked");
    assert!(on("gpt-5.2").fields(json!({"temperature": 0.2, "reasoning_effort": "low"})).is_err());
}

#[test]
fn signatures_leave_the_ids_of_calls() {
    let history = |id: &str| {
        json!([
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "tool_calls": [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": id, "content": "4C"},
        ])
    };
    let signed = history("call_1__thought__CiQB0e2Kb1tv");
    assert_eq!(on("gpt-4o").messages(signed.clone()), Ok(history("call_1")));
    assert_eq!(on("gemini").named(NamedQuirk::KeepsSignedCallIds).messages(signed.clone()), Ok(signed));
}

#[test]
fn documents_are_addresses_where_the_provider_wants_them_so() {
    let with =
        |part: Value| json!([{"role": "user", "content": [{"type": "text", "text": "Sum up."}, part]}]);
    for (given, sent) in [
        (
            json!({"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}),
            json!({"type": "document_url", "document_url": "data:application/pdf;base64,JVBE", "document_name": "a.pdf"}),
        ),
        (
            json!({"file_id": "https://example.com/a.pdf"}),
            json!({"type": "document_url", "document_url": "https://example.com/a.pdf"}),
        ),
        (json!({"file_id": "f-1"}), json!({"type": "file", "file_id": "f-1"})),
    ] {
        let given = with(json!({"type": "file", "file": given}));
        let mistral = on("mistral-large-latest").named(NamedQuirk::DocumentsAreAddresses);
        assert_eq!(mistral.messages(given.clone()), Ok(with(sent)));
        assert_eq!(on("gpt-4o").messages(given.clone()), Ok(given));
    }
}

#[test]
fn what_only_clients_are_told_stays_here() {
    let fields = json!({"thought_signature": "c2ln"});
    let history = json!([{"role": "assistant", "content": "Hi", "provider_specific_fields": {"citations": []}, "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "provider_specific_fields": fields},
        {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}", "provider_specific_fields": fields}},
    ]}]);
    let bare = json!([{"role": "assistant", "content": "Hi", "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    ]}]);
    assert_eq!(on("gpt-4o").messages(history.clone()), Ok(bare));
    assert_eq!(on("gemini").named(NamedQuirk::KeepsSignedCallIds).messages(history.clone()), Ok(history));
}

#[test]
fn rows_rename_map_clamp_and_inject() {
    let rename = |from: &str, to: &str| Quirk::Renames { from: from.to_owned(), to: to.to_owned() };
    let case = on("m")
        .quirk(rename("max_completion_tokens", "max_tokens"))
        .quirk(rename("seed", "random_seed"))
        .quirk(Quirk::MapsValue { name: "tool_choice".to_owned(), from: json!("required"), to: json!("any") })
        .quirk(Quirk::Clamps { name: "temperature".to_owned(), min: None, max: Some(1.into()) })
        .quirk(Quirk::Injects { name: "usage".to_owned(), value: json!({"include": true}) });
    let fields =
        json!({"max_completion_tokens": 7, "seed": 1, "tool_choice": "required", "temperature": 1.5});
    assert_eq!(
        case.fields(fields).unwrap(),
        json!({"max_tokens": 7, "random_seed": 1, "tool_choice": "any", "temperature": 1, "usage": {"include": true}})
    );
    assert_eq!(
        case.fields(json!({"usage": false})).unwrap(),
        json!({"usage": false}),
        "the client's own stays"
    );
}

#[test]
fn several_answers_need_some_temperature() {
    let least = serde_json::Number::from_f64(0.3).unwrap();
    let case = on("m").quirk(Quirk::SeveralAnswersNeedTemperature(least));
    assert_eq!(case.fields(json!({"n": 2, "temperature": 0})), Ok(json!({"n": 2, "temperature": 0.3})));
    assert_eq!(case.fields(json!({"temperature": 0})), Ok(json!({"temperature": 0})));
}

#[test]
fn model_names_get_their_prefix() {
    let prefix =
        Quirk::PrefixesModel { prefix: "accounts/x/models/".to_owned(), unless: "accounts/".to_owned() };
    let sent = |model| {
        let text = on(model).quirk(prefix.clone()).text(r#"{"model":"a","messages":[]}"#).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["model"].clone()
    };
    assert_eq!(sent("m"), "accounts/x/models/m");
    assert_eq!(sent("accounts/y/models/m"), "accounts/y/models/m");
}

#[test]
fn reasoning_is_asked_for_as_the_provider_has_it() {
    let switch = || on("m").named(NamedQuirk::ReasoningIsSwitch).quirk(accepts("thinking"));
    let enabled = json!({"thinking": {"type": "enabled"}});
    let disabled = json!({"thinking": {"type": "disabled"}});
    assert_eq!(switch().fields(json!({"reasoning_effort": "high"})), Ok(enabled.clone()));
    assert_eq!(switch().fields(json!({"reasoning_effort": "none"})), Ok(disabled.clone()));
    assert_eq!(switch().fields(json!({"thinking": {"type": "enabled", "budget_tokens": 9}})), Ok(enabled));
    assert_eq!(switch().fields(json!({"thinking": {"type": "disabled"}})), Ok(disabled));

    let effort = on("m").named(NamedQuirk::ThinkingBecomesEffort).quirk(accepts("reasoning_effort"));
    assert_eq!(
        effort.fields(json!({"thinking": {"type": "enabled", "budget_tokens": 1024}})),
        Ok(json!({"reasoning_effort": "low"}))
    );

    let mode = on("magistral-small").quirk(Quirk::ReasonsByPromptMode { models: "magistral".to_owned() });
    assert_eq!(mode.fields(json!({"reasoning_effort": "high"})), Ok(json!({"prompt_mode": "reasoning"})));
}

#[test]
fn named_fields_are_always_left_out() {
    let mut case = on("m");
    case.policy.additional_drop_params = vec!["seed".to_owned(), "tools[*].function.strict".to_owned()];
    assert_eq!(
        case.fields(json!({"seed": 1, "tools": [{"function": {"name": "f", "strict": true}}]})),
        Ok(json!({"tools": [{"function": {"name": "f"}}]}))
    );
}

#[test]
fn tools_lose_what_the_provider_refuses() {
    let tools = json!({"tools": [{
        "type": "function",
        "cache_control": {"type": "ephemeral"},
        "function": {
            "name": "f",
            "strict": true,
            "parameters": {"properties": {"a": {"additionalProperties": false}}, "additionalProperties": false}
        }
    }]});
    let case = on("m").named(NamedQuirk::NoStrictTools).named(NamedQuirk::NoClosedToolSchemas);
    assert_eq!(
        case.fields(tools.clone()),
        Ok(
            json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {}}}}}]})
        )
    );
    let keeps = on("m").quirk(Quirk::KeepsCacheControl);
    assert_eq!(keeps.fields(tools.clone()), Ok(tools));
}

#[test]
fn a_search_is_asked_for_by_a_tool() {
    let case =
        on("m").quirk(lacks("web_search_options")).quirk(Quirk::SearchesByTool(json!({"type": "search"})));
    assert_eq!(case.fields(json!({"web_search_options": {}})), Ok(json!({"tools": [{"type": "search"}]})));
}

#[test]
fn a_service_tier_becomes_a_completion_window() {
    let case = on("m").named(NamedQuirk::ServiceTierIsCompletionWindow).quirk(lacks("service_tier"));
    assert_eq!(
        case.fields(json!({"service_tier": "flex"})),
        Ok(json!({"metadata": {"completion_window": "flex"}}))
    );
}

#[test]
fn a_required_tool_is_asked_for_by_a_user_turn() {
    let case = on("m").named(NamedQuirk::RequiredToolChoiceIsAsked);
    let text = case.text(r#"{"model":"a","messages":[],"tool_choice":"required"}"#).unwrap();
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(body.get("tool_choice"), None);
    assert_eq!(body["messages"][0]["role"], "user");
}

#[test]
fn a_schema_becomes_a_prompt_where_the_model_does_not_take_it() {
    let case = on("m").named(NamedQuirk::SchemaIsPrompted);
    let body = r#"{"model":"a","messages":[],"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"array"}}}}"#;
    let adapted: Value = serde_json::from_str(&case.text(body).unwrap()).unwrap();
    assert_eq!(adapted["response_format"], json!({"type": "json_object"}));
    assert!(adapted["messages"][0]["content"].as_str().unwrap().contains(r#"{"type":"array"}"#));
    let mut knows = case;
    knows.facts.supports_response_schema = Some(true);
    let adapted: Value = serde_json::from_str(&knows.text(body).unwrap()).unwrap();
    assert_eq!(adapted["messages"], json!([]));
}

#[test]
fn developers_become_system_where_the_role_is_unknown() {
    let developer = json!([{"role": "developer", "content": "x"}]);
    let system = json!([{"role": "system", "content": "x"}]);
    assert_eq!(on("gpt-4o").messages(developer.clone()), Ok(system.clone()));
    assert_eq!(on("gpt-5").messages(developer.clone()), Ok(developer.clone()));
    assert_eq!(on("m").quirk(Quirk::KeepsDeveloperRole).messages(developer.clone()), Ok(developer.clone()));
    let mut none = on("m");
    none.facts.supports_system_messages = Some(false);
    assert_eq!(none.messages(developer), Ok(json!([{"role": "user", "content": "x"}])));
    assert_eq!(none.messages(system), Ok(json!([{"role": "user", "content": "x"}])));
}

#[test]
fn cache_marks_go_unless_the_provider_takes_them() {
    let marked = json!([
        {"role": "user", "cache_control": {"type": "ephemeral"}, "content": [
            {"type": "text", "text": "the word \"cache_control\" stays", "cache_control": {"type": "ephemeral"}}
        ]}
    ]);
    assert_eq!(
        on("m").messages(marked.clone()),
        Ok(
            json!([{"role": "user", "content": [{"type": "text", "text": "the word \"cache_control\" stays"}]}])
        )
    );
    assert_eq!(on("m").quirk(Quirk::KeepsCacheControl).messages(marked.clone()), Ok(marked));
}

#[test]
fn a_bare_image_address_becomes_an_object() {
    let messages =
        json!([{"role": "user", "content": [{"type": "image_url", "image_url": "https://x/a.png"}]}]);
    assert_eq!(
        on("m").messages(messages),
        Ok(
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/a.png"}}]}])
        )
    );
}

fn tool_image_messages() -> Value {
    let image = json!({"type": "image_url", "image_url": {"url": "https://x/a.png"}});
    json!([
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "chart:"}, image]},
        {"role": "tool", "tool_call_id": "b", "content": "4C"},
        {"role": "user", "content": "And?"}
    ])
}

#[test]
fn images_of_tools_move_behind_the_last_result() {
    let moved = on("m").messages(tool_image_messages()).unwrap();
    assert_eq!(moved[0]["content"], "chart:");
    assert_eq!(moved[1]["tool_call_id"], "b", "results stay together");
    assert_eq!(moved[2]["role"], "user");
    assert_eq!(moved[2]["content"][1]["image_url"]["url"], "https://x/a.png");
    assert_eq!(moved[3]["content"], "And?");

    let kept = on("m").quirk(Quirk::KeepsToolResultImages).messages(tool_image_messages());
    assert_eq!(kept, Ok(tool_image_messages()));
    let dropped = on("m").quirk(Quirk::DropsToolResultImages).messages(tool_image_messages()).unwrap();
    assert_eq!(dropped[0]["content"], json!([{"type": "text", "text": "chart:"}]));
    assert_eq!(dropped.as_array().unwrap().len(), 3);
}

#[test]
fn parts_become_text_and_media_go_where_only_text_is_taken() {
    let messages = json!([{"role": "user", "content": [
        {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x"}}, {"type": "text", "text": "b"}
    ]}]);
    let text = || on("m").quirk(Quirk::ContentIsText);
    assert_eq!(text().messages(messages.clone()), Ok(messages.clone()), "media cannot be text");
    assert_eq!(
        text().quirk(Quirk::NoImages).messages(messages),
        Ok(json!([{"role": "user", "content": "ab"}]))
    );
}

#[test]
fn documents_may_be_refused() {
    let messages = || {
        let file = json!({"type": "file", "file": {"file_id": "f"}});
        json!([{"role": "user", "content": [file, {"type": "text", "text": "x"}]}])
    };
    let case = || on("m").named(NamedQuirk::NoFiles);
    assert_eq!(case().messages(messages()), Err("messages[0]".to_owned()));
    assert_eq!(
        case().dropping().messages(messages()),
        Ok(json!([{"role": "user", "content": [{"type": "text", "text": "x"}]}]))
    );
}

#[test]
fn earlier_reasoning_goes_back_as_the_provider_wants_it() {
    let history = || json!([{"role": "assistant", "content": "x", "thinking_blocks": [{"type": "thinking", "thinking": "t"}]}]);
    let text = json!([{"role": "assistant", "content": "x", "reasoning_content": "t"}]);
    assert_eq!(on("m").messages(history()), Ok(history()));
    assert_eq!(on("m").quirk(Quirk::WantsReasoningHistory).messages(history()), Ok(text.clone()));
    assert_eq!(
        on("m").quirk(Quirk::StripsReasoningHistory).messages(text),
        Ok(json!([{"role": "assistant", "content": "x"}]))
    );
}

#[test]
fn a_reasoning_model_may_need_reasoning_beside_calls() {
    let messages = json!([{"role": "assistant", "tool_calls": []}]);
    let case = on("m").named(NamedQuirk::ToolCallsNeedReasoningContent);
    assert_eq!(case.messages(messages.clone()), Ok(messages.clone()));
    let filled = case.reasons().messages(messages).unwrap();
    assert_eq!(filled[0]["reasoning_content"], " ");
}

#[test]
fn names_and_empty_turns_go_where_they_are_refused() {
    let case = on("m").quirk(Quirk::StripsMessageName).named(NamedQuirk::NoEmptyAssistantTurns);
    let messages = json!([
        {"role": "user", "name": "ada", "content": "Hi"},
        {"role": "assistant", "content": ""},
        {"role": "tool", "name": "f", "tool_call_id": "a", "content": "4C"}
    ]);
    assert_eq!(
        case.messages(messages),
        Ok(json!([
            {"role": "user", "content": "Hi"},
            {"role": "tool", "name": "f", "tool_call_id": "a", "content": "4C"}
        ]))
    );
}
