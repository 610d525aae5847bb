//! Organizations.

use std::sync::Arc;

use api::body::{Body, parse_id};
use api::organization::{self, OrganizationMember};
use api::problem::Problem;
use api::team;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Json;
use axum::routing::{delete as on_delete, get, patch, post};
use ledger::rules::access::ModelList;
use ledger::rules::account::Scope;
use ledger::rules::entity::{Details, Key, Organization, Team, User};
use ledger::store::{Filter, Sorting, Stored};
use serde_json::{Value, json};

use super::asker::{self, Asker};
use super::change::Changes;
use super::{Answer, issue, members, secret, teams};
use crate::Gateway;
use crate::refusal::Refusal;

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/organization/new", post(new))
        .route("/organization/update", patch(update))
        .route("/v2/organization/{organization_id}", patch(update_at))
        .route("/organization/delete", on_delete(delete))
        .route("/organization/list", get(list))
        .route("/organization/info", get(info).post(infos))
        .route("/organization/member_add", post(member_add))
        .route("/organization/member_update", patch(member_update))
        .route("/organization/member_delete", on_delete(member_delete))
}

async fn full_row(asker: &Asker, stored: &Stored<Organization>, with_teams: bool) -> Result<Value, Refusal> {
    let own = &stored.record;
    let spend = asker.spend(Scope::Organization(own.id.clone()), &own.details, stored.spend).await?;
    let mut row = organization::row(own, spend, &asker.clock());
    if with_teams {
        let filter = Filter { organization: Some(own.id.clone()), ..Filter::default() };
        let mut rows = Vec::new();
        for team in asker::all::<Team>(asker.store(), &filter).await? {
            rows.push(teams::full_row(asker, &team).await?);
        }
        row.insert("teams".to_owned(), json!(rows));
    }
    Ok(Value::Object(row))
}

async fn named(asker: &Asker, body: &Body) -> Result<Stored<Organization>, Refusal> {
    let Some(id) = body.text("organization_id").filter(|id| !id.is_empty()) else {
        return Err(Problem::field("organization_id", "`organization_id` is missing").into());
    };
    asker.find::<Organization>("Organization", "organization_id", id).await
}

async fn new(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let id = match body.text("organization_id").filter(|id| !id.is_empty()) {
        Some(id) => id.to_owned(),
        None => secret::unique_id()?,
    };
    let mut made = Organization {
        id: parse_id("organization_id", &id)?,
        models: ModelList::default(),
        details: Details::default(),
    };
    asker.permit(&organization::object(&made))?;
    organization::apply(&body, &mut made, asker.now)?;
    asker.check_budget(&body).await?;
    if made.details.alias.is_none() {
        return Err(Problem::field("organization_alias", "`organization_alias` is missing").into());
    }
    api::terms::touch(&mut made.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.insert(&made).await?;
    changes.commit().await?;
    if let Some(spend) = issue::spend_of(&body) {
        asker.set_spend(Scope::Organization(made.id.clone()), &made.details, spend).await?;
    }
    let stored = asker.find::<Organization>("Organization", "organization_id", &id).await?;
    Ok(Json(full_row(&asker, &stored, false).await?))
}

async fn update(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    change(&asker, &body).await
}

async fn update_at(asker: Asker, Path(id): Path<String>, bytes: Bytes) -> Answer {
    let mut body = asker.body(&bytes)?;
    body.set("organization_id", json!(id));
    change(&asker, &body).await
}

async fn change(asker: &Asker, body: &Body) -> Answer {
    let mut stored = named(asker, body).await?;
    let before = stored.record.clone();
    asker.permit(&organization::object(&before))?;
    organization::apply(body, &mut stored.record, asker.now)?;
    asker.check_budget(body).await?;
    save(asker, &before, &mut stored).await?;
    if let Some(spend) = issue::spend_of(body) {
        asker.set_spend(Scope::Organization(before.id.clone()), &stored.record.details, spend).await?;
    }
    Ok(Json(full_row(asker, &stored, true).await?))
}

async fn save(
    asker: &Asker,
    before: &Organization,
    stored: &mut Stored<Organization>,
) -> Result<(), Refusal> {
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.update("updated", before, stored).await?;
    changes.commit().await
}

async fn delete(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let mut gone = Vec::new();
    for id in body.texts("organization_ids").unwrap_or_default() {
        let stored = asker.find::<Organization>("Organization", "organization_ids", &id).await?;
        asker.permit(&organization::object(&stored.record))?;
        let filter = Filter { organization: Some(stored.record.id.clone()), ..Filter::default() };
        let teams = asker.store().list::<Team>(&filter, Sorting::default(), 0, 0).await?.total;
        let keys = asker.store().list::<Key>(&filter, Sorting::default(), 0, 0).await?.total;
        if teams + keys > 0 {
            let told = format!(
                "organization `{id}` still has {teams} teams and {keys} keys of its own; delete those first"
            );
            return Err(Problem::field("organization_ids", told).into());
        }
        gone.push(stored);
    }
    let mut rows = Vec::new();
    let mut changes = asker.changes().await?;
    for stored in &gone {
        changes.delete(&stored.record).await?;
    }
    changes.commit().await?;
    for stored in &gone {
        rows.push(full_row(&asker, stored, false).await?);
    }
    Ok(Json(json!(rows)))
}

async fn list(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let Some(route) = api::route::find("GET", "/organization/info") else { return Err(asker.wrong_role()) };
    let mut rows = Vec::new();
    for stored in asker::all::<Organization>(asker.store(), &Filter::default()).await? {
        let own = &stored.record;
        let alias = own.details.alias.as_deref().unwrap_or_default().to_lowercase();
        if asker.caller.may(route, &organization::object(own))
            && query.text("org_id").is_none_or(|id| own.id.as_str() == id)
            && query.text("org_alias").is_none_or(|part| alias.contains(&part.to_lowercase()))
        {
            rows.push(full_row(&asker, &stored, true).await?);
        }
    }
    Ok(Json(json!(rows)))
}

async fn info(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let stored = named(&asker, &query).await?;
    asker.permit(&organization::object(&stored.record))?;
    Ok(Json(full_row(&asker, &stored, true).await?))
}

async fn infos(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    asker.bring_up_to_date().await;
    let mut rows = Vec::new();
    for id in body.texts("organizations").unwrap_or_default() {
        let stored = asker.find::<Organization>("Organization", "organizations", &id).await?;
        asker.permit(&organization::object(&stored.record))?;
        rows.push(full_row(&asker, &stored, true).await?);
    }
    Ok(Json(json!(rows)))
}

/// Adds a user who is being made to an organization.
pub(super) async fn join(
    asker: &Asker,
    changes: &mut Changes<'_>,
    id: &str,
    user: &User,
) -> Result<(), Refusal> {
    let mut stored = asker.find::<Organization>("Organization", "organizations", id).await?;
    if !asker.could("/organization/member_add", &organization::object(&stored.record)) {
        return Err(Problem::forbidden(
            Some("organizations"),
            format!("organization `{id}` is not yours to add to"),
        )
        .into());
    }
    let before = stored.record.clone();
    let role = api::user::role_name(user.role).to_owned();
    let mut members = organization::members(&stored.record);
    members.push(OrganizationMember {
        user: user.id.clone(),
        email: user.email.clone(),
        role,
        since: asker.now,
    });
    organization::set_members(&mut stored.record, &members);
    changes.update("updated", &before, &stored).await
}

/// Takes a user who was deleted out of all organizations.
pub(super) async fn leave_all(asker: &Asker, user: &User) -> Result<(), Refusal> {
    for mut stored in asker::all::<Organization>(asker.store(), &Filter::default()).await? {
        let before = stored.record.clone();
        let mut members = organization::members(&before);
        let count = members.len();
        members.retain(|member| member.user != user.id);
        if members.len() != count {
            organization::set_members(&mut stored.record, &members);
            save(asker, &before, &mut stored).await?;
        }
    }
    Ok(())
}

async fn member_add(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let mut stored = named(&asker, &body).await?;
    let before = stored.record.clone();
    asker.permit(&organization::object(&before))?;
    let wanted = body.get("member").cloned().unwrap_or_default();
    let wanted = team::new_members("member", &wanted, organization::MEMBER_ROLES)?;
    let mut list = organization::members(&before);
    let mut added = Vec::new();
    let mut new_users = Vec::new();
    for one in wanted {
        let known = match (&one.user, &one.email) {
            (Some(id), _) => asker.store().get::<User>(id).await?,
            (None, Some(email)) => members::of_email(&asker, email).await?,
            (None, None) => None,
        };
        let user = match known {
            Some(known) => known.record,
            None => {
                let mut user = members::new_user(&asker, one.user.as_deref(), one.email.as_deref())?;
                user.organization = Some(before.id.clone());
                new_users.push(user.clone());
                user
            }
        };
        if list.iter().any(|member| member.user == user.id) {
            let told = format!("`{}` is in organization `{}` already", user.id, before.id);
            return Err(Problem::field("member", told).into());
        }
        let role = one.role.unwrap_or_else(|| "internal_user".to_owned());
        let member =
            OrganizationMember { user: user.id.clone(), email: user.email.clone(), role, since: asker.now };
        added.push((user, member.clone()));
        list.push(member);
    }
    organization::set_members(&mut stored.record, &list);
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    for user in &new_users {
        changes.insert(user).await?;
    }
    changes.update("updated", &before, &stored).await?;
    changes.commit().await?;
    let users = added
        .iter()
        .map(|(user, _)| json!(api::user::row(user, &[], api::terms::Spend::default(), &asker.clock())));
    let memberships = added.iter().map(|(_, member)| organization::member_row(&stored.record, member));
    Ok(Json(json!({
        "organization_id": stored.record.id,
        "updated_users": users.collect::<Vec<_>>(),
        "updated_organization_memberships": memberships.collect::<Vec<_>>(),
    })))
}

/// The member that a body names, and where they are in the list.
async fn member_of(
    asker: &Asker,
    body: &Body,
    organization: &Organization,
) -> Result<(usize, Vec<OrganizationMember>), Refusal> {
    let list = organization::members(organization);
    let id = match (body.text("user_id"), body.text("user_email")) {
        (Some(id), _) => id.to_owned(),
        (None, Some(email)) => match members::of_email(asker, email).await? {
            Some(user) => user.record.id.to_string(),
            None => return Err(Problem::not_found("User", "user_email", email).into()),
        },
        (None, None) => return Err(Problem::field("user_id", "give `user_id` or `user_email`").into()),
    };
    match list.iter().position(|member| member.user.as_str() == id) {
        Some(at) => Ok((at, list)),
        None => {
            let mut problem = Problem::not_found("Organization member", "user_id", &id);
            problem.message = format!("User={id} is not a member of organization={}", organization.id);
            Err(problem.into())
        }
    }
}

async fn member_update(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let mut stored = named(&asker, &body).await?;
    let before = stored.record.clone();
    asker.permit(&organization::object(&before))?;
    let (at, mut list) = member_of(&asker, &body, &before).await?;
    if body.has("max_budget_in_organization") {
        let told = "`max_budget_in_organization` is not kept yet; give the user or the organization a budget";
        return Err(Problem::field("max_budget_in_organization", told).into());
    }
    if let (Some(role), Some(member)) = (body.text("role"), list.get_mut(at)) {
        role.clone_into(&mut member.role);
    }
    organization::set_members(&mut stored.record, &list);
    save(&asker, &before, &mut stored).await?;
    let row = list.get(at).map(|member| organization::member_row(&stored.record, member));
    Ok(Json(json!(row)))
}

async fn member_delete(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let mut stored = named(&asker, &body).await?;
    let before = stored.record.clone();
    asker.permit(&organization::object(&before))?;
    let (at, mut list) = member_of(&asker, &body, &before).await?;
    let gone = list.remove(at);
    organization::set_members(&mut stored.record, &list);
    save(&asker, &before, &mut stored).await?;
    Ok(Json(organization::member_row(&before, &gone)))
}
