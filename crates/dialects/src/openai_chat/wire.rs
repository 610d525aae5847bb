//! OpenAI's Chat Completions, field by field, as its API reference has them
//! (<https://platform.openai.com/docs/api-reference/chat/create>), and the extensions that
//! LiteLLM's clients and the providers of this dialect use (<https://docs.litellm.ai/docs/reasoning_content>).
//!
//! One [`Message`] serves requests, answers and stream deltas: their fields are the same, and so are the
//! extensions. All fields are optional here, what must be there is checked where it is used.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::conversation::Extra;

/// The body of a request, as it is written. (Reading goes field by field.)
#[derive(Debug, Default, Serialize)]
pub(super) struct Request {
    pub(super) model: String,
    pub(super) messages: Vec<Message>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tools: Vec<Tool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_choice: Option<ToolChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_format: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_p: Option<Number>,
    /// Not OpenAI's, but known to most servers of open models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_k: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) frequency_penalty: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) presence_penalty: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seed: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logit_bias: Option<Extra>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) stop: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_logprobs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_effort: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) modalities: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) audio: Option<AudioOutput>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) web_search_options: Option<WebSearchOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<Extra>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_tier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt_cache_key: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream_options: Option<StreamOptions>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

/// A message of a request or of an answer, or a piece of one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Message {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<Content>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<String>,
    /// LiteLLM, DeepSeek and many others: the thinking as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<String>,
    /// OpenRouter, Together, Cerebras, Groq: the same under another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reasoning: Option<String>,
    /// OpenRouter: the same in pieces, with signatures and encrypted payloads
    /// (<https://openrouter.ai/docs/use-cases/reasoning-tokens>).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_details: Option<Vec<Extra>>,
    /// LiteLLM: Anthropic's thinking with its signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) thinking_blocks: Option<Vec<ThinkingBlock>>,
    /// LiteLLM: reasoning items of OpenAI Responses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_items: Option<Vec<ReasoningItem>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) audio: Option<Audio>,
    /// Generated images (LiteLLM, OpenRouter).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) images: Option<Vec<ContentPart>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tool_calls: Option<Vec<ToolCall>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tool_call_id: Option<String>,
    /// Deprecated by OpenAI in favour of `tool_calls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) function_call: Option<FunctionCall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<Vec<Annotation>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) provider_specific_fields: Option<Extra>,
    /// LiteLLM: marks the message's last part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<CacheControl>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

/// A message's content: text, or parts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;

        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of content parts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Content, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(parts)).map(Content::Parts)
            }
        }

        deserializer.deserialize_any(ContentVisitor)
    }
}

/// One part of a message's content; `kind` says which of the fields is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ContentPart {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<String>,
    /// Mistral: a `thinking` part's text, itself in parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) thinking: Option<Content>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) image_url: Option<MediaUrl>,
    /// vLLM, Gemini's own OpenAI surface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) video_url: Option<MediaUrl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) input_audio: Option<InputAudio>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<File>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<CacheControl>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

impl ContentPart {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { kind: "text".to_owned(), text: Some(text.into()), ..Self::default() }
    }
}

/// `{url, detail}`; the bare address that LiteLLM also takes is read as `{url}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct MediaUrl {
    pub(super) url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
    /// LiteLLM: the media type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<String>,
}

impl<'de> Deserialize<'de> for MediaUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            url: String,
            #[serde(default)]
            detail: Option<String>,
            #[serde(default)]
            format: Option<String>,
        }

        struct MediaUrlVisitor;

        impl<'de> Visitor<'de> for MediaUrlVisitor {
            type Value = MediaUrl;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `url`, or the address itself")
            }

            fn visit_str<E>(self, url: &str) -> Result<MediaUrl, E> {
                Ok(MediaUrl { url: url.to_owned(), ..MediaUrl::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MediaUrl, A::Error> {
                let Fields { url, detail, format } =
                    Deserialize::deserialize(MapAccessDeserializer::new(map))?;
                Ok(MediaUrl { url, detail, format })
            }
        }

        deserializer.deserialize_any(MediaUrlVisitor)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct InputAudio {
    /// Base64.
    pub(super) data: String,
    /// `wav` or `mp3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct File {
    /// A data URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file_data: Option<String>,
    /// The id of an uploaded file; LiteLLM also takes addresses here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) filename: Option<String>,
    /// LiteLLM: the media type of an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<String>,
}

/// Anthropic's cache mark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CacheControl {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ttl: Option<String>,
}

/// `thinking` with text and signature, or `redacted_thinking` with data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ThinkingBlock {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) thinking: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<String>,
}

/// A reasoning item of OpenAI Responses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ReasoningItem {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) encrypted_content: Option<String>,
    #[serde(default)]
    pub(super) summary: Vec<SummaryText>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SummaryText {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) text: String,
}

/// Spoken content: the id alone when an earlier answer is referred to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Audio {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) transcript: Option<String>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ToolCall {
    /// In streams: which call this is a piece of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) function: Option<FunctionCall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) custom: Option<CustomCall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) provider_specific_fields: Option<Extra>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<CacheControl>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct FunctionCall {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// JSON text; some providers send the object itself.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json_text")]
    pub(super) arguments: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) provider_specific_fields: Option<Extra>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CustomCall {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<String>,
}

/// Text as it is; any other value as its JSON.
fn json_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    })
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Annotation {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) url_citation: Option<UrlCitation>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct UrlCitation {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start_index: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end_index: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    /// OpenRouter: the quoted passage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<String>,
}

/// An entry of `tools`: `function`, `custom`, or one that a provider runs (all else in `extra`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tool {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) function: Option<FunctionTool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) custom: Option<CustomTool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<CacheControl>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

/// Also an entry of the deprecated `functions`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct FunctionTool {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parameters: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) strict: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<CacheControl>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CustomTool {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<Value>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

/// A mode (`auto`, `none`, `required`, Mistral's `any`) or an object that names tools.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum ToolChoice {
    Mode(String),
    Named(Extra),
}

impl<'de> Deserialize<'de> for ToolChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ToolChoiceVisitor;

        impl<'de> Visitor<'de> for ToolChoiceVisitor {
            type Value = ToolChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`none`, `auto`, `required`, or an object that names a tool")
            }

            fn visit_str<E>(self, mode: &str) -> Result<ToolChoice, E> {
                Ok(ToolChoice::Mode(mode.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ToolChoice, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(map)).map(ToolChoice::Named)
            }
        }

        deserializer.deserialize_any(ToolChoiceVisitor)
    }
}

/// LiteLLM: Anthropic's `thinking`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Thinking {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) budget_tokens: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct AudioOutput {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) voice: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct WebSearchOptions {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) search_context_size: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user_location: Option<UserLocation>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct UserLocation {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) approximate: Extra,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct StreamOptions {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) include_usage: Option<bool>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

/// A complete answer, as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct Response {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) created: Option<Value>,
    #[serde(default)]
    pub(super) choices: Option<Vec<Choice>>,
    #[serde(default)]
    pub(super) usage: Option<Value>,
    #[serde(default)]
    pub(super) service_tier: Option<String>,
    /// Some providers report failures with status 200.
    #[serde(default)]
    pub(super) error: Option<Value>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    pub(super) index: Option<u32>,
    #[serde(default)]
    pub(super) message: Option<Message>,
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
    #[serde(default)]
    pub(super) logprobs: Option<Logprobs>,
    /// vLLM: the stop sequence that came up (or a token id).
    #[serde(default)]
    pub(super) stop_reason: Option<Value>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

/// What one event of a stream has of a choice.
#[derive(Debug, Deserialize)]
pub(super) struct ChunkChoice {
    #[serde(default)]
    pub(super) index: Option<u32>,
    #[serde(default)]
    pub(super) delta: Option<Message>,
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
    #[serde(default)]
    pub(super) logprobs: Option<Logprobs>,
    #[serde(default)]
    pub(super) stop_reason: Option<Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Logprobs {
    #[serde(default)]
    pub(super) content: Option<Vec<TokenLogprob>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Vec<TokenLogprob>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TokenLogprob {
    pub(super) token: String,
    pub(super) logprob: f64,
    #[serde(default)]
    pub(super) bytes: Option<Value>,
    #[serde(default)]
    pub(super) top_logprobs: Vec<TokenLogprob>,
}
