//! The one with the fewest tokens used in the last minute.

use super::{Candidate, lowest};
use crate::Moment;
use crate::chance::Rng;

/// The least used; among equals one by chance, as in LiteLLM.
pub(super) fn choose<'p>(
    candidates: impl Iterator<Item = Candidate<'p>>,
    now: Moment,
    rng: Rng<'_>,
) -> Option<Candidate<'p>> {
    lowest(candidates, |candidate| candidate.live.books().tokens.sum(now), rng)
}
