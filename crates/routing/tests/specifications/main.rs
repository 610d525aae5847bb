//! What routing does, rule by rule, seen from outside.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that is surprised fails")]

mod choosing;
mod crowds;
mod laws;
mod settings;
mod sharing;
mod surviving;
mod world;
