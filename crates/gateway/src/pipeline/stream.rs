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
use routing::Attempt;
use tokio::time::Sleep;
use tollway::answer::AnswerStream;
use tollway::transport::{ProviderBody, TransportError, TransportErrorKind};

use super::cache::Recording;
use super::{Running, route, settle};
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

/// What is held back of a stream that has said nothing yet; beyond it the client gets what there is.
const HELD_BACK_BYTES: usize = 256 * 1024;

/// How long a stream may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Without a byte from the provider.
    pub total: Duration,
    /// From the request to the first content.
    pub first_token: Option<Duration>,
    /// From one piece of content to the next.
    pub next_token: Option<Duration>,
}

impl Patience {
    /// Until the head of the answer.
    #[must_use]
    pub fn head(&self, stream: bool) -> Duration {
        self.first_token.filter(|_| stream).map_or(self.total, |limit| limit.min(self.total))
    }
}

/// See the module.
#[derive(Debug)]
pub struct StreamAnswer {
    source: Source,
    provider_title: &'static str,
    /// When the provider was asked.
    began: Instant,
    /// Time that earlier attempts took.
    upstream_before: Duration,
    patience: Patience,
    last_byte: Instant,
    /// When there was new content, and how much there was then.
    last_content: Instant,
    content_bytes: u64,
    timer: Option<Pin<Box<Sleep>>>,
    array: Option<ArrayFraming>,
    /// Written, not yet handed over.
    out: Vec<u8>,
    ended: bool,
    /// Keeps what the client gets, for those who ask the same.
    recording: Option<Recording>,
    /// The attempt whose answer this is.
    attempt: Option<Attempt>,
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
    /// Waits for the first content, so that what fails before it is an ordinary error with a status, or another
    /// deployment's chance. `began`: when the provider was asked.
    ///
    /// # Errors
    /// What failed.
    pub async fn open(
        running: &mut Running,
        source: Source,
        provider_title: &'static str,
        patience: Patience,
        began: Instant,
        format: Format,
    ) -> Result<Self, Refusal> {
        let mut stream = Self::new(source, provider_title, patience, format);
        stream.began = began;
        stream.upstream_before = running.exchange.upstream_time;
        let first = std::future::poll_fn(|cx| stream.poll_first(cx)).await;
        running.exchange.upstream_time += began.elapsed();
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
        let patience = Patience { total: Duration::MAX, first_token: None, next_token: None };
        Self::new(Source::Local(local), "mock", patience, format)
    }

    fn new(source: Source, provider_title: &'static str, patience: Patience, format: Format) -> Self {
        let now = Instant::now();
        Self {
            source,
            provider_title,
            began: now,
            upstream_before: Duration::ZERO,
            patience,
            last_byte: now,
            last_content: now,
            content_bytes: 0,
            timer: None,
            array: (format == Format::Array).then(ArrayFraming::default),
            out: Vec::new(),
            ended: false,
            recording: None,
            attempt: None,
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

    /// The attempt whose answer this is; it ends with the stream.
    pub(super) fn belongs_to(&mut self, mut attempt: Attempt, running: &Running) {
        if self.source.observed().has_content {
            route::began(running, &mut attempt);
        }
        self.attempt = Some(attempt);
    }

    /// The head of the answer is on its way; from now on the stream settles the request.
    pub fn start(&mut self, mut running: Running) {
        if self.source.observed().has_content {
            running.exchange.first_token = Some(running.exchange.started.elapsed());
        }
        self.running = Some(running);
    }

    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        while !self.has_begun() && !self.ended {
            match ready!(self.poll_step(cx)) {
                Step::More => {}
                Step::End => self.ended = true,
                Step::Failed(refusal) => return Poll::Ready(Err(refusal)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the client has to get what is there: it is content, or a great deal of something else.
    fn has_begun(&self) -> bool {
        !self.out.is_empty() && (self.source.observed().has_content || self.out.len() > HELD_BACK_BYTES)
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
        self.note_content();
        self.frame(before);
        Poll::Ready(step)
    }

    fn note_content(&mut self) {
        let observed = self.source.observed();
        if observed.text_bytes > self.content_bytes {
            self.content_bytes = observed.text_bytes;
            self.last_content = self.last_byte;
        }
        let Some(running) = self.running.as_mut().filter(|_| observed.has_content) else { return };
        if running.exchange.first_token.is_none() {
            running.exchange.first_token = Some(running.exchange.started.elapsed());
            if let Some(attempt) = &mut self.attempt {
                route::began(running, attempt);
            }
        }
    }

    /// When patience ends, and with what.
    fn deadline(&self) -> Option<(Instant, &'static str, Duration)> {
        let Patience { total, first_token, next_token } = self.patience;
        let content = if self.source.observed().has_content {
            next_token.map(|limit| (self.last_content, "no more content", limit))
        } else {
            first_token.map(|limit| (self.began, "no content", limit))
        };
        let limits = [Some((self.last_byte, "no more of the stream", total)), content];
        let deadlines = limits
            .into_iter()
            .flatten()
            .filter_map(|(since, what, limit)| Some((since.checked_add(limit)?, what, limit)));
        deadlines.min_by_key(|(deadline, ..)| *deadline)
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let Some((deadline, what, limit)) = self.deadline() else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        while timer.as_mut().poll(cx).is_ready() {
            // The timer is not moved at every byte, only looked at when it rings.
            if Instant::now() >= deadline {
                let error = TransportError {
                    kind: TransportErrorKind::TimedOut,
                    detail: format!("{what} came within {} s", limit.as_secs_f64()),
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
            if let Some(attempt) = self.attempt.take() {
                route::ended(running, attempt, &route::failure(refusal, false));
            }
            settle::attempt_failed(running, refusal);
            settle::record_failure(running, refusal);
        }
    }

    fn settle(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.exchange.upstream_time = self.upstream_before + self.began.elapsed();
            settle::observe(&mut running, self.source.observed().clone());
            if let Some(attempt) = self.attempt.take() {
                route::ended(&running, attempt, &route::success(&running));
            }
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
            running.exchange.upstream_time = self.upstream_before + self.began.elapsed();
            settle::observe(&mut running, self.source.observed().clone());
            if let Some(attempt) = self.attempt.take() {
                route::left(&running, attempt);
            }
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
