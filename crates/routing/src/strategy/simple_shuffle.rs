//! By chance, with the weights' shares.

use super::Candidate;
use crate::chance::{Rng, fraction};

/// Draws one; evenly where no candidate has a weight.
pub(super) fn choose<'p>(
    candidates: impl Iterator<Item = Candidate<'p>> + Clone,
    rng: Rng<'_>,
) -> Option<Candidate<'p>> {
    let (count, total) = candidates
        .clone()
        .fold((0_u64, 0.0), |(count, total), candidate| (count + 1, total + candidate.planned.weight));
    if total <= 0.0 {
        return pick(candidates, rng() % count.max(1));
    }
    let mut ticket = fraction(rng) * total;
    let mut last = None;
    for candidate in candidates.filter(|candidate| candidate.planned.weight > 0.0) {
        if ticket < candidate.planned.weight {
            return Some(candidate);
        }
        ticket -= candidate.planned.weight;
        last = Some(candidate);
    }
    // Rounding may leave a crumb of the total.
    last
}

fn pick<'p>(mut candidates: impl Iterator<Item = Candidate<'p>>, at: u64) -> Option<Candidate<'p>> {
    candidates.nth(usize::try_from(at).unwrap_or_default())
}
