//! How much the model thinks, and the tokens that it may spend.

use super::Writer;
use crate::anthropic_messages::wire;
use crate::conversation::{Effort, ReasoningSummary, Thinking};
use crate::error::CannotSay;
use crate::loss::Change;

/// Output tokens granted where neither the request nor the model's facts say a number; the API demands one.
const DEFAULT_MAX_TOKENS: u64 = 4096;

/// The smallest thinking budget that the API takes.
const MIN_BUDGET: u64 = 1024;

impl Writer<'_> {
    pub(super) fn asks_to_think(&self) -> bool {
        let reasoning = &self.request.reasoning;
        match (&reasoning.thinking, &reasoning.effort) {
            (Some(Thinking::Disabled), _) | (None, None | Some(Effort::None)) => false,
            (Some(Thinking::Budget(_) | Thinking::Adaptive), _) | (None, Some(_)) => self.model.thinks(),
        }
    }

    pub(super) fn thinking(&mut self) -> Result<(), CannotSay> {
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
        let word = self.model.effort(effort);
        if word != effort.name() {
            self.losses.note("reasoning_effort", Change::Changed, format!("`{}` → `{word}`", effort.name()));
        }
        self.body.output_config.effort = Some(word);
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
}
