//! How requests went, from the log: what the cache answered, and how fast deployments answered and how often they failed.
//! Series are named by the deployments' ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::body::{Body, parse_id};
use axum::Router;
use axum::response::Json;
use axum::routing::get;
use dialects::ErrorClass;
use ledger::rules::entity::Key;
use ledger::rules::time::{Day, Timestamp};
use ledger::store::{Answers, LogFilter};
use serde_json::{Value, json};

use super::Answer;
use super::asker::Asker;
use super::reports::key_id;
use super::spend::{days, short_day};
use crate::Gateway;
use crate::refusal::Refusal;

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/global/activity/cache_hits", get(cache_hits))
        .route("/global/activity/exceptions", get(rate_limits))
        .route("/global/activity/exceptions/deployment", get(rate_limits_of_deployments))
        .route("/model/metrics", get(latencies))
        .route("/model/streaming_metrics", get(first_tokens))
        .route("/model/metrics/slow_responses", get(slow))
        .route("/model/metrics/exceptions", get(exceptions))
}

/// What is looked at where nobody names days.
const WEEK: i64 = 7;
/// The status of a provider that throttles.
const THROTTLED: i64 = 429;
const SERVED: i64 = 200;

/// What the cache answered, by key and model.
async fn cache_hits(asker: Asker) -> Answer {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let (from, until) = days(&query, asker.now, Some(WEEK))?;
    let filter = whole_days(from, until);
    let sums = asker.store().cache_use(&filter).await?;
    let keys = asker.store().known::<Key>(&sums.iter().map(|sum| sum.key.clone()).collect()).await?;
    let (names, models) = (wanted(&query, "key_aliases"), wanted(&query, "models"));
    let rows = sums.into_iter().filter_map(|sum| {
        let alias = keys.get(&sum.key).and_then(|key| key.details.alias.as_deref());
        let alias = alias.unwrap_or("Unnamed Key");
        let fits = |list: &Option<BTreeSet<&str>>, name| list.as_ref().is_none_or(|list| list.contains(name));
        if !fits(&names, alias) || !fits(&models, &sum.model) {
            return None;
        }
        Some(json!({
            "api_key": alias,
            "call_type": sum.call_type,
            "model": sum.model,
            "total_rows": sum.requests,
            "cache_hit_true_rows": sum.hits,
            "cached_completion_tokens": sum.cached_output,
            "generated_completion_tokens": sum.generated_output,
        }))
    });
    Ok(Json(rows.collect()))
}

/// The names of a list, if there is one.
fn wanted<'q>(query: &'q Body, field: &str) -> Option<BTreeSet<&'q str>> {
    query.text(field).map(|names| names.split(',').map(str::trim).collect())
}

/// All requests that began on these days.
fn whole_days(from: Day, until: Day) -> LogFilter {
    let end = Day(until.0.saturating_add(1)).start();
    LogFilter { from: Some(from.start()), until: Some(end), ..LogFilter::default() }
}

/// Failures for which a provider's limits were the reason, per day.
async fn rate_limits(asker: Asker) -> Answer {
    let throttled = throttled(&asker).await?;
    Ok(Json(throttled_row(&throttled)))
}

async fn rate_limits_of_deployments(asker: Asker) -> Answer {
    let mut deployments: BTreeMap<Arc<str>, Vec<Answers>> = BTreeMap::new();
    for answers in throttled(&asker).await? {
        deployments.entry(Arc::clone(&answers.deployment)).or_default().push(answers);
    }
    let rows = deployments.into_iter().map(|(id, own)| {
        let mut row = throttled_row(&own);
        row["deployment"] = json!(id);
        row["api_base"] = json!(base_of(&asker, &id));
        row
    });
    Ok(Json(rows.collect()))
}

async fn throttled(asker: &Asker) -> Result<Vec<Answers>, Refusal> {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let (from, until) = days(&query, asker.now, Some(WEEK))?;
    let group = query.text("model_group").unwrap_or_default();
    let mut answers = asker.store().answers(&whole_days(from, until), i64::MAX).await?;
    answers.retain(|answers| &*answers.group == group && answers.status == THROTTLED);
    Ok(answers)
}

fn throttled_row(answers: &[Answers]) -> Value {
    let mut per_day: BTreeMap<Day, i64> = BTreeMap::new();
    for answers in answers {
        *per_day.entry(answers.day).or_default() += answers.requests;
    }
    let sum: i64 = per_day.values().sum();
    let rows = per_day
        .iter()
        .map(|(day, count)| json!({"date": short_day(*day), "num_rate_limit_exceptions": count}));
    json!({"daily_data": rows.collect::<Vec<_>>(), "sum_num_rate_limit_exceptions": sum})
}

/// The answers that a query of `/model/…` is about.
async fn answers(asker: &Asker) -> Result<Vec<Answers>, Refusal> {
    let query = asker.query()?;
    asker.bring_up_to_date().await;
    let key = match query.text("api_key") {
        Some(text) => Some(parse_id("api_key", &key_id(asker, text).await?)?),
        None => None,
    };
    let until = query.moment("endTime").unwrap_or(asker.now).day();
    let from = query.moment("startTime").map_or(Day(until.0 - WEEK), Timestamp::day);
    let filter = LogFilter { key, customer: query.id("customer")?.set(), ..whole_days(from, until) };
    let slow_ms = asker
        .snapshot
        .alerts
        .slow_after
        .map_or(i64::MAX, |after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX));
    let mut answers = asker.store().answers(&filter, slow_ms).await?;
    if let Some(group) = query.text("_selected_model_group") {
        answers.retain(|answers| &*answers.group == group);
    }
    Ok(answers)
}

fn base_of(asker: &Asker, id: &str) -> Option<String> {
    let served = asker.snapshot.members().find(|served| *served.deployment.id == *id)?;
    Some(served.deployment.shown_base.clone())
}

/// Seconds per token of the answers, per day and deployment.
async fn latencies(asker: Asker) -> Answer {
    Ok(Json(series(&answers(&asker).await?, |answers| (answers.duration_ms, answers.output_tokens))))
}

/// Seconds to the first token of streams, per day and deployment.
async fn first_tokens(asker: Asker) -> Answer {
    Ok(Json(series(&answers(&asker).await?, |answers| (answers.first_token_ms, answers.streamed))))
}

/// A quotient per day and deployment, of milliseconds by a number.
fn series(answers: &[Answers], parts: impl Fn(&Answers) -> (i64, i64)) -> Value {
    let mut per_day: BTreeMap<Day, BTreeMap<&str, (i64, i64)>> = BTreeMap::new();
    for answers in answers.iter().filter(|answers| answers.status == SERVED) {
        let (milliseconds, count) = parts(answers);
        if count > 0 {
            let sum = per_day.entry(answers.day).or_default().entry(&answers.deployment).or_default();
            *sum = (sum.0.saturating_add(milliseconds), sum.1.saturating_add(count));
        }
    }
    let deployments: BTreeSet<&str> = per_day.values().flat_map(BTreeMap::keys).copied().collect();
    let rows = per_day.iter().map(|(day, of_day)| {
        let mut row = json!({"date": day.to_string()});
        for (deployment, (milliseconds, count)) in of_day {
            row[*deployment] = json!(*milliseconds as f64 / 1000.0 / *count as f64);
        }
        row
    });
    json!({"data": rows.collect::<Vec<_>>(), "all_api_bases": deployments})
}

/// Answers that took longer than `alerting_threshold`, of all, by deployment.
async fn slow(asker: Asker) -> Answer {
    let mut counts: BTreeMap<Arc<str>, (i64, i64)> = BTreeMap::new();
    for answers in answers(&asker).await? {
        let (all, slow) = counts.entry(answers.deployment).or_default();
        *all = all.saturating_add(answers.requests);
        *slow = slow.saturating_add(answers.slow);
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, (_, slow))| std::cmp::Reverse(*slow));
    let rows = counts.into_iter().map(|(id, (all, slow))| {
        json!({"api_base": base_of(&asker, &id), "model_id": id, "total_count": all, "slow_count": slow})
    });
    Ok(Json(rows.collect()))
}

/// Failures by deployment and LiteLLM's class of error.
async fn exceptions(asker: Asker) -> Answer {
    let mut kinds: BTreeSet<&'static str> = BTreeSet::new();
    let mut deployments: BTreeMap<Arc<str>, BTreeMap<&'static str, i64>> = BTreeMap::new();
    for answers in answers(&asker).await?.iter().filter(|answers| answers.status != SERVED) {
        let class = ErrorClass::from_status(u16::try_from(answers.status).unwrap_or(500)).exception_name();
        kinds.insert(class);
        let count = deployments.entry(Arc::clone(&answers.deployment)).or_default().entry(class).or_default();
        *count = count.saturating_add(answers.requests);
    }
    let rows = deployments.into_iter().map(|(id, counts)| {
        let mut row = json!(counts);
        row["model"] = json!(id);
        row["api_base"] = json!(base_of(&asker, &id));
        row
    });
    Ok(Json(json!({"data": rows.collect::<Vec<_>>(), "exception_types": kinds})))
}
