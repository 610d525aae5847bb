//! Counts a request's tokens without asking the model.

use std::sync::Arc;

use dialects::document::Document;
use dialects::{Dialect, gemini};
use serde_json::json;

use super::{Reply, Running};
use crate::refusal::Refusal;
use crate::snapshot::Served;

/// The number of tokens, in the client dialect's shape.
pub(super) fn tokens(
    running: &Running,
    served: &Arc<Served>,
    mut document: Document<'_>,
) -> Result<Reply, Refusal> {
    let request = match running.exchange.operation.dialect() {
        Dialect::Gemini => gemini::count::read_request(&document)?,
        dialect => {
            // Nothing is generated, so clients that count name no limit.
            if dialect == Dialect::AnthropicMessages && !document.has("max_tokens") {
                document.set("max_tokens", "1");
            }
            dialect.codec().read_request(&document)?
        }
    };
    let tokens = catalog::tokens::count(&served.deployment.model, &request).tokens;
    let body = match running.exchange.operation.dialect() {
        Dialect::Gemini => json!({"totalTokens": tokens}),
        _ => json!({"input_tokens": tokens, "litellm_count_source": "local_estimate"}),
    };
    Ok(Reply::Whole(body.to_string().into_bytes()))
}
