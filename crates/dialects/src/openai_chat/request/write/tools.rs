//! Tools and the choice among them.

use serde_json::{Map, Value};

use crate::Dialect;
use crate::conversation::{Extra, Request, Tool, ToolChoice, WebSearch};
use crate::error::CannotSay;
use crate::loss::{Change, Losses};
use crate::openai_chat::{media, wire};

pub(super) fn write(
    request: &Request,
    own: bool,
    body: &mut wire::Request,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    for (index, tool) in request.tools.iter().enumerate() {
        let path = format!("tools[{index}]");
        match tool {
            Tool::Function(function) => body.tools.push(wire::Tool {
                kind: Some("function".to_owned()),
                function: Some(wire::FunctionTool {
                    name: function.name.clone(),
                    description: function.description.clone(),
                    parameters: function.parameters.clone(),
                    strict: function.strict,
                    cache_control: None,
                    extra: if own { function.extra.clone() } else { Extra::new() },
                }),
                cache_control: function.cache.map(media::write_cache),
                ..wire::Tool::default()
            }),
            Tool::Custom(custom) => body.tools.push(wire::Tool {
                kind: Some("custom".to_owned()),
                custom: Some(wire::CustomTool {
                    name: custom.name.clone(),
                    description: custom.description.clone(),
                    format: custom.format.clone(),
                    extra: if own { custom.extra.clone() } else { Extra::new() },
                }),
                ..wire::Tool::default()
            }),
            Tool::WebSearch(search) => {
                body.web_search_options = Some(write_web_search(search, own, &path, losses)?);
            }
            Tool::CodeExecution(_) => {
                losses.cannot_carry(path, "OpenAI Chat Completions has no tool that runs code")?;
            }
            Tool::UrlFetch(_) => {
                losses.cannot_carry(path, "OpenAI Chat Completions has no tool that fetches addresses")?;
            }
            Tool::Opaque(value) if own => match serde_json::from_value(value.clone()) {
                Ok(tool) => body.tools.push(tool),
                Err(error) => losses.cannot_carry(path, error.to_string())?,
            },
            Tool::Opaque(_) => {
                let why = format!("only {} has this hosted tool", request.dialect);
                losses.cannot_carry(path, why)?;
            }
        }
    }
    if body.tools.is_empty() {
        // Both are refused without tools.
        body.tool_choice = None;
        body.parallel_tool_calls = None;
    }
    Ok(())
}

fn write_web_search(
    search: &WebSearch,
    own: bool,
    path: &str,
    losses: &mut Losses,
) -> Result<wire::WebSearchOptions, CannotSay> {
    if search.max_uses.is_some() {
        losses.note(path, Change::Dropped, "`max_uses`: OpenAI Chat Completions always searches once");
    }
    if !search.allowed_domains.is_empty() || !search.blocked_domains.is_empty() {
        losses.cannot_carry(path, "web searches of OpenAI Chat Completions cannot be limited to domains")?;
    }
    Ok(wire::WebSearchOptions {
        search_context_size: search.context_size.clone(),
        user_location: search.location.clone().map(|mut approximate| {
            approximate.shift_remove("type");
            wire::UserLocation { kind: "approximate".to_owned(), approximate }
        }),
        extra: if own { search.extra.clone() } else { Extra::new() },
    })
}

pub(super) fn write_choice(
    request: &Request,
    losses: &mut Losses,
) -> Result<Option<wire::ToolChoice>, CannotSay> {
    let mode = |name: &str| Some(wire::ToolChoice::Mode(name.to_owned()));
    let named = |kind: &str, inner: Value| {
        let fields = [("type".to_owned(), Value::from(kind)), (kind.to_owned(), inner)];
        Some(wire::ToolChoice::Named(Map::from_iter(fields)))
    };
    let name_only =
        |name: &String| Value::Object(Map::from_iter([("name".to_owned(), Value::from(name.as_str()))]));
    Ok(match &request.tool_choice {
        None => None,
        Some(ToolChoice::Auto) => mode("auto"),
        Some(ToolChoice::None) => mode("none"),
        Some(ToolChoice::Required) => mode("required"),
        Some(ToolChoice::Function(name)) => named("function", name_only(name)),
        Some(ToolChoice::Custom(name)) => named("custom", name_only(name)),
        Some(ToolChoice::Allowed { names, required }) => {
            let tool = |name: &String| serde_json::json!({"type": "function", "function": {"name": name}});
            let tools: Vec<Value> = names.iter().map(tool).collect();
            let mode = if *required { "required" } else { "auto" };
            named("allowed_tools", serde_json::json!({"mode": mode, "tools": tools}))
        }
        Some(ToolChoice::Opaque(Value::Object(object))) if request.dialect == Dialect::OpenaiChat => {
            Some(wire::ToolChoice::Named(object.clone()))
        }
        Some(ToolChoice::Opaque(_)) => {
            let why = format!("only {} can choose this hosted tool", request.dialect);
            losses.cannot_carry("tool_choice", why)?;
            None
        }
    })
}
