//! Counts a request's tokens without asking the model.

use std::sync::Arc;

use dialects::Dialect;
use serde_json::json;
use tollway::ask::Ask;

use super::{Reply, Running};
use crate::refusal::Refusal;
use crate::snapshot::Served;

/// The number of tokens, in the client dialect's shape.
pub(super) fn tokens(running: &Running, served: &Arc<Served>, ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let request = ask.request()?;
    let tokens = catalog::tokens::count(&served.deployment.model, request).tokens;
    let body = match running.exchange.operation.dialect() {
        Dialect::Gemini => json!({"totalTokens": tokens}),
        _ => json!({"input_tokens": tokens, "litellm_count_source": "local_estimate"}),
    };
    Ok(Reply::Whole(body.to_string().into_bytes()))
}
