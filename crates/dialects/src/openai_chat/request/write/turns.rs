//! `messages`.

use crate::Dialect;
use crate::conversation::{Extra, Part, Request, Role, ToolResult};
use crate::error::CannotSay;
use crate::exchange::Target;
use crate::loss::{Change, Losses};
use crate::openai_chat::{media, message, wire};
use crate::quirk::{NamedQuirk, Quirk};

pub(super) fn write(
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
