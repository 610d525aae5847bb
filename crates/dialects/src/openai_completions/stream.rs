//! Event streams: chunks of the answer's own shape, then `[DONE]`.

mod reader;
mod writer;

pub(super) use reader::Reader;
pub(super) use writer::Writer;
