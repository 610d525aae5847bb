//! The ways in which a provider fails.

use std::str::FromStr;

use hyper::StatusCode;

macro_rules! faults {
    ($($variant:ident $name:literal $about:literal,)*) => {
        /// One way to fail. [`Fault::TABLE`] tells what each one does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault {
            $(#[doc = $about] $variant,)*
            /// An error status with a body in the provider's own form; 429 and 503 carry `retry-after: 1`.
            Status(StatusCode),
        }

        impl Fault {
            /// Name and effect of every fault but the plain error statuses.
            pub const TABLE: &[(&str, &str)] = &[$(($name, $about),)*];

            fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

faults! {
    Reset "reset" "the connection is reset before the answer",
    ResetBody "reset-body" "the connection is reset in the middle of the answer",
    Close "close" "the connection is closed before the answer",
    Cut "cut" "the connection is closed in the middle of the answer",
    Unfinished "unfinished" "the stream ends in good order for HTTP, but without the dialect's last events",
    Hang "hang" "no answer, the connection stays open",
    HangBody "hang-body" "half of the answer, then silence",
    Slow "slow" "the answer comes in pieces of 16 bytes, 100 ms (or `delay`) apart",
    Empty "empty" "status 200 and no body",
    Garbage "garbage" "bytes that are not HTTP",
    GarbageBody "garbage-body" "status 200, content type of a good answer, a body that is neither JSON nor SSE",
    WrongType "wrong-type" "status 200 and an HTML page, as a captive portal sends it",
    Endless "endless" "status 200 and a JSON text that never ends",
    EndlessStream "endless-stream" "an event stream that never ends",
    GzipBomb "gzip-bomb" "a good JSON answer of 64 MiB, sent as 64 KiB of gzip whatever the client accepts",
    ErrorEvent "error-event" "a stream that reports an error after half of its events",
    ContextWindow "context-window" "status 400: the prompt is longer than the context window",
    ContentFilter "content-filter" "status 400: the content was refused",
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let status = || match name.parse() {
            Ok(code @ 400..=599) => StatusCode::from_u16(code).ok().map(Self::Status),
            Ok(_) | Err(_) => None,
        };
        Self::named(name).or_else(status).ok_or_else(|| {
            let names: Vec<_> = Self::TABLE.iter().map(|(name, _)| *name).collect();
            format!("`{name}` is not a fault: write a status from 400 to 599 or one of {}", names.join(", "))
        })
    }
}

/// The end of a connection that HTTP has no words for. A service or body that returns it makes hyper give
/// the connection back, and the server does this to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Sends RST.
    Reset,
    /// Sends FIN.
    Close,
    /// Writes bytes that are not HTTP, then sends FIN.
    Garbage,
}

impl std::fmt::Display for Escape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the plan asks for the connection to be broken")
    }
}

impl std::error::Error for Escape {}
