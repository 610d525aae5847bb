//! Turns, and where system prompts go.

use std::mem;

use super::Writer;
use crate::anthropic_messages::{block, wire};
use crate::conversation::{Extra, Message, Part, Role};
use crate::error::CannotSay;
use crate::loss::Change;

/// Stands before a system turn that older models get inside a user turn; LiteLLM's words, so that a switch keeps
/// prompt caches warm.
pub(super) const SYSTEM_NOTE: &str = "Operator note (not from the user): the following was originally a mid-conversation system-role reminder.";

/// A turn in the making. Results of tool calls must come first in it.
struct Turn {
    role: &'static str,
    results: Vec<wire::Block>,
    blocks: Vec<wire::Block>,
    extra: Extra,
}

impl Writer<'_> {
    pub(super) fn messages(&mut self) -> Result<(), CannotSay> {
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
