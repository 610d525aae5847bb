//! Tags: labels on requests, which may have terms of their own.

use std::collections::{BTreeMap, BTreeSet};

use api::body::parse_id;
use api::tag;
use axum::body::Bytes;
use axum::response::Json;
use catalog::NanoUsd;
use ledger::rules::access::ModelList;
use ledger::rules::account::Scope;
use ledger::rules::entity::{Details, TagTerms};
use ledger::rules::time::Day;
use ledger::store::{By, Filter, Stored, SumQuery};
use serde_json::{Value, json};

use super::Answer;
use super::asker::{self, Asker};
use crate::refusal::Refusal;

async fn full_row(asker: &Asker, stored: &Stored<TagTerms>) -> Result<Value, Refusal> {
    let own = &stored.record;
    let spend = asker.spend(Scope::Tag(own.name.clone()), &own.details, stored.spend).await?;
    let mut row = tag::row(own, spend, &asker.clock());
    if own.details.budget_id.is_some() {
        row.insert("litellm_budget_table".to_owned(), asker.budget_row(&own.details).await?);
    }
    Ok(Value::Object(row))
}

pub(super) async fn new(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let name = body.text("name").unwrap_or_default();
    let mut made =
        TagTerms { name: parse_id("name", name)?, models: ModelList::default(), details: Details::default() };
    tag::apply(&body, &mut made, asker.now)?;
    asker.check_budget(&body).await?;
    api::terms::touch(&mut made.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.insert(&made).await?;
    changes.commit().await?;
    let stored = asker.find::<TagTerms>("Tag", "name", name).await?;
    let row = full_row(&asker, &stored).await?;
    Ok(Json(json!({"message": format!("Tag {name} created successfully"), "tag": row})))
}

pub(super) async fn update(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let name = body.text("name").unwrap_or_default();
    let mut stored = asker.find::<TagTerms>("Tag", "name", name).await?;
    let before = stored.record.clone();
    tag::apply(&body, &mut stored.record, asker.now)?;
    asker.check_budget(&body).await?;
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.update("updated", &before, &stored).await?;
    changes.commit().await?;
    let row = full_row(&asker, &stored).await?;
    Ok(Json(json!({"message": format!("Tag {name} updated successfully"), "tag": row})))
}

pub(super) async fn delete(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let name = body.text("name").unwrap_or_default();
    let stored = asker.find::<TagTerms>("Tag", "name", name).await?;
    let mut changes = asker.changes().await?;
    changes.delete(&stored.record).await?;
    changes.commit().await?;
    Ok(Json(json!({"message": format!("Tag {name} deleted successfully")})))
}

pub(super) async fn info(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    asker.bring_up_to_date().await;
    let mut rows = serde_json::Map::new();
    for name in body.texts("names").unwrap_or_default() {
        let stored = asker.find::<TagTerms>("Tag", "names", &name).await?;
        rows.insert(name, full_row(&asker, &stored).await?);
    }
    Ok(Json(Value::Object(rows)))
}

pub(super) async fn list(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let mut rows = Vec::new();
    let mut named = BTreeSet::new();
    for stored in asker::all::<TagTerms>(asker.store(), &Filter::default()).await? {
        named.insert(stored.record.name.to_string());
        rows.push(full_row(&asker, &stored).await?);
    }
    let (from, until) = super::spend::days(&query, asker.now, None)?;
    for (name, spend) in used(&asker, from, until).await? {
        if !named.contains(&name) {
            rows.push(json!({
                "name": name,
                "description": "This tag was named by requests; it has no terms of its own",
                "models": [],
                "spend": spend,
            }));
        }
    }
    Ok(Json(json!(rows)))
}

/// The tags that requests have named, with what was spent under them.
async fn used(asker: &Asker, from: Day, until: Day) -> Result<BTreeMap<String, NanoUsd>, Refusal> {
    let sums = asker.store().sums(&SumQuery::of_kind("tag", from, until).by(By::ID)).await?;
    Ok(sums.into_iter().map(|(name, sum)| (name, sum.cost)).collect())
}

pub(super) async fn distinct(asker: Asker) -> Answer {
    asker.bring_up_to_date().await;
    let tags = used(&asker, Day(0), Day(i64::MAX)).await?;
    let rows: Vec<Value> = tags.keys().map(|tag| json!({"tag": tag})).collect();
    Ok(Json(json!({"results": rows})))
}
