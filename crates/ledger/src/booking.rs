//! One finished request, as it is journalled and stored.

use std::borrow::Cow;
use std::sync::Arc;

use catalog::NanoUsd;
use serde::{Deserialize, Serialize};

use crate::rules::account::Scope;
use crate::rules::id::{
    CustomerId, DeploymentId, KeyId, ModelName, OrganizationId, ProviderName, RequestId, Tag, TeamId, UserId,
};
use crate::rules::ledger::Charge;
use crate::rules::nano;
use crate::rules::time::Timestamp;

/// What a request was and what it cost: an entry of the journal, a row of the spend log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Booking {
    /// A second booking with the same id and beginning changes nothing.
    pub request: RequestId,
    /// When it was admitted: it belongs to this day and to the budget windows of this moment.
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    /// What was called, as LiteLLM names it: `acompletion`, `aembedding`, …
    pub call_type: Cow<'static, str>,
    pub failed: bool,
    /// The model that answered.
    pub model: ModelName,
    /// The name that the client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_group: Option<Arc<str>>,
    pub provider: ProviderName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Arc<str>>,
    pub key: KeyId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// Distinct.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    #[serde(default)]
    pub tokens: Tokens,
    #[serde(with = "nano")]
    pub cost: NanoUsd,
    /// What an answer from the cache would have cost.
    #[serde(default, with = "nano")]
    pub saved: NanoUsd,
    /// The provider reported no usage: the cost is ours, of what was delivered.
    #[serde(default)]
    pub estimated: bool,
    #[serde(default)]
    pub cache_hit: bool,
    /// The price list that the cost comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Arc<str>>,
    /// The invoice's lines and other metadata, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Arc<str>>,
    /// The budget windows that the cost is charged to; see [`Settlement`](crate::rules::ledger::Settlement).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<Charge>,
}

/// Tokens as they are billed; `input` holds those read from and written to the provider's cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
}

impl Booking {
    /// Everybody whose daily sums it is part of.
    pub(crate) fn reported_to(&self) -> impl Iterator<Item = Scope> + '_ {
        [
            Some(Scope::Gateway),
            self.organization.clone().map(Scope::Organization),
            self.team.clone().map(Scope::Team),
            self.user.clone().map(Scope::User),
            Some(Scope::Key(self.key.clone())),
            self.customer.clone().map(Scope::Customer),
        ]
        .into_iter()
        .flatten()
        .chain(self.tags.iter().cloned().map(Scope::Tag))
    }

    /// Everybody whose spend for good it is part of.
    pub(crate) fn charged_to(&self) -> impl Iterator<Item = Scope> + '_ {
        let member = self.team.clone().zip(self.user.clone()).map(|(team, user)| Scope::Member(team, user));
        let made_by = [Scope::Provider(self.provider.clone()), Scope::Model(self.model.clone())];
        let deployment = self.deployment.as_deref().and_then(|id| DeploymentId::new(id).ok());
        self.reported_to().chain(member).chain(made_by).chain(deployment.map(Scope::Deployment))
    }
}
