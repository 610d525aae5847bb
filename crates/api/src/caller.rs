//! Who asks, and who they are to what they ask about.

use ledger::rules::entity::UserRole;
use ledger::rules::id::{KeyId, OrganizationId, TeamId, UserId};

use crate::route::{Effect, Route};

/// What somebody is in the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The holder of the master key.
    Master,
    ProxyAdmin,
    ProxyAdminViewer,
    InternalUser,
    InternalUserViewer,
    /// The key of nobody, or of somebody who manages nothing: a program's.
    Nobody,
}

impl Role {
    pub const ALL: [Self; 6] = [
        Self::Master,
        Self::ProxyAdmin,
        Self::ProxyAdminViewer,
        Self::InternalUser,
        Self::InternalUserViewer,
        Self::Nobody,
    ];

    /// The role of a key's user; a key without one has none.
    #[must_use]
    pub fn of(user: Option<UserRole>) -> Self {
        match user {
            Some(UserRole::ProxyAdmin) => Self::ProxyAdmin,
            Some(UserRole::ProxyAdminViewer) => Self::ProxyAdminViewer,
            // Of which organization is said by its list of members.
            Some(UserRole::OrgAdmin | UserRole::InternalUser) => Self::InternalUser,
            Some(UserRole::InternalUserViewer) => Self::InternalUserViewer,
            Some(UserRole::Team | UserRole::Customer) | None => Self::Nobody,
        }
    }

    /// LiteLLM's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Master | Self::ProxyAdmin => "proxy_admin",
            Self::ProxyAdminViewer => "proxy_admin_viewer",
            Self::InternalUser => "internal_user",
            Self::InternalUserViewer => "internal_user_viewer",
            Self::Nobody => "unknown",
        }
    }

    #[must_use]
    pub fn is_admin(self) -> bool {
        matches!(self, Self::Master | Self::ProxyAdmin)
    }
}

/// Whom a route is for, as they stand to the object that is asked about. Administrators may call every route but
/// those of [`Who::Master`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// Only the holder of the master key.
    Master,
    /// An administrator who only looks.
    Viewer,
    /// An administrator of the organization that the object is in.
    OrganizationAdmin,
    /// An administrator of the team that the object is in.
    TeamAdmin,
    /// A member of the team that the object is in, if the team permits its members this route.
    TeamMember,
    /// Any member of the team or organization that the object is in.
    Member,
    /// The user whose object it is.
    Owner,
    /// The key that asks about itself.
    Itself,
    /// Whoever has a valid key.
    Anyone,
}

/// A membership of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub team: TeamId,
    pub is_admin: bool,
    /// The routes that the team permits its members.
    pub permissions: Vec<String>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub role: Role,
    pub user: Option<UserId>,
    pub key: Option<KeyId>,
    pub memberships: Vec<Membership>,
    /// Those that the caller administers.
    pub organizations: Vec<OrganizationId>,
    /// Those that the caller is in.
    pub member_of: Vec<OrganizationId>,
    /// Its key may look at all spend (`permissions.get_spend_routes`).
    pub sees_spend: bool,
}

/// What is asked about. Of a new object: what it is going to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// The key, if it is one.
    pub key: Option<KeyId>,
    /// Whose it is.
    pub user: Option<UserId>,
    pub team: Option<TeamId>,
    pub organization: Option<OrganizationId>,
}

/// What members may do where their team does not say; LiteLLM's default.
pub const DEFAULT_PERMISSIONS: [&str; 2] = ["/key/info", "/key/health"];

impl Caller {
    /// The holder of the master key.
    #[must_use]
    pub fn master() -> Self {
        Self {
            role: Role::Master,
            user: None,
            key: None,
            memberships: Vec::new(),
            organizations: Vec::new(),
            member_of: Vec::new(),
            sees_spend: false,
        }
    }

    /// Whether this route may be called about this object.
    #[must_use]
    pub fn may(&self, route: &Route, object: &Object) -> bool {
        if self.role == Role::Master {
            return true;
        }
        if self.role == Role::ProxyAdmin {
            return !route.who.contains(&Who::Master);
        }
        route.who.iter().any(|who| self.is(*who, route, object))
    }

    /// Whether this route may be called about anything at all.
    #[must_use]
    pub fn may_ever(&self, route: &Route) -> bool {
        if self.role.is_admin() {
            return self.may(route, &Object::default());
        }
        let acts = self.acts(route.effect);
        route.who.iter().any(|who| match who {
            Who::Master => false,
            Who::Viewer => self.views(route),
            Who::OrganizationAdmin => acts && !self.organizations.is_empty(),
            Who::TeamAdmin => acts && self.memberships.iter().any(|membership| membership.is_admin),
            Who::TeamMember => {
                acts && self.memberships.iter().any(|membership| permits(membership, route.path))
            }
            Who::Member => !self.memberships.is_empty() || !self.member_of.is_empty(),
            Who::Owner => acts && self.user.is_some(),
            Who::Itself => self.key.is_some(),
            Who::Anyone => true,
        })
    }

    fn is(&self, who: Who, route: &Route, object: &Object) -> bool {
        let acts = self.acts(route.effect);
        let of_team = |membership: &&Membership| object.team.as_ref() == Some(&membership.team);
        let membership = self.memberships.iter().find(of_team);
        let within =
            |list: &[OrganizationId]| object.organization.as_ref().is_some_and(|id| list.contains(id));
        match who {
            Who::Master => false,
            Who::Viewer => self.views(route),
            Who::OrganizationAdmin => acts && within(&self.organizations),
            Who::TeamAdmin => acts && membership.is_some_and(|membership| membership.is_admin),
            Who::TeamMember => acts && membership.is_some_and(|membership| permits(membership, route.path)),
            Who::Member => membership.is_some() || within(&self.member_of),
            Who::Owner => acts && self.user.is_some() && self.user == object.user,
            Who::Itself => self.key.is_some() && self.key == object.key,
            Who::Anyone => true,
        }
    }

    /// Whether the caller looks at a route as an administrator does, without changing anything.
    #[must_use]
    pub fn views(&self, route: &Route) -> bool {
        self.role == Role::ProxyAdminViewer || (self.sees_spend && route.tells_spend())
    }

    /// Viewers look, and programs do neither.
    fn acts(&self, effect: Effect) -> bool {
        match self.role {
            Role::Master | Role::ProxyAdmin | Role::InternalUser => true,
            Role::ProxyAdminViewer | Role::InternalUserViewer => effect == Effect::Reads,
            Role::Nobody => false,
        }
    }

    /// The teams that the caller administers.
    pub fn administered(&self) -> impl Iterator<Item = &TeamId> {
        self.memberships.iter().filter(|membership| membership.is_admin).map(|membership| &membership.team)
    }

    #[must_use]
    pub fn is_in(&self, team: &TeamId) -> bool {
        self.memberships.iter().any(|membership| membership.team == *team)
    }
}

fn permits(membership: &Membership, path: &str) -> bool {
    if membership.permissions.is_empty() {
        return DEFAULT_PERMISSIONS.contains(&path);
    }
    membership.permissions.iter().any(|permitted| permitted == path)
}
