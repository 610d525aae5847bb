//! How long a choice among 1,000 deployments in 50 groups takes: `cargo run --release -p tollway-routing --example choice`.
//!
//! One round is all that routing adds to a request that is answered at once: the journey, the choice, and the report.
#![allow(clippy::indexing_slicing, clippy::print_stdout, reason = "a measurement for the terminal")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use routing::settings::DeploymentSettings;
use routing::{Decision, Fleet, Journey, Moment, Outcome, Plan, Request, Settings, Strategy};

const GROUPS: usize = 50;
const PER_GROUP: usize = 20;
const ROUNDS: u32 = 100_000;

fn main() {
    let strategies = [
        Strategy::Balanced,
        Strategy::SimpleShuffle,
        Strategy::LeastBusy,
        Strategy::UsageBased,
        Strategy::LatencyBased,
        Strategy::CostBased,
    ];
    for (name, limits) in [("no limits", None), ("rpm and tpm", Some(u64::MAX / 2))] {
        for strategy in strategies {
            println!("{:>6} ns  {}, {name}", round(strategy, limits), strategy.name());
        }
    }
}

/// Nanoseconds of one round.
fn round(strategy: Strategy, limit: Option<u64>) -> u128 {
    let deployments = (0..GROUPS * PER_GROUP).map(|n| DeploymentSettings {
        id: format!("deployment-{n}").into(),
        model_name: format!("group-{}", n % GROUPS).into(),
        rpm: limit,
        tpm: limit,
        ..DeploymentSettings::default()
    });
    let settings = Settings { deployments: deployments.collect(), strategy, ..Settings::default() };
    let fleet = Arc::new(Fleet::new(Plan::new(settings).0));
    let groups: Vec<Arc<str>> = (0..GROUPS).map(|n| format!("group-{n}").into()).collect();
    let mut dice = fastrand::Rng::with_seed(1);
    let began = Instant::now();
    for round in 0..ROUNDS {
        let now = Moment::after_start(Duration::from_micros(u64::from(round) * 100));
        let group = Arc::clone(&groups[round as usize % GROUPS]);
        let mut journey = Journey::new(&fleet, Request::new(group));
        if let Decision::Call(attempt) = journey.next(now, &mut || dice.u64(..)) {
            black_box(journey.report(attempt, &Outcome::SUCCESS, now + Duration::from_millis(1)));
        }
    }
    began.elapsed().as_nanos() / u128::from(ROUNDS)
}
