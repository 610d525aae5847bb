//! Several changes that hold together or not at all, and what the audit log is told about them.

use super::changes::Change;
use super::entities::{self, Stored};
use super::record::Record;
use super::session::Session;
use super::{Store, StoreError};
use crate::rules::entity::Key;
use crate::rules::time::Timestamp;

/// A transaction of the management API. Dropped uncommitted, it changes nothing. While it is open nobody else writes
/// to SQLite, so nothing slow may happen in between.
#[derive(Debug)]
#[must_use = "dropped uncommitted, it changes nothing"]
pub struct Batch {
    store: Store,
    session: Session,
    /// Told when all is done: whoever notes first makes others wait.
    noted: Vec<(&'static str, String)>,
}

impl Store {
    /// Begins changes that hold together.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin(&self) -> Result<Batch, StoreError> {
        Ok(Batch { store: self.clone(), session: self.transaction().await?, noted: Vec::new() })
    }
}

impl Batch {
    /// As [`Store::insert`].
    ///
    /// # Errors
    /// As there.
    pub async fn insert<R: Record>(&mut self, record: &R) -> Result<(), StoreError> {
        entities::insert(&mut self.session, record).await?;
        self.noted.push((R::KIND, record.id()));
        Ok(())
    }

    /// As [`Store::update`].
    ///
    /// # Errors
    /// As there.
    pub async fn update<R: Record>(&mut self, stored: &Stored<R>) -> Result<(), StoreError> {
        entities::update(&mut self.session, stored).await?;
        self.noted.push((R::KIND, stored.record.id()));
        Ok(())
    }

    /// As [`Store::regenerate_key`].
    ///
    /// # Errors
    /// As there.
    pub async fn regenerate_key(
        &mut self,
        key: &Stored<Key>,
        grace_until: Timestamp,
    ) -> Result<(), StoreError> {
        entities::regenerate(&mut self.session, key, grace_until).await?;
        self.noted.push((Key::KIND, key.record.id.to_string()));
        Ok(())
    }

    /// Deletes one entity, and tells whether it was there. Spend stays.
    ///
    /// # Errors
    /// The database's.
    pub async fn delete<R: Record>(
        &mut self,
        id: &str,
        by: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let deleted = entities::delete::<R>(&mut self.session, id, by, now).await?;
        if deleted {
            self.noted.push((R::KIND, id.to_owned()));
        }
        Ok(deleted)
    }

    /// Writes into the audit log.
    ///
    /// # Errors
    /// The database's.
    pub async fn log(&mut self, change: &Change) -> Result<(), StoreError> {
        change.write(&mut self.session).await
    }

    /// Makes it last, and tells all instances.
    ///
    /// # Errors
    /// The database's; then nothing was changed.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        for (kind, id) in &self.noted {
            self.store.note(&mut self.session, kind, id).await?;
        }
        self.store.commit_noted(self.session).await
    }
}
