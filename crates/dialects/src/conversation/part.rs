use serde_json::Value;

use super::{Extra, Seal};
use crate::Dialect;

/// One piece of a message or of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Text(Text),
    Media(Media),
    ToolCall(ToolCall),
    ToolResult(ToolResult),
    Reasoning(Reasoning),
    /// The model declines to answer and says so.
    Refusal(String),
    /// What only one dialect knows (server-side tool runs, search results, …): carried verbatim between two
    /// sides that both speak that dialect, reported as a loss elsewhere.
    Opaque(Opaque),
}

impl Part {
    /// By what the provider recognises this part as its own.
    #[must_use]
    pub fn seal(&self) -> Option<&Seal> {
        match self {
            Self::Text(text) => text.seal.as_ref(),
            Self::Media(media) => media.seal.as_ref(),
            Self::ToolCall(call) => call.seal.as_ref(),
            Self::Reasoning(reasoning) => reasoning.seal.as_ref(),
            Self::ToolResult(_) | Self::Refusal(_) | Self::Opaque(_) => None,
        }
    }

    /// Plain text without marker, citations or signature.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Text { text: text.into(), ..Text::default() })
    }

    /// Whether it, or a part inside it, carries a [`CacheMarker`].
    #[must_use]
    pub fn is_cache_marked(&self) -> bool {
        match self {
            Self::Text(text) => text.cache.is_some(),
            Self::Media(media) => media.cache.is_some(),
            Self::ToolCall(call) => call.cache.is_some(),
            Self::ToolResult(result) => {
                result.cache.is_some() || result.parts.iter().any(Self::is_cache_marked)
            }
            Self::Reasoning(_) | Self::Refusal(_) | Self::Opaque(_) => false,
        }
    }
}

/// Text, with what the model or the client attached to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text {
    pub text: String,
    pub citations: Vec<Citation>,
    pub cache: Option<CacheMarker>,
    /// Gemini signs text parts of its thinking models too; to be sent back unchanged.
    pub seal: Option<Seal>,
    pub extra: Extra,
}

/// Where a statement of the answer comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Citation {
    pub url: Option<String>,
    pub title: Option<String>,
    /// The quoted passage.
    pub quote: Option<String>,
    /// First character of the supported span in the part's text, counted in characters.
    pub start: Option<u64>,
    /// One past the last character of the span.
    pub end: Option<u64>,
    /// The citation as its dialect wrote it, for sides that speak the same one.
    pub original: Option<Value>,
}

/// What kind of content a [`Media`] part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    Image,
    Audio,
    Video,
    /// PDFs and other documents.
    File,
}

/// An image, sound, film or document.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    pub kind: MediaKind,
    pub source: Source,
    /// OpenAI's `detail` of an image: `low`, `high`, `auto`, …
    pub detail: Option<String>,
    /// File name or document title.
    pub name: Option<String>,
    /// What is said in a sound (answers with audio).
    pub transcript: Option<String>,
    pub cache: Option<CacheMarker>,
    pub seal: Option<Seal>,
    pub extra: Extra,
}

impl Media {
    #[must_use]
    pub fn new(kind: MediaKind, source: Source) -> Self {
        Self {
            kind,
            source,
            detail: None,
            name: None,
            transcript: None,
            cache: None,
            seal: None,
            extra: Extra::new(),
        }
    }
}

/// Where the bytes of a [`Media`] part are.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// An address that the provider fetches (`https://…`, `gs://…`), with its type where it is known.
    Url { url: String, media_type: Option<String> },
    /// Base64 (standard alphabet) as the client sent it; never decoded on the way through.
    Base64 { media_type: String, data: String },
    /// The id of a file uploaded to the provider.
    FileId(String),
    /// Plain text handed over as a document.
    Text(String),
}

/// A prompt-cache marker: everything up to and including the marked item may be cached by the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheMarker {
    /// `None` leaves the time to live to the provider (5 minutes at Anthropic).
    pub ttl: Option<CacheTtl>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheTtl {
    FiveMinutes,
    OneHour,
}

/// A call of a tool by the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// The id that the result refers to. Never empty: readers make one where the provider gives none.
    pub id: String,
    pub name: String,
    /// JSON text for [`ToolCallKind::Function`], as the model wrote it: it may not be valid JSON. Free text
    /// for [`ToolCallKind::Custom`].
    pub arguments: String,
    pub kind: ToolCallKind,
    /// Proof of the reasoning that led to the call (Gemini `thoughtSignature`); to be sent back.
    pub seal: Option<Seal>,
    pub cache: Option<CacheMarker>,
    pub extra: Extra,
}

impl ToolCall {
    #[must_use]
    pub fn function(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            kind: ToolCallKind::Function,
            seal: None,
            cache: None,
            extra: Extra::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ToolCallKind {
    /// Arguments are a JSON object.
    Function,
    /// OpenAI's custom tools: the input is free text.
    Custom,
}

/// What a tool answered.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    pub call_id: String,
    /// The tool's name, where the dialect repeats it; writers that need it look the call up otherwise.
    pub name: Option<String>,
    /// Text, media or opaque parts.
    pub parts: Vec<Part>,
    pub is_error: bool,
    pub cache: Option<CacheMarker>,
    pub extra: Extra,
}

/// What the model thought before it answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasoning {
    /// The item's id (OpenAI Responses).
    pub id: Option<String>,
    /// The thinking itself, where the provider shows it.
    pub text: String,
    /// A summary in one or more paragraphs (OpenAI Responses).
    pub summary: Vec<String>,
    /// Signature or encrypted payload by which the provider recognises its own thinking.
    pub seal: Option<Seal>,
    pub extra: Extra,
}

impl Reasoning {
    /// The readable part: the thinking itself, else its summary.
    #[must_use]
    pub fn readable(&self) -> String {
        if self.text.is_empty() { self.summary.join("\n\n") } else { self.text.clone() }
    }
}

/// See [`Part::Opaque`].
#[derive(Clone, Debug, PartialEq)]
pub struct Opaque {
    pub dialect: Dialect,
    pub value: Value,
}
