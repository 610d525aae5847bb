//! Why a request got no answer, or only part of one.

use std::error::Error;
use std::fmt;
use std::io;

use dialects::ErrorClass;

/// A request got no answer, or only part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError {
    pub kind: TransportErrorKind,
    /// The cause, in words; holds no secrets (no headers, no query).
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportErrorKind {
    /// The address does not exist or nobody listens.
    Refused,
    /// No connection in time.
    ConnectTimedOut,
    /// The certificate is not accepted, or no common protocol.
    Tls,
    /// The connection broke before or in the answer.
    Broken,
    /// No answer, or no more of it, in time.
    TimedOut,
    /// The answer is not HTTP, or beyond a limit.
    Garbage,
}

impl TransportErrorKind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::ConnectTimedOut => "connection timed out",
            Self::Tls => "TLS failed",
            Self::Broken => "connection broken",
            Self::TimedOut => "timed out",
            Self::Garbage => "unreadable answer",
        }
    }

    #[must_use]
    pub fn class(self) -> ErrorClass {
        match self {
            Self::TimedOut | Self::ConnectTimedOut => ErrorClass::Timeout,
            Self::Refused | Self::Tls | Self::Broken | Self::Garbage => ErrorClass::Connection,
        }
    }
}

impl TransportError {
    pub(super) fn new(kind: TransportErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// No connection came to be.
    pub(super) fn in_connect(error: &(dyn Error + 'static)) -> Self {
        Self { kind: connect_kind(error), detail: innermost(error) }
    }

    /// The connection or the answer on it failed.
    pub(super) fn in_exchange(error: &hyper::Error) -> Self {
        let kind = if error.is_parse() { TransportErrorKind::Garbage } else { TransportErrorKind::Broken };
        Self { kind, detail: innermost(error) }
    }
}

fn sources<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error: &&'e (dyn Error + 'static)| error.source())
}

fn connect_kind(error: &(dyn Error + 'static)) -> TransportErrorKind {
    for cause in sources(error) {
        if cause.is::<rustls::Error>() {
            return TransportErrorKind::Tls;
        }
        let Some(io) = cause.downcast_ref::<io::Error>() else { continue };
        if io.kind() == io::ErrorKind::TimedOut {
            return TransportErrorKind::ConnectTimedOut;
        }
        // An I/O error's source is its inner error's source: the inner error itself is only seen here.
        if let Some(inner) = io.get_ref() {
            let inner: &(dyn Error + 'static) = inner;
            match connect_kind(inner) {
                TransportErrorKind::Refused => {}
                kind => return kind,
            }
        }
    }
    TransportErrorKind::Refused
}

/// The last cause says most; the ones above it repeat each other.
fn innermost(error: &(dyn Error + 'static)) -> String {
    sources(error).last().map(ToString::to_string).unwrap_or_default()
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.detail)
    }
}

impl Error for TransportError {}
