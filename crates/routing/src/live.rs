//! What is going on at one deployment. Shared by all requests, and kept across reloads.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Moment;
use crate::cooldown::Breaker;
use crate::latency::{PeakEwma, Samples};
use crate::settings::FailureClass;
use crate::window::Window;

/// The state of one deployment. What every choice reads is in atomics; the rest is behind a lock of its own.
#[derive(Debug, Default)]
pub(crate) struct Live {
    in_flight: AtomicU32,
    paused: AtomicBool,
    pub(crate) breaker: Breaker,
    /// To the end of an answer that is not streamed.
    pub(crate) latency: PeakEwma,
    /// To the first token of a streamed answer.
    pub(crate) first_token: PeakEwma,
    books: Mutex<Books>,
}

/// Counts of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// Calls that began.
    pub(crate) requests: Window,
    /// Tokens: estimated when a call begins, corrected when it ends.
    pub(crate) tokens: Window,
    /// Requests and tokens of these that the other instances do not know of yet.
    pub(crate) untold: (u64, u64),
    /// Calls that ended.
    pub(crate) ended: Window,
    /// Calls that failed in a way that says something about the deployment, by class.
    pub(crate) failures: [Window; FailureClass::COUNT],
    /// Latencies of latency-based routing, per output token where these are known.
    pub(crate) latencies: Samples,
    /// The same to the first token.
    pub(crate) first_tokens: Samples,
}

impl Live {
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts one more call in flight, if there may be one more.
    pub(crate) fn enter(&self, most: Option<u32>) -> bool {
        let most = most.unwrap_or(u32::MAX);
        let one_more = |in_flight| (in_flight < most).then_some(in_flight + 1);
        self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    /// Ends a cooldown. What was counted before is over.
    pub(crate) fn recover(&self) {
        let mut books = self.books();
        books.ended.clear();
        books.failures.iter_mut().for_each(Window::clear);
        drop(books);
        self.breaker.close();
    }

    /// As [`recover`](Self::recover), at another instance's word.
    pub(crate) fn recover_as_told(&self) {
        self.recover();
        self.breaker.close_as_told();
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        // Counters cannot be half-changed in a way that matters.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Books what this instance uses of `rpm` and `tpm`.
    pub(crate) fn spend(&mut self, requests: u64, tokens: u64, now: Moment) {
        self.requests.add(requests, now);
        self.tokens.add(tokens, now);
        self.untold.0 = self.untold.0.saturating_add(requests);
        self.untold.1 = self.untold.1.saturating_add(tokens);
    }
}
