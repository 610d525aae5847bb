//! Keys and those who own them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::access::{AddressList, ModelList, RouteList};
use super::budget::Allowance;
use super::id::{
    AccessGroupId, BudgetId, CredentialId, CustomerId, KeyHash, KeyId, ModelName, OrganizationId,
    RuntimeModelId, Tag, TeamId, UserId,
};
use super::time::Timestamp;
use crate::vault::Sealed;

/// What all entities have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    pub blocked: bool,
    pub allowance: Allowance,
    /// A shared budget whose terms hold where `allowance` says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_id: Option<BudgetId>,
    /// What the management API keeps and no rule looks at: metadata, guardrails, rotation, …
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<String>,
}

/// A virtual key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    pub id: KeyId,
    pub hash: KeyHash,
    /// `sk-...` and the last four characters.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    #[serde(default)]
    pub models: ModelList,
    /// Groups whose models it may use beside those of its list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access_groups: Vec<AccessGroupId>,
    /// Names that this key may use for models.
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
    #[serde(default)]
    pub routes: RouteList,
    #[serde(default)]
    pub addresses: AddressList,
    #[serde(default)]
    pub tags: Vec<Tag>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Rotation::is_empty")]
    pub rotation: Rotation,
    #[serde(default)]
    pub details: Details,
}

impl Key {
    /// All that it may use, those of its access groups included.
    #[must_use]
    pub fn reach(&self) -> Cow<'_, ModelList> {
        self.models.beside(&self.access_groups)
    }
}

/// When a key gets, and got, a new secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rotation {
    /// By itself: then the next one is due. The name is what the store looks for.
    #[serde(rename = "rotation_due_at", skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// How often it got one.
    pub count: u32,
}

impl Rotation {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A team: keys and members under common terms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Team {
    pub id: TeamId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    #[serde(default)]
    pub models: ModelList,
    /// Groups whose models it may use beside those of its list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access_groups: Vec<AccessGroupId>,
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
    /// Management routes that every member may use.
    #[serde(default)]
    pub member_permissions: Vec<String>,
    /// What its logging callbacks sign in with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Sealed>,
    #[serde(default)]
    pub details: Details,
}

impl Team {
    /// All that it may use, those of its access groups included.
    #[must_use]
    pub fn reach(&self) -> Cow<'_, ModelList> {
        self.models.beside(&self.access_groups)
    }
}

/// Somebody in a team.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub team: TeamId,
    pub user: UserId,
    #[serde(default)]
    pub role: MemberRole,
    /// Fewer models than the team's.
    #[serde(default)]
    pub models: ModelList,
    #[serde(default)]
    pub details: Details,
}

/// What a member may do in the team.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Manages the team.
    Admin,
    #[default]
    User,
}

/// Somebody who owns keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default)]
    pub role: UserRole,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    /// For keys that belong to no team.
    #[serde(default)]
    pub models: ModelList,
    #[serde(default)]
    pub details: Details,
}

/// What a user may do in the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserRole {
    ProxyAdmin,
    ProxyAdminViewer,
    OrgAdmin,
    #[default]
    InternalUser,
    InternalUserViewer,
    Team,
    Customer,
}

/// Teams and users under one roof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Organization {
    pub id: OrganizationId,
    #[serde(default)]
    pub models: ModelList,
    #[serde(default)]
    pub details: Details,
}

/// An end user of somebody's product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Customer {
    pub id: CustomerId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_model: Option<ModelName>,
    /// `eu` or `us`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_model_region: Option<String>,
    #[serde(default)]
    pub models: ModelList,
    #[serde(default)]
    pub details: Details,
}

/// A tag with terms of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TagTerms {
    pub name: Tag,
    #[serde(default)]
    pub models: ModelList,
    #[serde(default)]
    pub details: Details,
}

/// A budget that several entities refer to by `budget_id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharedBudget {
    pub id: BudgetId,
    #[serde(default)]
    pub details: Details,
}

/// Models under one name. Lists of models may hold its id or its alias; see
/// [`AccessGroups`](super::access::AccessGroups).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessGroup {
    pub id: AccessGroupId,
    /// Names, or patterns with `*`.
    #[serde(default)]
    pub models: Vec<String>,
    /// What else it stands for, as the management API was given it.
    #[serde(default)]
    pub data: Map<String, Value>,
    #[serde(default)]
    pub details: Details,
}

impl AccessGroup {
    /// Whether a model is in it.
    #[must_use]
    pub fn has(&self, model: &str) -> bool {
        self.models.iter().any(|entry| super::access::matches(entry, model))
    }
}

/// What a provider asks for, under a name that models refer to (`litellm_credential_name`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    pub id: CredentialId,
    /// `credential_values`: `api_key`, `api_base`, …; sealed, since nobody knows which of them are secret.
    #[serde(default)]
    pub values: BTreeMap<String, Sealed>,
    /// `credential_info`: nothing secret.
    #[serde(default)]
    pub data: Map<String, Value>,
    #[serde(default)]
    pub details: Details,
}

/// A model that was added at run time. It lives beside those of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuntimeModel {
    /// `model_info.id`
    pub id: RuntimeModelId,
    /// `model_name`: what clients ask for.
    pub name: ModelName,
    /// The only team that may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    /// The secret ones of `litellm_params`: `api_key`, `aws_secret_access_key`, …
    #[serde(default)]
    pub secrets: BTreeMap<String, Sealed>,
    /// `litellm_params` without the secret ones, and `model_info`, as the management API was given them.
    #[serde(default)]
    pub data: Map<String, Value>,
    #[serde(default)]
    pub details: Details,
}
