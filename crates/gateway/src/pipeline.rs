//! The life of a request, in the order of its steps. Each step is a file; what they share is the
//! [`Exchange`](crate::exchange::Exchange).
//!
//! `authenticate → receive → cache → route → call (prepare → send → read) → answer → settle`

pub mod answer;
mod authenticate;
mod cache;
mod call;
mod count;
mod forward;
mod mirror;
mod receive;
mod route;
mod settle;
pub mod stream;

use std::net::IpAddr;
use std::sync::Arc;

use dialects::Dialect;
use dialects::document::Document;
use http::header::USER_AGENT;
use http::{HeaderMap, Request as HttpRequest, Response};
use hyper::body::Incoming;
use tollway::ask::Ask;

use crate::Gateway;
use crate::body::AnswerBody;
use crate::exchange::{Bodies, Caller, Exchange, Identity};
use crate::operation::{Endpoint, Operation};
use crate::refusal::Refusal;
use cache::{Found, Question};
use route::Tries;
use stream::Format;

pub use authenticate::authenticate;

/// Runs one request from its head to the head of its answer; a streamed answer carries the rest with it.
pub async fn run(
    gateway: &Arc<Gateway>,
    endpoint: Endpoint<'_>,
    mut request: HttpRequest<Incoming>,
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
    match steps(&mut running, endpoint, &mut request).await {
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
    settled: bool,
}

impl Running {
    fn begin(gateway: &Arc<Gateway>, exchange: Exchange) -> Self {
        gateway.metrics.request_began();
        Self {
            gateway: Arc::clone(gateway),
            exchange: Box::new(exchange),
            provider_headers: HeaderMap::new(),
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

async fn steps(
    running: &mut Running,
    endpoint: Endpoint<'_>,
    request: &mut HttpRequest<Incoming>,
) -> Result<Reply, Refusal> {
    let snapshot = running.gateway.snapshot();
    let dialect = endpoint.operation.dialect();
    let query = request.uri().query().unwrap_or_default().to_owned();
    running.exchange.caller.identity = authenticate(&snapshot, request.headers(), &query, dialect)?;
    let body = receive::body(request, &snapshot.bounds).await?;
    if snapshot.trace_bodies {
        running.exchange.bodies = Some(Bodies { client_request: Some(body.clone()), ..Bodies::default() });
    }
    if let Operation::Forward(service) = endpoint.operation {
        let received = forward::Received { service, endpoint: &endpoint, query: &query, body: &body };
        return forward::forward(running, &snapshot, received, request.headers()).await;
    }
    let mut document = Document::parse_within(&body, snapshot.bounds.max_json_depth)?;
    let model = receive::model(&document, &endpoint, &query)?;
    let mut routed = route::request(&snapshot, &model, &document, request.headers(), body.len())?;
    let wishes = receive::wishes(&mut document, request.headers())?;
    let stream = receive::stream(&document, &endpoint)?;
    running.exchange.requested_model.clone_from(&model);
    running.exchange.stream = stream;
    let events = dialect != Dialect::Gemini || query.split('&').any(|pair| pair == "alt=sse");
    let format = if events { Format::Events } else { Format::Array };
    let question = Question {
        document: &document,
        form: None,
        model: &model,
        wishes: &wishes,
        headers: request.headers(),
        format,
    };
    let recording = match cache::look_up(running, &snapshot, &question).await? {
        Found::Answer(known) => return Ok(Reply::Known(known)),
        Found::Nothing(recording) => recording,
    };
    match endpoint.operation {
        Operation::Converse(_) => {
            let ask = Ask::new(dialect, &document, &model, stream);
            let own_timeout = wishes.timeout.is_some() || wishes.stream_timeout.is_some();
            routed.stream = stream;
            route::pin_to_state(&mut routed, running, &document);
            route::count_input(&mut routed, &snapshot, &ask)?;
            let original = mirror::Original {
                snapshot: &snapshot,
                model: &model,
                body: &body,
                headers: request.headers(),
                stream,
                format,
            };
            mirror::maybe_copy(running, &original);
            let tries = Tries::new(&snapshot, routed, own_timeout);
            let call = call::Call { snapshot: &snapshot, wishes, headers: request.headers(), format };
            let reply = call::converse(running, call, ask, tries).await?;
            Ok(cache::record(running, recording, reply))
        }
        Operation::CountTokens(_) => {
            let group = snapshot.group(&model);
            let served = group.as_ref().and_then(|group| group.members.first());
            let served = served.ok_or_else(|| Refusal::unknown_model(&model, snapshot.nearest(&model)))?;
            count::tokens(running, served, document)
        }
        // Handed over above.
        Operation::Forward(_) => Err(Refusal::bad_request("this path serves no conversations")),
    }
}
