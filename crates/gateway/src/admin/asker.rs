//! Who asks the management API, and what they may.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::body::Body;
use api::caller::{Caller, Membership, Object, Role};
use api::problem::Problem;
use api::query;
use api::route::{self, Route};
use api::terms::{self, Spend};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use catalog::NanoUsd;
use ledger::Store;
use ledger::rules::account::{Account, Scope};
use ledger::rules::entity::{Details, Key, Member, MemberRole, Organization, SharedBudget, Team};
use ledger::rules::id::UserId;
use ledger::rules::time::Timestamp;
use ledger::rules::zone::Clock;
use ledger::store::{DailySum, Filter, Record, Sorting, StoreError, Stored};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::change::Changes;
use crate::Gateway;
use crate::books::people::Holder;
use crate::books::{self, Books};
use crate::exchange::Identity;
use crate::refusal::Refusal;
use crate::routes::Authenticated;
use crate::snapshot::Snapshot;

/// The most of a list that is looked through for what cannot be asked of the database.
pub(super) const MOST: i64 = 10_000;

/// Somebody whose key was checked, on a route that is in the table and that somebody like them may call.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) gateway: Arc<Gateway>,
    pub(super) books: Arc<Books>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) caller: Caller,
    /// The key that was used, if it is a virtual one.
    pub(super) holder: Option<Arc<Holder>>,
    pub(super) route: &'static Route,
    pub(super) path: String,
    query: Vec<(String, String)>,
    pub(super) now: Timestamp,
}

impl FromRequestParts<Arc<Gateway>> for Asker {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Refusal> {
        let Authenticated(identity) = Authenticated::from_request_parts(parts, gateway).await?;
        let path = parts.uri.path().to_owned();
        let Some(route) = route::find(parts.method.as_str(), &path) else {
            // It is served but in no table: nobody may call it.
            return Err(Problem::wrong_role(&path, "any", None).into());
        };
        let Some(books) = gateway.books().cloned() else {
            return Err(Refusal::of_kind(400, "no_db_connection", "No connected db."));
        };
        let holder = identity.holder().cloned();
        let caller = caller(&books, &identity).await?;
        let asker = Self {
            gateway: Arc::clone(gateway),
            snapshot: gateway.snapshot(),
            books,
            caller,
            holder,
            route,
            query: pairs(parts.uri.query().unwrap_or_default()),
            path,
            now: books::now(),
        };
        if asker.caller.may_ever(route) { Ok(asker) } else { Err(asker.wrong_role()) }
    }
}

/// The groups of routes that a path of this API is in.
pub(crate) fn groups_of(path: &str) -> Option<&'static [&'static str]> {
    let route = route::all().find(|route| route.path == path || route.aliases.contains(&path));
    route.or_else(|| route::all().find(|route| route.is_at(path))).map(Route::groups)
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

async fn caller(books: &Books, identity: &Identity) -> Result<Caller, Refusal> {
    let holder = match identity {
        Identity::Local | Identity::Master => return Ok(Caller::master()),
        Identity::Key(holder) => holder,
        Identity::Unknown | Identity::HealthCheck | Identity::SemanticCache => {
            return Err(Refusal::unauthenticated("No api key passed in."));
        }
    };
    let store = books.store();
    let role = Role::of(holder.user.as_ref().map(|user| user.role));
    let mut caller = Caller {
        role,
        user: holder.key.user.clone(),
        key: Some(holder.key.id.clone()),
        memberships: Vec::new(),
        organizations: Vec::new(),
        member_of: Vec::new(),
        sees_spend: api::condition::permits(&holder.key, "get_spend_routes"),
    };
    let Some(user) = caller.user.clone().filter(|_| !role.is_admin()) else { return Ok(caller) };
    for member in members_of(store, &user).await? {
        let team = store.get::<Team>(member.team.as_str()).await?;
        caller.memberships.push(Membership {
            is_admin: member.role == MemberRole::Admin,
            permissions: team.map(|team| team.record.member_permissions).unwrap_or_default(),
            team: member.team,
        });
    }
    for organization in all::<Organization>(store, &Filter::default()).await? {
        let organization = organization.record;
        let own = api::organization::members(&organization).into_iter().find(|member| member.user == user);
        let Some(own) = own else { continue };
        if own.role == "org_admin" {
            caller.organizations.push(organization.id.clone());
        }
        caller.member_of.push(organization.id);
    }
    Ok(caller)
}

/// The memberships of a user.
pub(super) async fn members_of(store: &Store, user: &UserId) -> Result<Vec<Member>, StoreError> {
    let filter = Filter { user: Some(user.clone()), ..Filter::default() };
    Ok(all::<Member>(store, &filter).await?.into_iter().map(|stored| stored.record).collect())
}

/// All that there are, the oldest first.
pub(super) async fn all<R: Record>(store: &Store, filter: &Filter) -> Result<Vec<Stored<R>>, StoreError> {
    let sorting = Sorting { descending: false, ..Sorting::default() };
    let mut found = Vec::new();
    loop {
        let before = i64::try_from(found.len()).unwrap_or(i64::MAX);
        let page = store.list(filter, sorting, before, MOST).await?;
        let (gone, there) = (page.items.is_empty(), page.total);
        found.extend(page.items);
        if gone || i64::try_from(found.len()).unwrap_or(i64::MAX) >= there {
            return Ok(found);
        }
    }
}

impl Asker {
    pub(super) fn store(&self) -> &Store {
        self.books.store()
    }

    /// The body, checked against the route's own fields.
    pub(super) fn body(&self, bytes: &[u8]) -> Result<Body, Refusal> {
        Ok(Body::read(bytes, self.route.body)?)
    }

    /// The body of a request about what is the gateway's own and nobody's.
    pub(super) fn own_body(&self, bytes: &[u8]) -> Result<Body, Refusal> {
        let body = self.body(bytes)?;
        self.permit(&Object::default())?;
        Ok(body)
    }

    /// The query, checked against the route's own fields.
    pub(super) fn query(&self) -> Result<Body, Refusal> {
        Ok(query::read(&self.query, self.route.query)?)
    }

    /// Whether the caller may call this route about this object.
    pub(super) fn permit(&self, object: &Object) -> Result<(), Refusal> {
        if self.caller.may(self.route, object) { Ok(()) } else { Err(self.not_theirs()) }
    }

    /// Whether the caller could call another route about this object.
    pub(super) fn could(&self, path: &str, object: &Object) -> bool {
        route::find("POST", path).is_some_and(|route| self.caller.may(route, object))
    }

    pub(super) fn is_admin(&self) -> bool {
        self.caller.role.is_admin()
    }

    /// Administrators, and those who look as they do, see everything.
    pub(super) fn sees_all(&self) -> bool {
        self.is_admin() || self.caller.views(self.route)
    }

    pub(super) fn wrong_role(&self) -> Refusal {
        let user = self.caller.user.as_ref().map(UserId::as_str);
        Problem::wrong_role(&self.path, self.caller.role.name(), user).into()
    }

    fn not_theirs(&self) -> Refusal {
        let role = self.caller.role.name();
        let message = format!(
            "you may not call {} about this: it is neither yours nor of a team or organization that you administer. \
             Your role={role}",
            self.path
        );
        Problem::forbidden(None, message).into()
    }

    /// Who is noted as the author of changes.
    pub(super) fn name(&self) -> String {
        match (&self.caller.user, &self.caller.key) {
            (Some(user), _) => user.to_string(),
            (None, Some(key)) => key.to_string(),
            (None, None) => "default_user_id".to_owned(),
        }
    }

    /// Begins to change something.
    pub(super) async fn changes(&self) -> Result<Changes<'_>, Refusal> {
        Changes::begin(self).await
    }

    /// What is there under an id.
    ///
    /// `field` is how the request calls the id.
    pub(super) async fn find<R: Record>(
        &self,
        what: &str,
        field: &str,
        id: &str,
    ) -> Result<Stored<R>, Refusal> {
        let found = self.store().get::<R>(id).await?;
        found.ok_or_else(|| Problem::not_found(what, field, id).into())
    }

    /// Whose keys the ones of these sums are; deleted ones included.
    pub(super) async fn users_of(
        &self,
        sums: &[(String, DailySum)],
    ) -> Result<BTreeMap<String, Option<UserId>>, Refusal> {
        let ids: BTreeSet<String> = sums.iter().map(|(_, sum)| sum.key.clone()).collect();
        let mut keys = self.store().known::<Key>(&ids).await?;
        let users = ids.into_iter().map(|id| {
            let user = keys.remove(&id).and_then(|key| key.user);
            (id, user)
        });
        Ok(users.collect())
    }

    /// Moves what was journalled into the database, so that spend that is shown is up to date. A database that is away
    /// is told by who reads next.
    pub(super) async fn bring_up_to_date(&self) {
        _ = self.books.drain_now().await;
    }

    /// The moment of the question, by the clocks that budgets are counted by.
    pub(super) fn clock(&self) -> Clock {
        Clock { now: self.now, zone: self.snapshot.policy.zone.clone() }
    }

    /// What somebody spent.
    pub(super) async fn spend(
        &self,
        scope: Scope,
        details: &Details,
        total: NanoUsd,
    ) -> Result<Spend, Refusal> {
        let details = self.with_shared_terms(details).await?;
        let (period, window) = terms::current_window(&details, &self.clock());
        if period.is_none() {
            return Ok(Spend { current: total, total });
        }
        let openings = self.store().openings(&Account::of(scope)).await?;
        let own = openings.iter().find(|opening| opening.period == period && opening.window == window);
        Ok(Spend { current: own.map_or(NanoUsd::ZERO, |opening| opening.spend), total })
    }

    async fn with_shared_terms(&self, details: &Details) -> Result<Details, Refusal> {
        let mut details = details.clone();
        if let Some(id) = &details.budget_id
            && let Some(budget) = self.store().get::<SharedBudget>(id.as_str()).await?
        {
            details.allowance = details.allowance.or(&budget.record.details.allowance);
        }
        Ok(details)
    }

    /// The budget that an entity refers to, as rows show it.
    pub(super) async fn budget_row(&self, details: &Details) -> Result<Value, Refusal> {
        let Some(id) = &details.budget_id else { return Ok(Value::Null) };
        let budget = self.store().get::<SharedBudget>(id.as_str()).await?;
        Ok(budget.map_or(Value::Null, |budget| json!(api::budget::row(&budget.record, &self.clock()))))
    }

    /// Whether the budget that an entity is to refer to is there.
    pub(super) async fn check_budget(&self, body: &Body) -> Result<(), Refusal> {
        match body.text("budget_id").filter(|id| !id.is_empty()) {
            Some(id) => self.find::<SharedBudget>("Budget", "budget_id", id).await.map(drop),
            None => Ok(()),
        }
    }

    /// Sets what somebody has spent in the current window of their budget, in the database and in the live ledger.
    /// Returns what it was.
    pub(super) async fn set_spend(
        &self,
        scope: Scope,
        details: &Details,
        amount: NanoUsd,
    ) -> Result<NanoUsd, Refusal> {
        // What is still on its way was spent before.
        self.books.drain_now().await.map_err(|_| {
            Refusal::of_status(503, "the database does not answer, so spend cannot be set; try again later")
        })?;
        let details = self.with_shared_terms(details).await?;
        let (period, window) = terms::current_window(&details, &self.clock());
        let account = Account::of(scope);
        let window = if period.is_some() { window } else { Timestamp(0) };
        let before = self.store().set_spend(&account, period, window, amount).await?;
        let terms = Arc::new(details.allowance.terms(&self.snapshot.policy.zone));
        if let Some(claim) = self.books.counters().claim(&account, &terms) {
            claim.set_spend(&details.allowance.budget, amount, self.now);
            if let Some(leases) = self.books.leases() {
                let shared = leases.set_spend(&claim, &details.allowance.budget, self.now).await;
                shared.map_err(|error| Refusal::of_status(503, format!("{error}; try again later")))?;
            }
        }
        Ok(before)
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let mut refusal = Self::of_kind(problem.status, problem.kind, problem.message);
        refusal.param = problem.param;
        refusal
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Taken { what } => taken(what).into(),
            StoreError::Changed => Self::of_kind(409, "conflict_error", error.to_string()),
            StoreError::Unreadable { .. } => Self::misconfigured(500, error.to_string()),
            StoreError::BadAddress | StoreError::NoBackup | StoreError::Database(_) => {
                Self::store_away(&error)
            }
        }
    }
}

/// A name that has to be unique, in the words of the API.
fn taken(what: &str) -> Problem {
    let (table, column) = what.split_once('.').unwrap_or((what, ""));
    let (field, told) = match (table, column) {
        ("keys", "alias") => (
            "key_alias",
            "Unique key aliases across all keys are required: a key with this `key_alias` already exists",
        ),
        ("keys" | "key_hashes", _) => ("key", "this key exists already"),
        ("users", "alias") => ("user_email", "a user with this `user_email` already exists"),
        ("users", _) => ("user_id", "a user with this `user_id` already exists"),
        ("teams", _) => ("team_id", "a team with this `team_id` already exists"),
        ("members", _) => ("user_id", "this user is in the team already"),
        ("organizations", _) => {
            ("organization_id", "an organization with this `organization_id` already exists")
        }
        ("customers", _) => ("user_id", "a customer with this `user_id` already exists"),
        ("tags", _) => ("name", "a tag with this `name` already exists"),
        ("budgets", _) => ("budget_id", "a budget with this `budget_id` already exists"),
        ("access_groups", _) => ("access_group", "an access group with this name already exists"),
        ("credentials", _) => ("credential_name", "a credential with this `credential_name` already exists"),
        _ => ("id", "this id exists already"),
    };
    Problem::field(field, told)
}
