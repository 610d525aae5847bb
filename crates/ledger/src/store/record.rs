//! What the store keeps of every kind of entity in the same way.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rules::account::member_id;
use crate::rules::entity::{
    AccessGroup, Credential, Customer, Details, Key, Member, Organization, RuntimeModel, SharedBudget,
    TagTerms, Team, User,
};
use crate::rules::id::{KeyHash, OrganizationId, TeamId, UserId};
use crate::rules::time::Timestamp;

mod sealed {
    pub trait Sealed {}
}

/// An entity with a table of its own.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + sealed::Sealed {
    /// Its table.
    const TABLE: &'static str;
    /// As it is called in the log of changes, and accounts of its spend if it can have some; see [`Scope::kind`](crate::rules::account::Scope::kind).
    const KIND: &'static str;

    /// Its name in the table.
    fn id(&self) -> String;
    fn details(&self) -> &Details;
    fn details_mut(&mut self) -> &mut Details;
    /// What people call it, and what searches look at.
    fn alias(&self) -> Option<&str> {
        self.details().alias.as_deref()
    }
    fn user(&self) -> Option<&UserId> {
        None
    }
    fn team(&self) -> Option<&TeamId> {
        None
    }
    fn organization(&self) -> Option<&OrganizationId> {
        None
    }
    fn expires_at(&self) -> Option<Timestamp> {
        None
    }
    /// What it is found by, beside its id.
    fn hash(&self) -> Option<&KeyHash> {
        None
    }
}

impl sealed::Sealed for Key {}
impl Record for Key {
    const TABLE: &'static str = "keys";
    const KIND: &'static str = "key";

    fn id(&self) -> String {
        self.id.to_string()
    }
    fn details(&self) -> &Details {
        &self.details
    }
    fn details_mut(&mut self) -> &mut Details {
        &mut self.details
    }
    fn user(&self) -> Option<&UserId> {
        self.user.as_ref()
    }
    fn team(&self) -> Option<&TeamId> {
        self.team.as_ref()
    }
    fn organization(&self) -> Option<&OrganizationId> {
        self.organization.as_ref()
    }
    fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }
    fn hash(&self) -> Option<&KeyHash> {
        Some(&self.hash)
    }
}

impl sealed::Sealed for Team {}
impl Record for Team {
    const TABLE: &'static str = "teams";
    const KIND: &'static str = "team";

    fn id(&self) -> String {
        self.id.to_string()
    }
    fn details(&self) -> &Details {
        &self.details
    }
    fn details_mut(&mut self) -> &mut Details {
        &mut self.details
    }
    fn organization(&self) -> Option<&OrganizationId> {
        self.organization.as_ref()
    }
}

impl sealed::Sealed for Member {}
impl Record for Member {
    const TABLE: &'static str = "members";
    const KIND: &'static str = "member";

    fn id(&self) -> String {
        member_id(&self.team, &self.user)
    }
    fn details(&self) -> &Details {
        &self.details
    }
    fn details_mut(&mut self) -> &mut Details {
        &mut self.details
    }
    fn user(&self) -> Option<&UserId> {
        Some(&self.user)
    }
    fn team(&self) -> Option<&TeamId> {
        Some(&self.team)
    }
}

impl sealed::Sealed for User {}
impl Record for User {
    const TABLE: &'static str = "users";
    const KIND: &'static str = "user";

    fn id(&self) -> String {
        self.id.to_string()
    }
    fn details(&self) -> &Details {
        &self.details
    }
    fn details_mut(&mut self) -> &mut Details {
        &mut self.details
    }
    fn alias(&self) -> Option<&str> {
        self.email.as_deref()
    }
    fn organization(&self) -> Option<&OrganizationId> {
        self.organization.as_ref()
    }
}

impl sealed::Sealed for Organization {}
impl Record for Organization {
    const TABLE: &'static str = "organizations";
    const KIND: &'static str = "organization";

    fn id(&self) -> String {
        self.id.to_string()
    }
    fn details(&self) -> &Details {
        &self.details
    }
    fn details_mut(&mut self) -> &mut Details {
        &mut self.details
    }
}

impl sealed::Sealed for Customer {}
impl Record for Customer {
    const TABLE: &'static str = "customers";
    const KIND: &'static str = "customer";

    fn id(&self) -> String {
        self.id.to_string()
    }
    fn details(&self) -> &Details {
        &self.details
    }
    fn details_mut(&mut self) -> &mut Details {
        &mut self.details
    }
}

impl sealed::Sealed for TagTerms {}
impl Record for TagTerms {
    const TABLE: &'static str = "tags";
    const KIND: &'static str = "tag";

    fn id(&self) -> String {
        self.name.to_string()
    }
    fn details(&self) -> &Details {
        &self.details
    }
    fn details_mut(&mut self) -> &mut Details {
        &mut self.details
    }
}

impl sealed::Sealed for SharedBudget {}
impl Record for SharedBudget {
    const TABLE: &'static str = "budgets";
    const KIND: &'static str = "budget";

    fn id(&self) -> String {
        self.id.to_string()
    }
    fn details(&self) -> &Details {
        &self.details
    }
    fn details_mut(&mut self) -> &mut Details {
        &mut self.details
    }
}

impl sealed::Sealed for AccessGroup {}
impl Record for AccessGroup {
    const TABLE: &'static str = "access_groups";
    const KIND: &'static str = "access_group";

    fn id(&self) -> String {
        self.id.to_string()
    }
    fn details(&self) -> &Details {
        &self.details
    }
    fn details_mut(&mut self) -> &mut Details {
        &mut self.details
    }
}

impl sealed::Sealed for Credential {}
impl Record for Credential {
    const TABLE: &'static str = "credentials";
    const KIND: &'static str = "credential";

    fn id(&self) -> String {
        self.id.to_string()
    }
    fn details(&self) -> &Details {
        &self.details
    }
    fn details_mut(&mut self) -> &mut Details {
        &mut self.details
    }
}

impl sealed::Sealed for RuntimeModel {}
impl Record for RuntimeModel {
    const TABLE: &'static str = "models";
    const KIND: &'static str = "runtime_model";

    fn id(&self) -> String {
        self.id.to_string()
    }
    fn details(&self) -> &Details {
        &self.details
    }
    fn details_mut(&mut self) -> &mut Details {
        &mut self.details
    }
    /// Its name for clients, which several may share.
    fn alias(&self) -> Option<&str> {
        Some(self.name.as_str())
    }
    fn team(&self) -> Option<&TeamId> {
        self.team.as_ref()
    }
}
