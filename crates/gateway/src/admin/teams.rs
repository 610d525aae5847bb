//! Teams.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::body::{Body, parse_id};
use api::grant::{Giver, Grant};
use api::problem::Problem;
use api::query::Paging;
use api::{key, team};
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Json;
use axum::routing::{get, patch, post};
use ledger::rules::account::Scope;
use ledger::rules::entity::{Details, Key, Member, MemberRole, Organization, Team};
use ledger::rules::id::TeamId;
use ledger::store::{Filter, SortBy, Sorting, Stored};
use serde_json::{Value, json};

use super::asker::{self, Asker, MOST};
use super::{Answer, access_groups, issue, keys, members, secret};
use crate::Gateway;
use crate::refusal::Refusal;

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/team/new", post(new))
        .route("/team/update", post(update))
        .route("/team/{team_id}", patch(update_at))
        .route("/team/delete", post(delete))
        .route("/team/info", get(info))
        .route("/team/list", get(list))
        .route("/v2/team/list", get(list_pages))
        .route("/team/filter/ui", get(filter_ui))
        .route("/team/available", get(available))
        .route("/team/metadata_schema", get(metadata_schema))
        .route("/team/{team_id}/reset_spend", post(reset_spend))
        .route("/team/block", post(block))
        .route("/team/unblock", post(block))
        .route("/team/model/add", post(change_models))
        .route("/team/model/delete", post(change_models))
        .route("/team/permissions_list", get(permissions))
        .route("/team/permissions_update", post(set_permissions))
        .route("/team/permissions_bulk_update", post(add_permissions))
}

/// The team that a field names.
pub(super) async fn named(asker: &Asker, body: &Body) -> Result<Stored<Team>, Refusal> {
    let Some(id) = body.text("team_id").filter(|id| !id.is_empty()) else {
        return Err(Problem::field("team_id", "`team_id` is missing").into());
    };
    asker.find::<Team>("Team", "team_id", id).await
}

/// The members of a team, the first ones first.
pub(super) async fn members_of(asker: &Asker, team: &TeamId) -> Result<Vec<Member>, Refusal> {
    let filter = Filter { team: Some(team.clone()), ..Filter::default() };
    let members = asker::all::<Member>(asker.store(), &filter).await?;
    Ok(members.into_iter().map(|stored| stored.record).collect())
}

/// A team as it is shown.
pub(super) async fn full_row(asker: &Asker, stored: &Stored<Team>) -> Result<Value, Refusal> {
    let own = &stored.record;
    let members = members_of(asker, &own.id).await?;
    let spend = asker.spend(Scope::Team(own.id.clone()), &own.details, stored.spend).await?;
    let mut row = team::row(own, &members, spend, &asker.clock());
    row.insert("litellm_budget_table".to_owned(), asker.budget_row(&own.details).await?);
    Ok(Value::Object(row))
}

async fn new(asker: Asker, bytes: Bytes) -> Answer {
    let mut body = asker.body(&bytes)?;
    let id = match body.text("team_id").filter(|id| !id.is_empty()) {
        Some(id) => id.to_owned(),
        None => secret::unique_id()?,
    };
    asker.snapshot.issue_policy.for_team(&mut body, &id);
    let mut made = Team {
        id: parse_id("team_id", &id)?,
        organization: None,
        models: ledger::rules::access::ModelList::default(),
        access_groups: Vec::new(),
        aliases: BTreeMap::new(),
        member_permissions: Vec::new(),
        secrets: BTreeMap::new(),
        details: Details::default(),
    };
    team::apply(&body, &mut made, asker.now)?;
    issue::check_orders(&body, &made.details)?;
    check_price_policy(&asker, None, &made)?;
    api::terms::touch(&mut made.details, &asker.name(), asker.now);
    asker.permit(&team::object(&made))?;
    asker.check_budget(&body).await?;
    access_groups::check(&asker, &made.access_groups).await?;
    check_organization(&asker, &made).await?;
    let wanted = first_members(&asker, &body)?;
    let wanted = members::found(&asker, wanted).await?;
    let mut changes = asker.changes().await?;
    changes.insert(&made).await?;
    for one in &wanted {
        let member = members::member(&asker, &made, one, &Body::default())?;
        members::insert(&mut changes, one, &member).await?;
    }
    changes.commit().await?;
    if let Some(spend) = issue::spend_of(&body) {
        asker.set_spend(Scope::Team(made.id.clone()), &made.details, spend).await?;
    }
    let stored = asker.find::<Team>("Team", "team_id", &id).await?;
    Ok(Json(full_row(&asker, &stored).await?))
}

/// Those who are named, and whoever makes the team as its administrator.
fn first_members(asker: &Asker, body: &Body) -> Result<Vec<team::NewMember>, Refusal> {
    let mut wanted = match body.get("members_with_roles") {
        Some(list) => team::new_members("members_with_roles", list, team::MEMBER_ROLES)?,
        None => Vec::new(),
    };
    for (field, role) in [("admins", "admin"), ("members", "user")] {
        for user in body.texts(field).unwrap_or_default() {
            wanted.push(team::NewMember { user: Some(user), email: None, role: Some(role.to_owned()) });
        }
    }
    if let Some(user) = &asker.caller.user {
        let own =
            team::NewMember { user: Some(user.to_string()), email: None, role: Some("admin".to_owned()) };
        if !wanted.iter().any(|member| member.user == own.user) {
            wanted.push(own);
        }
    }
    Ok(wanted)
}

/// A team's organization is there, and has what the team is to have. For administrators of the organization only: those
/// of the gateway may promise more than there is.
async fn check_organization(asker: &Asker, team: &Team) -> Result<(), Refusal> {
    let Some(id) = &team.organization else { return Ok(()) };
    let organization =
        asker.find::<Organization>("Organization", "organization_id", id.as_str()).await?.record;
    if asker.is_admin() {
        return Ok(());
    }
    let has =
        Grant { models: &organization.models, allowance: &organization.details.allowance, routes: None };
    let wanted = Grant { models: &team.reach(), allowance: &team.details.allowance, routes: None };
    let name = format!("organization `{id}`");
    Ok(Giver { name: &name, has, bounds: true }.can_give(&wanted, &asker.snapshot.access_groups)?)
}

async fn update(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    change(&asker, &body).await
}

async fn update_at(asker: Asker, Path(id): Path<String>, bytes: Bytes) -> Answer {
    let mut body = asker.body(&bytes)?;
    body.set("team_id", json!(id));
    change(&asker, &body).await
}

async fn change(asker: &Asker, body: &Body) -> Answer {
    let mut stored = named(asker, body).await?;
    let before = stored.record.clone();
    asker.permit(&team::object(&before))?;
    team::apply(body, &mut stored.record, asker.now)?;
    issue::check_orders(body, &stored.record.details)?;
    check_price_policy(asker, Some(&before), &stored.record)?;
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    asker.check_budget(body).await?;
    let after = &stored.record;
    if before.access_groups != after.access_groups {
        access_groups::check(asker, &after.access_groups).await?;
    }
    if before.organization != after.organization {
        asker.permit(&team::object(after))?;
        overseen(asker, &before, "organization_id")?;
    }
    check_organization(asker, after).await?;
    if !oversees(asker, &before) {
        check_own_change(asker, body, &before, after)?;
    }
    let mut changes = asker.changes().await?;
    changes.update("updated", &before, &stored).await?;
    changes.commit().await?;
    if let Some(spend) = issue::spend_of(body) {
        asker.set_spend(Scope::Team(before.id.clone()), &stored.record.details, spend).await?;
    }
    let stored = asker.find::<Team>("Team", "team_id", before.id.as_str()).await?;
    Ok(Json(json!({"team_id": before.id, "data": full_row(asker, &stored).await?})))
}

/// Whoever runs the gateway pays for what has no price.
fn check_price_policy(asker: &Asker, before: Option<&Team>, after: &Team) -> Result<(), Refusal> {
    const FIELD: &str = "unknown_price";
    let of = |team: &Team| team.details.extra.get(FIELD).cloned();
    if asker.is_admin() || before.and_then(of) == of(after) {
        return Ok(());
    }
    let told = format!("`{FIELD}` is for administrators of the gateway to give and to take");
    Err(Problem::forbidden(Some(FIELD), told).into())
}

/// Whether the caller is above the team, not only its administrator.
fn oversees(asker: &Asker, team: &Team) -> bool {
    asker.could("/team/block", &team::object(team))
}

fn overseen(asker: &Asker, team: &Team, field: &str) -> Result<(), Refusal> {
    if oversees(asker, team) {
        return Ok(());
    }
    let told = format!("`{field}` is for administrators of the gateway or the team's organization to change");
    Err(Problem::forbidden(Some(field), told).into())
}

/// A team's own administrators may narrow what it has, not widen it.
fn check_own_change(asker: &Asker, body: &Body, before: &Team, after: &Team) -> Result<(), Refusal> {
    for field in ["spend", "budget_id", "budget_limits", "model_max_budget"] {
        if body.has(field) {
            overseen(asker, before, field)?;
        }
    }
    if before.details.blocked != after.details.blocked {
        overseen(asker, before, "blocked")?;
    }
    let has = Grant { models: &before.reach(), allowance: &before.details.allowance, routes: None };
    let wanted = Grant { models: &after.reach(), allowance: &after.details.allowance, routes: None };
    let giver = Giver { name: "the team as it was made", has, bounds: false };
    Ok(giver.can_give(&wanted, &asker.snapshot.access_groups)?)
}

async fn delete(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let ids = body.texts("team_ids").unwrap_or_default();
    let mut teams = Vec::new();
    for id in &ids {
        let stored = asker.find::<Team>("Team", "team_ids", id).await?;
        asker.permit(&team::object(&stored.record))?;
        teams.push(stored.record);
    }
    let mut gone: Vec<(Team, Vec<Key>, Vec<Member>)> = Vec::new();
    for team in teams {
        let filter = Filter { team: Some(team.id.clone()), ..Filter::default() };
        let keys = asker::all::<Key>(asker.store(), &filter).await?;
        let members = members_of(&asker, &team.id).await?;
        gone.push((team, keys.into_iter().map(|stored| stored.record).collect(), members));
    }
    let mut changes = asker.changes().await?;
    for (team, keys, members) in &gone {
        changes.delete_with(team, keys, members).await?;
    }
    changes.commit().await?;
    Ok(Json(json!({"deleted_teams": ids})))
}

async fn info(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let own = asker.holder.as_ref().and_then(|holder| holder.key.team.as_ref()).map(ToString::to_string);
    let Some(id) = query.text("team_id").map(str::to_owned).or(own) else {
        return Err(Problem::field("team_id", "`team_id` is missing").into());
    };
    let stored = asker.find::<Team>("Team", "team_id", &id).await?;
    let object = team::object(&stored.record);
    // A key of the team may see it, too: it has to know what it can do.
    let is_own =
        asker.holder.as_ref().is_some_and(|holder| holder.key.team.as_ref() == Some(&stored.record.id));
    if !is_own {
        asker.permit(&object)?;
    }
    let limit = query.count("key_limit").and_then(|limit| i64::try_from(limit).ok()).unwrap_or(MOST);
    let keys = keys_of(&asker, &stored.record.id, limit).await?;
    Ok(Json(json!({
        "team_id": stored.record.id,
        "team_info": full_row(&asker, &stored).await?,
        "keys": keys,
        "team_memberships": members::rows(&asker, &stored.record.id).await?,
    })))
}

/// The keys of a team, as the caller may see them.
async fn keys_of(asker: &Asker, team: &TeamId, limit: i64) -> Result<Vec<Value>, Refusal> {
    let filter = Filter { team: Some(team.clone()), ..Filter::default() };
    let found = asker.store().list::<Key>(&filter, Sorting::default(), 0, limit).await?.items;
    let info = api::route::find("GET", "/key/info");
    let mut rows = Vec::new();
    for stored in found {
        let object = key::object(&stored.record);
        if info.is_some_and(|route| asker.caller.may(route, &object)) {
            rows.push(keys::full_row(asker, &stored).await?);
        }
    }
    Ok(rows)
}

/// The teams that the caller may see, the first ones first.
async fn visible(asker: &Asker, user: Option<&str>) -> Result<Vec<Stored<Team>>, Refusal> {
    let of_user = match user {
        Some(user) => {
            let user = parse_id("user_id", user)?;
            let memberships = asker::members_of(asker.store(), &user).await?;
            Some(memberships.into_iter().map(|member| member.team).collect::<Vec<_>>())
        }
        None => None,
    };
    let info = api::route::find("GET", "/team/info");
    let mut teams = asker::all::<Team>(asker.store(), &Filter::default()).await?;
    teams.retain(|stored| {
        info.is_some_and(|route| asker.caller.may(route, &team::object(&stored.record)))
            && of_user.as_ref().is_none_or(|teams| teams.contains(&stored.record.id))
    });
    Ok(teams)
}

async fn list(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let organization = query.text("organization_id");
    let mut rows = Vec::new();
    for stored in visible(&asker, query.text("user_id")).await? {
        let own = stored.record.organization.as_ref().map(ledger::rules::id::OrganizationId::as_str);
        if organization.is_none() || organization == own {
            let mut row = full_row(&asker, &stored).await?;
            row["keys"] = json!(keys_of(&asker, &stored.record.id, 100).await?);
            rows.push(row);
        }
    }
    Ok(Json(json!(rows)))
}

async fn list_pages(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let paging = Paging::of(&query, "page_size", 10)?;
    let by = match query.text("sort_by") {
        Some("updated_at") => SortBy::UpdatedAt,
        Some("team_alias") => SortBy::Alias,
        Some("spend") => SortBy::Spend,
        _ => SortBy::CreatedAt,
    };
    let sorting = Sorting { by, descending: query.text("sort_order") != Some("asc") };
    let alias = query.text("team_alias").map(str::to_lowercase);
    let search = query.text("search").map(str::to_lowercase);
    let mut teams = visible(&asker, query.text("user_id")).await?;
    let has = |part: &Option<String>, text: Option<&str>| {
        part.as_ref().is_none_or(|part| text.is_some_and(|text| text.to_lowercase().contains(part)))
    };
    teams.retain(|stored| {
        let team = &stored.record;
        let own = team.organization.as_ref().map(ledger::rules::id::OrganizationId::as_str);
        query.text("organization_id").is_none_or(|wanted| own == Some(wanted))
            && query.text("team_id").is_none_or(|wanted| team.id.as_str() == wanted)
            && has(&alias, team.details.alias.as_deref())
            && (has(&search, team.details.alias.as_deref()) || has(&search, Some(team.id.as_str())))
    });
    teams.sort_by(|a, b| {
        let (one, other) = (&a.record.details, &b.record.details);
        let ordering = match sorting.by {
            SortBy::UpdatedAt => one.updated_at.cmp(&other.updated_at),
            SortBy::Alias => one.alias.cmp(&other.alias),
            SortBy::Spend => a.spend.cmp(&b.spend),
            SortBy::CreatedAt | SortBy::ExpiresAt => one.created_at.cmp(&other.created_at),
        };
        if sorting.descending { ordering.reverse() } else { ordering }
    });
    let total = i64::try_from(teams.len()).unwrap_or(i64::MAX);
    let mut rows = Vec::new();
    for stored in paging.cut(teams) {
        let mut row = full_row(&asker, &stored).await?;
        row["members_count"] = json!(row["members_with_roles"].as_array().map_or(0, Vec::len));
        rows.push(row);
    }
    Ok(Json(json!({
        "teams": rows,
        "total": total,
        "page": paging.page,
        "page_size": paging.size,
        "total_pages": paging.pages(total),
    })))
}

async fn filter_ui(asker: Asker) -> Answer {
    let query = asker.query()?;
    let paging = Paging::of(&query, "page_size", 50)?;
    let search = query.text("team_alias").or_else(|| query.text("team_id")).map(str::to_owned);
    let filter = Filter { search, ..Filter::default() };
    let page = asker.store().list::<Team>(&filter, Sorting::default(), paging.offset(), paging.size).await?;
    let short = |stored: &Stored<Team>| json!({"team_id": stored.record.id, "team_alias": stored.record.details.alias});
    Ok(Json(page.items.iter().map(short).collect()))
}

async fn available(_: Asker) -> Answer {
    Ok(Json(json!([])))
}

async fn metadata_schema(_: Asker) -> Answer {
    Ok(Json(json!({"schema": null})))
}

async fn reset_spend(asker: Asker, Path(id): Path<String>, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let stored = asker.find::<Team>("Team", "team_id", &id).await?;
    let team = &stored.record;
    asker.permit(&team::object(team))?;
    let amount = body.amount("reset_to").unwrap_or_default();
    let before = asker.set_spend(Scope::Team(team.id.clone()), &team.details, amount).await?;
    keys::note_spend::<Team>(&asker, &id, before, amount).await?;
    Ok(Json(json!({"team_id": id, "spend": amount, "previous_spend": before})))
}

async fn block(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let mut stored = named(&asker, &body).await?;
    asker.permit(&team::object(&stored.record))?;
    let mut changes = asker.changes().await?;
    changes.block(&mut stored, asker.path == "/team/block").await?;
    changes.commit().await?;
    Ok(Json(full_row(&asker, &stored).await?))
}

async fn change_models(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let mut stored = named(&asker, &body).await?;
    let before = stored.record.clone();
    asker.permit(&team::object(&before))?;
    let named = body.texts("models").unwrap_or_default();
    let own = &mut stored.record.models.0;
    if asker.path == "/team/model/add" {
        own.extend(named.into_iter().filter(|model| !before.models.0.contains(model)));
    } else {
        own.retain(|model| !named.contains(model));
        if own.is_empty() && !before.models.0.is_empty() {
            // An empty list would be all models.
            own.push(ledger::rules::access::NO_DEFAULT_MODELS.to_owned());
        }
    }
    check_organization(&asker, &stored.record).await?;
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.update("updated", &before, &stored).await?;
    changes.commit().await?;
    Ok(Json(full_row(&asker, &stored).await?))
}

async fn permissions(asker: Asker) -> Answer {
    let query = asker.query()?;
    let stored = named(&asker, &query).await?;
    asker.permit(&team::object(&stored.record))?;
    Ok(Json(permissions_row(&stored.record)))
}

fn permissions_row(team: &Team) -> Value {
    let own = &team.member_permissions;
    let shown = if own.is_empty() { json!(api::caller::DEFAULT_PERMISSIONS) } else { json!(own) };
    json!({
        "team_id": team.id,
        "team_member_permissions": shown,
        "all_available_permissions": team::permissions(),
    })
}

async fn set_permissions(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let mut stored = named(&asker, &body).await?;
    let before = stored.record.clone();
    asker.permit(&team::object(&before))?;
    let wanted = body.texts("team_member_permissions").unwrap_or_default();
    team::check_permissions(&wanted)?;
    stored.record.member_permissions = wanted;
    let mut changes = asker.changes().await?;
    changes.update("updated", &before, &stored).await?;
    changes.commit().await?;
    Ok(Json(permissions_row(&stored.record)))
}

async fn add_permissions(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let wanted = body.texts("permissions").unwrap_or_default();
    team::check_permissions(&wanted)?;
    let ids = body.texts("team_ids").unwrap_or_default();
    if ids.is_empty() && body.bool("apply_to_all_teams") != Some(true) {
        return Err(Problem::field("team_ids", "give `team_ids`, or `apply_to_all_teams: true`").into());
    }
    let mut teams = asker::all::<Team>(asker.store(), &Filter::default()).await?;
    teams.retain(|stored| ids.is_empty() || ids.iter().any(|id| *id == *stored.record.id.as_str()));
    let mut changes = asker.changes().await?;
    for stored in &mut teams {
        let before = stored.record.clone();
        let own = &mut stored.record.member_permissions;
        own.extend(wanted.iter().filter(|path| !before.member_permissions.contains(path)).cloned());
        changes.update("updated", &before, stored).await?;
    }
    changes.commit().await?;
    Ok(Json(
        json!({"message": "Team member permissions updated", "teams_updated": teams.len(), "permissions_appended": wanted}),
    ))
}

/// Whether somebody administers a team.
pub(super) fn is_admin(member: &Member) -> bool {
    member.role == MemberRole::Admin
}
