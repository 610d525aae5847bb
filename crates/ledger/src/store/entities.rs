//! Keys, teams, users, …: insert, read, change, list, delete.

use std::collections::{BTreeMap, BTreeSet};

use catalog::NanoUsd;

use super::record::Record;
use super::session::Session;
use super::sql::Sql;
use super::{Store, StoreError, in_time};
use crate::rules::entity::Key;
use crate::rules::id::{AccessGroupId, KeyHash, OrganizationId, TeamId, UserId};
use crate::rules::time::Timestamp;

/// An entity as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored<R> {
    pub record: R,
    /// Which of its versions: [`Store::update`] changes no other.
    pub version: i64,
    /// What it spent for good, as far as that is booked. Nothing that is written.
    pub spend: NanoUsd,
}

/// Id, version, data, spend.
type Row = (String, i64, String, Option<i64>);

/// What [`Row`] is read from; an entity's own table is `r`.
const COLUMNS: &str = "SELECT r.id, r.version, r.data, w.spend_nano";

/// Finds what an entity spent for good.
const SPEND: &str =
    "LEFT JOIN window_spend w ON w.id = r.id AND w.model = '' AND w.period = '' AND w.window_start = 0
     AND w.kind = ";

/// Which entities to list. All conditions hold at once.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub user: Option<UserId>,
    pub team: Option<TeamId>,
    pub organization: Option<OrganizationId>,
    /// Exactly this name or e-mail address.
    pub alias: Option<String>,
    /// A part of the id, name or e-mail address, in any case.
    pub search: Option<String>,
    pub blocked: Option<bool>,
    /// Only what expires before this.
    pub expires_before: Option<Timestamp>,
    /// Keys and teams that have this access group beside their models.
    pub access_group: Option<AccessGroupId>,
}

/// In which order to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sorting {
    pub by: SortBy,
    pub descending: bool,
}

/// What to sort by; equal ones are sorted by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    CreatedAt,
    UpdatedAt,
    ExpiresAt,
    Alias,
    /// Spend for good.
    Spend,
}

impl Default for Sorting {
    fn default() -> Self {
        Self { by: SortBy::CreatedAt, descending: true }
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// How many there are on all pages.
    pub total: i64,
}

impl SortBy {
    fn sql(self) -> &'static str {
        match self {
            Self::CreatedAt => "r.created_at",
            Self::UpdatedAt => "r.updated_at",
            Self::ExpiresAt => "COALESCE(r.expires_at, 9223372036854775807)",
            Self::Alias => "COALESCE(r.alias, '')",
            Self::Spend => "COALESCE(w.spend_nano, 0)",
        }
    }
}

impl Store {
    /// Stores a new entity. A key is found by its hash from now on.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when its id, alias or hash is; or the database's.
    pub async fn insert<R: Record>(&self, record: &R) -> Result<(), StoreError> {
        let mut transaction = self.transaction().await?;
        insert(&mut transaction, record).await?;
        self.note(&mut transaction, R::KIND, &record.id()).await?;
        self.commit_noted(transaction).await
    }

    /// Gives a key a new secret, whose hash is in `key`. The former ones are good until `grace_until`.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn regenerate_key(&self, key: &Stored<Key>, grace_until: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.transaction().await?;
        regenerate(&mut transaction, key, grace_until).await?;
        self.note(&mut transaction, Key::KIND, key.record.id.as_str()).await?;
        self.commit_noted(transaction).await
    }

    /// The key with this hash, also one before its last regeneration while its grace lasts.
    ///
    /// # Errors
    /// The database's: who asks must not take that for an unknown key.
    pub async fn key_by_hash(
        &self,
        hash: &KeyHash,
        now: Timestamp,
    ) -> Result<Option<Stored<Key>>, StoreError> {
        let sql = format!(
            "{COLUMNS} FROM key_hashes h JOIN keys r ON r.id = h.key_id {SPEND} $3
             WHERE h.hash = $1 AND (h.expires_at IS NULL OR h.expires_at > $2)"
        );
        let sql = Sql::new(sql).bind(hash.to_string()).bind(now.0).bind(Key::KIND);
        let row: Option<Row> = in_time(async { sql.optional(&mut self.reader().await?).await }).await?;
        row.map(read).transpose()
    }

    /// # Errors
    /// The database's.
    pub async fn get<R: Record>(&self, id: &str) -> Result<Option<Stored<R>>, StoreError> {
        let sql = format!("{COLUMNS} FROM {} r {SPEND} $2 WHERE r.id = $1", R::TABLE);
        let sql = Sql::new(sql).bind(id).bind(R::KIND);
        let row: Option<Row> = in_time(async { sql.optional(&mut self.reader().await?).await }).await?;
        row.map(read).transpose()
    }

    /// Those with these ids that there are, deleted ones included, by id.
    ///
    /// # Errors
    /// The database's.
    pub async fn known<R: Record>(&self, ids: &BTreeSet<String>) -> Result<BTreeMap<String, R>, StoreError> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut select =
            Sql::new("SELECT id, data FROM (SELECT id, data, deleted_at FROM deleted WHERE kind = ");
        select.push_bind(R::KIND).push(" AND id").push_in(ids, self.is_shared());
        select.push(" UNION ALL SELECT id, data, 9223372036854775807 FROM ").push(R::TABLE).push(" WHERE id");
        select.push_in(ids, self.is_shared()).push(") AS known ORDER BY deleted_at");
        let rows: Vec<(String, String)> =
            in_time(async { select.all(&mut self.reader().await?).await }).await?;
        // Of several the last counts: what there is, or what was deleted last.
        rows.into_iter().map(|(id, data)| Ok((id.clone(), read::<R>((id, 0, data, None))?.record))).collect()
    }

    /// Replaces an entity by a changed one.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is no longer the version that was read, or gone; [`StoreError::Taken`] when its
    /// new alias is; or the database's.
    pub async fn update<R: Record>(&self, stored: &Stored<R>) -> Result<(), StoreError> {
        let mut transaction = self.transaction().await?;
        update(&mut transaction, stored).await?;
        self.note(&mut transaction, R::KIND, &stored.record.id()).await?;
        self.commit_noted(transaction).await
    }

    /// Deletes what of these exists, and tells which that was. Spend stays.
    ///
    /// # Errors
    /// The database's.
    pub async fn delete<R: Record>(
        &self,
        ids: &[&str],
        by: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.transaction().await?;
        let mut deleted = Vec::new();
        for id in ids {
            if delete::<R>(&mut transaction, id, by, now).await? {
                deleted.push((*id).to_owned());
            }
        }
        for id in &deleted {
            self.note(&mut transaction, R::KIND, id).await?;
        }
        self.commit_noted(transaction).await?;
        Ok(deleted)
    }

    /// The keys that get new secrets by themselves. Looks through all keys: for now and then.
    ///
    /// # Errors
    /// The database's.
    pub async fn rotating_keys(&self) -> Result<Vec<Stored<Key>>, StoreError> {
        let sql = format!("{COLUMNS} FROM keys r {SPEND} $1 WHERE r.data LIKE $2 ORDER BY r.id");
        let sql = Sql::new(sql).bind(Key::KIND).bind("%\"rotation_due_at\":%");
        let rows: Vec<Row> = sql.all(&mut self.reader().await?).await?;
        // The text may stand in metadata as well.
        let rotates = |key: &Result<Stored<Key>, StoreError>| {
            key.as_ref().map_or(true, |key| key.record.rotation.due_at.is_some())
        };
        rows.into_iter().map(read).filter(rotates).collect()
    }

    /// A page of a list, and how many there are on all.
    ///
    /// # Errors
    /// The database's.
    pub async fn list<R: Record>(
        &self,
        filter: &Filter,
        sorting: Sorting,
        offset: i64,
        limit: i64,
    ) -> Result<Page<Stored<R>>, StoreError> {
        let mut count = Sql::new(format!("SELECT COUNT(*) FROM {} r", R::TABLE));
        filter.push(&mut count);
        let mut session = self.reader().await?;
        let total: i64 = count.one(&mut session).await?;

        let mut select = Sql::new(format!("{COLUMNS} FROM {} r {SPEND}", R::TABLE));
        select.push_bind(R::KIND);
        filter.push(&mut select);
        let direction = if sorting.descending { "DESC" } else { "ASC" };
        select.push(&format!(" ORDER BY {} {direction}, r.id LIMIT ", sorting.by.sql()));
        select.push_bind(limit.max(0)).push(" OFFSET ").push_bind(offset.max(0));
        let rows: Vec<Row> = select.all(&mut session).await?;
        Ok(Page { items: rows.into_iter().map(read).collect::<Result<_, _>>()?, total })
    }
}

impl Filter {
    fn push<'q>(&'q self, query: &mut Sql<'q>) {
        let mut word = " WHERE ";
        let mut equal = |column: &str, value: Option<&'q str>| {
            let Some(value) = value else { return };
            query.push(std::mem::replace(&mut word, " AND ")).push(column).push(" = ").push_bind(value);
        };
        equal("r.user_id", self.user.as_ref().map(UserId::as_str));
        equal("r.team_id", self.team.as_ref().map(TeamId::as_str));
        equal("r.organization_id", self.organization.as_ref().map(OrganizationId::as_str));
        equal("r.alias", self.alias.as_deref());
        if let Some(search) = &self.search {
            let pattern = format!("%{}%", literal(&search.to_lowercase()));
            query.push(std::mem::replace(&mut word, " AND "));
            query.push("(LOWER(r.id) LIKE ").push_bind(pattern.clone());
            query.push(" ESCAPE '\\' OR LOWER(r.alias) LIKE ").push_bind(pattern).push(" ESCAPE '\\')");
        }
        if let Some(blocked) = self.blocked {
            query.push(std::mem::replace(&mut word, " AND "));
            query.push("r.blocked = ").push_bind(i64::from(blocked));
        }
        if let Some(before) = self.expires_before {
            query.push(std::mem::replace(&mut word, " AND ")).push("r.expires_at < ").push_bind(before.0);
        }
        if let Some(group) = &self.access_group {
            // In a list of texts, as serde writes those.
            let group = serde_json::Value::from(group.as_str()).to_string();
            let pattern = format!("%\"access\\_groups\":[%{}%", literal(&group));
            query.push(word).push("r.data LIKE ").push_bind(pattern).push(" ESCAPE '\\'");
        }
    }
}

/// A text within a pattern of `LIKE`: `%` and `_` are what the caller typed, not wildcards.
fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

fn read<R: Record>((id, version, data, spend): Row) -> Result<Stored<R>, StoreError> {
    match serde_json::from_str(&data) {
        Ok(record) => Ok(Stored { record, version, spend: NanoUsd(spend.unwrap_or(0)) }),
        Err(source) => Err(StoreError::Unreadable { table: R::TABLE, id, source }),
    }
}

fn written<R: Record>(record: &R) -> Result<String, StoreError> {
    serde_json::to_string(record).map_err(|source| StoreError::Unreadable {
        table: R::TABLE,
        id: record.id(),
        source,
    })
}

pub(super) async fn insert<R: Record>(session: &mut Session, record: &R) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO {} (id, alias, user_id, team_id, organization_id, blocked, expires_at, created_at, updated_at,
         version, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10)",
        R::TABLE
    );
    let details = record.details();
    Sql::new(sql)
        .bind(record.id())
        .bind(record.alias())
        .bind(record.user().map(UserId::as_str))
        .bind(record.team().map(TeamId::as_str))
        .bind(record.organization().map(OrganizationId::as_str))
        .bind(i64::from(details.blocked))
        .bind(record.expires_at().map(|at| at.0))
        .bind(details.created_at.0)
        .bind(details.updated_at.0)
        .bind(written(record)?)
        .execute(session)
        .await?;
    match record.hash() {
        Some(hash) => insert_hash(session, hash, &record.id()).await,
        None => Ok(()),
    }
}

async fn insert_hash(session: &mut Session, hash: &KeyHash, id: &str) -> Result<(), StoreError> {
    Sql::new("INSERT INTO key_hashes (hash, key_id) VALUES ($1, $2)")
        .bind(hash.to_string())
        .bind(id)
        .execute(session)
        .await?;
    Ok(())
}

pub(super) async fn update<R: Record>(session: &mut Session, stored: &Stored<R>) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE {} SET alias = $1, user_id = $2, team_id = $3, organization_id = $4, blocked = $5, expires_at = $6,
         updated_at = $7, version = version + 1, data = $8 WHERE id = $9 AND version = $10",
        R::TABLE
    );
    let record = &stored.record;
    let details = record.details();
    let updated = Sql::new(sql)
        .bind(record.alias())
        .bind(record.user().map(UserId::as_str))
        .bind(record.team().map(TeamId::as_str))
        .bind(record.organization().map(OrganizationId::as_str))
        .bind(i64::from(details.blocked))
        .bind(record.expires_at().map(|at| at.0))
        .bind(details.updated_at.0)
        .bind(written(record)?)
        .bind(record.id())
        .bind(stored.version)
        .execute(session)
        .await?;
    if updated == 0 { Err(StoreError::Changed) } else { Ok(()) }
}

/// A new secret, whose hash is in `key`; the former ones are good until then.
pub(super) async fn regenerate(
    session: &mut Session,
    key: &Stored<Key>,
    grace_until: Timestamp,
) -> Result<(), StoreError> {
    update(session, key).await?;
    Sql::new(
        "UPDATE key_hashes SET expires_at = $1
         WHERE key_id = $2 AND (expires_at IS NULL OR expires_at > $1)",
    )
    .bind(grace_until.0)
    .bind(key.record.id.as_str())
    .execute(session)
    .await?;
    insert_hash(session, &key.record.hash, key.record.id.as_str()).await
}

/// Whether it was there.
pub(super) async fn delete<R: Record>(
    session: &mut Session,
    id: &str,
    by: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let delete = format!("DELETE FROM {} WHERE id = $1 RETURNING data", R::TABLE);
    let data: Option<String> = Sql::new(delete).bind(id).optional(session).await?;
    let Some(data) = data else { return Ok(false) };
    Sql::new("INSERT INTO deleted (kind, id, deleted_at, deleted_by, data) VALUES ($1, $2, $3, $4, $5)")
        .bind(R::KIND)
        .bind(id)
        .bind(now.0)
        .bind(by)
        .bind(data)
        .execute(session)
        .await?;
    if R::KIND == Key::KIND {
        Sql::new("DELETE FROM key_hashes WHERE key_id = $1").bind(id).execute(session).await?;
    }
    Ok(true)
}
