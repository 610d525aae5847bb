//! Vectors and their answers in Qdrant (api.qdrant.tech/api-reference, read 2026-11-21), so that all instances find them and a
//! restart loses none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use tollway::transport::{Transport, TransportOptions};

use super::{Found, Guard, Match, Unit};
use crate::cache::{Cache, Entry, Key, StoreError, now_ms};
use crate::config::{QdrantSettings, Quantization};

const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// Nobody waits for what is stored.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most that is read of an answer; one point is asked for.
const MAX_BYTES: usize = 64 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Qdrant {
    settings: QdrantSettings,
    transport: Transport,
    /// Of searches alone: a write that succeeds says nothing about them.
    guard: Guard,
    /// The collection is there.
    ready: AtomicBool,
}

impl Qdrant {
    pub(super) fn new(settings: QdrantSettings, guard: Guard) -> Self {
        let options =
            TransportOptions { connect_timeout: Duration::from_secs(2), ..TransportOptions::default() };
        Self { settings, transport: Transport::new(options), guard, ready: AtomicBool::new(false) }
    }

    /// Whether a search now would be left out.
    pub(super) fn leaves_alone(&self) -> bool {
        self.guard.leaves_alone()
    }

    /// The most similar question of the context, with its answer; nothing where Qdrant does not answer in time.
    pub(super) async fn find(&self, context: &[u8; 32], vector: &Unit) -> Option<Found> {
        #[derive(Deserialize)]
        struct Answer {
            result: Vec<Point>,
        }
        #[derive(Deserialize)]
        struct Point {
            score: f32,
            payload: Payload,
        }
        let lives = json!({"key": "expires_ms", "range": {"gt": now_ms()}});
        let body = json!({
            "vector": vector.to_floats(),
            "filter": {"must": [{"key": "context", "match": {"value": BASE64.encode(context)}}, lives]},
            "limit": 1,
            "with_payload": true,
        });
        let asking = async {
            match self.ask(Method::POST, "/points/search", &body).await.map_err(StoreError::new)? {
                // There is no collection before anything was stored.
                (StatusCode::NOT_FOUND, _) => Ok(None),
                (status, answer) if status.is_success() => Ok(Some(answer)),
                refused => Err(StoreError::new(told(&refused))),
            }
        };
        let answer = self.guard.within(Cache::PATIENCE, asking).await.flatten()?;
        let Point { score, payload } = serde_json::from_slice::<Answer>(&answer).ok()?.result.pop()?;
        let answer = Entry::decode(&Bytes::from(BASE64.decode(payload.answer).ok()?))?;
        let question = Match { key: Key::parse(&payload.key)?, score, call: payload.call.into() };
        Some(Found { question, answer: Some(Arc::new(answer)) })
    }

    /// Keeps an answer with the vector of its question. A failure costs a later hit, no more.
    pub(super) async fn put(
        &self,
        context: &[u8; 32],
        vector: &Unit,
        found: &Match,
        entry: &Entry,
    ) -> Result<(), String> {
        if !self.ready.load(Ordering::Relaxed) {
            self.prepare(vector.len()).await?;
            self.ready.store(true, Ordering::Relaxed);
        }
        let payload = json!({
            "tollway": true,
            "context": BASE64.encode(context),
            "expires_ms": entry.expires_ms,
            "key": found.key.to_string(),
            "call": &*found.call,
            "answer": BASE64.encode(entry.encode()),
        });
        let point = json!({"id": id(&found.key), "vector": vector.to_floats(), "payload": payload});
        let answer = self.ask(Method::PUT, "/points", &json!({"points": [point]})).await?;
        // Somebody has taken the collection away.
        self.ready.store(answer.0 != StatusCode::NOT_FOUND, Ordering::Relaxed);
        if answer.0.is_success() { Ok(()) } else { Err(told(&answer)) }
    }

    /// Takes out what is ours.
    pub(super) async fn clear(&self) -> Result<(), String> {
        let ours = json!({"filter": {"must": [{"key": "tollway", "match": {"value": true}}]}});
        match self.ask(Method::POST, "/points/delete?wait=true", &ours).await? {
            (status, _) if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            refused => Err(told(&refused)),
        }
    }

    /// Makes the collection, if it is not there, and lets it be searched by context.
    async fn prepare(&self, width: usize) -> Result<(), String> {
        let (status, _) = self.ask(Method::GET, "", &Value::Null).await?;
        if status == StatusCode::NOT_FOUND {
            let collection = json!({
                "vectors": {"size": width, "distance": "Cosine"},
                "quantization_config": self.settings.quantization.map(config_of),
            });
            self.ask(Method::PUT, "", &collection).await?;
        }
        for (field, schema) in [("context", "keyword"), ("expires_ms", "integer")] {
            let index = json!({"field_name": field, "field_schema": schema});
            self.ask(Method::PUT, "/index", &index).await?;
        }
        Ok(())
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<(StatusCode, Bytes), String> {
        let QdrantSettings { base, key, collection, .. } = &self.settings;
        let collection = utf8_percent_encode(collection, NON_ALPHANUMERIC);
        let uri = format!("{}/collections/{collection}{path}", base.trim_end_matches('/'));
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        if let Some(host) =
            request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok())
        {
            request.headers_mut().insert(HOST, host);
        }
        if let Some(key) = key.as_ref().and_then(|key| key.header("")) {
            request.headers_mut().insert(API_KEY, key);
        }
        let response = self
            .transport
            .send(|| request.clone(), true, PATIENCE)
            .await
            .map_err(|error| error.to_string())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
        Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
    }
}

/// LiteLLM's settings of each kind.
fn config_of(quantization: Quantization) -> Value {
    match quantization {
        Quantization::Binary => json!({"binary": {"always_ram": false}}),
        Quantization::Scalar => json!({"scalar": {"type": "int8", "quantile": 0.99, "always_ram": false}}),
        Quantization::Product => json!({"product": {"compression": "x16", "always_ram": false}}),
    }
}

/// A refusal, for the operator.
fn told((status, answer): &(StatusCode, Bytes)) -> String {
    format!("Qdrant answered {status}: {}", String::from_utf8_lossy(answer))
}

/// What is kept with a vector.
#[derive(Deserialize)]
struct Payload {
    key: String,
    call: String,
    /// An [`Entry`], in base64.
    answer: String,
}

/// A point's id is a UUID; 128 bits of the key's 256 are enough to tell them apart.
fn id(key: &Key) -> String {
    let hex = key.hex();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}
