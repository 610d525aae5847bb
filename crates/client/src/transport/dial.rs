//! From an address to an open connection: name, TCP, proxy, TLS.

use std::error::Error;
use std::future::poll_fn;
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::Connection;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::TransportOptions;
use super::connector::Connector;
use super::error::{TransportError, TransportErrorKind};

/// An open connection, encrypted or not.
pub(super) type Socket = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Opens connections of one kind.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    route: Route,
    timeout: Duration,
}

#[derive(Clone, Debug)]
enum Route {
    Plain(Connector),
    Tls(HttpsConnector<Connector>),
}

impl Dialer {
    pub(super) fn plain(options: &TransportOptions) -> Self {
        Self { route: Route::Plain(Connector::new(options)), timeout: options.connect_timeout }
    }

    /// TLS, with HTTP/2 offered beside HTTP/1.1.
    pub(super) fn tls(config: rustls::ClientConfig, options: &TransportOptions) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_all_versions()
            .wrap_connector(Connector::new(options));
        Self { route: Route::Tls(connector), timeout: options.connect_timeout }
    }

    /// Opens a connection to the host of `target`, within the time-out.
    pub(super) async fn dial(&self, target: &Uri) -> Result<Socket, TransportError> {
        let opening = async {
            match self.route.clone() {
                Route::Plain(connector) => open(connector, target).await.map(Socket::Http),
                Route::Tls(connector) => open(connector, target).await,
            }
        };
        match tokio::time::timeout(self.timeout, opening).await {
            Ok(Ok(socket)) => Ok(socket),
            Ok(Err(error)) => Err(TransportError::in_connect(&*error)),
            Err(_) => Err(TransportError::new(
                TransportErrorKind::ConnectTimedOut,
                format!("no connection within {} s", super::seconds(self.timeout)),
            )),
        }
    }
}

async fn open<C>(mut connector: C, target: &Uri) -> Result<C::Response, Box<dyn Error + Send + Sync>>
where
    C: Service<Uri, Error = Box<dyn Error + Send + Sync>>,
{
    poll_fn(|cx| connector.poll_ready(cx)).await?;
    connector.call(target.clone()).await
}

/// Whether both sides agreed on HTTP/2.
pub(super) fn speaks_http2(socket: &Socket) -> bool {
    socket.connected().is_negotiated_h2()
}
