//! Amounts that are held until their holder gives them back, or until their lease ends.

use std::collections::VecDeque;

use super::time::Timestamp;

/// Leases end together in steps of this, so that a crowd of holds costs a handful of entries.
const STEP_MILLIS: i64 = 10_000;

/// When a lease ends: at the end of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LeaseEnd(i64);

impl LeaseEnd {
    /// The end of the step that `until` is in.
    pub(crate) fn after(until: Timestamp) -> Self {
        Self(until.0.div_euclid(STEP_MILLIS).saturating_add(1))
    }

    pub(crate) fn is_over(self, now: Timestamp) -> bool {
        self.0 <= now.0.div_euclid(STEP_MILLIS)
    }
}

/// A sum of held amounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leased {
    total: i64,
    /// How often something was held or let go.
    moves: u64,
    /// By end, ascending.
    steps: VecDeque<(LeaseEnd, i64)>,
}

impl Leased {
    pub(crate) fn total(&self) -> i64 {
        self.total
    }

    pub(crate) fn moves(&self) -> u64 {
        self.moves
    }

    /// Lets go of what was held until now or earlier.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        while let Some((end, amount)) = self.steps.front()
            && end.is_over(now)
        {
            self.total = self.total.saturating_sub(*amount);
            self.moves += 1;
            self.steps.pop_front();
        }
    }

    pub(crate) fn hold(&mut self, amount: i64, end: LeaseEnd) {
        if amount == 0 {
            return;
        }
        self.moves += 1;
        match self.steps.binary_search_by_key(&end, |(end, _)| *end) {
            Ok(at) => {
                if let Some((_, held)) = self.steps.get_mut(at) {
                    *held = held.saturating_add(amount);
                }
            }
            Err(at) => self.steps.insert(at, (end, amount)),
        }
        self.total = self.total.saturating_add(amount);
    }

    /// Gives back what was held with the same amount and end. Nothing happens if the lease is over and swept.
    pub(crate) fn give_back(&mut self, amount: i64, end: LeaseEnd) {
        // Also then: what it was held for may have cost something.
        self.moves += 1;
        let Ok(at) = self.steps.binary_search_by_key(&end, |(end, _)| *end) else { return };
        let Some((_, held)) = self.steps.get_mut(at) else { return };
        *held = held.saturating_sub(amount);
        self.total = self.total.saturating_sub(amount);
        if *held == 0 {
            self.steps.remove(at);
        }
    }
}
