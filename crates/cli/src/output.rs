//! What a person reads on the terminal, and how a command fails.

use std::io::{IsTerminal, Write};

/// Why a command did not do its work, and the process's exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub message: String,
    pub code: u8,
}

/// The configuration is wrong.
pub(crate) const BAD_CONFIG: u8 = 2;

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: BAD_CONFIG }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

/// Writes a line to standard output. A reader that went away (`tollway models | head`) is no error.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Writes without a line end, at once: the next piece of a streamed answer.
pub(crate) fn piece(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = write!(out, "{text}").and_then(|()| out.flush());
}

/// Writes a line to standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

pub(crate) fn error(text: &str) {
    let (red, plain) = if std::io::stderr().is_terminal() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    note(&format!("{red}error{plain}: {text}"));
}
