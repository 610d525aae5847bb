//! What can go wrong with the database.

use std::fmt;

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
    /// The database does not answer, or refuses.
    Database(sqlx::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { what } => write!(f, "`{what}` is taken; choose another"),
            Self::Changed => f.write_str("it was changed by somebody else in the meantime; read it again"),
            Self::Unreadable { table, id, .. } => write!(f, "`{id}` in table `{table}` cannot be read"),
            Self::Database(_) => f.write_str("the database did not do what was asked"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Database(source) => Some(source),
            Self::Taken { .. } | Self::Changed => None,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let unique = error.as_database_error().filter(|error| error.is_unique_violation());
        match unique {
            // SQLite: `UNIQUE constraint failed: keys.alias`
            Some(unique) => {
                let message = unique.message();
                let what = message.rsplit_once(": ").map_or(message, |(_, what)| what);
                Self::Taken { what: what.to_owned() }
            }
            None => Self::Database(error),
        }
    }
}
