//! What was spent, and who changed what.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use api::moment;
use catalog::NanoUsd;
use ledger::rules::time::{Day, Timestamp};
use serde_json::{Value, json};

use crate::args::{By, ChangesArgs, ReportArgs};
use crate::output::{self, Failure};
use crate::remote::{Remote, block_on};
use crate::table;

/// A line of a report: what it is by, requests, tokens, cost.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    requests: i64,
    failed: i64,
    tokens: i64,
    spend: NanoUsd,
}

pub(crate) fn run(args: &ReportArgs) -> Result<(), Failure> {
    let from = since(&args.since, today())?;
    let path = format!("{}?start_date={from}", activity_of(&args.by)?);
    let remote = Remote::new(&args.remote);
    let answer = block_on(async { remote.get(&path).await })??;
    let sums = sums(&answer, &args.by);
    if args.json {
        let rows = sums.iter().map(|(names, sums)| {
            let names = args.by.iter().zip(names).map(|(by, name)| (title(*by).to_owned(), json!(name)));
            let mut row: serde_json::Map<String, Value> = names.collect();
            row.insert("requests".to_owned(), json!(sums.requests));
            row.insert("failed".to_owned(), json!(sums.failed));
            row.insert("tokens".to_owned(), json!(sums.tokens));
            row.insert("spend".to_owned(), json!(sums.spend));
            Value::Object(row)
        });
        output::line(&Value::Array(rows.collect()).to_string());
        return Ok(());
    }
    for line in lines(&args.by, &sums) {
        output::line(&line);
    }
    Ok(())
}

fn today() -> Day {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)).day()
}

/// `7d` ago, or a date.
fn since(text: &str, today: Day) -> Result<Day, Failure> {
    if let Some(days) =
        text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok()).filter(|days| *days < 36_500)
    {
        return Ok(Day(today.0 - days));
    }
    moment::day(text).ok_or_else(|| {
        Failure::new(format!(
            "`{text}` is neither a number of days such as `7d` nor a date such as `2026-11-21`"
        ))
    })
}

/// Which sums have what is asked for. Two kinds of owners in one report would need sums of their own.
fn activity_of(by: &[By]) -> Result<&'static str, Failure> {
    let owners: Vec<By> =
        by.iter().copied().filter(|by| !matches!(by, By::Key | By::Model | By::Provider | By::Day)).collect();
    match owners.as_slice() {
        [] => Ok("/gateway/daily/activity/export"),
        [By::Team] => Ok("/team/daily/activity/export"),
        [By::User] => Ok("/user/daily/activity/export"),
        [By::Organization] => Ok("/organization/daily/activity/export"),
        [By::Customer] => Ok("/customer/daily/activity/export"),
        [By::Tag] => Ok("/tag/daily/activity/export"),
        _ => Err(Failure::new(
            "a report is by one of team, user, organization, customer and tag, and by model, key, provider and day",
        )),
    }
}

fn title(by: By) -> &'static str {
    match by {
        By::Team => "team",
        By::Key => "key",
        By::User => "user",
        By::Organization => "organization",
        By::Customer => "customer",
        By::Tag => "tag",
        By::Model => "model",
        By::Provider => "provider",
        By::Day => "day",
    }
}

/// Sums the answer's rows by what is asked for.
fn sums(answer: &Value, by: &[By]) -> BTreeMap<Vec<String>, Sums> {
    let mut all: BTreeMap<Vec<String>, Sums> = BTreeMap::new();
    for row in answer.as_array().into_iter().flatten() {
        let text = |field: &str| row.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let names = by.iter().map(|by| match by {
            By::Key => named(row, "api_key", "key_alias"),
            By::Model => text("model"),
            By::Provider => text("provider"),
            By::Day => text("date"),
            By::Team | By::User | By::Organization | By::Customer | By::Tag => {
                named(row, "entity", "entity_alias")
            }
        });
        let count = |field: &str| row.get(field).and_then(Value::as_i64).unwrap_or_default();
        let spend = row.get("spend").and_then(|spend| api::field::amount(spend).ok()).unwrap_or_default();
        let sums = all.entry(names.collect()).or_default();
        sums.requests += count("api_requests");
        sums.failed += count("failed_requests");
        sums.tokens += count("total_tokens");
        sums.spend = sums.spend.saturating_add(spend);
    }
    all
}

/// What people call it, else its id; ids of keys are long, and their beginning tells them apart.
fn named(row: &Value, id: &str, alias: &str) -> String {
    let text = |field: &str| row.get(field).and_then(Value::as_str);
    let id = text(id).unwrap_or_default();
    text(alias).map_or_else(
        || if id.len() == 64 { id.chars().take(12).collect() } else { id.to_owned() },
        str::to_owned,
    )
}

fn lines(by: &[By], sums: &BTreeMap<Vec<String>, Sums>) -> Vec<String> {
    let header = by.iter().map(|by| title(*by).to_owned());
    let header = header.chain(["requests", "failed", "tokens", "USD"].map(str::to_owned)).collect();
    let mut rows: Vec<Vec<String>> = vec![header];
    let mut sorted: Vec<_> = sums.iter().collect();
    sorted.sort_by_key(|(names, sums)| (std::cmp::Reverse(sums.spend), (*names).clone()));
    let mut total = Sums::default();
    for (names, sums) in sorted {
        let names = names.iter().map(|name| if name.is_empty() { "–".to_owned() } else { name.clone() });
        rows.push(names.chain(figures(sums)).collect());
        total.requests += sums.requests;
        total.failed += sums.failed;
        total.tokens += sums.tokens;
        total.spend = total.spend.saturating_add(sums.spend);
    }
    let blank = by.iter().enumerate().map(|(at, _)| if at == 0 { "all".to_owned() } else { String::new() });
    rows.push(blank.chain(figures(&total)).collect());
    table::lines(&rows)
}

fn figures(sums: &Sums) -> [String; 4] {
    [sums.requests.to_string(), sums.failed.to_string(), sums.tokens.to_string(), sums.spend.to_string()]
}

/// The log of changes.
pub(crate) fn changes(args: &ChangesArgs) -> Result<(), Failure> {
    let object = args.object.as_deref().map(|id| {
        let id = percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC);
        format!("&object_id={id}")
    });
    let path = format!("/audit?page_size={}{}", args.limit, object.unwrap_or_default());
    let remote = Remote::new(&args.remote);
    let answer = block_on(async { remote.get(&path).await })??;
    let changes = answer.get("audit_logs").and_then(Value::as_array).cloned().unwrap_or_default();
    if args.json {
        output::line(&Value::Array(changes).to_string());
        return Ok(());
    }
    const COLUMNS: [&str; 5] = ["updated_at", "changed_by", "action", "table_name", "object_id"];
    let mut rows: Vec<Vec<String>> = vec![["when", "who", "what", "of", "id"].map(str::to_owned).to_vec()];
    rows.extend(changes.iter().map(|change| {
        let cell = |column: &&str| change.get(*column).and_then(Value::as_str).unwrap_or("–").to_owned();
        COLUMNS.iter().map(cell).collect()
    }));
    for line in table::lines(&rows) {
        output::line(&line);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_summed_by_what_is_asked_for_the_dearest_first() {
        let row = |team: &str, model: &str, spend: f64| {
            json!({"entity": "t1", "entity_alias": team, "model": model, "spend": spend, "api_requests": 1,
                   "failed_requests": 0, "total_tokens": 10})
        };
        let answer = json!([row("red", "o3", 0.1), row("red", "o3", 0.2), row("blue", "gpt-4o", 1.0)]);
        let by = [By::Team, By::Model];
        let shown = lines(&by, &sums(&answer, &by));
        assert_eq!(
            shown,
            [
                "team  model   requests  failed  tokens  USD",
                "blue  gpt-4o  1         0       10      1.0",
                "red   o3      2         0       20      0.3",
                "all           3         0       30      1.3",
            ]
        );
    }

    #[test]
    fn since_is_days_or_a_date() {
        let today = moment::day("2026-11-21").unwrap();
        assert_eq!(since("7d", today).unwrap().to_string(), "2026-11-14");
        assert_eq!(since("2026-01-02", today).unwrap().to_string(), "2026-01-02");
        assert!(since("last week", today).is_err());
        assert!(activity_of(&[By::Team, By::User]).is_err());
    }
}
