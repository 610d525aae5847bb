//! What a new or changed key may be: whose, in which team, and with no more than those who give it have.

use api::body::{Body, Patch};
use api::condition::{self, Conditions};
use api::grant::{self, Giver, Grant};
use api::problem::Problem;
use api::{caller, key};
use ledger::rules::account::Scope;
use ledger::rules::entity::{Details, Key, Member, Organization, Team, User};
use serde_json::{Value, json};

use super::asker::Asker;
use super::{access_groups, secret};
use crate::books::orders::Orders;
use crate::refusal::Refusal;

/// A key that is not stored yet, and its secret, which nobody will see again.
pub(super) struct NewKey {
    pub(super) key: Key,
    pub(super) secret: String,
}

/// Makes a key from a request's fields, without storing it.
pub(super) async fn new_key(
    asker: &Asker,
    body: &mut Body,
    is_service_account: bool,
) -> Result<NewKey, Refusal> {
    asker.snapshot.issue_policy.for_key(body, asker.now)?;
    let secret = match body.text("key") {
        Some(chosen) => {
            key::check_chosen("key", chosen)?;
            chosen.to_owned()
        }
        None => secret::key()?,
    };
    if is_service_account && body.id::<ledger::rules::id::TeamId>("team_id")?.set().is_none() {
        return Err(Problem::field(
            "team_id",
            "`team_id` is missing: a service account's key belongs to a team",
        )
        .into());
    }
    let mut made = key::empty(&secret);
    key::apply(body, &mut made, asker.now)?;
    check_orders(body, &made.details)?;
    api::terms::touch(&mut made.details, &asker.name(), asker.now);
    if is_service_account {
        made.user = None;
        name_service_account(&mut made);
    } else if made.user.is_none() && !asker.is_admin() {
        made.user.clone_from(&asker.caller.user);
    }
    asker.check_budget(body).await?;
    access_groups::check(asker, &made.access_groups).await?;
    let surroundings = Surroundings::of(asker, &made).await?;
    surroundings.permit(asker, &made)?;
    if is_of_another(asker, &made) && made.routes.0.is_empty() {
        made.routes.0.push(MODEL_ROUTES.to_owned());
    }
    check_impersonation(asker, &made)?;
    if !asker.is_admin() {
        if let Some(holder) = &asker.holder {
            let own = &holder.key;
            let reach = own.reach();
            let has = Grant { models: &reach, allowance: &own.details.allowance, routes: Some(&own.routes) };
            grant::inherit(&mut made.details.allowance, &mut made.models, &mut made.routes, &has);
            let of_team = surroundings.end_for_members(asker);
            made.expires_at = earlier(earlier(made.expires_at, of_team), own.expires_at);
            if made.addresses.0.is_empty() {
                made.addresses.clone_from(&own.addresses);
            }
            condition::inherit(&mut made, own);
            check_bounds(asker, &made, own, ASKING)?;
            check_end(&made, own, ASKING)?;
            condition::check_rights(&made, own, &asker.snapshot.issue_policy.keys)?;
        }
        surroundings.check(asker, &made)?;
    }
    Ok(NewKey { key: made, secret })
}

/// How refusals name the key that a request is made with.
const ASKING: &str = "the key that asks";

/// The group of routes that call models.
const MODEL_ROUTES: &str = "llm_api_routes";

/// Whether a key is somebody else's, of whose rights the caller has no part.
fn is_of_another(asker: &Asker, key: &Key) -> bool {
    !asker.is_admin() && key.user.is_some() && key.user != asker.caller.user
}

/// Whoever knows a key can do what its user can. So those who oversee a team or an organization may make and renew
/// keys of others that call models, and none that manage: nobody gives what they do not have.
fn check_impersonation(asker: &Asker, key: &Key) -> Result<(), Refusal> {
    let calls_models = !key.routes.0.is_empty() && key.routes.0.iter().all(|route| route == MODEL_ROUTES);
    if calls_models || !is_of_another(asker, key) {
        return Ok(());
    }
    let told = "a key of somebody else could do what they can; for others you can make and renew keys with \
                `key_type: llm_api` only";
    Err(Problem::forbidden(Some("allowed_routes"), told).into())
}

/// LiteLLM notes which service account a key is.
fn name_service_account(made: &mut Key) {
    let alias = made.details.alias.clone().unwrap_or_else(|| made.name.clone());
    let metadata = made.details.extra.entry("metadata").or_insert_with(|| json!({}));
    if let Value::Object(metadata) = metadata {
        metadata.entry("service_account_id").or_insert_with(|| Value::from(alias));
    }
}

fn earlier(
    one: Option<ledger::rules::time::Timestamp>,
    other: Option<ledger::rules::time::Timestamp>,
) -> Option<ledger::rules::time::Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Whether a changed key may become what it is to be.
pub(super) async fn check_change(
    asker: &Asker,
    body: &Body,
    before: &Key,
    after: &Key,
) -> Result<(), Refusal> {
    asker.permit(&key::object(before))?;
    check_orders(body, &after.details)?;
    asker.check_budget(body).await?;
    if before.access_groups != after.access_groups {
        access_groups::check(asker, &after.access_groups).await?;
    }
    let moved =
        (&before.user, &before.team, &before.organization) != (&after.user, &after.team, &after.organization);
    if asker.is_admin() && !moved {
        return Ok(());
    }
    let surroundings = Surroundings::of(asker, after).await?;
    if moved {
        surroundings.permit(asker, after)?;
    }
    if asker.is_admin() {
        return Ok(());
    }
    if before.user != after.user || before.hash != after.hash || before.routes != after.routes {
        check_impersonation(asker, after)?;
    }
    surroundings.check(asker, after)?;
    check_widening(asker, before, after)?;
    if asker.could("/key/block", &key::object(before)) {
        return Ok(());
    }
    // Its user, not its overseer: what others have set is no theirs to lift.
    for field in ["spend", "temp_budget_increase", "budget_id"] {
        if body.has(field) {
            return Err(overseers_only(field));
        }
    }
    if before.details.blocked != after.details.blocked {
        return Err(overseers_only("blocked"));
    }
    if before.details.created_by.as_deref()
        != asker.caller.user.as_ref().map(ledger::rules::id::UserId::as_str)
    {
        check_bounds(asker, after, before, AS_MADE)?;
        check_end(after, before, AS_MADE)?;
    }
    Ok(())
}

/// How refusals name a key before its change.
const AS_MADE: &str = "the key as it was made";

/// What a change adds to a key is no more than the key has that asks for it.
fn check_widening(asker: &Asker, before: &Key, after: &Key) -> Result<(), Refusal> {
    condition::check_rights(after, before, &api::Object::new())?;
    let Some(holder) = &asker.holder else { return Ok(()) };
    // What is told names the field that would widen it.
    check_bounds(asker, after, before, AS_MADE)
        .or_else(|told| check_bounds(asker, after, &holder.key, ASKING).map_err(|_| told))?;
    check_end(after, before, AS_MADE).or_else(|told| check_end(after, &holder.key, ASKING).map_err(|_| told))
}

/// Who gets to know a key's secret has what the key has.
pub(super) fn check_renewal(asker: &Asker, key: &Key) -> Result<(), Refusal> {
    match &asker.holder {
        Some(holder) if !asker.is_admin() && holder.key.id != key.id => {
            condition::check_rights(key, &holder.key, &asker.snapshot.issue_policy.keys)?;
            check_bounds(asker, key, &holder.key, ASKING)
        }
        Some(_) | None => Ok(()),
    }
}

fn overseers_only(field: &str) -> Refusal {
    let told =
        format!("`{field}` is for administrators of the gateway, the team or the organization to change");
    Problem::forbidden(Some(field), told).into()
}

/// A key whose bounds hold for another one too: nothing else would bound that.
fn check_bounds(asker: &Asker, wanted: &Key, has: &Key, name: &str) -> Result<(), Refusal> {
    let (own, reach) = (has.reach(), wanted.reach());
    let has_grant = Grant { models: &own, allowance: &has.details.allowance, routes: Some(&has.routes) };
    let wanted_grant =
        Grant { models: &reach, allowance: &wanted.details.allowance, routes: Some(&wanted.routes) };
    let giver = Giver { name, has: has_grant, bounds: false };
    giver.can_give(&wanted_grant, &asker.snapshot.access_groups)?;
    Conditions::of(wanted).at_least(&Conditions::of(has), name)?;
    let within = has.addresses.0.is_empty()
        || (!wanted.addresses.0.is_empty()
            && wanted.addresses.0.iter().all(|own| has.addresses.0.contains(own)));
    if !within {
        let told = format!("`allowed_ips` has more than {name}: nobody gives what they do not have");
        return Err(Problem::forbidden(Some("allowed_ips"), told).into());
    }
    Ok(())
}

/// A key that ends not later than another one.
fn check_end(wanted: &Key, has: &Key, name: &str) -> Result<(), Refusal> {
    if has.expires_at.is_some() && wanted.expires_at.is_none_or(|at| Some(at) > has.expires_at) {
        let told = format!("`duration` goes beyond the end of {name}: nobody gives what they do not have");
        return Err(Problem::forbidden(Some("duration"), told).into());
    }
    Ok(())
}

/// Whom a key is going to belong to.
struct Surroundings {
    team: Option<Team>,
    user: Option<User>,
    organization: Option<Organization>,
    /// The key's user in the key's team.
    member: Option<Member>,
}

impl Surroundings {
    async fn of(asker: &Asker, key: &Key) -> Result<Self, Refusal> {
        let team = match &key.team {
            Some(team) => Some(asker.find::<Team>("Team", "team_id", team.as_str()).await?.record),
            None => None,
        };
        let user = match &key.user {
            Some(user) => asker.store().get::<User>(user.as_str()).await?.map(|stored| stored.record),
            None => None,
        };
        let member = match (&key.team, &key.user) {
            (Some(team), Some(user)) => {
                let id = Scope::Member(team.clone(), user.clone()).id();
                asker.store().get::<Member>(&id).await?.map(|stored| stored.record)
            }
            _ => None,
        };
        let of_team = team.as_ref().and_then(|team| team.organization.clone());
        if let (Some(named), Some(own)) = (&key.organization, &of_team)
            && named != own
        {
            let told = format!("`organization_id` is `{named}`, but the key's team is in `{own}`");
            return Err(Problem::field("organization_id", told).into());
        }
        let organization = match key.organization.clone().or(of_team) {
            Some(id) => {
                Some(asker.find::<Organization>("Organization", "organization_id", id.as_str()).await?.record)
            }
            None => None,
        };
        Ok(Self { team, user, organization, member })
    }

    /// Whether the caller may put a key there.
    fn permit(&self, asker: &Asker, key: &Key) -> Result<(), Refusal> {
        if asker.is_admin() {
            return Ok(());
        }
        let organization = self.organization.as_ref().map(|organization| organization.id.clone());
        // In a team or an organization it is that which decides, not whose key it will be.
        let alone = self.team.is_none() && organization.is_none();
        let object = caller::Object {
            key: None,
            user: key.user.clone().filter(|_| alone),
            team: key.team.clone(),
            organization,
        };
        asker.permit(&object)?;
        if key.user.is_none() || key.user == asker.caller.user {
            return Ok(());
        }
        // For somebody else: only those who oversee, and in a team only for its members.
        if !asker.could("/key/block", &object) {
            return Err(overseers_only("user_id"));
        }
        if self.team.is_some() && self.member.is_none() {
            let told = "`user_id` is in none of the key's team; add them with /team/member_add first";
            return Err(Problem::field("user_id", told).into());
        }
        Ok(())
    }

    /// When keys that the team's members make end (`team_member_key_duration`).
    fn end_for_members(&self, asker: &Asker) -> Option<ledger::rules::time::Timestamp> {
        let team = self.team.as_ref().filter(|_| self.member.is_some())?;
        let duration = team.details.extra.get("team_member_key_duration")?.as_str()?;
        api::moment::after(asker.now, duration)
    }

    /// Whether those around the key have what it is to be given.
    fn check(&self, asker: &Asker, key: &Key) -> Result<(), Refusal> {
        let groups = &asker.snapshot.access_groups;
        let reach = key.reach();
        let wanted = Grant { models: &reach, allowance: &key.details.allowance, routes: None };
        let mut givers: Vec<(String, Grant<'_>)> = Vec::new();
        if let Some(organization) = &self.organization {
            let has = Grant {
                models: &organization.models,
                allowance: &organization.details.allowance,
                routes: None,
            };
            givers.push((format!("organization `{}`", organization.id), has));
        }
        let of_team = self.team.as_ref().map(Team::reach);
        match (&self.team, &self.user) {
            (Some(team), _) => {
                let has = Grant {
                    models: of_team.as_deref().unwrap_or(&team.models),
                    allowance: &team.details.allowance,
                    routes: None,
                };
                givers.push((format!("team `{}`", team.id), has));
            }
            (None, Some(user)) => {
                let has = Grant { models: &user.models, allowance: &user.details.allowance, routes: None };
                givers.push((format!("user `{}`", user.id), has));
            }
            (None, None) => {}
        }
        for (name, has) in givers {
            Giver { name: &name, has, bounds: true }.can_give(&wanted, groups)?;
        }
        Ok(())
    }
}

/// The key that a text means: a key itself, or its hash.
pub(super) fn hash_of(text: &str) -> Option<ledger::rules::id::KeyHash> {
    use ledger::rules::id::KeyHash;
    if text.starts_with("sk-") { Some(KeyHash::of(text)) } else { KeyHash::parse(text).ok() }
}

/// Whether what a body says about how requests are served can be followed.
pub(super) fn check_orders(body: &Body, details: &Details) -> Result<(), Refusal> {
    if !["router_settings", "budget_fallbacks", "unknown_price"].iter().any(|field| body.has(field)) {
        return Ok(());
    }
    Ok(Orders::read(details).map(drop)?)
}

/// The amount that a request sets as spent, if it does.
pub(super) fn spend_of(body: &Body) -> Option<catalog::NanoUsd> {
    match body.patch("spend", Body::amount) {
        Patch::Set(amount) => Some(amount),
        Patch::Clear | Patch::Keep => None,
    }
}
