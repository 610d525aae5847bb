//! What the caller's key, and the configuration, demand of a request's body: parameters that it must have, and what of
//! the cache it may ask for.

use dialects::document::Document;
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use serde_json::Value;

use super::{Running, receive};
use crate::cache::Controls;
use crate::exchange::Identity;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;

/// Checks a body that still has the fields that speak to the gateway.
///
/// # Errors
/// 400 with the parameter that is missing, in LiteLLM's words; 403 with what the key may not ask of the cache.
pub(super) fn check(
    running: &Running,
    snapshot: &Snapshot,
    document: &Document<'_>,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    let own = match &running.exchange.caller.identity {
        Identity::Key(holder) => Some(&holder.conditions),
        Identity::Master | Identity::Local => None,
        // The gateway asks itself.
        Identity::Unknown | Identity::HealthCheck | Identity::SemanticCache => return Ok(()),
    };
    let of_key = own.into_iter().flat_map(|own| &own.required_params);
    let of_service = snapshot.required_params.of_service_accounts.iter();
    let of_service = of_service.filter(|_| own.is_some_and(|own| own.is_service_account));
    for param in snapshot.required_params.of_all.iter().chain(of_service).chain(of_key) {
        has(document, param)?;
    }
    match own {
        Some(own) if !own.cache_controls.is_empty() => cache(&own.cache_controls, document, headers),
        Some(_) | None => Ok(()),
    }
}

/// `user`, or `metadata.generation_name`.
fn has(document: &Document<'_>, param: &str) -> Result<(), Refusal> {
    let missing = |shown: String| {
        let told = format!("BadRequest please pass param={shown} in request body. This is a required param");
        Err(Refusal::bad_request(told).about(param))
    };
    let (field, inner) = param.split_once('.').map_or((param, None), |(field, inner)| (field, Some(inner)));
    let Some(value) = document.get(field).filter(|value| *value != "null") else {
        return missing(field.to_owned());
    };
    let Some(inner) = inner else { return Ok(()) };
    let value: Option<Value> = serde_json::from_str(value).ok();
    match value.as_ref().and_then(|value| value.get(inner)).filter(|value| !value.is_null()) {
        Some(_) => Ok(()),
        None => missing(format!("[{field}][{inner}]")),
    }
}

/// Whether a request asks the cache for what its key allows.
fn cache(allowed: &[String], document: &Document<'_>, headers: &HeaderMap) -> Result<(), Refusal> {
    let is_allowed = |control: &str| {
        let same = |allowed: &String| {
            allowed == control || (allowed.starts_with("s-max") && control.starts_with("s-max"))
        };
        allowed.iter().any(same)
    };
    let mut asked: Vec<String> = Vec::new();
    if let Some(text) = document.get("cache") {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        // A field of a form.
        let value = value.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(value);
        asked.extend(value.as_object().into_iter().flatten().map(|(control, _)| control.clone()));
    }
    if document.get("ttl").is_some() {
        asked.push("ttl".to_owned());
    }
    if document.get("caching") == Some("false") {
        asked.extend(["no-cache".to_owned(), "no-store".to_owned()]);
    }
    if receive::header(headers, CACHE_CONTROL).and_then(Controls::max_age_of_header).is_some() {
        asked.push("s-maxage".to_owned());
    }
    match asked.iter().find(|control| !is_allowed(control)) {
        Some(control) => {
            let told = format!(
                "this key may not ask the cache for `{control}`; what it may: `{}`",
                allowed.join("`, `")
            );
            Err(Refusal::of_status(403, told).about(format!("cache.{control}")))
        }
        None => Ok(()),
    }
}
