//! What spend and use are counted against.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::{
    AccessGroupId, CustomerId, DeploymentId, KeyId, ModelName, OrganizationId, ProviderName, Tag, TeamId,
    UserId,
};

/// Whose spend it is. The order is the one in which refusals are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything that this gateway spends.
    Gateway,
    Organization(OrganizationId),
    Team(TeamId),
    /// Somebody in one of their teams.
    Member(TeamId, UserId),
    User(UserId),
    Key(KeyId),
    Customer(CustomerId),
    Tag(Tag),
    /// The models of an access group, whoever uses them.
    AccessGroup(AccessGroupId),
    Provider(ProviderName),
    Deployment(DeploymentId),
    Model(ModelName),
}

/// A scope, or a scope's use of one model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Account {
    pub scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
}

impl Scope {
    /// As the database names it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Organization(_) => "organization",
            Self::Team(_) => "team",
            Self::Member(..) => "member",
            Self::User(_) => "user",
            Self::Key(_) => "key",
            Self::Customer(_) => "customer",
            Self::Tag(_) => "tag",
            Self::AccessGroup(_) => "access_group",
            Self::Provider(_) => "provider",
            Self::Deployment(_) => "deployment",
            Self::Model(_) => "model",
        }
    }

    /// Which one of its kind, as the database names it.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Gateway => String::new(),
            Self::Organization(id) => id.to_string(),
            Self::Team(id) => id.to_string(),
            Self::Member(team, user) => member_id(team, user),
            Self::User(id) => id.to_string(),
            Self::Key(id) => id.to_string(),
            Self::Customer(id) => id.to_string(),
            Self::Tag(tag) => tag.to_string(),
            Self::AccessGroup(id) => id.to_string(),
            Self::Provider(name) => name.to_string(),
            Self::Deployment(id) => id.to_string(),
            Self::Model(name) => name.to_string(),
        }
    }

    /// LiteLLM's name in texts and headers about limits.
    fn descriptor(&self) -> &'static str {
        match self {
            Self::Gateway => "global",
            Self::Organization(_) => "organization",
            Self::Team(_) => "team",
            Self::Member(..) => "team_member",
            Self::User(_) => "user",
            Self::Key(_) => "api_key",
            Self::Customer(_) => "end_user",
            Self::Tag(_) => "tag",
            Self::AccessGroup(_) => "model_access_group",
            Self::Provider(_) => "provider",
            Self::Deployment(_) => "deployment",
            Self::Model(_) => "model",
        }
    }
}

/// Both names in one, in a way that no other pair has: ids hold no control characters.
pub(crate) fn member_id(team: &TeamId, user: &UserId) -> String {
    format!("{team}\u{1f}{user}")
}

impl Account {
    /// All that a scope uses.
    #[must_use]
    pub fn of(scope: Scope) -> Self {
        Self { scope, model: None }
    }

    /// A scope's use of one model.
    #[must_use]
    pub fn of_model(scope: Scope, model: ModelName) -> Self {
        Self { scope, model: Some(model) }
    }

    /// LiteLLM's name for what a limit is set on, as in the header `x-ratelimit-model_per_key-limit-requests`.
    #[must_use]
    pub fn descriptor(&self) -> &'static str {
        match (&self.scope, &self.model) {
            (scope, None) => scope.descriptor(),
            (Scope::Key(_), Some(_)) => "model_per_key",
            (Scope::Team(_), Some(_)) => "model_per_team",
            (Scope::Organization(_), Some(_)) => "model_per_organization",
            (_, Some(_)) => "model",
        }
    }
}

impl fmt::Display for Account {
    /// As texts for people name it: without its kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            Scope::Gateway => f.write_str("gateway")?,
            Scope::Member(team, user) => write!(f, "{team}:{user}")?,
            scope => f.write_str(&scope.id())?,
        }
        self.model.as_ref().map_or(Ok(()), |model| write!(f, ":{model}"))
    }
}
