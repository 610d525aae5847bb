//! Structured lines on standard output.
//!
//! A line is formatted where it arises and handed to one writer thread, which joins what is there into one write:
//! a system call per request would cost more than the request's own bookkeeping. No prompts, no answers and no
//! secrets are in any line.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ledger::rules::id::{TeamId, UserId};
use serde_json::Value;

use super::{outcome_name, stop_name};
use crate::decimal;
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
    text: String,
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
        let mut line = Line::begin(self.format, level, message);
        for (name, value) in fields {
            line.value(name, value);
        }
        self.shared.push(&line.end());
    }

    pub(super) fn request(&self, exchange: &Exchange) {
        let failed = matches!(exchange.outcome, Outcome::Failed { status, .. } if status >= 500);
        let level = if failed { Level::Warn } else { Level::Info };
        if !self.wants(level) {
            return;
        }
        let mut line = Line::begin(self.format, level, "request");
        line.text("call_id", &exchange.id);
        line.text("call_type", exchange.operation.name());
        line.text("outcome", outcome_name(&exchange.outcome));
        line.number("status", u64::from(exchange.outcome.status()));
        line.text("model", &exchange.requested_model);
        line.text("key", exchange.caller.identity.name());
        if let Some(holder) = exchange.caller.identity.holder() {
            let ids = [
                ("key_alias", holder.key.details.alias.as_deref()),
                ("user", holder.key.user.as_ref().map(UserId::as_str)),
                ("team", holder.key.team.as_ref().map(TeamId::as_str)),
            ];
            for (name, id) in ids {
                if let Some(id) = id {
                    line.text(name, id);
                }
            }
        }
        if exchange.stream {
            line.flag("stream", true);
        }
        if let Some(of) = &exchange.mirror_of {
            line.text("mirror_of", of);
        }
        for (name, count) in [("retries", exchange.retries), ("fallbacks", exchange.fallbacks)] {
            if count > 0 {
                line.number(name, u64::from(count));
            }
        }
        if let Some(used) = &exchange.cache {
            line.flag("cache_hit", used.is_hit());
            line.text("cache", used.state.name());
            if used.saved.cost.0 > 0 {
                line.raw("saved_usd", &used.saved.cost.to_string());
            }
        }
        if let Some(served) = exchange.served() {
            line.text("provider", served.deployment.provider);
            line.text("deployment", &served.deployment.id);
            line.text("provider_model", &served.deployment.model);
        }
        if let Some(usage) = &exchange.answer.usage {
            line.number("input_tokens", usage.input);
            line.number("output_tokens", usage.output);
            if usage.cache_read > 0 {
                line.number("cached_tokens", usage.cache_read);
            }
            if exchange.answer.usage_is_estimate {
                line.flag("usage_is_estimate", true);
            }
        }
        if let Some(cost) = &exchange.answer.cost {
            line.raw("cost_usd", &cost.total().to_string());
        }
        if let Some(stop) = &exchange.answer.stop {
            line.text("stop", stop_name(stop));
        }
        line.milliseconds("duration_ms", exchange.duration);
        line.milliseconds("upstream_ms", exchange.upstream_time);
        line.milliseconds("gateway_ms", exchange.duration.saturating_sub(exchange.upstream_time));
        if let Some(first) = exchange.first_token {
            line.milliseconds("first_token_ms", first);
        }
        if let Outcome::Failed { class, message, log, .. } = &exchange.outcome {
            if let Some(class) = class {
                line.text("error_class", class.exception_name());
            }
            // A provider's message may quote the prompt; the first words say what it is about.
            line.text("error", message.get(..message.floor_char_boundary(300)).unwrap_or_default());
            if !log.is_empty() {
                line.text("cause", log);
            }
        }
        self.shared.push(&line.end());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &str) {
        let mut pending = self.lock();
        if pending.closed || pending.text.len() + line.len() > MAX_PENDING_BYTES {
            pending.lost += 1;
            return;
        }
        let was_empty = pending.text.is_empty();
        pending.text.push_str(line);
        drop(pending);
        if was_empty {
            self.filled.notify_one();
        }
    }

    fn write_out(&self) {
        let mut text = String::new();
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
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
    }
}

/// One line while it is built.
struct Line {
    text: String,
    format: Format,
}

impl Line {
    fn begin(format: Format, level: Level, message: &str) -> Self {
        let mut line = Self { text: String::with_capacity(512), format };
        match format {
            Format::Json => {
                line.text.push_str("{\"time\":\"");
                push_timestamp(&mut line.text, SystemTime::now());
                line.text.push('"');
                line.text("level", level.name());
                line.text("message", message);
            }
            Format::Text => {
                push_timestamp(&mut line.text, SystemTime::now());
                let _ = write!(line.text, " {:5} {message}", level.name());
            }
        }
        line
    }

    fn name(&mut self, name: &str) {
        match self.format {
            Format::Json => {
                self.text.push_str(",\"");
                self.text.push_str(name);
                self.text.push_str("\":");
            }
            Format::Text => {
                self.text.push(' ');
                self.text.push_str(name);
                self.text.push('=');
            }
        }
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        let plain = value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        match (self.format, plain) {
            (Format::Text, true) if !value.is_empty() => self.text.push_str(value),
            (_, true) => {
                self.text.push('"');
                self.text.push_str(value);
                self.text.push('"');
            }
            (_, false) => {
                let _ = write!(self.text, "{}", Value::from(value));
            }
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        decimal::push(&mut self.text, value, 1);
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.text.push_str(if value { "true" } else { "false" });
    }

    fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.text.push_str(json);
    }

    fn value(&mut self, name: &str, value: &Value) {
        self.name(name);
        let _ = write!(self.text, "{value}");
    }

    fn milliseconds(&mut self, name: &str, duration: Duration) {
        self.name(name);
        decimal::push_milliseconds(&mut self.text, duration);
    }

    fn end(mut self) -> String {
        if self.format == Format::Json {
            self.text.push('}');
        }
        self.text.push('\n');
        self.text
    }
}

/// RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn timestamp(time: SystemTime) -> String {
    let mut text = String::with_capacity(24);
    push_timestamp(&mut text, time);
    text
}

fn push_timestamp(text: &mut String, time: SystemTime) {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let parts = [
        (year, 4, '-'),
        (month, 2, '-'),
        (day, 2, 'T'),
        (second / 3600, 2, ':'),
        (second / 60 % 60, 2, ':'),
        (second % 60, 2, '.'),
        (since.subsec_millis().into(), 3, 'Z'),
    ];
    for (number, width, end) in parts {
        decimal::push(text, number, width);
        text.push(end);
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
        let mut line = Line { text: String::new(), format: Format::Text };
        line.text("a", "plain");
        line.text("b", "two words\n");
        line.text("c", "");
        assert_eq!(line.text, " a=plain b=\"two words\\n\" c=\"\"");
    }
}
