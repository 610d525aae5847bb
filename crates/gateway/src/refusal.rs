//! Why a request did not get its answer: what the caller is told, and what only the operator may read.

use std::fmt;
use std::time::Duration;

use dialects::error::ErrorReply;
use dialects::{CannotSay, ErrorClass, Invalid, ProviderError};
use ledger::rules::time::Timestamp;
use routing::Stop;
use tollway::transport::TransportError;

/// Whose mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Caller,
    Provider,
    Gateway,
}

/// A request that was refused or failed.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The HTTP status of the answer.
    pub status: u16,
    /// OpenAI's `type`.
    pub kind: &'static str,
    pub class: Option<ErrorClass>,
    pub fault: Fault,
    pub param: Option<String>,
    /// For the caller.
    pub tell: String,
    /// When a next try makes sense. A provider's own wish is for routing; clients get it as the provider's header.
    pub retry_after: Option<Duration>,
    /// The limit of the caller's own that has no room.
    pub limit: Option<Box<LimitReached>>,
    /// For the operator: never part of an answer.
    log: String,
}

/// What LiteLLM's headers say about a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitReached {
    /// `rate_limit_type`: `requests`, `tokens` or `max_parallel_requests`.
    pub kind: &'static str,
    /// `reset_at`, if that is known.
    pub resets_at: Option<Timestamp>,
}

impl Refusal {
    fn new(status: u16, kind: &'static str, fault: Fault, tell: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            class: None,
            fault,
            param: None,
            tell: tell.into(),
            retry_after: None,
            limit: None,
            log: String::new(),
        }
    }

    /// A request that cannot be understood.
    #[must_use]
    pub fn bad_request(tell: impl Into<String>) -> Self {
        let mut refusal = Self::new(400, "invalid_request_error", Fault::Caller, tell);
        refusal.class = Some(ErrorClass::BadRequest);
        refusal
    }

    /// The deployment has no such endpoint; a fallback may.
    #[must_use]
    pub fn unserved(tell: impl Into<String>) -> Self {
        Self { fault: Fault::Gateway, ..Self::bad_request(tell) }.about("model")
    }

    #[must_use]
    pub fn of_status(status: u16, tell: impl Into<String>) -> Self {
        let class = ErrorClass::from_status(status);
        let fault = if status < 500 { Fault::Caller } else { Fault::Gateway };
        let mut refusal = Self::new(status, kind_of(class, status), fault, tell);
        refusal.class = Some(class);
        refusal
    }

    /// A caller's mistake with a `type` of its own.
    #[must_use]
    pub fn of_kind(status: u16, kind: &'static str, tell: impl Into<String>) -> Self {
        let mut refusal = Self::new(status, kind, Fault::Caller, tell);
        refusal.class = Some(ErrorClass::from_status(status));
        refusal
    }

    /// No key, or not one of ours.
    #[must_use]
    pub fn unauthenticated(tell: impl fmt::Display) -> Self {
        let mut refusal =
            Self::new(401, "auth_error", Fault::Caller, format!("Authentication Error, {tell}"));
        refusal.class = Some(ErrorClass::Authentication);
        // LiteLLM writes the word `None` here, and clients compare it.
        refusal.param = Some("None".to_owned());
        refusal
    }

    #[must_use]
    pub fn unknown_model(model: &str, nearest: Option<&str>) -> Self {
        let hint = nearest.map_or_else(
            || "see GET /v1/models for the models of this gateway".to_owned(),
            |name| format!("nearest: `{name}`"),
        );
        let mut refusal = Self::bad_request(format!(
            "litellm.BadRequestError: You passed in model={model}. There are no healthy deployments for this \
             model; {hint}"
        ));
        refusal.param = Some("model".to_owned());
        refusal
    }

    /// The provider answered with an error, or broke off with one.
    #[must_use]
    pub fn from_provider(provider: &str, error: &ProviderError) -> Self {
        let status = client_status(error);
        let class = error.class.exception_name();
        // LiteLLM's own classes for what a text says carry no field, and its clients compare.
        let found_in_text =
            matches!(error.class, ErrorClass::ContextWindowExceeded | ErrorClass::ContentPolicy);
        let text = if error.message.is_empty() { "no message" } else { error.message.as_str() };
        Self {
            class: Some(error.class),
            param: error.param.clone().filter(|_| !found_in_text),
            retry_after: error.retry_after,
            ..Self::new(
                status,
                kind_of(error.class, status),
                Fault::Provider,
                format!("litellm.{class}: {class}: {provider}Exception - {text}"),
            )
        }
    }

    /// The provider broke off a stream that had begun, with an error of its own. Its head said 200, so what is left of
    /// the status is a word to the client: LiteLLM says 500 for whatever is the provider's fault, short of overload.
    #[must_use]
    pub fn from_provider_in_stream(provider: &str, error: &ProviderError) -> Self {
        let mut refusal = Self::from_provider(provider, error);
        if refusal.status >= 500 && error.class != ErrorClass::Overloaded {
            refusal.status = 500;
        }
        refusal
    }

    /// There was no answer, or only part of one.
    #[must_use]
    pub fn from_transport(provider: &str, error: &TransportError) -> Self {
        let class = error.kind.class();
        let status = if class == ErrorClass::Timeout { 408 } else { 500 };
        let name = class.exception_name();
        Self {
            class: Some(class),
            log: error.detail.clone(),
            ..Self::new(
                status,
                kind_of(class, status),
                Fault::Provider,
                format!("litellm.{name}: {name}: {provider}Exception - {error}"),
            )
        }
    }

    /// The provider's answer is not what its dialect promises.
    #[must_use]
    pub fn from_bad_reply(provider: &str, cause: &dyn fmt::Display) -> Self {
        Self {
            class: Some(ErrorClass::Connection),
            ..Self::new(
                500,
                "internal_server_error",
                Fault::Provider,
                format!(
                    "litellm.APIConnectionError: {provider}Exception - the answer could not be read: {cause}"
                ),
            )
        }
    }

    /// The gateway lacks something that its operator has to provide.
    #[must_use]
    pub fn misconfigured(status: u16, tell: impl Into<String>) -> Self {
        let class = ErrorClass::from_status(status);
        let mut refusal = Self::new(status, kind_of(class, status), Fault::Gateway, tell);
        refusal.class = Some(class);
        refusal
    }

    /// Routing found no deployment to ask.
    #[must_use]
    pub fn from_stop(stop: &Stop) -> Self {
        let status = stop.status().unwrap_or(500);
        let mut refusal = Self::misconfigured(status, stop.to_string());
        refusal.retry_after = stop.retry_after();
        refusal
    }

    /// Whether another deployment might say otherwise. Not so where the caller wrote what nobody can read.
    #[must_use]
    pub(crate) fn may_pass_elsewhere(&self) -> bool {
        self.fault != Fault::Caller || self.class == Some(ErrorClass::UnsupportedParameter)
    }

    /// Names the field that is wrong.
    #[must_use]
    pub fn about(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// What stands in the log beside the message.
    #[must_use]
    pub(crate) fn log(&self) -> &str {
        &self.log
    }

    /// As the client's dialect gets it.
    #[must_use]
    pub fn reply(&self) -> ErrorReply {
        ErrorReply {
            status: self.status,
            message: self.tell.clone(),
            kind: self.kind,
            param: self.param.clone(),
            code: Some(self.status.to_string()),
        }
    }
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        let tell = invalid.to_string();
        Self { param: invalid.param, ..Self::bad_request(tell) }
    }
}

impl From<CannotSay> for Refusal {
    fn from(cannot: CannotSay) -> Self {
        let tell = format!(
            "litellm.UnsupportedParamsError: {cannot}; leave it out, or set `drop_params: true` to have it left out"
        );
        // The message names the parameter; LiteLLM leaves `param` empty here, and its clients compare.
        Self { class: Some(ErrorClass::UnsupportedParameter), ..Self::bad_request(tell) }
    }
}

/// The HTTP status that a provider's error has for the client. LiteLLM's mapping: classes found in the text win
/// over the provider's status.
fn client_status(error: &ProviderError) -> u16 {
    match error.class {
        ErrorClass::BadRequest if error.status >= 400 => error.status,
        ErrorClass::BadRequest
        | ErrorClass::UnsupportedParameter
        | ErrorClass::ContextWindowExceeded
        | ErrorClass::ContentPolicy => 400,
        ErrorClass::PayloadTooLarge => 413,
        ErrorClass::Authentication => 401,
        ErrorClass::PaymentRequired => 402,
        ErrorClass::PermissionDenied => 403,
        ErrorClass::NotFound => 404,
        ErrorClass::Timeout if error.status == 504 => 504,
        ErrorClass::Timeout => 408,
        ErrorClass::Conflict => 409,
        ErrorClass::Unprocessable => 422,
        ErrorClass::RateLimited => 429,
        ErrorClass::BadGateway => 502,
        ErrorClass::Unavailable => 503,
        ErrorClass::Overloaded => 529,
        ErrorClass::Internal | ErrorClass::Connection => 500,
    }
}

/// OpenAI's `type` for a class, as LiteLLM's clients see it.
fn kind_of(class: ErrorClass, status: u16) -> &'static str {
    match (class, status) {
        (ErrorClass::Authentication, _) | (_, 401) => "authentication_error",
        (ErrorClass::PermissionDenied, _) | (_, 403) => "permission_error",
        (ErrorClass::RateLimited, _) | (_, 429) => "throttling_error",
        (ErrorClass::BadRequest, _) => "invalid_request_error",
        (_, 500..) => "internal_server_error",
        _ => "invalid_request_error",
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tell)
    }
}

impl std::error::Error for Refusal {}
