use serde_json::Value;

use super::{Extra, Part, Usage};
use crate::Dialect;

/// A complete answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The dialect it was read from; `extra` fields and opaque parts belong to it.
    pub dialect: Dialect,
    /// The provider's id of the answer.
    pub id: Option<String>,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    /// Seconds since 1970.
    pub created: Option<u64>,
    pub choices: Vec<Choice>,
    pub usage: Option<Usage>,
    pub service_tier: Option<String>,
    pub extra: Extra,
}

impl Response {
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            id: None,
            model: None,
            created: None,
            choices: Vec::new(),
            usage: None,
            service_tier: None,
            extra: Extra::new(),
        }
    }
}

/// One of `n` answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub index: u32,
    pub parts: Vec<Part>,
    pub stop: StopReason,
    pub logprobs: Option<Vec<TokenLogprob>>,
    pub extra: Extra,
}

/// Why the answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The model was done.
    EndTurn,
    /// One of the request's stop sequences came up; which one, where the provider says.
    StopSequence(Option<String>),
    /// The request's or the model's limit of tokens was reached.
    MaxTokens,
    ToolCalls,
    /// A filter of the provider, or the model itself, withheld the answer.
    ContentFilter,
    /// The provider paused a long turn; sending the answer back continues it (Anthropic `pause_turn`).
    Pause,
    /// The provider failed while answering.
    Error,
    /// A reason this version does not know, in the provider's word.
    Other(String),
}

/// The log probability of one token of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprob {
    pub token: String,
    pub logprob: f64,
    pub bytes: Option<Value>,
    /// The likeliest tokens at this place; their own `top` is empty.
    pub top: Vec<TokenLogprob>,
}
