//! The management API as types: what its bodies may hold, what its answers look like, who may call what. No server, no
//! database, no clock.
//!
//! - [`body`]: a request's fields, checked against the route's own list; [`problem`]: what is wrong with them.
//! - [`route`]: all routes, with their fields and with who may call them; [`caller`]: who somebody is to an object.
//! - [`grant`]: nobody gives what they do not have.
//! - One module per entity: from its fields to the entity, and from the entity to the row that LiteLLM shows.
//!
//! The names of routes, fields and rows are LiteLLM 1.106.2's.

#![allow(clippy::indexing_slicing, reason = "a field of a JSON object is set, which cannot panic")]

pub mod access_group;
pub mod activity;
pub mod body;
pub mod budget;
pub mod caller;
pub mod condition;
pub mod credential;
pub mod csv;
pub mod customer;
pub mod field;
pub mod grant;
pub mod key;
pub mod model;
pub mod moment;
pub mod organization;
pub mod problem;
pub mod query;
pub mod route;
pub mod spend;
pub mod tag;
pub mod team;
pub mod terms;
pub mod user;

/// A JSON object.
pub type Object = serde_json::Map<String, serde_json::Value>;
