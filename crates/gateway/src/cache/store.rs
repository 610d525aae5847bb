//! Where answers are kept.

mod disk;
mod memory;
mod objects;
mod redis;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{Entry, Key};
use crate::config::{AzureBlobSettings, CacheSettings, GcsSettings, S3Settings, StoreSettings};
use objects::Objects;

/// A store of answers. It may fail and it may be slow: its callers wait only so long.
pub trait Store: fmt::Debug + Send + Sync {
    /// LiteLLM's word for it.
    fn name(&self) -> &'static str;

    /// Whether it neither waits nor fails.
    fn is_instant(&self) -> bool {
        false
    }

    /// How long it may take to look something up.
    fn patience(&self) -> Duration {
        Duration::MAX
    }

    /// What is stored under each key, in their order.
    fn get<'s>(&'s self, keys: &'s [Key]) -> Work<'s, Vec<Option<Arc<Entry>>>>;

    /// Stores answers until they expire.
    fn put<'s>(&'s self, writes: &'s [Write]) -> Work<'s, ()>;

    /// Takes answers out; those that are not there too.
    fn delete<'s>(&'s self, keys: &'s [Key]) -> Work<'s, ()>;

    /// Takes all answers out, and nothing else that may be in the same place.
    fn clear(&self) -> Work<'_, ()>;

    /// Whether it works.
    fn ping(&self) -> Work<'_, ()>;

    /// What its server says about itself, if it has one.
    fn info(&self) -> Work<'_, Option<ServerInfo>> {
        Box::pin(async { Ok(None) })
    }
}

/// Redis's words.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// The answer to `INFO`.
    pub info: String,
    /// The answer to `CLIENT LIST`.
    pub clients: String,
}

/// What a store is doing.
pub type Work<'s, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 's>>;

/// One answer to store.
#[derive(Clone, Debug)]
pub struct Write {
    pub key: Key,
    pub entry: Arc<Entry>,
}

/// Why a store did not do what it was asked. For the operator: it may name hosts and paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(String);

impl StoreError {
    pub(super) fn new(cause: impl Into<String>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

pub(super) fn open(settings: &CacheSettings) -> Arc<dyn Store> {
    match &settings.store {
        StoreSettings::Memory { max_entries } => {
            Arc::new(memory::Memory::new(settings.max_bytes, *max_entries))
        }
        StoreSettings::Redis(redis) => Arc::new(redis::Redis::connect(redis)),
        StoreSettings::S3(s3) => {
            Arc::new(Objects::new(objects::S3(S3Settings::clone(s3)), settings.max_entry_bytes))
        }
        StoreSettings::Gcs(gcs) => {
            Arc::new(Objects::new(objects::Gcs::new(GcsSettings::clone(gcs)), settings.max_entry_bytes))
        }
        StoreSettings::AzureBlob(azure) => {
            let bucket = objects::AzureBlob::new(AzureBlobSettings::clone(azure));
            Arc::new(Objects::new(bucket, settings.max_entry_bytes))
        }
        StoreSettings::Disk { folder } => Arc::new(disk::Disk::new(folder.clone(), settings.max_bytes)),
    }
}

/// Why a store cannot be signed in to, as far as that can be known beforehand.
pub(crate) fn problem(settings: &StoreSettings) -> Option<String> {
    match settings {
        StoreSettings::Gcs(gcs) => objects::Gcs::problem(gcs),
        StoreSettings::AzureBlob(azure) => objects::AzureBlob::problem(azure),
        StoreSettings::Memory { .. }
        | StoreSettings::Redis(_)
        | StoreSettings::S3(_)
        | StoreSettings::Disk { .. } => None,
    }
}
