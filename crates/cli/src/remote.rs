//! Talks to a running gateway.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use std::time::Duration;
use tollway::Secret;
use tollway::transport::{ProviderBody, Transport, TransportErrorKind, TransportOptions};

use crate::args::RemoteArgs;
use crate::output::Failure;

/// A gateway at an address.
pub(crate) struct Remote {
    transport: Transport,
    url: String,
    key: Option<Secret>,
}

/// Long enough for a model that thinks first.
const PATIENCE: Duration = Duration::from_secs(600);

impl Remote {
    pub(crate) fn new(args: &RemoteArgs) -> Self {
        let key = args.key.clone().or_else(|| std::env::var("LITELLM_MASTER_KEY").ok());
        Self {
            transport: Transport::new(TransportOptions::default()),
            url: args.url.trim_end_matches('/').to_owned(),
            key: key.map(Secret::new),
        }
    }

    /// Sends a request; an error status is an error with the gateway's own words.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<ProviderBody>, Failure> {
        let address = format!("{}{path}", self.url);
        let uri: Uri = address.parse().map_err(|_| Failure::new(format!("`{address}` is not an address")))?;
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let mut request = Request::new(Full::new(bytes));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        if body.is_some() {
            request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        }
        if let Some(key) = self.key.as_ref().and_then(|key| key.header("Bearer ")) {
            request.headers_mut().insert(AUTHORIZATION, key);
        }
        let response = self.transport.send(|| request.clone(), true, PATIENCE).await.map_err(|error| {
            let hint = match error.kind {
                TransportErrorKind::Refused => "; is the gateway running? start it with `tollway`",
                _ => "",
            };
            Failure::new(format!("{}: {error}{hint}", self.url))
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let told: Option<Value> = serde_json::from_slice(&body).ok();
        let message = told.as_ref().and_then(|told| {
            told.pointer("/error/message").or_else(|| told.get("detail")).and_then(Value::as_str)
        });
        let hint = if status == http::StatusCode::UNAUTHORIZED {
            "; give a key with --key or TOLLWAY_API_KEY"
        } else {
            ""
        };
        Err(Failure::new(format!("{} said {status}: {}{hint}", self.url, message.unwrap_or("no message"))))
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        let response = self.send(Method::GET, path, None).await?;
        let body = response.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }
}

impl Remote {
    /// Sends a body and reads the answer.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let response = self.send(Method::POST, path, Some(body)).await?;
        let body = response.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }
}

/// A runtime for commands: one thread is enough.
pub(crate) fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(future))
}
