//! The configuration as requests use it: worked out once, never changed, swapped whole on reload.

mod budgets;
mod build;
mod pattern;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use catalog::cost::{CallKind, Counts};
use catalog::{Cost, CostContext};
use dialects::conversation::{Extra, Usage};
use dialects::service::Service;
use http::HeaderMap;
use http::header::HeaderName;
use ledger::rules::access::AccessGroups;
use ledger::rules::circle::Policy;
use ledger::rules::entity::{AccessGroup, TagTerms};
use ledger::rules::id::Tag;
use routing::{DeploymentIndex, Fleet, Settings};
use serde_json::Value;
use tollway::Deployment;
use tollway::sign_in::Accounts;
use tollway::transport::TransportOptions;

use crate::admin::IssuePolicy;
use crate::alerts::settings::AlertSettings;
use crate::books::guesses::GuessLimits;
use crate::config::{CacheSettings, Config, CustomerDefaults, RedisSettings, RequiredParams, UnknownPrice};
use crate::events::Metrics;
use crate::events::log::ServedWords;
use crate::events::metrics::{Handles, ServedLabels};
use crate::exchange::Identity;
use crate::health::HealthChecks;
use crate::mock::Mock;
use crate::rotation::RotationSettings;
use crate::whereabouts::Account;

pub use budgets::ServedBudgets;
pub use pattern::Pattern;

/// See the module.
#[derive(Debug)]
pub struct Snapshot {
    pub auth: Auth,
    /// A header of the operator's choice that carries the key.
    pub key_header: Option<HeaderName>,
    pub bounds: Bounds,
    pub transport: TransportOptions,
    /// How answers are cached, if they are.
    pub cache: Option<CacheSettings>,
    /// Where gateways tell one another what they know of deployments, if there is such a place.
    pub shared_state: Option<RedisSettings>,
    pub trace_capacity: usize,
    /// Keep bodies in traces.
    pub trace_bodies: bool,
    /// How deployments are checked in the background, if they are.
    pub health_checks: Option<HealthChecks>,
    /// Who is alerted of what.
    pub alerts: AlertSettings,
    /// How many wrong keys an address may present.
    pub guess_limits: GuessLimits,
    /// Whether keys get new secrets by themselves, and how.
    pub rotation: RotationSettings,
    /// Callers may have their first group counted as failed (`mock_testing_fallbacks`).
    pub allow_mock_testing: bool,
    /// Send clients' `x-…` headers on.
    pub forward_client_headers: bool,
    /// Tell usage in streams whether or not the client asks.
    pub always_include_stream_usage: bool,
    /// What holds for all keys.
    pub policy: Policy,
    /// What keys, users and teams that are made get, and the most that they may get.
    pub issue_policy: IssuePolicy,
    /// Which models the names of `model_info.access_groups`, and the groups of the database, stand for.
    pub access_groups: AccessGroups,
    /// Those groups that have a budget.
    pub bounded_groups: Vec<AccessGroup>,
    /// Models all of whose deployments are teams' own (`model_info.team_id`), with these teams.
    pub own_models: HashMap<String, BTreeSet<String>>,
    /// The status of a request over a budget.
    pub over_budget_status: u16,
    pub unknown_price: UnknownPrice,
    /// The budget of customers that have none of their own.
    pub customers: CustomerDefaults,
    /// Models without a price are not served.
    pub priced_only: bool,
    pub required_params: RequiredParams,
    /// Answers are kept as short as budgets pay for, unless a key or team says otherwise.
    pub budget_fit: bool,
    /// The terms of tags that have none of their own.
    pub tag_terms: BTreeMap<Tag, Arc<TagTerms>>,
    /// What it was worked out from.
    pub base: Arc<Config>,
    groups: HashMap<Arc<str>, Arc<Group>>,
    /// Group names in the order of the configuration.
    order: Vec<Arc<str>>,
    aliases: HashMap<String, Alias>,
    /// Wildcard groups, the most specific first.
    wildcards: Vec<Wildcard>,
    /// The deployments and what is going on at them.
    fleet: Arc<Fleet>,
    /// Who signs in with tokens.
    accounts: Arc<Accounts>,
    /// How the fleet is routed: its deployments left out.
    pub routing: Settings,
    /// What the fleet's deployments are, at their indexes.
    places: Vec<Place>,
    /// Files that the configuration was read from.
    pub files: Vec<PathBuf>,
}

/// Who may call.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// No master key: the gateway listens on loopback only.
    Open,
    /// SHA-256 of the master key.
    MasterKey([u8; 32]),
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::MasterKey(_) => "MasterKey(…)",
        })
    }
}

/// What a client or a provider can make the gateway hold or wait for.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub max_request_bytes: u64,
    pub max_header_bytes: usize,
    pub max_response_bytes: u64,
    pub max_json_depth: usize,
    /// Client connections at a time; more wait to be accepted.
    pub max_connections: usize,
    /// Between two pieces of a request.
    pub client_read_timeout: Duration,
    /// Without the client taking a byte of its answer.
    pub client_write_timeout: Duration,
}

/// Deployments behind one name.
#[derive(Debug)]
pub struct Group {
    pub name: Arc<str>,
    pub members: Vec<Arc<Served>>,
}

/// A deployment as the gateway serves it.
#[derive(Debug)]
pub struct Served {
    pub deployment: Deployment,
    pub upstream: Upstream,
    pub prices: Option<catalog::ModelEntry>,
    /// The list that they are from, and `+config` where the configuration says otherwise.
    pub price_list: Option<Arc<str>>,
    /// Budgets of its provider and of its own, if there are any.
    pub budgets: Option<Box<ServedBudgets>>,
    /// `model_info` as shown to clients.
    pub info: Extra,
    /// `litellm_params` as shown to clients: no secrets.
    pub shown_params: Value,
    /// The head of its usual answer.
    pub head: HeaderMap,
    pub labels: ServedLabels,
    /// Its names in log lines.
    pub words: ServedWords,
    /// SHA-256 of what decides about its answers: model, defaults, parameter policy.
    pub fingerprint: [u8; 32],
    /// Whose state it knows.
    pub account: Account,
    handles: OnceLock<Handles>,
}

/// Where answers come from.
#[derive(Debug)]
pub enum Upstream {
    Provider,
    Mock(Mock),
}

#[derive(Debug)]
struct Alias {
    group: String,
    hidden: bool,
}

/// Where a deployment of the fleet is.
#[derive(Debug)]
enum Place {
    Fixed(Arc<Served>),
    /// One of a wildcard group's members, which are made when a name comes up.
    Made {
        wildcard: usize,
        member: usize,
    },
}

/// A group whose name is a pattern; the deployments it stands for are made when their names come up.
#[derive(Debug)]
struct Wildcard {
    pattern: Pattern,
    members: Vec<build::Template>,
    made: Mutex<HashMap<String, Arc<Group>>>,
}

/// Names that one wildcard remembers. Clients choose them, so there is a bound; beyond it a name is worked out
/// again at every request.
const MAX_MADE: usize = 1000;

/// Comparing names takes time that grows with the product of their lengths, and clients choose one of them.
const MAX_COMPARED: usize = 128;

impl Snapshot {
    /// The group that a client's model name leads to. In LiteLLM's order: a deployment's id, an alias, a group, the
    /// most specific pattern, the name that some deployment has for its model.
    #[must_use]
    pub fn group(&self, model: &str) -> Option<Arc<Group>> {
        let model = self.aliases.get(model).map_or(model, |alias| alias.group.as_str());
        if let Some(group) = self.groups.get(model) {
            return Some(Arc::clone(group));
        }
        if let Some(wildcard) = self.wildcards.iter().find(|wildcard| wildcard.pattern.matches(model)) {
            return Some(wildcard.group(model));
        }
        self.by_deployment(model)
    }

    /// The deployments and what is going on at them.
    #[must_use]
    pub fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// The deployment at an index of the fleet's plan; `name` led to it.
    #[must_use]
    pub fn served(&self, index: DeploymentIndex, name: &str) -> Option<Arc<Served>> {
        match self.places.get(index.get())? {
            Place::Fixed(served) => Some(Arc::clone(served)),
            Place::Made { wildcard, member } => {
                self.wildcards.get(*wildcard)?.group(name).members.get(*member).cloned()
            }
        }
    }

    /// Goes on with what the snapshot before this one knows about its deployments.
    #[must_use]
    pub fn following(mut self, before: &Self) -> Self {
        if let Some(fleet) = Arc::get_mut(&mut self.fleet) {
            fleet.take_over(&before.fleet);
        }
        self.accounts.continue_from(&before.accounts);
        self
    }

    /// The deployment that has this id, or that calls its model so: a name by which callers pick one past its group.
    #[must_use]
    pub fn deployment(&self, name: &str) -> Option<&Arc<Served>> {
        let by_id = |served: &&Arc<Served>| *served.deployment.id == *name;
        let by_name = |served: &&Arc<Served>| {
            let deployment = &served.deployment;
            deployment.model == name
                || name.split_once('/').is_some_and(|(provider, name)| {
                    deployment.provider == provider && deployment.model == name
                })
        };
        self.members().find(by_id).or_else(|| self.members().find(by_name))
    }

    fn by_deployment(&self, model: &str) -> Option<Arc<Group>> {
        let served = self.deployment(model)?;
        let name = Arc::clone(&served.deployment.group);
        Some(Arc::new(Group { name, members: vec![Arc::clone(served)] }))
    }

    /// Groups in the order of the configuration.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.order.iter().filter_map(|name| self.groups.get(name))
    }

    /// All deployments, wildcards' ones left out.
    pub fn members(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.groups().flat_map(|group| &group.members)
    }

    /// Aliases that are not hidden, with their groups.
    pub fn visible_aliases(&self) -> impl Iterator<Item = (&str, &Group)> {
        let shown = self.aliases.iter().filter(|(_, alias)| !alias.hidden);
        shown.filter_map(|(name, alias)| Some((name.as_str(), &**self.groups.get(alias.group.as_str())?)))
    }

    /// The models of the price map that a pattern of the form `provider/*` stands for, named as clients name them.
    #[must_use]
    pub fn names_behind(&self, pattern: &Pattern) -> Vec<String> {
        let provider = pattern.text().strip_suffix("/*").and_then(catalog::find);
        provider.map(|provider| catalog::prices::embedded().models_of(provider.id)).unwrap_or_default()
    }

    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.wildcards.iter().map(|wildcard| &wildcard.pattern)
    }

    /// How many names a client can ask for; a pattern counts as one.
    #[must_use]
    pub fn model_count(&self) -> usize {
        self.order.len() + self.wildcards.len()
    }

    /// The known name that is spelled most like `model`.
    #[must_use]
    pub fn nearest(&self, model: &str) -> Option<&str> {
        if model.len() > MAX_COMPARED {
            return None;
        }
        let names = self.order.iter().map(|name| &**name).chain(self.aliases.keys().map(String::as_str));
        let alike = |name: &&str| strsim::normalized_damerau_levenshtein(name, model);
        let best = names.max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
        (alike(&best) > 0.5).then_some(best)
    }
}

impl Wildcard {
    fn group(&self, model: &str) -> Arc<Group> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = made.get(model) {
            return Arc::clone(group);
        }
        let members = self
            .members
            .iter()
            .map(|template| Arc::new(template.fill(model, self.pattern.capture(model))))
            .collect();
        let group = Arc::new(Group { name: model.into(), members });
        if made.len() < MAX_MADE {
            made.insert(model.to_owned(), Arc::clone(&group));
        }
        group
    }
}

impl Served {
    /// What `usage` costs here; `None` if no price is known.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<Cost> {
        self.cost_of(usage, CallKind::Chat, Counts::default())
    }

    /// Whether anything of its model has a price.
    #[must_use]
    pub fn has_price(&self) -> bool {
        self.prices.as_ref().is_some_and(catalog::ModelEntry::has_price)
    }

    /// Whether its provider has an endpoint for conversations at all.
    #[must_use]
    pub fn has_conversations(&self) -> bool {
        let row = catalog::find(self.deployment.provider);
        row.is_none_or(|row| row.endpoints.iter().any(|endpoint| endpoint.conversation().is_some()))
    }

    /// Whether it can be asked for this.
    #[must_use]
    pub fn serves(&self, service: Service) -> bool {
        let has = self.deployment.services.iter().any(|road| road.service == service);
        // One that lacks a key may have the endpoint: its refusal says what is missing.
        matches!(self.upstream, Upstream::Provider) && (has || self.deployment.unusable.is_some())
    }

    /// What a call of another kind than chat costs here; `None` if no price is known.
    #[must_use]
    pub fn cost_of(&self, usage: &Usage, call: CallKind, counts: Counts<'_>) -> Option<Cost> {
        let service_tier = usage.service_tier.as_deref();
        let context = CostContext { call, service_tier, counts, ..CostContext::default() };
        let cost = catalog::cost(usage, self.prices.as_ref(), &context);
        (!cost.unpriced).then_some(cost)
    }

    pub(crate) fn handles(&self, metrics: &Metrics) -> &Handles {
        self.handles.get_or_init(|| metrics.handles(&self.labels, &Identity::Master))
    }
}
