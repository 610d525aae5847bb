//! Sends requests to providers over kept-alive connections.
//!
//! A request's way: [`pool`] picks a connection of its [`host`], or has a new one opened ([`dial`]); HTTP/1.1 runs on a
//! [`line`], which the request's own task drives, HTTP/2 on a [`lane`], which many requests share; [`body`] reads the
//! answer and gives the connection back.
//!
//! Redirects are never followed: a provider's key goes to the address its deployment names, and nowhere else.

mod body;
mod connector;
mod dial;
mod error;
mod group;
mod host;
mod lane;
mod line;
mod pool;
mod tls;

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response};
use http_body_util::Full;

pub use body::ProviderBody;
use dial::Dialer;
pub use error::{TransportError, TransportErrorKind};
pub use group::keep_own_connections;
use pool::Pool;
pub use tls::{TlsOptions, TlsSetupError, client_config};

/// What a [`Transport`] is made of.
#[derive(Clone, Debug)]
pub struct TransportOptions {
    /// For opening a connection: name, TCP, proxy and TLS together.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept. Below the idle time-out of common load balancers (60 s), so that a
    /// connection is seldom found closed by the other side.
    pub pool_idle_timeout: Duration,
    /// How many unused connections to one host are kept; by each thread, where threads [keep their
    /// own](keep_own_connections).
    pub pool_max_idle_per_host: usize,
    pub tls: TlsOptions,
    /// Never through a proxy, whatever the environment says.
    pub direct: bool,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            pool_idle_timeout: Duration::from_secs(55),
            pool_max_idle_per_host: 256,
            tls: TlsOptions::default(),
            direct: false,
        }
    }
}

/// Connections to all providers. TLS, with HTTP/2 where the provider offers it, is set up on the first `https`
/// request: a gateway in front of local models never reads the system's certificates.
#[derive(Debug)]
pub struct Transport {
    options: TransportOptions,
    plain: Pool,
    secure: OnceLock<Pool>,
    unchecked: OnceLock<Pool>,
}

impl Transport {
    #[must_use]
    pub fn new(options: TransportOptions) -> Self {
        let plain = Pool::new(Dialer::plain(&options), options.clone());
        Self { options, plain, secure: OnceLock::new(), unchecked: OnceLock::new() }
    }

    /// Sends a request and waits for the head of the answer, at most for `patience`. `request` makes it, once more if it
    /// has to be sent once more. `verify: false` takes any certificate, for this request only.
    ///
    /// # Errors
    /// Says what failed on the way: see [`TransportError`].
    pub async fn send(
        &self,
        request: impl Fn() -> Request<Full<Bytes>>,
        verify: bool,
        patience: Duration,
    ) -> Result<Response<ProviderBody>, TransportError> {
        let first = request();
        let secure = first.uri().scheme() == Some(&Scheme::HTTPS);
        let pool = if secure { self.tls_pool(verify)? } else { &self.plain };
        match tokio::time::timeout(patience, pool.send(first, request)).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::new(
                TransportErrorKind::TimedOut,
                format!("no answer within {} s", seconds(patience)),
            )),
        }
    }

    fn tls_pool(&self, verify: bool) -> Result<&Pool, TransportError> {
        let verify = verify && !self.options.tls.accept_any_certificate;
        let slot = if verify { &self.secure } else { &self.unchecked };
        if let Some(pool) = slot.get() {
            return Ok(pool);
        }
        let options = TlsOptions { accept_any_certificate: !verify, ..self.options.tls.clone() };
        let config =
            client_config(&options).map_err(|error| TransportError::new(TransportErrorKind::Tls, error.0))?;
        let dialer = Dialer::tls(config, &self.options);
        Ok(slot.get_or_init(|| Pool::new(dialer, self.options.clone())))
    }
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests;
