//! The Response object that a client gets, streamed or not: what the model said so far, and the settings of the
//! request, which this API repeats in every answer
//! (<https://platform.openai.com/docs/api-reference/responses/object>).

use serde_json::{Value, json};

use super::{item, outcome, request, usage};
use crate::Dialect;
use crate::conversation::{
    Citation, Extra, Media, MediaKind, Part, Reasoning, Seal, SealKind, Source, StopReason, TokenLogprob,
    ToolCall, ToolCallKind, Usage,
};
use crate::exchange::AnswerContext;
use crate::loss::Losses;

/// An answer that is being put together.
#[derive(Debug)]
pub(super) struct Answer {
    /// All fields of the object in their order; what changes while the answer grows is put in by [`Self::object`].
    fields: Extra,
    seed: String,
    pub(super) items: Vec<Item>,
    pub(super) usage: Option<Usage>,
    pub(super) stop: Option<StopReason>,
}

/// One item of the output.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Message(Vec<Content>),
    Reasoning(Reasoning),
    Call(ToolCall),
    /// A complete item as it is written, a hosted tool's run for example.
    Whole(Value),
}

/// One part of a message.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) kind: ContentKind,
    pub(super) text: String,
    /// Annotations, as written.
    pub(super) annotations: Vec<Value>,
    pub(super) logprobs: Vec<TokenLogprob>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentKind {
    Text,
    Refusal,
}

impl Content {
    pub(super) fn new(kind: ContentKind) -> Self {
        Self { kind, text: String::new(), annotations: Vec::new(), logprobs: Vec::new() }
    }

    pub(super) fn value(&self) -> Value {
        match self.kind {
            ContentKind::Text => json!({
                "type": "output_text",
                "annotations": self.annotations,
                "logprobs": item::write_logprobs(&self.logprobs),
                "text": self.text,
            }),
            ContentKind::Refusal => json!({"type": "refusal", "refusal": self.text}),
        }
    }

    /// Adds a citation, and says how it is written, if it can be.
    pub(super) fn cite(&mut self, citation: &Citation) -> Option<&Value> {
        self.annotations.push(item::write_citation(citation, self.text.chars().count())?);
        self.annotations.last()
    }
}

impl Item {
    /// Reasoning that did not come from this API, whose items have ids.
    pub(super) fn is_foreign_reasoning(&self) -> bool {
        matches!(&self.body, Body::Reasoning(reasoning) if reasoning.id.is_none())
    }

    /// A call whose arguments, which are to be JSON, are still empty.
    pub(super) fn lacks_arguments(&self) -> bool {
        matches!(&self.body, Body::Call(call) if call.kind == ToolCallKind::Function && call.arguments.is_empty())
    }

    /// The item as it is written with this status.
    pub(super) fn value(&self, status: &str) -> Value {
        match &self.body {
            Body::Message(contents) => json!({
                "id": self.id,
                "type": "message",
                "status": status,
                "role": "assistant",
                "content": contents.iter().map(Content::value).collect::<Vec<_>>(),
            }),
            Body::Reasoning(reasoning) => {
                let mut fields = Extra::new();
                fields.insert("id".to_owned(), self.id.as_str().into());
                fields.extend(item::reasoning_fields(reasoning));
                if let Some(seal) = &reasoning.seal {
                    let slot = seal.to_slot(Dialect::OpenaiResponses, SealKind::Encrypted);
                    fields.insert("encrypted_content".to_owned(), slot.into());
                }
                Value::Object(fields)
            }
            Body::Call(call) => match call.kind {
                ToolCallKind::Function => json!({
                    "id": self.id,
                    "type": "function_call",
                    "status": status,
                    "call_id": call.id,
                    "name": call.name,
                    "arguments": call.arguments,
                }),
                ToolCallKind::Custom => json!({
                    "id": self.id,
                    "type": "custom_tool_call",
                    "status": status,
                    "call_id": call.id,
                    "name": call.name,
                    "input": call.arguments,
                }),
            },
            Body::Whole(value) => value.clone(),
        }
    }
}

/// What stands for a medium that no output item can hold.
pub(super) fn text_for(media: &Media) -> Option<&str> {
    match (&media.transcript, &media.source) {
        (Some(transcript), _) => Some(transcript),
        (None, Source::Url { url, .. }) => Some(url),
        (None, Source::Text(text)) => Some(text),
        (None, Source::Base64 { .. } | Source::FileId(_)) => None,
    }
}

/// What a client of this API is given as arguments where the model wrote none.
pub(super) const NO_ARGUMENTS: &str = "{}";

impl Answer {
    pub(super) fn new(context: &AnswerContext) -> Self {
        Self {
            fields: settings(context),
            seed: context.seed.clone(),
            items: Vec::new(),
            usage: None,
            stop: None,
        }
    }

    /// The provider's id is kept if it is one of this API's, since a client may come back with it.
    pub(super) fn set_id(&mut self, id: Option<&str>) {
        if let Some(id) = id.filter(|id| id.starts_with("resp_")) {
            self.set("id", id);
        }
    }

    pub(super) fn set_service_tier(&mut self, tier: Option<&str>) {
        match tier {
            Some(tier @ ("auto" | "default" | "flex" | "scale" | "priority")) => {
                self.set("service_tier", tier);
            }
            // Anthropic's name for the ordinary one.
            Some("standard") => self.set("service_tier", "default"),
            _ => {}
        }
    }

    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    /// Adds an item; says where.
    pub(super) fn push(&mut self, body: Body) -> usize {
        let index = self.items.len();
        let own = match &body {
            Body::Message(_) => None,
            Body::Reasoning(reasoning) => reasoning.id.clone(),
            Body::Call(call) => call.extra.get("id").and_then(Value::as_str).map(str::to_owned),
            Body::Whole(value) => value.get("id").and_then(Value::as_str).map(str::to_owned),
        };
        let prefix = match &body {
            Body::Message(_) => "msg",
            Body::Reasoning(_) => "rs",
            Body::Call(ToolCall { kind: ToolCallKind::Function, .. }) => "fc",
            Body::Call(ToolCall { kind: ToolCallKind::Custom, .. }) => "ctc",
            Body::Whole(_) => "item",
        };
        let id = own.unwrap_or_else(|| format!("{prefix}_{}{index:02x}", self.seed));
        self.items.push(Item { id, body });
        index
    }

    /// Adds a part of an answer that came in one piece.
    pub(super) fn push_part(&mut self, part: &Part) {
        match part {
            Part::Text(text) => {
                if !text.text.is_empty() || !text.citations.is_empty() {
                    let mut content = Content::new(ContentKind::Text);
                    content.text.clone_from(&text.text);
                    for citation in &text.citations {
                        content.cite(citation);
                    }
                    self.push_content(content);
                }
                self.push_seal(text.seal.as_ref());
            }
            Part::Refusal(refusal) => {
                if !refusal.is_empty() {
                    let mut content = Content::new(ContentKind::Refusal);
                    content.text.clone_from(refusal);
                    self.push_content(content);
                }
            }
            Part::Reasoning(reasoning) => _ = self.push(Body::Reasoning(reasoning.clone())),
            Part::ToolCall(call) => {
                let mut written = call.clone();
                if call.arguments.is_empty() && call.kind == ToolCallKind::Function {
                    NO_ARGUMENTS.clone_into(&mut written.arguments);
                }
                self.push(Body::Call(written));
                self.push_seal(call.seal.as_ref());
            }
            Part::Media(media) => self.push_media(media),
            Part::Opaque(opaque) if opaque.dialect == Dialect::OpenaiResponses => {
                self.push(Body::Whole(opaque.value.clone()));
            }
            // What another provider's own tools did has no item here.
            Part::Opaque(_) | Part::ToolResult(_) => {}
        }
    }

    /// Puts a part at the end of the message that is last, or of a new one; says in which item.
    pub(super) fn push_content(&mut self, content: Content) -> usize {
        if let Some(Item { body: Body::Message(contents), .. }) = self.items.last_mut() {
            contents.push(content);
            return self.items.len() - 1;
        }
        self.push(Body::Message(vec![content]))
    }

    /// A seal on a text or call has no slot of its own here; it follows as an item that clients send back.
    pub(super) fn push_seal(&mut self, seal: Option<&Seal>) -> Option<usize> {
        let seal = seal?.clone();
        Some(self.push(Body::Reasoning(Reasoning { seal: Some(seal), ..Reasoning::default() })))
    }

    fn push_media(&mut self, media: &Media) {
        match (media.kind, &media.source) {
            (MediaKind::Image, Source::Base64 { media_type, data }) => {
                let format = media_type.strip_prefix("image/").unwrap_or(media_type);
                let id = format!("ig_{}{:02x}", self.seed, self.items.len());
                self.push(Body::Whole(json!({
                    "id": id,
                    "type": "image_generation_call",
                    "status": outcome::COMPLETED,
                    "output_format": format,
                    "result": data,
                })));
            }
            _ => {
                let Some(text) = text_for(media) else { return };
                let mut content = Content::new(ContentKind::Text);
                text.clone_into(&mut content.text);
                self.push_content(content);
            }
        }
    }

    /// Log probabilities belong to the text that came last.
    pub(super) fn push_logprobs(&mut self, tokens: &[TokenLogprob]) {
        let texts = self.items.iter_mut().filter_map(|item| match &mut item.body {
            Body::Message(contents) => contents.last_mut(),
            _ => None,
        });
        if let Some(content) = texts.last() {
            content.logprobs.extend_from_slice(tokens);
        }
    }

    /// The object as a stream begins with it.
    pub(super) fn begun(&self) -> Value {
        Value::Object(self.fields.clone())
    }

    /// The object of the finished answer.
    pub(super) fn finished(&self) -> Value {
        let (status, reason) = self.stop.as_ref().map_or((outcome::COMPLETED, None), outcome::write);
        let error = (status == "failed")
            .then(|| json!({"code": "server_error", "message": "the model failed while it was answering"}));
        self.object(status, reason, error)
    }

    /// The object of an answer that broke off.
    pub(super) fn failed(&self, code: &str, message: &str) -> Value {
        self.object("failed", None, Some(json!({"code": code, "message": message})))
    }

    fn object(&self, status: &str, reason: Option<&str>, error: Option<Value>) -> Value {
        let mut fields = self.fields.clone();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("status", status.into());
        set("error", error.unwrap_or_default());
        set("incomplete_details", reason.map_or(Value::Null, |reason| json!({"reason": reason})));
        let output = self.items.iter().enumerate().map(|(index, item)| item.value(self.item_status(index)));
        set("output", output.collect());
        set("usage", self.usage.as_ref().map_or(Value::Null, usage::write));
        Value::Object(fields)
    }

    /// An answer that was cut was cut in its last item.
    pub(super) fn item_status(&self, index: usize) -> &'static str {
        let cut = self.stop.as_ref().is_some_and(|stop| outcome::write(stop).0 != outcome::COMPLETED);
        if cut && index + 1 == self.items.len() { "incomplete" } else { outcome::COMPLETED }
    }
}

/// The Response object before the first word.
fn settings(context: &AnswerContext) -> Extra {
    let request = context.request.as_deref();
    let sent = |name: &str| request.and_then(|request| request.extra.get(name)).cloned();
    // Nothing is lost here: what the request says was read from this dialect.
    let mut unused = Losses::new(true);
    let tools = request.and_then(|request| request::write_tools(request, &mut unused).ok());
    let choice = request.and_then(|request| request::write_choice(request, &mut unused).ok().flatten());
    let mut text = Extra::new();
    text.insert("format".to_owned(), json!({"type": "text"}));
    if let Some(Value::Object(asked)) = request.and_then(request::text_config) {
        text.extend(asked);
    }
    let number = |pick: fn(&crate::conversation::Request) -> Option<Value>| request.and_then(pick);
    let fields = [
        ("id", format!("resp_{}", context.seed).into()),
        ("object", "response".into()),
        ("created_at", context.created.into()),
        ("status", "in_progress".into()),
        ("background", false.into()),
        ("error", Value::Null),
        ("incomplete_details", Value::Null),
        ("instructions", request.and_then(|request| request::split_instructions(request).0).into()),
        ("max_output_tokens", number(|r| r.max_output_tokens.map(Value::from)).unwrap_or_default()),
        ("max_tool_calls", sent("max_tool_calls").unwrap_or_default()),
        ("model", context.model.as_str().into()),
        ("output", json!([])),
        ("parallel_tool_calls", request.and_then(|r| r.parallel_tool_calls).unwrap_or(true).into()),
        ("previous_response_id", sent("previous_response_id").unwrap_or_default()),
        ("prompt_cache_key", number(|r| r.prompt_cache_key.as_deref().map(Value::from)).unwrap_or_default()),
        ("reasoning", request.map_or_else(no_reasoning, reasoning)),
        ("safety_identifier", sent("safety_identifier").unwrap_or_default()),
        ("service_tier", Value::Null),
        ("store", sent("store").unwrap_or(Value::Bool(false))),
        ("temperature", number(|r| r.sampling.temperature.clone().map(Value::Number)).unwrap_or_default()),
        ("text", text.into()),
        ("tool_choice", choice.unwrap_or_else(|| "auto".into())),
        ("tools", tools.unwrap_or_default().into()),
        ("top_logprobs", number(|r| r.sampling.top_logprobs.map(Value::from)).unwrap_or_else(|| 0.into())),
        ("top_p", number(|r| r.sampling.top_p.clone().map(Value::Number)).unwrap_or_default()),
        ("truncation", sent("truncation").unwrap_or_else(|| "disabled".into())),
        ("usage", Value::Null),
        ("user", number(|r| r.user.as_deref().map(Value::from)).unwrap_or_default()),
        ("metadata", request.and_then(|r| r.metadata.clone()).unwrap_or_default().into()),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn no_reasoning() -> Value {
    json!({"effort": null, "summary": null})
}

fn reasoning(request: &crate::conversation::Request) -> Value {
    let mut value = no_reasoning();
    let asked = request::write_reasoning(request, &crate::exchange::ModelFacts::default());
    if let (Some(Value::Object(asked)), Value::Object(fields)) = (asked, &mut value) {
        fields.extend(asked);
    }
    value
}
