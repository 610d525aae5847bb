//! One of all instances does something: through the router's Redis if there is one, else through the database. Where
//! neither answers each does it: rather twice than never.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fred::clients::Pool;
use fred::interfaces::KeysInterface;
use fred::types::{Expiration, SetOptions};
use ledger::rules::time::Timestamp;

use crate::config::RedisSettings;
use crate::snapshot::Auth;
use crate::{Gateway, redis};

/// How long Redis is waited for before the database is asked instead.
const PATIENCE: Duration = Duration::from_secs(2);

/// What claims are called in Redis.
const PREFIX: &str = "tollway:claim:";

/// The way to Redis, opened when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    redis: Mutex<Option<(RedisSettings, Pool)>>,
}

impl Claims {
    /// Whether this instance is to do it; nobody else is for `length` then.
    pub(crate) async fn claim(
        &self,
        gateway: &Gateway,
        name: &str,
        length: Duration,
        now: Timestamp,
    ) -> bool {
        if let Some(pool) = self.pool(gateway)
            && let Ok(Ok(mine)) =
                tokio::time::timeout(PATIENCE, set(&pool, in_redis(gateway, name), length)).await
        {
            return mine;
        }
        match gateway.books() {
            Some(books) => books.store().claim(name, now, now.plus(length)).await.unwrap_or(true),
            None => true,
        }
    }

    /// It was not done.
    pub(crate) async fn give_up(&self, gateway: &Gateway, name: &str) {
        if let Some(pool) = self.pool(gateway) {
            let deleted = pool.del::<(), _>(in_redis(gateway, name));
            // If it does not answer, the claim ends by itself.
            _ = tokio::time::timeout(PATIENCE, deleted).await;
        }
        if let Some(books) = gateway.books() {
            _ = books.store().give_up_claim(name).await;
        }
    }

    fn pool(&self, gateway: &Gateway) -> Option<Pool> {
        let snapshot = gateway.snapshot();
        let settings = snapshot.shared_state.as_ref()?;
        let mut known = self.redis.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, pool)) = &*known
            && of == settings
        {
            return Some(pool.clone());
        }
        let pool = redis::connect(settings, 1).ok()?;
        *known = Some((settings.clone(), pool.clone()));
        Some(pool)
    }
}

/// Other gateways may use the same Redis: instances that belong together have one master key.
fn in_redis(gateway: &Gateway, name: &str) -> String {
    let mut hasher = DefaultHasher::new();
    if let Auth::MasterKey(hash) = &gateway.snapshot().auth {
        hash.hash(&mut hasher);
    }
    format!("{PREFIX}{:016x}:{name}", hasher.finish())
}

async fn set(pool: &Pool, name: String, length: Duration) -> Result<bool, fred::error::Error> {
    let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1);
    let set: Option<String> =
        pool.set(name, "1", Some(Expiration::PX(length)), Some(SetOptions::NX), false).await?;
    Ok(set.is_some())
}
