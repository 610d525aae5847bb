//! Keys and those who own them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::access::{AccessGroups, AddressList, ModelList, RouteList};
use super::account::Scope;
use super::budget::Allowance;
use super::id::{BudgetId, CustomerId, KeyHash, KeyId, ModelName, OrganizationId, Tag, TeamId, UserId};
use super::refusal::Refusal;
use super::time::Timestamp;

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
    #[serde(default)]
    pub details: Details,
}

/// A team: keys and members under common terms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Team {
    pub id: TeamId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    #[serde(default)]
    pub models: ModelList,
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
    /// Management routes that every member may use.
    #[serde(default)]
    pub member_permissions: Vec<String>,
    #[serde(default)]
    pub details: Details,
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

/// Everybody whom a request with one key concerns.
#[derive(Clone, Copy, Debug)]
pub struct Circle<'a> {
    pub key: &'a Key,
    pub user: Option<&'a User>,
    pub team: Option<&'a Team>,
    pub member: Option<&'a Member>,
    pub organization: Option<&'a Organization>,
}

/// What is asked with a key.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The route's path, and the groups that it is in.
    pub route: &'a str,
    pub route_groups: &'a [&'a str],
    /// Where the caller is, if that is known.
    pub address: Option<IpAddr>,
}

impl Circle<'_> {
    /// Whether the key may be used at all: not blocked, not expired, on this route, from this address.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn may_ask(&self, ask: &Ask<'_>, now: Timestamp) -> Result<(), Refusal> {
        let key = self.key;
        if let Some(scope) = self.blocked() {
            return Err(Refusal::Blocked(scope));
        }
        if let Some(at) = key.expires_at.filter(|at| *at <= now) {
            return Err(Refusal::Expired { key_name: key.name.clone(), at, now });
        }
        if !key.routes.allows(ask.route, ask.route_groups) {
            return Err(Refusal::RouteDenied { allowed: key.routes.0.clone(), route: ask.route.to_owned() });
        }
        match ask.address {
            Some(address) if !key.addresses.allows(address) => {
                Err(Refusal::AddressDenied { address: address.to_string() })
            }
            // A key that is bound to addresses is of no use where nobody knows them.
            None if !key.addresses.0.is_empty() => {
                Err(Refusal::AddressDenied { address: "unknown".to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn blocked(&self) -> Option<Scope> {
        let is_blocked = |details: &Details| details.blocked;
        if is_blocked(&self.key.details) {
            return Some(Scope::Key(self.key.id.clone()));
        }
        let team =
            self.team.filter(|team| is_blocked(&team.details)).map(|team| Scope::Team(team.id.clone()));
        let user =
            self.user.filter(|user| is_blocked(&user.details)).map(|user| Scope::User(user.id.clone()));
        let member = self.member.filter(|member| is_blocked(&member.details));
        let organization = self.organization.filter(|one| is_blocked(&one.details));
        team.or(member.map(|member| Scope::Member(member.team.clone(), member.user.clone())))
            .or(user)
            .or(organization.map(|one| Scope::Organization(one.id.clone())))
    }

    /// The name that a model has for others: aliases of the key come before those of its team.
    #[must_use]
    pub fn resolve<'m>(&'m self, model: &'m str) -> &'m str {
        let of_team = self.team.and_then(|team| team.aliases.get(model));
        self.key.aliases.get(model).or(of_team).map_or(model, String::as_str)
    }

    /// Whether the key reaches a model, after aliases were resolved: key ∩ team ∩ member ∩ organization, and for a
    /// key without a team its user.
    ///
    /// # Errors
    /// Whose list does not have it.
    pub fn may_use(&self, model: &str, groups: &AccessGroups) -> Result<(), Refusal> {
        let team = self.team.map(|team| &team.models);
        let check = |by: Scope, list: &ModelList, team: Option<&ModelList>| {
            if list.allows(model, team, groups) {
                return Ok(());
            }
            Err(Refusal::ModelDenied { by, allowed: list.0.clone(), model: model.to_owned() })
        };
        check(Scope::Key(self.key.id.clone()), &self.key.models, team)?;
        match self.team {
            Some(own) => check(Scope::Team(own.id.clone()), &own.models, None)?,
            None => {
                if let Some(user) = self.user {
                    check(Scope::User(user.id.clone()), &user.models, None)?;
                }
            }
        }
        if let Some(member) = self.member {
            check(Scope::Member(member.team.clone(), member.user.clone()), &member.models, team)?;
        }
        if let Some(organization) = self.organization {
            check(Scope::Organization(organization.id.clone()), &organization.models, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
