//! What is PostgreSQL's own: rows of the log in a partition per day, changes told by `NOTIFY`.

use std::collections::BTreeSet;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use super::session::Session;
use super::sql::Sql;
use super::{PATIENCE, StoreError};
use crate::rules::time::Day;

/// Connections of one instance, where the address does not say (`connection_limit`).
const CONNECTIONS: u32 = 10;

/// No statement that changes a table waits longer for its lock, since all others would wait behind it.
const LOCK_PATIENCE: &str = "SET LOCAL lock_timeout = '500ms'";

/// How often a migration is begun anew that did not get a lock in time.
const MIGRATION_ATTEMPTS: u32 = 20;

/// Advisory locks: a number of ours, and one of the schema's name.
const MIGRATING: &str = "SELECT pg_advisory_xact_lock(1414483799, hashtext(current_schema()))";
const MAKING_SCHEMA: &str = "SELECT pg_advisory_xact_lock(1414483801, hashtext($1::text))";
const PARTITIONING: &str = "SELECT pg_advisory_xact_lock(1414483800, hashtext(current_schema()))";
/// The one that the database itself takes before daily sums are added to; see the migration `0006`.
pub(super) const ADDING_SUMS: &str = "SELECT pg_advisory_xact_lock(1414483802, hashtext(current_schema()))";

/// `lock_not_available`
const LOCKED: &str = "55P03";
/// `check_violation`: a row for which there is no partition.
const NO_PARTITION: &str = "23514";

#[derive(Clone, Debug)]
pub(super) struct PostgresDatabase {
    pool: PgPool,
    /// Those that are known to be there.
    partitions: Arc<Mutex<BTreeSet<Day>>>,
    /// Where changes are told: `NOTIFY` knows no schemas.
    channel: Arc<str>,
}

/// Makes a schema where it is missing, as Prisma does.
async fn make_schema(session: &mut Session, name: &str) -> Result<(), StoreError> {
    Sql::new(MAKING_SCHEMA).bind(name).execute(session).await?;
    let statement: String =
        Sql::new("SELECT format('CREATE SCHEMA IF NOT EXISTS %I', $1::text)").bind(name).one(session).await?;
    session.script(&statement).await
}

async fn migrate(pool: &PgPool) -> Result<(), StoreError> {
    let mut session = Session::PostgresTransaction(pool.begin().await?);
    Sql::new(MIGRATING).execute(&mut session).await?;
    session.script(LOCK_PATIENCE).await?;
    super::schema::migrate(session).await
}

impl PostgresDatabase {
    pub(super) async fn connect(url: &str) -> Result<Self, StoreError> {
        let mut options = PgConnectOptions::from_str(url).map_err(|_| StoreError::BadAddress)?;
        options = options.application_name("tollway");
        let parameter = |name: &str| {
            let (_, query) = url.split_once('?')?;
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        // As Prisma, and so LiteLLM, writes it.
        if let Some(schema) = parameter("schema") {
            options = options.options([("search_path", schema)]);
        }
        let connections = parameter("connection_limit").and_then(|most| most.parse().ok());
        let pool = PgPoolOptions::new()
            .max_connections(connections.unwrap_or(CONNECTIONS).max(2))
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await?;
        let mut session = Session::PostgresTransaction(pool.begin().await?);
        if let Some(schema) = parameter("schema") {
            make_schema(&mut session, schema).await?;
        }
        let schema: String = Sql::new("SELECT current_schema()::text").one(&mut session).await?;
        session.commit().await?;
        let mut attempts = 1..MIGRATION_ATTEMPTS;
        while let Err(error) = migrate(&pool).await {
            // Somebody books for long. He is let pass.
            if !has_code(&error, LOCKED) || attempts.next().is_none() {
                return Err(error);
            }
        }
        Ok(Self { pool, partitions: Arc::default(), channel: format!("tollway_{schema}").into() })
    }

    pub(super) async fn reader(&self) -> Result<Session, StoreError> {
        Ok(Session::Postgres(self.pool.acquire().await?))
    }

    pub(super) async fn snapshot(&self) -> Result<Session, StoreError> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(Session::PostgresTransaction(self.pool.begin_with(begin).await?))
    }

    pub(super) async fn transaction(&self) -> Result<Session, StoreError> {
        Ok(Session::PostgresTransaction(self.pool.begin().await?))
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeSet<Day>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the partitions of these days where they are missing, and of the days after them, so that nobody waits at
    /// midnight.
    pub(super) async fn make_partitions(&self, days: impl Iterator<Item = Day>) -> Result<(), StoreError> {
        let missing: BTreeSet<Day> = {
            let known = self.known();
            days.filter(|day| !known.contains(day)).collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        let next = missing.iter().map(|day| Day(day.0.saturating_add(1)));
        let wanted: BTreeSet<Day> = missing.iter().copied().chain(next).collect();
        let mut session = self.transaction().await?;
        Sql::new(PARTITIONING).execute(&mut session).await?;
        session.script(LOCK_PATIENCE).await?;
        let there: BTreeSet<Day> =
            partitions(&mut session).await?.into_iter().map(|partition| partition.day).collect();
        for day in wanted.difference(&there) {
            let (name, from, until) = (name(*day), day.start().0, Day(day.0.saturating_add(1)).start().0);
            // Attached rather than made as a part: that takes no lock that writers or readers wait for.
            session
                .script(&format!(
                    "CREATE TABLE {name} (LIKE spend INCLUDING ALL);
                     ALTER TABLE spend ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({until})"
                ))
                .await?;
        }
        session.commit().await?;
        // The days after are looked at again when rows of them come: then those after them are made.
        self.known().extend(missing);
        Ok(())
    }

    /// Whether an error means that somebody dropped a partition that we knew. Then all of them are looked at again.
    pub(super) fn forget_partitions_on(&self, error: &StoreError) -> bool {
        let is_missing = has_code(error, NO_PARTITION);
        if is_missing {
            self.known().clear();
        }
        is_missing
    }

    /// Drops all days before this one, and returns how many rows they had. Stops where somebody reads one for long.
    pub(super) async fn drop_days(&self, before: Day) -> Result<u64, StoreError> {
        let mut session = self.reader().await?;
        let partitions = partitions(&mut session).await?;
        drop(session);
        let mut dropped = 0;
        for partition in partitions.into_iter().filter(|partition| partition.day < before) {
            match self.drop_day(partition.day).await {
                Ok(rows) => dropped += rows,
                Err(error) if has_code(&error, LOCKED) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(dropped)
    }

    async fn drop_day(&self, day: Day) -> Result<u64, StoreError> {
        let name = name(day);
        let mut session = self.transaction().await?;
        Sql::new(PARTITIONING).execute(&mut session).await?;
        let rows: i64 =
            Sql::new(format!("SELECT COUNT(*) FROM {name}")).persistent(false).one(&mut session).await?;
        session.script(LOCK_PATIENCE).await?;
        session.script(&format!("DROP TABLE {name}")).await?;
        session.commit().await?;
        self.known().remove(&day);
        Ok(rows.unsigned_abs())
    }

    /// Bytes per day of the log, with indexes, oldest first.
    pub(super) async fn day_sizes(&self) -> Result<Vec<(Day, u64)>, StoreError> {
        let mut session = self.reader().await?;
        let partitions = partitions(&mut session).await?;
        Ok(partitions.into_iter().map(|partition| (partition.day, partition.bytes)).collect())
    }
}

struct Partition {
    day: Day,
    bytes: u64,
}

async fn partitions(session: &mut Session) -> Result<Vec<Partition>, StoreError> {
    let rows: Vec<(i64, i64)> = Sql::new(
        "SELECT CAST(substring(pg_get_expr(c.relpartbound, c.oid) FROM '-?[0-9]+') AS BIGINT) AS start,
             pg_total_relation_size(c.oid)
         FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = to_regclass('spend') ORDER BY start",
    )
    .all(session)
    .await?;
    let partition = |(start, bytes): (i64, i64)| Partition {
        day: crate::rules::time::Timestamp(start).day(),
        bytes: bytes.unsigned_abs(),
    };
    Ok(rows.into_iter().map(partition).collect())
}

/// `"spend_2026-11-21"`
fn name(day: Day) -> String {
    format!("\"spend_{day}\"")
}

fn has_code(error: &StoreError, code: &str) -> bool {
    let StoreError::Database(error) = error else { return false };
    error.as_database_error().is_some_and(|error| error.code().is_some_and(|found| found == code))
}
