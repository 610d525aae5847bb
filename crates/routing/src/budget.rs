//! How many calls beyond the clients' own providers may get, and which of them are slow enough for a second try.

use std::time::Duration;

use crate::Moment;
use crate::settings::{Hedging, RetryBudget};
use crate::window::Window;

/// What a group's requests have cost in calls.
#[derive(Debug, Default)]
pub(crate) struct Spending {
    client_calls: Window,
    extra_calls: Window,
    hedges: Window,
    durations: Durations,
}

impl Spending {
    pub(crate) fn client_call(&mut self, now: Moment) {
        self.client_calls.add(1, now);
    }

    /// Books one more call than clients made, if the budget has room for it.
    pub(crate) fn extra_call(&mut self, budget: Option<RetryBudget>, now: Moment) -> bool {
        if let Some(RetryBudget { percent, floor }) = budget {
            let earned = self.client_calls.sum(now).saturating_mul(u64::from(percent)) / 100;
            if self.extra_calls.sum(now) >= earned.saturating_add(u64::from(floor)) {
                return false;
            }
        }
        self.extra_calls.add(1, now);
        true
    }

    /// Takes back a call that was booked and is not made.
    pub(crate) fn no_extra_call(&mut self, now: Moment) {
        self.extra_calls.take_back(1, now);
    }

    pub(crate) fn may_hedge(&mut self, hedging: &Hedging, now: Moment) -> bool {
        let allowed = self.client_calls.sum(now).saturating_mul(u64::from(hedging.max_percent)) / 100;
        self.hedges.sum(now) < allowed
    }

    pub(crate) fn hedged(&mut self, now: Moment) {
        self.hedges.add(1, now);
    }

    pub(crate) fn answered(&mut self, after: Duration) {
        self.durations.add(after);
    }

    /// How long an answer usually takes at most; `None` while too little is known.
    pub(crate) fn p95(&self) -> Option<Duration> {
        self.durations.p95()
    }

    pub(crate) fn sums(&mut self, now: Moment) -> (u64, u64) {
        (self.client_calls.sum(now), self.extra_calls.sum(now))
    }
}

/// Durations in buckets that each reach a quarter further than the one before, from a millisecond up. Old ones weigh
/// less and less: whenever there are enough, all counts are halved.
#[derive(Debug)]
struct Durations {
    counts: [u32; BUCKETS],
    total: u32,
}

/// The last bucket begins at half an hour.
const BUCKETS: usize = 66;
const STEP: f64 = 1.25;
const ENOUGH: u32 = 20;
const HALVE_AT: u32 = 2000;

impl Default for Durations {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0 }
    }
}

impl Durations {
    fn add(&mut self, duration: Duration) {
        let millis = (duration.as_secs_f64() * 1000.0).max(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
        let at = (millis.ln() / STEP.ln()) as usize;
        if let Some(count) = self.counts.get_mut(at.min(BUCKETS - 1)) {
            *count += 1;
            self.total += 1;
        }
        if self.total >= HALVE_AT {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
    }

    fn p95(&self) -> Option<Duration> {
        if self.total < ENOUGH {
            return None;
        }
        let mut left = self.total / 20;
        for (at, count) in self.counts.iter().enumerate().rev() {
            if *count > left {
                let upper = STEP.powi(i32::try_from(at).unwrap_or(i32::MAX) + 1) / 1000.0;
                return Duration::try_from_secs_f64(upper).ok();
            }
            left -= count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::after_start(Duration::from_secs(100));

    #[test]
    fn a_fifth_of_the_calls_and_the_floor() {
        let budget = Some(RetryBudget { percent: 20, floor: 3 });
        let mut spending = Spending::default();
        for _ in 0..50 {
            spending.client_call(NOW);
        }
        let granted = (0..100).filter(|_| spending.extra_call(budget, NOW)).count();
        assert_eq!(granted, 13);
        let later = NOW + Duration::from_secs(70);
        assert_eq!((0..100).filter(|_| spending.extra_call(budget, later)).count(), 3);
    }

    #[test]
    fn without_a_budget_there_is_no_bound() {
        let mut spending = Spending::default();
        assert_eq!((0..1000).filter(|_| spending.extra_call(None, NOW)).count(), 1000);
    }

    #[test]
    fn the_p95_is_near_the_true_one() {
        let mut durations = Durations::default();
        assert_eq!(durations.p95(), None);
        for millis in 1..=1000 {
            durations.add(Duration::from_millis(millis));
        }
        let p95 = durations.p95().unwrap().as_millis();
        assert!((950..1250).contains(&p95), "{p95} ms");
    }
}
