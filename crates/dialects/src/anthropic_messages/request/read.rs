use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::{block, wire};
use crate::Dialect;
use crate::conversation::{
    Effort, Extra, FunctionTool, JsonSchema, Message, OutputFormat, ReasoningSummary, Request, Role,
    StreamOptions, Thinking, Tool, ToolChoice, WebSearch,
};
use crate::document::Document;
use crate::error::{CannotSay, Invalid};
use crate::json;
use crate::loss::Losses;
use crate::shape::{self, Shape};

/// The fields whose type is known; others are the provider's business.
const FIELDS: [(&str, Shape); 21] = [
    ("container", Shape::TextOrObject),
    ("context_management", Shape::Object),
    ("max_tokens", Shape::Number),
    ("mcp_servers", Shape::List),
    ("messages", Shape::List),
    ("metadata", Shape::Object),
    ("model", Shape::Text),
    ("output_config", Shape::Object),
    ("output_format", Shape::Object),
    ("service_tier", Shape::Text),
    ("speed", Shape::Text),
    ("stop_sequences", Shape::List),
    ("stream", Shape::Flag),
    ("system", Shape::TextOrList),
    ("temperature", Shape::Number),
    ("thinking", Shape::Object),
    ("tool_choice", Shape::Object),
    ("tools", Shape::List),
    ("top_k", Shape::Number),
    ("top_p", Shape::Number),
    ("user_profile_id", Shape::Text),
];

pub(in super::super) fn check(document: &Document<'_>) -> Result<(), Invalid> {
    shape::check(document, |name| shape::listed(&FIELDS, name))?;
    for required in ["messages", "max_tokens"] {
        if !document.has(required) {
            return Err(Invalid::new(required, format!("Missing required parameter: '{required}'.")));
        }
    }
    Ok(())
}

pub(in super::super) fn read(document: &Document<'_>) -> Result<Request, Invalid> {
    check(document)?;
    let mut request = Request::new(Dialect::AnthropicMessages, "", Vec::new());
    let mut messages = Vec::new();
    for name in document.names() {
        let Some(text) = document.get(name).filter(|text| *text != "null") else { continue };
        match name {
            "model" => request.model = field(name, text)?,
            "system" => {
                let parts = block::read_content(field(name, text)?);
                if !parts.is_empty() {
                    request.messages.push(Message::new(Role::System, parts));
                }
            }
            "messages" => messages = read_messages(field(name, text)?)?,
            "max_tokens" => request.max_output_tokens = Some(field(name, text)?),
            "stop_sequences" => request.sampling.stop = field(name, text)?,
            "temperature" => request.sampling.temperature = Some(field(name, text)?),
            "top_p" => request.sampling.top_p = Some(field(name, text)?),
            "top_k" => request.sampling.top_k = Some(field(name, text)?),
            "stream" => {
                let options = StreamOptions { include_usage: true, extra: Extra::new() };
                request.stream = field::<bool>(name, text)?.then_some(options);
            }
            "thinking" => read_thinking(&field(name, text)?, &mut request),
            "output_config" => read_output_config(field(name, text)?, &mut request),
            "output_format" => request.output_format = Some(read_output_format(field(name, text)?)),
            "tools" => {
                let tools: Vec<wire::Tool> = field(name, text)?;
                let no_schema = |tool: &wire::Tool| matches!(tool, wire::Tool::Custom(tool) if tool.input_schema.is_none());
                if let Some(index) = tools.iter().position(no_schema) {
                    let field = format!("tools[{index}].input_schema");
                    return Err(Invalid::new(field, "a tool needs a JSON schema of its input"));
                }
                request.tools = tools.into_iter().map(read_tool).collect();
            }
            "tool_choice" => read_tool_choice(field(name, text)?, &mut request)?,
            "metadata" => {
                let metadata: wire::Metadata = field(name, text)?;
                request.user = metadata.user_id;
                keep_rest("metadata", metadata.extra, &mut request);
            }
            "service_tier" => request.service_tier = Some(field(name, text)?),
            _ => {
                request.extra.insert(name.to_owned(), field(name, text)?);
            }
        }
    }
    request.messages.append(&mut messages);
    Ok(request)
}

/// See [`Codec::report_untranslatable`](crate::codec::Codec::report_untranslatable).
pub(in super::super) fn report_untranslatable(
    request: &Request,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    for (name, why) in [
        (
            "mcp_servers",
            "this model's provider does not call MCP servers itself; list their tools in `tools`",
        ),
        ("container", "containers and skills are kept at Anthropic"),
    ] {
        match request.extra.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) if list.is_empty() => {}
            Some(_) => losses.cannot_carry(name, why)?,
        }
    }
    Ok(())
}

/// Reads a field; what is wrong in it is named with the field's own name in front.
fn field<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Invalid> {
    json::read(text.as_bytes()).map_err(|invalid| invalid.under(name))
}

/// What an object has beside the fields that the conversation knows stays under the object's name.
fn keep_rest(name: &str, rest: Extra, request: &mut Request) {
    if !rest.is_empty() {
        request.extra.insert(name.to_owned(), Value::Object(rest));
    }
}

fn read_messages(messages: Vec<wire::Message>) -> Result<Vec<Message>, Invalid> {
    let read = |(index, message): (usize, wire::Message)| {
        let role = match message.role.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            other => {
                let hint = format!("expected `user`, `assistant` or `system`, found `{other}`");
                return Err(Invalid::new(format!("messages[{index}].role"), hint));
            }
        };
        if let Some(block) = call_without_input(&message.content) {
            let field = format!("messages[{index}].content[{block}].input");
            return Err(Invalid::new(field, "a tool call needs its input; give an object"));
        }
        let parts = block::read_content(message.content);
        Ok(Message { extra: message.extra, ..Message::new(role, parts) })
    };
    messages.into_iter().enumerate().map(read).collect()
}

/// Answers may lack the input of a call, requests may not.
fn call_without_input(content: &wire::Content) -> Option<usize> {
    let wire::Content::Blocks(blocks) = content else { return None };
    blocks.iter().position(|block| matches!(block, wire::Block::ToolUse(call) if call.input.is_null()))
}

fn read_thinking(thinking: &wire::Thinking, request: &mut Request) {
    let (thinking, display) = match *thinking {
        wire::Thinking::Enabled { budget_tokens, display } => (Thinking::Budget(budget_tokens), display),
        wire::Thinking::Adaptive { display } => (Thinking::Adaptive, display),
        wire::Thinking::Disabled => (Thinking::Disabled, None),
    };
    request.reasoning.thinking = Some(thinking);
    request.reasoning.summary = display.map(|display| match display {
        wire::Display::Summarized => ReasoningSummary::Auto,
        wire::Display::Omitted => ReasoningSummary::Omitted,
    });
}

fn read_output_config(config: wire::OutputConfig, request: &mut Request) {
    request.reasoning.effort = config.effort.as_deref().map(Effort::from_name);
    if let Some(format) = config.format {
        request.output_format = Some(read_output_format(format));
    }
    keep_rest("output_config", config.extra, request);
}

fn read_output_format(format: wire::OutputFormat) -> OutputFormat {
    let wire::OutputFormat::JsonSchema { schema } = format;
    OutputFormat::JsonSchema(JsonSchema { schema: Some(schema), strict: Some(true), ..JsonSchema::default() })
}

fn read_tool(tool: wire::Tool) -> Tool {
    match tool {
        wire::Tool::Custom(tool) => Tool::Function(FunctionTool {
            name: tool.name,
            description: tool.description,
            parameters: tool.input_schema,
            strict: tool.strict,
            cache: block::read_cache(tool.cache_control.as_ref()),
            extra: tool.extra,
        }),
        wire::Tool::WebSearch(tool) => Tool::WebSearch(WebSearch {
            max_uses: tool.max_uses,
            context_size: None,
            allowed_domains: tool.allowed_domains.unwrap_or_default(),
            blocked_domains: tool.blocked_domains.unwrap_or_default(),
            location: tool.user_location.map(|mut location| {
                location.shift_remove("type");
                location
            }),
            version: Some(tool.kind),
            cache: block::read_cache(tool.cache_control.as_ref()),
            extra: tool.extra,
        }),
        wire::Tool::CodeExecution(extra) => Tool::CodeExecution(extra),
        wire::Tool::WebFetch(extra) => Tool::UrlFetch(extra),
        wire::Tool::Other(value) => Tool::Opaque(value),
    }
}

fn read_tool_choice(choice: wire::ToolChoice, request: &mut Request) -> Result<(), Invalid> {
    request.parallel_tool_calls = choice.disable_parallel_tool_use.map(|disabled| !disabled);
    request.tool_choice = Some(match (choice.kind.as_str(), choice.name) {
        ("auto", _) => ToolChoice::Auto,
        ("any", _) => ToolChoice::Required,
        ("none", _) => ToolChoice::None,
        ("tool", Some(name)) => ToolChoice::Function(name),
        ("tool", None) => return Err(Invalid::new("tool_choice.name", "name the tool that must be called")),
        (other, name) => ToolChoice::Opaque(json!({"type": other, "name": name})),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::{CacheMarker, CacheTtl, Part, Text};

    fn read_value(value: &Value) -> Result<Request, Invalid> {
        read(&Document::of(&value.to_string()).unwrap())
    }

    fn refusal(value: &Value) -> String {
        read_value(value).unwrap_err().to_string()
    }

    #[test]
    fn system_prompts_are_messages() {
        let request = read_value(&json!({
            "model": "m", "max_tokens": 1,
            "messages": [{"role": "user", "content": "Hi"}, {"role": "system", "content": "French."}],
            "system": [{"type": "text", "text": "Be terse.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        }))
        .unwrap();
        let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::System, Role::User, Role::System]);
        let cache = Some(CacheMarker { ttl: Some(CacheTtl::OneHour) });
        assert_eq!(
            request.messages[0].parts,
            [Part::Text(Text { text: "Be terse.".into(), cache, ..Text::default() })]
        );
        assert_eq!(request.messages[1].parts, [Part::text("Hi")]);
    }

    #[test]
    fn settings_are_read_into_the_conversation() {
        let request = read_value(&json!({
            "model": "m", "max_tokens": 9, "messages": [], "stop_sequences": ["END"], "top_k": 5, "stream": true,
            "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
            "output_config": {"effort": "xhigh", "format": {"type": "json_schema", "schema": {"type": "object"}},
                              "task_budget": {"type": "tokens", "total": 5}},
            "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
            "metadata": {"user_id": "u"}, "service_tier": "standard_only", "inference_geo": "eu",
        }))
        .unwrap();
        assert_eq!(request.max_output_tokens, Some(9));
        assert_eq!(request.sampling.stop, ["END"]);
        assert_eq!(request.reasoning.thinking, Some(Thinking::Budget(2048)));
        assert_eq!(request.reasoning.summary, Some(ReasoningSummary::Omitted));
        assert_eq!(request.reasoning.effort, Some(Effort::XHigh));
        assert!(matches!(request.output_format, Some(OutputFormat::JsonSchema(_))));
        assert_eq!(
            (request.tool_choice, request.parallel_tool_calls),
            (Some(ToolChoice::Required), Some(false))
        );
        assert_eq!(request.user.as_deref(), Some("u"));
        assert!(request.stream.is_some());
        let rest =
            json!({"output_config": {"task_budget": {"type": "tokens", "total": 5}}, "inference_geo": "eu"});
        assert_eq!(Value::Object(request.extra), rest);
    }

    #[test]
    fn tools_are_told_apart_by_their_type() {
        let request = read_value(&json!({
            "model": "m", "max_tokens": 1, "messages": [],
            "tools": [
                {"name": "f", "input_schema": {"type": "object"}, "eager_input_streaming": true},
                {"type": "web_search_20250305", "name": "web_search", "max_uses": 3,
                 "user_location": {"type": "approximate", "city": "Oslo"}},
                {"type": "code_execution_20250825", "name": "code_execution"},
                {"type": "bash_20250124", "name": "bash"},
            ],
        }))
        .unwrap();
        let [Tool::Function(function), Tool::WebSearch(search), Tool::CodeExecution(_), Tool::Opaque(_)] =
            request.tools.as_slice()
        else {
            panic!("{:?}", request.tools)
        };
        assert_eq!(function.extra.get("eager_input_streaming"), Some(&json!(true)));
        assert_eq!(search.max_uses, Some(3));
        assert_eq!(search.location.clone().map(Value::Object), Some(json!({"city": "Oslo"})));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let base = json!({"model": "m", "max_tokens": 1, "messages": []});
        let with = |name: &str, value: Value| {
            let mut body = base.clone();
            body[name] = value;
            body
        };
        assert_eq!(refusal(&json!({"max_tokens": 1})), "`messages`: Missing required parameter: 'messages'.");
        assert_eq!(
            refusal(&json!({"messages": []})),
            "`max_tokens`: Missing required parameter: 'max_tokens'."
        );
        assert_eq!(refusal(&with("tools", json!("x"))), "`tools`: expected an array, found `\"x\"`");
        assert_eq!(
            refusal(&with("messages", json!([{"role": "tool", "content": "x"}]))),
            "`messages[0].role`: expected `user`, `assistant` or `system`, found `tool`"
        );
        assert_eq!(
            refusal(&with("messages", json!([{"role": "user", "content": [{"type": "text"}]}]))),
            "`messages[0].content[0]`: missing field `text`"
        );
        assert_eq!(
            refusal(&with(
                "messages",
                json!([{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f"}]}])
            )),
            "`messages[0].content[0].input`: a tool call needs its input; give an object"
        );
        assert_eq!(
            refusal(&with("tools", json!([{"name": "f"}]))),
            "`tools[0].input_schema`: a tool needs a JSON schema of its input"
        );
        assert_eq!(
            refusal(&with("tool_choice", json!({"type": "tool"}))),
            "`tool_choice.name`: name the tool that must be called"
        );
    }
}
