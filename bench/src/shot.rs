//! One request, sent again and again, and what its answer must look like.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A request to 127.0.0.1.
#[derive(Debug, Clone)]
pub struct Shot {
    /// `POST`, mostly.
    pub method: Method,
    /// Port of the server.
    pub port: u16,
    /// Path, with query.
    pub path: Uri,
    /// Headers beside `host` and `content-type`.
    pub headers: HeaderMap,
    /// JSON.
    pub body: Bytes,
}

/// What is compared between answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// HTTP status.
    pub status: StatusCode,
    /// Length of the body.
    pub bytes: usize,
    /// Empty lines in the body: in a stream, its events.
    pub events: usize,
}

impl Shape {
    /// Whether `other` is the same answer again. Ids, times and counts may change the length a little.
    pub fn is_like(self, other: Self) -> bool {
        self.status == other.status && self.events == other.events && self.bytes.abs_diff(other.bytes) <= 64
    }
}

/// An answer and when it came, counted from the sending.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// For comparison.
    pub shape: Shape,
    /// Until the first bytes of the body.
    pub first: Duration,
    /// Until the end of the body.
    pub whole: Duration,
}

/// Why a request has no answer.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A kept-alive connection that sends one shot.
#[derive(Debug)]
pub struct Gun {
    shot: Arc<Shot>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Gun {
    /// Connects when first aimed or fired.
    pub fn new(shot: &Arc<Shot>) -> Self {
        Self { shot: Arc::clone(shot), sender: None }
    }

    /// Connects, so that the first shot does not have to.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn aim(&mut self) -> Result<(), Failure> {
        self.sender = Some(connect(self.shot.port).await?);
        Ok(())
    }

    /// Sends the request and reads the answer to its end; `taste` sees every piece of the body.
    ///
    /// # Errors
    /// No connection, or one that broke. The next shot connects anew.
    pub async fn fire(&mut self, taste: &mut impl FnMut(&[u8])) -> Result<Answer, Failure> {
        let mut sender = match self.sender.take() {
            Some(sender) => sender,
            None => connect(self.shot.port).await?,
        };
        let request = Request::builder().method(&self.shot.method).uri(self.shot.path.clone());
        let mut request = request.body(Full::new(self.shot.body.clone()))?;
        let headers = request.headers_mut();
        headers.clone_from(&self.shot.headers);
        headers.insert(HOST, HeaderValue::from_static("127.0.0.1"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));

        sender.ready().await?;
        let sent = Instant::now();
        let mut response = sender.send_request(request).await?;
        let mut shape = Shape { status: response.status(), bytes: 0, events: 0 };
        let (mut first, mut last_byte) = (None, 0);
        while let Some(frame) = response.body_mut().frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            first.get_or_insert_with(|| sent.elapsed());
            taste(&data);
            shape.bytes += data.len();
            for &byte in data.iter().filter(|&&byte| byte != b'\r') {
                shape.events += usize::from(byte == b'\n' && last_byte == b'\n');
                last_byte = byte;
            }
        }
        let whole = sent.elapsed();
        self.sender = Some(sender);
        Ok(Answer { shape, first: first.unwrap_or(whole), whole })
    }
}

async fn connect(port: u16) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Ends with the sender, which every failure drops.
    tokio::spawn(connection);
    Ok(sender)
}
