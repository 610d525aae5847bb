//! What differs between the families of Gemini models. Decided by the model's name, since Google has no field that
//! says it (<https://ai.google.dev/gemini-api/docs/thinking>).

use crate::conversation::Effort;

/// A model's generation and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// Major and minor version; `None` for names that tell none (`gemini-flash-latest`, endpoint ids).
    version: Option<(u32, u32)>,
    size: Size,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Pro,
    Flash,
    FlashLite,
}

/// How a model is told how much to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThinkingControl {
    /// It does not think.
    None,
    /// `thinkingBudget`: tokens.
    Budget,
    /// `thinkingLevel`: words.
    Level,
}

impl Model {
    pub(super) fn of(name: &str) -> Self {
        let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        let size = if name.contains("flash-lite") {
            Size::FlashLite
        } else if name.contains("flash") {
            Size::Flash
        } else {
            Size::Pro
        };
        Self { version: name.strip_prefix("gemini-").and_then(version), size }
    }

    /// Gemini 3 and later: ids on function calls, signatures that are checked, levels of thinking.
    pub(super) fn is_3(self) -> bool {
        self.version.is_some_and(|version| version >= (3, 0))
    }

    /// Models before Gemini 2 take schemas of answers only in Google's `Schema`.
    pub(super) fn takes_json_schema(self) -> bool {
        self.version.is_none_or(|version| version >= (2, 0))
    }

    pub(super) fn thinking_control(self) -> ThinkingControl {
        match self.version {
            Some(version) if version >= (3, 0) => ThinkingControl::Level,
            Some(version) if version < (2, 5) => ThinkingControl::None,
            _ => ThinkingControl::Budget,
        }
    }

    /// The smallest and largest budget that is not "off". LiteLLM sends 1 to Flash for `minimal`.
    pub(super) fn budget_range(self) -> (u64, u64) {
        match self.size {
            Size::Pro => (128, 32_768),
            Size::Flash => (1, 24_576),
            Size::FlashLite => (512, 24_576),
        }
    }

    /// Whether a budget of 0 switches thinking off; 2.5 Pro refuses it.
    pub(super) fn can_stop_thinking(self) -> bool {
        self.size != Size::Pro || self.version.is_none()
    }

    /// The nearest level that the model has: `minimal` is Flash's alone, `medium` came to Pro with 3.1.
    pub(super) fn level(self, effort: &Effort) -> &'static str {
        match (effort, self.size) {
            (Effort::None | Effort::Minimal, Size::Flash | Size::FlashLite) => "minimal",
            (Effort::None | Effort::Minimal | Effort::Low, _) => "low",
            (Effort::Medium, Size::Pro) if self.version == Some((3, 0)) => "high",
            (Effort::Medium | Effort::Other(_), _) => "medium",
            (Effort::High | Effort::XHigh | Effort::Max, _) => "high",
        }
    }
}

/// `2.5-pro` → (2, 5), `3-flash-preview` → (3, 0).
fn version(rest: &str) -> Option<(u32, u32)> {
    let digits = rest.split('-').next()?;
    let (major, minor) = digits.split_once('.').unwrap_or((digits, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_how_to_ask_for_thinking() {
        let control = |name| Model::of(name).thinking_control();
        assert_eq!(control("gemini-1.5-pro-002"), ThinkingControl::None);
        assert_eq!(control("gemini-2.0-flash"), ThinkingControl::None);
        assert_eq!(control("gemini-2.5-flash-lite-preview-09-2025"), ThinkingControl::Budget);
        assert_eq!(control("models/gemini-3-pro-preview"), ThinkingControl::Level);
        assert_eq!(control("publishers/google/models/gemini-3.8-flash"), ThinkingControl::Level);
        assert_eq!(control("gemini-flash-latest"), ThinkingControl::Budget);
        assert_eq!(control("4242424242"), ThinkingControl::Budget);
    }

    #[test]
    fn efforts_become_the_nearest_level() {
        let levels = |name| {
            [Effort::None, Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::Max]
                .map(|effort| Model::of(name).level(&effort))
        };
        assert_eq!(levels("gemini-3-pro"), ["low", "low", "low", "high", "high", "high"]);
        assert_eq!(levels("gemini-3.1-pro"), ["low", "low", "low", "medium", "high", "high"]);
        assert_eq!(levels("gemini-3-flash"), ["minimal", "minimal", "low", "medium", "high", "high"]);
    }
}
