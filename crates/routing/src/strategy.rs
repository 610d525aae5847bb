//! Which of several deployments that would all do? One file per strategy.
//!
//! A strategy gets the candidates as an iterator that it may walk more than once: nothing is collected, so that a choice
//! allocates nothing however many there are.

mod balanced;
mod cost_based;
mod latency_based;
mod least_busy;
mod simple_shuffle;
mod sticky;
mod usage_based;

use crate::Moment;
use crate::chance::Rng;
use crate::live::Live;
use crate::plan::{DeploymentIndex, Group, Planned};
use crate::settings::Strategy;

/// A deployment that would do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'p> {
    pub(crate) index: DeploymentIndex,
    pub(crate) planned: &'p Planned,
    pub(crate) live: &'p Live,
}

/// What a choice depends on beside the candidates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances<'c> {
    pub(crate) group: &'c Group,
    pub(crate) strategy: Strategy,
    /// Requests with the same key want the same deployment.
    pub(crate) sticky: Option<&'c str>,
    pub(crate) stream: bool,
    pub(crate) now: Moment,
}

/// One of the candidates; `None` if there are none.
pub(crate) fn choose<'p>(
    candidates: impl Iterator<Item = Candidate<'p>> + Clone,
    circumstances: &Circumstances<'_>,
    rng: Rng<'_>,
) -> Option<Candidate<'p>> {
    if let Some(key) = circumstances.sticky {
        return sticky::choose(candidates, key);
    }
    match circumstances.strategy {
        Strategy::Balanced if circumstances.group.weighted => simple_shuffle::choose(candidates, rng),
        Strategy::Balanced => balanced::choose(&candidates, circumstances, rng),
        Strategy::SimpleShuffle => simple_shuffle::choose(candidates, rng),
        Strategy::LeastBusy => least_busy::choose(candidates),
        Strategy::UsageBased => usage_based::choose(candidates, circumstances.now, rng),
        Strategy::LatencyBased => latency_based::choose(candidates, circumstances, rng),
        Strategy::CostBased => cost_based::choose(candidates),
    }
}

/// The candidate with the lowest score; among equals one by chance.
fn lowest<'p>(
    candidates: impl Iterator<Item = Candidate<'p>>,
    score: impl Fn(&Candidate<'p>) -> u64,
    rng: Rng<'_>,
) -> Option<Candidate<'p>> {
    let mut best: Option<(u64, Candidate<'p>)> = None;
    let mut equals = 0;
    for candidate in candidates {
        let score = score(&candidate);
        let lowest = best.as_ref().map_or(u64::MAX, |(lowest, _)| *lowest);
        if best.is_none() || score < lowest {
            best = Some((score, candidate));
            equals = 1;
        } else if score == lowest {
            // The n-th of n equals takes the place with a chance of one in n: all have the same in the end.
            equals += 1;
            if rng().is_multiple_of(equals) {
                best = Some((score, candidate));
            }
        }
    }
    best.map(|(_, candidate)| candidate)
}
