//! Who changed what: the audit log of the management API.

use super::entities::Page;
use super::session::Session;
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

/// Which changes. All conditions hold at once.
#[derive(Clone, Debug, Default)]
pub struct ChangeFilter {
    pub id: Option<String>,
    pub kind: Option<String>,
    pub object: Option<String>,
    pub by: Option<String>,
    pub by_key: Option<String>,
    pub action: Option<String>,
    /// At or after this.
    pub from: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
}

impl Store {
    /// Writes a change down.
    ///
    /// # Errors
    /// The database's.
    pub async fn log_change(&self, change: &Change) -> Result<(), StoreError> {
        let mut transaction = self.transaction().await?;
        change.write(&mut transaction).await?;
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
        let (kind, id) = object.unzip();
        let filter = ChangeFilter {
            kind: kind.map(str::to_owned),
            object: id.map(str::to_owned),
            ..ChangeFilter::default()
        };
        Ok(self.audit_log(&filter, true, offset, limit).await?.items)
    }

    /// A page of the audit log, and how many changes there are on all.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit_log(
        &self,
        filter: &ChangeFilter,
        newest_first: bool,
        offset: i64,
        limit: i64,
    ) -> Result<Page<Change>, StoreError> {
        let mut session = self.reader().await?;
        let mut count = Sql::new("SELECT COUNT(*) FROM changes");
        filter.push(&mut count);
        let total = count.one(&mut session).await?;
        let mut select = Sql::new("SELECT * FROM changes");
        filter.push(&mut select);
        let direction = if newest_first { "DESC" } else { "ASC" };
        select.push(&format!(" ORDER BY changed_at {direction}, id {direction} LIMIT "));
        select.push_bind(limit.max(0)).push(" OFFSET ").push_bind(offset.max(0));
        Ok(Page { items: select.all(&mut session).await?, total })
    }
}

impl ChangeFilter {
    fn push<'q>(&'q self, query: &mut Sql<'q>) {
        let mut word = " WHERE ";
        for (column, value) in [
            ("id", &self.id),
            ("kind", &self.kind),
            ("object_id", &self.object),
            ("changed_by", &self.by),
            ("changed_by_key", &self.by_key),
            ("action", &self.action),
        ] {
            let Some(value) = value else { continue };
            query.push(std::mem::replace(&mut word, " AND ")).push(column).push(" = ").push_bind(value);
        }
        if let Some(from) = self.from {
            query.push(std::mem::replace(&mut word, " AND ")).push("changed_at >= ").push_bind(from.0);
        }
        if let Some(until) = self.until {
            query.push(word).push("changed_at < ").push_bind(until.0);
        }
    }
}

impl Change {
    pub(super) async fn write(&self, session: &mut Session) -> Result<(), StoreError> {
        Sql::new(
            "INSERT INTO changes (id, changed_at, changed_by, changed_by_key, action, kind, object_id, before_data,
             after_data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&self.id)
        .bind(self.at.0)
        .bind(&self.by)
        .bind(self.by_key.as_deref())
        .bind(&self.action)
        .bind(&self.kind)
        .bind(&self.object)
        .bind(self.before.as_deref())
        .bind(self.after.as_deref())
        .execute(session)
        .await?;
        Ok(())
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
