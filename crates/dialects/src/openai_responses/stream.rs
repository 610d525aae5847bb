//! Event streams.

mod read;
mod write;

pub(super) use read::Reader;
pub(super) use write::{Writer, failure_code, write_failure};
