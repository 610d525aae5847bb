//! The real thing: a process that books, killed without warning at many moments.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use catalog::NanoUsd;
use ledger::rules::id::{KeyId, ModelName, ProviderName, RequestId};
use ledger::rules::time::Timestamp;
use ledger::store::LogFilter;
use ledger::{Booking, Journal, Store, Tokens, journal};

/// Names the folder to the process that is killed.
const FOLDER: &str = "TOLLWAY_LEDGER_KILLED";
const KILLS: usize = 30;

fn booking(request: &str) -> Booking {
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
        team: None,
        organization: None,
        customer: None,
        tags: Vec::new(),
        tokens: Tokens::default(),
        cost: NanoUsd(1),
        saved: NanoUsd::ZERO,
        estimated: false,
        cache_hit: false,
        catalog: None,
        session: None,
        detail: None,
        charges: Vec::new(),
    }
}

async fn open(folder: &Path) -> (Store, Journal) {
    let store = Store::open(&folder.join("tollway.db")).await.unwrap();
    let settings =
        journal::Settings { segment_bytes: 4_000, ..journal::Settings::new(folder.join("journal")) };
    (store, Journal::open(settings).unwrap())
}

/// Books for ever, and says what it has booked.
#[tokio::test]
#[ignore = "the process that the test below kills"]
async fn the_victim() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let (store, journal) = open(&folder).await;
    let mut out = std::io::stdout();
    for number in 0_u64.. {
        let request = format!("{}-{number}", std::process::id());
        journal.append(booking(&request)).unwrap();
        writeln!(out, "booked {request}").unwrap();
        if number % 16 == 15 {
            journal::drain(&journal, &store).await.unwrap();
        }
    }
}

#[tokio::test]
async fn nothing_is_lost_and_nothing_booked_twice_when_the_process_is_killed() {
    let folder = std::env::temp_dir().join(format!("tollway-ledger-killed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut acknowledged = BTreeSet::new();
    for kill in 0..KILLS {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["the_victim", "--exact", "--ignored", "--nocapture", "--quiet"])
            .env(FOLDER, &folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        // Anywhere between appends and rounds of draining.
        for _ in 0..=(kill * 37) % 101 {
            let line = lines.next().unwrap().unwrap();
            acknowledged.extend(line.strip_prefix("booked ").map(str::to_owned));
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        // What it said before it died.
        let rest = lines.map_while(Result::ok);
        acknowledged.extend(rest.filter_map(|line| Some(line.strip_prefix("booked ")?.to_owned())));
    }
    let (store, journal) = open(&folder).await;
    journal::drain(&journal, &store).await.unwrap();
    assert_eq!(store.audit().await.unwrap(), []);
    let rows = store.spend_log(&LogFilter::default(), i64::MAX).await.unwrap();
    let booked: BTreeSet<String> = rows.iter().map(|row| row.request.to_string()).collect();
    assert_eq!(booked.len(), rows.len(), "nothing twice");
    let lost: Vec<&String> = acknowledged.difference(&booked).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    // At each death one booking may have been written that nobody heard of.
    assert!(booked.len() - acknowledged.len() <= KILLS);
    store.close().await;
    std::fs::remove_dir_all(&folder).unwrap();
}
