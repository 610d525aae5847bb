//! What is SQLite's own: one file, one writer.

use std::path::Path;

use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use super::session::Session;
use super::sql::Sql;
use super::{PATIENCE, StoreError};
use crate::rules::time::Day;

/// How many requests may read at the same time.
const READERS: u32 = 4;

/// What the writer keeps of the file in memory, in KiB: what a batch of bookings touches in a log of ten million rows, so
/// that none of it is read again for the next batch. Taken as it is needed: a file that is small needs less.
const WRITER_CACHE: &str = "-65536";
/// The same of each reader: a day's sums of some thousand keys.
const READER_CACHE: &str = "-8192";
/// How many pages the WAL may have before they are moved into the file. Most of a batch's pages are those of the batch
/// before, and moved once for all batches of a WAL.
const CHECKPOINT_AFTER: &str = "16384";
/// What the WAL is cut down to then, in bytes.
const WAL_BYTES: &str = "67108864";

#[derive(Clone, Debug)]
pub(super) struct SqliteFile {
    /// One connection: SQLite has one writer at a time, and a queue here is fair where its lock is not.
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteFile {
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A commit is on the disk before the journal lets go of what was booked.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE);
        let pool = |most| SqlitePoolOptions::new().max_connections(most).acquire_timeout(PATIENCE);
        // Retention gives pages of deleted rows back to the disk, a few at a time.
        let writing = options
            .clone()
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .pragma("cache_size", WRITER_CACHE)
            .pragma("wal_autocheckpoint", CHECKPOINT_AFTER)
            .pragma("journal_size_limit", WAL_BYTES);
        let writer = pool(1).connect_with(writing).await?;
        super::schema::migrate(Session::SqliteTransaction(writer.begin_with("BEGIN IMMEDIATE").await?))
            .await?;
        let readers =
            pool(READERS).connect_with(options.read_only(true).pragma("cache_size", READER_CACHE)).await?;
        Ok(Self { writer, readers })
    }

    pub(super) async fn reader(&self) -> Result<Session, StoreError> {
        Ok(Session::Sqlite(self.readers.acquire().await?))
    }

    pub(super) async fn snapshot(&self) -> Result<Session, StoreError> {
        Ok(Session::SqliteTransaction(self.readers.begin().await?))
    }

    pub(super) async fn transaction(&self) -> Result<Session, StoreError> {
        Ok(Session::SqliteTransaction(self.writer.begin_with("BEGIN IMMEDIATE").await?))
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    pub(super) async fn backup(&self, path: &Path) -> Result<(), StoreError> {
        let mut session = Session::Sqlite(self.writer.acquire().await?);
        let path = path.to_string_lossy().into_owned();
        Sql::new("VACUUM INTO $1").bind(path).execute(&mut session).await?;
        Ok(())
    }

    /// Deletes the oldest rows of the log that began before a day.
    pub(super) async fn delete_rows(
        session: &mut Session,
        before: Day,
        limit: i64,
    ) -> Result<u64, StoreError> {
        Sql::new(
            "DELETE FROM spend WHERE rowid IN (
                 SELECT rowid FROM spend WHERE started_at < $1 ORDER BY started_at LIMIT $2)",
        )
        .bind(before.start().0)
        .bind(limit)
        .execute(session)
        .await
    }

    /// Bytes of the file that hold something.
    pub(super) async fn used_bytes(session: &mut Session) -> Result<u64, StoreError> {
        let bytes: i64 = Sql::new(
            "SELECT (page_count - freelist_count) * page_size
             FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()",
        )
        .one(session)
        .await?;
        Ok(bytes.unsigned_abs())
    }

    /// Gives pages that hold nothing back to the disk, at most so many.
    pub(super) async fn give_back_pages(&self, most: u32) -> Result<(), StoreError> {
        let mut session = Session::Sqlite(self.writer.acquire().await?);
        session.script(&format!("PRAGMA incremental_vacuum({most})")).await
    }
}
