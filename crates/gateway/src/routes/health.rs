#![allow(clippy::indexing_slicing, reason = "a field of a JSON object is set, which cannot panic")]

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Json, Response};
use http::header::CONTENT_TYPE;
use routing::Phase;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Authenticated;
use crate::Gateway;
use crate::events::log::timestamp;
use crate::snapshot::Upstream;

/// The process answers.
pub(super) async fn alive() -> Json<&'static str> {
    Json("I'm alive!")
}

/// The gateway takes requests. While it stops it says 503, so that a load balancer sends no more.
pub(super) async fn ready(State(gateway): State<Arc<Gateway>>) -> Response {
    if gateway.is_stopping() {
        let body = Json(json!({"status": "stopping"}));
        return (http::StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    }
    // A database that is away stops nobody who is known, so it is told and no reason to send requests elsewhere.
    let connected = gateway.books().is_some_and(|books| !books.is_behind());
    let db = if connected { "connected" } else { "Not connected" };
    Json(json!({"status": "healthy", "db": db})).into_response()
}

#[derive(Debug, Deserialize)]
pub(super) struct HealthQuery {
    model: Option<String>,
}

/// What is known of each deployment without calling it: whether it is configured so that it can be called, and how
/// its latest calls went.
pub(super) async fn health(
    _: Authenticated,
    State(gateway): State<Arc<Gateway>>,
    Query(query): Query<HealthQuery>,
) -> Json<Value> {
    let snapshot = gateway.snapshot();
    let (mut healthy, mut unhealthy) = (Vec::new(), Vec::new());
    let left_alone = snapshot.fleet().snapshot(gateway.now()).into_iter().filter_map(|state| {
        let cooling = matches!(state.phase, Phase::Open(_) | Phase::ProbeDue | Phase::Probing);
        cooling.then(|| (state.id, state.reason.map_or_else(String::new, |reason| reason.to_string())))
    });
    let left_alone: HashMap<Arc<str>, String> = left_alone.collect();
    for served in snapshot.members() {
        let deployment = &served.deployment;
        if query.model.as_ref().is_some_and(|model| **model != *deployment.group) {
            continue;
        }
        let mut entry = json!({
            "model": format!("{}/{}", deployment.provider, deployment.model),
            "model_name": &*deployment.group,
            "model_id": &*deployment.id,
            "api_base": deployment.shown_base,
        });
        let checked = gateway.last_checks().of(&deployment.id);
        if let Some(checked) = &checked {
            entry["checked_at"] = json!(timestamp(checked.at));
        }
        let failed = checked.and_then(|checked| checked.error);
        if matches!(served.upstream, Upstream::Mock(_)) {
            entry["mock"] = json!(true);
        }
        match deployment.unusable.as_ref().or_else(|| left_alone.get(&deployment.id)).or(failed.as_ref()) {
            Some(why) => {
                entry["error"] = json!(why);
                unhealthy.push(entry);
            }
            None => healthy.push(entry),
        }
    }
    Json(json!({
        "healthy_count": healthy.len(),
        "unhealthy_count": unhealthy.len(),
        "healthy_endpoints": healthy,
        "unhealthy_endpoints": unhealthy,
    }))
}

/// For Prometheus.
pub(super) async fn metrics(_: Authenticated, State(gateway): State<Arc<Gateway>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], gateway.metrics.encode()).into_response()
}
