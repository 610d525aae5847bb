//! Threads for clients' connections: one for each core, each with a runtime of its own.
//!
//! A request, its client's connection and the one to its provider stay on one thread. Nothing is handed over and no
//! other thread is woken: with one runtime for all cores a request that came alone made 9.5 system calls, nearly two of
//! them to wake a thread; now it makes 6 (nginx: 7). The price is that connections are not moved once they are given to a
//! thread, so each goes where the fewest are.
//!
//! What is not a client's connection (accepting, health checks, reloads, a cache's connections) runs on the runtime
//! that the server was started on.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use hyper_util::server::graceful::Watcher;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::Gateway;
use crate::{events, server};

/// A connection that was accepted.
#[derive(Debug)]
pub(crate) struct Arrival {
    stream: std::net::TcpStream,
    peer: IpAddr,
    watcher: Watcher,
    /// Given back when the connection ends. Their number also bounds how many wait for their thread.
    place: Option<OwnedSemaphorePermit>,
}

impl Arrival {
    /// # Errors
    /// When the connection cannot be taken from the runtime that accepted it.
    pub(crate) fn new(
        (stream, peer): (TcpStream, SocketAddr),
        watcher: Watcher,
        place: Option<OwnedSemaphorePermit>,
    ) -> io::Result<Self> {
        Ok(Self { stream: stream.into_std()?, peer: peer.ip(), watcher, place })
    }
}

/// All threads of one server.
#[derive(Debug)]
pub(crate) struct Cores(Vec<Core>);

#[derive(Debug)]
struct Core {
    arrivals: UnboundedSender<Arrival>,
    /// Connections on it.
    open: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Cores {
    /// Starts `count` threads, at least one.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be had.
    pub(crate) fn start(count: usize, gateway: &Arc<Gateway>, router: &axum::Router) -> io::Result<Self> {
        // The threads that are none of these share the connections of group 0.
        (1..=count.max(1))
            .map(|number| Core::start(number, gateway, router))
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Gives a connection to the thread that has the fewest.
    pub(crate) fn give(&self, arrival: Arrival) {
        if let Some(core) = self.0.iter().min_by_key(|core| core.open.load(Ordering::Relaxed)) {
            core.open.fetch_add(1, Ordering::Relaxed);
            // The thread ends after this value only.
            let _ = core.arrivals.send(arrival);
        }
    }

    /// Ends the threads, and with them whatever connections there still are.
    pub(crate) fn end(self) {
        let threads: Vec<_> = self.0.into_iter().map(|core| core.thread).collect();
        for thread in threads {
            // A thread that panicked is as ended as one that did not.
            let _ = thread.join();
        }
    }
}

impl Core {
    fn start(number: usize, gateway: &Arc<Gateway>, router: &axum::Router) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, receiver) = unbounded_channel();
        let open = Arc::new(AtomicUsize::new(0));
        let (gateway, router, count) = (Arc::clone(gateway), router.clone(), Arc::clone(&open));
        let thread = std::thread::Builder::new().name(format!("core-{number}")).spawn(move || {
            tollway::transport::keep_own_connections(number);
            runtime.block_on(serve(&gateway, &router, receiver, &count));
            // A look-up of a name must not hold up the end.
            runtime.shutdown_background();
        })?;
        Ok(Self { arrivals: sender, open, thread })
    }
}

async fn serve(
    gateway: &Arc<Gateway>,
    router: &axum::Router,
    mut arrivals: UnboundedReceiver<Arrival>,
    open: &Arc<AtomicUsize>,
) {
    while let Some(Arrival { stream, peer, watcher, place }) = arrivals.recv().await {
        let open = Open(Arc::clone(open));
        match TcpStream::from_std(stream) {
            Ok(stream) => {
                let connection = watcher.watch(server::connection(gateway, router, stream, peer));
                tokio::spawn(async move {
                    // A connection that breaks is the client's business; requests on it settle when they are dropped.
                    let _ = connection.await;
                    drop((place, open));
                });
            }
            Err(error) => events::trouble(&gateway.log, "a connection could not be served", &error),
        }
    }
}

/// One connection, counted until it is dropped.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
