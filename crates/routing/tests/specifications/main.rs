//! What routing does, rule by rule, seen from outside.

mod choosing;
mod laws;
mod settings;
mod surviving;
mod world;
