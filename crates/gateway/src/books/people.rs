//! Who a key belongs to: its user, team, membership and organization, and the customers and tags that requests name.
//!
//! What was read once is kept until anything changes; then each is read again when it is next asked for. Where the
//! database does not answer, who is known stays known.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::condition::Conditions;
use ledger::rules::account::{Account, Scope};
use ledger::rules::budget::{Allowance, Terms};
use ledger::rules::circle::Circle;
use ledger::rules::entity::{Customer, Key, Member, Organization, SharedBudget, TagTerms, Team, User};
use ledger::rules::id::{BudgetId, CustomerId, KeyHash, KeyId, Tag};
use ledger::store::{Record, Store, StoreError};
use ledger::{Claim, Claims, Counters};
use moka::sync::Cache;

use super::now;
use super::orders::Orders;
use crate::events::metrics::Handles;

/// Keys that are remembered; the least used ones are read again.
const MAX_KEYS: u64 = 200_000;
/// Customers and tags that are remembered, also that there is no such thing: requests can name any.
const MAX_NAMED: u64 = 50_000;
/// Models per key whose accounts are remembered.
const MAX_MODELS: usize = 64;
/// Somebody who cannot be asked about is not looked for again at every request.
const NAMED_FOR: Duration = Duration::from_secs(60);

/// The number of the next generation: no two have the same one, of whatever [`People`].
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// Most requests of a thread bring the same key as the one before; a look into the shared cache takes 1,500
    /// instructions.
    static LAST: RefCell<Option<(KeyHash, Arc<Holder>)>> = const { RefCell::new(None) };
}

/// A key, with everybody whom its requests concern.
#[derive(Debug)]
pub struct Holder {
    pub key: Key,
    pub user: Option<User>,
    pub team: Option<Team>,
    pub member: Option<Member>,
    pub organization: Option<Organization>,
    /// What the key demands of requests.
    pub conditions: Conditions,
    /// What the key, else its team, says about how its requests are served.
    pub orders: Orders,
    /// What may have changed since.
    generation: u64,
    /// By model: what requests of this key draw on.
    claims: Mutex<HashMap<Arc<str>, Claims>>,
    /// By deployment: what its requests are counted in.
    handles: Mutex<HashMap<Arc<str>, Arc<Handles>>>,
}

impl PartialEq for Holder {
    fn eq(&self, other: &Self) -> bool {
        self.key.id == other.key.id
    }
}

impl Eq for Holder {}

impl Holder {
    /// A holder without any terms: the operator, or the gateway itself.
    #[must_use]
    pub fn unbounded(name: &str) -> Option<Self> {
        let key = Key { id: KeyId::new(name).ok()?, name: name.to_owned(), ..api::key::empty(name) };
        Some(Self {
            key,
            user: None,
            team: None,
            member: None,
            organization: None,
            conditions: Conditions::default(),
            orders: Orders::default(),
            generation: 0,
            claims: Mutex::default(),
            handles: Mutex::default(),
        })
    }

    /// Everybody, for the rules.
    #[must_use]
    pub fn circle(&self) -> Circle<'_> {
        Circle {
            key: &self.key,
            user: self.user.as_ref(),
            team: self.team.as_ref(),
            member: self.member.as_ref(),
            organization: self.organization.as_ref(),
        }
    }

    /// The name that a model has for others: the key's or its team's aliases, then those of their `router_settings`.
    #[must_use]
    pub fn resolve<'m>(&'m self, model: &'m str) -> &'m str {
        let resolved = self.circle().resolve(model);
        self.orders.routing.aliases.get(resolved).map_or(resolved, String::as_str)
    }

    /// What requests for a model draw on, if that was worked out before.
    #[must_use]
    pub fn claims(&self, model: &str) -> Option<Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner).get(model).cloned()
    }

    /// Remembers what requests for a model draw on.
    pub fn remember(&self, model: &str, claims: Claims) {
        let mut known = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_MODELS {
            known.insert(model.into(), claims);
        }
    }

    /// What its requests to a deployment are counted in.
    pub(crate) fn handles(&self, deployment: &Arc<str>, new: impl FnOnce() -> Handles) -> Arc<Handles> {
        let mut known = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(Arc::clone(deployment)).or_insert_with(|| Arc::new(new())))
    }

    /// Whose cached answers it may be given: its team's, else its own. The kind and the id.
    #[must_use]
    pub fn cache_scope(&self) -> [&str; 2] {
        self.team.as_ref().map_or(["key", self.key.id.as_str()], |team| ["team", team.id.as_str()])
    }
}

/// See the module.
#[derive(Debug)]
pub struct People {
    /// Another one whenever anything about anybody changes.
    generation: AtomicU64,
    keys: Cache<KeyHash, Arc<Holder>>,
    customers: Cache<CustomerId, Known<Customer>>,
    tags: Cache<Tag, Known<TagTerms>>,
    budgets: Cache<BudgetId, Known<SharedBudget>>,
}

/// What is known about somebody, and since which generation.
#[derive(Debug)]
struct Known<R> {
    record: Option<Arc<R>>,
    generation: u64,
}

impl<R> Clone for Known<R> {
    fn clone(&self) -> Self {
        Self { record: self.record.clone(), generation: self.generation }
    }
}

impl Default for People {
    fn default() -> Self {
        Self {
            generation: AtomicU64::new(GENERATIONS.fetch_add(1, Ordering::AcqRel)),
            keys: Cache::new(MAX_KEYS),
            customers: Cache::builder().max_capacity(MAX_NAMED).time_to_live(NAMED_FOR).build(),
            tags: Cache::builder().max_capacity(MAX_NAMED).time_to_live(NAMED_FOR).build(),
            budgets: Cache::builder().max_capacity(MAX_NAMED).time_to_live(NAMED_FOR).build(),
        }
    }
}

impl People {
    /// Something about somebody, or the configuration, has changed.
    pub fn changed(&self) {
        self.generation.store(GENERATIONS.fetch_add(1, Ordering::AcqRel), Ordering::Release);
    }

    /// The holder of a key that is known, if nothing has changed since.
    #[must_use]
    pub fn known(&self, hash: &KeyHash) -> Option<Arc<Holder>> {
        let generation = self.generation.load(Ordering::Acquire);
        let is_current = |holder: &Arc<Holder>| holder.generation == generation;
        LAST.with_borrow_mut(|last| {
            if let Some((known, holder)) = last
                && known == hash
                && is_current(holder)
            {
                return Some(Arc::clone(holder));
            }
            let holder = self.keys.get(hash).filter(is_current)?;
            *last = Some((*hash, Arc::clone(&holder)));
            Some(holder)
        })
    }

    /// Whether a key is known from before, be it that it has to be read again.
    #[must_use]
    pub fn knows(&self, hash: &KeyHash) -> bool {
        self.keys.contains_key(hash)
    }

    /// The holder of a key, read anew; `None` if there is no such key.
    ///
    /// # Errors
    /// The database's, where the key is not known from before.
    pub async fn holder(&self, store: &Store, hash: &KeyHash) -> Result<Option<Arc<Holder>>, StoreError> {
        let generation = self.generation.load(Ordering::Acquire);
        let known = self.keys.get(hash);
        match read_holder(store, hash, generation).await {
            Ok(Some(holder)) => {
                let holder = Arc::new(holder);
                // A secret before the last regeneration is good for a while only.
                if holder.key.hash == *hash {
                    self.keys.insert(*hash, Arc::clone(&holder));
                }
                Ok(Some(holder))
            }
            Ok(None) => {
                self.keys.invalidate(hash);
                Ok(None)
            }
            Err(error) => known.map(Some).ok_or(error),
        }
    }

    /// A customer with terms of its own; `None` if there is none, or the database does not tell.
    pub async fn customer(&self, store: &Store, id: &CustomerId) -> Option<Arc<Customer>> {
        self.named(&self.customers, store, id, id.as_str()).await
    }

    /// A tag with terms of its own; `None` if there is none, or the database does not tell.
    pub async fn tag(&self, store: &Store, tag: &Tag) -> Option<Arc<TagTerms>> {
        self.named(&self.tags, store, tag, tag.as_str()).await
    }

    /// A budget that several refer to; `None` if there is none, or the database does not tell.
    pub async fn budget(&self, store: &Store, id: &BudgetId) -> Option<Arc<SharedBudget>> {
        self.named(&self.budgets, store, id, id.as_str()).await
    }

    async fn named<I, R>(
        &self,
        cache: &Cache<I, Known<R>>,
        store: &Store,
        id: &I,
        name: &str,
    ) -> Option<Arc<R>>
    where
        I: std::hash::Hash + Eq + Clone + Send + Sync + 'static,
        R: Record + 'static,
    {
        let generation = self.generation.load(Ordering::Acquire);
        let known = cache.get(id);
        if let Some(known) = &known
            && known.generation == generation
        {
            return known.record.clone();
        }
        // Large, and seldom needed.
        let Ok(record) = Box::pin(read::<R>(store, name)).await else {
            return known.and_then(|known| known.record);
        };
        let record = record.map(Arc::new);
        cache.insert(id.clone(), Known { record: record.clone(), generation });
        record
    }
}

async fn read_holder(store: &Store, hash: &KeyHash, generation: u64) -> Result<Option<Holder>, StoreError> {
    let Some(stored) = store.key_by_hash(hash, now()).await? else { return Ok(None) };
    let mut key = stored.record;
    share(store, &mut key).await?;
    let user = match &key.user {
        Some(user) => read::<User>(store, user.as_str()).await?,
        None => None,
    };
    let team = match &key.team {
        Some(team) => read::<Team>(store, team.as_str()).await?,
        None => None,
    };
    let member = match (&key.team, &key.user) {
        (Some(team), Some(user)) => {
            read::<Member>(store, &Scope::Member(team.clone(), user.clone()).id()).await?
        }
        _ => None,
    };
    let of_team = team.as_ref().and_then(|team| team.organization.clone());
    let organization = match key.organization.clone().or(of_team) {
        Some(organization) => read::<Organization>(store, organization.as_str()).await?,
        None => None,
    };
    let of_team = team.as_ref().map(|team| Orders::stored(&team.details)).unwrap_or_default();
    Ok(Some(Holder {
        conditions: Conditions::of(&key),
        orders: Orders::stored(&key.details).or(of_team),
        key,
        user,
        team,
        member,
        organization,
        generation,
        claims: Mutex::default(),
        handles: Mutex::default(),
    }))
}

async fn read<R: Record>(store: &Store, id: &str) -> Result<Option<R>, StoreError> {
    let Some(stored) = store.get::<R>(id).await? else { return Ok(None) };
    let mut record = stored.record;
    share(store, &mut record).await?;
    Ok(Some(record))
}

/// Fills in the terms of a shared budget, where the entity has none of its own.
async fn share<R: Record>(store: &Store, record: &mut R) -> Result<(), StoreError> {
    let details = record.details_mut();
    if let Some(terms) = shared(store, details.budget_id.as_ref()).await? {
        details.allowance = details.allowance.or(&terms);
    }
    Ok(())
}

async fn shared(store: &Store, id: Option<&BudgetId>) -> Result<Option<Allowance>, StoreError> {
    let Some(id) = id else { return Ok(None) };
    let budget = store.get::<SharedBudget>(id.as_str()).await?;
    Ok(budget.map(|budget| budget.record.details.allowance))
}

/// Claims on accounts; ledgers that are not open yet are opened with what the store knows.
///
/// # Errors
/// The database's, where a ledger is not open.
pub async fn claims(
    counters: &Counters,
    store: &Store,
    accounts: Vec<(Account, Terms)>,
) -> Result<Vec<Claim>, StoreError> {
    let mut claims = Vec::with_capacity(accounts.len());
    for (account, terms) in accounts {
        let terms = Arc::new(terms);
        let claim = match counters.claim(&account, &terms) {
            Some(claim) => claim,
            // Large, and needed once per account.
            None => counters.open(&account, &terms, &Box::pin(store.openings(&account)).await?),
        };
        claims.push(claim);
    }
    Ok(claims)
}
