//! Patterns for model names and addresses in the data files: literal text, with
//! `*` any text, `?` one letter or digit, `#` one or more digits, and `{name}` (`{#name}`) one or more characters
//! without a slash (digits) that are kept under the name; at the end of the pattern `{name}` takes slashes too.

/// What the braces of a pattern held.
pub(crate) type Captures<'p, 't> = Vec<(&'p str, &'t str)>;

pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    capture(pattern, text).is_some()
}

/// The first of `patterns` that fits all of `text`.
pub(crate) fn any<'p, 't>(patterns: &'p [&'p str], text: &'t str) -> Option<Captures<'p, 't>> {
    patterns.iter().find_map(|pattern| capture(pattern, text))
}

pub(crate) fn capture<'p, 't>(pattern: &'p str, text: &'t str) -> Option<Captures<'p, 't>> {
    let mut captures = Vec::new();
    step(pattern, text, &mut captures).then_some(captures)
}

fn step<'p, 't>(pattern: &'p str, text: &'t str, captures: &mut Captures<'p, 't>) -> bool {
    let Some(sign) = pattern.chars().next() else { return text.is_empty() };
    let rest = pattern.get(sign.len_utf8()..).unwrap_or_default();
    match sign {
        '*' => (0..=text.len()).any(|end| {
            let kept = captures.len();
            let found = text.get(end..).is_some_and(|left| step(rest, left, captures));
            if !found {
                captures.truncate(kept);
            }
            found
        }),
        '?' => text
            .strip_prefix(|letter: char| letter.is_ascii_alphanumeric())
            .is_some_and(|left| step(rest, left, captures)),
        '#' => {
            let left = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
            left.len() < text.len() && step(rest, left, captures)
        }
        '{' => {
            let Some((name, rest)) = rest.split_once('}') else { return false };
            let digits = name.starts_with('#');
            let fits = |c: char| if digits { c.is_ascii_digit() } else { c != '/' || rest.is_empty() };
            let (held, left) = text.split_at(text.find(|c| !fits(c)).unwrap_or(text.len()));
            captures.push((name.trim_start_matches('#'), held));
            !held.is_empty() && step(rest, left, captures)
        }
        _ => text.strip_prefix(sign).is_some_and(|left| step(rest, left, captures)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_stand_for_text() {
        for (pattern, text, fits) in [
            ("claude*", "claude-opus-5", true),
            ("claude*", "my-claude", false),
            ("*.anthropic.claude*", "us.anthropic.claude-opus-5", true),
            ("o#*", "o3-mini", true),
            ("o#*", "omni", false),
            ("????????", "abcd1234", true),
            ("????????", "gpt-oss1", false),
            ("", "", true),
            ("a", "", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} on {text}");
        }
    }

    #[test]
    fn braces_keep_what_they_held() {
        assert_eq!(
            capture("chat/{chat_id}/{model}", "chat/c1/org/llama"),
            Some(vec![("chat_id", "c1"), ("model", "org/llama")])
        );
        assert_eq!(capture("gemini/{#model}", "gemini/123"), Some(vec![("model", "123")]));
        assert_eq!(capture("gemini/{#model}", "gemini/gemini-2.5-pro"), None);
    }
}
