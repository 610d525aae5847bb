//! What an account has used and holds, and how a request moves it: [`admit`] holds, [`raise`] holds more, [`settle`]
//! books the real figures, [`give_back`] ends a hold without a charge, [`extend`] keeps a long one alive.
//!
//! All of them work on several accounts at once. A call belongs to the windows in which it was admitted, also when
//! it ends in later ones: so no window ever spends more than its budget. One that has to hold more later on moves to the
//! windows of that moment, for those that it was admitted in may be closed.

use std::ops::DerefMut;
use std::time::Duration;

use catalog::NanoUsd;
use serde::{Deserialize, Serialize};

use super::account::Account;
use super::budget::{Budget, Terms};
use super::leased::{LeaseEnd, Leased};
use super::nano;
use super::period::{Period, Span};
use super::refusal::Refusal;
use super::share::{Resource, Share, Standing as ShareStanding};
use super::time::Timestamp;
use super::window::SlidingSum;
use super::zone::Zone;

mod crossing;
mod obstacle;

pub use crossing::{Crossing, Line};
pub(crate) use obstacle::Denial;

use crossing::crossings;

/// What a request may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nothing: no budget is looked at.
    Free,
    /// Never more than this: the request declares its maximum. Budgets with such calls alone are never overshot.
    AtMost(NanoUsd),
    /// About this much, from experience; at least one nano-dollar is held, so that a budget that is used up refuses.
    About(NanoUsd),
}

impl Hold {
    /// The amount that is held.
    #[must_use]
    pub fn amount(self) -> NanoUsd {
        match self {
            Self::Free => NanoUsd::ZERO,
            Self::AtMost(amount) => amount.max(NanoUsd::ZERO),
            Self::About(amount) => amount.max(NanoUsd(1)),
        }
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    pub hold: Hold,
    /// An estimate of all its tokens.
    pub tokens: u64,
    /// After this the hold ends by itself, if nobody extends it: the request got lost.
    pub lease: Duration,
}

/// What a request used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    pub cost: NanoUsd,
    pub tokens: u64,
}

/// One account in an operation over several: whose, under which terms, and its state.
pub type Entry<'a, L> = (&'a Account, &'a Terms, L);

/// What one account has used and holds.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Time never goes back: an earlier moment is taken for this one.
    latest: Timestamp,
    /// Number of the last admission.
    sequence: u64,
    /// One per period; the one for good is always there.
    tills: Vec<Till>,
    requests: SlidingSum,
    tokens: SlidingSum,
    parallel: Leased,
    /// This instance's parts of the limits, where several instances share them.
    shares: Option<Shares>,
}

/// Parts of an account's limits; those of its budgets are in their tills.
#[derive(Clone, Debug, Default)]
struct Shares {
    requests: Share,
    tokens: Share,
    parallel: Share,
    /// Nobody can be asked: this instance is one of so many.
    alone: Option<u32>,
}

/// Spend in the current window of one period.
#[derive(Clone, Debug)]
struct Till {
    period: Option<Period>,
    span: Span,
    spend: NanoUsd,
    /// Lines up to here are behind: their crossing was told, or happened before this ledger was opened. Below `spend`
    /// where other instances spent the rest.
    crossed: NanoUsd,
    held: Leased,
    /// The last admission before this window: those after it hold and charge here.
    born: u64,
    share: Share,
}

/// What an account had spent in a window, as the store knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// `None`: for good.
    pub period: Option<Period>,
    pub window: Timestamp,
    pub spend: NanoUsd,
}

/// What an admission holds, to be given to exactly one of [`settle`] and [`give_back`], with the same accounts.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what it holds stays held until its lease ends"]
pub struct Grant {
    hold: NanoUsd,
    tokens: u64,
    lease: LeaseEnd,
    /// Per account.
    admissions: Vec<Admission>,
}

impl Grant {
    /// What it holds on each account.
    #[must_use]
    pub fn hold(&self) -> NanoUsd {
        self.hold
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Admission {
    sequence: u64,
    at: Timestamp,
    /// The windows of this moment pay.
    charged_at: Timestamp,
}

/// A window of an account that a call is charged to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Charge {
    pub account: Account,
    /// `None`: for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// Where the window begins.
    pub window: Timestamp,
}

/// What came of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// What the store adds the cost to, beside what everybody named in the booking spent for good.
    pub charges: Vec<Charge>,
    /// What somebody should be told about.
    pub crossings: Vec<Crossing>,
}

/// How an account stands, for answers and headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Spent for good.
    pub total: NanoUsd,
    /// Per budget of the terms.
    pub budgets: Vec<BudgetStanding>,
    pub remaining_requests: Option<u64>,
    pub remaining_tokens: Option<u64>,
    pub remaining_parallel: Option<u64>,
}

/// How one budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetStanding {
    #[serde(with = "nano")]
    pub spend: NanoUsd,
    #[serde(with = "nano")]
    pub held: NanoUsd,
    #[serde(with = "nano::option")]
    pub max: Option<NanoUsd>,
    /// `None`: it never begins anew.
    pub resets_at: Option<Timestamp>,
}

/// Holds what a request asks for on all accounts, or on none.
///
/// Accounts must be distinct.
///
/// # Errors
/// The refusal of the widest account whose budget has not enough left, else of the widest whose limit has no room.
pub fn admit<L>(entries: &mut [Entry<'_, L>], demand: &Demand, now: Timestamp) -> Result<Grant, Refusal>
where
    L: DerefMut<Target = Ledger>,
{
    Ok(attempt(entries, demand, now)?)
}

/// As [`admit`], and tells what other instances could help with.
pub(crate) fn attempt<L>(
    entries: &mut [Entry<'_, L>],
    demand: &Demand,
    now: Timestamp,
) -> Result<Grant, Denial>
where
    L: DerefMut<Target = Ledger>,
{
    let mut denial: Option<Denial> = None;
    for (account, terms, ledger) in entries.iter_mut() {
        ledger.advance(terms, now);
        if let Some(found) = ledger.obstacle(account, terms, demand)
            && denial.as_ref().is_none_or(|known| found.comes_before(known))
        {
            denial = Some(found);
        }
    }
    if let Some(denial) = denial {
        return Err(denial);
    }
    let hold = demand.hold.amount();
    let lease = LeaseEnd::after(now.plus(demand.lease));
    let admissions =
        entries.iter_mut().map(|(_, _, ledger)| ledger.hold(hold, demand.tokens, lease)).collect();
    Ok(Grant { hold, tokens: demand.tokens, lease, admissions })
}

/// Ends the holds and books what was used. The cost counts even if the lease was over.
pub fn settle<L>(entries: &mut [Entry<'_, L>], grant: &Grant, actual: Actual, now: Timestamp) -> Settlement
where
    L: DerefMut<Target = Ledger>,
{
    let mut settlement = Settlement::default();
    for ((account, terms, ledger), admission) in entries.iter_mut().zip(&grant.admissions) {
        ledger.advance(terms, now);
        ledger.release(grant, *admission);
        ledger.tokens.take_back(grant.tokens.saturating_sub(actual.tokens), admission.at);
        let latest = ledger.latest;
        let is_alone = ledger.shares.as_ref().is_some_and(|shares| shares.alone.is_some());
        ledger.tokens.add(actual.tokens.saturating_sub(grant.tokens), latest);
        ledger.correct_tokens(grant.tokens, actual.tokens, admission.at);
        charges(account, terms, admission.charged_at, &mut settlement.charges);
        for till in ledger.tills.iter_mut().filter(|till| till.counts(*admission)) {
            till.spend = till.spend.saturating_add(actual.cost);
            // What is spent where no budget is shared needs no lease, also not when there is one later.
            if is_alone || till.share.known.is_some() {
                till.share.untold = till.share.untold.saturating_add(actual.cost.0);
            }
            if till.crossed < till.spend {
                crossings(account, terms, till, latest, &mut settlement.crossings);
                till.crossed = till.spend;
            }
        }
    }
    settlement
}

/// Ends the holds of a request that is not charged. That it was made still counts against limits of requests.
pub fn give_back<L>(entries: &mut [Entry<'_, L>], grant: &Grant)
where
    L: DerefMut<Target = Ledger>,
{
    for ((_, _, ledger), admission) in entries.iter_mut().zip(&grant.admissions) {
        ledger.release(grant, *admission);
        ledger.tokens.take_back(grant.tokens, admission.at);
        ledger.correct_tokens(grant.tokens, 0, admission.at);
    }
}

/// Has a running request hold `to`, which must be more than it holds, on all accounts, or leaves everything as it is. It
/// belongs to the windows of this moment then.
///
/// # Errors
/// The refusal of the widest account whose budget has not enough left.
pub fn raise<L>(
    entries: &mut [Entry<'_, L>],
    grant: &mut Grant,
    to: NanoUsd,
    now: Timestamp,
) -> Result<(), Refusal>
where
    L: DerefMut<Target = Ledger>,
{
    Ok(attempt_raise(entries, grant, to, now)?)
}

/// As [`raise`], and tells what other instances could help with.
pub(crate) fn attempt_raise<L>(
    entries: &mut [Entry<'_, L>],
    grant: &mut Grant,
    to: NanoUsd,
    now: Timestamp,
) -> Result<(), Denial>
where
    L: DerefMut<Target = Ledger>,
{
    let mut denial: Option<Denial> = None;
    for ((account, terms, ledger), admission) in entries.iter_mut().zip(&grant.admissions) {
        ledger.advance(terms, now);
        let asked = |till: &Till| to.saturating_sub(till.held_by(grant, *admission, ledger.latest));
        if let Some(found) = ledger.short_budget(account, terms, asked)
            && denial.as_ref().is_none_or(|known| found.comes_before(known))
        {
            denial = Some(found);
        }
    }
    if let Some(denial) = denial {
        return Err(denial);
    }
    for ((_, _, ledger), admission) in entries.iter_mut().zip(&mut grant.admissions) {
        ledger.sequence += 1;
        for till in &mut ledger.tills {
            if till.counts(*admission) {
                till.held.give_back(grant.hold.0, grant.lease);
            }
            till.held.hold(to.0, grant.lease);
        }
        *admission = Admission { sequence: ledger.sequence, charged_at: ledger.latest, ..*admission };
    }
    grant.hold = to;
    Ok(())
}

/// The most that [`raise`] would have to find room for in one window.
pub(crate) fn missing<L>(entries: &mut [Entry<'_, L>], grant: &Grant, to: NanoUsd, now: Timestamp) -> NanoUsd
where
    L: DerefMut<Target = Ledger>,
{
    let mut missing = NanoUsd::ZERO;
    for ((_, terms, ledger), admission) in entries.iter_mut().zip(&grant.admissions) {
        ledger.advance(terms, now);
        for till in &ledger.tills {
            missing = missing.max(to.saturating_sub(till.held_by(grant, *admission, ledger.latest)));
        }
    }
    missing
}

/// Moves the end of a lease that is not over yet.
pub fn extend<L>(entries: &mut [Entry<'_, L>], grant: &mut Grant, until: Timestamp)
where
    L: DerefMut<Target = Ledger>,
{
    let lease = LeaseEnd::after(until);
    if lease <= grant.lease {
        return;
    }
    let hold = grant.hold.0;
    for ((_, _, ledger), admission) in entries.iter_mut().zip(&grant.admissions) {
        for till in ledger.tills.iter_mut().filter(|till| till.counts(*admission)) {
            till.held.give_back(hold, grant.lease);
            till.held.hold(hold, lease);
        }
        ledger.parallel.give_back(1, grant.lease);
        ledger.parallel.hold(1, lease);
    }
    grant.lease = lease;
}

/// The most that a further call may cost under all budgets; `None`: there is no budget.
pub fn room<L>(entries: &mut [Entry<'_, L>], now: Timestamp) -> Option<NanoUsd>
where
    L: DerefMut<Target = Ledger>,
{
    let mut room = None;
    for (_, terms, ledger) in entries.iter_mut() {
        ledger.advance(terms, now);
        let left = ledger.budgets(terms).filter_map(|(budget, till)| {
            let held = till.held.total();
            let used = till.spend.saturating_add(NanoUsd(held));
            let left = budget.max_at(ledger.latest)?.saturating_sub(used);
            // What others hold is theirs.
            let shared =
                till.share.known.map(|known| NanoUsd(till.share.free(held).saturating_add(known.room)));
            Some(shared.map_or(left, |shared| left.min(shared)).max(NanoUsd::ZERO))
        });
        room = room.into_iter().chain(left).min();
    }
    room
}

/// The windows that a call is charged to, beside those for good of everybody whom its booking names.
fn charges(account: &Account, terms: &Terms, at: Timestamp, charges: &mut Vec<Charge>) {
    let charge = |period, window| Charge { account: account.clone(), period, window };
    let first = charges.len();
    if account.model.is_some() {
        charges.push(charge(None, Span::ALWAYS.start));
    }
    for budget in terms.budgets.iter().filter(|budget| budget.period.is_some()) {
        let known = charges.iter().skip(first).any(|charge| charge.period == budget.period);
        if !known {
            charges.push(charge(budget.period, budget.window(at, &terms.zone).start));
        }
    }
}

impl Ledger {
    /// The ledger of an account with what it spent before, as the store knows it.
    #[must_use]
    pub fn open(openings: &[Opening], terms: &Terms) -> Self {
        let made = terms.budgets.first().map_or(Timestamp(0), |budget| budget.made);
        let till = |opening: &Opening| Till {
            period: opening.period,
            span: opening
                .period
                .map_or(Span::ALWAYS, |period| period.window(opening.window, made, &terms.zone)),
            spend: opening.spend,
            crossed: opening.spend,
            held: Leased::default(),
            born: 0,
            share: Share::default(),
        };
        Self { tills: openings.iter().map(till).collect(), ..Self::default() }
    }

    /// The same, as one of several instances: nothing may be used before a part of it was lent.
    #[must_use]
    pub(crate) fn open_shared(openings: &[Opening], terms: &Terms) -> Self {
        Self { shares: Some(Shares::default()), ..Self::open(openings, terms) }
    }

    /// Sets what was spent in the current window of a period (`reset_spend`). What running calls hold stays held.
    pub fn set_spend(&mut self, budget: &Budget, zone: &Zone, spend: NanoUsd, now: Timestamp) {
        self.latest = self.latest.max(now);
        let till = self.till(budget.period, budget.window(self.latest, zone));
        till.spend = spend;
        till.crossed = spend;
    }

    /// Sets what was spent to what the store knows, in those windows that it knows of.
    pub fn respend(&mut self, openings: &[Opening]) {
        for till in &mut self.tills {
            let known = |opening: &&Opening| {
                opening.period == till.period
                    && opening.period.is_none_or(|_| opening.window == till.span.start)
            };
            if let Some(opening) = openings.iter().find(known) {
                till.spend = opening.spend;
                till.crossed = opening.spend;
            }
        }
    }

    /// How the account stands under its terms.
    pub fn standing(&mut self, terms: &Terms, now: Timestamp) -> Standing {
        self.advance(terms, now);
        let budgets = self.budgets(terms).map(|(budget, till)| BudgetStanding {
            spend: till.spend,
            held: NanoUsd(till.held.total()),
            max: budget.max_at(self.latest),
            resets_at: budget.period.map(|_| till.span.end),
        });
        let limits = &terms.limits;
        Standing {
            total: self
                .tills
                .iter()
                .find(|till| till.period.is_none())
                .map_or(NanoUsd::ZERO, |till| till.spend),
            budgets: budgets.collect(),
            remaining_requests: limits.rpm.map(|most| most.saturating_sub(self.requests.sum())),
            remaining_tokens: limits.tpm.map(|most| most.saturating_sub(self.tokens.sum())),
            remaining_parallel: limits
                .max_parallel_requests
                .map(|most| u64::from(most).saturating_sub(self.running())),
        }
    }

    /// Whether nothing is held and nothing happened since: such a ledger can be opened anew from the store.
    #[must_use]
    pub fn is_idle_since(&self, then: Timestamp) -> bool {
        let minute = Duration::from_secs(61);
        let holds = self.parallel.total() != 0 || self.tills.iter().any(|till| till.held.total() != 0);
        !holds && self.latest.plus(minute) < then
    }

    fn running(&self) -> u64 {
        u64::try_from(self.parallel.total()).unwrap_or(0)
    }

    /// Lets time pass: ends windows and leases.
    fn advance(&mut self, terms: &Terms, now: Timestamp) {
        self.latest = self.latest.max(now);
        let now = self.latest;
        self.till(None, Span::ALWAYS);
        for budget in terms.budgets.iter().filter(|budget| budget.period.is_some()) {
            let current = |till: &Till| till.period == budget.period && till.span.contains(now);
            if !self.tills.iter().any(current) {
                self.till(budget.period, budget.window(now, &terms.zone));
            }
        }
        for till in &mut self.tills {
            till.held.sweep(now);
        }
        self.parallel.sweep(now);
        self.requests.slide(now);
        self.tokens.slide(now);
    }

    /// The till of a period in this window; a new one where the period or the window is new.
    fn till(&mut self, period: Option<Period>, span: Span) -> &mut Till {
        let born = self.sequence;
        let at = self.tills.iter().position(|till| till.period == period).unwrap_or(self.tills.len());
        let new = || Till {
            period,
            span,
            spend: NanoUsd::ZERO,
            crossed: NanoUsd::ZERO,
            held: Leased::default(),
            born,
            share: Share::default(),
        };
        if self.tills.get(at).is_some_and(|till| till.span != span) {
            self.tills.remove(at);
        }
        if self.tills.get(at).is_none_or(|till| till.period != period) {
            self.tills.insert(at, new());
        }
        // The index was just filled.
        #[expect(clippy::indexing_slicing, reason = "inserted above where it was missing")]
        &mut self.tills[at]
    }

    fn budgets<'a>(&'a self, terms: &'a Terms) -> impl Iterator<Item = (&'a Budget, &'a Till)> {
        terms
            .budgets
            .iter()
            .filter_map(|budget| Some((budget, self.tills.iter().find(|till| till.period == budget.period)?)))
    }

    fn hold(&mut self, hold: NanoUsd, tokens: u64, lease: LeaseEnd) -> Admission {
        self.sequence += 1;
        let at = self.latest;
        for till in &mut self.tills {
            till.held.hold(hold.0, lease);
        }
        self.parallel.hold(1, lease);
        self.requests.add(1, at);
        self.tokens.add(tokens, at);
        if let Some(shares) = &mut self.shares {
            shares.requests.untold += 1;
            shares.tokens.untold = shares.tokens.untold.saturating_add(signed(tokens));
        }
        Admission { sequence: self.sequence, at, charged_at: at }
    }

    fn release(&mut self, grant: &Grant, admission: Admission) {
        for till in self.tills.iter_mut().filter(|till| till.counts(admission)) {
            till.held.give_back(grant.hold.0, grant.lease);
        }
        self.parallel.give_back(1, grant.lease);
    }
}

/// Of several instances.
impl Ledger {
    /// What this instance has of every limit of its terms that is shared, in the windows of this moment.
    pub(crate) fn parts(
        &mut self,
        account: &Account,
        terms: &Terms,
        now: Timestamp,
    ) -> Vec<(Resource, ShareStanding)> {
        self.advance(terms, now);
        let Some(shares) = &self.shares else { return Vec::new() };
        let mut parts = Vec::new();
        for (budget, till) in self.budgets(terms) {
            let Some(max) = budget.max_at(self.latest) else { continue };
            let charge = Charge { account: account.clone(), period: budget.period, window: till.span.start };
            let standing = till.share.standing(max.0, &till.held, till.known_spend(true).0);
            // Of several budgets in one window the smallest counts.
            match parts
                .iter_mut()
                .find(|(known, _)| matches!(known, Resource::Spend(known) if *known == charge))
            {
                Some((_, known)) => {
                    let known: &mut ShareStanding = known;
                    known.max = known.max.min(max.0);
                }
                None => parts.push((Resource::Spend(charge), standing)),
            }
        }
        let limits = &terms.limits;
        if let Some(rpm) = limits.rpm {
            let standing = shares.requests.standing(signed(rpm), &Leased::default(), 0);
            parts.push((Resource::Requests(account.clone()), standing));
        }
        if let Some(tpm) = limits.tpm {
            let standing = shares.tokens.standing(signed(tpm), &Leased::default(), 0);
            parts.push((Resource::Tokens(account.clone()), standing));
        }
        if let Some(most) = limits.max_parallel_requests {
            let standing = shares.parallel.standing(i64::from(most), &self.parallel, 0);
            parts.push((Resource::Parallel(account.clone()), standing));
        }
        parts
    }

    /// This instance's part of a resource, if its window still runs.
    pub(crate) fn share(&mut self, resource: &Resource) -> Option<&mut Share> {
        let shares = self.shares.as_mut()?;
        match resource {
            Resource::Spend(charge) => share_of(&mut self.tills, charge),
            Resource::Requests(_) => Some(&mut shares.requests),
            Resource::Tokens(_) => Some(&mut shares.tokens),
            Resource::Parallel(_) => Some(&mut shares.parallel),
        }
    }

    /// The database has `more` of what this instance spent in a window, `sum` in all.
    pub(crate) fn booked(&mut self, charge: &Charge, more: i64, sum: i64) {
        if let Some(share) = share_of(&mut self.tills, charge) {
            share.book(more, sum);
        }
    }

    /// All instances spent this much in a window, as far as it was told.
    pub(crate) fn set_known_spend(&mut self, charge: &Charge, used: NanoUsd) {
        let till = self
            .tills
            .iter_mut()
            .find(|till| till.period == charge.period && till.span.start == charge.window);
        if let Some(till) = till {
            till.spend = used.saturating_add(NanoUsd(till.share.untold));
        }
    }

    /// Nobody can be asked: this instance takes its part of what is left, as one of so many. `None`: all is well.
    pub(crate) fn set_alone(&mut self, instances: Option<u32>) {
        if let Some(shares) = &mut self.shares {
            shares.alone = instances;
        }
    }

    /// A request used another number of tokens than was thought.
    fn correct_tokens(&mut self, thought: u64, used: u64, at: Timestamp) {
        let counts = self.latest < at.plus(Duration::from_secs(60));
        let Some(shares) = &mut self.shares else { return };
        // What is older than a minute no longer counts, and is not given back.
        if used > thought || counts {
            let more = signed(used).saturating_sub(signed(thought));
            shares.tokens.untold = shares.tokens.untold.saturating_add(more);
        }
    }
}

/// The part of a budget, if its window still runs.
fn share_of<'t>(tills: &'t mut [Till], charge: &Charge) -> Option<&'t mut Share> {
    tills
        .iter_mut()
        .find(|till| till.period == charge.period && till.span.start == charge.window)
        .map(|till| &mut till.share)
}

impl Shares {
    /// What this instance takes of a limit when nobody can be asked.
    fn part(&self, limit: u64) -> i64 {
        self.alone.map_or(0, |instances| signed(limit / u64::from(instances.max(1))))
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Till {
    /// What was spent for certain: of several instances' spend, what was told. What was not told yet may be in there
    /// already.
    fn known_spend(&self, is_shared: bool) -> NanoUsd {
        if is_shared { self.spend.saturating_sub(NanoUsd(self.share.untold)) } else { self.spend }
    }

    /// What this instance may still use without asking.
    fn free(&self, max: NanoUsd, alone: Option<u32>) -> i64 {
        let share = &self.share;
        let room = share.known.map_or(max.saturating_sub(self.known_spend(true)).0, |known| known.room);
        let part = alone.map_or(0, |instances| room.max(0) / i64::from(instances.max(1)));
        share.free(self.held.total()).saturating_add(part)
    }

    /// What a grant holds here.
    fn held_by(&self, grant: &Grant, admission: Admission, now: Timestamp) -> NanoUsd {
        if self.counts(admission) && !grant.lease.is_over(now) { grant.hold } else { NanoUsd::ZERO }
    }

    /// Whether an admission holds and charges here: it came after the window began.
    fn counts(&self, admission: Admission) -> bool {
        self.born < admission.sequence
    }
}

#[cfg(test)]
mod tests;
