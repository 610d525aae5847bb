//! Everybody whom a request with one key concerns, and what they say about it.

use std::net::IpAddr;

use super::access::{AccessGroups, ModelList};
use super::account::{Account, Scope};
use super::budget::{Allowance, Budget, Terms};
use super::entity::{AccessGroup, Customer, Details, Key, Member, Organization, TagTerms, Team, User};
use super::id::ModelName;
use super::limit::Limits;
use super::refusal::Refusal;
use super::time::Timestamp;
use super::zone::Zone;

/// Everybody whom a request with one key concerns.
#[derive(Clone, Copy, Debug)]
pub struct Circle<'a> {
    pub key: &'a Key,
    pub user: Option<&'a User>,
    pub team: Option<&'a Team>,
    pub member: Option<&'a Member>,
    pub organization: Option<&'a Organization>,
}

/// What a request is about, beside its key.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// After aliases were resolved.
    pub model: &'a ModelName,
    /// The end user, if the request names one.
    pub customer: Option<&'a Customer>,
    /// Those of its tags that have terms.
    pub tags: &'a [TagTerms],
    /// Access groups with terms of their own; those that have the model count.
    pub access_groups: &'a [AccessGroup],
}

/// What the configuration says for all.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `litellm_settings.max_budget` and `budget_duration`.
    pub gateway: Allowance,
    /// `general_settings.apply_user_budget_to_team_keys`: else a user's budget and limits hold for keys without a team
    /// only, and what other keys spend is counted.
    pub user_terms_on_team_keys: bool,
    /// `litellm_settings.timezone`: where the days begin that budgets are counted by.
    pub zone: Zone,
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

impl<'a> Circle<'a> {
    /// The name that a model has for others: aliases of the key come before those of its team.
    #[must_use]
    pub fn resolve<'m>(&self, model: &'m str) -> &'m str
    where
        'a: 'm,
    {
        let of_team = self.team.and_then(|team| team.aliases.get(model));
        self.key.aliases.get(model).or(of_team).map_or(model, String::as_str)
    }
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
            Some(_) | None => Ok(()),
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

    /// Whether the key reaches a model, after aliases were resolved: key ∩ team ∩ member ∩ organization, and for a
    /// key without a team its user.
    ///
    /// # Errors
    /// Whose list does not have it.
    pub fn may_use(&self, model: &str, groups: &AccessGroups) -> Result<(), Refusal> {
        let of_team = self.team.map(Team::reach);
        let team = of_team.as_deref();
        let check = |by: Scope, list: &ModelList, team: Option<&ModelList>| {
            if list.allows(model, team, groups) {
                return Ok(());
            }
            Err(Refusal::ModelDenied { by, allowed: list.0.clone(), model: model.to_owned() })
        };
        check(Scope::Key(self.key.id.clone()), &self.key.reach(), team)?;
        match (self.team, team) {
            (Some(own), Some(models)) => check(Scope::Team(own.id.clone()), models, None)?,
            (None, _) | (_, None) => {
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

    /// The accounts that a request is held and charged on, with their terms, the widest first. The entities' shared
    /// budgets must have been filled in; see [`Allowance::or`].
    #[must_use]
    pub fn accounts(&self, subject: &Subject<'_>, policy: &Policy) -> Vec<(Account, Terms)> {
        let mut accounts = vec![(Account::of(Scope::Gateway), policy.gateway.terms(&policy.zone))];
        let mut add = |scope: Scope, allowance: &Allowance| {
            if let Some(terms) = allowance.model_terms(subject.model.as_str(), &policy.zone) {
                accounts.push((Account::of_model(scope.clone(), subject.model.clone()), terms));
            }
            accounts.push((Account::of(scope), allowance.terms(&policy.zone)));
        };
        if let Some(organization) = self.organization {
            add(Scope::Organization(organization.id.clone()), &organization.details.allowance);
        }
        if let Some(team) = self.team {
            add(Scope::Team(team.id.clone()), &team.details.allowance);
        }
        if let Some(member) = self.member {
            add(Scope::Member(member.team.clone(), member.user.clone()), &member.details.allowance);
        }
        if let Some(user) = self.user {
            let scope = Scope::User(user.id.clone());
            if self.team.is_none() || policy.user_terms_on_team_keys {
                add(scope, &user.details.allowance);
            } else {
                add(scope, &counted_only(&user.details.allowance));
            }
        }
        add(Scope::Key(self.key.id.clone()), &self.key.details.allowance);
        if let Some(customer) = subject.customer {
            add(Scope::Customer(customer.id.clone()), &customer.details.allowance);
        }
        for tag in subject.tags {
            add(Scope::Tag(tag.name.clone()), &tag.details.allowance);
        }
        for group in subject.access_groups.iter().filter(|group| group.has(subject.model.as_str())) {
            add(Scope::AccessGroup(group.id.clone()), &group.details.allowance);
        }
        accounts
    }
}

/// The same windows, with nothing that could refuse.
fn counted_only(allowance: &Allowance) -> Allowance {
    Allowance {
        budget: allowance.budget.unbounded(),
        windows: allowance.windows.iter().map(Budget::unbounded).collect(),
        limits: Limits::default(),
        models: std::collections::BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests;
