//! Why a request is not served, in the words and statuses of LiteLLM that clients match on.

use std::fmt;
use std::time::Duration;

use catalog::NanoUsd;

use super::account::{Account, Scope};
use super::id::{ModelName, TeamId};
use super::limit::LimitKind;
use super::time::Timestamp;

/// A request may not be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key, its team, its user, … was blocked by an administrator.
    Blocked(Scope),
    /// The key's time is over.
    Expired { key_name: String, at: Timestamp, now: Timestamp },
    /// A list of models does not have this one.
    ModelDenied { by: Scope, allowed: Vec<String>, model: String },
    /// The key may not call this route.
    RouteDenied { allowed: Vec<String>, route: String },
    /// The key may not be used from there.
    AddressDenied { address: String },
    /// A budget does not have enough left.
    OverBudget(OverBudget),
    /// A limit has no room.
    OverLimit(OverLimit),
}

/// A budget does not have enough left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverBudget {
    pub account: Account,
    /// Spent in this window.
    pub spend: NanoUsd,
    /// Held by calls that are running.
    pub held: NanoUsd,
    /// What this call would have held.
    pub asked: NanoUsd,
    pub max: NanoUsd,
    /// When the budget begins anew; `None`: never.
    pub resets_at: Option<Timestamp>,
    /// From now until then.
    pub retry_after: Option<Duration>,
}

/// A limit has no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverLimit {
    pub account: Account,
    pub kind: LimitKind,
    pub limit: u64,
    pub remaining: u64,
    /// When there is room, if nobody else takes it. `None`: the request alone is more than the limit, or nobody knows
    /// when one of the running requests will end.
    pub resets_at: Option<Timestamp>,
    /// From now until then.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// The HTTP status. That of [`Self::OverBudget`] can be set in the configuration
    /// (`budget_exceeded_status_code`); this is the default.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Blocked(_) | Self::Expired { .. } => 401,
            Self::ModelDenied { .. } | Self::RouteDenied { .. } | Self::AddressDenied { .. } => 403,
            Self::OverBudget(_) => 422,
            Self::OverLimit(_) => 429,
        }
    }

    /// `error.type` on the wire.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Blocked(_) | Self::RouteDenied { .. } | Self::AddressDenied { .. } => "auth_error",
            Self::Expired { .. } => "expired_key",
            Self::ModelDenied { by, .. } => match by {
                Scope::Organization(_) => "org_model_access_denied",
                Scope::Team(_) | Scope::Member(..) => "team_model_access_denied",
                Scope::User(_) => "user_model_access_denied",
                Scope::Customer(_) => "customer_model_access_denied",
                Scope::Gateway
                | Scope::Key(_)
                | Scope::Tag(_)
                | Scope::AccessGroup(_)
                | Scope::Provider(_)
                | Scope::Deployment(_)
                | Scope::Model(_) => "key_model_access_denied",
            },
            Self::OverBudget(_) => "budget_exceeded",
            Self::OverLimit(_) => "throttling_error",
        }
    }

    /// `error.param` on the wire.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::ModelDenied { .. } => Some("model"),
            Self::Expired { key_name, .. } => Some(key_name),
            // LiteLLM writes the text, not `null`.
            Self::Blocked(_) | Self::RouteDenied { .. } | Self::AddressDenied { .. } => Some("None"),
            Self::OverBudget(_) | Self::OverLimit(_) => None,
        }
    }

    /// The true time after which the same request may be served.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::OverBudget(over) => over.retry_after,
            Self::OverLimit(over) => over.retry_after,
            Self::Blocked(_)
            | Self::Expired { .. }
            | Self::ModelDenied { .. }
            | Self::RouteDenied { .. }
            | Self::AddressDenied { .. } => None,
        }
    }

    /// What is told when several speak against a request: what time heals comes last, and of the rest the widest.
    pub(crate) fn rank(&self) -> (u8, Option<&Account>) {
        match self {
            Self::OverBudget(over) => (1, Some(&over.account)),
            Self::OverLimit(over) => (2, Some(&over.account)),
            _ => (0, None),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked(Scope::Key(_)) => {
                f.write_str("Key is blocked. Update via `/key/unblock` if you're an admin.")
            }
            Self::Blocked(Scope::Team(team)) => blocked_team(f, team),
            Self::Blocked(scope) => {
                write!(f, "{} `{}` is blocked.", named(scope), Account::of(scope.clone()))
            }
            Self::Expired { at, now, .. } => {
                write!(f, "Authentication Error - Expired Key. Key Expiry time {at} and current time {now}")
            }
            Self::ModelDenied { by, allowed, model } => {
                let by = by.kind();
                write!(f, "{by} not allowed to access model. This {by} can only access models=")?;
                python_list(f, allowed)?;
                write!(f, ". Tried to access {model}")
            }
            Self::RouteDenied { allowed, route } => {
                write!(f, "Virtual key is not allowed to call this route. Only allowed to call routes: ")?;
                python_list(f, allowed)?;
                write!(f, ". Tried to call route: {route}")
            }
            Self::AddressDenied { address } => {
                write!(f, "Access forbidden: IP address {address} is not in this key's `allowed_ips`")
            }
            Self::OverBudget(over) => over.fmt(f),
            Self::OverLimit(over) => over.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

fn blocked_team(f: &mut fmt::Formatter<'_>, team: &TeamId) -> fmt::Result {
    write!(f, "Team={team} is blocked. Update via `/team/unblock` if you're an admin.")
}

fn named(scope: &Scope) -> &'static str {
    match scope {
        Scope::Gateway => "Gateway",
        Scope::Organization(_) => "Organization",
        Scope::Team(_) => "Team",
        Scope::Member(..) => "TeamMember",
        Scope::User(_) => "User",
        Scope::Key(_) => "Key",
        Scope::Customer(_) => "End User",
        Scope::Tag(_) => "Tag",
        Scope::AccessGroup(_) => "Model Access Group",
        Scope::Provider(_) => "Provider",
        Scope::Deployment(_) => "Deployment",
        Scope::Model(_) => "Model",
    }
}

/// `['a', 'b']`, as LiteLLM writes lists into texts.
fn python_list(f: &mut fmt::Formatter<'_>, names: &[String]) -> fmt::Result {
    f.write_str("[")?;
    for (at, name) in names.iter().enumerate() {
        write!(f, "{}'{name}'", if at == 0 { "" } else { ", " })?;
    }
    f.write_str("]")
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, spend, held, asked, max, .. } = self;
        match (&account.scope, &account.model) {
            (Scope::User(_) | Scope::Customer(_), None) => {
                let who = named(&account.scope);
                write!(f, "ExceededBudget: {who}={account} over budget. Spend={spend}, Budget={max}")?;
            }
            (Scope::Gateway, None) => {
                write!(f, "Budget has been exceeded! Current cost: {spend}, Max budget: {max}")?;
            }
            (_, None) => {
                let who = named(&account.scope);
                write!(
                    f,
                    "Budget has been exceeded! {who}={account} Current cost: {spend}, Max budget: {max}"
                )?;
            }
            (scope, Some(model)) => {
                let (who, id): (_, &ModelName) = (named(scope), model);
                let account = Account::of(scope.clone());
                write!(
                    f,
                    "Budget has been exceeded! {who}={account} over budget for model={id}. Current cost: {spend}, \
                     Max budget: {max}"
                )?;
            }
        }
        if spend < max {
            write!(f, " (running calls hold {held}, this one may cost {asked})")?;
        }
        Ok(())
    }
}

impl fmt::Display for OverLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, kind, limit, remaining, .. } = self;
        write!(
            f,
            "Rate limit exceeded for {}: {account}. Limit type: {}. Current limit: {limit}, Remaining: {remaining}.",
            account.descriptor(),
            kind.name()
        )?;
        match self.resets_at {
            Some(at) => write!(f, " Limit resets at: {at}"),
            None => Ok(()),
        }
    }
}
