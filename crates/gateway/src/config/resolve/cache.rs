//! `litellm_settings.cache` and `cache_params`, with the variables `REDIS_*` where they say nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use serde_json::Value;
use tollway::Secret;
use tollway::sign_in::{entra, google};
use tollway::transport::TlsOptions;

use super::layers::Layers;
use crate::config::keys::Section;
use crate::config::raw::Node;
use crate::config::references::Environment;
use crate::config::resolved::{
    AzureBlobSettings, CacheMode, CacheSettings, GcsSettings, QdrantSettings, Quantization, RedisSettings,
    RedisTarget, RedisVectorSettings, S3Key, S3Settings, SemanticSettings, StoreSettings, VectorSettings,
};

/// LiteLLM's inner default for its cache in memory.
const MEMORY_TTL: Duration = Duration::from_secs(600);
/// LiteLLM keeps answers elsewhere for ever; whatever is kept here has an end.
const STORED_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// How similar two questions have to be, where `similarity_threshold` is not said.
const SIMILARITY: f32 = 0.95;
/// How long a request waits for the vector of its question.
const EMBEDDING_PATIENCE: Duration = Duration::from_secs(1);
/// What indexes of vectors are called where nothing is said.
const INDEX: &str = "default";
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// The longest that a request waits for a cache, whatever `socket_timeout` says.
const PATIENCE: Duration = Duration::from_millis(50);
/// No request waits for a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// What `tollway` says about the cache.
pub(super) struct Bounds {
    max_bytes: u64,
    max_entry_bytes: u64,
}

impl Bounds {
    pub(super) fn of(tollway: &Layers<'_>) -> Self {
        Self {
            max_bytes: tollway.integer("cache_max_bytes").unwrap_or(256 << 20),
            max_entry_bytes: tollway.integer("cache_max_entry_bytes").unwrap_or(1 << 20),
        }
    }
}

/// The settings; `None` if nothing is cached, or where this version cannot.
pub(super) fn settings(
    litellm: &Layers<'_>,
    bounds: &Bounds,
    environment: &Environment<'_>,
) -> Option<CacheSettings> {
    let on = litellm.bool("cache").unwrap_or(false);
    let params = Layers::maybe(Section::CacheParams, litellm.mapping("cache_params"));
    let kind = params.text("type");
    let redis = redis(&params, environment);
    let memory = StoreSettings::Memory { max_entries: params.integer("max_size_in_memory") };
    let folder = params.text("disk_cache_dir").map_or_else(|| ".litellm_cache".into(), PathBuf::from);
    let in_memory_ttl = params.seconds("default_in_memory_ttl").unwrap_or(MEMORY_TTL);
    let in_redis_ttl = params.seconds("default_in_redis_ttl").unwrap_or(STORED_TTL);
    let semantic = semantic(&params);
    let index = params.text("redis_semantic_cache_index_name");
    let index = params.text("valkey_semantic_cache_index_name").or(index);
    let index = index.unwrap_or_else(|| INDEX.to_owned());
    let qdrant = qdrant(&params, environment);
    let s3 = s3(&params, environment);
    let gcs = gcs(&params, environment);
    let azure_blob = azure_blob(&params, environment);
    let (store, default_ttl) = match kind.as_deref() {
        Some("local" | "semantic") => (memory, in_memory_ttl),
        Some("redis" | "redis-semantic" | "valkey-semantic") | None => {
            (StoreSettings::Redis(Box::new(redis.clone()?)), in_redis_ttl)
        }
        Some("qdrant-semantic") => (memory, in_redis_ttl),
        Some("s3") => (StoreSettings::S3(Box::new(s3?)), STORED_TTL),
        Some("gcs") => (StoreSettings::Gcs(Box::new(gcs?)), STORED_TTL),
        Some("azure-blob") => (StoreSettings::AzureBlob(Box::new(azure_blob?)), STORED_TTL),
        Some("disk") => (StoreSettings::Disk { folder }, STORED_TTL),
        Some(_) => return None,
    };
    let vectors = match kind.as_deref() {
        Some("semantic") => Some(VectorSettings::Memory),
        Some("redis-semantic" | "valkey-semantic") => {
            Some(VectorSettings::Redis(Box::new(RedisVectorSettings { server: redis?, index })))
        }
        Some("qdrant-semantic") => Some(VectorSettings::Qdrant(qdrant?)),
        _ => None,
    };
    let call_types = params.texts("supported_call_types");
    let settings = CacheSettings {
        store,
        ttl: params.seconds("ttl").unwrap_or(default_ttl),
        namespace: params.text("namespace").filter(|namespace| !namespace.is_empty()),
        mode: match params.text("mode").as_deref() {
            Some("default_off") => CacheMode::DefaultOff,
            _ => CacheMode::DefaultOn,
        },
        call_types: (!call_types.is_empty()).then_some(call_types),
        max_messages: params.integer("max_messages"),
        semantic: vectors.map(|vectors| SemanticSettings { vectors, ..semantic }),
        max_bytes: bounds.max_bytes,
        max_entry_bytes: bounds.max_entry_bytes,
    };
    on.then_some(settings)
}

/// `None` without an address or a collection, which the checks have reported.
fn qdrant(params: &Layers<'_>, environment: &Environment<'_>) -> Option<QdrantSettings> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let base = params.text("qdrant_api_base");
    let base = base.or_else(|| variable("QDRANT_URL")).or_else(|| variable("QDRANT_API_BASE"));
    let key = params.secret("qdrant_api_key").or_else(|| variable("QDRANT_API_KEY").map(Secret::new));
    let collection = params.text("qdrant_collection_name");
    let quantization = match params.text("qdrant_quantization_config").as_deref() {
        Some("binary") => Some(Quantization::Binary),
        Some("scalar") => Some(Quantization::Scalar),
        Some("product") => Some(Quantization::Product),
        _ => None,
    };
    Some(QdrantSettings { base: base?, key, collection: collection?, quantization })
}

/// `None` without a bucket or a key, which the checks have reported.
fn s3(params: &Layers<'_>, environment: &Environment<'_>) -> Option<S3Settings> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let secret = |key: &str, name: &str| params.secret(key).or_else(|| variable(name).map(Secret::new));
    let region = params.text("s3_region_name");
    let region = region.or_else(|| variable("AWS_REGION")).or_else(|| variable("AWS_DEFAULT_REGION"));
    let region = region.unwrap_or_else(|| "us-east-1".to_owned());
    let written = params.text("s3_endpoint_url").and_then(|url| url.parse::<Uri>().ok());
    let scheme = if params.bool("s3_use_ssl") == Some(false) { "http" } else { "https" };
    let endpoint = written.as_ref().and_then(|url| {
        Some((url.scheme_str().unwrap_or(scheme).to_owned(), url.authority()?.as_str().to_owned()))
    });
    let path = params.text("s3_path").unwrap_or_default();
    // A path is a bundle of authorities, as in boto3.
    let (unchecked, ca_file) = match params.get("s3_verify").and_then(Node::scalar) {
        Some(scalar) => match scalar.boolean() {
            Some(verify) => (!verify, None),
            None => (false, Some(PathBuf::from(&scalar.text))),
        },
        None => (false, None),
    };
    let id = params.text("s3_aws_access_key_id").or_else(|| variable("AWS_ACCESS_KEY_ID"));
    let secret_key = secret("s3_aws_secret_access_key", "AWS_SECRET_ACCESS_KEY");
    let token = secret("s3_aws_session_token", "AWS_SESSION_TOKEN");
    let bucket = params.text("s3_bucket_name")?;
    Some(S3Settings {
        // A certificate of AWS is for one name before the host's.
        in_path: endpoint.is_some() || bucket.contains('.'),
        endpoint: endpoint.unwrap_or_else(|| (scheme.to_owned(), format!("s3.{region}.amazonaws.com"))),
        bucket,
        path,
        region,
        key: S3Key { id: id?, secret: secret_key?, token },
        verify_tls: !unchecked,
        ca_file,
    })
}

/// `None` without a bucket, which the checks have reported.
fn gcs(params: &Layers<'_>, environment: &Environment<'_>) -> Option<GcsSettings> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let emulator = variable("STORAGE_EMULATOR_HOST");
    let credentials = params.secret("gcs_path_service_account");
    let credentials = credentials.or_else(|| variable("GCS_PATH_SERVICE_ACCOUNT").map(Secret::new));
    let endpoint = match &emulator {
        Some(host) if host.contains("://") => host.trim_end_matches('/').to_owned(),
        Some(host) => format!("http://{host}"),
        None => "https://storage.googleapis.com".to_owned(),
    };
    let path = params.text("gcs_path").unwrap_or_default();
    Some(GcsSettings {
        endpoint,
        bucket: params.text("gcs_bucket_name").or_else(|| variable("GCS_BUCKET_NAME"))?,
        path,
        anonymous: emulator.is_some() && credentials.is_none(),
        credentials,
        variables: variables(google::VARIABLES, environment),
    })
}

/// `None` without an account or a container, which the checks have reported.
fn azure_blob(params: &Layers<'_>, environment: &Environment<'_>) -> Option<AzureBlobSettings> {
    let (account, container) = (params.text("azure_account_url"), params.text("azure_blob_container"));
    Some(AzureBlobSettings {
        account: account?.trim_end_matches('/').to_owned(),
        container: container?,
        variables: variables(entra::VARIABLES, environment),
    })
}

/// Those of the variables that are set.
fn variables(names: &[&str], environment: &Environment<'_>) -> BTreeMap<String, Secret> {
    let set = |name: &&str| Some(((*name).to_owned(), Secret::new(environment.get(name)?)));
    names.iter().filter_map(set).collect()
}

/// When two questions are similar enough.
fn semantic(params: &Layers<'_>) -> SemanticSettings {
    // LiteLLM's default where nothing is said of the model.
    let mut model = "text-embedding-ada-002".to_owned();
    for name in [
        "qdrant_semantic_cache_embedding_model",
        "valkey_semantic_cache_embedding_model",
        "redis_semantic_cache_embedding_model",
        "embedding_model",
    ] {
        model = params.text(name).unwrap_or(model);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a number between 0 and 1")]
    let threshold = params.number("similarity_threshold").map_or(SIMILARITY, |threshold| threshold as f32);
    SemanticSettings {
        threshold,
        embedding_model: model,
        timeout: params.seconds("semantic_cache_embedding_timeout").unwrap_or(EMBEDDING_PATIENCE),
        by_end_user: params.text("semantic_cache_scope").as_deref() == Some("end_user"),
        vectors: VectorSettings::Memory,
    }
}

/// The Redis through which instances tell one another what they know of deployments: the router's own, else the
/// cache's, as in LiteLLM.
pub(super) fn shared(
    router: &Layers<'_>,
    litellm: &Layers<'_>,
    environment: &Environment<'_>,
) -> Option<RedisSettings> {
    let port = router.integer("redis_port").and_then(|port| u16::try_from(port).ok()).unwrap_or(REDIS_PORT);
    let password = router.secret("redis_password");
    let database = router.integer("redis_db").and_then(|database| u8::try_from(database).ok());
    let target = match (router.secret("redis_url"), router.text("redis_host")) {
        (Some(url), _) => RedisTarget::Url(url),
        (None, Some(host)) => RedisTarget::Single { host, port },
        (None, None) => {
            let params = Layers::maybe(Section::CacheParams, litellm.mapping("cache_params"));
            let is_redis = params
                .text("type")
                .is_none_or(|kind| matches!(kind.as_str(), "redis" | "redis-semantic" | "valkey-semantic"));
            let on = litellm.bool("cache").unwrap_or(false) && is_redis;
            return on.then(|| redis(&params, environment)).flatten();
        }
    };
    let nothing = Layers::maybe(Section::CacheParams, None);
    let unsaid = connection(target, &nothing, environment);
    Some(RedisSettings {
        password: password.or(unsaid.password),
        database: database.or(unsaid.database),
        ..unsaid
    })
}

/// `None` without an address, which the checks have reported.
fn redis(params: &Layers<'_>, environment: &Environment<'_>) -> Option<RedisSettings> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let text = |key: &str, name: &str| params.text(key).or_else(|| variable(name));
    let secret = |key: &str, name: &str| params.secret(key).or_else(|| variable(name).map(Secret::new));
    let nodes = |key: &str, name: &str, port: u16| {
        let written = params.get(key).map(Node::to_json);
        let listed = written.or_else(|| serde_json::from_str(&variable(name)?).ok())?;
        let nodes: Vec<(String, u16)> =
            listed.as_array()?.iter().filter_map(|item| node(item, port)).collect();
        (!nodes.is_empty()).then_some(nodes)
    };
    let sentinels = nodes("sentinel_nodes", "REDIS_SENTINEL_NODES", SENTINEL_PORT);
    let service = text("service_name", "REDIS_SERVICE_NAME");
    let sentinel_password = secret("sentinel_password", "REDIS_SENTINEL_PASSWORD");
    let cluster = nodes("redis_startup_nodes", "REDIS_CLUSTER_NODES", REDIS_PORT);
    let cluster = cluster.or_else(|| nodes("startup_nodes", "REDIS_CLUSTER_NODES", REDIS_PORT));
    let url = secret("url", "REDIS_URL");
    let socket = params.text("unix_socket_path");
    let host = text("host", "REDIS_HOST");
    let port = params.integer("port").or_else(|| variable("REDIS_PORT")?.trim().parse().ok());
    let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(REDIS_PORT);
    let target = match (sentinels.zip(service), cluster, url, socket, host) {
        (Some((nodes, service)), ..) => RedisTarget::Sentinel { nodes, service, password: sentinel_password },
        (None, Some(nodes), ..) => RedisTarget::Cluster(nodes),
        (None, None, Some(url), ..) => RedisTarget::Url(url),
        (None, None, None, Some(path), _) => RedisTarget::Socket(path.into()),
        (None, None, None, None, host) => RedisTarget::Single { host: host?, port },
    };
    Some(connection(target, params, environment))
}

/// How the server is spoken to, wherever it is.
fn connection(target: RedisTarget, params: &Layers<'_>, environment: &Environment<'_>) -> RedisSettings {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let text = |key: &str, name: &str| params.text(key).or_else(|| variable(name));
    let secret = |key: &str, name: &str| params.secret(key).or_else(|| variable(name).map(Secret::new));
    let ssl = params.bool("ssl").unwrap_or_else(|| environment.flag("REDIS_SSL"));
    // redis-py's words for "take any certificate".
    let unchecked =
        params.text("ssl_cert_reqs").is_some_and(|word| matches!(word.as_str(), "none" | "CERT_NONE"));
    let ca_file = params.text("ssl_ca_certs").map(PathBuf::from);
    let tls = (ssl || unchecked || ca_file.is_some())
        .then_some(TlsOptions { ca_file, accept_any_certificate: unchecked });
    let database = params.integer("db").or_else(|| variable("REDIS_DB")?.trim().parse().ok());
    RedisSettings {
        target,
        username: text("username", "REDIS_USERNAME"),
        password: secret("password", "REDIS_PASSWORD"),
        database: database.and_then(|database| u8::try_from(database).ok()),
        tls,
        connections: params
            .integer("max_connections")
            .and_then(|count| usize::try_from(count).ok())
            .map_or(2, |count| count.clamp(1, 16)),
        timeout: params.seconds("socket_timeout").map_or(PATIENCE, |timeout| timeout.min(PATIENCE)),
        connect_timeout: params.seconds("socket_connect_timeout").unwrap_or(CONNECT_PATIENCE),
    }
}

/// `{host, port}`, `[host, port]` or `"host:port"`.
fn node(value: &Value, default_port: u16) -> Option<(String, u16)> {
    let port_of = |value: Option<&Value>| match value {
        Some(Value::Number(number)) => number.as_u64().and_then(|port| u16::try_from(port).ok()),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    match value {
        Value::Object(fields) => {
            let host = fields.get("host")?.as_str()?.to_owned();
            Some((host, port_of(fields.get("port")).unwrap_or(default_port)))
        }
        Value::Array(pair) => {
            let host = pair.first()?.as_str()?.to_owned();
            Some((host, port_of(pair.get(1)).unwrap_or(default_port)))
        }
        Value::String(text) => match text.rsplit_once(':') {
            Some((host, port)) => Some((host.to_owned(), port.parse().ok()?)),
            None => Some((text.clone(), default_port)),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nodes_are_written_in_three_ways() {
        for (written, expected) in [
            (json!({"host": "a", "port": 7000}), Some(("a", 7000))),
            (json!({"host": "a", "port": "7000"}), Some(("a", 7000))),
            (json!({"host": "a"}), Some(("a", 6379))),
            (json!(["a", 26379]), Some(("a", 26379))),
            (json!("a:7001"), Some(("a", 7001))),
            (json!("a"), Some(("a", 6379))),
            (json!({"port": 1}), None),
            (json!(7), None),
        ] {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(node(&written, REDIS_PORT), expected, "{written}");
        }
    }
}
