//! Budgets as objects, which keys, teams, users, … refer to by `budget_id`.

use ledger::rules::entity::SharedBudget;
use ledger::rules::time::Timestamp;
use ledger::rules::zone::Clock;
use serde_json::json;

use crate::Object;
use crate::body::Body;
use crate::field::{Field, Kind, field};
use crate::problem::Problem;
use crate::terms;

/// What a budget has beside its terms, which name it too (`budget_id`).
pub const FIELDS: &[Field] = &[field("tpd_limit", Kind::Count)];

/// Takes over what a request says.
///
/// # Errors
/// A field that makes no sense.
pub fn apply(body: &Body, budget: &mut SharedBudget, now: Timestamp) -> Result<(), Problem> {
    let mut terms = body.clone();
    // Its own name is no reference to another one.
    terms.take("budget_id");
    terms::apply(&terms, &mut budget.details, now)?;
    terms::keep(body, FIELDS, &mut budget.details);
    Ok(())
}

/// A budget.
#[must_use]
pub fn row(budget: &SharedBudget, clock: &Clock) -> Object {
    let mut row = terms::show(&budget.details, clock);
    row.insert("budget_id".to_owned(), json!(budget.id));
    terms::show_kept(&budget.details, FIELDS, &mut row);
    terms::show_history(&budget.details, &mut row);
    row
}
