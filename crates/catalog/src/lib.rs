//! What Tollway knows about the world outside: providers, models, prices, and how texts are counted.
//!
//! All of it is data compiled into the binary and checked when it is built. Nothing is parsed or loaded at start:
//! provider rows are constants, a model's prices are found by a binary search in the embedded text, and the
//! tokenizers' vocabularies are hash tables that are used where they lie.
//!
//! - [`provider`]: which server a model string names, its URLs, its sign-in, how it departs from its dialect.
//! - [`prices`] and [`model`]: what a model costs and can do.
//! - [`mod@cost`]: what a call costs, line by line, in exact decimals ([`usd`]).
//! - [`tokens`]: how many tokens a request has.
//!
//! Like `dialects`, this crate does no I/O and knows no clock and no environment variable: where a row names
//! one, the caller reads it.

pub mod cost;
mod decimal;
pub mod model;
mod pattern;
pub mod prices;
pub mod provider;
pub mod tokens;
pub mod usd;

pub use cost::{Cost, CostContext, CostLine, cost};
pub use decimal::Decimal;
pub use model::{ModelEntry, ModelQuery, find_model};
pub use provider::{EndpointKind, Provider, UrlParams, endpoint_url, find, split_model};
pub use usd::{NanoUsd, Usd};
