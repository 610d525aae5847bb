//! A finished request becomes an entry of the journal.

use catalog::NanoUsd;
use ledger::booking::{Booking, Tokens};
use ledger::rules::id::{ModelName, ProviderName, RequestId};
use ledger::rules::ledger::{Actual, Charge};
use serde_json::{Map, json};

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
    let cost = exchange.answer.cost.as_ref().map_or(NanoUsd::ZERO, catalog::Cost::total);
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
        call_type: exchange.operation.name().to_owned(),
        failed: !matches!(exchange.outcome, Outcome::Running | Outcome::Answered),
        model: ModelName::new(model).unwrap_or_else(|_| admission.model.clone()),
        model_group: exchange.group.as_deref().map(str::to_owned),
        provider: ProviderName::new(provider).ok()?,
        deployment: served.map(|served| served.deployment.id.to_string()),
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
    let lines = cost.lines.iter();
    let lines = lines.map(|line| json!([line.what, line.quantity.count, line.amount.to_string()]));
    let detail = json!({"attempt_of": admission.request.as_str(), "lines": lines.collect::<Vec<_>>()});
    let request = booking(exchange, admission, actual, charges)?;
    let model = ModelName::new(&served.deployment.model).unwrap_or_else(|_| request.model.clone());
    Some(Booking {
        request: RequestId::new(&random_uuid()).ok()?,
        failed: true,
        model,
        provider: ProviderName::new(served.deployment.provider).ok()?,
        deployment: Some(served.deployment.id.to_string()),
        tokens: Tokens { input: usage.input, output: usage.output, ..Tokens::default() },
        saved: NanoUsd::ZERO,
        estimated: true,
        cache_hit: false,
        detail: serde_json::to_string(&detail).ok(),
        ..request
    })
}

/// What has no column: the invoice's lines, and by which names others know the call.
fn detail(exchange: &Exchange, admission: &Admission) -> Option<String> {
    let mut detail = Map::new();
    if let Some(id) = &exchange.answer.id {
        detail.insert("response_id".to_owned(), json!(id));
    }
    if exchange.id != admission.request.as_str() {
        detail.insert("call_id".to_owned(), json!(exchange.id));
    }
    if exchange.outcome.status() != 200 {
        detail.insert("status".to_owned(), json!(exchange.outcome.status()));
    }
    if let Some(of) = &exchange.mirror_of {
        detail.insert("mirror_of".to_owned(), json!(&**of));
    }
    if let Some(cost) = &exchange.answer.cost {
        let lines = cost.lines.iter();
        let lines = lines.map(|line| json!([line.what, line.quantity.count, line.amount.to_string()]));
        detail.insert("lines".to_owned(), lines.collect());
    }
    if detail.is_empty() { None } else { serde_json::to_string(&detail).ok() }
}
