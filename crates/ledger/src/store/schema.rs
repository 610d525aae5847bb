//! Migrations: embedded, forward-only, run at start under a lock.
//!
//! A migration may only add: a version of Tollway that does not know it yet may be running beside this one. For the same
//! reason a schema that is newer than this program is fine.

use super::StoreError;
use super::session::Session;
use super::sql::Sql;

struct Migration {
    number: i64,
    /// For both databases.
    sql: &'static str,
    /// What only one of them understands.
    sqlite: &'static str,
    postgres: &'static str,
}

/// By number, ascending.
const MIGRATIONS: [Migration; 6] = [
    Migration {
        number: 1,
        sql: include_str!("../../migrations/0001_ledger.sql"),
        sqlite: include_str!("../../migrations/0001_spend.sqlite.sql"),
        postgres: include_str!("../../migrations/0001_spend.postgres.sql"),
    },
    Migration {
        number: 2,
        sql: include_str!("../../migrations/0002_run_time.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration { number: 3, sql: include_str!("../../migrations/0003_claims.sql"), sqlite: "", postgres: "" },
    Migration {
        number: 4,
        sql: "",
        sqlite: include_str!("../../migrations/0004_log_indexes.sqlite.sql"),
        postgres: include_str!("../../migrations/0004_log_indexes.postgres.sql"),
    },
    Migration {
        number: 5,
        sql: include_str!("../../migrations/0005_instance_spend.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        number: 6,
        sql: "",
        sqlite: include_str!("../../migrations/0006_daily_totals.sqlite.sql"),
        postgres: include_str!("../../migrations/0006_daily_totals.postgres.sql"),
    },
];

/// Brings the schema up to date, and commits. The session is a transaction that no other migration runs beside.
pub(super) async fn migrate(mut session: Session) -> Result<(), StoreError> {
    session.script("CREATE TABLE IF NOT EXISTS migrations (number BIGINT NOT NULL PRIMARY KEY)").await?;
    let done: Option<i64> = Sql::new("SELECT MAX(number) FROM migrations").one(&mut session).await?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.number > done.unwrap_or(0)) {
        if session.is_postgres() {
            for sql in [migration.sql, migration.postgres] {
                // Texts are compared by bytes, as SQLite does: lists have one order, and indexes are smaller.
                session.script(&sql.replace(" TEXT", " TEXT COLLATE \"C\"")).await?;
            }
        } else {
            for sql in [migration.sql, migration.sqlite] {
                session.script(sql).await?;
            }
        }
        Sql::new("INSERT INTO migrations (number) VALUES ($1)")
            .bind(migration.number)
            .execute(&mut session)
            .await?;
    }
    session.commit().await
}
