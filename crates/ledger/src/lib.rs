//! Keys, teams, budgets, limits and spend.

pub mod booking;
pub mod counters;
pub mod journal;
pub mod rules;
pub mod store;

pub use booking::{Booking, Tokens};
pub use counters::{Claim, Claims, Counters, Reservation};
pub use journal::Journal;
pub use store::Store;
