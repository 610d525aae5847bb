//! What a configuration says about routing, as the router gets it.

use std::time::Duration;

use routing::Strategy;
use routing::settings::{
    FailureClass, FallbackRule, Hedging, PerClass, RetryBudget, Settings, StrategyArgs, Target,
};

use super::super::DeploymentConfig;
use super::{config, load};

/// Three groups; `extra` goes below.
fn routing(extra: &str) -> Settings {
    config(&with_groups(extra)).routing
}

fn with_groups(extra: &str) -> String {
    let group =
        |name: &str| format!("  - {{model_name: {name}, litellm_params: {{model: openai/{name}}}}}\n");
    format!("model_list:\n{}{}{}{extra}", group("a"), group("b"), group("c"))
}

fn deployment(params: &str, info: &str) -> DeploymentConfig {
    let entry =
        format!("{{model_name: a, litellm_params: {{model: openai/a, {params}}}, model_info: {{{info}}}}}");
    config(&format!("model_list: [{entry}]")).deployments.remove(0)
}

/// `group → target, target{params}`, for comparison.
fn shown(rules: &[FallbackRule]) -> Vec<String> {
    let target = |target: &Target| match &target.params {
        Some(params) => format!("{}{}", target.name, serde_json::json!(**params)),
        None => target.name.to_string(),
    };
    let rule = |rule: &FallbackRule| {
        let targets: Vec<String> = rule.targets.iter().map(target).collect();
        format!("{} → {}", rule.group, targets.join(", "))
    };
    rules.iter().map(rule).collect()
}

fn per_class(numbers: &[(FailureClass, u32)]) -> PerClass {
    let mut per_class = PerClass::default();
    for (class, number) in numbers {
        per_class.set(*class, *number);
    }
    per_class
}

/// Warnings and errors as `line:column message`.
fn reported(text: &str) -> Vec<String> {
    let problems = load(text).report.problems;
    let about_routing = problems.iter().filter(|problem| !problem.message.contains("master key"));
    about_routing.map(|problem| format!("{}:{} {}", problem.line, problem.column, problem.message)).collect()
}

#[test]
fn nothing_said_is_litellms_behaviour_but_for_the_strategy() {
    let routing = routing("");
    assert_eq!(routing.strategy, Strategy::Balanced);
    assert_eq!((routing.retries.num_retries, routing.retries.retry_after), (2, Duration::ZERO));
    assert_eq!(routing.retries.budget, Some(RetryBudget { percent: 20, floor: 100 }));
    assert_eq!((routing.cooldowns.time, routing.cooldowns.allowed_fails), (Duration::from_secs(5), None));
    assert_eq!(routing.fallbacks.max_fallbacks, 5);
    assert!(routing.fallbacks.general.is_empty() && routing.deployments.is_empty());
    assert!(!routing.tags.enabled && routing.tags.match_any && !routing.pre_call_checks && !routing.affinity);
    assert!(routing.hedging.is_none() && routing.max_queue_wait.is_none());
}

#[test]
fn a_deployment_carries_its_limits_and_its_own_policies() {
    let deployment = deployment(
        "order: -1, weight: 0.5, rpm: 60, tpm: 1000, max_parallel_requests: 3, tags: [eu, '!slow'], \
         tag_regex: ['^User-Agent: claude-cli/'], region_name: eu-west-1, num_retries: 4, max_retries: 9, \
         cooldown_time: 0, first_token_timeout: 1.5, inter_token_timeout: 2",
        "id: one, max_input_tokens: 1000, team_id: red, blocked: true, allowed_fails: 7, cooldown_time: 30, \
         allowed_fails_policy: {TimeoutErrorAllowedFails: 1}",
    );
    assert_eq!(deployment.first_token_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(deployment.inter_token_timeout, Some(Duration::from_secs(2)));
    let routing = deployment.routing;
    assert_eq!((&*routing.id, &*routing.model_name), ("one", "a"));
    assert_eq!((routing.order, routing.weight), (Some(-1), Some(0.5)));
    assert_eq!((routing.rpm, routing.tpm, routing.max_parallel_requests), (Some(60), Some(1000), Some(3)));
    assert_eq!(routing.tags, ["eu", "!slow"]);
    let [pattern] = routing.tag_patterns.as_slice() else { panic!("one pattern") };
    assert!(pattern.holds("User-Agent: claude-cli/1.0") && !pattern.holds("User-Agent: curl"));
    assert_eq!(routing.region.as_deref(), Some("eu-west-1"));
    assert_eq!((routing.max_input_tokens, routing.team.as_deref()), (Some(1000), Some("red")));
    assert!(routing.disabled);
    assert_eq!((routing.num_retries, routing.allowed_fails), (Some(4), Some(7)));
    assert_eq!(routing.cooldown_time, Some(Duration::ZERO), "0 is no cooldown, and `litellm_params` win");
    assert_eq!(routing.allowed_fails_policy, per_class(&[(FailureClass::Timeout, 1)]));
}

#[test]
fn what_a_deployment_does_not_say_may_be_said_elsewhere() {
    let aws = deployment("aws_region_name: us-east-1, max_retries: 3", "cooldown_time: 8").routing;
    assert_eq!(aws.region.as_deref(), Some("us-east-1"));
    assert_eq!((aws.num_retries, aws.cooldown_time), (Some(3), Some(Duration::from_secs(8))));
    let of_sdk = deployment("max_retries: 0", "").routing;
    assert_eq!(of_sdk.num_retries, None, "0 is what turns the SDK's own retries off");
    let config = config(&with_groups("router_settings: {default_max_parallel_requests: 9}"));
    assert!(config.deployments.iter().all(|deployment| deployment.routing.max_parallel_requests == Some(9)));
}

#[test]
fn ids_are_those_of_the_deployments() {
    let entry = "{model_name: a, litellm_params: {model: openai/a, rpm: 1}, model_info: {id: one}}";
    let other = "{model_name: a, litellm_params: {model: openai/a, rpm: 2}, model_info: {id: one}}";
    let config = config(&format!("model_list: [{entry}, {other}]"));
    let [first, second] = config.deployments.as_slice() else { panic!("two deployments") };
    assert_eq!((first.id.as_str(), first.id.as_str()), ("one", &*first.routing.id));
    assert_eq!((second.id.as_str().len(), second.id.as_str()), (64, &*second.routing.id));
}

#[test]
fn every_setting_of_the_router_is_read() {
    let routing = routing(
        "router_settings:
  routing_strategy: latency-based-routing
  routing_strategy_args: {ttl: 60, lowest_latency_buffer: 0.5, max_latency_list_size: 20}
  routing_groups:
    - {group_name: cheap, models: [b, c], routing_strategy: cost-based-routing}
    - {models: a, routing_strategy: latency-based-routing, routing_strategy_args: {ttl: 5}}
  num_retries: 0
  retry_after: 1.5
  retry_policy: {TimeoutErrorRetries: 3, DefaultRetries: 1}
  model_group_retry_policy: {a: {RateLimitErrorRetries: 0}}
  allowed_fails: 3
  allowed_fails_policy: {InternalServerErrorAllowedFails: 10}
  cooldown_time: 30
  disable_cooldowns: true
  max_fallbacks: 2
  enable_pre_call_checks: true
  optional_pre_call_checks: [responses_api_deployment_check, session_affinity]
  enable_tag_filtering: true
  tag_filtering_match_any: false
  tag_routing_prefix: 'route:'
  enable_weighted_failover: true
  model_group_alias: {old: a, hidden: {model: b, hidden: true}}
litellm_settings: {model_alias_map: {short: a}}
",
    );
    assert_eq!(routing.strategy, Strategy::LatencyBased);
    let args =
        StrategyArgs { ttl: Duration::from_secs(60), lowest_latency_buffer: 0.5, max_latency_list_size: 20 };
    assert_eq!(routing.strategy_args, args);
    let own = StrategyArgs { ttl: Duration::from_secs(5), ..StrategyArgs::default() };
    let groups = [
        ("b".to_owned(), Strategy::CostBased, args),
        ("c".to_owned(), Strategy::CostBased, args),
        ("a".to_owned(), Strategy::LatencyBased, own),
    ];
    assert_eq!(routing.group_strategies, groups);
    assert_eq!((routing.retries.num_retries, routing.retries.retry_after), (0, Duration::from_millis(1500)));
    let policy = per_class(&[(FailureClass::Timeout, 3), (FailureClass::Default, 1)]);
    assert_eq!(routing.retries.policy, policy);
    let of_group = per_class(&[(FailureClass::RateLimit, 0)]);
    assert_eq!(routing.retries.group_policies, [("a".to_owned(), of_group)]);
    assert_eq!((routing.cooldowns.allowed_fails, routing.cooldowns.disabled), (Some(3), true));
    assert_eq!(routing.cooldowns.time, Duration::from_secs(30));
    assert_eq!(routing.cooldowns.policy, per_class(&[(FailureClass::InternalServer, 10)]));
    assert_eq!(routing.fallbacks.max_fallbacks, 2);
    assert!(routing.pre_call_checks && routing.affinity && routing.weighted_failover);
    assert!(routing.tags.enabled && !routing.tags.match_any);
    assert_eq!(routing.tags.prefix, "route:");
    let aliases = [("short", "a"), ("hidden", "b"), ("old", "a")];
    assert_eq!(routing.aliases, aliases.map(|(alias, group)| (alias.to_owned(), group.to_owned())));
}

#[test]
fn tollways_own_settings_are_read() {
    let text = "tollway:
  max_queue_wait_s: 2.5
  first_token_timeout_s: 10
  inter_token_timeout_s: 5
  retry_budget: {percent: 50}
  hedge: {min_delay_ms: 250}
  canary: [{model: a, to: b, percent: 5}]
  mirror: [{model: a, to: c, percent: 0.5}]
  cooldown_last_deployment: true
";
    let config = config(&with_groups(text));
    assert_eq!(config.tollway.first_token_timeout, Some(Duration::from_secs(10)));
    assert_eq!(config.tollway.inter_token_timeout, Some(Duration::from_secs(5)));
    let routing = config.routing;
    assert_eq!(routing.max_queue_wait, Some(Duration::from_millis(2500)));
    assert_eq!(routing.retries.budget, Some(RetryBudget { percent: 50, floor: 100 }));
    let hedging = Hedging { max_percent: 5, min_delay: Duration::from_millis(250) };
    assert_eq!(routing.hedging, Some(hedging));
    let split = |splits: &[routing::settings::Split]| {
        let [split] = splits else { panic!("one split") };
        (split.group.clone(), split.to.clone(), split.percent.to_string())
    };
    assert_eq!(split(&routing.canaries), ("a".into(), "b".into(), "5".into()));
    assert_eq!(split(&routing.mirrors), ("a".into(), "c".into(), "0.5".into()));
    assert!(routing.cooldowns.last);
}

#[test]
fn what_is_off_is_off() {
    let routing = routing("tollway: {retry_budget: false, hedge: false, max_queue_wait_s: 0}");
    assert_eq!((routing.retries.budget, routing.hedging, routing.max_queue_wait), (None, None, None));
}

#[test]
fn fallbacks_are_names_or_names_with_parameters() {
    let routing = routing(
        "router_settings:
  fallbacks:
    - a: [b, {model: c, temperature: 0, messages: [{role: user}]}]
    - '*': [c]
  default_fallbacks: [b]
  context_window_fallbacks: [{a: [c]}]
  content_policy_fallbacks: [{a: b}]
litellm_settings: {context_window_fallback_dict: {b: c}}
",
    );
    let with_params = r#"a → b, c{"temperature":0,"messages":[{"role":"user"}]}"#;
    assert_eq!(shown(&routing.fallbacks.general), [with_params, "* → c", "* → b"]);
    assert_eq!(shown(&routing.fallbacks.context_window), ["a → c", "b → c"]);
    assert_eq!(shown(&routing.fallbacks.content_policy), ["a → b"]);
}

#[test]
fn litellm_settings_stand_in_where_router_settings_say_nothing() {
    let litellm = "litellm_settings:
  num_retries: 7
  max_fallbacks: 6
  allowed_fails: 5
  fallbacks: [{a: [b]}]
  default_fallbacks: [c]
  context_window_fallbacks: [{a: [c]}]
  content_policy_fallbacks: [{b: [c]}]
";
    let alone = routing(litellm);
    assert_eq!((alone.retries.num_retries, alone.fallbacks.max_fallbacks), (7, 6));
    assert_eq!(alone.cooldowns.allowed_fails, Some(5));
    assert_eq!(shown(&alone.fallbacks.general), ["a → b", "* → c"]);
    assert_eq!(shown(&alone.fallbacks.context_window), ["a → c"]);
    assert_eq!(shown(&alone.fallbacks.content_policy), ["b → c"]);

    // An empty list says nothing; a 0 does.
    let router = "router_settings: {num_retries: 0, fallbacks: [], default_fallbacks: [b]}\n";
    let both = format!("{litellm}{router}");
    let routing = routing(&both);
    assert_eq!((routing.retries.num_retries, routing.fallbacks.max_fallbacks), (0, 6));
    assert_eq!(shown(&routing.fallbacks.general), ["a → b", "* → b"]);
    let hidden = [
        "6:16 `num_retries` does not count here: `router_settings` has it too",
        "10:22 `default_fallbacks` does not count here: `router_settings` has it too",
    ];
    assert_eq!(reported(&with_groups(&both)), hidden);
}

#[test]
fn what_works_has_no_warning() {
    let text = "router_settings:
  routing_strategy: least-busy
  optional_pre_call_checks: [deployment_affinity, enforce_model_rate_limits, encrypted_content_affinity]
  fallbacks: [{a: [b]}, {b: [c, openai/anything]}]
  num_retries: 3
  cooldown_time: 0
";
    let wildcard = "model_list: [{model_name: openai/*, litellm_params: {model: openai/*}}]\n";
    let groups = with_groups(text);
    let merged =
        groups.replacen("model_list:\n", &wildcard.replacen("[{", "\n  - {", 1).replacen("}]", "}", 1), 1);
    assert_eq!(reported(&merged), [""; 0]);
}

#[test]
fn an_entry_may_be_for_a_group_without_its_provider() {
    let text = "model_list: [{model_name: openai/a, litellm_params: {model: openai/a}}]
router_settings: {fallbacks: [{a: [openai/a]}]}
";
    assert_eq!(reported(text), [""; 0]);
}

#[test]
fn a_deployments_own_model_is_a_name_for_its_group() {
    let text =
        "router_settings: {fallbacks: [{a: [openai/b, openai/b]}], model_group_alias: {old: openai/c}}";
    assert_eq!(reported(&with_groups(text)), [""; 0]);
    let settings = config(&with_groups(text));
    let deployments = settings.deployments.iter().map(|deployment| deployment.routing.clone()).collect();
    let (plan, problems) = routing::Plan::new(Settings { deployments, ..settings.routing });
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(plan.group_of("openai/b").map(|group| &**group), Some("b"));
    assert_eq!(plan.group_of("old").map(|group| &**group), Some("c"));
}

#[test]
fn an_alias_can_be_turned_to() {
    let text = "router_settings: {model_group_alias: {old: b}, fallbacks: [{a: [old]}, {old: [c]}]}";
    assert_eq!(reported(&with_groups(text)), [""; 0]);
}
