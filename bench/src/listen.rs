//! Accepting connections on loopback, on one shared runtime or on one runtime for each core.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::thread;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Builder;

/// How threads share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Runtime {
    /// One work-stealing tokio runtime with so many workers.
    Shared,
    /// So many single-threaded runtimes, each with its own listener on the same port (`SO_REUSEPORT`).
    PerCore,
}

/// Accepts connections on 127.0.0.1:`port` for ever and gives each to a handler.
///
/// `handler` is called once for every runtime and makes that runtime's connection handler, so that what a
/// handler owns (a connection pool) is shared as far as the runtime reaches.
pub fn serve<H, F>(
    port: u16,
    runtime: Runtime,
    workers: NonZeroUsize,
    handler: impl Fn() -> H + Send + Sync + Clone + 'static,
) where
    H: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    match runtime {
        Runtime::Shared if workers.get() > 1 => Builder::new_multi_thread()
            .worker_threads(workers.get())
            .enable_all()
            .build()
            .expect("a tokio runtime")
            .block_on(accept(port, handler())),
        Runtime::Shared => single_thread(port, handler()),
        Runtime::PerCore => {
            for _ in 1..workers.get() {
                let handler = handler.clone();
                thread::spawn(move || single_thread(port, handler()));
            }
            single_thread(port, handler());
        }
    }
}

fn single_thread<F: Future<Output = ()> + Send + 'static>(port: u16, handler: impl Fn(TcpStream) -> F) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a tokio runtime");
    runtime.block_on(accept(port, handler));
}

async fn accept<F: Future<Output = ()> + Send + 'static>(port: u16, handler: impl Fn(TcpStream) -> F) {
    let listener = listener(port);
    loop {
        // Out of file descriptors or a connection gone before it was accepted: the next may do better.
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).expect("TCP_NODELAY on a fresh connection");
        tokio::spawn(handler(stream));
    }
}

fn listener(port: u16) -> TcpListener {
    let bind = || {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        socket.listen(4096)
    };
    bind().unwrap_or_else(|error: std::io::Error| {
        eprintln!("cannot listen on 127.0.0.1:{port}: {error}");
        std::process::exit(1)
    })
}
