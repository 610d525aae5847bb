//! What lasts: entities, spend, sums. One SQLite file for now; the SQL keeps to what PostgreSQL understands as well.
//!
//! [`Store::book`] writes rows, daily sums and budget windows in one transaction, each request once.

mod audit;
mod booking;
mod changes;
mod entities;
mod error;
mod record;
mod report;
mod schema;
mod secrets;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

pub use audit::Discrepancy;
pub use booking::Booked;
pub use changes::Change;
pub use entities::{Filter, Page, SortBy, Sorting, Stored};
pub use error::StoreError;
pub use record::Record;
pub use report::{DailySum, LogFilter};
pub use secrets::{ResealError, Resealed};

/// How many requests may read at the same time.
const READERS: u32 = 4;
/// How long a request waits for the database before it is told that there is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    /// One connection: SQLite has one writer at a time, and a queue here is fair where its lock is not.
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Store {
    /// Opens a SQLite file, made if it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened or written, or a migration fails.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A commit is on the disk before the journal lets go of what was booked.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE);
        let pool = |most| SqlitePoolOptions::new().max_connections(most).acquire_timeout(PATIENCE);
        let writer = pool(1).connect_with(options.clone()).await?;
        schema::migrate(&writer).await?;
        let readers = pool(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self { writer, readers })
    }

    /// Closes all connections, after what they are doing.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Writes a copy of the whole database, consistent while requests go on. The file must not exist.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub async fn backup(&self, path: &Path) -> Result<(), StoreError> {
        let path = path.to_string_lossy().into_owned();
        sqlx::query("VACUUM INTO $1").bind(path).execute(&self.writer).await?;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
