//! The head of the answer, and errors in the client's dialect.

mod standing;

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::stream::{Format, StreamAnswer};
use super::{Running, settle};
use crate::body::AnswerBody;
use crate::decimal;
use crate::exchange::Bodies;
use crate::operation::Operation;
use crate::refusal::{Fault, Refusal};

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
        put(&mut headers, "x-litellm-response-cost", &cost.total().to_string());
    }
    put_milliseconds(&mut headers, "x-litellm-response-duration-ms", running.exchange.duration);
    let overhead = running.exchange.duration.saturating_sub(running.exchange.upstream_time);
    put_milliseconds(&mut headers, "x-litellm-overhead-duration-ms", overhead);
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
    put(&mut headers, "x-litellm-response-cost", "0");
    if let Some(after) = refusal.retry_after.filter(|_| refusal.fault != Fault::Provider) {
        // In whole seconds, rounded up: a client that comes back too early is refused again.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if let Some(limit) = refusal.limit {
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
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, JSON)]);
    respond(status, headers, AnswerBody::Whole(Bytes::from(body)))
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
    let mut headers = HeaderMap::with_capacity(24 + running.provider_headers.len());
    relay_headers(&running.provider_headers, &mut headers);
    put(&mut headers, "x-litellm-call-id", &exchange.id);
    headers.insert(
        HeaderName::from_static("x-litellm-version"),
        HeaderValue::from_static(env!("CARGO_PKG_VERSION")),
    );
    if let Some(group) = &exchange.group {
        put(&mut headers, "x-litellm-model-group", group);
    }
    if let Some(served) = exchange.served() {
        for (name, value) in &served.headers {
            headers.insert(name.clone(), value.clone());
        }
        let counts = [
            ("x-litellm-attempted-retries", exchange.retries),
            ("x-litellm-attempted-fallbacks", exchange.fallbacks),
        ];
        for (name, count) in counts {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(count));
        }
    }
    if let Some(admission) = &running.admission {
        standing::put(&mut headers, admission, exchange);
    }
    headers
}

/// Every header of the provider as `llm_provider-<name>`, its rate limits also under their own names.
fn relay_headers(provider: &HeaderMap, headers: &mut HeaderMap) {
    for (name, value) in provider {
        let word = name.as_str();
        if matches!(
            word,
            "connection"
                | "keep-alive"
                | "transfer-encoding"
                | "content-length"
                | "set-cookie"
                | "trailer"
                | "upgrade"
        ) {
            continue;
        }
        if word.starts_with("x-ratelimit-") {
            headers.append(name.clone(), value.clone());
        }
        if let Ok(prefixed) = HeaderName::try_from(format!("llm_provider-{word}")) {
            headers.append(prefixed, value.clone());
        }
    }
}

/// Sets a header; a value that no header can hold (a model's name with a line feed) is left out.
pub(super) fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

pub(super) fn put_milliseconds(headers: &mut HeaderMap, name: &'static str, duration: Duration) {
    let mut text = String::with_capacity(12);
    decimal::push_milliseconds(&mut text, duration);
    put(headers, name, &text);
}
