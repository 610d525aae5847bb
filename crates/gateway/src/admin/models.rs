//! Models that are added, changed and taken away while the gateway runs.

use std::sync::Arc;

use api::body::{Body, parse_id};
use api::model;
use api::problem::Problem;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Json;
use axum::routing::{patch, post};
use ledger::rules::entity::{Details, RuntimeModel, Team};
use ledger::rules::id::ModelName;
use ledger::store::Stored;
use ledger::vault::Vault;
use serde_json::{Map, Value, json};

use super::asker::Asker;
use super::change::Changes;
use super::{Answer, secret};
use crate::Gateway;
use crate::refusal::Refusal;
use crate::run_time;

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/model/new", post(new))
        .route("/model/update", post(update))
        .route("/model/{model_id}/update", patch(update_at))
        .route("/model/delete", post(delete))
        .route("/model/block", post(block))
        .route("/model/unblock", post(block))
}

pub(super) fn vault(gateway: &Gateway) -> Result<&Vault, Refusal> {
    gateway.vault().ok_or_else(|| {
        Refusal::misconfigured(500, "there is no salt key to seal secrets with; set TOLLWAY_SALT_KEY")
    })
}

/// `litellm_params` with its secrets taken out and sealed.
fn sealed(
    gateway: &Gateway,
    id: &str,
    mut params: Map<String, Value>,
    made: &mut RuntimeModel,
) -> Result<(), Refusal> {
    let secrets = run_time::seal(vault(gateway)?, id, &mut params);
    let secrets = secrets.map_err(|error| Refusal::misconfigured(500, error.to_string()))?;
    // A secret that is given anew replaces the old one; `null` takes it away.
    made.secrets.extend(secrets);
    made.data.insert("litellm_params".to_owned(), Value::Object(params));
    Ok(())
}

/// Whether it could be served.
async fn check(gateway: &Gateway, made: &RuntimeModel) -> Result<(), Refusal> {
    let credentials = gateway.stored_credentials().await?;
    let checked = run_time::deployment(vault(gateway)?, made, &credentials);
    checked.map(drop).map_err(|error| Problem::field("litellm_params", error.to_string()).into())
}

async fn new(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let info = body.object("model_info").cloned().unwrap_or_default();
    let team = match model::team(&info)? {
        Some(id) => Some(asker.find::<Team>("Team", "model_info.team_id", id.as_str()).await?),
        None => None,
    };
    let id = match info.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()) {
        Some(id) => id.to_owned(),
        None => secret::unique_id()?,
    };
    if asker.snapshot.members().any(|served| *served.deployment.id == *id) {
        return Err(
            Problem::field("model_info.id", format!("a model with the id `{id}` exists already")).into()
        );
    }
    let mut made = RuntimeModel {
        id: parse_id("model_info.id", &id)?,
        name: parse_id("model_name", body.text("model_name").unwrap_or_default())?,
        team: team.as_ref().map(|team| team.record.id.clone()),
        secrets: std::collections::BTreeMap::new(),
        data: Map::new(),
        details: Details::default(),
    };
    sealed(&asker.gateway, &id, body.object("litellm_params").cloned().unwrap_or_default(), &mut made)?;
    made.data.insert("model_info".to_owned(), Value::Object(info));
    api::terms::touch(&mut made.details, &asker.name(), asker.now);
    check(&asker.gateway, &made).await?;
    let mut changes = asker.changes().await?;
    changes.insert(&made).await?;
    if let Some(team) = team {
        list_in(&asker, &mut changes, team, &made.name).await?;
    }
    changes.commit_served().await?;
    Ok(Json(Value::Object(model::row(&made))))
}

/// A team that is bound to some models may use what is added for it.
async fn list_in(
    asker: &Asker,
    changes: &mut Changes<'_>,
    mut team: Stored<Team>,
    model: &ModelName,
) -> Result<(), Refusal> {
    let before = team.record.clone();
    if before.reach().allows(model.as_str(), None, &asker.snapshot.access_groups) {
        return Ok(());
    }
    team.record.models.0.push(model.to_string());
    api::terms::touch(&mut team.record.details, &asker.name(), asker.now);
    changes.update("updated", &before, &team).await
}

async fn update(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let in_info = body.object("model_info").and_then(|info| info.get("id")).and_then(Value::as_str);
    let Some(id) = in_info.or_else(|| body.text("id")).map(str::to_owned) else {
        return Err(Problem::field("model_info.id", "`model_info.id` is missing").into());
    };
    change(&asker, &id, &body).await
}

async fn update_at(asker: Asker, Path(id): Path<String>, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    change(&asker, &id, &body).await
}

async fn change(asker: &Asker, id: &str, body: &Body) -> Answer {
    asker.permit(&api::caller::Object::default())?;
    let mut stored = named(asker, "model_info.id", id).await?;
    let before = stored.record.clone();
    if let Some(name) = body.text("model_name") {
        stored.record.name = parse_id("model_name", name)?;
    }
    if let Some(given) = body.object("litellm_params") {
        let own = stored.record.data.get("litellm_params").and_then(Value::as_object).cloned();
        let mut params = own.unwrap_or_default();
        for (name, value) in given {
            stored.record.secrets.remove(name);
            if value.is_null() {
                params.remove(name);
            } else {
                params.insert(name.clone(), value.clone());
            }
        }
        sealed(&asker.gateway, id, params, &mut stored.record)?;
    }
    if let Some(given) = body.object("model_info") {
        if given.contains_key("team_id") && model::team(given)? != before.team {
            let told = "a model stays its team's, or everybody's: add another one";
            return Err(Problem::field("model_info.team_id", told).into());
        }
        let own = stored.record.data.get("model_info").and_then(Value::as_object).cloned();
        let mut info = own.unwrap_or_default();
        info.extend(given.clone());
        stored.record.data.insert("model_info".to_owned(), Value::Object(info));
    }
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    check(&asker.gateway, &stored.record).await?;
    let mut changes = asker.changes().await?;
    changes.update("updated", &before, &stored).await?;
    changes.commit_served().await?;
    Ok(Json(Value::Object(model::row(&stored.record))))
}

/// `model_info.blocked` is what routing looks at.
async fn block(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let mut stored = named(&asker, "model_id", body.text("model_id").unwrap_or_default()).await?;
    let blocks = asker.path == "/model/block";
    let info = stored.record.data.entry("model_info").or_insert_with(|| json!({}));
    info["blocked"] = json!(blocks);
    let mut changes = asker.changes().await?;
    changes.block(&mut stored, blocks).await?;
    changes.commit_served().await?;
    Ok(Json(Value::Object(model::row(&stored.record))))
}

/// A model of the database. LiteLLM's status for another is 400.
pub(super) async fn named(asker: &Asker, field: &str, id: &str) -> Result<Stored<RuntimeModel>, Refusal> {
    if let Some(stored) = asker.store().get::<RuntimeModel>(id).await? {
        return Ok(stored);
    }
    let told = if asker.snapshot.members().any(|served| *served.deployment.id == *id) {
        format!("the model with the id `{id}` is in the configuration; change it there")
    } else {
        format!("Model with id={id} not found in db")
    };
    Err(Problem::field(field, told).into())
}

async fn delete(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let id = body.text("id").unwrap_or_default();
    let stored = named(&asker, "id", id).await?;
    let mut changes = asker.changes().await?;
    changes.delete(&stored.record).await?;
    changes.commit_served().await?;
    Ok(Json(json!({"message": format!("Model: {id} deleted successfully")})))
}
