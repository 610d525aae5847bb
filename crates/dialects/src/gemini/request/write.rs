//! A request for Google, from any dialect.

use std::collections::HashMap;

use serde_json::{Map, Number, Value, json};

use super::read::inner;
use crate::Dialect;
use crate::conversation::{
    Effort, Extra, FunctionTool, JsonSchema, MediaKind, Message, Modality, OutputFormat, Part,
    ReasoningSummary, Request, Role, Thinking, Tool, ToolChoice, WebSearch,
};
use crate::error::CannotSay;
use crate::exchange::Target;
use crate::gemini::model::{Model, ThinkingControl};
use crate::gemini::part::Reader;
use crate::gemini::{part, schema, seal, wire};
use crate::loss::{Change, Losses};
use crate::quirk::Quirk;

/// How many stop sequences Google takes.
const MAX_STOPS: usize = 5;

/// Fields of generateContent that clients of other dialects set beside their own, as LiteLLM's may.
const PASSED: &[(&str, &str)] = &[
    ("safetySettings", "safetySettings"),
    ("safety_settings", "safetySettings"),
    ("cachedContent", "cachedContent"),
    ("cached_content", "cachedContent"),
    ("labels", "labels"),
];

/// Parameters of other dialects that change the answer and that Gemini has no word for.
const UNSAYABLE: &[&str] = &["prediction", "verbosity"];

pub(in crate::gemini) fn write(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<u8>, CannotSay> {
    let mut writer = Writer {
        request,
        target,
        losses,
        model: Model::of(target.model),
        own: request.dialect == Dialect::Gemini,
    };
    let wire = writer.request()?;
    serde_json::to_vec(&wire).map_err(|error| CannotSay {
        param: "messages".to_owned(),
        message: format!("the request cannot be written as JSON: {error}"),
    })
}

struct Writer<'a> {
    request: &'a Request,
    target: &'a Target<'a>,
    losses: &'a mut Losses,
    model: Model,
    /// The request was read from this dialect: what only Gemini knows may be said.
    own: bool,
}

impl Writer<'_> {
    fn request(&mut self) -> Result<wire::Request, CannotSay> {
        let (system_instruction, contents) = self.messages()?;
        let tools = self.tools()?;
        let tool_config = self.tool_config(&tools)?;
        let generation_config =
            Some(self.generation_config()?).filter(|c| *c != wire::GenerationConfig::default());
        let mut extra = self.extra()?;
        let labels = match extra.remove("labels") {
            Some(Value::Object(labels)) => Some(labels),
            _ => self.labels(),
        };
        self.leave_out_quietly();
        Ok(wire::Request {
            model: None,
            contents,
            system_instruction,
            tools,
            tool_config,
            generation_config,
            labels,
            service_tier: self.request.service_tier.as_deref().map(|tier| {
                match tier {
                    "default" | "standard_only" => "standard",
                    // LiteLLM's reading, kept so that a switch does not change the tier that is served.
                    "auto" => "priority",
                    tier => tier,
                }
                .to_owned()
            }),
            extra,
        })
    }

    /// `param` cannot be said; whether it is left out or refused is for the policy to say.
    fn cannot_say(&mut self, param: &str, why: &str) -> Result<(), CannotSay> {
        if self.target.policy.additional_drop_params.iter().any(|dropped| dropped == param) {
            self.losses.note(param, Change::Dropped, "in `additional_drop_params`");
            return Ok(());
        }
        self.losses.cannot_carry(param, why)
    }

    fn messages(&mut self) -> Result<(Option<wire::Content>, Vec<wire::Content>), CannotSay> {
        let mut system = Vec::new();
        let mut turns = Turns { list: Vec::new() };
        let mut names: HashMap<&str, &str> = HashMap::new();
        let request = self.request;
        for (index, message) in request.messages.iter().enumerate() {
            match message.role {
                Role::System | Role::Developer => self.system(message, &mut system)?,
                Role::Assistant => self.assistant(index, message, &mut turns, &mut names)?,
                Role::User | Role::Tool => self.user(index, message, &mut turns, &names)?,
            }
        }
        if turns.list.is_empty() {
            // Google demands a turn. These are the ones that LiteLLM sends.
            let filler = if system.is_empty() { " " } else { "." };
            turns.push("user", text_part(filler));
        }
        let system = (!system.is_empty()).then_some(wire::Content { role: None, parts: system });
        Ok((system, turns.list))
    }

    /// System prompts have one place, wherever in the conversation they stood.
    fn system(&mut self, message: &Message, out: &mut Vec<wire::Part>) -> Result<(), CannotSay> {
        for part in &message.parts {
            match part {
                Part::Text(text) if text.text.is_empty() => {}
                Part::Text(_) => out.extend(part::write(part, self.request.dialect, self.reader())),
                _ => self.cannot_say("messages", "a system prompt of Gemini holds text only")?,
            }
        }
        Ok(())
    }

    fn assistant<'m>(
        &mut self,
        index: usize,
        message: &'m Message,
        turns: &mut Turns,
        names: &mut HashMap<&'m str, &'m str>,
    ) -> Result<(), CannotSay> {
        let mut calls = 0;
        for part in &message.parts {
            if let Part::ToolCall(call) = part {
                names.insert(&call.id, &call.name);
                if part::arguments(call).is_none() {
                    self.cannot_say(
                        &format!("messages[{index}].tool_calls[{calls}].function.arguments"),
                        "the arguments are not a JSON object, as Gemini demands of every function call",
                    )?;
                }
                calls += 1;
            }
            let Some(mut written) = part::write(part, self.request.dialect, self.reader()) else {
                self.lose(index, part)?;
                continue;
            };
            // Gemini 3 refuses a step whose first call lacks the signature.
            if calls == 1 && written.function_call.is_some() && self.model.is_3() {
                written.thought_signature.get_or_insert_with(|| seal::DUMMY.to_owned());
            }
            turns.push("model", written);
        }
        Ok(())
    }

    fn user(
        &mut self,
        index: usize,
        message: &Message,
        turns: &mut Turns,
        names: &HashMap<&str, &str>,
    ) -> Result<(), CannotSay> {
        for part in &message.parts {
            if let Part::ToolResult(result) = part {
                let foreign =
                    |part: &&Part| matches!(part, Part::Opaque(opaque) if opaque.dialect != Dialect::Gemini);
                for part in result.parts.iter().filter(foreign) {
                    self.lose(index, part)?;
                }
                let name = match names.get(result.call_id.as_str()).copied().or(result.name.as_deref()) {
                    Some(name) => name,
                    None => {
                        self.cannot_say(
                            &format!("messages[{index}].tool_call_id"),
                            &format!(
                                "no tool call with the id `{}` precedes this result; Gemini needs the function's name",
                                result.call_id
                            ),
                        )?;
                        "unknown_function"
                    }
                };
                turns
                    .push("user", part::result(result, name.to_owned(), self.request.dialect, self.reader()));
            } else if let Some(written) = part::write(part, self.request.dialect, self.reader()) {
                turns.push("user", written);
            } else {
                self.lose(index, part)?;
            }
        }
        if message.parts.is_empty() {
            turns.push("user", text_part(""));
        }
        Ok(())
    }

    fn reader(&self) -> Reader {
        Reader::Google { with_ids: self.model.is_3() }
    }

    /// A part that Gemini has no words for. Reasoning is of use only to the model that thought it.
    fn lose(&mut self, index: usize, part: &Part) -> Result<(), CannotSay> {
        let place = format!("messages[{index}]");
        let what = match part {
            Part::Reasoning(_) => {
                self.losses.note(place, Change::Dropped, "reasoning that only another provider can read");
                return Ok(());
            }
            Part::Opaque(opaque) => {
                let kind = opaque.value.get("type").and_then(Value::as_str).unwrap_or("such a part");
                format!("only {} knows `{kind}`", opaque.dialect)
            }
            Part::Media(_) => "the sound is kept by the provider that made it; send its data".to_owned(),
            _ => "Gemini does not know such a part".to_owned(),
        };
        self.cannot_say(&place, &what)
    }

    fn tools(&mut self) -> Result<Vec<wire::Tool>, CannotSay> {
        let mut functions = Vec::new();
        let mut hosted = Vec::new();
        let own = self.own;
        let fields = |extra: &Extra| if own { extra.clone() } else { Extra::new() };
        for tool in &self.request.tools {
            match tool {
                Tool::Function(tool) => functions.push(self.function(tool)),
                Tool::WebSearch(search) => hosted.push(wire::Tool {
                    google_search: Some(self.web_search(search)?),
                    ..wire::Tool::default()
                }),
                Tool::CodeExecution(extra) => {
                    hosted.push(wire::Tool { code_execution: Some(fields(extra)), ..wire::Tool::default() });
                }
                Tool::UrlFetch(extra) => {
                    hosted.push(wire::Tool { url_context: Some(fields(extra)), ..wire::Tool::default() });
                }
                Tool::Custom(tool) => {
                    if tool
                        .format
                        .as_ref()
                        .is_some_and(|format| format.get("type") != Some(&Value::from("text")))
                    {
                        let why = format!("Gemini cannot hold the input of `{}` to a grammar", tool.name);
                        self.cannot_say("tools", &why)?;
                    }
                    self.losses.note(
                        "tools[].custom",
                        Change::Changed,
                        "free text became the argument `input`",
                    );
                    functions.push(self.function(&tool.as_function()));
                }
                Tool::Opaque(value) if own => hosted.extend(
                    value
                        .as_object()
                        .map(|extra| wire::Tool { extra: extra.clone(), ..wire::Tool::default() }),
                ),
                Tool::Opaque(value) => {
                    let kind = value.get("type").and_then(Value::as_str).unwrap_or("unknown");
                    self.cannot_say("tools", &format!("Gemini has no tool of the type `{kind}`"))?;
                }
            }
        }
        if self.request.parallel_tool_calls == Some(false) {
            if functions.len() > 1 {
                self.cannot_say(
                    "parallel_tool_calls",
                    "Gemini cannot be kept from calling several tools at once",
                )?;
            } else {
                self.losses.note("parallel_tool_calls", Change::Dropped, "Gemini has no such switch");
            }
        }
        let mut tools = Vec::with_capacity(1 + hosted.len());
        if !functions.is_empty() {
            tools.push(wire::Tool { function_declarations: functions, ..wire::Tool::default() });
        }
        tools.extend(hosted);
        Ok(tools)
    }

    /// Functions of other dialects are declared in Google's `Schema`, which every model reads; Gemini's own keep
    /// their JSON Schema.
    fn function(&self, tool: &FunctionTool) -> wire::FunctionDeclaration {
        let keeps_schema = self.own && self.model.takes_json_schema();
        wire::FunctionDeclaration {
            name: tool.name.clone(),
            description: tool.description.clone(),
            parameters: tool
                .parameters
                .as_ref()
                .filter(|_| !keeps_schema)
                .and_then(schema::parameters_to_google),
            parameters_json_schema: tool.parameters.clone().filter(|_| keeps_schema),
            extra: if self.own { tool.extra.clone() } else { Extra::new() },
        }
    }

    fn web_search(&mut self, search: &WebSearch) -> Result<Extra, CannotSay> {
        if !search.allowed_domains.is_empty() {
            self.cannot_say(
                "web_search_options.filters.allowed_domains",
                "Google Search takes no list of allowed sites",
            )?;
        }
        for (name, given) in [
            ("search_context_size", search.context_size.is_some()),
            ("user_location", search.location.is_some()),
            ("max_uses", search.max_uses.is_some()),
        ] {
            if given {
                self.losses.note(
                    format!("web_search_options.{name}"),
                    Change::Dropped,
                    "Google Search decides by itself",
                );
            }
        }
        let mut extra = if self.own { search.extra.clone() } else { Extra::new() };
        if !search.blocked_domains.is_empty() {
            extra.insert("excludeDomains".to_owned(), json!(search.blocked_domains));
        }
        Ok(extra)
    }

    fn tool_config(&mut self, tools: &[wire::Tool]) -> Result<Option<wire::ToolConfig>, CannotSay> {
        let mut extra = if self.own { inner(&self.request.extra, "toolConfig") } else { Extra::new() };
        let kept = extra.remove("functionCallingConfig").and_then(|kept| serde_json::from_value(kept).ok());
        let has_functions = tools.iter().any(|tool| !tool.function_declarations.is_empty());
        let (mode, names) = match &self.request.tool_choice {
            None => (None, Vec::new()),
            Some(ToolChoice::Auto) => (Some("AUTO"), Vec::new()),
            Some(ToolChoice::None) => (Some("NONE"), Vec::new()),
            Some(ToolChoice::Required) => (Some("ANY"), Vec::new()),
            Some(ToolChoice::Function(name) | ToolChoice::Custom(name)) => (Some("ANY"), vec![name.clone()]),
            Some(ToolChoice::Allowed { names, required: true }) => (Some("ANY"), names.clone()),
            Some(ToolChoice::Allowed { names, required: false }) => (Some("VALIDATED"), names.clone()),
            Some(ToolChoice::Opaque(_)) => {
                self.cannot_say("tool_choice", "Gemini can be made to call functions only")?;
                (None, Vec::new())
            }
        };
        if mode.is_some() && !has_functions {
            self.losses.note("tool_choice", Change::Dropped, "there is no function to choose");
        }
        let chosen = mode.filter(|_| has_functions).map(|mode| wire::FunctionCallingConfig {
            mode: Some(mode.to_owned()),
            allowed_function_names: names,
            extra: Extra::new(),
        });
        let function_calling_config = kept.or(chosen);
        Ok((function_calling_config.is_some() || !extra.is_empty())
            .then_some(wire::ToolConfig { function_calling_config, extra }))
    }

    fn generation_config(&mut self) -> Result<wire::GenerationConfig, CannotSay> {
        let request = self.request;
        let sampling = &request.sampling;
        if sampling.logit_bias.is_some() {
            self.cannot_say("logit_bias", "Gemini cannot be told which tokens to prefer")?;
        }
        if sampling.stop.len() > MAX_STOPS {
            self.cannot_say("stop", &format!("Gemini takes {MAX_STOPS} stop sequences"))?;
        }
        // Google advises against any temperature but 1.0 for Gemini 3; LiteLLM sends it where the client set none.
        let default_temperature = || Number::from_f64(1.0).filter(|_| self.model.is_3());
        let mut config = wire::GenerationConfig {
            temperature: sampling.temperature.clone().or_else(default_temperature),
            top_p: sampling.top_p.clone(),
            top_k: sampling.top_k.clone(),
            candidate_count: sampling.n,
            max_output_tokens: request.max_output_tokens,
            stop_sequences: sampling.stop.iter().take(MAX_STOPS).cloned().collect(),
            seed: sampling.seed.clone(),
            presence_penalty: sampling.presence_penalty.clone(),
            frequency_penalty: sampling.frequency_penalty.clone(),
            response_logprobs: sampling.logprobs,
            logprobs: sampling.top_logprobs,
            media_resolution: self.media_resolution(),
            thinking_config: self.thinking()?,
            ..wire::GenerationConfig::default()
        };
        self.output_format(&mut config)?;
        self.modalities(&mut config)?;
        if let Some(Value::Object(extra)) =
            request.extra.get("generationConfig").or_else(|| request.extra.get("generation_config"))
        {
            let mut extra = extra.clone();
            if let Some(Value::String(resolution)) = extra.remove("mediaResolution") {
                config.media_resolution = Some(resolution);
            }
            if let Some(speech) = extra.remove("speechConfig") {
                config.speech_config = Some(speech);
            }
            config.extra = extra;
        }
        Ok(config)
    }

    fn output_format(&mut self, config: &mut wire::GenerationConfig) -> Result<(), CannotSay> {
        const JSON: &str = "application/json";
        match &self.request.output_format {
            None => {}
            Some(OutputFormat::Text) if !self.own => {}
            Some(OutputFormat::Text) => config.response_mime_type = Some("text/plain".to_owned()),
            Some(OutputFormat::JsonObject) => config.response_mime_type = Some(JSON.to_owned()),
            Some(OutputFormat::JsonSchema(JsonSchema { schema, .. })) => {
                config.response_mime_type = Some(JSON.to_owned());
                if self.model.takes_json_schema() {
                    config.response_json_schema.clone_from(schema);
                } else {
                    config.response_schema = schema.as_ref().map(schema::to_google);
                }
            }
            Some(OutputFormat::Opaque(value)) if self.own => {
                let field = |name: &str| value.get(name).cloned();
                config.response_mime_type =
                    field("responseMimeType").and_then(|v| v.as_str().map(str::to_owned));
                config.response_schema = field("responseSchema");
            }
            Some(OutputFormat::Opaque(_)) => {
                self.cannot_say("response_format", "Gemini knows text, JSON and JSON schemas")?;
            }
        }
        Ok(())
    }

    fn modalities(&mut self, config: &mut wire::GenerationConfig) -> Result<(), CannotSay> {
        let names = self.request.modalities.iter().map(|modality| match modality {
            Modality::Text => "TEXT",
            Modality::Audio => "AUDIO",
            Modality::Image => "IMAGE",
        });
        config.response_modalities = names.map(str::to_owned).collect();
        let Some(audio) = &self.request.audio else { return Ok(()) };
        if let Some(format) = audio.format.as_deref().filter(|format| *format != "pcm16") {
            self.cannot_say("audio.format", &format!("Gemini speaks `pcm16` only, not `{format}`"))?;
        }
        if let Some(voice) = &audio.voice {
            config.speech_config = Some(part::one_voice(voice));
        }
        Ok(())
    }

    /// OpenAI says per image how closely to look, Gemini once for all; the closest look wins.
    fn media_resolution(&self) -> Option<String> {
        let details =
            self.request.messages.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
                Part::Media(media) if media.kind == MediaKind::Image => media.detail.as_deref(),
                _ => None,
            });
        let level = |detail| match detail {
            "low" => 1,
            "medium" => 2,
            "high" => 3,
            _ => 0,
        };
        Some(
            match details.map(level).max()? {
                1 => "MEDIA_RESOLUTION_LOW",
                2 => "MEDIA_RESOLUTION_MEDIUM",
                3 => "MEDIA_RESOLUTION_HIGH",
                _ => return None,
            }
            .to_owned(),
        )
    }

    fn thinking(&mut self) -> Result<Option<wire::ThinkingConfig>, CannotSay> {
        let reasoning = &self.request.reasoning;
        let (effort, thinking) = (&reasoning.effort, &reasoning.thinking);
        let shown = reasoning.summary != Some(ReasoningSummary::Omitted);
        if effort.is_none() && thinking.is_none() {
            return Ok(reasoning.summary.as_ref().map(|_| wire::ThinkingConfig {
                include_thoughts: Some(shown),
                ..wire::ThinkingConfig::default()
            }));
        }
        let off = match (effort, thinking) {
            (_, Some(Thinking::Disabled)) => true,
            (Some(effort), None) => effort.name() == "none",
            _ => false,
        };
        let mut config =
            wire::ThinkingConfig { include_thoughts: Some(shown && !off), ..wire::ThinkingConfig::default() };
        match self.model.thinking_control() {
            ThinkingControl::None => {
                if !off {
                    let param = if effort.is_some() { "reasoning_effort" } else { "thinking" };
                    self.cannot_say(param, &format!("`{}` does not think", self.target.model))?;
                }
                return Ok(None);
            }
            ThinkingControl::Level => config.thinking_level = self.thinking_level(off),
            ThinkingControl::Budget => config.thinking_budget = Some(self.thinking_budget(off)),
        }
        Ok(Some(config))
    }

    /// `None` leaves the level to the model.
    fn thinking_level(&mut self, off: bool) -> Option<String> {
        let reasoning = &self.request.reasoning;
        let effort = match (&reasoning.effort, &reasoning.thinking) {
            _ if off => Effort::None,
            (Some(effort), _) => effort.clone(),
            (None, Some(Thinking::Budget(budget))) => Effort::from_budget(*budget),
            (None, _) => return None,
        };
        let level = self.model.level(&effort);
        if level != effort.name() {
            self.losses.note("reasoning_effort", Change::Changed, format!("`{}` → `{level}`", effort.name()));
        }
        Some(level.to_owned())
    }

    fn thinking_budget(&mut self, off: bool) -> i64 {
        let reasoning = &self.request.reasoning;
        let (min, max) = self.model.budget_range();
        let asked = match (&reasoning.thinking, &reasoning.effort) {
            _ if off && self.model.can_stop_thinking() => return 0,
            _ if off => {
                self.losses.note(
                    "reasoning_effort",
                    Change::Changed,
                    format!("this model always thinks: {min} tokens, the least it takes"),
                );
                min
            }
            (Some(Thinking::Budget(budget)), _) => *budget,
            (_, Some(Effort::Minimal)) => min,
            (_, Some(effort)) => effort.budget_tokens().unwrap_or(min),
            (_, None) => return -1,
        };
        let budget = asked.clamp(min, max);
        if budget != asked {
            self.losses.note(
                "thinking.budget_tokens",
                Change::Changed,
                format!("{asked} → {budget}, the model's limit"),
            );
        }
        i64::try_from(budget).unwrap_or(i64::MAX)
    }

    fn extra(&mut self) -> Result<Extra, CannotSay> {
        let request = self.request;
        if self.own {
            let written_elsewhere = ["generationConfig", "toolConfig"];
            return Ok(request
                .extra
                .iter()
                .filter(|(name, _)| !written_elsewhere.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect());
        }
        let mut out = Map::new();
        for (name, value) in &request.extra {
            if let Some((_, field)) = PASSED.iter().find(|(given, _)| given == name) {
                out.insert((*field).to_owned(), value.clone());
            } else if self.target.policy.allowed_params.contains(name) {
                out.insert(name.clone(), value.clone());
            } else if value.is_null()
                || name == "generationConfig"
                || name == "generation_config"
                || self.losses.has_dropped(name)
            {
            } else if UNSAYABLE.contains(&name.as_str()) {
                self.cannot_say(name, "Gemini has no such parameter")?;
            } else {
                self.losses.note(name, Change::Dropped, "Gemini has no such parameter");
            }
        }
        Ok(out)
    }

    /// Vertex AI has labels for the application's metadata, AI Studio refuses them.
    fn labels(&mut self) -> Option<Extra> {
        let metadata = self.request.metadata.as_ref()?;
        if self.own || self.target.has(&Quirk::Accepts("metadata".to_owned())) {
            return Some(metadata.clone());
        }
        self.losses.note("metadata", Change::Dropped, "only Vertex AI takes labels");
        None
    }

    /// What changes nothing in the answer is left out without asking.
    fn leave_out_quietly(&mut self) {
        let request = self.request;
        if request.is_cache_marked() {
            self.losses.note(
                "cache_control",
                Change::Dropped,
                "Gemini caches by itself or by `cachedContent`",
            );
        }
        for (name, given) in [
            ("user", request.user.is_some()),
            ("prompt_cache_key", request.prompt_cache_key.is_some()),
            ("messages[].name", request.messages.iter().any(|message| message.name.is_some())),
        ] {
            if given {
                self.losses.note(name, Change::Dropped, "Gemini has no such parameter");
            }
        }
    }
}

/// Turns in the making. Google wants roles to alternate, and results of tools in a turn of their own.
struct Turns {
    list: Vec<wire::Content>,
}

impl Turns {
    fn push(&mut self, role: &str, part: wire::Part) {
        let is_result = part.function_response.is_some();
        if let Some(last) = self.list.last_mut()
            && last.role.as_deref() == Some(role)
            && last.parts.first().is_some_and(|first| first.function_response.is_some() == is_result)
        {
            last.parts.push(part);
            return;
        }
        self.list.push(wire::Content { role: Some(role.to_owned()), parts: vec![part] });
    }
}

fn text_part(text: &str) -> wire::Part {
    wire::Part { text: Some(text.to_owned()), ..wire::Part::default() }
}
