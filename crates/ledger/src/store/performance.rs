//! How requests went, from the log: what the cache spared, and how fast deployments answered and failed. The daily sums
//! do not tell, so the newest requests are looked through.

use std::sync::Arc;

use super::report::LogFilter;
use super::sql::{Read, Row, Sql};
use super::{Store, StoreError};
use crate::rules::time::Day;

/// The most requests of the log that are looked through.
pub const MOST_REQUESTS: i64 = 100_000;

/// What the cache answered of one key's calls to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheUse {
    pub key: String,
    pub call_type: String,
    /// The group that was asked: who would have answered instead of the cache is not in the log.
    pub model: String,
    pub requests: i64,
    /// Of them answered from the cache.
    pub hits: i64,
    /// Tokens of those answers.
    pub cached_output: i64,
    /// Tokens of the other ones.
    pub generated_output: i64,
}

/// How a deployment answered a group's requests on a day, as far as they ended with one status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    pub day: Day,
    pub group: Arc<str>,
    pub deployment: Arc<str>,
    pub status: i64,
    pub requests: i64,
    pub output_tokens: i64,
    pub duration_ms: i64,
    /// Those that took longer than was asked about.
    pub slow: i64,
    /// Those of which it is known when their first token came.
    pub streamed: i64,
    pub first_token_ms: i64,
}

impl Store {
    /// What the cache answered, by key, kind of call and model, the most used first. Of the newest [`MOST_REQUESTS`] that
    /// fit.
    ///
    /// # Errors
    /// The database's.
    pub async fn cache_use(&self, filter: &LogFilter) -> Result<Vec<CacheUse>, StoreError> {
        let mut select = Sql::new(
            "SELECT key_id, call_type, model, COUNT(*) AS requests, CAST(SUM(cache_hit) AS BIGINT) AS hits, \
             CAST(SUM(cache_hit * output_tokens) AS BIGINT) AS cached_output, \
             CAST(SUM((1 - cache_hit) * output_tokens) AS BIGINT) AS generated_output FROM (\
             SELECT key_id, call_type, COALESCE(model_group, model) AS model, cache_hit, output_tokens FROM spend",
        );
        filter.push(&mut select, self.is_shared());
        select.push(" ORDER BY started_at DESC LIMIT ").push_bind(MOST_REQUESTS);
        select.push(") AS newest GROUP BY key_id, call_type, model ORDER BY requests DESC, key_id, model");
        select.all(&mut self.reader().await?).await
    }

    /// How deployments answered, by day, group, deployment and status, oldest first. Of the newest [`MOST_REQUESTS`] that
    /// fit, without those that no deployment answered.
    ///
    /// # Errors
    /// The database's.
    pub async fn answers(&self, filter: &LogFilter, slow_ms: i64) -> Result<Vec<Answers>, StoreError> {
        let of_detail = |field: &str| match self.is_shared() {
            true => format!("CAST(CAST(detail AS JSONB)->>'{field}' AS BIGINT)"),
            false => format!("CAST(json_extract(detail, '$.{field}') AS INTEGER)"),
        };
        let (status, first) = (of_detail("status"), of_detail("first_token_ms"));
        let mut select = Sql::new(
            "SELECT day, model_group, deployment, status, COUNT(*) AS requests, \
             CAST(SUM(output_tokens) AS BIGINT) AS output_tokens, \
             CAST(SUM(duration_ms) AS BIGINT) AS duration_ms, CAST(SUM(CASE WHEN duration_ms > ",
        );
        select.push_bind(slow_ms).push(&format!(
            " THEN 1 ELSE 0 END) AS BIGINT) AS slow, COUNT(first_token_ms) AS streamed, \
             CAST(COALESCE(SUM(first_token_ms), 0) AS BIGINT) AS first_token_ms FROM (\
             SELECT started_at / 86400000 AS day, model_group, deployment, output_tokens, \
             ended_at - started_at AS duration_ms, COALESCE({status}, CASE WHEN failed = 0 THEN 200 ELSE 500 END) \
             AS status, {first} AS first_token_ms FROM spend",
        ));
        filter.push(&mut select, self.is_shared());
        select.push(" ORDER BY started_at DESC LIMIT ").push_bind(MOST_REQUESTS);
        select.push(
            ") AS newest WHERE model_group IS NOT NULL AND deployment IS NOT NULL \
             GROUP BY day, model_group, deployment, status ORDER BY day, model_group, deployment, status",
        );
        select.all(&mut self.reader().await?).await
    }
}

impl Read for CacheUse {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            key: row.get("key_id")?,
            call_type: row.get("call_type")?,
            model: row.get("model")?,
            requests: row.get("requests")?,
            hits: row.get("hits")?,
            cached_output: row.get("cached_output")?,
            generated_output: row.get("generated_output")?,
        })
    }
}

impl Read for Answers {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            day: Day(row.get("day")?),
            group: row.get::<String>("model_group")?.into(),
            deployment: row.get::<String>("deployment")?.into(),
            status: row.get("status")?,
            requests: row.get("requests")?,
            output_tokens: row.get("output_tokens")?,
            duration_ms: row.get("duration_ms")?,
            slow: row.get("slow")?,
            streamed: row.get("streamed")?,
            first_token_ms: row.get("first_token_ms")?,
        })
    }
}
