//! A finished request becomes an entry of the journal.

use std::sync::Arc;

use catalog::{Cost, NanoUsd, Usd};
use ledger::booking::{Booking, Tokens};
use ledger::rules::id::{ModelName, ProviderName};
use ledger::rules::ledger::{Actual, Settlement};
use serde::{Serialize, Serializer};

use super::timestamp;
use crate::exchange::{Exchange, Outcome};
use crate::pipeline::Admission;

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
    settlement: Settlement,
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
        catalog: None,
        session: None,
        detail: detail(exchange, admission),
        charges: settlement.charges,
    })
}

/// What has no column: the invoice's lines, and by which names others know the call.
#[derive(Serialize)]
struct Detail<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    response_id: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_id: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror_of: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<Lines<'e>>,
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
        mirror_of: exchange.mirror_of.as_deref(),
        lines: exchange.answer.cost.as_ref().map(Lines),
    };
    let text = serde_json::to_string(&detail).ok()?;
    (text != "{}").then(|| text.into())
}
