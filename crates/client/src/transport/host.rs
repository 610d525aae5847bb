//! The open connections to one host.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::HeaderValue;
use http::uri::{Authority, Scheme};

use super::error::{TransportError, TransportErrorKind};
use super::lane::{Lane, Lease};
use super::line::Line;

/// How often unused connections are looked at, at most. A server that closes one then need not wait long for us.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Host {
    /// What the `host` header says: without credentials, and without a port that the scheme implies.
    pub(super) header: HeaderValue,
    idle_timeout: Duration,
    max_idle: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Unused HTTP/1.1 connections; the one used last is at the end and is taken first, so that those beyond the need
    /// grow old.
    lines: Vec<Idle>,
    lanes: Vec<Lane>,
    /// A task looks after them.
    swept: bool,
}

#[derive(Debug)]
struct Idle {
    line: Box<Line>,
    since: Instant,
}

impl Host {
    pub(super) fn new(
        scheme: &Scheme,
        authority: &Authority,
        idle_timeout: Duration,
        max_idle: usize,
    ) -> Result<Self, TransportError> {
        let default_port = if *scheme == Scheme::HTTPS { 443 } else { 80 };
        let header = match authority.port_u16().filter(|port| *port != default_port) {
            Some(port) => HeaderValue::try_from(format!("{}:{port}", authority.host())),
            None => HeaderValue::try_from(authority.host()),
        };
        let header = header.map_err(|error| {
            TransportError::new(TransportErrorKind::Refused, format!("the host: {error}"))
        })?;
        Ok(Self { header, idle_timeout, max_idle, open: Mutex::default() })
    }

    /// An unused connection that still stands.
    pub(super) fn idle_line(&self) -> Option<Box<Line>> {
        loop {
            let mut idle = self.lock().lines.pop()?;
            if idle.since.elapsed() < self.idle_timeout && idle.line.is_ready() {
                return Some(idle.line);
            }
        }
    }

    /// Takes a connection back whose answer is read, if it can carry another.
    pub(super) fn put_back(self: &Arc<Self>, mut line: Box<Line>) {
        if !line.is_ready() {
            return;
        }
        let mut open = self.lock();
        if open.lines.len() < self.max_idle {
            open.lines.push(Idle { line, since: Instant::now() });
            self.have_swept(open);
        }
    }

    /// A place on a connection that carries many requests.
    pub(super) fn lease(&self) -> Option<Lease> {
        self.lock().lanes.iter_mut().find_map(Lane::lease)
    }

    /// Adds a connection that carries many requests; gives a place on it.
    pub(super) fn add(self: &Arc<Self>, mut lane: Lane) -> Option<Lease> {
        let lease = lane.lease();
        let mut open = self.lock();
        open.lanes.push(lane);
        self.have_swept(open);
        lease
    }

    fn have_swept(self: &Arc<Self>, mut open: MutexGuard<'_, Open>) {
        if !std::mem::replace(&mut open.swept, true) {
            drop(open);
            tokio::spawn(sweep(Arc::downgrade(self), self.idle_timeout.min(SWEEP_INTERVAL)));
        }
    }

    /// Closes what is unused for too long or was closed by the other side. `false` when nothing is left.
    fn close_stale(&self) -> bool {
        let now = Instant::now();
        let mut open = self.lock();
        let lines = open.lines.extract_if(.., |idle| {
            now.saturating_duration_since(idle.since) >= self.idle_timeout || !idle.line.is_ready()
        });
        let lines: Vec<Idle> = lines.collect();
        let lanes: Vec<Lane> =
            open.lanes.extract_if(.., |lane| !lane.is_kept(now, self.idle_timeout)).collect();
        open.swept = !(open.lines.is_empty() && open.lanes.is_empty());
        let left = open.swept;
        // Closed outside the lock.
        drop(open);
        drop((lines, lanes));
        left
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep(host: Weak<Host>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        if !host.upgrade().is_some_and(|host| host.close_stale()) {
            return;
        }
    }
}
