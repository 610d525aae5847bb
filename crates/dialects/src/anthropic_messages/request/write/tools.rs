//! Tools and the choice among them.

use serde_json::{Value, json};

use super::Writer;
use super::output::close_objects;
use crate::anthropic_messages::{block, wire};
use crate::conversation::{Extra, FunctionTool, Tool, ToolChoice, WebSearch};
use crate::error::CannotSay;
use crate::loss::Change;

impl Writer<'_> {
    pub(super) fn tools(&mut self) -> Result<(), CannotSay> {
        let allowed = match &self.request.tool_choice {
            Some(ToolChoice::Allowed { names, .. }) => Some(names.as_slice()),
            _ => None,
        };
        for tool in &self.request.tools {
            let name = match tool {
                Tool::Function(function) => Some(&function.name),
                Tool::Custom(custom) => Some(&custom.name),
                _ => None,
            };
            if let (Some(allowed), Some(name)) = (allowed, name)
                && !allowed.contains(name)
            {
                continue;
            }
            if let Some(tool) = self.tool(tool)? {
                self.body.tools.push(tool);
            }
        }
        if self.body.tools.is_empty() && self.calls_tools() {
            // The API refuses tool blocks in a conversation without tools.
            let dummy = FunctionTool {
                name: "dummy_tool".to_owned(),
                description: Some("This is a dummy tool call".to_owned()),
                ..FunctionTool::default()
            };
            self.losses.note("tools", Change::Added, "a dummy, since the history has tool calls");
            let dummy = self.function(&dummy);
            self.body.tools.push(dummy);
        }
        self.tool_choice()
    }

    fn calls_tools(&self) -> bool {
        let is_tool =
            |block: &wire::Block| matches!(block, wire::Block::ToolUse(_) | wire::Block::ToolResult(_));
        self.body.messages.iter().any(|message| match &message.content {
            wire::Content::Text(_) => false,
            wire::Content::Blocks(blocks) => blocks.iter().any(is_tool),
        })
    }

    fn tool(&mut self, tool: &Tool) -> Result<Option<wire::Tool>, CannotSay> {
        Ok(Some(match tool {
            Tool::Function(function) => self.function(function),
            Tool::Custom(custom) => {
                self.losses.note("tools[].custom", Change::Changed, "free text became the argument `input`");
                self.function(&custom.as_function())
            }
            Tool::WebSearch(search) => wire::Tool::WebSearch(self.web_search(search)),
            Tool::CodeExecution(extra) => self.hosted("code_execution_20250825", "code_execution", extra),
            Tool::UrlFetch(extra) => self.hosted("web_fetch_20250910", "web_fetch", extra),
            Tool::Opaque(value) if self.native || is_versioned(value.get("type")) => {
                wire::Tool::Other(value.clone())
            }
            Tool::Opaque(value) => {
                let kind = value.get("type").and_then(Value::as_str).unwrap_or("?");
                let why = format!("Anthropic has no hosted tool `{kind}`");
                self.losses.cannot_carry("tools", why)?;
                return Ok(None);
            }
        }))
    }

    pub(super) fn function(&mut self, function: &FunctionTool) -> wire::Tool {
        let strict = function.strict.filter(|strict| self.native || (*strict && self.holds_to_schemas()));
        if function.strict == Some(true) && strict.is_none() {
            let why = "arguments are not held to the schema; `allowed_openai_params: [strict]` sends it to models that can";
            self.losses.note("tools[].function.strict", Change::Dropped, why);
        }
        let mut schema = function.parameters.clone().unwrap_or_else(|| json!({}));
        if let Value::Object(schema) = &mut schema {
            if !schema.contains_key("type") {
                schema.insert("type".to_owned(), json!("object"));
            }
            if schema.len() == 1 {
                schema.insert("properties".to_owned(), json!({}));
            }
        }
        if strict == Some(true) && !self.native {
            close_objects(&mut schema);
        }
        wire::Tool::Custom(wire::CustomTool {
            name: function.name.clone(),
            input_schema: Some(schema),
            kind: Some("custom"),
            description: function.description.clone(),
            strict,
            cache_control: block::write_cache(function.cache),
            extra: self.extra(&function.extra),
        })
    }

    /// Anthropic compiles the schemas of all strict tools of a request together, with fewer keywords than OpenAI
    /// (<https://platform.claude.com/docs/en/agents-and-tools/tool-use/strict-tool-use>), and refuses the whole
    /// request where that grows too large. OpenAI's clients mark every tool so, because OpenAI asks for it; sent on
    /// unasked, the mark would break requests that work without it. As with LiteLLM, it takes the operator's word.
    fn holds_to_schemas(&self) -> bool {
        let asked = self.target.policy.allowed_params.iter().any(|allowed| allowed == "strict");
        asked && self.model.takes_output_format()
    }

    fn web_search(&self, search: &WebSearch) -> wire::WebSearchTool {
        let version = search.version.as_ref().filter(|version| self.native || is_version(version));
        let domains = |domains: &[String]| (!domains.is_empty()).then(|| domains.to_vec());
        wire::WebSearchTool {
            kind: version.map_or("web_search_20250305", String::as_str).to_owned(),
            name: "web_search".to_owned(),
            max_uses: search.max_uses.or(match search.context_size.as_deref() {
                Some("low") => Some(1),
                Some("medium") => Some(5),
                Some("high") => Some(10),
                _ => None,
            }),
            allowed_domains: domains(&search.allowed_domains),
            blocked_domains: domains(&search.blocked_domains),
            user_location: search.location.as_ref().map(|location| {
                let mut whole = Extra::new();
                whole.insert("type".to_owned(), json!("approximate"));
                whole.extend(location.clone());
                whole
            }),
            cache_control: block::write_cache(search.cache),
            extra: if version.is_some() { search.extra.clone() } else { Extra::new() },
        }
    }

    fn hosted(&self, version: &str, name: &str, extra: &Extra) -> wire::Tool {
        let mut tool = Extra::new();
        tool.insert("type".to_owned(), json!(version));
        tool.insert("name".to_owned(), json!(name));
        if self.native || is_versioned(extra.get("type")) {
            tool.extend(extra.clone());
        }
        wire::Tool::Other(Value::Object(tool))
    }

    fn tool_choice(&mut self) -> Result<(), CannotSay> {
        let named = |kind: &str, name: Option<&String>| {
            Some(wire::ToolChoice {
                kind: kind.to_owned(),
                name: name.cloned(),
                ..wire::ToolChoice::default()
            })
        };
        let mut choice = match &self.request.tool_choice {
            None => None,
            Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => named("auto", None),
            Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => named("any", None),
            Some(ToolChoice::None) => named("none", None),
            Some(ToolChoice::Function(name) | ToolChoice::Custom(name)) => named("tool", Some(name)),
            Some(ToolChoice::Opaque(_)) => {
                self.losses
                    .cannot_carry("tool_choice", "Anthropic cannot force a hosted tool by its type")?;
                None
            }
        };
        if let Some(parallel) = self.request.parallel_tool_calls {
            let choice = choice.get_or_insert_with(|| wire::ToolChoice {
                kind: "auto".to_owned(),
                ..wire::ToolChoice::default()
            });
            if choice.kind != "none" {
                choice.disable_parallel_tool_use = Some(!parallel);
            }
        }
        self.body.tool_choice = choice;
        Ok(())
    }
}

/// Whether a tool is in Anthropic's own form, which clients of LiteLLM use in every dialect
/// (<https://docs.litellm.ai/docs/completion/computer_use>).
fn is_versioned(kind: Option<&Value>) -> bool {
    kind.and_then(Value::as_str).is_some_and(is_version)
}

/// A name with a date, `bash_20250124`: only Anthropic has its tools named so.
fn is_version(kind: &str) -> bool {
    let date = kind.rsplit_once('_').map_or("", |(_, date)| date);
    date.len() == 8 && date.bytes().all(|digit| digit.is_ascii_digit())
}
