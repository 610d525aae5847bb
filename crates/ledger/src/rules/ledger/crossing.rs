//! Which lines of a budget a call carried spend over.

use catalog::NanoUsd;

use super::Till;
use crate::rules::account::Account;
use crate::rules::budget::Terms;
use crate::rules::period::{Period, Span};
use crate::rules::time::Timestamp;

/// A call carried spend over a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    pub account: Account,
    pub line: Line,
    /// Where the line is.
    pub amount: NanoUsd,
    pub spend: NanoUsd,
    /// Of the same budget.
    pub max: Option<NanoUsd>,
    /// Of the same budget.
    pub soft: Option<NanoUsd>,
    pub period: Option<Period>,
    pub window: Span,
    pub at: Timestamp,
}

/// Which line of a budget. Where one call crosses several towards the same end, the last of them is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Half of `soft_budget`, or of `max_budget` where there is no soft one: early enough to say whether the rest will
    /// last as long as the window.
    Half,
    /// So many percent of `max_budget`.
    Percent(u8),
    /// `soft_budget`
    Soft,
    /// `max_budget`
    Max,
}

/// The shares of a budget at which somebody should be told that it comes to its end, in percent; LiteLLM's.
const NEARLY_ALL: [u8; 2] = [95, 85];

pub(super) fn crossings(
    account: &Account,
    terms: &Terms,
    till: &Till,
    now: Timestamp,
    crossings: &mut Vec<Crossing>,
) {
    for budget in terms.budgets.iter().filter(|budget| budget.period == till.period) {
        let max = budget.max_at(now);
        let crossed = |amount: NanoUsd| till.crossed < amount && amount <= till.spend;
        let mut tell = |line, amount| {
            crossings.push(Crossing {
                account: account.clone(),
                line,
                amount,
                spend: till.spend,
                max,
                soft: budget.soft,
                period: till.period,
                window: till.span,
                at: now,
            });
        };
        if let Some(end) = budget.soft.or(max)
            && till.spend < end
            && crossed(share(end, 50))
        {
            tell(Line::Half, share(end, 50));
        }
        if let Some(soft) = budget.soft.filter(|soft| crossed(*soft)) {
            tell(Line::Soft, soft);
        }
        let Some(max) = max else { continue };
        let nearly = NEARLY_ALL.map(|percent| (Line::Percent(percent), share(max, percent)));
        let last = [(Line::Max, max)].into_iter().chain(nearly).find(|(_, amount)| *amount <= till.spend);
        if let Some((line, amount)) = last.filter(|(_, amount)| crossed(*amount)) {
            tell(line, amount);
        }
    }
}

/// So many percent of an amount, rounded up: of little, too, a share is something.
fn share(amount: NanoUsd, percent: u8) -> NanoUsd {
    let share = (i128::from(amount.0) * i128::from(percent) + 99).div_euclid(100);
    NanoUsd(i64::try_from(share).unwrap_or(i64::MAX))
}
