use std::borrow::Cow;
use std::mem;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value, json};

use super::super::model::Model;
use super::super::response::ANSWER_TOOL;
use super::super::{block, wire};
use crate::Dialect;
use crate::conversation::{
    Effort, Extra, FunctionTool, JsonSchema, Media, MediaKind, Message, Modality, OutputFormat, Part,
    Reasoning, ReasoningSummary, Request, Role, SealKind, Source, Text, Thinking, Tool, ToolCall, ToolChoice,
    ToolResult, WebSearch,
};
use crate::error::CannotSay;
use crate::exchange::Target;
use crate::loss::{Change, Losses};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Output tokens granted where neither the request nor the model's facts say a number; the API demands one.
const DEFAULT_MAX_TOKENS: u64 = 4096;

/// The smallest thinking budget that the API takes.
const MIN_BUDGET: u64 = 1024;

/// Stands before a system turn that older models get inside a user turn; LiteLLM's words, so that a switch keeps
/// prompt caches warm.
const SYSTEM_NOTE: &str = "Operator note (not from the user): the following was originally a mid-conversation system-role reminder.";

/// OpenAI parameters that reach us in `extra` and have no counterpart here.
const UNSUPPORTED: [&str; 6] =
    ["audio", "function_call", "functions", "prediction", "verbosity", "moderation"];

/// OpenAI parameters in `extra` that say nothing about the answer.
const HINTS: [&str; 4] = ["store", "prompt_cache_retention", "safety_identifier", "stream_options"];

pub(in super::super) fn write(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<u8>, CannotSay> {
    let mut writer = Writer {
        request,
        target,
        losses,
        model: Model::of(target.model, target.facts),
        native: request.dialect == DIALECT,
        body: wire::Request::default(),
    };
    writer.body.model = target.model.to_owned();
    writer.messages()?;
    writer.tools()?;
    writer.output_format()?;
    writer.thinking()?;
    writer.sampling()?;
    writer.account();
    writer.rest()?;
    writer.body.stream = request.stream.is_some().then_some(true);
    serde_json::to_vec(&writer.body).map_err(|error| CannotSay {
        param: "messages".to_owned(),
        message: format!("the request cannot be written as JSON: {error}"),
    })
}

struct Writer<'a> {
    request: &'a Request,
    target: &'a Target<'a>,
    losses: &'a mut Losses,
    model: Model<'a>,
    /// The request speaks Anthropic Messages itself: opaque values and `extra` fields are ours.
    native: bool,
    body: wire::Request,
}

/// A turn in the making. Results of tool calls must come first in it.
struct Turn {
    role: &'static str,
    results: Vec<wire::Block>,
    blocks: Vec<wire::Block>,
    extra: Extra,
}

impl Writer<'_> {
    /// The operator always leaves this out, so it needs no counterpart.
    fn is_dropped(&mut self, param: &str) -> bool {
        let dropped = self.target.policy.additional_drop_params.iter().any(|dropped| dropped == param);
        if dropped {
            self.losses.note(param, Change::Dropped, "`additional_drop_params` names it");
        }
        dropped
    }

    /// A parameter that the API does not have. `allowed_params` sends it nevertheless.
    fn refuse(&mut self, param: &str, value: impl FnOnce() -> Value) -> Result<(), CannotSay> {
        if self.is_dropped(param) {
            return Ok(());
        }
        if self.target.policy.allowed_params.iter().any(|allowed| allowed == param) {
            self.pass(param, value());
            return Ok(());
        }
        self.losses.cannot_carry(
            param,
            "Anthropic Messages has no such parameter; `drop_params: true` leaves it out",
        )
    }

    /// Sends a field as it came, unless the body already says the same in its own words.
    fn pass(&mut self, name: &str, value: Value) {
        let body = &self.body;
        let said = match name {
            "model" | "messages" | "max_tokens" | "stream" => true,
            "system" => !body.system.is_empty(),
            "stop_sequences" => !body.stop_sequences.is_empty(),
            "temperature" => body.temperature.is_some(),
            "top_p" => body.top_p.is_some(),
            "top_k" => body.top_k.is_some(),
            "thinking" => body.thinking.is_some(),
            "output_config" => !body.output_config.is_empty(),
            "output_format" => body.output_format.is_some(),
            "tools" => !body.tools.is_empty(),
            "tool_choice" => body.tool_choice.is_some(),
            "metadata" => !body.metadata.is_empty(),
            "service_tier" => body.service_tier.is_some(),
            _ => false,
        };
        if said {
            self.losses.note(name, Change::Dropped, "the request says it twice");
        } else {
            self.body.extra.insert(name.to_owned(), value);
        }
    }

    // Messages

    fn messages(&mut self) -> Result<(), CannotSay> {
        let mut turns: Vec<Turn> = Vec::with_capacity(self.request.messages.len());
        for message in &self.request.messages {
            match message.role {
                Role::System | Role::Developer if turns.is_empty() => {
                    for part in &message.parts {
                        if let Some(block) = self.block(part)? {
                            self.body.system.push(block);
                        }
                    }
                }
                Role::System | Role::Developer => {
                    let turn = self.late_system(message)?;
                    add(&mut turns, turn);
                }
                Role::User | Role::Tool => {
                    let turn = self.turn("user", message)?;
                    add(&mut turns, turn);
                }
                Role::Assistant => {
                    let turn = self.turn("assistant", message)?;
                    add(&mut turns, turn);
                }
            }
        }
        if turns.is_empty() {
            let message = "Anthropic needs at least one message that is not a system prompt".to_owned();
            return Err(CannotSay { param: "messages".to_owned(), message });
        }
        if let Some(Turn { role: "assistant", blocks, .. }) = turns.last_mut()
            && let Some(wire::Block::Text(last)) = blocks.last_mut()
        {
            // The API refuses a beginning of the answer that ends in white space.
            last.text.truncate(last.text.trim_end().len());
        }
        self.body.messages = turns.into_iter().map(Turn::into_message).collect();
        Ok(())
    }

    fn turn(&mut self, role: &'static str, message: &Message) -> Result<Turn, CannotSay> {
        if message.name.is_some() {
            self.losses.note("messages[].name", Change::Dropped, "Anthropic has no participants' names");
        }
        let extra = if self.native { message.extra.clone() } else { Extra::new() };
        let mut turn = Turn { role, results: Vec::new(), blocks: Vec::new(), extra };
        for part in &message.parts {
            match part {
                Part::ToolResult(result) => turn.results.push(self.tool_result(result)?),
                part => {
                    if let Some(block) = self.block(part)? {
                        turn.blocks.push(block);
                    }
                }
            }
        }
        Ok(turn)
    }

    fn late_system(&mut self, message: &Message) -> Result<Turn, CannotSay> {
        if self.model.takes_system_turns() {
            return self.turn("system", message);
        }
        let mut turn = self.turn("user", message)?;
        if !turn.blocks.is_empty() {
            turn.blocks.insert(0, block::text(SYSTEM_NOTE));
            self.losses.note(
                "messages[].role",
                Change::Changed,
                "a late system message became a user's text",
            );
        }
        Ok(turn)
    }

    fn block(&mut self, part: &Part) -> Result<Option<wire::Block>, CannotSay> {
        Ok(match part {
            Part::Text(text) => self.text(text),
            Part::Refusal(text) => Some(block::text(text.clone())),
            Part::Media(media) => self.media(media)?,
            Part::ToolCall(call) => Some(self.tool_call(call)),
            Part::ToolResult(result) => Some(self.tool_result(result)?),
            Part::Reasoning(reasoning) => self.reasoning(reasoning),
            Part::Opaque(opaque) if opaque.dialect == DIALECT => {
                Some(wire::Block::Other(opaque.value.clone()))
            }
            Part::Opaque(opaque) => {
                let kind = opaque.value.get("type").and_then(Value::as_str).unwrap_or("a part");
                self.losses.note(
                    "messages",
                    Change::Dropped,
                    format!("only {} knows `{kind}`", opaque.dialect),
                );
                None
            }
        })
    }

    /// `None` for text without a visible character, which the API refuses.
    fn text(&mut self, text: &Text) -> Option<wire::Block> {
        if text.text.trim().is_empty() {
            return None;
        }
        let citations: Vec<Value> = text
            .citations
            .iter()
            .filter(|_| self.native)
            .filter_map(|citation| citation.original.clone())
            .collect();
        Some(wire::Block::Text(wire::TextBlock {
            text: text.text.clone(),
            citations: (!citations.is_empty()).then_some(citations),
            cache_control: block::write_cache(text.cache),
            extra: self.extra(&text.extra),
        }))
    }

    fn extra(&self, extra: &Extra) -> Extra {
        if self.native { extra.clone() } else { Extra::new() }
    }

    fn reasoning(&mut self, reasoning: &Reasoning) -> Option<wire::Block> {
        let extra = self.extra(&reasoning.extra);
        let seal = reasoning.seal.as_ref();
        if let Some(data) = seal.and_then(|seal| seal.value_for(DIALECT, SealKind::Redacted)) {
            let data = data.to_owned();
            return Some(wire::Block::RedactedThinking(wire::RedactedThinkingBlock { data, extra }));
        }
        if let Some(signature) = seal.and_then(|seal| seal.value_for(DIALECT, SealKind::Signature)) {
            let (thinking, signature) = (reasoning.readable(), signature.to_owned());
            return Some(wire::Block::Thinking(wire::ThinkingBlock { thinking, signature, extra }));
        }
        let why = "Anthropic takes back only thinking that it signed itself";
        self.losses.note("messages[].reasoning", Change::Dropped, why);
        None
    }

    fn tool_call(&mut self, call: &ToolCall) -> wire::Block {
        wire::Block::ToolUse(wire::ToolUseBlock {
            id: call_id(&call.id).into_owned(),
            name: call.name.clone(),
            input: block::write_input(&call.arguments, call.kind),
            cache_control: block::write_cache(call.cache),
            extra: self.extra(&call.extra),
        })
    }

    fn tool_result(&mut self, result: &ToolResult) -> Result<wire::Block, CannotSay> {
        let content = match result.parts.as_slice() {
            [] => None,
            [Part::Text(text)] if text.cache.is_none() && (text.extra.is_empty() || !self.native) => {
                Some(wire::Content::Text(text.text.clone()))
            }
            parts => {
                let mut blocks = Vec::with_capacity(parts.len());
                for part in parts {
                    blocks.extend(self.block(part)?);
                }
                Some(wire::Content::Blocks(blocks))
            }
        };
        Ok(wire::Block::ToolResult(wire::ToolResultBlock {
            tool_use_id: call_id(&result.call_id).into_owned(),
            content,
            is_error: result.is_error.then_some(true),
            cache_control: block::write_cache(result.cache),
            extra: self.extra(&result.extra),
        }))
    }

    fn media(&mut self, media: &Media) -> Result<Option<wire::Block>, CannotSay> {
        let block = match media.kind {
            MediaKind::Image => self.image(media),
            MediaKind::File => self.file(media),
            MediaKind::Audio => Err(("input_audio", "Anthropic does not hear")),
            MediaKind::Video => Err(("video_url", "Anthropic does not see films")),
        };
        match block {
            Ok(block) => Ok(Some(block)),
            Err((param, why)) => self.losses.cannot_carry(param, why).map(|()| None),
        }
    }

    fn image(&self, media: &Media) -> Result<wire::Block, (&'static str, &'static str)> {
        let source = match &media.source {
            Source::Base64 { media_type, data } => {
                wire::Source::Base64 { media_type: media_type.clone(), data: data.clone() }
            }
            Source::Url { url, .. } if is_web(url) => wire::Source::Url { url: url.clone() },
            Source::FileId(id) => wire::Source::File { file_id: id.clone() },
            Source::Url { .. } => {
                return Err(("image_url", "Anthropic fetches images from http and https only"));
            }
            Source::Text(_) => return Err(("image_url", "an image cannot be text")),
        };
        Ok(wire::Block::Image(wire::ImageBlock {
            source,
            cache_control: block::write_cache(media.cache),
            extra: self.extra(&media.extra),
        }))
    }

    fn file(&self, media: &Media) -> Result<wire::Block, (&'static str, &'static str)> {
        let mut extra = self.extra(&media.extra);
        let kept = extra.shift_remove("source").and_then(|source| serde_json::from_value(source).ok());
        let source = match &media.source {
            Source::Base64 { media_type, data } if media_type == "application/pdf" => {
                wire::Source::Base64 { media_type: media_type.clone(), data: data.clone() }
            }
            Source::Base64 { media_type, .. } if media_type.starts_with("image/") => {
                return self.image(media);
            }
            Source::Base64 { media_type, data } if is_text(media_type) => {
                let bytes = STANDARD.decode(data).map_err(|_| ("file", "the file's base64 is broken"))?;
                let text = String::from_utf8(bytes).map_err(|_| ("file", "a text file must be UTF-8"))?;
                plain(text)
            }
            Source::Base64 { .. } => return Err(("file", "Anthropic reads PDF and text files only")),
            Source::Url { url, .. } if is_web(url) => wire::Source::Url { url: url.clone() },
            Source::Url { .. } => return Err(("file", "Anthropic fetches files from http and https only")),
            Source::FileId(id) if self.native || is_document(media) => {
                wire::Source::File { file_id: id.clone() }
            }
            // What it is we cannot know; in the container any file is welcome.
            Source::FileId(id) => return Ok(wire::Block::ContainerUpload { file_id: id.clone() }),
            Source::Text(text) => kept.unwrap_or_else(|| plain(text.clone())),
        };
        Ok(wire::Block::Document(wire::DocumentBlock {
            source,
            title: media.name.clone(),
            cache_control: block::write_cache(media.cache),
            extra,
        }))
    }

    // Tools

    fn tools(&mut self) -> Result<(), CannotSay> {
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
                let schema = json!({"type": "object", "properties": {block::CUSTOM_INPUT: {"type": "string"}},
                                    "required": [block::CUSTOM_INPUT]});
                self.function(&FunctionTool {
                    name: custom.name.clone(),
                    description: custom.description.clone(),
                    parameters: Some(schema),
                    ..FunctionTool::default()
                })
            }
            Tool::WebSearch(search) => wire::Tool::WebSearch(self.web_search(search)),
            Tool::CodeExecution(extra) => self.hosted("code_execution_20250825", "code_execution", extra),
            Tool::UrlFetch(extra) => self.hosted("web_fetch_20250910", "web_fetch", extra),
            Tool::Opaque(value) if self.native => wire::Tool::Other(value.clone()),
            Tool::Opaque(value) => {
                let kind = value.get("type").and_then(Value::as_str).unwrap_or("?");
                let why = format!("Anthropic has no hosted tool `{kind}`");
                self.losses.cannot_carry("tools", why)?;
                return Ok(None);
            }
        }))
    }

    fn function(&mut self, function: &FunctionTool) -> wire::Tool {
        if function.strict == Some(true) && !self.native {
            self.losses.note(
                "tools[].function.strict",
                Change::Dropped,
                "arguments are not held to the schema",
            );
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
        wire::Tool::Custom(wire::CustomTool {
            name: function.name.clone(),
            input_schema: Some(schema),
            kind: Some("custom"),
            description: function.description.clone(),
            strict: function.strict.filter(|_| self.native),
            cache_control: block::write_cache(function.cache),
            extra: self.extra(&function.extra),
        })
    }

    fn web_search(&self, search: &WebSearch) -> wire::WebSearchTool {
        let version = search.version.as_ref().filter(|_| self.native);
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
            extra: self.extra(&search.extra),
        }
    }

    fn hosted(&self, version: &str, name: &str, extra: &Extra) -> wire::Tool {
        let mut tool = Extra::new();
        tool.insert("type".to_owned(), json!(version));
        tool.insert("name".to_owned(), json!(name));
        tool.extend(self.extra(extra));
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

    // Output

    fn output_format(&mut self) -> Result<(), CannotSay> {
        let format = match &self.request.output_format {
            None | Some(OutputFormat::Text) => return Ok(()),
            Some(_) if self.is_dropped("response_format") => return Ok(()),
            Some(OutputFormat::JsonSchema(JsonSchema { schema: Some(schema), .. })) => schema,
            Some(OutputFormat::JsonObject | OutputFormat::JsonSchema(_)) => {
                self.losses.note(
                    "response_format",
                    Change::Dropped,
                    "Anthropic has no JSON mode without a schema",
                );
                return Ok(());
            }
            Some(OutputFormat::Opaque(_)) => {
                return self.losses.cannot_carry("response_format", "Anthropic knows only `json_schema`");
            }
        };
        let mut schema = format.clone();
        if self.model.takes_output_format() {
            close_objects(&mut schema);
            self.body.output_format = Some(wire::OutputFormat::JsonSchema { schema });
            return Ok(());
        }
        self.losses.note(
            "response_format",
            Change::Changed,
            "the model answers by calling a tool with the schema",
        );
        let answer = FunctionTool {
            name: ANSWER_TOOL.to_owned(),
            parameters: Some(schema),
            ..FunctionTool::default()
        };
        let alone = self.body.tools.is_empty();
        let answer = self.function(&answer);
        self.body.tools.push(answer);
        // Thinking and a forced call exclude each other.
        let kind = match (self.asks_to_think(), alone) {
            (true, _) => "auto",
            (false, true) => "tool",
            (false, false) => "any",
        };
        self.body.tool_choice = Some(wire::ToolChoice {
            kind: kind.to_owned(),
            name: (kind == "tool").then(|| ANSWER_TOOL.to_owned()),
            disable_parallel_tool_use: None,
        });
        Ok(())
    }

    fn asks_to_think(&self) -> bool {
        let reasoning = &self.request.reasoning;
        match (&reasoning.thinking, &reasoning.effort) {
            (Some(Thinking::Disabled), _) | (None, None | Some(Effort::None)) => false,
            (Some(Thinking::Budget(_) | Thinking::Adaptive), _) | (None, Some(_)) => self.model.thinks(),
        }
    }

    fn thinking(&mut self) -> Result<(), CannotSay> {
        let reasoning = &self.request.reasoning;
        let dropped = !reasoning.is_empty() && self.is_dropped("reasoning_effort");
        let wanted = if dropped { None } else { self.wanted_thinking()? };
        if self.native && self.model.takes_adaptive_thinking() {
            self.body.output_config.effort =
                reasoning.effort.as_ref().map(|effort| self.model.effort(effort));
        }
        if let Some(wire::Thinking::Enabled { budget_tokens, .. }) = wanted {
            let granted = self.request.max_output_tokens;
            self.body.max_tokens = granted.unwrap_or(budget_tokens.saturating_add(DEFAULT_MAX_TOKENS));
        } else {
            let most = self.target.facts.max_output_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
            self.body.max_tokens = self.request.max_output_tokens.unwrap_or(most);
        }
        if self.request.max_output_tokens.is_none() {
            let detail = format!("Anthropic demands it: {}", self.body.max_tokens);
            self.losses.note("max_tokens", Change::Added, detail);
        }
        self.body.thinking = wanted;
        self.repair_thinking();
        Ok(())
    }

    fn wanted_thinking(&mut self) -> Result<Option<wire::Thinking>, CannotSay> {
        let reasoning = &self.request.reasoning;
        let display = self.display();
        let effort = reasoning.effort.as_ref();
        if !self.asks_to_think() {
            let refused = !self.model.thinks() && effort.is_some_and(|effort| *effort != Effort::None);
            if refused || matches!(reasoning.thinking, Some(Thinking::Budget(_) | Thinking::Adaptive)) {
                let param = if effort.is_some() { "reasoning_effort" } else { "thinking" };
                self.losses.cannot_carry(param, format!("`{}` does not think", self.target.model))?;
                return Ok(None);
            }
            let said = reasoning.thinking == Some(Thinking::Disabled);
            let needed = effort == Some(&Effort::None) && self.model.must_be_told_not_to_think();
            return Ok((said || needed).then_some(wire::Thinking::Disabled));
        }
        let adaptive = self.model.takes_adaptive_thinking();
        Ok(Some(match (&reasoning.thinking, effort) {
            (Some(Thinking::Budget(budget)), _) if self.model.takes_thinking_budget() => {
                wire::Thinking::Enabled { budget_tokens: *budget, display }
            }
            (Some(Thinking::Budget(budget)), effort) if adaptive => {
                let from_budget = Effort::from_budget(*budget);
                self.losses.note(
                    "thinking.budget_tokens",
                    Change::Changed,
                    "the model takes an effort instead",
                );
                self.adaptive(effort.unwrap_or(&from_budget), display)
            }
            (Some(Thinking::Adaptive), None) if adaptive => wire::Thinking::Adaptive { display },
            (_, Some(effort)) if adaptive => self.adaptive(effort, display),
            (_, effort) => match self.budget(effort.unwrap_or(&Effort::High)) {
                Some(budget_tokens) => wire::Thinking::Enabled { budget_tokens, display },
                None => return Ok(None),
            },
        }))
    }

    fn adaptive(&mut self, effort: &Effort, display: Option<wire::Display>) -> wire::Thinking {
        self.body.output_config.effort = Some(self.model.effort(effort));
        wire::Thinking::Adaptive { display }
    }

    /// The budget for an effort, which must leave room under the caller's own `max_tokens`; `None` if it cannot.
    fn budget(&mut self, effort: &Effort) -> Option<u64> {
        let budget = effort.budget_tokens()?.max(MIN_BUDGET);
        let room = self.request.max_output_tokens.map_or(u64::MAX, |most| most.saturating_sub(1));
        if room < MIN_BUDGET {
            let why = "`max_tokens` leaves no room for the smallest thinking budget of 1024";
            self.losses.note("reasoning_effort", Change::Dropped, why);
            return None;
        }
        Some(budget.min(room))
    }

    fn display(&self) -> Option<wire::Display> {
        match self.request.reasoning.summary {
            Some(ReasoningSummary::Omitted) => Some(wire::Display::Omitted),
            Some(ReasoningSummary::Auto) if self.native => Some(wire::Display::Summarized),
            // Models that think adaptively hide it unless asked; other dialects' clients expect to see it.
            _ if self.model.takes_adaptive_thinking() && !self.native => Some(wire::Display::Summarized),
            _ => None,
        }
    }

    /// While thinking is on, the API wants the last tool call to be led in by signed thinking. A history without
    /// (another model's, or a client that lost it) is only answered with thinking off.
    fn repair_thinking(&mut self) {
        let on = matches!(self.body.thinking, Some(wire::Thinking::Enabled { .. }));
        if !on || !self.target.policy.modify_params {
            return;
        }
        let last = self.body.messages.iter().rev().find(|message| message.role == "assistant");
        let Some(wire::Content::Blocks(blocks)) = last.map(|message| &message.content) else { return };
        let calls = blocks.iter().any(|block| matches!(block, wire::Block::ToolUse(_)));
        let thinks = blocks
            .iter()
            .any(|block| matches!(block, wire::Block::Thinking(_) | wire::Block::RedactedThinking(_)));
        if calls && !thinks {
            self.body.thinking = None;
            self.losses.note(
                "thinking",
                Change::Dropped,
                "the last tool call has no signed thinking before it",
            );
        }
    }

    // Settings

    fn sampling(&mut self) -> Result<(), CannotSay> {
        let sampling = &self.request.sampling;
        self.body.temperature = self.drawn("temperature", sampling.temperature.as_ref())?;
        self.body.top_p = self.drawn("top_p", sampling.top_p.as_ref())?;
        self.body.top_k = self.drawn("top_k", sampling.top_k.as_ref())?;
        if !sampling.stop.is_empty() && !self.is_dropped("stop") {
            let visible = |stop: &&String| !stop.trim().is_empty();
            self.body.stop_sequences = sampling.stop.iter().filter(visible).cloned().collect();
            if self.body.stop_sequences.len() < sampling.stop.len() {
                self.losses.note("stop", Change::Dropped, "Anthropic refuses stop sequences of white space");
            }
        }
        if let Some(n) = sampling.n.filter(|n| *n != 1) {
            self.refuse("n", || json!(n))?;
        }
        for (param, number) in [
            ("frequency_penalty", &sampling.frequency_penalty),
            ("presence_penalty", &sampling.presence_penalty),
            ("seed", &sampling.seed),
        ] {
            if let Some(number) = number {
                self.refuse(param, || Value::Number(number.clone()))?;
            }
        }
        if let Some(bias) = &sampling.logit_bias {
            self.refuse("logit_bias", || Value::Object(bias.clone()))?;
        }
        if sampling.logprobs == Some(true) {
            self.refuse("logprobs", || json!(true))?;
        }
        if let Some(top) = sampling.top_logprobs.filter(|top| *top > 0) {
            self.refuse("top_logprobs", || json!(top))?;
        }
        Ok(())
    }

    /// A number that shapes sampling. Newer models take none, and thinking ones only the default.
    fn drawn(&mut self, param: &str, number: Option<&Number>) -> Result<Option<Number>, CannotSay> {
        let Some(number) = number else { return Ok(None) };
        if self.is_dropped(param) {
            return Ok(None);
        }
        let is_one = number.as_f64().is_some_and(|number| (number - 1.0).abs() < f64::EPSILON);
        let thinking = matches!(
            self.body.thinking,
            Some(wire::Thinking::Enabled { .. } | wire::Thinking::Adaptive { .. })
        );
        let why = if self.model.refuses_sampling() {
            format!("`{}` has no sampling parameters", self.target.model)
        } else if thinking && param != "top_p" && !is_one {
            "Anthropic does not take it together with thinking".to_owned()
        } else {
            return Ok(Some(number.clone()));
        };
        if is_one && param != "top_k" {
            self.losses.note(param, Change::Dropped, why);
        } else {
            self.losses.cannot_carry(param, why)?;
        }
        Ok(None)
    }

    /// Who asks, and in which tier.
    fn account(&mut self) {
        let request = self.request;
        let labels = request.metadata.as_ref();
        let labelled = labels.and_then(|labels| labels.get("user_id")).and_then(Value::as_str);
        let user = request.user.as_deref().filter(|_| !self.is_dropped("user")).or(labelled);
        self.body.metadata.user_id = user.map(str::to_owned);
        if labels.is_some_and(|labels| labels.keys().any(|name| name != "user_id")) {
            self.losses.note("metadata", Change::Dropped, "Anthropic keeps no labels beside `user_id`");
        }
        if request.prompt_cache_key.is_some() {
            self.losses.note("prompt_cache_key", Change::Dropped, "Anthropic caches by `cache_control`");
        }
        self.body.service_tier = match request.service_tier.as_deref() {
            Some("auto" | "priority") => Some("auto".to_owned()),
            Some("default" | "standard_only") => Some("standard_only".to_owned()),
            Some(other) => {
                self.losses.note("service_tier", Change::Dropped, format!("Anthropic has no tier `{other}`"));
                None
            }
            None => None,
        };
    }

    /// What other dialects have and Anthropic has not, and what nobody knows.
    fn rest(&mut self) -> Result<(), CannotSay> {
        let request = self.request;
        if request.modalities.iter().any(|modality| *modality != Modality::Text) {
            self.refuse("modalities", || json!(["text"]))?;
        }
        if request.audio.is_some() {
            self.refuse("audio", || Value::Null)?;
        }
        match request.dialect {
            Dialect::AnthropicMessages => self.own_rest(),
            // Unknown fields of a chat request are for the provider.
            Dialect::OpenaiChat => {
                for (name, value) in &request.extra {
                    if UNSUPPORTED.contains(&name.as_str()) {
                        self.refuse(name, || value.clone())?;
                    } else if HINTS.contains(&name.as_str()) {
                        self.losses.note(name, Change::Dropped, "Anthropic has no such parameter");
                    } else {
                        self.pass(name, value.clone());
                    }
                }
            }
            Dialect::OpenaiResponses | Dialect::Gemini | Dialect::OpenaiCompletions => {
                for name in request.extra.keys() {
                    self.losses.note(name, Change::Dropped, format!("only {} knows it", request.dialect));
                }
            }
        }
        Ok(())
    }

    fn own_rest(&mut self) {
        for (name, value) in &self.request.extra {
            match (name.as_str(), value) {
                ("output_config", Value::Object(rest)) => self.body.output_config.extra = rest.clone(),
                ("metadata", Value::Object(rest)) => self.body.metadata.extra = rest.clone(),
                _ => {
                    self.body.extra.insert(name.clone(), value.clone());
                }
            }
        }
    }
}

/// Adds a turn; turns of the same role become one.
fn add(turns: &mut Vec<Turn>, turn: Turn) {
    if turn.results.is_empty() && turn.blocks.is_empty() {
        return;
    }
    match turns.last_mut() {
        Some(last) if last.role == turn.role => {
            last.results.extend(turn.results);
            last.blocks.extend(turn.blocks);
            last.extra.extend(turn.extra);
        }
        _ => turns.push(turn),
    }
}

impl Turn {
    fn into_message(mut self) -> wire::Message {
        let mut blocks = mem::take(&mut self.results);
        blocks.append(&mut self.blocks);
        wire::Message {
            role: self.role.to_owned(),
            content: wire::Content::Blocks(blocks),
            extra: self.extra,
        }
    }
}

/// Ids must match `^[a-zA-Z0-9_-]+$`.
fn call_id(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !id.is_empty() && id.chars().all(fits) {
        return Cow::Borrowed(id);
    }
    let id: String = id.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    Cow::Owned(if id.is_empty() { "_".to_owned() } else { id })
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/") || media_type == "application/json"
}

/// Whether an uploaded file is one that can be read as a document, by its name or LiteLLM's `format`.
fn is_document(media: &Media) -> bool {
    let format = media.extra.get("format").and_then(Value::as_str);
    let named = media.name.as_deref().is_some_and(|name| name.ends_with(".pdf") || name.ends_with(".txt"));
    named || format.is_some_and(|format| format == "application/pdf" || format == "text/plain")
}

fn plain(data: String) -> wire::Source {
    wire::Source::Text { media_type: "text/plain".to_owned(), data }
}

/// Structured outputs want every object of a schema to say that it has no further properties.
fn close_objects(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let is_object = object.get("type").and_then(Value::as_str) == Some("object");
            if is_object && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            for (keyword, value) in object.iter_mut() {
                match keyword.as_str() {
                    // Data, not schemas.
                    "const" | "default" | "enum" | "examples" | "required" => {}
                    // Schemas under names of the author's choice.
                    "properties" | "$defs" | "definitions" => {
                        if let Value::Object(schemas) = value {
                            schemas.values_mut().for_each(close_objects);
                        }
                    }
                    _ => close_objects(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(close_objects),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::{CustomTool, Seal, ToolCallKind};
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
        *format =
            Some(OutputFormat::JsonSchema(JsonSchema { schema: Some(schema), ..JsonSchema::default() }));
    }

    #[test]
    fn max_tokens_is_the_models_most_or_a_default() {
        assert_eq!(Case::question().settings(), json!({"max_tokens": 64000}));
        let mut unknown = Case::question();
        unknown.facts = ModelFacts::default();
        assert_eq!(unknown.settings(), json!({"max_tokens": 4096}));
        assert_eq!(
            Case::question().with(|r| r.max_output_tokens = Some(7)).settings(),
            json!({"max_tokens": 7})
        );
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
        assert_eq!(
            first(&thought(own(SealKind::Redacted))),
            json!({"type": "redacted_thinking", "data": "sig"})
        );
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
        let base64 = |media_type: &str, data: &str| Source::Base64 {
            media_type: media_type.into(),
            data: data.into(),
        };
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
        assert_eq!(
            file(Source::Url { url: "gs://b/a.pdf".into(), media_type: None }, None).refused(),
            "file"
        );
    }

    #[test]
    fn ids_are_made_acceptable_on_both_sides() {
        let case =
            Case::new(vec![Message::text(Role::User, "?"), call("call.1:x"), answer("call.1:x", vec![])]);
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
        let choice = |choice| {
            Case::question().with(|r| r.tool_choice = Some(choice)).settings()["tool_choice"].clone()
        };
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
        let case =
            || Case::question().to("claude-3-5-sonnet-20241022").with(|r| schema(&mut r.output_format));
        let alone = case().settings();
        assert_eq!(alone.pointer("/tools/0/name"), Some(&json!(ANSWER_TOOL)));
        assert_eq!(alone["tool_choice"], json!({"type": "tool", "name": ANSWER_TOOL}));
        let beside_others = case().with(|r| r.tools.push(function("f"))).settings();
        assert_eq!(beside_others["tool_choice"], json!({"type": "any"}));
        let thinking =
            case().to("claude-3-7-sonnet").with(|r| r.reasoning.effort = Some(Effort::Low)).settings();
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
        for (name, budget) in
            [("minimal", 1024), ("low", 1024), ("medium", 2048), ("high", 4096), ("max", 16384)]
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
        let stop = Case::question().with(|r| r.sampling.stop = vec!["\n\n".into(), "END".into()]);
        assert_eq!(stop.settings()["stop_sequences"], json!(["END"]));
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
        assert_eq!(
            Case::question().with(|r| r.sampling.n = Some(1)).settings(),
            json!({"max_tokens": 64000})
        );
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
        let user =
            |change: fn(&mut Request)| Case::question().with(change).settings().get("metadata").cloned();
        assert_eq!(user(|r| r.user = Some("u".into())), Some(json!({"user_id": "u"})));
        let labels =
            |r: &mut Request| r.metadata = json!({"user_id": "u-17", "team": "blue"}).as_object().cloned();
        assert_eq!(user(labels), Some(json!({"user_id": "u-17"})));
        assert_eq!(user(|r| r.metadata = json!({"team": "blue"}).as_object().cloned()), None);
    }
}
