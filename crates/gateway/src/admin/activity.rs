//! What happened per day: of users, teams, tags, organizations, customers, and of all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::activity::{Activity, Name, Names, Sums};
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
use ledger::store::{By, DailySum, Filter, SumQuery};
use serde_json::json;

use super::Answer;
use super::asker::{self, Asker};
use super::issue;
use super::spend::days;
use crate::Gateway;
use crate::refusal::Refusal;

/// The most keys that are listed at once.
const MOST_KEYS: usize = 1000;
/// Keys that a day is broken down to, where nobody says `api_key_limit`; its sums are of all keys.
const KEYS: usize = 100;

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

/// The sums that a query asks for, as far as the caller may see them.
async fn asked_for(asker: &Asker, query: &Body) -> Result<SumQuery, Refusal> {
    asker.bring_up_to_date().await;
    let (from, until) = days(query, asker.now, Some(30))?;
    let (kind, field) = subject(&asker.path);
    let mut wanted = match visible(asker, kind, field, query)? {
        // Who asks for all users asks for all there is: also for what keys did that are nobody's.
        None if matches!(kind, "user" | "gateway") => SumQuery::of(&Scope::Gateway, from, until),
        ids => SumQuery { ids, ..SumQuery::of_kind(kind, from, until) },
    };
    if kind == "team" && !asker.sees_all() {
        wanted.either = Some(own(asker).await?);
    }
    if let Some(ids) = query.text("exclude_team_ids") {
        wanted.not_ids = ids.split(',').map(str::to_owned).collect();
    }
    wanted.models = query.text("model").map(|model| BTreeSet::from([model.to_owned()]));
    wanted.keys = query.text("api_key").map(|text| {
        BTreeSet::from([issue::hash_of(text).map_or_else(|| text.to_owned(), |hash| hash.to_string())])
    });
    Ok(wanted)
}

async fn daily(asker: Asker) -> Result<Response, Refusal> {
    let query = asker.query()?;
    let aggregated = asker.path.ends_with("/aggregated");
    let paging =
        if aggregated { Paging { page: 1, size: 1000 } } else { Paging::of(&query, "page_size", 10)? };
    let (kind, _) = subject(&asker.path);
    let wanted = asked_for(&asker, &query).await?;
    if asker.path.ends_with("/export") {
        return export(&asker, &query, kind, wanted).await;
    }
    let days = asker.store().sums(&wanted.clone().by(By::DAY)).await?;
    let shown = paging.cut(days.iter().rev().map(|(_, sum)| sum.day).collect());
    let mut activity = Activity { days, ..Activity::default() };
    if let (Some(newest), Some(oldest)) = (shown.first(), shown.last()) {
        let wanted = SumQuery { days: (*oldest, *newest), ..wanted };
        activity.parts = asker.store().sums(&wanted.clone().by(By { key: false, ..By::ALL })).await?;
        let most = number(&query, "api_key_limit", KEYS).min(MOST_KEYS);
        let dearest = wanted.clone().by(By::KEY).dearest(i64::try_from(most).unwrap_or(i64::MAX));
        let keys = asker.store().sums(&dearest).await?.into_iter().map(|(_, sum)| sum.key).collect();
        activity.keys = asker.store().sums(&SumQuery { keys: Some(keys), ..wanted }.by(By::ALL)).await?;
    }
    let keys = key_names(&asker, &activity.keys).await?;
    let entities = entity_names(&asker, kind, &activity.parts).await?;
    Ok(Json(api::activity::daily(&activity, paging, &keys, &entities)).into_response())
}

/// Every sum there is.
async fn export(asker: &Asker, query: &Body, kind: &str, wanted: SumQuery) -> Result<Response, Refusal> {
    let sums = asker.store().sums(&wanted.by(By::ALL)).await?;
    let keys = key_names(asker, &sums).await?;
    let entities = entity_names(asker, kind, &sums).await?;
    let rows = api::activity::rows(&sums, &keys, &entities);
    if query.text("format") == Some("csv") {
        let text = api::csv::table(&api::activity::COLUMNS, &rows);
        return Ok(([(CONTENT_TYPE, api::csv::CONTENT_TYPE)], text).into_response());
    }
    Ok(Json(rows).into_response())
}

fn number(query: &Body, name: &str, default: usize) -> usize {
    query.count(name).and_then(|count| usize::try_from(count).ok()).unwrap_or(default)
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
    let mut wanted = asked_for(&asker, &query).await?;
    if let Some(name) = query.text("model_group") {
        // A model is asked for by its group's name and booked under its own.
        let group = asker.snapshot.group(name);
        let members = group.iter().flat_map(|group| &group.members);
        let models: BTreeSet<String> =
            members.map(|served| served.deployment.model.clone()).chain([name.to_owned()]).collect();
        wanted.models = Some(match wanted.models {
            Some(named) => named.intersection(&models).cloned().collect(),
            None => models,
        });
    }
    let mut sums = asker.store().sums(&wanted.by(By::KEY).dearest(i64::MAX)).await?;
    if let Some(part) = query.text("search").map(str::to_lowercase) {
        let names = key_names(&asker, &sums).await?;
        let has = |text: &str| text.to_lowercase().contains(&part);
        sums.retain(|(_, sum)| {
            let alias = names.get(&sum.key).and_then(|name| name.alias.as_deref());
            has(&sum.key) || alias.is_some_and(has)
        });
    }
    let (offset, limit) = (number(&query, "offset", 0), number(&query, "limit", 50).min(MOST_KEYS));
    let total = sums.len();
    let shown: Vec<_> = sums.into_iter().skip(offset).take(limit).collect();
    let keys = key_names(&asker, &shown).await?;
    let has_more = offset.saturating_add(shown.len()) < total;
    Ok(Json(json!({
        "results": api::activity::by_key(&shown, &keys), "total_count": total, "offset": offset, "limit": limit,
        "has_more": has_more,
    })))
}

/// What users spent in teams. The parts of a team sum up to what the team spent.
async fn by_user(asker: Asker) -> Answer {
    let query = asker.query()?;
    let wanted = asked_for(&asker, &query).await?;
    let sums = asker.store().sums(&wanted.by(By { key: true, ..By::ID })).await?;
    let teams = entity_names(&asker, "team", &sums).await?;
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

/// Who does not administer a team sees what their own keys did in it: the teams they administer, and their keys.
async fn own(asker: &Asker) -> Result<(BTreeSet<String>, BTreeSet<String>), Refusal> {
    let administered = asker.caller.administered().map(ToString::to_string).collect();
    let own = match &asker.caller.user {
        Some(user) => {
            let filter = Filter { user: Some(user.clone()), ..Filter::default() };
            let keys = asker::all::<Key>(asker.store(), &filter).await?;
            keys.into_iter().map(|stored| stored.record.id.to_string()).collect()
        }
        None => BTreeSet::new(),
    };
    Ok((administered, own))
}

async fn key_names(asker: &Asker, sums: &[(String, DailySum)]) -> Result<Names, Refusal> {
    let ids = sums.iter().map(|(_, sum)| sum.key.clone()).collect();
    let keys = asker.store().known::<Key>(&ids).await?;
    let name = |key: Key| Name { alias: key.details.alias, team: key.team.map(|team| team.to_string()) };
    Ok(keys.into_iter().map(|(id, key)| (id, name(key))).collect())
}

async fn entity_names(asker: &Asker, kind: &str, sums: &[(String, DailySum)]) -> Result<Names, Refusal> {
    let ids: BTreeSet<String> = sums.iter().map(|(id, _)| id.clone()).collect();
    Ok(aliases(asker, kind, &ids)
        .await?
        .into_iter()
        .map(|(id, alias)| (id, Name { alias: Some(alias), team: None }))
        .collect())
}

/// What people call teams, organizations and keys, by id.
pub(super) async fn aliases(
    asker: &Asker,
    kind: &str,
    ids: &BTreeSet<String>,
) -> Result<BTreeMap<String, String>, Refusal> {
    let named = |(id, alias): (String, Option<String>)| Some((id, alias?));
    Ok(match kind {
        "team" => {
            let teams = asker.store().known::<Team>(ids).await?;
            teams.into_iter().map(|(id, team)| (id, team.details.alias)).filter_map(named).collect()
        }
        "organization" => {
            let known = asker.store().known::<Organization>(ids).await?;
            known.into_iter().map(|(id, known)| (id, known.details.alias)).filter_map(named).collect()
        }
        "key" => {
            let keys = asker.store().known::<Key>(ids).await?;
            keys.into_iter().map(|(id, key)| (id, key.details.alias)).filter_map(named).collect()
        }
        _ => BTreeMap::new(),
    })
}
