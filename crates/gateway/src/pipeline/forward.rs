//! Services beside conversations: the request is passed on to a deployment that has the same endpoint, its answer
//! passed back and metered.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use catalog::cost::{CallKind, Counts};
use dialects::codec::StreamRelay;
use dialects::conversation::Usage;
use dialects::document::Document;
use dialects::error::ErrorReply;
use dialects::exchange::Observed;
use dialects::framing::sse::{SseReader, write_event};
use dialects::service::{self, Asked, Form, Metered, Service};
use dialects::{BadReply, Dialect, Invalid};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use tollway::answer::AnswerStream;
use tollway::ask::Prepared;

use super::admit::{self, Size};
use super::cache::{self, Found, Question, Recording};
use super::call::{self, Call};
use super::route::{self, Tries, Try};
use super::stream::{Format, Source, StreamAnswer};
use super::{Received, Reply, Running, demands, receive};
use crate::exchange::Bodies;
use crate::refusal::Refusal;
use crate::snapshot::{Served, Snapshot, Upstream};

/// Passes a request on.
pub(super) async fn forward(
    running: &mut Running,
    snapshot: &Arc<Snapshot>,
    service: Service,
    received: &Received<'_>,
) -> Result<Reply, Refusal> {
    let Received { endpoint, query, body, headers, for_gateway } = *received;
    let form = if service.takes_form() { Some(form(headers, body)?) } else { None };
    let text_fields = form.as_ref().map(|(form, _)| form.fields());
    let fields_of = text_fields.as_ref().map_or(&**body, |fields| fields.as_bytes());
    let mut fields = Document::parse(fields_of)?;
    let mut model = admit::model(running, snapshot, receive::model(&fields, endpoint, query)?)?;
    let mut routed = route::request(snapshot, &model, &fields, for_gateway, body.len())?;
    let customer = admit::customer::name(running, &fields, for_gateway);
    let session = admit::session(&fields, for_gateway);
    demands::check(running, snapshot, &fields, headers)?;
    route::leave_out(&mut routed, snapshot, |served| served.serves(service));
    let mut wishes = receive::wishes(&mut fields, for_gateway)?;
    route::follow_orders(running, &model, &mut routed, &mut wishes);
    running.exchange.requested_model.clone_from(&model);
    running.exchange.input_estimate = routed.input_tokens;
    let asked = service::asked(service, &fields)?;
    let size = Size {
        document: &fields,
        body_bytes: body.len(),
        tags: &routed.tags,
        customer: customer.as_deref(),
        session: session.as_ref(),
        headers: for_gateway,
    };
    if let Err(short) = admit::let_in(running, snapshot, &model, &size, None).await {
        // Large, and seldom needed.
        let elsewhere = admit::let_in_elsewhere(running, snapshot, &model, short, &size, None);
        let (other, _) = Box::pin(elsewhere).await?;
        routed.model = other.as_str().into();
        route::leave_out(&mut routed, snapshot, |served| served.serves(service));
        model = other;
    }
    routed.permit = admit::permit(running, snapshot);
    routed.region = admit::region(running).or(routed.region);
    routed.team = admit::team(running);
    let question = Question {
        document: &fields,
        form: form.as_ref().map(|(form, _)| form),
        model: &model,
        wishes: &wishes,
        headers,
        format: Format::Events,
    };
    let recording = match cache::look_up(running, snapshot, &question).await? {
        Found::Answer(known) => return Ok(Reply::Known(known)),
        Found::Nothing(recording) => recording,
    };
    if let Some(unknown) = recording.as_ref().and_then(Recording::unknown_items) {
        fields.set("input", unknown);
    }
    let call = Call { snapshot, wishes, headers, format: Format::Events };
    let mut tries = Tries::new(snapshot, routed, call.wishes.timeout.is_some());
    let form = form.as_ref().map(|(form, kind)| (form, kind));
    loop {
        let Try { served, attempt } = tries.next(running, &fields).await?;
        let own = match attempt.params() {
            Some(params) => {
                let notes = &mut running.exchange.notes;
                let (fields, wishes) = route::with_params(&fields, &call.wishes, params, notes)?;
                Some((fields, Call { wishes, ..call }))
            }
            None => None,
        };
        let (fields, call) = own.as_ref().map_or((&fields, &call), |(fields, call)| (fields, call));
        let asking = Asking { service, fields, form, asked: &asked };
        match attempt_at(running, call, &served, &asking).await {
            Ok(reply) => {
                let reply = call::answered(running, attempt, reply);
                return Ok(cache::record(running, recording, reply));
            }
            Err(refusal) => tries.failed(running, attempt, refusal)?,
        }
    }
}

/// What all deployments are asked.
struct Asking<'r> {
    service: Service,
    fields: &'r Document<'r>,
    form: Option<(&'r Form<'r>, &'r HeaderValue)>,
    asked: &'r Asked,
}

async fn attempt_at(
    running: &mut Running,
    call: &Call<'_>,
    served: &Arc<Served>,
    asking: &Asking<'_>,
) -> Result<Reply, Refusal> {
    if let Upstream::Mock(_) = served.upstream {
        return Err(Refusal::unserved(format!(
            "model `{}` is a mock, and mocks hold conversations only",
            served.deployment.group
        )));
    }
    let policy = call.wishes.policy(&served.deployment.policy);
    let form = asking.form.map(|(form, kind)| (form, kind.clone()));
    let prepared = served.deployment.prepare_service(asking.service, asking.fields, form, policy.as_ref());
    let mut prepared = prepared.map_err(call::unprepared)?;
    call::forward_headers(call.headers, &mut prepared, call.snapshot);
    running.exchange.notes.append(&mut prepared.notes);
    if let Some(bodies) = &mut running.exchange.bodies {
        bodies.provider_request = Some(prepared.body.clone());
    }
    send(running, call, served, &mut prepared, asking).await
}

/// The form that a body is, and its type with the boundary.
fn form<'b>(headers: &'b HeaderMap, body: &'b Bytes) -> Result<(Form<'b>, HeaderValue), Refusal> {
    let kind = headers.get(CONTENT_TYPE);
    let boundary = kind.and_then(|kind| service::boundary(kind.to_str().ok()?));
    let (Some(kind), Some(boundary)) = (kind, boundary) else {
        return Err(Refusal::bad_request(
            "the body must be a form: send it as `multipart/form-data` with a boundary",
        ));
    };
    let form = Form::parse(body, boundary)?;
    if !form.has("file") {
        return Err(Invalid::new("file", "Missing required parameter: 'file'.").into());
    }
    Ok((form, kind.clone()))
}

async fn send(
    running: &mut Running,
    call: &Call<'_>,
    served: &Arc<Served>,
    prepared: &mut Prepared<'_>,
    asking: &Asking<'_>,
) -> Result<Reply, Refusal> {
    let Asking { service, asked, .. } = *asking;
    let title = served.deployment.provider_title;
    let patience = call::patience(call, served, false);
    let began = Instant::now();
    let response = call::send(running, served, prepared, patience.total, began).await?;
    let kind = receive::header(&running.provider_headers, CONTENT_TYPE).unwrap_or_default();
    let (is_json, is_events) = (kind.contains("json"), kind.starts_with("text/event-stream"));
    if !is_json && (is_events || !kind.starts_with("text/")) {
        // Sound, as it is made.
        let passage = Passage::new(service, asked, is_events);
        running.exchange.stream = is_events;
        let source =
            Source::Provider { body: response.into_body(), answer: AnswerStream::Relay(Box::new(passage)) };
        let stream = StreamAnswer::open(running, source, title, patience, began, Format::Events).await?;
        return Ok(Reply::Stream(Box::new(stream)));
    }
    let left = patience.total.saturating_sub(began.elapsed());
    let body = call::read_body(response.into_body(), call.snapshot.bounds.max_response_bytes, left).await;
    running.exchange.upstream_time += began.elapsed();
    let body = body.map_err(|error| call::failed(running, served, &error))?;
    if let Some(bodies) = &mut running.exchange.bodies {
        Bodies::keep(&mut bodies.provider_response, &body);
    }
    let (body, metered) = if is_json {
        let relayed = service::relay(service, &body, &running.exchange.requested_model, asked);
        relayed.map_err(|error| Refusal::from_bad_reply(title, &error))?
    } else {
        (body.to_vec(), Metered::default())
    };
    observe(running, served, service, asked, metered);
    Ok(Reply::Whole(body))
}

/// Keeps what the answer said about itself, and prices it.
fn observe(running: &mut Running, served: &Served, service: Service, asked: &Asked, metered: Metered) {
    let usage = metered.usage.unwrap_or_default();
    let usage = Usage { characters: asked.characters, ..usage };
    let counts = Counts { images: metered.images, queries: metered.search_units, ..Counts::default() };
    let answer = &mut running.exchange.answer;
    answer.id = metered.id;
    answer.model = metered.model;
    answer.cost = served.cost_of(&usage, call_kind(service), counts);
    answer.usage = Some(usage);
}

/// By which of a model's prices a service is billed.
pub(super) fn call_kind(service: Service) -> CallKind {
    match service {
        Service::Embeddings => CallKind::Embedding,
        Service::Moderations => CallKind::Other,
        Service::Speech => CallKind::Speech,
        Service::Transcriptions | Service::Translations => CallKind::Transcription,
        Service::Rerank => CallKind::Rerank,
        Service::Images => CallKind::Image,
    }
}

/// An answer that is passed on byte for byte: sound, or events.
#[derive(Debug)]
struct Passage {
    service: Service,
    /// Looks for usage; absent where the answer is sound.
    events: Option<SseReader>,
    observed: Observed,
}

impl Passage {
    fn new(service: Service, asked: &Asked, is_events: bool) -> Self {
        let usage =
            (asked.characters > 0).then(|| Usage { characters: asked.characters, ..Usage::default() });
        let observed = Observed { dialect: Some(Dialect::OpenaiChat), usage, ..Observed::default() };
        Self { service, events: is_events.then(SseReader::default), observed }
    }
}

impl StreamRelay for Passage {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BadReply> {
        out.extend_from_slice(bytes);
        self.observed.has_content |= !bytes.is_empty();
        let Some(events) = &mut self.events else { return Ok(()) };
        events.push(bytes)?;
        while let Some(event) = events.next_event()? {
            if let Some(usage) = service::read_event(self.service, event.data.trim()) {
                let characters = self.observed.usage.as_ref().map_or(0, |usage| usage.characters);
                self.observed.usage = Some(Usage { characters, ..usage });
            }
        }
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> Result<(), BadReply> {
        self.observed.complete = true;
        Ok(())
    }

    fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Sound has no way to say it; the connection closes without a proper end.
    fn write_error(&mut self, error: &ErrorReply, out: &mut Vec<u8>) {
        if self.events.is_some() {
            write_event(Some("error"), &Dialect::OpenaiChat.codec().write_error(error), out);
        }
    }
}
