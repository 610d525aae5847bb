//! What a status does not tell, but the provider's words do.

use super::ErrorClass;

impl ErrorClass {
    /// The finer class of a refused request, if its message tells one: the prompt is too long, or a filter stepped in.
    pub(crate) fn from_words(message: &str) -> Option<Self> {
        let message = message.to_ascii_lowercase();
        let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
        if says(TOO_LONG) {
            Some(Self::ContextWindowExceeded)
        } else if says(WITHHELD) {
            Some(Self::ContentPolicy)
        } else {
            None
        }
    }
}

/// How providers say that the prompt is longer than the model's window; in lower case.
const TOO_LONG: &[&str] = &[
    "context_length_exceeded",
    "maximum context length",
    "context length is only",
    "model's context length",
    "context window",
    "context size",
    "exceeds the context",
    "exceed context limit",
    "longer than the model's context",
    "prompt is too long",
    "input is too long",
    "prompt too long",
    "prompt contains too many tokens",
    "is too large for model with",
    "maximum number of tokens",
    "maximum allowed input token",
    "max input tokens",
    "input tokens exceed",
    "input token count",
    "reduce the length of the messages",
    "`inputs` tokens + `max_new_tokens` must be",
    "maximum prompt length",
    "too many input tokens",
];

/// How providers say that a filter withheld the answer; in lower case.
const WITHHELD: &[&str] = &[
    "content_policy_violation",
    "content management policy",
    "responsibleaipolicyviolation",
    "our safety system",
    "content filtering policy",
    "content policy",
    "content_filter",
    "data_inspection_failed",
    "inappropriate content",
    "usage guidelines",
    "usage policy",
    "blocked by safety",
    "prohibited_content",
    "safety filters",
];
