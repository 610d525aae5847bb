//! Requests: read from a client, written for a provider.

use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use super::adapt::is_openai_model;
use super::message;
use super::{media, wire};
use crate::Dialect;
use crate::conversation::{
    AudioOutput, CustomTool, Effort, Extra, FunctionTool, JsonSchema, Message, Modality, OutputFormat, Part,
    ReasoningRequest, ReasoningSummary, Request, Role, Sampling, StreamOptions, Thinking, Tool, ToolChoice,
    ToolResult, WebSearch,
};
use crate::document::Document;
use crate::error::{CannotSay, Invalid};
use crate::exchange::Target;
use crate::json;
use crate::loss::{Change, Losses};
use crate::quirk::{NamedQuirk, Quirk};
use crate::shape::{self, Shape};

/// The fields of a request that [`Request`] has a place for, and those whose type is checked on the way through.
const FIELDS: &[(&str, Shape)] = &[
    ("audio", Shape::Object),
    ("frequency_penalty", Shape::Number),
    ("function_call", Shape::TextOrObject),
    ("functions", Shape::List),
    ("logit_bias", Shape::Object),
    ("logprobs", Shape::Flag),
    ("max_completion_tokens", Shape::Number),
    ("max_tokens", Shape::Number),
    ("messages", Shape::List),
    ("metadata", Shape::Object),
    ("modalities", Shape::List),
    ("model", Shape::Text),
    ("n", Shape::Number),
    ("parallel_tool_calls", Shape::Flag),
    ("presence_penalty", Shape::Number),
    ("prompt_cache_key", Shape::Text),
    ("reasoning_effort", Shape::TextOrObject),
    ("response_format", Shape::Object),
    ("seed", Shape::Number),
    ("service_tier", Shape::Text),
    ("stop", Shape::TextOrList),
    ("stream", Shape::Flag),
    ("stream_options", Shape::Object),
    ("temperature", Shape::Number),
    ("thinking", Shape::Object),
    ("tool_choice", Shape::TextOrObject),
    ("tools", Shape::List),
    ("top_k", Shape::Number),
    ("top_logprobs", Shape::Number),
    ("top_p", Shape::Number),
    ("user", Shape::Text),
    ("web_search_options", Shape::Object),
];

/// Fields that stay in `extra`, and whose type is checked.
const EXTRA_FIELDS: &[(&str, Shape)] = &[
    ("prediction", Shape::Object),
    ("prompt_cache_retention", Shape::Text),
    ("safety_identifier", Shape::Text),
    ("store", Shape::Flag),
    ("verbosity", Shape::Text),
];

/// Fields beyond the conversation model that OpenAI has in both of its APIs.
const SHARED_WITH_RESPONSES: [&str; 3] = ["prompt_cache_retention", "safety_identifier", "store"];

/// See [`Codec::check_request`](crate::codec::Codec::check_request).
pub(super) fn check(document: &Document<'_>) -> Result<(), Invalid> {
    if !document.has("messages") {
        return Err(Invalid::new("messages", "Missing required parameter: 'messages'."));
    }
    shape::check(document, |name| shape::listed(FIELDS, name).or_else(|| shape::listed(EXTRA_FIELDS, name)))
}

/// See [`Codec::read_request`](crate::codec::Codec::read_request).
pub(super) fn read(document: &Document<'_>) -> Result<Request, Invalid> {
    check(document)?;
    let wire_messages: Vec<wire::Message> = field(document, "messages")?.unwrap_or_default();
    let model = document.text("model")?.unwrap_or_default().into_owned();
    let mut request = Request::new(Dialect::OpenaiChat, model, read_messages(wire_messages)?);
    request.tools = read_tools(document)?;
    request.tool_choice = read_tool_choice(document)?;
    request.parallel_tool_calls = field(document, "parallel_tool_calls")?;
    request.output_format = read_output_format(document)?;
    request.sampling = read_sampling(document)?;
    request.max_output_tokens = match field(document, "max_completion_tokens")? {
        Some(tokens) => Some(tokens),
        None => field(document, "max_tokens")?,
    };
    request.reasoning = read_reasoning(document)?;
    request.modalities = read_modalities(document)?;
    request.audio = field(document, "audio")?
        .map(|audio: wire::AudioOutput| AudioOutput { voice: audio.voice, format: audio.format });
    if document.flag("stream")? == Some(true) {
        let options: wire::StreamOptions = field(document, "stream_options")?.unwrap_or_default();
        let include_usage = options.include_usage.unwrap_or(false);
        request.stream = Some(StreamOptions { include_usage, extra: options.extra });
    }
    request.user = field(document, "user")?;
    request.metadata = field(document, "metadata")?;
    request.service_tier = field(document, "service_tier")?;
    request.prompt_cache_key = field(document, "prompt_cache_key")?;
    for name in document.names() {
        if FIELDS.iter().all(|(known, _)| *known != name)
            && let Some(value) = document.value(name)
            && !value.is_null()
        {
            request.extra.insert(name.to_owned(), value);
        }
    }
    Ok(request)
}

/// Reads one field; the error names it from the top of the body.
fn field<T: DeserializeOwned>(document: &Document<'_>, name: &str) -> Result<Option<T>, Invalid> {
    match document.get(name) {
        None | Some("null") => Ok(None),
        Some(text) => json::read(text.as_bytes()).map(Some).map_err(|error| error.under(name)),
    }
}

fn read_messages(messages: Vec<wire::Message>) -> Result<Vec<Message>, Invalid> {
    // Results of the deprecated `functions` name the function, not the call.
    let mut function_calls: Vec<(String, String)> = Vec::new();
    let mut read = Vec::with_capacity(messages.len());
    for (index, message) in messages.into_iter().enumerate() {
        let path = format!("messages[{index}]");
        let message = read_message(message, index, &mut function_calls);
        read.push(message.map_err(|error| error.under(&path))?);
    }
    Ok(read)
}

fn read_message(
    mut message: wire::Message,
    index: usize,
    function_calls: &mut Vec<(String, String)>,
) -> Result<Message, Invalid> {
    let name = message.name.take();
    let extra = std::mem::take(&mut message.extra);
    let Some(role) = message.role.as_deref() else {
        return Err(Invalid::new("role", "a message needs a `role`"));
    };
    let role = match role {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => {
            message::check_history(&message)?;
            let legacy = message.function_call.as_ref().and_then(|call| call.name.clone());
            let parts = message::read_assistant(message, &format!("m{index}"))?;
            if let (Some(name), Some(Part::ToolCall(call))) = (legacy, parts.last()) {
                function_calls.push((name, call.id.clone()));
            }
            return Ok(Message { role: Role::Assistant, parts, name, extra });
        }
        "tool" | "function" => Role::Tool,
        other => {
            let known = "`system`, `developer`, `user`, `assistant`, `tool` or `function`";
            return Err(Invalid::new("role", format!("unknown role `{other}`; expected {known}")));
        }
    };
    let cache = message.cache_control.as_ref().and_then(media::read_cache);
    let legacy = message.role.as_deref() == Some("function");
    // A deprecated `function` message may say `null`, and an assistant's says nothing beside its calls.
    if message.content.is_none() && !legacy {
        return Err(Invalid::new("content", "the field is required: a string or an array of content parts"));
    }
    let call_id = message.tool_call_id.take();
    let mut parts = message::read_content(message.content)?;
    let mut name = name;
    if role == Role::Tool {
        let call_id = match call_id {
            Some(id) => message::split_id(&id).0,
            None if legacy => {
                let named = |(called, _): &&(String, String)| Some(called) == name.as_ref();
                function_calls.iter().rev().find(named).map(|(_, id)| id.clone()).unwrap_or_default()
            }
            None => return Err(Invalid::new("tool_call_id", "a tool's answer needs the id of the call")),
        };
        parts = vec![Part::ToolResult(ToolResult {
            call_id,
            name: name.take(),
            parts,
            is_error: false,
            cache: None,
            extra: Extra::new(),
        })];
    }
    if let Some(cache) = cache {
        message::mark(&mut parts, cache);
    }
    Ok(Message { role, parts, name, extra })
}

fn read_tools(document: &Document<'_>) -> Result<Vec<Tool>, Invalid> {
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
            Ok(Tool::WebSearch(read_web_search(kind, &tool.extra)))
        }
        Some(kind) if kind.starts_with("code_execution") => Ok(Tool::CodeExecution(tool.extra)),
        Some(kind) if kind.starts_with("web_fetch") => Ok(Tool::UrlFetch(tool.extra)),
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

fn read_function(
    function: wire::FunctionTool,
    cache: Option<crate::conversation::CacheMarker>,
) -> FunctionTool {
    FunctionTool {
        name: function.name,
        description: function.description,
        parameters: function.parameters,
        strict: function.strict,
        cache: cache.or_else(|| function.cache_control.as_ref().and_then(media::read_cache)),
        extra: function.extra,
    }
}

fn read_web_search(kind: &str, fields: &Extra) -> WebSearch {
    let domains = |name: &str| -> Vec<String> {
        let list = fields.get(name).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let location = fields.get("user_location").and_then(Value::as_object).cloned().map(|mut location| {
        location.shift_remove("type");
        location
    });
    WebSearch {
        max_uses: fields.get("max_uses").and_then(Value::as_u64),
        context_size: fields.get("search_context_size").and_then(Value::as_str).map(str::to_owned),
        allowed_domains: domains("allowed_domains"),
        blocked_domains: domains("blocked_domains"),
        location,
        version: Some(kind.to_owned()),
        ..WebSearch::default()
    }
}

fn read_tool_choice(document: &Document<'_>) -> Result<Option<ToolChoice>, Invalid> {
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

fn read_output_format(document: &Document<'_>) -> Result<Option<OutputFormat>, Invalid> {
    let Some(format) = field::<Extra>(document, "response_format")? else { return Ok(None) };
    let format = match format.get("type").and_then(Value::as_str) {
        Some("text") => OutputFormat::Text,
        Some("json_object") => OutputFormat::JsonObject,
        Some("json_schema") => {
            let Some(schema) = format.get("json_schema") else {
                return Err(Invalid::new("response_format.json_schema", "the schema is missing"));
            };
            let text = |name: &str| schema.get(name).and_then(Value::as_str).map(str::to_owned);
            OutputFormat::JsonSchema(JsonSchema {
                name: text("name").unwrap_or_default(),
                description: text("description"),
                schema: schema.get("schema").cloned(),
                strict: schema.get("strict").and_then(Value::as_bool),
            })
        }
        Some(_) => OutputFormat::Opaque(Value::Object(format)),
        None => {
            let message = "say which format: `text`, `json_object` or `json_schema`";
            return Err(Invalid::new("response_format.type", message));
        }
    };
    Ok(Some(format))
}

fn read_sampling(document: &Document<'_>) -> Result<Sampling, Invalid> {
    let number = |name: &str| field::<Number>(document, name);
    let stop = match document.get("stop") {
        None | Some("null") => Vec::new(),
        Some(text) if text.starts_with('"') => field::<String>(document, "stop")?.into_iter().collect(),
        Some(_) => field(document, "stop")?.unwrap_or_default(),
    };
    Ok(Sampling {
        temperature: number("temperature")?,
        top_p: number("top_p")?,
        top_k: number("top_k")?,
        frequency_penalty: number("frequency_penalty")?,
        presence_penalty: number("presence_penalty")?,
        seed: number("seed")?,
        logit_bias: field(document, "logit_bias")?,
        stop,
        n: field(document, "n")?,
        logprobs: field(document, "logprobs")?,
        top_logprobs: field(document, "top_logprobs")?,
    })
}

fn read_reasoning(document: &Document<'_>) -> Result<ReasoningRequest, Invalid> {
    let mut reasoning = ReasoningRequest::default();
    match document.value("reasoning_effort") {
        Some(Value::String(effort)) => reasoning.effort = Some(Effort::from_name(&effort)),
        // LiteLLM takes the object of OpenAI Responses here.
        Some(Value::Object(fields)) => {
            reasoning.effort = fields.get("effort").and_then(Value::as_str).map(Effort::from_name);
            reasoning.summary = match fields.get("summary").and_then(Value::as_str) {
                Some("auto") => Some(ReasoningSummary::Auto),
                Some("concise") => Some(ReasoningSummary::Concise),
                Some("detailed") => Some(ReasoningSummary::Detailed),
                _ => None,
            };
        }
        _ => {}
    }
    if let Some(thinking) = field::<wire::Thinking>(document, "thinking")? {
        reasoning.thinking = Some(match (thinking.kind.as_str(), thinking.budget_tokens) {
            ("", _) => {
                let message = "say how to think: `enabled`, `adaptive` or `disabled`";
                return Err(Invalid::new("thinking.type", message));
            }
            ("disabled", _) => Thinking::Disabled,
            ("adaptive", _) | (_, None) => Thinking::Adaptive,
            (_, Some(budget)) => Thinking::Budget(budget),
        });
    }
    Ok(reasoning)
}

fn read_modalities(document: &Document<'_>) -> Result<Vec<Modality>, Invalid> {
    let names: Vec<String> = field(document, "modalities")?.unwrap_or_default();
    names
        .iter()
        .enumerate()
        .map(|(index, name)| match name.as_str() {
            "text" => Ok(Modality::Text),
            "audio" => Ok(Modality::Audio),
            "image" => Ok(Modality::Image),
            other => {
                let message = format!("expected `text`, `audio` or `image`, found `{other}`");
                Err(Invalid::new(format!("modalities[{index}]"), message))
            }
        })
        .collect()
}

/// See [`Codec::write_request`](crate::codec::Codec::write_request).
pub(super) fn write(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<u8>, CannotSay> {
    let own = request.dialect == Dialect::OpenaiChat;
    let mut body = wire::Request {
        model: request.model.clone(),
        messages: write_messages(request, target, losses)?,
        tool_choice: write_tool_choice(request, losses)?,
        parallel_tool_calls: request.parallel_tool_calls,
        response_format: write_output_format(request, own, losses)?,
        max_tokens: request.max_output_tokens,
        temperature: request.sampling.temperature.clone(),
        top_p: request.sampling.top_p.clone(),
        top_k: request.sampling.top_k.clone(),
        frequency_penalty: request.sampling.frequency_penalty.clone(),
        presence_penalty: request.sampling.presence_penalty.clone(),
        seed: request.sampling.seed.clone(),
        logit_bias: request.sampling.logit_bias.clone(),
        stop: request.sampling.stop.clone(),
        n: request.sampling.n,
        logprobs: request.sampling.logprobs,
        top_logprobs: request.sampling.top_logprobs,
        modalities: write_modalities(request),
        audio: write_audio_output(request, target, losses)?,
        user: request.user.clone(),
        metadata: request.metadata.clone(),
        service_tier: request.service_tier.as_deref().map(write_service_tier),
        prompt_cache_key: request.prompt_cache_key.clone(),
        stream: request.stream.is_some(),
        stream_options: request.stream.as_ref().map(|options| wire::StreamOptions {
            include_usage: options.include_usage.then_some(true),
            extra: if own { options.extra.clone() } else { Extra::new() },
        }),
        extra: if own { request.extra.clone() } else { Extra::new() },
        ..wire::Request::default()
    };
    if body.top_k.is_some() && is_openai_model(target.model) {
        losses.cannot_carry("top_k", "OpenAI's models take no `top_k`")?;
        body.top_k = None;
    }
    if !own {
        body.extra = carry_extra(request, target, losses);
    }
    write_tools(request, own, &mut body, losses)?;
    write_reasoning(request, own, target, &mut body, losses);
    // Maps with text keys and JSON values only: this cannot fail.
    Ok(serde_json::to_vec(&body).unwrap_or_default())
}

/// What OpenAI's models are asked by OpenAI Responses in other places, or under the same name. Other providers of
/// this dialect may refuse fields that they do not know.
fn carry_extra(request: &Request, target: &Target<'_>, losses: &mut Losses) -> Extra {
    let shared = request.dialect == Dialect::OpenaiResponses && is_openai_model(target.model);
    let mut carried = Extra::new();
    for (name, value) in &request.extra {
        match value.get("verbosity") {
            Some(verbosity) if shared && name == "text" => {
                carried.insert("verbosity".to_owned(), verbosity.clone());
            }
            _ if shared && SHARED_WITH_RESPONSES.contains(&name.as_str()) => {
                carried.insert(name.clone(), value.clone());
            }
            _ if losses.has_dropped(name) => {}
            _ => losses.note(name, Change::Dropped, "OpenAI Chat Completions has no such field"),
        }
    }
    carried
}

fn write_service_tier(tier: &str) -> String {
    // Anthropic's opposite of `auto`, and its name for the ordinary tier.
    if matches!(tier, "standard_only" | "standard") { "default".to_owned() } else { tier.to_owned() }
}

fn write_modalities(request: &Request) -> Vec<String> {
    let name = |modality: &Modality| match modality {
        Modality::Text => "text",
        Modality::Audio => "audio",
        Modality::Image => "image",
    };
    let mut names: Vec<String> =
        request.modalities.iter().map(|modality| name(modality).to_owned()).collect();
    // OpenAI's models speak and write at once, Gemini's only speak.
    if request.dialect == Dialect::Gemini && names == ["audio"] {
        names.insert(0, "text".to_owned());
    }
    names
}

/// The voices of OpenAI's models: <https://platform.openai.com/docs/guides/text-to-speech#voice-options>.
const VOICES: [&str; 13] = [
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer",
    "verse",
];

/// How spoken answers sound. Gemini names no format, since it knows one, and has voices of its own.
fn write_audio_output(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Option<wire::AudioOutput>, CannotSay> {
    let foreign = request.dialect == Dialect::Gemini;
    let speaks = request.modalities.contains(&Modality::Audio);
    let audio = match &request.audio {
        Some(audio) => audio,
        None if foreign && speaks => &AudioOutput::default(),
        None => return Ok(None),
    };
    let mut written = wire::AudioOutput { voice: audio.voice.clone(), format: audio.format.clone() };
    if foreign {
        written.format.get_or_insert_with(|| "pcm16".to_owned());
        if let Some(voice) = &audio.voice
            && is_openai_model(target.model)
            && !voice.as_str().is_some_and(|voice| VOICES.contains(&voice))
        {
            let why = format!("OpenAI has no voice {voice}; its voices are `{}`", VOICES.join("`, `"));
            losses.cannot_carry("generationConfig.speechConfig", why)?;
            written.voice = None;
        }
        written.voice.get_or_insert_with(|| Value::from("alloy"));
    }
    Ok(Some(written))
}

fn write_messages(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<wire::Message>, CannotSay> {
    let own = request.dialect == Dialect::OpenaiChat;
    let fetches_files = own || target.has(&Quirk::Named(NamedQuirk::DocumentsAreAddresses));
    let turns = Turns { own, fetches_files };
    let mut messages = Vec::with_capacity(request.messages.len());
    for (index, message) in request.messages.iter().enumerate() {
        let path = format!("messages[{index}]");
        let first = messages.len();
        match message.role {
            Role::Assistant => {
                let keep = own || target.has(&Quirk::WantsReasoningHistory);
                let turn = write_history(&message.parts, own, keep, &path, losses)?;
                // Of what could be carried nothing is left, and OpenAI refuses a turn that says nothing.
                if own || message.parts.is_empty() || says_something(&turn) {
                    messages.push(turn);
                }
            }
            Role::System => turns.write("system", &message.parts, &path, &mut messages, losses)?,
            Role::Developer => turns.write("developer", &message.parts, &path, &mut messages, losses)?,
            Role::User | Role::Tool => turns.write("user", &message.parts, &path, &mut messages, losses)?,
        }
        for written in messages.iter_mut().skip(first) {
            if written.role.as_deref() != Some("tool") {
                written.name.clone_from(&message.name);
            }
            if own {
                written.extra.extend(message.extra.clone());
            }
        }
    }
    Ok(messages)
}

fn says_something(turn: &wire::Message) -> bool {
    turn.content.is_some()
        || turn.refusal.is_some()
        || turn.tool_calls.is_some()
        || turn.audio.is_some()
        || turn.reasoning_content.is_some()
}

/// An assistant turn of the history. Reasoning of another dialect is of no use to a provider that does not ask for
/// it, and strict ones refuse the fields.
fn write_history(
    parts: &[Part],
    own: bool,
    keep_reasoning: bool,
    path: &str,
    losses: &mut Losses,
) -> Result<wire::Message, CannotSay> {
    let ours = |part: &Part| match part {
        Part::Reasoning(reasoning) => {
            reasoning.seal.as_ref().is_some_and(|seal| seal.dialect == Dialect::OpenaiChat)
        }
        _ => true,
    };
    let kept: Vec<Part>;
    let mut written = parts;
    if !keep_reasoning && !parts.iter().all(ours) {
        kept = parts.iter().filter(|part| ours(part)).cloned().collect();
        written = &kept;
        losses.note(path, Change::Dropped, "earlier reasoning, which this provider does not take back");
    }
    let (mut message, homeless) = message::write_assistant(written, own);
    for part in homeless {
        losses.cannot_carry(path, cannot_hold("an assistant turn", part))?;
    }
    if !own {
        // What only answers have.
        message.annotations = None;
        message.provider_specific_fields = None;
        if message.images.take().is_some() {
            losses.cannot_carry(path, "an assistant turn of OpenAI Chat Completions holds no images")?;
        }
    }
    Ok(message)
}

fn cannot_hold(place: &str, part: &Part) -> String {
    let what = match part {
        Part::Text(_) => "text",
        Part::Media(_) => "media",
        Part::ToolCall(_) => "tool calls",
        Part::ToolResult(_) => "tool results",
        Part::Reasoning(_) => "reasoning",
        Part::Refusal(_) => "refusals",
        Part::Opaque(opaque) => {
            let dialect = opaque.dialect;
            return format!("{place} of OpenAI Chat Completions holds no parts that only {dialect} knows");
        }
    };
    format!("{place} of OpenAI Chat Completions holds no {what}")
}

/// How turns are written, other than the assistant's.
struct Turns {
    /// The request speaks this dialect itself.
    own: bool,
    /// Files may be named by their address.
    fetches_files: bool,
}

impl Turns {
    /// Results of tools become messages of their own, in their place.
    fn write(
        &self,
        role: &str,
        parts: &[Part],
        path: &str,
        messages: &mut Vec<wire::Message>,
        losses: &mut Losses,
    ) -> Result<(), CannotSay> {
        let mut content = Vec::new();
        for part in parts {
            if let Part::ToolResult(result) = part {
                flush(role, &mut content, messages);
                messages.push(self.tool_result(result, path, losses)?);
                continue;
            }
            self.part(part, "such a turn", path, &mut content, losses)?;
        }
        flush(role, &mut content, messages);
        if parts.is_empty() {
            let content = Some(wire::Content::Text(String::new()));
            messages.push(wire::Message { role: Some(role.to_owned()), content, ..wire::Message::default() });
        }
        Ok(())
    }

    fn part(
        &self,
        part: &Part,
        place: &str,
        path: &str,
        content: &mut Vec<wire::ContentPart>,
        losses: &mut Losses,
    ) -> Result<(), CannotSay> {
        if !self.fetches_files && media::is_file_by_address(part) {
            let why = "OpenAI Chat Completions takes files as data or by the id of an upload, not by address";
            return losses.cannot_carry(format!("{path}.content.file"), why);
        }
        match media::write_part(part, self.own) {
            Some(part) => content.push(part),
            None => losses.cannot_carry(path, cannot_hold(place, part))?,
        }
        Ok(())
    }

    fn tool_result(
        &self,
        result: &ToolResult,
        path: &str,
        losses: &mut Losses,
    ) -> Result<wire::Message, CannotSay> {
        let mut content = Vec::new();
        for part in &result.parts {
            self.part(part, "a tool result", path, &mut content, losses)?;
        }
        if result.is_error {
            losses.note(path, Change::Dropped, "the mark that the tool failed; its text says so");
        }
        Ok(wire::Message {
            role: Some("tool".to_owned()),
            tool_call_id: Some(result.call_id.clone()),
            name: if self.own { result.name.clone() } else { None },
            content: Some(write_content(content)),
            cache_control: result.cache.map(media::write_cache),
            extra: if self.own { result.extra.clone() } else { Extra::new() },
            ..wire::Message::default()
        })
    }
}

fn flush(role: &str, content: &mut Vec<wire::ContentPart>, messages: &mut Vec<wire::Message>) {
    if content.is_empty() {
        return;
    }
    let content = Some(write_content(std::mem::take(content)));
    messages.push(wire::Message { role: Some(role.to_owned()), content, ..wire::Message::default() });
}

/// One plain text as a string, which every server understands; anything else as parts.
fn write_content(mut parts: Vec<wire::ContentPart>) -> wire::Content {
    match parts.as_mut_slice() {
        [] => wire::Content::Text(String::new()),
        [wire::ContentPart { kind, text: Some(text), cache_control: None, extra, .. }]
            if kind == "text" && extra.is_empty() =>
        {
            wire::Content::Text(std::mem::take(text))
        }
        _ => wire::Content::Parts(parts),
    }
}

fn write_tools(
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

fn write_tool_choice(request: &Request, losses: &mut Losses) -> Result<Option<wire::ToolChoice>, CannotSay> {
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

fn write_output_format(
    request: &Request,
    own: bool,
    losses: &mut Losses,
) -> Result<Option<Value>, CannotSay> {
    Ok(match &request.output_format {
        None => None,
        Some(OutputFormat::Text) => own.then(|| serde_json::json!({"type": "text"})),
        Some(OutputFormat::JsonObject) => Some(serde_json::json!({"type": "json_object"})),
        Some(OutputFormat::JsonSchema(schema)) => {
            let mut inner = Map::new();
            let name = if schema.name.is_empty() { "response" } else { &schema.name };
            inner.insert("name".to_owned(), Value::from(name));
            if let Some(description) = &schema.description {
                inner.insert("description".to_owned(), Value::from(description.as_str()));
            }
            if let Some(schema) = &schema.schema {
                inner.insert("schema".to_owned(), schema.clone());
            }
            if let Some(strict) = schema.strict {
                inner.insert("strict".to_owned(), Value::from(strict));
            }
            Some(serde_json::json!({"type": "json_schema", "json_schema": inner}))
        }
        Some(OutputFormat::Opaque(value)) if own => Some(value.clone()),
        Some(OutputFormat::Opaque(_)) => {
            let why = format!("only {} has this output format", request.dialect);
            losses.cannot_carry("response_format", why)?;
            None
        }
    })
}

fn write_reasoning(
    request: &Request,
    own: bool,
    target: &Target<'_>,
    body: &mut wire::Request,
    losses: &mut Losses,
) {
    let wanted = &request.reasoning;
    let takes_thinking = own
        || target.has(&Quirk::Accepts("thinking".to_owned()))
        || target.has(&Quirk::Named(NamedQuirk::ReasoningIsSwitch));
    body.reasoning_effort = wanted.effort.as_ref().map(|effort| effort.name().to_owned());
    if let Some(thinking) = &wanted.thinking {
        if takes_thinking {
            let (kind, budget_tokens) = match thinking {
                Thinking::Disabled => ("disabled", None),
                Thinking::Adaptive => ("adaptive", None),
                Thinking::Budget(budget) => ("enabled", Some(*budget)),
            };
            body.thinking = Some(wire::Thinking { kind: kind.to_owned(), budget_tokens });
        } else if body.reasoning_effort.is_none() {
            body.reasoning_effort = effort_for(thinking, target).map(|effort| effort.name().to_owned());
        }
    }
    if wanted.encrypted && !own {
        losses.note("reasoning", Change::Dropped, "OpenAI Chat Completions returns no encrypted reasoning");
    }
}

/// The effort that stands for `thinking`; `None` leaves it to the model.
fn effort_for(thinking: &Thinking, target: &Target<'_>) -> Option<Effort> {
    match thinking {
        Thinking::Adaptive => None,
        Thinking::Disabled => {
            (target.facts.supports_none_reasoning_effort == Some(true)).then_some(Effort::None)
        }
        Thinking::Budget(budget) => Some(Effort::from_budget(*budget)),
    }
}
