//! From a configuration to what requests use.

mod sign_in;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use catalog::model::ModelQuery;
use catalog::provider::{Provider, Route};
use catalog::{EndpointKind, ModelEntry, UrlParams};
use dialects::Dialect;
use dialects::conversation::Extra;
use dialects::exchange::ModelFacts;
use dialects::loss::ParameterPolicy;
use dialects::service::Service;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Uri};
use ledger::rules::access::{AccessGroups, ModelList};
use ledger::rules::budget::{Allowance, Budget};
use ledger::rules::entity::{Details, TagTerms};
use ledger::rules::id::Tag;
use routing::settings::DeploymentSettings;
use routing::{Fleet, Plan, Planned, Settings};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sign_in::SignIn;
use tokio::sync::Semaphore;
use tollway::deployment::{Address, Road, ServiceRoad, Timeouts};
use tollway::sign_in::{Accounts, google};
use tollway::transport::{TlsOptions, TransportOptions};
use tollway::{Deployment, Secret};

use super::budgets::{BudgetSettings, ServedBudgets};
use super::{Alias, Auth, Bounds, Group, Pattern, Place, Served, Snapshot, Upstream, Wildcard};
use crate::cache;
use crate::config::{Config, DeploymentConfig, MasterKey, TlsVerify};
use crate::events::log::ServedWords;
use crate::events::metrics::ServedLabels;
use crate::mock::Mock;
use crate::pipeline;
use crate::run_time::RunTime;
use crate::whereabouts::Account;

/// Settings that all deployments share.
#[derive(Debug)]
struct Common {
    drop_params: bool,
    modify_params: bool,
    /// `litellm_settings.request_timeout`, else `router_settings.timeout`.
    timeout: Duration,
    stream_timeout: Option<Duration>,
    first_token_timeout: Option<Duration>,
    inter_token_timeout: Option<Duration>,
    verify_tls: bool,
    chat_for_anthropic_clients: bool,
    /// Azure may be asked who this machine is.
    azure_platform: bool,
    accounts: Arc<Accounts>,
    budgets: BudgetSettings,
    /// `environment_variables` of the configuration; they win over the process's own.
    variables: BTreeMap<String, Secret>,
}

impl Common {
    fn of(config: &Config, accounts: Arc<Accounts>) -> Self {
        Self {
            drop_params: config.litellm.drop_params,
            modify_params: config.litellm.modify_params,
            timeout: config.litellm.request_timeout.unwrap_or(config.router.timeout),
            stream_timeout: config.router.stream_timeout,
            first_token_timeout: config.tollway.first_token_timeout,
            inter_token_timeout: config.tollway.inter_token_timeout,
            verify_tls: config.litellm.tls != TlsVerify::Off,
            chat_for_anthropic_clients: config.litellm.use_chat_completions_url_for_anthropic_messages,
            azure_platform: config.litellm.enable_azure_ad_token_refresh,
            accounts,
            budgets: BudgetSettings {
                providers: config.books.provider_budgets.clone(),
                zone: config.books.policy.zone.clone(),
            },
            variables: config.environment_variables.clone(),
        }
    }

    fn variable(&self, name: &str) -> Option<Secret> {
        let own = self.variables.get(name).cloned();
        own.or_else(|| std::env::var(name).ok().map(Secret::new)).filter(|value| !value.is_empty())
    }

    fn first_variable(&self, names: &[&str]) -> Option<Secret> {
        names.iter().find_map(|name| self.variable(name))
    }

    fn text_variable(&self, names: &[&str]) -> Option<String> {
        self.first_variable(names).map(|value| value.expose().to_owned())
    }
}

/// A deployment whose name or model has a `*`, to be filled in when a client names one.
#[derive(Debug)]
pub(super) struct Template {
    config: DeploymentConfig,
    common: Arc<Common>,
}

impl Template {
    /// The deployment for the client's name; `captured` stands for the `*` of the model.
    pub(super) fn fill(&self, name: &str, captured: &str) -> Served {
        let model = self.config.model.replacen('*', captured, 1);
        served(&self.config, name, &model, &self.common)
    }
}

impl Snapshot {
    /// The configuration, worked out for requests. Problems of single deployments do not stop the others: such a
    /// deployment says what it lacks to whoever calls it.
    #[must_use]
    pub fn build(config: &Config, files: Vec<PathBuf>) -> Self {
        let mut snapshot = Self::bare(config, files);
        let common = Arc::new(Common::of(config, Arc::clone(&snapshot.accounts)));
        let mut names: Vec<&str> = Vec::new();
        for deployment in &config.deployments {
            if !names.contains(&deployment.model_name.as_str()) {
                names.push(&deployment.model_name);
            }
        }
        for name in names {
            let members: Vec<&DeploymentConfig> =
                config.deployments.iter().filter(|deployment| deployment.model_name == name).collect();
            if let Some(pattern) = Pattern::new(name) {
                let templates = members.into_iter().cloned();
                let members =
                    templates.map(|config| Template { config, common: Arc::clone(&common) }).collect();
                snapshot.wildcards.push(Wildcard { pattern, members, made: Mutex::default() });
                continue;
            }
            let members = members.iter().map(|config| Arc::new(served(config, name, &config.model, &common)));
            snapshot.add(Group { name: name.into(), members: members.collect() });
        }
        // The longest pattern says most; among equals the first in the file counts.
        snapshot.wildcards.sort_by_key(|wildcard| std::cmp::Reverse(wildcard.pattern.weight()));
        let of_id = |id: &str| snapshot.members().find(|served| *served.deployment.id == *id);
        let deployments = config.deployments.iter();
        let deployments =
            deployments.map(|deployment| planned(deployment, of_id(deployment.id.as_str()).map(|s| &**s)));
        let settings = Settings { deployments: deployments.collect(), ..config.routing.clone() };
        snapshot.lay_out(settings);
        snapshot
    }

    /// The same with what is no part of the configuration: a reload leaves it out.
    #[must_use]
    pub fn beside(self, more: &RunTime) -> Self {
        let mut config = Config::clone(&self.base);
        config.deployments.extend(more.deployments.iter().cloned());
        let mut snapshot = Self::build(&config, self.files);
        snapshot.base = self.base;
        snapshot.accounts.continue_from(&self.accounts);
        for group in &more.access_groups {
            let names = [Some(group.id.as_str()), group.details.alias.as_deref()].into_iter().flatten();
            for name in BTreeSet::from_iter(names) {
                snapshot
                    .access_groups
                    .entry(name.to_owned())
                    .or_default()
                    .extend(group.models.iter().cloned());
            }
            if group.details.allowance != Allowance::default() {
                snapshot.bounded_groups.push(group.clone());
            }
        }
        snapshot
    }

    /// The built-in model `demo`, served without any configuration.
    #[must_use]
    pub fn demo(config: &Config) -> Self {
        let mut snapshot = Self::bare(config, Vec::new());
        let deployment = Deployment {
            id: "demo".into(),
            group: "demo".into(),
            provider: "tollway",
            provider_title: "Tollway",
            model: "demo".to_owned(),
            shown_base: String::new(),
            roads: Vec::new(),
            services: Vec::new(),
            unusable: None,
            anthropic_clients_by: None,
            timeouts: Timeouts::of(Duration::from_secs(60)),
            defaults: Extra::new(),
            extra_body: Extra::new(),
            policy: ParameterPolicy::default(),
            facts: ModelFacts::default(),
            verify_tls: true,
        };
        let info = Extra::from_iter([("mode".to_owned(), json!("chat"))]);
        let params = json!({"model": "tollway/demo"});
        let served = finished(deployment, Upstream::Mock(Mock::demo()), None, None, info, params);
        snapshot.add(Group { name: "demo".into(), members: vec![Arc::new(served)] });
        let demo = DeploymentSettings {
            id: "demo".into(),
            model_name: "demo".into(),
            ..DeploymentSettings::default()
        };
        snapshot.lay_out(Settings { deployments: vec![demo], ..Settings::default() });
        snapshot
    }

    /// What keeps deployments from being called, and the cache from being used: a setting or a variable that is missing, or
    /// credentials that cannot be used. Variables that the configuration itself names are left out: its report has them.
    #[must_use]
    pub fn unusable(config: &Config) -> Vec<String> {
        let accounts = Arc::clone(&Self::bare(config, Vec::new()).accounts);
        let common = Common::of(config, accounts);
        let deployments = config.deployments.iter().filter(|deployment| deployment.missing.is_empty());
        let served = deployments.map(|config| served(config, &config.model_name, &config.model, &common));
        let unusable = served.filter_map(|served| served.deployment.unusable);
        let unusable = unusable.map(|why| format!("a deployment cannot be called: {why}"));
        let store = config.litellm.cache.as_ref().and_then(|cache| cache::problem(&cache.store));
        unusable.chain(store.map(|why| format!("the cache cannot be signed in to: {why}"))).collect()
    }

    /// Models of deployments that nobody knows a price of: calls to them are booked at zero, and `unknown_price` says
    /// what becomes of them under a budget.
    #[must_use]
    pub fn unpriced(config: &Config) -> BTreeSet<String> {
        let accounts = Arc::clone(&Self::bare(config, Vec::new()).accounts);
        let common = Common::of(config, accounts);
        // What a pattern stands for is known with the request.
        let named = config.deployments.iter().filter(|deployment| !deployment.model.contains('*'));
        let served = named.map(|config| served(config, &config.model_name, &config.model, &common));
        let unpriced = served.filter(|served| !served.has_price());
        unpriced.map(|served| format!("{}/{}", served.deployment.provider, served.deployment.model)).collect()
    }

    fn bare(config: &Config, files: Vec<PathBuf>) -> Self {
        let (general, tollway) = (&config.general, &config.tollway);
        let auth = match &general.master_key {
            MasterKey::Set(key) | MasterKey::Weak(key) => {
                Auth::MasterKey(Sha256::digest(key.expose().as_bytes()).into())
            }
            MasterKey::Unset => Auth::Open,
        };
        let ca_file = match &config.litellm.tls {
            TlsVerify::Bundle(path) => Some(path.clone()),
            TlsVerify::System | TlsVerify::Off => None,
        };
        let transport = TransportOptions {
            connect_timeout: tollway.connect_timeout,
            pool_idle_timeout: tollway.pool_idle_timeout,
            tls: TlsOptions { ca_file, accept_any_certificate: false },
            ..TransportOptions::default()
        };
        let aliases = config
            .aliases
            .iter()
            .map(|(name, alias)| (name.clone(), Alias { group: alias.model.clone(), hidden: alias.hidden }));
        let model_aliases = config
            .litellm
            .model_alias_map
            .iter()
            .map(|(name, model)| (name.clone(), Alias { group: model.clone(), hidden: true }));
        Self {
            auth,
            key_header: general.key_header_name.as_deref().and_then(|name| HeaderName::try_from(name).ok()),
            bounds: Bounds {
                max_request_bytes: tollway.max_request_bytes,
                max_header_bytes: count(tollway.max_header_bytes).max(8192),
                max_response_bytes: tollway.max_response_bytes,
                max_json_depth: count(tollway.max_json_depth),
                max_connections: count(tollway.max_connections).clamp(1, Semaphore::MAX_PERMITS),
                client_read_timeout: tollway.client_read_timeout,
                client_write_timeout: tollway.client_write_timeout,
            },
            accounts: Arc::new(Accounts::new(transport.clone())),
            transport,
            cache: config.litellm.cache.clone(),
            shared_state: config.router.redis.clone(),
            trace_capacity: count(tollway.trace_capacity),
            trace_bodies: tollway.trace_bodies && !config.litellm.turn_off_message_logging,
            health_checks: general.health_checks.clone(),
            alerts: config.alerts.clone(),
            guess_limits: config.books.guess_limits,
            rotation: config.books.rotation.clone(),
            allow_mock_testing: general.allow_mock_testing,
            forward_client_headers: general.forward_client_headers,
            always_include_stream_usage: general.always_include_stream_usage,
            policy: config.books.policy.clone(),
            issue_policy: config.books.issue_policy.clone(),
            access_groups: access_groups(config),
            bounded_groups: Vec::new(),
            own_models: own_models(config),
            over_budget_status: config.books.over_budget_status,
            unknown_price: config.books.unknown_price,
            customers: config.books.customers.clone(),
            priced_only: config.books.priced_only,
            required_params: config.books.required_params.clone(),
            budget_fit: config.books.budget_fit,
            tag_terms: tag_terms(&config.books.tag_budgets),
            base: Arc::new(config.clone()),
            groups: HashMap::new(),
            order: Vec::new(),
            aliases: model_aliases.chain(aliases).collect(),
            wildcards: Vec::new(),
            fleet: Arc::new(Fleet::new(Plan::new(Settings::default()).0)),
            routing: Settings::default(),
            places: Vec::new(),
            files,
        }
    }

    /// Makes the fleet. What is wrong with the settings was told when the configuration was checked.
    fn lay_out(&mut self, mut settings: Settings) {
        let aliases = self.aliases.iter();
        settings.aliases = aliases.map(|(name, alias)| (name.clone(), alias.group.clone())).collect();
        self.routing = Settings { deployments: Vec::new(), ..settings.clone() };
        let (plan, _) = Plan::new(settings);
        let fixed = self.members().map(|served| (&*served.deployment.id, served));
        let fixed: HashMap<&str, &Arc<Served>> = fixed.collect();
        let made = self.wildcards.iter().enumerate().flat_map(|(wildcard, group)| {
            let members = group.members.iter().enumerate();
            members.map(move |(member, template)| (template.config.id.as_str(), (wildcard, member)))
        });
        let made: HashMap<&str, (usize, usize)> = made.collect();
        let place = |planned: &Planned| {
            let id = &*planned.settings.id;
            if let Some(served) = fixed.get(id) {
                return Some(Place::Fixed(Arc::clone(served)));
            }
            made.get(id).map(|(wildcard, member)| Place::Made { wildcard: *wildcard, member: *member })
        };
        // Every deployment of the plan comes from one of the two.
        let places: Vec<Place> = plan.deployments().iter().filter_map(place).collect();
        debug_assert_eq!(places.len(), plan.deployments().len(), "a deployment without a place");
        self.places = places;
        self.fleet = Arc::new(Fleet::new(plan));
    }

    fn add(&mut self, group: Group) {
        self.order.push(Arc::clone(&group.name));
        self.groups.insert(Arc::clone(&group.name), Arc::new(group));
    }
}

/// What the configuration says about tags.
fn tag_terms(budgets: &BTreeMap<Tag, Budget>) -> BTreeMap<Tag, Arc<TagTerms>> {
    let terms = |(name, budget): (&Tag, &Budget)| {
        let allowance = Allowance { budget: budget.clone(), ..Allowance::default() };
        let details = Details { allowance, ..Details::default() };
        let terms = TagTerms { name: name.clone(), models: ModelList::default(), details };
        (name.clone(), Arc::new(terms))
    };
    budgets.iter().map(terms).collect()
}

/// `model_info.access_groups` of all deployments.
fn access_groups(config: &Config) -> AccessGroups {
    let mut groups = AccessGroups::new();
    for deployment in &config.deployments {
        let named = deployment.info.shown.get("access_groups").and_then(Value::as_array);
        for name in named.into_iter().flatten().filter_map(Value::as_str) {
            let models = groups.entry(name.to_owned()).or_default();
            if !models.contains(&deployment.model_name) {
                models.push(deployment.model_name.clone());
            }
        }
    }
    groups
}

/// Models that only some teams have, with these teams.
fn own_models(config: &Config) -> HashMap<String, BTreeSet<String>> {
    let mut models: HashMap<String, BTreeSet<String>> = HashMap::new();
    let mut of_all = BTreeSet::new();
    for deployment in &config.deployments {
        match &deployment.routing.team {
            Some(team) => {
                models.entry(deployment.model_name.clone()).or_default().insert(team.to_string());
            }
            None => _ = of_all.insert(&deployment.model_name),
        }
    }
    models.retain(|model, _| !of_all.contains(model));
    models
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What routing has to know about a deployment: what is written, and what is known of its model.
fn planned(config: &DeploymentConfig, served: Option<&Served>) -> DeploymentSettings {
    let written = config.routing.clone();
    let facts = served.map(|served| &served.deployment.facts);
    let price = |name: &str| served?.info.get(name)?.as_f64();
    let token_price = price("input_cost_per_token").zip(price("output_cost_per_token"));
    DeploymentSettings {
        max_input_tokens: written.max_input_tokens.or(facts.and_then(|facts| facts.max_input_tokens)),
        token_price: token_price.map(|(input, output)| input + output),
        ..written
    }
}

fn served(config: &DeploymentConfig, group: &str, model: &str, common: &Common) -> Served {
    let split = catalog::split_model(
        model,
        config.custom_llm_provider.as_deref(),
        config.connection.api_base.as_deref(),
    );
    let mock = config.mock_response.as_ref().map(|response| {
        let text = response.as_str().map_or_else(|| response.to_string(), str::to_owned);
        Upstream::Mock(Mock::text(&text, Duration::ZERO))
    });
    let (provider, name) = match split {
        Ok((provider, name)) => (Some(provider), name),
        Err(_) => (None, model),
    };
    let entry = entry(provider, name, config);
    let mut facts = entry.as_ref().map(ModelEntry::facts).unwrap_or_default();
    facts.max_output_tokens =
        config.info.max_output_tokens.or(config.info.max_tokens).or(facts.max_output_tokens);
    facts.max_input_tokens = config.info.max_input_tokens.or(facts.max_input_tokens);
    let reach = match (provider, &split) {
        (Some(provider), _) => reach(provider, name, config, common, entry.as_ref()),
        (None, Err(unknown)) => Err(unknown.to_string()),
        (None, Ok(_)) => Err(String::new()),
    };
    let (Reach { roads, services, model: wire_model }, unusable) = match reach {
        Ok(reach) => (reach, None),
        Err(why) => {
            let nowhere = Reach { roads: Vec::new(), services: Vec::new(), model: name.to_owned() };
            (nowhere, Some(format!("{why} (deployment at {})", config.place)))
        }
    };
    let first = roads.first().or(services.first().map(|service| &service.road));
    let shown_base = first.map(|road| shown_base(&road.address.uri)).unwrap_or_default();
    let deployment = Deployment {
        id: config.id.as_str().into(),
        group: group.into(),
        provider: provider.map_or("unknown", |provider| provider.id),
        provider_title: provider.map_or("Provider", |provider| provider.title),
        model: wire_model,
        shown_base,
        unusable: unusable.filter(|_| mock.is_none()),
        roads,
        services,
        anthropic_clients_by: provider
            .filter(|_| !common.chat_for_anthropic_clients)
            .and_then(|provider| provider.endpoint(provider.messages_via?)?.conversation()),
        timeouts: Timeouts {
            stream: config.stream_timeout.or(common.stream_timeout),
            first_token: config.first_token_timeout.or(common.first_token_timeout),
            next_token: config.inter_token_timeout.or(common.inter_token_timeout),
            ..Timeouts::of(config.timeout.unwrap_or(common.timeout))
        },
        defaults: config.defaults.clone(),
        extra_body: config.connection.extra_body.clone(),
        policy: ParameterPolicy {
            drop_params: config.parameters.drop_params.unwrap_or(common.drop_params),
            additional_drop_params: config.parameters.additional_drop_params.clone(),
            allowed_params: config.parameters.allowed_openai_params.clone(),
            modify_params: common.modify_params,
        },
        facts,
        verify_tls: config.connection.tls.as_ref().map_or(common.verify_tls, |tls| *tls != TlsVerify::Off),
    };
    let mut info = entry.as_ref().map(ModelEntry::to_json).unwrap_or_default();
    info.extend(config.info.shown.clone());
    let params = shown_params(config, model, &deployment);
    let list = if config.info.prices.is_empty() {
        catalog::prices::embedded_version().to_owned()
    } else {
        format!("{}+config", catalog::prices::embedded_version())
    };
    let prices = entry.map(|entry| (entry, list.into()));
    let budgets = common.budgets.of(deployment.provider, &deployment.id, config.budget.as_ref());
    finished(deployment, mock.unwrap_or(Upstream::Provider), prices, budgets, info, params)
}

/// What is known of the model, and what the configuration says instead.
fn entry(provider: Option<&'static Provider>, model: &str, config: &DeploymentConfig) -> Option<ModelEntry> {
    let found = catalog::prices::embedded().find(&ModelQuery {
        provider: provider.map(|provider| provider.id),
        model,
        base_model: config.info.base_model.as_deref(),
        region: config.vertex.location.as_deref().or(config.aws.aws_region_name.as_deref()),
    });
    let prices: Extra = config
        .info
        .prices
        .iter()
        .filter_map(|(field, digits)| Some((field.clone(), serde_json::from_str(digits.get()).ok()?)))
        .collect();
    if prices.is_empty() {
        return found;
    }
    let base = found.unwrap_or_else(|| ModelEntry::empty(model));
    // The configuration's check has refused prices that cannot be held exactly.
    base.clone().with_overrides(&prices).ok().or(Some(base))
}

fn finished(
    deployment: Deployment,
    upstream: Upstream,
    prices: Option<(ModelEntry, Arc<str>)>,
    budgets: Option<Box<ServedBudgets>>,
    info: Extra,
    shown_params: Value,
) -> Served {
    let head = pipeline::answer::head_of(&deployment);
    let words = ServedWords::new(deployment.provider, &deployment.id, &deployment.model);
    let labels = ServedLabels {
        requested_model: deployment.group.to_string(),
        provider_model: deployment.model.clone(),
        model_id: deployment.id.to_string(),
        api_base: deployment.shown_base.clone(),
        provider: deployment.provider.to_owned(),
    };
    let fingerprint = fingerprint(&deployment, &upstream);
    let account = account(&deployment);
    let handles = OnceLock::new();
    let (prices, price_list) = prices.unzip();
    Served {
        deployment,
        upstream,
        prices,
        price_list,
        budgets,
        info,
        shown_params,
        head,
        labels,
        words,
        fingerprint,
        account,
        handles,
    }
}

/// The address and what signs in there.
fn account(deployment: &Deployment) -> Account {
    let mut hasher = DefaultHasher::new();
    (deployment.provider, &deployment.shown_base).hash(&mut hasher);
    for road in &deployment.roads {
        (road.address.uri.host(), road.address.uri.query()).hash(&mut hasher);
        for (name, value) in &road.headers {
            (name.as_str(), value.as_bytes()).hash(&mut hasher);
        }
        road.account.as_ref().map(|account| account.identity()).hash(&mut hasher);
    }
    Account(hasher.finish())
}

/// Where two are the same, the same question may have the same answer.
fn fingerprint(deployment: &Deployment, upstream: &Upstream) -> [u8; 32] {
    let Deployment { provider, model, shown_base, defaults, extra_body, policy, .. } = deployment;
    let parts =
        format!("{provider:?} {model:?} {shown_base:?} {defaults:?} {extra_body:?} {policy:?} {upstream:?}");
    Sha256::digest(parts).into()
}

/// The settings that may be shown: nothing that signs in.
fn shown_params(config: &DeploymentConfig, model: &str, deployment: &Deployment) -> Value {
    let mut shown = deployment.defaults.clone();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            shown.insert(name.to_owned(), value);
        }
    };
    put("model", Some(json!(model)));
    put("api_base", config.connection.api_base.as_ref().map(|base| json!(base)));
    put("api_version", config.connection.api_version.as_ref().map(|version| json!(version)));
    put("custom_llm_provider", Some(json!(deployment.provider)));
    put("timeout", config.timeout.map(|timeout| json!(timeout.as_secs_f64())));
    put("rpm", config.routing.rpm.map(Value::from));
    put("tpm", config.routing.tpm.map(Value::from));
    put("weight", config.routing.weight.map(Value::from));
    Value::Object(shown)
}

fn shown_base(uri: &Uri) -> String {
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    // An address may carry credentials before an `@`.
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{}://{host}{}", uri.scheme_str().unwrap_or("https"), uri.path())
}

/// By which roads a model can be reached.
struct Reach {
    roads: Vec<Road>,
    services: Vec<ServiceRoad>,
    /// Its name there.
    model: String,
}

/// How a model can be reached; or what is missing, in words for the operator.
fn reach(
    provider: &'static Provider,
    model: &str,
    config: &DeploymentConfig,
    common: &Common,
    entry: Option<&ModelEntry>,
) -> Result<Reach, String> {
    if let Some(missing) = config.missing.first() {
        return Err(format!(
            "`{}` refers to the environment variable `{}`, which is not set",
            missing.key, missing.variable
        ));
    }
    let connection = &config.connection;
    let base = connection.api_base.clone().or_else(|| common.text_variable(provider.base_url_env));
    let part = |name: &str| {
        let names = provider.url_env.iter().find(|(part, _)| *part == name).map(|(_, names)| *names);
        names.and_then(|names| common.text_variable(names))
    };
    let api_version = connection.api_version.clone().or_else(|| part("api_version"));
    let google = sign_in::google(provider, config, common)?;
    let own_project = || google.as_ref().and_then(|google| google.project.clone());
    let project = config.vertex.project.clone().or_else(|| part("project")).or_else(own_project);
    let location = config.vertex.location.clone().or_else(|| part("location"));
    let region = connection
        .region_name
        .clone()
        .or_else(|| config.aws.aws_region_name.clone())
        .or_else(|| part("region"));
    let account = part("account_id");
    let params = UrlParams {
        model,
        api_base: base.as_deref(),
        api_version: api_version.as_deref(),
        project: project.as_deref(),
        location: location.as_deref(),
        region: region.as_deref(),
        account_id: account.as_deref(),
        others: &[],
    };
    let mut roads = Vec::new();
    let mut wire_model = model.to_owned();
    let mut problem = None;
    for kind in
        [EndpointKind::Chat, EndpointKind::Responses, EndpointKind::Messages, EndpointKind::Completions]
    {
        let Ok(route) = provider.route(kind, &params) else { continue };
        let Some(dialect) = route.endpoint.conversation() else { continue };
        if roads.iter().any(|road: &Road| road.dialect == dialect) {
            continue;
        }
        match road(&route, dialect, config, google.as_ref(), common) {
            Ok(road) => {
                if roads.is_empty() {
                    route.model.clone_into(&mut wire_model);
                }
                roads.push(road);
            }
            Err(why) => problem = problem.or(Some(why)),
        }
    }
    // Models that only one API serves.
    let only = match entry.and_then(ModelEntry::mode) {
        Some("responses") => Some(Dialect::OpenaiResponses),
        Some("completion") => Some(Dialect::OpenaiCompletions),
        _ => None,
    };
    if let Some(only) = only.filter(|only| roads.iter().any(|road| road.dialect == *only)) {
        roads.retain(|road| road.dialect == only);
    }
    let mut services = Vec::new();
    for service in Service::ALL {
        match service_road(service, provider, &params, config, google.as_ref(), common) {
            Ok(road) => services.extend(road),
            Err(why) => problem = problem.or(Some(why)),
        }
    }
    match (roads.is_empty() && services.is_empty(), problem) {
        (false, _) => Ok(Reach { roads, services, model: wire_model }),
        (true, Some(why)) => Err(why),
        (true, None) => Err(format!("provider `{}` serves nothing that this version speaks", provider.id)),
    }
}

/// How a model can be asked for a service; `None` where its provider has it not, or not in the common shape.
fn service_road(
    service: Service,
    provider: &'static Provider,
    params: &UrlParams<'_>,
    config: &DeploymentConfig,
    google: Option<&google::Credentials>,
    common: &Common,
) -> Result<Option<ServiceRoad>, String> {
    let (kind, dialect) = match service {
        Service::Embeddings => (EndpointKind::Embeddings, "openai_embeddings"),
        Service::Moderations => (EndpointKind::Moderation, "openai_moderation"),
        Service::Speech => (EndpointKind::Speech, "openai_speech"),
        // Rows do not tell them apart: who transcribes in OpenAI's shape also translates, beside it.
        Service::Transcriptions | Service::Translations => {
            (EndpointKind::Transcription, "openai_transcription")
        }
        Service::Rerank => (EndpointKind::Rerank, "cohere_rerank"),
        Service::Images => (EndpointKind::Images, "openai_images"),
    };
    let Ok(route) = provider.route(kind, params) else { return Ok(None) };
    if route.endpoint.dialect != dialect {
        return Ok(None);
    }
    let mut road = road(&route, Dialect::OpenaiChat, config, google, common)?;
    if service == Service::Translations {
        let uri = road.address.uri.to_string().replacen("/transcriptions", "/translations", 1);
        let parsed = uri.parse::<Uri>().map_err(|error| format!("`{uri}` is not an address: {error}"))?;
        road.address = parsed.into();
        road.stream_address = road.address.clone();
    }
    let quirks = route.endpoint.quirks();
    Ok(Some(ServiceRoad { service, model: route.model.to_owned(), road, quirks }))
}

fn road(
    route: &Route<'_>,
    dialect: Dialect,
    config: &DeploymentConfig,
    google: Option<&google::Credentials>,
    common: &Common,
) -> Result<Road, String> {
    let address = |stream: bool| {
        let url = route.url(stream).map_err(|error| error.to_string())?;
        let uri = url.parse::<Uri>().map_err(|error| format!("`{url}` is not an address: {error}"));
        uri.map(Address::from)
    };
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, value: &str, sensitive: bool| {
        let name = HeaderName::try_from(name).map_err(|_| format!("`{name}` is not a header's name"))?;
        let mut value =
            HeaderValue::from_str(value).map_err(|_| format!("the header `{name}` cannot hold its value"))?;
        value.set_sensitive(sensitive);
        headers.insert(name, value);
        Ok::<(), String>(())
    };
    for header in route.headers() {
        let value = header.env.and_then(|name| common.text_variable(&[name]));
        put(header.name, value.as_deref().unwrap_or(header.value), false)?;
    }
    if let Some(organization) = &config.connection.organization {
        put("openai-organization", organization, false)?;
    }
    let mut account = None;
    match sign_in::sign_in(route, config, google, common)? {
        SignIn::Open => {}
        SignIn::Key { header, value } => put(&header, value.expose(), true)?,
        SignIn::Account(source) => account = Some(common.accounts.of(source)),
    }
    if let Some(project) = google.and_then(|google| google.quota_project.as_deref()) {
        put("x-goog-user-project", project, false)?;
    }
    for (name, value) in &config.connection.headers {
        put(name, value.expose(), true)?;
    }
    let road = Road::new(dialect, address(false)?, address(true)?, headers, route.quirks());
    Ok(Road { account, ..road })
}
