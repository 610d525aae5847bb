//! The life of a request, in the order of its steps. Each step is a file; what they share is the
//! [`Exchange`](crate::exchange::Exchange).
//!
//! `authenticate → receive → cache → route → call (prepare → send → read) → answer → settle`

mod admit;
pub mod answer;
mod authenticate;
mod cache;
mod call;
mod conversation;
mod count;
mod demands;
mod forward;
mod hedge;
mod key_hash;
mod mirror;
mod receive;
mod relayed;
mod route;
mod settle;
mod state;
pub mod stream;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, Request as HttpRequest, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::Gateway;
use crate::body::AnswerBody;
use crate::exchange::{Bodies, Caller, Exchange, Identity};
use crate::operation::{Endpoint, Operation};
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;

pub use admit::attempt::{AttemptHold, Bill, Purse};
pub use admit::{Admission, is_for};
pub use authenticate::{Asked, authenticate};
pub(crate) use receive::{as_seconds, is_for_operators, random_uuid};

/// Runs one request from its head to the head of its answer; a streamed answer carries the rest with it.
pub async fn run(
    gateway: &Arc<Gateway>,
    endpoint: Endpoint<'_>,
    request: &mut HttpRequest<Incoming>,
    peer: IpAddr,
) -> Response<AnswerBody> {
    let head = request.headers();
    let caller = Caller {
        ip: peer,
        user_agent: receive::header(head, USER_AGENT).map(str::to_owned),
        identity: Identity::Unknown,
    };
    let exchange = Exchange::begin(receive::call_id(head), endpoint.operation, request.uri().path(), caller);
    let mut running = Running::begin(gateway, exchange);
    match steps(&mut running, endpoint, request).await {
        Ok(reply) => reply.into_response(running),
        Err(refusal) => answer::refuse(running, &refusal),
    }
}

/// What the steps come to.
#[derive(Debug)]
enum Reply {
    Whole(Vec<u8>),
    Stream(Box<stream::StreamAnswer>),
    /// Given before.
    Known(cache::Known),
}

impl Reply {
    fn into_response(self, running: Running) -> Response<AnswerBody> {
        match self {
            Self::Whole(body) => answer::whole(running, body),
            Self::Stream(stream) => answer::stream(running, *stream),
            Self::Known(known) => cache::respond(running, &known),
        }
    }
}

/// A request that has begun. Dropping it before it is settled settles it as left by its client: when a client
/// leaves, its connection drops the future or the body that holds this.
#[derive(Debug)]
pub struct Running {
    gateway: Arc<Gateway>,
    exchange: Box<Exchange>,
    /// Headers of the provider's answer, to be shown to the client.
    provider_headers: HeaderMap,
    /// What it holds until it is settled, if anything is held and booked.
    admission: Option<Arc<Admission>>,
    /// What is held for its present attempt, if that has to be.
    attempt: Option<Box<AttemptHold>>,
    settled: bool,
}

impl Running {
    fn begin(gateway: &Arc<Gateway>, exchange: Exchange) -> Self {
        gateway.metrics.request_began();
        Self {
            gateway: Arc::clone(gateway),
            exchange: Box::new(exchange),
            provider_headers: HeaderMap::new(),
            admission: None,
            attempt: None,
            settled: false,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.settled {
            settle::client_gone(self);
        }
    }
}

/// A request whose caller is known and whose body is there.
struct Received<'r> {
    endpoint: &'r Endpoint<'r>,
    query: &'r str,
    body: &'r Bytes,
    headers: &'r HeaderMap,
    /// See [`receive::for_gateway`].
    for_gateway: &'r HeaderMap,
}

async fn steps(
    running: &mut Running,
    endpoint: Endpoint<'_>,
    request: &mut HttpRequest<Incoming>,
) -> Result<Reply, Refusal> {
    let snapshot = running.gateway.snapshot();
    let dialect = endpoint.operation.dialect();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let asked = Asked { headers: request.headers(), query: &query, path: request.uri().path(), dialect };
    running.exchange.caller.identity =
        authenticate(&running.gateway, &snapshot, &asked, running.exchange.caller.ip).await?;
    let body = receive::body(request, &snapshot.bounds).await?;
    if snapshot.trace_bodies {
        let bodies = Bodies { client_request: Some(body.clone()), ..Bodies::default() };
        running.exchange.bodies = Some(Box::new(bodies));
    }
    let (headers, none) = (request.headers(), HeaderMap::new());
    let for_gateway = receive::for_gateway(headers, &snapshot, &none);
    let received = Received { endpoint: &endpoint, query: &query, body: &body, headers, for_gateway };
    // Large, and moved from hand to hand before it first runs.
    Box::pin(serve(running, &snapshot, &received)).await
}

async fn serve(
    running: &mut Running,
    snapshot: &Arc<Snapshot>,
    received: &Received<'_>,
) -> Result<Reply, Refusal> {
    match received.endpoint.operation {
        Operation::Converse(_) => conversation::converse(running, snapshot, received).await,
        Operation::CountTokens(_) => count::tokens(running, snapshot, received),
        Operation::Forward(service) => forward::forward(running, snapshot, service, received).await,
    }
}

/// A health check.
///
/// # Errors
/// When it is not answered.
pub(crate) async fn ask_for_ourselves(
    gateway: &Arc<Gateway>,
    operation: Operation,
    body: &Bytes,
) -> Result<(), Refusal> {
    drain(ask_as(gateway, Identity::HealthCheck, operation, body).await?).await;
    Ok(())
}

/// A request whose caller is known from elsewhere. It is traced, logged, counted and booked like any other.
///
/// # Errors
/// When it is not answered.
pub(crate) async fn ask_as(
    gateway: &Arc<Gateway>,
    identity: Identity,
    operation: Operation,
    body: &Bytes,
) -> Result<Response<AnswerBody>, Refusal> {
    let path = if identity == Identity::SemanticCache { "/cache" } else { "/health" };
    let caller = Caller { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), user_agent: None, identity };
    let exchange = Exchange::begin(random_uuid(), operation, path, caller);
    let mut running = Running::begin(gateway, exchange);
    let endpoint = Endpoint::new(operation);
    let none = HeaderMap::new();
    let received = Received { endpoint: &endpoint, query: "", body, headers: &none, for_gateway: &none };
    match serve(&mut running, &gateway.snapshot(), &received).await {
        Ok(reply) => Ok(reply.into_response(running)),
        Err(refusal) => {
            answer::refuse(running, &refusal);
            Err(refusal)
        }
    }
}

/// Reads an answer that nobody wants to its end, so that its cost and its speed are known.
async fn drain(response: Response<AnswerBody>) {
    let mut body = response.into_body();
    while let Some(Ok(_)) = body.frame().await {}
}
