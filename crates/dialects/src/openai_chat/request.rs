//! Requests: what a client says, and what a provider is told.

mod check;
mod read;
mod write;

pub(super) use check::check;
pub(super) use read::read;
pub(super) use write::write;
