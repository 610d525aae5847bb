//! Answers that were given before, given again.
//!
//! A request that asks exactly what was asked before ([`key`]) within the same tenant is answered with the stored bytes
//! ([`entry`]). While a question is being asked, whoever asks the same waits for that answer ([`flight`]). Where answers
//! are kept is a [`Store`]: memory, Redis, or files. The cache is a convenience: whatever is wrong with it, requests go
//! on without it, at most [`Cache::PATIENCE`] later, and after some failures at once ([`breaker`]).

mod breaker;
mod canonical;
mod control;
mod entry;
mod flight;
mod guard;
mod key;
mod redis;
mod similar;
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::config::{CacheMode, CacheSettings};
use crate::events::Log;
use crate::events::metrics::CacheMetrics;
use crate::operation::Operation;

pub use control::Controls;
pub use entry::{Entry, Facts, Form, Stop, now_ms};
pub use flight::{Flights, Landing, Lease, Seat};
pub use key::{Key, KeyWriter};
pub use similar::{Found, Lack, Match, Similar, Unit, Whereabouts};
pub(crate) use store::problem;
pub use store::{ServerInfo, Store, StoreError, Work, Write};

use guard::Guard;

/// See the module.
#[derive(Debug)]
pub struct Cache {
    pub settings: CacheSettings,
    store: Arc<dyn Store>,
    guard: Arc<Guard>,
    /// How long a lookup may take.
    patience: Duration,
    flights: Arc<Flights>,
    similar: Option<Similar>,
    queue: Option<Queue>,
}

/// Why a request is not looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declined {
    /// `supported_call_types` leaves the operation out.
    CallType,
    /// `mode: default_off`, and the request does not ask.
    NotAsked,
    /// `cache: {"no-cache": true, "no-store": true}`, or `caching: false`.
    ByRequest,
    /// More messages than `max_messages`.
    TooManyMessages,
    /// The answer depends on what the provider remembers, or is one of several.
    NotRepeatable,
}

impl Declined {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CallType => "`supported_call_types` leaves this operation out",
            Self::NotAsked => "`mode` is `default_off`, and the request does not say `use-cache`",
            Self::ByRequest => "the request declined it",
            Self::TooManyMessages => "more messages than `max_messages`",
            Self::NotRepeatable => {
                "the request asks for several answers, or for one that depends on stored state"
            }
        }
    }
}

impl Cache {
    /// The longest that a request waits for a store.
    pub const PATIENCE: Duration = Duration::from_millis(50);

    /// Opens the store; must be called within a runtime. A store that is not there now may come later.
    #[must_use]
    pub fn open(settings: CacheSettings, log: Log, metrics: CacheMetrics) -> Arc<Self> {
        let store = store::open(&settings);
        Arc::new(Self::with_store(settings, store, log, metrics))
    }

    fn with_store(settings: CacheSettings, store: Arc<dyn Store>, log: Log, metrics: CacheMetrics) -> Self {
        let patience = store.patience().min(Self::PATIENCE);
        let similar =
            settings.semantic.clone().map(|semantic| Similar::open(semantic, &store, &log, &metrics));
        let guard = Arc::new(Guard::new(store.name(), log, metrics));
        let queue = (!store.is_instant()).then(|| Queue::start(Arc::clone(&store), Arc::clone(&guard)));
        Self { settings, store, guard, patience, flights: Arc::default(), similar, queue }
    }

    /// Whether a request of this operation, with these wishes, may be looked up.
    ///
    /// # Errors
    /// Why not.
    pub fn takes(&self, operation: Operation, controls: &Controls) -> Result<(), Declined> {
        if !operation.is_cacheable() || !self.settings.lists(operation) {
            return Err(Declined::CallType);
        }
        if controls.declines() {
            return Err(Declined::ByRequest);
        }
        if self.settings.mode == CacheMode::DefaultOff && !controls.use_cache {
            return Err(Declined::NotAsked);
        }
        Ok(())
    }

    /// What is stored under each key; nothing where the store does not answer in time.
    pub async fn get(&self, keys: &[Key]) -> Vec<Option<Arc<Entry>>> {
        let mut found = self.guard.within(self.patience, self.store.get(keys)).await.unwrap_or_default();
        found.resize(keys.len(), None);
        let now = now_ms();
        for entry in &mut found {
            if entry.as_ref().is_some_and(|entry| entry.expires_ms <= now) {
                *entry = None;
            }
        }
        found
    }

    /// Stores an answer: at once in memory, else behind the request's back. The lease ends when it is stored, so that
    /// whoever asks until then gets it from there.
    pub fn keep(&self, writes: Vec<Write>, lease: Option<Lease>) {
        let Some(queue) = &self.queue else {
            // What is instant is done at the first look.
            let _ = self.store.put(&writes).as_mut().poll(&mut Context::from_waker(Waker::noop()));
            drop(lease);
            return;
        };
        if !queue.push(Job { writes, lease }) {
            self.guard.metrics.write_dropped();
        }
    }

    /// A seat in the flight of this question.
    #[must_use]
    pub fn board(&self, key: &Key) -> Seat {
        self.flights.board(key)
    }

    /// Grows whenever an answer has been stored by this process.
    #[must_use]
    pub fn landed(&self) -> u64 {
        self.flights.landed()
    }

    /// Takes answers out.
    ///
    /// # Errors
    /// When the store does not do it.
    pub async fn delete(&self, keys: &[Key]) -> Result<(), StoreError> {
        by_operator(self.store.delete(keys)).await
    }

    /// Takes all answers out.
    ///
    /// # Errors
    /// When the store does not do it.
    pub async fn clear(&self) -> Result<(), StoreError> {
        if let Some(similar) = &self.similar {
            by_operator(async { similar.clear().await.map_err(StoreError::new) }).await?;
        }
        by_operator(self.store.clear()).await
    }

    /// Whether the store takes, gives and forgets an answer.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        by_operator(self.store.ping()).await
    }

    /// The server's own account of itself; `None` if the store has no server.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn server_info(&self) -> Result<Option<ServerInfo>, StoreError> {
        by_operator(self.store.info()).await
    }

    /// Where similar questions are looked for, if they are.
    #[must_use]
    pub fn similar(&self) -> Option<&Similar> {
        self.similar.as_ref()
    }

    /// Whether the store did what it was last asked.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.guard.is_well()
    }

    /// LiteLLM's word for where answers are kept.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.store.name()
    }

    #[must_use]
    pub fn metrics(&self) -> &CacheMetrics {
        &self.guard.metrics
    }
}

/// An operator waits longer than a request.
async fn by_operator<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(Duration::from_secs(5), work).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::new("it did not answer within 5 s")),
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.task.abort();
        }
    }
}

/// Answers on their way into a store.
#[derive(Debug)]
struct Queue {
    jobs: mpsc::Sender<Job>,
    /// Of all answers that wait.
    bytes: Arc<AtomicU64>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Job {
    writes: Vec<Write>,
    lease: Option<Lease>,
}

impl Job {
    fn bytes(&self) -> u64 {
        self.writes.iter().map(|write| write.entry.size()).sum()
    }
}

impl Queue {
    const JOBS: usize = 1024;
    const BYTES: u64 = 64 << 20;
    /// What is written in one go.
    const BATCH: usize = 32;
    /// Nobody waits for a write.
    const PATIENCE: Duration = Duration::from_millis(500);

    fn start(store: Arc<dyn Store>, guard: Arc<Guard>) -> Self {
        let (jobs, mut waiting) = mpsc::channel::<Job>(Self::JOBS);
        let bytes = Arc::new(AtomicU64::new(0));
        let pending = Arc::clone(&bytes);
        let task = tokio::spawn(async move {
            let mut batch = Vec::with_capacity(Self::BATCH);
            while waiting.recv_many(&mut batch, Self::BATCH).await > 0 {
                let size: u64 = batch.iter().map(Job::bytes).sum();
                let (writes, leases): (Vec<_>, Vec<_>) =
                    batch.drain(..).map(|job| (job.writes, job.lease)).unzip();
                let writes: Vec<Write> = writes.into_iter().flatten().collect();
                let done = guard.within(Self::PATIENCE, store.put(&writes)).await;
                if done.is_none() {
                    guard.metrics.write_dropped();
                }
                drop(leases);
                pending.fetch_sub(size, Ordering::Relaxed);
            }
        });
        Self { jobs, bytes, task: task.abort_handle() }
    }

    /// Whether there was room.
    fn push(&self, job: Job) -> bool {
        let size = job.bytes();
        if self.bytes.fetch_add(size, Ordering::Relaxed) + size <= Self::BYTES
            && self.jobs.try_send(job).is_ok()
        {
            return true;
        }
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        false
    }
}

impl CacheSettings {
    fn lists(&self, operation: Operation) -> bool {
        let Some(listed) = &self.call_types else { return true };
        let name = operation.name();
        // LiteLLM has a name for the synchronous and one for the asynchronous call.
        listed.iter().any(|word| word == name || name.strip_prefix('a') == Some(word))
    }
}

#[cfg(test)]
mod tests;
