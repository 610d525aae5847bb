//! What is deleted when it is old, or when there is too much of it. Sums stay, and with them all reports.

use std::time::Duration;

use super::sql::Sql;
use super::sqlite::SqliteFile;
use super::{Database, Store, StoreError};
use crate::rules::time::{Day, Timestamp};

const DAY: Duration = Duration::from_secs(86_400);

/// Rows that SQLite deletes in one transaction: others write in between.
const ROWS_AT_ONCE: i64 = 5_000;
/// Transactions of one round.
const STEPS: u32 = 20;
/// Pages that a round gives back to the disk.
const PAGES: u32 = 20_000;

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Rows of the spend log; whole days (UTC), and today's always stay.
    pub rows_for: Duration,
    /// How large the spend log may get, with its indexes; on SQLite, the whole file. Then the oldest days go first.
    pub rows_bytes: u64,
    /// Who changed what, and what was deleted.
    pub changes_for: Duration,
    /// Budget windows that have a successor, and who booked what of windows in which they book nothing any more.
    pub windows_for: Duration,
}

impl Default for Retention {
    /// 90 days and 20 GiB of rows, a year of changes, 90 days of windows.
    fn default() -> Self {
        Self { rows_for: DAY * 90, rows_bytes: 20 << 30, changes_for: DAY * 365, windows_for: DAY * 90 }
    }
}

/// What a round of retention deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    pub rows: u64,
    pub changes: u64,
    pub windows: u64,
    /// There is more to do: another round should follow soon.
    pub more: bool,
}

impl Store {
    /// Deletes what need not be kept, a bounded part of it, makes what the next day needs, and adds up what was booked
    /// before there were totals. To be called once an hour, by any number of instances.
    ///
    /// # Errors
    /// The database's; what was deleted before stays deleted.
    pub async fn retain(&self, retention: &Retention, now: Timestamp) -> Result<Retained, StoreError> {
        let ago = |length: Duration| {
            let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
            Timestamp(now.0.saturating_sub(millis))
        };
        let mut done = Retained::default();
        let today = now.day();
        let oldest = ago(retention.rows_for).day().min(today);
        match &self.database {
            Database::Sqlite(file) => {
                self.shrink_file(file, retention, oldest, today, &mut done).await?;
            }
            Database::Postgres(database) => {
                database.make_partitions(std::iter::once(today)).await?;
                let mut before = oldest;
                let mut sizes = database.day_sizes().await?;
                sizes.retain(|(day, _)| *day >= oldest);
                let mut bytes: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
                for (day, freed) in sizes.into_iter().filter(|(day, _)| *day < today) {
                    if bytes <= retention.rows_bytes {
                        break;
                    }
                    bytes = bytes.saturating_sub(freed);
                    before = Day(day.0.saturating_add(1));
                }
                done.rows = self.forget_rows(before, i64::MAX).await?;
            }
        }
        done.more |= self.fill_totals().await?;
        done.windows = self.forget_windows(ago(retention.windows_for)).await?;
        let mut transaction = self.transaction().await?;
        let old = ago(retention.changes_for).0;
        for sql in ["DELETE FROM changes WHERE changed_at < $1", "DELETE FROM deleted WHERE deleted_at < $1"]
        {
            done.changes += Sql::new(sql).bind(old).execute(&mut transaction).await?;
        }
        Sql::new("DELETE FROM instance_spend WHERE booked_on < $1")
            .bind(ago(retention.windows_for).day().0)
            .execute(&mut transaction)
            .await?;
        // Nothing is lent for so long: whoever comes next begins with what was spent.
        for sql in ["DELETE FROM rooms WHERE exchanged_at < $1", "DELETE FROM instances WHERE until_at < $1"]
        {
            Sql::new(sql).bind(ago(DAY).0).execute(&mut transaction).await?;
        }
        Sql::new("DELETE FROM claims WHERE until_at < $1").bind(now.0).execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    }

    async fn shrink_file(
        &self,
        file: &SqliteFile,
        retention: &Retention,
        oldest: Day,
        today: Day,
        done: &mut Retained,
    ) -> Result<(), StoreError> {
        for _ in 0..STEPS {
            let mut session = self.reader().await?;
            let first: Option<i64> = Sql::new("SELECT MIN(started_at) FROM spend").one(&mut session).await?;
            let bytes = SqliteFile::used_bytes(&mut session).await?;
            drop(session);
            let first = first.map(|first| Timestamp(first).day());
            done.more =
                first.is_some_and(|first| first < oldest || (first < today && bytes > retention.rows_bytes));
            let Some(first) = first.filter(|_| done.more) else { break };
            let before = oldest.max(Day(first.0.saturating_add(1)));
            done.rows += self.forget_rows(before, ROWS_AT_ONCE).await?;
        }
        file.give_back_pages(PAGES).await
    }

    /// Deletes rows of the log that began before a day, and returns how many. Sums stay. At most `limit` on SQLite;
    /// PostgreSQL drops whole days at once.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_rows(&self, before: Day, limit: i64) -> Result<u64, StoreError> {
        let mut transaction = self.transaction().await?;
        Sql::new(
            "INSERT INTO facts (name, value) VALUES ('rows_kept_from', $1)
             ON CONFLICT (name) DO UPDATE SET value =
                 CASE WHEN excluded.value > facts.value THEN excluded.value ELSE facts.value END",
        )
        .bind(before.0)
        .execute(&mut transaction)
        .await?;
        match &self.database {
            Database::Sqlite(_) => {
                let deleted = SqliteFile::delete_rows(&mut transaction, before, limit).await?;
                transaction.commit().await?;
                Ok(deleted)
            }
            Database::Postgres(database) => {
                // Before the rows go, so that no audit takes them for lost.
                transaction.commit().await?;
                database.drop_days(before).await
            }
        }
    }

    /// Deletes budget windows that began before a moment and have a successor, and returns how many. Rows and sums
    /// stay.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_windows(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.transaction().await?;
        let deleted = Sql::new(
            "DELETE FROM window_spend WHERE period <> '' AND window_start < $1 AND EXISTS (
                 SELECT 1 FROM window_spend l
                 WHERE l.kind = window_spend.kind AND l.id = window_spend.id AND l.model = window_spend.model
                 AND l.period = window_spend.period AND l.window_start > window_spend.window_start)",
        )
        .bind(before.0)
        .execute(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(deleted)
    }
}
