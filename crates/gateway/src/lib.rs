//! The Tollway gateway.

pub mod config;
