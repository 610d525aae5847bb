//! What a configuration says, as the gateway gets it.

use std::time::Duration;

use super::super::keys::{self, Section, Status};
use super::super::{
    CacheMode, LogFormat, LogLevel, MasterKey, ModelAlias, ProblemKind, Quantization, RedisTarget, Secret,
    SemanticSettings, StoreSettings, TlsVerify, VectorSettings,
};
use super::{config, load};
use crate::config::resolve::consulted;

/// A file in which every effective key of the fixed sections is set.
const EVERYTHING: &str = r#"
include: []
environment_variables:
  SET_BY_FILE: of-the-file
credential_list:
  - credential_name: main
    credential_values: {api_key: of-the-credential, organization: of-the-credential}
    credential_info: {description: the account}
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o
      custom_llm_provider: azure
      litellm_credential_name: main
      api_base: https://example.com
      api_version: 2024-10-21
      organization: of-the-entry
      headers: {X-A: "1", X-B: "1"}
      extra_headers: {X-B: "2"}
      extra_body: {nested: {deep: [1, 2.5, true, null]}}
      ssl_verify: false
      timeout: 1.5
      stream_timeout: "20"
      weight: 0.5
      rpm: 60
      tpm: 1000
      drop_params: true
      additional_drop_params: [user, "tools[*].strict"]
      allowed_openai_params: [seed]
      mock_response: hello
      aws_region_name: eu-central-1
      aws_secret_access_key: os.environ/SET_BY_FILE
      client_secret: os.environ/NOT_SET
      vertex_project: project
      vertex_location: europe-west1
      vertex_credentials: {type: service_account}
      temperature: 0.2
      max_tokens: 100
      top_m: 7
      num_retries: 4
      api_kye: lost
      input_cost_per_token: 2.5e-06
    model_info:
      id: primary
      mode: chat
      base_model: gpt-4o-2024-08-06
      input_cost_per_token: 1
      output_cost_per_token: 0.000010000000000000000001
      cache_read_input_token_cost: -1
      max_input_tokens: 128000
      max_output_tokens: 4096
      max_tokens: 4096
      color: blue
router_settings:
  routing_strategy: simple-shuffle
  routing_groups: [{models: [gpt-4o], routing_strategy: balanced}]
  timeout: 100
  stream_timeout: 50
  model_group_alias:
    gpt-4: gpt-4o
    old: {model: gpt-4o, hidden: true}
  default_litellm_params: {organization: of-all, seed: 1, temperature: 0.9}
litellm_settings:
  drop_params: true
  modify_params: true
  request_timeout: os.environ/REQUEST_SECONDS
  ssl_verify: /etc/ca.pem
  ssl_certificate: /etc/client.pem
  set_verbose: true
  json_logs: true
  use_chat_completions_url_for_anthropic_messages: true
  enable_azure_ad_token_refresh: true
  model_alias_map: {short: gpt-4o}
  turn_off_message_logging: true
  cache: true
  cache_params:
    type: redis
    host: os.environ/REDIS_ADDRESS
    port: "6380"
    password: hunter2
    ssl: true
    ssl_cert_reqs: none
    db: 3
    ttl: 60
    namespace: team
    mode: default_off
    supported_call_types: [acompletion, embedding]
    max_messages: 4
    max_connections: 100
    socket_timeout: 5
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  dangerously_permit_weak_or_unset_master_key: true
  litellm_key_header_name: X-Team-Key
  max_request_size_mb: 0.5
  max_response_size_mb: 1000
  forward_client_headers_to_llm_api: true
  infer_model_from_keys: true
tollway:
  host: 127.0.0.1
  port: 8080
  max_request_bytes: 1000000
  max_header_bytes: 1
  max_json_depth: 2
  max_response_bytes: 3
  max_connections: 4
  client_read_timeout_s: 5
  connect_timeout_s: 6
  pool_idle_timeout_s: 7
  shutdown_grace_s: 8
  trace_capacity: 9
  trace_bodies: true
  log_level: warn
  watch: false
  hedge: {max_percent: 1}
  canary: [{model: gpt-4o, to: gpt-4, percent: 0}]
"#;

#[test]
fn a_deployment_has_its_own_values_over_its_credentials_over_the_defaults() {
    let config = config(EVERYTHING);
    let [deployment] = config.deployments.as_slice() else { panic!("one deployment") };
    assert_eq!(deployment.id.as_str(), "primary");
    assert_eq!(deployment.model_name, "gpt-4o");
    assert_eq!(deployment.model, "azure/gpt-4o");
    assert_eq!(deployment.custom_llm_provider.as_deref(), Some("azure"));
    assert_eq!(deployment.place, "config.yaml:10");

    let connection = &deployment.connection;
    assert_eq!(connection.api_key.as_ref().map(Secret::expose), Some("of-the-credential"));
    assert_eq!(connection.api_base.as_deref(), Some("https://example.com"));
    assert_eq!(connection.api_version.as_deref(), Some("2024-10-21"));
    assert_eq!(connection.organization.as_deref(), Some("of-the-entry"));
    let headers: Vec<(&str, &str)> =
        connection.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("X-A", "1"), ("X-B", "2")]);
    assert_eq!(
        serde_json::json!(connection.extra_body),
        serde_json::json!({"nested": {"deep": [1, 2.5, true, null]}})
    );
    assert_eq!(connection.tls, Some(TlsVerify::Off));

    assert_eq!(deployment.aws.aws_region_name.as_deref(), Some("eu-central-1"));
    assert_eq!(deployment.aws.aws_secret_access_key.as_ref().map(Secret::expose), Some("of-the-file"));
    let credentials = deployment.vertex.credentials.as_ref().map(Secret::expose);
    assert_eq!(credentials, Some(r#"{"type":"service_account"}"#));

    assert_eq!(deployment.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(deployment.stream_timeout, Some(Duration::from_secs(20)));
    assert_eq!(deployment.parameters.drop_params, Some(true));
    assert_eq!(deployment.parameters.additional_drop_params, ["user", "tools[*].strict"]);
    assert_eq!(deployment.parameters.allowed_openai_params, ["seed"]);
    assert_eq!(deployment.mock_response, Some("hello".into()));
}

#[test]
fn request_defaults_are_parameters_and_unknown_keys_but_no_settings_and_no_mistakes() {
    let config = config(EVERYTHING);
    let defaults = serde_json::json!(config.deployments[0].defaults);
    assert_eq!(defaults, serde_json::json!({"temperature": 0.2, "max_tokens": 100, "top_m": 7, "seed": 1}));
}

#[test]
fn a_variable_that_is_not_set_is_known_to_the_deployment_that_needs_it() {
    let config = config(EVERYTHING);
    let missing = &config.deployments[0].missing;
    assert_eq!(missing.len(), 1);
    assert_eq!((missing[0].key.as_str(), missing[0].variable.as_str()), ("client_secret", "NOT_SET"));
}

#[test]
fn prices_keep_their_digits_and_a_negative_one_is_none() {
    let config = config(EVERYTHING);
    let info = &config.deployments[0].info;
    let prices: Vec<(&str, &str)> =
        info.prices.iter().map(|(name, price)| (name.as_str(), price.get())).collect();
    assert_eq!(
        prices,
        [("input_cost_per_token", "2.5e-06"), ("output_cost_per_token", "0.000010000000000000000001")]
    );
    assert_eq!(info.mode.as_deref(), Some("chat"));
    assert_eq!(info.base_model.as_deref(), Some("gpt-4o-2024-08-06"));
    assert_eq!(
        (info.max_tokens, info.max_input_tokens, info.max_output_tokens),
        (Some(4096), Some(128_000), Some(4096))
    );
    assert_eq!(info.shown["color"], "blue");
}

#[test]
fn settings_are_resolved_to_one_value_each() {
    let config = config(EVERYTHING);
    let litellm = &config.litellm;
    assert!(litellm.drop_params && litellm.modify_params && litellm.turn_off_message_logging);
    assert!(litellm.use_chat_completions_url_for_anthropic_messages && litellm.enable_azure_ad_token_refresh);
    assert_eq!(litellm.request_timeout, Some(Duration::from_secs(30)));
    assert_eq!(litellm.tls, TlsVerify::Bundle("/etc/ca.pem".into()));
    assert_eq!(litellm.ssl_certificate.as_deref(), Some("/etc/client.pem".as_ref()));
    assert_eq!(litellm.model_alias_map["short"], "gpt-4o");

    assert_eq!(config.router.timeout, Duration::from_secs(100));
    assert_eq!(config.router.stream_timeout, Some(Duration::from_secs(50)));
    assert_eq!(config.aliases["gpt-4"], ModelAlias { model: "gpt-4o".into(), hidden: false });
    assert_eq!(config.aliases["old"], ModelAlias { model: "gpt-4o".into(), hidden: true });

    let general = &config.general;
    assert!(
        matches!(&general.master_key, MasterKey::Set(key) if key.expose() == "sk-master-from-the-environment")
    );
    assert!(
        general.permit_weak_master_key && general.forward_client_headers && general.infer_model_from_keys
    );
    assert_eq!(general.key_header_name.as_deref(), Some("x-team-key"));
    assert_eq!(config.environment_variables["SET_BY_FILE"].expose(), "of-the-file");

    let tollway = &config.tollway;
    assert_eq!((tollway.host.as_str(), tollway.port), ("127.0.0.1", 8080));
    // The smaller of two bounds counts: half a mebibyte here, three bytes there.
    assert_eq!((tollway.max_request_bytes, tollway.max_response_bytes), (524_288, 3));
    assert_eq!((tollway.max_header_bytes, tollway.max_json_depth, tollway.max_connections), (1, 2, 4));
    assert_eq!(tollway.client_read_timeout, Duration::from_secs(5));
    assert_eq!(tollway.connect_timeout, Duration::from_secs(6));
    assert_eq!(tollway.pool_idle_timeout, Duration::from_secs(7));
    assert_eq!(tollway.shutdown_grace, Duration::from_secs(8));
    assert_eq!(tollway.trace_capacity, 9);
    assert!(!tollway.trace_bodies, "`turn_off_message_logging` wins");
    assert_eq!((tollway.log_format, tollway.log_level), (LogFormat::Json, LogLevel::Warn));
    assert!(!tollway.watch);
}

#[test]
fn a_cache_is_resolved_with_its_bounds() {
    let cache = config(EVERYTHING).litellm.cache.expect("it is on");
    assert_eq!(cache.ttl, Duration::from_secs(60));
    assert_eq!(cache.namespace.as_deref(), Some("team"));
    assert_eq!(cache.mode, CacheMode::DefaultOff);
    assert_eq!(cache.call_types.as_deref(), Some(&["acompletion".to_owned(), "embedding".to_owned()][..]));
    assert_eq!((cache.max_messages, cache.max_bytes, cache.max_entry_bytes), (Some(4), 256 << 20, 1 << 20));
    let StoreSettings::Redis(redis) = cache.store else { panic!("a Redis cache") };
    assert_eq!(redis.target, RedisTarget::Single { host: "redis.internal".into(), port: 6380 });
    assert_eq!(redis.password.as_ref().map(Secret::expose), Some("hunter2"));
    assert_eq!(redis.database, Some(3));
    assert!(redis.tls.is_some_and(|tls| tls.accept_any_certificate));
    // No request waits longer than this, and commands share a few connections.
    assert_eq!((redis.timeout, redis.connections), (Duration::from_millis(50), 16));
}

#[test]
fn every_kind_of_redis_is_reached() {
    let target = |params: &str| {
        let config = config(&format!("litellm_settings: {{cache: true, cache_params: {{{params}}}}}"));
        match config.litellm.cache.map(|cache| cache.store) {
            Some(StoreSettings::Redis(redis)) => redis.target,
            other => panic!("{params}: {other:?}"),
        }
    };
    let node = |host: &str, port| (host.to_owned(), port);
    assert_eq!(target("url: 'redis://r'"), RedisTarget::Url(Secret::new("redis://r")));
    assert_eq!(target("unix_socket_path: /run/r"), RedisTarget::Socket("/run/r".into()));
    assert_eq!(
        target("redis_startup_nodes: [{host: a, port: 7000}, {host: b}]"),
        RedisTarget::Cluster(vec![node("a", 7000), node("b", 6379)])
    );
    assert_eq!(
        target("service_name: main, sentinel_nodes: [[a, 26380], [b, 26379]], sentinel_password: p"),
        RedisTarget::Sentinel {
            nodes: vec![node("a", 26380), node("b", 26379)],
            service: "main".into(),
            password: Some(Secret::new("p")),
        }
    );
}

#[test]
fn instances_share_through_the_routers_redis_else_the_caches() {
    let target = |settings: &str| config(settings).router.redis.map(|redis| (redis.target, redis.database));
    let router = "router_settings: {redis_host: r, redis_port: 7000, redis_password: p, redis_db: 3}";
    let cache =
        |kind: &str| format!("litellm_settings: {{cache: true, cache_params: {{type: {kind}, host: c}}}}");
    let of_router = Some((RedisTarget::Single { host: "r".into(), port: 7000 }, Some(3)));
    assert_eq!(target(router), of_router);
    assert_eq!(target(&format!("{router}\n{}", cache("redis"))), of_router);
    let url = "router_settings: {redis_url: 'redis://u'}";
    assert_eq!(target(url), Some((RedisTarget::Url(Secret::new("redis://u")), None)));
    assert_eq!(target(&cache("redis")), Some((RedisTarget::Single { host: "c".into(), port: 6379 }, None)));
    assert_eq!(target(&cache("local")), None);
    assert_eq!(target("router_settings: {num_retries: 1}"), None);
}

#[test]
fn a_cache_is_kept_where_it_says() {
    let cache = |params: &str| {
        let loaded = load(&format!("litellm_settings: {{cache: true, cache_params: {{{params}}}}}"));
        let doubted =
            loaded.report.problems.iter().any(|problem| problem.kind == ProblemKind::NotYetEffective);
        let cache = loaded.config.expect("it has no errors").litellm.cache;
        assert_eq!(cache.is_none(), doubted, "a cache is kept, or it is said that there is none: {params}");
        cache
    };
    let local = cache("type: local, max_size_in_memory: 200").expect("it is on");
    assert_eq!(local.store, StoreSettings::Memory { max_entries: Some(200) });
    assert_eq!(local.ttl, Duration::from_secs(600));
    let disk = cache("type: disk, disk_cache_dir: /var/cache/x").expect("it is on");
    assert_eq!(disk.store, StoreSettings::Disk { folder: "/var/cache/x".into() });
    assert_eq!(disk.ttl, Duration::from_secs(86_400));
    let similar = cache("type: semantic, similarity_threshold: 0.8, embedding_model: e").expect("it is on");
    assert_eq!(similar.store, StoreSettings::Memory { max_entries: None });
    let semantic = similar.semantic.expect("it is semantic");
    assert!((semantic.threshold - 0.8).abs() < 1e-6);
    assert_eq!((semantic.embedding_model.as_str(), semantic.timeout), ("e", Duration::from_secs(1)));
    assert_eq!(semantic.vectors, VectorSettings::Memory);
    let of_redis = cache(
        "type: redis-semantic, host: r, similarity_threshold: 0.8, redis_semantic_cache_embedding_model: e",
    );
    let of_redis = of_redis.expect("it is on");
    assert!(matches!(of_redis.store, StoreSettings::Redis(_)));
    assert_eq!(index_of(of_redis.semantic.expect("it is semantic")), ("e".to_owned(), "default".to_owned()));
    for kind in ["redis", "valkey"] {
        let params = format!("type: {kind}-semantic, host: r, similarity_threshold: 0.8");
        let named = cache(&format!("{params}, {kind}_semantic_cache_index_name: ours"));
        assert_eq!(index_of(named.and_then(|cache| cache.semantic).expect("it is semantic")).1, "ours");
    }
    assert_eq!(local.semantic, None);
    let key = "s3_aws_access_key_id: i, s3_aws_secret_access_key: s";
    let s3 = |params: &str| match cache(&format!("type: s3, {params}, {key}")).expect("it is on").store {
        StoreSettings::S3(s3) => s3,
        other => panic!("{other:?}"),
    };
    let of_aws = s3("s3_bucket_name: b, s3_region_name: eu-west-1, s3_path: p");
    assert_eq!(of_aws.endpoint, ("https".into(), "s3.eu-west-1.amazonaws.com".into()));
    assert_eq!((of_aws.in_path, of_aws.path.as_str(), of_aws.verify_tls), (false, "p", true));
    assert!(s3("s3_bucket_name: a.b").in_path);
    let own = s3("s3_bucket_name: b, s3_endpoint_url: 'http://minio:9000', s3_verify: false");
    assert_eq!(own.endpoint, ("http".into(), "minio:9000".into()));
    assert_eq!((own.in_path, own.verify_tls, own.region.as_str()), (true, false, "us-east-1"));
    assert_eq!(cache("type: s3, s3_bucket_name: b"), None);
    let gcs = "gcs_bucket_name: b, gcs_path: p/, gcs_path_service_account: /etc/account.json";
    let gcs = match cache(&format!("type: gcs, {gcs}")).expect("it is on").store {
        StoreSettings::Gcs(gcs) => gcs,
        other => panic!("{other:?}"),
    };
    assert_eq!((gcs.endpoint.as_str(), gcs.bucket.as_str()), ("https://storage.googleapis.com", "b"));
    assert_eq!((gcs.path.as_str(), gcs.anonymous), ("p/", false));
    assert_eq!(gcs.credentials, Some(Secret::new("/etc/account.json")));
    let azure = "azure_account_url: 'https://a.blob.core.windows.net/', azure_blob_container: c";
    let azure = match cache(&format!("type: azure-blob, {azure}")).expect("it is on").store {
        StoreSettings::AzureBlob(azure) => azure,
        other => panic!("{other:?}"),
    };
    assert_eq!((azure.account.as_str(), azure.container.as_str()), ("https://a.blob.core.windows.net", "c"));
    let qdrant = "qdrant_api_base: 'http://q', qdrant_collection_name: c, similarity_threshold: 0.8, \
                  qdrant_quantization_config: scalar";
    let qdrant = cache(&format!("type: qdrant-semantic, {qdrant}")).expect("it is on").semantic;
    let VectorSettings::Qdrant(qdrant) = qdrant.expect("it is semantic").vectors else {
        panic!("it is in Qdrant");
    };
    assert_eq!((qdrant.base.as_str(), qdrant.collection.as_str(), qdrant.key), ("http://q", "c", None));
    assert_eq!(qdrant.quantization, Some(Quantization::Scalar));
    assert_eq!(config("litellm_settings: {cache: false, cache_params: {type: local}}").litellm.cache, None);
}

/// The embedding model and the name of the index.
fn index_of(semantic: SemanticSettings) -> (String, String) {
    match semantic.vectors {
        VectorSettings::Redis(vectors) => (semantic.embedding_model, vectors.index),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_file_has_defaults() {
    let loaded = load("");
    let config = loaded.config.expect("an empty file is a configuration");
    assert!(config.deployments.is_empty() && config.aliases.is_empty());
    assert_eq!(config.tollway, super::super::TollwaySettings::default());
    assert_eq!(config.router.timeout, Duration::from_secs(6000));
    assert_eq!(config.litellm.tls, TlsVerify::System);
    assert!(config.general.may_serve());
}

#[test]
fn a_weak_or_missing_master_key_loads_and_does_not_serve() {
    for key in ["sk-1234", "'${LITELLM_MASTER_KEY}'", "''"] {
        let config = config(&format!("general_settings: {{master_key: {key}}}"));
        assert!(!config.general.may_serve(), "{key}");
    }
    let permitted =
        config("general_settings: {master_key: sk-1234, dangerously_permit_weak_or_unset_master_key: true}");
    assert!(permitted.general.may_serve());
}

#[test]
fn an_id_is_the_same_for_the_same_entry_however_it_is_written() {
    let id = |entry: &str| {
        let config = config(&format!("model_list: [{entry}]"));
        config.deployments[0].id.as_str().to_owned()
    };
    let written =
        id("{model_name: a, litellm_params: {model: openai/x, api_key: os.environ/OPENAI_API_KEY, rpm: 3}}");
    assert_eq!(written.len(), 64);
    assert!(written.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let same = id(
        "{litellm_params: {rpm: 3, api_key: 'os.environ/OPENAI_API_KEY', model: openai/x}, model_name: a}",
    );
    assert_eq!(written, same);
    let others = [
        "{model_name: b, litellm_params: {model: openai/x, api_key: os.environ/OPENAI_API_KEY, rpm: 3}}",
        "{model_name: a, litellm_params: {model: openai/x, api_key: os.environ/ANTHROPIC_API_KEY, rpm: 3}}",
        "{model_name: a, litellm_params: {model: openai/x, api_key: os.environ/OPENAI_API_KEY, rpm: 33}}",
        "{model_name: a, litellm_params: {model: openai/x, api_key: OPENAI_API_KEY, rpm: 3}}",
    ];
    for other in others {
        assert_ne!(written, id(other), "{other}");
    }
}

#[test]
fn nothing_prints_a_secret() {
    let config = config(EVERYTHING);
    let printed = format!("{config:?}");
    for secret in ["hunter2", "of-the-credential", "of-the-file", "master-from", "service_account\\\""] {
        assert!(!printed.contains(secret), "{secret}");
    }
}

#[test]
fn a_report_is_the_same_as_json() {
    let loaded = load("litellm_settings:\n  drop_parms: true\n  request_timeout: soon\n");
    let json = loaded.report.to_json();
    assert_eq!(json["problems"][0]["kind"], "unknown_key");
    assert_eq!(json["problems"][0]["line"], 2);
    assert_eq!(json["problems"][0]["column"], 3);
    assert_eq!(json["problems"][0]["span"], serde_json::json!({"start": 20, "end": 30}));
    assert_eq!(json["problems"][1]["severity"], "error");
    assert_eq!(json["problems"][1]["found"], "a string `soon`");
    assert!(loaded.config.is_none());
}

#[test]
fn what_the_table_calls_effective_is_read() {
    config(EVERYTHING);
    // Another spelling is looked for only where the first is not there.
    config(
        "model_list: [{model_name: a, litellm_params: {model: openai/a, base_url: x, request_timeout: 3, base_model: b}}]",
    );
    // How health is checked is looked for only where it is checked.
    config("general_settings: {background_health_checks: true}");
    config("router_settings: {provider_budget_config: {openai: {budget_limit: 1, time_period: 1d}}}");
    let consulted = consulted::all();
    for key in keys::all().filter(|key| key.status == Status::Effective) {
        let by_rule = || match key.section {
            // Read before the rest, or shown as it is.
            Section::TopLevel => key.name == "include",
            Section::Credential => key.name == "credential_info",
            Section::ModelInfo => keys::is_price(key.name) || config_shows(key.name),
            Section::LitellmParams => keys::is_price(key.name) || config_sends(key.name),
            _ => false,
        };
        let read = consulted.contains(&(key.section, key.name.to_owned()));
        assert!(read || by_rule(), "`{}` in {:?} is effective and not read", key.name, key.section);
    }
}

/// Whether a key of `model_info` is among what model lists show.
fn config_shows(name: &str) -> bool {
    let config = config(&format!(
        "model_list: [{{model_name: a, litellm_params: {{model: openai/a}}, model_info: {{{name}: 1}}}}]"
    ));
    config.deployments[0].info.shown.contains_key(name)
}

/// Whether a key of `litellm_params` is among the request's defaults.
fn config_sends(name: &str) -> bool {
    let config =
        config(&format!("model_list: [{{model_name: a, litellm_params: {{model: openai/a, {name}: 1}}}}]"));
    config.deployments[0].defaults.contains_key(name)
}
