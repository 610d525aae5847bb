use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use dialects::Dialect;

use super::table::{Access, ROUTES};
use crate::Gateway;
use crate::exchange::Identity;
use crate::operation::Endpoint;
use crate::pipeline::{Asked, authenticate};
use crate::refusal::Refusal;

/// Where a request comes from; the server puts it into the request's extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub IpAddr);

/// Proof that the caller's key was checked: a handler that takes it cannot be reached without one.
#[derive(Debug)]
pub(crate) struct Authenticated(pub Identity);

/// Proof that the caller runs this gateway.
#[derive(Debug)]
pub(super) struct Operator;

impl FromRequestParts<Arc<Gateway>> for Authenticated {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Refusal> {
        let google = parts.uri.path().starts_with("/v1beta/");
        let dialect = if google { Dialect::Gemini } else { Dialect::OpenaiChat };
        let query = parts.uri.query().unwrap_or_default();
        let asked = Asked { headers: &parts.headers, query, path: parts.uri.path(), dialect };
        let peer = parts.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
        authenticate(gateway, &gateway.snapshot(), &asked, peer).await.map(Self)
    }
}

impl FromRequestParts<Arc<Gateway>> for Operator {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Refusal> {
        let Authenticated(identity) = Authenticated::from_request_parts(parts, gateway).await?;
        if identity.is_operator() {
            return Ok(Self);
        }
        Err(Refusal::unauthenticated(format_args!(
            "Only proxy admin can be used to call {}.",
            parts.uri.path()
        )))
    }
}

/// The names under which a key's `allowed_routes` may hold a route; LiteLLM's words.
#[must_use]
pub fn groups_of(path: &str) -> &'static [&'static str] {
    if let Some(endpoint) = Endpoint::of(path) {
        return match endpoint.operation.dialect() {
            Dialect::AnthropicMessages => &["llm_api_routes", "anthropic_routes"],
            Dialect::Gemini => &["llm_api_routes", "google_routes"],
            _ => &["llm_api_routes", "openai_routes"],
        };
    }
    if let Some(groups) = crate::admin::groups_of(path) {
        return groups;
    }
    match ROUTES.iter().find(|route| route.is_at(path)).map(|route| route.access) {
        Some(Access::Operator) => &["management_routes"],
        Some(Access::Key) => &["llm_api_routes", "info_routes"],
        Some(Access::Public) | None => &[],
    }
}
