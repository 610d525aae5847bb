//! What was spent: request by request, and by key, user and tag.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::body::{Body, parse_id};
use api::problem::Problem;
use api::query::Paging;
use api::{key, moment, spend};
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use catalog::NanoUsd;
use dialects::conversation::Usage;
use ledger::Booking;
use ledger::rules::account::Scope;
use ledger::rules::entity::{Key, User};
use ledger::rules::id::RequestId;
use ledger::rules::time::{Day, Timestamp};
use ledger::store::{By, Filter, LogFilter, SortBy, Sorting, SumQuery};
use serde_json::{Value, json};

use super::asker::{Asker, MOST};
use super::{Answer, issue, keys};
use crate::Gateway;
use crate::refusal::Refusal;
use crate::snapshot::Served;

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/spend/logs", get(logs))
        .route("/spend/logs/v2", get(log_pages))
        .route("/spend/logs/ui", get(log_pages))
        .route("/spend/logs/session/ui", get(log_pages))
        .route("/spend/logs/ui/{request_id}", get(one))
        .route("/spend/keys", get(by_key))
        .route("/spend/users", get(by_user))
        .route("/spend/tags", get(by_tag))
        .route("/spend/calculate", post(calculate))
        .route("/cost/estimate", post(estimate))
}

/// The days that a query names, the last one included; without a beginning it is so many days ago, or the first of all.
pub(super) fn days(query: &Body, now: Timestamp, back: Option<i64>) -> Result<(Day, Day), Refusal> {
    let until = query.moment("end_date").map_or_else(|| now.day(), Timestamp::day);
    let default = back.map_or(Day(0), |days| Day(until.0 - days));
    let from = query.moment("start_date").map_or(default, Timestamp::day);
    if from > until {
        return Err(Problem::field("start_date", "`start_date` is after `end_date`").into());
    }
    Ok((from, until))
}

/// The same as moments; a date without a time is the whole day.
fn moments(query: &Body) -> (Option<Timestamp>, Option<Timestamp>) {
    let end = query.moment("end_date").map(|end| {
        if end == end.day().start() {
            Day(end.day().0 + 1).start()
        } else {
            Timestamp(end.0.saturating_add(1))
        }
    });
    (query.moment("start_date"), end)
}

/// The rows that a query names, narrowed to what the caller may see: their own, or those of what they administer.
async fn filter(asker: &Asker, query: &Body) -> Result<LogFilter, Refusal> {
    let (from, until) = moments(query);
    let key = match query.text("api_key") {
        Some(text) => {
            let hash = issue::hash_of(text);
            let stored = match hash {
                Some(hash) => asker.store().key_by_hash(&hash, asker.now).await?,
                None => None,
            };
            // One that was deleted is known by its hash.
            let id = stored.map(|stored| stored.record.id.to_string()).or(hash.map(|hash| hash.to_string()));
            Some(parse_id("api_key", &id.unwrap_or_else(|| text.to_owned()))?)
        }
        None => match query.text("key_alias") {
            Some(alias) => {
                let filter = Filter { alias: Some(alias.to_owned()), ..Filter::default() };
                let found = asker.store().list::<Key>(&filter, Sorting::default(), 0, 1).await?;
                let Some(found) = found.items.into_iter().next() else {
                    return Err(Problem::not_found("Key", "key_alias", alias).into());
                };
                Some(found.record.id)
            }
            None => None,
        },
    };
    let mut filter = LogFilter {
        request: query.id::<RequestId>("request_id")?.set(),
        key,
        user: query.id("user_id")?.set(),
        team: query.id("team_id")?.set(),
        organization: None,
        customer: query.id("end_user")?.set(),
        tag: query.id("tag")?.set(),
        session: query.text("session_id").map(str::to_owned),
        from,
        until,
        after: None,
    };
    if asker.sees_all() {
        return Ok(filter);
    }
    if let Some(team) = &filter.team
        && asker.caller.administered().any(|own| own == team)
    {
        return Ok(filter);
    }
    if let Some(id) = &filter.key
        && let Some(stored) = asker.store().get::<Key>(id.as_str()).await?
        && asker.caller.may(asker.route, &key::object(&stored.record))
    {
        return Ok(filter);
    }
    match &asker.caller.user {
        Some(own) if filter.user.as_ref().is_none_or(|wanted| wanted == own) => {
            filter.user = Some(own.clone());
        }
        _ => asker
            .permit(&api::caller::Object { user: filter.user.clone(), ..api::caller::Object::default() })?,
    }
    Ok(filter)
}

async fn logs(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let filter = filter(&asker, &query).await?;
    let has_dates = query.has("start_date") && query.has("end_date");
    if has_dates && query.bool("summarize") != Some(false) && filter.request.is_none() {
        return summary(&asker, &query, &filter).await;
    }
    let limit = query.count("limit").and_then(|limit| i64::try_from(limit).ok()).unwrap_or(1000).min(MOST);
    let rows = asker.store().spend_log(&filter, limit).await?;
    Ok(Json(rows.iter().map(spend::row).collect()))
}

/// Sums per day.
async fn summary(asker: &Asker, query: &Body, filter: &LogFilter) -> Answer {
    let (from, until) = days(query, asker.now, None)?;
    let scope = match (&filter.key, &filter.user, &filter.team) {
        (Some(key), ..) => Scope::Key(key.clone()),
        (None, Some(user), _) => Scope::User(user.clone()),
        (None, None, Some(team)) => Scope::Team(team.clone()),
        (None, None, None) => Scope::Gateway,
    };
    type ByName = BTreeMap<String, NanoUsd>;
    let mut per_day: BTreeMap<Day, (NanoUsd, ByName, ByName)> = BTreeMap::new();
    let wanted = SumQuery::of(&scope, from, until);
    for (_, sum) in asker.store().sums(&wanted.clone().by(By { model: true, ..By::DAY })).await? {
        let (all, models, _) = per_day.entry(sum.day).or_default();
        *all = all.saturating_add(sum.cost);
        models.insert(sum.model, sum.cost);
    }
    for (_, sum) in asker.store().sums(&wanted.by(By { key: true, ..By::DAY })).await? {
        per_day.entry(sum.day).or_default().2.insert(sum.key, sum.cost);
    }
    let rows = per_day.into_iter().map(|(day, (all, models, keys))| {
        json!({"startTime": day.to_string(), "spend": all, "users": {}, "models": models, "api_keys": keys})
    });
    Ok(Json(rows.collect()))
}

/// What cannot be asked of the database.
fn passes(query: &Body, booking: &Booking) -> bool {
    let failed = match query.text("status_filter") {
        Some("failure") => Some(true),
        Some("success") => Some(false),
        _ => None,
    };
    failed.is_none_or(|failed| booking.failed == failed)
        && query.amount("min_spend").is_none_or(|least| booking.cost >= least)
        && query.amount("max_spend").is_none_or(|most| booking.cost <= most)
        && query.text("model_id").is_none_or(|id| booking.deployment.as_deref() == Some(id))
        && query.text("model_group").is_none_or(|group| booking.model_group.as_deref() == Some(group))
        && query
            .text("cache_hit_filter")
            .is_none_or(|wanted| booking.cache_hit == matches!(wanted, "hit" | "True" | "true"))
        && query.text("search").is_none_or(|part| {
            let texts = [
                Some(booking.request.as_str()),
                Some(booking.model.as_str()),
                booking.model_group.as_deref(),
            ];
            texts.into_iter().flatten().any(|text| text.contains(part))
        })
}

const IN_MEMORY: [&str; 9] = [
    "status_filter",
    "min_spend",
    "max_spend",
    "model_id",
    "model_group",
    "cache_hit_filter",
    "search",
    "sort_by",
    "sort_order",
];

/// In the order that a query asks for; the newest first where it asks for none.
fn sort(query: &Body, rows: &mut [Booking]) {
    match query.text("sort_by") {
        Some("endTime") => rows.sort_by_key(|row| std::cmp::Reverse(row.ended_at)),
        Some("spend") => rows.sort_by_key(|row| std::cmp::Reverse(row.cost)),
        Some("total_tokens") => {
            rows.sort_by_key(|row| std::cmp::Reverse(row.tokens.input.saturating_add(row.tokens.output)));
        }
        Some("request_duration_ms") => {
            rows.sort_by_key(|row| std::cmp::Reverse(row.ended_at.0.saturating_sub(row.started_at.0)));
        }
        Some("model") => rows.sort_by(|a, b| b.model.cmp(&a.model)),
        _ => {}
    }
    if query.text("sort_order") == Some("asc") {
        rows.reverse();
    }
}

async fn log_pages(asker: Asker) -> Result<Response, Refusal> {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let paging = Paging::of(&query, "page_size", 50)?;
    let mut filter = filter(&asker, &query).await?;
    if let Some(cursor) = query.text("cursor") {
        filter.after = Some(read_cursor(cursor)?);
    }
    let narrow = IN_MEMORY.iter().any(|name| query.has(name));
    let (rows, total) = if narrow {
        // Of a large log the newest are looked through.
        let mut rows = asker.store().spend_log(&filter, MOST).await?;
        rows.retain(|booking| passes(&query, booking));
        sort(&query, &mut rows);
        let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        (paging.cut(rows), total)
    } else {
        let rows = asker.store().spend_log_page(&filter, paging.offset(), paging.size).await?;
        (rows, asker.store().spend_log_count(&filter, MOST).await?)
    };
    let next = rows.last().map(|last| format!("{}:{}", last.started_at.0, last.request));
    let shown: Vec<Value> = rows.iter().map(spend::row).collect();
    if query.text("format") == Some("csv") {
        let text = api::csv::table(&spend::COLUMNS, &shown);
        let headers = [
            (CONTENT_TYPE, api::csv::CONTENT_TYPE),
            (CONTENT_DISPOSITION, "attachment; filename=\"spend.csv\""),
        ];
        return Ok((headers, text).into_response());
    }
    Ok(Json(json!({
        "data": shown,
        "total": total,
        "page": paging.page,
        "page_size": paging.size,
        "total_pages": paging.pages(total),
        "next_cursor": next,
    }))
    .into_response())
}

/// `<milliseconds>:<request>` of the last row that was seen.
fn read_cursor(cursor: &str) -> Result<(Timestamp, RequestId), Refusal> {
    let wrong =
        || Problem::field("cursor", "`cursor` is not one that an earlier answer gave as `next_cursor`");
    let (at, request) = cursor.split_once(':').ok_or_else(wrong)?;
    let at = at.parse().map_err(|_| wrong())?;
    Ok((Timestamp(at), request.parse().map_err(|_| wrong())?))
}

async fn one(asker: Asker, Path(id): Path<String>) -> Answer {
    asker.bring_up_to_date().await;
    let filter = LogFilter { request: Some(parse_id("request_id", &id)?), ..LogFilter::default() };
    let Some(booking) = asker.store().spend_log(&filter, 1).await?.into_iter().next() else {
        return Err(Problem::not_found("Request", "request_id", &id).into());
    };
    asker.permit(&api::caller::Object {
        key: Some(booking.key.clone()),
        user: booking.user.clone(),
        team: booking.team.clone(),
        organization: booking.organization.clone(),
    })?;
    let mut row = spend::row(&booking);
    row["messages"] = Value::Null;
    row["response"] = Value::Null;
    row["proxy_server_request"] = Value::Null;
    Ok(Json(row))
}

fn limit(query: &Body, default: i64) -> i64 {
    query.count("limit").and_then(|limit| i64::try_from(limit).ok()).unwrap_or(default).clamp(1, 1000)
}

const BY_SPEND: Sorting = Sorting { by: SortBy::Spend, descending: true };

async fn by_key(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let own = if asker.sees_all() { None } else { Some(asker.caller.user.clone()) };
    let filter = match own {
        None => Filter::default(),
        Some(Some(user)) => Filter { user: Some(user), ..Filter::default() },
        Some(None) => return Ok(Json(json!([]))),
    };
    let mut rows = Vec::new();
    for stored in asker.store().list::<Key>(&filter, BY_SPEND, 0, limit(&query, 100)).await?.items {
        rows.push(keys::full_row(&asker, &stored).await?);
    }
    Ok(Json(json!(rows)))
}

async fn by_user(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let named = query.text("user_id").map(str::to_owned);
    let own = asker.caller.user.as_ref().map(ToString::to_string);
    let named = if asker.sees_all() { named } else { named.or(own) };
    let users = match named {
        Some(id) => {
            let object = api::caller::Object { user: id.parse().ok(), ..api::caller::Object::default() };
            asker.permit(&object)?;
            asker.store().get::<User>(&id).await?.into_iter().collect()
        }
        None if asker.sees_all() => {
            asker.store().list::<User>(&Filter::default(), BY_SPEND, 0, limit(&query, 100)).await?.items
        }
        None => Vec::new(),
    };
    let mut rows = Vec::new();
    for stored in users {
        let own = &stored.record;
        let spend = asker.spend(Scope::User(own.id.clone()), &own.details, stored.spend).await?;
        rows.push(Value::Object(api::user::row(own, &[], spend, &asker.clock())));
    }
    Ok(Json(json!(rows)))
}

async fn by_tag(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let (from, until) = days(&query, asker.now, None)?;
    let rows = tag_rows(&asker, from, until).await?;
    let shown = rows.into_iter().map(|(tag, count, spend)| {
        json!({"individual_request_tag": tag, "log_count": count, "total_spend": spend})
    });
    Ok(Json(shown.collect()))
}

/// Tags with how many requests named them and what was spent, the dearest first.
pub(super) async fn tag_rows(
    asker: &Asker,
    from: Day,
    until: Day,
) -> Result<Vec<(String, i64, NanoUsd)>, Refusal> {
    let sums = SumQuery::of_kind("tag", from, until).by(By::ID).dearest(i64::MAX);
    let rows = asker.store().sums(&sums).await?;
    Ok(rows.into_iter().map(|(tag, sum)| (tag, sum.requests, sum.cost)).collect())
}

/// What an answer cost, or what the input of a request will.
async fn calculate(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let answer = body.object("completion_response");
    let model =
        body.text("model").or_else(|| answer.and_then(|answer| answer.get("model")).and_then(Value::as_str));
    let Some(model) = model else {
        return Err(Problem::field("model", "give `model` and `messages`, or `completion_response`").into());
    };
    let count = |usage: &Value, names: [&str; 2]| {
        names.iter().find_map(|name| usage.get(name)).and_then(Value::as_u64).unwrap_or_default()
    };
    let usage = match (answer.and_then(|answer| answer.get("usage")), body.get("messages")) {
        (Some(usage), _) => Usage {
            input: count(usage, ["prompt_tokens", "input_tokens"]),
            output: count(usage, ["completion_tokens", "output_tokens"]),
            cache_read: usage
                .pointer("/prompt_tokens_details/cached_tokens")
                .and_then(Value::as_u64)
                .unwrap_or_default(),
            ..Usage::default()
        },
        (None, Some(messages)) => {
            let request = json!({"model": model, "messages": messages}).to_string();
            Usage {
                input: crate::routes::count_tokens(&asker.snapshot, model, &request)?,
                ..Usage::default()
            }
        }
        (None, None) => {
            return Err(
                Problem::field("messages", "give `messages`, or `completion_response` with `usage`").into()
            );
        }
    };
    let served = first_served(&asker, model)?;
    Ok(Json(json!({"cost": priced(&served, model, &usage)?})))
}

/// What requests of a size cost, and so many of them a day and a month.
async fn estimate(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.body(&bytes)?;
    let model = body.text("model").unwrap_or_default();
    let count = |name: &str| body.count(name).unwrap_or_default();
    let (input, output) = (count("input_tokens"), count("output_tokens"));
    let served = first_served(&asker, model)?;
    let cost = |usage: Usage| priced(&served, model, &usage);
    let parts = [
        cost(Usage { input, output, ..Usage::default() })?,
        cost(Usage { input, ..Usage::default() })?,
        cost(Usage { output, ..Usage::default() })?,
    ];
    let times = |name: &str, part: usize| {
        let requests = i64::try_from(body.count(name)?).unwrap_or(i64::MAX);
        Some(NanoUsd(parts.get(part)?.0.saturating_mul(requests)))
    };
    let [all, of_input, of_output] = &parts;
    Ok(Json(json!({
        "model": model,
        "provider": served.deployment.provider,
        "input_tokens": input,
        "output_tokens": output,
        "num_requests_per_day": body.count("num_requests_per_day"),
        "num_requests_per_month": body.count("num_requests_per_month"),
        "cost_per_request": all,
        "input_cost_per_request": of_input,
        "output_cost_per_request": of_output,
        "margin_cost_per_request": 0.0,
        "daily_cost": times("num_requests_per_day", 0),
        "daily_input_cost": times("num_requests_per_day", 1),
        "daily_output_cost": times("num_requests_per_day", 2),
        "monthly_cost": times("num_requests_per_month", 0),
        "monthly_input_cost": times("num_requests_per_month", 1),
        "monthly_output_cost": times("num_requests_per_month", 2),
        "input_cost_per_token": served.info.get("input_cost_per_token"),
        "output_cost_per_token": served.info.get("output_cost_per_token"),
    })))
}

/// The first deployment of a model.
fn first_served(asker: &Asker, model: &str) -> Result<Arc<Served>, Refusal> {
    let group = asker.snapshot.group(model);
    let served = group.as_ref().and_then(|group| group.members.first());
    served.cloned().ok_or_else(|| unpriced(model))
}

fn priced(served: &Served, model: &str, usage: &Usage) -> Result<NanoUsd, Refusal> {
    served.cost(usage).map(|cost| cost.total()).ok_or_else(|| unpriced(model))
}

fn unpriced(model: &str) -> Refusal {
    Problem::field("model", format!("the price of model `{model}` is not known to this gateway")).into()
}

/// A day as LiteLLM's charts name it: `Nov 21`.
pub(super) fn short_day(day: Day) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, month, date) = day.date();
    let name = usize::try_from(month - 1).ok().and_then(|at| MONTHS.get(at)).copied().unwrap_or_default();
    format!("{name} {date:02}")
}

/// The beginning of a day.
pub(super) fn day_start(day: Day) -> String {
    moment::iso(day.start())
}
