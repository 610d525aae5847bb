use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Operator;
use crate::Gateway;

/// Everything that happened to one request, by its call id (`x-litellm-call-id`) or the id of its answer.
pub(super) async fn one(
    _: Operator,
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
) -> Response {
    match gateway.traces().find(&id) {
        Some(trace) => Json(trace.to_json()).into_response(),
        None => {
            let detail = format!(
                "no trace `{id}`: the gateway keeps the last {} requests in memory (`tollway.trace_capacity`)",
                gateway.traces().capacity()
            );
            (StatusCode::NOT_FOUND, Json(json!({"detail": detail}))).into_response()
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct LatestQuery {
    limit: Option<usize>,
}

/// The latest requests, newest first, a summary each.
pub(super) async fn latest(
    _: Operator,
    State(gateway): State<Arc<Gateway>>,
    Query(query): Query<LatestQuery>,
) -> Json<Value> {
    let traces = gateway.traces().latest(query.limit.unwrap_or(50).min(1000));
    let data: Vec<Value> = traces.iter().map(|trace| Value::Object(trace.summary())).collect();
    Json(json!({"data": data}))
}
