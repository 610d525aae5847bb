//! `router_settings` and what is nested in it.

use super::Kind::{Any, Bool, Integer, List, Map, Number, OneOf, Seconds, Secret, Text, TextList};
use super::Priority::{P0, P1, P2, P3};
use super::Status::{Effective, NoEffect, NotYet};
use super::{Group, Kind, group};

/// The strategies that LiteLLM knows; a name outside this list keeps it from starting.
const STRATEGIES: Kind = OneOf(&[
    "simple-shuffle",
    "least-busy",
    "usage-based-routing",
    "usage-based-routing-v2",
    "latency-based-routing",
    "cost-based-routing",
    "provider-budget-routing",
    "lar1",
]);

pub(super) const KEYS: &[Group] = &[
    group(
        Effective,
        P0,
        "how one of several deployments is chosen; this version shuffles by weight",
        &[("routing_strategy", STRATEGIES)],
    ),
    group(Effective, P0, "seconds that one attempt may take (default 6000)", &[("timeout", Seconds)]),
    group(Effective, P1, "seconds that one streamed attempt may take", &[("stream_timeout", Seconds)]),
    group(
        Effective,
        P1,
        "other names for model groups: `alias: group` or `alias: {model: group, hidden: true}`",
        &[("model_group_alias", Map)],
    ),
    group(
        Effective,
        P2,
        "`litellm_params` that every deployment has unless it says otherwise",
        &[("default_litellm_params", Map)],
    ),
    group(NotYet, P1, "options of the strategy", &[("routing_strategy_args", Map)]),
    group(NotYet, P2, "a strategy per group of models", &[("routing_groups", List)]),
    group(NotYet, P0, "retries after the first try (2)", &[("num_retries", Integer)]),
    group(NotYet, P1, "shortest wait before a retry, in seconds (0)", &[("retry_after", Number)]),
    group(
        NotYet,
        P1,
        "retries per class of error",
        &[("retry_policy", Map), ("model_group_retry_policy", Map)],
    ),
    group(
        NotYet,
        P0,
        "models to turn to when a group fails: `[{\"group\": [\"other\", …]}]`, `\"*\"` for any group",
        &[
            ("fallbacks", List),
            ("context_window_fallbacks", List),
            ("content_policy_fallbacks", List),
            ("default_fallbacks", TextList),
        ],
    ),
    group(NotYet, P1, "how many fallbacks in a row (5)", &[("max_fallbacks", Integer)]),
    group(
        NotYet,
        P0,
        "when a failing deployment is left alone, and for how long (5 s)",
        &[
            ("allowed_fails", Integer),
            ("allowed_fails_policy", Map),
            ("cooldown_time", Number),
            ("disable_cooldowns", Bool),
        ],
    ),
    group(
        NotYet,
        P1,
        "which deployments fit a request, tested before it is sent",
        &[("enable_pre_call_checks", Bool), ("optional_pre_call_checks", TextList)],
    ),
    group(
        NotYet,
        P2,
        "the same caller on the same deployment",
        &[("deployment_affinity_ttl_seconds", Integer), ("model_group_affinity_config", Map)],
    ),
    group(
        NotYet,
        P1,
        "deployments chosen by the tags of a request",
        &[("enable_tag_filtering", Bool), ("tag_filtering_match_any", Bool), ("tag_routing_prefix", Text)],
    ),
    group(NotYet, P2, "budgets per provider", &[("provider_budget_config", Map)]),
    group(
        NotYet,
        P2,
        "deployments that failed the last health check are left out",
        &[
            ("enable_health_check_routing", Bool),
            ("health_check_staleness_threshold", Integer),
            ("health_check_ignore_transient_errors", Bool),
            ("background_health_check_model_groups", TextList),
        ],
    ),
    group(
        NotYet,
        P2,
        "on failure, another pick by weight in the same group",
        &[("enable_weighted_failover", Bool)],
    ),
    group(
        NotYet,
        P0,
        "Redis that several instances share",
        &[
            ("redis_url", Secret),
            ("redis_host", Text),
            ("redis_port", Integer),
            ("redis_password", Secret),
            ("redis_db", Integer),
        ],
    ),
    group(
        NotYet,
        P2,
        "the router's cache",
        &[
            ("cache_responses", Bool),
            ("cache_kwargs", Map),
            ("caching_groups", List),
            ("client_ttl", Integer),
        ],
    ),
    group(
        NotYet,
        P2,
        "scheduling of requests",
        &[
            ("default_max_parallel_requests", Integer),
            ("default_priority", Integer),
            ("polling_interval", Number),
        ],
    ),
    group(
        NoEffect,
        P3,
        "internals of LiteLLM's router",
        &[
            ("ignore_invalid_deployments", Bool),
            ("router_general_settings", Map),
            ("alerting_config", Any),
            ("set_verbose", Bool),
            ("debug_level", Text),
            ("plugins", Any),
            ("guardrail_list", Any),
            ("search_tools", Any),
            ("assistants_config", Any),
            ("model_list", Any),
            ("fallback_access_check", Any),
            ("fallback_budget_check", Any),
            ("auto_router_capability_limit", Any),
        ],
    ),
];

pub(super) const ALIAS: &[Group] = &[
    group(Effective, P1, "the group that the alias stands for", &[("model", Text)]),
    group(Effective, P1, "whether model lists leave the alias out (false)", &[("hidden", Bool)]),
];

pub(super) const RETRY_POLICY: &[Group] = &[group(
    NotYet,
    P1,
    "retries for this class of error",
    &[
        ("BadRequestErrorRetries", Integer),
        ("AuthenticationErrorRetries", Integer),
        ("TimeoutErrorRetries", Integer),
        ("RateLimitErrorRetries", Integer),
        ("ContentPolicyViolationErrorRetries", Integer),
        ("InternalServerErrorRetries", Integer),
        ("ServiceUnavailableErrorRetries", Integer),
        ("NotFoundErrorRetries", Integer),
        ("DefaultRetries", Integer),
    ],
)];

pub(super) const ALLOWED_FAILS_POLICY: &[Group] = &[group(
    NotYet,
    P1,
    "failures of this class before a deployment is left alone",
    &[
        ("BadRequestErrorAllowedFails", Integer),
        ("AuthenticationErrorAllowedFails", Integer),
        ("TimeoutErrorAllowedFails", Integer),
        ("RateLimitErrorAllowedFails", Integer),
        ("ContentPolicyViolationErrorAllowedFails", Integer),
        ("InternalServerErrorAllowedFails", Integer),
        ("ServiceUnavailableErrorAllowedFails", Integer),
        ("NotFoundErrorAllowedFails", Integer),
        ("DefaultAllowedFails", Integer),
    ],
)];

pub(super) const ROUTING_GROUP: &[Group] = &[group(
    NotYet,
    P2,
    "a strategy for these models",
    &[
        ("group_name", Text),
        ("models", TextList),
        ("routing_strategy", Text),
        ("routing_strategy_args", Map),
        ("model_priorities", Map),
    ],
)];
