//! Where a team's requests are to be logged: `metadata.logging` of the team, as LiteLLM keeps it. What a callback signs in
//! with is sealed apart from it.

use std::sync::Arc;

use api::body::Body;
use api::problem::Problem;
use api::team;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Json;
use axum::routing::{get, post};
use ledger::rules::entity::Team;
use ledger::store::{Record, Stored};
use ledger::vault::Place;
use serde_json::{Map, Value, json};

use super::asker::Asker;
use super::change::is_secret;
use super::{Answer, models, teams};
use crate::Gateway;
use crate::refusal::Refusal;

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/team/{team_id}/callback", get(list).post(add))
        .route("/team/{team_id}/callback/{callback_name}", axum::routing::delete(remove))
        .route("/team/{team_id}/disable_logging", post(disable))
}

/// What the names of callbacks' secrets begin with.
const SECRETS: &str = "logging/";
const BOTH: &str = "success_and_failure";
/// What a sealed value is shown as.
const MASK: &str = "****";

/// The callbacks of a team, as they are kept.
fn callbacks(team: &Team) -> Vec<Value> {
    let logging = team.details.extra.get("metadata").and_then(|metadata| metadata.get("logging"));
    logging.and_then(Value::as_array).cloned().unwrap_or_default()
}

fn keep(team: &mut Team, callbacks: Vec<Value>) {
    let metadata = team.details.extra.entry("metadata").or_insert_with(|| json!({}));
    if let Value::Object(metadata) = metadata {
        metadata.insert("logging".to_owned(), Value::Array(callbacks));
    }
}

fn text<'c>(callback: &'c Value, field: &str) -> &'c str {
    callback.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Those of successes and of failures, and their variables, secrets masked.
fn shown(team: &Team) -> Value {
    let callbacks = callbacks(team);
    let of = |kind: &str| -> Vec<&str> {
        let fits = |callback: &&Value| [kind, BOTH].contains(&text(callback, "callback_type"));
        callbacks.iter().filter(fits).map(|callback| text(callback, "callback_name")).collect()
    };
    let vars = callbacks.iter().filter_map(|callback| callback.get("callback_vars")?.as_object());
    let vars: Map<String, Value> = vars
        .flatten()
        .map(|(name, value)| {
            let value = if is_secret(name) { Value::from(MASK) } else { value.clone() };
            (name.clone(), value)
        })
        .collect();
    json!({
        "team_id": team.id,
        "success_callbacks": of("success"),
        "failure_callbacks": of("failure"),
        "callback_vars": vars,
    })
}

async fn named(asker: &Asker, id: &str) -> Result<Stored<Team>, Refusal> {
    let stored = asker.find::<Team>("Team", "team_id", id).await?;
    asker.permit(&team::object(&stored.record))?;
    Ok(stored)
}

async fn list(asker: Asker, Path(id): Path<String>) -> Answer {
    let stored = named(&asker, &id).await?;
    Ok(Json(json!({"status": "success", "data": shown(&stored.record)})))
}

async fn save(asker: &Asker, before: &Team, stored: &mut Stored<Team>) -> Result<(), Refusal> {
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.update("updated", before, stored).await?;
    changes.commit().await
}

async fn add(asker: Asker, Path(id): Path<String>, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let mut stored = named(&asker, &id).await?;
    let before = stored.record.clone();
    let made = made(&asker.gateway, &body, &mut stored.record)?;
    let mut all = callbacks(&before);
    let (name, kind) = (text(&made, "callback_name"), text(&made, "callback_type"));
    if all.iter().any(|own| text(own, "callback_name") == name && text(own, "callback_type") == kind) {
        let told = format!("callback_name = {name} already exists for {kind} of this team; delete it first");
        return Err(Problem::field("callback_name", told).into());
    }
    all.push(made);
    keep(&mut stored.record, all);
    save(&asker, &before, &mut stored).await?;
    let stored = asker.find::<Team>("Team", "team_id", &id).await?;
    Ok(Json(json!({"status": "success", "data": teams::full_row(&asker, &stored).await?})))
}

/// A callback as it is kept; its secrets are sealed beside it.
fn made(gateway: &Gateway, body: &Body, team: &mut Team) -> Result<Value, Refusal> {
    let name = body.text("callback_name").unwrap_or_default();
    let kind = body.text("callback_type").unwrap_or(BOTH);
    let mut vars = body.object("callback_vars").cloned().unwrap_or_default();
    for (var, value) in vars.iter_mut().filter(|(var, _)| is_secret(var)) {
        let field = secret_name(name, kind, var);
        let place = Place { kind: Team::KIND, id: team.id.as_str(), field: &field };
        let sealed = models::vault(gateway)?.seal(value.as_str().unwrap_or_default(), place);
        let sealed = sealed.map_err(|error| Refusal::misconfigured(500, error.to_string()))?;
        team.secrets.insert(field, sealed);
        *value = Value::from(MASK);
    }
    Ok(json!({"callback_name": name, "callback_type": kind, "callback_vars": vars}))
}

/// Where a callback's secret is in the team's.
fn secret_name(callback: &str, kind: &str, var: &str) -> String {
    format!("{SECRETS}{callback}/{kind}/{var}")
}

async fn remove(asker: Asker, Path((id, name)): Path<(String, String)>) -> Answer {
    let mut stored = named(&asker, &id).await?;
    let before = stored.record.clone();
    let mut left = callbacks(&before);
    left.retain(|callback| text(callback, "callback_name") != name);
    if left.len() == callbacks(&before).len() {
        return Err(Problem::not_found("Callback", "callback_name", &name).into());
    }
    keep(&mut stored.record, left);
    let own = format!("{SECRETS}{name}/");
    stored.record.secrets.retain(|field, _| !field.starts_with(&own));
    save(&asker, &before, &mut stored).await?;
    Ok(Json(json!({
        "status": "success",
        "message": format!("Callback {name} deleted for team {id}"),
        "data": shown(&stored.record),
    })))
}

async fn disable(asker: Asker, Path(id): Path<String>) -> Answer {
    let mut stored = named(&asker, &id).await?;
    let before = stored.record.clone();
    keep(&mut stored.record, Vec::new());
    stored.record.secrets.retain(|field, _| !field.starts_with(SECRETS));
    save(&asker, &before, &mut stored).await?;
    Ok(Json(json!({
        "status": "success",
        "message": format!("Logging disabled for team {id}"),
        "data": shown(&stored.record),
    })))
}
