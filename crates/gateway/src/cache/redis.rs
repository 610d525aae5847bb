//! Connections of the cache to Redis or Valkey, which commands share.

use fred::clients::{Client, Pool};
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::config::Server;

use super::StoreError;
use crate::config::RedisSettings;
use crate::redis;

/// They end with their owner.
#[derive(Debug)]
pub(super) struct Connections {
    /// Or why there are none.
    pool: Result<Pool, StoreError>,
}

impl Connections {
    /// Begins to connect.
    pub(super) fn open(settings: &RedisSettings, count: usize) -> Self {
        Self { pool: redis::connect(settings, count).map_err(|why| StoreError::new(why.to_string())) }
    }

    /// One of them.
    pub(super) fn client(&self) -> Result<&Client, StoreError> {
        self.pool.as_ref().map(Pool::next).map_err(Clone::clone)
    }

    /// Takes out all keys that begin so.
    pub(super) async fn unlink_all(&self, prefix: &str) -> Result<(), StoreError> {
        let client = self.client()?;
        // A cluster's keys are on all its servers; any other server is asked as it is.
        let servers: Vec<Option<Server>> = if client.is_clustered() {
            client.active_connections().into_iter().map(Some).collect()
        } else {
            vec![None]
        };
        let pattern = format!("{prefix}*");
        for server in servers {
            let mut cursor = "0".to_owned();
            loop {
                let page: (String, Vec<String>) = match &server {
                    Some(server) => {
                        client
                            .with_cluster_node(server.clone())
                            .scan_page(cursor, pattern.as_str(), Some(1000), None)
                            .await?
                    }
                    None => client.scan_page(cursor, pattern.as_str(), Some(1000), None).await?,
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

    pub(super) async fn unlink(&self, names: Vec<String>) -> Result<(), StoreError> {
        if names.is_empty() {
            return Ok(());
        }
        // One command each: in a cluster they are on different servers.
        let pipeline = self.client()?.pipeline();
        for name in names {
            let _: () = pipeline.unlink(name).await?;
        }
        Ok(pipeline.last().await?)
    }
}

impl Drop for Connections {
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
