//! A conversation: looked up in the cache, routed, asked.

use std::sync::Arc;

use dialects::Dialect;
use dialects::document::Document;
use tollway::ask::Ask;

use super::admit::{self, Size};
use super::cache::{self, Found, Question};
use super::call::{self, Call};
use super::route::{self, Tries};
use super::stream::Format;
use super::{Received, Reply, Running, mirror, receive, state};
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;

/// Answers from the cache, or by the first deployment that can.
pub(super) async fn converse(
    running: &mut Running,
    snapshot: &Arc<Snapshot>,
    received: &Received<'_>,
) -> Result<Reply, Refusal> {
    let Received { endpoint, query, body, headers } = *received;
    let dialect = endpoint.operation.dialect();
    let mut document = Document::parse_within(body, snapshot.bounds.max_json_depth)?;
    let model = admit::model(running, snapshot, receive::model(&document, endpoint, query)?)?;
    let mut routed = route::request(snapshot, &model, &document, headers, body.len())?;
    // Nobody else asks for it.
    let customer = running.gateway.books().and_then(|_| admit::customer(&document, headers));
    let wishes = receive::wishes(&mut document, headers)?;
    let stream = receive::stream(&document, endpoint)?;
    running.exchange.requested_model.clone_from(&model);
    running.exchange.stream = stream;
    let ask = Ask::new(dialect, &document, &model, stream);
    let size = Size {
        document: &document,
        body_bytes: body.len(),
        tags: &routed.tags,
        customer: customer.as_deref(),
        headers,
    };
    let admission = admit::accounts(running, snapshot, &model, &size).await?;
    if let Err(short) = admit::hold(running, snapshot, admission, &size).await {
        let Some(uncounted) = short.uncounted else { return Err(short.refusal) };
        let counted = catalog::tokens::count(&uncounted.model, ask.request()?);
        uncounted.hold(running, snapshot, &size, counted).await?;
    }
    let events = dialect != Dialect::Gemini || query.split('&').any(|pair| pair == "alt=sse");
    let format = if events { Format::Events } else { Format::Array };
    let question =
        Question { document: &document, form: None, model: &model, wishes: &wishes, headers, format };
    let recording = match cache::look_up(running, snapshot, &question).await? {
        Found::Answer(known) => return Ok(Reply::Known(known)),
        Found::Nothing(recording) => recording,
    };
    routed.stream = stream;
    routed.permit = admit::permit(running, snapshot);
    state::pin(running, snapshot, &mut routed, &ask, body);
    route::count_input(&mut routed, snapshot, &ask)?;
    mirror::maybe_copy(running, &mirror::Original { snapshot, model: &model, body, headers, stream, format });
    let own_timeout = wishes.timeout.is_some() || wishes.stream_timeout.is_some();
    let tries = Tries::new(snapshot, routed, own_timeout);
    let call = Call { snapshot, wishes, headers, format };
    let reply = call::converse(running, call, ask, tries).await?;
    Ok(cache::record(running, recording, reply))
}
