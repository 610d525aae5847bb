//! Event streams (<https://platform.openai.com/docs/api-reference/chat/streaming>, read 2026-11-21).

mod reader;
mod writer;

pub(super) use reader::Reader;
pub(super) use writer::Writer;

#[cfg(test)]
mod tests;
