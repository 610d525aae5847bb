use std::time::Duration;

use super::*;
use crate::rules::account::Scope;
use crate::rules::id::{KeyId, TeamId};
use crate::rules::ledger::Hold;
use crate::rules::limit::Limits;

fn key(number: usize) -> Account {
    Account::of(Scope::Key(KeyId::new(&format!("k{number}")).unwrap()))
}

fn team() -> Account {
    Account::of(Scope::Team(TeamId::new("t").unwrap()))
}

fn terms(max: i64) -> Arc<Terms> {
    Arc::new(Terms { budgets: vec![Budget::of(NanoUsd(max))], limits: Limits::default(), ..Terms::default() })
}

fn demand(hold: i64) -> Demand {
    Demand { hold: Hold::AtMost(NanoUsd(hold)), tokens: 10, lease: Duration::from_secs(60) }
}

#[test]
fn a_dropped_reservation_gives_back_what_it_held() {
    let counters = Counters::default();
    let claims = Claims::new(vec![counters.open(&key(1), &terms(10), &[])]);
    let reservation = claims.admit(&demand(10), Timestamp(0)).unwrap();
    assert_eq!(claims.room(Timestamp(0)), Some(NanoUsd(0)));
    drop(reservation);
    assert_eq!(claims.room(Timestamp(0)), Some(NanoUsd(10)));
}

#[test]
fn an_account_is_opened_once() {
    let counters = Counters::default();
    let opening = |spend| [Opening { period: None, window: Timestamp(0), spend: NanoUsd(spend) }];
    assert!(counters.claim(&key(1), &terms(10)).is_none());
    let first = counters.open(&key(1), &terms(10), &opening(4));
    let second = counters.open(&key(1), &terms(20), &opening(0));
    assert_eq!(Claims::new(vec![first]).room(Timestamp(0)), Some(NanoUsd(6)));
    assert_eq!(Claims::new(vec![second]).room(Timestamp(0)), Some(NanoUsd(16)));
    assert!(counters.claim(&key(1), &terms(10)).is_some());
}

#[test]
fn only_idle_ledgers_are_forgotten() {
    let counters = Counters::default();
    let known = counters.open(&key(1), &terms(10), &[]);
    for number in [2, 3] {
        let claims = Claims::new(vec![counters.open(&key(number), &terms(10), &[])]);
        let reservation = claims.admit(&demand(1), Timestamp(1000)).unwrap();
        if number == 2 {
            reservation.settle(Actual::default(), Timestamp(1000));
        } else {
            std::mem::forget(reservation);
        }
    }
    assert_eq!(counters.forget_idle(Timestamp(30_000)), 0);
    // The lost reservation keeps its claims, and with them its ledger.
    assert_eq!(counters.forget_idle(Timestamp(600_000)), 1);
    assert_eq!(counters.len(), 2);
    drop(known);
    assert_eq!(counters.forget_idle(Timestamp(600_000)), 1);
}

#[test]
fn the_next_call_to_a_model_is_expected_to_cost_what_the_last_ones_did() {
    let counters = Counters::default();
    let claim = counters.open(&key(1), &terms(1000), &[]);
    let (cheap, dear) = (ModelName::new("mini").unwrap(), ModelName::new("pro").unwrap());
    claim.learn(&cheap, NanoUsd(7), 70);
    claim.learn(&dear, NanoUsd(700), 7);
    let known = |model| (claim.history(model).expected_cost(), claim.history(model).expected_output());
    assert_eq!((known(&cheap), known(&dear)), ((NanoUsd(7), 70), (NanoUsd(700), 7)));
}

/// Many threads at a shared budget's edge, with claims in different orders: no deadlock, no overshoot, and all
/// of the budget is used.
#[test]
fn a_crowd_uses_a_budget_up_and_no_more() {
    let counters = Counters::default();
    const MAX: i64 = 10_000;
    std::thread::scope(|scope| {
        for number in 0..8 {
            let counters = &counters;
            scope.spawn(move || {
                let of_key = counters.open(&key(number % 3), &terms(i64::MAX), &[]);
                let of_team = counters.open(&team(), &terms(MAX), &[]);
                let order = if number % 2 == 0 { vec![of_key, of_team] } else { vec![of_team, of_key] };
                let claims = Claims::new(order);
                for round in 0..20_000_i64 {
                    let now = Timestamp(round);
                    let Ok(reservation) = claims.admit(&demand(7), now) else { continue };
                    if round % 3 == 0 {
                        drop(reservation);
                    } else {
                        reservation.settle(Actual { cost: NanoUsd(round % 8), tokens: 5 }, now);
                    }
                }
            });
        }
    });
    let claim = counters.claim(&team(), &terms(MAX)).unwrap();
    let standing = claim.standing(Timestamp(20_000));
    let budget = standing.budgets.first().unwrap();
    assert_eq!(budget.held, NanoUsd(0));
    assert!(budget.spend.0 <= MAX && budget.spend.0 > MAX - 7, "{budget:?}");
}

/// Prints how long one reservation and its settlement take. For `cargo test -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn how_long_a_reservation_takes() {
    let counters = Counters::default();
    let claims: Vec<Claim> =
        (0..5).map(|number| counters.open(&key(number), &terms(i64::MAX), &[])).collect();
    let claims = Claims::new(claims);
    let rounds: u32 = 1_000_000;
    let start = std::time::Instant::now();
    for round in 0..rounds {
        let now = Timestamp(i64::from(round / 100));
        let reservation = claims.admit(&demand(7), now).unwrap();
        std::hint::black_box(reservation.settle(Actual { cost: NanoUsd(5), tokens: 8 }, now));
    }
    println!("{} ns per reservation over 5 accounts", start.elapsed().as_nanos() / u128::from(rounds));
}
