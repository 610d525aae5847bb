//! Sends requests to providers over pooled keep-alive connections.
//!
//! Redirects are never followed: a provider's key goes to the address its deployment names, and nowhere else.

mod connector;
mod tls;

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use dialects::ErrorClass;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use connector::Connector;
pub(crate) use tls::client_config;
pub use tls::{TlsOptions, TlsSetupError};

/// What a [`Transport`] is made of.
#[derive(Clone, Debug)]
pub struct TransportOptions {
    /// From the first packet to an open TCP connection.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept. Below the idle time-out of common load balancers (60 s), so that a
    /// connection is seldom found closed by the other side.
    pub pool_idle_timeout: Duration,
    /// How many unused connections to one host are kept.
    pub pool_max_idle_per_host: usize,
    pub tls: TlsOptions,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            pool_idle_timeout: Duration::from_secs(55),
            pool_max_idle_per_host: 256,
            tls: TlsOptions::default(),
        }
    }
}

type Pool<C> = Client<C, Full<Bytes>>;

/// A pool of connections to all providers. TLS, with HTTP/2 where the provider offers it, is set up on the first
/// `https` request: a gateway in front of local models never reads the system's certificates.
#[derive(Debug)]
pub struct Transport {
    options: TransportOptions,
    plain: Pool<Connector>,
    secure: OnceLock<Pool<HttpsConnector<Connector>>>,
    unchecked: OnceLock<Pool<HttpsConnector<Connector>>>,
}

impl Transport {
    #[must_use]
    pub fn new(options: TransportOptions) -> Self {
        let plain = builder(&options).build(Connector::new(options.connect_timeout));
        Self { options, plain, secure: OnceLock::new(), unchecked: OnceLock::new() }
    }

    /// Sends `request` and waits for the head of the answer, at most for `patience`. `verify: false` takes any
    /// certificate, for this request only.
    ///
    /// # Errors
    /// Says what failed on the way: see [`TransportError`].
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        verify: bool,
        patience: Duration,
    ) -> Result<Response<Incoming>, TransportError> {
        let answer = if request.uri().scheme() == Some(&http::uri::Scheme::HTTPS) {
            self.tls_pool(verify)?.request(request)
        } else {
            self.plain.request(request)
        };
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(TransportError::of(&error)),
            Err(_) => Err(TransportError {
                kind: TransportErrorKind::TimedOut,
                detail: format!("no answer within {} s", seconds(patience)),
            }),
        }
    }

    fn tls_pool(&self, verify: bool) -> Result<&Pool<HttpsConnector<Connector>>, TransportError> {
        let verify = verify && !self.options.tls.accept_any_certificate;
        let slot = if verify { &self.secure } else { &self.unchecked };
        if let Some(pool) = slot.get() {
            return Ok(pool);
        }
        let options = TlsOptions { accept_any_certificate: !verify, ..self.options.tls.clone() };
        let config = tls::client_config(&options)
            .map_err(|error| TransportError { kind: TransportErrorKind::Tls, detail: error.0 })?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(Connector::new(self.options.connect_timeout));
        Ok(slot.get_or_init(|| builder(&self.options).build(connector)))
    }
}

fn builder(options: &TransportOptions) -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_idle_timeout(options.pool_idle_timeout)
        .pool_max_idle_per_host(options.pool_max_idle_per_host)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http2_adaptive_window(true)
        .http1_max_headers(256);
    builder
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// A request got no answer, or only part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError {
    pub kind: TransportErrorKind,
    /// The cause, in words; holds no secrets (no headers, no query).
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportErrorKind {
    /// The address does not exist or nobody listens.
    Refused,
    /// No connection in time.
    ConnectTimedOut,
    /// The certificate is not accepted, or no common protocol.
    Tls,
    /// The connection broke before or in the answer.
    Broken,
    /// No answer, or no more of it, in time.
    TimedOut,
    /// The answer is not HTTP, or beyond a limit.
    Garbage,
}

impl TransportErrorKind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::ConnectTimedOut => "connection timed out",
            Self::Tls => "TLS failed",
            Self::Broken => "connection broken",
            Self::TimedOut => "timed out",
            Self::Garbage => "unreadable answer",
        }
    }

    #[must_use]
    pub fn class(self) -> ErrorClass {
        match self {
            Self::TimedOut | Self::ConnectTimedOut => ErrorClass::Timeout,
            Self::Refused | Self::Tls | Self::Broken | Self::Garbage => ErrorClass::Connection,
        }
    }
}

impl TransportError {
    fn of(error: &hyper_util::client::legacy::Error) -> Self {
        let kind = if error.is_connect() { connect_kind(error) } else { exchange_kind(error) };
        Self { kind, detail: innermost(error) }
    }

    /// The body of the answer could not be read to its end.
    #[must_use]
    pub fn in_body(error: &hyper::Error) -> Self {
        Self { kind: exchange_kind(error), detail: innermost(error) }
    }
}

fn sources<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

fn connect_kind(error: &(dyn Error + 'static)) -> TransportErrorKind {
    for cause in sources(error) {
        if cause.is::<rustls::Error>() {
            return TransportErrorKind::Tls;
        }
        let Some(io) = cause.downcast_ref::<io::Error>() else { continue };
        if io.kind() == io::ErrorKind::TimedOut {
            return TransportErrorKind::ConnectTimedOut;
        }
        if io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
            return TransportErrorKind::Tls;
        }
    }
    TransportErrorKind::Refused
}

fn exchange_kind(error: &(dyn Error + 'static)) -> TransportErrorKind {
    let garbage =
        sources(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_parse);
    if garbage { TransportErrorKind::Garbage } else { TransportErrorKind::Broken }
}

/// The last cause says most; the ones above it repeat each other.
fn innermost(error: &(dyn Error + 'static)) -> String {
    sources(error).last().map(ToString::to_string).unwrap_or_default()
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.detail)
    }
}

impl Error for TransportError {}
