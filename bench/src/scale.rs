//! A gateway with many keys and a long log of spend: how fast rows go in, and what is still quick then.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use catalog::NanoUsd;
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::{Method, StatusCode};
use ledger::rules::entity::{Key, Team};
use ledger::rules::id::{KeyHash, KeyId, ModelName, ProviderName, RequestId, Tag, TeamId, UserId};
use ledger::rules::time::{Day, Timestamp};
use ledger::{Booking, Store, Tokens};
use serde_json::json;

use crate::case::{CASES, Case, KEY};
use crate::load::{self, Bound};
use crate::measure::median;
use crate::process;
use crate::shot::{Failure, Gun, Shape, Shot};
use crate::subject::{Folder, Recipe, Subject};
use crate::table::{Report, Row};

/// Rows per transaction, as the gateway writes them under load.
const BATCH: usize = ledger::journal::BATCH;
/// The log's rows lie within so many days until today.
const DAYS: i64 = 30;
/// Keys that have rows; as many models and tags are far fewer.
const SPENDERS: u64 = 2_000;

/// How large.
#[derive(Debug, Clone)]
pub struct Scale {
    /// The gateway's program.
    pub gateway: PathBuf,
    /// Rows of the log of spend.
    pub rows: u64,
    pub keys: u64,
    pub teams: u64,
    /// Of every closed and open loop.
    pub time: Duration,
    /// Turns of both gateways whose CPU time is compared.
    pub rounds: usize,
}

/// Where the books are.
#[derive(Debug, Clone)]
pub struct Database {
    /// For the table.
    pub name: &'static str,
    /// PostgreSQL's address, or `sqlite:` and a path.
    pub url: String,
}

/// Compares what a request costs in CPU time: without a master key, so that nothing is asked and booked, and with a
/// virtual key that has limits and a budget, on SQLite.
///
/// # Errors
/// When a gateway does not start, or answers badly.
pub async fn cost(scale: &Scale, folder: &Folder, mock: u16, report: &mut Report) -> Result<(), Failure> {
    let data = folder.path().join("cost");
    std::fs::create_dir_all(&data)?;
    let database = Database { name: "SQLite", url: format!("sqlite:{}", data.join("tollway.db").display()) };
    let store = Store::connect(&database.url).await?;
    people(&store, 1, 1).await?;
    store.close().await;
    let bare = Recipe::configured(folder, "bare", &scale.gateway, mock, "")?;
    let books = with_books(scale, folder, mock, &database)?;
    let subjects = [bare.start(folder).await?, books.start(folder).await?];
    let small = CASES.first().expect("there are cases");
    let shots = [subjects[0].shot(small), with_key(&subjects[1], small, &secret(0))];
    let mut spent = [Vec::new(), Vec::new()];
    for _ in 0..scale.rounds {
        for ((subject, shot), spent) in subjects.iter().zip(&shots).zip(&mut spent) {
            let shape = answer(shot).await?;
            let bound = Bound { requests: u64::MAX, time: scale.time };
            let before = subject.process.cpu();
            let tally = load::closed(shot, shape, small.connections, bound).await;
            if subject.recipe.name == database.name {
                // What is still in the journal is part of what the requests cost.
                tokio::time::sleep(Duration::from_millis(1_500)).await;
            }
            let cpu = subject.process.cpu().saturating_sub(before);
            if tally.bad > 0 {
                report.notes.push(format!("{}: {:?}", subject.recipe.name, tally.complaint));
            }
            spent.push(cpu.as_secs_f64() * 1e6 / tally.good.max(1) as f64);
        }
    }
    let [bare, books] = spent.map(median);
    add(report, &database, "CPU per request without books, µs", bare, None);
    add(report, &database, "CPU per request with key, limits, budget, journal, µs", books, None);
    let more = bare.zip(books).map(|(bare, books)| (books / bare - 1.0) * 100.0);
    add(report, &database, "more CPU with books, %", more, Some(25.0));
    Ok(())
}

/// Measures one database: with many keys, then with a long log as well.
///
/// # Errors
/// When the database or the gateway does not do what it should.
pub async fn run(
    scale: &Scale,
    folder: &Folder,
    mock: u16,
    database: &Database,
    report: &mut Report,
) -> Result<(), Failure> {
    let store = Store::connect(&database.url).await?;
    let started = Instant::now();
    people(&store, scale.keys, scale.teams).await?;
    let rate = (scale.keys + scale.teams) as f64 / started.elapsed().as_secs_f64();
    add(
        report,
        database,
        &format!("{} keys and {} teams written, 1/s", scale.keys, scale.teams),
        Some(rate),
        None,
    );

    let recipe = with_books(scale, folder, mock, database)?;
    let subject = recipe.start(folder).await?;
    add(report, database, "start with all keys, ms", Some(subject.start.as_secs_f64() * 1e3), Some(1000.0));
    let [first, again] = look_ups(&subject, scale.keys).await?;
    add(report, database, "look-up of a key that is not known yet, p50, ms", Some(first - again), Some(1.0));
    let idle = subject.process.resident_bytes() as f64 / 1e6;
    add(report, database, "RSS with all keys, MB", Some(idle), Some(150.0));
    let before = p99(scale, &subject).await?;
    add(report, database, "p99 of a request, short log, µs", Some(before), None);
    drop(subject);

    let rows = ingest(&store, scale).await?;
    let least = if store.is_shared() { 10_000.0 } else { 5_000.0 };
    add(report, database, "rows booked, 1/s", Some(rows.all), Some(least));
    add(report, database, "rows booked while the log is longest, 1/s", Some(rows.last), Some(least));
    add(report, database, "CPU per row booked, without PostgreSQL's own, µs", Some(rows.cpu), None);
    store.close().await;

    let subject = recipe.start(folder).await?;
    add(
        report,
        database,
        "start with the long log, ms",
        Some(subject.start.as_secs_f64() * 1e3),
        Some(1000.0),
    );
    let after = p99(scale, &subject).await?;
    add(report, database, "p99 of a request, long log, µs", Some(after), None);
    for (name, path, most) in questions() {
        let took = ask(&subject, &path).await?;
        add(report, database, &name, Some(took), Some(most));
    }
    let used = subject.process.resident_bytes() as f64 / 1e6;
    add(report, database, "RSS after all questions, MB", Some(used), None);
    Ok(())
}

fn add(report: &mut Report, database: &Database, measure: &str, value: Option<f64>, target: Option<f64>) {
    eprintln!("{}: {measure}: {value:?}", database.name);
    report.rows.push(Row::new(database.name, measure, vec![value, target]));
}

fn with_books(scale: &Scale, folder: &Folder, mock: u16, database: &Database) -> std::io::Result<Recipe> {
    let data = folder.path().join(format!("data-{}", database.name));
    let more = format!(
        "general_settings:\n  master_key: {KEY}\n  database_url: {}\ntollway:\n  data_folder: {}\n",
        json!(database.url),
        json!(data),
    );
    Recipe::configured(folder, database.name, &scale.gateway, mock, &more)
}

fn secret(number: u64) -> String {
    format!("sk-scale-{number:010}")
}

fn team(number: u64) -> TeamId {
    TeamId::new(&format!("team-{number:05}")).expect("letters and digits")
}

/// Keys with limits and budgets, spread over teams with budgets.
async fn people(store: &Store, keys: u64, teams: u64) -> Result<(), Failure> {
    let now = now();
    let budget = json!({"max": 1_000_000_000_000_000_i64});
    for first in (0..teams).step_by(BATCH) {
        let mut batch = store.begin().await?;
        for number in first..teams.min(first + BATCH as u64) {
            let details = json!({"alias": format!("team {number}"), "allowance": {"budget": budget}, "created_at": now});
            let team: Team = serde_json::from_value(json!({"id": team(number), "details": details}))?;
            batch.insert(&team).await?;
        }
        batch.commit().await?;
    }
    for first in (0..keys).step_by(BATCH) {
        let mut batch = store.begin().await?;
        for number in first..keys.min(first + BATCH as u64) {
            let hash = KeyHash::of(&secret(number));
            let allowance =
                json!({"budget": budget, "limits": {"rpm": 1_000_000_000, "tpm": 1_000_000_000_000_i64}});
            let details =
                json!({"alias": format!("key {number}"), "allowance": allowance, "created_at": now});
            let key: Key = serde_json::from_value(json!({
                "id": hash, "hash": hash, "name": "sk-...scale", "team": team(number % teams), "details": details,
            }))?;
            batch.insert(&key).await?;
        }
        batch.commit().await?;
    }
    Ok(())
}

struct Rates {
    all: f64,
    /// Of the last tenth.
    last: f64,
    /// Microseconds of this process per row.
    cpu: f64,
}

async fn ingest(store: &Store, scale: &Scale) -> Result<Rates, Failure> {
    let today = now().day();
    let first = Day(today.0 - DAYS).start().0;
    let length = today.start().0 - first;
    let keys: Vec<KeyId> = (0..SPENDERS).map(|number| KeyId::from(&KeyHash::of(&secret(number)))).collect();
    let (started, cpu) = (Instant::now(), process::own_cpu());
    let (mut last_began, tenth) = (None, scale.rows - scale.rows / 10);
    for from in (0..scale.rows).step_by(BATCH) {
        let numbers = from..scale.rows.min(from + BATCH as u64);
        let rows: Vec<Booking> = numbers
            .map(|number| {
                let at = first + (i128::from(length) * i128::from(number) / i128::from(scale.rows)) as i64;
                booking(number, Timestamp(at), &keys, scale.teams)
            })
            .collect();
        if from >= tenth {
            last_began.get_or_insert_with(Instant::now);
        }
        let booked = store.book(&rows).await?;
        if booked.known > 0 {
            return Err(format!("{} rows were known before they were booked", booked.known).into());
        }
        if from % (BATCH as u64 * 64) == 0 {
            eprintln!("{from} rows, {:.0} s", started.elapsed().as_secs_f64());
        }
    }
    let last = last_began.map_or(f64::NAN, |began| (scale.rows / 10) as f64 / began.elapsed().as_secs_f64());
    let cpu = process::own_cpu().saturating_sub(cpu).as_secs_f64() * 1e6 / scale.rows.max(1) as f64;
    Ok(Rates { all: scale.rows as f64 / started.elapsed().as_secs_f64(), last, cpu })
}

/// A row as a gateway would write it; everything in it follows from its number.
fn booking(number: u64, at: Timestamp, keys: &[KeyId], teams: u64) -> Booking {
    // Neighbours have nothing in common: Knuth's multiplicative hash.
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let key = (mixed >> 20) % SPENDERS;
    let model = match (mixed >> 50) % 3 {
        0 => "gpt-4o",
        1 => "gpt-4o-mini",
        _ => "claude-sonnet-4-5",
    };
    let word = |text: &str| ModelName::new(text).expect("letters and digits");
    // A UUID of version 7, as the gateway makes them: neighbours begin alike.
    let request = format!(
        "{:08x}-{:04x}-7{:03x}-a{:03x}-{:012x}",
        at.0 >> 16,
        at.0 & 0xffff,
        mixed & 0xfff,
        mixed >> 52,
        number
    );
    Booking {
        request: RequestId::new(&request).expect("letters and digits"),
        started_at: at,
        ended_at: at.plus(Duration::from_millis(300 + (mixed >> 10) % 5000)),
        call_type: "acompletion".into(),
        failed: mixed.is_multiple_of(97),
        model: word(model),
        model_group: Some(model.into()),
        provider: ProviderName::new(if model.starts_with('g') { "openai" } else { "anthropic" })
            .expect("letters"),
        deployment: Some("0f3ad5ac9f2c4e5bb1".into()),
        key: keys.get(key as usize).expect("there are as many").clone(),
        user: Some(UserId::new(&format!("user-{}", key % 500)).expect("letters and digits")),
        team: Some(team(key % teams)),
        organization: None,
        customer: None,
        tags: if key.is_multiple_of(10) { vec![Tag::new("batch").expect("letters")] } else { Vec::new() },
        tokens: Tokens { input: mixed % 4000, output: mixed % 700, cache_read: 0, cache_write: 0 },
        cost: NanoUsd((mixed % 20_000_000).cast_signed()),
        saved: NanoUsd::ZERO,
        estimated: false,
        cache_hit: false,
        catalog: None,
        session: None,
        detail: Some(r#"{"response_id":"chatcmpl-0123456789","lines":[["input",812,"0.00203"]]}"#.into()),
        charges: Vec::new(),
    }
}

/// Milliseconds to an answer to a key that the gateway has not seen, and the second time; the medians.
async fn look_ups(subject: &Subject, keys: u64) -> Result<[f64; 2], Failure> {
    let small = CASES.first().expect("there are cases");
    let mut took = [Vec::new(), Vec::new()];
    for number in (0..keys).step_by((keys / 300).max(1) as usize) {
        let mut gun = Gun::new(&with_key(subject, small, &secret(number)));
        gun.aim().await?;
        for took in &mut took {
            let answer = gun.fire(&mut |_| {}).await?;
            if answer.shape.status != StatusCode::OK {
                return Err(format!("key {number} was answered with {}", answer.shape.status).into());
            }
            took.push(answer.whole.as_secs_f64() * 1e3);
        }
    }
    Ok(took.map(|took| median(took).unwrap_or(f64::NAN)))
}

async fn p99(scale: &Scale, subject: &Subject) -> Result<f64, Failure> {
    let small = CASES.first().expect("there are cases");
    let shot = with_key(subject, small, &secret(1));
    let shape = answer(&shot).await?;
    let mut found = Vec::new();
    for _ in 0..scale.rounds {
        let bound = Bound { requests: u64::MAX, time: scale.time };
        let tally = load::open(&shot, shape, 64, 500.0, bound).await;
        found.push(tally.whole.value_at_quantile(0.99) as f64 / 1e3);
    }
    Ok(median(found).unwrap_or(f64::NAN))
}

/// What an administrator looks at, and how many milliseconds it may take.
fn questions() -> Vec<(String, String, f64)> {
    let today = now().day();
    let day = |back: i64| Day(today.0 - back).to_string();
    let key = KeyHash::of(&secret(7));
    let log = |name: &str, query: String| {
        (format!("page of the log: {name}, ms"), format!("/spend/logs/v2?page_size=50{query}"), 300.0)
    };
    let report = |name: &str, path: String| (format!("report: {name}, ms"), path, 100.0);
    vec![
        log("newest", String::new()),
        log("page 100", "&page=100".to_owned()),
        log("a day", format!("&start_date={}&end_date={}", day(9), day(9))),
        log("a key", format!("&api_key={key}")),
        log("a team", format!("&team_id={}", team(7))),
        log("a user", "&user_id=user-7".to_owned()),
        log("a tag", "&tag=batch".to_owned()),
        log("a cursor into the middle", format!("&cursor={}:x", Day(today.0 - 15).start().0)),
        (
            "/spend/logs of a day, summed, ms".to_owned(),
            format!("/spend/logs?start_date={}&end_date={}", day(9), day(9)),
            100.0,
        ),
        report("a day", format!("/user/daily/activity?start_date={}&end_date={}", day(9), day(9))),
        report("a month", format!("/user/daily/activity?start_date={}&end_date={}", day(30), day(1))),
        report(
            "a team, a month",
            format!("/team/daily/activity?team_ids={}&start_date={}&end_date={}", team(7), day(30), day(1)),
        ),
        report(
            "by key, a day",
            format!("/global/spend/report?group_by=api_key&start_date={}&end_date={}", day(9), day(9)),
        ),
        report(
            "spend per day, a month",
            format!("/global/spend/logs?start_date={}&end_date={}", day(30), day(1)),
        ),
    ]
}

/// Milliseconds to an answer, the median.
async fn ask(subject: &Subject, path: &str) -> Result<f64, Failure> {
    let shot = Arc::new(Shot {
        method: Method::GET,
        port: subject.recipe.port,
        path: path.parse()?,
        headers: bearer(KEY),
        body: bytes::Bytes::new(),
    });
    let mut took = Vec::new();
    for _ in 0..5 {
        let mut body = Vec::new();
        let answer = Gun::new(&shot).fire(&mut |piece| body.extend_from_slice(piece)).await?;
        if answer.shape.status != StatusCode::OK {
            return Err(format!("{path}: {} {}", answer.shape.status, String::from_utf8_lossy(&body)).into());
        }
        took.push(answer.whole.as_secs_f64() * 1e3);
    }
    Ok(median(took).unwrap_or(f64::NAN))
}

fn with_key(subject: &Subject, case: &Case, key: &str) -> Arc<Shot> {
    let mut shot = Shot::clone(&subject.shot(case));
    shot.headers = bearer(key);
    Arc::new(shot)
}

fn bearer(key: &str) -> HeaderMap {
    [(AUTHORIZATION, format!("Bearer {key}").parse().expect("a key of letters and digits"))]
        .into_iter()
        .collect()
}

async fn answer(shot: &Arc<Shot>) -> Result<Shape, Failure> {
    let mut body = Vec::new();
    let answer = Gun::new(shot).fire(&mut |piece| body.extend_from_slice(piece)).await?;
    if answer.shape.status != StatusCode::OK {
        return Err(format!("{} {}", answer.shape.status, String::from_utf8_lossy(&body)).into());
    }
    Ok(answer.shape)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
