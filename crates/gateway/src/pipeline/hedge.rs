//! A second attempt beside one that is slower than usual: the first answer counts, the other call is cancelled.

use std::time::Duration;

use http::HeaderMap;
use routing::Attempt;
use tollway::ask::Ask;

use super::admit;
use super::call::{self, Call};
use super::route::{Tries, Try};
use super::{Reply, Running};
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// What is said of a call that nobody waits for any more.
const CANCELLED: &str = "cancelled: the other attempt was sooner";

/// Makes an attempt, and after `delay` another one beside it if there is somebody to ask. What comes back is the attempt
/// that decided, and what it came to.
pub(super) async fn attempt(
    running: &mut Running,
    call: &Call<'_>,
    ask: &Ask<'_>,
    tries: &mut Tries<'_>,
    first: Try,
    delay: Duration,
) -> (Attempt, Result<Reply, Refusal>) {
    let mut aside = running.aside();
    let mut asked = Box::pin(call::ask_at(running, call, &first, ask));
    if let Ok(reply) = tokio::time::timeout(delay, &mut asked).await {
        drop(asked);
        return (first.attempt, reply);
    }
    let Some(second) = tries.hedge(&mut aside, ask.document).await else {
        let reply = asked.await;
        return (first.attempt, reply);
    };
    let mut asked_aside = Box::pin(call::ask_at(&mut aside, call, &second, ask));
    let (first_is_sooner, reply) = tokio::select! {
        reply = &mut asked => (true, reply),
        reply = &mut asked_aside => (false, reply),
    };
    let decided = match reply {
        // The other may still succeed.
        Err(refusal) if refusal.may_pass_elsewhere() => {
            if first_is_sooner {
                let reply = asked_aside.await;
                drop(asked);
                tries.note_failure(running, first.attempt, refusal);
                (second.attempt, false, reply)
            } else {
                let reply = asked.await;
                drop(asked_aside);
                tries.note_failure(&mut aside, second.attempt, refusal);
                (first.attempt, true, reply)
            }
        }
        reply => {
            drop(asked);
            drop(asked_aside);
            let (sooner, later) =
                if first_is_sooner { (first.attempt, &mut aside) } else { (second.attempt, &mut *running) };
            if let Some(cancelled) = later.exchange.attempts.last_mut() {
                cancelled.error.get_or_insert_with(|| CANCELLED.to_owned());
            }
            // Its provider may have been at work.
            admit::attempt::over(later, true);
            (sooner, first_is_sooner, reply)
        }
    };
    let (attempt, is_first, reply) = decided;
    running.join(aside, is_first);
    (attempt, reply)
}

impl Running {
    /// The same request, for an attempt beside another. It is not settled by itself.
    fn aside(&self) -> Self {
        let of = &self.exchange;
        let mut exchange = Exchange::begin(of.id.clone(), of.operation, &of.path, of.caller.clone());
        exchange.received_at = of.received_at;
        exchange.started = of.started;
        exchange.requested_model.clone_from(&of.requested_model);
        exchange.group.clone_from(&of.group);
        exchange.stream = of.stream;
        exchange.input_estimate = of.input_estimate;
        exchange.bodies = of.bodies.as_ref().map(|_| Box::default());
        Self {
            gateway: std::sync::Arc::clone(&self.gateway),
            exchange: Box::new(exchange),
            provider_headers: HeaderMap::new(),
            admission: self.admission.clone(),
            attempt: None,
            settled: true,
        }
    }

    /// Takes in what happened aside; `mine`: the answer is this one's own. The attempt that answered comes last.
    fn join(&mut self, mut aside: Self, mine: bool) {
        let (own, other) = (&mut self.exchange, &mut aside.exchange);
        own.route.append(&mut other.route);
        if mine {
            let last = own.attempts.pop();
            own.attempts.append(&mut other.attempts);
            own.attempts.extend(last);
            return;
        }
        own.attempts.append(&mut other.attempts);
        own.notes = std::mem::take(&mut other.notes);
        self.attempt = aside.attempt.take();
        own.answer = std::mem::take(&mut other.answer);
        own.upstream_time = own.upstream_time.max(other.upstream_time);
        if let (Some(own), Some(other)) = (&mut own.bodies, &mut other.bodies) {
            own.provider_request = other.provider_request.take();
            own.provider_response = std::mem::take(&mut other.provider_response);
        }
        self.provider_headers = std::mem::take(&mut aside.provider_headers);
    }
}
