//! JSON in one spelling: what means the same has the same bytes.
//!
//! Members of objects are sorted, whitespace and needless escapes are gone. Numbers stay as they are spelled: a provider
//! may tell `1` from `1.0`. A value longer than [`MAX_VERBATIM`] is replaced by its digest, so that sorting what
//! encloses it moves little, however large and deep the text is.

use std::ops::Range;

use memchr::memchr2;
use ring::digest::{SHA256, digest};

/// Longer values stand in the canonical text as `#` and their SHA-256. No JSON value begins like that.
const MAX_VERBATIM: usize = 1024;

/// Appends the canonical spelling of `json`, which is valid JSON; of what is not, the rest is appended as it is.
pub(super) fn write(json: &str, out: &mut Vec<u8>) {
    let mut writer = Writer { source: json, at: 0, out, scratch: Vec::new() };
    writer.value();
    writer.skip_space();
    let rest = writer.source.get(writer.at..).unwrap_or_default();
    out.extend_from_slice(rest.as_bytes());
}

struct Writer<'s, 'o> {
    source: &'s str,
    at: usize,
    out: &'o mut Vec<u8>,
    /// Where members are put in order.
    scratch: Vec<u8>,
}

impl Writer<'_, '_> {
    fn value(&mut self) {
        let start = self.out.len();
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string(),
            Some(_) => self.literal(),
            None => {}
        }
        let long = self.out.get(start..).filter(|written| written.len() > MAX_VERBATIM);
        if let Some(digest) = long.map(|written| digest(&SHA256, written)) {
            self.out.truncate(start);
            self.out.push(b'#');
            self.out.extend_from_slice(digest.as_ref());
        }
    }

    fn object(&mut self) {
        self.at += 1;
        self.out.push(b'{');
        let begin = self.out.len();
        // Each member with its comma, and within it the name.
        let mut members: Vec<(Range<usize>, Range<usize>)> = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'"') => {
                    let start = self.out.len();
                    self.string();
                    let name = start..self.out.len();
                    self.skip_space();
                    if self.peek() == Some(b':') {
                        self.at += 1;
                    }
                    self.out.push(b':');
                    self.value();
                    self.out.push(b',');
                    members.push((name, start..self.out.len()));
                }
                Some(b'}') => {
                    self.at += 1;
                    break;
                }
                Some(_) | None => break,
            }
        }
        self.sort(begin, members);
        self.out.push(b'}');
    }

    fn sort(&mut self, begin: usize, mut members: Vec<(Range<usize>, Range<usize>)>) {
        let text = |range: &Range<usize>| self.out.get(range.clone()).unwrap_or_default();
        if members.is_sorted_by_key(|(name, _)| text(name)) {
            return;
        }
        // Stable: of a name that stands twice, readers take the last or the first.
        members.sort_by(|(left, _), (right, _)| text(left).cmp(text(right)));
        self.scratch.clear();
        for (_, member) in &members {
            self.scratch.extend_from_slice(self.out.get(member.clone()).unwrap_or_default());
        }
        self.out.truncate(begin);
        self.out.extend_from_slice(&self.scratch);
    }

    fn array(&mut self) {
        self.at += 1;
        self.out.push(b'[');
        loop {
            self.skip_space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.out.push(b',');
                }
                Some(b']') => {
                    self.at += 1;
                    break;
                }
                Some(b'}' | b':') | None => break,
                Some(_) => self.value(),
            }
        }
        self.out.push(b']');
    }

    fn string(&mut self) {
        let start = self.at;
        let mut escaped = false;
        let bytes = self.source.as_bytes();
        let mut at = start + 1;
        self.at = loop {
            let Some(offset) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) else {
                break bytes.len();
            };
            let found = at + offset;
            if bytes.get(found) == Some(&b'"') {
                break found + 1;
            }
            escaped = true;
            at = found + 2;
        };
        let raw = self.source.get(start..self.at).unwrap_or_default();
        // Half of a surrogate pair is no text; it stays as it is spelled.
        match escaped.then(|| serde_json::from_str::<String>(raw).ok()).flatten() {
            Some(text) => self.out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes()),
            None => self.out.extend_from_slice(raw.as_bytes()),
        }
    }

    fn literal(&mut self) {
        let start = self.at;
        let bytes = self.source.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if matches!(byte, b',' | b']' | b'}' | b':' | b'"' | b'[' | b'{') || byte.is_ascii_whitespace() {
                break;
            }
            self.at += 1;
        }
        // Always forward, whatever stands there.
        self.at = self.at.max(start + 1).min(bytes.len());
        self.out.extend_from_slice(bytes.get(start..self.at).unwrap_or_default());
    }

    fn peek(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn canonical(json: &str) -> Vec<u8> {
        let mut out = Vec::new();
        write(json, &mut out);
        out
    }

    #[test]
    fn order_space_and_escapes_do_not_matter() {
        let plain = canonical(r#"{"a":"é","b":[1,{"c":null,"d":true}]}"#);
        // Each member keeps a comma behind it, so that members can change places.
        assert_eq!(plain, r#"{"a":"é","b":[1,{"c":null,"d":true,}],}"#.as_bytes());
        assert_eq!(
            plain,
            canonical("{ \"b\" : [ 1 , { \"d\":true , \"c\" : null } ] , \"a\":\"\\u00e9\" }\n")
        );
    }

    #[test]
    fn what_differs_stays_different() {
        let texts = [
            "1",
            "1.0",
            "\"1\"",
            "[1]",
            "[1,1]",
            "[11]",
            "{}",
            "[]",
            "null",
            "\"\"",
            r#"{"a":1}"#,
            r#"{"a":2}"#,
            r#"{"b":1}"#,
            r#"{"a":1,"b":1}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":2,"a":1}"#,
            r#""\ud800""#,
            r#""\\ud800""#,
            r#""a\nb""#,
            r#""a\\nb""#,
        ];
        for (place, left) in texts.iter().enumerate() {
            for right in texts.iter().skip(place + 1) {
                assert_ne!(canonical(left), canonical(right), "{left} {right}");
            }
        }
    }

    #[test]
    fn long_values_are_digests_and_still_compared() {
        let long = |end: &str| format!(r#"{{"b":"{}{end}","a":1}}"#, "x".repeat(5000));
        assert!(canonical(&long("")).len() < 100);
        assert_ne!(canonical(&long("y")), canonical(&long("z")));
    }

    #[test]
    fn depth_and_length_together_cost_no_more_than_their_sum() {
        let deep =
            format!("{}\"{}\"{}", r#"{"b":"#.repeat(120), "x".repeat(200_000), r#","a":1}"#.repeat(120));
        assert!(canonical(&deep).len() < 5000);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((".{0,4}", inner), 0..6)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    /// The same value with the members of every object the other way round.
    fn reversed(value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(reversed).collect(),
            Value::Object(fields) => {
                let turned = fields.iter().rev().map(|(name, value)| (name.clone(), reversed(value)));
                Value::Object(turned.collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }

    /// Every character of every string as an escape.
    fn escaped(json: &str) -> String {
        json.chars()
            .map(|c| {
                if c.is_ascii() {
                    c.to_string()
                } else {
                    let mut units = [0; 2];
                    c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04X}")).collect()
                }
            })
            .collect()
    }

    proptest! {
        #[test]
        fn one_value_has_one_spelling(value in any_json()) {
            let plain = canonical(&value.to_string());
            let turned = reversed(&value);
            prop_assert_eq!(&plain, &canonical(&turned.to_string()));
            prop_assert_eq!(&plain, &canonical(&serde_json::to_string_pretty(&turned).unwrap()));
            prop_assert_eq!(&plain, &canonical(&escaped(&turned.to_string())));
        }

        #[test]
        fn different_values_have_different_spellings(left in any_json(), right in any_json()) {
            prop_assert_eq!(left == right, canonical(&left.to_string()) == canonical(&right.to_string()));
        }

        #[test]
        fn no_text_panics_or_hangs(text in ".{0,60}") {
            canonical(&text);
        }

        #[test]
        fn no_json_like_text_panics_or_hangs(text in "[\\[\\]{}:,\"\\\\ua0-9 ]{0,60}") {
            canonical(&text);
        }
    }
}
