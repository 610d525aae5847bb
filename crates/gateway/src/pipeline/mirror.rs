//! Copies of requests for another group: how would it have answered, how fast, for how much? Nobody waits for them,
//! and their answers are dropped; they are traced, logged and counted as requests of their own.

use std::sync::Arc;

use bytes::Bytes;
use dialects::document::Document;
use http::HeaderMap;
use routing::Overrides;
use tollway::ask::Ask;

use super::admit::{self, Size};
use super::call::{self, Call};
use super::route::{self, Tries};
use super::stream::Format;
use super::{Running, answer, drain, receive};
use crate::exchange::Exchange;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;

/// A request that may be copied.
pub(super) struct Original<'r> {
    pub snapshot: &'r Arc<Snapshot>,
    pub model: &'r str,
    pub body: &'r Bytes,
    pub headers: &'r HeaderMap,
    pub stream: bool,
    pub format: Format,
}

/// Sends a copy on its way, if the request is of the share that is mirrored.
pub(super) fn maybe_copy(running: &Running, original: &Original<'_>) {
    if original.snapshot.routing.mirrors.is_empty() {
        return;
    }
    let fleet = original.snapshot.fleet();
    let Some(group) = fleet.plan().group_of(original.model) else { return };
    let Some(to) = fleet.mirror(group, &mut || fastrand::u64(..)) else { return };
    // Copies must not pile up behind a group that does not answer.
    let Ok(place) = Arc::clone(running.gateway.mirrors()).try_acquire_owned() else { return };
    let copy = Copy {
        snapshot: Arc::clone(original.snapshot),
        to: to.to_owned(),
        body: original.body.clone(),
        headers: original.headers.clone(),
        stream: original.stream,
        format: original.format,
    };
    let of = &running.exchange;
    let id = format!("{}-mirror", of.id);
    let mut exchange = Exchange::begin(id, of.operation, &of.path, of.caller.clone());
    exchange.requested_model.clone_from(&copy.to);
    exchange.stream = of.stream;
    exchange.mirror_of = Some(of.id.as_str().into());
    let running = Running::begin(&running.gateway, exchange);
    tokio::spawn(async move {
        copy.send(running).await;
        drop(place);
    });
}

struct Copy {
    snapshot: Arc<Snapshot>,
    to: String,
    body: Bytes,
    headers: HeaderMap,
    stream: bool,
    format: Format,
}

impl Copy {
    async fn send(self, mut running: Running) {
        let response = match self.ask(&mut running).await {
            Ok(reply) => reply.into_response(running),
            Err(refusal) => answer::refuse(running, &refusal),
        };
        drain(response).await;
    }

    async fn ask(&self, running: &mut Running) -> Result<super::Reply, Refusal> {
        let mut document = Document::parse_within(&self.body, self.snapshot.bounds.max_json_depth)?;
        let mut routed = route::request(&self.snapshot, &self.to, &document, &self.headers, self.body.len())?;
        routed.stream = self.stream;
        running.exchange.input_estimate = routed.input_tokens;
        // One call and no more: a copy that fell back could end in the very group that it is compared with.
        routed.overrides =
            Overrides { num_retries: Some(0), disable_fallbacks: true, ..Overrides::default() };
        routed.mock_failure = None;
        let wishes = receive::wishes(&mut document, &self.headers)?;
        let size = Size {
            document: &document,
            body_bytes: self.body.len(),
            tags: &routed.tags,
            customer: None,
            session: None,
            headers: &self.headers,
        };
        let accounts = admit::accounts(running, &self.snapshot, &self.to, &size).await?;
        admit::count_only(running, accounts);
        let mut tries = Tries::new(&self.snapshot, routed, false);
        let ask = Ask::new(running.exchange.operation.dialect(), &document, &self.to, self.stream);
        let call = Call { snapshot: &self.snapshot, wishes, headers: &self.headers, format: self.format };
        call::converse(running, &call, &ask, &mut tries).await
    }
}
