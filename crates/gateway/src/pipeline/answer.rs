//! The head of the answer, and errors in the client's dialect.

mod standing;

use std::time::Duration;

use bytes::Bytes;
use catalog::{Decimal, NanoUsd};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, IntoHeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use tollway::Deployment;

use super::relayed::relay_headers;
use super::stream::{Format, StreamAnswer};
use super::{Running, settle};
use crate::body::AnswerBody;
use crate::exchange::Bodies;
use crate::operation::Operation;
use crate::refusal::{Fault, Refusal};
use crate::server::COMMON_HEADERS;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A complete answer.
pub(super) fn whole(mut running: Running, body: Vec<u8>) -> Response<AnswerBody> {
    if let Some(bodies) = &mut running.exchange.bodies {
        Bodies::keep(&mut bodies.client_response, &body);
    }
    settle::measure(&mut running);
    let mut headers = common_headers(&running);
    headers.insert(CONTENT_TYPE, own_type(&running).unwrap_or(JSON));
    if let Some(cost) = &running.exchange.answer.cost {
        put_cost(&mut headers, cost.total());
    }
    let overhead = running.exchange.duration.saturating_sub(running.exchange.upstream_time);
    put_durations(&mut headers, running.exchange.duration, overhead);
    settle::finished(&mut running);
    respond(StatusCode::OK, headers, AnswerBody::Whole(Bytes::from(body)))
}

/// A streamed answer, of which the first piece is there.
pub(super) fn stream(running: Running, mut stream: StreamAnswer) -> Response<AnswerBody> {
    let mut headers = common_headers(&running);
    let kind = match stream.format() {
        Format::Events => "text/event-stream; charset=utf-8",
        Format::Array => "application/json",
    };
    headers.insert(CONTENT_TYPE, own_type(&running).unwrap_or(HeaderValue::from_static(kind)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    stream.start(running);
    respond(StatusCode::OK, headers, AnswerBody::Stream(Box::pin(stream)))
}

/// What is passed on is of the type that its provider says.
fn own_type(running: &Running) -> Option<HeaderValue> {
    let forwarded = matches!(running.exchange.operation, Operation::Forward(_));
    forwarded.then(|| running.provider_headers.get(CONTENT_TYPE).cloned()).flatten()
}

/// An error, in the client's dialect.
pub(super) fn refuse(mut running: Running, refusal: &Refusal) -> Response<AnswerBody> {
    let body = running.exchange.operation.dialect().codec().write_error(&refusal.reply());
    if let Some(bodies) = &mut running.exchange.bodies {
        Bodies::keep(&mut bodies.client_response, &body);
    }
    settle::record_failure(&mut running, refusal);
    let mut headers = common_headers(&running);
    headers.insert(CONTENT_TYPE, JSON);
    put(&mut headers, RESPONSE_COST, "0");
    put_retry_after(&mut headers, refusal);
    if let Some(limit) = &refusal.limit {
        put(&mut headers, "rate_limit_type", limit.kind);
        if let Some(at) = limit.resets_at {
            put(&mut headers, "reset_at", &at.to_string());
        }
    }
    settle::finished(&mut running);
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(status, headers, AnswerBody::Whole(Bytes::from(body)))
}

/// An error outside the pipeline, in OpenAI's shape.
#[must_use]
pub fn refuse_route(refusal: &Refusal) -> Response<AnswerBody> {
    let body = dialects::Dialect::OpenaiChat.codec().write_error(&refusal.reply());
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, JSON)]);
    put_retry_after(&mut headers, refusal);
    respond(status, headers, AnswerBody::Whole(Bytes::from(body)))
}

fn put_retry_after(headers: &mut HeaderMap, refusal: &Refusal) {
    if let Some(after) = refusal.retry_after.filter(|_| refusal.fault != Fault::Provider) {
        // In whole seconds, rounded up: a client that comes back too early is refused again.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
}

pub(super) fn respond(status: StatusCode, headers: HeaderMap, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Who answered, in LiteLLM's headers, and the provider's own headers under a prefix.
pub(super) fn common_headers(running: &Running) -> HeaderMap {
    let exchange = &running.exchange;
    let served = exchange.served();
    let mut headers = served.map_or_else(|| fixed_head(16), |served| served.head.clone());
    if served.is_some() {
        headers.reserve(8 + running.provider_headers.len());
    }
    relay_headers(&running.provider_headers, &mut headers);
    put(&mut headers, CALL_ID, &exchange.id);
    let told = served.map(|served| &served.deployment.group);
    if let Some(group) = exchange.group.as_ref().filter(|group| Some(*group) != told) {
        put(&mut headers, MODEL_GROUP, group);
    }
    if served.is_some() {
        let counts = [(ATTEMPTED_RETRIES, exchange.retries), (ATTEMPTED_FALLBACKS, exchange.fallbacks)];
        for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            headers.insert(name, HeaderValue::from(count));
        }
    }
    if let Some(admission) = &running.admission {
        standing::put(&mut headers, admission, exchange);
    }
    headers
}

/// The headers of a deployment's usual answer: made once, and copied for each answer.
pub(crate) fn head_of(deployment: &Deployment) -> HeaderMap {
    // With room for the provider's own.
    let mut headers = fixed_head(48);
    let name = format!("{}/{}", deployment.provider, deployment.model);
    let own = [
        (MODEL_GROUP, &*deployment.group),
        (MODEL_ID, &*deployment.id),
        (MODEL_NAME, name.as_str()),
        (API_BASE, deployment.shown_base.as_str()),
    ];
    for (name, value) in own.into_iter().filter(|(_, value)| !value.is_empty()) {
        put(&mut headers, name, value);
    }
    headers.insert(ATTEMPTED_RETRIES, HeaderValue::from_static("0"));
    headers.insert(ATTEMPTED_FALLBACKS, HeaderValue::from_static("0"));
    headers
}

/// What stands on every answer.
fn fixed_head(capacity: usize) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(capacity);
    headers.extend(COMMON_HEADERS);
    headers.insert(VERSION, HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
    headers
}

const CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
const VERSION: HeaderName = HeaderName::from_static("x-litellm-version");
const MODEL_GROUP: HeaderName = HeaderName::from_static("x-litellm-model-group");
const MODEL_ID: HeaderName = HeaderName::from_static("x-litellm-model-id");
const MODEL_NAME: HeaderName = HeaderName::from_static("x-litellm-model-name");
const API_BASE: HeaderName = HeaderName::from_static("x-litellm-model-api-base");
const ATTEMPTED_RETRIES: HeaderName = HeaderName::from_static("x-litellm-attempted-retries");
const ATTEMPTED_FALLBACKS: HeaderName = HeaderName::from_static("x-litellm-attempted-fallbacks");
const RESPONSE_COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");
const RESPONSE_DURATION: HeaderName = HeaderName::from_static("x-litellm-response-duration-ms");
const OVERHEAD_DURATION: HeaderName = HeaderName::from_static("x-litellm-overhead-duration-ms");

/// Sets a header; a value that no header can hold (a model's name with a line feed) is left out.
pub(super) fn put(headers: &mut HeaderMap, name: impl IntoHeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// What the answer cost.
pub(super) fn put_cost(headers: &mut HeaderMap, amount: NanoUsd) {
    put_usd(headers, RESPONSE_COST, amount);
}

fn put_usd(headers: &mut HeaderMap, name: HeaderName, amount: NanoUsd) {
    if let Ok(value) = HeaderValue::from_bytes(amount.to_decimal().as_bytes()) {
        headers.insert(name, value);
    }
}

/// How long it took, and how long the gateway alone.
pub(super) fn put_durations(headers: &mut HeaderMap, whole: Duration, gateway: Duration) {
    put_milliseconds(headers, RESPONSE_DURATION, whole);
    put_milliseconds(headers, OVERHEAD_DURATION, gateway);
}

fn put_milliseconds(headers: &mut HeaderMap, name: impl IntoHeaderName, duration: Duration) {
    if let Ok(value) = HeaderValue::from_bytes(Decimal::milliseconds(duration).as_bytes()) {
        headers.insert(name, value);
    }
}
