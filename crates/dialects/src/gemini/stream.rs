//! Streamed answers: server-sent events, each a piece of an answer in the shape of a complete one. There is no
//! closing event; an answer is complete when each candidate has said why it ended.

mod reader;
mod writer;

pub(super) use reader::Reader;
pub(super) use writer::Writer;

#[cfg(test)]
mod tests;
