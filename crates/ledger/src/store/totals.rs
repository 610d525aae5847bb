//! Daily sums over all keys: what reports read that tell nothing about keys.
//!
//! The database keeps them in step with the daily sums, whoever adds to those: see the migration `0006`. SQLite does that
//! row by row, so who books there does it himself. What was booked before there were totals is added up by
//! [`Store::fill_totals`], a day at a time, the newest first; reports of earlier days read the daily sums meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::booking::{DailyName, Sums};
use super::postgres::ADDING_SUMS;
use super::session::Session;
use super::sql::{Insert, Sql, Value};
use super::{Store, StoreError};
use crate::rules::time::Day;

/// The kinds that daily sums are kept of. Totals are kept of all but the last, whose sums are of one key anyway.
pub(super) const KINDS: [&str; 7] = ["gateway", "organization", "team", "user", "customer", "tag", "key"];

/// Earlier than any day of a row: from here on there is nothing left to add up.
const ALWAYS: Day = Day(-1_000_000);

/// Days that are added up in one round.
const DAYS_AT_ONCE: u32 = 100;

impl Store {
    /// Whether totals tell all of what was booked on a day and after it.
    pub(super) fn has_totals_from(&self, day: Day) -> bool {
        self.totals_from.load(Ordering::Relaxed) <= day.0
    }

    /// Looks up from when on totals are complete. That day only ever becomes earlier, so who looked long ago is right
    /// and slow.
    pub(super) async fn look_up_totals(&self) -> Result<Day, StoreError> {
        let from = totals_from(&mut self.reader().await?).await?;
        self.totals_from.store(from.0, Ordering::Relaxed);
        Ok(from)
    }

    /// Adds up what was booked before there were totals, some days of it, and tells whether there is more.
    ///
    /// # Errors
    /// The database's; the days that were done stay done.
    pub async fn fill_totals(&self) -> Result<bool, StoreError> {
        for _ in 0..DAYS_AT_ONCE {
            if self.look_up_totals().await? <= ALWAYS {
                return Ok(false);
            }
            self.fill_day().await?;
        }
        Ok(self.look_up_totals().await? > ALWAYS)
    }

    /// Adds up the newest day whose totals are not complete. Nobody books meanwhile, so that nothing is missed and
    /// nothing counts twice.
    async fn fill_day(&self) -> Result<(), StoreError> {
        let mut transaction = self.transaction().await?;
        if transaction.is_postgres() {
            Sql::new(ADDING_SUMS).execute(&mut transaction).await?;
        }
        let from = totals_from(&mut transaction).await?;
        let newest: Option<i64> = Sql::new("SELECT MAX(day) FROM daily_spend WHERE day < $1")
            .bind(from.0)
            .one(&mut transaction)
            .await?;
        if let Some(day) = newest {
            for kind in KINDS {
                Sql::new("DELETE FROM daily_totals WHERE kind = $1 AND day = $2")
                    .bind(kind)
                    .bind(day)
                    .execute(&mut transaction)
                    .await?;
            }
            Sql::new(
                "INSERT INTO daily_totals (kind, id, day, model, provider, requests, failed, input_tokens,
                     output_tokens, cache_read_tokens, cache_write_tokens, cost_nano, duration_ms)
                 SELECT kind, id, day, model, provider, SUM(requests), SUM(failed), SUM(input_tokens),
                     SUM(output_tokens), SUM(cache_read_tokens), SUM(cache_write_tokens), SUM(cost_nano),
                     SUM(duration_ms)
                 FROM daily_spend WHERE day = $1 AND kind <> 'key' GROUP BY kind, id, day, model, provider",
            )
            .bind(day)
            .execute(&mut transaction)
            .await?;
        }
        Sql::new("UPDATE facts SET value = $1 WHERE name = 'totals_from'")
            .bind(newest.unwrap_or(ALWAYS.0))
            .execute(&mut transaction)
            .await?;
        transaction.commit().await
    }
}

/// Since when totals are complete.
pub(super) async fn totals_from(session: &mut Session) -> Result<Day, StoreError> {
    let from: Option<i64> =
        Sql::new("SELECT value FROM facts WHERE name = 'totals_from'").optional(session).await?;
    Ok(Day(from.unwrap_or(i64::MAX)))
}

/// Adds to daily sums, and to their totals. `daily` in the order of their names, so that instances never wait for
/// each other in a circle.
pub(super) async fn add(session: &mut Session, daily: &[(DailyName, Sums)]) -> Result<(), StoreError> {
    if session.is_postgres() {
        ADD_DAILY.execute(session, daily, daily_row).await?;
        return Ok(());
    }
    let mut totals: BTreeMap<TotalName<'_>, Sums> = BTreeMap::new();
    for (name, sums) in daily.iter().filter(|(name, _)| name.kind != "key") {
        let DailyName { kind, id, day, key: _, model, provider } = name;
        totals.entry((kind, *day, id, model, provider)).or_default().add(*sums);
    }
    let totals: Vec<(TotalName<'_>, Sums)> = totals.into_iter().collect();
    // Seen by this transaction alone.
    Sql::new("INSERT INTO facts (name, value) VALUES ('adds_totals', 1)").execute(session).await?;
    ADD_DAILY.execute(session, daily, daily_row).await?;
    ADD_TOTALS.execute(session, &totals, total_row).await?;
    Sql::new("DELETE FROM facts WHERE name = 'adds_totals'").execute(session).await?;
    Ok(())
}

/// Names a total: kind, day, id, model, provider.
type TotalName<'n> = (&'n str, Day, &'n str, &'n str, &'n str);

static ADD_DAILY: Insert = Insert::new(
    "INSERT INTO daily_spend (kind, id, day, key_id, model, provider, requests, failed, input_tokens, output_tokens,
     cache_read_tokens, cache_write_tokens, cost_nano, duration_ms)",
    "ON CONFLICT (kind, id, day, key_id, model, provider) DO UPDATE SET
     requests = daily_spend.requests + excluded.requests,
     failed = daily_spend.failed + excluded.failed,
     input_tokens = daily_spend.input_tokens + excluded.input_tokens,
     output_tokens = daily_spend.output_tokens + excluded.output_tokens,
     cache_read_tokens = daily_spend.cache_read_tokens + excluded.cache_read_tokens,
     cache_write_tokens = daily_spend.cache_write_tokens + excluded.cache_write_tokens,
     cost_nano = daily_spend.cost_nano + excluded.cost_nano,
     duration_ms = daily_spend.duration_ms + excluded.duration_ms",
);

fn daily_row((name, sums): &(DailyName, Sums)) -> [Value<'_>; 14] {
    [
        name.kind.into(),
        (&name.id).into(),
        name.day.0.into(),
        (&name.key).into(),
        (&name.model).into(),
        (&name.provider).into(),
        sums.requests.into(),
        sums.failed.into(),
        sums.input.into(),
        sums.output.into(),
        sums.cache_read.into(),
        sums.cache_write.into(),
        sums.cost.into(),
        sums.duration.into(),
    ]
}

static ADD_TOTALS: Insert = Insert::new(
    "INSERT INTO daily_totals (kind, day, id, model, provider, requests, failed, input_tokens, output_tokens,
     cache_read_tokens, cache_write_tokens, cost_nano, duration_ms)",
    "ON CONFLICT (kind, day, id, model, provider) DO UPDATE SET
     requests = daily_totals.requests + excluded.requests,
     failed = daily_totals.failed + excluded.failed,
     input_tokens = daily_totals.input_tokens + excluded.input_tokens,
     output_tokens = daily_totals.output_tokens + excluded.output_tokens,
     cache_read_tokens = daily_totals.cache_read_tokens + excluded.cache_read_tokens,
     cache_write_tokens = daily_totals.cache_write_tokens + excluded.cache_write_tokens,
     cost_nano = daily_totals.cost_nano + excluded.cost_nano,
     duration_ms = daily_totals.duration_ms + excluded.duration_ms",
);

fn total_row<'n>(((kind, day, id, model, provider), sums): &'n (TotalName<'n>, Sums)) -> [Value<'n>; 13] {
    [
        (*kind).into(),
        day.0.into(),
        (*id).into(),
        (*model).into(),
        (*provider).into(),
        sums.requests.into(),
        sums.failed.into(),
        sums.input.into(),
        sums.output.into(),
        sums.cache_read.into(),
        sums.cache_write.into(),
        sums.cost.into(),
        sums.duration.into(),
    ]
}
