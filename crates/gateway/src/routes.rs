//! The routes beside the pipeline: health, models, traces, metrics, documentation.

#![allow(clippy::indexing_slicing, reason = "a field of a JSON object is set, which cannot panic")]

mod access;
mod alerts;
mod cache;
mod condition;
mod docs;
mod health;
mod models;
mod router;
mod table;
mod traces;
mod utils;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::json;

use crate::Gateway;
use crate::admin;
use crate::refusal::Refusal;

pub use access::groups_of;
pub(crate) use access::{Authenticated, Peer};
pub use table::{Access, ROUTES, Route};
pub(crate) use utils::count_tokens;

/// All routes that are not the pipeline's.
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/", get(docs::home))
        .route("/routes", get(docs::routes))
        .route("/openapi.json", get(docs::openapi))
        .route("/docs", get(docs::page))
        .route("/health", get(health::health))
        .route("/health/liveliness", get(health::alive))
        .route("/health/liveness", get(health::alive))
        .route("/health/readiness", get(health::ready))
        .route("/health/readiness/details", get(condition::readiness))
        .route("/health/backlog", get(condition::backlog))
        .route("/health/latest", get(condition::latest_checks))
        .route("/health/license", get(condition::license))
        .route("/settings", get(condition::callbacks))
        .route("/active/callbacks", get(condition::callbacks))
        .route("/health/services", get(alerts::try_out))
        .route("/alerting/settings", get(alerts::settings))
        .route("/metrics", get(health::metrics))
        .route("/metrics/", get(health::metrics))
        .route("/models", get(models::list))
        .route("/v1/models", get(models::list))
        .route("/v1beta/models", get(models::list_google))
        .route("/models/{*id}", get(models::one))
        .route("/v1/models/{*id}", get(models::one))
        .route("/v1beta/models/{*id}", get(models::one_google))
        .route("/model/info", get(models::info))
        .route("/v1/model/info", get(models::info))
        .route("/v2/model/info", get(models::info_pages))
        .route("/public/litellm_model_cost_map", get(models::cost_map))
        .route("/model/cost_map/source", get(models::cost_map_source))
        .route("/model_group/info", get(router::groups))
        .route("/router/settings", get(router::settings))
        .route("/router/state", get(router::state))
        .route("/utils/model_info", get(utils::model_info))
        .route("/utils/token_counter", post(utils::token_counter))
        .route("/utils/transform_request", post(utils::transform_request))
        .route("/cache/ping", get(cache::ping))
        .route("/cache/delete", post(cache::delete))
        .route("/cache/flushall", post(cache::flush_all))
        .route("/cache/redis/info", get(cache::redis_info))
        .route("/trace", get(traces::latest))
        .route("/trace/{id}", get(traces::one))
        .merge(admin::router())
        .method_not_allowed_fallback(async || method_not_allowed())
        .fallback(not_found)
        .with_state(gateway)
}

async fn not_found(uri: Uri) -> Response {
    let mut body = json!({"detail": "Not Found"});
    if let Some(path) = nearest_path(uri.path()) {
        body["hint"] = json!(format!("nearest route: {path}; GET /routes lists all"));
    }
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

fn nearest_path(path: &str) -> Option<&'static str> {
    let close = |route: &&'static str| strsim::normalized_damerau_levenshtein(route, path) > 0.7;
    let managed = api::route::all().map(|route| route.path);
    ROUTES.iter().map(|route| route.path).chain(managed).find(close)
}

/// The path is right, the method is not.
pub(crate) fn method_not_allowed() -> Response {
    let body = Json(json!({"detail": "Method Not Allowed"}));
    (StatusCode::METHOD_NOT_ALLOWED, body).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        crate::pipeline::answer::refuse_route(&self).map(axum::body::Body::new)
    }
}
