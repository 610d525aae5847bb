//! Requests: what a client asks of Gemini, and what we ask of Google.

mod read;
mod write;

pub(super) use read::{check, read, read_wire, report_untranslatable};
pub(super) use write::write;

#[cfg(test)]
mod tests;
