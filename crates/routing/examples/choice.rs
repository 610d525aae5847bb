//! How long a choice among 1,000 deployments in 50 groups takes: `cargo run --release -p tollway-routing --example choice`.
//!
//! Printed are the medians of many short batches, so that whatever else the machine does stays out of them: of a choice
//! alone, and of all that routing adds to a request that is answered at once (the journey, the choice, and the report).

#![allow(clippy::indexing_slicing, clippy::print_stdout, reason = "a measurement for the terminal")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use routing::settings::DeploymentSettings;
use routing::{Decision, Fleet, Journey, Moment, Outcome, Plan, Request, Settings, Strategy};

const GROUPS: usize = 50;
const PER_GROUP: usize = 20;
const BATCHES: u32 = 1000;
const BATCH: u32 = 100;

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
            let fleet = fleet(strategy, limits);
            let (choice, all) = (median(&fleet, false), median(&fleet, true));
            println!("{choice:>6} ns a choice, {all:>6} ns in all: {}, {name}", strategy.name());
        }
    }
}

fn fleet(strategy: Strategy, limit: Option<u64>) -> Arc<Fleet> {
    let deployments = (0..GROUPS * PER_GROUP).map(|n| DeploymentSettings {
        id: format!("deployment-{n}").into(),
        model_name: format!("group-{}", n % GROUPS).into(),
        rpm: limit,
        tpm: limit,
        ..DeploymentSettings::default()
    });
    let settings = Settings { deployments: deployments.collect(), strategy, ..Settings::default() };
    Arc::new(Fleet::new(Plan::new(settings).0))
}

/// Nanoseconds per request, with or without the rest of its journey.
fn median(fleet: &Arc<Fleet>, whole: bool) -> u128 {
    let groups: Vec<Arc<str>> = (0..GROUPS).map(|n| format!("group-{n}").into()).collect();
    let mut dice = fastrand::Rng::with_seed(1);
    let mut batches = Vec::new();
    for batch in 0..BATCHES {
        let mut spent = Duration::ZERO;
        let began = Instant::now();
        for round in 0..BATCH {
            let now = Moment::after_start(Duration::from_micros(u64::from(batch * BATCH + round) * 100));
            let group = Arc::clone(&groups[round as usize % GROUPS]);
            let mut journey = Journey::new(fleet, Request::new(group));
            let choosing = Instant::now();
            let decision = journey.next(now, &mut || dice.u64(..));
            spent += choosing.elapsed();
            if let Decision::Call(attempt) = decision {
                black_box(journey.report(attempt, &Outcome::SUCCESS, now + Duration::from_millis(1)));
            }
        }
        batches.push(if whole { began.elapsed() } else { spent }.as_nanos() / u128::from(BATCH));
    }
    batches.sort_unstable();
    batches[batches.len() / 2]
}
