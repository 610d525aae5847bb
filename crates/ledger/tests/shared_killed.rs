//! Instances that share a budget, killed without warning again and again: no overshoot, and nothing left held.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a test")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use catalog::NanoUsd;
use ledger::counters::{KEEP, Leases};
use ledger::rules::account::{Account, Scope};
use ledger::rules::budget::{Budget, Terms};
use ledger::rules::id::{KeyId, ModelName, ProviderName, RequestId, TeamId};
use ledger::rules::ledger::{Actual, Charge, Demand, Hold};
use ledger::rules::time::Timestamp;
use ledger::shared::{LeaseStore, RedisLeases};
use ledger::{Booking, Claims, Counters, Journal, Store, Tokens, journal};

/// What the process that is killed is told: its folder, its name and the database.
const FOLDER: &str = "TOLLWAY_SHARED_FOLDER";
const NAME: &str = "TOLLWAY_SHARED_NAME";
const DATABASE: &str = "TOLLWAY_SHARED_DATABASE";
const REDIS: &str = "TOLLWAY_SHARED_REDIS";

const MAX: i64 = 300_000;
const HOLD: i64 = 50;
const MOST_KILLS: usize = 10;

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(now.as_millis()).unwrap())
}

fn team() -> Account {
    Account::of(Scope::Team(TeamId::new("red").unwrap()))
}

fn terms() -> Arc<Terms> {
    Arc::new(Terms { budgets: vec![Budget::of(NanoUsd(MAX))], ..Terms::default() })
}

fn booking(request: &str, cost: i64, charges: Vec<Charge>) -> Booking {
    Booking {
        request: RequestId::new(request).unwrap(),
        started_at: Timestamp(1_795_254_233_000),
        ended_at: Timestamp(1_795_254_234_000),
        call_type: "acompletion".to_owned(),
        failed: false,
        model: ModelName::new("gpt-4o").unwrap(),
        model_group: None,
        provider: ProviderName::new("openai").unwrap(),
        deployment: None,
        key: KeyId::new("k1").unwrap(),
        user: None,
        team: Some(TeamId::new("red").unwrap()),
        organization: None,
        customer: None,
        tags: Vec::new(),
        tokens: Tokens::default(),
        cost: NanoUsd(cost),
        saved: NanoUsd::ZERO,
        estimated: false,
        cache_hit: false,
        catalog: None,
        session: None,
        detail: None,
        charges,
    }
}

async fn lease_store(store: &Store) -> Box<dyn LeaseStore> {
    use fred::interfaces::ClientLike as _;
    let Ok(url) = std::env::var(REDIS) else { return Box::new(store.clone()) };
    let config = fred::types::config::Config::from_url(&url).unwrap();
    let pool = fred::types::Builder::from_config(config).build_pool(2).unwrap();
    pool.init().await.unwrap();
    Box::new(RedisLeases::new(pool))
}

/// One life of an instance: serves callers until the budget refuses, and says so. Returns what it spent.
async fn live(folder: &Path, name: &str, database: &str, callers: usize) {
    let store = Store::connect(database).await.unwrap();
    let settings = journal::Settings {
        segment_bytes: 20_000,
        ..journal::Settings::new(folder.join(format!("journal-{name}")))
    };
    let journal = Arc::new(Journal::open(settings).unwrap());
    journal::drain(&journal, &store).await.unwrap();
    let leases = Leases::start(name, lease_store(&store).await, store.clone(), now()).await.unwrap();
    let kept = Arc::clone(&leases);
    let keeper = tokio::spawn(async move {
        loop {
            kept.keep(now()).await;
            tokio::time::sleep(KEEP).await;
        }
    });
    let counters = Counters::shared(Arc::clone(&leases));
    let claims = Claims::new(vec![counters.open(&team(), &terms(), &store.openings(&team()).await.unwrap())]);
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let (claims, journal) = (claims.clone(), Arc::clone(&journal));
        let life = format!("{name}-{}-{caller}", std::process::id());
        tasks.push(tokio::spawn(async move {
            let demand =
                Demand { hold: Hold::AtMost(NanoUsd(HOLD)), tokens: 0, lease: Duration::from_secs(600) };
            let mut call = 0_i64;
            while let Ok(reservation) = claims.admit_shared(&demand, now()).await {
                tokio::task::yield_now().await;
                let cost = (call * 7 + 3) % (HOLD + 1);
                let charges = reservation.settle(Actual { cost: NanoUsd(cost), tokens: 0 }, now()).charges;
                journal.append(booking(&format!("{life}-{call}"), cost, charges)).unwrap();
                call += 1;
                if call % 3 == 0 {
                    println!("served");
                }
            }
        }));
    }
    let drained = async {
        loop {
            journal::drain_telling(&journal, &store, |booked| leases.booked(booked)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    let served = async {
        for task in tasks {
            task.await.unwrap();
        }
    };
    tokio::select! {
        () = served => {}
        () = drained => {}
    }
    journal::drain_telling(&journal, &store, |booked| leases.booked(booked)).await.unwrap();
    keeper.abort();
    leases.stop(now()).await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the tests below kill"]
async fn the_victim() {
    let [folder, name, database] = [FOLDER, NAME, DATABASE].map(|name| std::env::var(name).unwrap());
    live(&PathBuf::from(folder), &name, &database, 20).await;
}

fn start(folder: &Path, name: &str, database: &str, redis: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["the_victim", "--exact", "--ignored", "--nocapture", "--quiet"])
        .envs([(FOLDER, folder.to_str().unwrap()), (NAME, name), (DATABASE, database)])
        .stdout(Stdio::piped());
    if let Some(redis) = redis {
        command.env(REDIS, redis);
    }
    command.spawn().unwrap()
}

async fn a_budget_holds_over_instances_that_are_killed(folder: &Path, database: &str, redis: Option<&str>) {
    Store::connect(database).await.unwrap().close().await;
    let mut kills = 0;
    for round in 0..MOST_KILLS {
        let mut victims = ["a", "b"].map(|name| start(folder, name, database, redis));
        // Both at work, one of them somewhere in the middle of it.
        let mut lines = BufReader::new(victims[round % 2].stdout.take().unwrap()).lines();
        for _ in 0..(round * 23) % 41 {
            if lines.next().is_none() {
                break;
            }
        }
        for victim in &mut victims {
            kills += usize::from(victim.try_wait().unwrap().is_none());
            victim.kill().unwrap();
            victim.wait().unwrap();
        }
    }
    assert!(kills >= 6, "{kills} kills before the budget was used up");
    // Their last lives use up what is left.
    let mut last = ["a", "b"].map(|name| start(folder, name, database, redis));
    for victim in &mut last {
        let out = victim.stdout.take().unwrap();
        // So that it is never stopped by a full pipe.
        BufReader::new(out).lines().for_each(drop);
        assert!(victim.wait().unwrap().success());
    }
    let store = Store::connect(database).await.unwrap();
    assert_eq!(store.audit().await.unwrap(), []);
    let spent = store.openings(&team()).await.unwrap().first().unwrap().spend.0;
    assert!(spent <= MAX, "overshot: {spent}");
    assert!(spent > MAX - HOLD, "something is still held, or was refused with room: {spent}");
    store.close().await;
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tollway-shared-killed-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn over_redis() {
    let folder = folder("redis");
    let database = format!("sqlite:{}", folder.join("tollway.db").display());
    let redis = std::env::var("TEST_REDIS_URL").unwrap();
    a_budget_holds_over_instances_that_are_killed(&folder, &database, Some(&redis)).await;
    std::fs::remove_dir_all(&folder).unwrap();
}

mod postgres {
    #[tokio::test]
    #[ignore = "needs PostgreSQL"]
    async fn over_the_database() {
        let folder = super::folder("postgres");
        let url = std::env::var("TEST_DATABASE_URL").unwrap();
        let server = sqlx::PgPool::connect(&url).await.unwrap();
        let schema = format!("killed_{}", std::process::id());
        let execute = async |sql: String| {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&server).await.unwrap();
        };
        execute(format!("CREATE SCHEMA {schema}")).await;
        let database = format!("{url}?schema={schema}");
        super::a_budget_holds_over_instances_that_are_killed(&folder, &database, None).await;
        execute(format!("DROP SCHEMA {schema} CASCADE")).await;
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
