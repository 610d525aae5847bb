//! Who uses what: users, requests and spend per tag, from the daily sums of tags.

use std::collections::{BTreeMap, BTreeSet};

use api::activity::Sums;
use api::body::Body;
use api::query::Paging;
use axum::response::Json;
use ledger::rules::entity::User;
use ledger::rules::id::UserId;
use ledger::rules::time::Day;
use ledger::store::{By, DailySum, SumQuery};
use serde_json::{Value, json};

use super::Answer;
use super::asker::Asker;
use super::spend::days;
use crate::refusal::Refusal;

/// The spans that are looked at: the newest and those before it.
const SPANS: i64 = 7;
/// Who used a tag is known by their keys.
const KEYS_OF_TAGS: By = By { key: true, ..By::ID };

/// The sums of the tags that a query names, of all where it names none.
async fn sums(
    asker: &Asker,
    query: &Body,
    from: Day,
    until: Day,
    by: By,
) -> Result<Vec<(String, DailySum)>, Refusal> {
    asker.bring_up_to_date().await;
    let named: BTreeSet<String> = ["tag_filter", "tag_filters"]
        .into_iter()
        .filter_map(|field| query.text(field))
        .flat_map(|tags| tags.split(',').map(|tag| tag.trim().to_owned()))
        .collect();
    let ids = (!named.is_empty()).then_some(named);
    let wanted = SumQuery { ids, ..SumQuery::of_kind("tag", from, until) };
    Ok(asker.store().sums(&wanted.by(by)).await?)
}

/// Whose keys these are; a key of nobody stands for itself.
async fn users(asker: &Asker, sums: &[(String, DailySum)]) -> Result<BTreeMap<String, String>, Refusal> {
    let users = asker.users_of(sums).await?;
    let named = |(key, user): (String, Option<UserId>)| {
        let name = user.map_or_else(|| key.clone(), |user| user.to_string());
        (key, name)
    };
    Ok(users.into_iter().map(named).collect())
}

/// How many users each tag had on a day, in a week, in 30 days.
pub(super) async fn active(asker: Asker) -> Answer {
    let query = asker.query()?;
    let span = match asker.route.path {
        "/tag/dau" => 1,
        "/tag/wau" => 7,
        _ => 30,
    };
    let today = asker.now.day();
    let first = Day(today.0 - SPANS * span + 1);
    let sums = sums(&asker, &query, first, today, By { day: true, ..KEYS_OF_TAGS }).await?;
    let users = users(&asker, &sums).await?;
    let mut active: BTreeMap<(i64, &str), BTreeSet<&str>> = BTreeMap::new();
    for (tag, sum) in &sums {
        let number = (sum.day.0 - first.0).div_euclid(span);
        active.entry((number, tag)).or_default().extend(users.get(&sum.key).map(String::as_str));
    }
    let rows = active.iter().rev().map(|((number, tag), users)| {
        let begins = Day(first.0 + number * span);
        let ends = Day(begins.0 + span - 1);
        json!({
            "tag": tag, "active_users": users.len(), "date": ends.to_string(),
            "period_start": begins.to_string(), "period_end": ends.to_string(),
        })
    });
    Ok(Json(json!({"results": rows.collect::<Vec<_>>()})))
}

/// Tags by what was spent under them, with how many used them.
pub(super) async fn summary(asker: Asker) -> Answer {
    let query = asker.query()?;
    let (from, until) = days(&query, asker.now, None)?;
    let sums = sums(&asker, &query, from, until, KEYS_OF_TAGS).await?;
    let users = users(&asker, &sums).await?;
    let mut tags: BTreeMap<&str, (Sums, BTreeSet<&str>)> = BTreeMap::new();
    for (tag, sum) in &sums {
        let (all, own) = tags.entry(tag).or_default();
        all.add(sum);
        own.extend(users.get(&sum.key).map(String::as_str));
    }
    let mut tags: Vec<_> = tags.into_iter().collect();
    tags.sort_by_key(|(_, (all, _))| std::cmp::Reverse(all.spend));
    let rows = tags.iter().map(|(tag, (all, users))| {
        json!({
            "tag": tag, "unique_users": users.len(), "total_requests": all.requests,
            "successful_requests": all.requests - all.failed, "failed_requests": all.failed,
            "total_tokens": all.tokens(), "total_spend": all.spend,
        })
    });
    Ok(Json(json!({"results": rows.collect::<Vec<_>>()})))
}

/// Users and tags by what was spent.
pub(super) async fn per_user(asker: Asker) -> Answer {
    let query = asker.query()?;
    let paging = Paging::of(&query, "page_size", 50)?;
    let today = asker.now.day();
    let sums = sums(&asker, &query, Day(today.0 - 30), today, KEYS_OF_TAGS).await?;
    let users = users(&asker, &sums).await?;
    let mut pairs: BTreeMap<(&str, &str), Sums> = BTreeMap::new();
    for (tag, sum) in &sums {
        let user = users.get(&sum.key).map_or(sum.key.as_str(), String::as_str);
        pairs.entry((user, tag)).or_default().add(sum);
    }
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.spend));
    let total = i64::try_from(pairs.len()).unwrap_or(i64::MAX);
    let mut rows: Vec<Value> = Vec::new();
    for ((user, tag), sums) in paging.cut(pairs) {
        let email = asker.store().get::<User>(user).await?.and_then(|stored| stored.record.email);
        rows.push(json!({
            "user_id": user, "user_email": email, "user_agent": tag, "spend": sums.spend,
            "total_requests": sums.requests, "successful_requests": sums.requests - sums.failed,
            "failed_requests": sums.failed, "total_tokens": sums.tokens(),
        }));
    }
    Ok(Json(json!({
        "results": rows, "total_count": total, "page": paging.page, "page_size": paging.size,
        "total_pages": paging.pages(total),
    })))
}
