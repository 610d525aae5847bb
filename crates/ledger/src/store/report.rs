//! Reading spend: pages of the log, and sums from the daily aggregates.

use std::sync::Arc;

use catalog::NanoUsd;

use super::sql::{Read, Row, Sql};
use super::{Store, StoreError};
use crate::booking::{Booking, Tokens};
use crate::rules::account::Scope;
use crate::rules::id::{BadId, CustomerId, KeyId, OrganizationId, RequestId, Tag, TeamId, UserId};
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
    pub tag: Option<Tag>,
    /// Of this session; of a large log it should be narrowed by something else too.
    pub session: Option<String>,
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
        self.spend_log_page(filter, 0, limit).await
    }

    /// The same, from the row with this number on.
    ///
    /// # Errors
    /// The database's.
    pub async fn spend_log_page(
        &self,
        filter: &LogFilter,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<Booking>, StoreError> {
        let mut select = Sql::new("SELECT * FROM spend");
        filter.push(&mut select, self.is_shared());
        select.push(" ORDER BY started_at DESC, request_id DESC LIMIT ").push_bind(limit.max(0));
        select.push(" OFFSET ").push_bind(offset.max(0));
        select.all(&mut self.reader().await?).await
    }

    /// How many rows of the log there are; of more than `most` it says that many, so that a large log is not read
    /// through for a number.
    ///
    /// # Errors
    /// The database's.
    pub async fn spend_log_count(&self, filter: &LogFilter, most: i64) -> Result<i64, StoreError> {
        let mut count = Sql::new("SELECT COUNT(*) FROM (SELECT 1 AS one FROM spend");
        filter.push(&mut count, self.is_shared());
        count.push(" LIMIT ").push_bind(most.max(0)).push(") AS counted");
        count.one(&mut self.reader().await?).await
    }

    /// The daily sums of one scope, `from` and `until` included, oldest first. Kept for the gateway, organizations,
    /// teams, users, keys, customers and tags.
    ///
    /// # Errors
    /// The database's.
    pub async fn daily(&self, scope: &Scope, from: Day, until: Day) -> Result<Vec<DailySum>, StoreError> {
        Sql::new(
            "SELECT * FROM daily_spend WHERE kind = $1 AND id = $2 AND day >= $3 AND day <= $4
             ORDER BY day, key_id, model, provider",
        )
        .bind(scope.kind())
        .bind(scope.id())
        .bind(from.0)
        .bind(until.0)
        .all(&mut self.reader().await?)
        .await
    }

    /// The daily sums of all of a kind ([`Scope::kind`]), with whose they are; oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn daily_of_kind(
        &self,
        kind: &str,
        from: Day,
        until: Day,
    ) -> Result<Vec<(String, DailySum)>, StoreError> {
        let rows: Vec<OwnedSum> = Sql::new(
            "SELECT * FROM daily_spend WHERE kind = $1 AND day >= $2 AND day <= $3
             ORDER BY day, id, key_id, model, provider",
        )
        .bind(kind)
        .bind(from.0)
        .bind(until.0)
        .all(&mut self.reader().await?)
        .await?;
        Ok(rows.into_iter().map(|OwnedSum(id, sum)| (id, sum)).collect())
    }
}

/// A sum and whose it is.
struct OwnedSum(String, DailySum);

impl Read for OwnedSum {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self(row.get("id")?, DailySum::read(row)?))
    }
}

impl LogFilter {
    fn push<'q>(&'q self, select: &mut Sql<'q>, shared: bool) {
        let mut word = " WHERE ";
        let mut and = |select: &mut Sql<'_>| {
            select.push(std::mem::replace(&mut word, " AND "));
        };
        for (column, value) in [
            ("request_id", self.request.as_ref().map(RequestId::as_str)),
            ("key_id", self.key.as_ref().map(KeyId::as_str)),
            ("user_id", self.user.as_ref().map(UserId::as_str)),
            ("team_id", self.team.as_ref().map(TeamId::as_str)),
            ("organization_id", self.organization.as_ref().map(OrganizationId::as_str)),
            ("customer_id", self.customer.as_ref().map(CustomerId::as_str)),
            ("session", self.session.as_deref()),
        ] {
            let Some(value) = value else { continue };
            and(&mut *select);
            if shared && ["request_id", "key_id"].contains(&column) {
                // How its indexes know them.
                select.push(&format!("hashtextextended({column}, 0) = hashtextextended("));
                select.push_bind(value).push(", 0) AND ");
            }
            select.push(column).push(" = ").push_bind(value);
        }
        if let Some(tag) = &self.tag {
            and(&mut *select);
            if shared {
                select.push("jsonb_exists(CAST(tags AS JSONB), ").push_bind(tag.to_string()).push(")");
            } else {
                select.push("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ");
                select.push_bind(tag.to_string()).push(")");
            }
        }
        if let Some(from) = self.from {
            and(&mut *select);
            select.push("started_at >= ").push_bind(from.0);
        }
        if let Some(until) = self.until {
            and(&mut *select);
            select.push("started_at < ").push_bind(until.0);
        }
        if let Some((at, request)) = &self.after {
            and(&mut *select);
            select.push("started_at <= ").push_bind(at.0).push(" AND (started_at < ").push_bind(at.0);
            select.push(" OR request_id < ").push_bind(request.to_string()).push(")");
        }
    }
}

impl Read for DailySum {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            day: Day(row.get("day")?),
            key: row.get("key_id")?,
            model: row.get("model")?,
            provider: row.get("provider")?,
            requests: row.get("requests")?,
            failed: row.get("failed")?,
            input_tokens: row.get("input_tokens")?,
            output_tokens: row.get("output_tokens")?,
            cache_read_tokens: row.get("cache_read_tokens")?,
            cache_write_tokens: row.get("cache_write_tokens")?,
            cost: NanoUsd(row.get("cost_nano")?),
            duration_ms: row.get("duration_ms")?,
        })
    }
}

impl Read for Booking {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        let tags: Option<String> = row.get("tags")?;
        let tags = tags.map_or(Ok(Vec::new()), |tags| serde_json::from_str(&tags));
        Ok(Self {
            request: id(row, "request_id")?,
            started_at: Timestamp(row.get("started_at")?),
            ended_at: Timestamp(row.get("ended_at")?),
            call_type: row.get::<String>("call_type")?.into(),
            failed: row.flag("failed")?,
            model: id(row, "model")?,
            model_group: shared(row, "model_group")?,
            provider: id(row, "provider")?,
            deployment: shared(row, "deployment")?,
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
            cost: NanoUsd(row.get("cost_nano")?),
            saved: NanoUsd(row.get::<Option<i64>>("saved_nano")?.unwrap_or(0)),
            estimated: row.flag("estimated")?,
            cache_hit: row.flag("cache_hit")?,
            catalog: shared(row, "catalog")?,
            session: shared(row, "session")?,
            detail: shared(row, "detail")?,
            charges: Vec::new(),
        })
    }
}

fn unreadable(column: &str, source: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(source) }
}

fn id<I: std::str::FromStr<Err = BadId>>(row: &Row, column: &str) -> Result<I, sqlx::Error> {
    row.get::<String>(column)?.parse().map_err(|error: BadId| unreadable(column, error))
}

fn optional_id<I: std::str::FromStr<Err = BadId>>(row: &Row, column: &str) -> Result<Option<I>, sqlx::Error> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse()).transpose().map_err(|error: BadId| unreadable(column, error))
}

fn shared(row: &Row, column: &str) -> Result<Option<Arc<str>>, sqlx::Error> {
    Ok(row.get::<Option<String>>(column)?.map(Arc::from))
}

fn count(row: &Row, column: &str) -> Result<u64, sqlx::Error> {
    u64::try_from(row.get::<i64>(column)?).map_err(|error| unreadable(column, error))
}
