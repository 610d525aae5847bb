//! Which deployment a request goes to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::world::{World, deployed, rule};
use dialects::ErrorClass;
use routing::settings::{RetryBudget, Split, StrategyArgs, TagSettings};
use routing::{
    Considered, Decision, Failure, Lack, Limit, Outcome, Request, Settings, Stop, Strategy, Verdict,
};

fn with_strategy(strategy: Strategy, ids: &[&str]) -> Settings {
    let deployments: Vec<(&str, &str)> = ids.iter().map(|id| (*id, "m")).collect();
    Settings { deployments: deployed(&deployments), strategy, ..Settings::default() }
}

/// How often each deployment answers `n` requests.
fn shares(world: &mut World, request: &Request, n: u32) -> BTreeMap<String, u32> {
    let mut shares = BTreeMap::new();
    for _ in 0..n {
        let mut journey = world.journey(request.clone());
        let attempt = world.call(&mut journey);
        *shares.entry(attempt.id().to_owned()).or_default() += 1;
        world.answer(&mut journey, attempt);
    }
    shares
}

#[test]
fn names_lead_to_groups_aliases_and_the_longest_pattern() {
    let world = World::new(Settings {
        deployments: deployed(&[("a", "gpt-4o"), ("b", "openai/*"), ("c", "openai/gpt-*"), ("d", "*")]),
        aliases: vec![("gpt".to_owned(), "gpt-4o".to_owned())],
        ..Settings::default()
    });
    let group = |name| world.fleet.plan().group_of(name).map(|group| &**group);
    assert_eq!(group("gpt-4o"), Some("gpt-4o"));
    assert_eq!(group("gpt"), Some("gpt-4o"));
    assert_eq!(group("openai/o3"), Some("openai/*"));
    assert_eq!(group("openai/gpt-5"), Some("openai/gpt-*"));
    assert_eq!(group("claude"), Some("*"));
}

#[test]
fn an_attempt_says_which_name_a_pattern_stands_for() {
    let mut world = World::of(&[("b", "openai/*")]);
    let mut journey = world.journey(Request::new("openai/o3"));
    let attempt = world.call(&mut journey);
    assert_eq!((&**attempt.name(), attempt.group()), ("openai/o3", "openai/*"));
}

/// Lets a journey decide, and declines whatever it chooses that is in `spent`.
fn call_or_stop(
    world: &mut World,
    journey: &mut routing::Journey,
    spent: &[&str],
) -> Result<routing::Attempt, Stop> {
    loop {
        match world.next(journey) {
            Decision::Call(attempt) if spent.contains(&attempt.id()) => journey.decline(attempt, world.now),
            Decision::Call(attempt) => return Ok(attempt),
            Decision::Wait { duration, .. } => world.sleep(duration.as_secs_f64()),
            Decision::Stop(stop) => return Err(stop),
        }
    }
}

#[test]
fn who_has_no_budget_is_passed_over() {
    let mut world = World::of(&[("a", "m"), ("b", "m"), ("c", "m")]);
    for _ in 0..50 {
        let mut journey = world.journey(Request::new("m"));
        let attempt = call_or_stop(&mut world, &mut journey, &["a", "b"]).unwrap();
        assert_eq!((attempt.id(), journey.retries(), journey.calls()), ("c", 0, 1));
        assert_eq!(world.in_flight(), 1, "what is declined is not under way");
        world.answer(&mut journey, attempt);
    }
    let mut journey = world.journey(Request::new("m"));
    let stop = call_or_stop(&mut world, &mut journey, &["a", "b", "c"]).unwrap_err();
    assert_eq!(stop, Stop::OverBudget { model: "m".into() });
    assert_eq!(stop.status(), Some(429));
    let passed = journey.take_passed_over().remove(0);
    assert!(passed.considered.iter().all(|one| one.verdict == Verdict::OverBudget), "{passed:?}");
}

#[test]
fn what_is_not_made_costs_no_retry_and_no_retry_budget() {
    let mut settings =
        Settings { deployments: deployed(&[("a", "m"), ("b", "m"), ("c", "m")]), ..Settings::default() };
    for (order, deployment) in settings.deployments.iter_mut().enumerate() {
        deployment.order = Some(i64::try_from(order).unwrap());
    }
    settings.retries.num_retries = 1;
    settings.retries.budget = Some(RetryBudget { percent: 0, floor: 1 });
    let mut world = World::new(settings);
    let mut journey = world.journey(Request::new("m"));
    let first = call_or_stop(&mut world, &mut journey, &[]).unwrap();
    assert_eq!(first.id(), "a");
    world.fail(&mut journey, first, 500);
    let second = call_or_stop(&mut world, &mut journey, &["b"]).unwrap();
    assert_eq!((second.id(), journey.retries(), journey.calls()), ("c", 1, 2));
    // Nor if no other is made instead: the retry budget has room for one.
    world.sleep(120.0);
    for _ in 0..3 {
        let mut journey = world.journey(Request::new("m"));
        let first = call_or_stop(&mut world, &mut journey, &[]).unwrap();
        world.fail(&mut journey, first, 500);
        assert!(call_or_stop(&mut world, &mut journey, &["a", "b", "c"]).is_err());
    }
    let mut journey = world.journey(Request::new("m"));
    let first = call_or_stop(&mut world, &mut journey, &[]).unwrap();
    world.fail(&mut journey, first, 500);
    assert!(call_or_stop(&mut world, &mut journey, &[]).is_ok());
}

#[test]
fn without_budget_in_a_group_its_fallbacks_are_asked() {
    let mut settings =
        Settings { deployments: deployed(&[("a", "m"), ("b", "other")]), ..Settings::default() };
    settings.fallbacks.general = vec![rule("m", &["other"])];
    let mut world = World::new(settings);
    let mut journey = world.journey(Request::new("m"));
    assert_eq!(call_or_stop(&mut world, &mut journey, &["a"]).unwrap().id(), "b");
    let mut journey = world.journey(Request::new("m"));
    let stop = call_or_stop(&mut world, &mut journey, &["a", "b"]).unwrap_err();
    assert_eq!(stop, Stop::OverBudget { model: "m".into() });
}

#[test]
fn weights_set_the_shares() {
    for strategy in [Strategy::SimpleShuffle, Strategy::Balanced] {
        let mut settings = with_strategy(strategy, &["a", "b", "unweighted"]);
        settings.deployments[0].weight = Some(1.0);
        settings.deployments[1].weight = Some(3.0);
        let shares = shares(&mut World::new(settings), &Request::new("m"), 4000);
        assert!((2900..3100).contains(&shares["b"]), "{strategy:?} {shares:?}");
        assert_eq!(shares.get("unweighted"), None);
    }
}

#[test]
fn without_weights_the_rates_are_the_shares() {
    let mut settings = with_strategy(Strategy::SimpleShuffle, &["a", "b"]);
    settings.deployments[0].rpm = Some(100_000);
    settings.deployments[1].rpm = Some(300_000);
    let shares = shares(&mut World::new(settings), &Request::new("m"), 4000);
    assert!((2900..3100).contains(&shares["b"]), "{shares:?}");
}

#[test]
fn without_any_the_draw_is_even() {
    let shares = shares(
        &mut World::new(with_strategy(Strategy::SimpleShuffle, &["a", "b", "c", "d"])),
        &Request::new("m"),
        4000,
    );
    assert!(shares.values().all(|share| (900..1100).contains(share)), "{shares:?}");
}

#[test]
fn large_groups_are_drawn_from_evenly() {
    let ids: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut world = World::new(with_strategy(Strategy::SimpleShuffle, &ids));
    let shares = shares(&mut world, &Request::new("m"), 6000);
    assert_eq!(shares.len(), 300);
    let late: u32 = shares.iter().filter(|(id, _)| id.parse::<u32>().unwrap() >= 128).map(|(_, n)| n).sum();
    assert!((3200..3700).contains(&late), "{late} of 6000 beyond the 128th");
}

#[test]
fn least_busy_takes_the_one_with_the_fewest_in_flight() {
    let mut world = World::new(with_strategy(Strategy::LeastBusy, &["a", "b", "c"]));
    let mut held = Vec::new();
    for expected in ["a", "b", "c", "a"] {
        let mut journey = world.journey(Request::new("m"));
        let attempt = world.call(&mut journey);
        assert_eq!(attempt.id(), expected);
        held.push(attempt);
    }
}

#[test]
fn the_better_of_two_has_less_to_do() {
    let mut world = World::new(with_strategy(Strategy::Balanced, &["a", "b", "c", "d"]));
    let mut held = Vec::new();
    for _ in 0..400 {
        let mut journey = world.journey(Request::new("m"));
        held.push(world.call(&mut journey));
    }
    let in_flight: Vec<u32> = world.fleet.snapshot(world.now).iter().map(|state| state.in_flight).collect();
    assert!(in_flight.iter().all(|count| (90..=110).contains(count)), "{in_flight:?}");
}

#[test]
fn a_slow_deployment_gets_less_and_a_failing_one_does_not_look_fast() {
    let mut world = World::new(with_strategy(Strategy::Balanced, &["fast", "slow", "failing"]));
    let mut counts = BTreeMap::<String, u32>::new();
    for _ in 0..600 {
        let request = Request {
            overrides: routing::Overrides { num_retries: Some(0), ..Default::default() },
            ..Request::new("m")
        };
        let mut journey = world.journey(request);
        let attempt = world.call(&mut journey);
        *counts.entry(attempt.id().to_owned()).or_default() += 1;
        let (seconds, status) = match attempt.id() {
            "fast" => (0.1, 200),
            "slow" => (3.0, 200),
            _ => (0.001, 409),
        };
        world.sleep(seconds);
        let outcome = match status {
            200 => Outcome::SUCCESS,
            _ => Outcome::Failure(Failure::new(ErrorClass::Connection)),
        };
        journey.report(attempt, &outcome, world.now);
    }
    // The pair of the two others comes up in a third of the draws.
    assert!(counts["fast"] > 380, "{counts:?}");
}

#[test]
fn usage_based_takes_the_one_with_the_fewest_tokens() {
    let mut world = World::new(with_strategy(Strategy::UsageBased, &["a", "b"]));
    let mut journey = world.journey(Request::new("m"));
    let attempt = world.call(&mut journey);
    let used = attempt.id().to_owned();
    let outcome = Outcome::Success { tokens: Some(1000), output_tokens: Some(500) };
    journey.report(attempt, &outcome, world.now);
    let other = shares(&mut world, &Request::new("m"), 20);
    assert!(!other.contains_key(&used));
}

#[test]
fn latency_based_takes_any_near_the_lowest() {
    let mut settings = with_strategy(Strategy::LatencyBased, &["a", "b", "c"]);
    settings.strategy_args = StrategyArgs { lowest_latency_buffer: 0.5, ..StrategyArgs::default() };
    let mut world = World::new(settings);
    for _ in 0..3 {
        let mut journey = world.journey(Request::new("m"));
        let attempt = world.call(&mut journey);
        world.sleep(match attempt.id() {
            "a" => 1.0,
            "b" => 1.4,
            _ => 9.0,
        });
        world.answer(&mut journey, attempt);
    }
    // No time passes in these, so that the first of the two to be drawn becomes the fastest by far.
    let mut journey = world.journey(Request::new("m"));
    assert_ne!(world.call(&mut journey).id(), "c");
}

#[test]
fn latency_based_looks_at_first_tokens_of_streams() {
    let mut world = World::new(with_strategy(Strategy::LatencyBased, &["a", "b"]));
    let request = Request { stream: true, ..Request::new("m") };
    for _ in 0..2 {
        let mut journey = world.journey(request.clone());
        let mut attempt = world.call(&mut journey);
        // The one that begins late ends early.
        let (first, rest) = if attempt.id() == "a" { (0.1, 9.0) } else { (1.0, 0.1) };
        world.sleep(first);
        attempt.first_token(world.now);
        world.sleep(rest);
        world.answer(&mut journey, attempt);
    }
    let mut journey = world.journey(request);
    assert_eq!(world.call(&mut journey).id(), "a");
}

#[test]
fn cost_based_takes_the_cheapest_known() {
    let mut settings = with_strategy(Strategy::CostBased, &["unknown", "dear", "cheap"]);
    settings.deployments[1].token_price = Some(3e-5);
    settings.deployments[2].token_price = Some(1e-6);
    assert_eq!(World::new(settings).send("m", 200), ["cheap"]);
}

#[test]
fn limits_are_respected_before_the_call() {
    let mut settings = with_strategy(Strategy::SimpleShuffle, &["a", "b"]);
    settings.deployments[0].rpm = Some(3);
    settings.deployments[1].max_parallel_requests = Some(2);
    let mut world = World::new(settings);
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut journey = world.journey(Request::new("m"));
        held.push(world.call(&mut journey));
    }
    let mut journey = world.journey(Request::new("m"));
    let stop = world.stop(&mut journey);
    assert!(matches!(stop, Stop::Busy { .. }), "{stop:?}");
    assert_eq!(stop.status(), Some(429));
    held.retain(|attempt| attempt.id() == "a");
    assert_eq!(world.send("m", 200), ["b"], "room was given back");
    let full = |limit| Verdict::Full(limit);
    let verdicts: Vec<Verdict> = journey.considered().iter().map(|considered| considered.verdict).collect();
    assert_eq!(verdicts, [full(Limit::Requests), full(Limit::Parallel)]);
}

#[test]
fn tokens_are_reserved_by_estimate_and_settled_by_count() {
    let mut settings = with_strategy(Strategy::SimpleShuffle, &["a"]);
    settings.deployments[0].tpm = Some(1000);
    let mut world = World::new(settings);
    let request = Request { input_tokens: 300, ..Request::new("m") };
    let mut journey = world.journey(request.clone());
    let attempt = world.call(&mut journey);
    let outcome = Outcome::Success { tokens: Some(800), output_tokens: Some(500) };
    journey.report(attempt, &outcome, world.now);
    let mut journey = world.journey(request.clone());
    assert!(matches!(world.stop(&mut journey), Stop::Busy { .. }));
    world.sleep(63.0);
    let mut journey = world.journey(request);
    drop(world.call(&mut journey));
}

#[test]
fn what_a_client_that_left_has_used_counts_too() {
    let mut settings = with_strategy(Strategy::SimpleShuffle, &["a"]);
    settings.deployments[0].tpm = Some(1000);
    let mut world = World::new(settings);
    let request = Request { input_tokens: 300, ..Request::new("m") };
    let mut journey = world.journey(request.clone());
    world.call(&mut journey).left(Some(800), world.now);
    let mut journey = world.journey(request.clone());
    assert!(matches!(world.stop(&mut journey), Stop::Busy { .. }));
    world.sleep(63.0);
    let mut journey = world.journey(request);
    world.call(&mut journey).left(None, world.now);
    assert_eq!(world.in_flight(), 0);
}

#[test]
fn a_full_group_is_waited_for_as_long_as_is_set() {
    let mut settings = with_strategy(Strategy::SimpleShuffle, &["a"]);
    settings.deployments[0].max_parallel_requests = Some(1);
    settings.max_queue_wait = Some(Duration::from_secs(1));
    let mut world = World::new(settings);
    let mut first = world.journey(Request::new("m"));
    let held = world.call(&mut first);
    let mut journey = world.journey(Request::new("m"));
    let mut waited = Duration::ZERO;
    let mut looks = 0;
    loop {
        match world.next(&mut journey) {
            Decision::Wait { duration, .. } => {
                assert!(!duration.is_zero());
                waited += duration;
                looks += 1;
                world.now = world.now + duration;
            }
            Decision::Stop(stop) => {
                assert!(matches!(stop, Stop::Busy { .. }), "{stop:?}");
                break;
            }
            Decision::Call(attempt) => panic!("calls {}", attempt.id()),
        }
    }
    assert_eq!(waited, Duration::from_secs(1));
    assert!(looks < 20, "{looks} looks");
    let mut journey = world.journey(Request::new("m"));
    let wait = world.wait(&mut journey);
    drop(held);
    world.now = world.now + wait;
    drop(world.call(&mut journey));
}

#[test]
fn requests_go_where_their_tags_lead() {
    let mut settings = with_strategy(Strategy::SimpleShuffle, &["free", "paid"]);
    settings.tags = TagSettings { enabled: true, ..TagSettings::default() };
    settings.deployments[0].tags = vec!["free".to_owned()];
    settings.deployments[1].tags = vec!["paid".to_owned()];
    let mut world = World::new(settings);
    let tagged = |tag: &str| Request { tags: vec![tag.to_owned()], ..Request::new("m") };
    assert_eq!(shares(&mut world, &tagged("paid"), 20).len(), 1);
    let mut journey = world.journey(tagged("other"));
    let stop = world.stop(&mut journey);
    assert_eq!(
        (stop.status(), &stop),
        (Some(401), &Stop::NothingFits { model: "m".into(), lack: Lack::Tags })
    );
}

#[test]
fn regions_and_context_windows_are_checked() {
    let mut settings = with_strategy(Strategy::SimpleShuffle, &["us", "eu"]);
    settings.pre_call_checks = true;
    settings.deployments[0].region = Some("us-east-1".into());
    settings.deployments[1].region = Some("eu-west-1".into());
    settings.deployments[1].max_input_tokens = Some(1000);
    let mut world = World::new(settings);
    let request = Request { region: Some("eu".into()), ..Request::new("m") };
    assert_eq!(shares(&mut world, &request, 20).keys().collect::<Vec<_>>(), ["eu"]);
    let mut journey = world.journey(Request { input_tokens: 2000, ..Request::new("m") });
    assert_eq!(world.call(&mut journey).id(), "us");
    let mut journey = world.journey(Request { input_tokens: 2000, ..request });
    let stop = world.stop(&mut journey);
    assert!(matches!(stop, Stop::NothingFits { lack: Lack::ContextWindow, .. }), "{stop:?}");
}

#[test]
fn a_team_uses_its_own_deployments_alone() {
    let mut settings = with_strategy(Strategy::SimpleShuffle, &["everybodys", "theirs"]);
    settings.deployments[1].team = Some("research".into());
    let mut world = World::new(settings);
    let of = |team: Option<&str>| Request { team: team.map(Into::into), ..Request::new("m") };
    for (team, expected) in
        [(None, "everybodys"), (Some("sales"), "everybodys"), (Some("research"), "theirs")]
    {
        assert_eq!(shares(&mut world, &of(team), 20).keys().collect::<Vec<_>>(), [expected], "{team:?}");
    }
}

#[test]
fn pins_exclusions_and_preferences_are_kept() {
    let mut world = World::new(with_strategy(Strategy::SimpleShuffle, &["a", "b", "c"]));
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).into()).collect();
    let pinned = Request { pinned: ids(&["b"]), ..Request::new("m") };
    assert_eq!(shares(&mut world, &pinned, 20).keys().collect::<Vec<_>>(), ["b"]);
    let excluded = Request { excluded: ids(&["a", "c"]), ..Request::new("m") };
    assert_eq!(shares(&mut world, &excluded, 20).keys().collect::<Vec<_>>(), ["b"]);
    let preferred = Request { preferred: Some("c".into()), ..Request::new("m") };
    assert_eq!(shares(&mut world, &preferred, 20).keys().collect::<Vec<_>>(), ["c"]);
    let index = world.fleet.plan().find("c").unwrap();
    world.fleet.pause(index, true);
    assert!(!shares(&mut world, &preferred, 20).contains_key("c"));
    let gone = Request { pinned: ids(&["unheard-of"]), ..Request::new("m") };
    let mut journey = world.journey(gone);
    assert!(matches!(world.stop(&mut journey), Stop::NothingFits { lack: Lack::Permission, .. }));
}

#[test]
fn the_same_key_goes_to_the_same_deployment() {
    let mut settings = with_strategy(Strategy::SimpleShuffle, &["a", "b", "c", "d"]);
    settings.affinity = true;
    let mut world = World::new(settings);
    let mut homes = BTreeMap::<String, u32>::new();
    for user in 0..400 {
        let request = Request { sticky: Some(format!("user-{user}").into()), ..Request::new("m") };
        let shares = shares(&mut world, &request, 3);
        assert_eq!(shares.len(), 1);
        *homes.entry(shares.keys().next().unwrap().clone()).or_default() += 1;
    }
    assert!(homes.values().all(|count| (70..130).contains(count)), "{homes:?}");
}

#[test]
fn canaries_take_their_share_and_stick() {
    let mut world = World::new(Settings {
        deployments: deployed(&[("stable", "m"), ("new", "canary")]),
        canaries: vec![Split { group: "m".to_owned(), to: "canary".to_owned(), percent: 10.0 }],
        ..Settings::default()
    });
    let shares_of_all = shares(&mut world, &Request::new("m"), 4000);
    assert!((320..480).contains(&shares_of_all["new"]), "{shares_of_all:?}");
    for user in 0..50 {
        let request = Request { sticky: Some(format!("user-{user}").into()), ..Request::new("m") };
        assert_eq!(shares(&mut world, &request, 5).len(), 1);
    }
}

#[test]
fn a_failing_canary_gives_way_to_the_group() {
    let mut world = World::new(Settings {
        deployments: deployed(&[("stable", "m"), ("new", "canary")]),
        canaries: vec![Split { group: "m".to_owned(), to: "canary".to_owned(), percent: 100.0 }],
        ..Settings::default()
    });
    assert_eq!(world.send("m", 400), ["new", "stable"]);
}

#[test]
fn mirrors_copy_their_share() {
    let mut world = World::new(Settings {
        deployments: deployed(&[("a", "m"), ("b", "shadow")]),
        mirrors: vec![Split { group: "m".to_owned(), to: "shadow".to_owned(), percent: 25.0 }],
        ..Settings::default()
    });
    let (fleet, dice) = (&world.fleet, &mut world.dice);
    let copied = (0..4000).filter(|_| fleet.mirror("m", &mut || dice.u64(..)) == Some("shadow")).count();
    assert!((900..1100).contains(&copied), "{copied}");
    assert_eq!(fleet.mirror("shadow", &mut || 0), None);
}

#[test]
fn every_candidate_has_a_verdict() {
    let mut settings = with_strategy(Strategy::SimpleShuffle, &["first", "second", "off"]);
    settings.deployments[0].order = Some(1);
    settings.deployments[1].order = Some(2);
    settings.deployments[2].disabled = true;
    let mut world = World::new(settings);
    let mut journey = world.journey(Request::new("m"));
    let attempt = world.call(&mut journey);
    let verdicts: Vec<Verdict> =
        journey.considered().iter().map(|Considered { verdict, .. }| *verdict).collect();
    assert_eq!(verdicts, [Verdict::Chosen, Verdict::HigherOrder, Verdict::Disabled]);
    drop(attempt);
}
