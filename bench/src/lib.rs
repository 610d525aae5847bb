//! Tools that measure a gateway from outside: a mock provider, a load generator, a bare proxy to compare
//! with, and the driver that puts them together. `README.md` beside the manifest tells how to read the
//! figures.
//!
//! Every program talks to 127.0.0.1 only.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "command-line tools: a broken set-up stops them with a message, and figures are for reading"
)]

/// The mock provider: what it answers, how it fails.
pub mod mock {
    pub mod body;
    pub mod canned;
    pub mod fault;
    pub mod plan;
    pub mod server;
}
pub mod case;
pub mod listen;
pub mod load;
pub mod measure;
pub mod process;
pub mod proxy;
pub mod scale;
pub mod shot;
pub mod subject;
pub mod table;
