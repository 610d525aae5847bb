//! Reading spend: pages of the log, and sums from the daily aggregates.

use catalog::NanoUsd;
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{FromRow, QueryBuilder, Row};

use super::{Store, StoreError};
use crate::booking::{Booking, Tokens};
use crate::rules::account::Scope;
use crate::rules::id::{BadId, CustomerId, KeyId, OrganizationId, RequestId, TeamId, UserId};
use crate::rules::time::{Day, Timestamp};

/// Which rows of the log. All conditions hold at once.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    pub request: Option<RequestId>,
    pub key: Option<KeyId>,
    pub user: Option<UserId>,
    pub team: Option<TeamId>,
    pub organization: Option<OrganizationId>,
    pub customer: Option<CustomerId>,
    /// Began at or after this.
    pub from: Option<Timestamp>,
    /// Began before this.
    pub until: Option<Timestamp>,
    /// The last row of the page before: rows come after it, newest first.
    pub after: Option<(Timestamp, RequestId)>,
}

/// A sum of one day, of one key's calls to one model of one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailySum {
    pub day: Day,
    pub key: String,
    pub model: String,
    pub provider: String,
    pub requests: i64,
    pub failed: i64,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cache_read_tokens: i64,
    pub cache_write_tokens: i64,
    pub cost: NanoUsd,
    pub duration_ms: i64,
}

impl Store {
    /// A page of the spend log, newest first. The rows' `charges` are not kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn spend_log(&self, filter: &LogFilter, limit: i64) -> Result<Vec<Booking>, StoreError> {
        let mut select = QueryBuilder::<Sqlite>::new("SELECT * FROM spend");
        let mut word = " WHERE ";
        let mut equal = |column: &str, value: Option<&str>| {
            let Some(value) = value else { return };
            select
                .push(std::mem::replace(&mut word, " AND "))
                .push(column)
                .push(" = ")
                .push_bind(value.to_owned());
        };
        equal("request_id", filter.request.as_ref().map(RequestId::as_str));
        equal("key_id", filter.key.as_ref().map(KeyId::as_str));
        equal("user_id", filter.user.as_ref().map(UserId::as_str));
        equal("team_id", filter.team.as_ref().map(TeamId::as_str));
        equal("organization_id", filter.organization.as_ref().map(OrganizationId::as_str));
        equal("customer_id", filter.customer.as_ref().map(CustomerId::as_str));
        if let Some(from) = filter.from {
            select.push(std::mem::replace(&mut word, " AND ")).push("started_at >= ").push_bind(from.0);
        }
        if let Some(until) = filter.until {
            select.push(std::mem::replace(&mut word, " AND ")).push("started_at < ").push_bind(until.0);
        }
        if let Some((at, request)) = &filter.after {
            select
                .push(word)
                .push("started_at <= ")
                .push_bind(at.0)
                .push(" AND (started_at < ")
                .push_bind(at.0);
            select.push(" OR request_id < ").push_bind(request.to_string()).push(")");
        }
        select.push(" ORDER BY started_at DESC, request_id DESC LIMIT ").push_bind(limit.max(0));
        Ok(select.build_query_as().fetch_all(&self.readers).await?)
    }

    /// The daily sums of one scope, `from` and `until` included, oldest first. Kept for the gateway, organizations,
    /// teams, users, keys, customers and tags.
    ///
    /// # Errors
    /// The database's.
    pub async fn daily(&self, scope: &Scope, from: Day, until: Day) -> Result<Vec<DailySum>, StoreError> {
        let rows = sqlx::query_as(
            "SELECT * FROM daily_spend WHERE kind = $1 AND id = $2 AND day >= $3 AND day <= $4
             ORDER BY day, key_id, model, provider",
        )
        .bind(scope.kind())
        .bind(scope.id())
        .bind(from.0)
        .bind(until.0)
        .fetch_all(&self.readers)
        .await?;
        Ok(rows)
    }

    /// Deletes rows of the log that began before a day, at most `limit` of them, and returns how many. Sums stay.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_rows(&self, before: Day, limit: i64) -> Result<u64, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(
            "INSERT INTO facts (name, value) VALUES ('rows_kept_from', $1)
             ON CONFLICT (name) DO UPDATE SET value =
                 CASE WHEN excluded.value > facts.value THEN excluded.value ELSE facts.value END",
        )
        .bind(before.0)
        .execute(&mut *transaction)
        .await?;
        let deleted = sqlx::query(
            "DELETE FROM spend WHERE request_id IN (
                 SELECT request_id FROM spend WHERE started_at < $1 ORDER BY started_at LIMIT $2)",
        )
        .bind(before.start().0)
        .bind(limit)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(deleted.rows_affected())
    }

    /// Deletes budget windows that began before a moment and have a successor, and returns how many. Rows and sums
    /// stay.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_windows(&self, before: Timestamp) -> Result<u64, StoreError> {
        let deleted = sqlx::query(
            "DELETE FROM window_spend WHERE period <> '' AND window_start < $1 AND EXISTS (
                 SELECT 1 FROM window_spend l
                 WHERE l.kind = window_spend.kind AND l.id = window_spend.id AND l.model = window_spend.model
                 AND l.period = window_spend.period AND l.window_start > window_spend.window_start)",
        )
        .bind(before.0)
        .execute(&self.writer)
        .await?;
        Ok(deleted.rows_affected())
    }
}

impl FromRow<'_, SqliteRow> for DailySum {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            day: Day(row.try_get("day")?),
            key: row.try_get("key_id")?,
            model: row.try_get("model")?,
            provider: row.try_get("provider")?,
            requests: row.try_get("requests")?,
            failed: row.try_get("failed")?,
            input_tokens: row.try_get("input_tokens")?,
            output_tokens: row.try_get("output_tokens")?,
            cache_read_tokens: row.try_get("cache_read_tokens")?,
            cache_write_tokens: row.try_get("cache_write_tokens")?,
            cost: NanoUsd(row.try_get("cost_nano")?),
            duration_ms: row.try_get("duration_ms")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for Booking {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let tags: Option<String> = row.try_get("tags")?;
        let tags = tags.map_or(Ok(Vec::new()), |tags| serde_json::from_str(&tags));
        Ok(Self {
            request: id(row, "request_id")?,
            started_at: Timestamp(row.try_get("started_at")?),
            ended_at: Timestamp(row.try_get("ended_at")?),
            call_type: row.try_get("call_type")?,
            failed: flag(row, "failed")?,
            model: id(row, "model")?,
            model_group: row.try_get("model_group")?,
            provider: id(row, "provider")?,
            deployment: row.try_get("deployment")?,
            key: id(row, "key_id")?,
            user: optional_id(row, "user_id")?,
            team: optional_id(row, "team_id")?,
            organization: optional_id(row, "organization_id")?,
            customer: optional_id(row, "customer_id")?,
            tags: tags.map_err(|error| unreadable("tags", error))?,
            tokens: Tokens {
                input: count(row, "input_tokens")?,
                output: count(row, "output_tokens")?,
                cache_read: count(row, "cache_read_tokens")?,
                cache_write: count(row, "cache_write_tokens")?,
            },
            cost: NanoUsd(row.try_get("cost_nano")?),
            saved: NanoUsd(row.try_get("saved_nano")?),
            estimated: flag(row, "estimated")?,
            cache_hit: flag(row, "cache_hit")?,
            catalog: row.try_get("catalog")?,
            session: row.try_get("session")?,
            detail: row.try_get("detail")?,
            charges: Vec::new(),
        })
    }
}

fn unreadable(column: &str, source: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(source) }
}

fn id<I: std::str::FromStr<Err = BadId>>(row: &SqliteRow, column: &str) -> Result<I, sqlx::Error> {
    row.try_get::<&str, _>(column)?.parse().map_err(|error: BadId| unreadable(column, error))
}

fn optional_id<I: std::str::FromStr<Err = BadId>>(
    row: &SqliteRow,
    column: &str,
) -> Result<Option<I>, sqlx::Error> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(str::parse).transpose().map_err(|error: BadId| unreadable(column, error))
}

fn flag(row: &SqliteRow, column: &str) -> Result<bool, sqlx::Error> {
    Ok(row.try_get::<i64, _>(column)? != 0)
}

fn count(row: &SqliteRow, column: &str) -> Result<u64, sqlx::Error> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(|error| unreadable(column, error))
}
