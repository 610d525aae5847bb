//! Cuts a text into the pieces that byte-pair encoding never joins: tiktoken's regular expressions
//! (<https://github.com/openai/tiktoken/blob/main/tiktoken_ext/openai_public.py>), written out.
//! Alternatives are tried in the expressions' order; each function is one alternative and returns the length of
//! its match.

use super::family::Encoding;
use super::unicode::Class;

/// The pieces of a text, in order; together they are the text.
pub(super) fn pieces(encoding: Encoding, text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let length = match encoding {
            Encoding::O200k => o200k(rest),
            Encoding::Cl100k => cl100k(rest),
        };
        let (piece, left) = rest.split_at_checked(length.unwrap_or(first.len_utf8()))?;
        rest = left;
        Some(piece)
    })
}

fn o200k(text: &str) -> Option<usize> {
    let (head, bare) = with_and_without_prefix(text);
    head.and_then(|start| lower_word(text, start))
        .or_else(|| lower_word(text, bare))
        .or_else(|| head.and_then(|start| upper_word(text, start)))
        .or_else(|| upper_word(text, bare))
        .map(|end| end + contraction(tail(text, end)).unwrap_or(0))
        .or_else(|| number(text))
        .or_else(|| signs(text, |c| matches!(c, '\r' | '\n' | '/')))
        .or_else(|| lines(text))
        .or_else(|| spaces(text))
}

fn cl100k(text: &str) -> Option<usize> {
    let (head, bare) = with_and_without_prefix(text);
    contraction(text)
        .or_else(|| head.and_then(|start| letters(text, start)))
        .or_else(|| letters(text, bare))
        .or_else(|| number(text))
        .or_else(|| signs(text, |c| matches!(c, '\r' | '\n')))
        .or_else(|| final_spaces(text))
        .or_else(|| lines(text))
        .or_else(|| spaces(text))
}

fn tail(text: &str, start: usize) -> &str {
    text.get(start..).unwrap_or_default()
}

/// The length of the longest beginning of `text` whose characters all fit.
fn run(text: &str, fits: impl Fn(char) -> bool) -> usize {
    text.find(|c| !fits(c)).unwrap_or(text.len())
}

/// `[^\r\n\p{L}\p{N}]?`: where a word may start: behind the character if there is one, and at once.
fn with_and_without_prefix(text: &str) -> (Option<usize>, usize) {
    let is_prefix = |c: &char| {
        let class = Class::of(*c);
        !matches!(c, '\r' | '\n') && !class.is_letter() && class != Class::Number
    };
    (text.chars().next().filter(is_prefix).map(char::len_utf8), 0)
}

/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+` from `start`; returns the end.
fn lower_word(text: &str, start: usize) -> Option<usize> {
    let word = tail(text, start);
    let begin = run(word, |c| Class::of(c).begins_word());
    let end = run(tail(word, begin), |c| Class::of(c).ends_word());
    if end > 0 {
        return Some(start + begin + end);
    }
    // The first class took all; it gives back as little as the second one needs: its last character that is
    // in both.
    let (at, last) = word.get(..begin)?.char_indices().rfind(|(_, c)| Class::of(*c).ends_word())?;
    Some(start + at + last.len_utf8())
}

/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*` from `start`; returns the end.
fn upper_word(text: &str, start: usize) -> Option<usize> {
    let word = tail(text, start);
    let begin = run(word, |c| Class::of(c).begins_word());
    let end = run(tail(word, begin), |c| Class::of(c).ends_word());
    (begin > 0).then_some(start + begin + end)
}

/// `\p{L}+` from `start`; returns the end.
fn letters(text: &str, start: usize) -> Option<usize> {
    let length = run(tail(text, start), |c| Class::of(c).is_letter());
    (length > 0).then_some(start + length)
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)`
fn contraction(text: &str) -> Option<usize> {
    let mut letters = text.strip_prefix('\'')?.chars();
    let first = letters.next()?;
    match (first.to_ascii_lowercase(), letters.next().map(|c| c.to_ascii_lowercase())) {
        // `ſ` is an `s` where letter case does not count.
        ('s' | 't' | 'm' | 'd' | 'ſ', _) => Some(1 + first.len_utf8()),
        ('r' | 'v', Some('e')) | ('l', Some('l')) => Some(3),
        _ => None,
    }
}

/// `\p{N}{1,3}`
fn number(text: &str) -> Option<usize> {
    let digits = text.chars().take(3).take_while(|c| Class::of(*c) == Class::Number);
    Some(digits.map(char::len_utf8).sum()).filter(|length| *length > 0)
}

/// ` ?[^\s\p{L}\p{N}]+` and what may follow.
fn signs(text: &str, follows: impl Fn(char) -> bool) -> Option<usize> {
    let start = usize::from(text.starts_with(' '));
    let length = run(tail(text, start), |c| Class::of(c).is_sign());
    (length > 0).then(|| start + length + run(tail(text, start + length), follows))
}

/// `\s*[\r\n]+`
fn lines(text: &str) -> Option<usize> {
    let white = text.get(..run(text, |c| Class::of(c) == Class::Space))?;
    white.rfind(['\r', '\n']).map(|at| at + 1)
}

/// `\s++$`
fn final_spaces(text: &str) -> Option<usize> {
    (run(text, |c| Class::of(c) == Class::Space) == text.len()).then_some(text.len())
}

/// `\s+(?!\S)|\s+`: white space, without its last character if that can go with the word behind it.
fn spaces(text: &str) -> Option<usize> {
    let length = run(text, |c| Class::of(c) == Class::Space);
    let white = text.get(..length)?;
    let last = white.chars().next_back()?.len_utf8();
    Some(if length == text.len() || last == length { length } else { length - last })
}
