//! `tools`, `functions`, `web_search_options`, and the choice among them.

use serde_json::Value;

use super::field;
use crate::conversation::{CacheMarker, CustomTool, Extra, FunctionTool, Tool, ToolChoice, WebSearch};
use crate::document::Document;
use crate::error::Invalid;
use crate::openai_chat::{media, wire};

pub(super) fn read(document: &Document<'_>) -> Result<Vec<Tool>, Invalid> {
    let mut tools = Vec::new();
    for (index, tool) in
        field::<Vec<wire::Tool>>(document, "tools")?.unwrap_or_default().into_iter().enumerate()
    {
        tools.push(read_tool(tool).map_err(|error| error.under(&format!("tools[{index}]")))?);
    }
    for function in field::<Vec<wire::FunctionTool>>(document, "functions")?.unwrap_or_default() {
        tools.push(Tool::Function(read_function(function, None)));
    }
    if let Some(options) = field::<wire::WebSearchOptions>(document, "web_search_options")? {
        tools.push(Tool::WebSearch(WebSearch {
            context_size: options.search_context_size,
            location: options.user_location.map(|location| location.approximate),
            extra: options.extra,
            ..WebSearch::default()
        }));
    }
    Ok(tools)
}

fn read_tool(tool: wire::Tool) -> Result<Tool, Invalid> {
    let cache = tool.cache_control.as_ref().and_then(media::read_cache);
    if let Some(function) = tool.function {
        return Ok(Tool::Function(read_function(function, cache)));
    }
    if let Some(custom) = tool.custom {
        return Ok(Tool::Custom(CustomTool {
            name: custom.name,
            description: custom.description,
            format: custom.format,
            extra: custom.extra,
        }));
    }
    match tool.kind.as_deref() {
        Some("function") => Err(Invalid::new("function", "a tool of type `function` needs `function`")),
        Some("custom") => Err(Invalid::new("custom", "a tool of type `custom` needs `custom`")),
        None if tool.extra.is_empty() => {
            Err(Invalid::new("type", "a tool needs its `type`, `function` for one that the client runs"))
        }
        // Tools that a provider runs, as LiteLLM's clients write them: Anthropic's by versioned type,
        Some(kind) if kind.starts_with("web_search") => {
            Ok(Tool::WebSearch(read_web_search(kind, tool.extra, cache)))
        }
        Some(kind) if kind.starts_with("code_execution") => Ok(Tool::CodeExecution(whole(tool))),
        Some(kind) if kind.starts_with("web_fetch") => Ok(Tool::UrlFetch(whole(tool))),
        Some(_) => Ok(Tool::Opaque(serde_json::to_value(tool).unwrap_or_default())),
        // Gemini's by name.
        None => match tool.extra.iter().next().map(|(name, _)| name.as_str()) {
            Some("googleSearch" | "google_search") => Ok(Tool::WebSearch(WebSearch::default())),
            Some("codeExecution" | "code_execution") => Ok(Tool::CodeExecution(Extra::new())),
            Some("urlContext" | "url_context") => Ok(Tool::UrlFetch(Extra::new())),
            _ => Ok(Tool::Opaque(serde_json::to_value(tool).unwrap_or_default())),
        },
    }
}

fn read_function(function: wire::FunctionTool, cache: Option<CacheMarker>) -> FunctionTool {
    FunctionTool {
        name: function.name,
        description: function.description,
        parameters: function.parameters,
        strict: function.strict,
        cache: cache.or_else(|| function.cache_control.as_ref().and_then(media::read_cache)),
        extra: function.extra,
    }
}

/// With the fields that are kept apart.
fn whole(tool: wire::Tool) -> Extra {
    match serde_json::to_value(tool) {
        Ok(Value::Object(fields)) => fields,
        _ => Extra::new(),
    }
}

fn read_web_search(kind: &str, mut fields: Extra, cache: Option<CacheMarker>) -> WebSearch {
    let mut take = |name: &str| fields.shift_remove(name);
    let texts = |list: Value| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    take("name");
    WebSearch {
        max_uses: take("max_uses").as_ref().and_then(Value::as_u64),
        context_size: take("search_context_size").as_ref().and_then(Value::as_str).map(str::to_owned),
        allowed_domains: take("allowed_domains").map(texts).unwrap_or_default(),
        blocked_domains: take("blocked_domains").map(texts).unwrap_or_default(),
        location: match take("user_location") {
            Some(Value::Object(mut location)) => {
                location.shift_remove("type");
                Some(location)
            }
            _ => None,
        },
        version: Some(kind.to_owned()),
        cache,
        extra: fields,
    }
}

pub(super) fn read_choice(document: &Document<'_>) -> Result<Option<ToolChoice>, Invalid> {
    let choice = match field(document, "tool_choice")? {
        Some(wire::ToolChoice::Mode(mode)) => read_tool_mode(&mode, "tool_choice")?,
        Some(wire::ToolChoice::Named(object)) => read_named_choice(object)?,
        // The deprecated form names the function without a type.
        None => match field(document, "function_call")? {
            None => return Ok(None),
            Some(wire::ToolChoice::Mode(mode)) => read_tool_mode(&mode, "function_call")?,
            Some(wire::ToolChoice::Named(object)) => match object.get("name").and_then(Value::as_str) {
                Some(name) => ToolChoice::Function(name.to_owned()),
                None => return Err(Invalid::new("function_call.name", "the function has no name")),
            },
        },
    };
    Ok(Some(choice))
}

fn read_tool_mode(mode: &str, field: &str) -> Result<ToolChoice, Invalid> {
    match mode {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" | "any" => Ok(ToolChoice::Required),
        other => {
            let message = format!("expected `none`, `auto`, `required` or an object, found `{other}`");
            Err(Invalid::new(field, message))
        }
    }
}

fn read_named_choice(object: Extra) -> Result<ToolChoice, Invalid> {
    let name_in = |kind: &str| {
        let inner = object.get(kind).unwrap_or(&Value::Null);
        let name = inner.get("name").and_then(Value::as_str).map(str::to_owned);
        name.ok_or_else(|| Invalid::new(format!("tool_choice.{kind}.name"), "name the tool to be called"))
    };
    let choice = match object.get("type").and_then(Value::as_str) {
        None => return Err(Invalid::new("tool_choice.type", "say what is chosen, e.g. `function`")),
        Some("function") => Some(ToolChoice::Function(name_in("function")?)),
        Some("custom") => Some(ToolChoice::Custom(name_in("custom")?)),
        Some("allowed_tools") => object.get("allowed_tools").and_then(read_allowed_tools),
        // Anthropic's spellings, which LiteLLM's clients use too.
        Some("tool") => {
            object.get("name").and_then(Value::as_str).map(|n| ToolChoice::Function(n.to_owned()))
        }
        Some("auto") => Some(ToolChoice::Auto),
        Some("any" | "required") => Some(ToolChoice::Required),
        Some("none") => Some(ToolChoice::None),
        _ => None,
    };
    Ok(choice.unwrap_or_else(|| ToolChoice::Opaque(Value::Object(object))))
}

fn read_allowed_tools(allowed: &Value) -> Option<ToolChoice> {
    let names: Option<Vec<String>> = allowed
        .get("tools")?
        .as_array()?
        .iter()
        .map(|tool| Some(tool.get("function")?.get("name")?.as_str()?.to_owned()))
        .collect();
    let required = allowed.get("mode").and_then(Value::as_str) == Some("required");
    Some(ToolChoice::Allowed { names: names?, required })
}
