//! Tags with terms of their own.

use ledger::rules::entity::TagTerms;
use ledger::rules::time::Timestamp;
use ledger::rules::zone::Clock;
use serde_json::{Value, json};

use crate::Object;
use crate::body::{Body, Patch};
use crate::field::{Field, Kind, field, required};
use crate::problem::Problem;
use crate::terms::{self, Spend};

/// What a tag is made of, its terms apart.
pub const FIELDS: &[Field] = &[
    required("name", Kind::Text),
    field("description", Kind::Text),
    field("models", Kind::Texts),
    field("model_info", Kind::Object),
];

const KEPT: &[Field] = &[field("description", Kind::Text), field("model_info", Kind::Object)];

/// Takes over what a request says.
///
/// # Errors
/// A field that makes no sense.
pub fn apply(body: &Body, tag: &mut TagTerms, now: Timestamp) -> Result<(), Problem> {
    match body.patch("models", Body::texts) {
        Patch::Set(models) => tag.models.0 = models,
        Patch::Clear => tag.models.0.clear(),
        Patch::Keep => {}
    }
    terms::apply(body, &mut tag.details, now)?;
    terms::keep(body, KEPT, &mut tag.details);
    Ok(())
}

/// A tag with its budget.
#[must_use]
pub fn row(tag: &TagTerms, spend: Spend, clock: &Clock) -> Object {
    let mut row = Object::new();
    row.insert("name".to_owned(), json!(tag.name));
    row.insert("models".to_owned(), json!(tag.models.0));
    terms::show_kept(&tag.details, KEPT, &mut row);
    row.insert("spend".to_owned(), json!(spend.current));
    row.insert("total_spend".to_owned(), json!(spend.total));
    row.insert("budget_id".to_owned(), json!(tag.details.budget_id));
    row.insert("litellm_budget_table".to_owned(), Value::Object(terms::show(&tag.details, clock)));
    terms::show_history(&tag.details, &mut row);
    row
}
