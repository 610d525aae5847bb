//! What a report must not show. Reports are pasted into issues; a key in one of them is a leaked key.

use std::ops::Range;

/// Whether values under this name are secrets.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // Counts and names of tokens and keys, not tokens and keys.
    const HARMLESS: &[&str] = &["max_tokens", "token_count", "per_token", "key_alias", "key_name", "header_name"];
    if HARMLESS.iter().any(|word| name.contains(word)) || name.ends_with("_tokens") {
        return false;
    }
    name.ends_with("_key")
        || name.ends_with("_key_id")
        || matches!(name.as_str(), "key" | "token" | "authorization" | "auth_value" | "vertex_credentials" | "credentials")
        || ["password", "passwd", "secret", "api_key", "apikey", "private_key"].iter().any(|word| name.contains(word))
        || name.ends_with("token")
}

/// Secrets found without a tree: by the names in front of the colons, line by line.
///
/// The tree knows better where there is one. This works on a text that is not YAML, too: the report of a syntax
/// error shows a line of it.
pub(crate) fn secrets_by_line(text: &str) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    let mut offset = 0;
    // Inside a block scalar (`key: |`) of a secret: the indentation that its lines exceed.
    let mut block: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end();
        let indent = body.len() - body.trim_start().len();
        if let Some(outer) = block {
            if body.is_empty() || indent > outer {
                secrets.push(offset + indent..offset + body.len());
                offset += line.len();
                continue;
            }
            block = None;
        }
        for value in secret_values(body) {
            let written = body.get(value.clone()).unwrap_or_default();
            if written.is_empty() || written.starts_with(['|', '>']) {
                block = Some(indent);
            } else if !is_reference(written) {
                secrets.push(offset + value.start..offset + value.end);
            }
        }
        for word in loose_secrets(body) {
            secrets.push(offset + word.start..offset + word.end);
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

/// The values of one line whose key has a secret's name.
fn secret_values(line: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (colon, _) in line.match_indices(':') {
        if found.last().is_some_and(|last| colon < last.end) {
            continue;
        }
        let before = line.get(..colon).unwrap_or_default().trim_end_matches(['"', '\'']);
        let name_start = before
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
            .map_or(0, |at| at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8));
        if !is_secret_name(before.get(name_start..).unwrap_or_default()) {
            continue;
        }
        let after = line.get(colon + 1..).unwrap_or_default();
        let value = after.trim_start();
        let start = line.len() - value.len();
        let length = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                value.get(1..).and_then(|rest| rest.find(quote)).map_or(value.len(), |end| end + 2)
            }
            _ => value.find([',', '}', ']']).or_else(|| value.find(" #")).unwrap_or(value.len()),
        };
        found.push(start..start + length);
    }
    found
}

/// Secrets that show by their looks: `sk-…` keys, and passwords in addresses (`postgres://user:password@host`).
fn loose_secrets(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("sk-") {
        let rest = line.get(at..).unwrap_or_default();
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))).unwrap_or(rest.len());
        let starts_word = line.get(..at).is_some_and(|before| !before.ends_with(|c: char| c.is_ascii_alphanumeric()));
        if length >= 16 && starts_word {
            found.push(at..at + length);
        }
    }
    for (at, _) in line.match_indices("://") {
        let start = at + 3;
        let rest = line.get(start..).unwrap_or_default();
        let host = rest.find(['/', ' ', '"', '\'']).unwrap_or(rest.len());
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
            ("private_key: |\n  line one\n  line two\nmodel: x", vec!["line one", "line two"]),
        ];
        for (text, expected) in table {
            let found: Vec<&str> = secrets_by_line(text).into_iter().filter_map(|range| text.get(range)).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
