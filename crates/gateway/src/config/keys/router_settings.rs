//! `router_settings` and what is nested in it.

use super::Kind::{Any, Bool, Fallbacks, Integer, List, Map, Number, OneOf, Seconds, Secret, Text, TextList};
use super::Priority::{P0, P1, P2, P3};
use super::Status::{Effective, NoEffect, NotYet};
use super::{Group, Kind, group};

/// Ours and those that LiteLLM knows; a name outside its list keeps LiteLLM from starting.
const STRATEGIES: Kind = OneOf(&[
    "balanced",
    "simple-shuffle",
    "least-busy",
    "usage-based-routing",
    "usage-based-routing-v2",
    "latency-based-routing",
    "cost-based-routing",
    "provider-budget-routing",
    "lar1",
]);

/// Those of `routing_groups`, which may also rank models.
const GROUP_STRATEGIES: Kind = OneOf(&[
    "balanced",
    "simple-shuffle",
    "least-busy",
    "usage-based-routing",
    "usage-based-routing-v2",
    "latency-based-routing",
    "cost-based-routing",
    "priority",
]);

/// Values of `optional_pre_call_checks` that this version acts on, or does in any case.
pub(crate) const PRE_CALL_CHECKS: &[&str] = &[
    "prompt_caching",
    "deployment_affinity",
    "session_affinity",
    "responses_api_deployment_check",
    "encrypted_content_affinity",
    "enforce_model_rate_limits",
    "router_budget_limiting",
];

/// The other values that LiteLLM knows.
pub(crate) const OTHER_PRE_CALL_CHECKS: &[&str] = &["forward_client_headers_by_model_group"];

pub(super) const KEYS: &[Group] = &[
    group(
        Effective,
        P0,
        "how one of several deployments is chosen (balanced: by weight, else the better of two by load and latency)",
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
    group(Effective, P1, "options of latency-based-routing", &[("routing_strategy_args", Map)]),
    group(Effective, P2, "another strategy for some models", &[("routing_groups", List)]),
    group(Effective, P0, "retries after the first try (2)", &[("num_retries", Integer)]),
    group(Effective, P1, "shortest wait before a retry, in seconds (0)", &[("retry_after", Number)]),
    group(
        Effective,
        P1,
        "retries per class of error",
        &[("retry_policy", Map), ("model_group_retry_policy", Map)],
    ),
    group(
        Effective,
        P0,
        "models to turn to when a group fails: `[{\"group\": [\"other\", …]}]`, `\"*\"` for any group",
        &[
            ("fallbacks", Fallbacks),
            ("context_window_fallbacks", Fallbacks),
            ("content_policy_fallbacks", Fallbacks),
            ("default_fallbacks", TextList),
        ],
    ),
    group(Effective, P1, "how many fallbacks in a row (5)", &[("max_fallbacks", Integer)]),
    group(
        Effective,
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
        Effective,
        P1,
        "which deployments fit a request, tested before it is sent",
        &[("enable_pre_call_checks", Bool), ("optional_pre_call_checks", TextList)],
    ),
    group(
        NoEffect,
        P2,
        "a caller's deployment follows from a hash of who it is; nothing is stored that could expire",
        &[("deployment_affinity_ttl_seconds", Integer)],
    ),
    group(NotYet, P3, "affinity per group", &[("model_group_affinity_config", Map)]),
    group(
        Effective,
        P1,
        "deployments chosen by the tags of a request",
        &[("enable_tag_filtering", Bool), ("tag_filtering_match_any", Bool), ("tag_routing_prefix", Text)],
    ),
    group(
        Effective,
        P2,
        "budgets of providers: `openai: {budget_limit: 100, time_period: 1d}`; one that is spent is not asked",
        &[("provider_budget_config", Map)],
    ),
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
        Effective,
        P2,
        "on failure, another pick by weight in the same group",
        &[("enable_weighted_failover", Bool)],
    ),
    group(
        Effective,
        P0,
        "Redis through which several instances share cooldowns, rpm and tpm (else the cache's)",
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
        Effective,
        P2,
        "requests at a time on a deployment that does not say so itself",
        &[("default_max_parallel_requests", Integer)],
    ),
    group(
        NotYet,
        P2,
        "scheduling of requests",
        &[("default_priority", Integer), ("polling_interval", Number)],
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

pub(super) const BUDGET: &[Group] = &[
    group(Effective, P2, "USD (or `max_budget`)", &[("budget_limit", Number), ("max_budget", Number)]),
    group(
        Effective,
        P2,
        "in how long: `1d`, `7d`, `1mo` (or `budget_duration`; for good)",
        &[("time_period", Text), ("budget_duration", Text)],
    ),
];

pub(super) const RETRY_POLICY: &[Group] = &[group(
    Effective,
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
    Effective,
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

pub(super) const ROUTING_GROUP: &[Group] = &[
    group(
        Effective,
        P2,
        "the strategy for these models",
        &[("models", TextList), ("routing_strategy", GROUP_STRATEGIES), ("routing_strategy_args", Map)],
    ),
    group(NotYet, P2, "a name for all of these models together", &[("group_name", Text)]),
    group(NotYet, P2, "models of which the first that works answers", &[("model_priorities", Map)]),
];

pub(super) const STRATEGY_ARGS: &[Group] = &[
    group(Effective, P1, "seconds that a measured latency counts (3600)", &[("ttl", Seconds)]),
    group(
        Effective,
        P1,
        "how much slower than the fastest is as good as it, as a share of it (0)",
        &[("lowest_latency_buffer", Number)],
    ),
    group(
        Effective,
        P1,
        "how many latencies of a deployment are remembered (10, at most 100)",
        &[("max_latency_list_size", Integer)],
    ),
    group(NotYet, P3, "which of the times to the first token counts", &[("ttft_percentile", Number)]),
];
