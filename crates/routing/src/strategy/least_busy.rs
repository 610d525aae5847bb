//! The one with the fewest requests in flight.

use super::Candidate;

/// The least busy; among equals the first in the configuration, as in LiteLLM.
pub(super) fn choose<'p>(candidates: impl Iterator<Item = Candidate<'p>>) -> Option<Candidate<'p>> {
    candidates.min_by_key(|candidate| candidate.live.in_flight())
}
