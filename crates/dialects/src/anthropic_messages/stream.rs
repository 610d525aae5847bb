//! Event streams: <https://platform.claude.com/docs/en/build-with-claude/streaming>.
//!
//! `message_start`, then per content block `content_block_start`, deltas and `content_block_stop`, then
//! `message_delta` with the stop reason and `message_stop`; `ping` anywhere, `error` instead of an end.

mod reader;
mod writer;

pub(super) use reader::Reader;
pub(super) use writer::Writer;
