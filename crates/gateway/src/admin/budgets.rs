//! Budgets that several refer to by `budget_id`.

use api::body::{Body, parse_id};
use api::budget;
use api::problem::Problem;
use axum::body::Bytes;
use axum::response::Json;
use ledger::rules::entity::{Details, SharedBudget};
use ledger::store::Filter;
use serde_json::{Value, json};

use super::asker::{self, Asker};
use super::{Answer, secret};
use crate::refusal::Refusal;

pub(super) async fn new(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    asker.permit(&api::caller::Object::default())?;
    let id = match body.text("budget_id").filter(|id| !id.is_empty()) {
        Some(id) => id.to_owned(),
        None => secret::unique_id()?,
    };
    let mut made = SharedBudget { id: parse_id("budget_id", &id)?, details: Details::default() };
    budget::apply(&body, &mut made, asker.now)?;
    api::terms::touch(&mut made.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.insert(&made).await?;
    changes.commit().await?;
    Ok(Json(Value::Object(budget::row(&made, asker.now))))
}

fn id(body: &Body) -> Result<&str, Refusal> {
    let id = body.text("budget_id").filter(|id| !id.is_empty());
    id.ok_or_else(|| Problem::field("budget_id", "`budget_id` is missing").into())
}

pub(super) async fn update(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    asker.permit(&api::caller::Object::default())?;
    let mut stored = asker.find::<SharedBudget>("Budget", "budget_id", id(&body)?).await?;
    let before = stored.record.clone();
    budget::apply(&body, &mut stored.record, asker.now)?;
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.update("updated", &before, &stored).await?;
    changes.commit().await?;
    Ok(Json(Value::Object(budget::row(&stored.record, asker.now))))
}

pub(super) async fn delete(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    asker.permit(&api::caller::Object::default())?;
    let id = body.text("id").unwrap_or_default();
    let stored = asker.find::<SharedBudget>("Budget", "id", id).await?;
    let mut changes = asker.changes().await?;
    changes.delete(&stored.record).await?;
    changes.commit().await?;
    Ok(Json(Value::Object(budget::row(&stored.record, asker.now))))
}

pub(super) async fn info(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let mut rows = Vec::new();
    for id in body.texts("budgets").unwrap_or_default() {
        if let Some(stored) = asker.store().get::<SharedBudget>(&id).await? {
            rows.push(budget::row(&stored.record, asker.now));
        }
    }
    Ok(Json(json!(rows)))
}

pub(super) async fn list(asker: Asker) -> Answer {
    let budgets = asker::all::<SharedBudget>(asker.store(), &Filter::default()).await?;
    Ok(Json(budgets.iter().map(|stored| Value::Object(budget::row(&stored.record, asker.now))).collect()))
}

/// Each field with what it holds, as LiteLLM's dashboard asks for it.
pub(super) async fn settings(asker: Asker) -> Answer {
    let query = asker.query()?;
    let stored = asker.find::<SharedBudget>("Budget", "budget_id", id(&query)?).await?;
    let row = budget::row(&stored.record, asker.now);
    let field = |field: &api::field::Field| {
        json!({
            "field_name": field.name,
            "field_type": field.kind.schema()["type"][0],
            "field_description": "",
            "field_value": row.get(field.name),
            "stored_in_db": true,
            "field_default_value": null,
        })
    };
    let terms = api::terms::TERMS.iter().filter(|field| field.name != "budget_id");
    Ok(Json(terms.map(field).collect()))
}
