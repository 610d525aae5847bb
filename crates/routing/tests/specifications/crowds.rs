//! Many requests at once, on threads of their own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use routing::{CooldownReason, Decision, Journey, Request, Settings};

use crate::world::{World, deployed};

/// How many of so many requests at once are sent to a provider. None of the calls ends before all are decided on.
fn calls_at_once(world: &World, requests: u64) -> u32 {
    let calls = AtomicU32::new(0);
    let everyone = std::sync::Barrier::new(8);
    thread::scope(|scope| {
        for seed in 0..8 {
            let (calls, everyone) = (&calls, &everyone);
            scope.spawn(move || {
                let mut dice = fastrand::Rng::with_seed(seed);
                let mut held = Vec::new();
                everyone.wait();
                for _ in 0..requests / 8 {
                    let mut journey = Journey::new(&world.fleet, Request::new("m"));
                    if let Decision::Call(attempt) = journey.next(world.now, &mut || dice.u64(..)) {
                        calls.fetch_add(1, Ordering::Relaxed);
                        held.push(attempt);
                    }
                }
                everyone.wait();
                drop(held);
            });
        }
    });
    calls.into_inner()
}

fn limited(limit: impl Fn(&mut routing::settings::DeploymentSettings)) -> World {
    let mut deployments = deployed(&[("a", "m"), ("b", "m"), ("c", "m")]);
    deployments.iter_mut().for_each(limit);
    World::new(Settings { deployments, ..Settings::default() })
}

#[test]
fn a_crowd_keeps_limits_to_the_last_call() {
    for _ in 0..20 {
        assert_eq!(calls_at_once(&limited(|deployment| deployment.rpm = Some(50)), 4000), 150);
        let parallel = limited(|deployment| deployment.max_parallel_requests = Some(30));
        assert_eq!(calls_at_once(&parallel, 4000), 90);
        assert_eq!(parallel.in_flight(), 0);
    }
}

#[test]
fn a_crowd_sends_one_probe() {
    for _ in 0..50 {
        let mut world = World::of(&[("a", "m")]);
        let index = world.fleet.plan().find("a").unwrap();
        world.fleet.cool_down(index, world.now, CooldownReason::HealthCheck);
        world.sleep(1.0);
        assert_eq!(calls_at_once(&world, 800), 1);
    }
}
