//! Reads what the client sent: the body within bounds, and what of it is meant for the gateway, not the model.

pub(super) mod routing;

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use dialects::Invalid;
use dialects::document::Document;
use dialects::loss::ParameterPolicy;
use http::header::{AsHeaderName, HeaderName};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Request};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::authenticate::query_value;
use super::settle;
use crate::cache::Controls;
use crate::hex;
use crate::operation::Endpoint;
use crate::refusal::Refusal;
use crate::snapshot::{Bounds, Snapshot};
use crate::time_limit::within;

/// A header's value, if it is text.
pub(super) fn header(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The headers of a request, if anything in them may be meant for the gateway; else `none`. Nearly no request has such
/// headers, and to look for the name of one costs a hundred instructions; in an empty map it costs nothing.
pub(super) fn for_gateway<'h>(
    headers: &'h HeaderMap,
    snapshot: &Snapshot,
    none: &'h HeaderMap,
) -> &'h HeaderMap {
    let is_for_us = |name: &HeaderName| *name == CACHE_CONTROL || name.as_str().starts_with("x-litellm-");
    // Where tags are matched with the client's name for itself, that counts as well.
    if snapshot.routing.tags.enabled || headers.keys().any(is_for_us) { headers } else { none }
}

/// Headers that are looked for in every request, read once: a name in a string is checked and folded at each use.
pub(super) mod names {
    use http::HeaderName;

    pub(in super::super) const CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
    pub(in super::super) const SESSION_ID: HeaderName = HeaderName::from_static("x-litellm-session-id");
    pub(in super::super) const TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-timeout");
    pub(in super::super) const STREAM_TIMEOUT: HeaderName =
        HeaderName::from_static("x-litellm-stream-timeout");
    pub(in super::super) const NUM_RETRIES: HeaderName = HeaderName::from_static("x-litellm-num-retries");
    pub(in super::super) const TAGS: HeaderName = HeaderName::from_static("x-litellm-tags");
    /// The end user.
    pub(in super::super) const CUSTOMERS: [HeaderName; 2] =
        [HeaderName::from_static("x-litellm-customer-id"), HeaderName::from_static("x-litellm-end-user-id")];
    pub(in super::super) const LITELLM_KEY: HeaderName = HeaderName::from_static("x-litellm-api-key");
    /// Where the clients of the dialects put their keys, beside `authorization`.
    pub(in super::super) const KEYS: [HeaderName; 4] = [
        HeaderName::from_static("x-api-key"),
        HeaderName::from_static("api-key"),
        HeaderName::from_static("x-goog-api-key"),
        HeaderName::from_static("ocp-apim-subscription-key"),
    ];
}

/// The caller's own id of the call (up to 256 characters), else a new one.
pub(super) fn call_id(headers: &HeaderMap) -> String {
    match header(headers, &names::CALL_ID) {
        Some(id) if !id.is_empty() && id.len() <= 256 => id.to_owned(),
        _ => random_uuid(),
    }
}

/// A version 7 UUID (RFC 9562): the time in milliseconds, then random bits. It names a request and protects nothing, so
/// the generator need not be secret. Ids that follow one another lie beside each other in the database's index, where
/// random ones cost a third of all that a row costs.
pub(crate) fn random_uuid() -> String {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let random = fastrand::u128(..) & (u128::MAX >> 48) & !(0xf << 76) & !(0b11 << 62);
    let digits = hex::digits(millis << 80 | random | (7 << 76) | (0b10 << 62));
    let mut id = [b'-'; 36];
    for (from, to, at) in [(0, 8, 0), (8, 12, 9), (12, 16, 14), (16, 20, 19), (20, 32, 24)] {
        if let (Some(part), Some(place)) = (digits.get(from..to), id.get_mut(at..at + to - from)) {
            place.copy_from_slice(part);
        }
    }
    str::from_utf8(&id).unwrap_or_default().to_owned()
}

/// 24 random characters of `[0-9a-f]`, from which the ids of an answer are made.
pub(super) fn random_hex() -> String {
    let digits = hex::digits(fastrand::u128(..));
    digits.get(..24).and_then(|digits| str::from_utf8(digits).ok()).unwrap_or_default().to_owned()
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
    let announced = header(request.headers(), CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|length| length > bounds.max_request_bytes) {
        return Err(too_large());
    }
    let body = request.body_mut();
    let mut first: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    loop {
        let frame = match within(bounds.client_read_timeout, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => return Err(Refusal::bad_request("the request body broke off")),
            Err(_) => {
                let seconds = bounds.client_read_timeout.as_secs();
                return Err(Refusal::of_status(
                    408,
                    format!("no more of the request body came within {seconds} s"),
                ));
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
        // A length that was announced tells the end; to ask for another piece would go all the way down.
        if body.is_end_stream() {
            break;
        }
    }
    Ok(first.unwrap_or_else(|| joined.freeze()))
}

/// What the caller wants of the gateway for this one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    /// Parameter policy, where it differs from the deployment's.
    pub drop_params: Option<bool>,
    pub additional_drop_params: Option<Vec<String>>,
    pub allowed_openai_params: Option<Vec<String>>,
    pub timeout: Option<Duration>,
    pub stream_timeout: Option<Duration>,
    /// `cache: {…}`, `ttl`, and `s-maxage` of the header.
    pub cache: Controls,
    /// `caching`: false declines the cache for this request.
    pub caching: Option<bool>,
}

impl Wishes {
    fn read(&mut self, document: &Document<'_>, name: &str) -> Result<(), Invalid> {
        match name {
            "drop_params" => self.drop_params = document.flag(name)?,
            "additional_drop_params" => self.additional_drop_params = names(document, name)?,
            "allowed_openai_params" => self.allowed_openai_params = names(document, name)?,
            "cache" => {
                let ttl = self.cache.ttl;
                let max_age = self.cache.max_age;
                self.cache = Controls::read(document.get(name).unwrap_or_default())?;
                self.cache.ttl = self.cache.ttl.or(ttl);
                self.cache.max_age = self.cache.max_age.or(max_age);
            }
            "caching" => self.caching = document.flag(name)?,
            "ttl" => self.cache.ttl = self.cache.ttl.or(seconds(document, name)?),
            "stream_timeout" => self.stream_timeout = self.stream_timeout.or(seconds(document, name)?),
            _ => self.timeout = self.timeout.or(seconds(document, name)?),
        }
        Ok(())
    }

    /// Whether a field is about one call, so that a fallback's entry may say it.
    pub(super) fn of_one_call(name: &str) -> bool {
        matches!(
            name,
            "additional_drop_params"
                | "allowed_openai_params"
                | "drop_params"
                | "request_timeout"
                | "stream_timeout"
                | "timeout"
        )
    }

    /// These wishes, and `own` where they say something.
    pub(super) fn with(&self, own: Self) -> Self {
        let Self { cache, caching, .. } = self.clone();
        Self {
            drop_params: own.drop_params.or(self.drop_params),
            additional_drop_params: own
                .additional_drop_params
                .or_else(|| self.additional_drop_params.clone()),
            allowed_openai_params: own.allowed_openai_params.or_else(|| self.allowed_openai_params.clone()),
            timeout: own.timeout.or(self.timeout),
            stream_timeout: own.stream_timeout.or(self.stream_timeout),
            cache,
            caching,
        }
    }

    /// The deployment's policy with the caller's wishes; `None` if there are none.
    pub(super) fn policy(&self, deployment: &ParameterPolicy) -> Option<ParameterPolicy> {
        if self.drop_params.is_none()
            && self.additional_drop_params.is_none()
            && self.allowed_openai_params.is_none()
        {
            return None;
        }
        let mut policy = deployment.clone();
        policy.drop_params = self.drop_params.unwrap_or(policy.drop_params);
        policy.additional_drop_params.extend(self.additional_drop_params.iter().flatten().cloned());
        policy.allowed_params.extend(self.allowed_openai_params.iter().flatten().cloned());
        Some(policy)
    }
}

/// What becomes of a field that speaks to the gateway; none of them is sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Read into [`Wishes`].
    Wish,
    /// Taken out: LiteLLM's clients may send it, and no provider knows it. Features that read it come with their own
    /// version of the gateway.
    Ours,
    /// By it a caller would take the operator's place; refused, as LiteLLM does.
    Operator,
}

/// What a field of this name is, if it speaks to the gateway.
fn use_of(field: &str) -> Option<Use> {
    match field {
        "additional_drop_params"
        | "allowed_openai_params"
        | "cache"
        | "caching"
        | "drop_params"
        | "request_timeout"
        | "stream_timeout"
        | "timeout"
        | "ttl" => Some(Use::Wish),
        "allowed_model_region"
        | "content_policy_fallbacks"
        | "context_window_fallback_dict"
        | "context_window_fallbacks"
        | "disable_fallbacks"
        | "fallbacks"
        | "fastest_response"
        | "guardrails"
        | "litellm_metadata"
        | "litellm_session_id"
        | "litellm_trace_id"
        | "max_retries"
        | "mock_delay"
        | "mock_response"
        | "mock_testing_content_policy_fallbacks"
        | "mock_testing_context_fallbacks"
        | "mock_testing_fallbacks"
        | "mock_testing_rate_limit_error"
        | "mock_timeout"
        | "mock_tool_calls"
        | "no-log"
        | "num_retries"
        | "policies"
        | "priority"
        | "retry_policy"
        | "routing_strategy"
        | "tags" => Some(Use::Ours),
        "api_base"
        | "api_key"
        | "aws_access_key_id"
        | "aws_secret_access_key"
        | "azure_ad_token"
        | "base_url"
        | "model_list"
        | "vertex_credentials" => Some(Use::Operator),
        _ => None,
    }
}

/// Whether a field speaks to the gateway, not to a model.
pub(super) fn is_ours(field: &str) -> bool {
    use_of(field).is_some()
}

/// Whether a field is the operator's to set, in a request and in its fallbacks.
pub(crate) fn is_for_operators(field: &str) -> bool {
    use_of(field) == Some(Use::Operator)
}

/// Takes what is meant for the gateway out of the body.
pub(super) fn wishes(document: &mut Document<'_>, headers: &HeaderMap) -> Result<Wishes, Refusal> {
    let mut wishes = Wishes {
        timeout: seconds_header(headers, &names::TIMEOUT)?,
        stream_timeout: seconds_header(headers, &names::STREAM_TIMEOUT)?,
        cache: Controls {
            max_age: header(headers, CACHE_CONTROL).and_then(Controls::max_age_of_header),
            ..Controls::default()
        },
        ..Wishes::default()
    };
    let ours = document.names().filter_map(|name| use_of(name).map(|purpose| (name.to_owned(), purpose)));
    for (name, purpose) in &ours.collect::<Vec<_>>() {
        match purpose {
            Use::Wish => wishes.read(document, name)?,
            Use::Ours => {}
            Use::Operator => {
                let why = format!("{name} is not allowed in request body; the gateway's operator sets it");
                return Err(Refusal::unauthenticated(why).about(name));
            }
        }
        document.remove(name);
    }
    Ok(wishes)
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
        Some(text) => as_seconds(text)
            .map(Some)
            .ok_or_else(|| Invalid::new(name, "expected a positive number of seconds")),
    }
}

fn seconds_header(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Duration>, Refusal> {
    let Some(text) = header(headers, name) else { return Ok(None) };
    as_seconds(text).map(Some).ok_or_else(|| {
        Refusal::from(Invalid::new(
            name.as_str(),
            format!("expected a positive number of seconds, found `{text}`"),
        ))
    })
}

/// About how many tokens a body of this length has, for limits of deployments; nothing is billed by it.
pub(super) fn rough_tokens(body_bytes: usize) -> u64 {
    (body_bytes as u64).div_ceil(settle::BYTES_PER_TOKEN)
}

pub(crate) fn as_seconds(text: &str) -> Option<Duration> {
    let seconds = text.trim().parse::<f64>().ok().filter(|seconds| *seconds > 0.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The model that is asked for: from the path, the body, or `?model=`.
pub(super) fn model(
    document: &Document<'_>,
    endpoint: &Endpoint<'_>,
    query: &str,
) -> Result<String, Refusal> {
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
    fn call_ids_are_version_7_uuids() {
        let id = random_uuid();
        assert_eq!(id.len(), 36);
        let millis = i64::from_str_radix(&id[..13].replace('-', ""), 16).unwrap();
        assert!((crate::books::now().0 - millis).abs() < 60_000);
        assert_eq!(id.as_bytes()[14], b'7');
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
