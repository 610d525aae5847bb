//! A sum over the last minute.

use crate::Moment;

/// How far back every rate in this crate looks.
pub(crate) const SPAN_SECONDS: u64 = 60;
const BUCKET_SECONDS: u64 = 2;
/// One more than the span holds: the bucket being filled and the one that is partly older than a minute both count, so
/// that no true minute ever holds more than the sum says.
const BUCKETS: usize = (SPAN_SECONDS / BUCKET_SECONDS) as usize + 1;

/// Sliding counter of 2-second buckets.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    buckets: [u64; BUCKETS],
    sum: u64,
    /// Number of the newest bucket, counted from the clock's beginning.
    newest: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], sum: 0, newest: 0 }
    }
}

impl Window {
    /// The sum over the last minute, at most 2 seconds more.
    pub(crate) fn sum(&mut self, now: Moment) -> u64 {
        self.turn(now);
        self.sum
    }

    /// Adds what happened at a moment: now, or at most a minute ago.
    pub(crate) fn add(&mut self, amount: u64, at: Moment) {
        self.turn(at);
        let number = at.millis() / (BUCKET_SECONDS * 1000);
        if self.newest - number >= BUCKETS as u64 {
            return;
        }
        if let Some(bucket) = self.buckets.get_mut(slot(number)) {
            *bucket = bucket.saturating_add(amount);
            self.sum = self.sum.saturating_add(amount);
        }
    }

    /// Takes back what was added lately.
    pub(crate) fn take_back(&mut self, amount: u64, now: Moment) {
        self.turn(now);
        let mut left = amount;
        for age in 0..BUCKETS as u64 {
            let Some(number) = self.newest.checked_sub(age).filter(|_| left > 0) else { return };
            if let Some(bucket) = self.buckets.get_mut(slot(number)) {
                let taken = left.min(*bucket);
                *bucket -= taken;
                self.sum = self.sum.saturating_sub(taken);
                left -= taken;
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self { newest: self.newest, ..Self::default() };
    }

    /// When a sum of `amount` will next have become smaller.
    pub(crate) fn next_change(&self) -> Moment {
        let oldest = (0..BUCKETS as u64)
            .rev()
            .filter_map(|age| self.newest.checked_sub(age))
            .find(|number| self.buckets.get(slot(*number)).is_some_and(|bucket| *bucket > 0))
            .unwrap_or(self.newest);
        Moment::of_millis((oldest + BUCKETS as u64) * BUCKET_SECONDS * 1000)
    }

    fn turn(&mut self, now: Moment) {
        let current = now.millis() / (BUCKET_SECONDS * 1000);
        if current <= self.newest {
            return;
        }
        if current - self.newest >= BUCKETS as u64 {
            self.buckets = [0; BUCKETS];
            self.sum = 0;
        } else {
            for number in self.newest + 1..=current {
                if let Some(bucket) = self.buckets.get_mut(slot(number)) {
                    self.sum = self.sum.saturating_sub(*bucket);
                    *bucket = 0;
                }
            }
        }
        self.newest = current;
    }
}

fn slot(number: u64) -> usize {
    usize::try_from(number % BUCKETS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn counts_for_a_minute_and_then_forgets() {
        let mut window = Window::default();
        window.add(3, at(10));
        window.add(4, at(40));
        assert_eq!(window.sum(at(69)), 7);
        assert_eq!(window.sum(at(73)), 4);
        assert_eq!(window.sum(at(200)), 0);
    }

    #[test]
    fn says_when_it_will_be_less() {
        let mut window = Window::default();
        window.add(1, at(10));
        let change = window.next_change();
        assert!(change >= at(70) && change <= at(73), "{change:?}");
        assert_eq!(window.sum(change), 0);
    }

    #[test]
    fn a_clock_that_steps_back_loses_nothing() {
        let mut window = Window::default();
        window.add(1, at(100));
        window.add(1, at(90));
        assert_eq!(window.sum(at(101)), 2);
    }

    #[test]
    fn what_is_heard_of_late_is_forgotten_in_its_time() {
        let mut window = Window::default();
        window.add(1, at(100));
        window.add(5, at(60));
        window.add(7, at(10));
        assert_eq!(window.sum(at(101)), 6);
        assert_eq!(window.sum(at(123)), 1);
    }
}
