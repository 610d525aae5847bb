//! A client's request.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use crate::Dialect;
use crate::conversation::{
    AudioOutput, Effort, Extra, FunctionTool, JsonSchema, Message, Modality, OutputFormat, Part, Reasoning,
    ReasoningRequest, ReasoningSummary, Request, Role, Sampling, SealKind, Thinking, Tool, ToolChoice,
    WebSearch,
};
use crate::document::Document;
use crate::error::{CannotSay, Invalid};
use crate::gemini::{part, schema, wire};
use crate::json;
use crate::loss::Losses;
use crate::shape::{self, Shape};

/// The fields at the top, in both spellings.
const FIELDS: &[(&str, Shape)] = &[
    ("contents", Shape::List),
    ("systemInstruction", Shape::Object),
    ("system_instruction", Shape::Object),
    ("tools", Shape::List),
    ("toolConfig", Shape::Object),
    ("tool_config", Shape::Object),
    ("generationConfig", Shape::Object),
    ("generation_config", Shape::Object),
    ("safetySettings", Shape::List),
    ("safety_settings", Shape::List),
    ("cachedContent", Shape::Text),
    ("cached_content", Shape::Text),
    ("labels", Shape::Object),
];

pub(in crate::gemini) fn check(document: &Document<'_>) -> Result<(), Invalid> {
    shape::check(document, |name| shape::listed(FIELDS, name))?;
    if document.has("contents") {
        Ok(())
    } else {
        Err(Invalid::new(
            "contents",
            "the field is required: an array of turns, `[{\"role\": \"user\", \"parts\": […]}]`",
        ))
    }
}

pub(in crate::gemini) fn read(document: &Document<'_>) -> Result<Request, Invalid> {
    check(document)?;
    read_wire(json::read(&document.to_bytes())?)
}

pub(in crate::gemini) fn read_wire(wire: wire::Request) -> Result<Request, Invalid> {
    let mut messages = Vec::with_capacity(wire.contents.len() + 1);
    if let Some(system) = wire.system_instruction {
        let parts = system.parts.into_iter().map(|part| part::read(part, String::new)).collect();
        messages.push(Message::new(Role::System, parts));
    }
    read_turns(wire.contents, &mut messages)?;

    let mut request = Request::new(Dialect::Gemini, wire.model.unwrap_or_default(), messages);
    request.extra = wire.extra;
    request.metadata = wire.labels;
    request.service_tier = wire.service_tier.map(|tier| match tier.as_str() {
        "standard" => "default".to_owned(),
        _ => tier,
    });
    for (index, tool) in wire.tools.into_iter().enumerate() {
        if let Some(nameless) =
            tool.function_declarations.iter().position(|function| function.name.is_empty())
        {
            let path = format!("tools[{index}].functionDeclarations[{nameless}].name");
            return Err(Invalid::new(path, "the field is missing; give a string"));
        }
        read_tool(tool, &mut request.tools);
    }
    if let Some(config) = wire.tool_config {
        read_tool_config(config, &mut request);
    }
    if let Some(config) = wire.generation_config {
        read_generation_config(config, &mut request);
    }
    Ok(request)
}

/// See [`Codec::report_untranslatable`](crate::codec::Codec::report_untranslatable).
pub(in crate::gemini) fn report_untranslatable(
    request: &Request,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    for name in ["cachedContent", "cached_content"] {
        if request.extra.get(name).is_some_and(|value| !value.is_null()) {
            losses
                .cannot_carry(name, "cached contents are kept at Google; send them in `contents` instead")?;
        }
    }
    Ok(())
}

fn read_turns(contents: Vec<wire::Content>, messages: &mut Vec<Message>) -> Result<(), Invalid> {
    let mut calls = Calls::default();
    for (turn, content) in contents.into_iter().enumerate() {
        let role = match content.role.as_deref() {
            None | Some("" | "user" | "function") => Role::User,
            Some("model") => Role::Assistant,
            Some(other) => {
                return Err(Invalid::new(
                    format!("contents[{turn}].role"),
                    format!("expected `user` or `model`, found `{other}`"),
                ));
            }
        };
        let mut parts = Vec::with_capacity(content.parts.len());
        for (index, wire) in content.parts.into_iter().enumerate() {
            part::check(&wire).map_err(|error| error.under(&format!("contents[{turn}].parts[{index}]")))?;
            let mut part = part::read(wire, || format!("call_{turn}_{index}"));
            calls.follow(&mut part, turn, index);
            if is_a_piece(&part) {
                append(&mut parts, part);
            } else {
                parts.push(part);
            }
        }
        match messages.last_mut() {
            // A history that was put together from a stream has one turn per chunk.
            Some(last) if role == Role::Assistant && last.role == Role::Assistant => {
                parts.into_iter().for_each(|part| append(&mut last.parts, part));
            }
            _ => messages.push(Message::new(role, parts)),
        }
    }
    Ok(())
}

/// Adds a part of a streamed turn: pieces of text and of thinking, and the signature that follows them, are one.
fn append(parts: &mut Vec<Part>, part: Part) {
    match (parts.last_mut(), part) {
        (Some(Part::Text(before)), Part::Text(text))
            if before.seal.is_none() && before.extra == text.extra =>
        {
            before.text.push_str(&text.text);
            before.seal = text.seal;
        }
        (Some(Part::Reasoning(before)), Part::Reasoning(more))
            if before.seal.is_none() && before.extra == more.extra =>
        {
            before.text.push_str(&more.text);
            before.seal = more.seal;
        }
        (_, part) => parts.push(part),
    }
}

/// Whether a part goes on with what the part before it began. Clients that put a turn together from a stream keep a
/// thought in the pieces in which it came, and its signature, which is over the whole of it, with the last one. Texts
/// are the client's own division, except for a signature in a part of its own.
fn is_a_piece(part: &Part) -> bool {
    match part {
        Part::Text(text) => text.text.is_empty() && text.seal.is_some(),
        // What the provider hid is a thought by itself.
        Part::Reasoning(Reasoning { seal, .. }) => {
            seal.as_ref().is_none_or(|seal| seal.kind != SealKind::Redacted)
        }
        _ => false,
    }
}

/// Function calls that wait for their results, by name. Before Gemini 3 results name only the function.
#[derive(Default)]
struct Calls(HashMap<String, VecDeque<String>>);

impl Calls {
    fn follow(&mut self, part: &mut Part, turn: usize, index: usize) {
        match part {
            Part::ToolCall(call) => self.0.entry(call.name.clone()).or_default().push_back(call.id.clone()),
            Part::ToolResult(result) => {
                let waiting = result.name.as_ref().and_then(|name| self.0.get_mut(name));
                if result.call_id.is_empty() {
                    let oldest = waiting.and_then(VecDeque::pop_front);
                    result.call_id = oldest.unwrap_or_else(|| format!("call_{turn}_{index}"));
                } else if let Some(waiting) = waiting {
                    waiting.retain(|id| *id != result.call_id);
                }
            }
            _ => {}
        }
    }
}

fn read_tool(tool: wire::Tool, tools: &mut Vec<Tool>) {
    tools.extend(tool.function_declarations.into_iter().map(|function| {
        Tool::Function(FunctionTool {
            name: function.name,
            description: function.description,
            parameters: function
                .parameters_json_schema
                .or_else(|| function.parameters.map(schema::from_google)),
            extra: function.extra,
            ..FunctionTool::default()
        })
    }));
    if let Some(mut extra) = tool.google_search {
        let blocked = extra.remove("excludeDomains").or_else(|| extra.remove("exclude_domains"));
        let blocked_domains = blocked.and_then(|list| serde_json::from_value(list).ok()).unwrap_or_default();
        tools.push(Tool::WebSearch(WebSearch { blocked_domains, extra, ..WebSearch::default() }));
    }
    tools.extend(tool.code_execution.map(Tool::CodeExecution));
    tools.extend(tool.url_context.map(Tool::UrlFetch));
    tools.extend(tool.extra.into_iter().map(|(name, value)| Tool::Opaque(json!({name: value}))));
}

fn read_tool_config(config: wire::ToolConfig, request: &mut Request) {
    let mut rest = config.extra;
    if let Some(calling) = config.function_calling_config {
        let names = calling.allowed_function_names;
        request.tool_choice = match (calling.mode.as_deref(), names.as_slice()) {
            (Some("NONE"), _) => Some(ToolChoice::None),
            (Some("ANY"), []) => Some(ToolChoice::Required),
            (Some("ANY"), [only]) => Some(ToolChoice::Function(only.clone())),
            (Some("ANY"), _) => Some(ToolChoice::Allowed { names, required: true }),
            (Some("VALIDATED"), [_, ..]) => Some(ToolChoice::Allowed { names, required: false }),
            (Some("AUTO"), _) => Some(ToolChoice::Auto),
            (Some(mode), _) => {
                // VALIDATED is AUTO with arguments that match their schema.
                rest.insert("functionCallingConfig".to_owned(), json!({"mode": mode}));
                Some(ToolChoice::Auto)
            }
            (None, _) => None,
        };
    }
    if !rest.is_empty() {
        request.extra.insert("toolConfig".to_owned(), Value::Object(rest));
    }
}

fn read_generation_config(config: wire::GenerationConfig, request: &mut Request) {
    let mut rest = config.extra;
    request.sampling = Sampling {
        temperature: config.temperature,
        top_p: config.top_p,
        top_k: config.top_k,
        frequency_penalty: config.frequency_penalty,
        presence_penalty: config.presence_penalty,
        seed: config.seed,
        logit_bias: None,
        stop: config.stop_sequences,
        n: config.candidate_count,
        logprobs: config.response_logprobs,
        top_logprobs: config.logprobs,
    };
    request.max_output_tokens = config.max_output_tokens;
    let schema = config.response_json_schema.or_else(|| config.response_schema.map(schema::from_google));
    request.output_format = match (config.response_mime_type.as_deref(), schema) {
        (Some("application/json") | None, Some(schema)) => {
            Some(OutputFormat::JsonSchema(JsonSchema { schema: Some(schema), ..JsonSchema::default() }))
        }
        (Some("application/json"), None) => Some(OutputFormat::JsonObject),
        (Some("text/plain"), None) => Some(OutputFormat::Text),
        (Some(other), None) => Some(OutputFormat::Opaque(json!({"responseMimeType": other}))),
        (Some(other), Some(schema)) => {
            Some(OutputFormat::Opaque(json!({"responseMimeType": other, "responseSchema": schema})))
        }
        (None, None) => None,
    };
    for modality in config.response_modalities {
        match modality.to_ascii_uppercase().as_str() {
            "AUDIO" => request.modalities.push(Modality::Audio),
            "IMAGE" => request.modalities.push(Modality::Image),
            _ => request.modalities.push(Modality::Text),
        }
    }
    if let Some(speech) = config.speech_config {
        let voice = voice(&speech);
        if voice.as_ref().map(part::one_voice).as_ref() != Some(&speech) {
            rest.insert("speechConfig".to_owned(), speech);
        }
        request.audio = Some(AudioOutput { voice, format: None });
    }
    if let Some(resolution) = config.media_resolution {
        rest.insert("mediaResolution".to_owned(), Value::String(resolution));
    }
    if let Some(thinking) = config.thinking_config {
        request.reasoning = read_thinking(&thinking);
    }
    if !rest.is_empty() {
        request.extra.insert("generationConfig".to_owned(), Value::Object(rest));
    }
}

/// The one voice of an answer; several speakers have no counterpart elsewhere.
fn voice(speech: &Value) -> Option<Value> {
    let field =
        |value: &Value, camel: &str, snake: &str| value.get(camel).or_else(|| value.get(snake)).cloned();
    let config = field(speech, "voiceConfig", "voice_config")?;
    field(&field(&config, "prebuiltVoiceConfig", "prebuilt_voice_config")?, "voiceName", "voice_name")
}

fn read_thinking(config: &wire::ThinkingConfig) -> ReasoningRequest {
    ReasoningRequest {
        effort: config.thinking_level.as_deref().map(|level| Effort::from_name(&level.to_ascii_lowercase())),
        thinking: config.thinking_budget.map(|budget| match u64::try_from(budget) {
            Ok(0) => Thinking::Disabled,
            Ok(budget) => Thinking::Budget(budget),
            Err(_) => Thinking::Adaptive,
        }),
        summary: config
            .include_thoughts
            .map(|shown| if shown { ReasoningSummary::Auto } else { ReasoningSummary::Omitted }),
        encrypted: false,
    }
}

/// An object from `extra`, where the reader keeps what an inner object said beyond the model.
pub(super) fn inner(extra: &Extra, name: &str) -> Extra {
    extra.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
}
