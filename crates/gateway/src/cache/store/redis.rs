//! Answers in Redis or Valkey. Commands share a few connections.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fred::interfaces::{ClientInterface, ClientLike, KeysInterface};
use fred::types::{Expiration, InfoKind};

use super::{ServerInfo, Store, StoreError, Work, Write};
use crate::cache::redis::Connections;
use crate::cache::{Entry, Key, now_ms};
use crate::config::RedisSettings;

/// What our keys begin with: a server may hold other things than ours.
const PREFIX: &str = "tollway:cache:";

#[derive(Debug)]
pub(super) struct Redis {
    connections: Connections,
    patience: Duration,
}

impl Redis {
    /// Begins to connect.
    pub(super) fn connect(settings: &RedisSettings) -> Self {
        Self { connections: Connections::open(settings, settings.connections), patience: settings.timeout }
    }
}

fn name(key: &Key) -> String {
    format!("{PREFIX}{key}")
}

impl Store for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    fn get<'s>(&'s self, keys: &'s [Key]) -> Work<'s, Vec<Option<Arc<Entry>>>> {
        Box::pin(async move {
            let client = self.connections.client()?;
            let decode = |bytes: Option<Bytes>| bytes.and_then(|bytes| Entry::decode(&bytes)).map(Arc::new);
            if let [key] = keys {
                return Ok(vec![decode(client.get(name(key)).await?)]);
            }
            // One command each: in a cluster they are on different servers.
            let pipeline = client.pipeline();
            for key in keys {
                let _: () = pipeline.get(name(key)).await?;
            }
            let found: Vec<Option<Bytes>> = pipeline.all().await?;
            Ok(found.into_iter().map(decode).collect())
        })
    }

    fn put<'s>(&'s self, writes: &'s [Write]) -> Work<'s, ()> {
        Box::pin(async move {
            let pipeline = self.connections.client()?.pipeline();
            for Write { key, entry } in writes {
                let left = entry.expires_ms.saturating_sub(now_ms());
                if let Some(left) = i64::try_from(left).ok().filter(|left| *left > 0) {
                    let value = Bytes::from(entry.encode());
                    let _: () =
                        pipeline.set(name(key), value, Some(Expiration::PX(left)), None, false).await?;
                }
            }
            let results: Vec<Result<(), fred::error::Error>> = pipeline.try_all().await;
            results.into_iter().collect::<Result<(), _>>().map_err(StoreError::from)
        })
    }

    fn delete<'s>(&'s self, keys: &'s [Key]) -> Work<'s, ()> {
        Box::pin(self.connections.unlink(keys.iter().map(name).collect()))
    }

    fn clear(&self) -> Work<'_, ()> {
        Box::pin(self.connections.unlink_all(PREFIX))
    }

    fn ping(&self) -> Work<'_, ()> {
        Box::pin(async move { Ok(self.connections.client()?.ping(None).await?) })
    }

    fn info(&self) -> Work<'_, Option<ServerInfo>> {
        Box::pin(async move {
            let client = self.connections.client()?;
            let info = client.info(None::<InfoKind>).await?;
            let clients = client.client_list::<String, String>(None, None).await?;
            Ok(Some(ServerInfo { info, clients }))
        })
    }
}
