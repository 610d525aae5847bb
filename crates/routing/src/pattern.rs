//! Group names that stand for many models: `openai/*`.

/// Whether `name` is one that `pattern` stands for; each `*` stands for any text.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some(after) = rest.split_once(piece).map(|(_, after)| after) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        assert!(matches("openai/*", "openai/gpt-4o"));
        assert!(!matches("openai/*", "azure/gpt-4o"));
        assert!(matches("*", "anything/at:all"));
        assert!(matches("a*b*c", "a1b2c"));
        assert!(!matches("a*b*c", "a1c"));
        assert!(!matches("ab*ba", "aba"));
        assert!(matches("gpt-4o", "gpt-4o") && !matches("gpt-4o", "gpt-4o-mini"));
    }
}
