//! Patterns for model names and addresses in the data files: literal text, with
//! `*` any text, `?` one letter or digit, `#` one or more digits, and `{name}` (`{#name}`) one or more characters
//! without a slash (digits) that are kept under the name; at the end of the pattern, or before `*`, `{name}` takes
//! slashes too.

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
    let mut segments = pattern.split('*');
    let mut left = start(segments.next()?, text, &mut captures)?;
    let Some(last) = segments.next_back() else { return left.is_empty().then_some(captures) };
    // The first place that fits a segment leaves the most text to those after it, so that no choice is ever taken
    // back: clients choose these texts, and how long they are.
    for segment in segments {
        left = places(segment, left).find_map(|place| start(segment, place, &mut captures))?;
    }
    let fits = if is_literal(last) {
        left.ends_with(last)
    } else {
        places(last, left).any(|place| start(last, place, &mut captures) == Some(""))
    };
    fits.then_some(captures)
}

fn is_literal(segment: &str) -> bool {
    !segment.contains(['?', '#', '{'])
}

/// The ends of `text` at which `segment` may start.
fn places<'t>(segment: &str, text: &'t str) -> impl Iterator<Item = &'t str> {
    let known = if is_literal(segment) { text.find(segment) } else { None };
    let all = if is_literal(segment) { 0..0 } else { 0..text.len() + 1 };
    known.into_iter().chain(all).filter_map(|place| text.get(place..))
}

/// What is left of `text` after a segment without `*` that it starts with.
fn start<'p, 't>(
    mut segment: &'p str,
    mut text: &'t str,
    captures: &mut Captures<'p, 't>,
) -> Option<&'t str> {
    let kept = captures.len();
    let left = loop {
        let Some(sign) = segment.chars().next() else { break Some(text) };
        segment = segment.get(sign.len_utf8()..).unwrap_or_default();
        let left = match sign {
            '?' => text.strip_prefix(|letter: char| letter.is_ascii_alphanumeric()),
            '#' => Some(text.trim_start_matches(|digit: char| digit.is_ascii_digit()))
                .filter(|left| left.len() < text.len()),
            '{' => segment.split_once('}').and_then(|(name, rest)| {
                segment = rest;
                let digits = name.starts_with('#');
                let fits = |c: char| if digits { c.is_ascii_digit() } else { c != '/' || rest.is_empty() };
                let (held, left) = text.split_at(text.find(|c| !fits(c)).unwrap_or(text.len()));
                captures.push((name.trim_start_matches('#'), held));
                (!held.is_empty()).then_some(left)
            }),
            _ => text.strip_prefix(sign),
        };
        match left {
            Some(left) => text = left,
            None => break None,
        }
    };
    if left.is_none() {
        captures.truncate(kept);
    }
    left
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
            ("a*", "a", true),
            ("*a*b*", "xaxbx", true),
            ("*a*b*", "xbxax", false),
            ("*ab", "abab", true),
            ("a*a", "a", false),
            ("*claude-*-4-5*", "us.claude-4-claude-opus-4-5", true),
            ("gemini-#*pro*", "gemini-2.5-pro-preview", true),
            ("gemini-#*pro*", "gemini-pro", false),
            ("*-#x", "a-1-22x", true),
            ("*-#x", "a-1-22y", false),
            ("*-#", "a-1-é", false),
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

    #[test]
    fn long_texts_take_no_longer_than_reading_them() {
        // Were choices taken back, this would take days.
        let long = "claude--4-".repeat(100_000);
        for pattern in ["*claude-*-4-5*", "*claude-*-*-*x", "gemini-#*pro*flash*", "*-?-4-x*"] {
            assert!(!matches(pattern, &long), "{pattern}");
        }
    }
}
