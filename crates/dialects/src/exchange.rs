//! What a dialect needs to know about the other side of an exchange.

use std::mem::discriminant;
use std::sync::Arc;

use serde::Deserialize;

use crate::Dialect;
use crate::conversation::{Effort, Request, StopReason, Usage};
use crate::error::ProviderError;
use crate::loss::ParameterPolicy;
use crate::quirk::Quirk;

/// The deployment that a request is written for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The provider's own name of the model; what goes into the body or path.
    pub model: &'a str,
    /// How the provider departs from the dialect.
    pub quirks: &'a [Quirk],
    pub facts: &'a ModelFacts,
    pub policy: &'a ParameterPolicy,
}

impl Target<'_> {
    #[must_use]
    pub fn has(&self, quirk: &Quirk) -> bool {
        // Kinds are numbers; to compare whole quirks takes a call each.
        let kind = discriminant(quirk);
        self.quirks.iter().any(|own| discriminant(own) == kind && own == quirk)
    }
}

/// What is known about a model; `None` where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ModelFacts {
    pub max_output_tokens: Option<u64>,
    pub max_input_tokens: Option<u64>,
    pub supports_reasoning: Option<bool>,
    pub supports_function_calling: Option<bool>,
    pub supports_parallel_function_calling: Option<bool>,
    pub supports_tool_choice: Option<bool>,
    pub supports_response_schema: Option<bool>,
    pub supports_system_messages: Option<bool>,
    pub supports_vision: Option<bool>,
    pub supports_pdf_input: Option<bool>,
    pub supports_audio_input: Option<bool>,
    pub supports_prompt_caching: Option<bool>,
    pub supports_web_search: Option<bool>,
    pub supports_none_reasoning_effort: Option<bool>,
    pub supports_minimal_reasoning_effort: Option<bool>,
    pub supports_xhigh_reasoning_effort: Option<bool>,
    pub supports_max_reasoning_effort: Option<bool>,
    pub supports_adaptive_thinking: Option<bool>,
}

impl ModelFacts {
    /// The highest effort that the model has, where `effort` is known to be above it.
    #[must_use]
    pub fn highest_effort_below(&self, effort: &Effort) -> Option<Effort> {
        let lacks_xhigh = self.supports_xhigh_reasoning_effort == Some(false);
        match effort {
            Effort::XHigh if lacks_xhigh => Some(Effort::High),
            Effort::Max if self.supports_max_reasoning_effort == Some(false) => {
                Some(if lacks_xhigh { Effort::High } else { Effort::XHigh })
            }
            _ => None,
        }
    }
}

/// A header beyond content type and sign-in: lower-case name, value.
pub type Header = (&'static str, String);

/// What a writer of answers needs beside the answer.
#[derive(Clone, Debug)]
pub struct AnswerContext {
    /// The model's name as the client asked for it; stands in the answer.
    pub model: String,
    /// Unique per answer, `[a-z0-9]`; readers and writers build ids from it where the provider gave none.
    pub seed: String,
    /// Seconds since 1970.
    pub created: u64,
    /// The client asked for usage in the stream.
    pub include_usage: bool,
    /// The request, where it was read: dialects that repeat its settings in the answer (OpenAI Responses)
    /// take them from here.
    pub request: Option<Arc<Request>>,
}

/// What the gateway learns from an answer that is passed through without being rebuilt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    pub dialect: Option<Dialect>,
    pub id: Option<String>,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    pub usage: Option<Usage>,
    /// Of the first choice.
    pub stop: Option<StopReason>,
    /// Some text, thinking or tool call has arrived (not merely a role, a ping or an empty delta).
    pub has_content: bool,
    /// The stream came to its proper end.
    pub complete: bool,
    /// The provider broke off, and said why.
    pub error: Option<ProviderError>,
    /// [Marks](crate::conversation::Seal::mark) of the seals in the answer: who made them should get them back.
    pub seals: Vec<u64>,
    /// Bytes of generated text so far; the base of an estimate when the provider never reports usage.
    pub text_bytes: u64,
}
