//! Several instances at the edge of a limit: no overshoot, no false refusal, nothing left held.
//!
//! Leases are kept in a SQLite file here, so that the tests run everywhere; `redis` and `postgres` run the same against
//! real servers (`scripts/with-redis`, `scripts/with-postgres`).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use catalog::NanoUsd;
use ledger::counters::{KEEP, LeaseHealth, Leases};
use ledger::rules::account::{Account, Scope};
use ledger::rules::budget::{Budget, Terms};
use ledger::rules::id::TeamId;
use ledger::rules::ledger::{Actual, Demand, Hold};
use ledger::rules::limit::Limits;
use ledger::rules::time::Timestamp;
use ledger::shared::{Heard, LeaseError, LeaseStore, Order, RedisLeases, Reply, Work};
use ledger::{Claims, Counters, Store};
use tokio::task::JoinHandle;

const CALLERS: usize = 200;

/// Where leases and spend are kept for one test.
struct Place {
    store: Store,
    redis: Option<fred::clients::Pool>,
    folder: PathBuf,
    /// The moment, in milliseconds: real time goes on from here.
    clock: Arc<Clock>,
}

struct Clock {
    base: AtomicI64,
    began: Instant,
}

impl Clock {
    fn now(&self) -> Timestamp {
        Timestamp(self.base.load(Ordering::Relaxed)).plus(self.began.elapsed())
    }

    /// Lets time pass.
    fn pass(&self, length: Duration) {
        self.base.fetch_add(i64::try_from(length.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

/// Leases that can be out of reach.
#[derive(Debug)]
struct Reachable {
    inner: Box<dyn LeaseStore>,
    is_away: Arc<AtomicBool>,
}

impl Reachable {
    fn check(&self) -> Result<(), LeaseError> {
        if self.is_away.load(Ordering::Relaxed) { Err(LeaseError::new("out of reach")) } else { Ok(()) }
    }
}

impl LeaseStore for Reachable {
    fn exchange<'s>(
        &'s self,
        instance: &'s str,
        resource: &'s str,
        order: &'s Order,
        now: Timestamp,
    ) -> Work<'s, Reply> {
        Box::pin(async move {
            self.check()?;
            self.inner.exchange(instance, resource, order, now).await
        })
    }

    fn hear<'s>(&'s self, instance: &'s str, now: Timestamp) -> Work<'s, Heard> {
        Box::pin(async move {
            self.check()?;
            self.inner.hear(instance, now).await
        })
    }

    fn lent_to<'s>(&'s self, instance: &'s str) -> Work<'s, Vec<String>> {
        self.inner.lent_to(instance)
    }

    fn leave<'s>(&'s self, instance: &'s str) -> Work<'s, ()> {
        self.inner.leave(instance)
    }
}

/// One instance, with the task that keeps its leases. Dropped, it is dead.
struct Instance {
    leases: Arc<Leases>,
    counters: Counters,
    is_away: Arc<AtomicBool>,
    keeper: JoinHandle<()>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Place {
    fn folder() -> PathBuf {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("tollway-shared-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    async fn new(redis: Option<fred::clients::Pool>, url: Option<String>) -> Self {
        let folder = Self::folder();
        let url = url.unwrap_or_else(|| format!("sqlite:{}", folder.join("tollway.db").display()));
        let store = Store::connect(&url).await.unwrap();
        let clock = Clock { base: AtomicI64::new(1_795_254_233_000), began: Instant::now() };
        Self { store, redis, folder, clock: Arc::new(clock) }
    }

    /// Another life of this instance begins.
    async fn instance(&self, name: &str) -> Instance {
        let inner: Box<dyn LeaseStore> = match &self.redis {
            Some(pool) => Box::new(RedisLeases::new(pool.clone())),
            None => Box::new(self.store.clone()),
        };
        let is_away = Arc::new(AtomicBool::new(false));
        let leases = Box::new(Reachable { inner, is_away: Arc::clone(&is_away) });
        let leases = Leases::start(name, leases, self.store.clone(), self.clock.now()).await.unwrap();
        let (kept, clock) = (Arc::clone(&leases), Arc::clone(&self.clock));
        let keeper = tokio::spawn(async move {
            loop {
                kept.keep(clock.now()).await;
                tokio::time::sleep(KEEP).await;
            }
        });
        Instance { counters: Counters::shared(Arc::clone(&leases)), leases, is_away, keeper }
    }

    async fn instances(&self, count: usize) -> Vec<Instance> {
        let mut instances = Vec::new();
        for number in 0..count {
            instances.push(self.instance(&format!("instance-{number}")).await);
        }
        instances
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn on_sqlite(specification: impl AsyncFnOnce(&Place)) {
    specification(&Place::new(None, None).await).await;
}

/// Each test begins with an empty Redis, and they run one after the other.
async fn on_redis(specification: impl AsyncFnOnce(&Place)) {
    use fred::interfaces::ClientLike as _;
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _turn = TURN.lock().await;
    let url = std::env::var("TEST_REDIS_URL").unwrap();
    let config = fred::types::config::Config::from_url(&url).unwrap();
    let pool = fred::types::Builder::from_config(config).build_pool(4).unwrap();
    pool.init().await.unwrap();
    pool.flushall::<()>(false).await.unwrap();
    specification(&Place::new(Some(pool), None).await).await;
}

async fn on_postgres(specification: impl AsyncFnOnce(&Place)) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let url = std::env::var("TEST_DATABASE_URL").unwrap();
    let schema = format!("shared_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let server = sqlx::PgPool::connect(&url).await.unwrap();
    let execute = async |sql: String| sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&server).await;
    execute(format!("CREATE SCHEMA {schema}")).await.unwrap();
    let place = Place::new(None, Some(format!("{url}?schema={schema}&connection_limit=20"))).await;
    specification(&place).await;
    place.store.close().await;
    // An instance that is going away may still read, and PostgreSQL then calls it a deadlock.
    let drop = async || execute(format!("DROP SCHEMA {schema} CASCADE")).await;
    let mut dropped = drop().await;
    for _ in 0..10 {
        if dropped.is_ok() {
            break;
        }
        dropped = drop().await;
    }
    dropped.unwrap();
}

macro_rules! everywhere {
    ($($specification:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $specification() {
                super::on_sqlite(super::$specification).await;
            })*
        }

        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs Redis"]
            async fn $specification() {
                super::on_redis(super::$specification).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs PostgreSQL"]
            async fn $specification() {
                super::on_postgres(super::$specification).await;
            })*
        }
    };
}

everywhere! {
    a_crowd_uses_a_budget_up_to_the_last,
    calls_that_cost_less_than_they_hold_leave_no_room_unused,
    requests_per_minute_hold_over_instances,
    tokens_per_minute_hold_over_instances,
    calls_at_the_same_time_hold_over_instances,
    no_request_asks_while_a_lease_lasts,
    what_has_to_hold_more_asks_the_others,
    out_of_reach_each_takes_its_part_and_says_so,
    what_a_dead_instance_held_comes_back,
    what_a_former_life_was_lent_is_given_back_at_start,
}

fn team() -> Account {
    Account::of(Scope::Team(TeamId::new("red").unwrap()))
}

fn budget(max: i64) -> Arc<Terms> {
    Arc::new(Terms { budgets: vec![Budget::of(NanoUsd(max))], ..Terms::default() })
}

fn limited(limits: Limits) -> Arc<Terms> {
    Arc::new(Terms { limits, ..Terms::default() })
}

fn demand(hold: i64, tokens: u64) -> Demand {
    let hold = if hold == 0 { Hold::Free } else { Hold::AtMost(NanoUsd(hold)) };
    Demand { hold, tokens, lease: Duration::from_secs(600) }
}

impl Instance {
    fn claims(&self, terms: &Arc<Terms>) -> Claims {
        Claims::new(vec![self.counters.open(&team(), terms, &[])])
    }
}

/// Every caller of every instance calls until it is refused, `most` times at most. Returns how many calls were served,
/// and what they cost.
async fn crowd(
    place: &Place,
    instances: &[Instance],
    terms: &Arc<Terms>,
    demand: Demand,
    cost: impl Fn(usize) -> i64 + Copy + Send + 'static,
) -> (usize, i64) {
    let mut callers = Vec::new();
    for instance in instances {
        for caller in 0..CALLERS {
            let (claims, clock) = (instance.claims(terms), Arc::clone(&place.clock));
            callers.push(tokio::spawn(async move {
                let (mut served, mut spent) = (0, 0);
                while let Ok(reservation) = claims.admit_shared(&demand, clock.now()).await {
                    tokio::task::yield_now().await;
                    let cost = cost(caller + served);
                    reservation.settle(Actual { cost: NanoUsd(cost), tokens: demand.tokens }, clock.now());
                    served += 1;
                    spent += cost;
                }
                (served, spent)
            }));
        }
    }
    let mut all = (0, 0);
    for caller in callers {
        let (served, spent) = caller.await.unwrap();
        all = (all.0 + served, all.1 + spent);
    }
    all
}

fn assert_nothing_held(instances: &[Instance], terms: &Arc<Terms>, now: Timestamp) {
    for instance in instances {
        for claim in instance.claims(terms).iter() {
            for budget in claim.standing(now).budgets {
                assert_eq!(budget.held, NanoUsd::ZERO);
            }
        }
    }
}

async fn a_crowd_uses_a_budget_up_to_the_last(place: &Place) {
    let instances = place.instances(3).await;
    let (served, spent) = crowd(place, &instances, &budget(100_049), demand(50, 0), |_| 50).await;
    assert_eq!((served, spent), (2000, 100_000), "overshoot or false refusals");
    assert_nothing_held(&instances, &budget(100_049), place.clock.now());
}

async fn calls_that_cost_less_than_they_hold_leave_no_room_unused(place: &Place) {
    let instances = place.instances(3).await;
    let cost = |call: usize| i64::try_from(call * 7 % 51).unwrap();
    let (_, spent) = crowd(place, &instances, &budget(30_000), demand(50, 0), cost).await;
    assert!(spent <= 30_000, "overshot: {spent}");
    assert!(spent > 30_000 - 50, "refused with room: {spent}");
    assert_nothing_held(&instances, &budget(30_000), place.clock.now());
}

async fn what_has_to_hold_more_asks_the_others(place: &Place) {
    let instances = place.instances(3).await;
    let terms = budget(1000);
    let now = || place.clock.now();
    let mut held = Vec::new();
    for instance in &instances {
        held.push(instance.claims(&terms).admit_shared(&demand(300, 0), now()).await.unwrap());
    }
    let [first, second, third] = held.as_mut_slice() else { unreachable!("three instances") };
    // What is left is 100, whoever has it at the moment; what they hold themselves stands in nobody's way.
    first.raise(NanoUsd(340), now()).await.unwrap();
    second.raise(NanoUsd(360), now()).await.unwrap();
    assert!(third.raise(NanoUsd(301), now()).await.is_err());
    assert_eq!(held.iter().map(|one| one.held().0).collect::<Vec<_>>(), [340, 360, 300]);
    for one in held {
        let cost = one.held();
        one.settle(Actual { cost, tokens: 0 }, now());
    }
    assert_nothing_held(&instances, &terms, now());
}

/// Serves this many, up to one percent less.
fn assert_exact(served: usize, limit: usize) {
    assert!(served <= limit, "{served} of {limit}");
    assert!(served * 100 >= limit * 99, "{served} of {limit}");
}

async fn requests_per_minute_hold_over_instances(place: &Place) {
    let instances = place.instances(3).await;
    let terms = limited(Limits { rpm: Some(1000), ..Limits::default() });
    let (served, _) = crowd(place, &instances, &terms, demand(0, 0), |_| 0).await;
    assert_exact(served, 1000);
    // Not twice at the turn of a minute.
    place.clock.pass(Duration::from_secs(30));
    assert_exact(crowd(place, &instances, &terms, demand(0, 0), |_| 0).await.0, 0);
    place.clock.pass(Duration::from_secs(31));
    assert_exact(crowd(place, &instances, &terms, demand(0, 0), |_| 0).await.0, 1000);
}

async fn tokens_per_minute_hold_over_instances(place: &Place) {
    let instances = place.instances(2).await;
    let terms = limited(Limits { tpm: Some(100_000), ..Limits::default() });
    let (served, _) = crowd(place, &instances, &terms, demand(0, 200), |_| 0).await;
    assert_exact(served, 500);
}

async fn calls_at_the_same_time_hold_over_instances(place: &Place) {
    let instances = place.instances(3).await;
    let terms = limited(Limits { max_parallel_requests: Some(30), ..Limits::default() });
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut callers = Vec::new();
    for instance in &instances {
        for _ in 0..CALLERS / 4 {
            let (claims, clock) = (instance.claims(&terms), Arc::clone(&place.clock));
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            callers.push(tokio::spawn(async move {
                for _ in 0..20 {
                    let Ok(reservation) = claims.admit_shared(&demand(0, 0), clock.now()).await else {
                        continue;
                    };
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    reservation.settle(Actual::default(), clock.now());
                }
            }));
        }
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(most.load(Ordering::SeqCst) <= 30);
    // All of it can be had in one place, whoever had it before.
    for instance in &instances {
        let claims = instance.claims(&terms);
        let mut held = Vec::new();
        for _ in 0..30 {
            held.push(claims.admit_shared(&demand(0, 0), place.clock.now()).await.unwrap());
        }
        assert!(claims.admit_shared(&demand(0, 0), place.clock.now()).await.is_err());
    }
}

async fn no_request_asks_while_a_lease_lasts(place: &Place) {
    let instances = place.instances(3).await;
    let terms = budget(1_000_000_000);
    for instance in &instances {
        let claims = instance.claims(&terms);
        let before = instance.leases.exchanges();
        for _ in 0..10_000 {
            let reservation = claims.admit_shared(&demand(50, 0), place.clock.now()).await.unwrap();
            reservation.settle(Actual { cost: NanoUsd(50), tokens: 0 }, place.clock.now());
        }
        let asked = instance.leases.exchanges() - before;
        assert!(asked < 10, "asked {asked} times");
    }
}

async fn out_of_reach_each_takes_its_part_and_says_so(place: &Place) {
    let instances = place.instances(2).await;
    // Both know of each other.
    for instance in &instances {
        instance.leases.keep(place.clock.now()).await;
        assert!(matches!(instance.leases.health(), LeaseHealth::Shared { instances: 2 }));
        instance.is_away.store(true, Ordering::Relaxed);
    }
    let terms = Arc::new(Terms {
        budgets: vec![Budget::of(NanoUsd(100_000))],
        limits: Limits { rpm: Some(3000), ..Limits::default() },
        ..Terms::default()
    });
    let (_, spent) = crowd(place, &instances, &terms, demand(50, 0), |_| 50).await;
    assert_eq!(spent, 100_000, "a half each");
    place.clock.pass(Duration::from_secs(61));
    let (served, _) = crowd(place, &instances, &terms, demand(0, 0), |_| 0).await;
    assert_eq!(served, 3000, "a half each");
    for instance in &instances {
        assert!(matches!(instance.leases.health(), LeaseHealth::Alone { instances: 2, .. }));
        instance.is_away.store(false, Ordering::Relaxed);
    }
    // Back again, all tell what they spent meanwhile, before anybody is lent more.
    for length in [0, 3] {
        place.clock.pass(Duration::from_secs(length));
        for instance in &instances {
            instance.leases.keep(place.clock.now()).await;
        }
    }
    for instance in &instances {
        assert!(matches!(instance.leases.health(), LeaseHealth::Shared { instances: 2 }));
    }
    let more = place.instance("instance-2").await;
    assert!(more.claims(&terms).admit_shared(&demand(50, 0), place.clock.now()).await.is_err());
}

async fn what_a_dead_instance_held_comes_back(place: &Place) {
    let terms = budget(1000);
    let dead = place.instance("dead").await;
    let reservation = dead.claims(&terms).admit_shared(&demand(1000, 0), place.clock.now()).await.unwrap();
    std::mem::forget(reservation);
    drop(dead);
    let living = place.instance("living").await;
    let claims = living.claims(&terms);
    assert!(claims.admit_shared(&demand(1, 0), place.clock.now()).await.is_err());
    place.clock.pass(Duration::from_secs(21));
    assert!(claims.admit_shared(&demand(1000, 0), place.clock.now()).await.is_ok());
}

async fn what_a_former_life_was_lent_is_given_back_at_start(place: &Place) {
    let terms = budget(1000);
    let first = place.instance("one").await;
    let reservation = first.claims(&terms).admit_shared(&demand(1000, 0), place.clock.now()).await.unwrap();
    std::mem::forget(reservation);
    drop(first);
    let again = place.instance("one").await;
    let reservation = again.claims(&terms).admit_shared(&demand(1000, 0), place.clock.now()).await;
    drop(reservation.unwrap());
    again.leases.stop(place.clock.now()).await.unwrap();
}
