//! The live state: ledgers in memory, shared by all requests of this instance.
//!
//! A known account costs no look-up: whoever knows a key keeps its [`Claims`]. An admission takes the ledgers' locks in
//! one order, so that requests over the same accounts wait for each other and never for ever.

mod leases;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use catalog::NanoUsd;

use leases::LastCall;
pub use leases::{KEEP, LeaseHealth, Leases};

use crate::rules::account::Account;
use crate::rules::budget::{Budget, Terms};
use crate::rules::history::{Histories, History};
use crate::rules::id::ModelName;
use crate::rules::ledger::{self, Actual, Demand, Entry, Grant, Ledger, Opening, Settlement, Standing};
use crate::rules::refusal::Refusal;
use crate::rules::share::Resource;
use crate::rules::time::Timestamp;

const SHARDS: usize = 64;

/// All ledgers of this instance.
#[derive(Debug)]
pub struct Counters {
    shards: Vec<RwLock<HashMap<Account, Arc<Live>>>>,
    hasher: RandomState,
    /// Number of the next ledger: the order of locks.
    next: AtomicU64,
    /// Where limits are shared with other instances.
    leases: Option<Arc<Leases>>,
}

/// One account's ledger.
#[derive(Debug)]
struct Live {
    number: u64,
    account: Account,
    state: Mutex<State>,
    leases: Option<Arc<Leases>>,
    /// Whose turn it is to exchange leases of this account.
    turn: tokio::sync::Mutex<()>,
    /// What came of calls for others' rests: those who wait for the same one need not all ask.
    calls: Mutex<HashMap<Resource, LastCall>>,
}

#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    histories: Histories,
}

/// An account and the terms that its use is under.
#[derive(Clone, Debug)]
pub struct Claim {
    live: Arc<Live>,
    terms: Arc<Terms>,
}

/// What a request draws on: distinct accounts, in the order of their locks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Claims(Arc<[Claim]>);

/// What a running request holds. Dropped unsettled, it charges nothing and gives back what it held.
#[derive(Debug)]
#[must_use = "dropped unsettled, it charges nothing"]
pub struct Reservation {
    claims: Claims,
    grant: Option<Grant>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            next: AtomicU64::new(0),
            leases: None,
        }
    }
}

impl Counters {
    /// Counters of one of several instances: requests are admitted by [`Claims::admit_shared`].
    #[must_use]
    pub fn shared(leases: Arc<Leases>) -> Self {
        Self { leases: Some(leases), ..Self::default() }
    }

    /// A claim on an account whose ledger is open; `None`: [`open`](Self::open) it with what the store knows.
    #[must_use]
    pub fn claim(&self, account: &Account, terms: &Arc<Terms>) -> Option<Claim> {
        let shard = self.shard(account)?.read().unwrap_or_else(PoisonError::into_inner);
        let live = shard.get(account)?;
        Some(Claim { live: Arc::clone(live), terms: Arc::clone(terms) })
    }

    /// Opens an account's ledger with what it spent before. One that is open already stays as it is, so that two
    /// requests may both try.
    #[must_use]
    pub fn open(&self, account: &Account, terms: &Arc<Terms>, openings: &[Opening]) -> Claim {
        let new = || {
            Arc::new(Live {
                number: self.next.fetch_add(1, Ordering::Relaxed),
                account: account.clone(),
                state: Mutex::new(State {
                    ledger: match self.leases {
                        None => Ledger::open(openings, terms),
                        Some(_) => Ledger::open_shared(openings, terms),
                    },
                    histories: Histories::default(),
                }),
                leases: self.leases.clone(),
                turn: tokio::sync::Mutex::default(),
                calls: Mutex::default(),
            })
        };
        let live = match self.shard(account) {
            Some(shard) => {
                let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(shard.entry(account.clone()).or_insert_with(new))
            }
            None => new(),
        };
        Claim { live, terms: Arc::clone(terms) }
    }

    /// The open accounts of somebody, named as the database does ([`Scope::kind`](crate::rules::account::Scope::kind)).
    #[must_use]
    pub fn accounts_of(&self, kind: &str, id: &str) -> Vec<Account> {
        let of = |account: &&Account| account.scope.kind() == kind && account.scope.id() == id;
        let shards = self.shards.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner));
        shards.flat_map(|shard| shard.keys().filter(of).cloned().collect::<Vec<_>>()).collect()
    }

    /// Sets what an open account spent to what the store knows; everything journalled must have been booked.
    pub fn respend(&self, account: &Account, openings: &[Opening]) {
        let Some(shard) = self.shard(account) else { return };
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = shard.get(account) {
            live.lock().ledger.respend(openings);
        }
    }

    /// Forgets ledgers that nobody has a claim on and on which nothing happened since `then`, which must not be later
    /// than the newest entry that the journal has handed to the store. Returns how many.
    pub fn forget_idle(&self, then: Timestamp) -> usize {
        let mut forgotten = 0;
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            let before = shard.len();
            shard.retain(|_, live| Arc::strong_count(live) > 1 || !live.lock().ledger.is_idle_since(then));
            forgotten += before - shard.len();
        }
        forgotten
    }

    /// How many ledgers are open.
    #[must_use]
    pub fn len(&self) -> usize {
        let size = |shard: &RwLock<HashMap<_, _>>| shard.read().unwrap_or_else(PoisonError::into_inner).len();
        self.shards.iter().map(size).sum()
    }

    /// Whether no ledger is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, account: &Account) -> Option<&RwLock<HashMap<Account, Arc<Live>>>> {
        let hash = self.hasher.hash_one(account) % SHARDS as u64;
        self.shards.get(usize::try_from(hash).unwrap_or_default())
    }
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No operation on a ledger panics half-way.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leases) = &self.leases {
            state.ledger.set_alone(leases.alone());
        }
        state
    }
}

impl Claim {
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.live.account
    }

    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The same account under other terms.
    #[must_use]
    pub fn under(&self, terms: Arc<Terms>) -> Self {
        Self { live: Arc::clone(&self.live), terms }
    }

    /// How the account stands.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        self.live.lock().ledger.standing(&self.terms, now)
    }

    /// Sets what was spent in the current window of a budget.
    pub fn set_spend(&self, budget: &Budget, spend: NanoUsd, now: Timestamp) {
        self.live.lock().ledger.set_spend(budget, &self.terms.zone, spend, now);
    }

    /// What the account's last calls to a model were like.
    #[must_use]
    pub fn history(&self, model: &ModelName) -> History {
        self.live.lock().histories.of(model)
    }

    /// Learns what a call to a model cost, and how many tokens its answer had.
    pub fn learn(&self, model: &ModelName, cost: NanoUsd, output: u64) {
        self.live.lock().histories.learn(model, cost, output);
    }
}

/// An entry of [`ledger`]'s functions behind a lock.
struct Locked<'a>(MutexGuard<'a, State>);

impl std::ops::Deref for Locked<'_> {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.0.ledger
    }
}

impl std::ops::DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Ledger {
        &mut self.0.ledger
    }
}

impl Claims {
    /// Of several claims on one account the first counts.
    #[must_use]
    pub fn new(mut claims: Vec<Claim>) -> Self {
        claims.sort_by_key(|claim| claim.live.number);
        claims.dedup_by_key(|claim| claim.live.number);
        Self(claims.into())
    }

    /// These, and more.
    #[must_use]
    pub fn with(&self, more: impl IntoIterator<Item = Claim>) -> Self {
        Self::new(self.0.iter().cloned().chain(more).collect())
    }

    /// The same accounts, with nothing that could refuse: what is used is counted.
    #[must_use]
    pub fn unbounded(&self) -> Self {
        let unbounded = |claim: &Claim| claim.under(Arc::new(claim.terms.unbounded()));
        Self(self.0.iter().map(unbounded).collect())
    }

    /// Holds what a request asks for on all accounts, or on none. Of several instances this one's part decides; see
    /// [`admit_shared`](Self::admit_shared).
    ///
    /// # Errors
    /// The reason why not; see [`ledger::admit`].
    pub fn admit(&self, demand: &Demand, now: Timestamp) -> Result<Reservation, Refusal> {
        let grant = ledger::admit(&mut self.lock(), demand, now)?;
        Ok(Reservation { claims: self.clone(), grant: Some(grant) })
    }

    /// The most that a further call may cost; `None`: no budget applies. For `budget_fit`.
    #[must_use]
    pub fn room(&self, now: Timestamp) -> Option<NanoUsd> {
        ledger::room(&mut self.lock(), now)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Claim> {
        self.0.iter()
    }

    fn lock(&self) -> Vec<Entry<'_, Locked<'_>>> {
        self.0.iter().map(|claim| (&claim.live.account, &*claim.terms, Locked(claim.live.lock()))).collect()
    }
}

impl Reservation {
    /// Ends the holds and books what was used.
    pub fn settle(mut self, actual: Actual, now: Timestamp) -> Settlement {
        let Some(grant) = self.grant.take() else { return Settlement::default() };
        ledger::settle(&mut self.claims.lock(), &grant, actual, now)
    }

    /// What it holds on each account.
    #[must_use]
    pub fn held(&self) -> NanoUsd {
        self.grant.as_ref().map_or(NanoUsd::ZERO, Grant::hold)
    }

    /// Keeps the holds of a request that still runs.
    pub fn extend(&mut self, until: Timestamp) {
        if let Some(grant) = &mut self.grant {
            ledger::extend(&mut self.claims.lock(), grant, until);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(grant) = self.grant.take() {
            ledger::give_back(&mut self.claims.lock(), &grant);
        }
    }
}

#[cfg(test)]
mod tests;
