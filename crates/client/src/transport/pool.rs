//! Requests on kept connections: by which one a request goes, and when it is sent once more.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::header::HOST;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::Full;

use super::TransportOptions;
use super::body::ProviderBody;
use super::dial::{self, Dialer};
use super::error::{TransportError, TransportErrorKind};
use super::group::group;
use super::host::Host;
use super::lane::{Lane, Lease};
use super::line::Line;

type Outgoing = Request<Full<Bytes>>;

/// Connections of one kind (plain, or TLS with one way of checking certificates) to any number of hosts.
#[derive(Debug)]
pub(super) struct Pool {
    dialer: Dialer,
    options: TransportOptions,
    /// For each [group](group()) of threads, by authority.
    hosts: RwLock<Vec<HashMap<Box<str>, Arc<Host>>>>,
}

/// A request that got no answer.
struct Unanswered {
    error: TransportError,
    /// The connection had been closed before the request reached anyone, as far as can be known: not a byte came back.
    stale: bool,
}

impl Pool {
    pub(super) fn new(dialer: Dialer, options: TransportOptions) -> Self {
        Self { dialer, options, hosts: RwLock::default() }
    }

    /// Sends `request` and waits for the head of its answer; `again` makes the same request.
    ///
    /// A server may close an unused connection at any time, also while a request is on its way to it. So a request
    /// that went out on a kept connection and found it closed, without a byte of an answer, is sent once more on a new
    /// one, as browsers do.
    pub(super) async fn send(
        &self,
        request: Outgoing,
        again: impl Fn() -> Outgoing,
    ) -> Result<Response<ProviderBody>, TransportError> {
        let host = self.host(request.uri())?;
        let kept = if let Some(line) = host.idle_line() {
            on_line(line, &host, request).await
        } else if let Some(lease) = host.lease() {
            on_lane(lease, request).await
        } else {
            // Seldom needed and large, so it is kept out of every request's future.
            return Box::pin(self.send_anew(&host, request)).await;
        };
        match kept {
            Ok(response) => Ok(response),
            Err(unanswered) if !unanswered.stale => Err(unanswered.error),
            Err(_) => Box::pin(self.send_anew(&host, again())).await,
        }
    }

    /// Sends on a connection that is opened for it.
    async fn send_anew(
        &self,
        host: &Arc<Host>,
        request: Outgoing,
    ) -> Result<Response<ProviderBody>, TransportError> {
        let socket = self.dialer.dial(request.uri()).await?;
        let sent = if dial::speaks_http2(&socket) {
            // Another request may have opened one meanwhile.
            let lease = match host.lease() {
                Some(lease) => Some(lease),
                None => {
                    host.add(Lane::over(socket).await.map_err(|error| TransportError::in_exchange(&error))?)
                }
            };
            let Some(lease) = lease else {
                let why = "the server closed the connection at once";
                return Err(TransportError::new(TransportErrorKind::Broken, why));
            };
            on_lane(lease, request).await
        } else {
            let line = Line::over(socket).await.map_err(|error| TransportError::in_exchange(&error))?;
            on_line(Box::new(line), host, request).await
        };
        sent.map_err(|unanswered| unanswered.error)
    }

    fn host(&self, uri: &Uri) -> Result<Arc<Host>, TransportError> {
        let Some(authority) = uri.authority() else {
            return Err(TransportError::new(
                TransportErrorKind::Refused,
                format!("`{}` names no host", uri.path()),
            ));
        };
        let group = group();
        let hosts = self.hosts.read().unwrap_or_else(PoisonError::into_inner);
        // By the name as it is written: an `Authority` is hashed letter by letter.
        if let Some(host) = hosts.get(group).and_then(|hosts| hosts.get(authority.as_str())) {
            return Ok(Arc::clone(host));
        }
        drop(hosts);
        let scheme = uri.scheme().unwrap_or(&Scheme::HTTP);
        let options = &self.options;
        let host = Host::new(scheme, authority, options.pool_idle_timeout, options.pool_max_idle_per_host)?;
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() <= group {
            hosts.resize_with(group + 1, HashMap::new);
        }
        let host = Arc::new(host);
        if let Some(hosts) = hosts.get_mut(group) {
            // Another request may have added it meanwhile.
            return Ok(Arc::clone(hosts.entry(authority.as_str().into()).or_insert(host)));
        }
        Ok(host)
    }
}

/// HTTP/1.1: the path alone in the first line, the host in a header.
async fn on_line(
    mut line: Box<Line>,
    host: &Arc<Host>,
    mut request: Outgoing,
) -> Result<Response<ProviderBody>, Unanswered> {
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
    if !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, host.header.clone());
    }
    match line.send(request).await {
        Ok(response) => Ok(response.map(|frames| ProviderBody::of_line(frames, line, Arc::clone(host)))),
        Err(failed) => {
            let error = TransportError::in_exchange(failed.error());
            let stale = failed.message().is_some()
                || error.kind == TransportErrorKind::Broken && line.no_answer_came();
            Err(Unanswered { error, stale })
        }
    }
}

async fn on_lane(mut lease: Lease, request: Outgoing) -> Result<Response<ProviderBody>, Unanswered> {
    match lease.sender.try_send_request(request).await {
        Ok(response) => Ok(response.map(|frames| ProviderBody::of_lane(frames, lease))),
        Err(failed) => {
            // The task that drives the connection notices its end at once; what was handed to it may have been read.
            let stale = failed.message().is_some();
            Err(Unanswered { error: TransportError::in_exchange(failed.error()), stale })
        }
    }
}
