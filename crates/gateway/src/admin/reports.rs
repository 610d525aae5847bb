//! Spend of the whole gateway, from the daily sums.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::activity::Sums;
use api::body::{Body, parse_id};
use api::problem::Problem;
use api::query::Paging;
use api::{key, team};
use axum::Router;
use axum::body::Bytes;
use axum::response::Json;
use axum::routing::{get, post};
use catalog::NanoUsd;
use ledger::rules::account::{Account, Scope};
use ledger::rules::entity::{Details, Key, Organization, Team};
use ledger::rules::time::Day;
use ledger::store::{DailySum, Filter};
use serde_json::{Value, json};

use super::asker::{self, Asker};
use super::spend::{day_start, days, short_day, tag_rows};
use super::{Answer, issue};
use crate::Gateway;
use crate::refusal::Refusal;

/// What the dashboard shows where nobody names days.
const MONTH: Option<i64> = Some(30);

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/global/spend", get(total))
        .route("/global/spend/logs", get(per_day))
        .route("/global/spend/keys", get(keys))
        .route("/global/spend/models", get(models))
        .route("/global/spend/teams", get(teams))
        .route("/global/spend/provider", get(providers))
        .route("/global/spend/tags", get(tags))
        .route("/global/spend/all_tag_names", get(tag_names))
        .route("/global/all_end_users", get(end_user_names))
        .route("/global/spend/end_users", post(end_users))
        .route("/global/spend/report", get(report))
        .route("/key/spend/report", get(report_of))
        .route("/user/spend/report", get(report_of))
        .route("/team/spend/report", get(report_of))
        .route("/organization/spend/report", get(report_of))
        .route("/global/spend/reset", post(reset))
        .route("/global/spend/refresh", post(refresh))
        .route("/global/activity", get(activity))
        .route("/global/activity/model", get(model_activity))
        .route("/management/v1/spend_logs/users", get(names))
        .route("/management/v1/spend_logs/end_users", get(names))
}

async fn total(asker: Asker) -> Answer {
    asker.bring_up_to_date().await;
    let gateway = &asker.snapshot.policy.gateway;
    let openings = asker.store().openings(&Account::of(Scope::Gateway)).await?;
    let all = openings
        .iter()
        .find(|opening| opening.period.is_none())
        .map_or(NanoUsd::ZERO, |opening| opening.spend);
    let details = Details { allowance: gateway.clone(), ..Details::default() };
    let spend = asker.spend(Scope::Gateway, &details, all).await?;
    Ok(Json(json!({"spend": spend.current, "max_budget": gateway.budget.max})))
}

/// Sums by what names them, the dearest first.
fn by<K: Ord>(sums: impl IntoIterator<Item = (K, DailySum)>) -> Vec<(K, Sums)> {
    let mut all: BTreeMap<K, Sums> = BTreeMap::new();
    for (name, sum) in sums {
        all.entry(name).or_default().add(&sum);
    }
    let mut all: Vec<(K, Sums)> = all.into_iter().collect();
    all.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.spend));
    all
}

async fn gateway_sums(asker: &Asker, query: &Body) -> Result<Vec<DailySum>, Refusal> {
    asker.bring_up_to_date().await;
    let (from, until) = days(query, asker.now, MONTH)?;
    Ok(asker.store().daily(&Scope::Gateway, from, until).await?)
}

fn top<T>(mut rows: Vec<T>, query: &Body) -> Vec<T> {
    rows.truncate(query.count("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(10).min(1000));
    rows
}

async fn per_day(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let (from, until) = days(&query, asker.now, MONTH)?;
    let scope = match query.text("api_key") {
        Some(text) => Scope::Key(parse_id("api_key", &key_id(&asker, text).await?)?),
        None => Scope::Gateway,
    };
    let sums = asker.store().daily(&scope, from, until).await?;
    let mut per_day: BTreeMap<Day, Sums> = BTreeMap::new();
    for sum in &sums {
        per_day.entry(sum.day).or_default().add(sum);
    }
    let rows = per_day.iter().map(|(day, sums)| json!({"date": day.to_string(), "spend": sums.spend}));
    Ok(Json(rows.collect()))
}

/// The id of the key that a text means, deleted ones included.
async fn key_id(asker: &Asker, text: &str) -> Result<String, Refusal> {
    let Some(hash) = issue::hash_of(text) else { return Ok(text.to_owned()) };
    let stored = asker.store().key_by_hash(&hash, asker.now).await?;
    Ok(stored.map_or_else(|| hash.to_string(), |stored| stored.record.id.to_string()))
}

async fn keys(asker: Asker) -> Answer {
    let query = asker.query()?;
    let sums = gateway_sums(&asker, &query).await?;
    let mut rows = Vec::new();
    for (id, sums) in top(by(sums.into_iter().map(|sum| (sum.key.clone(), sum))), &query) {
        let key = asker.key(&id).await?;
        rows.push(json!({
            "api_key": id,
            "key_alias": key.as_ref().and_then(|key| key.details.alias.clone()),
            "key_name": key.as_ref().map(|key| key.name.clone()),
            "total_spend": sums.spend,
        }));
    }
    Ok(Json(json!(rows)))
}

async fn models(asker: Asker) -> Answer {
    let query = asker.query()?;
    let sums = gateway_sums(&asker, &query).await?;
    let rows = top(by(sums.into_iter().map(|sum| (sum.model.clone(), sum))), &query);
    Ok(Json(rows.iter().map(|(model, sums)| json!({"model": model, "total_spend": sums.spend})).collect()))
}

async fn providers(asker: Asker) -> Answer {
    let query = asker.query()?;
    let sums = gateway_sums(&asker, &query).await?;
    let rows = by(sums.into_iter().map(|sum| (sum.provider.clone(), sum)));
    Ok(Json(rows.iter().map(|(provider, sums)| json!({"provider": provider, "spend": sums.spend})).collect()))
}

async fn teams(asker: Asker) -> Answer {
    asker.bring_up_to_date().await;
    let (from, until) = days(&Body::default(), asker.now, MONTH)?;
    let sums = asker.store().daily_of_kind("team", from, until).await?;
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut per_day: BTreeMap<Day, BTreeMap<String, NanoUsd>> = BTreeMap::new();
    for (team, sum) in &sums {
        if !names.contains_key(team) {
            let alias = asker.store().get::<Team>(team).await?.and_then(|stored| stored.record.details.alias);
            names.insert(team.clone(), alias.unwrap_or_else(|| team.clone()));
        }
        let name = names.get(team).unwrap_or(team).clone();
        let spend = per_day.entry(sum.day).or_default().entry(name).or_default();
        *spend = spend.saturating_add(sum.cost);
    }
    let daily = per_day.into_iter().map(|(day, teams)| {
        let mut row = json!(teams);
        row["date"] = json!(day.to_string());
        row
    });
    let daily: Vec<Value> = daily.collect();
    let totals = by(sums.iter().map(|(team, sum)| (team.clone(), sum.clone())));
    let totals =
        totals.iter().map(|(team, sums)| json!({"team_id": names.get(team), "total_spend": sums.spend}));
    Ok(Json(json!({
        "daily_spend": daily,
        "teams": names.values().collect::<Vec<_>>(),
        "total_spend_per_team": totals.collect::<Vec<_>>(),
    })))
}

async fn tags(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let (from, until) = days(&query, asker.now, MONTH)?;
    let wanted: Option<Vec<&str>> = query.text("tags").map(|tags| tags.split(',').map(str::trim).collect());
    let mut rows = tag_rows(&asker, from, until).await?;
    rows.retain(|(tag, ..)| {
        wanted.as_ref().is_none_or(|wanted| wanted.contains(&"all-tags") || wanted.contains(&tag.as_str()))
    });
    let shown =
        rows.iter().map(|(tag, count, spend)| json!({"name": tag, "spend": spend, "log_count": count}));
    Ok(Json(json!({"spend_per_tag": shown.collect::<Vec<_>>()})))
}

async fn tag_names(asker: Asker) -> Answer {
    asker.bring_up_to_date().await;
    let rows = tag_rows(&asker, Day(0), asker.now.day()).await?;
    let mut names: Vec<String> = rows.into_iter().map(|(tag, ..)| tag).collect();
    names.sort_unstable();
    Ok(Json(json!({"tag_names": names})))
}

async fn end_user_names(asker: Asker) -> Answer {
    asker.bring_up_to_date().await;
    let sums = asker.store().daily_of_kind("customer", Day(0), asker.now.day()).await?;
    let names: std::collections::BTreeSet<String> = sums.into_iter().map(|(customer, _)| customer).collect();
    Ok(Json(json!({"end_users": names})))
}

/// The users, or customers, that requests of some days were for.
async fn names(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let day = |field: &str| query.moment(field).unwrap_or(asker.now).day();
    let (from, until) = (day("filter[startTime][gte]"), day("filter[startTime][lte]"));
    let paging = Paging::of(&query, "page_size", 50)?;
    let kind = if asker.route.path.ends_with("/users") { "user" } else { "customer" };
    let part = query.text("q").map(str::to_lowercase);
    let sums = asker.store().daily_of_kind(kind, from, until).await?;
    let mut names: BTreeMap<String, Sums> = BTreeMap::new();
    for (id, sum) in sums {
        if part.as_ref().is_none_or(|part| id.to_lowercase().contains(part)) {
            names.entry(id).or_default().add(&sum);
        }
    }
    let total = i64::try_from(names.len()).unwrap_or(i64::MAX);
    let shown = paging.cut(names.into_iter().collect());
    let rows =
        shown.iter().map(|(id, sums)| json!({"id": id, "requests": sums.requests, "spend": sums.spend}));
    Ok(Json(json!({
        "data": rows.collect::<Vec<_>>(), "total": total, "page": paging.page, "page_size": paging.size,
        "total_pages": paging.pages(total),
    })))
}

async fn end_users(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    asker.bring_up_to_date().await;
    let until = body.moment("endTime").unwrap_or(asker.now).day();
    let from = body.moment("startTime").map_or(Day(until.0 - 30), ledger::rules::time::Timestamp::day);
    let only = match body.text("api_key") {
        Some(text) => Some(key_id(&asker, text).await?),
        None => None,
    };
    let sums = asker.store().daily_of_kind("customer", from, until).await?;
    let sums = sums.into_iter().filter(|(_, sum)| only.as_ref().is_none_or(|key| sum.key == *key));
    let rows = by(sums);
    let shown = rows
        .iter()
        .map(|(customer, sums)| json!({"end_user": customer, "total_count": sums.requests, "total_spend": sums.spend}));
    Ok(Json(shown.collect()))
}

/// What a report is by: the kind of daily sums, LiteLLM's name of the list, and of the one in it.
fn grouping(by: &str) -> (&'static str, &'static str, &'static str) {
    match by {
        "customer" => ("customer", "customers", "customer"),
        "api_key" => ("key", "api_keys", "api_key"),
        "user" => ("user", "users", "user"),
        "organization" => ("organization", "organizations", "organization"),
        "tag" => ("tag", "tags", "tag"),
        "model" => ("model", "models", "model"),
        "provider" => ("provider", "providers", "provider"),
        _ => ("team", "teams", "team_name"),
    }
}

/// Sums per day and whom, with their models.
async fn report(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    for (field, kind) in
        [("api_key", "key"), ("internal_user_id", "user"), ("team_id", "team"), ("customer_id", "customer")]
    {
        if let Some(id) = query.text(field) {
            return one_report(&asker, &query, kind, field, id).await;
        }
    }
    let (from, until) = days(&query, asker.now, MONTH)?;
    let (kind, list, name) = grouping(query.text("group_by").unwrap_or("team"));
    let sums: Vec<(String, DailySum)> = match kind {
        "model" | "provider" => {
            let sums = asker.store().daily(&Scope::Gateway, from, until).await?;
            let of = |sum: &DailySum| if kind == "model" { sum.model.clone() } else { sum.provider.clone() };
            sums.into_iter().map(|sum| (of(&sum), sum)).collect()
        }
        kind => asker.store().daily_of_kind(kind, from, until).await?,
    };
    let mut per_day: BTreeMap<Day, Vec<(String, DailySum)>> = BTreeMap::new();
    for (id, sum) in sums {
        per_day.entry(sum.day).or_default().push((id, sum));
    }
    let mut rows = Vec::new();
    for (day, sums) in per_day {
        let mut of_day = Vec::new();
        for (id, total) in by(sums.iter().map(|(id, sum)| (id.clone(), sum.clone()))) {
            let parts = sums.iter().filter(|(own, _)| *own == id).map(|(_, sum)| {
                json!({
                    "model": sum.model, "spend": sum.cost, "api_key": sum.key,
                    "total_tokens": sum.input_tokens.saturating_add(sum.output_tokens),
                })
            });
            let mut row = json!({"total_spend": total.spend, "metadata": parts.collect::<Vec<_>>()});
            row[name] = json!(shown_name(&asker, kind, &id).await?);
            row["id"] = json!(id);
            of_day.push(row);
        }
        let mut row = json!({"group_by_day": day_start(day)});
        row[list] = json!(of_day);
        rows.push(row);
    }
    Ok(Json(json!(rows)))
}

/// What people call it.
async fn shown_name(asker: &Asker, kind: &str, id: &str) -> Result<String, Refusal> {
    let alias = match kind {
        "team" => asker.store().get::<Team>(id).await?.and_then(|stored| stored.record.details.alias),
        "key" => asker.key(id).await?.and_then(|key| key.details.alias),
        "organization" => {
            asker.store().get::<Organization>(id).await?.and_then(|stored| stored.record.details.alias)
        }
        _ => None,
    };
    Ok(alias.unwrap_or_else(|| id.to_owned()))
}

/// The report of one key, user, team or organization.
async fn report_of(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let (kind, field) = match asker.route.path {
        "/key/spend/report" => ("key", "api_key"),
        "/user/spend/report" => ("user", "internal_user_id"),
        "/team/spend/report" => ("team", "team_id"),
        _ => ("organization", "organization_id"),
    };
    let own = match kind {
        "key" => asker.caller.key.as_ref().map(ToString::to_string),
        "user" => asker.caller.user.as_ref().map(ToString::to_string),
        _ => None,
    };
    let Some(id) = query.text(field).map(str::to_owned).or(own) else {
        return Err(Problem::field(field, format!("`{field}` is missing")).into());
    };
    one_report(&asker, &query, kind, field, &id).await
}

async fn one_report(asker: &Asker, query: &Body, kind: &str, field: &str, id: &str) -> Answer {
    let (from, until) = days(query, asker.now, MONTH)?;
    let (scope, object) = match kind {
        "key" => {
            let id = key_id(asker, id).await?;
            let stored = asker.find::<Key>("Key", field, &id).await?.record;
            (Scope::Key(stored.id.clone()), key::object(&stored))
        }
        "user" => {
            let user: ledger::rules::id::UserId = parse_id(field, id)?;
            (
                Scope::User(user.clone()),
                api::caller::Object { user: Some(user), ..api::caller::Object::default() },
            )
        }
        "team" => {
            let stored = asker.find::<Team>("Team", field, id).await?.record;
            (Scope::Team(stored.id.clone()), team::object(&stored))
        }
        "customer" => (Scope::Customer(parse_id(field, id)?), api::caller::Object::default()),
        _ => {
            let stored = asker.find::<Organization>("Organization", field, id).await?.record;
            (Scope::Organization(stored.id.clone()), api::organization::object(&stored))
        }
    };
    asker.permit(&object)?;
    let sums = asker.store().daily(&scope, from, until).await?;
    let mut all = Sums::default();
    sums.iter().for_each(|sum| all.add(sum));
    let models = by(sums.into_iter().map(|sum| (sum.model.clone(), sum)));
    let models = models.iter().map(|(model, sums)| {
        json!({
            "model": model, "total_cost": sums.spend,
            "total_input_tokens": sums.input, "total_output_tokens": sums.output,
        })
    });
    let mut row = json!({
        "total_cost": all.spend,
        "total_input_tokens": all.input,
        "total_output_tokens": all.output,
        "model_details": models.collect::<Vec<_>>(),
    });
    row[field] = json!(scope.id());
    Ok(Json(json!([row])))
}

/// Sets what all keys and teams have spent in their current windows to zero. Rows and reports stay.
async fn reset(asker: Asker) -> Answer {
    asker.permit(&api::caller::Object::default())?;
    for stored in asker::all::<Key>(asker.store(), &Filter::default()).await? {
        let id = stored.record.id.clone();
        let before = asker.set_spend(Scope::Key(id.clone()), &stored.record.details, NanoUsd::ZERO).await?;
        super::keys::note_spend::<Key>(&asker, id.as_str(), before, NanoUsd::ZERO).await?;
    }
    for stored in asker::all::<Team>(asker.store(), &Filter::default()).await? {
        let id = stored.record.id.clone();
        let before = asker.set_spend(Scope::Team(id.clone()), &stored.record.details, NanoUsd::ZERO).await?;
        super::keys::note_spend::<Team>(&asker, id.as_str(), before, NanoUsd::ZERO).await?;
    }
    Ok(Json(json!({"message": "Spend for all API Keys and Teams reset successfully", "status": "success"})))
}

async fn refresh(asker: Asker) -> Answer {
    asker.bring_up_to_date().await;
    Ok(Json(json!({"message": "All sums are up to date", "status": "success"})))
}

fn daily_data(sums: &[DailySum]) -> (Vec<Value>, Sums) {
    let mut per_day: BTreeMap<Day, Sums> = BTreeMap::new();
    let mut all = Sums::default();
    for sum in sums {
        per_day.entry(sum.day).or_default().add(sum);
        all.add(sum);
    }
    let rows = per_day.iter().map(|(day, sums)| {
        json!({"date": short_day(*day), "api_requests": sums.requests, "total_tokens": sums.tokens()})
    });
    (rows.collect(), all)
}

async fn activity(asker: Asker) -> Answer {
    let query = asker.query()?;
    let sums = gateway_sums(&asker, &query).await?;
    let (rows, all) = daily_data(&sums);
    Ok(Json(json!({
        "daily_data": rows, "sum_api_requests": all.requests, "sum_total_tokens": all.tokens(),
    })))
}

async fn model_activity(asker: Asker) -> Answer {
    let query = asker.query()?;
    let mut models: BTreeMap<String, Vec<DailySum>> = BTreeMap::new();
    for sum in gateway_sums(&asker, &query).await? {
        models.entry(sum.model.clone()).or_default().push(sum);
    }
    let mut rows: Vec<(i64, Value)> = models
        .into_iter()
        .map(|(model, sums)| {
            let (rows, all) = daily_data(&sums);
            let row = json!({
                "model": model, "daily_data": rows,
                "sum_api_requests": all.requests, "sum_total_tokens": all.tokens(),
            });
            (all.requests, row)
        })
        .collect();
    rows.sort_by_key(|(requests, _)| std::cmp::Reverse(*requests));
    Ok(Json(rows.into_iter().map(|(_, row)| row).collect()))
}
