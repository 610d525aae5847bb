#![allow(clippy::indexing_slicing, reason = "a field of a JSON object is set, which cannot panic")]

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{Authenticated, Operator};
use crate::Gateway;
use crate::exchange::Identity;
use crate::pipeline::is_for;
use crate::snapshot::{Group, Snapshot};

/// LiteLLM's constant.
const CREATED: u64 = 1_677_610_602;

#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    /// Names behind a wildcard are listed instead of the pattern.
    #[serde(default)]
    return_wildcard_routes: bool,
}

/// The models of this gateway, as OpenAI lists models.
pub(super) async fn list(
    Authenticated(caller): Authenticated,
    State(gateway): State<Arc<Gateway>>,
    Query(query): Query<ListQuery>,
) -> Json<Value> {
    let snapshot = gateway.snapshot();
    let groups = snapshot.groups().map(|group| (group.name.to_string(), Some(&**group)));
    let aliases = snapshot.visible_aliases().map(|(alias, group)| (alias.to_owned(), Some(group)));
    let mut names: Vec<(String, Option<&Group>)> = groups.chain(aliases).collect();
    for pattern in snapshot.patterns() {
        let behind = snapshot.names_behind(pattern);
        if query.return_wildcard_routes || behind.is_empty() {
            names.push((pattern.text().to_owned(), None));
        }
        names.extend(behind.into_iter().map(|name| (name, None)));
    }
    let own = names.into_iter().filter(|(name, _)| is_for(&caller, &snapshot, name));
    let data: Vec<Value> = own.map(|(name, group)| entry(&name, group)).collect();
    Json(json!({"data": data, "object": "list"}))
}

/// One model.
pub(super) async fn one(
    Authenticated(caller): Authenticated,
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
) -> Response {
    let snapshot = gateway.snapshot();
    match snapshot.group(&id).filter(|_| is_for(&caller, &snapshot, &id)) {
        Some(group) => Json(entry(&id, Some(&group))).into_response(),
        None => {
            let detail = format!("The model `{id}` does not exist or is not accessible");
            (StatusCode::NOT_FOUND, Json(json!({"detail": detail}))).into_response()
        }
    }
}

fn entry(name: &str, group: Option<&Group>) -> Value {
    let mut entry = json!({"id": name, "object": "model", "created": CREATED, "owned_by": "openai"});
    let Some(served) = group.and_then(|group| group.members.first()) else { return entry };
    for (field, value) in [
        ("mode", served.info.get("mode").cloned()),
        ("max_input_tokens", served.deployment.facts.max_input_tokens.map(Value::from)),
        ("max_output_tokens", served.deployment.facts.max_output_tokens.map(Value::from)),
    ] {
        if let Some(value) = value {
            entry[field] = value;
        }
    }
    entry
}

/// The models of this gateway, as Google lists models.
pub(super) async fn list_google(
    Authenticated(caller): Authenticated,
    State(gateway): State<Arc<Gateway>>,
) -> Json<Value> {
    let snapshot = gateway.snapshot();
    let own = snapshot.groups().filter(|group| is_for(&caller, &snapshot, &group.name));
    let models: Vec<Value> = own.map(|group| google_entry(&group.name, group)).collect();
    Json(json!({"models": models}))
}

/// One model, as Google shows it.
pub(super) async fn one_google(
    Authenticated(caller): Authenticated,
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
) -> Response {
    let snapshot = gateway.snapshot();
    match snapshot.group(&id).filter(|_| is_for(&caller, &snapshot, &id)) {
        Some(group) => Json(google_entry(&id, &group)).into_response(),
        None => {
            let message = format!("models/{id} is not found");
            let body = json!({"error": {"code": 404, "message": message, "status": "NOT_FOUND"}});
            (StatusCode::NOT_FOUND, Json(body)).into_response()
        }
    }
}

fn google_entry(name: &str, group: &Group) -> Value {
    let facts = group.members.first().map(|served| &served.deployment.facts);
    json!({
        "name": format!("models/{name}"),
        "displayName": name,
        "inputTokenLimit": facts.and_then(|facts| facts.max_input_tokens),
        "outputTokenLimit": facts.and_then(|facts| facts.max_output_tokens),
        "supportedGenerationMethods": ["generateContent", "countTokens", "streamGenerateContent"],
    })
}

#[derive(Debug, Deserialize)]
pub(super) struct InfoQuery {
    litellm_model_id: Option<String>,
}

/// Each deployment with its settings (no secrets) and what is known of its model.
pub(super) async fn info(
    Authenticated(caller): Authenticated,
    State(gateway): State<Arc<Gateway>>,
    Query(query): Query<InfoQuery>,
) -> Response {
    let snapshot = gateway.snapshot();
    let data = info_entries(&snapshot, &caller, query.litellm_model_id.as_deref());
    if data.is_empty()
        && let Some(id) = query.litellm_model_id
    {
        let detail = json!({"error": format!("Model id = {id} not found on litellm proxy")});
        return (StatusCode::BAD_REQUEST, Json(json!({"detail": detail}))).into_response();
    }
    Json(json!({"data": data})).into_response()
}

#[derive(Debug, Deserialize)]
pub(super) struct PageQuery {
    page: Option<usize>,
    size: Option<usize>,
    /// A part of the model's name, in any case.
    search: Option<String>,
    #[serde(rename = "modelId")]
    id: Option<String>,
    access_group: Option<String>,
    #[serde(rename = "sortBy")]
    sort_by: Option<String>,
    #[serde(rename = "sortOrder")]
    sort_order: Option<String>,
    /// Patterns alone.
    #[serde(default)]
    wildcard_only: bool,
}

/// The most entries of a page.
const MOST: usize = 1000;

/// The same, page by page.
pub(super) async fn info_pages(
    Authenticated(caller): Authenticated,
    State(gateway): State<Arc<Gateway>>,
    Query(query): Query<PageQuery>,
) -> Json<Value> {
    let snapshot = gateway.snapshot();
    let (page, size) = (query.page.unwrap_or(1).max(1), query.size.unwrap_or(50).clamp(1, MOST));
    let mut data = info_entries(&snapshot, &caller, query.id.as_deref());
    let search = query.search.map(|part| part.to_lowercase());
    let group = query.access_group.map(|name| snapshot.access_groups.get(&name).cloned().unwrap_or_default());
    data.retain(|entry| {
        let name = entry["model_name"].as_str().unwrap_or_default();
        search.as_ref().is_none_or(|part| name.to_lowercase().contains(part))
            && (!query.wildcard_only || name.contains('*'))
            && group.as_ref().is_none_or(|models| models.iter().any(|model| model == name))
    });
    let key = |entry: &Value| match query.sort_by.as_deref() {
        Some("model_name") => entry["model_name"].as_str().unwrap_or_default().to_owned(),
        Some(field) => entry["model_info"][field].to_string(),
        None => String::new(),
    };
    data.sort_by_cached_key(key);
    if query.sort_order.as_deref() == Some("desc") {
        data.reverse();
    }
    let total = data.len();
    let shown: Vec<Value> = data.into_iter().skip((page - 1).saturating_mul(size)).take(size).collect();
    Json(json!({
        "data": shown, "total_count": total, "current_page": page, "size": size,
        "total_pages": total.div_ceil(size),
    }))
}

/// Models with their prices and capabilities, as this build carries them.
pub(super) async fn cost_map() -> Response {
    ([(CONTENT_TYPE, "application/json")], catalog::prices::embedded().text()).into_response()
}

/// Where prices come from.
pub(super) async fn cost_map_source(Operator: Operator) -> Json<Value> {
    let prices = catalog::prices::embedded();
    Json(json!({"source": "embedded", "url": null, "fallback_reason": null, "model_count": prices.len()}))
}

fn info_entries(snapshot: &Snapshot, caller: &Identity, id: Option<&str>) -> Vec<Value> {
    snapshot
        .members()
        .filter(|served| is_for(caller, snapshot, &served.deployment.group))
        .filter(|served| id.is_none_or(|id| *served.deployment.id == *id))
        .map(|served| {
            let mut info = served.info.clone();
            info.insert("id".into(), json!(&*served.deployment.id));
            let written =
                snapshot.base.deployments.iter().any(|own| own.id.as_str() == &*served.deployment.id);
            info.insert("db_model".into(), json!(!written));
            json!({
                "model_name": &*served.deployment.group,
                "litellm_params": served.shown_params,
                "model_info": info,
            })
        })
        .collect()
}
