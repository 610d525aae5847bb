//! What may be asked, by whom, and for how much. Pure: time is an argument, nothing is read or written.
//!
//! - [`entity`]: keys, teams, users, organizations, customers, members, tags.
//! - [`access`]: which models, routes and addresses a key reaches; [`circle`]: all who have a say in a request.
//! - [`budget`], [`period`], [`limit`]: what an account is allowed; [`zone`]: where its days begin.
//! - [`ledger`]: what an account has used and holds; [`ledger::admit`] and [`ledger::Grant`] move it.
//! - [`share`]: what one of several instances may use of all that.
//! - [`refusal`]: why not, in LiteLLM's words.

pub mod access;
pub mod account;
pub mod budget;
pub mod circle;
pub mod entity;
pub mod history;
pub mod id;
mod leased;
pub mod ledger;
pub mod limit;
pub mod nano;
pub mod period;
pub mod refusal;
pub mod share;
pub mod time;
mod window;
pub mod zone;
