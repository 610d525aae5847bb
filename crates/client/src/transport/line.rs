//! One HTTP/1.1 connection that its user drives.
//!
//! hyper's connection is a future that somebody has to poll. A task of its own would mean a hand-over between threads
//! for each request and for each chunk of an answer; polled by the task that waits for the answer, it costs nothing.
//! An unused line is polled by nobody: what happened to it meanwhile shows when it is looked at.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Connection, SendRequest};

use super::dial::Socket;

/// See the module. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<Socket, Full<Bytes>>,
    /// The connection is over, and must not be polled any more.
    ended: bool,
}

impl Line {
    pub(super) async fn over(socket: Socket) -> Result<Self, hyper::Error> {
        let (sender, connection) = http1::handshake(socket).await?;
        Ok(Self { sender, connection, ended: false })
    }

    /// Moves the connection along. What fails reaches the user through the answer.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.ended {
            self.ended = Pin::new(&mut self.connection).poll(cx).is_ready();
        }
    }

    /// Whether another request can be sent: the last one is done, and the other side has not hung up.
    pub(super) fn is_ready(&mut self) -> bool {
        // Nobody waits for an unused line, so nobody is woken.
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.ended && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        // Not held up by tokio's budget for tasks, which would want to wake this one.
        let mut answer = pin!(tokio::task::unconstrained(self.sender.try_send_request(request)));
        let (connection, ended) = (&mut self.connection, &mut self.ended);
        poll_fn(|cx| {
            if !*ended {
                *ended = Pin::new(&mut *connection).poll(cx).is_ready();
            }
            // Only the connection brings the answer, so the answer need not wake this task.
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        })
        .await
    }

    /// After a failure: whether not a single byte of an answer came.
    pub(super) fn no_answer_came(self) -> bool {
        self.connection.into_parts().read_buf.is_empty()
    }
}
