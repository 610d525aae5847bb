//! A server that plays scripts.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

/// What the server does next on a connection.
pub(super) enum Step {
    /// Reads one request whole.
    Read,
    Write(&'static str),
    Await(oneshot::Receiver<()>),
    /// Reads until the client closes.
    UntilClosed,
    /// Leaves the connection open for as long as the server lives.
    Stay,
    Close,
    Reset,
}

impl Step {
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Write(text) => Self::Write(text),
            _ => panic!("only what is written can be said again"),
        }
    }
}

pub(super) struct Provider {
    pub(super) port: u16,
    state: watch::Receiver<State>,
}

#[derive(Clone, Default)]
struct State {
    connections: usize,
    /// Requests as they came.
    seen: Vec<String>,
    /// Connections whose script is over, by their number.
    ended: Vec<usize>,
}

impl Provider {
    /// Plays one script for each connection, in the order in which they come.
    pub(super) async fn start(scripts: impl IntoIterator<Item = Vec<Step>>) -> Self {
        let scripts: Vec<Vec<Step>> = scripts.into_iter().collect();
        let (listener, port) = listen().await;
        let (sender, state) = watch::channel(State::default());
        let sender = Arc::new(sender);
        tokio::spawn(async move {
            for (number, script) in scripts.into_iter().enumerate() {
                let (stream, _) = listener.accept().await.unwrap();
                sender.send_modify(|state| state.connections += 1);
                tokio::spawn(play(stream, script, number, Arc::clone(&sender)));
            }
        });
        Self { port, state }
    }

    /// Answers every request with its path.
    pub(super) async fn echo() -> Self {
        let (listener, port) = listen().await;
        let (sender, state) = watch::channel(State::default());
        let sender = Arc::new(sender);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                sender.send_modify(|state| state.connections += 1);
                tokio::spawn(async move {
                    while let Some(request) = read_request(&mut stream).await {
                        let path = request.split(' ').nth(1).unwrap().to_owned();
                        let answer =
                            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len());
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        Self { port, state }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn connections(&self) -> usize {
        self.state.borrow().connections
    }

    pub(super) fn seen(&self) -> Vec<String> {
        self.state.borrow().seen.clone()
    }

    /// Waits until the script of a connection has been played to its end.
    pub(super) async fn ended(&self, number: usize) {
        self.state.clone().wait_for(|state| state.ended.contains(&number)).await.unwrap();
    }
}

pub(super) async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Connections that stay open until the test ends.
static KEPT: Mutex<Vec<TcpStream>> = Mutex::new(Vec::new());

async fn play(mut stream: TcpStream, script: Vec<Step>, number: usize, state: Arc<watch::Sender<State>>) {
    let ended = || state.send_modify(|state| state.ended.push(number));
    for step in script {
        match step {
            Step::Read => {
                let request = read_request(&mut stream).await.unwrap();
                state.send_modify(|state| state.seen.push(request));
            }
            Step::Write(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Step::Await(signal) => signal.await.unwrap(),
            Step::UntilClosed => while !matches!(stream.read(&mut [0; 512]).await, Ok(0) | Err(_)) {},
            Step::Stay => return KEPT.lock().unwrap().push(stream),
            Step::Close => break,
            Step::Reset => {
                stream.set_zero_linger().unwrap();
                break;
            }
        }
    }
    drop(stream);
    ended();
}

/// Head and body of a request; `None` when the client closed instead.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
}
