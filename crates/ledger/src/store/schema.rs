//! Migrations: embedded, forward-only, run at start under the database's write lock.
//!
//! A migration may only add: a version of Tollway that does not know it yet may be running beside this one. For the same
//! reason a schema that is newer than this program is fine.

use sqlx::sqlite::SqlitePool;

use super::StoreError;

/// By number, ascending.
const MIGRATIONS: [(i64, &str); 2] = [
    (1, include_str!("../../migrations/0001_ledger.sql")),
    (2, include_str!("../../migrations/0002_run_time.sql")),
];

pub(super) async fn migrate(pool: &SqlitePool) -> Result<(), StoreError> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS migrations (number BIGINT NOT NULL PRIMARY KEY)")
        .execute(&mut *transaction)
        .await?;
    let done: Option<i64> =
        sqlx::query_scalar("SELECT MAX(number) FROM migrations").fetch_one(&mut *transaction).await?;
    for (number, sql) in MIGRATIONS.iter().filter(|(number, _)| *number > done.unwrap_or(0)) {
        sqlx::raw_sql(*sql).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO migrations (number) VALUES ($1)")
            .bind(number)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}
