//! Streamed answers: server-sent events, each a piece of an answer in the shape of a complete one. There is no
//! closing event; an answer is complete when each candidate has said why it ended.

mod read;
mod write;

pub(super) use read::GeminiReader;
pub(super) use write::GeminiWriter;

#[cfg(test)]
mod tests;
