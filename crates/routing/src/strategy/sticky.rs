//! The same deployment for the same key, without remembering keys.

use super::Candidate;
use crate::chance;

/// Weighted rendezvous hashing (Schindelhauer and Schomaker 2005): each candidate gets a number from the key and its own
/// id, the highest wins. Keys follow the weights' shares, all instances agree, and when a deployment drops out only its
/// own keys move.
pub(super) fn choose<'p>(
    candidates: impl Iterator<Item = Candidate<'p>> + Clone,
    key: &str,
) -> Option<Candidate<'p>> {
    let weighted = candidates.clone().any(|candidate| candidate.planned.weight > 0.0);
    let score = |candidate: &Candidate<'_>| {
        let weight = if weighted { candidate.planned.weight } else { 1.0 };
        let hash = chance::hash(key, &candidate.planned.settings.id);
        // The logarithm of a number of 0 to 1 is negative: a higher weight brings it nearer to 0.
        chance::fraction(&mut || hash).max(f64::MIN_POSITIVE).ln() / weight
    };
    candidates.max_by(|a, b| score(a).total_cmp(&score(b)))
}
