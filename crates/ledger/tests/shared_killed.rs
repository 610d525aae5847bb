//! Instances that share a budget, 200 callers at each, killed without warning again and again: no overshoot, nothing left
//! held, nobody refused while there is room.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a test")]

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use catalog::NanoUsd;
use ledger::counters::{KEEP, Leases};
use ledger::rules::account::{Account, Scope};
use ledger::rules::budget::{Budget, Terms};
use ledger::rules::id::{KeyId, ModelName, ProviderName, RequestId, TeamId};
use ledger::rules::ledger::{Actual, Charge, Demand, Hold};
use ledger::rules::time::Timestamp;
use ledger::shared::{LeaseStore, RedisLeases};
use ledger::store::Tally;
use ledger::{Booking, Claims, Counters, Journal, Store, Tokens, journal};

/// What the process that is killed is told: its folder, its name and the database.
const FOLDER: &str = "TOLLWAY_SHARED_FOLDER";
const NAME: &str = "TOLLWAY_SHARED_NAME";
const DATABASE: &str = "TOLLWAY_SHARED_DATABASE";
const REDIS: &str = "TOLLWAY_SHARED_REDIS";
const BUDGET: &str = "TOLLWAY_SHARED_BUDGET";

const INSTANCES: [&str; 3] = ["a", "b", "c"];
/// At each instance.
const CALLERS: usize = 200;
/// The budget while instances are killed, and afterwards.
const FIRST_MAX: i64 = 1_500_000;
const MAX: i64 = 2_000_000;
const HOLD: i64 = 50;
const ROUNDS: usize = 10;
/// What an instance says when it has booked what its former life left, and given back what that was lent.
const READY: &str = "ready";

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(now.as_millis()).unwrap())
}

fn team() -> Account {
    Account::of(Scope::Team(TeamId::new("red").unwrap()))
}

fn terms(max: i64) -> Arc<Terms> {
    Arc::new(Terms { budgets: vec![Budget::of(NanoUsd(max))], ..Terms::default() })
}

fn booking(request: &str, cost: i64, charges: Vec<Charge>) -> Booking {
    Booking {
        request: RequestId::new(request).unwrap(),
        started_at: Timestamp(1_795_254_233_000),
        ended_at: Timestamp(1_795_254_234_000),
        call_type: "acompletion".into(),
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

/// What a caller saw, in microseconds since 1970: all processes of a machine have the same clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Asked then, served, and settled then at this cost.
    Served(i64, i64, i64),
    /// Asked then, refused then.
    Refused(i64, i64),
}

impl Seen {
    fn write(self) -> String {
        match self {
            Self::Served(from, until, cost) => format!("saw {from} {until} {cost}"),
            Self::Refused(from, until) => format!("saw {from} {until}"),
        }
    }

    fn read(line: &str) -> Option<Self> {
        let numbers: Vec<i64> =
            line.strip_prefix("saw ")?.split(' ').map(|number| number.parse().unwrap()).collect();
        Some(match *numbers.as_slice() {
            [from, until, cost] => Self::Served(from, until, cost),
            [from, until] => Self::Refused(from, until),
            _ => panic!("{line}"),
        })
    }
}

fn micros() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_micros()).unwrap()
}

/// The refusals during all of which there was room, for certain: holds are counted from before they were asked for to
/// after they were settled.
fn false_refusals(before: i64, seen: &[Seen]) -> Vec<Seen> {
    let mut changes: Vec<(i64, i64)> = Vec::new();
    for seen in seen {
        if let Seen::Served(from, until, cost) = *seen {
            changes.extend([(from, HOLD), (until, cost - HOLD)]);
        }
    }
    changes.sort_unstable();
    // From each moment on, so much is spent or held.
    let mut used = before;
    let levels: Vec<(i64, i64)> = std::iter::once((i64::MIN, before))
        .chain(changes.into_iter().map(|(at, change)| {
            used += change;
            (at, used)
        }))
        .collect();
    let had_room = |seen: &&Seen| {
        let Seen::Refused(from, until) = **seen else { return false };
        let first = levels.partition_point(|(at, _)| *at <= from) - 1;
        let last = levels.partition_point(|(at, _)| *at <= until);
        levels[first..last].iter().all(|(_, used)| used + HOLD <= MAX)
    };
    seen.iter().filter(had_room).copied().collect()
}

/// What fails is tried again, as by a gateway: of several that write to one SQLite file, one may not get its turn in time.
async fn drain(journal: &Journal, store: &Store, told: impl Fn(&[Tally])) {
    while journal::drain_telling(journal, store, &told).await.is_err() {
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// One life of an instance: serves callers until the budget refuses them, and says what they saw.
async fn live(folder: &Path, name: &str, database: &str) {
    let store = Store::connect(database).await.unwrap();
    let settings = journal::Settings {
        segment_bytes: 20_000,
        ..journal::Settings::new(folder.join(format!("journal-{name}")))
    };
    let journal = Arc::new(Journal::open(settings).unwrap().of(name.to_owned()));
    drain(&journal, &store, |_| ()).await;
    let leases = Leases::start(name, lease_store(&store).await, store.clone(), now()).await.unwrap();
    let kept = Arc::clone(&leases);
    let keeper = tokio::spawn(async move {
        loop {
            kept.keep(now()).await;
            tokio::time::sleep(KEEP).await;
        }
    });
    let counters = Counters::shared(Arc::clone(&leases));
    let terms = terms(std::env::var(BUDGET).unwrap().parse().unwrap());
    let claims = Claims::new(vec![counters.open(&team(), &terms, &store.openings(&team()).await.unwrap())]);
    // All begin together: what a dead one was lent counts until it is back.
    println!("{READY}");
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await.unwrap().unwrap();
    let mut tasks = Vec::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    for caller in 0..CALLERS {
        let (claims, journal, seen) = (claims.clone(), Arc::clone(&journal), Arc::clone(&seen));
        let life = format!("{name}-{}-{caller}", std::process::id());
        tasks.push(tokio::spawn(async move {
            let demand =
                Demand { hold: Hold::AtMost(NanoUsd(HOLD)), tokens: 0, lease: Duration::from_secs(600) };
            for call in 0_i64.. {
                let asked = micros();
                let Ok(reservation) = claims.admit_shared(&demand, now()).await else {
                    seen.lock().unwrap().push(Seen::Refused(asked, micros()));
                    break;
                };
                tokio::task::yield_now().await;
                let cost = (call * 7 + 3) % (HOLD + 1);
                let charges = reservation.settle(Actual { cost: NanoUsd(cost), tokens: 0 }, now()).charges;
                seen.lock().unwrap().push(Seen::Served(asked, micros(), cost));
                journal.append(booking(&format!("{life}-{call}"), cost, charges)).unwrap();
                if call % 3 == 0 {
                    println!("served");
                }
            }
        }));
    }
    let drained = async {
        loop {
            drain(&journal, &store, |booked| leases.booked(booked)).await;
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
    drain(&journal, &store, |booked| leases.booked(booked)).await;
    keeper.abort();
    leases.stop(now()).await.unwrap();
    store.close().await;
    for seen in &*seen.lock().unwrap() {
        println!("{}", seen.write());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the tests below kill"]
async fn the_victim() {
    let [folder, name, database] = [FOLDER, NAME, DATABASE].map(|name| std::env::var(name).unwrap());
    live(&PathBuf::from(folder), &name, &database).await;
}

fn start(folder: &Path, name: &str, database: &str, redis: Option<&str>, max: i64) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["the_victim", "--exact", "--ignored", "--nocapture", "--quiet"])
        .envs([(FOLDER, folder.to_str().unwrap()), (NAME, name), (DATABASE, database)])
        .env(BUDGET, max.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if let Some(redis) = redis {
        command.env(REDIS, redis);
    }
    command.spawn().unwrap()
}

/// Has instances begin that are all ready; returns what they say from then on.
fn begin(instances: &mut [Child; 3]) -> [Lines<BufReader<ChildStdout>>; 3] {
    let mut outputs =
        instances.each_mut().map(|instance| BufReader::new(instance.stdout.take().unwrap()).lines());
    for lines in &mut outputs {
        assert!(lines.any(|line| line.unwrap().ends_with(READY)), "it does not start");
    }
    for instance in instances {
        instance.stdin.take().unwrap().write_all(b"begin\n").unwrap();
    }
    outputs
}

async fn a_budget_holds_over_instances_that_are_killed(folder: &Path, database: &str, redis: Option<&str>) {
    Store::connect(database).await.unwrap().close().await;
    let mut kills = 0;
    for round in 0..ROUNDS {
        let mut victims = INSTANCES.map(|name| start(folder, name, database, redis, FIRST_MAX));
        // All at work, one of them somewhere in the middle of it; none is ever stopped by a full pipe.
        let (mut watched, others): (Vec<_>, Vec<_>) =
            begin(&mut victims).into_iter().enumerate().partition(|(number, _)| *number == round % 3);
        for (_, lines) in others {
            std::thread::spawn(move || lines.for_each(drop));
        }
        let (_, mut lines) = watched.remove(0);
        for _ in 0..(round * 97) % 411 {
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
    assert!(kills >= 2 * ROUNDS, "{kills} kills before the budget was used up");
    // What was answered is in journals; their next lives begin with booking it.
    let store = Store::connect(database).await.unwrap();
    for name in INSTANCES {
        let journal = Journal::open(journal::Settings::new(folder.join(format!("journal-{name}")))).unwrap();
        journal::drain(&journal.of(name.to_owned()), &store).await.unwrap();
    }
    let spent = async || store.openings(&team()).await.unwrap().first().map_or(0, |opening| opening.spend.0);
    let before = spent().await;
    assert!(before <= FIRST_MAX, "overshot: {before}");
    // Their last lives use up what is left, and more.
    let mut last = INSTANCES.map(|name| start(folder, name, database, redis, MAX));
    // Read side by side, so that none is ever stopped by a full pipe.
    let readers = begin(&mut last).map(|lines| {
        std::thread::spawn(move || lines.filter_map(|line| Seen::read(&line.unwrap())).collect::<Vec<_>>())
    });
    let seen: Vec<Seen> = readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect();
    for victim in &mut last {
        assert!(victim.wait().unwrap().success());
    }
    assert_eq!(store.audit().await.unwrap(), []);
    let after = spent().await;
    assert!(after <= MAX, "overshot: {after}");
    assert!(after > MAX - HOLD, "something is still held, or was refused with room: {after}");
    let refused = seen.iter().filter(|seen| matches!(seen, Seen::Refused(..))).count();
    assert_eq!(refused, INSTANCES.len() * CALLERS, "everybody was refused in the end");
    let early = false_refusals(before, &seen);
    assert!(early.is_empty(), "{} of {refused} refused with room: {early:?}", early.len());
    println!("{kills} kills, {} calls after them, {after} of {MAX} spent", seen.len());
    store.close().await;
}

#[test]
fn a_refusal_is_false_if_there_was_room_all_the_time() {
    let served = Seen::Served(10, 20, 1);
    let refusals = [Seen::Refused(5, 9), Seen::Refused(5, 10), Seen::Refused(12, 18), Seen::Refused(12, 25)];
    let seen = [&[served], refusals.as_slice()].concat();
    assert_eq!(false_refusals(MAX - HOLD, &seen), [Seen::Refused(5, 9)]);
    assert_eq!(false_refusals(MAX - 2 * HOLD, &seen), refusals);
    assert!(refusals.iter().all(|seen| Seen::read(&seen.write()) == Some(*seen)));
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
