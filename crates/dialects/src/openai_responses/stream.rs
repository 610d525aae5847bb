//! Event streams.

mod reader;
mod writer;

pub(super) use reader::Reader;
pub(super) use writer::{Writer, failure_code, write_failure};
