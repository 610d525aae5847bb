//! One of those whose latency is near the lowest.

use super::{Candidate, Circumstances};
use crate::chance::Rng;

/// LiteLLM's rule: the mean of the last latencies (to the first token for streams, else per output token), any of those
/// within `lowest_latency_buffer` of the lowest, by chance. Unused deployments count as immediate.
pub(super) fn choose<'p>(
    candidates: impl Iterator<Item = Candidate<'p>> + Clone,
    circumstances: &Circumstances<'_>,
    rng: Rng<'_>,
) -> Option<Candidate<'p>> {
    let args = &circumstances.group.strategy_args;
    let mean = |candidate: &Candidate<'_>| {
        let books = candidate.live.books();
        let samples = if circumstances.stream { &books.first_tokens } else { &books.latencies };
        samples.mean(args, circumstances.now)
    };
    let lowest = candidates.clone().map(|candidate| mean(&candidate)).min_by(f64::total_cmp)?;
    let bound = lowest * (1.0 + args.lowest_latency_buffer);
    let near = candidates.filter(|candidate| mean(candidate) <= bound);
    super::lowest(near, |_| 0, rng)
}
