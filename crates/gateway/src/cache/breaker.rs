//! Leaves a store that fails alone for a while.
//!
//! ```text
//!            5 failures in a row                  10 s
//!   closed ───────────────────────▶ open ──────────────────▶ one trial
//!      ▲                              ▲                        │   │
//!      │                              └──────── it fails ──────┘   │
//!      └──────────────────────── it succeeds ──────────────────────┘
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// One call goes through; the others are kept off until it has ended.
    Trial,
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// What a result changed, for whoever tells the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Opened,
    Closed,
}

impl Breaker {
    /// LiteLLM's number.
    pub(super) const FAILURES: u32 = 5;
    pub(super) const PAUSE: Duration = Duration::from_secs(10);

    /// Whether the store may be called; if it may, the caller has to end a [`Breaker::trial`].
    pub(super) fn allows(&self, now: Instant) -> bool {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => true,
            State::Open { until } if now >= until => {
                *state = State::Trial;
                true
            }
            State::Open { .. } | State::Trial => false,
        }
    }

    /// Whether a call now would be kept off.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        match *self.lock() {
            State::Closed { .. } => false,
            State::Open { until } => now < until,
            State::Trial => true,
        }
    }

    /// Whether the last call succeeded.
    pub(super) fn is_well(&self) -> bool {
        matches!(*self.lock(), State::Closed { failures: 0 })
    }

    /// One call of the store. Dropped without a result, it lets the next one try.
    pub(super) fn trial(&self) -> Trial<'_> {
        Trial { breaker: self, ended: false }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Trial<'b> {
    breaker: &'b Breaker,
    ended: bool,
}

impl Trial<'_> {
    pub(super) fn succeeded(mut self) -> Option<Change> {
        self.ended = true;
        let mut state = self.breaker.lock();
        match *state {
            State::Closed { failures: 0 } => None,
            State::Closed { .. } => {
                *state = State::default();
                None
            }
            State::Open { .. } | State::Trial => {
                *state = State::default();
                Some(Change::Closed)
            }
        }
    }

    pub(super) fn failed(mut self, now: Instant) -> Option<Change> {
        self.ended = true;
        let mut state = self.breaker.lock();
        match *state {
            State::Closed { failures } if failures + 1 < Breaker::FAILURES => {
                *state = State::Closed { failures: failures + 1 };
                None
            }
            State::Closed { .. } => {
                *state = State::Open { until: now + Breaker::PAUSE };
                Some(Change::Opened)
            }
            // The operator knows already.
            State::Trial => {
                *state = State::Open { until: now + Breaker::PAUSE };
                None
            }
            // A call that began before the others failed.
            State::Open { .. } => None,
        }
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut state = self.breaker.lock();
        if matches!(*state, State::Trial) {
            *state = State::Open { until: Instant::now() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &Breaker, now: Instant) -> Option<Change> {
        assert!(breaker.allows(now));
        breaker.trial().failed(now)
    }

    #[test]
    fn five_failures_in_a_row_open_it() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..4 {
            assert_eq!(fail(&breaker, now), None);
        }
        assert!(!breaker.is_well() && !breaker.is_open(now));
        assert!(breaker.allows(now));
        assert_eq!(breaker.trial().succeeded(), None);
        assert!(breaker.is_well());
        for _ in 0..4 {
            assert_eq!(fail(&breaker, now), None);
        }
        assert_eq!(fail(&breaker, now), Some(Change::Opened));
        assert!(!breaker.allows(now) && breaker.is_open(now) && !breaker.is_well());
        assert!(!breaker.is_open(now + Breaker::PAUSE));
    }

    #[test]
    fn after_the_pause_one_call_tries() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..5 {
            fail(&breaker, start);
        }
        let later = start + Breaker::PAUSE;
        assert!(!breaker.allows(later.checked_sub(Duration::from_millis(1)).unwrap()));
        assert!(breaker.allows(later));
        assert!(!breaker.allows(later), "only one");
        assert_eq!(breaker.trial().failed(later), None);
        assert!(!breaker.allows(later), "left alone again");
        let last = later + Breaker::PAUSE;
        assert!(breaker.allows(last));
        assert_eq!(breaker.trial().succeeded(), Some(Change::Closed));
        assert!(breaker.allows(last));
    }

    #[test]
    fn a_trial_that_is_given_up_does_not_keep_it_open_for_ever() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..5 {
            fail(&breaker, start);
        }
        let later = start + Breaker::PAUSE;
        assert!(breaker.allows(later));
        drop(breaker.trial());
        assert!(breaker.allows(later));
    }
}
