//! Answers in Redis or Valkey. Commands share a few connections.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fred::clients::Pool;
use fred::interfaces::{ClientInterface, ClientLike, KeysInterface};
use fred::types::config::Server;
use fred::types::{Expiration, InfoKind};

use super::{ServerInfo, Store, StoreError, Work, Write};
use crate::cache::{Entry, Key, now_ms};
use crate::config::{RedisSettings, RedisTarget};
use crate::redis;

/// What our keys begin with: a server may hold other things than ours.
const PREFIX: &str = "tollway:cache:";

#[derive(Debug)]
pub(super) struct Redis {
    /// Or why there is none.
    pool: Result<Pool, StoreError>,
    patience: Duration,
    is_cluster: bool,
}

impl Redis {
    /// Begins to connect.
    pub(super) fn connect(settings: &RedisSettings) -> Self {
        let pool =
            redis::connect(settings, settings.connections).map_err(|why| StoreError::new(why.to_string()));
        let is_cluster = matches!(settings.target, RedisTarget::Cluster(_));
        Self { pool, patience: settings.timeout, is_cluster }
    }

    fn pool(&self) -> Result<&Pool, StoreError> {
        self.pool.as_ref().map_err(Clone::clone)
    }

    async fn clear_all(&self) -> Result<(), StoreError> {
        let client = self.pool()?.next();
        // A cluster's keys are on all its servers; any other server is asked as it is.
        let servers: Vec<Option<Server>> = if self.is_cluster {
            client.active_connections().into_iter().map(Some).collect()
        } else {
            vec![None]
        };
        for server in servers {
            let mut cursor = "0".to_owned();
            loop {
                let pattern = format!("{PREFIX}*");
                let page: (String, Vec<String>) = match &server {
                    Some(server) => {
                        client
                            .with_cluster_node(server.clone())
                            .scan_page(cursor, pattern, Some(1000), None)
                            .await?
                    }
                    None => client.scan_page(cursor, pattern, Some(1000), None).await?,
                };
                self.unlink(page.1).await?;
                cursor = page.0;
                if cursor == "0" {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn unlink(&self, names: Vec<String>) -> Result<(), StoreError> {
        if names.is_empty() {
            return Ok(());
        }
        // One command each: in a cluster they are on different servers.
        let pipeline = self.pool()?.next().pipeline();
        for name in names {
            let _: () = pipeline.unlink(name).await?;
        }
        Ok(pipeline.last().await?)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let (Ok(pool), Ok(runtime)) = (&self.pool, tokio::runtime::Handle::try_current()) {
            let pool = pool.clone();
            runtime.spawn(async move { pool.quit().await });
        }
    }
}

impl From<fred::error::Error> for StoreError {
    fn from(error: fred::error::Error) -> Self {
        Self::new(error.to_string())
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
            let client = self.pool()?.next();
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
            let pipeline = self.pool()?.next().pipeline();
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
        Box::pin(self.unlink(keys.iter().map(name).collect()))
    }

    fn clear(&self) -> Work<'_, ()> {
        Box::pin(self.clear_all())
    }

    fn ping(&self) -> Work<'_, ()> {
        Box::pin(async move { Ok(self.pool()?.next().ping(None).await?) })
    }

    fn info(&self) -> Work<'_, Option<ServerInfo>> {
        Box::pin(async move {
            let client = self.pool()?.next();
            let info = client.info(None::<InfoKind>).await?;
            let clients = client.client_list::<String, String>(None, None).await?;
            Ok(Some(ServerInfo { info, clients }))
        })
    }
}
