//! Forms (`multipart/form-data`, <https://www.rfc-editor.org/rfc/rfc7578>): read far enough to edit
//! their text fields; files pass as they are.

use memchr::memmem;
use serde_json::Value;

use crate::document::Document;
use crate::error::Invalid;

/// The most parts that a form may have.
const MAX_PARTS: usize = 256;

/// The boundary that a `content-type` header names.
#[must_use]
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let (_, value) = parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
    let value = value.trim().trim_matches('"');
    // RFC 2046, section 5.1.1.
    (1..=70).contains(&value.len()).then_some(value)
}

/// A form.
#[derive(Debug)]
pub struct Form<'a> {
    boundary: &'a str,
    parts: Vec<Part<'a>>,
}

#[derive(Debug)]
struct Part<'a> {
    name: String,
    /// Head and content, between two boundaries.
    raw: &'a [u8],
    /// The text of a field that stands once in the form, as JSON.
    text: Option<String>,
}

impl<'a> Form<'a> {
    /// Reads a form.
    ///
    /// # Errors
    /// When the body is not a form with this boundary, or has too many parts.
    pub fn parse(body: &'a [u8], boundary: &'a str) -> Result<Self, Invalid> {
        let broken = |what: &str| Invalid::body(format!("the form is broken: {what}"));
        let delimiter = format!("--{boundary}");
        let mut rest = body.strip_prefix(delimiter.as_bytes()).ok_or_else(|| {
            broken("it does not begin with the boundary that the `content-type` header names")
        })?;
        let delimiter = format!("\r\n{delimiter}");
        let finder = memmem::Finder::new(delimiter.as_bytes());
        let mut parts: Vec<Part<'a>> = Vec::new();
        loop {
            if rest.starts_with(b"--") {
                break;
            }
            let content = rest
                .strip_prefix(b"\r\n")
                .ok_or_else(|| broken("a boundary is not followed by a line end"))?;
            let end = finder.find(content).ok_or_else(|| broken("a part has no end"))?;
            let (raw, behind) = content.split_at(end);
            if parts.len() == MAX_PARTS {
                return Err(broken(&format!("it has more than {MAX_PARTS} parts")));
            }
            parts.push(Part::parse(raw).ok_or_else(|| broken("a part has no `name`"))?);
            rest = behind.get(delimiter.len()..).unwrap_or_default();
        }
        let names: Vec<String> = parts.iter().map(|part| part.name.clone()).collect();
        for part in &mut parts {
            // A list: its parts go together, and none of them is edited.
            if names.iter().filter(|name| **name == part.name).count() > 1 {
                part.text = None;
            }
        }
        Ok(Self { boundary, parts })
    }

    /// The text fields as a JSON object, so that everything that edits bodies can edit them. Fields that stand several
    /// times, and files, are left out.
    #[must_use]
    pub fn fields(&self) -> String {
        let fields = self.parts.iter().filter_map(|part| Some((&part.name, part.text.as_ref()?)));
        let fields: Vec<String> =
            fields.map(|(name, text)| format!("{}:{text}", Value::from(name.as_str()))).collect();
        format!("{{{}}}", fields.join(","))
    }

    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.parts.iter().any(|part| part.name == name)
    }

    /// The parts that [`Form::fields`] leaves out, with their heads, byte for byte.
    pub fn opaque_parts(&self) -> impl Iterator<Item = &'a [u8]> {
        self.parts.iter().filter(|part| part.text.is_none()).map(|part| part.raw)
    }

    /// The form with its text fields as `fields` has them; what was not edited is byte for byte what was read.
    #[must_use]
    pub fn write(&self, fields: &Document<'_>) -> Vec<u8> {
        let size: usize = self.parts.iter().map(|part| part.raw.len() + self.boundary.len() + 8).sum();
        let mut out = Vec::with_capacity(size + 256);
        for part in &self.parts {
            match (&part.text, fields.get(&part.name)) {
                (Some(_), None) => {}
                (Some(old), Some(new)) if old != new => self.write_field(&part.name, new, &mut out),
                _ => self.write_part(&[part.raw], &mut out),
            }
        }
        let known = |name: &str| self.parts.iter().any(|part| part.name == name);
        for name in fields.names().filter(|name| !known(name)) {
            self.write_field(name, fields.get(name).unwrap_or_default(), &mut out);
        }
        out.extend_from_slice(b"--");
        out.extend_from_slice(self.boundary.as_bytes());
        out.extend_from_slice(b"--\r\n");
        out
    }

    fn write_field(&self, name: &str, json: &str, out: &mut Vec<u8>) {
        let text = serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned());
        // As browsers escape names.
        let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        let head = format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        self.write_part(&[head.as_bytes(), text.as_bytes()], out);
    }

    fn write_part(&self, pieces: &[&[u8]], out: &mut Vec<u8>) {
        out.extend_from_slice(b"--");
        out.extend_from_slice(self.boundary.as_bytes());
        out.extend_from_slice(b"\r\n");
        for piece in pieces {
            out.extend_from_slice(piece);
        }
        out.extend_from_slice(b"\r\n");
    }
}

impl<'a> Part<'a> {
    fn parse(raw: &'a [u8]) -> Option<Self> {
        let end = memmem::find(raw, b"\r\n\r\n")?;
        let (head, content) = raw.split_at(end);
        let head = std::str::from_utf8(head).ok()?;
        let disposition = head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
        })?;
        let name = parameter(disposition, "name")?.to_owned();
        let is_file = parameter(disposition, "filename").is_some() || disposition.contains("filename*=");
        let content = content.get(4..).unwrap_or_default();
        let text = std::str::from_utf8(content).ok().filter(|_| !is_file);
        let text = text.map(|text| as_json(&name, text));
        Some(Self { name, raw, text })
    }
}

/// Numbers and booleans come as text; the model's name is always text.
fn as_json(name: &str, text: &str) -> String {
    let is_plain = name != "model"
        && matches!(serde_json::from_str(text), Ok(Value::Bool(_) | Value::Number(_)))
        && text.trim() == text;
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

/// A parameter of a `content-disposition`: quoted, as every client writes it, or bare.
fn parameter<'h>(disposition: &'h str, name: &str) -> Option<&'h str> {
    let mut rest = disposition;
    loop {
        let (_, behind) = rest.split_once(';')?;
        let (key, value) = behind.split_once('=')?;
        let found = key.trim().eq_ignore_ascii_case(name);
        let value = value.trim_start();
        let (value, behind) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let end = value.find(';').unwrap_or(value.len());
                (value.get(..end)?.trim_end(), value.get(end..)?)
            }
        };
        if found {
            return Some(value);
        }
        rest = behind;
    }
}
