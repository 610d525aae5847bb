//! A look at the JSON types of a request's top-level fields, which builds nothing: a value's first byte tells its type.

use crate::document::Document;
use crate::error::Invalid;

/// What a field's value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Text,
    Flag,
    Number,
    List,
    Object,
    TextOrList,
    TextOrObject,
}

impl Shape {
    fn admits(self, first: u8) -> bool {
        match self {
            Self::Text => first == b'"',
            Self::Flag => matches!(first, b't' | b'f'),
            Self::Number => matches!(first, b'-' | b'0'..=b'9'),
            Self::List => first == b'[',
            Self::Object => first == b'{',
            Self::TextOrList => matches!(first, b'"' | b'['),
            Self::TextOrObject => matches!(first, b'"' | b'{'),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Flag => "a boolean",
            Self::Number => "a number",
            Self::List => "an array",
            Self::Object => "an object",
            Self::TextOrList => "a string or an array",
            Self::TextOrObject => "a string or an object",
        }
    }
}

/// Checks the fields whose shape is known; `null` says nothing, and others are the provider's business.
///
/// # Errors
/// Names the first field that has another shape.
pub(crate) fn check(
    document: &Document<'_>,
    shape_of: impl Fn(&str) -> Option<Shape>,
) -> Result<(), Invalid> {
    for name in document.names() {
        let Some(shape) = shape_of(name) else { continue };
        let Some(text) = document.get(name) else { continue };
        if text != "null" && !text.as_bytes().first().is_some_and(|first| shape.admits(*first)) {
            let found: String = text.chars().take(40).collect();
            return Err(Invalid::new(name, format!("expected {}, found `{found}`", shape.name())));
        }
    }
    Ok(())
}

/// The shape of a field that is listed.
pub(crate) fn listed(fields: &[(&str, Shape)], name: &str) -> Option<Shape> {
    fields.iter().find(|(listed, _)| *listed == name).map(|(_, shape)| *shape)
}
