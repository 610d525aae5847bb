//! Spend of the whole gateway, from the daily sums.

use std::collections::{BTreeMap, BTreeSet};
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
use ledger::store::{By, DailySum, Filter, SumQuery};
use serde_json::{Value, json};

use super::activity::aliases;
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

/// The sums of all that was spent in a query's days.
async fn gateway_sums(asker: &Asker, query: &Body) -> Result<SumQuery, Refusal> {
    asker.bring_up_to_date().await;
    let (from, until) = days(query, asker.now, MONTH)?;
    Ok(SumQuery::of(&Scope::Gateway, from, until))
}

/// How many of a list of the dearest are asked for.
fn top(query: &Body) -> i64 {
    query.count("limit").and_then(|limit| i64::try_from(limit).ok()).unwrap_or(10).min(1000)
}

async fn per_day(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let (from, until) = days(&query, asker.now, MONTH)?;
    let scope = match query.text("api_key") {
        Some(text) => Scope::Key(parse_id("api_key", &key_id(&asker, text).await?)?),
        None => Scope::Gateway,
    };
    let sums = asker.store().sums(&SumQuery::of(&scope, from, until).by(By::DAY)).await?;
    let rows = sums.iter().map(|(_, sum)| json!({"date": sum.day.to_string(), "spend": sum.cost}));
    Ok(Json(rows.collect()))
}

/// The id of the key that a text means, deleted ones included.
pub(super) async fn key_id(asker: &Asker, text: &str) -> Result<String, Refusal> {
    let Some(hash) = issue::hash_of(text) else { return Ok(text.to_owned()) };
    let stored = asker.store().key_by_hash(&hash, asker.now).await?;
    Ok(stored.map_or_else(|| hash.to_string(), |stored| stored.record.id.to_string()))
}

async fn keys(asker: Asker) -> Answer {
    let query = asker.query()?;
    let wanted = gateway_sums(&asker, &query).await?.by(By::KEY).dearest(top(&query));
    let sums = asker.store().sums(&wanted).await?;
    let keys = asker.store().known::<Key>(&sums.iter().map(|(_, sum)| sum.key.clone()).collect()).await?;
    let rows = sums.iter().map(|(_, sum)| {
        let key = keys.get(&sum.key);
        json!({
            "api_key": sum.key,
            "key_alias": key.and_then(|key| key.details.alias.as_ref()),
            "key_name": key.map(|key| &key.name),
            "total_spend": sum.cost,
        })
    });
    Ok(Json(rows.collect()))
}

async fn models(asker: Asker) -> Answer {
    let query = asker.query()?;
    let wanted = gateway_sums(&asker, &query).await?.by(By::MODEL).dearest(top(&query));
    let sums = asker.store().sums(&wanted).await?;
    let rows = sums.iter().map(|(_, sum)| json!({"model": sum.model, "total_spend": sum.cost}));
    Ok(Json(rows.collect()))
}

async fn providers(asker: Asker) -> Answer {
    let query = asker.query()?;
    let wanted = gateway_sums(&asker, &query).await?.by(By::PROVIDER).dearest(i64::MAX);
    let sums = asker.store().sums(&wanted).await?;
    Ok(Json(sums.iter().map(|(_, sum)| json!({"provider": sum.provider, "spend": sum.cost})).collect()))
}

async fn teams(asker: Asker) -> Answer {
    asker.bring_up_to_date().await;
    let (from, until) = days(&Body::default(), asker.now, MONTH)?;
    let wanted = SumQuery::of_kind("team", from, until);
    let sums = asker.store().sums(&wanted.by(By { id: true, ..By::DAY })).await?;
    let ids: BTreeSet<String> = sums.iter().map(|(team, _)| team.clone()).collect();
    let mut names = aliases(&asker, "team", &ids).await?;
    for id in ids {
        names.entry(id.clone()).or_insert(id);
    }
    let mut totals: BTreeMap<&str, NanoUsd> = BTreeMap::new();
    let mut per_day: BTreeMap<Day, BTreeMap<&str, NanoUsd>> = BTreeMap::new();
    for (team, sum) in &sums {
        let name = names.get(team).unwrap_or(team);
        let spend = per_day.entry(sum.day).or_default().entry(name).or_default();
        *spend = spend.saturating_add(sum.cost);
        let total = totals.entry(team).or_default();
        *total = total.saturating_add(sum.cost);
    }
    let daily = per_day.into_iter().map(|(day, teams)| {
        let mut row = json!(teams);
        row["date"] = json!(day.to_string());
        row
    });
    let daily: Vec<Value> = daily.collect();
    let mut totals: Vec<_> = totals.into_iter().collect();
    totals.sort_by_key(|(_, spend)| std::cmp::Reverse(*spend));
    let totals =
        totals.iter().map(|(team, spend)| json!({"team_id": names.get(*team), "total_spend": spend}));
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
    let wanted = SumQuery::of_kind("customer", Day(0), asker.now.day()).by(By::ID);
    let sums = asker.store().sums(&wanted).await?;
    let names: Vec<String> = sums.into_iter().map(|(customer, _)| customer).collect();
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
    let mut names = asker.store().sums(&SumQuery::of_kind(kind, from, until).by(By::ID)).await?;
    names.retain(|(id, _)| part.as_ref().is_none_or(|part| id.to_lowercase().contains(part)));
    let total = i64::try_from(names.len()).unwrap_or(i64::MAX);
    let shown = paging.cut(names);
    let rows = shown.iter().map(|(id, sum)| json!({"id": id, "requests": sum.requests, "spend": sum.cost}));
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
    let keys = match body.text("api_key") {
        Some(text) => Some(BTreeSet::from([key_id(&asker, text).await?])),
        None => None,
    };
    let wanted = SumQuery { keys, ..SumQuery::of_kind("customer", from, until) };
    let rows = asker.store().sums(&wanted.by(By::ID).dearest(i64::MAX)).await?;
    let shown = rows.iter().map(
        |(customer, sum)| json!({"end_user": customer, "total_count": sum.requests, "total_spend": sum.cost}),
    );
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
    let parts = By { provider: false, ..By::ALL };
    let sums = match kind {
        "model" | "provider" => {
            let by = By { provider: kind == "provider", id: false, ..parts };
            let sums = asker.store().sums(&SumQuery::of(&Scope::Gateway, from, until).by(by)).await?;
            let of = |sum: &DailySum| if kind == "model" { sum.model.clone() } else { sum.provider.clone() };
            sums.into_iter().map(|(_, sum)| (of(&sum), sum)).collect()
        }
        kind => asker.store().sums(&SumQuery::of_kind(kind, from, until).by(parts)).await?,
    };
    let names = aliases(&asker, kind, &sums.iter().map(|(id, _)| id.clone()).collect()).await?;
    type Parts = BTreeMap<String, (NanoUsd, Vec<Value>)>;
    let mut per_day: BTreeMap<Day, Parts> = BTreeMap::new();
    for (id, sum) in sums {
        let (total, parts) = per_day.entry(sum.day).or_default().entry(id).or_default();
        *total = total.saturating_add(sum.cost);
        parts.push(json!({
            "model": sum.model, "spend": sum.cost, "api_key": sum.key,
            "total_tokens": sum.input_tokens.saturating_add(sum.output_tokens),
        }));
    }
    let rows = per_day.into_iter().map(|(day, of_day)| {
        let mut of_day: Vec<_> = of_day.into_iter().collect();
        of_day.sort_by_key(|(_, (total, _))| std::cmp::Reverse(*total));
        let of_day = of_day.into_iter().map(|(id, (total, parts))| {
            let mut row = json!({"total_spend": total, "metadata": parts});
            row[name] = json!(names.get(&id).unwrap_or(&id));
            row["id"] = json!(id);
            row
        });
        let mut row = json!({"group_by_day": day_start(day)});
        row[list] = of_day.collect();
        row
    });
    Ok(Json(rows.collect()))
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
    let wanted = SumQuery::of(&scope, from, until).by(By::MODEL).dearest(i64::MAX);
    let sums = asker.store().sums(&wanted).await?;
    let mut all = Sums::default();
    sums.iter().for_each(|(_, sum)| all.add(sum));
    let models = sums.iter().map(|(_, sum)| {
        json!({
            "model": sum.model, "total_cost": sum.cost,
            "total_input_tokens": sum.input_tokens, "total_output_tokens": sum.output_tokens,
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

/// Rows of days that are in order, and their sum.
fn daily_data(sums: &[DailySum]) -> (Vec<Value>, Sums) {
    let mut all = Sums::default();
    let rows = sums.iter().map(|sum| {
        all.add(sum);
        let tokens = Sums::of(sum).tokens();
        json!({"date": short_day(sum.day), "api_requests": sum.requests, "total_tokens": tokens})
    });
    (rows.collect(), all)
}

async fn activity(asker: Asker) -> Answer {
    let query = asker.query()?;
    let sums = asker.store().sums(&gateway_sums(&asker, &query).await?.by(By::DAY)).await?;
    let (rows, all) = daily_data(&sums.into_iter().map(|(_, sum)| sum).collect::<Vec<_>>());
    Ok(Json(json!({
        "daily_data": rows, "sum_api_requests": all.requests, "sum_total_tokens": all.tokens(),
    })))
}

async fn model_activity(asker: Asker) -> Answer {
    let query = asker.query()?;
    let wanted = gateway_sums(&asker, &query).await?.by(By { model: true, ..By::DAY });
    let mut models: BTreeMap<String, Vec<DailySum>> = BTreeMap::new();
    for (_, sum) in asker.store().sums(&wanted).await? {
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
