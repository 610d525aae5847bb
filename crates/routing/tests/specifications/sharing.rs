//! Several instances before the same deployments.

use std::time::Duration;

use dialects::ErrorClass;
use routing::{Change, CooldownReason, Health, Phase, Request, Settings};

use crate::world::{World, deployed, rule};

/// Tells `to` what `from` has to tell.
fn tell(from: &World, to: &World) -> Vec<Change> {
    let mut changes = Vec::new();
    for news in from.fleet.take_news(from.now) {
        to.fleet.hear_usage(news.deployment, news.requests, news.tokens, to.now);
        changes.extend(match news.health {
            Some(Health::Sick { until, reason }) => {
                to.fleet.hear_sick(news.deployment, until, &reason.to_string(), to.now)
            }
            Some(Health::Well) => to.fleet.hear_well(news.deployment, to.now),
            None => None,
        });
    }
    changes
}

/// Sends a request to a deployment and lets it fail there.
fn fails(world: &mut World, id: &str, status: u16) {
    let mut journey = world.journey(Request { pinned: vec![id.into()], ..Request::new("m") });
    let attempt = world.call(&mut journey);
    world.fail(&mut journey, attempt, status);
}

const TWO: &[(&str, &str)] = &[("a", "m"), ("b", "m")];

#[test]
fn whom_one_leaves_alone_the_other_leaves_alone() {
    let (mut one, two) = (World::of(TWO), World::of(TWO));
    fails(&mut one, "a", 429);
    let until = one.now + Duration::from_secs(5);
    let reason = CooldownReason::Elsewhere("RateLimitError".into());
    assert_eq!(tell(&one, &two), [Change::CooledDown { until, reason }]);
    assert_eq!(two.phase("a"), Phase::Open(until));
    assert_eq!(tell(&one, &two), [], "news are told once");
    assert_eq!(tell(&two, &one), [], "and not told back");
}

#[test]
fn news_that_did_not_arrive_are_told_again() {
    let (mut one, two) = (World::of(TWO), World::of(TWO));
    fails(&mut one, "a", 429);
    one.fleet.take_news(one.now);
    one.fleet.tell_again();
    assert_eq!(tell(&one, &two).len(), 1);
    assert_eq!(one.fleet.snapshot(one.now)[0].requests, 1);
    assert_eq!(two.fleet.snapshot(two.now)[0].requests, 0, "what was used may have been counted");
}

#[test]
fn who_is_well_again_is_well_for_all() {
    let (mut one, mut two) = (World::of(TWO), World::of(TWO));
    fails(&mut one, "a", 429);
    tell(&one, &two);
    one.sleep(5.0);
    two.sleep(5.0);
    assert_eq!(two.phase("a"), Phase::ProbeDue);
    one.send("m", 200);
    assert_eq!(tell(&one, &two), [Change::Recovered]);
    assert_eq!(two.phase("a"), Phase::Closed);
    assert_eq!(tell(&two, &one), []);
}

#[test]
fn what_one_has_just_seen_is_newer_than_the_others_word() {
    let (mut one, mut two) = (World::of(TWO), World::of(TWO));
    fails(&mut one, "a", 429);
    tell(&one, &two);
    one.sleep(5.0);
    two.sleep(5.0);
    one.send("m", 200);
    // The probe of the second failed in the same moment.
    fails(&mut two, "a", 429);
    let until = two.now + Duration::from_secs(5);
    assert_eq!(tell(&one, &two), []);
    assert_eq!(two.phase("a"), Phase::Open(until));
    assert_eq!(tell(&two, &one).len(), 1);
    assert_eq!(one.phase("a"), Phase::Open(until));
}

#[test]
fn two_that_leave_different_ones_alone_do_not_end_with_none() {
    let (mut one, mut two) = (World::of(TWO), World::of(TWO));
    fails(&mut one, "a", 429);
    fails(&mut two, "b", 429);
    assert_eq!(tell(&one, &two), []);
    assert_eq!(tell(&two, &one), []);
    assert_eq!((one.phase("b"), two.phase("a")), (Phase::Closed, Phase::Closed));
}

#[test]
fn with_fallbacks_the_last_one_is_left_alone_too() {
    let world = || {
        let mut settings =
            Settings { deployments: deployed(&[("a", "m"), ("c", "n")]), ..Settings::default() };
        settings.fallbacks.general = vec![rule("m", &["n"])];
        World::new(settings)
    };
    let (mut one, two) = (world(), world());
    for _ in 0..5 {
        let mut journey = one.journey(Request::new("m"));
        let attempt = one.call(&mut journey);
        one.fail(&mut journey, attempt, 500);
    }
    assert_eq!(tell(&one, &two).len(), 1);
    assert!(matches!(two.phase("a"), Phase::Open(_)));
}

#[test]
fn limits_hold_for_all_together() {
    let world = || {
        let mut deployments = deployed(&[("a", "m")]);
        deployments[0].rpm = Some(4);
        World::new(Settings { deployments, ..Settings::default() })
    };
    let (mut one, mut two) = (world(), world());
    for _ in 0..3 {
        assert_eq!(one.send("m", 200), ["a"]);
    }
    tell(&one, &two);
    assert_eq!(two.send("m", 200), ["a"]);
    assert!(two.send("m", 200).is_empty());
    tell(&two, &one);
    assert!(one.send("m", 200).is_empty());
    assert_eq!(one.fleet.snapshot(one.now)[0].requests, 4);
}

#[test]
fn an_instance_without_cooldowns_hears_of_none() {
    let mut one = World::of(TWO);
    let mut settings = Settings { deployments: deployed(TWO), ..Settings::default() };
    settings.cooldowns.disabled = true;
    let two = World::new(settings);
    fails(&mut one, "a", 429);
    assert_eq!(tell(&one, &two), []);
    assert_eq!(two.phase("a"), Phase::Closed);
}

#[test]
fn a_longer_cooldown_stays() {
    let (mut one, mut two) = (World::of(TWO), World::of(TWO));
    fails(&mut one, "a", 429);
    two.sleep(3.0);
    let failure =
        routing::Failure::new(ErrorClass::RateLimited).with_retry_after(Some(Duration::from_secs(60)));
    let mut journey = two.journey(Request { pinned: vec!["a".into()], ..Request::new("m") });
    let attempt = two.call(&mut journey);
    journey.report(attempt, &routing::Outcome::Failure(failure), two.now);
    let until = two.now + Duration::from_secs(60);
    assert_eq!(tell(&one, &two), []);
    assert_eq!(two.phase("a"), Phase::Open(until));
    assert_eq!(tell(&two, &one).len(), 1);
    assert_eq!(one.phase("a"), Phase::Open(until));
}
