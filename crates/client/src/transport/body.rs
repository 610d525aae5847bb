//! The body of an answer, together with the connection that it comes from.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::error::TransportError;
use super::host::Host;
use super::lane::Lease;
use super::line::Line;

/// The body of an answer. Reading it moves its connection along; read to its end, it gives the connection back;
/// dropped before, it ends the exchange, and the provider notices.
#[derive(Debug)]
pub struct ProviderBody {
    frames: Incoming,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Line { line: Option<Box<Line>>, host: Arc<Host> },
    Lane { _lease: Lease },
}

impl ProviderBody {
    pub(super) fn of_line(frames: Incoming, line: Box<Line>, host: Arc<Host>) -> Self {
        Self { frames, source: Source::Line { line: Some(line), host } }
    }

    pub(super) fn of_lane(frames: Incoming, lease: Lease) -> Self {
        Self { frames, source: Source::Lane { _lease: lease } }
    }
}

impl Body for ProviderBody {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let this = &mut *self;
        let frame = match &mut this.source {
            Source::Lane { .. } => Pin::new(&mut this.frames).poll_frame(cx),
            Source::Line { line: slot, host } => {
                // Only the connection brings frames, so they need not wake this task.
                let mut unheard = Context::from_waker(Waker::noop());
                let mut frame = Pin::new(&mut this.frames).poll_frame(&mut unheard);
                if frame.is_pending()
                    && let Some(line) = slot
                {
                    line.drive(cx);
                    frame = Pin::new(&mut this.frames).poll_frame(&mut unheard);
                }
                let at_end = matches!(frame, Poll::Ready(None)) || this.frames.is_end_stream();
                if at_end && let Some(line) = slot.take() {
                    host.put_back(line);
                }
                frame
            }
        };
        frame.map_err(|error| TransportError::in_exchange(&error))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.frames.size_hint()
    }
}
