//! What `router_settings`, `litellm_settings` and `tollway` say about routing.

mod fallbacks;
mod places;
mod problems;

use std::collections::BTreeMap;
use std::time::Duration;

use routing::settings::{
    CooldownSettings, FailureClass, FallbackRule, FallbackSettings, Hedging, PerClass, RetryBudget,
    RetrySettings, Split, StrategyArgs, TagSettings, Target,
};
use routing::{Settings, Strategy};

use super::layers::{self, Layers};
use crate::config::diagnose::{Diagnosis, Finding, ProblemKind, nearest};
use crate::config::keys::{self, Section};
use crate::config::raw::{Mapping, Node};
use crate::config::resolved::{DeploymentConfig, ModelAlias};
use places::{Place, Role};

pub(super) use places::Places;
pub(super) use problems::report;

/// The sections that routing is configured in.
pub(super) struct Sections<'s, 'm> {
    pub(super) router: &'s Layers<'m>,
    pub(super) litellm: &'s Layers<'m>,
    pub(super) tollway: &'s Layers<'m>,
}

/// Everything but the deployments; `places` gets to know where each name is written.
pub(super) fn settings(
    sections: &Sections<'_, '_>,
    aliases: &BTreeMap<String, ModelAlias>,
    places: &mut Places,
    diagnosis: &mut Diagnosis,
) -> Settings {
    let Sections { router, litellm, tollway } = *sections;
    let mut reader = Reader { router, litellm, tollway, places, diagnosis };
    let (strategy, strategy_args) = reader.strategy(router);
    Settings {
        deployments: Vec::new(),
        aliases: reader.aliases(aliases),
        strategy: strategy.unwrap_or_default(),
        strategy_args,
        group_strategies: reader.group_strategies(strategy_args),
        retries: reader.retries(),
        cooldowns: reader.cooldowns(),
        fallbacks: reader.fallbacks(),
        tags: TagSettings {
            enabled: router.bool("enable_tag_filtering").unwrap_or(false),
            match_any: router.bool("tag_filtering_match_any").unwrap_or(true),
            prefix: router.text("tag_routing_prefix").unwrap_or_default(),
            allow_fail_open: false,
        },
        pre_call_checks: router.bool("enable_pre_call_checks").unwrap_or(false),
        weighted_failover: router.bool("enable_weighted_failover").unwrap_or(false),
        max_queue_wait: tollway.wait("max_queue_wait_s").filter(|wait| !wait.is_zero()),
        affinity: reader.affinity(),
        canaries: reader.splits("canaries", "canary"),
        mirrors: reader.splits("mirrors", "mirror"),
        hedging: reader.hedging(),
    }
}

/// The numbers of a `retry_policy` or an `allowed_fails_policy`.
pub(super) fn per_class(section: Section, policy: Option<&Mapping>) -> PerClass {
    let policy = Layers::maybe(section, policy);
    let mut numbers = PerClass::default();
    for key in keys::in_section(section) {
        if let (Some(class), Some(number)) = (FailureClass::of_setting(key.name), policy.count(key.name)) {
            numbers.set(class, number);
        }
    }
    numbers
}

struct Reader<'r, 'm> {
    router: &'r Layers<'m>,
    litellm: &'r Layers<'m>,
    tollway: &'r Layers<'m>,
    places: &'r mut Places,
    diagnosis: &'r mut Diagnosis,
}

impl<'r, 'm> Reader<'r, 'm> {
    /// The section whose value counts: `router_settings`, or `litellm_settings` where that says nothing. To LiteLLM an
    /// empty list is nothing.
    fn winner(&mut self, name: &str) -> &'r Layers<'m> {
        let said = |layers: &Layers<'m>| {
            layers.get(name).filter(|node| node.sequence().is_none_or(|items| !items.is_empty()))
        };
        match (said(self.router), said(self.litellm)) {
            (Some(_), Some(hidden)) => {
                let finding = Finding::warning(
                    ProblemKind::Replaced,
                    format!("`{name}` does not count here: `router_settings` has it too"),
                );
                self.diagnosis.report(&hidden.span, finding.help("keep it in one place"));
                self.router
            }
            (Some(_), None) => self.router,
            (None, _) => self.litellm,
        }
    }

    fn aliases(&self, aliases: &BTreeMap<String, ModelAlias>) -> Vec<(String, String)> {
        let of_litellm = self.litellm.mapping("model_alias_map").into_iter().flat_map(layers::texts_by_name);
        // Of two for one name the later counts, which is the router's.
        let of_router = aliases.iter().map(|(name, alias)| (name.clone(), alias.model.clone()));
        of_litellm.chain(of_router).collect()
    }

    /// `routing_strategy` and its options; a strategy that is only known by name counts as LiteLLM's usual one.
    fn strategy(&self, layers: &Layers<'_>) -> (Option<Strategy>, StrategyArgs) {
        let name = layers.text("routing_strategy");
        let strategy = name.map(|name| name.parse().unwrap_or(Strategy::SimpleShuffle));
        let args = Layers::maybe(Section::StrategyArgs, layers.mapping("routing_strategy_args"));
        let unsaid = StrategyArgs::default();
        let args = StrategyArgs {
            ttl: args.seconds("ttl").unwrap_or(unsaid.ttl),
            lowest_latency_buffer: args
                .number("lowest_latency_buffer")
                .unwrap_or(unsaid.lowest_latency_buffer),
            max_latency_list_size: args
                .count("max_latency_list_size")
                .and_then(|size| size.try_into().ok())
                .unwrap_or(unsaid.max_latency_list_size),
        };
        (strategy, args)
    }

    fn group_strategies(&mut self, of_all: StrategyArgs) -> Vec<(String, Strategy, StrategyArgs)> {
        let mut strategies = Vec::new();
        let entries = self.router.get("routing_groups").and_then(Node::sequence).unwrap_or_default();
        for mapping in entries.iter().filter_map(Node::mapping) {
            let entry = Layers::of(Section::RoutingGroup, mapping);
            let (strategy, own_args) = self.strategy(&entry);
            let args = if entry.get("routing_strategy_args").is_some() { own_args } else { of_all };
            for node in layers::items(entry.get("models")) {
                let Some(model) = layers::text(node) else { continue };
                self.places.note(Place {
                    setting: "routing_groups",
                    key: "routing_groups",
                    of: model.clone(),
                    value: model.clone(),
                    role: Role::Entry,
                    span: node.span.clone(),
                });
                if let Some(strategy) = strategy {
                    strategies.push((model, strategy, args));
                }
            }
        }
        strategies
    }

    fn retries(&mut self) -> RetrySettings {
        let unsaid = RetrySettings::default();
        let by_group = self.router.mapping("model_group_retry_policy");
        let mut group_policies = Vec::new();
        for pair in by_group.map(|mapping| mapping.pairs.as_slice()).unwrap_or_default() {
            let group = pair.key.name.clone();
            self.places.note(Place {
                setting: "model_group_retry_policy",
                key: "model_group_retry_policy",
                of: group.clone(),
                value: group.clone(),
                role: Role::Entry,
                span: pair.key.span.clone(),
            });
            group_policies.push((group, per_class(Section::RetryPolicy, pair.value.mapping())));
        }
        RetrySettings {
            num_retries: self.winner("num_retries").count("num_retries").unwrap_or(unsaid.num_retries),
            retry_after: self.router.wait("retry_after").unwrap_or(unsaid.retry_after),
            policy: per_class(Section::RetryPolicy, self.router.mapping("retry_policy")),
            group_policies,
            budget: self.retry_budget(),
        }
    }

    fn retry_budget(&self) -> Option<RetryBudget> {
        let node = self.tollway.get("retry_budget");
        if node.is_some_and(is_false) {
            return None;
        }
        let unsaid = RetryBudget::default();
        let written = Layers::maybe(Section::RetryBudget, node.and_then(Node::mapping));
        Some(RetryBudget {
            percent: written.count("percent").unwrap_or(unsaid.percent),
            floor: written.count("floor").unwrap_or(unsaid.floor),
        })
    }

    fn hedging(&self) -> Option<Hedging> {
        let written = Layers::of(Section::Hedge, self.tollway.mapping("hedge")?);
        let unsaid = Hedging::default();
        Some(Hedging {
            max_percent: written.count("max_percent").unwrap_or(unsaid.max_percent),
            min_delay: written.integer("min_delay_ms").map_or(unsaid.min_delay, Duration::from_millis),
        })
    }

    fn cooldowns(&mut self) -> CooldownSettings {
        let unsaid = CooldownSettings::default();
        CooldownSettings {
            disabled: self.router.bool("disable_cooldowns").unwrap_or(unsaid.disabled),
            time: self.router.wait("cooldown_time").unwrap_or(unsaid.time),
            allowed_fails: self.winner("allowed_fails").count("allowed_fails"),
            policy: per_class(Section::AllowedFailsPolicy, self.router.mapping("allowed_fails_policy")),
            last: self.tollway.bool("cooldown_last_deployment").unwrap_or(unsaid.last),
        }
    }

    fn fallbacks(&mut self) -> FallbackSettings {
        let unsaid = FallbackSettings::default();
        let mut general = self.rules("fallbacks");
        general.extend(self.default_fallbacks());
        let mut context_window = self.rules("context_window_fallbacks");
        context_window.extend(self.context_window_dict());
        FallbackSettings {
            general,
            context_window,
            content_policy: self.rules("content_policy_fallbacks"),
            max_fallbacks: self
                .winner("max_fallbacks")
                .count("max_fallbacks")
                .unwrap_or(unsaid.max_fallbacks),
        }
    }

    /// The rule for any group; LiteLLM appends it, so that a `"*"` among the `fallbacks` wins.
    fn default_fallbacks(&mut self) -> Option<FallbackRule> {
        let mut targets = Vec::new();
        for node in layers::items(self.winner("default_fallbacks").get("default_fallbacks")) {
            let Some(name) = layers::text(node) else { continue };
            self.places.note(Place {
                setting: "fallbacks",
                key: "default_fallbacks",
                of: "*".to_owned(),
                value: name.clone(),
                role: Role::Item,
                span: node.span.clone(),
            });
            targets.push(Target::name(&name));
        }
        (!targets.is_empty()).then(|| FallbackRule { group: "*".to_owned(), targets })
    }

    fn context_window_dict(&mut self) -> Vec<FallbackRule> {
        const KEY: &str = "context_window_fallback_dict";
        let mut rules = Vec::new();
        for pair in self.litellm.mapping(KEY).map(|mapping| mapping.pairs.as_slice()).unwrap_or_default() {
            let Some(target) = layers::text(&pair.value) else { continue };
            let group = &pair.key.name;
            let names = [(group, Role::Entry, &pair.key.span), (&target, Role::Item, &pair.value.span)];
            for (value, role, span) in names {
                self.places.note(Place {
                    setting: "context_window_fallbacks",
                    key: KEY,
                    of: group.clone(),
                    value: value.clone(),
                    role,
                    span: span.clone(),
                });
            }
            rules.push(FallbackRule { group: group.clone(), targets: vec![Target::name(&target)] });
        }
        rules
    }

    /// Whether requests of one session keep to one deployment. The other checks are made in any case.
    fn affinity(&mut self) -> bool {
        const STICKY: &[&str] = &["prompt_caching", "deployment_affinity", "session_affinity"];
        let mut affinity = false;
        for node in layers::items(self.router.get("optional_pre_call_checks")) {
            let Some(name) = layers::text(node) else { continue };
            affinity |= STICKY.contains(&name.as_str());
            if keys::PRE_CALL_CHECKS.contains(&name.as_str()) {
                continue;
            }
            let finding = if keys::OTHER_PRE_CALL_CHECKS.contains(&name.as_str()) {
                Finding::warning(
                    ProblemKind::NotYetEffective,
                    format!("the check `{name}` is known but not yet effective in this version"),
                )
            } else {
                let known = keys::PRE_CALL_CHECKS.iter().chain(keys::OTHER_PRE_CALL_CHECKS).copied();
                let finding =
                    Finding::warning(ProblemKind::UnknownName, format!("there is no check `{name}`"));
                match nearest(&name, known.clone()) {
                    Some(near) => finding.help(format!("did you mean `{near}`?")),
                    None => finding.expected(format!("some of `{}`", known.collect::<Vec<_>>().join("`, `"))),
                }
            };
            self.diagnosis.report(&node.span, finding);
        }
        affinity
    }

    /// `canary` or `mirror`.
    fn splits(&mut self, setting: &'static str, key: &'static str) -> Vec<Split> {
        let mut splits = Vec::new();
        for node in self.tollway.get(key).and_then(Node::sequence).unwrap_or_default() {
            let Some(mapping) = node.mapping() else { continue };
            let entry = Layers::of(Section::Split, mapping);
            let (group, to, percent) = (entry.text("model"), entry.text("to"), entry.number("percent"));
            let (Some(group), Some(to), Some(percent)) = (group, to, percent) else {
                self.incomplete(key, node, mapping);
                continue;
            };
            let values = [("model", group.clone()), ("to", to.clone()), ("percent", percent.to_string())];
            for (name, value) in values {
                let Some(written) = mapping.get(name) else { continue };
                self.places.note(Place {
                    setting,
                    key,
                    of: group.clone(),
                    value,
                    role: Role::Item,
                    span: written.span.clone(),
                });
            }
            splits.push(Split { group, to, percent });
        }
        splits
    }

    /// Says what an entry of `canary` or `mirror` lacks; values of a wrong type have been reported.
    fn incomplete(&mut self, key: &str, node: &Node, mapping: &Mapping) {
        for name in ["model", "to", "percent"] {
            if mapping.get(name).is_none() {
                let finding =
                    Finding::error(ProblemKind::MissingKey, format!("an entry of `{key}` has no `{name}`"))
                        .expected("`{model: group, to: other, percent: 5}`")
                        .help(format!("add `{name}:`"));
                self.diagnosis.report(&node.span, finding);
            }
        }
    }
}

fn is_false(node: &Node) -> bool {
    node.scalar().is_some_and(|scalar| scalar.boolean() == Some(false))
}

/// The names that a group can be called by, for guesses.
fn names<'c>(
    deployments: &'c [DeploymentConfig],
    settings: &'c Settings,
) -> impl Iterator<Item = &'c str> + Clone {
    let groups = deployments.iter().map(|deployment| deployment.model_name.as_str());
    groups.chain(settings.aliases.iter().map(|(alias, _)| alias.as_str()))
}
