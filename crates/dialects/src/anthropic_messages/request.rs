//! Requests: what a client says, and what a provider is told.

mod read;
mod write;

pub(super) use read::{check, read, report_untranslatable};
pub(super) use write::write;
