//! A crowd at a budget's edge, the process dying again and again: no overshoot, no false refusal, no hold left, nothing
//! lost, nothing twice.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use catalog::NanoUsd;
use ledger::rules::account::{Account, Scope};
use ledger::rules::budget::{Budget, Terms};
use ledger::rules::id::{KeyId, ModelName, ProviderName, RequestId, TeamId};
use ledger::rules::ledger::{Actual, Charge, Demand, Hold};
use ledger::rules::period::Period;
use ledger::rules::time::Timestamp;
use ledger::{Booking, Claims, Counters, Journal, Store, Tokens, journal};

const MAX: i64 = 100_000;
const CALLERS: usize = 16;
const HOLD: i64 = 50;

fn team() -> Account {
    Account::of(Scope::Team(TeamId::new("red").unwrap()))
}

fn key(number: usize) -> KeyId {
    KeyId::new(&format!("k{number}")).unwrap()
}

/// For good and per month, so that both kinds of windows are opened again.
fn terms() -> Arc<Terms> {
    let monthly = Budget { period: Some(Period::parse("1mo").unwrap()), ..Budget::of(NanoUsd(MAX)) };
    Arc::new(Terms { budgets: vec![Budget::of(NanoUsd(MAX)), monthly], ..Terms::default() })
}

fn booking(request: &str, key: KeyId, cost: i64, charges: Vec<Charge>) -> Booking {
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
        key,
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

/// One life of a process: opens everything, serves callers until they were told to stop or the budget is used up, and
/// ends without tidying up. Returns whether the budget refused.
async fn live(folder: &Path, life: usize, acknowledged: &AtomicI64, calls: u64) -> bool {
    let store = Store::open(&folder.join("tollway.db")).await.unwrap();
    let journal = Journal::open(journal::Settings {
        segment_bytes: 20_000,
        ..journal::Settings::new(folder.join("journal"))
    })
    .unwrap();
    journal::drain(&journal, &store).await.unwrap();
    assert_eq!(store.audit().await.unwrap(), []);

    let counters = Counters::default();
    let of_team = counters.open(&team(), &terms(), &store.openings(&team()).await.unwrap());
    let spent = of_team.standing(Timestamp(1_795_254_233_000)).total;
    assert_eq!(spent.0, acknowledged.load(Ordering::Relaxed), "all that was acknowledged, once");

    let refused = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (counters, journal, of_team, refused) = (&counters, &journal, &of_team, &refused);
            scope.spawn(move || {
                let of_key = counters.open(&Account::of(Scope::Key(key(caller))), &Arc::default(), &[]);
                let claims = Claims::new(vec![of_team.clone(), of_key]);
                let now = Timestamp(1_795_254_233_000);
                let hold = Hold::AtMost(NanoUsd(HOLD));
                let demand = Demand { hold, tokens: 10, lease: Duration::from_secs(600) };
                for call in 0..calls {
                    let Ok(reservation) = claims.admit(&demand, now) else {
                        refused.store(true, Ordering::Relaxed);
                        break;
                    };
                    let cost = i64::try_from(call).unwrap() * 7 % (HOLD + 1);
                    match call % 10 {
                        // The client left before anything was delivered.
                        0 => drop(reservation),
                        // The process dies before this one ends.
                        1 if call + 10 > calls => std::mem::forget(reservation),
                        _ => {
                            let charges =
                                reservation.settle(Actual { cost: NanoUsd(cost), tokens: 5 }, now).charges;
                            let request = format!("{life}-{caller}-{call}");
                            journal.append(booking(&request, key(caller), cost, charges)).unwrap();
                            acknowledged.fetch_add(cost, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    // Some lives move their journal into the database, the others leave it to the next one.
    if life.is_multiple_of(2) {
        journal::drain(&journal, &store).await.unwrap();
    }
    refused.into_inner()
}

#[tokio::test]
async fn a_budget_holds_over_crowds_and_deaths() {
    let folder = std::env::temp_dir().join(format!("tollway-ledger-edge-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let acknowledged = AtomicI64::new(0);
    let mut life = 0;
    while !live(&folder, life, &acknowledged, 40).await {
        life += 1;
    }
    assert!(life > 3, "the process died {life} times");
    // Holds that were lost with their process are gone: the rest of the budget can be used.
    live(&folder, life + 1, &acknowledged, 1_000).await;

    let store = Store::open(&folder.join("tollway.db")).await.unwrap();
    let journal = Journal::open(journal::Settings::new(folder.join("journal"))).unwrap();
    journal::drain(&journal, &store).await.unwrap();
    assert_eq!(store.audit().await.unwrap(), []);
    for opening in store.openings(&team()).await.unwrap() {
        let spend = opening.spend.0;
        assert_eq!(spend, acknowledged.load(Ordering::Relaxed));
        assert!(spend <= MAX, "overshot: {spend}");
        assert!(spend > MAX - HOLD, "refused with room: {spend}");
    }
    store.close().await;
    std::fs::remove_dir_all(&folder).unwrap();
}
