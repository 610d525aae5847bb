//! Users.

use std::sync::Arc;

use api::body::{Body, parse_id};
use api::problem::Problem;
use api::query::Paging;
use api::{team, user};
use axum::Router;
use axum::body::Bytes;
use axum::response::Json;
use axum::routing::{get, post};
use ledger::rules::account::Scope;
use ledger::rules::entity::{Key, Member, Team, User, UserRole};
use ledger::store::{Filter, SortBy, Sorting, Stored};
use serde_json::{Value, json};

use super::asker::{self, Asker};
use super::bulk::{self, Results};
use super::{Answer, issue, keys, members, organizations, teams};
use crate::Gateway;
use crate::refusal::Refusal;

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/user/new", post(new))
        .route("/user/update", post(update))
        .route("/user/bulk_update", post(bulk_update))
        .route("/user/delete", post(delete))
        .route("/management/v1/users/bulk", post(bulk_new))
        .route("/management/v1/users/bulk_delete", post(delete))
        .route("/user/info", get(info))
        .route("/v2/user/info", get(info_alone))
        .route("/user/list", get(list))
        .route("/user/filter/ui", get(filter_ui))
        .route("/user/available_roles", get(available_roles))
        .route("/user/available_users", get(available_users))
}

async fn full_row(asker: &Asker, stored: &Stored<User>) -> Result<Value, Refusal> {
    let own = &stored.record;
    let memberships = asker::members_of(asker.store(), &own.id).await?;
    let teams: Vec<String> = memberships.iter().map(|member| member.team.to_string()).collect();
    let spend = asker.spend(Scope::User(own.id.clone()), &own.details, stored.spend).await?;
    let mut row = user::row(own, &teams, spend, &asker.clock());
    row.insert("litellm_budget_table".to_owned(), asker.budget_row(&own.details).await?);
    Ok(Value::Object(row))
}

async fn new(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    Ok(Json(make(&asker, body).await?))
}

async fn bulk_new(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let Some(route) = api::route::find("POST", "/user/new") else { return Err(asker.wrong_role()) };
    let mut results = Results::default();
    for entry in bulk::entries(&body, "users")? {
        let made = async { make(&asker, bulk::body(&entry, route.body)?).await };
        results.note(bulk::who(&entry), "created_user", made.await);
    }
    Ok(Json(Value::Object(results.answer("creations"))))
}

/// Makes a user, and their first key.
async fn make(asker: &Asker, mut body: Body) -> Result<Value, Refusal> {
    asker.snapshot.issue_policy.for_user(&mut body);
    let mut made = members::new_user(asker, body.text("user_id").filter(|id| !id.is_empty()), None)?;
    let wanted = body.texts("organizations").unwrap_or_default();
    let wanted =
        wanted.into_iter().chain(body.text("organization_id").map(str::to_owned)).collect::<Vec<_>>();
    made.organization = wanted.first().map(|id| parse_id("organizations", id)).transpose()?;
    user::apply(&body, &mut made, asker.now)?;
    asker.permit(&user::object(&made))?;
    asker.check_budget(&body).await?;
    check_role(asker, made.role)?;
    let mut joined = Vec::new();
    for (team, role) in wanted_teams(&body)? {
        let team = asker.find::<Team>("Team", "teams", &team).await?.record;
        if !asker.could("/team/member_add", &team::object(&team)) {
            return Err(Problem::forbidden(
                Some("teams"),
                format!("team `{}` is not yours to add to", team.id),
            )
            .into());
        }
        joined.push((team, role));
    }
    let mut changes = asker.changes().await?;
    changes.insert(&made).await?;
    for (team, role) in &joined {
        let mut member = Member {
            team: team.id.clone(),
            user: made.id.clone(),
            role: team::role(role.as_deref()),
            models: ledger::rules::access::ModelList::default(),
            details: ledger::rules::entity::Details::default(),
        };
        if let Some(email) = &made.email {
            member.details.extra.insert("user_email".to_owned(), json!(email));
        }
        api::terms::touch(&mut member.details, &asker.name(), asker.now);
        changes.insert(&member).await?;
    }
    for id in &wanted {
        organizations::join(asker, &mut changes, id, &made).await?;
    }
    changes.commit().await?;
    if let Some(spend) = issue::spend_of(&body) {
        asker.set_spend(Scope::User(made.id.clone()), &made.details, spend).await?;
    }
    let stored = asker.find::<User>("User", "user_id", made.id.as_str()).await?;
    let mut row = full_row(asker, &stored).await?;
    if body.bool("auto_create_key") != Some(false) {
        let first = first_key(asker, &body, &made).await?;
        if let (Value::Object(row), Value::Object(key)) = (&mut row, first) {
            for field in
                ["key", "token", "token_id", "key_name", "key_alias", "expires", "aliases", "permissions"]
            {
                row.insert(field.to_owned(), key.get(field).cloned().unwrap_or(Value::Null));
            }
        }
    }
    Ok(row)
}

/// Nobody but an administrator makes administrators.
fn check_role(asker: &Asker, role: UserRole) -> Result<(), Refusal> {
    let above = matches!(role, UserRole::ProxyAdmin | UserRole::ProxyAdminViewer);
    if above && !asker.is_admin() {
        let told = "`user_role` would be an administrator of the gateway: nobody gives what they do not have";
        return Err(Problem::forbidden(Some("user_role"), told).into());
    }
    Ok(())
}

/// `teams: ["id"]`, or `[{"team_id": …, "user_role": …}]` as defaults in the configuration have them.
fn wanted_teams(body: &Body) -> Result<Vec<(String, Option<String>)>, Refusal> {
    let mut teams = Vec::new();
    for (at, team) in body.list("teams").into_iter().flatten().enumerate() {
        let role = team.get("user_role").and_then(Value::as_str).map(str::to_owned);
        let Some(id) = team.as_str().or_else(|| team.get("team_id").and_then(Value::as_str)) else {
            let place = format!("teams[{at}]");
            return Err(Problem::field(place.clone(), format!("`{place}` must be a team's id")).into());
        };
        teams.push((id.to_owned(), role));
    }
    if let Some(id) = body.text("team_id").filter(|id| !id.is_empty())
        && teams.iter().all(|(known, _)| known != id)
    {
        teams.push((id.to_owned(), None));
    }
    Ok(teams)
}

/// The key that a new user gets at once. Their budget and limits are the user's, not the key's.
async fn first_key(asker: &Asker, body: &Body, user: &User) -> Result<Value, Refusal> {
    let Some(route) = api::route::find("POST", "/key/generate") else { return Err(asker.wrong_role()) };
    let mut fields = api::Object::new();
    for name in [
        "key_alias",
        "duration",
        "aliases",
        "config",
        "permissions",
        "allowed_cache_controls",
        "guardrails",
        "allowed_routes",
        "key_type",
        "team_id",
    ] {
        if let Some(value) = body.get(name) {
            fields.insert(name.to_owned(), value.clone());
        }
    }
    fields.insert("user_id".to_owned(), json!(user.id));
    if body.text("team_id").is_none() {
        fields.insert("organization_id".to_owned(), json!(user.organization));
    }
    if let Some(models) = body.get("models") {
        fields.insert("models".to_owned(), models.clone());
    }
    let mut wanted = Body::of(fields, route.body)?;
    let made = issue::new_key(asker, &mut wanted, false).await?;
    let mut changes = asker.changes().await?;
    changes.insert(&made.key).await?;
    changes.commit().await?;
    keys::shown_once(asker, &made.key, &made.secret).await
}

/// The user that a body names by id or e-mail address.
async fn named(asker: &Asker, body: &Body) -> Result<Stored<User>, Refusal> {
    match (body.text("user_id"), body.text("user_email")) {
        (Some(id), _) => asker.find::<User>("User", "user_id", id).await,
        (None, Some(email)) => match members::of_email(asker, email).await? {
            Some(stored) => Ok(stored),
            None => Err(Problem::not_found("User", "user_email", email).into()),
        },
        (None, None) => Err(Problem::field("user_id", "give `user_id` or `user_email`").into()),
    }
}

async fn update(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let stored = change(&asker, &body).await?;
    Ok(Json(json!({"user_id": stored.record.id, "data": full_row(&asker, &stored).await?})))
}

async fn change(asker: &Asker, body: &Body) -> Result<Stored<User>, Refusal> {
    let mut stored = named(asker, body).await?;
    let before = stored.record.clone();
    asker.permit(&user::object(&before))?;
    let oversees = asker.could("/user/delete", &user::object(&before));
    if !oversees && let Some(field) = body.fields().keys().find(|name| !user::OWN.contains(&name.as_str())) {
        let told =
            format!("`{field}` is for administrators to change; you may change {}", user::OWN.join(", "));
        return Err(Problem::forbidden(Some(field), told).into());
    }
    user::apply(body, &mut stored.record, asker.now)?;
    asker.check_budget(body).await?;
    if before.role != stored.record.role {
        check_role(asker, stored.record.role)?;
        check_role(asker, before.role)?;
    }
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.update("updated", &before, &stored).await?;
    changes.commit().await?;
    if let Some(spend) = issue::spend_of(body) {
        asker.set_spend(Scope::User(before.id.clone()), &stored.record.details, spend).await?;
    }
    asker.find::<User>("User", "user_id", before.id.as_str()).await
}

async fn bulk_update(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let Some(route) = api::route::find("POST", "/user/update") else { return Err(asker.wrong_role()) };
    let each: Vec<Value> = match body.list("users") {
        Some(users) => users.clone(),
        None if body.bool("all_users") == Some(true) => {
            let updates = body.object("user_updates").cloned().unwrap_or_default();
            let users = asker::all::<User>(asker.store(), &Filter::default()).await?;
            let with_id = |user: Stored<User>| {
                let mut updates = updates.clone();
                updates.insert("user_id".to_owned(), json!(user.record.id));
                Value::Object(updates)
            };
            users.into_iter().map(with_id).collect()
        }
        None => {
            return Err(
                Problem::field("users", "give `users`, or `all_users: true` and `user_updates`").into()
            );
        }
    };
    let mut results = Results::default();
    for entry in each {
        let changed = async {
            let stored = change(&asker, &bulk::body(&entry, route.body)?).await?;
            full_row(&asker, &stored).await
        };
        results.note(bulk::who(&entry), "updated_user", changed.await);
    }
    Ok(Json(Value::Object(results.answer("updates"))))
}

async fn delete(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let ids = body.texts("user_ids").unwrap_or_default();
    let mut gone: Vec<(User, Vec<Key>, Vec<Member>)> = Vec::new();
    for id in &ids {
        let user = asker.find::<User>("User", "user_ids", id).await?.record;
        asker.permit(&user::object(&user))?;
        check_role(&asker, user.role)?;
        let filter = Filter { user: Some(user.id.clone()), ..Filter::default() };
        let keys = asker::all::<Key>(asker.store(), &filter).await?;
        let members = asker::members_of(asker.store(), &user.id).await?;
        gone.push((user, keys.into_iter().map(|stored| stored.record).collect(), members));
    }
    let mut changes = asker.changes().await?;
    for (user, keys, members) in &gone {
        changes.delete_with(user, keys, members).await?;
    }
    changes.commit().await?;
    for (user, ..) in &gone {
        organizations::leave_all(&asker, user).await?;
    }
    Ok(Json(json!(gone.len())))
}

/// The user that a query names, else the one that asks.
async fn asked_for(asker: &Asker) -> Result<Option<Stored<User>>, Refusal> {
    let query = asker.query()?;
    let own = asker.caller.user.as_ref().map(ToString::to_string);
    let Some(id) = query.text("user_id").map(str::to_owned).or_else(|| own.clone()) else { return Ok(None) };
    let found = asker.store().get::<User>(&id).await?;
    let object = found
        .as_ref()
        .map(|stored| user::object(&stored.record))
        .unwrap_or_else(|| api::caller::Object { user: id.parse().ok(), ..api::caller::Object::default() });
    asker.permit(&object)?;
    match found {
        Some(found) => Ok(Some(found)),
        None => Err(Problem::not_found("User", "user_id", &id).into()),
    }
}

async fn info(asker: Asker) -> Answer {
    asker.bring_up_to_date().await;
    let Some(stored) = asked_for(&asker).await? else {
        // The holder of the master key, who is no user: LiteLLM shows an empty one.
        return Ok(Json(json!({"user_id": null, "user_info": null, "keys": [], "teams": []})));
    };
    let id = &stored.record.id;
    let filter = Filter { user: Some(id.clone()), ..Filter::default() };
    let mut own_keys = Vec::new();
    for key in asker.store().list::<Key>(&filter, Sorting::default(), 0, 1000).await?.items {
        own_keys.push(keys::full_row(&asker, &key).await?);
    }
    let mut own_teams = Vec::new();
    for member in asker::members_of(asker.store(), id).await? {
        if let Some(team) = asker.store().get::<Team>(member.team.as_str()).await? {
            own_teams.push(teams::full_row(&asker, &team).await?);
        }
    }
    Ok(Json(json!({
        "user_id": id,
        "user_info": full_row(&asker, &stored).await?,
        "keys": own_keys,
        "teams": own_teams,
    })))
}

async fn info_alone(asker: Asker) -> Answer {
    asker.bring_up_to_date().await;
    match asked_for(&asker).await? {
        Some(stored) => Ok(Json(full_row(&asker, &stored).await?)),
        None => Err(Problem::field("user_id", "`user_id` is missing").into()),
    }
}

async fn list(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let paging = Paging::of(&query, "page_size", 25)?;
    let by = match query.text("sort_by") {
        Some("updated_at") => SortBy::UpdatedAt,
        Some("user_email") => SortBy::Alias,
        Some("spend") => SortBy::Spend,
        _ => SortBy::CreatedAt,
    };
    let sorting = Sorting { by, descending: query.text("sort_order") != Some("asc") };
    let search = query.text("search").or_else(|| query.text("user_email")).map(str::to_owned);
    let filter = Filter { search, ..Filter::default() };
    let narrow = ["role", "user_ids", "team", "organization_ids"].iter().any(|name| query.has(name));
    let (users, total) = if asker.sees_all() && !narrow {
        let page = asker.store().list::<User>(&filter, sorting, paging.offset(), paging.size).await?;
        (page.items, page.total)
    } else {
        let mut found = asker.store().list::<User>(&filter, sorting, 0, asker::MOST).await?.items;
        let of_team = match query.text("team") {
            Some(team) => Some(teams::members_of(&asker, &parse_id("team", team)?).await?),
            None => None,
        };
        let named = |field: &str| {
            query.text(field).map(|text| text.split(',').map(|id| id.trim().to_owned()).collect::<Vec<_>>())
        };
        let (ids, organizations) = (named("user_ids"), named("organization_ids"));
        found.retain(|stored| {
            let own = &stored.record;
            let organization = own.organization.as_ref().map(ToString::to_string);
            asker.caller.may(asker.route, &user::object(own))
                && query.text("role").is_none_or(|role| user::role_name(own.role) == role)
                && ids.as_ref().is_none_or(|ids| ids.iter().any(|id| id == own.id.as_str()))
                && of_team.as_ref().is_none_or(|members| members.iter().any(|member| member.user == own.id))
                && organizations
                    .as_ref()
                    .is_none_or(|wanted| organization.as_ref().is_some_and(|own| wanted.contains(own)))
        });
        let total = i64::try_from(found.len()).unwrap_or(i64::MAX);
        (paging.cut(found), total)
    };
    let mut rows = Vec::new();
    for stored in &users {
        let mut row = full_row(&asker, stored).await?;
        let filter = Filter { user: Some(stored.record.id.clone()), ..Filter::default() };
        row["key_count"] = json!(asker.store().list::<Key>(&filter, sorting, 0, 0).await?.total);
        rows.push(row);
    }
    Ok(Json(json!({
        "users": rows,
        "total": total,
        "page": paging.page,
        "page_size": paging.size,
        "total_pages": paging.pages(total),
    })))
}

async fn filter_ui(asker: Asker) -> Answer {
    let query = asker.query()?;
    let paging = Paging::of(&query, "page_size", 50)?;
    let search =
        ["search", "user_email", "user_id"].iter().find_map(|name| query.text(name)).map(str::to_owned);
    let filter = Filter { search, ..Filter::default() };
    let mut users = asker.store().list::<User>(&filter, Sorting::default(), 0, asker::MOST).await?.items;
    users.retain(|stored| asker.caller.may(asker.route, &user::object(&stored.record)));
    let short =
        |stored: &Stored<User>| json!({"user_id": stored.record.id, "user_email": stored.record.email});
    Ok(Json(paging.cut(users).iter().map(short).collect()))
}

async fn available_roles(_: Asker) -> Answer {
    Ok(Json(json!({
        "proxy_admin": {"description": "admin over litellm proxy, has all permissions", "ui_label": "Admin (All Permissions)"},
        "proxy_admin_viewer": {"description": "view all keys, view all spend", "ui_label": "Admin (View Only)"},
        "internal_user": {"description": "view/create/delete their own keys, view their own spend", "ui_label": "Internal User (Create/Delete/View)"},
        "internal_user_viewer": {"description": "view their own keys, view their own spend", "ui_label": "Internal Viewer (View Only)"},
    })))
}

async fn available_users(asker: Asker) -> Answer {
    let used = asker.store().list::<User>(&Filter::default(), Sorting::default(), 0, 0).await?.total;
    let teams = asker.store().list::<Team>(&Filter::default(), Sorting::default(), 0, 0).await?.total;
    Ok(Json(json!({
        "total_users": null, "total_users_used": used, "total_users_remaining": null,
        "total_teams": null, "total_teams_used": teams, "total_teams_remaining": null,
    })))
}
