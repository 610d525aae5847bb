//! What a call without a declared maximum will probably cost: what the last ones like it did.

use catalog::NanoUsd;

use super::id::ModelName;

/// The most models that an account remembers.
const MOST_MODELS: usize = 32;

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

/// One account's histories, by model. Remembers those that were called last.
#[derive(Clone, Debug, Default)]
pub struct CostHistories(Vec<(ModelName, CostHistory)>);

impl CostHistories {
    /// What to hold for the next call to a model; zero before the first.
    #[must_use]
    pub fn expected(&self, model: &ModelName) -> NanoUsd {
        let known = self.0.iter().find(|(known, _)| known == model);
        known.map_or(NanoUsd::ZERO, |(_, history)| history.expected())
    }

    /// Learns what a call to a model cost.
    pub fn learn(&mut self, model: &ModelName, cost: NanoUsd) {
        let known = self.0.iter().position(|(known, _)| known == model);
        let mut entry = known.map_or_else(|| (model.clone(), CostHistory::default()), |at| self.0.remove(at));
        entry.1.learn(cost);
        if self.0.len() == MOST_MODELS {
            self.0.remove(0);
        }
        self.0.push(entry);
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

    #[test]
    fn forgets_the_model_that_was_called_longest_ago() {
        let model = |number: usize| ModelName::new(&format!("m{number}")).unwrap();
        let mut histories = CostHistories::default();
        for number in 0..MOST_MODELS {
            histories.learn(&model(number), NanoUsd(5));
        }
        histories.learn(&model(0), NanoUsd(5));
        histories.learn(&model(MOST_MODELS), NanoUsd(5));
        assert_eq!(histories.expected(&model(0)), NanoUsd(5));
        assert_eq!(histories.expected(&model(1)), NanoUsd::ZERO);
    }
}
