//! Listens, serves, and stops without cutting anyone off.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower_service::Service;

use crate::body::AnswerBody;
use crate::cores::{Arrival, Cores};
use crate::io::TimedStream;
use crate::operation::Endpoint;
use crate::{Gateway, alerts, events, health, peers, pipeline, rotation, routes};

/// How long alerts get to arrive, when all requests are done.
const ALERTS_GRACE: Duration = Duration::from_secs(5);

/// Serves connections of `listener` on `cores` threads until `stop` is done, then finishes what runs, for at most
/// `grace`.
///
/// # Errors
/// When the threads cannot be started.
pub async fn serve(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    cores: usize,
    stop: impl Future<Output = ()>,
    grace: Duration,
) -> io::Result<()> {
    let router = routes::router(Arc::clone(&gateway));
    let cores = Cores::start(cores, &gateway, &router)?;
    tokio::spawn(health::watch(Arc::downgrade(&gateway)));
    tokio::spawn(peers::watch(Arc::downgrade(&gateway)));
    tokio::spawn(alerts::watch(Arc::downgrade(&gateway)));
    tokio::spawn(alerts::expiring::watch(Arc::downgrade(&gateway)));
    tokio::spawn(alerts::follow_books(Arc::downgrade(&gateway)));
    tokio::spawn(rotation::watch(Arc::downgrade(&gateway)));
    let connections = GracefulShutdown::new();
    // A reload does not change how many connections there may be.
    let places = Arc::new(Semaphore::new(gateway.snapshot().bounds.max_connections));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepting = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepting => accepted,
            () = &mut stop => break,
        };
        match accepted.and_then(|accepted| Arrival::new(accepted, connections.watcher(), place.ok())) {
            Ok(arrival) => cores.give(arrival),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Out of file descriptors, most likely: the ones in use come free when their requests are done.
                events::trouble(&gateway.log, "a connection could not be accepted", &error);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    gateway.stop();
    events::stopping(&gateway.log, gateway.metrics.running());
    if tokio::time::timeout(grace, connections.shutdown()).await.is_err() {
        events::stopped_early(&gateway.log, gateway.metrics.running());
    }
    cores.end();
    gateway.alerts().finish(ALERTS_GRACE).await;
    Ok(())
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// What drives one client's connection.
pub(crate) fn connection(
    gateway: &Arc<Gateway>,
    router: &axum::Router,
    stream: TcpStream,
    peer: IpAddr,
) -> impl GracefulConnection<Error = hyper::Error> + Send + 'static {
    // Answers are written whole; waiting for more would only delay the end of each.
    let _ = stream.set_nodelay(true);
    let bounds = gateway.snapshot().bounds.clone();
    let io = TokioIo::new(TimedStream::new(stream, bounds.client_write_timeout));
    let home = Arc::new((Arc::clone(gateway), router.clone()));
    let service = service_fn(move |request| {
        let home = Arc::clone(&home);
        async move {
            let (gateway, router) = &*home;
            Ok::<_, Infallible>(respond(gateway, router, request, peer).await)
        }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.client_read_timeout)
        .max_buf_size(bounds.max_header_bytes)
        .serve_connection(io, service)
}

async fn respond(
    gateway: &Arc<Gateway>,
    router: &axum::Router,
    mut request: Request<Incoming>,
    peer: IpAddr,
) -> Response<AnswerBody> {
    let path = request.uri().path().to_owned();
    let mut response = match Endpoint::of(&path) {
        // The pipeline's answers have the common headers among their own.
        Some(endpoint) if request.method() == Method::POST => {
            return pipeline::run(gateway, endpoint, &mut request, peer).await;
        }
        Some(_) => only_post(),
        None => {
            request.extensions_mut().insert(routes::Peer(peer));
            by_router(router.clone(), request).await
        }
    };
    for (name, value) in COMMON_HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}

/// On every answer, as LiteLLM has them.
pub(crate) const COMMON_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (http::header::VARY, HeaderValue::from_static("Origin")),
    (http::header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (http::header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("frame-ancestors 'none'")),
    (http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// The path names an operation, and all of those are POST.
fn only_post() -> Response<AnswerBody> {
    let mut response = routes::method_not_allowed().map(AnswerBody::Route);
    response.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static("POST"));
    response
}

async fn by_router(mut router: axum::Router, request: Request<Incoming>) -> Response<AnswerBody> {
    match router.call(request.map(axum::body::Body::new)).await {
        Ok(response) => response.map(AnswerBody::Route),
        Err(never) => match never {},
    }
}

/// The addresses that only this machine reaches: where a gateway without a master key listens.
#[must_use]
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
