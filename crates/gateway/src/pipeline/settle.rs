//! The end of a request: what it used and cost, and that it is written down.

use std::mem;
use std::sync::Arc;

use catalog::NanoUsd;
use catalog::cost::Counts;
use dialects::conversation::Usage;
use dialects::exchange::Observed;

use super::{Running, admit, forward, state};
use ledger::Booking;

use crate::books::{self, booking};
use crate::events;
use crate::exchange::Outcome;
use crate::operation::Operation;
use crate::refusal::Refusal;

/// Bytes per token that an estimate assumes: English text has about four.
pub(super) const BYTES_PER_TOKEN: u64 = 4;

/// Keeps what the answer said about itself, and prices it.
pub(super) fn observe(running: &mut Running, observed: Observed) {
    let exchange = &mut running.exchange;
    let answer = &mut exchange.answer;
    answer.id = observed.id;
    answer.model = observed.model;
    answer.stop = observed.stop;
    answer.usage = observed.usage;
    let delivered = observed.text_bytes.div_ceil(BYTES_PER_TOKEN);
    match &mut answer.usage {
        None if delivered > 0 => {
            let usage = Usage { input: exchange.input_estimate, output: delivered, ..Usage::default() };
            answer.usage = Some(usage);
            answer.usage_is_estimate = true;
        }
        // Some say at the beginning what they have used until then.
        Some(usage) if !observed.complete && usage.output < delivered => {
            usage.output = delivered;
            answer.usage_is_estimate = true;
        }
        Some(_) | None => {}
    }
    state::remember(running, &observed.seals);
    let exchange = &mut running.exchange;
    if let (Some(usage), Some(served)) = (&exchange.answer.usage, exchange.attempts.last().map(|a| &a.served))
    {
        exchange.answer.cost = match exchange.operation {
            Operation::Forward(service) => {
                served.cost_of(usage, forward::call_kind(service), Counts::default())
            }
            Operation::Converse(_) | Operation::CountTokens(_) => served.cost(usage),
        };
    }
}

/// An attempt failed; another may follow.
pub(super) fn attempt_failed(running: &Running, refusal: &Refusal) {
    if let Some(attempt) = running.exchange.attempts.last() {
        events::attempt_failed(&running.gateway, &running.exchange, attempt, refusal);
    }
}

pub(super) fn record_failure(running: &mut Running, refusal: &Refusal) {
    running.exchange.outcome = Outcome::Failed {
        status: refusal.status,
        class: refusal.class,
        message: refusal.tell.clone(),
        log: refusal.log().to_owned(),
    };
}

/// Takes the time.
pub(super) fn measure(running: &mut Running) {
    running.exchange.duration = running.exchange.started.elapsed();
}

/// Writes the request down. It is over, whatever its outcome.
pub(super) fn finished(running: &mut Running) {
    if running.settled {
        return;
    }
    running.settled = true;
    if running.exchange.duration.is_zero() {
        measure(running);
    }
    if running.exchange.outcome == Outcome::Running {
        running.exchange.outcome = Outcome::Answered;
    }
    book(running);
    let exchange = running.exchange.take();
    events::request_finished(&running.gateway, &exchange);
    running.gateway.traces().keep(exchange);
}

/// Ends what the request holds, and journals what it cost.
fn book(running: &mut Running) {
    let Some(mut admission) = running.admission.take() else { return };
    let purse = match Arc::get_mut(&mut admission) {
        Some(own) => mem::take(own.own_purse()),
        None => mem::take(&mut *admission.purse()),
    };
    let Some(reservation) = purse.reservation else { return };
    let exchange = &running.exchange;
    let actual = booking::actual(exchange);
    // Attempts that did not answer have rows of their own, and are paid for by the same.
    let mut all = actual;
    for bill in &purse.billed {
        all.cost = all.cost.saturating_add(bill.cost.total());
        all.tokens = all.tokens.saturating_add(bill.usage.total());
    }
    let settlement = reservation.settle(all, books::now());
    for crossing in &settlement.crossings {
        events::budget_crossed(&running.gateway, crossing);
    }
    let output = exchange.answer.usage.as_ref().map_or(0, |usage| usage.output);
    if (actual.cost > NanoUsd::ZERO || output > 0)
        && !exchange.is_cache_hit()
        && let Some(claim) = admission.holder_claim()
    {
        claim.learn(&admission.model, actual.cost, output);
    }
    let journal = |booking: Booking| {
        if let Err(error) = admission.books.journal().append(booking) {
            events::not_journalled(&running.gateway, &error);
        }
    };
    for bill in purse.billed {
        booking::of_bill(exchange, &admission, bill, &settlement.charges).map(journal);
    }
    let mut charges = settlement.charges;
    if let Some(attempt) = running.attempt.take() {
        charges.extend(admit::attempt::settle(&running.gateway, *attempt, &admission, actual.cost, output));
    }
    booking::booking(exchange, &admission, actual, charges).map(journal);
}

/// The client left before the end.
pub(super) fn client_gone(running: &mut Running) {
    if running.exchange.outcome == Outcome::Running {
        running.exchange.outcome = Outcome::ClientGone;
    }
    finished(running);
}
