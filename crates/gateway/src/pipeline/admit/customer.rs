//! The customer that a request is for: an end user of the caller's product.

use std::sync::Arc;

use dialects::document::Document;
use http::HeaderMap;
use ledger::rules::account::Scope;
use ledger::rules::budget::{Allowance, Budget};
use ledger::rules::entity::{Customer, Details};
use ledger::rules::id::CustomerId;
use ledger::rules::refusal::Refusal as Denied;
use serde_json::Value;

use crate::books::Books;
use crate::books::people::Holder;
use crate::pipeline::{Running, receive};
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;

/// The end user that a request names, if anything is booked; LiteLLM's fields in its order. `document` still has the
/// fields that speak to the gateway.
pub(in crate::pipeline) fn name(
    running: &Running,
    document: &Document<'_>,
    headers: &HeaderMap,
) -> Option<String> {
    running.gateway.books()?;
    for name in &receive::names::CUSTOMERS {
        if let Some(id) = receive::header(headers, name).filter(|id| !id.is_empty()) {
            return Some(id.to_owned());
        }
    }
    let text = |name: &str| document.text(name).ok().flatten().map(std::borrow::Cow::into_owned);
    let inside = |name: &str, field: &str| {
        let object: Value = serde_json::from_str(document.get(name)?).ok()?;
        object.get(field)?.as_str().map(str::to_owned)
    };
    let found = text("user")
        .or_else(|| inside("litellm_metadata", "user"))
        .or_else(|| inside("metadata", "user_id"))
        .or_else(|| text("safety_identifier"));
    found.filter(|id| !id.is_empty())
}

/// What holds for a customer: its own terms, and where it has no budget the one that its key (`end_user_budget_id`) or the
/// configuration (`max_end_user_budget_id`, `max_end_user_budget`) has for such.
pub(super) async fn terms(
    books: &Books,
    holder: &Holder,
    snapshot: &Snapshot,
    id: &CustomerId,
) -> Option<Arc<Customer>> {
    let own = books.people().customer(books.store(), id).await;
    let has_budget = |customer: &Arc<Customer>| customer.details.allowance.budget.max.is_some();
    if own.as_ref().is_some_and(has_budget) {
        return own;
    }
    let defaults = &snapshot.customers;
    let shared = match holder.orders.customer_budget.as_ref().or(defaults.budget_id.as_ref()) {
        Some(id) => books.people().budget(books.store(), id).await,
        None => None,
    };
    let allowance = match (&shared, defaults.max_budget) {
        (Some(shared), _) => shared.details.allowance.clone(),
        (None, Some(max)) => Allowance { budget: Budget::of(max), ..Allowance::default() },
        (None, None) => return own,
    };
    let mut customer = own.map_or_else(|| unknown(id), |own| Customer::clone(&own));
    customer.details.allowance = customer.details.allowance.or(&allowance);
    Some(Arc::new(customer))
}

/// One that nobody has made.
fn unknown(id: &CustomerId) -> Customer {
    Customer {
        id: id.clone(),
        default_model: None,
        allowed_model_region: None,
        models: ledger::rules::access::ModelList::default(),
        details: Details::default(),
    }
}

/// Whether a model is for this customer.
///
/// # Errors
/// A 403, when its list does not have it.
pub(super) fn may_use(customer: &Customer, snapshot: &Snapshot, model: &str) -> Result<(), Refusal> {
    let fleet = snapshot.fleet();
    let group = fleet.plan().group_of(model).map_or(model, |group| &**group);
    let allows = |model: &str| customer.models.allows(model, None, &snapshot.access_groups);
    if allows(model) || allows(group) {
        return Ok(());
    }
    let by = Scope::Customer(customer.id.clone());
    let denied = Denied::ModelDenied { by, allowed: customer.models.0.clone(), model: model.to_owned() };
    Err(Refusal::denied(&denied, snapshot.over_budget_status))
}
