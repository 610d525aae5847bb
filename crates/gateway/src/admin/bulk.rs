//! Many at once, each for itself: what fails is told, and the others go on.

use api::body::Body;
use api::field::Field;
use api::problem::Problem;
use serde_json::{Map, Value, json};

use crate::refusal::Refusal;

/// The most that one request is about.
const MOST: usize = 500;

/// The entries of a list.
pub(super) fn entries(body: &Body, field: &str) -> Result<Vec<Value>, Refusal> {
    let entries = body.list(field).cloned().unwrap_or_default();
    check(field, entries.len())?;
    Ok(entries)
}

/// Whether there are not too many, and not none.
pub(super) fn check(field: &str, count: usize) -> Result<(), Refusal> {
    if (1..=MOST).contains(&count) {
        return Ok(());
    }
    Err(Problem::field(field, format!("`{field}` must have 1 to {MOST} entries")).into())
}

/// What became of each.
#[derive(Debug, Default)]
pub(super) struct Results {
    rows: Vec<Value>,
    done: usize,
}

impl Results {
    /// Notes what became of one: `who` names it, and where it is done its row is shown as `shown`.
    pub(super) fn note(&mut self, who: Map<String, Value>, shown: &str, result: Result<Value, Refusal>) {
        let (row, error) = match result {
            Ok(row) => (row, None),
            Err(refusal) => (Value::Null, Some(refusal.tell)),
        };
        self.done += usize::from(error.is_none());
        let mut entry = who;
        entry.insert("success".to_owned(), json!(error.is_none()));
        entry.insert("error".to_owned(), json!(error));
        entry.insert(shown.to_owned(), row);
        self.rows.push(Value::Object(entry));
    }

    /// LiteLLM's answer; `done` is what was done: `updates`.
    pub(super) fn answer(self, done: &str) -> Map<String, Value> {
        let total = self.rows.len();
        let mut answer = Map::new();
        answer.insert("results".to_owned(), Value::Array(self.rows));
        answer.insert("total_requested".to_owned(), json!(total));
        answer.insert(format!("successful_{done}"), json!(self.done));
        answer.insert(format!("failed_{done}"), json!(total - self.done));
        answer
    }
}

/// Whom an entry is about.
pub(super) fn who(entry: &Value) -> Map<String, Value> {
    let named = |field: &str| (field.to_owned(), entry.get(field).cloned().unwrap_or_default());
    Map::from_iter([named("user_id"), named("user_email")])
}

/// An entry's fields, with those that a route has.
pub(super) fn body(entry: &Value, known: &[&[Field]]) -> Result<Body, Refusal> {
    match entry.as_object() {
        Some(fields) => Ok(Body::of(fields.clone(), known)?),
        None => Err(Problem::bad_request("an entry must be an object").into()),
    }
}
