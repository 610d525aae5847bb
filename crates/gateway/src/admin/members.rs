//! Who is in a team, and under which terms.

use std::sync::Arc;

use api::body::{Body, parse_id};
use api::problem::Problem;
use api::team::{self, NewMember};
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Json;
use axum::routing::{get, post};
use ledger::rules::access::ModelList;
use ledger::rules::account::Scope;
use ledger::rules::entity::{Details, Key, Member, Team, User, UserRole};
use ledger::rules::id::{TeamId, UserId};
use ledger::store::{Filter, Sorting, Stored};
use serde_json::{Value, json};

use super::asker::{self, Asker};
use super::bulk::{self, Results};
use super::change::Changes;
use super::{Answer, keys, secret, teams};
use crate::Gateway;
use crate::refusal::Refusal;

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/team/member_add", post(add))
        .route("/team/bulk_member_add", post(bulk_add))
        .route("/team/member_update", post(update))
        .route("/team/member_delete", post(delete))
        .route("/management/v1/teams/{team_id}/members/bulk_update", post(bulk_update))
        .route("/management/v1/teams/{team_id}/members/bulk_delete", post(bulk_delete))
        .route("/team/{team_id}/members/me", get(me))
        .route("/team/{team_id}/member/{user_id}/reset_spend", post(reset_spend))
        .route("/team/{team_id}/member/{user_id}/reset_budget", post(reset_budget))
}

/// Somebody to be added who is known, or will be.
pub(super) struct Found {
    pub(super) user: User,
    is_new: bool,
    role: Option<String>,
}

/// Finds out who is meant; whoever is not known yet is made a user.
pub(super) async fn found(asker: &Asker, wanted: Vec<NewMember>) -> Result<Vec<Found>, Refusal> {
    let mut found: Vec<Found> = Vec::new();
    for one in wanted {
        let stored = match (&one.user, &one.email) {
            (Some(id), _) => asker.store().get::<User>(id).await?,
            (None, Some(email)) => of_email(asker, email).await?,
            (None, None) => None,
        };
        let is_new = stored.is_none();
        let user = match stored {
            Some(stored) => stored.record,
            None => new_user(asker, one.user.as_deref(), one.email.as_deref())?,
        };
        if found.iter().all(|known| known.user.id != user.id) {
            found.push(Found { user, is_new, role: one.role });
        }
    }
    Ok(found)
}

/// The user with an e-mail address.
pub(super) async fn of_email(asker: &Asker, email: &str) -> Result<Option<Stored<User>>, Refusal> {
    let filter = Filter { alias: Some(email.trim().to_lowercase()), ..Filter::default() };
    Ok(asker.store().list::<User>(&filter, Sorting::default(), 0, 1).await?.items.into_iter().next())
}

/// A user of whom no more is known than this.
pub(super) fn new_user(asker: &Asker, id: Option<&str>, email: Option<&str>) -> Result<User, Refusal> {
    let id = match id {
        Some(id) => id.to_owned(),
        None => secret::unique_id()?,
    };
    let mut user = User {
        id: parse_id("user_id", &id)?,
        email: email.map(|email| email.trim().to_lowercase()),
        role: UserRole::InternalUser,
        organization: None,
        models: ModelList::default(),
        details: Details::default(),
    };
    api::terms::touch(&mut user.details, &asker.name(), asker.now);
    Ok(user)
}

/// A membership, with the terms that a request or else the team gives its members.
pub(super) fn member(asker: &Asker, team: &Team, found: &Found, body: &Body) -> Result<Member, Refusal> {
    let mut member = Member {
        team: team.id.clone(),
        user: found.user.id.clone(),
        role: team::role(found.role.as_deref()),
        models: ModelList::default(),
        details: Details::default(),
    };
    let mut terms = body.clone();
    for (own, of_team) in [
        ("max_budget_in_team", "team_member_budget"),
        ("budget_duration", "team_member_budget_duration"),
        ("rpm_limit", "team_member_rpm_limit"),
        ("tpm_limit", "team_member_tpm_limit"),
        ("allowed_models", "default_team_member_models"),
    ] {
        terms.fill(own, || team.details.extra.get(of_team).filter(|value| !value.is_null()).cloned());
    }
    // Its own role is the member's, not the request's.
    terms.take("role");
    team::apply_to_member(&terms, &mut member, asker.now)?;
    if let Some(email) = &found.user.email {
        member.details.extra.insert("user_email".to_owned(), json!(email));
    }
    api::terms::touch(&mut member.details, &asker.name(), asker.now);
    Ok(member)
}

/// Stores a membership, and the user if they are new.
pub(super) async fn insert(changes: &mut Changes<'_>, found: &Found, member: &Member) -> Result<(), Refusal> {
    if found.is_new {
        changes.insert(&found.user).await?;
    }
    changes.insert(member).await
}

/// The memberships of a team as they are shown.
pub(super) async fn rows(asker: &Asker, team: &TeamId) -> Result<Vec<Value>, Refusal> {
    let filter = Filter { team: Some(team.clone()), ..Filter::default() };
    let mut rows = Vec::new();
    for stored in asker::all::<Member>(asker.store(), &filter).await? {
        rows.push(row(asker, &stored).await?);
    }
    Ok(rows)
}

async fn row(asker: &Asker, stored: &Stored<Member>) -> Result<Value, Refusal> {
    let member = &stored.record;
    let scope = Scope::Member(member.team.clone(), member.user.clone());
    let spend = asker.spend(scope, &member.details, stored.spend).await?;
    Ok(team::membership_row(member, spend, &asker.clock()))
}

async fn add(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let stored = teams::named(&asker, &body).await?;
    asker.permit(&team::object(&stored.record))?;
    let wanted = body.get("member").cloned().unwrap_or_default();
    let wanted = team::new_members("member", &wanted, team::MEMBER_ROLES)?;
    let added = add_all(&asker, &stored.record, wanted, &body).await?;
    let mut row = teams::full_row(&asker, &stored).await?;
    let users = added.iter().map(|(found, _)| {
        json!(api::user::row(
            &found.user,
            &[stored.record.id.to_string()],
            api::terms::Spend::default(),
            &asker.clock()
        ))
    });
    let memberships = added
        .iter()
        .map(|(_, member)| team::membership_row(member, api::terms::Spend::default(), &asker.clock()));
    row["updated_users"] = users.collect();
    row["updated_team_memberships"] = memberships.collect();
    Ok(Json(row))
}

async fn add_all(
    asker: &Asker,
    team: &Team,
    wanted: Vec<NewMember>,
    body: &Body,
) -> Result<Vec<(Found, Member)>, Refusal> {
    bulk::check("member", wanted.len())?;
    let mut added = Vec::new();
    for found in found(asker, wanted).await? {
        let mut member = member(asker, team, &found, body)?;
        if body.text("role").is_some() && found.role.is_none() {
            member.role = team::role(body.text("role"));
        }
        check_models(asker, team, &member)?;
        added.push((found, member));
    }
    let mut changes = asker.changes().await?;
    for (found, member) in &added {
        insert(&mut changes, found, member).await?;
    }
    changes.commit().await?;
    Ok(added)
}

/// A member's own list is a part of the team's.
fn check_models(asker: &Asker, team: &Team, member: &Member) -> Result<(), Refusal> {
    if member.models.0.is_empty() || member.models.is_within(&team.reach(), &asker.snapshot.access_groups) {
        return Ok(());
    }
    let told =
        format!("`allowed_models` has more than team `{}`: nobody gives what they do not have", team.id);
    Err(Problem::forbidden(Some("allowed_models"), told).into())
}

async fn bulk_add(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let stored = teams::named(&asker, &body).await?;
    asker.permit(&team::object(&stored.record))?;
    let known = teams::members_of(&asker, &stored.record.id).await?;
    let wanted = if body.bool("all_users") == Some(true) {
        if !asker.is_admin() {
            return Err(Problem::forbidden(
                Some("all_users"),
                "`all_users` is for administrators of the gateway",
            )
            .into());
        }
        let users = asker::all::<User>(asker.store(), &Filter::default()).await?;
        let users = users.into_iter().filter(|user| known.iter().all(|member| member.user != user.record.id));
        users
            .map(|user| NewMember { user: Some(user.record.id.to_string()), email: None, role: None })
            .collect()
    } else {
        let list = body.get("members").cloned().unwrap_or_default();
        team::new_members("members", &list, team::MEMBER_ROLES)?
    };
    let mut results = Results::default();
    for one in wanted {
        let who = bulk::who(&json!({"user_id": one.user, "user_email": one.email}));
        let added = add_all(&asker, &stored.record, vec![one], &body).await;
        let row = added.map(|added| {
            let spend = api::terms::Spend::default();
            added.iter().map(|(_, member)| team::membership_row(member, spend, &asker.clock())).collect()
        });
        results.note(who, "added_membership", row);
    }
    of_team(&asker, &stored, results, "additions").await
}

/// What became of each, and the team as it is now.
async fn of_team(asker: &Asker, team: &Stored<Team>, results: Results, done: &str) -> Answer {
    let mut answer = results.answer(done);
    answer.insert("team_id".to_owned(), json!(team.record.id));
    answer.insert("updated_team".to_owned(), teams::full_row(asker, team).await?);
    Ok(Json(Value::Object(answer)))
}

/// The team of a path, and the fields of each of its members that a body names, as another route has them.
async fn each_of(
    asker: &Asker,
    id: &str,
    bytes: &Bytes,
    path: &str,
) -> Result<(Stored<Team>, Vec<(Value, Result<Body, Refusal>)>), Refusal> {
    let body = asker.body(bytes)?;
    let team = asker.find::<Team>("Team", "team_id", id).await?;
    asker.permit(&team::object(&team.record))?;
    let Some(route) = api::route::find("POST", path) else { return Err(asker.wrong_role()) };
    let read = |entry: Value| {
        let mut entry = entry;
        if let Value::Object(fields) = &mut entry {
            fields.insert("team_id".to_owned(), json!(id));
        }
        let body = bulk::body(&entry, route.body);
        (entry, body)
    };
    Ok((team, bulk::entries(&body, "members")?.into_iter().map(read).collect()))
}

async fn bulk_update(asker: Asker, Path(id): Path<String>, bytes: Bytes) -> Answer {
    let (team, each) = each_of(&asker, &id, &bytes, "/team/member_update").await?;
    let mut results = Results::default();
    for (entry, body) in each {
        let changed = async { change(&asker, &team.record, &body?).await.map(|member| changed_row(&member)) };
        results.note(bulk::who(&entry), "updated_membership", changed.await);
    }
    of_team(&asker, &team, results, "updates").await
}

async fn bulk_delete(asker: Asker, Path(id): Path<String>, bytes: Bytes) -> Answer {
    let (team, each) = each_of(&asker, &id, &bytes, "/team/member_delete").await?;
    let mut results = Results::default();
    for (entry, body) in each {
        let gone = async { take_out(&asker, &team.record, &body?).await };
        results.note(bulk::who(&entry), "deleted_membership", gone.await);
    }
    of_team(&asker, &team, results, "deletions").await
}

/// The membership that a body names by user or e-mail address.
async fn named(asker: &Asker, team: &Team, body: &Body) -> Result<Stored<Member>, Refusal> {
    let user: UserId = match (body.text("user_id"), body.text("user_email")) {
        (Some(id), _) => parse_id("user_id", id)?,
        (None, Some(email)) => match of_email(asker, email).await? {
            Some(user) => user.record.id,
            None => return Err(Problem::not_found("User", "user_email", email).into()),
        },
        (None, None) => return Err(Problem::field("user_id", "give `user_id` or `user_email`").into()),
    };
    of(asker, team, &user).await
}

async fn of(asker: &Asker, team: &Team, user: &UserId) -> Result<Stored<Member>, Refusal> {
    let id = Scope::Member(team.id.clone(), user.clone()).id();
    let found = asker.store().get::<Member>(&id).await?;
    found.ok_or_else(|| {
        let mut problem = Problem::not_found("Team member", "user_id", user.as_str());
        problem.message = format!("User={user} is not a member of team={}", team.id);
        problem.into()
    })
}

async fn update(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let team = teams::named(&asker, &body).await?.record;
    asker.permit(&team::object(&team))?;
    Ok(Json(changed_row(&change(&asker, &team, &body).await?)))
}

/// Changes the membership that a body names.
async fn change(asker: &Asker, team: &Team, body: &Body) -> Result<Member, Refusal> {
    let mut stored = named(asker, team, body).await?;
    let before = stored.record.clone();
    team::apply_to_member(body, &mut stored.record, asker.now)?;
    check_models(asker, team, &stored.record)?;
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.update("updated", &before, &stored).await?;
    changes.commit().await?;
    Ok(stored.record)
}

fn changed_row(after: &Member) -> Value {
    json!({
        "team_id": after.team,
        "user_id": after.user,
        "user_email": after.details.extra.get("user_email"),
        "role": if teams::is_admin(after) { "admin" } else { "user" },
        "max_budget_in_team": after.details.allowance.budget.max,
        "budget_duration": after.details.allowance.budget.period.map(|period| period.to_string()),
        "tpm_limit": after.details.allowance.limits.tpm,
        "rpm_limit": after.details.allowance.limits.rpm,
        "allowed_models": after.models.0,
    })
}

async fn delete(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let team = teams::named(&asker, &body).await?;
    asker.permit(&team::object(&team.record))?;
    take_out(&asker, &team.record, &body).await?;
    Ok(Json(teams::full_row(&asker, &team).await?))
}

/// Takes the member that a body names out, with their keys of the team.
async fn take_out(asker: &Asker, team: &Team, body: &Body) -> Result<Value, Refusal> {
    let stored = named(asker, team, body).await?;
    let row = row(asker, &stored).await?;
    let member = stored.record;
    let filter =
        Filter { team: Some(member.team.clone()), user: Some(member.user.clone()), ..Filter::default() };
    let keys = asker::all::<Key>(asker.store(), &filter).await?;
    let mut changes = asker.changes().await?;
    for key in &keys {
        changes.delete(&key.record).await?;
    }
    changes.delete(&member).await?;
    changes.commit().await?;
    Ok(row)
}

async fn me(asker: Asker, Path(id): Path<String>) -> Answer {
    let team = asker.find::<Team>("Team", "team_id", &id).await?.record;
    asker.bring_up_to_date().await;
    let Some(user) = asker.caller.user.clone() else {
        return Err(Problem::field("user_id", "this key belongs to nobody, so it has no membership").into());
    };
    let stored = of(&asker, &team, &user).await?;
    Ok(Json(row(&asker, &stored).await?))
}

async fn reset_spend(asker: Asker, Path((team, user)): Path<(String, String)>, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let team = asker.find::<Team>("Team", "team_id", &team).await?.record;
    asker.permit(&team::object(&team))?;
    let stored = of(&asker, &team, &parse_id("user_id", &user)?).await?;
    let member = &stored.record;
    let amount = body.amount("reset_to").unwrap_or_default();
    let scope = Scope::Member(member.team.clone(), member.user.clone());
    let id = scope.id();
    let before = asker.set_spend(scope, &member.details, amount).await?;
    keys::note_spend::<Member>(&asker, &id, before, amount).await?;
    Ok(Json(json!({"team_id": team.id, "user_id": user, "spend": amount, "previous_spend": before})))
}

async fn reset_budget(asker: Asker, Path((team, user)): Path<(String, String)>) -> Answer {
    let team = asker.find::<Team>("Team", "team_id", &team).await?.record;
    asker.permit(&team::object(&team))?;
    let mut stored = of(&asker, &team, &parse_id("user_id", &user)?).await?;
    let before = stored.record.clone();
    stored.record.details.allowance.budget = ledger::rules::budget::Budget::default();
    stored.record.details.budget_id = None;
    let mut changes = asker.changes().await?;
    changes.update("updated", &before, &stored).await?;
    changes.commit().await?;
    Ok(Json(row(&asker, &stored).await?))
}
