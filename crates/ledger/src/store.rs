//! What lasts: entities, spend, sums; in one SQLite file, or in PostgreSQL.
//!
//! [`Store::book`] writes rows, daily sums and budget windows in one transaction, each request once. The SQL is the
//! same for both databases; what differs is in `sqlite` and `postgres`.

mod audit;
mod batch;
mod booking;
mod changes;
mod claims;
mod entities;
mod error;
mod feed;
mod leases;
mod postgres;
mod record;
mod report;
mod retention;
mod schema;
mod secrets;
mod session;
mod sql;
mod sqlite;
mod totals;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use tokio::sync::watch;

pub use audit::Discrepancy;
pub use batch::Batch;
pub use booking::{Booked, Tally, WindowSpend};
pub use changes::{Change, ChangeFilter};
pub use entities::{Filter, Page, SortBy, Sorting, Stored};
pub use error::StoreError;
pub use feed::{ChangesFeed, Event};
pub use record::Record;
pub use report::{By, DailySum, LogFilter, SumQuery};
pub use retention::{Retained, Retention};
pub use secrets::{ResealError, Resealed};

use postgres::PostgresDatabase;
use session::Session;
use sqlite::SqliteFile;

/// How long a request waits for the database before it is told that there is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    /// Told when this instance, or PostgreSQL, says that something changed.
    changed: Arc<watch::Sender<()>>,
    /// The day from which on totals are complete, as far as this instance knows; see `totals`.
    totals_from: Arc<AtomicI64>,
}

#[derive(Clone, Debug)]
enum Database {
    Sqlite(SqliteFile),
    Postgres(PostgresDatabase),
}

impl Store {
    /// Opens a SQLite file, made if it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened or written, or a migration fails.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::over(Database::Sqlite(SqliteFile::open(path).await?)).await
    }

    /// Opens the database that `database_url` names, and brings its schema up to date: `postgresql://…` (also with
    /// Prisma's parameters `schema` and `connection_limit`), or `sqlite:<path>`.
    ///
    /// # Errors
    /// [`StoreError::BadAddress`]; or when the database does not answer, or a migration fails.
    pub async fn connect(database_url: &str) -> Result<Self, StoreError> {
        if let Some(path) = database_url.strip_prefix("sqlite:") {
            return Self::open(Path::new(path.strip_prefix("//").unwrap_or(path))).await;
        }
        if !database_url.starts_with("postgres://") && !database_url.starts_with("postgresql://") {
            return Err(StoreError::BadAddress);
        }
        Self::over(Database::Postgres(PostgresDatabase::connect(database_url).await?)).await
    }

    async fn over(database: Database) -> Result<Self, StoreError> {
        let totals_from = Arc::new(AtomicI64::new(i64::MAX));
        let store = Self { database, changed: Arc::new(watch::Sender::new(())), totals_from };
        store.look_up_totals().await?;
        Ok(store)
    }

    /// Whether it is PostgreSQL: then other instances may use it too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.database, Database::Postgres(_))
    }

    /// Closes all connections, after what they are doing.
    pub async fn close(&self) {
        match &self.database {
            Database::Sqlite(file) => file.close().await,
            Database::Postgres(database) => database.close().await,
        }
    }

    /// Writes a copy of the whole database, consistent while requests go on. The file must not exist.
    ///
    /// # Errors
    /// When the file exists or cannot be written; [`StoreError::NoBackup`] on PostgreSQL.
    pub async fn backup(&self, path: &Path) -> Result<(), StoreError> {
        match &self.database {
            Database::Sqlite(file) => file.backup(path).await,
            Database::Postgres(_) => Err(StoreError::NoBackup),
        }
    }

    /// A connection to read with.
    async fn reader(&self) -> Result<Session, StoreError> {
        match &self.database {
            Database::Sqlite(file) => file.reader().await,
            Database::Postgres(database) => database.reader().await,
        }
    }

    /// A transaction to read with that sees one state throughout.
    async fn snapshot(&self) -> Result<Session, StoreError> {
        match &self.database {
            Database::Sqlite(file) => file.snapshot().await,
            Database::Postgres(database) => database.snapshot().await,
        }
    }

    /// A transaction to write with.
    async fn transaction(&self) -> Result<Session, StoreError> {
        match &self.database {
            Database::Sqlite(file) => file.transaction().await,
            Database::Postgres(database) => database.transaction().await,
        }
    }
}

/// The answer to a question that a request waits for: in time, or the error that there is no database.
async fn in_time<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::Database(sqlx::Error::PoolTimedOut)),
    }
}

#[cfg(test)]
pub(crate) mod tests;
