//! A configuration as the gateway runs with it: typed, complete, immutable.
//!
//! Where two keys say the same thing (`litellm_settings.json_logs` and `tollway.log_format`), one value is left.
//! `None` means that nothing was said and that the reader's default counts; what is `Option` here has a default that
//! another part of the gateway decides on, such as the order of timeouts.

mod cache;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use catalog::NanoUsd;
use ledger::journal::WhenFull;
use ledger::rules::budget::Budget;
use ledger::rules::circle::Policy;
use ledger::rules::id::{ProviderName, Tag};
use ledger::store::Retention;
use routing::settings::DeploymentSettings;
use serde_json::Map;
use serde_json::value::RawValue;

use tollway::Secret;

use crate::admin::IssuePolicy;
use crate::alerts::settings::AlertSettings;
use crate::books::guesses::GuessLimits;
use crate::health::HealthChecks;
use crate::rotation::RotationSettings;

pub use cache::{
    AzureBlobSettings, CacheMode, CacheSettings, GcsSettings, QdrantSettings, Quantization, RedisSettings,
    RedisTarget, RedisVectorSettings, S3Key, S3Settings, SemanticSettings, StoreSettings, VectorSettings,
};

/// Everything that a configuration says, and this version acts on.
#[derive(Clone, Debug)]
pub struct Config {
    /// The deployments, in the order of the file; those that can't be served are left out.
    pub deployments: Vec<DeploymentConfig>,
    /// `router_settings.model_group_alias`: other names for `model_name`s.
    pub aliases: BTreeMap<String, ModelAlias>,
    /// `general_settings`.
    pub general: GeneralSettings,
    /// `litellm_settings`.
    pub litellm: LitellmSettings,
    /// `router_settings`, as far as it is about time-outs.
    pub router: RouterSettings,
    /// Everything else about routing, wherever it is written; without the deployments, each of which has its own
    /// [`DeploymentConfig::routing`].
    pub routing: routing::Settings,
    /// Keys, budgets and spend, wherever that is written.
    pub books: BooksConfig,
    /// `general_settings.alerting`, and what belongs to it.
    pub alerts: AlertSettings,
    /// `tollway`, and what the other sections say about the same things.
    pub tollway: TollwaySettings,
    /// `environment_variables`: they win over the process's own.
    pub environment_variables: BTreeMap<String, Secret>,
}

/// Which deployment it is: `model_info.id`, or 64 hex digits that are the same after a restart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeploymentId(Box<str>);

impl DeploymentId {
    pub(crate) fn new(id: impl Into<Box<str>>) -> Self {
        Self(id.into())
    }

    /// Its text, as in the header `x-litellm-model-id`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One entry of `model_list`, with its credential of `credential_list` and `default_litellm_params` filled in.
#[derive(Clone, Debug)]
pub struct DeploymentConfig {
    /// Unique among the deployments.
    pub id: DeploymentId,
    /// The name that callers use, or a pattern with `*`. Several deployments may share it.
    pub model_name: String,
    /// `litellm_params.model`: `provider/model`, perhaps with `*` for what the pattern matched.
    pub model: String,
    /// The provider, where the model's prefix does not say it or says it wrong.
    pub custom_llm_provider: Option<String>,
    /// Address and credentials.
    pub connection: Connection,
    /// Microsoft Entra sign-in.
    pub azure: AzureCredentials,
    /// AWS sign-in.
    pub aws: AwsCredentials,
    /// Google Vertex AI.
    pub vertex: VertexCredentials,
    /// Variables that the entry names and that are not set. A call fails with a message that names them; it must not
    /// go out with another key or to another host.
    pub missing: Vec<MissingVariable>,
    /// How long an attempt may take.
    pub timeout: Option<Duration>,
    /// How long a streamed attempt may take.
    pub stream_timeout: Option<Duration>,
    /// How long a streamed attempt may take to its first token; absent: `tollway.first_token_timeout_s` counts.
    pub first_token_timeout: Option<Duration>,
    /// How long a streamed attempt may pause between two tokens; absent: `tollway.inter_token_timeout_s` counts.
    pub inter_token_timeout: Option<Duration>,
    /// What routing looks at, as far as it is written: the price map's facts are not filled in.
    pub routing: DeploymentSettings,
    /// What happens to parameters that the provider does not know.
    pub parameters: ParameterPolicy,
    /// `max_budget` and `budget_duration`: what its calls may cost.
    pub budget: Option<Budget>,
    /// The answer to give without a provider: a text, or an object; `litellm.<Error>` for an error.
    pub mock_response: Option<serde_json::Value>,
    /// Parameters of the request where the caller does not say otherwise.
    pub defaults: Map<String, serde_json::Value>,
    /// What is known about the model.
    pub info: ModelInfo,
    /// `config.yaml:12`, for messages.
    pub place: String,
}

/// Where a provider is and how it knows us.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// `api_key`; absent: the provider's own variable counts.
    pub api_key: Option<Secret>,
    /// `api_base` or `base_url`; absent: the provider's own address counts.
    pub api_base: Option<String>,
    /// `api_version`, for Azure.
    pub api_version: Option<String>,
    /// `organization`, for OpenAI.
    pub organization: Option<String>,
    /// `headers` and `extra_headers` (these win), sent with every request. Their values may be credentials.
    pub headers: BTreeMap<String, Secret>,
    /// `extra_body`: fields added to the request's body.
    pub extra_body: Map<String, serde_json::Value>,
    /// `ssl_verify`; absent: `litellm_settings.ssl_verify` counts.
    pub tls: Option<TlsVerify>,
    /// `region_name`.
    pub region_name: Option<String>,
    /// `watsonx_region_name`.
    pub watsonx_region_name: Option<String>,
}

/// Microsoft Entra sign-in; the names are `litellm_params`'.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct AzureCredentials {
    pub azure_ad_token: Option<Secret>,
    pub tenant_id: Option<String>,
    pub client_id: Option<String>,
    pub client_secret: Option<Secret>,
    pub azure_username: Option<String>,
    pub azure_password: Option<Secret>,
    pub azure_scope: Option<String>,
}

/// AWS sign-in; the names are `litellm_params`'.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct AwsCredentials {
    pub aws_access_key_id: Option<Secret>,
    pub aws_secret_access_key: Option<Secret>,
    pub aws_session_token: Option<Secret>,
    pub aws_region_name: Option<String>,
    pub aws_session_name: Option<String>,
    pub aws_profile_name: Option<String>,
    pub aws_role_name: Option<String>,
    pub aws_web_identity_token: Option<Secret>,
    pub aws_sts_endpoint: Option<String>,
    pub aws_external_id: Option<Secret>,
    pub aws_bedrock_runtime_endpoint: Option<String>,
}

/// Google Vertex AI.
#[derive(Clone, Debug, Default)]
pub struct VertexCredentials {
    /// `vertex_project`.
    pub project: Option<String>,
    /// `vertex_location`.
    pub location: Option<String>,
    /// `vertex_credentials`: the path of a file or its JSON text (a mapping in the file is its JSON text here).
    pub credentials: Option<Secret>,
}

/// `os.environ/…` of a variable that is not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingVariable {
    /// The key of `litellm_params`.
    pub key: String,
    /// The variable.
    pub variable: String,
}

/// What happens to parameters that a provider does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterPolicy {
    /// Leave them out; absent: `litellm_settings.drop_params` counts.
    pub drop_params: Option<bool>,
    /// Parameters to leave out always; a path such as `tools[*].strict` reaches inside.
    pub additional_drop_params: Vec<String>,
    /// Parameters to send although the provider is not known to take them.
    pub allowed_openai_params: Vec<String>,
}

/// What is known about a deployment's model.
#[derive(Clone, Debug, Default)]
pub struct ModelInfo {
    /// `mode`: `chat`, `embedding`, …
    pub mode: Option<String>,
    /// `base_model`: the model whose price and limits count.
    pub base_model: Option<String>,
    /// Prices by the price map's names (those of `litellm_params` win), each with the digits that were written.
    pub prices: BTreeMap<String, Box<RawValue>>,
    /// `max_tokens`.
    pub max_tokens: Option<u64>,
    /// `max_input_tokens`.
    pub max_input_tokens: Option<u64>,
    /// `max_output_tokens`.
    pub max_output_tokens: Option<u64>,
    /// All of `model_info` as written, prices and unknown keys included, for model lists.
    pub shown: Map<String, serde_json::Value>,
}

/// What an alias stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelAlias {
    /// The `model_name`.
    pub model: String,
    /// Model lists leave it out.
    pub hidden: bool,
}

/// `general_settings`.
#[derive(Clone, Debug)]
pub struct GeneralSettings {
    /// The administrator's key.
    pub master_key: MasterKey,
    /// Start although the master key is weak or unset.
    pub permit_weak_master_key: bool,
    /// A header that callers send their key in, besides `Authorization`; lower case.
    pub key_header_name: Option<String>,
    /// Send the caller's `x-*` headers and `anthropic-beta` on to the provider.
    pub forward_client_headers: bool,
    /// Add the models of every provider whose variable is set.
    pub infer_model_from_keys: bool,
    /// Let callers make a request's first group fail (`mock_testing_fallbacks` and its like).
    pub allow_mock_testing: bool,
    /// Tell usage in streams whether or not the caller asks.
    pub always_include_stream_usage: bool,
    /// `background_health_checks` and how they are made.
    pub health_checks: Option<HealthChecks>,
}

impl GeneralSettings {
    /// Whether LiteLLM, and so Tollway, starts to serve with this master key. A configuration with a weak one still
    /// loads, so that it can be checked and tried.
    pub fn may_serve(&self) -> bool {
        self.permit_weak_master_key || matches!(self.master_key, MasterKey::Set(_))
    }
}

/// The administrator's key.
#[derive(Clone, Debug)]
pub enum MasterKey {
    /// There is one.
    Set(Secret),
    /// There is one that everyone knows, such as `sk-1234` or a reference that was never replaced.
    Weak(Secret),
    /// There is none: whoever calls is let in as an internal user.
    Unset,
}

/// `litellm_settings`.
#[derive(Clone, Debug)]
pub struct LitellmSettings {
    /// Leave out parameters that a provider does not know.
    pub drop_params: bool,
    /// Repair messages that a provider would refuse.
    pub modify_params: bool,
    /// How long an attempt may take; it comes before `router.timeout`.
    pub request_timeout: Option<Duration>,
    /// Checks of providers' certificates.
    pub tls: TlsVerify,
    /// A client certificate for providers, PEM.
    pub ssl_certificate: Option<PathBuf>,
    /// Chat Completions instead of Responses for `/v1/messages` to an OpenAI model.
    pub use_chat_completions_url_for_anthropic_messages: bool,
    /// Ask Azure who this machine is (its managed identity), where a deployment has no key.
    pub enable_azure_ad_token_refresh: bool,
    /// Other names for models, before the groups are searched.
    pub model_alias_map: BTreeMap<String, String>,
    /// Keep messages out of logs and traces.
    pub turn_off_message_logging: bool,
    /// `cache` and `cache_params`; `None` if answers are not cached.
    pub cache: Option<CacheSettings>,
}

/// Whose certificates are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsVerify {
    /// The system's.
    System,
    /// Those in this PEM file.
    Bundle(PathBuf),
    /// Anyone's.
    Off,
}

/// How keys, budgets and spend are kept.
#[derive(Clone, Debug)]
pub struct BooksConfig {
    /// `tollway.data_folder`, else `TOLLWAY_DATA`; absent: a folder beside the configuration.
    pub folder: Option<PathBuf>,
    /// `general_settings.database_url`, else `DATABASE_URL`: PostgreSQL, or `sqlite:` and a path.
    pub database_url: Option<Secret>,
    /// `tollway.journal_when_full`.
    pub when_full: WhenFull,
    /// `general_settings.maximum_spend_logs_retention_period`, and `tollway.spend_log_max_bytes`.
    pub retention: Retention,
    /// `litellm_settings.max_budget` and `budget_duration`, and `general_settings.apply_user_budget_to_team_keys`.
    pub policy: Policy,
    /// `litellm_settings.budget_exceeded_status_code`.
    pub over_budget_status: u16,
    /// `tollway.unknown_price`.
    pub unknown_price: UnknownPrice,
    /// `tollway.wrong_keys_burst` and `tollway.wrong_keys_per_s`.
    pub guess_limits: GuessLimits,
    /// `LITELLM_KEY_ROTATION_ENABLED` and its kin.
    pub rotation: RotationSettings,
    /// `tollway.budget_fit`.
    pub budget_fit: bool,
    /// `router_settings.provider_budget_config`, by provider.
    pub provider_budgets: BTreeMap<ProviderName, Budget>,
    /// `litellm_settings.tag_budget_config`, by tag.
    pub tag_budgets: BTreeMap<Tag, Budget>,
    /// `litellm_settings.default_key_generate_params` and its kin.
    pub issue_policy: IssuePolicy,
    pub required_params: RequiredParams,
}

/// Parameters that requests must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequiredParams {
    /// `general_settings.enforced_params`
    pub of_all: Vec<String>,
    /// `general_settings.service_account_settings.enforced_params`
    pub of_service_accounts: Vec<String>,
}

/// What becomes of a request under a budget to a model whose price nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownPrice {
    /// It is served, unless the budget is used up.
    Allow,
    /// It is refused.
    Refuse,
    /// This much is held while it runs.
    Hold(NanoUsd),
}

/// `router_settings`.
#[derive(Clone, Debug)]
pub struct RouterSettings {
    /// How long one attempt may take, if nothing nearer says so.
    pub timeout: Duration,
    /// How long one streamed attempt may take.
    pub stream_timeout: Option<Duration>,
    /// `redis_url`, `redis_host`, …, else the cache's Redis: where instances tell one another what they know of
    /// deployments.
    pub redis: Option<RedisSettings>,
}

/// Bounds and behaviour of the server.
#[derive(Clone, Debug, PartialEq)]
pub struct TollwaySettings {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on.
    pub port: u16,
    /// Bytes of one request body; a larger one is answered 413.
    pub max_request_bytes: u64,
    /// Bytes of a request's head; a larger one is answered 431.
    pub max_header_bytes: u64,
    /// Nesting of a JSON body; a deeper one is answered 400.
    pub max_json_depth: u64,
    /// Bytes of one provider answer, and of one event of a stream.
    pub max_response_bytes: u64,
    /// Client connections at a time.
    pub max_connections: u64,
    /// In which a client must have sent its request.
    pub client_read_timeout: Duration,
    /// Without a client taking any byte of its answer.
    pub client_write_timeout: Duration,
    /// To connect to a provider, TLS included.
    pub connect_timeout: Duration,
    /// That a provider connection may idle.
    pub pool_idle_timeout: Duration,
    /// From a streamed attempt's start to its first token; `None`: only the attempt's own time-out counts.
    pub first_token_timeout: Option<Duration>,
    /// Between two tokens of a stream; `None`: only the attempt's own time-out counts.
    pub inter_token_timeout: Option<Duration>,
    /// That running requests get to end after a stop signal.
    pub shutdown_grace: Duration,
    /// How many requests are remembered with their traces; 0: none.
    pub trace_capacity: u64,
    /// Whether traces keep message bodies.
    pub trace_bodies: bool,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_level: LogLevel,
    /// Whether a changed file is loaded without a restart.
    pub watch: bool,
}

impl Default for TollwaySettings {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            host: "0.0.0.0".into(),
            port: 4000,
            max_request_bytes: 100 * MIB,
            max_header_bytes: 64 * 1024,
            max_json_depth: 128,
            max_response_bytes: 100 * MIB,
            max_connections: 10_000,
            client_read_timeout: Duration::from_secs(60),
            client_write_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            pool_idle_timeout: Duration::from_secs(90),
            first_token_timeout: None,
            inter_token_timeout: None,
            shutdown_grace: Duration::from_secs(30),
            trace_capacity: 1000,
            trace_bodies: false,
            log_format: LogFormat::Text,
            log_level: LogLevel::Info,
            watch: true,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

/// The least severe level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}
