//! What a report must not show. Reports are pasted into issues; a key in one of them is a leaked key.

use std::ops::Range;

/// Whether values under this name are secrets.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // Counts and names of tokens and keys, not tokens and keys.
    const HARMLESS: &[&str] =
        &["max_tokens", "token_count", "per_token", "key_alias", "key_name", "header_name"];
    if HARMLESS.iter().any(|word| name.contains(word)) || name.ends_with("_tokens") {
        return false;
    }
    name.ends_with("_key")
        || name.ends_with("_key_id")
        || matches!(
            name.as_str(),
            "key" | "token" | "authorization" | "auth_value" | "vertex_credentials" | "credentials"
        )
        || ["password", "passwd", "secret", "api_key", "apikey", "private_key"]
            .iter()
            .any(|word| name.contains(word))
        || name.ends_with("token")
}

/// Mappings whose values may all be secrets.
pub(crate) fn holds_secrets(name: &str) -> bool {
    matches!(name, "headers" | "extra_headers" | "static_headers" | "environment_variables")
}

/// Secrets found without a tree: by the names in front of the colons, line by line.
///
/// The tree knows better where there is one. This is for a text that is not YAML, since the report of a syntax error
/// shows a line of it; in doubt, it hides.
pub(crate) fn secrets_by_line(text: &str) -> Vec<Range<usize>> {
    let mut secrets = secrets_by_looks(text);
    let mut offset = 0;
    // The column of a secret's key: lines that start deeper belong to its value.
    let mut inside: Option<usize> = None;
    // The quote that a secret's value is still waiting for.
    let mut quoted: Option<char> = None;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end();
        let indent = body.len() - body.trim_start().len();
        let deeper = inside.is_some_and(|column| indent > column || body.is_empty());
        if deeper || quoted.is_some() {
            secrets.push(offset + indent..offset + body.len());
            quoted = quoted.filter(|&quote| !body.contains(quote));
            offset += line.len();
            continue;
        }
        inside = None;
        for Named { column, value } in secret_values(body) {
            let written = body.get(value.clone()).unwrap_or_default();
            if is_reference(written) {
                continue;
            }
            inside = Some(column);
            if let Some(quote @ ('"' | '\'')) = written.chars().next() {
                let closed = written.len() > 1 && written.ends_with(quote);
                quoted = (!closed).then_some(quote);
            }
            secrets.push(offset + value.start..offset + value.end);
        }
        offset += line.len();
    }
    secrets
}

/// A name of an environment variable is not its value.
fn is_reference(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']);
    value.starts_with("os.environ/") || value.starts_with("${") || value.starts_with("env/")
}

/// A secret's key and its value, both in bytes of their line.
struct Named {
    column: usize,
    value: Range<usize>,
}

/// The values of one line whose key has a secret's name.
fn secret_values(line: &str) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    for (colon, _) in line.match_indices(':') {
        if found.last().is_some_and(|last| colon < last.value.end) {
            continue;
        }
        let before = line.get(..colon).unwrap_or_default().trim_end_matches(['"', '\'']);
        let column = before
            .char_indices()
            .rev()
            .find(|&(_, c)| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
            .map_or(0, |(at, c)| at + c.len_utf8());
        let name = before.get(column..).unwrap_or_default();
        let after = line.get(colon + 1..).unwrap_or_default().trim_start();
        let start = line.len() - after.len();
        let length = if holds_secrets(name) {
            after.len()
        } else if is_secret_name(name) {
            match after.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    after.get(1..).and_then(|rest| rest.find(quote)).map_or(after.len(), |end| end + 2)
                }
                _ => after.find([',', '}', ']']).or_else(|| after.find(" #")).unwrap_or(after.len()),
            }
        } else {
            continue;
        };
        found.push(Named { column, value: start..start + length });
    }
    found
}

/// Secrets that show by their looks: `sk-…` keys, and passwords in addresses (`postgres://user:password@host`).
pub(crate) fn secrets_by_looks(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("sk-") {
        let rest = text.get(at..).unwrap_or_default();
        let length =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))).unwrap_or(rest.len());
        let starts_word =
            text.get(..at).is_some_and(|before| !before.ends_with(|c: char| c.is_ascii_alphanumeric()));
        if length >= 16 && starts_word {
            found.push(at..at + length);
        }
    }
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        let rest = text.get(start..).unwrap_or_default();
        let host =
            rest.find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'')).unwrap_or(rest.len());
        let Some(end) = rest.get(..host).and_then(|authority| authority.rfind('@')) else { continue };
        if let Some(colon) = rest.get(..end).and_then(|user| user.find(':')) {
            found.push(start + colon + 1..start + end);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_name_and_by_looks() {
        let table = [
            ("api_key: abc", vec!["abc"]),
            ("  - { model: x, api_key: \"a b\", rpm: 3 }", vec!["\"a b\""]),
            ("api_key: os.environ/OPENAI_API_KEY", vec![]),
            ("max_tokens: 4096", vec![]),
            ("litellm_key_header_name: X-Key", vec![]),
            ("input_cost_per_token: 0.1", vec![]),
            ("database_url: postgresql://user:hunter2@host/db", vec!["hunter2"]),
            ("model: sk-0123456789abcdef", vec!["sk-0123456789abcdef"]),
            ("aws_secret_access_key: 'x' # c", vec!["'x'"]),
            ("Authorization: Bearer abc", vec!["Bearer abc"]),
            ("private_key: |\n  line one\n  line two\nmodel: x", vec!["|", "line one", "line two"]),
            ("- api_key: abc\n    def\n  model: x", vec!["abc", "def"]),
            ("api_key: \"abc\ndef\"\nmodel: x", vec!["\"abc", "def\""]),
            ("headers: {X: abc}", vec!["{X: abc}"]),
            ("headers:\n  X: abc\nmodel: x", vec!["", "X: abc"]),
        ];
        for (text, expected) in table {
            let mut found: Vec<Range<usize>> = secrets_by_line(text);
            found.sort_by_key(|range| range.start);
            let found: Vec<&str> = found.into_iter().filter_map(|range| text.get(range)).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
