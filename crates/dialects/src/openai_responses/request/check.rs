//! A look at a request's top-level fields that builds nothing.

use crate::document::Document;
use crate::error::Invalid;

/// What a field may begin with, by its first byte.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Flag,
    Number,
    List,
    Object,
    TextOrList,
    TextOrObject,
}

impl Shape {
    fn allows(self, first: u8) -> bool {
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

const FIELDS: [(&str, Shape); 29] = [
    ("background", Shape::Flag),
    ("conversation", Shape::TextOrObject),
    ("include", Shape::List),
    ("input", Shape::TextOrList),
    ("instructions", Shape::Text),
    ("max_output_tokens", Shape::Number),
    ("max_tool_calls", Shape::Number),
    ("metadata", Shape::Object),
    ("model", Shape::Text),
    ("parallel_tool_calls", Shape::Flag),
    ("previous_response_id", Shape::Text),
    ("prompt", Shape::Object),
    ("prompt_cache_key", Shape::Text),
    ("prompt_cache_options", Shape::Object),
    ("prompt_cache_retention", Shape::Text),
    ("reasoning", Shape::Object),
    ("safety_identifier", Shape::Text),
    ("service_tier", Shape::Text),
    ("store", Shape::Flag),
    ("stream", Shape::Flag),
    ("stream_options", Shape::Object),
    ("temperature", Shape::Number),
    ("text", Shape::Object),
    ("tool_choice", Shape::TextOrObject),
    ("tools", Shape::List),
    ("top_logprobs", Shape::Number),
    ("top_p", Shape::Number),
    ("truncation", Shape::Text),
    ("user", Shape::Text),
];

/// Checks that there is an input, and the JSON types of the fields that are known.
pub(in crate::openai_responses) fn check(document: &Document<'_>) -> Result<(), Invalid> {
    if !["input", "prompt", "previous_response_id", "conversation"].iter().any(|name| document.has(name)) {
        return Err(Invalid::new("input", "Missing required parameter: 'input'."));
    }
    for name in document.names() {
        let Some((_, shape)) = FIELDS.iter().find(|(known, _)| *known == name) else { continue };
        let text = document.get(name).unwrap_or("null");
        if text != "null" && !text.bytes().next().is_some_and(|first| shape.allows(first)) {
            let found: String = text.chars().take(40).collect();
            return Err(Invalid::new(name, format!("expected {}, found `{found}`", shape.name())));
        }
    }
    Ok(())
}
