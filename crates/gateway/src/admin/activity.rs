//! What happened per day: of users, teams, tags, organizations, customers, and of all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::activity::{Name, Names, Sums};
use api::body::Body;
use api::problem::Problem;
use api::query::Paging;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use ledger::rules::account::Scope;
use ledger::rules::entity::{Key, Organization, Team, User};
use ledger::rules::id::UserId;
use ledger::store::{DailySum, Filter};
use serde_json::{Value, json};

use super::Answer;
use super::asker::{self, Asker};
use super::issue;
use super::spend::days;
use crate::Gateway;
use crate::refusal::Refusal;

/// Keys and entities that are shown with their names.
const MOST_NAMES: usize = 1000;

pub(super) fn router() -> Router<Arc<Gateway>> {
    let mut router = Router::new();
    for path in [
        "/user/daily/activity",
        "/user/daily/activity/aggregated",
        "/team/daily/activity",
        "/team/daily/activity/aggregated",
        "/tag/daily/activity",
        "/tag/daily/activity/aggregated",
        "/organization/daily/activity",
        "/organization/daily/activity/aggregated",
        "/customer/daily/activity",
        "/customer/daily/activity/aggregated",
        "/end_user/daily/activity",
        "/end_user/daily/activity/aggregated",
        "/gateway/daily/activity",
        "/user/daily/activity/export",
        "/team/daily/activity/export",
        "/tag/daily/activity/export",
        "/organization/daily/activity/export",
        "/customer/daily/activity/export",
        "/end_user/daily/activity/export",
        "/gateway/daily/activity/export",
    ] {
        router = router.route(path, get(daily));
    }
    for path in [
        "/user/daily/activity/aggregated/keys",
        "/user/daily/activity/aggregated/search",
        "/user/daily/activity/aggregated/model_top_keys",
        "/team/daily/activity/aggregated/keys",
        "/team/daily/activity/aggregated/search",
        "/team/daily/activity/aggregated/model_top_keys",
        "/tag/daily/activity/aggregated/keys",
        "/tag/daily/activity/aggregated/search",
        "/tag/daily/activity/aggregated/model_top_keys",
        "/organization/daily/activity/aggregated/keys",
        "/organization/daily/activity/aggregated/search",
        "/organization/daily/activity/aggregated/model_top_keys",
        "/customer/daily/activity/aggregated/keys",
        "/customer/daily/activity/aggregated/search",
        "/customer/daily/activity/aggregated/model_top_keys",
        "/end_user/daily/activity/aggregated/keys",
        "/end_user/daily/activity/aggregated/search",
        "/end_user/daily/activity/aggregated/model_top_keys",
    ] {
        router = router.route(path, get(by_key));
    }
    router.route("/team/spend/by_user", get(by_user))
}

/// Whose activity a path is about: the kind of daily sums, and the field that names some of them.
fn subject(path: &str) -> (&'static str, &'static str) {
    match path.split('/').nth(1) {
        Some("team") => ("team", "team_ids"),
        Some("tag") => ("tag", "tags"),
        Some("organization") => ("organization", "organization_ids"),
        Some("customer" | "end_user") => ("customer", "end_user_ids"),
        Some("user") => ("user", "user_id"),
        _ => ("gateway", ""),
    }
}

/// The sums that a query asks for, as far as the caller may see them: the kind of daily sums, and whose each is.
async fn asked_for(asker: &Asker, query: &Body) -> Result<(&'static str, Vec<(String, DailySum)>), Refusal> {
    asker.bring_up_to_date().await;
    let (from, until) = days(query, asker.now, Some(30))?;
    let (kind, field) = subject(&asker.path);
    let wanted = visible(asker, kind, field, query)?;
    let mut sums: Vec<(String, DailySum)> = match &wanted {
        // Who asks for all users asks for all there is: also for what keys did that are nobody's.
        None if matches!(kind, "user" | "gateway") => {
            let sums = asker.store().daily(&Scope::Gateway, from, until).await?;
            sums.into_iter().map(|sum| (String::new(), sum)).collect()
        }
        wanted => {
            let mut sums = asker.store().daily_of_kind(kind, from, until).await?;
            sums.retain(|(id, _)| wanted.as_ref().is_none_or(|wanted| wanted.contains(id)));
            sums
        }
    };
    if kind == "team" && !asker.sees_all() {
        only_own(asker, &mut sums).await?;
    }
    let excluded: BTreeSet<&str> =
        query.text("exclude_team_ids").map(|ids| ids.split(',').collect()).unwrap_or_default();
    let key = query
        .text("api_key")
        .map(|text| issue::hash_of(text).map_or_else(|| text.to_owned(), |hash| hash.to_string()));
    sums.retain(|(id, sum)| {
        !excluded.contains(id.as_str())
            && query.text("model").is_none_or(|model| sum.model == model)
            && key.as_ref().is_none_or(|key| sum.key == *key)
    });
    Ok((kind, sums))
}

async fn daily(asker: Asker) -> Result<Response, Refusal> {
    let query = asker.query()?;
    let aggregated = asker.path.ends_with("/aggregated");
    let paging =
        if aggregated { Paging { page: 1, size: 1000 } } else { Paging::of(&query, "page_size", 10)? };
    let (kind, sums) = asked_for(&asker, &query).await?;
    let keys = key_names(&asker, &sums).await?;
    let entities = entity_names(&asker, kind, &sums).await?;
    if !asker.path.ends_with("/export") {
        return Ok(Json(api::activity::daily(&sums, paging, &keys, &entities)).into_response());
    }
    let rows = api::activity::rows(&sums, &keys, &entities);
    if query.text("format") == Some("csv") {
        let text = api::csv::table(&api::activity::COLUMNS, &rows);
        return Ok(([(CONTENT_TYPE, api::csv::CONTENT_TYPE)], text).into_response());
    }
    Ok(Json(rows).into_response())
}

/// Keys by what they spent: all, those that a text is found in, or those that used a model.
async fn by_key(asker: Asker) -> Answer {
    let query = asker.query()?;
    let needed = match asker.path.rsplit('/').next() {
        Some("search") => Some("search"),
        Some("model_top_keys") => Some("model_group"),
        _ => None,
    };
    if let Some(field) = needed
        && query.text(field).is_none()
    {
        return Err(Problem::field(field, format!("`{field}` is missing")).into());
    }
    let (_, mut sums) = asked_for(&asker, &query).await?;
    if let Some(name) = query.text("model_group") {
        // A model is asked for by its group's name and booked under its own.
        let group = asker.snapshot.group(name);
        let members = group.iter().flat_map(|group| &group.members);
        let models: BTreeSet<&str> =
            members.map(|served| served.deployment.model.as_str()).chain([name]).collect();
        sums.retain(|(_, sum)| models.contains(sum.model.as_str()));
    }
    let keys = key_names(&asker, &sums).await?;
    let mut rows = api::activity::by_key(&sums, &keys);
    if let Some(part) = query.text("search").map(str::to_lowercase) {
        let has = |text: &Value| text.as_str().is_some_and(|text| text.to_lowercase().contains(&part));
        rows.retain(|row| has(&row["api_key"]) || has(&row["metadata"]["key_alias"]));
    }
    let number = |name: &str, default: usize| {
        query.count(name).and_then(|count| usize::try_from(count).ok()).unwrap_or(default)
    };
    let (offset, limit) = (number("offset", 0), number("limit", 50).min(MOST_NAMES));
    let total = rows.len();
    let shown: Vec<Value> = rows.into_iter().skip(offset).take(limit).collect();
    let has_more = offset.saturating_add(shown.len()) < total;
    Ok(Json(json!({
        "results": shown, "total_count": total, "offset": offset, "limit": limit, "has_more": has_more,
    })))
}

/// What users spent in teams. The parts of a team sum up to what the team spent.
async fn by_user(asker: Asker) -> Answer {
    let query = asker.query()?;
    let (kind, sums) = asked_for(&asker, &query).await?;
    let teams = entity_names(&asker, kind, &sums).await?;
    let users = asker.users_of(&sums).await?;
    let mut pairs: BTreeMap<(&str, Option<&UserId>), Sums> = BTreeMap::new();
    let mut all = Sums::default();
    for (team, sum) in &sums {
        let user = users.get(&sum.key).and_then(Option::as_ref);
        pairs.entry((team, user)).or_default().add(sum);
        all.add(sum);
    }
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.spend));
    let mut rows = Vec::new();
    for ((team, user), sums) in pairs {
        let known = match user {
            Some(user) => asker.store().get::<User>(user.as_str()).await?,
            None => None,
        };
        rows.push(json!({
            "team_id": team,
            "team_alias": teams.get(team).and_then(|name| name.alias.as_ref()),
            "user_id": user,
            "user_email": known.and_then(|stored| stored.record.email),
            "spend": sums.spend,
            "metrics": sums.metrics(),
        }));
    }
    Ok(Json(
        json!({"results": rows, "metadata": {"total_spend": all.spend, "total_api_requests": all.requests}}),
    ))
}

/// The ids that are asked for and that the caller may see; `None`: all.
fn visible(
    asker: &Asker,
    kind: &str,
    field: &str,
    query: &Body,
) -> Result<Option<BTreeSet<String>>, Refusal> {
    let named: Option<BTreeSet<String>> =
        query.text(field).map(|text| text.split(',').map(|id| id.trim().to_owned()).collect());
    if asker.sees_all() {
        return Ok(named);
    }
    let own: BTreeSet<String> = match kind {
        "team" => asker.caller.memberships.iter().map(|membership| membership.team.to_string()).collect(),
        "organization" => asker.caller.organizations.iter().map(ToString::to_string).collect(),
        "user" => asker.caller.user.iter().map(ToString::to_string).collect(),
        _ => BTreeSet::new(),
    };
    match named {
        Some(named) if named.is_subset(&own) => Ok(Some(named)),
        Some(_) => {
            asker.permit(&api::caller::Object::default())?;
            Ok(Some(BTreeSet::new()))
        }
        None => Ok(Some(own)),
    }
}

/// Who does not administer a team sees what their own keys did in it.
async fn only_own(asker: &Asker, sums: &mut Vec<(String, DailySum)>) -> Result<(), Refusal> {
    let administered: BTreeSet<String> = asker.caller.administered().map(ToString::to_string).collect();
    let own: BTreeSet<String> = match &asker.caller.user {
        Some(user) => {
            let filter = Filter { user: Some(user.clone()), ..Filter::default() };
            let keys = asker::all::<Key>(asker.store(), &filter).await?;
            keys.into_iter().map(|stored| stored.record.id.to_string()).collect()
        }
        None => BTreeSet::new(),
    };
    sums.retain(|(team, sum)| administered.contains(team) || own.contains(&sum.key));
    Ok(())
}

async fn key_names(asker: &Asker, sums: &[(String, DailySum)]) -> Result<Names, Refusal> {
    let ids: BTreeSet<&str> = sums.iter().map(|(_, sum)| sum.key.as_str()).collect();
    let mut names = Names::new();
    for id in ids.into_iter().take(MOST_NAMES) {
        if let Some(key) = asker.key(id).await? {
            let team = key.team.as_ref().map(ToString::to_string);
            names.insert(id.to_owned(), Name { alias: key.details.alias, team });
        }
    }
    Ok(names)
}

async fn entity_names(asker: &Asker, kind: &str, sums: &[(String, DailySum)]) -> Result<Names, Refusal> {
    let ids: BTreeSet<&str> = sums.iter().map(|(id, _)| id.as_str()).collect();
    let mut names = Names::new();
    for id in ids.into_iter().take(MOST_NAMES) {
        let alias = match kind {
            "team" => asker.store().get::<Team>(id).await?.and_then(|stored| stored.record.details.alias),
            "organization" => {
                asker.store().get::<Organization>(id).await?.and_then(|stored| stored.record.details.alias)
            }
            _ => None,
        };
        if alias.is_some() {
            names.insert(id.to_owned(), Name { alias, team: None });
        }
    }
    Ok(names)
}
