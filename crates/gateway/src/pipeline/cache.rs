//! Was this asked before? If so, the answer is given again; if not, it is recorded on its way to the client.

mod items;
mod similar;

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dialects::Dialect;
use dialects::conversation::Usage;
use dialects::document::Document;
use dialects::service::{Form, Service};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::de::IgnoredAny;

use super::receive::{self, Wishes};
use super::stream::Format;
use super::{Reply, Running, answer, settle};
use crate::Gateway;
use crate::body::AnswerBody;
use crate::cache::{
    Cache, Controls, Declined, Entry, Facts, Form as Told, Found as Similarity, Key, KeyWriter, Landing,
    Lease, Match, Seat, Stop, Write,
};
use crate::exchange::{AnswerFacts, Bodies, CacheState, CacheUse, Exchange, Outcome, Saved};
use crate::operation::Operation;
use crate::refusal::Refusal;
use crate::snapshot::{Group, Snapshot};
use crate::time_limit::within;
use items::Items;
use similar::Wording;

/// A request, as far as it decides about the answer.
pub(super) struct Question<'q> {
    /// Without the fields that speak to the gateway.
    pub document: &'q Document<'q>,
    pub form: Option<&'q Form<'q>>,
    pub model: &'q str,
    pub wishes: &'q Wishes,
    pub headers: &'q HeaderMap,
    pub format: Format,
}

/// What the cache says.
pub(super) enum Found {
    Answer(Known),
    /// The model has to be asked, and its answer is to be recorded, if there is a recording.
    Nothing(Option<Recording>),
}

/// An answer that was given before.
#[derive(Debug)]
pub(super) struct Known {
    entry: Arc<Entry>,
    key: Key,
    state: CacheState,
    items: Option<(usize, usize)>,
    /// The question that it was given to, if that was another one.
    similar: Option<Match>,
}

/// Looks the question up. Where somebody else is asking it, that answer is waited for.
///
/// # Errors
/// A 408, when the other's answer does not come within this request's own time-out.
pub(super) async fn look_up(
    running: &mut Running,
    snapshot: &Snapshot,
    question: &Question<'_>,
) -> Result<Found, Refusal> {
    let Some(cache) = running.gateway.cache() else { return Ok(Found::Nothing(None)) };
    let exchange = &mut running.exchange;
    if !exchange.operation.is_cacheable() {
        return Ok(Found::Nothing(None));
    }
    // An unknown model is refused where it is routed.
    let Some(group) = snapshot.group(question.model) else { return Ok(Found::Nothing(None)) };
    let mut controls = question.wishes.cache.clone();
    if question.wishes.caching == Some(false) {
        (controls.no_cache, controls.no_store) = (true, true);
    }
    // Nothing is that new.
    controls.no_cache |= controls.max_age.is_some_and(|age| age.is_zero());
    let admitted = cache.takes(exchange.operation, &controls).and_then(|()| repeatable(&cache, question));
    if let Err(why) = admitted {
        exchange.cache = Some(Box::new(CacheUse::new(CacheState::Declined(why), None)));
        return Ok(Found::Nothing(None));
    }
    exchange.group = Some(Arc::clone(&group.name));
    let namespace = controls.namespace.as_deref().or(cache.settings.namespace.as_deref());
    let wording = wording(&cache, exchange, snapshot, &group, question, namespace);
    let mut writer = writer(exchange, snapshot, &group, question);
    let is_embeddings = exchange.operation == Operation::Forward(Service::Embeddings);
    let items = is_embeddings.then(|| Items::read(question.document, &writer, namespace)).flatten();
    if let Some(input) = question.document.get("input").filter(|_| is_embeddings) {
        writer.json("input", input);
    }
    let key = writer.finish(namespace);
    exchange.cache = Some(Box::new(CacheUse::new(CacheState::Miss, Some(key.clone()))));
    let told = match (exchange.stream, question.format) {
        (false, _) => Told::Whole,
        (true, Format::Events) => Told::Events,
        (true, Format::Array) => Told::Array,
    };
    let ttl = controls.ttl.unwrap_or(cache.settings.ttl);
    let patience = patience(&group, exchange.stream, question.wishes);
    let (stores, body) = (!controls.no_store, Vec::new());
    let mut recording = Recording { cache, key, lease: None, ttl, told, body, stores, items, wording };
    if controls.no_cache {
        return Ok(Found::Nothing(Some(recording)));
    }
    // Large, and not there at all where nothing is cached: kept out of every request's future.
    let waiting = Box::pin(recording.find(&controls));
    match within(patience, waiting).await {
        Ok(Some((entry, state))) => {
            let items = recording.items.as_ref().map(|items| (items.len(), items.len()));
            Ok(Found::Answer(Known { entry, key: recording.key.clone(), state, items, similar: None }))
        }
        Ok(None) if recording.wording.is_some() => {
            let gateway = Arc::clone(&running.gateway);
            Ok(match Box::pin(recording.find_similar(&gateway, &controls)).await {
                Some(known) => Found::Answer(known),
                None => Found::Nothing(recording.stores.then_some(recording)),
            })
        }
        Ok(None) => Ok(Found::Nothing((recording.stores || recording.items.is_some()).then_some(recording))),
        Err(_) => Err(Refusal::of_status(
            408,
            format!(
                "litellm.Timeout: the same question is being asked already, and its answer did not come within {} s",
                patience.as_secs_f64()
            ),
        )),
    }
}

/// Whether the same request would have the same answer.
fn repeatable(cache: &Cache, question: &Question<'_>) -> Result<(), Declined> {
    let document = question.document;
    if let (Some(most), Some(messages)) = (cache.settings.max_messages, document.get("messages")) {
        let count = serde_json::from_str::<Vec<IgnoredAny>>(messages).map_or(0, |messages| messages.len());
        if count as u64 > most {
            return Err(Declined::TooManyMessages);
        }
    }
    // Of several answers only the first is known to have come to its end.
    let several = |text: Option<&str>| text.is_some_and(|count| !matches!(count, "null" | "1"));
    let candidates = document.get("generationConfig").is_some_and(|config| {
        let asked = ["candidateCount", "candidate_count"].iter().any(|name| config.contains(name));
        asked && !config.contains(r#""candidateCount":1"#)
    });
    // What a provider's own memory adds is not in the request.
    let remembers = ["conversation", "container"].iter().any(|name| document.has(name));
    if several(document.get("n"))
        || several(document.get("best_of"))
        || candidates
        || remembers
        || document.get("background") == Some("true")
    {
        return Err(Declined::NotRepeatable);
    }
    Ok(())
}

/// What decides about the answer, but for an embeddings request's input.
fn writer(exchange: &Exchange, snapshot: &Snapshot, group: &Group, question: &Question<'_>) -> KeyWriter {
    let mut writer = KeyWriter::default();
    let operation = match exchange.operation {
        Operation::Forward(service) => service.name(),
        operation => operation.name(),
    };
    writer.part("operation", operation.as_bytes());
    for part in exchange.caller.identity.cache_scope() {
        writer.part("scope", part.as_bytes());
    }
    writer.part("group", group.name.as_bytes());
    for served in &group.members {
        writer.part("deployment", &served.fingerprint);
    }
    // It stands in the answer.
    writer.part("model", question.model.as_bytes());
    if exchange.stream {
        writer.part("stream", if question.format == Format::Events { b"events" } else { b"array" });
    }
    if snapshot.always_include_stream_usage {
        writer.part("usage", b"always");
    }
    let Wishes { drop_params, additional_drop_params, allowed_openai_params, .. } = question.wishes;
    if let Some(drop) = drop_params {
        writer.part("drop_params", &[u8::from(*drop)]);
    }
    for (name, list) in
        [("additional_drop_params", additional_drop_params), ("allowed_openai_params", allowed_openai_params)]
    {
        for param in list.iter().flatten() {
            writer.part(name, param.as_bytes());
        }
    }
    for (name, value) in question.headers {
        let name = name.as_str();
        if name == "anthropic-beta" || (snapshot.forward_client_headers && may_change_answers(name)) {
            writer.part(name, value.as_bytes());
        }
    }
    writer.document(question.document, |name| left_out(exchange.operation, name));
    for part in question.form.into_iter().flat_map(Form::opaque_parts) {
        writer.part("part", part);
    }
    writer
}

/// What of the request may be said in other words, if similar questions are looked for.
fn wording(
    cache: &Cache,
    exchange: &Exchange,
    snapshot: &Snapshot,
    group: &Group,
    question: &Question<'_>,
    namespace: Option<&str>,
) -> Option<Wording> {
    let settings = &cache.similar()?.settings;
    let (rest, text) = similar::split(exchange.operation, question.document)?;
    let mut writer = writer(exchange, snapshot, group, &Question { document: &rest, ..*question });
    writer.part("embedding_model", settings.embedding_model.as_bytes());
    if settings.by_end_user {
        let user = question.document.text("user").ok().flatten().unwrap_or_default();
        writer.part("end_user", user.as_bytes());
    }
    Some(Wording { context: writer.finish(namespace).digest(), text, vector: None })
}

/// Fields that name who asks or what for, and change nothing about the answer. Responses repeats them in its answer, so
/// there they count.
fn left_out(operation: Operation, name: &str) -> bool {
    match operation {
        Operation::Converse(Dialect::OpenaiResponses | Dialect::Gemini) => false,
        Operation::Forward(Service::Embeddings) => matches!(name, "user" | "metadata" | "input"),
        _ => matches!(name, "user" | "metadata" | "safety_identifier" | "prompt_cache_key"),
    }
}

/// Clients' `x-…` headers that are sent on, but for those that proxies put on every request.
fn may_change_answers(name: &str) -> bool {
    const OF_THE_WAY: [&str; 9] = [
        "x-litellm-",
        "x-stainless-",
        "x-forwarded-",
        "x-request-",
        "x-correlation-",
        "x-amzn-",
        "x-cloud-trace-",
        "x-b3-",
        "x-datadog-",
    ];
    name.starts_with("x-")
        && !OF_THE_WAY.iter().any(|start| name.starts_with(start))
        && !matches!(name, "x-api-key" | "x-goog-api-key" | "x-real-ip")
}

/// How long this request would wait for a model.
fn patience(group: &Group, stream: bool, wishes: &Wishes) -> Duration {
    let timeouts = group.members.iter().map(|served| &served.deployment.timeouts);
    let own = |total: Duration, streamed: Option<Duration>| {
        let total = wishes.timeout.unwrap_or(total);
        if stream { wishes.stream_timeout.or(streamed).unwrap_or(total) } else { total }
    };
    timeouts.map(|timeouts| own(timeouts.total, timeouts.stream)).max().unwrap_or(Duration::MAX)
}

/// An answer is kept as the client gets it. Dropped before its end, it passes the right to ask to the next who waits.
#[derive(Debug)]
pub(super) struct Recording {
    cache: Arc<Cache>,
    key: Key,
    lease: Option<Lease>,
    ttl: Duration,
    told: Told,
    body: Vec<u8>,
    stores: bool,
    items: Option<Items>,
    wording: Option<Wording>,
}

impl Recording {
    /// The answer, if it is stored or somebody else gets it; else the right to ask.
    async fn find(&mut self, controls: &Controls) -> Option<(Arc<Entry>, CacheState)> {
        let fresh = |entry: &Entry| controls.max_age.is_none_or(|most| entry.age() <= most);
        let mut lead = None;
        loop {
            let landed = self.cache.landed();
            let stored = match &mut self.items {
                Some(items) => items.find(&self.cache, fresh).await,
                None => self.cache.get(slice::from_ref(&self.key)).await.pop().flatten(),
            };
            if let Some(entry) = stored.filter(|entry| fresh(entry)) {
                return Some((entry, CacheState::Hit));
            }
            if !self.stores {
                return None;
            }
            if lead.is_some() {
                self.lease = lead;
                return None;
            }
            let follower = match self.cache.board(&self.key) {
                // The last leader's answer may have been stored just after we looked.
                Seat::Lead(lease) if self.cache.landed() != landed => {
                    lead = Some(lease);
                    continue;
                }
                Seat::Lead(lease) => {
                    self.lease = Some(lease);
                    return None;
                }
                Seat::Follow(follower) => follower,
            };
            match follower.wait().await {
                Landing::Answered(entry) if fresh(&entry) => return Some((entry, CacheState::Joined)),
                Landing::Answered(_) | Landing::Released => return None,
                // Whoever comes first leads now.
                Landing::Failed | Landing::Aloft => {}
            }
        }
    }

    /// The answer to a similar question, if there is one. Who waits for this question's own answer gets it too.
    async fn find_similar(&mut self, gateway: &Arc<Gateway>, controls: &Controls) -> Option<Known> {
        let similar = self.cache.similar()?;
        let wording = self.wording.as_mut()?;
        // Who has waited for a store that fails does not wait for vectors, which may be on the same server.
        if !self.cache.is_well() || !similar.knows(&wording.context).await {
            return None;
        }
        let text = wording.text.clone();
        let vector = similar::embed(Arc::clone(gateway), Arc::clone(&self.cache), text).await?;
        wording.vector = Some(vector.clone());
        let Similarity { question: found, answer } = similar.find(wording.context, vector).await?;
        let entry = match answer {
            Some(entry) => entry,
            None => self.cache.get(slice::from_ref(&found.key)).await.pop().flatten()?,
        };
        if controls.max_age.is_some_and(|most| entry.age() > most) {
            return None;
        }
        if let Some(lease) = self.lease.take() {
            lease.land(Arc::clone(&entry));
        }
        let (key, state) = (found.key.clone(), CacheState::Similar);
        Some(Known { entry, key, state, items: None, similar: Some(found) })
    }

    /// What is left to ask for of an embeddings request's input, where some of it is known.
    pub(super) fn unknown_items(&self) -> Option<String> {
        self.items.as_ref().and_then(Items::unknown)
    }

    /// The client gets these bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.stores {
            return;
        }
        if (self.body.len() + bytes.len()) as u64 > self.cache.settings.max_entry_bytes {
            self.stores = false;
            self.body = Vec::new();
            self.release();
            return;
        }
        self.body.extend_from_slice(bytes);
    }

    /// The answer came to its end with these bytes.
    pub(super) fn end(mut self, running: &Running, last: &[u8]) {
        self.push(last);
        let facts = self.stores.then(|| facts(running, self.told)).flatten();
        let Some(facts) = facts else { return self.release() };
        let entry = Entry::new(facts, Bytes::from(std::mem::take(&mut self.body)), self.ttl);
        if let Some(wording) = self.wording.take() {
            let (key, id) = (self.key.clone(), &running.exchange.id);
            similar::remember(&running.gateway, &self.cache, wording, key, id, Arc::clone(&entry));
        }
        let mut lease = self.lease.take();
        if let Some(lease) = &mut lease {
            lease.land(Arc::clone(&entry));
        }
        let writes = match self.items.take() {
            Some(items) => items.into_writes(self.ttl),
            None => vec![Write { key: self.key.clone(), entry }],
        };
        self.cache.keep(writes, lease);
    }

    fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.release();
        }
    }
}

/// What is kept beside the answer; `None` if the answer is not to be given again.
fn facts(running: &Running, told: Told) -> Option<Facts> {
    let exchange = &running.exchange;
    // What another group answered is no answer of this one when it is well again.
    if exchange.fallbacks > 0 || !matches!(exchange.outcome, Outcome::Running | Outcome::Answered) {
        return None;
    }
    let (stop, content_type) = match exchange.operation {
        Operation::Converse(_) => (Stop::of(exchange.answer.stop.as_ref()?)?, None),
        Operation::Forward(_) | Operation::CountTokens(_) => {
            (Stop::None, receive::header(&running.provider_headers, CONTENT_TYPE.as_str()).map(str::to_owned))
        }
    };
    let usage = exchange.answer.usage.as_ref();
    Some(Facts {
        form: told,
        content_type,
        id: exchange.answer.id.clone(),
        model: exchange.answer.model.clone(),
        stop,
        input_tokens: usage.map_or(0, |usage| usage.input),
        output_tokens: usage.map_or(0, |usage| usage.output),
        cost_nano: exchange.answer.cost.as_ref().map_or(0, |cost| cost.total().0),
        took_ms: u64::try_from(exchange.upstream_time.as_millis()).unwrap_or(u64::MAX),
    })
}

/// Sees to it that the answer is kept.
pub(super) fn record(running: &mut Running, recording: Option<Recording>, reply: Reply) -> Reply {
    let Some(mut recording) = recording else { return reply };
    match reply {
        Reply::Whole(body) => {
            let body = match &mut recording.items {
                Some(items) => items.complete(&mut running.exchange, body),
                None => body,
            };
            recording.end(running, &body);
            Reply::Whole(body)
        }
        Reply::Stream(mut stream) => {
            // A provider may stream what was not asked as a stream (sound, transcripts).
            if running.exchange.stream && recording.told == Told::Whole {
                recording.told = Told::Events;
            }
            stream.record(recording);
            Reply::Stream(stream)
        }
        known @ Reply::Known(_) => known,
    }
}

const CACHE_KEY: HeaderName = HeaderName::from_static("x-litellm-cache-key");
const SIMILARITY: HeaderName = HeaderName::from_static("x-litellm-semantic-similarity");

/// Gives a known answer again.
pub(super) fn respond(mut running: Running, known: &Known) -> Response<AnswerBody> {
    let Known { entry, key, state, items, similar } = known;
    let Facts { form, stop, input_tokens, output_tokens, .. } = entry.facts;
    let streamed = matches!(form, Told::Events | Told::Array);
    let exchange = &mut running.exchange;
    exchange.stream = streamed;
    exchange.answer = AnswerFacts {
        id: entry.facts.id.clone(),
        model: entry.facts.model.clone(),
        stop: stop.reason(),
        usage: Some(Usage { input: input_tokens, output: output_tokens, ..Usage::default() }),
        ..AnswerFacts::default()
    };
    let saved = Saved {
        tokens: input_tokens.saturating_add(output_tokens),
        cost: entry.cost(),
        time: Duration::from_millis(entry.facts.took_ms),
    };
    let mut used = CacheUse::new(*state, Some(key.clone()));
    (used.age, used.saved, used.items) = (Some(entry.age()), saved, *items);
    used.similar.clone_from(similar);
    exchange.cache = Some(Box::new(used));
    if let Some(bodies) = &mut exchange.bodies {
        Bodies::keep(&mut bodies.client_response, &entry.body);
    }
    settle::measure(&mut running);
    let mut headers = answer::common_headers(&running);
    let kind = match (&entry.facts.content_type, form) {
        (Some(kind), _) => HeaderValue::from_str(kind).unwrap_or(answer::JSON),
        (None, Told::Events) => HeaderValue::from_static("text/event-stream; charset=utf-8"),
        (None, Told::Whole | Told::Array | Told::Item) => answer::JSON,
    };
    headers.insert(CONTENT_TYPE, kind);
    answer::put(&mut headers, CACHE_KEY, &key.to_string());
    if let Some(found) = similar {
        answer::put(&mut headers, SIMILARITY, &found.score.to_string());
    }
    if streamed {
        running.exchange.first_token = Some(running.exchange.duration);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    } else {
        // As LiteLLM: what the answer cost when it was made. This time it cost nothing.
        answer::put_cost(&mut headers, entry.cost());
        answer::put_durations(&mut headers, running.exchange.duration, running.exchange.duration);
    }
    settle::finished(&mut running);
    answer::respond(StatusCode::OK, headers, AnswerBody::Whole(entry.body.clone()))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::path::Path;

    use http::HeaderName;

    use super::*;
    use crate::config::{Config, Sources};
    use crate::exchange::{Caller, Identity};

    const CHAT: Operation = Operation::Converse(Dialect::OpenaiChat);

    fn snapshot(settings: &str) -> Snapshot {
        let none = |_: &str| None;
        let no_file = |path: &Path| Err(std::io::Error::other(path.display().to_string()));
        let any = |_: &str, _: Option<&str>| Ok(());
        let sources = Sources { environment: &none, file: &no_file, provider: &any };
        let loaded = Config::from_text(Path::new("config.yaml"), settings, &sources);
        Snapshot::build(&loaded.config.unwrap(), Vec::new())
    }

    fn model(params: &str) -> Snapshot {
        snapshot(&format!(
            "model_list: [{{model_name: m, litellm_params: {{model: openai/gpt-4o, api_key: k, {params}}}}}]"
        ))
    }

    struct Asked<'a> {
        snapshot: &'a Snapshot,
        operation: Operation,
        identity: Identity,
        headers: &'a [(&'static str, &'static str)],
        namespace: Option<&'a str>,
    }

    impl Asked<'_> {
        fn key(&self) -> [u8; 32] {
            let caller = Caller {
                ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
                user_agent: None,
                identity: self.identity.clone(),
            };
            let exchange = Exchange::begin("id".to_owned(), self.operation, "/", caller);
            let document = Document::of(r#"{"model":"m","messages":[]}"#).unwrap();
            let headers = self
                .headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let question = Question {
                document: &document,
                form: None,
                model: "m",
                wishes: &Wishes::default(),
                headers: &headers.collect(),
                format: Format::Events,
            };
            let group = self.snapshot.group("m").unwrap();
            writer(&exchange, self.snapshot, &group, &question).finish(self.namespace).digest()
        }
    }

    fn asked(snapshot: &Snapshot) -> Asked<'_> {
        Asked { snapshot, operation: CHAT, identity: Identity::Master, headers: &[], namespace: None }
    }

    #[test]
    fn no_callers_question_is_anothers() {
        let snapshot = model("");
        let own = asked(&snapshot).key();
        assert_eq!(own, asked(&snapshot).key());
        assert_ne!(own, Asked { identity: Identity::Local, ..asked(&snapshot) }.key());
        assert_ne!(own, Asked { namespace: Some("a"), ..asked(&snapshot) }.key());
    }

    #[test]
    fn an_operation_is_part_of_the_question() {
        let snapshot = model("");
        let mut keys: Vec<[u8; 32]> =
            Operation::ALL.map(|operation| Asked { operation, ..asked(&snapshot) }.key()).to_vec();
        keys.sort_unstable();
        keys.dedup();
        // Counting has one name in both dialects, and is never cached.
        assert_eq!(keys.len(), Operation::ALL.len() - 1);
    }

    #[test]
    fn a_deployment_that_answers_differently_makes_another_question() {
        let key = |params: &str| asked(&model(params)).key();
        let plain = key("");
        for other in
            ["temperature: 0.1", "drop_params: true", "api_base: 'https://other'", "mock_response: hi"]
        {
            assert_ne!(plain, key(other), "{other}");
        }
        for same in ["rpm: 7", "timeout: 3", "weight: 2"] {
            assert_eq!(plain, key(same), "{same}");
        }
    }

    #[test]
    fn headers_count_where_they_reach_the_provider() {
        let snapshots = [
            model(""),
            snapshot(
                "general_settings: {forward_client_headers_to_llm_api: true}\n\
             model_list: [{model_name: m, litellm_params: {model: openai/gpt-4o, api_key: k}}]",
            ),
        ];
        let differs = |snapshot: &Snapshot, headers: &'static [(&'static str, &'static str)]| {
            asked(snapshot).key() != Asked { headers, ..asked(snapshot) }.key()
        };
        let [kept, forwarded] = &snapshots;
        assert!(differs(kept, &[("anthropic-beta", "new")]));
        assert!(!differs(kept, &[("x-tone", "polite")]));
        assert!(differs(forwarded, &[("x-tone", "polite")]));
        assert!(!differs(forwarded, &[("x-request-id", "1"), ("x-forwarded-for", "2"), ("accept", "3")]));
    }
}
