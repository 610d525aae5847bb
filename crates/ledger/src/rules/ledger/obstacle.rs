//! What stands in the way of a request: a budget that has not enough left, a limit without room.

use catalog::NanoUsd;

use super::{Demand, Ledger, Till, signed};
use crate::rules::account::Account;
use crate::rules::budget::Terms;
use crate::rules::limit::LimitKind;
use crate::rules::refusal::{OverBudget, OverLimit, Refusal};
use crate::rules::time::Timestamp;

/// Why a request is not admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    Refused(Refusal),
    /// This instance's part does not do. If other instances have nothing to spare, it is refused so.
    Lacking(Refusal),
}

impl Denial {
    fn refusal(&self) -> &Refusal {
        match self {
            Self::Refused(refusal) | Self::Lacking(refusal) => refusal,
        }
    }

    /// What is certain comes first, then what is told first.
    pub(super) fn comes_before(&self, other: &Self) -> bool {
        let rank = |denial: &Self| matches!(denial, Self::Lacking(_));
        (rank(self), self.refusal().rank()) < (rank(other), other.refusal().rank())
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Refused(refusal) | Denial::Lacking(refusal) => refusal,
        }
    }
}

impl Ledger {
    /// The first that stands in the way of a request.
    pub(super) fn obstacle(&self, account: &Account, terms: &Terms, demand: &Demand) -> Option<Denial> {
        let budget = self.short_budget(account, terms, |_| demand.hold.amount());
        // What is certain needs no further look.
        if matches!(budget, Some(Denial::Refused(_))) {
            return budget;
        }
        match self.full_limit(account, terms, demand.tokens) {
            Some(limit) if budget.as_ref().is_none_or(|budget| limit.comes_before(budget)) => Some(limit),
            Some(_) | None => budget,
        }
    }

    /// `asked`: what is to be held beside what each till holds already.
    pub(super) fn short_budget(
        &self,
        account: &Account,
        terms: &Terms,
        asked: impl Fn(&Till) -> NanoUsd,
    ) -> Option<Denial> {
        let mut lacking = None;
        for (budget, till) in self.budgets(terms) {
            let Some(max) = budget.max_at(self.latest) else { continue };
            let asked = asked(till);
            if asked <= NanoUsd::ZERO {
                continue;
            }
            let held = NanoUsd(till.held.total());
            let fits =
                till.known_spend(self.shares.is_some()).saturating_add(held).saturating_add(asked) <= max;
            let is_lent = self.shares.as_ref().is_none_or(|shares| asked.0 <= till.free(max, shares.alone));
            if fits && is_lent {
                continue;
            }
            let resets_at = budget.period.map(|_| till.span.end);
            let over = Refusal::OverBudget(OverBudget {
                account: account.clone(),
                spend: till.spend,
                held,
                asked,
                max,
                resets_at,
                retry_after: resets_at.map(|at| self.latest.until(at)),
            });
            if !fits {
                return Some(Denial::Refused(over));
            }
            lacking.get_or_insert(Denial::Lacking(over));
        }
        lacking
    }

    fn full_limit(&self, account: &Account, terms: &Terms, tokens: u64) -> Option<Denial> {
        let limits = &terms.limits;
        let over = |kind, limit, used: u64, frees_at: Option<Timestamp>| {
            Refusal::OverLimit(OverLimit {
                account: account.clone(),
                kind,
                limit,
                remaining: limit.saturating_sub(used),
                resets_at: frees_at,
                retry_after: frees_at.map(|at| self.latest.until(at)),
            })
        };
        let mut lacking = None;
        if let Some(most) = limits.max_parallel_requests.map(u64::from) {
            let refusal = || over(LimitKind::Parallel, most, self.running(), None);
            if self.running() >= most {
                return Some(Denial::Refused(refusal()));
            }
            if self.shares.as_ref().is_some_and(|shares| {
                let part = shares.parallel.lent.max(shares.part(most));
                self.parallel.total() >= part
            }) {
                lacking.get_or_insert_with(|| Denial::Lacking(refusal()));
            }
        }
        for (kind, limit, window, asked) in [
            (LimitKind::Requests, limits.rpm, &self.requests, 1),
            (LimitKind::Tokens, limits.tpm, &self.tokens, tokens),
        ] {
            let Some(limit) = limit else { continue };
            let frees_at = |most: u64| most.checked_sub(asked).map(|most| window.falls_to(most));
            if window.sum().saturating_add(asked) > limit {
                return Some(Denial::Refused(over(kind, limit, window.sum(), frees_at(limit))));
            }
            let Some(shares) = self.shares.as_ref().filter(|_| asked > 0) else { continue };
            let share = if kind == LimitKind::Requests { &shares.requests } else { &shares.tokens };
            let is_lent = share.free(0) >= signed(asked)
                || signed(window.sum().saturating_add(asked)) <= shares.part(limit);
            if !is_lent {
                let used = share.known.map_or(window.sum(), |known| known.used.unsigned_abs());
                lacking.get_or_insert_with(|| {
                    Denial::Lacking(over(kind, limit, used.min(limit), frees_at(limit)))
                });
            }
        }
        lacking
    }
}
