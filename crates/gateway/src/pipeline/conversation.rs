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
use super::{Received, Reply, Running, demands, mirror, receive, state};
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;

/// Answers from the cache, or by the first deployment that can.
pub(super) async fn converse(
    running: &mut Running,
    snapshot: &Arc<Snapshot>,
    received: &Received<'_>,
) -> Result<Reply, Refusal> {
    let Received { endpoint, query, body, headers, for_gateway } = *received;
    let dialect = endpoint.operation.dialect();
    let mut document = Document::parse_within(body, snapshot.bounds.max_json_depth)?;
    let mut model = admit::model(running, snapshot, receive::model(&document, endpoint, query)?)?;
    let mut routed = route::request(snapshot, &model, &document, for_gateway, body.len())?;
    let customer = admit::customer::name(running, &document, for_gateway);
    let session = admit::session(&document, for_gateway);
    demands::check(running, snapshot, &document, headers)?;
    let mut wishes = receive::wishes(&mut document, for_gateway)?;
    route::follow_orders(running, &model, &mut routed, &mut wishes);
    let stream = receive::stream(&document, endpoint)?;
    running.exchange.requested_model.clone_from(&model);
    running.exchange.stream = stream;
    running.exchange.input_estimate = routed.input_tokens;
    let size = Size {
        document: &document,
        body_bytes: body.len(),
        tags: &routed.tags,
        customer: customer.as_deref(),
        session: session.as_ref(),
        headers: for_gateway,
    };
    let count = |tokens_of: &str| {
        let ask = Ask::new(dialect, &document, &model, stream);
        Ok(catalog::tokens::count(tokens_of, ask.request()?))
    };
    let fit = match admit::let_in(running, snapshot, &model, &size, Some(&count)).await {
        Ok(fit) => fit,
        Err(short) => {
            // Large, and seldom needed.
            let elsewhere = admit::let_in_elsewhere(running, snapshot, &model, short, &size, Some(&count));
            let (other, fit) = Box::pin(elsewhere).await?;
            routed.model = other.as_str().into();
            model = other;
            fit
        }
    };
    if let Some(tokens) = fit {
        admit::fit::limit(&mut document, dialect, tokens);
    }
    let ask = Ask::new(dialect, &document, &model, stream);
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
    routed.region = admit::region(running).or(routed.region);
    routed.team = admit::team(running);
    state::pin(running, snapshot, &mut routed, &ask, body);
    route::count_input(&mut routed, snapshot, &ask)?;
    mirror::maybe_copy(running, &mirror::Original { snapshot, model: &model, body, headers, stream, format });
    let own_timeout = wishes.timeout.is_some() || wishes.stream_timeout.is_some();
    let mut tries = Tries::new(snapshot, routed, own_timeout);
    let call = Call { snapshot, wishes, headers, format };
    let reply = call::converse(running, &call, &ask, &mut tries).await?;
    Ok(cache::record(running, recording, reply))
}
