use serde_json::{Number, Value};

use super::{Extra, Message, Part, Tool, ToolChoice};
use crate::Dialect;

/// What a client asks of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The dialect it was read from; `extra` fields and opaque values belong to it.
    pub dialect: Dialect,
    /// The model's name as the client wrote it.
    pub model: String,
    /// In order; system prompts are messages, wherever the dialect keeps them.
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    /// `false`: at most one tool call per answer.
    pub parallel_tool_calls: Option<bool>,
    pub output_format: Option<OutputFormat>,
    pub sampling: Sampling,
    /// Upper bound of generated tokens, reasoning included.
    pub max_output_tokens: Option<u64>,
    pub reasoning: ReasoningRequest,
    /// What the answer may consist of; empty means text.
    pub modalities: Vec<Modality>,
    pub audio: Option<AudioOutput>,
    /// `Some` asks for an event stream.
    pub stream: Option<StreamOptions>,
    /// The end user, as the application names them.
    pub user: Option<String>,
    /// The application's own labels (OpenAI `metadata`).
    pub metadata: Option<Extra>,
    /// `auto`, `default`, `flex`, `priority`, … (OpenAI); `standard_only` (Anthropic).
    pub service_tier: Option<String>,
    /// Routes requests with a common beginning to the same cache (OpenAI `prompt_cache_key`).
    pub prompt_cache_key: Option<String>,
    pub extra: Extra,
}

impl Request {
    #[must_use]
    pub fn new(dialect: Dialect, model: impl Into<String>, messages: Vec<Message>) -> Self {
        Self {
            dialect,
            model: model.into(),
            messages,
            tools: Vec::new(),
            tool_choice: None,
            parallel_tool_calls: None,
            output_format: None,
            sampling: Sampling::default(),
            max_output_tokens: None,
            reasoning: ReasoningRequest::default(),
            modalities: Vec::new(),
            audio: None,
            stream: None,
            user: None,
            metadata: None,
            service_tier: None,
            prompt_cache_key: None,
            extra: Extra::new(),
        }
    }

    /// Whether a part or a tool carries a [`CacheMarker`](super::CacheMarker).
    #[must_use]
    pub fn is_cache_marked(&self) -> bool {
        let marked = |tool: &Tool| match tool {
            Tool::Function(function) => function.cache.is_some(),
            Tool::WebSearch(search) => search.cache.is_some(),
            Tool::Custom(_) | Tool::CodeExecution(_) | Tool::UrlFetch(_) | Tool::Opaque(_) => false,
        };
        self.tools.iter().any(marked)
            || self.messages.iter().flat_map(|message| &message.parts).any(Part::is_cache_marked)
    }
}

/// How the next token is drawn, and when to stop.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    pub temperature: Option<Number>,
    pub top_p: Option<Number>,
    pub top_k: Option<Number>,
    pub frequency_penalty: Option<Number>,
    pub presence_penalty: Option<Number>,
    pub seed: Option<Number>,
    /// Token id → bias (OpenAI).
    pub logit_bias: Option<Extra>,
    /// The answer ends before the first of these.
    pub stop: Vec<String>,
    /// How many answers.
    pub n: Option<u64>,
    /// Return log probabilities of the answer's tokens.
    pub logprobs: Option<bool>,
    /// How many alternatives per token.
    pub top_logprobs: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum OutputFormat {
    Text,
    /// Some JSON object.
    JsonObject,
    JsonSchema(JsonSchema),
    /// What only the request's own dialect knows (grammars, …), verbatim.
    Opaque(Value),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonSchema {
    /// OpenAI demands a name; dialects without one leave it empty, and writers that need one use `response`.
    pub name: String,
    pub description: Option<String>,
    pub schema: Option<Value>,
    pub strict: Option<bool>,
}

/// How much the model should think, in whichever of the ways the client said it. Writers convert: see
/// [`Effort::budget_tokens`] and [`Effort::from_budget`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReasoningRequest {
    pub effort: Option<Effort>,
    pub thinking: Option<Thinking>,
    pub summary: Option<ReasoningSummary>,
    /// Ask for the thinking in an encrypted form that the client can send back (OpenAI Responses
    /// `include: ["reasoning.encrypted_content"]`).
    pub encrypted: bool,
}

impl ReasoningRequest {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
    /// A level this version does not know; passed on where the other side has levels.
    Other(String),
}

impl Effort {
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "none" => Self::None,
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::XHigh,
            "max" => Self::Max,
            other => Self::Other(other.to_owned()),
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
            Self::Other(name) => name,
        }
    }

    /// The thinking budget (tokens) that stands for this effort where the provider counts tokens. LiteLLM's
    /// figures, so that a switch does not change bills; `None` for no thinking.
    #[must_use]
    pub fn budget_tokens(&self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Minimal => Some(128),
            Self::Low => Some(1024),
            Self::Medium | Self::Other(_) => Some(2048),
            Self::High => Some(4096),
            Self::XHigh => Some(8192),
            Self::Max => Some(16384),
        }
    }

    /// The effort whose budget is the next at or above `budget` tokens.
    #[must_use]
    pub fn from_budget(budget: u64) -> Self {
        match budget {
            0 => Self::None,
            1..=1024 => Self::Low,
            1025..=2048 => Self::Medium,
            _ => Self::High,
        }
    }
}

/// Thinking as Anthropic and Gemini ask for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Thinking {
    Disabled,
    /// At most this many tokens.
    Budget(u64),
    /// The model decides.
    Adaptive,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReasoningSummary {
    Auto,
    Concise,
    Detailed,
    /// Thinking is not shown (Anthropic `display: omitted`, Gemini `includeThoughts: false`).
    Omitted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Modality {
    Text,
    Audio,
    Image,
}

/// How spoken answers sound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AudioOutput {
    pub voice: Option<Value>,
    /// `wav`, `mp3`, `flac`, `opus`, `pcm16`.
    pub format: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamOptions {
    /// The client wants usage in the stream. Dialects that always report it read `true`.
    pub include_usage: bool,
    pub extra: Extra,
}
