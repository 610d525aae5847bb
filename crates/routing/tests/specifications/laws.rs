//! What holds whatever happens.

use std::time::Duration;

use dialects::ErrorClass;
use proptest::prelude::{
    Just, ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_assume, prop_oneof, proptest,
};
use proptest::strategy::Strategy as Gen;
use routing::settings::DeploymentSettings;
use routing::{Attempt, Decision, Failure, Journey, Outcome, Phase, Request, Settings, Strategy};

use crate::world::World;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    /// A request comes and asks what to do.
    Arrive,
    /// A running call ends with this status; which one is counted round the running ones.
    End(usize, u16),
    /// A client leaves.
    Leave(usize),
    /// Time passes.
    Sleep(u64),
}

fn step() -> impl Gen<Value = Step> {
    let status = prop_oneof![Just(200_u16), Just(429), Just(500), Just(401), Just(408), Just(400)];
    prop_oneof![
        4 => Just(Step::Arrive),
        4 => (any::<usize>(), status).prop_map(|(which, status)| Step::End(which, status)),
        1 => any::<usize>().prop_map(Step::Leave),
        2 => (0_u64..4000).prop_map(Step::Sleep),
    ]
}

fn strategies() -> impl Gen<Value = Strategy> {
    prop_oneof![
        Just(Strategy::Balanced),
        Just(Strategy::SimpleShuffle),
        Just(Strategy::LeastBusy),
        Just(Strategy::UsageBased),
        Just(Strategy::LatencyBased),
        Just(Strategy::CostBased),
    ]
}

fn group_of(size: usize, strategy: Strategy) -> World {
    let deployments = (0..size).map(|n| DeploymentSettings {
        id: format!("d{n}").into(),
        model_name: "m".into(),
        ..DeploymentSettings::default()
    });
    World::new(Settings { deployments: deployments.collect(), strategy, ..Settings::default() })
}

/// Asks on until there is a call or an end; waits are waited for.
fn go_on(world: &mut World, mut journey: Journey, running: &mut Vec<(Journey, Attempt)>) {
    loop {
        match world.next(&mut journey) {
            Decision::Call(attempt) => {
                check_choice(world, &attempt);
                running.push((journey, attempt));
                return;
            }
            Decision::Wait { duration, .. } => world.now = world.now + duration,
            Decision::Stop(_) => return,
        }
    }
}

/// Nobody is sent to a deployment that is left alone; to one that is to be probed goes one probe.
fn check_choice(world: &World, attempt: &Attempt) {
    let phase = world.phase(attempt.id());
    let expected = if attempt.is_probe() { Phase::Probing } else { Phase::Closed };
    assert_eq!(phase, expected, "{} was chosen", attempt.id());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_goes_where_it_is_sick_and_nothing_stays_in_flight(
        size in 1_usize..6,
        strategy in strategies(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = group_of(size, strategy);
        let mut running: Vec<(Journey, Attempt)> = Vec::new();
        for step in steps {
            match step {
                Step::Arrive => {
                    let journey = world.journey(Request::new("m"));
                    go_on(&mut world, journey, &mut running);
                }
                Step::End(which, status) if !running.is_empty() => {
                    let (mut journey, attempt) = running.swap_remove(which % running.len());
                    let outcome = match status {
                        200 => Outcome::SUCCESS,
                        _ => Outcome::Failure(Failure::new(ErrorClass::from_status(status))),
                    };
                    journey.report(attempt, &outcome, world.now);
                    go_on(&mut world, journey, &mut running);
                }
                Step::Leave(which) if !running.is_empty() => {
                    drop(running.swap_remove(which % running.len()));
                }
                Step::End(..) | Step::Leave(_) => {}
                Step::Sleep(millis) => world.now = world.now + Duration::from_millis(millis),
            }
            let phases: Vec<Phase> =
                world.fleet.snapshot(world.now).into_iter().map(|state| state.phase).collect();
            prop_assert!(
                phases.iter().any(|phase| !matches!(phase, Phase::Open(_))),
                "the last one was left alone: {phases:?}"
            );
            prop_assert_eq!(world.in_flight() as usize, running.len());
        }
        running.clear();
        prop_assert_eq!(world.in_flight(), 0);
    }

    #[test]
    fn shares_follow_weights(weights in prop::collection::vec(0_u32..10, 1..6), seed: u64) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let deployments = weights.iter().enumerate().map(|(n, weight)| DeploymentSettings {
            id: format!("d{n}").into(),
            model_name: "m".into(),
            weight: Some(f64::from(*weight)),
            ..DeploymentSettings::default()
        });
        let settings = Settings { deployments: deployments.collect(), ..Settings::default() };
        let mut world = World { dice: fastrand::Rng::with_seed(seed), ..World::new(settings) };
        let mut counts = vec![0_u32; weights.len()];
        for _ in 0..2000 {
            let mut journey = world.journey(Request::new("m"));
            let attempt = world.call(&mut journey);
            counts[attempt.deployment().get()] += 1;
            world.answer(&mut journey, attempt);
        }
        let total: u32 = weights.iter().sum();
        for (weight, count) in weights.iter().zip(&counts) {
            let expected = 2000.0 * f64::from(*weight) / f64::from(total);
            // Five standard deviations of a fair draw.
            let tolerance = 5.0 * (expected * (1.0 - expected / 2000.0)).sqrt() + 1e-9;
            prop_assert!((f64::from(*count) - expected).abs() <= tolerance, "{weights:?}: {counts:?}");
        }
    }
}
