//! A sum over the last minute, exact to a quarter of a second.

use std::collections::VecDeque;

use super::time::Timestamp;

const TICK_MILLIS: i64 = 250;
/// A minute, and the tick that is only partly in it: no true minute ever holds more than the sum says.
const TICKS: i64 = 60_000 / TICK_MILLIS + 1;

/// A sliding sum. Holds an entry per quarter of a second in which something happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct SlidingSum {
    sum: u64,
    /// By tick, ascending.
    ticks: VecDeque<(i64, u64)>,
}

impl SlidingSum {
    pub(crate) fn sum(&self) -> u64 {
        self.sum
    }

    /// Forgets what is older than a minute.
    pub(crate) fn slide(&mut self, now: Timestamp) {
        let oldest = tick(now) - TICKS;
        while let Some((tick, amount)) = self.ticks.front()
            && *tick <= oldest
        {
            self.sum = self.sum.saturating_sub(*amount);
            self.ticks.pop_front();
        }
    }

    /// `now` must not be earlier than at the last call.
    pub(crate) fn add(&mut self, amount: u64, now: Timestamp) {
        if amount == 0 {
            return;
        }
        let now = tick(now);
        match self.ticks.back_mut() {
            Some((last, sum)) if *last >= now => *sum = sum.saturating_add(amount),
            _ => self.ticks.push_back((now, amount)),
        }
        self.sum = self.sum.saturating_add(amount);
    }

    /// Takes back what was added at `then`, as far as it still counts.
    pub(crate) fn take_back(&mut self, amount: u64, then: Timestamp) {
        let Ok(at) = self.ticks.binary_search_by_key(&tick(then), |(tick, _)| *tick) else { return };
        let Some((_, sum)) = self.ticks.get_mut(at) else { return };
        let amount = amount.min(*sum);
        *sum -= amount;
        self.sum = self.sum.saturating_sub(amount);
        if *sum == 0 {
            self.ticks.remove(at);
        }
    }

    /// When the sum will be at most `most`, if nothing is added.
    pub(crate) fn falls_to(&self, most: u64) -> Timestamp {
        let mut sum = self.sum;
        let mut last = 0;
        for (tick, amount) in &self.ticks {
            if sum <= most {
                break;
            }
            sum = sum.saturating_sub(*amount);
            last = *tick + TICKS;
        }
        Timestamp(last.saturating_mul(TICK_MILLIS))
    }
}

fn tick(at: Timestamp) -> i64 {
    at.0.div_euclid(TICK_MILLIS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A limit of 1 % exactness: what counts is what happened in the last minute, at most half a second more.
        #[test]
        fn counts_a_minute(steps in proptest::collection::vec((0_i64..5_000, 1_u64..100), 1..200)) {
            let mut window = SlidingSum::default();
            let mut events: Vec<(i64, u64)> = Vec::new();
            let mut now = 0;
            for (pause, amount) in steps {
                now += pause;
                window.slide(Timestamp(now));
                let since = |span: i64| events.iter().filter(|(at, _)| *at > now - span).map(|e| e.1).sum::<u64>();
                prop_assert!(window.sum() >= since(60_000));
                prop_assert!(window.sum() <= since(60_500));
                let most = since(60_000) / 2;
                let then = window.falls_to(most);
                let mut later = window.clone();
                later.slide(then);
                prop_assert!(later.sum() <= most);
                if then.0 > now {
                    let mut before = window.clone();
                    before.slide(Timestamp(then.0 - 1));
                    prop_assert!(before.sum() > most, "not a moment too late");
                }
                window.add(amount, Timestamp(now));
                events.push((now, amount));
            }
        }
    }
}
