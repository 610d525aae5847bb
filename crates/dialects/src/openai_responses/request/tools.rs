//! Tools and the choice among them.

use serde_json::{Value, json};

use super::super::fields::{Fields, Place};
use crate::conversation::{CustomTool, Extra, FunctionTool, Request, Tool, ToolChoice, WebSearch};
use crate::error::Invalid;
use crate::loss::{Change, Losses};
use crate::{CannotSay, Dialect};

pub(super) fn read_tools(items: Vec<Value>) -> Result<Vec<Tool>, Invalid> {
    let list = Place::Field(&Place::Body, "tools");
    items.into_iter().enumerate().map(|(index, item)| read_tool(item, &Place::Item(&list, index))).collect()
}

fn read_tool(item: Value, place: &Place<'_>) -> Result<Tool, Invalid> {
    let mut tool = match Fields::of(item, place) {
        Ok(tool) if tool.kind().is_some() => tool,
        Ok(_) => return Err(Place::Field(place, "type").wrong("the field is missing; give a string")),
        Err(error) => return Err(error),
    };
    let kind = tool.kind().unwrap_or_default().to_owned();
    match kind.as_str() {
        "function" => {
            tool.take("type");
            let function = FunctionTool {
                name: tool.need_text("name")?,
                description: tool.text("description")?,
                parameters: tool.take("parameters"),
                strict: tool.flag("strict")?,
                cache: None,
                extra: Extra::new(),
            };
            Ok(Tool::Function(FunctionTool { extra: tool.rest(), ..function }))
        }
        "custom" => {
            tool.take("type");
            let custom = CustomTool {
                name: tool.need_text("name")?,
                description: tool.text("description")?,
                format: tool.take("format"),
                extra: Extra::new(),
            };
            Ok(Tool::Custom(CustomTool { extra: tool.rest(), ..custom }))
        }
        "code_interpreter" => {
            tool.take("type");
            Ok(Tool::CodeExecution(tool.rest()))
        }
        _ if is_web_search(&kind) => read_web_search(kind, tool),
        _ => Ok(Tool::Opaque(Value::Object(tool.rest()))),
    }
}

/// `web_search`, `web_search_2025_08_26`, `web_search_preview`, `web_search_preview_2025_03_11`, …
fn is_web_search(kind: &str) -> bool {
    kind.starts_with("web_search")
}

fn read_web_search(kind: String, mut tool: Fields<'_>) -> Result<Tool, Invalid> {
    tool.take("type");
    let place = Place::Field(tool.place(), "filters");
    let mut search = WebSearch {
        version: Some(kind),
        context_size: tool.text("search_context_size")?,
        ..WebSearch::default()
    };
    if let Some(filters) = tool.object("filters")? {
        let mut filters = Fields::new(filters, &place);
        search.allowed_domains = filters.texts("allowed_domains")?;
        search.blocked_domains = filters.texts("blocked_domains")?;
        let rest = filters.rest();
        if !rest.is_empty() {
            search.extra.insert("filters".to_owned(), Value::Object(rest));
        }
    }
    if let Some(mut location) = tool.object("user_location")? {
        location.shift_remove("type");
        search.location = Some(location);
    }
    search.extra.extend(tool.rest());
    Ok(Tool::WebSearch(search))
}

/// The request's tools as this API lists them.
pub(in crate::openai_responses) fn write_tools(
    request: &Request,
    losses: &mut Losses,
) -> Result<Vec<Value>, CannotSay> {
    let native = request.dialect == Dialect::OpenaiResponses;
    let mut tools = Vec::with_capacity(request.tools.len());
    for tool in &request.tools {
        match tool {
            Tool::Function(function) => tools.push(write_function(function, native)),
            Tool::Custom(custom) => {
                let mut fields = object([("type", "custom".into()), ("name", custom.name.as_str().into())]);
                put(&mut fields, "description", custom.description.as_deref().map(Value::from));
                put(&mut fields, "format", custom.format.clone());
                extend(&mut fields, &custom.extra, native);
                tools.push(Value::Object(fields));
            }
            Tool::WebSearch(search) => tools.push(write_web_search(search, native, losses)),
            Tool::CodeExecution(extra) => {
                let mut fields = object([("type", "code_interpreter".into())]);
                if native {
                    fields.extend(extra.clone());
                } else {
                    fields.insert("container".to_owned(), json!({"type": "auto"}));
                }
                tools.push(Value::Object(fields));
            }
            Tool::UrlFetch(_) => {
                losses
                    .cannot_carry("tools", "the Responses API has no tool that reads addresses by itself")?;
            }
            Tool::Opaque(value) if native => tools.push(value.clone()),
            Tool::Opaque(value) => {
                let kind = value.get("type").and_then(Value::as_str).unwrap_or("hosted");
                losses.cannot_carry(
                    "tools",
                    format!("the Responses API has no counterpart of `{kind}` tools"),
                )?;
            }
        }
    }
    Ok(tools)
}

fn write_function(function: &FunctionTool, native: bool) -> Value {
    let mut fields = object([("type", "function".into()), ("name", function.name.as_str().into())]);
    put(&mut fields, "description", function.description.as_deref().map(Value::from));
    let parameters = function.parameters.clone();
    // Other APIs leave a schema loose unless told otherwise, this one makes it strict; and it demands a schema.
    if native {
        put(&mut fields, "parameters", parameters);
        put(&mut fields, "strict", function.strict.map(Value::from));
    } else {
        let parameters = parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
        fields.insert("parameters".to_owned(), parameters);
        fields.insert("strict".to_owned(), function.strict.unwrap_or(false).into());
    }
    extend(&mut fields, &function.extra, native);
    Value::Object(fields)
}

fn write_web_search(search: &WebSearch, native: bool, losses: &mut Losses) -> Value {
    let kind = search.version.as_deref().filter(|_| native).unwrap_or("web_search");
    let mut fields = object([("type", kind.into())]);
    put(&mut fields, "search_context_size", search.context_size.as_deref().map(Value::from));
    let mut filters = Extra::new();
    for (name, domains) in
        [("allowed_domains", &search.allowed_domains), ("blocked_domains", &search.blocked_domains)]
    {
        if !domains.is_empty() {
            filters.insert(name.to_owned(), domains.as_slice().into());
        }
    }
    let mut extra = if native { search.extra.clone() } else { Extra::new() };
    if let Some(Value::Object(rest)) = extra.shift_remove("filters") {
        filters.extend(rest);
    }
    if !filters.is_empty() {
        fields.insert("filters".to_owned(), Value::Object(filters));
    }
    if let Some(location) = &search.location {
        let mut place = object([("type", "approximate".into())]);
        place.extend(location.clone());
        fields.insert("user_location".to_owned(), Value::Object(place));
    }
    if let Some(uses) = search.max_uses {
        losses.note("tools", Change::Dropped, format!("web searches cannot be limited to {uses} per answer"));
    }
    fields.extend(extra);
    Value::Object(fields)
}

pub(super) fn read_choice(value: Value) -> Result<ToolChoice, Invalid> {
    let place = Place::Field(&Place::Body, "tool_choice");
    if let Value::String(mode) = &value {
        return match mode.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "required" => Ok(ToolChoice::Required),
            "none" => Ok(ToolChoice::None),
            _ => Err(place.unexpected("`auto`, `required`, `none` or an object", &value)),
        };
    }
    let name = || value.get("name").and_then(Value::as_str).map(str::to_owned);
    Ok(match (value.get("type").and_then(Value::as_str), name()) {
        (Some("function"), Some(name)) => ToolChoice::Function(name),
        (Some("custom"), Some(name)) => ToolChoice::Custom(name),
        (Some("allowed_tools"), _) => {
            let required = value.get("mode").and_then(Value::as_str) == Some("required");
            match allowed_functions(&value) {
                Some(names) => ToolChoice::Allowed { names, required },
                None => ToolChoice::Opaque(value),
            }
        }
        (Some("function" | "custom"), None) => {
            return Err(
                Place::Field(&place, "name").wrong("the field is missing; name the tool to be called")
            );
        }
        (Some(_), _) => ToolChoice::Opaque(value),
        (None, _) => return Err(place.unexpected("an object with a `type`", &value)),
    })
}

/// The names, if all allowed tools are functions.
fn allowed_functions(choice: &Value) -> Option<Vec<String>> {
    let tools = choice.get("tools")?.as_array()?;
    tools
        .iter()
        .map(|tool| {
            let name = tool.get("name")?.as_str()?.to_owned();
            (tool.get("type")?.as_str()? == "function").then_some(name)
        })
        .collect()
}

/// The choice as this API says it; `None` where it cannot.
pub(in crate::openai_responses) fn write_choice(
    request: &Request,
    losses: &mut Losses,
) -> Result<Option<Value>, CannotSay> {
    let Some(choice) = &request.tool_choice else { return Ok(None) };
    Ok(Some(match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Function(name) => json!({"type": "function", "name": name}),
        ToolChoice::Custom(name) => json!({"type": "custom", "name": name}),
        ToolChoice::Allowed { names, required } => {
            let tools: Vec<Value> =
                names.iter().map(|name| json!({"type": "function", "name": name})).collect();
            json!({"type": "allowed_tools", "mode": if *required { "required" } else { "auto" }, "tools": tools})
        }
        ToolChoice::Opaque(value) if request.dialect == Dialect::OpenaiResponses => value.clone(),
        ToolChoice::Opaque(_) => {
            losses.cannot_carry("tool_choice", "the Responses API cannot say this choice of tools")?;
            return Ok(None);
        }
    }))
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Extra {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn put(fields: &mut Extra, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value);
    }
}

fn extend(fields: &mut Extra, extra: &Extra, native: bool) {
    if native {
        fields.extend(extra.clone());
    }
}
