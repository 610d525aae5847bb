//! What a call without a declared maximum will probably cost, and how long its answer will be: as the last ones like it.

use catalog::NanoUsd;

use super::id::ModelName;

/// The most models that an account remembers.
const MOST_MODELS: usize = 32;

/// A high-water mark that sinks by an eighth with every smaller amount, so that one large answer does not make the
/// budget of a key look used up for long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct HighWater(u64);

impl HighWater {
    fn learn(&mut self, amount: u64) {
        self.0 = amount.max(self.0 - self.0 / 8);
    }
}

/// What calls of an account to one model were like of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    cost: HighWater,
    output: HighWater,
}

impl History {
    /// What to hold for the next call; zero before the first.
    #[must_use]
    pub fn expected_cost(self) -> NanoUsd {
        NanoUsd(i64::try_from(self.cost.0).unwrap_or(i64::MAX))
    }

    /// How many tokens its answer may have; zero before the first.
    #[must_use]
    pub fn expected_output(self) -> u64 {
        self.output.0
    }

    /// Learns what a call cost, and how many tokens its answer had.
    pub fn learn(&mut self, cost: NanoUsd, output: u64) {
        self.cost.learn(u64::try_from(cost.0).unwrap_or(0));
        self.output.learn(output);
    }
}

/// One account's histories, by model. Remembers those that were called last.
#[derive(Clone, Debug, Default)]
pub struct Histories(Vec<(ModelName, History)>);

impl Histories {
    /// What is known of a model.
    #[must_use]
    pub fn of(&self, model: &ModelName) -> History {
        let known = self.0.iter().find(|(known, _)| known == model);
        known.map_or_else(History::default, |(_, history)| *history)
    }

    /// Learns what a call to a model was like.
    pub fn learn(&mut self, model: &ModelName, cost: NanoUsd, output: u64) {
        let known = self.0.iter().position(|(known, _)| known == model);
        let mut entry = known.map_or_else(|| (model.clone(), History::default()), |at| self.0.remove(at));
        entry.1.learn(cost, output);
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
    fn expects_the_largest_of_late() {
        let mut history = History::default();
        assert_eq!((history.expected_cost(), history.expected_output()), (NanoUsd::ZERO, 0));
        history.learn(NanoUsd(800), 8);
        history.learn(NanoUsd(10), 80);
        assert_eq!((history.expected_cost(), history.expected_output()), (NanoUsd(700), 80));
        for _ in 0..64 {
            history.learn(NanoUsd(10), 1);
        }
        assert_eq!(history.expected_cost(), NanoUsd(10));
    }

    #[test]
    fn forgets_the_model_that_was_called_longest_ago() {
        let model = |number: usize| ModelName::new(&format!("m{number}")).unwrap();
        let mut histories = Histories::default();
        for number in 0..MOST_MODELS {
            histories.learn(&model(number), NanoUsd(5), 1);
        }
        histories.learn(&model(0), NanoUsd(5), 1);
        histories.learn(&model(MOST_MODELS), NanoUsd(5), 1);
        assert_eq!(histories.of(&model(0)).expected_cost(), NanoUsd(5));
        assert_eq!(histories.of(&model(1)), History::default());
    }
}
