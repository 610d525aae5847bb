//! Who changed what: the audit log of the management API.

use super::sql::{Read, Row, Sql};
use super::{Store, StoreError};
use crate::rules::time::Timestamp;

/// A change, as it is told later. Whoever makes one masks secrets first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Unique.
    pub id: String,
    pub at: Timestamp,
    /// A user's id, or what stands for the holder of the master key.
    pub by: String,
    /// The id of the key that was used.
    pub by_key: Option<String>,
    /// `created`, `updated`, `deleted`, `blocked`, …
    pub action: String,
    /// The kind of what was changed; see [`Record::KIND`](super::Record::KIND).
    pub kind: String,
    pub object: String,
    /// As JSON.
    pub before: Option<String>,
    /// As JSON.
    pub after: Option<String>,
}

impl Store {
    /// Writes a change down.
    ///
    /// # Errors
    /// The database's.
    pub async fn log_change(&self, change: &Change) -> Result<(), StoreError> {
        let mut transaction = self.transaction().await?;
        Sql::new(
            "INSERT INTO changes (id, changed_at, changed_by, changed_by_key, action, kind, object_id, before_data,
             after_data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&change.id)
        .bind(change.at.0)
        .bind(&change.by)
        .bind(change.by_key.as_deref())
        .bind(&change.action)
        .bind(&change.kind)
        .bind(&change.object)
        .bind(change.before.as_deref())
        .bind(change.after.as_deref())
        .execute(&mut transaction)
        .await?;
        transaction.commit().await
    }

    /// Changes, newest first; of one object if it is named by kind and id.
    ///
    /// # Errors
    /// The database's.
    pub async fn changes(
        &self,
        object: Option<(&str, &str)>,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<Change>, StoreError> {
        let mut select = Sql::new("SELECT * FROM changes");
        if let Some((kind, id)) = object {
            select.push(" WHERE kind = ").push_bind(kind);
            select.push(" AND object_id = ").push_bind(id);
        }
        select.push(" ORDER BY changed_at DESC, id DESC LIMIT ").push_bind(limit.max(0));
        select.push(" OFFSET ").push_bind(offset.max(0));
        select.all(&mut self.reader().await?).await
    }
}

impl Read for Change {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.get("id")?,
            at: Timestamp(row.get("changed_at")?),
            by: row.get("changed_by")?,
            by_key: row.get("changed_by_key")?,
            action: row.get("action")?,
            kind: row.get("kind")?,
            object: row.get("object_id")?,
            before: row.get("before_data")?,
            after: row.get("after_data")?,
        })
    }
}
