//! What a call without a declared maximum will probably cost: what the last ones like it did.

use catalog::NanoUsd;

/// A high-water mark of costs that sinks by an eighth with every cheaper call, so that one large answer does not make
/// the budget of a key look used up for long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CostHistory(NanoUsd);

impl CostHistory {
    /// What to hold for the next call; zero before the first.
    #[must_use]
    pub fn expected(self) -> NanoUsd {
        self.0
    }

    /// Learns what a call cost.
    pub fn learn(&mut self, cost: NanoUsd) {
        let sunk = NanoUsd(self.0.0 - self.0.0 / 8);
        self.0 = cost.max(sunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expects_the_dearest_of_late() {
        let mut history = CostHistory::default();
        assert_eq!(history.expected(), NanoUsd::ZERO);
        history.learn(NanoUsd(800));
        history.learn(NanoUsd(10));
        assert_eq!(history.expected(), NanoUsd(700));
        for _ in 0..64 {
            history.learn(NanoUsd(10));
        }
        assert_eq!(history.expected(), NanoUsd(10));
    }
}
