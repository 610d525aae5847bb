//! The cheapest.

use super::Candidate;

/// What LiteLLM takes a token to cost, in USD, where no price is known: more than any.
const UNKNOWN_PRICE: f64 = 10.0;

/// The one whose tokens cost least; among equals the first in the configuration.
pub(super) fn choose<'p>(candidates: impl Iterator<Item = Candidate<'p>>) -> Option<Candidate<'p>> {
    let price = |candidate: &Candidate<'_>| candidate.planned.settings.token_price.unwrap_or(UNKNOWN_PRICE);
    candidates.min_by(|a, b| price(a).total_cmp(&price(b)))
}
