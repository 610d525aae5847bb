//! Connections to Redis or Valkey: one server, one behind sentinels, or a cluster.
//!
//! What a server that hangs has not answered is given up by our callers; the connection itself is given up after two
//! seconds, so that a server that came back elsewhere is found.

use std::fmt;
use std::time::Duration;

use fred::clients::Pool;
use fred::interfaces::ClientLike;
use fred::types::Builder;
use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, Server, ServerConfig, TlsConfig,
    TlsConnector, UnresponsiveConfig,
};
use tollway::transport::client_config;

use crate::config::{RedisSettings, RedisTarget};

/// Why the settings make no client. For the operator: it may name hosts and paths.
#[derive(Clone, Debug)]
pub(crate) struct NoClient(String);

impl fmt::Display for NoClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Begins to connect; must be called within a runtime. A server that is not there now may come later.
///
/// # Errors
/// When the settings make no client.
pub(crate) fn connect(settings: &RedisSettings, connections: usize) -> Result<Pool, NoClient> {
    let pool = pool(settings, connections)?;
    // The tasks end with the pool; nobody waits for them.
    drop(pool.connect());
    Ok(pool)
}

fn pool(settings: &RedisSettings, connections: usize) -> Result<Pool, NoClient> {
    let mut config = match &settings.target {
        RedisTarget::Url(url) => {
            // The library's message would show the address, and with it a password.
            Config::from_url(url.expose())
                .map_err(|_| NoClient("the `url` of Redis is not an address".to_owned()))?
        }
        RedisTarget::Single { host, port } => of(ServerConfig::new_centralized(host, *port)),
        RedisTarget::Socket(path) => of(ServerConfig::Unix { path: path.clone() }),
        RedisTarget::Cluster(nodes) => of(ServerConfig::new_clustered(nodes.clone())),
        RedisTarget::Sentinel { nodes, service, password } => of(ServerConfig::Sentinel {
            hosts: nodes.iter().map(|(host, port)| Server::new(host, *port)).collect(),
            service_name: service.clone(),
            username: None,
            password: password.as_ref().map(|password| password.expose().to_owned()),
        }),
    };
    config.fail_fast = false;
    config.username = settings.username.clone().or(config.username);
    config.password =
        settings.password.as_ref().map(|password| password.expose().to_owned()).or(config.password);
    config.database = settings.database.or(config.database);
    if config.tls.is_some() || settings.tls.is_some() {
        let options = settings.tls.clone().unwrap_or_default();
        let tls = client_config(&options).map_err(|error| NoClient(error.to_string()))?;
        config.tls = Some(TlsConfig::from(TlsConnector::from(tls)));
    }
    let connection = ConnectionConfig {
        connection_timeout: settings.connect_timeout,
        internal_command_timeout: settings.connect_timeout,
        // A lookup that was cut off is not worth repeating.
        max_command_attempts: 1,
        max_command_buffer_len: 10_000,
        unresponsive: UnresponsiveConfig {
            max_timeout: Some(Duration::from_secs(2)),
            interval: Duration::from_millis(500),
        },
        ..ConnectionConfig::default()
    };
    let performance =
        PerformanceConfig { default_command_timeout: Duration::from_secs(2), ..PerformanceConfig::default() };
    let mut builder = Builder::from_config(config);
    builder.set_connection_config(connection);
    builder.set_performance_config(performance);
    builder.set_policy(ReconnectPolicy::new_exponential(0, 100, 5_000, 2));
    builder.build_pool(connections).map_err(|error| NoClient(error.to_string()))
}

fn of(server: ServerConfig) -> Config {
    Config { server, ..Config::default() }
}
