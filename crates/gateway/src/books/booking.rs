//! A finished request becomes an entry of the journal.

use std::sync::Arc;

use catalog::{Cost, NanoUsd, Usd};
use ledger::booking::{Booking, Tokens};
use ledger::rules::id::{ModelName, ProviderName, RequestId};
use ledger::rules::ledger::{Actual, Charge};
use serde::{Serialize, Serializer};

use super::timestamp;
use crate::exchange::{Exchange, Outcome};
use crate::pipeline::{Admission, Bill, random_uuid};

/// What a request used.
#[must_use]
pub fn actual(exchange: &Exchange) -> Actual {
    if exchange.is_cache_hit() {
        // It was paid before.
        return Actual::default();
    }
    let cost = exchange.answer.cost.as_ref().map_or(NanoUsd::ZERO, Cost::total);
    let tokens = exchange.answer.usage.as_ref().map_or(0, dialects::conversation::Usage::total);
    Actual { cost, tokens }
}

/// The entry; `None` if the names in it are none.
#[must_use]
pub fn booking(
    exchange: &Exchange,
    admission: &Admission,
    actual: Actual,
    charges: Vec<Charge>,
) -> Option<Booking> {
    let holder = &admission.holder;
    let served = exchange.served();
    let model = served.map_or(admission.model.as_str(), |served| served.deployment.model.as_str());
    let provider = served.map_or("none", |served| served.deployment.provider);
    let usage = exchange.answer.usage.as_ref();
    let started = timestamp(exchange.received_at);
    Some(Booking {
        request: admission.request.clone(),
        started_at: started,
        ended_at: started.plus(exchange.duration),
        call_type: exchange.operation.name().into(),
        failed: !matches!(exchange.outcome, Outcome::Running | Outcome::Answered),
        model: ModelName::new(model).unwrap_or_else(|_| admission.model.clone()),
        model_group: exchange.group.clone(),
        provider: ProviderName::new(provider).ok()?,
        deployment: served.map(|served| Arc::clone(&served.deployment.id)),
        key: holder.key.id.clone(),
        user: holder.key.user.clone(),
        team: holder.key.team.clone(),
        organization: holder.organization.as_ref().map(|organization| organization.id.clone()),
        customer: admission.customer.clone(),
        tags: admission.tags.clone(),
        tokens: usage.map_or_else(Tokens::default, |usage| Tokens {
            input: usage.input,
            output: usage.output,
            cache_read: usage.cache_read,
            cache_write: usage.cache_write(),
        }),
        cost: actual.cost,
        saved: exchange.cache.as_ref().map_or(NanoUsd::ZERO, |used| used.saved.cost),
        estimated: exchange.answer.usage_is_estimate,
        cache_hit: exchange.is_cache_hit(),
        catalog: exchange.answer.cost.as_ref().and_then(|_| served?.price_list.clone()),
        session: admission.session.clone(),
        detail: detail(exchange, admission),
        charges,
    })
}

/// The entry of an attempt that did not answer and is billed all the same: an estimate, beside the request's own entry.
#[must_use]
pub fn of_bill(
    exchange: &Exchange,
    admission: &Admission,
    bill: Bill,
    of_request: &[Charge],
) -> Option<Booking> {
    let Bill { served, usage, cost, mut charges } = bill;
    charges.extend_from_slice(of_request);
    let actual = Actual { cost: cost.total(), tokens: usage.total() };
    let detail = Detail {
        attempt_of: Some(admission.request.as_str()),
        lines: Some(Lines(&cost)),
        ..Detail::default()
    };
    let request = booking(exchange, admission, actual, charges)?;
    let model = ModelName::new(&served.deployment.model).unwrap_or_else(|_| request.model.clone());
    Some(Booking {
        request: RequestId::new(&random_uuid()).ok()?,
        failed: true,
        model,
        provider: ProviderName::new(served.deployment.provider).ok()?,
        deployment: Some(Arc::clone(&served.deployment.id)),
        tokens: Tokens { input: usage.input, output: usage.output, ..Tokens::default() },
        saved: NanoUsd::ZERO,
        estimated: true,
        cache_hit: false,
        detail: detail.to_json(),
        ..request
    })
}

/// What has no column: the invoice's lines, and by which names others know the call.
#[derive(Default, Serialize)]
struct Detail<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    response_id: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_id: Option<&'e str>,
    /// The request that an attempt was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt_of: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Milliseconds to the first token of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror_of: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<Lines<'e>>,
}

impl Detail<'_> {
    /// `None` if there is nothing to say.
    fn to_json(&self) -> Option<Arc<str>> {
        let text = serde_json::to_string(self).ok()?;
        (text != "{}").then(|| text.into())
    }
}

/// `[what, count, amount]`, the amount as text: it is exact.
struct Lines<'e>(&'e Cost);

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let lines = self.0.lines.iter();
        serializer.collect_seq(lines.map(|line| (&line.what, line.quantity.count, Amount(line.amount))))
    }
}

struct Amount(Usd);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

fn detail(exchange: &Exchange, admission: &Admission) -> Option<Arc<str>> {
    let status = exchange.outcome.status();
    let detail = Detail {
        response_id: exchange.answer.id.as_deref(),
        call_id: Some(&*exchange.id).filter(|id| *id != admission.request.as_str()),
        status: (status != 200).then_some(status),
        first_token_ms: exchange
            .first_token
            .map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        mirror_of: exchange.mirror_of.as_deref(),
        lines: exchange.answer.cost.as_ref().map(Lines),
        ..Detail::default()
    };
    detail.to_json()
}
