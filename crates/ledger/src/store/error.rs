//! What can go wrong with the database.

use std::fmt;

use sqlx::postgres::PgDatabaseError;

/// An operation of the store failed.
#[derive(Debug)]
pub enum StoreError {
    /// Something with this name exists already.
    Taken {
        /// The table, and the column that must be unique: `keys.alias`.
        what: String,
    },
    /// It was changed by somebody else since it was read: read it again.
    Changed,
    /// What is stored cannot be read.
    Unreadable { table: &'static str, id: String, source: serde_json::Error },
    /// `database_url` is no address. It is not shown: it may hold a password.
    BadAddress,
    /// PostgreSQL has its own ways to make backups.
    NoBackup,
    /// The database does not answer, or refuses.
    Database(sqlx::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { what } => write!(f, "`{what}` is taken; choose another"),
            Self::Changed => f.write_str("it was changed by somebody else in the meantime; read it again"),
            Self::Unreadable { table, id, .. } => write!(f, "`{id}` in table `{table}` cannot be read"),
            Self::BadAddress => f.write_str(
                "`database_url` is no address of a database; write `postgresql://user:password@host:5432/name` or \
                 `sqlite:<path>`",
            ),
            Self::NoBackup => f.write_str("PostgreSQL is backed up with its own tools, such as `pg_dump`"),
            Self::Database(_) => f.write_str("the database did not do what was asked"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Database(source) => Some(source),
            Self::Taken { .. } | Self::Changed | Self::BadAddress | Self::NoBackup => None,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let unique = error.as_database_error().filter(|error| error.is_unique_violation());
        let Some(unique) = unique else { return Self::Database(error) };
        let what = match unique.try_downcast_ref::<PgDatabaseError>() {
            // Detail: `Key (alias)=(ci) already exists.`
            Some(unique) => {
                let column = unique.detail().and_then(|detail| detail.strip_prefix("Key (")?.split_once(')'));
                format!("{}.{}", unique.table().unwrap_or_default(), column.map_or("", |(column, _)| column))
            }
            // `UNIQUE constraint failed: keys.alias`
            None => {
                let message = unique.message();
                message.rsplit_once(": ").map_or(message, |(_, what)| what).to_owned()
            }
        };
        Self::Taken { what }
    }
}
