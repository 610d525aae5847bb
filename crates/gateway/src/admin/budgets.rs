//! Budgets that several refer to by `budget_id`.

use std::collections::BTreeMap;

use api::body::{Body, parse_id};
use api::budget;
use api::problem::Problem;
use axum::body::Bytes;
use axum::response::Json;
use catalog::NanoUsd;
use ledger::rules::account::{Account, Scope};
use ledger::rules::budget::Budget;
use ledger::rules::entity::{Details, SharedBudget};
use ledger::rules::time::Timestamp;
use ledger::rules::zone::Clock;
use ledger::store::Filter;
use serde_json::{Value, json};

use super::asker::{self, Asker};
use super::{Answer, secret};
use crate::refusal::Refusal;

/// What providers and deployments with a budget have spent in its present window, in LiteLLM's form.
pub(super) async fn of_providers(asker: Asker) -> Answer {
    asker.bring_up_to_date().await;
    let clock = asker.clock();
    let mut deployments = BTreeMap::new();
    for served in asker.snapshot.members() {
        let own = served.budgets.iter().flat_map(|budgets| &budgets.accounts);
        let own = own.filter(|(account, _)| matches!(account.scope, Scope::Deployment(_)));
        for (account, budget) in own.filter_map(|(account, terms)| Some((account, terms.budgets.first()?))) {
            let mut row = standing(&asker, account, budget, &clock).await?;
            if let Some(row) = row.as_object_mut() {
                row.insert("model_name".to_owned(), json!(&*served.deployment.group));
            }
            deployments.insert(account.scope.id(), row);
        }
    }
    let mut providers = BTreeMap::new();
    for (name, budget) in &asker.snapshot.base.books.provider_budgets {
        let account = Account::of(Scope::Provider(name.clone()));
        providers.insert(name.to_string(), standing(&asker, &account, budget, &clock).await?);
    }
    Ok(Json(json!({"providers": providers, "deployments": deployments})))
}

async fn standing(
    asker: &Asker,
    account: &Account,
    budget: &Budget,
    clock: &Clock,
) -> Result<Value, Refusal> {
    let window = budget.window(clock.now, &clock.zone);
    let start = budget.period.map_or(Timestamp::default(), |_| window.start);
    let openings = asker.store().openings(account).await?;
    let own = openings.iter().find(|opening| opening.period == budget.period && opening.window == start);
    Ok(json!({
        "budget_limit": budget.max,
        "time_period": budget.period.map(|period| period.to_string()),
        "spend": own.map_or(NanoUsd::ZERO, |opening| opening.spend),
        "budget_reset_at": budget.period.map(|_| api::moment::iso(window.end)),
    }))
}

pub(super) async fn new(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
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
    Ok(Json(Value::Object(budget::row(&made, &asker.clock()))))
}

fn id(body: &Body) -> Result<&str, Refusal> {
    let id = body.text("budget_id").filter(|id| !id.is_empty());
    id.ok_or_else(|| Problem::field("budget_id", "`budget_id` is missing").into())
}

pub(super) async fn update(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let mut stored = asker.find::<SharedBudget>("Budget", "budget_id", id(&body)?).await?;
    let before = stored.record.clone();
    budget::apply(&body, &mut stored.record, asker.now)?;
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.update("updated", &before, &stored).await?;
    changes.commit().await?;
    Ok(Json(Value::Object(budget::row(&stored.record, &asker.clock()))))
}

pub(super) async fn delete(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let id = body.text("id").unwrap_or_default();
    let stored = asker.find::<SharedBudget>("Budget", "id", id).await?;
    let mut changes = asker.changes().await?;
    changes.delete(&stored.record).await?;
    changes.commit().await?;
    Ok(Json(Value::Object(budget::row(&stored.record, &asker.clock()))))
}

pub(super) async fn info(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let mut rows = Vec::new();
    for id in body.texts("budgets").unwrap_or_default() {
        if let Some(stored) = asker.store().get::<SharedBudget>(&id).await? {
            rows.push(budget::row(&stored.record, &asker.clock()));
        }
    }
    Ok(Json(json!(rows)))
}

pub(super) async fn list(asker: Asker) -> Answer {
    let budgets = asker::all::<SharedBudget>(asker.store(), &Filter::default()).await?;
    Ok(Json(
        budgets.iter().map(|stored| Value::Object(budget::row(&stored.record, &asker.clock()))).collect(),
    ))
}

/// Each field with what it holds, as LiteLLM's dashboard asks for it.
pub(super) async fn settings(asker: Asker) -> Answer {
    let query = asker.query()?;
    let stored = asker.find::<SharedBudget>("Budget", "budget_id", id(&query)?).await?;
    let row = budget::row(&stored.record, &asker.clock());
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
