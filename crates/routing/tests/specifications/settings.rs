//! What is wrong with settings is told, and left out of the plan.

use crate::world::{deployed, rule};
use routing::settings::{DeploymentSettings, FallbackSettings, Split, StrategyArgs};
use routing::{Plan, ProblemKind, Settings, Strategy};

/// Kind, setting, whose, and value of each problem.
fn problems(settings: Settings) -> Vec<(ProblemKind, &'static str, String, String)> {
    let (_, problems) = Plan::new(settings);
    problems.into_iter().map(|problem| (problem.kind, problem.setting, problem.of, problem.value)).collect()
}

fn sound() -> Settings {
    Settings { deployments: deployed(&[("a", "m"), ("b", "n"), ("c", "openai/*")]), ..Settings::default() }
}

#[test]
fn sound_settings_have_no_problems() {
    let fallbacks = FallbackSettings {
        general: vec![rule("m", &["n", "openai/gpt-4o", "alias"]), rule("*", &["n"])],
        ..FallbackSettings::default()
    };
    let aliases = vec![("alias".to_owned(), "n".to_owned())];
    assert_eq!(problems(Settings { fallbacks, aliases, ..sound() }), []);
}

#[test]
fn fallbacks_to_unknown_groups_are_named() {
    let fallbacks = FallbackSettings {
        general: vec![rule("m", &["n", "gone"])],
        context_window: vec![rule("lost", &["n"])],
        ..FallbackSettings::default()
    };
    let unknown = |setting, of: &str, value: &str| {
        (ProblemKind::UnknownGroup, setting, of.to_owned(), value.to_owned())
    };
    assert_eq!(
        problems(Settings { fallbacks, ..sound() }),
        [unknown("fallbacks", "m", "gone"), unknown("context_window_fallbacks", "lost", "lost")]
    );
}

#[test]
fn circles_are_drawn() {
    let fallbacks = FallbackSettings {
        general: vec![rule("m", &["n"]), rule("n", &["m"])],
        ..FallbackSettings::default()
    };
    let (_, problems) = Plan::new(Settings { fallbacks, ..sound() });
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!((problem.kind, problem.of.as_str()), (ProblemKind::Cycle, "m"));
    assert!(problem.to_string().contains("`m` → `n` → `m`"), "{problem}");
}

#[test]
fn numbers_that_make_no_sense_are_told() {
    let mut settings = sound();
    settings.deployments[0].weight = Some(-1.0);
    settings.strategy_args = StrategyArgs { lowest_latency_buffer: f64::NAN, ..StrategyArgs::default() };
    settings.canaries = vec![Split { group: "m".to_owned(), to: "n".to_owned(), percent: 120.0 }];
    let settings_named: Vec<&str> = problems(settings).iter().map(|problem| problem.1).collect();
    assert!(settings_named.contains(&"weight") && settings_named.contains(&"canaries"), "{settings_named:?}");
    assert!(settings_named.contains(&"lowest_latency_buffer"));
}

#[test]
fn an_id_is_given_once() {
    let deployments = deployed(&[("a", "m"), ("a", "n")]);
    let of: Vec<String> = problems(Settings { deployments, ..Settings::default() })
        .into_iter()
        .map(|problem| problem.2)
        .collect();
    assert_eq!(of, ["a"]);
}

#[test]
fn strategies_have_litellms_names() {
    for name in [
        "simple-shuffle",
        "least-busy",
        "usage-based-routing-v2",
        "latency-based-routing",
        "cost-based-routing",
    ] {
        assert_eq!(name.parse::<Strategy>().map(Strategy::name), Ok(name));
    }
    let error = "fastest".parse::<Strategy>().unwrap_err();
    assert!(error.to_string().contains("`fastest`") && error.to_string().contains("`least-busy`"));
}

#[test]
fn deployments_of_a_group_need_not_stand_together() {
    let (plan, _) = Plan::new(Settings {
        deployments: deployed(&[("a", "m"), ("b", "n"), ("c", "m")]),
        ..Settings::default()
    });
    let ids: Vec<&DeploymentSettings> = plan.deployments().iter().map(|planned| &planned.settings).collect();
    for (at, settings) in ids.iter().enumerate() {
        assert_eq!(plan.find(&settings.id).map(routing::DeploymentIndex::get), Some(at));
    }
}
