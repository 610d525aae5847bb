//! What happens to a request when calls fail.

use std::time::Duration;

use crate::world::{World, deployed, rule};
use dialects::ErrorClass;
use routing::settings::{FallbackSettings, RetryBudget, RetrySettings, Target};
use routing::{
    AttemptKind, Change, CooldownReason, Decision, Failure, GivenUp, Outcome, Overrides, Phase, Request,
    Settings, Stop, Verdict,
};

fn with_fallbacks(deployments: &[(&str, &str)], rules: &[(&str, &[&str])]) -> World {
    let general = rules.iter().map(|(group, targets)| rule(group, targets)).collect();
    World::new(Settings {
        deployments: deployed(deployments),
        fallbacks: FallbackSettings { general, ..FallbackSettings::default() },
        ..Settings::default()
    })
}

#[test]
fn a_retry_goes_where_the_request_was_not_yet_without_waiting() {
    let mut world = World::of(&[("a", "m"), ("b", "m"), ("c", "m")]);
    let mut places = world.send("m", 500);
    places.sort();
    assert_eq!(places, ["a", "b", "c"]);
}

#[test]
fn the_same_deployment_is_asked_again_after_a_back_off() {
    let mut world = World::of(&[("a", "m")]);
    let mut journey = world.journey(Request::new("m"));
    let attempt = world.call(&mut journey);
    assert_eq!(attempt.kind(), AttemptKind::First);
    world.fail(&mut journey, attempt, 500);
    let wait = world.wait(&mut journey);
    assert!(wait <= Duration::from_millis(500));
    assert_eq!(world.wait(&mut journey), wait, "asked too early, it says the same");
    world.sleep(wait.as_secs_f64());
    let attempt = world.call(&mut journey);
    assert_eq!(attempt.kind(), AttemptKind::Retry);
    world.answer(&mut journey, attempt);
    assert_eq!(world.stop(&mut journey), Stop::Answered);
    assert_eq!(journey.retries(), 1);
}

#[test]
fn the_providers_wish_to_wait_is_granted() {
    let mut world = World::of(&[("a", "m")]);
    let mut journey = world.journey(Request::new("m"));
    let attempt = world.call(&mut journey);
    let failure = Failure::new(ErrorClass::RateLimited).with_retry_after(Some(Duration::from_secs(7)));
    journey.report(attempt, &Outcome::Failure(failure), world.now);
    let wait = world.wait(&mut journey);
    assert!(wait >= Duration::from_secs(7) && wait < Duration::from_secs(8), "{wait:?}");
}

#[test]
fn what_would_fail_again_is_not_retried() {
    let mut world = World::of(&[("a", "m"), ("b", "m")]);
    assert_eq!(world.send("m", 400).len(), 1);
    assert_eq!(world.send("m", 422).len(), 1);
}

#[test]
fn a_refused_key_is_tried_elsewhere_and_never_there_again() {
    let mut world = World::of(&[("a", "m"), ("b", "m")]);
    assert_eq!(world.send("m", 401).len(), 2);
    assert_eq!(World::of(&[("a", "m")]).send("m", 401).len(), 1);
}

#[test]
fn num_retries_counts_calls_after_the_first() {
    let mut world = World::of(&[("a", "m")]);
    assert_eq!(world.send("m", 500).len(), 3);
    let request = Request {
        overrides: Overrides { num_retries: Some(0), ..Overrides::default() },
        ..Request::new("m")
    };
    let mut journey = world.journey(request);
    let attempt = world.call(&mut journey);
    world.fail(&mut journey, attempt, 500);
    assert_eq!(world.stop(&mut journey), Stop::Failed(GivenUp::Exhausted));
}

#[test]
fn a_higher_order_is_tried_when_the_lower_has_failed() {
    let mut deployments = deployed(&[("second", "m"), ("first", "m")]);
    deployments[0].order = Some(2);
    deployments[1].order = Some(1);
    let retries = RetrySettings { num_retries: 0, ..RetrySettings::default() };
    let mut world = World::new(Settings { deployments, retries, ..Settings::default() });
    assert_eq!(world.send("m", 200), ["first"]);
    assert_eq!(world.send("m", 500), ["first", "second"]);
}

#[test]
fn an_exhausted_group_gives_way_to_its_fallbacks() {
    let mut world = with_fallbacks(&[("a", "m"), ("b", "n"), ("c", "o")], &[("m", &["n", "o"])]);
    assert_eq!(world.send("m", 400), ["a", "b", "c"]);
    let mut journey = world.journey(Request::new("m"));
    let attempt = world.call(&mut journey);
    world.fail(&mut journey, attempt, 400);
    let attempt = world.call(&mut journey);
    assert_eq!((attempt.kind(), attempt.group()), (AttemptKind::Fallback, "n"));
    assert_eq!(journey.fallbacks(), 1);
    world.answer(&mut journey, attempt);
}

#[test]
fn a_group_that_is_passed_over_says_why() {
    let mut world = with_fallbacks(&[("a", "m"), ("b", "n")], &[("m", &["n"])]);
    let index = world.fleet.plan().find("a").unwrap();
    world.fleet.cool_down(index, world.now + Duration::from_secs(5), CooldownReason::HealthCheck);
    let mut journey = world.journey(Request::new("m"));
    assert_eq!(world.call(&mut journey).id(), "b");
    let passed = journey.take_passed_over();
    assert_eq!(passed.len(), 1);
    assert_eq!(&*passed[0].group, "m");
    assert!(matches!(passed[0].considered[0].verdict, Verdict::CoolingDown(_)));
    assert!(journey.take_passed_over().is_empty(), "told once");
}

#[test]
fn fallbacks_of_fallbacks_come_before_the_next_and_circles_end() {
    let world = [("a", "m"), ("b", "n"), ("c", "o"), ("d", "p")];
    let (plan, problems) = routing::Plan::new(Settings {
        deployments: deployed(&world),
        fallbacks: FallbackSettings {
            general: vec![rule("m", &["n", "o"]), rule("n", &["p", "m"])],
            ..FallbackSettings::default()
        },
        ..Settings::default()
    });
    assert_eq!(problems.len(), 1, "the circle is told: {problems:?}");
    let mut world = World::of(&[]);
    world.fleet = std::sync::Arc::new(routing::Fleet::new(plan));
    assert_eq!(world.send("m", 400), ["a", "b", "d", "c"]);
}

#[test]
fn fallbacks_go_no_deeper_than_max_fallbacks() {
    let chain: &[(&str, &[&str])] = &[("m", &["n"]), ("n", &["o"]), ("o", &["p"])];
    let mut world = World::new(Settings {
        deployments: deployed(&[("a", "m"), ("b", "n"), ("c", "o"), ("d", "p")]),
        fallbacks: FallbackSettings {
            general: chain.iter().map(|(group, targets)| rule(group, targets)).collect(),
            max_fallbacks: 2,
            ..FallbackSettings::default()
        },
        ..Settings::default()
    });
    assert_eq!(world.send("m", 400), ["a", "b", "c"]);
}

#[test]
fn a_star_is_for_groups_without_an_entry_and_for_unknown_names() {
    let mut world = with_fallbacks(&[("a", "m"), ("b", "n")], &[("*", &["n"])]);
    assert_eq!(world.send("m", 400), ["a", "b"]);
    assert_eq!(world.send("never-heard-of", 200), ["b"]);
    let mut bare = World::of(&[("a", "m")]);
    let mut journey = bare.journey(Request::new("never-heard-of"));
    assert_eq!(bare.stop(&mut journey), Stop::UnknownModel("never-heard-of".into()));
}

#[test]
fn long_inputs_and_filtered_ones_have_fallbacks_of_their_own() {
    let mut world = World::new(Settings {
        deployments: deployed(&[("a", "m"), ("b", "n"), ("general", "g"), ("large", "l"), ("lax", "x")]),
        fallbacks: FallbackSettings {
            general: vec![rule("*", &["g"])],
            context_window: vec![rule("m", &["l"])],
            content_policy: vec![rule("m", &["x"])],
            ..FallbackSettings::default()
        },
        ..Settings::default()
    });
    let mut second = |model: &str, class| {
        let mut journey = world.journey(Request::new(model));
        let attempt = world.call(&mut journey);
        journey.report(attempt, &Outcome::Failure(Failure::new(class)), world.now);
        match world.next(&mut journey) {
            Decision::Call(attempt) => attempt.id().to_owned(),
            Decision::Wait { .. } => "wait".to_owned(),
            Decision::Stop(_) => "stop".to_owned(),
        }
    };
    assert_eq!(second("m", ErrorClass::ContextWindowExceeded), "large");
    assert_eq!(second("m", ErrorClass::ContentPolicy), "lax");
    assert_eq!(second("m", ErrorClass::BadRequest), "general");
    assert_eq!(second("n", ErrorClass::ContentPolicy), "stop", "only other groups have such a list");
}

#[test]
fn a_longer_context_window_in_the_same_group_is_tried() {
    let mut deployments = deployed(&[("small", "m"), ("alike", "m"), ("large", "m")]);
    for (deployment, (order, window)) in deployments.iter_mut().zip([(1, 8_000), (2, 8_000), (3, 128_000)]) {
        deployment.order = Some(order);
        deployment.max_input_tokens = Some(window);
    }
    let mut world = World::new(Settings { deployments, ..Settings::default() });
    let mut journey = world.journey(Request::new("m"));
    let attempt = world.call(&mut journey);
    assert_eq!(attempt.id(), "small");
    let failure = Failure::new(ErrorClass::ContextWindowExceeded);
    journey.report(attempt, &Outcome::Failure(failure), world.now);
    assert_eq!(world.call(&mut journey).id(), "large");
}

#[test]
fn a_request_can_bring_or_refuse_fallbacks() {
    let mut world = with_fallbacks(&[("a", "m"), ("b", "n"), ("c", "o")], &[("m", &["n"])]);
    let own = Target {
        params: Some(std::sync::Arc::new(dialects::conversation::Extra::from_iter([(
            "temperature".to_owned(),
            0.into(),
        )]))),
        ..Target::name("o")
    };
    let overrides = Overrides { fallbacks: Some(vec![own]), ..Overrides::default() };
    let mut journey = world.journey(Request { overrides, ..Request::new("m") });
    let attempt = world.call(&mut journey);
    world.fail(&mut journey, attempt, 400);
    let attempt = world.call(&mut journey);
    assert_eq!(attempt.id(), "c");
    assert!(attempt.params().is_some_and(|params| params.contains_key("temperature")));
    world.fail(&mut journey, attempt, 400);
    world.stop(&mut journey);

    let overrides = Overrides { disable_fallbacks: true, ..Overrides::default() };
    let mut journey = world.journey(Request { overrides, ..Request::new("m") });
    let attempt = world.call(&mut journey);
    world.fail(&mut journey, attempt, 400);
    assert_eq!(world.stop(&mut journey), Stop::Failed(GivenUp::Exhausted));
}

#[test]
fn fallbacks_that_the_caller_may_not_use_are_passed_over() {
    let mut world = with_fallbacks(&[("a", "m"), ("b", "n"), ("c", "o")], &[("m", &["n", "o"])]);
    let permit = routing::settings::Predicate::new(|group| group != "n");
    let mut journey = world.journey(Request { permit: Some(permit), ..Request::new("m") });
    let attempt = world.call(&mut journey);
    world.fail(&mut journey, attempt, 400);
    assert_eq!(world.call(&mut journey).id(), "c");
}

#[test]
fn a_mocked_failure_tests_the_fallbacks() {
    let mut world = with_fallbacks(&[("a", "m"), ("b", "n")], &[("m", &["n"])]);
    let request = Request { mock_failure: Some(ErrorClass::Internal), ..Request::new("m") };
    let mut journey = world.journey(request);
    assert_eq!(world.call(&mut journey).id(), "b");
}

#[test]
fn a_throttled_deployment_is_left_alone_and_then_probed_once() {
    let mut world = World::of(&[("a", "m"), ("b", "m")]);
    let mut journey = world.journey(Request::new("m"));
    let attempt = world.call(&mut journey);
    let sick = attempt.id().to_owned();
    let change = world.fail(&mut journey, attempt, 429);
    let until = world.now + Duration::from_secs(5);
    let reason = CooldownReason::AtOnce(ErrorClass::RateLimited);
    assert_eq!(change, Some(Change::CooledDown { until, reason }));
    let attempt = world.call(&mut journey);
    assert_ne!(attempt.id(), sick);
    world.answer(&mut journey, attempt);
    for _ in 0..20 {
        assert_ne!(world.send("m", 200), [sick.as_str()]);
    }
    world.sleep(5.0);
    let mut probing = world.journey(Request::new("m"));
    let probe = world.call(&mut probing);
    assert_eq!((probe.id(), probe.is_probe()), (sick.as_str(), true));
    for _ in 0..20 {
        assert_ne!(world.send("m", 200), [sick.as_str()], "one probe at a time");
    }
    assert_eq!(world.answer(&mut probing, probe), Some(Change::Recovered));
    assert_eq!(world.phase(&sick), Phase::Closed);
}

#[test]
fn a_probe_of_which_nothing_is_known_is_made_again() {
    let mut world = World::of(&[("a", "m"), ("b", "m")]);
    let index = world.fleet.plan().find("a").unwrap();
    world.fleet.cool_down(index, world.now, CooldownReason::HealthCheck);
    world.sleep(1.0);
    let mut journey = world.journey(Request::new("m"));
    let probe = world.call(&mut journey);
    assert!(probe.is_probe());
    drop(probe);
    assert_eq!(world.phase("a"), Phase::ProbeDue);
    assert_eq!(world.in_flight(), 0);
}

#[test]
fn a_failed_probe_costs_the_request_no_retry() {
    let mut deployments = deployed(&[("a", "m"), ("b", "m")]);
    deployments.iter_mut().for_each(|deployment| deployment.num_retries = Some(0));
    let mut world = World::new(Settings { deployments, ..Settings::default() });
    let index = world.fleet.plan().find("a").unwrap();
    world.fleet.cool_down(index, world.now, CooldownReason::HealthCheck);
    world.sleep(1.0);
    let mut journey = world.journey(Request::new("m"));
    let probe = world.call(&mut journey);
    let change = world.fail(&mut journey, probe, 500);
    assert!(matches!(change, Some(Change::CooledDown { .. })), "{change:?}");
    assert_eq!(world.call(&mut journey).id(), "b");
}

#[test]
fn failing_probes_do_not_go_on_for_ever() {
    let mut settings = Settings { deployments: deployed(&[("a", "m")]), ..Settings::default() };
    settings.retries.budget = None;
    settings.cooldowns.time = Duration::ZERO;
    let mut world = World::new(settings);
    let index = world.fleet.plan().find("a").unwrap();
    world.fleet.cool_down(index, world.now, CooldownReason::HealthCheck);
    world.sleep(1.0);
    assert_eq!(world.send("m", 500).len(), 3);
}

#[test]
fn journeys_travel_between_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<routing::Fleet>();
    is_shared::<routing::Journey>();
    is_shared::<routing::Attempt>();
}

#[test]
fn a_streams_first_token_ends_the_probe() {
    let mut world = World::of(&[("a", "m"), ("b", "m")]);
    let index = world.fleet.plan().find("a").unwrap();
    world.fleet.cool_down(index, world.now, CooldownReason::HealthCheck);
    world.sleep(1.0);
    let mut journey = world.journey(Request { stream: true, ..Request::new("m") });
    let mut probe = world.call(&mut journey);
    assert_eq!(probe.first_token(world.now), Some(Change::Recovered));
    assert_eq!(world.phase("a"), Phase::Closed);
    assert_eq!(world.in_flight(), 1, "the stream goes on");
    assert_eq!(probe.finish(&Outcome::SUCCESS, world.now), None);
    assert_eq!(world.in_flight(), 0);
}

#[test]
fn the_last_deployment_of_a_group_is_never_left_alone() {
    let mut world = World::of(&[("a", "m"), ("b", "m")]);
    for _ in 0..20 {
        world.send("m", 429);
        let phases = [world.phase("a"), world.phase("b")];
        assert!(phases.contains(&Phase::Closed), "{phases:?}");
    }
}

#[test]
fn when_all_are_left_alone_the_client_is_told_for_how_long() {
    let mut settings = Settings { deployments: deployed(&[("a", "m"), ("b", "m")]), ..Settings::default() };
    settings.cooldowns.last = true;
    let mut world = World::new(settings);
    assert_eq!(world.send("m", 429).len(), 2);
    let mut journey = world.journey(Request::new("m"));
    let stop = world.stop(&mut journey);
    assert_eq!((stop.status(), stop.retry_after()), (Some(429), Some(Duration::from_secs(5))));
    assert_eq!(
        stop.to_string(),
        "No deployments available for selected model, Try again in 5 seconds. Passed model=m. \
         pre-call-checks=False, cooldown_list=['a', 'b']"
    );
}

#[test]
fn a_group_that_is_left_alone_goes_to_its_fallbacks_at_once() {
    let mut world = with_fallbacks(&[("a", "m"), ("b", "n")], &[("m", &["n"])]);
    assert_eq!(world.send("m", 500), ["a", "a", "a", "b", "b", "b"]);
    assert_eq!(world.send("m", 500), ["a", "a", "b", "b", "b"], "the fifth failure was one too many");
    assert!(matches!(world.phase("a"), Phase::Open(_)));
    assert_eq!(world.send("m", 200), ["b"]);
}

#[test]
fn retries_stop_when_the_budget_is_used_up() {
    let retries = RetrySettings {
        num_retries: 10,
        budget: Some(RetryBudget { percent: 20, floor: 1 }),
        ..RetrySettings::default()
    };
    let mut world =
        World::new(Settings { deployments: deployed(&[("a", "m")]), retries, ..Settings::default() });
    let mut journey = world.journey(Request::new("m"));
    let attempt = world.call(&mut journey);
    world.fail(&mut journey, attempt, 500);
    let attempt = world.call_later(&mut journey);
    world.fail(&mut journey, attempt, 500);
    let wait = world.wait(&mut journey);
    world.sleep(wait.as_secs_f64());
    assert_eq!(world.stop(&mut journey), Stop::Failed(GivenUp::RetryBudget));
}

#[test]
fn no_wait_goes_beyond_the_deadline() {
    let mut world = World::of(&[("a", "m")]);
    let deadline = Some(world.now + Duration::from_secs(2));
    let mut journey = world.journey(Request { deadline, ..Request::new("m") });
    let attempt = world.call(&mut journey);
    let failure = Failure::new(ErrorClass::RateLimited).with_retry_after(Some(Duration::from_secs(7)));
    journey.report(attempt, &Outcome::Failure(failure), world.now);
    assert_eq!(world.stop(&mut journey), Stop::Failed(GivenUp::Deadline));
}

#[test]
fn a_callers_own_tiny_timeout_says_nothing_about_the_deployment() {
    let mut world = World::of(&[("a", "m"), ("b", "m")]);
    let mut journey = world.journey(Request::new("m"));
    let attempt = world.call(&mut journey);
    let failure = Failure { counts: false, ..Failure::new(ErrorClass::Timeout) };
    assert_eq!(journey.report(attempt, &Outcome::Failure(failure), world.now), None);
    assert!(world.fleet.snapshot(world.now).iter().all(|state| state.phase == Phase::Closed));
}

#[test]
fn a_client_that_leaves_gives_its_place_back() {
    let mut world = World::of(&[("a", "m")]);
    let mut journey = world.journey(Request::new("m"));
    let attempt = world.call(&mut journey);
    assert_eq!(world.in_flight(), 1);
    drop(attempt);
    assert_eq!(world.in_flight(), 0);
    assert_eq!(world.stop(&mut journey), Stop::Abandoned);
}

#[test]
fn a_slow_call_gets_a_second_one_elsewhere() {
    let mut world = World::new(Settings {
        deployments: deployed(&[("a", "m"), ("b", "m")]),
        hedging: Some(routing::settings::Hedging::default()),
        ..Settings::default()
    });
    for _ in 0..100 {
        let mut journey = world.journey(Request::new("m"));
        let attempt = world.call(&mut journey);
        world.sleep(0.2);
        world.answer(&mut journey, attempt);
    }
    let mut hedged = 0;
    for _ in 0..50 {
        let mut journey = world.journey(Request::new("m"));
        let first = world.call(&mut journey);
        let delay = journey.hedge_delay().unwrap();
        assert!((0.2..0.3).contains(&delay.as_secs_f64()), "{delay:?}");
        let dice = &mut world.dice;
        if let Some(second) = journey.hedge(world.now, &mut || dice.u64(..)) {
            assert_ne!(second.id(), first.id());
            hedged += 1;
            world.answer(&mut journey, second);
        }
        drop(first);
        assert_eq!(world.in_flight(), 0);
    }
    assert_eq!(hedged, 7, "five of a hundred calls");
}

#[test]
fn state_survives_a_reload() {
    let mut world = World::of(&[("a", "m"), ("b", "m")]);
    let mut journey = world.journey(Request::new("m"));
    let attempt = world.call(&mut journey);
    let sick = attempt.id().to_owned();
    world.fail(&mut journey, attempt, 429);
    let running = world.call(&mut journey);
    let settings =
        Settings { deployments: deployed(&[("c", "m"), ("b", "m"), ("a", "m")]), ..Settings::default() };
    let (plan, _) = routing::Plan::new(settings);
    world.fleet = std::sync::Arc::new(world.fleet.reload(plan));
    assert!(matches!(world.phase(&sick), Phase::Open(_)));
    assert_eq!(world.in_flight(), 1);
    world.answer(&mut journey, running);
    assert_eq!(world.in_flight(), 0);
}
