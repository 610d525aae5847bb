//! Keeps a store that is broken or slow from being waited for.

use std::time::{Duration, Instant};

use super::StoreError;
use super::breaker::{Breaker, Change};
use crate::events::metrics::CacheMetrics;
use crate::events::{self, Log};
use crate::time_limit::within;

/// See the module.
#[derive(Debug)]
pub(super) struct Guard {
    breaker: Breaker,
    store: &'static str,
    log: Log,
    pub(super) metrics: CacheMetrics,
}

impl Guard {
    /// `store` is its name in the log.
    pub(super) fn new(store: &'static str, log: Log, metrics: CacheMetrics) -> Self {
        Self { breaker: Breaker::default(), store, log, metrics }
    }

    /// The result of what the store is asked; nothing where it fails, takes too long, or is left alone.
    pub(super) async fn within<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Option<T> {
        if !self.breaker.allows(Instant::now()) {
            self.metrics.skipped();
            return None;
        }
        // What is dropped before it has ended (the client left) says nothing about the store.
        let trial = self.breaker.trial();
        let error = match within(patience, work).await {
            Ok(Ok(value)) => {
                if trial.succeeded() == Some(Change::Closed) {
                    events::cache_recovered(&self.log, self.store);
                }
                return Some(value);
            }
            Ok(Err(error)) => error,
            Err(_) => StoreError::new(format!("it did not answer within {} ms", patience.as_millis())),
        };
        self.metrics.failed();
        if trial.failed(Instant::now()) == Some(Change::Opened) {
            events::cache_left_alone(&self.log, self.store, &error, Breaker::PAUSE);
        }
        None
    }

    /// Whether the last call succeeded.
    pub(super) fn is_well(&self) -> bool {
        self.breaker.is_well()
    }

    /// Whether a call now would be left out.
    pub(super) fn leaves_alone(&self) -> bool {
        self.breaker.is_open(Instant::now())
    }
}
