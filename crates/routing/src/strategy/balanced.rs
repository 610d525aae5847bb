//! The better of two drawn at random ("power of two choices", Mitzenmacher 2001): nearly as good as looking at the load of
//! all, and a crowd of requests does not rush to the one that was idle a moment ago.

use super::{Candidate, Circumstances};
use crate::chance::Rng;

/// Draws two different ones and takes the one with less in flight times its peak latency.
pub(super) fn choose<'p>(
    candidates: &(impl Iterator<Item = Candidate<'p>> + Clone),
    circumstances: &Circumstances<'_>,
    rng: Rng<'_>,
) -> Option<Candidate<'p>> {
    let count = candidates.clone().count();
    if count < 2 {
        return candidates.clone().next();
    }
    let below = |rng: Rng<'_>, bound: usize| usize::try_from(rng() % bound as u64).unwrap_or_default();
    let first = below(rng, count);
    let mut second = below(rng, count - 1);
    if second >= first {
        second += 1;
    }
    let a = candidates.clone().nth(first)?;
    let b = candidates.clone().nth(second)?;
    let load = |candidate: &Candidate<'_>| load(candidate, circumstances);
    Some(if load(&b) < load(&a) { b } else { a })
}

/// Expected wait: calls in flight and this one, each for as long as calls take. A deployment that nobody has heard from
/// is taken for a fast one, and no faster than a millisecond, so that its calls in flight count.
fn load(candidate: &Candidate<'_>, circumstances: &Circumstances<'_>) -> f64 {
    let live = candidate.live;
    let ewma = if circumstances.stream { &live.first_token } else { &live.latency };
    f64::from(live.in_flight().saturating_add(1)) * ewma.millis(circumstances.now).max(1.0)
}
