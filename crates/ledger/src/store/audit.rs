//! Do all sums agree with the rows?

use std::collections::BTreeMap;
use std::fmt;

use super::booking::{DailyName, Sums, daily_names, daily_sums};
use super::session::Session;
use super::sql::{Read, Row, Sql};
use super::totals::{KINDS, totals_from};
use super::{Store, StoreError};
use crate::booking::Booking;
use crate::rules::time::{Day, Timestamp};

/// Rows that are in memory at the same time.
const ROWS_AT_ONCE: i64 = 10_000;

/// Two figures that should be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrepancy {
    /// What is summed: `daily team red on 2026-11-21 (key …, model …, provider …)`.
    pub what: String,
    /// What the rows, or the sums below, say.
    pub expected: String,
    /// What is stored.
    pub found: String,
}

impl fmt::Display for Discrepancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, expected, found } = self;
        write!(f, "{what}: expected {expected}, found {found}")
    }
}

impl Store {
    /// Compares all sums: each day's rows with its daily sums, for every key, team, user, organization, customer and
    /// tag; the daily sums with their totals over all keys; and with spend for good. Days whose rows were deleted are compared in the second way only.
    /// Holds one day of sums in memory.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit(&self) -> Result<Vec<Discrepancy>, StoreError> {
        // One snapshot for all questions, so that bookings that arrive meanwhile do not look like mistakes.
        let mut snapshot = self.snapshot().await?;
        let mut found = Vec::new();
        let kept_from: Option<i64> =
            Sql::new("SELECT value FROM facts WHERE name = 'rows_kept_from'").optional(&mut snapshot).await?;
        let kept_from = kept_from.unwrap_or(i64::MIN);
        let mut days: Vec<i64> = Sql::new("SELECT DISTINCT day FROM daily_spend WHERE day >= $1")
            .bind(kept_from)
            .all(&mut snapshot)
            .await?;
        // Days of rows without any sum.
        let mut next: i64 = Day(kept_from).start().0;
        loop {
            let row: Option<i64> = Sql::new("SELECT MIN(started_at) FROM spend WHERE started_at >= $1")
                .bind(next)
                .one(&mut snapshot)
                .await?;
            let Some(row) = row else { break };
            let day = Timestamp(row).day();
            days.push(day.0);
            next = Day(day.0.saturating_add(1)).start().0;
        }
        days.sort_unstable();
        days.dedup();
        for day in days.into_iter().map(Day) {
            audit_day(&mut snapshot, day, &mut found).await?;
        }
        audit_daily_totals(&mut snapshot, &mut found).await?;
        audit_totals(&mut snapshot, &mut found).await?;
        Ok(found)
    }
}

async fn audit_day(session: &mut Session, day: Day, found: &mut Vec<Discrepancy>) -> Result<(), StoreError> {
    let mut expected: BTreeMap<DailyName, Sums> = BTreeMap::new();
    let end = Day(day.0.saturating_add(1)).start();
    let (mut at, mut after) = (day.start(), String::new());
    loop {
        let rows: Vec<Booking> = Sql::new(
            "SELECT * FROM spend WHERE started_at >= $1 AND started_at < $2
                 AND (started_at > $1 OR request_id > $3) ORDER BY started_at, request_id LIMIT $4",
        )
        .bind(at.0)
        .bind(end.0)
        .bind(&after)
        .bind(ROWS_AT_ONCE)
        .all(session)
        .await?;
        let Some(last) = rows.last() else { break };
        (at, after) = (last.started_at, last.request.to_string());
        for booking in &rows {
            for name in daily_names(booking) {
                expected.entry(name).or_default().add(daily_sums(booking));
            }
        }
    }
    let stored: Vec<(DailyName, Sums)> =
        Sql::new("SELECT * FROM daily_spend WHERE day = $1").bind(day.0).all(session).await?;
    for (name, sums) in stored {
        compare(&name, expected.remove(&name).unwrap_or_default(), sums, found);
    }
    for (name, sums) in expected {
        compare(&name, sums, Sums::default(), found);
    }
    Ok(())
}

impl Read for (DailyName, Sums) {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        let kind: String = row.get("kind")?;
        let name = DailyName {
            kind: KINDS.into_iter().find(|known| *known == kind).unwrap_or("unknown"),
            id: row.get("id")?,
            day: Day(row.get("day")?),
            key: row.get("key_id")?,
            model: row.get("model")?,
            provider: row.get("provider")?,
        };
        let sums = Sums {
            requests: row.get("requests")?,
            failed: row.get("failed")?,
            input: row.get("input_tokens")?,
            output: row.get("output_tokens")?,
            cache_read: row.get("cache_read_tokens")?,
            cache_write: row.get("cache_write_tokens")?,
            cost: row.get("cost_nano")?,
            duration: row.get("duration_ms")?,
        };
        Ok((name, sums))
    }
}

fn compare(name: &DailyName, expected: Sums, stored: Sums, found: &mut Vec<Discrepancy>) {
    if expected == stored {
        return;
    }
    let DailyName { kind, id, day, key, model, provider } = name;
    found.push(Discrepancy {
        what: format!("daily {kind} `{id}` on {day} (key `{key}`, model `{model}`, provider `{provider}`)"),
        expected: format!("{expected:?}"),
        found: format!("{stored:?}"),
    });
}

/// Totals are the sums over all keys.
async fn audit_daily_totals(session: &mut Session, found: &mut Vec<Discrepancy>) -> Result<(), StoreError> {
    let from = totals_from(session).await?;
    let differing: Vec<(DailyName, Sums)> = Sql::new(
        "SELECT s.kind, s.id, s.day, CAST('' AS TEXT) AS key_id, s.model, s.provider,
             CAST(SUM(s.requests) AS BIGINT) AS requests, CAST(SUM(s.failed) AS BIGINT) AS failed,
             CAST(SUM(s.input_tokens) AS BIGINT) AS input_tokens,
             CAST(SUM(s.output_tokens) AS BIGINT) AS output_tokens,
             CAST(SUM(s.cache_read_tokens) AS BIGINT) AS cache_read_tokens,
             CAST(SUM(s.cache_write_tokens) AS BIGINT) AS cache_write_tokens,
             CAST(SUM(s.cost_nano) AS BIGINT) AS cost_nano, CAST(SUM(s.duration_ms) AS BIGINT) AS duration_ms
         FROM (
             SELECT kind, id, day, model, provider, requests, failed, input_tokens, output_tokens,
                 cache_read_tokens, cache_write_tokens, cost_nano, duration_ms
             FROM daily_totals WHERE day >= $1
             UNION ALL
             SELECT kind, id, day, model, provider, -requests, -failed, -input_tokens, -output_tokens,
                 -cache_read_tokens, -cache_write_tokens, -cost_nano, -duration_ms
             FROM daily_spend WHERE day >= $1 AND kind <> 'key'
         ) s GROUP BY s.kind, s.id, s.day, s.model, s.provider
         HAVING SUM(s.requests) <> 0 OR SUM(s.failed) <> 0 OR SUM(s.input_tokens) <> 0
             OR SUM(s.output_tokens) <> 0 OR SUM(s.cache_read_tokens) <> 0 OR SUM(s.cache_write_tokens) <> 0
             OR SUM(s.cost_nano) <> 0 OR SUM(s.duration_ms) <> 0",
    )
    .bind(from.0)
    .all(session)
    .await?;
    found.extend(differing.into_iter().map(|(DailyName { kind, id, day, model, provider, .. }, more)| {
        Discrepancy {
            what: format!("total of {kind} `{id}` on {day} (model `{model}`, provider `{provider}`)"),
            expected: "the sum over all keys".to_owned(),
            found: format!("that and {more:?}"),
        }
    }));
    Ok(())
}

/// Spend for good is the sum of the days, and what administrators set.
async fn audit_totals(session: &mut Session, found: &mut Vec<Discrepancy>) -> Result<(), StoreError> {
    let rows: Vec<(String, String, i64, i64)> = Sql::new(
        "SELECT s.kind, s.id, CAST(SUM(s.days) AS BIGINT), CAST(SUM(s.total) AS BIGINT) FROM (
             SELECT kind, id, SUM(cost_nano) AS days, 0 AS total FROM daily_spend GROUP BY kind, id
             UNION ALL
             SELECT kind, id, 0 AS days, spend_nano - adjusted_nano AS total FROM window_spend
             WHERE model = '' AND period = ''
                 AND kind NOT IN ('member', 'provider', 'deployment', 'model', 'access_group')
         ) s GROUP BY s.kind, s.id HAVING SUM(s.days) <> SUM(s.total)",
    )
    .all(session)
    .await?;
    found.extend(rows.into_iter().map(|(kind, id, days, total)| Discrepancy {
        what: format!("all spend of {kind} `{id}`, in nano-dollars"),
        expected: days.to_string(),
        found: total.to_string(),
    }));
    Ok(())
}
