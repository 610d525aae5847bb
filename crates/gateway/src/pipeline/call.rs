//! Asks a deployment: prepare, send, read.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use dialects::Dialect;
use dialects::conversation::Request as Conversation;
use dialects::exchange::{AnswerContext, Observed};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, Response};
use http_body::Body;
use http_body_util::BodyExt;
use routing::Attempt as Trial;
use tollway::ask::{Ask, PrepareError, Prepared, merge_header};
use tollway::transport::{ProviderBody, TransportError, TransportErrorKind};

use super::receive::{self, Wishes};
use super::route::{self, Tries, Try};
use super::stream::{Format, Patience, Source, StreamAnswer};
use super::{Reply, Running, hedge, settle};
use crate::exchange::{Attempt, Bodies};
use crate::mock;
use crate::refusal::Refusal;
use crate::snapshot::{Served, Snapshot, Upstream};
use crate::time_limit::within;

/// What all attempts of a request have in common.
pub(super) struct Call<'r> {
    pub snapshot: &'r Snapshot,
    pub wishes: Wishes,
    pub headers: &'r HeaderMap,
    pub format: Format,
}

/// The most that is read of an error answer.
const MAX_ERROR_BYTES: u64 = 1024 * 1024;

/// Asks one deployment after the other until one answers.
pub(super) async fn converse(
    running: &mut Running,
    call: &Call<'_>,
    ask: &Ask<'_>,
    tries: &mut Tries<'_>,
) -> Result<Reply, Refusal> {
    loop {
        let next = tries.next(running, ask.document).await?;
        let (attempt, reply) = match tries.hedge_delay() {
            None => {
                let reply = ask_at(running, call, &next, ask).await;
                (next.attempt, reply)
            }
            // Seldom switched on and large, so it is kept out of every request's future.
            Some(delay) => Box::pin(hedge::attempt(running, call, ask, tries, next, delay)).await,
        };
        match reply {
            Ok(reply) => return Ok(answered(running, attempt, reply)),
            Err(refusal) => tries.failed(running, attempt, refusal)?,
        }
    }
}

/// Makes one attempt.
pub(super) async fn ask_at(
    running: &mut Running,
    call: &Call<'_>,
    next: &Try,
    ask: &Ask<'_>,
) -> Result<Reply, Refusal> {
    match next.attempt.params() {
        None => attempt_at(running, call, &next.served, ask).await,
        Some(params) => {
            let notes = &mut running.exchange.notes;
            let (document, wishes) = route::with_params(ask.document, &call.wishes, params, notes)?;
            let call = Call { wishes, ..*call };
            attempt_at(running, &call, &next.served, &ask.of(&document)).await
        }
    }
}

/// The answer came from this attempt. That of a stream ends with the stream.
pub(super) fn answered(running: &Running, attempt: Trial, mut reply: Reply) -> Reply {
    match &mut reply {
        Reply::Whole(_) => route::ended(running, attempt, &route::success(running)),
        Reply::Stream(stream) => stream.belongs_to(attempt, running),
        // No attempt answers from the cache.
        Reply::Known(_) => {}
    }
    reply
}

/// Asks the deployment and reads the answer, or its beginning if it is streamed.
async fn attempt_at(
    running: &mut Running,
    call: &Call<'_>,
    served: &Arc<Served>,
    ask: &Ask<'_>,
) -> Result<Reply, Refusal> {
    let include_usage = ask.include_usage()? || call.snapshot.always_include_stream_usage;
    if let Upstream::Mock(mock) = &served.upstream {
        let request = Arc::clone(ask.request()?);
        let answer = answer_context(running, include_usage, Some(Arc::clone(&request)));
        return mock_reply(running, served, mock, &request, answer, call.format).await;
    }
    let inlined;
    let ask = if served.deployment.inlines_media_for(ask.dialect) {
        let request = running.gateway.media().inline(ask.request()?).await;
        inlined = ask.with_request(request.map_err(|error| Refusal::bad_request(error.to_string()))?);
        &inlined
    } else {
        ask
    };
    let policy = call.wishes.policy(&served.deployment.policy);
    let prepared = served.deployment.prepare(ask, policy.as_ref());
    let mut prepared = prepared.map_err(|error| match error {
        // What is missing would not help where there is no such endpoint.
        PrepareError::Unusable(_) if !served.has_conversations() => {
            Refusal::unserved(format!("`{}` serves no conversations", served.deployment.model))
        }
        error => unprepared(error),
    })?;
    forward_headers(call.headers, &mut prepared, call.snapshot);
    running.exchange.notes.append(&mut prepared.notes);
    if let Some(bodies) = &mut running.exchange.bodies {
        bodies.provider_request = Some(prepared.body.clone());
    }
    let patience = patience(call, served, prepared.stream);
    let began = Instant::now();
    let head = patience.head(prepared.stream);
    let response = send(running, served, &mut prepared, head, began).await?;
    let answer = answer_context(running, include_usage, prepared.request.take());
    let dialect = prepared.road.dialect;
    if prepared.stream && !is_json(&running.provider_headers) {
        let source =
            Source::provider(response.into_body(), dialect, running.exchange.operation.dialect(), answer);
        let title = served.deployment.provider_title;
        let stream = StreamAnswer::open(running, source, title, patience, began, call.format);
        return stream.await.map(|stream| Reply::Stream(Box::new(stream)));
    }
    let left = patience.total.saturating_sub(began.elapsed());
    let body = read_body(response.into_body(), call.snapshot.bounds.max_response_bytes, left).await;
    running.exchange.upstream_time += began.elapsed();
    let body = body.map_err(|error| failed(running, served, &error))?;
    whole_reply(running, served, dialect, prepared.stream, &body, answer, call.format)
}

pub(super) fn unprepared(error: PrepareError) -> Refusal {
    match error {
        PrepareError::Invalid(invalid) => invalid.into(),
        PrepareError::CannotSay(cannot) => cannot.into(),
        PrepareError::Unusable(why) => Refusal::misconfigured(401, why),
        PrepareError::Unserved(why) => Refusal::unserved(why),
    }
}

/// How long an attempt may take: the caller's wish, else the deployment's setting.
pub(super) fn patience(call: &Call<'_>, served: &Served, stream: bool) -> Patience {
    let timeouts = &served.deployment.timeouts;
    let total = call.wishes.timeout.unwrap_or(timeouts.total);
    let total = if stream { call.wishes.stream_timeout.or(timeouts.stream).unwrap_or(total) } else { total };
    Patience { total, first_token: timeouts.first_token, next_token: timeouts.next_token }
}

/// Headers of the client that are meant for the provider.
pub(super) fn forward_headers(client: &HeaderMap, prepared: &mut Prepared<'_>, snapshot: &Snapshot) {
    if prepared.road.dialect == Dialect::AnthropicMessages
        && let Some(beta) = receive::header(client, "anthropic-beta")
    {
        merge_header(prepared.headers.to_mut(), "anthropic-beta", beta);
    }
    if !snapshot.forward_client_headers {
        return;
    }
    for (name, value) in client {
        let word = name.as_str();
        let wanted = word.starts_with("x-")
            && !word.starts_with("x-stainless-")
            && !word.starts_with("x-litellm-")
            && !matches!(word, "x-api-key" | "x-goog-api-key");
        if wanted && !prepared.headers.contains_key(name) {
            prepared.headers.to_mut().insert(name.clone(), value.clone());
        }
    }
}

/// Sends the request; an error status is an error.
pub(super) async fn send(
    running: &mut Running,
    served: &Arc<Served>,
    prepared: &mut Prepared<'_>,
    patience: Duration,
    began: Instant,
) -> Result<Response<ProviderBody>, Refusal> {
    // There is seldom a second one, and traces are kept.
    running.exchange.attempts.reserve_exact(1);
    running.exchange.attempts.push(Attempt {
        served: Arc::clone(served),
        url: Arc::clone(&prepared.address().shown),
        dialect: prepared.road.dialect,
        after: began.saturating_duration_since(running.exchange.started),
        head: None,
        status: None,
        error: None,
        billed: None,
        provider_request_id: None,
    });
    let mut left = patience;
    if prepared.road.account.is_some() {
        // Large, and no part of most requests' futures.
        Box::pin(sign_in(running, served, prepared, patience, began)).await?;
        left = patience.saturating_sub(began.elapsed());
    }
    let request = || prepared.http_request();
    let sent = running.gateway.transport().send(request, served.deployment.verify_tls, left).await;
    let elapsed = began.elapsed();
    let mut response = match sent {
        Ok(response) => response,
        Err(error) => {
            running.exchange.upstream_time += elapsed;
            return Err(failed(running, served, &error));
        }
    };
    running.provider_headers = std::mem::take(response.headers_mut());
    let status = response.status().as_u16();
    if let Some(attempt) = running.exchange.attempts.last_mut() {
        attempt.head = Some(elapsed);
        attempt.status = Some(status);
        attempt.provider_request_id = provider_request_id(&running.provider_headers);
    }
    if response.status().is_success() {
        if let Some(coding) = receive::header(&running.provider_headers, CONTENT_ENCODING)
            && coding != "identity"
        {
            let cause = format!("it is `{coding}`-compressed although we asked for it plain");
            running.exchange.upstream_time += elapsed;
            return Err(Refusal::from_bad_reply(served.deployment.provider_title, &cause));
        }
        return Ok(response);
    }
    if !(400..600).contains(&status) {
        running.exchange.upstream_time += elapsed;
        let cause = format!("it has the status {status}, and redirects are not followed: check `api_base`");
        return Err(Refusal::from_bad_reply(served.deployment.provider_title, &cause));
    }
    let left = patience.saturating_sub(elapsed);
    let body = read_body(response.into_body(), MAX_ERROR_BYTES, left).await;
    running.exchange.upstream_time += began.elapsed();
    if status == 401 {
        prepared.token_refused();
    }
    // An error whose text cannot be read is still that error.
    let body = body.unwrap_or_default();
    if let Some(bodies) = &mut running.exchange.bodies {
        Bodies::keep(&mut bodies.provider_response, &body);
    }
    let mut error = prepared.road.dialect.codec().read_error(status, &body);
    error.retry_after = retry_after(&running.provider_headers).or(error.retry_after);
    if let Some(attempt) = running.exchange.attempts.last_mut() {
        attempt.error = Some(error.message.clone());
    }
    Err(Refusal::from_provider(served.deployment.provider_title, &error))
}

/// Signs a request in that needs a token.
async fn sign_in(
    running: &mut Running,
    served: &Served,
    prepared: &mut Prepared<'_>,
    patience: Duration,
    began: Instant,
) -> Result<(), Refusal> {
    let why = match within(patience, prepared.sign_in()).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the token server did not answer in time".to_owned(),
    };
    running.exchange.upstream_time += began.elapsed();
    let told = format!("sign-in to {} failed: {why}", served.deployment.provider_title);
    if let Some(attempt) = running.exchange.attempts.last_mut() {
        attempt.error = Some(told.clone());
    }
    Err(Refusal::misconfigured(401, told))
}

/// How long the provider asks to wait: OpenAI's and Azure's `retry-after-ms`, else `retry-after` in seconds. Its other
/// form, a date, is not read: no provider's page names it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let milliseconds = receive::header(headers, "retry-after-ms").and_then(|text| text.trim().parse().ok());
    milliseconds
        .map(Duration::from_millis)
        .or_else(|| receive::as_seconds(receive::header(headers, "retry-after")?))
}

pub(super) fn failed(running: &mut Running, served: &Served, error: &TransportError) -> Refusal {
    if let Some(attempt) = running.exchange.attempts.last_mut() {
        attempt.error = Some(error.to_string());
    }
    Refusal::from_transport(served.deployment.provider_title, error)
}

/// The header under which providers name a call for their support. All headers are gone through: there are few, and to
/// look for each of the names takes longer.
fn provider_request_id(headers: &HeaderMap) -> Option<String> {
    const NAMES: [&str; 4] = ["x-request-id", "request-id", "apim-request-id", "x-amzn-requestid"];
    let rank = |name: &HeaderName| NAMES.iter().position(|known| *known == name.as_str());
    let ids = headers.iter().filter_map(|(name, value)| Some((rank(name)?, value)));
    let (_, id) = ids.min_by_key(|(rank, _)| *rank)?;
    id.to_str().ok().map(str::to_owned)
}

fn is_json(headers: &HeaderMap) -> bool {
    receive::header(headers, CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"))
}

/// Reads a body up to `limit` bytes.
pub(super) async fn read_body(
    mut body: ProviderBody,
    limit: u64,
    patience: Duration,
) -> Result<Bytes, TransportError> {
    let reading = async {
        let mut first: Option<Bytes> = None;
        let mut joined = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            let so_far = first.as_ref().map_or(joined.len(), Bytes::len);
            if (so_far + data.len()) as u64 > limit {
                return Err(TransportError {
                    kind: TransportErrorKind::Garbage,
                    detail: format!("the answer is larger than {limit} bytes (`tollway.max_response_bytes`)"),
                });
            }
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
    };
    match within(patience, reading).await {
        Ok(result) => result,
        Err(_) => Err(TransportError {
            kind: TransportErrorKind::TimedOut,
            detail: "the answer began but did not end in time".to_owned(),
        }),
    }
}

fn answer_context(
    running: &Running,
    include_usage: bool,
    request: Option<Arc<Conversation>>,
) -> AnswerContext {
    let exchange = &running.exchange;
    let created = exchange.received_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    AnswerContext {
        model: exchange.requested_model.clone(),
        seed: receive::random_hex(),
        created,
        include_usage,
        request,
    }
}

fn whole_reply(
    running: &mut Running,
    served: &Served,
    provider: Dialect,
    stream: bool,
    body: &[u8],
    answer: AnswerContext,
    format: Format,
) -> Result<Reply, Refusal> {
    let title = served.deployment.provider_title;
    let client = running.exchange.operation.dialect();
    if let Some(bodies) = &mut running.exchange.bodies {
        Bodies::keep(&mut bodies.provider_response, body);
    }
    let unreadable = |error: dialects::BadReply| Refusal::from_bad_reply(title, &error);
    if stream {
        // The provider does not stream: what it said at once is told as a stream.
        let response = provider.codec().read_response(body, &answer.seed).map_err(unreadable)?;
        let events = dialects::conversation::replay(response);
        return Ok(Reply::Stream(Box::new(StreamAnswer::local(
            client,
            events,
            answer,
            Duration::ZERO,
            format,
        ))));
    }
    let (bytes, observed) = tollway::answer::whole(provider, client, body, &answer).map_err(unreadable)?;
    settle::observe(running, observed);
    Ok(Reply::Whole(bytes))
}

async fn mock_reply(
    running: &mut Running,
    served: &Arc<Served>,
    mock: &mock::Mock,
    request: &Conversation,
    answer: AnswerContext,
    format: Format,
) -> Result<Reply, Refusal> {
    let client = running.exchange.operation.dialect();
    running.exchange.attempts.push(Attempt {
        served: Arc::clone(served),
        url: "mock:".into(),
        dialect: client,
        after: running.exchange.started.elapsed(),
        head: Some(Duration::ZERO),
        status: Some(200),
        error: None,
        billed: None,
        provider_request_id: None,
    });
    if !mock.delay.is_zero() {
        tokio::time::sleep(mock.delay).await;
    }
    let response = mock.answer(request, &answer.seed)?;
    if running.exchange.stream {
        let events = mock.events(response);
        return Ok(Reply::Stream(Box::new(StreamAnswer::local(client, events, answer, mock.pause, format))));
    }
    let observed = Observed {
        usage: response.usage.clone(),
        id: response.id.clone(),
        model: response.model.clone(),
        stop: response.choices.first().map(|choice| choice.stop.clone()),
        complete: true,
        ..Observed::default()
    };
    settle::observe(running, observed);
    Ok(Reply::Whole(client.codec().write_response(&response, &answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finer_wait_counts() {
        let wait = |headers: &[(&'static str, &'static str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), http::HeaderValue::from_static(value)));
            retry_after(&headers.collect())
        };
        assert_eq!(wait(&[("retry-after", "2")]), Some(Duration::from_secs(2)));
        assert_eq!(
            wait(&[("retry-after", "2"), ("retry-after-ms", "1500")]),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(wait(&[("retry-after", "1"), ("retry-after-ms", "soon")]), Some(Duration::from_secs(1)));
        assert_eq!(wait(&[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")]), None);
        assert_eq!(wait(&[]), None);
    }
}
