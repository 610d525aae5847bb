//! Answer bodies: a whole one, or a script of writes and pauses.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::fault::Escape;

/// The next thing that a scripted body does.
#[derive(Debug)]
pub enum Step {
    /// Sends bytes; writes that follow without a pause may share a packet.
    Send(Bytes),
    /// Has what was sent so far written to the socket, by itself.
    Flush,
    /// Writes what was sent so far and pauses.
    Wait(Duration),
    /// Ends the body in good order.
    End,
    /// Breaks the connection.
    Break(Escape),
    /// Never goes on.
    Hang,
}

/// The body of an answer.
pub enum Canned {
    /// A body whose length is known; sent with `content-length`.
    Whole(Option<Bytes>),
    /// A chunked body.
    Script {
        /// Yields the steps.
        next: Box<dyn FnMut() -> Step + Send>,
        /// The pause under way.
        pause: Option<Pin<Box<Sleep>>>,
    },
}

impl Canned {
    /// A chunked body that does what `next` says until it says [`Step::End`].
    pub fn script(next: impl FnMut() -> Step + Send + 'static) -> Self {
        Self::Script { next: Box::new(next), pause: None }
    }

    /// A chunked body from a list of steps.
    pub fn steps(steps: impl IntoIterator<Item = Step, IntoIter: Send + 'static>) -> Self {
        let mut steps = steps.into_iter();
        Self::script(move || steps.next().unwrap_or(Step::End))
    }
}

impl From<Bytes> for Canned {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes))
    }
}

impl std::fmt::Debug for Canned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(bytes) => f.debug_tuple("Whole").field(bytes).finish(),
            Self::Script { .. } => f.write_str("Script"),
        }
    }
}

impl Body for Canned {
    type Data = Bytes;
    type Error = Escape;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Escape>>> {
        let (next, pause) = match self.get_mut() {
            Self::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Script { next, pause } => (next, pause),
        };
        loop {
            if let Some(sleeping) = pause {
                ready!(sleeping.as_mut().poll(cx));
                *pause = None;
            }
            match next() {
                Step::Send(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                // hyper writes what it holds whenever a body is not ready.
                Step::Flush => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Step::Wait(duration) => *pause = Some(Box::pin(sleep(duration))),
                Step::End => return Poll::Ready(None),
                Step::Break(escape) => return Poll::Ready(Some(Err(escape))),
                Step::Hang => *pause = Some(Box::pin(sleep(Duration::MAX))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Script { .. } => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// What a body gives, poll by poll.
    fn polled(steps: Vec<Step>, polls: usize) -> Vec<&'static str> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _context = runtime.enter();
        let mut body = Canned::steps(steps);
        let mut poll = || match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => "pending",
            Poll::Ready(None) => "end",
            Poll::Ready(Some(Ok(_))) => "data",
            Poll::Ready(Some(Err(_))) => "broken",
        };
        (0..polls).map(|_| poll()).collect()
    }

    fn send() -> Step {
        Step::Send(Bytes::from_static(b"x"))
    }

    #[test]
    fn a_flush_is_one_pause_between_two_writes() {
        assert_eq!(polled(vec![send(), Step::Flush, send()], 4), ["data", "pending", "data", "end"]);
    }

    #[test]
    fn a_body_that_hangs_never_goes_on() {
        assert_eq!(polled(vec![send(), Step::Hang, send()], 4), ["data", "pending", "pending", "pending"]);
    }

    #[test]
    fn a_break_is_an_error() {
        assert_eq!(polled(vec![send(), Step::Break(Escape::Reset)], 2), ["data", "broken"]);
    }
}
