//! Deterministic simulation: whole days of bad luck in seconds.
//!
//! Every schedule is made from one number: groups, settings, faults (slow, hanging, throttling, failing, refusing, and
//! recovering), and clients that come, wait and sometimes leave. A clock that jumps from event to event runs it, and the
//! rules in `world.rs` are checked at every step. The seed of a schedule that breaks one is printed and kept in `seeds.txt`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a world that is wrong about itself fails")]

mod schedule;
mod world;

use std::io::Write as _;

use schedule::Schedule;

/// Schedules per run, beside the kept seeds.
const SCHEDULES: u64 = 2500;

fn run(seed: u64) -> Result<world::Tally, String> {
    world::World::new(Schedule::from_seed(seed)).run()
}

/// Keeps the seed and stops.
fn fail(seed: u64, mistake: &str) -> ! {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/simulation/seeds.txt");
    let kept = std::fs::OpenOptions::new().append(true).open(path);
    let kept = kept.and_then(|mut file| writeln!(file, "{seed}"));
    let place = if kept.is_ok() { "kept in simulation/seeds.txt" } else { "could not be kept" };
    panic!("schedule {seed} ({place}): {mistake}");
}

#[test]
fn schedules_that_once_failed() {
    let lines = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#'));
    for seed in lines.map(|line| line.trim().parse().unwrap()) {
        if let Err(mistake) = run(seed) {
            panic!("schedule {seed}: {mistake}");
        }
    }
}

#[test]
fn no_schedule_breaks_a_rule() {
    let mut total = world::Tally::default();
    for seed in 0..SCHEDULES {
        match run(seed) {
            Ok(tally) => total += tally,
            Err(mistake) => fail(seed, &mistake),
        }
    }
    println!("{total:?}");
    // A simulation in which nothing bad happens proves nothing.
    assert!(total.answered > 50 * SCHEDULES, "{total:?}");
    for (what, count) in [
        ("retries", total.retries),
        ("fallbacks", total.fallbacks),
        ("cooldowns", total.cooldowns),
        ("recoveries", total.recoveries),
        ("clients that left", total.left),
        ("waits for room", total.waits_for_room),
        ("requests stopped by the budget", total.stopped_by_budget),
        ("requests that found all cooling down", total.none_available),
        ("requests that had to be answered", total.sure),
    ] {
        assert!(count > SCHEDULES / 20, "only {count} {what}: {total:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_schedule() {
    assert_eq!(run(42), run(42));
}
