//! The least that a reverse proxy made of hyper can do: the floor under a gateway built on it.
//!
//! It forwards requests and answers as they are. It is an instrument, not a proxy for use: hop-by-hop
//! headers pass, and an upstream that fails ends the client's connection.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1 as client;
use hyper::header::HOST;
use hyper::http::uri::{PathAndQuery, Scheme};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// How the proxy speaks to its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Upstream {
    /// hyper-util's pooled client, each chunk written by itself.
    Pooled,
    /// The same, chunks joined that are there at once.
    PooledJoined,
    /// Connections that the request's own task drives: no second task, no hand-over of each chunk.
    Inline,
    /// The same, chunks joined that are there at once.
    InlineJoined,
}

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Everything that one runtime's connections share.
#[derive(Debug)]
pub struct Proxy {
    upstream: SocketAddr,
    kind: Upstream,
    pooled: Client<HttpConnector, Incoming>,
    idle: Mutex<Vec<Line>>,
}

impl Proxy {
    /// A proxy to `upstream` with an empty pool.
    pub fn new(upstream: SocketAddr, kind: Upstream) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pooled = Client::builder(TokioExecutor::new()).build(connector);
        Self { upstream, kind, pooled, idle: Mutex::default() }
    }

    /// Serves one client connection until it ends.
    pub async fn serve(self: Arc<Self>, stream: TcpStream) {
        let service = service_fn(|request| Arc::clone(&self).forward(request));
        // The client sees its connection end; there is nobody else to tell.
        drop(server::Builder::new().serve_connection(TokioIo::new(stream), service).await);
    }

    async fn forward(self: Arc<Self>, mut request: Request<Incoming>) -> Result<Answer, BoxError> {
        match self.kind {
            Upstream::Pooled | Upstream::PooledJoined => {
                let path = request.uri().path_and_query().cloned();
                *request.uri_mut() = Uri::builder()
                    .scheme(Scheme::HTTP)
                    .authority(self.upstream.to_string())
                    .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
                    .build()?;
                request.headers_mut().remove(HOST);
                let response = self.pooled.request(request).await?;
                let joined = self.kind == Upstream::PooledJoined;
                Ok(response.map(|body| box_body(body, joined, 1)))
            }
            Upstream::Inline | Upstream::InlineJoined => {
                let mut line = self.line().await?;
                let response = line.send(request).await?;
                let joined = self.kind == Upstream::InlineJoined;
                Ok(response
                    .map(|answer| box_body(Driven { answer, line: Some(line), proxy: self }, joined, 0)))
            }
        }
    }

    /// An idle connection that is still open, or a new one.
    async fn line(&self) -> Result<Line, BoxError> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut line) = idle else { break };
            if poll_fn(|cx| Poll::Ready(line.is_ready(cx))).await {
                return Ok(line);
            }
        }
        let stream = TcpStream::connect(self.upstream).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = client::handshake(TokioIo::new(stream)).await?;
        Ok(Line { sender, connection })
    }
}

fn box_body<B>(body: B, joined: bool, patience: u32) -> UnsyncBoxBody<Bytes, BoxError>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Send + Unpin + 'static,
{
    if joined {
        Joined { body, held: VecDeque::new(), bytes: 0, patience, left: patience, end: false }.boxed_unsync()
    } else {
        body.map_err(BoxError::from).boxed_unsync()
    }
}

/// A connection to the upstream that moves only while its user polls it.
#[derive(Debug)]
struct Line {
    sender: client::SendRequest<Incoming>,
    connection: client::Connection<TokioIo<TcpStream>, Incoming>,
}

impl Line {
    /// Moves the connection along. An error reaches the user through the answer, so it is dropped here.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.connection).poll(cx).map(drop)
    }

    /// Whether another request can be sent: the last one is done and the upstream has not hung up.
    fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx).is_pending() && self.sender.is_ready()
    }

    async fn send(&mut self, request: Request<Incoming>) -> Result<Response<Incoming>, hyper::Error> {
        let mut answer = std::pin::pin!(self.sender.send_request(request));
        let connection = &mut self.connection;
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            drop(Pin::new(&mut *connection).poll(cx));
            answer.as_mut().poll(cx)
        })
        .await
    }
}

/// An answer's body together with the connection that it comes from.
struct Driven {
    answer: Incoming,
    line: Option<Line>,
    proxy: Arc<Proxy>,
}

impl Driven {
    fn give_back(&mut self, cx: &mut Context<'_>) {
        if let Some(mut line) = self.line.take()
            && line.is_ready(cx)
        {
            self.proxy.idle.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }
}

impl Body for Driven {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut frame = Pin::new(&mut self.answer).poll_frame(cx);
        if frame.is_pending()
            && let Some(line) = &mut self.line
        {
            let _ = line.drive(cx);
            frame = Pin::new(&mut self.answer).poll_frame(cx);
        }
        if matches!(frame, Poll::Ready(None)) || self.answer.is_end_stream() {
            self.give_back(cx);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }
}

/// A body whose chunks are joined as long as more are there at once, up to [`JOIN_LIMIT`].
struct Joined<B> {
    body: B,
    held: VecDeque<Bytes>,
    bytes: usize,
    /// How often the task gives way to the one that reads the upstream before it writes what it holds.
    patience: u32,
    left: u32,
    end: bool,
}

const JOIN_LIMIT: usize = 16 << 10;

impl<B: Body<Data = Bytes, Error = hyper::Error> + Unpin> Body for Joined<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while !self.end && self.bytes < JOIN_LIMIT {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(frame)) => {
                    if let Ok(data) = frame?.into_data() {
                        self.bytes += data.len();
                        self.held.push_back(data);
                        self.left = self.patience;
                    }
                    self.end = self.body.is_end_stream();
                }
                Poll::Ready(None) => self.end = true,
                Poll::Pending if self.held.is_empty() => return Poll::Pending,
                Poll::Pending if self.left > 0 => {
                    self.left -= 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Pending => break,
            }
        }
        self.left = self.patience;
        self.bytes = 0;
        let held = std::mem::take(&mut self.held);
        Poll::Ready(join(held).map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && (self.end || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if self.held.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}

fn join(mut held: VecDeque<Bytes>) -> Option<Bytes> {
    if held.len() < 2 {
        return held.pop_front();
    }
    let mut joined = BytesMut::with_capacity(held.iter().map(Bytes::len).sum());
    for piece in held {
        joined.extend_from_slice(&piece);
    }
    Some(joined.freeze())
}
