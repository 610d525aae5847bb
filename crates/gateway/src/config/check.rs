//! The walk over the tree: every key is known or reported, every value fits its key or is reported.

mod shapes;
mod value;

use super::diagnose::{Diagnosis, Finding, ProblemKind, Severity, is_secret_name, nearest};
use super::keys::{self, Kind, KnownKey, ParamRole, Section, Status};
use super::raw::{Mapping, Node, Origin, Pair, Scalar, Value};
use super::references::{Environment, is_foreign_reference};
use routing::Strategy;
use value::Fit;

/// Reports everything that is wrong with the keys and values of a whole configuration.
pub(crate) fn check(root: &Mapping, environment: &Environment<'_>, diagnosis: &mut Diagnosis) {
    let cache_is_redis = shapes::redis_cache(root);
    let mut checker = Checker { diagnosis, cache_is_redis };
    checker.section(Section::TopLevel, root, Covered::No);
    shapes::check(root, environment, checker.diagnosis);
}

/// Whether a warning about an outer key says already that a mapping has no effect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Covered {
    No,
    Yes,
}

struct Checker<'d> {
    diagnosis: &'d mut Diagnosis,
    /// Whether `cache_params` go to a Redis client, which refuses what it does not know.
    cache_is_redis: bool,
}

impl Checker<'_> {
    fn section(&mut self, section: Section, mapping: &Mapping, covered: Covered) {
        for pair in &mapping.pairs {
            match known(section, &pair.key.name) {
                Some(key) => self.known(key, pair, covered),
                None => self.unknown(section, pair),
            }
        }
    }

    fn known(&mut self, key: KnownKey, pair: &Pair, covered: Covered) {
        if pair.value.is_null() {
            self.unset(key, pair, covered);
            return;
        }
        let fits = self.value(key, pair);
        if covered == Covered::No && (fits || key.status != Status::Effective) {
            self.status(key, pair);
        }
        if key.status == Status::Effective && !nested(key) {
            self.unset_inside(key, &pair.value);
        }
        if fits {
            let covered = if key.status == Status::Effective { covered } else { Covered::Yes };
            self.inside(key, &pair.value, covered);
        }
    }

    /// Descends into the mappings that have tables of their own.
    fn inside(&mut self, key: KnownKey, value: &Node, covered: Covered) {
        use Section as S;
        let (section, depth) = match (key.section, key.name) {
            (S::TopLevel, "model_list") => (S::Model, Depth::EachItem),
            (S::TopLevel, "litellm_settings") => (S::LitellmSettings, Depth::Itself),
            (S::TopLevel, "general_settings") => (S::GeneralSettings, Depth::Itself),
            (S::TopLevel, "router_settings") => (S::RouterSettings, Depth::Itself),
            (S::TopLevel, "tollway") => (S::Tollway, Depth::Itself),
            (S::TopLevel, "credential_list") => (S::Credential, Depth::EachItem),
            (S::TopLevel, "guardrails") => (S::Guardrail, Depth::EachItem),
            (S::TopLevel, "mcp_servers") => (S::McpServer, Depth::EachValue),
            (S::Model, "litellm_params")
            | (S::Credential, "credential_values")
            | (S::RouterSettings, "default_litellm_params") => (S::LitellmParams, Depth::Itself),
            (S::Model, "model_info") => (S::ModelInfo, Depth::Itself),
            (S::LitellmSettings, "cache_params") => (S::CacheParams, Depth::Itself),
            (S::RouterSettings, "retry_policy") => (S::RetryPolicy, Depth::Itself),
            (S::RouterSettings, "model_group_retry_policy") => (S::RetryPolicy, Depth::EachValue),
            (S::RouterSettings | S::ModelInfo, "allowed_fails_policy") => {
                (S::AllowedFailsPolicy, Depth::Itself)
            }
            (S::RouterSettings, "provider_budget_config") | (S::LitellmSettings, "tag_budget_config") => {
                (S::Budget, Depth::EachValue)
            }
            (S::RouterSettings, "routing_groups") => (S::RoutingGroup, Depth::EachItem),
            (S::RouterSettings | S::RoutingGroup, "routing_strategy_args") => {
                (S::StrategyArgs, Depth::Itself)
            }
            (S::Tollway, "retry_budget") => (S::RetryBudget, Depth::Itself),
            (S::Tollway, "hedge") => (S::Hedge, Depth::Itself),
            (S::Tollway, "canary" | "mirror") => (S::Split, Depth::EachItem),
            (S::RouterSettings, "model_group_alias") => (S::Alias, Depth::EachValueIfMapping),
            (S::GeneralSettings, "pass_through_endpoints") => (S::PassThroughEndpoint, Depth::EachItem),
            (S::GeneralSettings, "user_header_mappings") => (S::UserHeaderMapping, Depth::EachItem),
            (S::GeneralSettings, "alerting_args") => (S::AlertingArgs, Depth::Itself),
            (S::GeneralSettings, "coordination_redis") => (S::CoordinationRedis, Depth::Itself),
            _ => return,
        };
        match (depth, &value.value) {
            (Depth::Itself, Value::Mapping(mapping)) => self.section(section, mapping, covered),
            (Depth::EachItem, Value::Sequence(items)) => {
                for item in items {
                    self.entry(section, item, covered);
                }
            }
            (Depth::EachValue, Value::Mapping(mapping)) => {
                for pair in &mapping.pairs {
                    self.entry(section, &pair.value, covered);
                }
            }
            (Depth::EachValueIfMapping, Value::Mapping(mapping)) => {
                for long in mapping.pairs.iter().filter_map(|pair| pair.value.mapping()) {
                    self.section(section, long, covered);
                }
            }
            _ => {}
        }
    }

    fn entry(&mut self, section: Section, node: &Node, covered: Covered) {
        if let Some(mapping) = node.mapping() {
            self.section(section, mapping, covered);
            return;
        }
        let severity = if covered == Covered::Yes { Severity::Warning } else { Severity::Error };
        self.diagnosis.report(
            &node.span,
            Finding::new(severity, ProblemKind::WrongType, format!("{} is a mapping", section.title()))
                .expected("a mapping")
                .found(node.kind()),
        );
    }

    /// Whether the value fits its key; if not, or if it is spelled as another type, that is reported.
    fn value(&mut self, key: KnownKey, pair: &Pair) -> bool {
        let finding = match value::fit(key, &pair.value) {
            Fit::Fits => return true,
            Fit::Spelled { spelled, read_as } => Finding::warning(
                ProblemKind::Spelling,
                format!("`{}` is {spelled} here; it is read as {read_as}", pair.key.name),
            )
            .expected(value::expected(key.kind)),
            Fit::Wrong { kind, help } => {
                // A reference that is not one has its own warning; a key without effect needs no second.
                let foreign = pair.value.scalar().is_some_and(|scalar| is_foreign_reference(&scalar.text));
                if foreign && severity(key) == Severity::Warning {
                    return false;
                }
                let found = found(key, &pair.value);
                let message = match key.kind {
                    Kind::OneOf(_) => format!("there is no such `{}`", pair.key.name),
                    kind => format!("`{}` takes {}", pair.key.name, value::expected(kind)),
                };
                let mut finding = Finding::new(severity(key), kind, message)
                    .expected(value::expected(key.kind))
                    .found(found);
                if let Some(help) = help {
                    finding = finding.help(help);
                }
                self.diagnosis.report(&pair.value.span, finding);
                return false;
            }
        };
        self.diagnosis.report(&pair.value.span, finding);
        true
    }

    fn status(&mut self, key: KnownKey, pair: &Pair) {
        let name = pair.key.name.as_str();
        let finding = match key.status {
            Status::Effective => {
                let strategy = pair.value.scalar().filter(|_| name == "routing_strategy");
                if strategy.is_none_or(|strategy| strategy.text.parse::<Strategy>().is_ok()) {
                    return;
                }
                Finding::warning(
                    ProblemKind::NotYetEffective,
                    "this strategy is known but not yet effective in this version; `simple-shuffle` is used",
                )
            }
            Status::NotYet => Finding::warning(
                ProblemKind::NotYetEffective,
                format!("`{name}` is known but not yet effective in this version"),
            ),
            Status::NoEffect => Finding::warning(
                ProblemKind::NoEffect,
                format!("`{name}` has no effect in Tollway: {}", key.about),
            ),
        };
        self.diagnosis.report(&pair.key.span, finding);
    }

    /// A null that an unset variable left: what it means depends on the key.
    fn unset(&mut self, key: KnownKey, pair: &Pair, covered: Covered) {
        let Some(Origin::Unset(variable)) = pair.value.scalar().map(|scalar| &scalar.origin) else { return };
        if key.status != Status::Effective {
            if covered == Covered::No {
                self.status(key, pair);
            }
            return;
        }
        let finding = match (key.section, pair.key.name.as_str()) {
            (Section::GeneralSettings, "master_key") => Finding::error(
                ProblemKind::UnsetVariable,
                format!("the master key's variable `{variable}` is not set"),
            )
            .help(format!("set `{variable}`; without a master key everyone could call everything")),
            (Section::LitellmParams, "model") => Finding::error(
                ProblemKind::UnsetVariable,
                format!("the model's variable `{variable}` is not set"),
            )
            .help(format!("set `{variable}` to `provider/model`")),
            (Section::LitellmParams | Section::Credential, name) => Finding::warning(
                ProblemKind::UnsetVariable,
                format!("`{variable}` is not set; calls of deployments that need this `{name}` fail"),
            )
            .help(format!("set `{variable}`")),
            (_, name) => Finding::warning(
                ProblemKind::UnsetVariable,
                format!("`{variable}` is not set; `{name}` is as if it were not here"),
            )
            .help(format!("set `{variable}`")),
        };
        self.diagnosis.report(&pair.value.span, finding);
    }

    /// Unset variables deeper in a value, such as in `extra_headers`.
    fn unset_inside(&mut self, key: KnownKey, node: &Node) {
        match &node.value {
            Value::Scalar(Scalar { origin: Origin::Unset(variable), .. }) => self.diagnosis.report(
                &node.span,
                Finding::warning(
                    ProblemKind::UnsetVariable,
                    format!("`{variable}` is not set; this part of `{}` is left out", key.name),
                )
                .help(format!("set `{variable}`")),
            ),
            Value::Scalar(_) => {}
            Value::Sequence(items) => items.iter().for_each(|item| self.unset_inside(key, item)),
            Value::Mapping(mapping) => {
                mapping.pairs.iter().for_each(|pair| self.unset_inside(key, &pair.value));
            }
        }
    }

    fn unknown(&mut self, section: Section, pair: &Pair) {
        let name = pair.key.name.as_str();
        if section == Section::CacheParams && self.cache_is_redis {
            let finding =
                Finding::error(ProblemKind::UnknownKey, format!("`{name}` is no option of a Redis client"))
                    .expected("an option of `cache_params` that LiteLLM or redis-py knows");
            self.diagnosis.report(&pair.key.span, with_guess(finding, section, name));
            return;
        }
        let homes = match keys::usual_mistake(section, name) {
            Some(_) => Vec::new(),
            None => keys::homes(section, name),
        };
        let finding = if homes.is_empty() {
            let consequence = match (section, keys::param_role(name)) {
                (Section::LitellmParams, ParamRole::Unknown) => {
                    "; it is sent to the provider with every request"
                }
                (Section::LitellmParams, ParamRole::Mistaken) => {
                    "; it is not used, and not sent to the provider"
                }
                (Section::ModelInfo, _) => "; it is shown in model lists and not used",
                _ => "; it is not used",
            };
            let finding = Finding::warning(
                ProblemKind::UnknownKey,
                format!("unknown key `{name}` {}{consequence}", section.within()),
            );
            match wrapped_sections(section, &pair.value) {
                Some(sections) => finding.help(format!("move {sections} to the top level")),
                None => with_guess(finding, section, name),
            }
        } else {
            let places: Vec<String> = homes.iter().map(|home| home.within()).collect();
            Finding::warning(ProblemKind::MisplacedKey, format!("`{name}` is not used {}", section.within()))
                .help(format!("it belongs {}", places.join(" or ")))
        };
        self.diagnosis.report(&pair.key.span, finding);
    }
}

/// How the entries of a value with a table are reached.
#[derive(Clone, Copy)]
enum Depth {
    Itself,
    EachItem,
    EachValue,
    EachValueIfMapping,
}

/// A key by its table, or by the rule that stands for many: prices.
fn known(section: Section, name: &str) -> Option<KnownKey> {
    keys::find(section, name).or_else(|| {
        let may_be_price =
            matches!(section, Section::LitellmParams | Section::ModelInfo) && keys::is_price(name);
        may_be_price.then_some(KnownKey {
            section,
            name: "*_cost_*",
            kind: Kind::Any,
            status: Status::Effective,
            priority: keys::Priority::P1,
            about: "a price in dollars",
        })
    })
}

/// Keys whose parts are checked one by one, and so are their unset variables.
fn nested(key: KnownKey) -> bool {
    matches!(
        (key.section, key.name),
        (
            Section::TopLevel,
            "model_list"
                | "credential_list"
                | "litellm_settings"
                | "general_settings"
                | "router_settings"
                | "tollway"
        ) | (Section::Model, "litellm_params" | "model_info")
            | (Section::Credential, "credential_values")
            | (Section::RouterSettings, "default_litellm_params")
            | (Section::LitellmSettings, "cache_params")
            | (Section::GeneralSettings, "alerting_args")
    )
}

/// A wrong value is an error where it would be acted on, or where LiteLLM does not start with it.
///
/// What is said about a model, and what is sent to a provider, is for others to judge.
fn severity(key: KnownKey) -> Severity {
    let is_default =
        key.section == Section::LitellmParams && keys::param_role(key.name) == ParamRole::RequestDefault;
    let is_told = key.section == Section::ModelInfo || keys::is_price(key.name);
    match key.status {
        Status::Effective if !is_default && !is_told => Severity::Error,
        Status::Effective | Status::NotYet | Status::NoEffect => Severity::Warning,
    }
}

fn found(key: KnownKey, node: &Node) -> String {
    let Some(scalar) = node.scalar() else { return node.kind().to_owned() };
    if let Origin::Variable(variable) = &scalar.origin {
        return format!("the value of `{variable}`");
    }
    let secret =
        matches!(key.kind, Kind::Secret | Kind::SecretOrMap | Kind::TextMap) || is_secret_name(key.name);
    let short = scalar.text.chars().count() <= 60 && !scalar.text.contains('\n');
    if secret || !short { node.kind().to_owned() } else { format!("{} `{}`", node.kind(), scalar.text) }
}

fn with_guess(finding: Finding, section: Section, name: &str) -> Finding {
    if let Some(right) = keys::usual_mistake(section, name) {
        return finding.help(format!("did you mean `{right}`?"));
    }
    if let Some(variable) = keys::variable(name) {
        return finding
            .help(format!("set the variable `{variable}`, for instance under `environment_variables`"));
    }
    match nearest(name, keys::names(section)) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding,
    }
}

/// The known sections inside an unknown one: someone put everything under a key of their own.
fn wrapped_sections(section: Section, node: &Node) -> Option<String> {
    if section != Section::TopLevel {
        return None;
    }
    let inside: Vec<String> = node
        .mapping()?
        .pairs
        .iter()
        .filter(|pair| keys::find(Section::TopLevel, &pair.key.name).is_some())
        .map(|pair| format!("`{}`", pair.key.name))
        .collect();
    (!inside.is_empty()).then(|| inside.join(", "))
}
