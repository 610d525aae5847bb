//! The JSON of the Messages API, field by field.
//!
//! <https://platform.claude.com/docs/en/api/messages/create>. Fields without a name here are
//! kept in the `extra` of the object in which they stand.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value};

use crate::conversation::Extra;

/// The body of a request, as we write it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Request {
    pub model: String,
    pub messages: Vec<Message>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<Block>,
    pub max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "OutputConfig::is_empty")]
    pub output_config: OutputConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<OutputFormat>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    #[serde(flatten)]
    pub extra: Extra,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Message {
    /// `user`, `assistant`; `system` between turns since Claude 4.8.
    pub role: String,
    pub content: Content,
    #[serde(flatten)]
    pub extra: Extra,
}

/// A string is short for one text block.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Content {
    Text(String),
    Blocks(Vec<Block>),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;

        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of content blocks")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, blocks: A) -> Result<Content, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(blocks)).map(Content::Blocks)
            }
        }

        deserializer.deserialize_any(ContentVisitor)
    }
}

/// One content block, told apart by its `type`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block {
    Text(TextBlock),
    Image(ImageBlock),
    Document(DocumentBlock),
    ToolUse(ToolUseBlock),
    ToolResult(ToolResultBlock),
    Thinking(ThinkingBlock),
    RedactedThinking(RedactedThinkingBlock),
    ContainerUpload {
        file_id: String,
    },
    /// Hosted tools and their results, search results, and what came after this was written.
    #[serde(untagged)]
    Other(Value),
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TaggedVisitor(PhantomData))
    }
}

impl Tagged for Block {
    fn of_kind<'de, D: Deserializer<'de>>(kind: Option<String>, rest: D) -> Result<Self, D::Error> {
        match kind.as_deref() {
            Some("text") => Deserialize::deserialize(rest).map(Self::Text),
            Some("image") => Deserialize::deserialize(rest).map(Self::Image),
            Some("document") => Deserialize::deserialize(rest).map(Self::Document),
            Some("tool_use") => Deserialize::deserialize(rest).map(Self::ToolUse),
            Some("tool_result") => Deserialize::deserialize(rest).map(Self::ToolResult),
            Some("thinking") => Deserialize::deserialize(rest).map(Self::Thinking),
            Some("redacted_thinking") => Deserialize::deserialize(rest).map(Self::RedactedThinking),
            Some(_) => whole(kind, rest).map(|object| Self::Other(Value::Object(object))),
            None => Err(D::Error::missing_field("type")),
        }
    }
}

/// What is told apart by its `type`. (serde's own tagged enums buffer what they read, and have no kind for what is
/// unknown.)
trait Tagged: Sized {
    /// Reads the fields beside the `type`.
    fn of_kind<'de, D: Deserializer<'de>>(kind: Option<String>, rest: D) -> Result<Self, D::Error>;
}

/// The object with its `type` put back in front.
fn whole<'de, D: Deserializer<'de>>(kind: Option<String>, rest: D) -> Result<Extra, D::Error> {
    let kind = kind.map(|kind| ("type".to_owned(), Value::String(kind)));
    let mut object: Extra = kind.into_iter().collect();
    object.append(&mut Extra::deserialize(rest)?);
    Ok(object)
}

struct TaggedVisitor<T>(PhantomData<T>);

impl<'de, T: Tagged> Visitor<'de> for TaggedVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a `type`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<T, A::Error> {
        // The type comes first wherever it was not written by hand; then nothing has to be kept until it is known.
        let first = fields.next_key::<Cow<'_, str>>()?;
        if first.as_deref() == Some("type") {
            let kind = kind(&fields.next_value()?)?;
            return T::of_kind(kind, MapAccessDeserializer::new(fields));
        }
        let mut object = Extra::new();
        if let Some(first) = first {
            object.insert(first.into_owned(), fields.next_value()?);
        }
        while let Some((name, value)) = fields.next_entry()? {
            object.insert(name, value);
        }
        let kind = object.shift_remove("type").map_or(Ok(None), |value| kind(&value))?;
        T::of_kind(kind, Value::Object(object)).map_err(A::Error::custom)
    }
}

fn kind<E: Error>(value: &Value) -> Result<Option<String>, E> {
    match value {
        Value::Null => Ok(None),
        Value::String(kind) => Ok(Some(kind.clone())),
        _ => Err(E::custom("`type` must be a string")),
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct TextBlock {
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citations: Option<Vec<Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
    #[serde(flatten)]
    pub extra: Extra,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct ImageBlock {
    pub source: Source,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// `context` and `citations` are in `extra`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct DocumentBlock {
    pub source: Source,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Where the bytes of an image or document are.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source {
    Base64 {
        media_type: String,
        data: String,
    },
    Url {
        url: String,
    },
    /// Uploaded with the Files API.
    File {
        file_id: String,
    },
    /// Plain text; `media_type` is `text/plain`.
    Text {
        media_type: String,
        data: String,
    },
    /// A document in pieces that can be cited one by one.
    Content {
        content: Content,
    },
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct ToolUseBlock {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub input: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
    #[serde(flatten)]
    pub extra: Extra,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct ToolResultBlock {
    pub tool_use_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
    #[serde(flatten)]
    pub extra: Extra,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct ThinkingBlock {
    pub thinking: String,
    #[serde(default)]
    pub signature: String,
    #[serde(flatten)]
    pub extra: Extra,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct RedactedThinkingBlock {
    pub data: String,
    #[serde(flatten)]
    pub extra: Extra,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct CacheControl {
    /// `ephemeral`; there is no other.
    #[serde(rename = "type")]
    pub kind: String,
    /// `5m` (the default) or `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
}

/// One tool, told apart by its `type`; hosted tools and Anthropic's own client tools carry a date in it.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Tool {
    /// `type` is `custom` or absent.
    Custom(CustomTool),
    WebSearch(WebSearchTool),
    CodeExecution(Extra),
    WebFetch(Extra),
    Other(Value),
}

impl<'de> Deserialize<'de> for Tool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TaggedVisitor(PhantomData))
    }
}

impl Tagged for Tool {
    fn of_kind<'de, D: Deserializer<'de>>(kind: Option<String>, rest: D) -> Result<Self, D::Error> {
        match kind.as_deref() {
            None | Some("custom") => Deserialize::deserialize(rest).map(Self::Custom),
            Some(name) if name.starts_with("web_search_") => {
                let object = Value::Object(whole(kind, rest)?);
                serde_json::from_value(object).map(Self::WebSearch).map_err(D::Error::custom)
            }
            Some(name) if name.starts_with("code_execution_") => without_name(rest).map(Self::CodeExecution),
            Some(name) if name.starts_with("web_fetch_") => without_name(rest).map(Self::WebFetch),
            Some(_) => whole(kind, rest).map(|object| Self::Other(Value::Object(object))),
        }
    }
}

/// A hosted tool's name and version say nothing that its kind does not.
fn without_name<'de, D: Deserializer<'de>>(rest: D) -> Result<Extra, D::Error> {
    let mut object = Extra::deserialize(rest)?;
    object.shift_remove("name");
    Ok(object)
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct CustomTool {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// `custom`; always written, and the default when it is read.
    #[serde(skip_deserializing, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
    #[serde(flatten)]
    pub extra: Extra,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct WebSearchTool {
    /// `web_search_20250305` and later dates.
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_domains: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_domains: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_location: Option<Extra>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
    #[serde(flatten)]
    pub extra: Extra,
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct ToolChoice {
    /// `auto`, `any`, `tool` or `none`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_parallel_tool_use: Option<bool>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Thinking {
    Enabled {
        /// At least 1024 and less than `max_tokens`.
        budget_tokens: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        display: Option<Display>,
    },
    Adaptive {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        display: Option<Display>,
    },
    Disabled,
}

/// Whether thinking is shown; a signature comes either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Display {
    Summarized,
    Omitted,
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct OutputConfig {
    /// `low`, `medium`, `high`, `xhigh`, `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<OutputFormat>,
    #[serde(flatten)]
    pub extra: Extra,
}

impl OutputConfig {
    pub(super) fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// `output_config.format`, and the same object as `output_format` of the beta `structured-outputs-2025-11-13`.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum OutputFormat {
    JsonSchema { schema: Value },
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Metadata {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

impl Metadata {
    pub(super) fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// A complete answer.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub model: Option<String>,
    pub content: Vec<Block>,
    #[serde(default)]
    pub stop_reason: Option<String>,
    #[serde(default)]
    pub stop_sequence: Option<String>,
    #[serde(default)]
    pub usage: Option<Value>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// What is billed. In `message_start` and `message_delta` alike; the counts of the latter are running totals
/// and leave out what has not changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Usage {
    /// Without the tokens read from or written to the cache.
    #[serde(default)]
    pub input_tokens: Option<u64>,
    #[serde(default)]
    pub cache_creation_input_tokens: Option<u64>,
    #[serde(default)]
    pub cache_read_input_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_creation: Option<CacheCreation>,
    #[serde(default)]
    pub output_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens_details: Option<OutputTokensDetails>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_tool_use: Option<ServerToolUse>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<ServiceTier>,
}

/// Cache writes by time to live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct CacheCreation {
    #[serde(default)]
    pub ephemeral_5m_input_tokens: u64,
    #[serde(default)]
    pub ephemeral_1h_input_tokens: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct OutputTokensDetails {
    #[serde(default)]
    pub thinking_tokens: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct ServerToolUse {
    #[serde(default)]
    pub web_search_requests: u64,
    #[serde(default)]
    pub web_fetch_requests: u64,
}

/// The tier that served the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ServiceTier {
    Standard,
    Priority,
    Batch,
    #[serde(other)]
    Unknown,
}

/// An error: an answer of its own, or an event of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody {
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    #[serde(default)]
    pub message: Option<String>,
}
