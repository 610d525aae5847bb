//! Counts a request's tokens without asking the model.

use dialects::document::Document;
use dialects::{Dialect, gemini};
use serde_json::json;

use super::{Received, Reply, Running, admit, receive};
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;

/// The number of tokens, in the client dialect's shape.
pub(super) fn tokens(
    running: &mut Running,
    snapshot: &Snapshot,
    received: &Received<'_>,
) -> Result<Reply, Refusal> {
    let mut document = Document::parse_within(received.body, snapshot.bounds.max_json_depth)?;
    let model = receive::model(&document, received.endpoint, received.query)?;
    let model = admit::model(running, snapshot, model)?;
    receive::wishes(&mut document, received.for_gateway)?;
    running.exchange.requested_model.clone_from(&model);
    let group = snapshot.group(&model);
    let served = group.as_ref().and_then(|group| group.members.first());
    let served = served.ok_or_else(|| Refusal::unknown_model(&model, snapshot.nearest(&model)))?;
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
