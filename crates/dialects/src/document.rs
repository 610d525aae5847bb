//! A JSON object that is edited without being rebuilt.
//!
//! Where client and provider speak the same dialect, the body goes through as it came: fields that must change
//! are replaced in place, and every other byte, known to us or not, stays.

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr2, memchr2_iter};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::error::Invalid;
use crate::json;
use crate::json::scan::{Scan, string};

/// How deep a body may be nested. serde's own limit, which would otherwise only hold where a value is built.
pub const MAX_DEPTH: usize = 128;

/// How many fields the top-level object may have. Fields are looked up one after the other, which is the quickest for the
/// few that requests and answers have, and would take hours for a million.
pub const MAX_FIELDS: usize = 512;

/// A top-level object, its fields in order.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    source: &'a str,
    fields: Vec<Field<'a>>,
    edited: bool,
}

#[derive(Clone, Debug)]
struct Field<'a> {
    name: Cow<'a, str>,
    value: Content<'a>,
    /// Where the field stands in the source, from its name's quote to its value's end; `None` for an added one.
    span: Option<(usize, usize)>,
}

#[derive(Clone, Debug)]
enum Content<'a> {
    Original(&'a str),
    Replaced(String),
    Removed,
}

impl<'a> Document<'a> {
    /// Reads an object. Values are checked for JSON syntax and depth, not looked into.
    ///
    /// # Errors
    /// When `body` is not UTF-8, not a JSON object, nested deeper than [`MAX_DEPTH`], has more than [`MAX_FIELDS`]
    /// fields, or names one twice (two readers of such a body could understand two different requests).
    pub fn parse(body: &'a [u8]) -> Result<Self, Invalid> {
        Self::parse_within(body, MAX_DEPTH)
    }

    /// [`Document::parse`] with a smaller bound on the depth; a larger one counts as [`MAX_DEPTH`].
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn parse_within(body: &'a [u8], max_depth: usize) -> Result<Self, Invalid> {
        let source = std::str::from_utf8(body)
            .map_err(|error| Invalid::body(format!("the body is not UTF-8: {error}")))?;
        check_depth(source, max_depth.min(MAX_DEPTH))?;
        // Most bodies have fewer, and there is room for what is added on the way to a provider.
        let mut fields = Vec::with_capacity(12);
        let mut scan = Scan::of(source);
        let walked = scan.named_values(|name, quote, value| {
            // The value lies in `source`, so its distance from the beginning is its place in it.
            let end = (value.as_ptr() as usize - source.as_ptr() as usize) + value.len();
            fields.push(Field { name, value: Content::Original(value), span: Some((quote, end)) });
        });
        if walked.and_then(|()| scan.end()).is_err() {
            return Err(not_an_object(source));
        }
        if fields.len() > MAX_FIELDS {
            return Err(Invalid::body(format!("the body has more than {MAX_FIELDS} fields")));
        }
        let document = Self { source, fields, edited: false };
        document.check_names()?;
        Ok(document)
    }

    /// The object that `source` holds, which some writer of ours made.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn of(source: &'a str) -> Result<Self, Invalid> {
        Self::parse(source.as_bytes())
    }

    fn check_names(&self) -> Result<(), Invalid> {
        for (index, field) in self.fields.iter().enumerate() {
            if self.fields.iter().take(index).any(|earlier| earlier.name == field.name) {
                return Err(Invalid::new(field.name.clone(), "the field stands twice in the body"));
            }
        }
        Ok(())
    }

    /// The JSON text of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        match &self.field(name)?.value {
            Content::Original(text) => Some(text),
            Content::Replaced(text) => Some(text),
            Content::Removed => None,
        }
    }

    /// Whether the field is there and not `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|text| text != "null")
    }

    /// The field as a string; `None` if it is absent or `null`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn text(&self, name: &str) -> Result<Option<Cow<'_, str>>, Invalid> {
        match self.get(name) {
            None | Some("null") => Ok(None),
            Some(text) => string(text).map(Some).ok_or_else(|| mistaken(name, "a string", text)),
        }
    }

    /// The field as a boolean; `None` if it is absent or `null`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Invalid> {
        match self.get(name) {
            None | Some("null") => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(text) => Err(mistaken(name, "a boolean", text)),
        }
    }

    /// The field as a tree of values.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Value> {
        self.get(name).and_then(|text| serde_json::from_str(text).ok())
    }

    /// The names of all fields, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(|field| !field.is_removed()).map(|field| &*field.name)
    }

    /// Puts `json` (JSON text) in the field's place, or behind the last field if there is none.
    pub fn set(&mut self, name: &str, json: impl Into<String>) {
        self.edited = true;
        let value = Content::Replaced(json.into());
        match self.field_mut(name) {
            Some(field) => field.value = value,
            None => self.fields.push(Field { name: Cow::Owned(name.to_owned()), value, span: None }),
        }
    }

    pub fn set_value(&mut self, name: &str, value: &Value) {
        self.set(name, json::write_text(value));
    }

    pub fn set_text(&mut self, name: &str, text: &str) {
        self.set(name, json::write_text(text));
    }

    /// Takes the field out; says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(field) = self.field_mut(name) else { return false };
        field.value = Content::Removed;
        self.edited = true;
        true
    }

    /// Gives the field another name, in its place. A field that already has that name is replaced.
    pub fn rename(&mut self, from: &str, to: &str) -> bool {
        if from == to || self.get(from).is_none() {
            return false;
        }
        self.remove(to);
        let Some(field) = self.field_mut(from) else { return false };
        if let Content::Original(text) = field.value {
            field.value = Content::Replaced(text.to_owned());
        }
        field.name = Cow::Owned(to.to_owned());
        self.edited = true;
        true
    }

    /// Whether [`Document::write`] would give other bytes than were read.
    #[must_use]
    pub fn is_edited(&self) -> bool {
        self.edited
    }

    /// The object as JSON; what was not edited is byte for byte what was read.
    pub fn write(&self, out: &mut Vec<u8>) {
        if !self.edited {
            out.extend_from_slice(self.source.as_bytes());
            return;
        }
        out.reserve(self.source.len() + 64);
        let slice = |from: usize, to: usize| self.source.get(from..to).unwrap_or_default().as_bytes();
        let first = self
            .fields
            .iter()
            .find_map(|field| field.span)
            .map_or_else(|| self.source.find('}').unwrap_or(self.source.len()), |(start, _)| start);
        out.extend_from_slice(slice(0, first));
        let mut written = 0_usize;
        let mut previous_end = None;
        for field in &self.fields {
            let gap = match (previous_end, field.span) {
                (Some(end), Some((start, _))) => slice(end, start),
                _ => b",".as_slice(),
            };
            previous_end = field.span.map(|(_, end)| end).or(previous_end);
            let value = match &field.value {
                Content::Removed => continue,
                Content::Original(text) => *text,
                Content::Replaced(text) => text.as_str(),
            };
            if written > 0 {
                out.extend_from_slice(if gap.contains(&b',') { gap } else { b"," });
            }
            written += 1;
            match (field.span, &field.value) {
                (Some((start, end)), Content::Original(_)) => out.extend_from_slice(slice(start, end)),
                _ => {
                    write_string(&field.name, out);
                    out.push(b':');
                    out.extend_from_slice(value.as_bytes());
                }
            }
        }
        let tail = previous_end.unwrap_or(first);
        out.extend_from_slice(slice(tail, self.source.len()));
    }

    /// [`Document::write`] into a new buffer.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn field(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.name == name && !field.is_removed())
    }

    fn field_mut(&mut self, name: &str) -> Option<&mut Field<'a>> {
        self.fields.iter_mut().find(|field| field.name == name && !field.is_removed())
    }
}

#[cold]
fn mistaken(name: &str, expected: &str, text: &str) -> Invalid {
    let found: String = text.chars().take(40).collect();
    Invalid::new(name, format!("expected {expected}, found `{found}`"))
}

impl Field<'_> {
    fn is_removed(&self) -> bool {
        matches!(self.value, Content::Removed)
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&json::write(text));
}

/// What serde says about a body that is not one.
#[cold]
fn not_an_object(source: &str) -> Invalid {
    match serde_json::from_str::<AnyObject>(source) {
        Err(error) if error.is_data() => Invalid::body(format!("the body must be a JSON object: {error}")),
        Err(error) => json::syntax(&error),
        Ok(AnyObject) => Invalid::body("the body must be a JSON object"),
    }
}

struct AnyObject;

impl<'de> Deserialize<'de> for AnyObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyVisitor;

        impl<'de> Visitor<'de> for AnyVisitor {
            type Value = AnyObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyObject, A::Error> {
                while map.next_entry::<String, IgnoredAny>()?.is_some() {}
                Ok(AnyObject)
            }
        }

        deserializer.deserialize_map(AnyVisitor)
    }
}

/// serde does not bound the depth of values it only skips, and whoever builds them later may.
fn check_depth(source: &str, max_depth: usize) -> Result<(), Invalid> {
    let bytes = source.as_bytes();
    if memchr2_iter(b'{', b'[', bytes).nth(max_depth).is_none() {
        return Ok(());
    }
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > max_depth {
                    return Err(Invalid::body(format!("the body is nested deeper than {max_depth} levels")));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(offset) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
                    at += offset + 1;
                    if bytes.get(at - 1) == Some(&b'"') {
                        break;
                    }
                    at += 1;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn edited(source: &str, edit: impl FnOnce(&mut Document<'_>)) -> String {
        let mut document = Document::of(source).unwrap();
        edit(&mut document);
        String::from_utf8(document.to_bytes()).unwrap()
    }

    #[test]
    fn only_the_edited_field_changes() {
        let source = "{ \"model\" : \"a\",\n  \"x\\u0041\": [1, 2.50,\t{}],\"n\":1e2 }\n";
        assert_eq!(
            edited(source, |d| d.set("model", "\"b\"")),
            "{ \"model\":\"b\",\n  \"x\\u0041\": [1, 2.50,\t{}],\"n\":1e2 }\n"
        );
        assert_eq!(edited(source, |d| _ = d.remove("model")), "{ \"x\\u0041\": [1, 2.50,\t{}],\"n\":1e2 }\n");
        assert_eq!(
            edited(source, |d| _ = d.remove("n")),
            "{ \"model\" : \"a\",\n  \"x\\u0041\": [1, 2.50,\t{}] }\n"
        );
        assert_eq!(
            edited(source, |d| _ = d.rename("n", "m")),
            "{ \"model\" : \"a\",\n  \"x\\u0041\": [1, 2.50,\t{}],\"m\":1e2 }\n"
        );
        assert_eq!(edited(source, |_| ()), source);
    }

    #[test]
    fn fields_are_added_to_any_object() {
        assert_eq!(edited("{}", |d| d.set("a", "1")), r#"{"a":1}"#);
        assert_eq!(edited("{ }", |d| d.set("a", "1")), r#"{ "a":1}"#);
        assert_eq!(edited(r#"{"b":2}"#, |d| d.set("a", "1")), r#"{"b":2,"a":1}"#);
        assert_eq!(
            edited(r#"{"b":2}"#, |d| {
                d.remove("b");
                d.set("a", "1");
            }),
            r#"{"a":1}"#
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let message = |body: &[u8]| Document::parse(body).unwrap_err().to_string();
        assert_eq!(message(br#"{"a":1,"a":2}"#), "`a`: the field stands twice in the body");
        assert_eq!(
            message(b"[1]"),
            "the body must be a JSON object: invalid type: sequence, expected a JSON object at line 1 column 0"
        );
        assert_eq!(message(b""), "Invalid JSON payload: EOF while parsing a value at line 1 column 0");
        assert!(message(b"{\"a\":\"\xff\"}").starts_with("the body is not UTF-8"));
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(message(deep.as_bytes()), "the body is nested deeper than 128 levels");
        let fields: Vec<String> = (0..=MAX_FIELDS).map(|number| format!("\"f{number}\":0")).collect();
        assert_eq!(
            message(format!("{{{}}}", fields.join(",")).as_bytes()),
            "the body has more than 512 fields"
        );
        let document = Document::of(r#"{"stream":"yes"}"#).unwrap();
        assert_eq!(
            document.flag("stream").unwrap_err().to_string(),
            "`stream`: expected a boolean, found `\"yes\"`"
        );
    }

    #[test]
    fn braces_in_strings_are_not_depth() {
        let text = format!("{{\"a\":\"{}\\\"{}\"}}", "[".repeat(1000), "{".repeat(1000));
        assert!(Document::of(&text).is_ok());
    }

    proptest! {
        #[test]
        fn edits_do_what_they_say(
            names in prop::collection::btree_set("[a-e\"é]{1,3}", 0..6),
            edits in prop::collection::vec((0..3, "[a-e]{1,2}"), 0..6),
        ) {
            let mut expected: serde_json::Map<String, Value> =
                names.iter().enumerate().map(|(index, name)| (name.clone(), json!([index]))).collect();
            let source = serde_json::to_string_pretty(&expected).unwrap();
            let mut document = Document::of(&source).unwrap();
            for (kind, name) in edits {
                match kind {
                    0 => { document.set(&name, "true"); expected.insert(name, json!(true)); }
                    1 => { document.remove(&name); expected.remove(&name); }
                    _ => {
                        document.rename(&name, "new");
                        if let Some(value) = expected.remove(&name) { expected.insert("new".into(), value); }
                    }
                }
            }
            let text = String::from_utf8(document.to_bytes()).unwrap();
            let read: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read.len(), expected.len());
            for (name, value) in &expected {
                prop_assert_eq!(read.get(name), Some(value));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Document::parse(&bytes);
        }
    }
}
