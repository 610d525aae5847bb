//! Is a deployment out? Failures are counted over a short while; LiteLLM calls some of them a minor outage, many a major
//! one.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use ledger::rules::time::Timestamp;

/// Deployments whose failures are counted at a time.
const MAX_DEPLOYMENTS: usize = 1000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outage {
    Minor,
    Major,
}

/// The latest failures of each deployment.
#[derive(Debug, Default)]
pub(super) struct Outages {
    failures: HashMap<String, VecDeque<Timestamp>>,
}

/// What makes an outage of failures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) window: Duration,
    pub(super) minor: usize,
    pub(super) major: usize,
}

impl Outages {
    /// Counts a failure, and tells what it is with those before it, and how many they are.
    pub(super) fn failed(
        &mut self,
        deployment: &str,
        bounds: Bounds,
        now: Timestamp,
    ) -> Option<(Outage, usize)> {
        let is_recent = |at: &Timestamp| now < at.plus(bounds.window);
        if !self.failures.contains_key(deployment) && self.failures.len() >= MAX_DEPLOYMENTS {
            self.failures.retain(|_, failures| failures.back().is_some_and(is_recent));
            if self.failures.len() >= MAX_DEPLOYMENTS {
                return None;
            }
        }
        let failures = self.failures.entry(deployment.to_owned()).or_default();
        while failures.front().is_some_and(|at| !is_recent(at)) {
            failures.pop_front();
        }
        let most = bounds.minor.max(bounds.major).max(1);
        if failures.len() >= most {
            failures.pop_front();
        }
        failures.push_back(now);
        let count = failures.len();
        let reached = |bound: usize| bound > 0 && count >= bound;
        match (reached(bounds.major), reached(bounds.minor)) {
            (true, _) => Some((Outage::Major, count)),
            (false, true) => Some((Outage::Minor, count)),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { window: Duration::from_secs(60), minor: 3, major: 5 };

    #[test]
    fn failures_in_a_short_while_are_an_outage() {
        let mut outages = Outages::default();
        let mut at =
            |second: i64| outages.failed("a", BOUNDS, Timestamp(second * 1000)).map(|(outage, _)| outage);
        assert_eq!([at(0), at(1)], [None, None]);
        assert_eq!([at(2), at(3)], [Some(Outage::Minor); 2]);
        assert_eq!([at(4), at(5)], [Some(Outage::Major); 2]);
        assert_eq!(at(65), None, "what is older than a minute does not count");
    }

    #[test]
    fn each_deployment_has_its_own_and_there_are_not_endlessly_many() {
        let mut outages = Outages::default();
        for number in 0..2 * MAX_DEPLOYMENTS {
            assert_eq!(outages.failed(&number.to_string(), BOUNDS, Timestamp(0)), None);
        }
        assert_eq!(outages.failures.len(), MAX_DEPLOYMENTS);
        outages.failed("later", BOUNDS, Timestamp(60_000));
        assert_eq!(outages.failures.len(), 1);
    }
}
