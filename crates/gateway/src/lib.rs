//! The gateway: one address in front of every provider.
//!
//! Start with [`pipeline`], which is the life of a request from its head to its trace.

pub mod admin;
pub mod alerts;
pub mod body;
pub mod books;
pub mod cache;
mod claims;
pub mod config;
mod cores;
pub mod events;
pub mod exchange;
pub mod health;
mod hex;
mod io;
mod mock;
pub mod operation;
mod peers;
pub mod pipeline;
mod redis;
pub mod refusal;
pub mod rotation;
pub mod routes;
pub mod run_time;
pub mod server;
pub mod snapshot;
mod time_limit;
pub mod trace;
mod whereabouts;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};
use routing::Moment;
use tokio::sync::Semaphore;
use tollway::remote_media::MediaFetcher;
use tollway::transport::Transport;

use alerts::Alerts;
use books::Books;
use cache::Cache;
use claims::Claims;
use events::{Log, Metrics};
use health::LastChecks;
use ledger::vault::Vault;
use peers::Peers;
use run_time::RunTime;
use snapshot::Snapshot;
use trace::Traces;
use whereabouts::Whereabouts;

/// Copies of requests under way at a time; what comes on top is not copied.
const MAX_MIRRORS: usize = 128;

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    cache: ArcSwapOption<Cache>,
    books: Option<Arc<Books>>,
    /// What secrets in the database are sealed with.
    vault: OnceLock<Vault>,
    /// What the database has beside the configuration.
    run_time: ArcSwap<RunTime>,
    pub log: Log,
    pub metrics: Metrics,
    transport: Transport,
    media: MediaFetcher,
    traces: Traces,
    whereabouts: Whereabouts,
    last_checks: LastChecks,
    peers: Peers,
    alerts: Alerts,
    claims: Claims,
    mirrors: Arc<Semaphore>,
    stopping: AtomicBool,
    started: Instant,
}

impl Gateway {
    /// Must be called within a runtime: a cache's connections run there. Without books there are no keys but the master
    /// key, and nothing is booked.
    #[must_use]
    pub fn new(snapshot: Snapshot, log: Log, books: Option<Arc<Books>>) -> Arc<Self> {
        let metrics = Metrics::default();
        let cache =
            snapshot.cache.clone().map(|settings| Cache::open(settings, log.clone(), metrics.cache()));
        Arc::new(Self {
            cache: ArcSwapOption::new(cache),
            books,
            vault: OnceLock::new(),
            run_time: ArcSwap::default(),
            log,
            metrics,
            transport: Transport::new(snapshot.transport.clone()),
            media: MediaFetcher::new(snapshot.transport.tls.clone()),
            traces: Traces::new(snapshot.trace_capacity),
            claims: Claims::default(),
            alerts: Alerts::new(snapshot.alerts.clone()),
            snapshot: ArcSwap::from_pointee(snapshot),
            whereabouts: Whereabouts::default(),
            last_checks: LastChecks::default(),
            peers: Peers::default(),
            mirrors: Arc::new(Semaphore::new(MAX_MIRRORS)),
            stopping: AtomicBool::new(false),
            started: Instant::now(),
        })
    }

    /// The configuration as it is now. Taken once per request; a reload does not touch requests that run.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Serves a new configuration from the next request on. What is cached stays, unless it is cached differently now.
    pub fn reload(&self, snapshot: Snapshot) {
        let snapshot = self.with_run_time(snapshot);
        let same = self.cache.load().as_ref().map(|cache| &cache.settings) == snapshot.cache.as_ref();
        if !same {
            let open = |settings| Cache::open(settings, self.log.clone(), self.metrics.cache());
            self.cache.store(snapshot.cache.clone().map(open));
        }
        self.alerts.set(snapshot.alerts.clone());
        self.snapshot.store(Arc::new(snapshot.following(&self.snapshot())));
        if let Some(books) = &self.books {
            // What holds for all keys may have changed.
            books.people().changed();
        }
    }

    /// Serves this beside what the configuration has, from the next request on.
    fn serve_run_time(&self, run_time: RunTime) {
        self.run_time.store(Arc::new(run_time));
        let snapshot = self.snapshot();
        self.reload(Snapshot::build(&snapshot.base, snapshot.files.clone()));
    }

    /// A snapshot of a configuration, and what is served beside it.
    fn with_run_time(&self, snapshot: Snapshot) -> Snapshot {
        let more = self.run_time.load();
        if more.is_empty() { snapshot } else { snapshot.beside(&more) }
    }

    /// Gives what secrets in the database are sealed with; the first one counts.
    pub fn keep_secrets_with(&self, vault: Vault) {
        // Only the start calls this.
        _ = self.vault.set(vault);
    }

    /// What secrets in the database are sealed with.
    #[must_use]
    pub fn vault(&self) -> Option<&Vault> {
        self.vault.get()
    }

    /// The time, as routing counts it.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    /// A time as routing counts it.
    #[must_use]
    pub fn moment(&self, at: Instant) -> Moment {
        Moment::after_start(at.saturating_duration_since(self.started))
    }

    /// Readiness says no from now on.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The cache of answers, if there is one.
    #[must_use]
    pub fn cache(&self) -> Option<Arc<Cache>> {
        self.cache.load_full()
    }

    /// Keys, budgets and spend, if they are kept.
    #[must_use]
    pub fn books(&self) -> Option<&Arc<Books>> {
        self.books.as_ref()
    }

    #[must_use]
    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    /// What background health checks found.
    #[must_use]
    pub fn last_checks(&self) -> &LastChecks {
        &self.last_checks
    }

    /// The other gateways before the same deployments.
    pub(crate) fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Who is told of what goes wrong.
    #[must_use]
    pub fn alerts(&self) -> &Alerts {
        &self.alerts
    }

    /// What one of all instances does.
    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    pub(crate) fn mirrors(&self) -> &Arc<Semaphore> {
        &self.mirrors
    }

    pub(crate) fn whereabouts(&self) -> &Whereabouts {
        &self.whereabouts
    }

    pub(crate) fn media(&self) -> &MediaFetcher {
        &self.media
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }
}
