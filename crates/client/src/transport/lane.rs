//! HTTP/2 connections, each of which carries many requests at once and is driven by a task of its own.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::dial::Socket;

/// The requests that are put on one connection before another is opened. Servers should allow no fewer (RFC 9113,
/// section 6.5.2); what is beyond a server's own limit would wait for another request's end.
const MAX_STREAMS: usize = 100;

/// See the module. The connection closes when it is dropped and its last answer is read.
#[derive(Debug)]
pub(super) struct Lane {
    sender: SendRequest<Full<Bytes>>,
    /// One clone for each request that is under way.
    streams: Arc<()>,
    /// When it was first seen without requests.
    unused_since: Option<Instant>,
}

/// A request's place on a lane, held until its answer is read.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) sender: SendRequest<Full<Bytes>>,
    _stream: Arc<()>,
}

impl Lane {
    pub(super) async fn over(socket: Socket) -> Result<Self, hyper::Error> {
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .adaptive_window(true)
            .handshake(socket)
            .await?;
        // What fails on it reaches the requests through their answers.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, streams: Arc::new(()), unused_since: None })
    }

    /// A place for one more request, if there is one.
    pub(super) fn lease(&mut self) -> Option<Lease> {
        if self.sender.is_closed() || self.streams() >= MAX_STREAMS {
            return None;
        }
        self.unused_since = None;
        Some(Lease { sender: self.sender.clone(), _stream: Arc::clone(&self.streams) })
    }

    /// Whether it is worth keeping; looks at it and remembers since when it is unused.
    pub(super) fn is_kept(&mut self, now: Instant, idle_timeout: std::time::Duration) -> bool {
        if self.streams() > 0 {
            self.unused_since = None;
        } else {
            let since = *self.unused_since.get_or_insert(now);
            if now.saturating_duration_since(since) >= idle_timeout {
                return false;
            }
        }
        !self.sender.is_closed()
    }

    fn streams(&self) -> usize {
        Arc::strong_count(&self.streams).saturating_sub(1)
    }
}
