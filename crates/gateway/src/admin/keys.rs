//! Virtual keys.

use std::sync::Arc;

use api::body::Body;
use api::caller::Object;
use api::key;
use api::moment;
use api::problem::Problem;
use api::query::Paging;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Json;
use axum::routing::{get, post};
use ledger::rules::account::Scope;
use ledger::rules::entity::Key;
use ledger::rules::time::Timestamp;
use ledger::store::{Filter, SortBy, Sorting, StoreError, Stored};

use serde_json::{Value, json};

use super::asker::{self, Asker, MOST};
use super::{Answer, bulk, issue, secret};
use crate::refusal::Refusal;
use crate::{Gateway, rotation};

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/key/generate", post(generate))
        .route("/key/service-account/generate", post(generate))
        .route("/key/update", post(update))
        .route("/key/bulk_update", post(bulk_update))
        .route("/team/key/bulk_update", post(team_bulk_update))
        .route("/key/delete", post(delete))
        .route("/key/info", get(info))
        .route("/v2/key/info", post(infos))
        .route("/key/list", get(list))
        .route("/key/aliases", get(aliases))
        .route("/key/regenerate", post(regenerate))
        .route("/key/{key}/regenerate", post(regenerate_at))
        .route("/key/{key}/reset_spend", post(reset_spend))
        .route("/key/block", post(block))
        .route("/key/unblock", post(block))
        .route("/key/health", post(health))
}

async fn generate(asker: Asker, bytes: Bytes) -> Answer {
    let mut body = asker.body(&bytes)?;
    let is_service_account = asker.path == "/key/service-account/generate";
    let made = issue::new_key(&asker, &mut body, is_service_account).await?;
    let mut changes = asker.changes().await?;
    changes.insert(&made.key).await?;
    changes.commit().await?;
    if let Some(spend) = issue::spend_of(&body) {
        asker.set_spend(Scope::Key(made.key.id.clone()), &made.key.details, spend).await?;
    }
    let mut row = shown_once(&asker, &made.key, &made.secret).await?;
    warn_of_rotation(&asker, &made.key, &mut row).await?;
    Ok(Json(row))
}

/// Says so, where a key is to rotate and cannot.
async fn warn_of_rotation(asker: &Asker, key: &Key, row: &mut Value) -> Result<(), Refusal> {
    if key.rotation.due_at.is_some()
        && let Err(obstacle) = rotation::way_to_owner(&asker.gateway, &asker.books, key).await?
    {
        row["warnings"] = json!([obstacle.tell()]);
    }
    Ok(())
}

/// A new key with its secret.
pub(super) async fn shown_once(asker: &Asker, key: &Key, secret: &str) -> Result<Value, Refusal> {
    let mut row =
        full_row(asker, &Stored { record: key.clone(), version: 1, spend: catalog::NanoUsd::ZERO }).await?;
    row["key"] = json!(secret);
    row["token_id"] = json!(key.id);
    row["duration"] = Value::Null;
    Ok(row)
}

/// A key as it is shown.
pub(super) async fn full_row(asker: &Asker, stored: &Stored<Key>) -> Result<Value, Refusal> {
    let key = &stored.record;
    let spend = asker.spend(Scope::Key(key.id.clone()), &key.details, stored.spend).await?;
    let mut row = key::row(key, spend, &asker.clock());
    row.insert("litellm_budget_table".to_owned(), asker.budget_row(&key.details).await?);
    Ok(Value::Object(row))
}

/// The key that a text means: itself, a hash of it, or its id.
async fn find(asker: &Asker, text: &str) -> Result<Option<Stored<Key>>, StoreError> {
    if let Some(hash) = issue::hash_of(text)
        && let Some(found) = asker.store().key_by_hash(&hash, asker.now).await?
    {
        return Ok(Some(found));
    }
    asker.store().get::<Key>(text).await
}

/// The same, of which there has to be one.
async fn named(asker: &Asker, field: &str, text: &str) -> Result<Stored<Key>, Refusal> {
    find(asker, text).await?.ok_or_else(|| {
        // The text may be a secret.
        let shown = if text.starts_with("sk-") { key::short_name(text) } else { text.to_owned() };
        Problem::not_found("Key", field, &shown).into()
    })
}

async fn of_alias(asker: &Asker, alias: &str) -> Result<Option<Stored<Key>>, Refusal> {
    let filter = Filter { alias: Some(alias.to_owned()), ..Filter::default() };
    Ok(asker.store().list::<Key>(&filter, Sorting::default(), 0, 1).await?.items.into_iter().next())
}

async fn update(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let stored = change(&asker, &body).await?;
    let mut row = full_row(&asker, &stored).await?;
    row["key"] = json!(body.text("key"));
    warn_of_rotation(&asker, &stored.record, &mut row).await?;
    Ok(Json(row))
}

/// Changes the key that a body names.
async fn change(asker: &Asker, body: &Body) -> Result<Stored<Key>, Refusal> {
    let mut stored = named(asker, "key", body.text("key").unwrap_or_default()).await?;
    let before = stored.record.clone();
    asker.permit(&key::object(&before))?;
    asker.snapshot.issue_policy.for_changed_key(body, asker.now)?;
    key::apply(body, &mut stored.record, asker.now)?;
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    issue::check_change(asker, body, &before, &stored.record).await?;
    let mut changes = asker.changes().await?;
    changes.update("updated", &before, &stored).await?;
    changes.commit().await?;
    if let Some(spend) = issue::spend_of(body) {
        asker.set_spend(Scope::Key(stored.record.id.clone()), &stored.record.details, spend).await?;
    }
    again(asker, &stored).await
}

/// As it is stored now.
async fn again(asker: &Asker, stored: &Stored<Key>) -> Result<Stored<Key>, Refusal> {
    let found = asker.store().get::<Key>(stored.record.id.as_str()).await?;
    Ok(found.unwrap_or_else(|| stored.clone()))
}

async fn bulk_update(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let each = body.list("keys").cloned().unwrap_or_default();
    Ok(Json(change_each(&asker, each).await?))
}

async fn team_bulk_update(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let team = body.text("team_id").unwrap_or_default();
    let team = asker.find::<ledger::rules::entity::Team>("Team", "team_id", team).await?.record;
    asker.permit(&api::team::object(&team))?;
    let filter = Filter { team: Some(team.id.clone()), ..Filter::default() };
    let own: Vec<String> = asker::all::<Key>(asker.store(), &filter)
        .await?
        .into_iter()
        .map(|stored| stored.record.id.to_string())
        .collect();
    let wanted = match body.texts("key_ids") {
        Some(ids) => ids,
        None if body.bool("all_keys_in_team") == Some(true) => own.clone(),
        None => return Err(Problem::field("key_ids", "give `key_ids`, or `all_keys_in_team: true`").into()),
    };
    let fields = body.object("update_fields").cloned().unwrap_or_default();
    let mut each = Vec::new();
    for id in wanted {
        let hash = issue::hash_of(&id).map(|hash| hash.to_string());
        if !own.contains(&id) && !hash.is_some_and(|hash| own.contains(&hash)) {
            return Err(Problem::field("key_ids", format!("`{id}` is no key of team `{}`", team.id)).into());
        }
        let mut fields = fields.clone();
        fields.insert("key".to_owned(), json!(id));
        each.push(Value::Object(fields));
    }
    Ok(Json(change_each(&asker, each).await?))
}

/// Changes several keys, each for itself: what fails is told and the others go on.
async fn change_each(asker: &Asker, each: Vec<Value>) -> Result<Value, Refusal> {
    bulk::check("keys", each.len())?;
    let Some(route) = api::route::find("POST", "/key/update") else { return Err(asker.wrong_role()) };
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    let total = each.len();
    for fields in each {
        let name = fields.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
        let shown = if name.starts_with("sk-") { key::short_name(&name) } else { name };
        let result = async {
            let stored = change(asker, &bulk::body(&fields, route.body)?).await?;
            full_row(asker, &stored).await
        };
        match result.await {
            Ok(row) => done.push(json!({"key": shown, "key_info": row})),
            Err(refusal) => {
                failed.push(json!({"key": shown, "key_info": null, "failed_reason": refusal.tell}));
            }
        }
    }
    Ok(json!({"total_requested": total, "successful_updates": done, "failed_updates": failed}))
}

async fn delete(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let (keys, aliases) =
        (body.texts("keys").unwrap_or_default(), body.texts("key_aliases").unwrap_or_default());
    if keys.is_empty() && aliases.is_empty() {
        return Err(Problem::field("keys", "give `keys` or `key_aliases`").into());
    }
    let mut found: Vec<(String, Stored<Key>)> = Vec::new();
    for text in keys {
        if let Some(stored) = find(&asker, &text).await? {
            found.push((text, stored));
        }
    }
    for alias in aliases {
        if let Some(stored) = of_alias(&asker, &alias).await? {
            found.push((alias, stored));
        }
    }
    if found.is_empty() {
        return Err(no_keys());
    }
    for (_, stored) in &found {
        asker.permit(&key::object(&stored.record))?;
    }
    let mut changes = asker.changes().await?;
    for (_, stored) in &found {
        changes.delete(&stored.record).await?;
    }
    changes.commit().await?;
    let names: Vec<&String> = found.iter().map(|(name, _)| name).collect();
    Ok(Json(json!({"deleted_keys": names})))
}

/// LiteLLM's words.
fn no_keys() -> Refusal {
    let mut problem = Problem::not_found("Key", "keys", "");
    "{'error': 'No keys found'}".clone_into(&mut problem.message);
    problem.into()
}

async fn info(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let own = asker.caller.key.as_ref().map(ToString::to_string);
    let Some(name) = query.text("key").map(str::to_owned).or_else(|| own.clone()) else {
        return Err(Problem::not_found("Key", "key", "the master key, which is in the configuration").into());
    };
    let stored = named(&asker, "key", &name).await?;
    asker.permit(&key::object(&stored.record))?;
    let mut row = full_row(&asker, &stored).await?;
    if let Value::Object(row) = &mut row {
        row.remove("token");
    }
    Ok(Json(json!({"key": name, "info": row})))
}

async fn infos(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    asker.bring_up_to_date().await;
    let keys = body.texts("keys").unwrap_or_default();
    let mut rows = Vec::new();
    for name in &keys {
        if let Some(stored) = find(&asker, name).await?
            && asker.caller.may(asker.route, &key::object(&stored.record))
        {
            rows.push(full_row(&asker, &stored).await?);
        }
    }
    for alias in body.texts("key_aliases").unwrap_or_default() {
        if let Some(stored) = of_alias(&asker, &alias).await?
            && asker.caller.may(asker.route, &key::object(&stored.record))
        {
            rows.push(full_row(&asker, &stored).await?);
        }
    }
    if rows.is_empty() {
        return Err(no_keys());
    }
    Ok(Json(json!({"key": keys, "info": rows})))
}

async fn list(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let paging = Paging::of(&query, "size", 10)?;
    let (keys, total) = visible(&asker, &query, paging).await?;
    let full = query.bool("return_full_object").unwrap_or(false);
    let mut shown = Vec::with_capacity(keys.len());
    for stored in &keys {
        shown.push(if full { full_row(&asker, stored).await? } else { json!(stored.record.id) });
    }
    Ok(Json(json!({
        "keys": shown,
        "total_count": total,
        "current_page": paging.page,
        "total_pages": paging.pages(total),
    })))
}

async fn aliases(asker: Asker) -> Answer {
    let query = asker.query()?;
    let paging = Paging::of(&query, "size", 50)?;
    let every = Paging { page: 1, size: MOST };
    let (keys, _) = visible(&asker, &query, every).await?;
    let mut aliases: Vec<String> =
        keys.into_iter().filter_map(|stored| stored.record.details.alias).collect();
    aliases.sort_unstable();
    let total = i64::try_from(aliases.len()).unwrap_or(i64::MAX);
    Ok(Json(json!({
        "aliases": paging.cut(aliases),
        "total_count": total,
        "current_page": paging.page,
        "total_pages": paging.pages(total),
        "size": paging.size,
    })))
}

/// A page of the keys that the caller may see, and how many there are on all.
async fn visible(asker: &Asker, query: &Body, paging: Paging) -> Result<(Vec<Stored<Key>>, i64), Refusal> {
    let filter = filter(query, asker.now)?;
    let sorting = sorting(query);
    let by_hash = query
        .text("key_hash")
        .map(|text| issue::hash_of(text).map(|hash| hash.to_string()).unwrap_or_default());
    let is_active = query.text("status") == Some("active");
    if asker.sees_all() && by_hash.is_none() && !is_active {
        let page = asker.store().list::<Key>(&filter, sorting, paging.offset(), paging.size).await?;
        return Ok((page.items, page.total));
    }
    let mut found: Vec<Stored<Key>> = Vec::new();
    for filter in scopes(asker, query, &filter) {
        for stored in asker.store().list::<Key>(&filter, sorting, 0, MOST).await?.items {
            if !found.iter().any(|known| known.record.id == stored.record.id) {
                found.push(stored);
            }
        }
    }
    found.retain(|stored| {
        let key = &stored.record;
        by_hash.as_ref().is_none_or(|hash| key.id.as_str() == hash || key.hash.to_string() == *hash)
            && (!is_active || key::status(key, asker.now) == "active")
    });
    order(&mut found, sorting);
    let total = i64::try_from(found.len()).unwrap_or(i64::MAX);
    Ok((paging.cut(found), total))
}

/// What of a list the caller may see, as lists that can be asked for: their own keys, and where they ask for them
/// those of the teams and organizations that they administer.
fn scopes(asker: &Asker, query: &Body, filter: &Filter) -> Vec<Filter> {
    if asker.sees_all() {
        return vec![filter.clone()];
    }
    let mut scopes = Vec::new();
    if let Some(user) = &asker.caller.user
        && filter.user.as_ref().is_none_or(|wanted| wanted == user)
    {
        scopes.push(Filter { user: Some(user.clone()), ..filter.clone() });
    }
    let wants_team = query.bool("include_team_keys").unwrap_or(false) || filter.team.is_some();
    for team in asker.caller.administered().filter(|_| wants_team) {
        if filter.team.as_ref().is_none_or(|wanted| wanted == team) {
            scopes.push(Filter { team: Some(team.clone()), ..filter.clone() });
        }
    }
    for organization in &asker.caller.organizations {
        if filter.organization.as_ref().is_none_or(|wanted| wanted == organization) {
            scopes.push(Filter { organization: Some(organization.clone()), ..filter.clone() });
        }
    }
    scopes
}

fn filter(query: &Body, now: Timestamp) -> Result<Filter, Refusal> {
    let alias = query.text("key_alias").map(str::to_owned);
    let part = query.bool("substring_matching").unwrap_or(false);
    let status = query.text("status");
    let expires = query.moment("expires").or((status == Some("expired")).then_some(now));
    Ok(Filter {
        user: query.id("user_id")?.set(),
        team: query.id("team_id")?.set(),
        organization: query.id("organization_id")?.set(),
        alias: alias.clone().filter(|_| !part),
        search: query.text("search").map(str::to_owned).or(alias.filter(|_| part)),
        blocked: (status == Some("blocked")).then_some(true),
        expires_before: expires,
        access_group: query.id("access_group_id")?.set(),
    })
}

fn sorting(query: &Body) -> Sorting {
    let by = match query.text("sort_by") {
        Some("updated_at") => SortBy::UpdatedAt,
        Some("expires") => SortBy::ExpiresAt,
        Some("key_alias") => SortBy::Alias,
        Some("spend") => SortBy::Spend,
        _ => SortBy::CreatedAt,
    };
    Sorting { by, descending: query.text("sort_order") != Some("asc") }
}

/// As the database does.
fn order(keys: &mut [Stored<Key>], sorting: Sorting) {
    keys.sort_by(|a, b| {
        let (one, other) = (&a.record, &b.record);
        let ordering = match sorting.by {
            SortBy::CreatedAt => one.details.created_at.cmp(&other.details.created_at),
            SortBy::UpdatedAt => one.details.updated_at.cmp(&other.details.updated_at),
            SortBy::ExpiresAt => {
                let end = |key: &Key| key.expires_at.unwrap_or(Timestamp::MAX);
                end(one).cmp(&end(other))
            }
            SortBy::Alias => one.details.alias.cmp(&other.details.alias),
            SortBy::Spend => a.spend.cmp(&b.spend),
        };
        if sorting.descending { ordering.reverse() } else { ordering }
    });
}

async fn regenerate(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let own = asker.caller.key.as_ref().map(ToString::to_string);
    let Some(name) = body.text("key").map(str::to_owned).or(own) else {
        return Err(Problem::field("key", "`key` is missing").into());
    };
    rotate(&asker, &name, &body).await
}

async fn regenerate_at(asker: Asker, Path(name): Path<String>, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    rotate(&asker, &name, &body).await
}

/// Gives a key a new secret; the old one is good for the time of grace.
async fn rotate(asker: &Asker, name: &str, body: &Body) -> Answer {
    let mut stored = named(asker, "key", name).await?;
    let before = stored.record.clone();
    asker.permit(&key::object(&before))?;
    issue::check_renewal(asker, &before)?;
    asker.snapshot.issue_policy.for_changed_key(body, asker.now)?;
    let secret = match body.text("new_key") {
        Some(chosen) => {
            key::check_chosen("new_key", chosen)?;
            chosen.to_owned()
        }
        None => secret::key()?,
    };
    key::apply(body, &mut stored.record, asker.now)?;
    stored.record.hash = ledger::rules::id::KeyHash::of(&secret);
    stored.record.name = key::short_name(&secret);
    key::rotated(&mut stored.record, asker.now);
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    issue::check_change(asker, body, &before, &stored.record).await?;
    // LiteLLM takes the variable for scheduled rotations and for these.
    let usual = asker.snapshot.rotation.grace.as_deref();
    let grace = body.text("grace_period").or(usual).and_then(|grace| moment::after(asker.now, grace));
    let mut changes = asker.changes().await?;
    changes.rotate(&before, &stored, grace.unwrap_or(asker.now)).await?;
    changes.commit().await?;
    let stored = again(asker, &stored).await?;
    let mut row = full_row(asker, &stored).await?;
    row["key"] = json!(secret);
    row["token_id"] = json!(stored.record.id);
    Ok(Json(row))
}

async fn reset_spend(asker: Asker, Path(name): Path<String>, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let stored = named(&asker, "key", &name).await?;
    let key = &stored.record;
    asker.permit(&key::object(key))?;
    let amount = body.amount("reset_to").unwrap_or_default();
    let before = asker.set_spend(Scope::Key(key.id.clone()), &key.details, amount).await?;
    note_spend::<Key>(&asker, key.id.as_str(), before, amount).await?;
    let row = full_row(&asker, &again(&asker, &stored).await?).await?;
    Ok(Json(json!({
        "key_hash": key.id,
        "spend": amount,
        "previous_spend": before,
        "max_budget": row["max_budget"],
        "budget_reset_at": row["budget_reset_at"],
    })))
}

/// Notes that an administrator set what somebody had spent.
pub(super) async fn note_spend<R: ledger::store::Record>(
    asker: &Asker,
    id: &str,
    before: catalog::NanoUsd,
    after: catalog::NanoUsd,
) -> Result<(), Refusal> {
    let mut changes = asker.changes().await?;
    changes.note::<R>("updated", id, &json!({"spend": before}), &json!({"spend": after})).await?;
    changes.commit().await
}

async fn block(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let mut stored = named(&asker, "key", body.text("key").unwrap_or_default()).await?;
    asker.permit(&key::object(&stored.record))?;
    let mut changes = asker.changes().await?;
    changes.block(&mut stored, asker.path == "/key/block").await?;
    changes.commit().await?;
    Ok(Json(full_row(&asker, &stored).await?))
}

async fn health(asker: Asker) -> Answer {
    // A key that could not be used would not have come so far.
    asker.permit(&Object::default())?;
    Ok(Json(json!({"key": "healthy", "logging_callbacks": null})))
}
