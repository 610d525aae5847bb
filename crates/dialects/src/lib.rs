//! The wire protocols of language-model providers, in both directions.
//!
//! A *dialect* is one wire protocol. Each has a module that reads and writes requests, answers, event
//! streams and errors; all of them meet in one [`conversation`] model, so that every client dialect works
//! with every provider dialect without a pairwise adapter. Where client and provider speak the same
//! dialect nothing is rebuilt: [`document::Document`] edits the fields that must change and keeps every
//! other byte.
//!
//! This crate does no I/O: bytes in, values out. It knows no socket, clock, random number, environment
//! variable or runtime; what needs one of those is an argument.

mod adapt;
pub mod codec;
pub mod conversation;
mod data_url;
pub mod dialect;
pub mod document;
pub mod error;
pub mod exchange;
mod field_path;
pub mod framing;
pub mod json;
pub mod loss;
mod media_type;
mod openai_error;
mod openai_stream;
pub mod quirk;
pub mod service;
mod shape;

pub mod anthropic_messages;
pub mod gemini;
pub mod openai_chat;
pub mod openai_completions;
pub mod openai_responses;

pub use dialect::Dialect;
pub use error::{BadReply, CannotSay, ErrorClass, Invalid, ProviderError};
