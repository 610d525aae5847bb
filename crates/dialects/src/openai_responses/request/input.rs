//! `input`: items on the wire, turns in the conversation.
//!
//! A turn of the model is one message with everything it said and did, while the wire has an item for each
//! piece; so consecutive items of the model are read as one turn, and a turn is written as several items.

use serde_json::{Value, json};

use super::super::fields::{Fields, Place};
use super::super::{item, media};
use crate::conversation::{
    Extra, Message, Part, Reasoning, Role, Seal, SealKind, ToolCall, ToolCallKind, ToolResult,
};
use crate::error::Invalid;
use crate::loss::{Change, Losses};
use crate::{CannotSay, Dialect};

pub(super) fn read_input(input: Value, messages: &mut Vec<Message>) -> Result<(), Invalid> {
    let place = Place::Field(&Place::Body, "input");
    match input {
        Value::String(text) => messages.push(Message::text(Role::User, text)),
        Value::Array(items) => {
            let mut turns = Turns { messages, open: None };
            for (index, item) in items.into_iter().enumerate() {
                turns.read_item(item, &Place::Item(&place, index))?;
            }
        }
        other => return Err(place.unexpected("a string or an array", &other)),
    }
    Ok(())
}

struct Turns<'a> {
    messages: &'a mut Vec<Message>,
    /// The role of the last message, if further items belong to it.
    open: Option<Role>,
}

impl Turns<'_> {
    fn read_item(&mut self, value: Value, place: &Place<'_>) -> Result<(), Invalid> {
        let mut fields = Fields::of(value, place)?;
        match fields.kind() {
            Some("message") => self.read_message(fields),
            None if fields.has("role") => self.read_message(fields),
            None => Err(Place::Field(place, "type").wrong("the field is missing; give a string")),
            Some(kind @ ("function_call" | "custom_tool_call")) => {
                // Answers may lack it.
                let arguments = if kind == "function_call" { "arguments" } else { "input" };
                if !fields.has(arguments) {
                    return Err(Place::Field(place, arguments).wrong("the field is missing; give a string"));
                }
                let call = item::read_call(fields)?;
                self.push(Role::Assistant, Part::ToolCall(call));
                Ok(())
            }
            Some("function_call_output") => {
                fields.take("type");
                self.read_result(fields)
            }
            // The type stays in the extra fields, to be told apart from a function's.
            Some("custom_tool_call_output") => self.read_result(fields),
            Some("reasoning") => {
                let reasoning = item::read_reasoning(fields)?;
                self.push_reasoning(reasoning);
                Ok(())
            }
            Some(kind) => {
                let role = if kind.ends_with("_output") || kind == "mcp_approval_response" {
                    Role::Tool
                } else {
                    Role::Assistant
                };
                self.push(role, item::opaque(Value::Object(fields.rest())));
                Ok(())
            }
        }
    }

    fn read_message(&mut self, mut item: Fields<'_>) -> Result<(), Invalid> {
        let place = *item.place();
        let role = match item.need_text("role")?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            "developer" => Role::Developer,
            other => {
                let message =
                    format!("expected `user`, `assistant`, `system` or `developer`, found `{other}`");
                return Err(Place::Field(&place, "role").wrong(message));
            }
        };
        let content = Place::Field(&place, "content");
        let parts = match item.take("content") {
            Some(value) => item::read_content(value, &content)?,
            None => return Err(content.wrong("the field is missing; give a string or an array")),
        };
        item.take("type");
        let extra = item.rest();
        match self.messages.last_mut() {
            // Ids and phases belong to one item: two that have them stay two messages.
            Some(turn)
                if role == Role::Assistant
                    && self.open == Some(role)
                    && (extra.is_empty() || !has_message(&turn.parts)) =>
            {
                turn.parts.extend(parts);
                turn.extra.extend(extra);
            }
            _ => self.messages.push(Message { role, parts, name: None, extra }),
        }
        self.open = (role == Role::Assistant).then_some(role);
        Ok(())
    }

    fn read_result(&mut self, mut item: Fields<'_>) -> Result<(), Invalid> {
        let place = Place::Field(item.place(), "output");
        let call_id = item.need_text("call_id")?;
        let parts = match item.take("output") {
            Some(value) => item::read_content(value, &place)?,
            None => return Err(place.wrong("the field is missing; give a string or an array")),
        };
        let name = item.text("name")?;
        item.take("status");
        let extra = item.rest();
        let result = ToolResult { call_id, name, parts, is_error: false, cache: None, extra };
        self.push(Role::Tool, Part::ToolResult(result));
        Ok(())
    }

    /// A seal of Gemini's without thinking is that of the text or call before it: this API has no other slot for
    /// such a one.
    fn push_reasoning(&mut self, reasoning: Reasoning) {
        if self.open == Some(Role::Assistant) && is_bare_seal(&reasoning) {
            match self.messages.last_mut().and_then(|turn| turn.parts.last_mut()) {
                Some(Part::ToolCall(call)) if call.seal.is_none() => return call.seal = reasoning.seal,
                Some(Part::Text(text)) if text.seal.is_none() => return text.seal = reasoning.seal,
                _ => {}
            }
        }
        self.push(Role::Assistant, Part::Reasoning(reasoning));
    }

    fn push(&mut self, role: Role, part: Part) {
        match self.messages.last_mut() {
            Some(turn) if self.open == Some(role) => turn.parts.push(part),
            _ => self.messages.push(Message::new(role, vec![part])),
        }
        self.open = Some(role);
    }
}

fn has_message(parts: &[Part]) -> bool {
    parts.iter().any(|part| matches!(part, Part::Text(_) | Part::Media(_) | Part::Refusal(_)))
}

fn is_bare_seal(reasoning: &Reasoning) -> bool {
    reasoning.text.is_empty()
        && reasoning.summary.is_empty()
        && matches!(&reasoning.seal, Some(Seal { dialect: Dialect::Gemini, kind: SealKind::Signature, .. }))
}

/// Writes turns as items.
pub(super) fn write_input(
    messages: &[Message],
    from: Dialect,
    losses: &mut Losses,
) -> Result<Vec<Value>, CannotSay> {
    let mut writer = Writer { from, losses, items: Vec::with_capacity(messages.len()), custom: Vec::new() };
    for message in messages {
        writer.write_message(message)?;
    }
    Ok(writer.items)
}

struct Writer<'a> {
    from: Dialect,
    losses: &'a mut Losses,
    items: Vec<Value>,
    /// Ids of calls of custom tools, whose results have a type of their own.
    custom: Vec<&'a str>,
}

impl<'a> Writer<'a> {
    fn write_message(&mut self, message: &'a Message) -> Result<(), CannotSay> {
        let mut content = Vec::new();
        let mut extra = Some(&message.extra).filter(|_| self.from == Dialect::OpenaiResponses);
        if message.name.is_some() {
            self.losses.note("messages", Change::Dropped, "the Responses API has no names of participants");
        }
        let role = message.role;
        for part in &message.parts {
            if let Some(part) = self.content_part(part, role)? {
                content.push(part);
                continue;
            }
            let items = match part {
                Part::ToolCall(call) => self.call(call),
                Part::ToolResult(result) => vec![self.result(result)?],
                Part::Reasoning(reasoning) => self.reasoning(reasoning),
                Part::Opaque(opaque) if opaque.dialect == Dialect::OpenaiResponses => {
                    vec![opaque.value.clone()]
                }
                Part::Opaque(opaque) => {
                    let kind =
                        opaque.value.get("type").and_then(Value::as_str).unwrap_or("provider-specific");
                    let why = format!("the Responses API has no counterpart of `{kind}` parts");
                    self.losses.cannot_carry("messages", why)?;
                    continue;
                }
                Part::Text(_) | Part::Refusal(_) | Part::Media(_) => continue,
            };
            self.flush(role, &mut content, &mut extra);
            self.items.extend(items);
        }
        if message.parts.is_empty() {
            self.items.push(message_item(role, &[], extra.take()));
        }
        self.flush(role, &mut content, &mut extra);
        Ok(())
    }

    /// Writes the collected content as a message item.
    fn flush(&mut self, role: Role, content: &mut Vec<Value>, extra: &mut Option<&Extra>) {
        if !content.is_empty() {
            self.items.push(message_item(role, &std::mem::take(content), extra.take()));
        }
    }

    /// What belongs into a message item; `None` for parts that are items of their own.
    fn content_part(&mut self, part: &Part, role: Role) -> Result<Option<Value>, CannotSay> {
        let native = self.from == Dialect::OpenaiResponses;
        Ok(match part {
            Part::Text(text) => {
                let kind = if role == Role::Assistant { "output_text" } else { "input_text" };
                let mut value = json!({"type": kind, "text": text.text});
                if native && let Value::Object(fields) = &mut value {
                    if !text.citations.is_empty() {
                        let annotations =
                            text.citations.iter().filter_map(|one| item::write_citation(one, 0));
                        fields.insert("annotations".to_owned(), annotations.collect());
                    }
                    fields.extend(text.extra.clone());
                }
                Some(value)
            }
            Part::Refusal(refusal) => Some(json!({"type": "refusal", "refusal": refusal})),
            Part::Media(_) if role == Role::Assistant => {
                self.losses.cannot_carry("messages", "the Responses API takes media from the user only")?;
                None
            }
            Part::Media(media) => media::write(media, self.from, self.losses)?,
            Part::Opaque(opaque)
                if opaque.dialect == Dialect::OpenaiResponses && is_content(&opaque.value) =>
            {
                Some(opaque.value.clone())
            }
            Part::ToolCall(_) | Part::ToolResult(_) | Part::Reasoning(_) | Part::Opaque(_) => None,
        })
    }

    fn call(&mut self, call: &'a ToolCall) -> Vec<Value> {
        let mut value = match call.kind {
            ToolCallKind::Function => json!({
                "type": "function_call",
                "call_id": call.id,
                "name": call.name,
                "arguments": call.arguments,
            }),
            ToolCallKind::Custom => {
                self.custom.push(&call.id);
                json!({
                    "type": "custom_tool_call",
                    "call_id": call.id,
                    "name": call.name,
                    "input": call.arguments,
                })
            }
        };
        if let (Dialect::OpenaiResponses, Value::Object(fields)) = (self.from, &mut value) {
            fields.extend(call.extra.clone());
        }
        vec![value]
    }

    fn result(&mut self, result: &ToolResult) -> Result<Value, CannotSay> {
        if result.is_error {
            let why = "the Responses API has no mark for it; the result's text has to say so";
            self.losses.note("is_error", Change::Dropped, why);
        }
        let output: Value = match result.parts.as_slice() {
            [] => "".into(),
            [Part::Text(text)] if text.extra.is_empty() => text.text.as_str().into(),
            parts => {
                let mut content = Vec::with_capacity(parts.len());
                for part in parts {
                    match self.content_part(part, Role::Tool)? {
                        Some(part) => content.push(part),
                        None => self.losses.cannot_carry(
                            "messages",
                            "a tool's result can hold text, images and files in the Responses API",
                        )?,
                    }
                }
                content.into()
            }
        };
        let kind = if self.custom.contains(&result.call_id.as_str()) {
            "custom_tool_call_output"
        } else {
            "function_call_output"
        };
        let mut value = json!({"type": kind, "call_id": result.call_id, "output": output});
        if let (Dialect::OpenaiResponses, Value::Object(fields)) = (self.from, &mut value) {
            fields.extend(result.extra.clone());
        }
        Ok(value)
    }

    /// Only OpenAI's own seal means something to it. Without one, what can be read is sent as a summary.
    fn reasoning(&mut self, reasoning: &Reasoning) -> Vec<Value> {
        let seal = reasoning
            .seal
            .as_ref()
            .and_then(|seal| seal.value_for(Dialect::OpenaiResponses, SealKind::Encrypted));
        if seal.is_none() && reasoning.id.is_none() && reasoning.readable().is_empty() {
            self.losses.note(
                "messages",
                Change::Dropped,
                "hidden reasoning of another provider, which OpenAI cannot read",
            );
            return Vec::new();
        }
        let mut fields = item::reasoning_fields(reasoning);
        if let Some(id) = &reasoning.id {
            fields.insert("id".to_owned(), id.as_str().into());
        }
        if let Some(seal) = seal {
            fields.insert("encrypted_content".to_owned(), seal.into());
        }
        if self.from == Dialect::OpenaiResponses {
            fields.extend(reasoning.extra.clone());
        }
        vec![Value::Object(fields)]
    }
}

/// Whether an opaque value is a part of a message rather than an item.
fn is_content(value: &Value) -> bool {
    value.get("type").and_then(Value::as_str).is_some_and(|kind| kind.starts_with("input_"))
}

fn message_item(role: Role, content: &[Value], extra: Option<&Extra>) -> Value {
    let role = match role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    };
    let mut value = json!({"type": "message", "role": role, "content": content});
    if let (Some(extra), Value::Object(fields)) = (extra, &mut value) {
        fields.extend(extra.clone());
    }
    value
}
