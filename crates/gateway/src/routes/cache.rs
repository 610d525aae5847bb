//! The cache, for its operators.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use dialects::Invalid;
use dialects::document::Document;
use serde_json::{Map, Value, json};

use super::access::Operator;
use crate::Gateway;
use crate::cache::{Cache, Key, StoreError, Whereabouts};
use crate::config::{CacheMode, CacheSettings, StoreSettings};
use crate::refusal::Refusal;

/// Whether the cache works.
pub(super) async fn ping(_: Operator, State(gateway): State<Arc<Gateway>>) -> Result<Response, Refusal> {
    let Some(cache) = gateway.cache() else {
        return Err(unhealthy("no cache is configured; set `litellm_settings.cache: true`"));
    };
    match cache.ping().await {
        Ok(()) => Ok(Json(json!({
            "status": "healthy",
            "cache_type": cache.kind(),
            "ping_response": true,
            "set_cache_response": "success",
            "litellm_cache_params": shown(&cache.settings),
            "vectors": cache.similar().map(|similar| vectors(similar.whereabouts())),
        }))
        .into_response()),
        Err(error) => Err(unhealthy(&error.to_string())),
    }
}

fn unhealthy(why: &str) -> Refusal {
    let mut refusal = Refusal::of_status(503, format!("Service Unhealthy ({why})")).about("cache_ping");
    refusal.kind = "cache_ping_error";
    refusal
}

/// Takes answers out by their keys.
pub(super) async fn delete(
    _: Operator,
    State(gateway): State<Arc<Gateway>>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let document = Document::parse(&body)?;
    let wrong = || Invalid::new("keys", "expected a list of keys as `x-litellm-cache-key` shows them");
    let named: Vec<String> =
        document.get("keys").and_then(|keys| serde_json::from_str(keys).ok()).ok_or_else(wrong)?;
    // What is no key of ours cannot be stored.
    let keys: Vec<Key> = named.iter().filter_map(|name| Key::parse(name)).collect();
    let cache = configured(&gateway)?;
    cache.delete(&keys).await.map_err(|error| failed(&error))?;
    Ok(Json(json!({"status": "success"})).into_response())
}

/// Takes all answers out.
pub(super) async fn flush_all(_: Operator, State(gateway): State<Arc<Gateway>>) -> Result<Response, Refusal> {
    configured(&gateway)?.clear().await.map_err(|error| failed(&error))?;
    Ok(Json(json!({"status": "success"})).into_response())
}

/// What Redis says about itself.
pub(super) async fn redis_info(
    _: Operator,
    State(gateway): State<Arc<Gateway>>,
) -> Result<Response, Refusal> {
    let cache = configured(&gateway)?;
    let Some(server) = cache.server_info().await.map_err(|error| failed(&error))? else {
        return Err(Refusal::bad_request(format!("Cache type {} does not support redis info", cache.kind())));
    };
    let clients: Vec<Value> = server.clients.lines().map(|line| fields(line.split(' '), '=')).collect();
    Ok(Json(json!({
        "num_clients": clients.len(),
        "clients": clients,
        "info": fields(server.info.lines(), ':'),
    }))
    .into_response())
}

/// `name:value` and `name=value`, numbers as numbers.
fn fields<'t>(pairs: impl Iterator<Item = &'t str>, separator: char) -> Value {
    let pairs = pairs.filter_map(|pair| pair.trim().split_once(separator));
    let typed = |value: &str| value.parse::<i64>().map_or_else(|_| Value::from(value), Value::from);
    Value::Object(pairs.map(|(name, value)| (name.to_owned(), typed(value))).collect::<Map<_, _>>())
}

fn configured(gateway: &Gateway) -> Result<Arc<Cache>, Refusal> {
    let why = "Cache not initialized: set `litellm_settings.cache: true`";
    gateway.cache().ok_or_else(|| Refusal::of_status(503, why))
}

fn failed(error: &StoreError) -> Refusal {
    Refusal::of_status(500, format!("Cache operation failed ({error})"))
}

/// Where vectors of questions are.
fn vectors(whereabouts: Whereabouts) -> Value {
    match whereabouts {
        Whereabouts::Redis => json!({"in": "redis"}),
        Whereabouts::Qdrant => json!({"in": "qdrant"}),
        Whereabouts::Memory(None) => json!({"in": "memory"}),
        Whereabouts::Memory(Some(lack)) => json!({"in": "memory", "why": lack.to_string()}),
    }
}

/// The settings, without what signs in.
fn shown(settings: &CacheSettings) -> Value {
    json!({
        "type": match settings.store {
            StoreSettings::Memory { .. } => "local",
            StoreSettings::Redis(_) => "redis",
            StoreSettings::S3(_) => "s3",
            StoreSettings::Gcs(_) => "gcs",
            StoreSettings::AzureBlob(_) => "azure-blob",
            StoreSettings::Disk { .. } => "disk",
        },
        "ttl": settings.ttl.as_secs_f64(),
        "namespace": settings.namespace,
        "mode": match settings.mode {
            CacheMode::DefaultOn => "default_on",
            CacheMode::DefaultOff => "default_off",
        },
        "supported_call_types": settings.call_types,
        "max_messages": settings.max_messages,
        "similarity_threshold": settings.semantic.as_ref().map(|semantic| semantic.threshold),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_lines_are_fields() {
        let info = "# Server\r\nredis_version:7.0.15\r\nconnected_clients:3\r\n\r\n";
        assert_eq!(fields(info.lines(), ':'), json!({"redis_version": "7.0.15", "connected_clients": 3}));
        assert_eq!(
            fields("id=7 addr=127.0.0.1:1 name=".split(' '), '='),
            json!({"id": 7, "addr": "127.0.0.1:1", "name": ""})
        );
    }
}
