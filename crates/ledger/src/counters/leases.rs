//! Counters of one of several instances: parts of limits are lent to it, and it asks for more when they do not do.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use catalog::NanoUsd;

use super::{Claim, Claims, Live, Reservation};
use crate::rules::account::Account;
use crate::rules::budget::{Budget, Terms};
use crate::rules::ledger::{self, Charge, Demand, Denial};
use crate::rules::refusal::Refusal;
use crate::rules::share::{Known, Resource, Return, Standing};
use crate::rules::time::Timestamp;
use crate::shared::{Books, LeaseError, LeaseStore, Order, Outcome, Reply};
use crate::store::{Store, Tally, WindowSpend};

/// How often [`Leases::keep`] should be called.
pub const KEEP: Duration = Duration::from_millis(20);
/// What returns after a minute is told so often: so late does it return.
const REPORT: Duration = Duration::from_millis(250);
/// So often leases are renewed, and what was not used is given back.
const RENEW: Duration = Duration::from_secs(5);
/// How long to wait before asking again for what others were called to give back.
const ASK_AGAIN: Duration = Duration::from_millis(5);
/// When the store is there again, others have so long to say what they used meanwhile, before anybody is lent more.
const RETURN: Duration = Duration::from_secs(2);
/// How long an exchange may take: a request waits for it.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long others have to answer a call: those that do not are late, and the request is not kept waiting for them.
const CALL_PATIENCE: Duration = Duration::from_secs(3);

/// This instance's end of what instances share.
pub struct Leases {
    instance: String,
    exchange: Box<dyn LeaseStore>,
    store: Store,
    accounts: Mutex<HashMap<Account, Registered>>,
    /// Windows in which this instance has booked something since the room last heard what was spent.
    booked: Mutex<HashSet<Charge>>,
    instances: AtomicU32,
    /// How many exchanges there were, for those who count round trips.
    exchanges: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    away: Option<Away>,
    /// When the store was reached again.
    back: Option<Timestamp>,
    reported: Timestamp,
    renewed: Timestamp,
}

#[derive(Clone, Debug)]
struct Away {
    since: Timestamp,
    why: Arc<LeaseError>,
}

/// An account that something was lent for, under its last terms.
struct Registered {
    live: Weak<Live>,
    terms: Arc<Terms>,
    /// How its parts were when leases were last renewed.
    renewed: Vec<(Resource, Standing)>,
}

/// Whether limits hold across instances.
#[derive(Clone, Debug)]
pub enum LeaseHealth {
    /// They do, across so many.
    Shared { instances: u32 },
    /// The store of leases does not answer: this instance takes its part, one of so many, of what was left.
    Alone { since: Timestamp, instances: u32, why: Arc<LeaseError> },
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").field("instance", &self.instance).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Leases {
    /// An instance begins, under a name that it keeps when it is started again. Its journal must have been drained
    /// into `store` before: then what was lent to its former life is given back here.
    ///
    /// # Errors
    /// When leases cannot be exchanged, or the database does not answer.
    pub async fn start(
        instance: &str,
        exchange: Box<dyn LeaseStore>,
        store: Store,
        now: Timestamp,
    ) -> Result<Arc<Self>, LeaseError> {
        let leases = Self {
            instance: instance.to_owned(),
            exchange,
            store,
            accounts: Mutex::default(),
            booked: Mutex::default(),
            instances: AtomicU32::new(1),
            exchanges: AtomicU64::new(0),
            state: Mutex::new(State { away: None, back: None, reported: now, renewed: now }),
        };
        leases.give_all_back(now).await?;
        let heard = leases.exchange.hear(instance, now).await?;
        leases.instances.store(heard.instances.max(1), Ordering::Relaxed);
        Ok(Arc::new(leases))
    }

    /// The instance ends: nothing runs any more, and its journal was drained. Everything is given back.
    ///
    /// # Errors
    /// When leases cannot be exchanged; they will end by themselves.
    pub async fn stop(&self, now: Timestamp) -> Result<(), LeaseError> {
        self.give_all_back(now).await?;
        self.exchange.leave(&self.instance).await
    }

    /// All that this instance spent is in the database, and nothing is held.
    async fn give_all_back(&self, now: Timestamp) -> Result<(), LeaseError> {
        for name in self.exchange.lent_to(&self.instance).await? {
            let Ok(resource) = serde_json::from_str::<Resource>(&name) else { continue };
            let mut order = Order { max: i64::MAX, moved: true, ..Order::nothing(resource.returns()) };
            if let Resource::Spend(charge) = &resource {
                let spent = self.read(charge).await?;
                order.booked = Some(self.own(&spent));
                order = order.with(spent);
            }
            self.exchange.exchange(&self.instance, &name, &order, now).await?;
        }
        Ok(())
    }

    /// What was spent in a window, as far as it is booked.
    async fn read(&self, charge: &Charge) -> Result<WindowSpend, LeaseError> {
        match tokio::time::timeout(PATIENCE, self.store.window_spend(charge)).await {
            Ok(spent) => spent.map_err(LeaseError::new),
            Err(_) => Err(LeaseError::new("the database took too long")),
        }
    }

    /// What this instance booked of it.
    fn own(&self, spent: &WindowSpend) -> i64 {
        spent.by.get(&self.instance).copied().unwrap_or(0)
    }

    /// Whether limits hold across instances.
    #[must_use]
    pub fn health(&self) -> LeaseHealth {
        let instances = self.instances.load(Ordering::Relaxed);
        match locked(&self.state).away.clone() {
            None => LeaseHealth::Shared { instances },
            Some(Away { since, why }) => LeaseHealth::Alone { since, instances, why },
        }
    }

    /// How many times this instance asked, in all.
    #[must_use]
    pub fn exchanges(&self) -> u64 {
        self.exchanges.load(Ordering::Relaxed)
    }

    /// `Some`: nobody can be asked, and this is one of so many instances.
    pub(super) fn alone(&self) -> Option<u32> {
        locked(&self.state).away.as_ref().map(|_| self.instances.load(Ordering::Relaxed))
    }

    fn went_away(&self, why: LeaseError, now: Timestamp) {
        let mut state = locked(&self.state);
        state.back = None;
        state.away.get_or_insert(Away { since: now, why: Arc::new(why) });
    }

    /// Tells that bookings of this instance are in the database: for the journal's drain.
    pub fn booked(&self, tallies: &[Tally]) {
        for Tally { charge, more, sum } in tallies {
            let Some((live, _)) = self.registered(&charge.account) else { continue };
            live.lock().ledger.booked(charge, more.0, sum.0);
            locked(&self.booked).insert(charge.clone());
        }
    }

    /// Answers calls, tells what was used, renews leases, gives back what is not needed, and finds out whether the
    /// store is there again. One task calls this every [`KEEP`].
    pub async fn keep(&self, now: Timestamp) {
        let heard = match tokio::time::timeout(PATIENCE, self.exchange.hear(&self.instance, now)).await {
            Ok(Ok(heard)) => heard,
            Ok(Err(error)) => return self.went_away(error, now),
            Err(_) => return self.went_away(LeaseError::new("it took too long"), now),
        };
        self.instances.store(heard.instances.max(1), Ordering::Relaxed);
        let (is_back, reports, renews) = {
            let mut state = locked(&self.state);
            let is_back = state.away.is_some() && state.back.is_none();
            if is_back {
                state.back = Some(now);
            }
            if state.back.is_some_and(|back| back.until(now) >= RETURN) {
                (state.away, state.back) = (None, None);
            }
            let reports = is_back || state.reported.until(now) >= REPORT;
            let renews = is_back || state.renewed.until(now) >= RENEW;
            if reports {
                state.reported = now;
            }
            if renews {
                state.renewed = now;
            }
            (is_back, reports, renews)
        };
        self.tell_booked(now).await;
        for (name, number) in heard.calls {
            let Ok(resource) = serde_json::from_str::<Resource>(&name) else { continue };
            let Some((live, terms)) = self.registered(resource.account()) else {
                // Nothing runs here, and nothing is held.
                let order = Order { heard: number, max: i64::MAX, ..Order::nothing(resource.returns()) };
                _ = self.send(&name, &order, now).await;
                continue;
            };
            let mut purpose = |standing: &Standing| {
                Some(Purpose { heard: number, keep: standing.busy(), ..Purpose::renewal(standing) })
            };
            _ = self.exchange_one(&live, &terms, &resource, now, &mut purpose).await;
        }
        if reports || renews {
            self.renew(now, renews, is_back).await;
        }
    }

    fn registered(&self, account: &Account) -> Option<(Arc<Live>, Arc<Terms>)> {
        let accounts = locked(&self.accounts);
        let registered = accounts.get(account)?;
        Some((registered.live.upgrade()?, Arc::clone(&registered.terms)))
    }

    fn register(&self, claim: &Claim) {
        let mut accounts = locked(&self.accounts);
        match accounts.get_mut(&claim.live.account) {
            Some(registered) if registered.live.as_ptr() == Arc::as_ptr(&claim.live) => {
                registered.terms = Arc::clone(&claim.terms);
            }
            _ => {
                let registered = Registered {
                    live: Arc::downgrade(&claim.live),
                    terms: Arc::clone(&claim.terms),
                    renewed: Vec::new(),
                };
                accounts.insert(claim.live.account.clone(), registered);
            }
        }
    }

    /// Tells what was spent where something was booked: others hear of it when they next ask.
    async fn tell_booked(&self, now: Timestamp) {
        let booked = std::mem::take(&mut *locked(&self.booked));
        for charge in booked {
            let Some((live, terms)) = self.registered(&charge.account) else { continue };
            let mut purpose = |standing: &Standing| Some(Purpose::renewal(standing));
            // Where that does not succeed, they hear of it after the next booking.
            _ = self.exchange_read(&live, &terms, &charge, now, &mut purpose).await;
        }
    }

    /// Tells what was used of what returns after a minute; with `all`, renews every lease.
    async fn renew(&self, now: Timestamp, all: bool, is_back: bool) {
        let accounts = {
            let mut accounts = locked(&self.accounts);
            accounts.retain(|_, registered| registered.live.strong_count() > 0);
            let registered = accounts.values().filter_map(|registered| {
                Some((registered.live.upgrade()?, Arc::clone(&registered.terms), registered.renewed.clone()))
            });
            registered.collect::<Vec<_>>()
        };
        for (live, terms, before) in accounts {
            let parts = live.lock().ledger.parts(&live.account, &terms, now);
            for (resource, standing) in &parts {
                let reports = resource.returns() == Return::AfterAMinute && standing.untold != 0;
                let has_some = standing.lent > 0 || standing.busy() > 0;
                if !(reports || (all && has_some)) {
                    continue;
                }
                let is_idle = all
                    && !is_back
                    && before.iter().any(|(known, then)| known == resource && then == standing);
                let mut purpose = |standing: &Standing| {
                    let keep = if is_idle { standing.busy() } else { standing.lent };
                    Some(Purpose { keep, ..Purpose::renewal(standing) })
                };
                if self.exchange_one(&live, &terms, resource, now, &mut purpose).await.is_err() {
                    return;
                }
            }
            if all {
                let parts = live.lock().ledger.parts(&live.account, &terms, now);
                if let Some(registered) = locked(&self.accounts).get_mut(&live.account) {
                    registered.renewed = parts;
                }
            }
        }
    }

    /// One exchange about one resource of an account. `purpose` looks at how it stands, and may find that there is no
    /// need.
    async fn exchange_one(
        &self,
        live: &Live,
        terms: &Terms,
        resource: &Resource,
        now: Timestamp,
        purpose: &mut (dyn FnMut(&Standing) -> Option<Purpose> + Send),
    ) -> Result<Option<Outcome>, LeaseError> {
        // One exchange of an account at a time: what is lent is moved by nobody else.
        let _turn = live.turn.lock().await;
        let Resource::Spend(charge) = resource else {
            return self.exchange_with(live, terms, resource, now, Reading::Closed, purpose).await;
        };
        let knows_own = {
            let parts = live.lock().ledger.parts(&live.account, terms, now);
            let standing = parts.iter().find(|(known, _)| known == resource).map(|(_, standing)| standing);
            let Some(standing) = standing.filter(|standing| purpose(standing).is_some()) else {
                return Ok(None);
            };
            standing.booked.is_some()
        };
        if knows_own {
            let reading = Reading::Closed;
            let outcome = self.exchange_with(live, terms, resource, now, reading, purpose).await?;
            if outcome != Some(Outcome::Unread) {
                return Ok(outcome);
            }
        }
        let reading = self.open(live, charge).await;
        self.exchange_with(live, terms, resource, now, reading, purpose).await
    }

    /// The same, with what the database says of a budget's window.
    async fn exchange_read(
        &self,
        live: &Live,
        terms: &Terms,
        charge: &Charge,
        now: Timestamp,
        purpose: &mut (dyn FnMut(&Standing) -> Option<Purpose> + Send),
    ) -> Result<(), LeaseError> {
        let _turn = live.turn.lock().await;
        let reading = self.open(live, charge).await;
        if let Reading::Away(error) = reading {
            return Err(error);
        }
        let resource = Resource::Spend(charge.clone());
        self.exchange_with(live, terms, &resource, now, reading, purpose).await.map(|_| ())
    }

    /// Reads what was spent in a window.
    async fn open(&self, live: &Live, charge: &Charge) -> Reading {
        let resource = Resource::Spend(charge.clone());
        let before = live.lock().ledger.share(&resource).and_then(|share| share.booked);
        match self.read(charge).await {
            Ok(spent) => Reading::Open { spent, before },
            Err(error) => Reading::Away(error),
        }
    }

    async fn exchange_with(
        &self,
        live: &Live,
        terms: &Terms,
        resource: &Resource,
        now: Timestamp,
        reading: Reading,
        purpose: &mut (dyn FnMut(&Standing) -> Option<Purpose> + Send),
    ) -> Result<Option<Outcome>, LeaseError> {
        let returns = resource.returns();
        let moves;
        let order = {
            let mut state = live.lock();
            let parts = state.ledger.parts(&live.account, terms, now);
            let Some((_, standing)) = parts.iter().find(|(known, _)| known == resource) else {
                return Ok(None);
            };
            let Some(purpose) = purpose(standing) else { return Ok(None) };
            moves = standing.moves;
            let Some(share) = state.ledger.share(resource) else { return Ok(None) };
            let report = if returns == Return::AfterAMinute { share.untold } else { 0 };
            share.untold = share.untold.saturating_sub(report);
            share.lent = purpose.keep.saturating_sub(report).max(0);
            let order = Order {
                returns,
                max: standing.max,
                lent: share.lent,
                busy: standing.busy().saturating_sub(report).max(0),
                used: standing.used,
                books: Books::Closed,
                resets: purpose.resets,
                booked: None,
                report,
                need: purpose.need,
                waits_for: purpose.waits_for,
                heard: purpose.heard,
                moved: share.told_moves != moves,
            };
            match reading {
                Reading::Closed => Order { booked: share.booked, ..order },
                Reading::Away(_) => Order { booked: share.booked, books: Books::Away, ..order },
                Reading::Open { spent, before } => {
                    let own = self.own(&spent);
                    // Nothing was booked while it was read, and yet there is less: what was old was deleted.
                    let began_anew = share.booked == before && before.is_some_and(|before| own < before);
                    if share.booked.is_none() || began_anew {
                        share.booked = Some(own);
                    }
                    Order { booked: share.booked, ..order }.with(spent)
                }
            }
        };
        // Resources are plain data: they can be written.
        let name = serde_json::to_string(resource).map_err(LeaseError::new)?;
        let reply = self.send(&name, &order, now).await;
        let mut state = live.lock();
        match reply {
            Ok(reply) => {
                // What was booked meanwhile needs no lease.
                let mut since = 0;
                if let Some(share) = state.ledger.share(resource) {
                    let booked = share.booked.zip(order.booked);
                    since = booked.map_or(0, |(now, then)| now.saturating_sub(then).max(0));
                    share.lent = reply.lent.saturating_sub(since).max(0);
                    share.told_moves = moves;
                    share.known = Some(Known { used: reply.used, room: reply.room });
                }
                if let Resource::Spend(charge) = resource {
                    state.ledger.set_known_spend(charge, NanoUsd(reply.used.saturating_add(since)));
                }
                Ok(Some(reply.outcome))
            }
            Err(error) => {
                // As if nothing had been told. If it was, it counts twice for a minute.
                if let Some(share) = state.ledger.share(resource) {
                    share.untold = share.untold.saturating_add(order.report);
                    share.lent = share.lent.saturating_add(order.report);
                }
                Err(error)
            }
        }
    }

    async fn send(&self, name: &str, order: &Order, now: Timestamp) -> Result<Reply, LeaseError> {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        let work = self.exchange.exchange(&self.instance, name, order, now);
        let reply = match tokio::time::timeout(PATIENCE, work).await {
            Ok(reply) => reply,
            Err(_) => Err(LeaseError::new("it took too long")),
        };
        reply.inspect_err(|error| self.went_away(LeaseError::new(error.to_string()), now))
    }

    /// Tells that an administrator has set what all instances spent in the current window of a budget.
    ///
    /// # Errors
    /// When leases cannot be exchanged.
    pub async fn set_spend(&self, claim: &Claim, budget: &Budget, now: Timestamp) -> Result<(), LeaseError> {
        let charge = Charge {
            account: claim.live.account.clone(),
            period: budget.period,
            window: budget.window(now, &claim.terms.zone).start,
        };
        let mut purpose = |standing: &Standing| Some(Purpose { resets: true, ..Purpose::renewal(standing) });
        self.exchange_read(&claim.live, &claim.terms, &charge, now, &mut purpose).await
    }
}

/// What the database says for an exchange.
#[derive(Debug)]
enum Reading {
    /// It was not asked.
    Closed,
    Away(LeaseError),
    /// With what this instance knew to have booked before it was asked.
    Open {
        spent: WindowSpend,
        before: Option<i64>,
    },
}

/// What an exchange is for.
#[derive(Clone, Copy, Debug)]
struct Purpose {
    keep: i64,
    need: i64,
    waits_for: i64,
    heard: i64,
    resets: bool,
}

impl Purpose {
    /// Keeps everything, asks for nothing.
    fn renewal(standing: &Standing) -> Self {
        Self { keep: standing.lent, need: 0, waits_for: 0, heard: 0, resets: false }
    }
}

impl Resource {
    fn account(&self) -> &Account {
        match self {
            Self::Spend(charge) => &charge.account,
            Self::Requests(account) | Self::Tokens(account) | Self::Parallel(account) => account,
        }
    }

    /// What is taken of it.
    fn asked(&self, need: &Need) -> i64 {
        match self {
            Self::Spend(_) => need.spend,
            Self::Requests(_) | Self::Parallel(_) => need.requests,
            Self::Tokens(_) => need.tokens,
        }
    }
}

impl Order {
    /// Keeps nothing, and asks for nothing.
    fn nothing(returns: Return) -> Self {
        Self {
            returns,
            max: 0,
            lent: 0,
            busy: 0,
            used: 0,
            books: Books::Closed,
            resets: false,
            booked: None,
            report: 0,
            need: 0,
            waits_for: 0,
            heard: 0,
            moved: false,
        }
    }

    /// With what was read.
    fn with(self, spent: WindowSpend) -> Self {
        Self { used: spent.all.0, books: Books::Read(spent.by), ..self }
    }
}

/// What a request takes of each account.
#[derive(Clone, Copy, Debug)]
struct Need {
    spend: i64,
    requests: i64,
    tokens: i64,
}

impl Need {
    fn of(demand: &Demand) -> Self {
        let tokens = i64::try_from(demand.tokens).unwrap_or(i64::MAX);
        Self { spend: demand.hold.amount().0, requests: 1, tokens }
    }

    /// More for a request that runs.
    fn more(spend: NanoUsd) -> Self {
        Self { spend: spend.0, requests: 0, tokens: 0 }
    }
}

impl Claims {
    /// As [`admit`](Self::admit); where this instance's part does not do, other instances are asked for what they do
    /// not need. Waits for nobody as long as the part does, and where counters are not shared.
    ///
    /// # Errors
    /// The reason why not, of all instances together.
    pub async fn admit_shared(&self, demand: &Demand, now: Timestamp) -> Result<Reservation, Refusal> {
        match self.attempt(demand, now) {
            Ok(reservation) => Ok(reservation),
            Err(Denial::Refused(refusal)) => Err(refusal),
            // What asks is large, and made for those alone who need it.
            Err(Denial::Lacking(_)) => {
                let need = Need::of(demand);
                Box::pin(self.ask_until(now, |_| need, |now| self.attempt(demand, now))).await
            }
        }
    }

    /// Asks other instances for what is needed until an attempt succeeds, or they have nothing to spare.
    async fn ask_until<T>(
        &self,
        now: Timestamp,
        mut need: impl FnMut(Timestamp) -> Need,
        mut attempt: impl FnMut(Timestamp) -> Result<T, Denial>,
    ) -> Result<T, Refusal> {
        let began = Instant::now();
        let mut calls: HashMap<Resource, i64> = HashMap::new();
        loop {
            let now = now.plus(began.elapsed());
            let refusal = match attempt(now) {
                Ok(done) => return Ok(done),
                Err(Denial::Refused(refusal)) => return Err(refusal),
                Err(Denial::Lacking(refusal)) => refusal,
            };
            match self.ask(&need(now), now, &mut calls).await {
                Asked::Got => {}
                Asked::Waits if began.elapsed() < CALL_PATIENCE => tokio::time::sleep(ASK_AGAIN).await,
                Asked::Waits | Asked::Nothing => return Err(refusal),
                // Nobody can be asked: our own part decides.
                Asked::Alone => {
                    return attempt(now).map_err(Refusal::from);
                }
            }
        }
    }

    fn attempt(&self, demand: &Demand, now: Timestamp) -> Result<Reservation, Denial> {
        let grant = ledger::attempt(&mut self.lock(), demand, now)?;
        Ok(Reservation { claims: self.clone(), grant: Some(grant) })
    }

    /// Asks for what is lacking, on all accounts.
    async fn ask(&self, need: &Need, now: Timestamp, calls: &mut HashMap<Resource, i64>) -> Asked {
        let mut asked = Asked::Got;
        for claim in self.iter() {
            let Some(leases) = &claim.live.leases else { continue };
            leases.register(claim);
            if leases.alone().is_some() {
                return Asked::Alone;
            }
            let parts = claim.live.lock().ledger.parts(&claim.live.account, &claim.terms, now);
            for (resource, standing) in parts {
                if lacking(&resource, &standing, need).is_none() {
                    continue;
                }
                let waits_for = calls.get(&resource).copied().unwrap_or(0);
                let mut purpose = |standing: &Standing| {
                    // Somebody who was before us may have brought enough for us as well.
                    let lacking = lacking(&resource, standing, need)?;
                    Some(Purpose { need: lacking, waits_for, ..Purpose::renewal(standing) })
                };
                let outcome =
                    leases.exchange_one(&claim.live, &claim.terms, &resource, now, &mut purpose).await;
                match outcome {
                    Ok(None | Some(Outcome::Lent)) => {}
                    Ok(Some(Outcome::Asked(number))) => {
                        calls.insert(resource, number);
                        asked = Asked::Waits;
                    }
                    // What could be read was read.
                    Ok(Some(Outcome::Nothing | Outcome::Unread)) => return Asked::Nothing,
                    Err(_) => return Asked::Alone,
                }
            }
        }
        asked
    }
}

/// What has to be lent before it fits.
fn lacking(resource: &Resource, standing: &Standing, need: &Need) -> Option<i64> {
    let asked = resource.asked(need);
    let free = standing.lent.saturating_sub(standing.untold).saturating_sub(standing.held);
    let need = asked.saturating_sub(free);
    (asked > 0 && need > 0).then_some(need)
}

impl Reservation {
    /// Has a running request hold `to`, if that is more than it holds. Of several instances this one asks the others
    /// where its part does not do, as in [`Claims::admit_shared`].
    ///
    /// # Errors
    /// The reason why not; it holds what it held then.
    pub async fn raise(&mut self, to: NanoUsd, now: Timestamp) -> Result<(), Refusal> {
        let Self { claims, grant } = self;
        let Some(grant) = grant.as_mut().filter(|grant| grant.hold() < to) else { return Ok(()) };
        let raised = ledger::attempt_raise(&mut claims.lock(), grant, to, now);
        match raised {
            Ok(()) => Ok(()),
            Err(Denial::Refused(refusal)) => Err(refusal),
            Err(Denial::Lacking(_)) => {
                let grant = Mutex::new(grant);
                let need = |now| Need::more(ledger::missing(&mut claims.lock(), &locked(&grant), to, now));
                let attempt = |now| ledger::attempt_raise(&mut claims.lock(), &mut locked(&grant), to, now);
                Box::pin(claims.ask_until(now, need, attempt)).await
            }
        }
    }
}

enum Asked {
    Got,
    Waits,
    Nothing,
    Alone,
}
