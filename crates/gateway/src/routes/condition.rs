//! How the gateway itself is, for its operators.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Json;
use serde_json::{Map, Value, json};

use super::access::Operator;
use crate::Gateway;
use crate::events::log::timestamp;

/// What readiness is made of.
pub(super) async fn readiness(_: Operator, State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let books = gateway.books();
    let db = match books {
        Some(books) if books.is_behind() => "Not connected",
        Some(_) => "connected",
        None => "not configured",
    };
    Json(json!({
        "status": if gateway.is_stopping() { "stopping" } else { "healthy" },
        "db": db,
        "cache": gateway.cache().map(|cache| cache.kind()),
        "litellm_version": env!("CARGO_PKG_VERSION"),
        "success_callbacks": [],
        "in_flight_requests": gateway.metrics.running(),
    }))
}

/// Requests that are being worked on.
pub(super) async fn backlog(_: Operator, State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    Json(json!({"in_flight_requests": gateway.metrics.running()}))
}

/// What each deployment's last background check came to.
pub(super) async fn latest_checks(_: Operator, State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let snapshot = gateway.snapshot();
    let mut checks = Map::new();
    for served in snapshot.members() {
        let deployment = &served.deployment;
        let Some(checked) = gateway.last_checks().of(&deployment.id) else { continue };
        let is_healthy = checked.error.is_none();
        let row = json!({
            "model_name": &*deployment.group,
            "model_id": &*deployment.id,
            "status": if is_healthy { "healthy" } else { "unhealthy" },
            "healthy_count": u8::from(is_healthy),
            "unhealthy_count": u8::from(!is_healthy),
            "error_message": checked.error,
            "checked_at": timestamp(checked.at),
        });
        checks.insert(deployment.id.to_string(), row);
    }
    Json(json!({"total_models": checks.len(), "latest_health_checks": checks}))
}

/// There are no licences: everything is there for everybody.
pub(super) async fn license(_: Operator) -> Json<Value> {
    Json(json!({
        "has_license": false,
        "license_type": "community",
        "expiration_date": null,
        "allowed_features": {},
        "limits": {"max_users": null, "max_teams": null},
    }))
}

/// Where requests are logged and alerts go.
pub(super) async fn callbacks(_: Operator, State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let settings = gateway.alerts().settings();
    let alerting: Vec<&str> = settings.channels.iter().map(|channel| channel.name()).collect();
    Json(json!({
        "num_alerting": alerting.len(),
        "alerting": alerting,
        "litellm.callbacks": [],
        "litellm.input_callback": [],
        "litellm.failure_callback": [],
        "litellm.success_callback": [],
        "litellm._async_success_callback": [],
        "litellm._async_failure_callback": [],
        "litellm._async_input_callback": [],
        "all_litellm_callbacks": [],
        "num_callbacks": 0,
    }))
}
