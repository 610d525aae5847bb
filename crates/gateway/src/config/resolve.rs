//! The tree, checked and with its variables filled in, becomes a [`Config`].
//!
//! Values are read leniently here: whatever does not fit was reported by the checks, and an error among the reports
//! keeps the result from being used.

mod alerts;
mod books;
mod cache;
mod deployment;
mod layers;
mod routing;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::ProviderCheck;
use super::diagnose::{Diagnosis, Finding, ProblemKind};
use super::keys::Section;
use super::raw::{Mapping, Node, Origin, Span};
use super::references::{Environment, is_foreign_reference};
use super::resolved::{
    Config, GeneralSettings, LitellmSettings, LogFormat, LogLevel, MasterKey, ModelAlias, RouterSettings,
    TlsVerify, TollwaySettings,
};
use crate::health::HealthChecks;
use layers::Layers;
use tollway::Secret;

#[cfg(test)]
pub(crate) use layers::consulted;

/// LiteLLM's `request_timeout` when nothing is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(6000);

/// Makes a configuration of a whole tree; `start` is the place to report what is missing altogether.
pub(crate) fn resolve(
    root: &Mapping,
    start: &Span,
    environment: &Environment<'_>,
    provider: ProviderCheck<'_>,
    diagnosis: &mut Diagnosis,
) -> Config {
    let top = Layers::of(Section::TopLevel, root);
    let router_mapping = top.mapping("router_settings");
    let router = Layers::maybe(Section::RouterSettings, router_mapping);
    let litellm = Layers::maybe(Section::LitellmSettings, top.mapping("litellm_settings"));
    let general = Layers::maybe(Section::GeneralSettings, top.mapping("general_settings"));
    let tollway = Layers::maybe(Section::Tollway, top.mapping("tollway"));

    let defaults = router.mapping("default_litellm_params");
    let mut deployments = deployment::all(&top, defaults, provider, diagnosis);
    let most = router.count("default_max_parallel_requests");
    for deployment in &mut deployments {
        let own = &mut deployment.routing.max_parallel_requests;
        *own = own.or(most);
    }
    let mut places = routing::Places::default();
    let aliases = aliases(&router, &mut places, diagnosis);
    let sections = routing::Sections { router: &router, litellm: &litellm, tollway: &tollway };
    let routing = routing::settings(&sections, &aliases, &mut places, diagnosis);
    let routing = routing::checked(routing, &deployments, places, start, diagnosis);
    let turn_off_message_logging = litellm.bool("turn_off_message_logging").unwrap_or(false);
    let bounds = cache::Bounds::of(&tollway);
    let books = books::config([&general, &litellm, &router, &tollway], start, environment, diagnosis);
    let alerts = alerts::settings(&general, &tollway, environment, diagnosis);
    let mut tollway = tollway_settings(&tollway, &litellm, &general);
    tollway.trace_bodies &= !turn_off_message_logging;
    Config {
        deployments,
        aliases,
        general: general_settings(&general, start, environment, diagnosis),
        litellm: LitellmSettings {
            cache: cache::settings(&litellm, &bounds, environment),
            ..litellm_settings(&litellm, turn_off_message_logging, environment)
        },
        router: RouterSettings {
            redis: cache::shared(&router, &litellm, environment),
            ..router_settings(&router)
        },
        routing,
        books,
        alerts,
        tollway,
        environment_variables: top
            .get("environment_variables")
            .map(|_| &environment.set_by_file)
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), Secret::new(value.as_str())))
            .collect(),
    }
}

fn aliases(
    router: &Layers<'_>,
    places: &mut routing::Places,
    diagnosis: &mut Diagnosis,
) -> BTreeMap<String, ModelAlias> {
    let mut aliases = BTreeMap::new();
    let written =
        router.mapping("model_group_alias").map(|mapping| mapping.pairs.as_slice()).unwrap_or_default();
    for pair in written {
        let alias = match pair.value.mapping() {
            Some(long) => {
                let long = Layers::of(Section::Alias, long);
                long.text("model")
                    .map(|model| ModelAlias { model, hidden: long.bool("hidden").unwrap_or(false) })
            }
            None => layers::text(&pair.value).map(|model| ModelAlias { model, hidden: false }),
        };
        let Some(alias) = alias else {
            diagnosis.report(
                &pair.value.span,
                Finding::warning(
                    ProblemKind::WrongType,
                    format!("the alias `{}` is left out: it names no group", pair.key.name),
                )
                .expected("`alias: group` or `alias: {model: group, hidden: true}`")
                .found(pair.value.kind()),
            );
            continue;
        };
        places.alias(&pair.key.name, &alias.model, &pair.value.span);
        aliases.insert(pair.key.name.clone(), alias);
    }
    aliases
}

fn general_settings(
    general: &Layers<'_>,
    start: &Span,
    environment: &Environment<'_>,
    diagnosis: &mut Diagnosis,
) -> GeneralSettings {
    let settings = GeneralSettings {
        master_key: master_key(general, environment),
        permit_weak_master_key: general.bool("dangerously_permit_weak_or_unset_master_key").unwrap_or(false)
            || environment.flag("LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"),
        key_header_name: general.text("litellm_key_header_name").map(|name| name.to_ascii_lowercase()),
        forward_client_headers: general.bool("forward_client_headers_to_llm_api").unwrap_or(false),
        infer_model_from_keys: general.bool("infer_model_from_keys").unwrap_or(false),
        always_include_stream_usage: general.bool("always_include_stream_usage").unwrap_or(false),
        health_checks: health_checks(general),
        allow_mock_testing: general.bool("dangerously_allow_mock_testing_request_params").unwrap_or(false),
    };
    let problem = match settings.master_key {
        MasterKey::Set(_) => return settings,
        MasterKey::Weak(_) => "the master key is one that everyone knows; the server will not start with it",
        MasterKey::Unset => "there is no master key; the server will listen to this machine only",
    };
    let unset_variable = general
        .written("master_key")
        .and_then(Node::scalar)
        .is_some_and(|scalar| matches!(scalar.origin, Origin::Unset(_)));
    // An unset variable is an error already.
    if !settings.may_serve() && !unset_variable {
        let span = general.written("master_key").map_or(start, |node| &node.span);
        diagnosis.report(
            span,
            Finding::warning(ProblemKind::WeakMasterKey, problem)
                .expected("`general_settings.master_key: os.environ/LITELLM_MASTER_KEY`, or that variable")
                .help("make one with `openssl rand -hex 32`, starting with `sk-`"),
        );
    }
    settings
}

/// LiteLLM's intervals: 300 s, and as many checks at a time as there are deployments; ten are enough.
fn health_checks(general: &Layers<'_>) -> Option<HealthChecks> {
    general.bool("background_health_checks").unwrap_or(false).then(|| HealthChecks {
        interval: general.seconds("health_check_interval").unwrap_or(Duration::from_secs(300)),
        concurrency: general
            .integer("health_check_concurrency")
            .map_or(10, |checks| usize::try_from(checks).unwrap_or(usize::MAX)),
        groups: general.texts("background_health_check_model_groups"),
    })
}

/// The key in the file, or else in the environment; LiteLLM refuses to serve with its documentation's example.
fn master_key(general: &Layers<'_>, environment: &Environment<'_>) -> MasterKey {
    let written = general.text("master_key");
    let Some(key) =
        written.or_else(|| environment.get("LITELLM_MASTER_KEY")).filter(|key| !key.trim().is_empty())
    else {
        return MasterKey::Unset;
    };
    if key.trim() == "sk-1234" || is_foreign_reference(&key) {
        MasterKey::Weak(Secret::new(key))
    } else {
        MasterKey::Set(Secret::new(key))
    }
}

fn litellm_settings(
    litellm: &Layers<'_>,
    turn_off_message_logging: bool,
    environment: &Environment<'_>,
) -> LitellmSettings {
    let seconds = |name: &str| environment.get(name)?.trim().parse().ok().and_then(layers::duration);
    LitellmSettings {
        drop_params: litellm.bool("drop_params").unwrap_or_else(|| environment.flag("LITELLM_DROP_PARAMS")),
        modify_params: litellm.bool("modify_params").unwrap_or(false),
        request_timeout: litellm.seconds("request_timeout").or_else(|| seconds("REQUEST_TIMEOUT")),
        tls: litellm
            .tls("ssl_verify")
            .or_else(|| environment.get("SSL_VERIFY").map(|text| layers::tls_from_text(&text)))
            .unwrap_or(TlsVerify::System),
        ssl_certificate: litellm
            .text("ssl_certificate")
            .or_else(|| environment.get("SSL_CERTIFICATE"))
            .map(PathBuf::from),
        enable_azure_ad_token_refresh: litellm.bool("enable_azure_ad_token_refresh").unwrap_or(false),
        use_chat_completions_url_for_anthropic_messages: litellm
            .bool("use_chat_completions_url_for_anthropic_messages")
            .unwrap_or(false),
        model_alias_map: litellm
            .mapping("model_alias_map")
            .map(|mapping| layers::texts_by_name(mapping).collect())
            .unwrap_or_default(),
        turn_off_message_logging,
        cache: None,
    }
}

fn router_settings(router: &Layers<'_>) -> RouterSettings {
    RouterSettings {
        timeout: router.seconds("timeout").unwrap_or(DEFAULT_TIMEOUT),
        stream_timeout: router.seconds("stream_timeout"),
        redis: None,
    }
}

fn tollway_settings(tollway: &Layers<'_>, litellm: &Layers<'_>, general: &Layers<'_>) -> TollwaySettings {
    let unsaid = TollwaySettings::default();
    let smaller = |bytes: Option<u64>, megabytes: Option<f64>, default: u64| {
        let megabytes = megabytes.map(layers::mebibytes);
        bytes.into_iter().chain(megabytes).min().unwrap_or(default)
    };
    let json_logs = litellm.bool("json_logs").unwrap_or(false);
    let verbose = litellm.bool("set_verbose").unwrap_or(false);
    TollwaySettings {
        host: tollway.text("host").unwrap_or(unsaid.host),
        port: tollway.integer("port").and_then(|port| port.try_into().ok()).unwrap_or(unsaid.port),
        max_request_bytes: smaller(
            tollway.integer("max_request_bytes"),
            general.number("max_request_size_mb"),
            unsaid.max_request_bytes,
        ),
        max_header_bytes: tollway.integer("max_header_bytes").unwrap_or(unsaid.max_header_bytes),
        max_json_depth: tollway.integer("max_json_depth").unwrap_or(unsaid.max_json_depth),
        max_response_bytes: smaller(
            tollway.integer("max_response_bytes"),
            general.number("max_response_size_mb"),
            unsaid.max_response_bytes,
        ),
        max_connections: tollway.integer("max_connections").unwrap_or(unsaid.max_connections),
        client_write_timeout: tollway
            .seconds("client_write_timeout_s")
            .unwrap_or(unsaid.client_write_timeout),
        client_read_timeout: tollway.seconds("client_read_timeout_s").unwrap_or(unsaid.client_read_timeout),
        connect_timeout: tollway.seconds("connect_timeout_s").unwrap_or(unsaid.connect_timeout),
        pool_idle_timeout: tollway.seconds("pool_idle_timeout_s").unwrap_or(unsaid.pool_idle_timeout),
        first_token_timeout: tollway.seconds("first_token_timeout_s"),
        inter_token_timeout: tollway.seconds("inter_token_timeout_s"),
        shutdown_grace: tollway.seconds("shutdown_grace_s").unwrap_or(unsaid.shutdown_grace),
        trace_capacity: tollway.integer("trace_capacity").unwrap_or(unsaid.trace_capacity),
        trace_bodies: tollway.bool("trace_bodies").unwrap_or(unsaid.trace_bodies),
        log_format: match tollway.text("log_format").as_deref() {
            Some("json") => LogFormat::Json,
            Some(_) => LogFormat::Text,
            None if json_logs => LogFormat::Json,
            None => unsaid.log_format,
        },
        log_level: match tollway.text("log_level").as_deref() {
            Some("error") => LogLevel::Error,
            Some("warn") => LogLevel::Warn,
            Some("debug") => LogLevel::Debug,
            Some("trace") => LogLevel::Trace,
            Some(_) => LogLevel::Info,
            None if verbose => LogLevel::Debug,
            None => unsaid.log_level,
        },
        watch: tollway.bool("watch").unwrap_or(unsaid.watch),
    }
}
