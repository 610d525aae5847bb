//! What a Claude model takes, told from its name.
//!
//! Facts of the deployment come first where there are any; names are the fallback, so that a model works on the
//! day it is released. Sources: the model comparison and migration pages of
//! <https://platform.claude.com/docs/en/about-claude/models/migration-guide>.

use crate::conversation::Effort;
use crate::exchange::ModelFacts;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Opus,
    /// Fable and Mythos cannot stop thinking.
    AlwaysThinking,
    Other,
}

/// A model by family and version; `version` is `None` where the name is not that of a Claude model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model<'a> {
    family: Family,
    version: Option<(u32, u32)>,
    facts: &'a ModelFacts,
}

impl<'a> Model<'a> {
    /// Understands Anthropic's own ids (`claude-3-5-haiku-20241022`, `claude-opus-4-1@20250805`) and those of
    /// hosts that put something before or behind (`us.anthropic.claude-sonnet-4-5-20250929-v1:0`).
    pub(super) fn of(name: &str, facts: &'a ModelFacts) -> Self {
        let mut family = Family::Other;
        let Some((_, rest)) = name.split_once("claude") else { return Self { family, version: None, facts } };
        let mut numbers = Vec::new();
        let mut counting = true;
        for word in rest.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
            match word {
                "opus" => family = Family::Opus,
                "fable" | "mythos" => family = Family::AlwaysThinking,
                _ => {}
            }
            // Dates have eight digits, and Bedrock's `-v1:0` comes after them.
            match word.parse::<u32>() {
                Ok(number) if counting && word.len() <= 2 => numbers.push(number),
                _ => counting = counting && numbers.is_empty(),
            }
        }
        let version = match (numbers.first(), family) {
            (Some(major), _) => Some((*major, numbers.get(1).copied().unwrap_or(0))),
            // `claude-mythos-preview`
            (None, Family::AlwaysThinking) => Some((4, 7)),
            (None, _) => None,
        };
        Self { family, version, facts }
    }

    fn since(&self, major: u32, minor: u32) -> bool {
        self.version.is_some_and(|version| version >= (major, minor))
    }

    /// Whether the model can think at all; unknown models are given the benefit of the doubt.
    pub(super) fn thinks(&self) -> bool {
        self.facts.supports_reasoning.unwrap_or(self.version.is_none() || self.since(3, 7))
    }

    /// `thinking: {type: adaptive}` with `output_config.effort`.
    pub(super) fn takes_adaptive_thinking(&self) -> bool {
        self.facts.supports_adaptive_thinking.unwrap_or_else(|| self.since(4, 6))
    }

    /// `thinking: {type: enabled, budget_tokens}`; refused since 4.7.
    pub(super) fn takes_thinking_budget(&self) -> bool {
        !self.since(4, 7)
    }

    /// Thinks unless it is told not to, and can be told so.
    pub(super) fn must_be_told_not_to_think(&self) -> bool {
        self.since(5, 0) && self.family != Family::AlwaysThinking
    }

    /// `effort` is a beta of its own there.
    pub(super) fn wants_effort_beta(&self) -> bool {
        self.family == Family::Opus && self.version == Some((4, 5))
    }

    /// The word for an effort; levels that the model lacks become the next lower one.
    pub(super) fn effort(&self, effort: &Effort) -> String {
        let xhigh = self.facts.supports_xhigh_reasoning_effort.unwrap_or_else(|| self.since(4, 7));
        let max = self.facts.supports_max_reasoning_effort.unwrap_or_else(|| self.since(4, 6));
        match effort {
            // There is no less for a request that asks for thinking all the same.
            Effort::None | Effort::Minimal => "low",
            Effort::XHigh if !xhigh => "high",
            Effort::Max if !max => "high",
            other => other.name(),
        }
        .to_owned()
    }

    /// Answers by a JSON schema without a forced tool call.
    pub(super) fn takes_output_format(&self) -> bool {
        self.since(4, 5) || (self.family == Family::Opus && self.version == Some((4, 1)))
    }

    /// `temperature`, `top_p` and `top_k` are answered with a 400.
    pub(super) fn refuses_sampling(&self) -> bool {
        self.since(4, 7)
    }

    /// `temperature` and `top_p` in one request are answered with a 400.
    pub(super) fn draws_by_one_parameter(&self) -> bool {
        self.since(4, 1)
    }

    /// `system` turns between the others.
    pub(super) fn takes_system_turns(&self) -> bool {
        self.since(4, 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(name: &str) -> Option<(u32, u32)> {
        Model::of(name, &ModelFacts::default()).version
    }

    #[test]
    fn names_tell_the_version() {
        assert_eq!(version("claude-sonnet-4-5-20250929"), Some((4, 5)));
        assert_eq!(version("us.anthropic.claude-sonnet-4-5-20250929-v1:0"), Some((4, 5)));
        assert_eq!(version("anthropic.claude-opus-4-20250514-v1:0"), Some((4, 0)));
        assert_eq!(version("claude-opus-4-1@20250805"), Some((4, 1)));
        assert_eq!(version("claude-3-5-haiku-20241022"), Some((3, 5)));
        assert_eq!(version("anthropic/claude-sonnet-4.5"), Some((4, 5)));
        assert_eq!(version("claude-opus-5"), Some((5, 0)));
        assert_eq!(version("claude-2.1"), Some((2, 1)));
        assert_eq!(version("claude-mythos-preview"), Some((4, 7)));
        assert_eq!(version("deepseek-chat"), None);
    }

    #[test]
    fn facts_outweigh_the_name() {
        let facts = ModelFacts { supports_adaptive_thinking: Some(false), ..ModelFacts::default() };
        assert!(!Model::of("claude-opus-5", &facts).takes_adaptive_thinking());
        assert!(Model::of("claude-opus-5", &ModelFacts::default()).takes_adaptive_thinking());
    }

    #[test]
    fn a_level_that_the_model_lacks_becomes_a_lower_one() {
        let facts = ModelFacts::default();
        assert_eq!(Model::of("claude-opus-4-6", &facts).effort(&Effort::XHigh), "high");
        assert_eq!(Model::of("claude-opus-4-8", &facts).effort(&Effort::XHigh), "xhigh");
        assert_eq!(Model::of("claude-opus-4-8", &facts).effort(&Effort::Minimal), "low");
        assert_eq!(Model::of("claude-opus-4-8", &facts).effort(&Effort::None), "low");
    }
}
