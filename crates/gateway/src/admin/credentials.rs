//! What providers ask for, under names that models refer to (`litellm_credential_name`).

use std::collections::BTreeMap;
use std::sync::Arc;

use api::body::{Body, parse_id};
use api::credential;
use api::problem::Problem;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Json;
use axum::routing::{get, post};
use ledger::rules::entity::{Credential, Details};
use ledger::store::{Filter, Record, ResealError, Resealed, Stored};
use ledger::vault::Place;
use serde_json::{Map, Value, json};

use super::asker::{self, Asker};
use super::{Answer, models};
use crate::Gateway;
use crate::refusal::Refusal;

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/credentials", post(new).get(list))
        .route("/credentials/by_name/{credential_name}", get(one))
        .route("/credentials/by_model/{model_id}", get(of_model))
        .route("/credentials/migrate-encryption", post(reseal))
        .route("/credentials/migrate-encryption/check", get(sealed))
        .route("/credentials/{credential_name}", axum::routing::patch(update).delete(delete))
}

/// Seals what was given; `null` takes a value away.
fn put(gateway: &Gateway, made: &mut Credential, values: &Map<String, Value>) -> Result<(), Refusal> {
    for (field, value) in values {
        if value.is_null() {
            made.values.remove(field);
            continue;
        }
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let place = Place { kind: Credential::KIND, id: made.id.as_str(), field };
        let sealed = models::vault(gateway)?.seal(&text, place);
        let sealed = sealed.map_err(|error| Refusal::misconfigured(500, error.to_string()))?;
        made.values.insert(field.clone(), sealed);
    }
    Ok(())
}

async fn new(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let name = body.text("credential_name").unwrap_or_default();
    let Some(values) = body.object("credential_values").filter(|values| !values.is_empty()) else {
        return Err(Problem::field("credential_values", "`credential_values` is missing").into());
    };
    let mut made = Credential {
        id: parse_id("credential_name", name)?,
        values: BTreeMap::new(),
        data: body.object("credential_info").cloned().unwrap_or_default(),
        details: Details { alias: body.text("display_name").map(str::to_owned), ..Details::default() },
    };
    put(&asker.gateway, &mut made, values)?;
    api::terms::touch(&mut made.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.insert(&made).await?;
    changes.commit_served().await?;
    Ok(Json(json!({"success": true, "message": "Credential created successfully"})))
}

async fn named(asker: &Asker, name: &str) -> Result<Stored<Credential>, Refusal> {
    asker.find::<Credential>("Credential", "credential_name", name).await
}

async fn list(asker: Asker) -> Answer {
    let credentials = asker::all::<Credential>(asker.store(), &Filter::default()).await?;
    let rows: Vec<Value> = credentials.iter().map(|stored| credential::row(&stored.record)).collect();
    Ok(Json(json!({"success": true, "credentials": rows})))
}

async fn one(asker: Asker, Path(name): Path<String>) -> Answer {
    Ok(Json(credential::row(&named(&asker, &name).await?.record)))
}

async fn of_model(asker: Asker, Path(id): Path<String>) -> Answer {
    let model = models::named(&asker, "model_id", &id).await?.record;
    let params = model.data.get("litellm_params");
    let name = params.and_then(|params| params.get("litellm_credential_name")).and_then(Value::as_str);
    let Some(name) = name else {
        return Err(Problem::not_found("Credential", "model_id", &id).into());
    };
    Ok(Json(credential::row(&named(&asker, name).await?.record)))
}

/// What sealing anew did, or would do.
fn resealed_row(done: Resealed) -> Value {
    json!({
        "migrated": done.resealed,
        "already_current": done.current,
        "changed_meanwhile": done.busy,
        "is_complete": done.busy == 0,
    })
}

async fn reseal(asker: Asker) -> Answer {
    let dry = asker.query()?.bool("dry_run").unwrap_or(false);
    asker.permit(&api::caller::Object::default())?;
    let vault = models::vault(&asker.gateway)?;
    let done = if dry { asker.store().would_reseal(vault).await } else { asker.store().reseal(vault).await };
    let mut row = resealed_row(done.map_err(not_resealed)?);
    row["dry_run"] = json!(dry);
    Ok(Json(row))
}

async fn sealed(asker: Asker) -> Answer {
    let done = asker.store().would_reseal(models::vault(&asker.gateway)?).await.map_err(not_resealed)?;
    Ok(Json(json!({"needs_migration": done.resealed, "already_current": done.current})))
}

fn not_resealed(error: ResealError) -> Refusal {
    match error {
        ResealError::Store(error) => error.into(),
        ResealError::Vault { .. } => {
            Refusal::misconfigured(500, format!("{error}: it is under another salt key"))
        }
    }
}

async fn update(asker: Asker, Path(name): Path<String>, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let mut stored = named(&asker, &name).await?;
    if body.text("credential_name").is_some_and(|other| other != name) {
        return Err(Problem::field("credential_name", "a credential keeps its name: make another one").into());
    }
    let before = stored.record.clone();
    let text = |body: &Body, field: &str| body.text(field).map(str::to_owned);
    body.patch("display_name", text).apply(&mut stored.record.details.alias);
    if let Some(values) = body.object("credential_values") {
        put(&asker.gateway, &mut stored.record, values)?;
    }
    for field in body.texts("credential_values_to_delete").unwrap_or_default() {
        stored.record.values.remove(&field);
    }
    if let Some(info) = body.object("credential_info") {
        stored.record.data.extend(info.clone());
    }
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.update("updated", &before, &stored).await?;
    changes.commit_served().await?;
    Ok(Json(json!({"success": true, "message": "Credential updated successfully"})))
}

async fn delete(asker: Asker, Path(name): Path<String>) -> Answer {
    asker.permit(&api::caller::Object::default())?;
    let stored = named(&asker, &name).await?;
    let mut changes = asker.changes().await?;
    changes.delete(&stored.record).await?;
    changes.commit_served().await?;
    Ok(Json(json!({"success": true, "message": "Credential deleted successfully"})))
}
