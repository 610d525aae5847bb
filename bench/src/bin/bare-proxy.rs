//! A reverse proxy that does nothing else, in several builds of the same parts.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;

use clap::Parser;
use tollway_bench::listen::{self, Runtime};
use tollway_bench::proxy::{Proxy, Upstream};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Forwards HTTP/1.1 to one upstream: the floor under a gateway built on hyper.
#[derive(Parser)]
struct Flags {
    /// Port on 127.0.0.1
    #[arg(long, default_value_t = 9200)]
    port: u16,
    /// Port of the upstream on 127.0.0.1
    #[arg(long, default_value_t = 9100)]
    upstream_port: u16,
    /// How threads share the work
    #[arg(long, value_enum, default_value = "shared")]
    runtime: Runtime,
    /// Threads
    #[arg(long, default_value = "2")]
    workers: NonZeroUsize,
    /// How the proxy speaks to its upstream
    #[arg(long, value_enum, default_value = "pooled")]
    upstream: Upstream,
}

fn main() {
    let flags = Flags::parse();
    let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, flags.upstream_port));
    listen::serve(flags.port, flags.runtime, flags.workers, move || {
        let proxy = Arc::new(Proxy::new(upstream, flags.upstream));
        move |stream| Arc::clone(&proxy).serve(stream)
    });
}
