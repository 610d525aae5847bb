//! Reads what the client sent: the body within bounds, and what of it is meant for the gateway, not the model.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dialects::Invalid;
use dialects::document::Document;
use dialects::loss::ParameterPolicy;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::authenticate::query_value;
use crate::operation::Endpoint;
use crate::refusal::Refusal;
use crate::snapshot::{Bounds, Snapshot};

/// A header's value, if it is text.
pub(super) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The caller's own id of the call (up to 256 characters), else a new one.
pub(super) fn call_id(headers: &HeaderMap) -> String {
    match header(headers, "x-litellm-call-id") {
        Some(id) if !id.is_empty() && id.len() <= 256 => id.to_owned(),
        _ => random_uuid(),
    }
}

/// A version 4 UUID (RFC 9562). It names a request and protects nothing, so the generator need not be secret.
pub(super) fn random_uuid() -> String {
    let random = fastrand::u128(..) & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let hex = format!("{random:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// The whole body.
///
/// # Errors
/// 413 when it is too large, 408 when it does not come, 400 when the connection breaks, 415 when it is compressed.
pub(super) async fn body(request: &mut Request<Incoming>, bounds: &Bounds) -> Result<Bytes, Refusal> {
    let too_large = || {
        Refusal::of_status(
            413,
            format!(
                "the request body is larger than {} bytes; the limit is `tollway.max_request_bytes` in the \
                 gateway's configuration",
                bounds.max_request_bytes
            ),
        )
    };
    if let Some(coding) = request.headers().get(CONTENT_ENCODING).filter(|coding| *coding != "identity") {
        let coding = String::from_utf8_lossy(coding.as_bytes()).into_owned();
        return Err(Refusal::of_status(415, format!("a `{coding}` body is not taken; send it uncompressed")));
    }
    let announced = header(request.headers(), CONTENT_LENGTH.as_str()).and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|length| length > bounds.max_request_bytes) {
        return Err(too_large());
    }
    let body = request.body_mut();
    let mut first: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    loop {
        let frame = match tokio::time::timeout(bounds.client_read_timeout, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => return Err(Refusal::bad_request("the request body broke off")),
            Err(_) => {
                let seconds = bounds.client_read_timeout.as_secs();
                return Err(Refusal::of_status(408, format!("no more of the request body came within {seconds} s")));
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        let so_far = first.as_ref().map_or(joined.len(), Bytes::len);
        if (so_far + data.len()) as u64 > bounds.max_request_bytes {
            return Err(too_large());
        }
        // Most bodies come in one piece, which then need not be copied.
        match first.take() {
            None if joined.is_empty() => first = Some(data),
            None => joined.extend_from_slice(&data),
            Some(start) => {
                joined.reserve(start.len() + data.len());
                joined.extend_from_slice(&start);
                joined.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| joined.freeze()))
}

/// What the caller wants of the gateway for this one request.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// Parameter policy, where it differs from the deployment's.
    pub drop_params: Option<bool>,
    pub additional_drop_params: Option<Vec<String>>,
    pub allowed_openai_params: Option<Vec<String>>,
    pub timeout: Option<Duration>,
    pub stream_timeout: Option<Duration>,
}

impl Wishes {
    /// The deployment's policy with the caller's wishes; `None` if there are none.
    pub(super) fn policy(&self, deployment: &ParameterPolicy) -> Option<ParameterPolicy> {
        if self.drop_params.is_none() && self.additional_drop_params.is_none() && self.allowed_openai_params.is_none() {
            return None;
        }
        let mut policy = deployment.clone();
        policy.drop_params = self.drop_params.unwrap_or(policy.drop_params);
        policy.additional_drop_params.extend(self.additional_drop_params.iter().flatten().cloned());
        policy.allowed_params.extend(self.allowed_openai_params.iter().flatten().cloned());
        Some(policy)
    }
}

/// Fields of LiteLLM's clients that speak to the gateway and are not sent on. Those that this version gives no
/// meaning to are taken out all the same: no provider knows them.
const GATEWAY_FIELDS: &[&str] = &[
    "additional_drop_params",
    "allowed_openai_params",
    "cache",
    "caching",
    "context_window_fallback_dict",
    "disable_fallbacks",
    "drop_params",
    "fallbacks",
    "fastest_response",
    "guardrails",
    "litellm_metadata",
    "litellm_session_id",
    "litellm_trace_id",
    "max_retries",
    "no-log",
    "num_retries",
    "policies",
    "priority",
    "request_timeout",
    "retry_policy",
    "stream_timeout",
    "tags",
    "timeout",
    "ttl",
];

/// Fields by which a caller would take the operator's place; LiteLLM refuses them too.
const OPERATOR_FIELDS: &[&str] = &["api_base", "api_key", "base_url", "model_list", "aws_access_key_id",
    "aws_secret_access_key", "vertex_credentials", "azure_ad_token"];

/// Fields that only tests of a gateway use; LiteLLM ignores them in clients' requests.
const IGNORED_FIELDS: &[&str] = &["mock_response", "mock_tool_calls", "mock_timeout", "mock_delay"];

/// Takes what is meant for the gateway out of the body.
pub(super) fn wishes(
    document: &mut Document<'_>,
    headers: &HeaderMap,
    snapshot: &Snapshot,
) -> Result<Wishes, Refusal> {
    let mut wishes = Wishes {
        timeout: seconds_header(headers, "x-litellm-timeout")?,
        stream_timeout: seconds_header(headers, "x-litellm-stream-timeout")?,
        ..Wishes::default()
    };
    let ours: Vec<&'static str> = document
        .names()
        .filter_map(|name| [GATEWAY_FIELDS, OPERATOR_FIELDS, IGNORED_FIELDS].concat_find(name))
        .collect();
    for name in ours {
        if OPERATOR_FIELDS.contains(&name) {
            return Err(Refusal { param: Some(name.to_owned()), ..Refusal::unauthenticated(format_args!(
                "{name} is not allowed in request body; the gateway's operator sets it in `litellm_params`"
            )) });
        }
        match name {
            "drop_params" => wishes.drop_params = document.flag(name)?,
            "additional_drop_params" => wishes.additional_drop_params = names(document, name)?,
            "allowed_openai_params" => wishes.allowed_openai_params = names(document, name)?,
            "timeout" | "request_timeout" => wishes.timeout = wishes.timeout.or(seconds(document, name)?),
            "stream_timeout" => wishes.stream_timeout = wishes.stream_timeout.or(seconds(document, name)?),
            _ => {}
        }
        document.remove(name);
    }
    wishes.drop_params = wishes.drop_params.or(snapshot.drop_params.then_some(true));
    Ok(wishes)
}

trait ConcatFind {
    fn concat_find(&self, name: &str) -> Option<&'static str>;
}

impl ConcatFind for [&'static [&'static str]; 3] {
    fn concat_find(&self, name: &str) -> Option<&'static str> {
        self.iter().flat_map(|list| list.iter()).find(|known| **known == name).copied()
    }
}

fn names(document: &Document<'_>, name: &str) -> Result<Option<Vec<String>>, Invalid> {
    match document.get(name) {
        None | Some("null") => Ok(None),
        Some(text) => serde_json::from_str(text)
            .map(Some)
            .map_err(|_| Invalid::new(name, "expected a list of parameter names")),
    }
}

fn seconds(document: &Document<'_>, name: &str) -> Result<Option<Duration>, Invalid> {
    match document.get(name) {
        None | Some("null") => Ok(None),
        Some(text) => as_seconds(text).map(Some).ok_or_else(|| {
            Invalid::new(name, "expected a positive number of seconds")
        }),
    }
}

fn seconds_header(headers: &HeaderMap, name: &str) -> Result<Option<Duration>, Refusal> {
    let Some(text) = header(headers, name) else { return Ok(None) };
    as_seconds(text).map(Some).ok_or_else(|| {
        Refusal::from(Invalid::new(name, format!("expected a positive number of seconds, found `{text}`")))
    })
}

fn as_seconds(text: &str) -> Option<Duration> {
    let seconds = text.trim().parse::<f64>().ok().filter(|seconds| *seconds > 0.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The model that is asked for: from the path, the body, or `?model=`.
pub(super) fn model(document: &Document<'_>, endpoint: &Endpoint<'_>, query: &str) -> Result<String, Refusal> {
    if let Some(model) = &endpoint.model {
        return Ok(model.clone().into_owned());
    }
    if let Some(model) = document.text("model")?.filter(|model| !model.is_empty()) {
        return Ok(Cow::into_owned(model));
    }
    query_value(query, "model").ok_or_else(|| {
        Refusal::from(Invalid::new("model", "the field is missing; name one of the models of GET /v1/models"))
    })
}

/// Whether the answer shall be streamed.
pub(super) fn stream(document: &Document<'_>, endpoint: &Endpoint<'_>) -> Result<bool, Refusal> {
    match endpoint.stream {
        Some(stream) => Ok(stream),
        None => Ok(document.flag("stream")?.unwrap_or(false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_ids_are_version_4_uuids() {
        let id = random_uuid();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert_ne!(id, random_uuid());
    }

    #[test]
    fn seconds_are_positive_numbers() {
        assert_eq!(as_seconds(" 1.5 "), Some(Duration::from_millis(1500)));
        for wrong in ["0", "-1", "x", "", "NaN", "1e300", "inf"] {
            assert_eq!(as_seconds(wrong), None, "{wrong}");
        }
    }
}
