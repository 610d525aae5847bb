//! `litellm_settings.cache` and `cache_params`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tollway::Secret;
use tollway::transport::TlsOptions;

/// How answers are cached.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheSettings {
    /// Where.
    pub store: StoreSettings,
    /// How long an answer is kept, where the request does not say.
    pub ttl: Duration,
    /// `namespace`: what the keys begin with. Answers of one namespace are never given in another.
    pub namespace: Option<String>,
    /// Whether requests that say nothing are answered from the cache.
    pub mode: CacheMode,
    /// `supported_call_types`: LiteLLM's names of the operations that are cached; absent: all that can be.
    pub call_types: Option<Vec<String>>,
    /// `max_messages`: longer conversations are not cached. LiteLLM's default of 4 is not taken over.
    pub max_messages: Option<u64>,
    /// Whether similar questions are answered alike too.
    pub semantic: Option<SemanticSettings>,
    /// `tollway.cache_max_bytes`: of all answers together, in memory or on disk.
    pub max_bytes: u64,
    /// `tollway.cache_max_entry_bytes`: of one answer; a larger one is not kept.
    pub max_entry_bytes: u64,
}

/// When two questions are similar enough.
#[derive(Clone, Debug, PartialEq)]
pub struct SemanticSettings {
    /// `similarity_threshold`: the least cosine of their vectors.
    pub threshold: f32,
    /// `embedding_model` and its other names: one of the gateway's own models.
    pub embedding_model: String,
    /// `semantic_cache_embedding_timeout`: how long a request waits for the vector of its question.
    pub timeout: Duration,
    /// `semantic_cache_scope`: answers are also kept apart by the `user` of the request.
    pub by_end_user: bool,
    /// Where the vectors are.
    pub vectors: VectorSettings,
}

/// Where vectors of questions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VectorSettings {
    /// In this process's memory.
    Memory,
    /// In Redis or Valkey, where it can search them.
    Redis(Box<RedisVectorSettings>),
    /// In Qdrant.
    Qdrant(QdrantSettings),
}

/// Vectors in Redis or Valkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisVectorSettings {
    /// The cache's own server.
    pub server: RedisSettings,
    /// `redis_semantic_cache_index_name`, `valkey_semantic_cache_index_name`: part of the names of indexes and keys.
    pub index: String,
}

/// How Qdrant is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QdrantSettings {
    /// `qdrant_api_base`.
    pub base: String,
    /// `qdrant_api_key`.
    pub key: Option<Secret>,
    /// `qdrant_collection_name`.
    pub collection: String,
    /// `qdrant_quantization_config`: how a collection that is made keeps vectors in less memory.
    pub quantization: Option<Quantization>,
}

/// Qdrant's kinds of smaller vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantization {
    /// One bit a number.
    Binary,
    /// One byte a number.
    Scalar,
    /// A byte for several numbers.
    Product,
}

/// `mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMode {
    /// Every request that does not decline.
    DefaultOn,
    /// Requests with `cache: {"use-cache": true}` only.
    DefaultOff,
}

/// Where answers are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSettings {
    /// `type: local`.
    Memory {
        /// `max_size_in_memory`.
        max_entries: Option<u64>,
    },
    /// `type: redis`.
    Redis(Box<RedisSettings>),
    /// `type: s3`.
    S3(Box<S3Settings>),
    /// `type: gcs`.
    Gcs(Box<GcsSettings>),
    /// `type: azure-blob`.
    AzureBlob(Box<AzureBlobSettings>),
    /// `type: disk`.
    Disk {
        /// `disk_cache_dir`.
        folder: PathBuf,
    },
}

/// A bucket of S3, or of what speaks its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Settings {
    /// Scheme and host, with a port where that is not the scheme's own: `s3_endpoint_url`, else AWS's for the region.
    pub endpoint: (String, String),
    /// The bucket stands in the path, not before the host's name.
    pub in_path: bool,
    /// `s3_bucket_name`.
    pub bucket: String,
    /// `s3_path`: what the objects' names begin with.
    pub path: String,
    /// `s3_region_name`.
    pub region: String,
    /// `s3_aws_access_key_id` and what belongs to it.
    pub key: S3Key,
    /// `s3_verify`: whether the server's certificate is checked.
    pub verify_tls: bool,
    /// `s3_verify` as a path: further authorities, PEM.
    pub ca_file: Option<PathBuf>,
}

/// Who signs requests to S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Key {
    /// `s3_aws_access_key_id`.
    pub id: String,
    /// `s3_aws_secret_access_key`.
    pub secret: Secret,
    /// `s3_aws_session_token`, of a temporary key.
    pub token: Option<Secret>,
}

/// A bucket of Google Cloud Storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcsSettings {
    /// Scheme and host: Google's, or `STORAGE_EMULATOR_HOST`.
    pub endpoint: String,
    /// `gcs_bucket_name`.
    pub bucket: String,
    /// `gcs_path`: what the objects' names begin with.
    pub path: String,
    /// `gcs_path_service_account`: the path of a file of credentials, or its JSON text.
    pub credentials: Option<Secret>,
    /// An emulator, and no credentials: nobody signs in.
    pub anonymous: bool,
    /// Variables that Google's default credentials are found by.
    pub variables: BTreeMap<String, Secret>,
}

/// A container of Azure Blob Storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureBlobSettings {
    /// `azure_account_url`, without a slash at its end.
    pub account: String,
    /// `azure_blob_container`.
    pub container: String,
    /// Variables that say who signs in.
    pub variables: BTreeMap<String, Secret>,
}

/// How Redis or Valkey is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// Where it is.
    pub target: RedisTarget,
    /// `username`.
    pub username: Option<String>,
    /// `password`.
    pub password: Option<Secret>,
    /// `db`.
    pub database: Option<u8>,
    /// `ssl` and its options; a `rediss://` address asks for TLS too.
    pub tls: Option<TlsOptions>,
    /// Connections that are kept open: `max_connections`, at most 16. Commands share them.
    pub connections: usize,
    /// `socket_timeout`, at most 50 ms.
    pub timeout: Duration,
    /// `socket_connect_timeout`.
    pub connect_timeout: Duration,
}

/// Where Redis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisTarget {
    /// `host` and `port`.
    Single {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// `url`; it may hold a password.
    Url(Secret),
    /// `unix_socket_path`.
    Socket(PathBuf),
    /// `sentinel_nodes` and `service_name`.
    Sentinel {
        /// The sentinels.
        nodes: Vec<(String, u16)>,
        /// The name under which they know the server.
        service: String,
        /// `sentinel_password`.
        password: Option<Secret>,
    },
    /// `redis_startup_nodes`: some nodes of a cluster.
    Cluster(Vec<(String, u16)>),
}
