//! Customers: end users of somebody's product.

use std::sync::Arc;

use api::body::parse_id;
use api::customer;
use axum::Router;
use axum::body::Bytes;
use axum::response::Json;
use axum::routing::{get, post};
use ledger::rules::access::ModelList;
use ledger::rules::account::Scope;
use ledger::rules::entity::{Customer, Details};
use ledger::store::{Filter, Stored};
use serde_json::{Value, json};

use super::asker::{self, Asker};
use super::{Answer, issue};
use crate::Gateway;
use crate::refusal::Refusal;

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/customer/new", post(new))
        .route("/end_user/new", post(new))
        .route("/customer/update", post(update))
        .route("/end_user/update", post(update))
        .route("/customer/delete", post(delete))
        .route("/end_user/delete", post(delete))
        .route("/customer/info", get(info))
        .route("/end_user/info", get(info))
        .route("/customer/list", get(list))
        .route("/end_user/list", get(list))
        .route("/customer/block", post(block))
        .route("/end_user/block", post(block))
        .route("/customer/unblock", post(block))
        .route("/end_user/unblock", post(block))
}

async fn full_row(asker: &Asker, stored: &Stored<Customer>) -> Result<Value, Refusal> {
    let own = &stored.record;
    let spend = asker.spend(Scope::Customer(own.id.clone()), &own.details, stored.spend).await?;
    let mut row = customer::row(own, spend, &asker.clock());
    if own.details.budget_id.is_some() {
        row.insert("litellm_budget_table".to_owned(), asker.budget_row(&own.details).await?);
    }
    Ok(Value::Object(row))
}

fn empty(id: &str) -> Result<Customer, Refusal> {
    Ok(Customer {
        id: parse_id("user_id", id)?,
        default_model: None,
        allowed_model_region: None,
        models: ModelList::default(),
        details: Details::default(),
    })
}

async fn new(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let id = body.text("user_id").unwrap_or_default();
    let mut made = empty(id)?;
    customer::apply(&body, &mut made, asker.now)?;
    asker.check_budget(&body).await?;
    api::terms::touch(&mut made.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.insert(&made).await?;
    changes.commit().await?;
    if let Some(spend) = issue::spend_of(&body) {
        asker.set_spend(Scope::Customer(made.id.clone()), &made.details, spend).await?;
    }
    let stored = asker.find::<Customer>("End User", "user_id", id).await?;
    Ok(Json(full_row(&asker, &stored).await?))
}

async fn update(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let id = body.text("user_id").unwrap_or_default();
    let mut stored = asker.find::<Customer>("End User", "user_id", id).await?;
    let before = stored.record.clone();
    customer::apply(&body, &mut stored.record, asker.now)?;
    asker.check_budget(&body).await?;
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.update("updated", &before, &stored).await?;
    changes.commit().await?;
    if let Some(spend) = issue::spend_of(&body) {
        asker.set_spend(Scope::Customer(before.id.clone()), &stored.record.details, spend).await?;
    }
    let stored = asker.find::<Customer>("End User", "user_id", id).await?;
    Ok(Json(full_row(&asker, &stored).await?))
}

async fn delete(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let ids = body.texts("user_ids").unwrap_or_default();
    let mut gone = Vec::new();
    for id in &ids {
        gone.push(asker.find::<Customer>("End User", "user_ids", id).await?.record);
    }
    let mut changes = asker.changes().await?;
    for customer in &gone {
        changes.delete(customer).await?;
    }
    changes.commit().await?;
    let message = format!("Successfully deleted customers with ids: {}", ids.join(", "));
    Ok(Json(json!({"deleted_customers": gone.len(), "message": message})))
}

async fn info(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let id = query.text("end_user_id").unwrap_or_default();
    let stored = asker.find::<Customer>("End User", "end_user_id", id).await?;
    Ok(Json(full_row(&asker, &stored).await?))
}

async fn list(asker: Asker) -> Answer {
    asker.bring_up_to_date().await;
    let mut rows = Vec::new();
    for stored in asker::all::<Customer>(asker.store(), &Filter::default()).await? {
        rows.push(full_row(&asker, &stored).await?);
    }
    Ok(Json(json!(rows)))
}

/// Blocks, or unblocks. Whoever is not known yet becomes so: LiteLLM's users block whom requests named.
async fn block(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let blocks = !asker.path.ends_with("/unblock");
    let mut customers = Vec::new();
    for id in body.texts("user_ids").unwrap_or_default() {
        customers.push((asker.store().get::<Customer>(&id).await?, empty(&id)?));
    }
    let mut shown = Vec::new();
    let mut changes = asker.changes().await?;
    for (stored, mut new) in customers {
        match stored {
            Some(mut stored) => {
                changes.block(&mut stored, blocks).await?;
                shown.push(stored);
            }
            None => {
                new.details.blocked = blocks;
                api::terms::touch(&mut new.details, &asker.name(), asker.now);
                changes.insert(&new).await?;
                shown.push(Stored { record: new, version: 1, spend: catalog::NanoUsd::ZERO });
            }
        }
    }
    changes.commit().await?;
    let mut rows = Vec::new();
    for stored in &shown {
        rows.push(full_row(&asker, stored).await?);
    }
    let field = if blocks { "blocked_users" } else { "unblocked_users" };
    let mut answer = json!({});
    answer[field] = json!(rows);
    Ok(Json(answer))
}
