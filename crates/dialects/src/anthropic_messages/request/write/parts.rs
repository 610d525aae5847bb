//! What a turn says, part by part.

use std::borrow::Cow;

use serde_json::Value;

use super::{DIALECT, Writer};
use crate::anthropic_messages::{block, wire};
use crate::conversation::{Extra, Part, Reasoning, SealKind, Text, ToolCall, ToolResult};
use crate::error::CannotSay;
use crate::loss::Change;

impl Writer<'_> {
    pub(super) fn block(&mut self, part: &Part) -> Result<Option<wire::Block>, CannotSay> {
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
                self.losses.cannot_carry("messages", format!("only {} knows `{kind}`", opaque.dialect))?;
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

    pub(super) fn extra(&self, extra: &Extra) -> Extra {
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

    pub(super) fn tool_result(&mut self, result: &ToolResult) -> Result<wire::Block, CannotSay> {
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
