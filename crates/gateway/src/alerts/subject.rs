//! Whom an alert is about: their names and their address, looked up beside the requests.

use ledger::Store;
use ledger::rules::account::Scope;
use ledger::rules::entity::{Key, Organization, Team, User};
use ledger::store::{Record, StoreError};

use super::event::About;

/// The names by which people know somebody. What is not known is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subject {
    /// LiteLLM's `event_group`
    pub(super) group: &'static str,
    /// The key's id.
    pub(super) token: Option<String>,
    pub(super) key_alias: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) user_email: Option<String>,
    pub(super) team_id: Option<String>,
    pub(super) team_alias: Option<String>,
    pub(super) organization_id: Option<String>,
    pub(super) organization_alias: Option<String>,
    pub(super) customer_id: Option<String>,
    /// Of a tag, an access group, a provider, a deployment or a model.
    pub(super) name: Option<String>,
}

impl Subject {
    /// What an alert itself says.
    fn named(about: &About) -> Self {
        let mut subject = Self { group: "proxy", ..Self::default() };
        let About::Account(account) = about else { return subject };
        match &account.scope {
            Scope::Gateway => {}
            Scope::Key(id) => (subject.group, subject.token) = ("key", Some(id.to_string())),
            Scope::User(id) => (subject.group, subject.user_id) = ("user", Some(id.to_string())),
            Scope::Team(id) => (subject.group, subject.team_id) = ("team", Some(id.to_string())),
            Scope::Member(team, user) => {
                subject.group = "team_member";
                (subject.team_id, subject.user_id) = (Some(team.to_string()), Some(user.to_string()));
            }
            Scope::Organization(id) => {
                (subject.group, subject.organization_id) = ("organization", Some(id.to_string()));
            }
            Scope::Customer(id) => (subject.group, subject.customer_id) = ("end_user", Some(id.to_string())),
            Scope::Tag(tag) => (subject.group, subject.name) = ("tag", Some(tag.to_string())),
            Scope::AccessGroup(id) => (subject.group, subject.name) = ("access_group", Some(id.to_string())),
            Scope::Deployment(id) => (subject.group, subject.name) = ("deployment", Some(id.to_string())),
            Scope::Provider(name) => (subject.group, subject.name) = ("provider", Some(name.to_string())),
            Scope::Model(name) => (subject.group, subject.name) = ("model", Some(name.to_string())),
        }
        subject
    }

    /// That, and what the database knows. Where it does not answer, the alert goes out with what there is.
    pub(super) async fn find(about: &About, store: Option<&Store>) -> Self {
        let mut subject = Self::named(about);
        if let Some(store) = store {
            // What is missing is told by what is there.
            _ = subject.look_up(store).await;
        }
        subject
    }

    async fn look_up(&mut self, store: &Store) -> Result<(), StoreError> {
        if let Some(id) = &self.token
            && let Some(key) = store.get::<Key>(id).await?
        {
            let key = key.record;
            self.key_alias = key.details.alias;
            self.user_id = key.user.map(|user| user.to_string());
            self.team_id = key.team.map(|team| team.to_string());
            self.organization_id = key.organization.map(|organization| organization.to_string());
        }
        if let Some(id) = &self.user_id
            && let Some(user) = store.get::<User>(id).await?
        {
            self.user_email = user.record.email;
        }
        if let Some(id) = &self.team_id {
            self.team_alias = alias::<Team>(store, id).await?;
        }
        if let Some(id) = &self.organization_id {
            self.organization_alias = alias::<Organization>(store, id).await?;
        }
        Ok(())
    }

    /// For people: what they are called, and whether that is known.
    pub(super) fn names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let names = [
            ("Key", &self.token),
            ("Key Alias", &self.key_alias),
            ("User", &self.user_id),
            ("User Email", &self.user_email),
            ("Team", &self.team_id),
            ("Team Alias", &self.team_alias),
            ("Organization", &self.organization_id),
            ("Organization Alias", &self.organization_alias),
            ("End User", &self.customer_id),
            ("Name", &self.name),
        ];
        names.into_iter().filter_map(|(what, name)| Some((what, name.as_deref()?)))
    }
}

async fn alias<R: Record>(store: &Store, id: &str) -> Result<Option<String>, StoreError> {
    Ok(store.get::<R>(id).await?.and_then(|stored| stored.record.details().alias.clone()))
}
