//! Every key that a configuration may hold: one table per section, the source of the checks and of the reference page.
//!
//! The names are LiteLLM 1.106.2's, plus the section `tollway:` of our own. A key that this version acts on is
//! [`Status::Effective`]; the others are accepted, so that a configuration keeps loading, and named in a warning,
//! so that nobody relies on them.

mod general_settings;
mod litellm_settings;
mod model_list;
mod nested;
mod router_settings;
mod tollway;
mod top_level;

use super::diagnose::nearest;
pub(crate) use router_settings::{OTHER_PRE_CALL_CHECKS, PRE_CALL_CHECKS};

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// The file itself.
    TopLevel,
    /// An entry of `model_list`.
    Model,
    /// `litellm_params` of a `model_list` entry.
    LitellmParams,
    /// `model_info` of a `model_list` entry.
    ModelInfo,
    /// `litellm_settings`.
    LitellmSettings,
    /// `general_settings`.
    GeneralSettings,
    /// `router_settings`.
    RouterSettings,
    /// An entry of `credential_list`.
    Credential,
    /// The long form of a `model_group_alias`.
    Alias,
    /// `litellm_settings.cache_params`.
    CacheParams,
    /// `router_settings.retry_policy`.
    RetryPolicy,
    /// `router_settings.allowed_fails_policy`.
    AllowedFailsPolicy,
    /// An entry of `router_settings.provider_budget_config` or `litellm_settings.tag_budget_config`.
    Budget,
    /// An entry of `router_settings.routing_groups`.
    RoutingGroup,
    /// `routing_strategy_args`.
    StrategyArgs,
    /// `tollway.retry_budget`.
    RetryBudget,
    /// `tollway.hedge`.
    Hedge,
    /// An entry of `tollway.canary` or `tollway.mirror`.
    Split,
    /// An entry of `general_settings.pass_through_endpoints`.
    PassThroughEndpoint,
    /// `general_settings.alerting_args`.
    AlertingArgs,
    /// An entry of `general_settings.user_header_mappings`.
    UserHeaderMapping,
    /// `general_settings.coordination_redis`.
    CoordinationRedis,
    /// An entry of `guardrails`.
    Guardrail,
    /// A server under `mcp_servers`.
    McpServer,
    /// `tollway`, our own.
    Tollway,
}

impl Section {
    /// All of them, in the order of the reference page.
    pub const ALL: &[Self] = &[
        Self::TopLevel,
        Self::Model,
        Self::LitellmParams,
        Self::ModelInfo,
        Self::RouterSettings,
        Self::LitellmSettings,
        Self::GeneralSettings,
        Self::Tollway,
        Self::Credential,
        Self::Alias,
        Self::CacheParams,
        Self::RetryPolicy,
        Self::AllowedFailsPolicy,
        Self::Budget,
        Self::RoutingGroup,
        Self::StrategyArgs,
        Self::RetryBudget,
        Self::Hedge,
        Self::Split,
        Self::PassThroughEndpoint,
        Self::AlertingArgs,
        Self::UserHeaderMapping,
        Self::CoordinationRedis,
        Self::Guardrail,
        Self::McpServer,
    ];

    /// How a file spells it: `model_list[].litellm_params`; empty for the file itself.
    pub const fn path(self) -> &'static str {
        match self {
            Self::TopLevel => "",
            Self::Model => "model_list[]",
            Self::LitellmParams => "model_list[].litellm_params",
            Self::ModelInfo => "model_list[].model_info",
            Self::LitellmSettings => "litellm_settings",
            Self::GeneralSettings => "general_settings",
            Self::RouterSettings => "router_settings",
            Self::Credential => "credential_list[]",
            Self::Alias => "router_settings.model_group_alias.<alias>",
            Self::CacheParams => "litellm_settings.cache_params",
            Self::RetryPolicy => "router_settings.retry_policy",
            Self::AllowedFailsPolicy => "router_settings.allowed_fails_policy",
            Self::Budget => "router_settings.provider_budget_config.<provider>",
            Self::RoutingGroup => "router_settings.routing_groups[]",
            Self::StrategyArgs => "router_settings.routing_strategy_args",
            Self::RetryBudget => "tollway.retry_budget",
            Self::Hedge => "tollway.hedge",
            Self::Split => "tollway.canary[], tollway.mirror[]",
            Self::PassThroughEndpoint => "general_settings.pass_through_endpoints[]",
            Self::AlertingArgs => "general_settings.alerting_args",
            Self::UserHeaderMapping => "general_settings.user_header_mappings[]",
            Self::CoordinationRedis => "general_settings.coordination_redis",
            Self::Guardrail => "guardrails[]",
            Self::McpServer => "mcp_servers.<name>",
            Self::Tollway => "tollway",
        }
    }

    /// Its name in a message.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::TopLevel => "the top level",
            Self::Model => "a `model_list` entry",
            Self::LitellmParams => "`litellm_params`",
            Self::ModelInfo => "`model_info`",
            Self::LitellmSettings => "`litellm_settings`",
            Self::GeneralSettings => "`general_settings`",
            Self::RouterSettings => "`router_settings`",
            Self::Credential => "a `credential_list` entry",
            Self::Alias => "a `model_group_alias`",
            Self::CacheParams => "`cache_params`",
            Self::RetryPolicy => "`retry_policy`",
            Self::AllowedFailsPolicy => "`allowed_fails_policy`",
            Self::Budget => "a budget",
            Self::RoutingGroup => "a `routing_groups` entry",
            Self::StrategyArgs => "`routing_strategy_args`",
            Self::RetryBudget => "`retry_budget`",
            Self::Hedge => "`hedge`",
            Self::Split => "an entry of `canary` or `mirror`",
            Self::PassThroughEndpoint => "a `pass_through_endpoints` entry",
            Self::AlertingArgs => "`alerting_args`",
            Self::UserHeaderMapping => "a `user_header_mappings` entry",
            Self::CoordinationRedis => "`coordination_redis`",
            Self::Guardrail => "a `guardrails` entry",
            Self::McpServer => "an `mcp_servers` entry",
            Self::Tollway => "`tollway`",
        }
    }

    /// The same as a place: ``in `model_info` ``, `at the top level`.
    pub(crate) fn within(self) -> String {
        let preposition = if self == Self::TopLevel { "at" } else { "in" };
        format!("{preposition} {}", self.title())
    }

    const fn groups(self) -> &'static [Group] {
        match self {
            Self::TopLevel => top_level::KEYS,
            Self::Model => model_list::ENTRY,
            Self::LitellmParams => model_list::LITELLM_PARAMS,
            Self::ModelInfo => model_list::MODEL_INFO,
            Self::LitellmSettings => litellm_settings::KEYS,
            Self::GeneralSettings => general_settings::KEYS,
            Self::RouterSettings => router_settings::KEYS,
            Self::Credential => top_level::CREDENTIAL,
            Self::Alias => router_settings::ALIAS,
            Self::CacheParams => nested::CACHE_PARAMS,
            Self::RetryPolicy => router_settings::RETRY_POLICY,
            Self::AllowedFailsPolicy => router_settings::ALLOWED_FAILS_POLICY,
            Self::Budget => router_settings::BUDGET,
            Self::RoutingGroup => router_settings::ROUTING_GROUP,
            Self::StrategyArgs => router_settings::STRATEGY_ARGS,
            Self::RetryBudget => tollway::RETRY_BUDGET,
            Self::Hedge => tollway::HEDGE,
            Self::Split => tollway::SPLIT,
            Self::PassThroughEndpoint => nested::PASS_THROUGH_ENDPOINT,
            Self::AlertingArgs => nested::ALERTING_ARGS,
            Self::UserHeaderMapping => nested::USER_HEADER_MAPPING,
            Self::CoordinationRedis => nested::COORDINATION_REDIS,
            Self::Guardrail => nested::GUARDRAIL,
            Self::McpServer => nested::MCP_SERVER,
            Self::Tollway => tollway::KEYS,
        }
    }
}

/// What a key's value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number, 0 or more.
    Integer,
    /// A whole number.
    SignedInteger,
    /// A number, 0 or more.
    Number,
    /// A number of seconds above 0.
    Seconds,
    /// A TCP port.
    Port,
    /// Text.
    Text,
    /// Text that no report or log may show.
    Secret,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of texts.
    TextList,
    /// A text or a list of texts.
    TextOrList,
    /// A list.
    List,
    /// A mapping.
    Map,
    /// A list or a mapping.
    ListOrMap,
    /// A mapping, or `false` for none.
    MapOrFalse,
    /// A list of fallbacks: `- group: [other, another]`.
    Fallbacks,
    /// A mapping of texts, such as headers.
    TextMap,
    /// `true`, `false`, or the path of a PEM file.
    BoolOrPath,
    /// A secret as text, or as the mapping that the text would spell.
    SecretOrMap,
    /// Anything.
    Any,
}

/// What the running version does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It does what it says.
    Effective,
    /// Accepted, with a warning.
    NotYet,
    /// It configures something that Tollway does not have (the internals of LiteLLM's process); accepted, with a warning.
    NoEffect,
}

/// How many teams need a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Every team.
    P0,
    /// Common.
    P1,
    /// Rare, or for large organizations.
    P2,
    /// Obscure.
    P3,
}

/// Keys of one section that belong together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    about: &'static str,
    priority: Priority,
    status: Status,
    keys: &'static [(&'static str, Kind)],
}

const fn group(
    status: Status,
    priority: Priority,
    about: &'static str,
    keys: &'static [(&'static str, Kind)],
) -> Group {
    Group { about, priority, status, keys }
}

/// One known key.
#[derive(Clone, Copy, Debug)]
pub struct KnownKey {
    /// Where it stands.
    pub section: Section,
    /// Its name; one that ends in `*` stands for all that start like it.
    pub name: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// What this version does with it.
    pub status: Status,
    /// How many teams need it.
    pub priority: Priority,
    /// What it, or the group of keys that it belongs to, is for.
    pub about: &'static str,
}

/// Every known key, section by section: what the reference page lists.
pub fn all() -> impl Iterator<Item = KnownKey> {
    Section::ALL.iter().flat_map(|&section| in_section(section))
}

/// The known keys of one section.
pub fn in_section(section: Section) -> impl Iterator<Item = KnownKey> {
    section.groups().iter().flat_map(move |group| {
        group.keys.iter().map(move |&(name, kind)| KnownKey {
            section,
            name,
            kind,
            status: group.status,
            priority: group.priority,
            about: group.about,
        })
    })
}

/// The key of this name in this section, or the family of keys that it belongs to.
pub(crate) fn find(section: Section, name: &str) -> Option<KnownKey> {
    in_section(section).find(|key| key.name == name).or_else(|| {
        in_section(section)
            .find(|key| key.name.strip_suffix('*').is_some_and(|start| name.starts_with(start)))
    })
}

/// The names in a section that someone could have meant.
pub(crate) fn names(section: Section) -> impl Iterator<Item = &'static str> {
    in_section(section).map(|key| key.name).filter(|name| !name.ends_with('*'))
}

/// The sections in which a key that is wrong where it stands would be right, the likeliest first.
pub(crate) fn homes(standing: Section, name: &str) -> Vec<Section> {
    const ENTRY: &[Section] = &[Section::LitellmParams, Section::ModelInfo, Section::Model];
    const SETTINGS: &[Section] = &[
        Section::GeneralSettings,
        Section::RouterSettings,
        Section::LitellmSettings,
        Section::TopLevel,
        Section::CacheParams,
        Section::Tollway,
    ];
    let (near, far) = match standing {
        Section::Model | Section::LitellmParams | Section::ModelInfo => (ENTRY, SETTINGS),
        Section::TopLevel
        | Section::GeneralSettings
        | Section::RouterSettings
        | Section::LitellmSettings
        | Section::Tollway => (SETTINGS, ENTRY),
        // Inside a nested mapping a name says little: `timeout` is everywhere.
        _ => return Vec::new(),
    };
    let known = |section: &Section| *section != standing && find(*section, name).is_some();
    let mut homes: Vec<Section> = near.iter().copied().filter(known).collect();
    if standing == Section::ModelInfo {
        // Anything may be said about a model; only what would have routed or limited requests is missed elsewhere.
        homes.retain(|_| LIMITS.contains(&name));
        return homes;
    }
    if homes.is_empty() {
        homes.extend(far.iter().copied().filter(known));
    }
    homes
}

/// Keys of `litellm_params` that people look for in `model_info`.
const LIMITS: &[&str] = &[
    "rpm",
    "tpm",
    "weight",
    "order",
    "tags",
    "timeout",
    "stream_timeout",
    "max_retries",
    "max_parallel_requests",
    "api_key",
    "api_base",
];

/// What becomes of a key of `litellm_params`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParamRole {
    /// It says how the deployment is called.
    Setting,
    /// It is part of the request, where the caller does not say otherwise.
    RequestDefault,
    /// No one knows it; it is sent as a request default, since providers have parameters of their own.
    Unknown,
    /// It is a setting misspelled or misplaced; a provider would refuse it.
    Mistaken,
}

pub(crate) fn param_role(name: &str) -> ParamRole {
    let listed = |keys: &[(&str, Kind)]| keys.iter().any(|&(key, _)| key == name);
    if listed(model_list::OPENAI_DEFAULTS) || listed(model_list::PROVIDER_DEFAULTS) {
        ParamRole::RequestDefault
    } else if is_price(name) || find(Section::LitellmParams, name).is_some() {
        ParamRole::Setting
    } else if usual_mistake(Section::LitellmParams, name).is_some()
        || !homes(Section::LitellmParams, name).is_empty()
        || near_setting(name)
    {
        ParamRole::Mistaken
    } else {
        ParamRole::Unknown
    }
}

/// Whether a name is likelier a misspelled setting than a misspelled or unknown parameter of the request.
fn near_setting(name: &str) -> bool {
    let defaults =
        model_list::OPENAI_DEFAULTS.iter().chain(model_list::PROVIDER_DEFAULTS).map(|&(name, _)| name);
    // Among equally near names the first counts.
    let candidates = defaults.chain(names(Section::LitellmParams));
    nearest(name, candidates).is_some_and(|near| param_role(near) == ParamRole::Setting)
}

/// Names that people write often and that no distance of letters leads back to the right one.
pub(crate) fn usual_mistake(section: Section, name: &str) -> Option<&'static str> {
    Some(match (section, name) {
        (Section::LitellmParams, "rpm_limit") => "rpm",
        (Section::LitellmParams, "tpm_limit") => "tpm",
        (Section::LitellmParams, "context_window" | "context_length") => "model_info.max_input_tokens",
        (Section::ModelInfo, "context_window" | "context_length") => "max_input_tokens",
        (Section::ModelInfo, "dimension" | "embedding_dims") => "output_vector_size",
        (Section::TopLevel, "cache") => "litellm_settings.cache_params",
        (Section::TopLevel, "server") => "tollway",
        (Section::GeneralSettings, "enable_telemetry") => "litellm_settings.telemetry",
        (Section::PassThroughEndpoint, "path_prefix") => "path",
        (Section::PassThroughEndpoint, "target_url") => "target",
        (Section::RouterSettings, "model_alias" | "model_aliases") => "model_group_alias",
        (Section::RouterSettings | Section::LitellmSettings, "default_model") => "default_fallbacks",
        (Section::GeneralSettings, "database_connection_pool_size") => "database_connection_pool_limit",
        (Section::McpServer, "headers") => "static_headers",
        _ => return None,
    })
}

/// The variable that LiteLLM reads what this key says from; there is no such key.
pub(crate) fn variable(name: &str) -> Option<&'static str> {
    const VARIABLES: &[&str] = &[
        "UI_USERNAME",
        "UI_PASSWORD",
        "PROXY_BASE_URL",
        "SERVER_ROOT_PATH",
        "LANGFUSE_HOST",
        "LANGFUSE_PUBLIC_KEY",
        "LANGFUSE_SECRET_KEY",
        "LITELLM_SALT_KEY",
        "STORE_MODEL_IN_DB",
        "DOCS_URL",
        "NO_DOCS",
        "NUM_WORKERS",
        "SLACK_WEBHOOK_URL",
    ];
    VARIABLES.iter().copied().find(|variable| variable.eq_ignore_ascii_case(name))
}

/// Whether a name is a price: any key of the price map may stand in `litellm_params` or `model_info`.
pub fn is_price(name: &str) -> bool {
    model_list::PRICES.iter().any(|&(price, _)| price == name)
        || name.contains("_cost_per_")
        || name.contains("_token_cost")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_is_in_a_section_twice() {
        let mut seen = HashSet::new();
        for key in all() {
            assert!(seen.insert((key.section, key.name)), "{} in {}", key.name, key.section.title());
        }
    }

    #[test]
    fn every_key_says_what_it_is_for() {
        for key in all() {
            assert!(!key.about.is_empty(), "{} in {}", key.name, key.section.title());
        }
    }
}
