//! Reading spend: pages of the log, and sums from the daily aggregates.

use std::collections::BTreeSet;
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

/// A sum of one day, of one key's calls to one model of one provider; or of all of what it is not summed by ([`By`]).
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
        let sums = self.sums(&SumQuery::of(scope, from, until).by(By::ALL)).await?;
        Ok(sums.into_iter().map(|(_, sum)| sum).collect())
    }

    /// Daily sums, summed by the database, with whose they are. What they are not summed by is empty in them, and the
    /// day 0. In the order of their names, days first; or the dearest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn sums(&self, query: &SumQuery) -> Result<Vec<(String, DailySum)>, StoreError> {
        let sql = query.sql(self.is_shared(), self.has_totals_from(query.days.0));
        let rows: Vec<OwnedSum> = sql.all(&mut self.reader().await?).await?;
        Ok(rows.into_iter().map(|OwnedSum(id, sum)| (id, sum)).collect())
    }
}

/// By what daily sums are summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct By {
    pub day: bool,
    /// Whose they are.
    pub id: bool,
    pub key: bool,
    pub model: bool,
    pub provider: bool,
}

impl By {
    pub const NOTHING: Self = Self { day: false, id: false, key: false, model: false, provider: false };
    pub const ALL: Self = Self { day: true, id: true, key: true, model: true, provider: true };
    pub const DAY: Self = Self { day: true, ..Self::NOTHING };
    pub const ID: Self = Self { id: true, ..Self::NOTHING };
    pub const KEY: Self = Self { key: true, ..Self::NOTHING };
    pub const MODEL: Self = Self { model: true, ..Self::NOTHING };
    pub const PROVIDER: Self = Self { provider: true, ..Self::NOTHING };
}

/// Which daily sums, and by what they are summed. All conditions hold at once; lists that are `None` do not narrow.
#[derive(Clone, Debug)]
pub struct SumQuery {
    /// See [`Scope::kind`].
    pub kind: &'static str,
    /// The first and the last day.
    pub days: (Day, Day),
    /// Whose.
    pub ids: Option<BTreeSet<String>>,
    pub not_ids: BTreeSet<String>,
    pub keys: Option<BTreeSet<String>>,
    pub models: Option<BTreeSet<String>>,
    /// Those of these ids, and those of these keys.
    pub either: Option<(BTreeSet<String>, BTreeSet<String>)>,
    pub by: By,
    /// Only so many, the dearest first.
    pub dearest: Option<i64>,
}

impl SumQuery {
    /// All sums of a kind ([`Scope::kind`]), `from` and `until` included.
    #[must_use]
    pub fn of_kind(kind: &'static str, from: Day, until: Day) -> Self {
        Self {
            kind,
            days: (from, until),
            ids: None,
            not_ids: BTreeSet::new(),
            keys: None,
            models: None,
            either: None,
            by: By::NOTHING,
            dearest: None,
        }
    }

    /// The sums of one scope.
    #[must_use]
    pub fn of(scope: &Scope, from: Day, until: Day) -> Self {
        Self { ids: Some(BTreeSet::from([scope.id()])), ..Self::of_kind(scope.kind(), from, until) }
    }

    /// The same, summed by this.
    #[must_use]
    pub fn by(self, by: By) -> Self {
        Self { by, ..self }
    }

    /// The same, only so many, the dearest first.
    #[must_use]
    pub fn dearest(self, most: i64) -> Self {
        Self { dearest: Some(most), ..self }
    }

    /// Whether it asks for nothing that sums over all keys do not tell.
    fn is_of_all_keys(&self) -> bool {
        self.kind != "key" && !self.by.key && self.keys.is_none() && self.either.is_none()
    }

    fn sql(&self, shared: bool, has_totals: bool) -> Sql<'_> {
        let By { day, id, key, model, provider } = self.by;
        let columns = [
            (day, "day", "0"),
            (id, "id", "''"),
            (key, "key_id", "''"),
            (model, "model", "''"),
            (provider, "provider", "''"),
        ];
        let mut select = Sql::new("SELECT ");
        for (wanted, column, empty) in columns {
            if wanted {
                select.push(column);
            } else {
                let kind = if column == "day" { "BIGINT" } else { "TEXT" };
                select.push(&format!("CAST({empty} AS {kind}) AS {column}"));
            }
            select.push(", ");
        }
        let sums = [
            "requests",
            "failed",
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "cost_nano",
            "duration_ms",
        ];
        for (number, column) in sums.into_iter().enumerate() {
            // PostgreSQL sums whole numbers up to a decimal.
            select.push(if number == 0 { "" } else { ", " });
            select.push(&format!("CAST(SUM({column}) AS BIGINT) AS {column}"));
        }
        let reads_totals = has_totals && self.is_of_all_keys();
        if reads_totals {
            select.push(" FROM daily_totals");
        } else {
            select.push(" FROM daily_spend");
            if self.ids.is_none() && !shared {
                // Else SQLite, which knows nothing of the numbers, reads all days of a kind rather than some days of all.
                select.push(" INDEXED BY daily_spend_day");
            }
        }
        select.push(" WHERE kind = ").push_bind(self.kind);
        if reads_totals && self.ids.is_some() && !shared {
            self.push_each_day(&mut select);
        } else {
            let (from, until) = self.days;
            select.push(" AND day >= ").push_bind(from.0).push(" AND day <= ").push_bind(until.0);
        }
        self.push_conditions(&mut select, shared);
        let wanted = columns.iter().filter(|(wanted, ..)| *wanted).map(|(_, column, _)| *column);
        let names = wanted.collect::<Vec<_>>().join(", ");
        if names.is_empty() {
            // Of nothing there is no sum, rather than one of NULLs.
            select.push(" HAVING COUNT(*) > 0");
        } else {
            select.push(" GROUP BY ").push(&names);
        }
        if let Some(most) = self.dearest {
            select.push(" ORDER BY SUM(cost_nano) DESC");
            for name in names.split_terminator(", ") {
                select.push(", ").push(name);
            }
            select.push(" LIMIT ").push_bind(most.max(0));
        } else if !names.is_empty() {
            select.push(" ORDER BY ").push(&names);
        }
        select
    }

    /// In SQLite a day's totals lie side by side, so some of them are looked for day by day: of the days that are asked
    /// for, those between the first and the last that there is.
    fn push_each_day(&self, select: &mut Sql<'_>) {
        let (from, until) = self.days;
        select.push(" AND day IN (WITH RECURSIVE days (day) AS (SELECT MAX(").push_bind(from.0);
        select.push(", (SELECT MIN(day) FROM daily_totals WHERE kind = ").push_bind(self.kind);
        select.push(")) UNION ALL SELECT day + 1 FROM days WHERE day < MIN(").push_bind(until.0);
        select.push(", (SELECT MAX(day) FROM daily_totals WHERE kind = ").push_bind(self.kind);
        select.push("))) SELECT day FROM days WHERE day <= ").push_bind(until.0).push(")");
    }

    fn push_conditions(&self, select: &mut Sql<'_>, shared: bool) {
        for (column, list) in [("id", &self.ids), ("key_id", &self.keys), ("model", &self.models)] {
            if let Some(list) = list {
                select.push(" AND ").push(column);
                select.push_in(list, shared);
            }
        }
        if !self.not_ids.is_empty() {
            select.push(" AND NOT id");
            select.push_in(&self.not_ids, shared);
        }
        if let Some((ids, keys)) = &self.either {
            select.push(" AND (id");
            select.push_in(ids, shared);
            select.push(" OR key_id");
            select.push_in(keys, shared);
            select.push(")");
        }
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
    pub(super) fn push<'q>(&'q self, select: &mut Sql<'q>, shared: bool) {
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
            if shared && ["request_id", "key_id", "user_id", "team_id"].contains(&column) {
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
            // No index knows tags; the daily sums tell between which days to look.
            for (bound, day) in [
                (" AND started_at >= (SELECT ", "MIN(day)"),
                (" AND started_at < (SELECT ", "(MAX(day) + 1)"),
            ] {
                select
                    .push(bound)
                    .push(day)
                    .push(" * 86400000 FROM daily_spend WHERE kind = 'tag' AND id = ");
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
