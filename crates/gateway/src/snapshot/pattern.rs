/// A model name with a `*` in it: `openai/*`, `*`, `bedrock/*.claude-*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
}

impl Pattern {
    /// `None` if there is no `*` in it.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        text.contains('*').then(|| Self { text: text.to_owned() })
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.captures(name).is_some()
    }

    /// What the first `*` stands for in `name`.
    #[must_use]
    pub fn capture<'n>(&self, name: &'n str) -> &'n str {
        self.captures(name).and_then(|captures| captures.first().copied()).unwrap_or(name)
    }

    /// What each `*` stands for; each but the last takes as little as possible.
    fn captures<'n>(&self, name: &'n str) -> Option<Vec<&'n str>> {
        let mut pieces = self.text.split('*');
        let mut rest = name.strip_prefix(pieces.next()?)?;
        let mut captures = Vec::new();
        let pieces: Vec<&str> = pieces.collect();
        let (last, middle) = pieces.split_last()?;
        for piece in middle {
            let at = rest.find(piece)?;
            captures.push(rest.get(..at)?);
            rest = rest.get(at + piece.len()..)?;
        }
        captures.push(rest.strip_suffix(last)?);
        Some(captures)
    }

    /// LiteLLM's order: the longer pattern is looked at first.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        let pattern = |text: &str| Pattern::new(text).unwrap();
        assert_eq!(Pattern::new("gpt-4o"), None);
        assert_eq!(pattern("openai/*").capture("openai/gpt-4o"), "gpt-4o");
        assert!(!pattern("openai/*").matches("azure/gpt-4o"));
        assert_eq!(pattern("*").capture("anything/at:all"), "anything/at:all");
        assert_eq!(pattern("*-latest").capture("claude-latest"), "claude");
        assert!(pattern("a*b*c").matches("a1b2c"));
        assert!(!pattern("a*b*c").matches("a1c"));
        assert!(!pattern("ab*ba").matches("aba"));
    }
}
