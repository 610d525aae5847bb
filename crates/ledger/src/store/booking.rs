//! Spend: rows, daily sums and budget windows, in one transaction.

use std::collections::BTreeMap;

use catalog::NanoUsd;
use sqlx::QueryBuilder;
use sqlx::sqlite::{Sqlite, SqliteConnection};

use super::{Store, StoreError};
use crate::booking::{Booking, Tokens};
use crate::rules::account::Account;
use crate::rules::id::{CustomerId, OrganizationId, TeamId, UserId};
use crate::rules::ledger::Opening;
use crate::rules::period::Period;
use crate::rules::time::{Day, Timestamp};

/// Rows per statement: 26 columns each, and SQLite takes 32,766 parameters.
const ROWS_PER_STATEMENT: usize = 64;
const SUMS_PER_STATEMENT: usize = 64;

/// What came of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Booked {
    pub new: usize,
    /// Booked before: nothing was added.
    pub known: usize,
}

/// Names a daily sum.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DailyName {
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) day: Day,
    pub(super) key: String,
    pub(super) model: String,
    pub(super) provider: String,
}

/// What is summed per day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) requests: i64,
    pub(super) failed: i64,
    pub(super) input: i64,
    pub(super) output: i64,
    pub(super) cache_read: i64,
    pub(super) cache_write: i64,
    pub(super) cost: i64,
    pub(super) duration: i64,
}

impl Sums {
    pub(super) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.cost = self.cost.saturating_add(other.cost);
        self.duration = self.duration.saturating_add(other.duration);
    }

    /// What one row adds.
    fn of(booking: &Booking) -> Self {
        let Tokens { input, output, cache_read, cache_write } = booking.tokens;
        Self {
            requests: 1,
            failed: i64::from(booking.failed),
            input: count(input),
            output: count(output),
            cache_read: count(cache_read),
            cache_write: count(cache_write),
            cost: booking.cost.0,
            duration: count(booking.started_at.until(booking.ended_at).as_millis()),
        }
    }
}

/// A count as the database holds it. No true count is larger.
fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Names a budget window: kind, id, model, period, start.
type WindowName = (&'static str, String, String, String, i64);

impl Store {
    /// Books finished requests, each once: one whose id is known adds nothing. All of it or nothing is written.
    ///
    /// # Errors
    /// The database's; then the same batch can be given again.
    pub async fn book(&self, bookings: &[Booking]) -> Result<Booked, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let mut new = Vec::with_capacity(bookings.len());
        for chunk in bookings.chunks(ROWS_PER_STATEMENT) {
            insert_rows(&mut transaction, chunk, &mut new).await?;
        }
        let mut daily: BTreeMap<DailyName, Sums> = BTreeMap::new();
        let mut windows: BTreeMap<WindowName, i64> = BTreeMap::new();
        for booking in &new {
            for name in daily_names(booking) {
                daily.entry(name).or_default().add(Sums::of(booking));
            }
            for name in window_names(booking) {
                let spend = windows.entry(name).or_default();
                *spend = spend.saturating_add(booking.cost.0);
            }
        }
        add_daily(&mut transaction, &daily).await?;
        add_windows(&mut transaction, &windows).await?;
        transaction.commit().await?;
        Ok(Booked { new: new.len(), known: bookings.len() - new.len() })
    }

    /// What an account spent in its latest window of every period, to open its ledger with.
    ///
    /// # Errors
    /// The database's.
    pub async fn openings(&self, account: &Account) -> Result<Vec<Opening>, StoreError> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT period, window_start, spend_nano FROM window_spend w
             WHERE kind = $1 AND id = $2 AND model = $3 AND window_start = (
                 SELECT MAX(window_start) FROM window_spend l
                 WHERE l.kind = w.kind AND l.id = w.id AND l.model = w.model AND l.period = w.period)",
        )
        .bind(account.scope.kind())
        .bind(account.scope.id())
        .bind(account.model.as_ref().map_or("", |model| model.as_str()))
        .fetch_all(&self.readers)
        .await?;
        let opening = |(period, start, spend): (String, i64, i64)| {
            // A period that this version cannot read is none of its budgets.
            let period = if period.is_empty() { None } else { Some(Period::parse(&period).ok()?) };
            Some(Opening { period, window: Timestamp(start), spend: NanoUsd(spend) })
        };
        Ok(rows.into_iter().filter_map(opening).collect())
    }

    /// Sets what was spent in a window (`reset_spend`), and returns what it was. Rows and reports stay as they are.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_spend(
        &self,
        account: &Account,
        period: Option<Period>,
        window: Timestamp,
        spend: NanoUsd,
    ) -> Result<NanoUsd, StoreError> {
        let model = account.model.as_ref().map_or("", |model| model.as_str());
        let period = period.map(|period| period.to_string()).unwrap_or_default();
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let before: Option<i64> = sqlx::query_scalar(
            "SELECT spend_nano FROM window_spend
             WHERE kind = $1 AND id = $2 AND model = $3 AND period = $4 AND window_start = $5",
        )
        .bind(account.scope.kind())
        .bind(account.scope.id())
        .bind(model)
        .bind(&period)
        .bind(window.0)
        .fetch_optional(&mut *transaction)
        .await?;
        let before = before.unwrap_or(0);
        sqlx::query(
            "INSERT INTO window_spend (kind, id, model, period, window_start, spend_nano, adjusted_nano)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (kind, id, model, period, window_start) DO UPDATE SET
                 spend_nano = excluded.spend_nano,
                 adjusted_nano = window_spend.adjusted_nano + excluded.adjusted_nano",
        )
        .bind(account.scope.kind())
        .bind(account.scope.id())
        .bind(model)
        .bind(&period)
        .bind(window.0)
        .bind(spend.0)
        .bind(spend.0.saturating_sub(before))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(NanoUsd(before))
    }
}

pub(super) fn daily_names(booking: &Booking) -> impl Iterator<Item = DailyName> + '_ {
    booking.reported_to().map(|scope| DailyName {
        kind: scope.kind(),
        id: scope.id(),
        day: booking.started_at.day(),
        key: booking.key.to_string(),
        model: booking.model.to_string(),
        provider: booking.provider.to_string(),
    })
}

pub(super) fn daily_sums(booking: &Booking) -> Sums {
    Sums::of(booking)
}

/// For good, of everybody whom the row names; and the windows that the call was admitted under.
fn window_names(booking: &Booking) -> impl Iterator<Item = WindowName> + '_ {
    let for_good =
        booking.charged_to().map(|scope| (scope.kind(), scope.id(), String::new(), String::new(), 0));
    let charged =
        booking.charges.iter().filter(|charge| charge.period.is_some() || charge.account.model.is_some());
    for_good.chain(charged.map(|charge| {
        let Account { scope, model } = &charge.account;
        let model = model.as_ref().map(ToString::to_string).unwrap_or_default();
        let period = charge.period.map(|period| period.to_string()).unwrap_or_default();
        (scope.kind(), scope.id(), model, period, charge.window.0)
    }))
}

/// Inserts rows, and appends those that were not there to `new`.
async fn insert_rows<'b>(
    connection: &mut SqliteConnection,
    bookings: &'b [Booking],
    new: &mut Vec<&'b Booking>,
) -> Result<(), StoreError> {
    let mut insert = QueryBuilder::<Sqlite>::new(
        "INSERT INTO spend (request_id, started_at, ended_at, call_type, failed, model, model_group, provider,
         deployment, key_id, user_id, team_id, organization_id, customer_id, tags, input_tokens, output_tokens,
         cache_read_tokens, cache_write_tokens, cost_nano, saved_nano, estimated, cache_hit, catalog, session, detail) ",
    );
    insert.push_values(bookings, |mut row, booking| {
        row.push_bind(booking.request.as_str())
            .push_bind(booking.started_at.0)
            .push_bind(booking.ended_at.0)
            .push_bind(booking.call_type.as_str())
            .push_bind(i64::from(booking.failed))
            .push_bind(booking.model.as_str())
            .push_bind(booking.model_group.as_deref())
            .push_bind(booking.provider.as_str())
            .push_bind(booking.deployment.as_deref())
            .push_bind(booking.key.as_str())
            .push_bind(booking.user.as_ref().map(UserId::as_str))
            .push_bind(booking.team.as_ref().map(TeamId::as_str))
            .push_bind(booking.organization.as_ref().map(OrganizationId::as_str))
            .push_bind(booking.customer.as_ref().map(CustomerId::as_str))
            .push_bind(tags(booking))
            .push_bind(count(booking.tokens.input))
            .push_bind(count(booking.tokens.output))
            .push_bind(count(booking.tokens.cache_read))
            .push_bind(count(booking.tokens.cache_write))
            .push_bind(booking.cost.0)
            .push_bind(booking.saved.0)
            .push_bind(i64::from(booking.estimated))
            .push_bind(i64::from(booking.cache_hit))
            .push_bind(booking.catalog.as_deref())
            .push_bind(booking.session.as_deref())
            .push_bind(booking.detail.as_deref());
    });
    insert.push(" ON CONFLICT (request_id) DO NOTHING RETURNING request_id");
    // Full statements are alike and worth keeping; the rest has any length.
    let inserted: Vec<String> = insert
        .build_query_scalar()
        .persistent(bookings.len() == ROWS_PER_STATEMENT)
        .fetch_all(connection)
        .await?;
    // A batch may name a request twice: the first of them was inserted.
    let mut inserted: std::collections::BTreeSet<String> = inserted.into_iter().collect();
    new.extend(bookings.iter().filter(|booking| inserted.remove(booking.request.as_str())));
    Ok(())
}

/// As JSON, so that a tag may hold anything.
fn tags(booking: &Booking) -> Option<String> {
    if booking.tags.is_empty() {
        return None;
    }
    serde_json::to_string(&booking.tags).ok()
}

async fn add_daily(
    connection: &mut SqliteConnection,
    daily: &BTreeMap<DailyName, Sums>,
) -> Result<(), StoreError> {
    let daily: Vec<(&DailyName, &Sums)> = daily.iter().collect();
    for chunk in daily.chunks(SUMS_PER_STATEMENT) {
        let mut upsert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO daily_spend (kind, id, day, key_id, model, provider, requests, failed, input_tokens,
             output_tokens, cache_read_tokens, cache_write_tokens, cost_nano, duration_ms) ",
        );
        upsert.push_values(chunk, |mut row, (name, sums)| {
            row.push_bind(name.kind)
                .push_bind(name.id.as_str())
                .push_bind(name.day.0)
                .push_bind(name.key.as_str())
                .push_bind(name.model.as_str())
                .push_bind(name.provider.as_str())
                .push_bind(sums.requests)
                .push_bind(sums.failed)
                .push_bind(sums.input)
                .push_bind(sums.output)
                .push_bind(sums.cache_read)
                .push_bind(sums.cache_write)
                .push_bind(sums.cost)
                .push_bind(sums.duration);
        });
        upsert.push(
            " ON CONFLICT (kind, id, day, key_id, model, provider) DO UPDATE SET
             requests = daily_spend.requests + excluded.requests,
             failed = daily_spend.failed + excluded.failed,
             input_tokens = daily_spend.input_tokens + excluded.input_tokens,
             output_tokens = daily_spend.output_tokens + excluded.output_tokens,
             cache_read_tokens = daily_spend.cache_read_tokens + excluded.cache_read_tokens,
             cache_write_tokens = daily_spend.cache_write_tokens + excluded.cache_write_tokens,
             cost_nano = daily_spend.cost_nano + excluded.cost_nano,
             duration_ms = daily_spend.duration_ms + excluded.duration_ms",
        );
        let is_full = chunk.len() == SUMS_PER_STATEMENT;
        upsert.build().persistent(is_full).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn add_windows(
    connection: &mut SqliteConnection,
    windows: &BTreeMap<WindowName, i64>,
) -> Result<(), StoreError> {
    let windows: Vec<(&WindowName, &i64)> = windows.iter().collect();
    for chunk in windows.chunks(SUMS_PER_STATEMENT) {
        let mut upsert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO window_spend (kind, id, model, period, window_start, spend_nano, adjusted_nano) ",
        );
        upsert.push_values(chunk, |mut row, ((kind, id, model, period, start), spend)| {
            row.push_bind(*kind)
                .push_bind(id.as_str())
                .push_bind(model.as_str())
                .push_bind(period.as_str())
                .push_bind(*start)
                .push_bind(**spend)
                .push_bind(0_i64);
        });
        upsert.push(
            " ON CONFLICT (kind, id, model, period, window_start) DO UPDATE SET
             spend_nano = window_spend.spend_nano + excluded.spend_nano",
        );
        let is_full = chunk.len() == SUMS_PER_STATEMENT;
        upsert.build().persistent(is_full).execute(&mut *connection).await?;
    }
    Ok(())
}
