//! Structured lines on standard output.
//!
//! A line is formatted where it arises and handed to one writer thread, which joins what is there into one write:
//! a system call per request would cost more than the request's own bookkeeping. No prompts, no answers and no
//! secrets are in any line.

use std::cell::Cell;
use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use catalog::{Decimal, NanoUsd};
use ledger::rules::id::{TeamId, UserId};
use serde_json::Value;

use super::{outcome_name, stop_name};
use crate::exchange::{Exchange, Outcome};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// The name of a field, see [`Key`].
macro_rules! key {
    ($name:literal) => {
        Key { json: concat!(",\"", $name, "\":"), text: concat!(" ", $name, "=") }
    };
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// `time level message key=value …`, for people.
    Text,
}

/// The log of one gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
    level: Level,
    format: Format,
}

#[derive(Debug)]
struct Shared {
    pending: Mutex<Pending>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    text: Vec<u8>,
    lost: u64,
    closed: bool,
    writing: bool,
}

/// What may wait for a slow terminal or pipe; beyond it lines are counted and left out, never waited for.
const MAX_PENDING_BYTES: usize = 8 * 1024 * 1024;

impl Log {
    /// A log that writes to standard output.
    #[must_use]
    pub fn to_stdout(level: Level, format: Format) -> Self {
        let shared = Arc::new(Shared { pending: Mutex::default(), filled: Condvar::new() });
        let writer = Arc::clone(&shared);
        // The thread ends with `close`, or with the process.
        let spawned = std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_out());
        drop(spawned);
        Self { shared, level, format }
    }

    /// Whether lines of `level` are written at all.
    #[must_use]
    pub fn wants(&self, level: Level) -> bool {
        level >= self.level
    }

    /// Writes what is pending and stops. Lines after this are lost.
    pub fn close(&self) {
        let mut pending = self.shared.lock();
        pending.closed = true;
        self.shared.filled.notify_one();
        let deadline = Duration::from_secs(2);
        while pending.writing || !pending.text.is_empty() {
            let (guard, timeout) =
                self.shared.filled.wait_timeout(pending, deadline).unwrap_or_else(PoisonError::into_inner);
            pending = guard;
            if timeout.timed_out() {
                return;
            }
        }
    }

    pub(super) fn line(&self, level: Level, message: &str, fields: &[(&str, Value)]) {
        if !self.wants(level) {
            return;
        }
        let mut line = Line::begin(self.format, SystemTime::now(), level, message);
        for (name, value) in fields {
            line.value(name, value);
        }
        self.write(line);
    }

    fn write(&self, line: Line) {
        let bytes = line.end();
        self.shared.push(&bytes);
        BUFFER.set(bytes);
    }

    pub(super) fn request(&self, exchange: &Exchange) {
        let failed = matches!(exchange.outcome, Outcome::Failed { status, .. } if status >= 500);
        let level = if failed { Level::Warn } else { Level::Info };
        if !self.wants(level) {
            return;
        }
        let mut line = Line::begin(self.format, exchange.received_at + exchange.duration, level, "request");
        line.text(key!("call_id"), &exchange.id);
        line.word(key!("call_type"), exchange.operation.name());
        line.word(key!("outcome"), outcome_name(&exchange.outcome));
        line.number(key!("status"), u64::from(exchange.outcome.status()));
        line.text(key!("model"), &exchange.requested_model);
        line.text(key!("key"), exchange.caller.identity.name());
        if let Some(holder) = exchange.caller.identity.holder() {
            let ids = [
                (key!("key_alias"), holder.key.details.alias.as_deref()),
                (key!("user"), holder.key.user.as_ref().map(UserId::as_str)),
                (key!("team"), holder.key.team.as_ref().map(TeamId::as_str)),
            ];
            for (name, id) in ids {
                if let Some(id) = id {
                    line.text(name, id);
                }
            }
        }
        if exchange.stream {
            line.flag(key!("stream"), true);
        }
        if let Some(of) = &exchange.mirror_of {
            line.text(key!("mirror_of"), of);
        }
        for (name, count) in [(key!("retries"), exchange.retries), (key!("fallbacks"), exchange.fallbacks)] {
            if count > 0 {
                line.number(name, u64::from(count));
            }
        }
        if let Some(used) = &exchange.cache {
            line.flag(key!("cache_hit"), used.is_hit());
            line.word(key!("cache"), used.state.name());
            if used.saved.cost.0 > 0 {
                line.usd(key!("saved_usd"), used.saved.cost);
            }
        }
        if let Some(served) = exchange.served() {
            line.bytes.extend_from_slice(served.words.in_format(self.format));
        }
        if let Some(usage) = &exchange.answer.usage {
            line.number(key!("input_tokens"), usage.input);
            line.number(key!("output_tokens"), usage.output);
            if usage.cache_read > 0 {
                line.number(key!("cached_tokens"), usage.cache_read);
            }
            if exchange.answer.usage_is_estimate {
                line.flag(key!("usage_is_estimate"), true);
            }
        }
        if let Some(cost) = &exchange.answer.cost {
            line.usd(key!("cost_usd"), cost.total());
        }
        if let Some(stop) = &exchange.answer.stop {
            line.text(key!("stop"), stop_name(stop));
        }
        line.milliseconds(key!("duration_ms"), exchange.duration);
        line.milliseconds(key!("upstream_ms"), exchange.upstream_time);
        line.milliseconds(key!("gateway_ms"), exchange.duration.saturating_sub(exchange.upstream_time));
        if let Some(first) = exchange.first_token {
            line.milliseconds(key!("first_token_ms"), first);
        }
        if let Outcome::Failed { class, message, log, .. } = &exchange.outcome {
            if let Some(class) = class {
                line.text(key!("error_class"), class.exception_name());
            }
            // A provider's message may quote the prompt; the first words say what it is about.
            line.text(key!("error"), message.get(..message.floor_char_boundary(300)).unwrap_or_default());
            if !log.is_empty() {
                line.text(key!("cause"), log);
            }
        }
        self.write(line);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut pending = self.lock();
        if pending.closed || pending.text.len() + line.len() > MAX_PENDING_BYTES {
            pending.lost += 1;
            return;
        }
        let was_empty = pending.text.is_empty();
        pending.text.extend_from_slice(line);
        drop(pending);
        if was_empty {
            self.filled.notify_one();
        }
    }

    fn write_out(&self) {
        let mut text = Vec::new();
        loop {
            let mut pending = self.lock();
            pending.writing = false;
            self.filled.notify_all();
            while pending.text.is_empty() {
                if pending.closed {
                    return;
                }
                pending = self.filled.wait(pending).unwrap_or_else(PoisonError::into_inner);
            }
            if !pending.closed {
                drop(pending);
                // Under load many lines share one write; alone, nobody notices the pause.
                std::thread::sleep(Duration::from_millis(20));
                pending = self.lock();
            }
            text.clear();
            std::mem::swap(&mut text, &mut pending.text);
            pending.writing = true;
            let lost = std::mem::take(&mut pending.lost);
            drop(pending);
            if lost > 0 {
                let _ = writeln!(
                    text,
                    "{{\"level\":\"warn\",\"message\":\"{lost} log lines were lost: the output is too slow\"}}"
                );
            }
            let mut out = std::io::stdout().lock();
            // Nobody reads: nothing is left to tell it to.
            let _ = out.write_all(&text).and_then(|()| out.flush());
        }
    }
}

/// How a deployment is named in the lines of its requests, ready to be copied.
#[derive(Debug)]
pub struct ServedWords {
    json: Vec<u8>,
    text: Vec<u8>,
}

impl ServedWords {
    #[must_use]
    pub fn new(provider: &str, deployment: &str, model: &str) -> Self {
        let words = |format| {
            let mut line = Line { bytes: Vec::new(), format };
            line.text(key!("provider"), provider);
            line.text(key!("deployment"), deployment);
            line.text(key!("provider_model"), model);
            line.bytes
        };
        Self { json: words(Format::Json), text: words(Format::Text) }
    }

    fn in_format(&self, format: Format) -> &[u8] {
        match format {
            Format::Json => &self.json,
            Format::Text => &self.text,
        }
    }
}

/// A field's name as each format has it, so that writing it is one copy.
#[derive(Clone, Copy)]
struct Key {
    json: &'static str,
    text: &'static str,
}

thread_local! {
    /// What the thread's last line was built in, for the next one.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One line while it is built.
struct Line {
    bytes: Vec<u8>,
    format: Format,
}

impl Line {
    fn begin(format: Format, time: SystemTime, level: Level, message: &str) -> Self {
        let mut bytes = BUFFER.take();
        bytes.clear();
        let mut line = Self { bytes, format };
        match format {
            Format::Json => {
                line.push("{\"time\":\"");
                push_timestamp(&mut line.bytes, time);
                line.push("\"");
                line.word(key!("level"), level.name());
                line.text(key!("message"), message);
            }
            Format::Text => {
                push_timestamp(&mut line.bytes, time);
                let _ = write!(line.bytes, " {:5} {message}", level.name());
            }
        }
        line
    }

    fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn key(&mut self, key: Key) {
        self.push(match self.format {
            Format::Json => key.json,
            Format::Text => key.text,
        });
    }

    fn text(&mut self, key: Key, value: &str) {
        self.key(key);
        // No early end: so the compiler looks at 16 bytes together.
        let is_plain = |byte: u8| byte.is_ascii_graphic() & (byte != b'"') & (byte != b'\\');
        let plain = value.bytes().fold(true, |plain, byte| plain & is_plain(byte));
        match (self.format, plain) {
            (Format::Text, true) if !value.is_empty() => self.push(value),
            (_, true) => self.quoted(value),
            (_, false) => {
                let _ = serde_json::to_writer(&mut self.bytes, value);
            }
        }
    }

    /// A word of ours: it needs no escaping.
    fn word(&mut self, key: Key, value: &'static str) {
        self.key(key);
        match self.format {
            Format::Text => self.push(value),
            Format::Json => self.quoted(value),
        }
    }

    fn quoted(&mut self, value: &str) {
        self.bytes.push(b'"');
        self.push(value);
        self.bytes.push(b'"');
    }

    fn number(&mut self, key: Key, value: u64) {
        self.key(key);
        self.bytes.extend_from_slice(Decimal::of(value).as_bytes());
    }

    fn flag(&mut self, key: Key, value: bool) {
        self.key(key);
        self.push(if value { "true" } else { "false" });
    }

    fn usd(&mut self, key: Key, amount: NanoUsd) {
        self.key(key);
        self.bytes.extend_from_slice(amount.to_decimal().as_bytes());
    }

    /// A field of a line that is seldom written.
    fn value(&mut self, name: &str, value: &Value) {
        let _ = match self.format {
            Format::Json => write!(self.bytes, ",\"{name}\":{value}"),
            Format::Text => write!(self.bytes, " {name}={value}"),
        };
    }

    fn milliseconds(&mut self, key: Key, duration: Duration) {
        self.key(key);
        self.bytes.extend_from_slice(Decimal::milliseconds(duration).as_bytes());
    }

    fn end(mut self) -> Vec<u8> {
        if self.format == Format::Json {
            self.bytes.push(b'}');
        }
        self.bytes.push(b'\n');
        self.bytes
    }
}

/// RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn timestamp(time: SystemTime) -> String {
    let mut text = Vec::with_capacity(24);
    push_timestamp(&mut text, time);
    String::from_utf8(text).unwrap_or_default()
}

fn push_timestamp(text: &mut Vec<u8>, time: SystemTime) {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    text.extend_from_slice(&to_the_second(since.as_secs()));
    push_digits(text, since.subsec_millis().into(), 3);
    text.push(b'Z');
}

/// `2026-11-21T10:12:12.`. All lines of a second share it, and working it out takes 1,300 instructions.
fn to_the_second(second: u64) -> [u8; 20] {
    thread_local! {
        static LAST: Cell<(u64, [u8; 20])> = const { Cell::new((0, *b"1970-01-01T00:00:00.")) };
    }
    let (known, text) = LAST.get();
    if known == second {
        return text;
    }
    let (year, month, day) = civil(second / 86_400);
    let parts = [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (second / 3600 % 24, 2, b':'),
        (second / 60 % 60, 2, b':'),
        (second % 60, 2, b'.'),
    ];
    let mut bytes = Vec::with_capacity(20);
    for (number, width, end) in parts {
        push_digits(&mut bytes, number, width);
        bytes.push(end);
    }
    let text = bytes.try_into().unwrap_or(text);
    LAST.set((second, text));
    text
}

/// The last `width` digits of a number.
fn push_digits(text: &mut Vec<u8>, number: u64, width: u32) {
    for place in (0..width).rev() {
        let digit = number / 10_u64.pow(place) % 10;
        text.push(b'0' + u8::try_from(digit).unwrap_or_default());
    }
}

/// The date of a day counted from 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        let at = |seconds: u64| timestamp(SystemTime::UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7));
        assert_eq!(at(0), "1970-01-01T00:00:00.007Z");
        assert_eq!(at(951_827_696), "2000-02-29T12:34:56.007Z");
        assert_eq!(at(1_795_255_932), "2026-11-21T10:12:12.007Z");
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let mut line = Line { bytes: Vec::new(), format: Format::Text };
        line.text(key!("a"), "plain");
        line.text(key!("b"), "two words\n");
        line.text(key!("c"), "");
        assert_eq!(line.bytes, b" a=plain b=\"two words\\n\" c=\"\"");
    }
}
