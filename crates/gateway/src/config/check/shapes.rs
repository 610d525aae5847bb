//! Mistakes of shape with which LiteLLM does not start: they are errors here too, also under keys without effect yet.

use crate::config::diagnose::{Diagnosis, Finding, ProblemKind, nearest};
use crate::config::raw::{Mapping, Node, Scalar};
use crate::config::references::Environment;

pub(super) fn check(root: &Mapping, environment: &Environment<'_>, diagnosis: &mut Diagnosis) {
    for section in ["router_settings", "litellm_settings"] {
        let Some(settings) = root.get(section).and_then(Node::mapping) else { continue };
        for key in ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"] {
            if let Some(list) = settings.get(key) {
                fallbacks(key, list, diagnosis);
            }
        }
    }
    if let Some(settings) = root.get("litellm_settings").and_then(Node::mapping) {
        redis_address(settings, environment, diagnosis);
        cache_parts(settings, environment, diagnosis);
        embedding_model(root, settings, diagnosis);
        if let Some(guardrails) = settings.get("guardrails") {
            first_generation_guardrails(guardrails, diagnosis);
        }
    }
    let endpoints = root
        .get("general_settings")
        .and_then(Node::mapping)
        .and_then(|settings| settings.get("pass_through_endpoints"))
        .and_then(Node::sequence);
    for endpoint in endpoints.unwrap_or_default() {
        pass_through(endpoint, diagnosis);
    }
}

/// Whether answers are cached in Redis, so that `cache_params` go to its client.
pub(super) fn redis_cache(root: &Mapping) -> bool {
    let Some(settings) = root.get("litellm_settings").and_then(Node::mapping) else { return false };
    cache_is_on(settings) && cache_type(settings).is_none_or(|kind| kind == "redis")
}

fn cache_is_on(settings: &Mapping) -> bool {
    settings.get("cache").and_then(Node::scalar).and_then(Scalar::boolean).unwrap_or(false)
}

fn cache_type(settings: &Mapping) -> Option<&str> {
    let params = settings.get("cache_params")?.mapping()?;
    Some(params.get("type")?.scalar()?.text.as_str())
}

/// A Redis cache needs an address, in its parameters or in the environment.
fn redis_address(settings: &Mapping, environment: &Environment<'_>, diagnosis: &mut Diagnosis) {
    let is_redis = |kind: &str| matches!(kind, "redis" | "redis-semantic" | "valkey-semantic");
    if !cache_is_on(settings) || cache_type(settings).is_some_and(|kind| !is_redis(kind)) {
        return;
    }
    let params = settings.get("cache_params").and_then(Node::mapping);
    let in_params = params.is_some_and(|params| {
        ["host", "url", "redis_startup_nodes", "startup_nodes", "sentinel_nodes", "unix_socket_path"]
            .iter()
            .any(|name| params.get(name).is_some())
    });
    let in_environment = ["REDIS_URL", "REDIS_HOST", "REDIS_CLUSTER_NODES", "REDIS_SENTINEL_NODES"]
        .iter()
        .any(|name| environment.get(name).is_some());
    if in_params || in_environment {
        return;
    }
    let Some(cache) = settings.pair("cache") else { return };
    diagnosis.report(
        &cache.value.span,
        Finding::error(ProblemKind::MissingKey, "a Redis cache without an address")
            .expected("`cache_params` with a `host` or a `url`, or the variable `REDIS_HOST` or `REDIS_URL`")
            .found("neither")
            .help("set one of them, or write `cache_params: {type: local}`"),
    );
}

/// Other caches lack something else; and operations that no cache knows are never cached.
fn cache_parts(settings: &Mapping, environment: &Environment<'_>, diagnosis: &mut Diagnosis) {
    let params = settings.pair("cache_params");
    let Some((pair, mapping)) = params.and_then(|pair| Some((pair, pair.value.mapping()?))) else { return };
    if !cache_is_on(settings) {
        return;
    }
    let lacks = |names: &[&str], variables: &[&str]| {
        names.iter().all(|name| mapping.get(name).is_none())
            && variables.iter().all(|name| environment.get(name).is_none())
    };
    let nodes = ["sentinel_nodes"];
    let missing: &[&str] = match cache_type(settings) {
        Some("redis-semantic" | "valkey-semantic" | "qdrant-semantic")
            if lacks(&["similarity_threshold"], &[]) =>
        {
            &["similarity_threshold"]
        }
        Some("qdrant-semantic") if lacks(&["qdrant_collection_name"], &[]) => &["qdrant_collection_name"],
        Some("qdrant-semantic") if lacks(&["qdrant_api_base"], &["QDRANT_URL", "QDRANT_API_BASE"]) => {
            &["qdrant_api_base"]
        }
        Some("s3") if lacks(&["s3_bucket_name"], &[]) => &["s3_bucket_name"],
        Some("gcs") if lacks(&["gcs_bucket_name"], &["GCS_BUCKET_NAME"]) => &["gcs_bucket_name"],
        Some("azure-blob") if lacks(&["azure_account_url"], &[]) => &["azure_account_url"],
        Some("azure-blob") if lacks(&["azure_blob_container"], &[]) => &["azure_blob_container"],
        None | Some("redis") if !lacks(&nodes, &[]) && lacks(&["service_name"], &["REDIS_SERVICE_NAME"]) => {
            &["service_name"]
        }
        _ => &[],
    };
    for name in missing {
        let kind = cache_type(settings).unwrap_or("redis");
        let finding = Finding::error(
            ProblemKind::MissingKey,
            format!("a cache of this kind (`{kind}`) needs `{name}`"),
        )
        .expected(format!("`cache_params.{name}`"))
        .found("nothing");
        diagnosis.report(&pair.key.span, finding);
    }
    let key = ["s3_aws_access_key_id", "s3_aws_secret_access_key"];
    let variables = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    if cache_type(settings) == Some("s3")
        && key.iter().zip(variables).any(|(name, variable)| lacks(&[*name], &[variable]))
    {
        diagnosis.report(
            &pair.key.span,
            Finding::warning(
                ProblemKind::NotYetEffective,
                "a cache in S3 without a key: other ways to sign in are not yet effective in this version; nothing \
                 is cached",
            )
            .expected("`s3_aws_access_key_id` and `s3_aws_secret_access_key`, or AWS's variables for them"),
        );
    }
    let threshold = mapping.get("similarity_threshold");
    let number = threshold.and_then(Node::scalar).and_then(Scalar::number);
    if let Some((threshold, number)) =
        threshold.zip(number).filter(|(_, number)| !(0.0..=1.0).contains(number))
    {
        diagnosis.report(
            &threshold.span,
            Finding::error(ProblemKind::WrongValue, "no two questions are that similar")
                .expected("`similarity_threshold` between 0 (any two) and 1 (the same)")
                .found(format!("`{number}`")),
        );
    }
    for item in mapping.get("supported_call_types").and_then(Node::sequence).unwrap_or_default() {
        let Some(word) = item.scalar().map(|scalar| scalar.text.as_str()) else { continue };
        if CALL_TYPES.contains(&word) || CALL_TYPES.iter().any(|name| word.strip_prefix('a') == Some(name)) {
            continue;
        }
        let mut finding = Finding::warning(
            ProblemKind::WrongValue,
            format!("no operation that can be cached is called `{word}`"),
        )
        .expected(format!("some of {}", CALL_TYPES.join(", ")));
        if let Some(near) = nearest(word, CALL_TYPES.iter().copied()) {
            finding = finding.help(format!("did you mean `{near}`?"));
        }
        diagnosis.report(&item.span, finding);
    }
}

/// The model that makes vectors of questions is one of the gateway's own.
fn embedding_model(root: &Mapping, settings: &Mapping, diagnosis: &mut Diagnosis) {
    if !cache_is_on(settings) || !cache_type(settings).is_some_and(|kind| kind.ends_with("semantic")) {
        return;
    }
    let Some(params) = settings.get("cache_params").and_then(Node::mapping) else { return };
    let keys = [
        "embedding_model",
        "redis_semantic_cache_embedding_model",
        "valkey_semantic_cache_embedding_model",
        "qdrant_semantic_cache_embedding_model",
    ];
    let Some(node) = keys.iter().find_map(|key| params.get(key)) else { return };
    let Some(name) = node.scalar().map(|scalar| scalar.text.as_str()) else { return };
    let entries = root.get("model_list").and_then(Node::sequence).unwrap_or_default();
    let names: Vec<&str> = entries
        .iter()
        .filter_map(|entry| Some(entry.mapping()?.get("model_name")?.scalar()?.text.as_str()))
        .collect();
    if names.iter().any(|known| *known == name || known.contains('*')) {
        return;
    }
    let mut finding = Finding::warning(
        ProblemKind::UnknownName,
        format!("there is no model `{name}` in `model_list`: similar questions cannot be found"),
    );
    if let Some(near) = nearest(name, names.iter().copied()) {
        finding = finding.help(format!("did you mean `{near}`?"));
    }
    diagnosis.report(&node.span, finding);
}

/// LiteLLM's names of what can be cached, and `generate_content`, which it cannot; each also with an `a` before it.
const CALL_TYPES: &[&str] = &[
    "completion",
    "text_completion",
    "embedding",
    "transcription",
    "rerank",
    "responses",
    "anthropic_messages",
    "generate_content",
];

fn fallbacks(key: &str, list: &Node, diagnosis: &mut Diagnosis) {
    const SHAPE: &str = "a list of mappings with one key each: `- group: [other, another]`";
    for entry in list.sequence().unwrap_or_default() {
        let finding = match entry.mapping() {
            Some(mapping) if mapping.pairs.len() == 1 => continue,
            Some(mapping) => {
                let names: Vec<String> =
                    mapping.pairs.iter().map(|pair| format!("`{}`", pair.key.name)).collect();
                let found = if names.is_empty() { "none".into() } else { names.join(", ") };
                Finding::error(
                    ProblemKind::WrongValue,
                    format!("an entry of `{key}` has one key, the model group"),
                )
                .found(found)
            }
            None => Finding::error(ProblemKind::WrongType, format!("an entry of `{key}` is a mapping"))
                .found(entry.kind()),
        };
        diagnosis.report(&entry.span, finding.expected(SHAPE).help("write `- gpt-4: [claude-3-sonnet]`"));
    }
}

/// `litellm_settings.guardrails` is the first generation: `- name: {callbacks: […], default_on: true}`.
fn first_generation_guardrails(guardrails: &Node, diagnosis: &mut Diagnosis) {
    for entry in guardrails.sequence().unwrap_or_default() {
        let Some(pair) = entry.mapping().and_then(|mapping| mapping.pair("guardrail_name")) else { continue };
        diagnosis.report(
            &pair.key.span,
            Finding::error(ProblemKind::MisplacedKey, "this guardrail does not belong in `litellm_settings`")
                .expected("`guardrails:` at the top level")
                .help("move `guardrails` out of `litellm_settings`, to the left margin"),
        );
    }
}

fn pass_through(endpoint: &Node, diagnosis: &mut Diagnosis) {
    let Some(mapping) = endpoint.mapping() else { return };
    for (name, usual) in [("path", "path_prefix"), ("target", "target_url")] {
        if mapping.get(name).is_some() {
            continue;
        }
        let wrong = mapping.pair(usual);
        let span = wrong.map_or(&endpoint.span, |pair| &pair.key.span);
        let mut finding = Finding::error(
            ProblemKind::MissingKey,
            format!("an entry of `pass_through_endpoints` has no `{name}`"),
        )
        .expected("`path: /route` and `target: https://host/…`");
        if wrong.is_some() {
            finding = finding.found(format!("`{usual}`")).help(format!("rename it to `{name}`"));
        }
        diagnosis.report(span, finding);
    }
}
