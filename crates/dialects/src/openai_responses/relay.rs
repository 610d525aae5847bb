//! Passing answers on to a client of the same dialect: the model's name changes, every other byte stays.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::{memchr, memchr2, memmem};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::Answer;
use super::stream::{failure_code, write_failure};
use super::wire::{self, ErrorIn, Glance, ItemGlance, SnapshotIn};
use super::{error, outcome, usage};
use crate::Dialect;
use crate::codec::StreamRelay;
use crate::conversation::{Seal, StopReason, Usage};
use crate::document::Document;
use crate::error::{BadReply, ErrorReply};
use crate::exchange::{AnswerContext, Observed};
use crate::framing::sse::{SseReader, write_event};

/// Passes a complete answer on.
pub(super) fn response(body: &[u8], context: &AnswerContext) -> Result<(Vec<u8>, Observed), BadReply> {
    let glance: Glance<'_> = serde_json::from_slice(body)
        .map_err(|error| BadReply::new(format!("the answer cannot be read: {error}")))?;
    if glance.output.is_none() && glance.error.is_none() {
        return Err(BadReply::new("the answer has no `output`"));
    }
    let mut observed =
        Observed { dialect: Some(Dialect::OpenaiResponses), complete: true, ..Observed::default() };
    observe(&glance, &mut observed);
    observe_end(&glance, &mut observed);
    observed.error = glance.error.map(|error| error::read_object(error.get()));
    let mut out = Vec::with_capacity(body.len() + context.model.len());
    with_model(body, glance.model, &context.model, &mut out);
    Ok((out, observed))
}

fn observe(glance: &Glance<'_>, observed: &mut Observed) {
    if observed.id.is_none() {
        observed.id.clone_from(&glance.id);
    }
    if observed.model.is_none() {
        observed.model = glance.model.and_then(|model| serde_json::from_str(model.get()).ok());
    }
}

/// What only the finished answer says.
fn observe_end(glance: &Glance<'_>, observed: &mut Observed) {
    let output = glance.output.as_deref().unwrap_or_default();
    let searches = output.iter().filter(|item| item.is_search()).count();
    observed.usage = glance.usage.and_then(|usage| usage::read(usage.get())).map(|usage| Usage {
        web_searches: searches.try_into().unwrap_or(u64::MAX),
        service_tier: glance.service_tier.clone(),
        ..usage
    });
    let reason = glance.incomplete_details.as_ref().and_then(|details| details.reason.as_deref());
    let calls = output.iter().any(ItemGlance::is_call);
    observed.stop = Some(outcome::read(glance.status.as_deref(), reason, calls));
    observed.has_content |= !output.is_empty();
    let seals = output.iter().filter_map(|item| item.encrypted_content.as_deref());
    observed.seals.extend(seals.map(Seal::mark));
    let bytes = output.iter().map(ItemGlance::text_bytes).sum();
    observed.text_bytes = observed.text_bytes.max(bytes);
}

/// Copies `text`, the model's name replaced. `model` is a slice of `text`.
fn with_model(text: &[u8], model: Option<&RawValue>, name: &str, out: &mut Vec<u8>) {
    let Some(model) = model else { return out.extend_from_slice(text) };
    let start = model.get().as_ptr() as usize - text.as_ptr() as usize;
    let (before, rest) = text.split_at_checked(start).unwrap_or((text, &[]));
    out.extend_from_slice(before);
    // Writing a string into memory cannot fail.
    _ = serde_json::to_writer(&mut *out, name);
    out.extend_from_slice(rest.get(model.get().len()..).unwrap_or_default());
}

/// Passes an event stream on.
#[derive(Debug)]
pub(super) struct Relay {
    context: Arc<AnswerContext>,
    /// The beginning of an event whose end has not come.
    held: Vec<u8>,
    /// No end of an event begins before here in `held`.
    scanned: usize,
    observed: Observed,
    /// How many events have been passed on; what the next one's number would be.
    passed: u64,
    /// The Response object that the stream began with, as the client got it.
    begun: Option<String>,
    /// The client got the `[DONE]` that LiteLLM's clients may wait for.
    done: bool,
}

impl Relay {
    pub(super) fn new(context: Arc<AnswerContext>) -> Self {
        Self {
            context,
            held: Vec::new(),
            scanned: 0,
            observed: Observed { dialect: Some(Dialect::OpenaiResponses), ..Observed::default() },
            passed: 0,
            begun: None,
            done: false,
        }
    }

    /// Passes the complete events at the beginning of `bytes` on; says how many bytes they are.
    fn pass_all(&mut self, bytes: &[u8], mut scanned: usize, out: &mut Vec<u8>) -> Result<usize, BadReply> {
        let mut from = 0;
        while let Some(end) = end_of_event(bytes, scanned) {
            self.pass(bytes.get(from..end).unwrap_or_default(), out)?;
            from = end;
            scanned = end;
        }
        Ok(from)
    }

    /// One event with all its lines.
    fn pass(&mut self, event: &[u8], out: &mut Vec<u8>) -> Result<(), BadReply> {
        if self.observed.error.is_some() {
            return Ok(());
        }
        let lines = Lines::of(event);
        let Some(data) = lines.data() else {
            out.extend_from_slice(event);
            return Ok(());
        };
        if data == wire::DONE.as_bytes() {
            self.done = true;
            out.extend_from_slice(event);
            return Ok(());
        }
        let kind = lines.kind(data);
        let kind = kind.as_ref();
        if kind.ends_with(b".delta") {
            let bytes = delta_bytes(data);
            self.observed.text_bytes += bytes;
            self.observed.has_content |= bytes > 0;
        } else {
            match std::str::from_utf8(kind).unwrap_or_default() {
                wire::CREATED | wire::IN_PROGRESS | wire::QUEUED => {
                    return self.pass_snapshot(&lines, false, out);
                }
                wire::COMPLETED | wire::INCOMPLETE => return self.pass_snapshot(&lines, true, out),
                wire::FAILED | wire::ERROR => {
                    let data = lines.joined();
                    self.observed.error = Some(error::read_event(&String::from_utf8_lossy(&data)));
                    return Ok(());
                }
                // Not an event of this API, unless it is how a server in front of it reports an error.
                "" => {
                    let data = lines.joined();
                    match serde_json::from_slice::<ErrorIn<'_>>(&data) {
                        Ok(event) if event.error.is_some() => {
                            self.observed.error = Some(error::read_event(&String::from_utf8_lossy(&data)));
                            return Ok(());
                        }
                        Err(error) if !error.is_data() => {
                            return Err(BadReply::new(format!("an event cannot be read: {error}")));
                        }
                        _ => {}
                    }
                }
                wire::ITEM_DONE => self.observed.has_content = true,
                _ => {}
            }
        }
        self.passed += 1;
        out.extend_from_slice(event);
        Ok(())
    }

    /// An event that carries the Response object.
    fn pass_snapshot(&mut self, lines: &Lines<'_>, last: bool, out: &mut Vec<u8>) -> Result<(), BadReply> {
        let data = lines.joined();
        let unreadable = |error| BadReply::new(format!("an event cannot be read: {error}"));
        let snapshot: SnapshotIn<'_> = serde_json::from_slice(&data).map_err(unreadable)?;
        let glance: Glance<'_> = serde_json::from_str(snapshot.response.get()).map_err(unreadable)?;
        observe(&glance, &mut self.observed);
        if last {
            observe_end(&glance, &mut self.observed);
            self.observed.complete = true;
        }
        if self.begun.is_none() {
            let mut begun = Vec::new();
            let response = snapshot.response.get();
            with_model(response.as_bytes(), glance.model, &self.context.model, &mut begun);
            self.begun = String::from_utf8(begun).ok();
        }
        self.passed += 1;
        match &data {
            // The data is a slice of the event, and so is the model.
            Cow::Borrowed(_) => with_model(lines.event, glance.model, &self.context.model, out),
            Cow::Owned(data) => {
                let mut changed = Vec::with_capacity(data.len());
                with_model(data, glance.model, &self.context.model, &mut changed);
                write_event(lines.name.and_then(|name| std::str::from_utf8(name).ok()), &changed, out);
            }
        }
        Ok(())
    }

    /// The Response object of an answer that broke off.
    fn failed(&self, code: &str, message: &str) -> Box<RawValue> {
        let error = serde_json::json!({"code": code, "message": message});
        let edited = self.begun.as_deref().and_then(|begun| {
            let mut response = Document::of(begun).ok()?;
            response.set_text("status", "failed");
            response.set_value("error", &error);
            RawValue::from_string(String::from_utf8(response.to_bytes()).ok()?).ok()
        });
        edited.unwrap_or_else(|| {
            let response = Answer::new(&self.context).failed(code, message);
            serde_json::value::to_raw_value(&response).unwrap_or_else(|_| RawValue::NULL.to_owned())
        })
    }
}

impl StreamRelay for Relay {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BadReply> {
        if self.held.is_empty() {
            let passed = self.pass_all(bytes, 0, out)?;
            self.held.extend_from_slice(bytes.get(passed..).unwrap_or_default());
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(bytes);
            let passed = self.pass_all(&held, self.scanned, out)?;
            held.drain(..passed);
            self.held = held;
        }
        // A blank line is at most four bytes, of which the last is missing.
        self.scanned = self.held.len().saturating_sub(3);
        if self.held.len() > SseReader::MAX_EVENT_BYTES {
            return Err(BadReply::new(format!(
                "an event is longer than {} bytes",
                SseReader::MAX_EVENT_BYTES
            )));
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BadReply> {
        let mut last = std::mem::take(&mut self.held);
        if last.iter().any(|byte| !matches!(byte, b'\n' | b'\r')) {
            last.extend_from_slice(if last.ends_with(b"\n") { b"\n" } else { b"\n\n" });
            self.pass(&last, out)?;
        }
        if self.observed.error.is_some() {
            return Ok(());
        }
        if !self.observed.complete {
            return Err(BadReply::new("the stream ended before `response.completed`"));
        }
        if !self.done {
            self.done = true;
            write_event(None, wire::DONE.as_bytes(), out);
        }
        Ok(())
    }

    fn observed(&self) -> &Observed {
        &self.observed
    }

    fn write_error(&mut self, error: &ErrorReply, out: &mut Vec<u8>) {
        self.observed.stop = Some(StopReason::Error);
        let response = self.failed(failure_code(error.status), &error.message);
        write_failure(self.passed, &response, out);
    }
}

/// Where the first event that ends at or after `from` ends: behind its blank line.
fn end_of_event(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let line_end = at + memchr2(b'\n', b'\r', bytes.get(at..)?)?;
        let next = after_line_end(bytes, line_end)?;
        match bytes.get(next)? {
            b'\n' | b'\r' => return after_line_end(bytes, next),
            _ => at = next,
        }
    }
}

/// Behind the line end at `at`; `None` while a CR may be half of a CRLF.
fn after_line_end(bytes: &[u8], at: usize) -> Option<usize> {
    match (bytes.get(at)?, bytes.get(at + 1)) {
        (b'\r', None) => None,
        (b'\r', Some(b'\n')) => Some(at + 2),
        _ => Some(at + 1),
    }
}

/// The fields of an event that matter here.
#[derive(Debug)]
struct Lines<'a> {
    event: &'a [u8],
    name: Option<&'a [u8]>,
    first_data: Option<&'a [u8]>,
    more_data: Vec<&'a [u8]>,
}

impl<'a> Lines<'a> {
    fn of(event: &'a [u8]) -> Self {
        let mut lines = Self { event, name: None, first_data: None, more_data: Vec::new() };
        let mut rest = event;
        while !rest.is_empty() {
            let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let (line, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            rest = after.get(1..).unwrap_or_default();
            if let Some(value) = field(line, b"data") {
                match lines.first_data {
                    None => lines.first_data = Some(value),
                    Some(_) => lines.more_data.push(value),
                }
            } else if let Some(value) = field(line, b"event") {
                lines.name = Some(value);
            }
        }
        lines
    }

    /// The data, or of several lines the first; `None` for mere comments.
    fn data(&self) -> Option<&'a [u8]> {
        self.first_data
    }

    fn joined(&self) -> Cow<'a, [u8]> {
        let first = self.first_data.unwrap_or_default();
        if self.more_data.is_empty() {
            return Cow::Borrowed(first);
        }
        let mut all = first.to_vec();
        for line in &self.more_data {
            all.push(b'\n');
            all.extend_from_slice(line);
        }
        Cow::Owned(all)
    }

    /// The type of the event. Its name says it, and so does almost always the beginning of the data.
    fn kind(&self, data: &'a [u8]) -> Cow<'a, [u8]> {
        if let Some(name) = self.name.filter(|name| !name.is_empty()) {
            return Cow::Borrowed(name);
        }
        if let Some(rest) = data.strip_prefix(b"{\"type\":\"") {
            let end = memchr(b'"', rest).unwrap_or(0);
            return Cow::Borrowed(rest.get(..end).unwrap_or_default());
        }
        #[derive(Deserialize)]
        struct Kind {
            #[serde(rename = "type")]
            kind: Option<String>,
        }
        let kind = serde_json::from_slice(&self.joined()).ok().and_then(|Kind { kind }| kind);
        Cow::Owned(kind.unwrap_or_default().into_bytes())
    }
}

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// The length of the `delta` string as it is written.
fn delta_bytes(data: &[u8]) -> u64 {
    const FIELD: &[u8] = b"\"delta\":";
    let value = memmem::find(data, FIELD).and_then(|at| data.get(at + FIELD.len()..));
    let Some(text) = value.and_then(|value| value.trim_ascii_start().strip_prefix(b"\"")) else { return 0 };
    let mut end = 0;
    while let Some(offset) = text.get(end..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        end += offset;
        if text.get(end) == Some(&b'"') {
            break;
        }
        end += 2;
    }
    u64::try_from(end).unwrap_or(u64::MAX)
}

impl ItemGlance {
    fn is_search(&self) -> bool {
        let action = self.action.as_ref().and_then(|action| action.kind.as_deref());
        self.kind.as_deref() == Some("web_search_call") && matches!(action, None | Some("search"))
    }

    fn is_call(&self) -> bool {
        matches!(self.kind.as_deref(), Some("function_call" | "custom_tool_call"))
    }

    fn text_bytes(&self) -> u64 {
        let content = self.content.iter().flatten().flat_map(|part| [part.text, part.refusal]);
        content.chain([self.arguments, self.input]).flatten().map(|wire::TextLength(bytes)| bytes).sum()
    }
}
