//! Event streams (<https://platform.openai.com/docs/api-reference/chat/streaming>).

mod reader;
mod writer;

pub(super) use reader::Reader;
pub(super) use writer::Writer;

#[cfg(test)]
mod tests;
