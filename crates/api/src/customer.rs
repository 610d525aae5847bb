//! Customers: the end users of somebody's product.

use ledger::rules::entity::Customer;
use ledger::rules::time::Timestamp;
use ledger::rules::zone::Clock;
use serde_json::{Value, json};

use crate::Object;
use crate::body::{Body, Patch};
use crate::field::{Field, Kind, field, required};
use crate::problem::Problem;
use crate::terms::{self, Spend};

/// What a customer is made of, the terms apart.
pub const FIELDS: &[Field] = &[
    required("user_id", Kind::Text),
    field("alias", Kind::Text),
    field("blocked", Kind::Bool),
    field("models", Kind::Texts),
    field("default_model", Kind::Text),
    field("allowed_model_region", Kind::OneOf(&["eu", "us"])),
    field("spend", Kind::Amount),
    field("metadata", Kind::Object),
    field("object_permission", Kind::Object),
];

const KEPT: &[Field] = &[field("metadata", Kind::Object), field("object_permission", Kind::Object)];

/// Takes over what a request says.
///
/// # Errors
/// A field that makes no sense.
pub fn apply(body: &Body, customer: &mut Customer, now: Timestamp) -> Result<(), Problem> {
    let text = |body: &Body, name: &str| body.text(name).map(str::to_owned);
    body.patch("alias", text).apply(&mut customer.details.alias);
    body.id("default_model")?.apply(&mut customer.default_model);
    body.patch("allowed_model_region", text).apply(&mut customer.allowed_model_region);
    match body.patch("models", Body::texts) {
        Patch::Set(models) => customer.models.0 = models,
        Patch::Clear => customer.models.0.clear(),
        Patch::Keep => {}
    }
    if let Some(blocked) = body.bool("blocked") {
        customer.details.blocked = blocked;
    }
    terms::apply(body, &mut customer.details, now)?;
    terms::keep(body, KEPT, &mut customer.details);
    Ok(())
}

/// A customer with their budget.
#[must_use]
pub fn row(customer: &Customer, spend: Spend, clock: &Clock) -> Object {
    let mut row = Object::new();
    row.insert("user_id".to_owned(), json!(customer.id));
    row.insert("alias".to_owned(), json!(customer.details.alias));
    row.insert("blocked".to_owned(), json!(customer.details.blocked));
    row.insert("spend".to_owned(), json!(spend.current));
    row.insert("total_spend".to_owned(), json!(spend.total));
    row.insert("models".to_owned(), json!(customer.models.0));
    row.insert("default_model".to_owned(), json!(customer.default_model));
    row.insert("allowed_model_region".to_owned(), json!(customer.allowed_model_region));
    terms::show_kept(&customer.details, KEPT, &mut row);
    row.insert("budget_id".to_owned(), json!(customer.details.budget_id));
    row.insert("litellm_budget_table".to_owned(), Value::Object(terms::show(&customer.details, clock)));
    row
}
