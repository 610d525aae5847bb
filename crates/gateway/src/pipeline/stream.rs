//! A streamed answer: forwarded as it arrives. The client's reading drives it, so a slow client slows the provider
//! down and a client that leaves cancels the call.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dialects::Dialect;
use dialects::codec::StreamWriter;
use dialects::conversation::Event;
use dialects::exchange::{AnswerContext, Observed};
use dialects::gemini::array::ArrayFraming;
use http_body::Body;
use tokio::time::Sleep;
use tollway::answer::AnswerStream;
use tollway::transport::{ProviderBody, TransportError, TransportErrorKind};

use super::cache::Recording;
use super::{Running, settle};
use crate::exchange::Bodies;
use crate::refusal::Refusal;

/// How the stream is framed for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Events,
    /// One JSON array that grows (Gemini without `alt=sse`).
    Array,
}

/// Bytes that are joined into one write when they are there at once.
const JOIN_BYTES: usize = 16 * 1024;

/// See the module.
#[derive(Debug)]
pub struct StreamAnswer {
    source: Source,
    provider_title: &'static str,
    began: Instant,
    /// The longest time without a byte from the provider.
    patience: Duration,
    last_byte: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    array: Option<ArrayFraming>,
    /// Written, not yet handed over.
    out: Vec<u8>,
    ended: bool,
    /// Keeps what the client gets, for those who ask the same.
    recording: Option<Recording>,
    /// Set when the head of the answer is sent.
    running: Option<Running>,
}

/// Where the answer comes from.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one per stream, and the large one is the usual one")]
pub enum Source {
    Provider { body: ProviderBody, answer: AnswerStream },
    Local(Local),
}

/// Events that are made here, told one by one.
#[derive(Debug)]
pub struct Local {
    events: VecDeque<Event>,
    writer: Box<dyn StreamWriter>,
    observed: Observed,
    pause: Duration,
}

impl Source {
    #[must_use]
    pub fn provider(body: ProviderBody, provider: Dialect, client: Dialect, answer: AnswerContext) -> Self {
        Self::Provider { body, answer: AnswerStream::new(provider, client, answer.into()) }
    }

    fn observed(&self) -> &Observed {
        match self {
            Self::Provider { answer, .. } => answer.observed(),
            Self::Local(local) => &local.observed,
        }
    }
}

/// What one look at the source gave.
enum Step {
    /// Something was written, or may be at the next look.
    More,
    /// The answer is complete.
    End,
    Failed(Refusal),
}

impl StreamAnswer {
    /// Waits for the first piece of the answer, so that what fails before it is an ordinary error with a status.
    ///
    /// # Errors
    /// What failed.
    pub async fn open(
        running: &mut Running,
        source: Source,
        provider_title: &'static str,
        patience: Duration,
        format: Format,
    ) -> Result<Self, Refusal> {
        let mut stream = Self::new(source, provider_title, patience, format);
        let first = std::future::poll_fn(|cx| stream.poll_first(cx)).await;
        running.exchange.upstream_time = stream.began.elapsed();
        match first {
            Ok(()) => Ok(stream),
            Err(refusal) => {
                if let Some(attempt) = running.exchange.attempts.last_mut() {
                    attempt.error = Some(refusal.tell.clone());
                }
                Err(refusal)
            }
        }
    }

    /// An answer that is made here.
    #[must_use]
    pub fn local(
        client: Dialect,
        events: Vec<Event>,
        answer: AnswerContext,
        pause: Duration,
        format: Format,
    ) -> Self {
        let writer = client.codec().stream_writer(answer.into());
        let local = Local { events: events.into(), writer, observed: Observed::default(), pause };
        Self::new(Source::Local(local), "mock", Duration::MAX, format)
    }

    fn new(source: Source, provider_title: &'static str, patience: Duration, format: Format) -> Self {
        let now = Instant::now();
        Self {
            source,
            provider_title,
            began: now,
            patience,
            last_byte: now,
            timer: None,
            array: (format == Format::Array).then(ArrayFraming::default),
            out: Vec::new(),
            ended: false,
            recording: None,
            running: None,
        }
    }

    #[must_use]
    pub fn format(&self) -> Format {
        if self.array.is_some() { Format::Array } else { Format::Events }
    }

    /// Everything that the client gets is recorded too.
    pub(super) fn record(&mut self, recording: Recording) {
        self.recording = Some(recording);
    }

    /// The head of the answer is on its way; from now on the stream settles the request.
    pub fn start(&mut self, running: Running) {
        self.running = Some(running);
    }

    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        while self.out.is_empty() && !self.ended {
            match ready!(self.poll_step(cx)) {
                Step::More => {}
                Step::End => self.ended = true,
                Step::Failed(refusal) => return Poll::Ready(Err(refusal)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The next bytes for the client; `None` at the end.
    pub fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = &mut *self;
        while !this.ended && this.out.len() < JOIN_BYTES {
            match this.poll_step(cx) {
                Poll::Ready(Step::More) => {}
                Poll::Ready(Step::End) => this.end(),
                Poll::Ready(Step::Failed(refusal)) => this.fail(&refusal),
                Poll::Pending if this.out.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if this.ended {
            // A stream that ended while its head was sent.
            this.settle();
        }
        if this.out.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(this.take_out()))
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let before = self.out.len();
        let step = match &mut self.source {
            Source::Provider { body, answer } => match Pin::new(body).poll_frame(cx) {
                Poll::Pending => return self.poll_patience(cx),
                Poll::Ready(frame) => {
                    self.last_byte = Instant::now();
                    read_frame(frame, answer, &mut self.out, self.provider_title, self.running.as_mut())
                }
            },
            Source::Local(local) => ready!(local.poll_event(cx, &mut self.timer, &mut self.out)),
        };
        if let Some(running) = &mut self.running {
            note_first_token(running, self.source.observed());
        }
        self.frame(before);
        Poll::Ready(step)
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let deadline = self.last_byte.checked_add(self.patience);
        let Some(deadline) = deadline else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        while timer.as_mut().poll(cx).is_ready() {
            // The timer is not moved at every byte, only looked at when it rings.
            if Instant::now() >= deadline {
                let seconds = self.patience.as_secs_f64();
                let error = TransportError {
                    kind: TransportErrorKind::TimedOut,
                    detail: format!("no more of the stream came within {seconds} s"),
                };
                return Poll::Ready(Step::Failed(Refusal::from_transport(self.provider_title, &error)));
            }
            timer.as_mut().reset(deadline.into());
        }
        Poll::Pending
    }

    /// Brings what was written since `before` into the form that the client takes.
    fn frame(&mut self, before: usize) {
        let Some(array) = &mut self.array else { return };
        if self.out.len() > before {
            let events = self.out.split_off(before);
            // Our own writers give server-sent events.
            let framed = array.push(&events, &mut self.out);
            debug_assert!(framed.is_ok(), "a writer gave something else than events");
        }
    }

    fn end(&mut self) {
        self.ended = true;
        if let Some(array) = &mut self.array {
            array.finish(&mut self.out);
        }
    }

    /// Ends the stream with an error event; what has been answered until then stays answered.
    fn fail(&mut self, refusal: &Refusal) {
        self.ended = true;
        self.recording = None;
        let before = self.out.len();
        match &mut self.source {
            Source::Provider { answer, .. } => answer.write_error(&refusal.reply(), &mut self.out),
            Source::Local(local) => local.writer.write_error(&refusal.reply(), &mut self.out),
        }
        self.frame(before);
        if let Some(array) = &mut self.array {
            array.finish(&mut self.out);
        }
        if let Some(running) = &mut self.running {
            if let Some(attempt) = running.exchange.attempts.last_mut() {
                attempt.error = Some(refusal.tell.clone());
            }
            settle::record_failure(running, refusal);
        }
    }

    fn settle(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.exchange.upstream_time = self.began.elapsed();
            settle::observe(&mut running, self.source.observed());
            if let Some(recording) = self.recording.take() {
                recording.end(&running, &self.out);
            }
            settle::finished(&mut running);
        }
    }

    fn take_out(&mut self) -> Bytes {
        let bytes = Bytes::from(std::mem::take(&mut self.out));
        if let Some(recording) = &mut self.recording {
            recording.push(&bytes);
        }
        if let Some(running) = &mut self.running
            && let Some(bodies) = &mut running.exchange.bodies
        {
            Bodies::keep(&mut bodies.client_response, &bytes);
        }
        bytes
    }
}

impl Drop for StreamAnswer {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.exchange.upstream_time = self.began.elapsed();
            settle::observe(&mut running, self.source.observed());
            // Dropping `running` settles it as left by the client.
        }
    }
}

type FrameRead = Option<Result<http_body::Frame<Bytes>, TransportError>>;

fn read_frame(
    frame: FrameRead,
    answer: &mut AnswerStream,
    out: &mut Vec<u8>,
    title: &'static str,
    running: Option<&mut Running>,
) -> Step {
    let result = match frame {
        Some(Ok(frame)) => match frame.into_data() {
            Ok(data) => {
                if let Some(bodies) = running.and_then(|running| running.exchange.bodies.as_mut()) {
                    Bodies::keep(&mut bodies.provider_response, &data);
                }
                answer.push(&data, out).map(|()| Step::More)
            }
            Err(_) => Ok(Step::More),
        },
        Some(Err(error)) => {
            return Step::Failed(Refusal::from_transport(title, &error));
        }
        None => answer.finish(out).map(|()| Step::End),
    };
    if let Some(error) = &answer.observed().error {
        let begun = answer.observed().has_content;
        let refusal = if begun {
            Refusal::from_provider_in_stream(title, error)
        } else {
            Refusal::from_provider(title, error)
        };
        return Step::Failed(refusal);
    }
    result.unwrap_or_else(|error| Step::Failed(Refusal::from_bad_reply(title, &error)))
}

fn note_first_token(running: &mut Running, observed: &Observed) {
    if observed.has_content && running.exchange.first_token.is_none() {
        running.exchange.first_token = Some(running.exchange.started.elapsed());
    }
}

impl Local {
    fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
        timer: &mut Option<Pin<Box<Sleep>>>,
        out: &mut Vec<u8>,
    ) -> Poll<Step> {
        if let Some(sleep) = timer {
            ready!(sleep.as_mut().poll(cx));
            *timer = None;
        }
        let Some(event) = self.events.pop_front() else { return Poll::Ready(Step::End) };
        tollway::answer::note(&mut self.observed, &event);
        self.writer.write(&event, out);
        if !self.pause.is_zero() && matches!(event, Event::Delta { .. }) {
            *timer = Some(Box::pin(tokio::time::sleep(self.pause)));
        }
        Poll::Ready(Step::More)
    }
}
