//! What can go wrong, in words that every dialect can say.

mod words;

use std::fmt;
use std::time::Duration;

/// The kinds of failure that callers, routing and metrics tell apart. LiteLLM's exception classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    BadRequest,
    UnsupportedParameter,
    ContextWindowExceeded,
    ContentPolicy,
    Authentication,
    PaymentRequired,
    PermissionDenied,
    NotFound,
    Timeout,
    Conflict,
    PayloadTooLarge,
    Unprocessable,
    RateLimited,
    Internal,
    BadGateway,
    Unavailable,
    /// The provider has too little capacity (Anthropic 529).
    Overloaded,
    /// No answer, or one that broke off: refused, reset, cut.
    Connection,
}

impl ErrorClass {
    /// The class of a failed answer by its HTTP status alone.
    #[must_use]
    pub fn from_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            402 => Self::PaymentRequired,
            403 => Self::PermissionDenied,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            409 => Self::Conflict,
            413 => Self::PayloadTooLarge,
            422 => Self::Unprocessable,
            429 => Self::RateLimited,
            502 => Self::BadGateway,
            503 => Self::Unavailable,
            529 => Self::Overloaded,
            500.. => Self::Internal,
            _ => Self::BadRequest,
        }
    }

    /// The name LiteLLM's clients know (`litellm.<name>: …` in messages, `exception_class` in metrics).
    #[must_use]
    pub fn exception_name(self) -> &'static str {
        match self {
            Self::BadRequest | Self::PaymentRequired | Self::PayloadTooLarge => "BadRequestError",
            Self::UnsupportedParameter => "UnsupportedParamsError",
            Self::ContextWindowExceeded => "ContextWindowExceededError",
            Self::ContentPolicy => "ContentPolicyViolationError",
            Self::Authentication => "AuthenticationError",
            Self::PermissionDenied => "PermissionDeniedError",
            Self::NotFound => "NotFoundError",
            Self::Timeout => "Timeout",
            Self::Conflict => "APIError",
            Self::Unprocessable => "UnprocessableEntityError",
            Self::RateLimited => "RateLimitError",
            Self::Internal | Self::Overloaded => "InternalServerError",
            Self::BadGateway => "BadGatewayError",
            Self::Unavailable => "ServiceUnavailableError",
            Self::Connection => "APIConnectionError",
        }
    }
}

/// A provider said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderError {
    pub class: ErrorClass,
    /// The HTTP status of the answer, or the one that the error event names; 0 where there is none.
    pub status: u16,
    /// The provider's own words.
    pub message: String,
    /// The provider's `type`, `status` word or code, whichever names the kind of error.
    pub kind: Option<String>,
    /// The provider's finer code (`context_length_exceeded`).
    pub code: Option<String>,
    /// The field that is wrong.
    pub param: Option<String>,
    /// How long the provider asks to wait before the next try.
    pub retry_after: Option<Duration>,
}

impl ProviderError {
    #[must_use]
    pub fn new(class: ErrorClass, status: u16, message: impl Into<String>) -> Self {
        Self {
            class,
            status,
            message: message.into(),
            kind: None,
            code: None,
            param: None,
            retry_after: None,
        }
    }
}

/// The most characters of an answer without an error object (a proxy's page) that become the message.
const MAX_TEXT: usize = 2000;

/// The message of a failed answer in no shape that is known: its text.
pub(crate) fn message_of_text(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match text.trim() {
        "" => message_of_nothing(status),
        text => text.chars().take(MAX_TEXT).collect(),
    }
}

/// The message of a failed answer that has none.
pub(crate) fn message_of_nothing(status: u16) -> String {
    format!("the provider answered with status {status} and no message")
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ProviderError {}

/// An error as a client is told, before it is put into the client's dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReply {
    /// The HTTP status that goes with it.
    pub status: u16,
    pub message: String,
    /// OpenAI's `type`, e.g. `invalid_request_error`; dialects with their own words derive them from the status.
    pub kind: &'static str,
    pub param: Option<String>,
    /// OpenAI's `code`; LiteLLM puts the status there, as text.
    pub code: Option<String>,
}

/// A client's request that cannot be understood: a 400 that names the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Path of the field, e.g. `messages[2].content[0].type`; `None` when the body as a whole is wrong.
    pub param: Option<String>,
    pub message: String,
}

impl Invalid {
    #[must_use]
    pub fn new(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), message: message.into() }
    }

    #[must_use]
    pub fn body(message: impl Into<String>) -> Self {
        Self { param: None, message: message.into() }
    }

    /// Puts `path` before the field that was named from there on.
    #[must_use]
    pub(crate) fn under(self, path: &str) -> Self {
        let param = match self.param {
            Some(field) if field.starts_with('[') => format!("{path}{field}"),
            Some(field) => format!("{path}.{field}"),
            None => path.to_owned(),
        };
        Self { param: Some(param), ..self }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.param {
            Some(param) => write!(f, "`{param}`: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Invalid {}

/// The request is well-formed, but the target cannot be told this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannotSay {
    /// The field of the client's request, as its dialect names it where that is known.
    pub param: String,
    /// Why, for the caller.
    pub message: String,
}

impl fmt::Display for CannotSay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.param, self.message)
    }
}

impl std::error::Error for CannotSay {}

/// A provider's answer that is not what its dialect promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadReply {
    pub message: String,
}

impl BadReply {
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for BadReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BadReply {}
