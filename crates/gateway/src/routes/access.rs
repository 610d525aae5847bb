use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use dialects::Dialect;

use crate::Gateway;
use crate::pipeline::authenticate;
use crate::refusal::Refusal;

/// Proof that the caller's key was checked: a handler that takes it cannot be reached without one.
#[derive(Debug)]
pub(super) struct Authenticated;

impl FromRequestParts<Arc<Gateway>> for Authenticated {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Refusal> {
        let google = parts.uri.path().starts_with("/v1beta/");
        let dialect = if google { Dialect::Gemini } else { Dialect::OpenaiChat };
        let query = parts.uri.query().unwrap_or_default();
        authenticate(&gateway.snapshot(), &parts.headers, query, dialect)?;
        Ok(Self)
    }
}
