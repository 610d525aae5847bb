//! Limits that several instances share: parts of them are lent to instances, so that no request has to ask.
//!
//! - [`room`]: the rule; pure.
//! - [`LeaseStore`]: where rooms are kept: Redis ([`RedisLeases`]), or the database ([`Store`](crate::Store)).
//! - [`Leases`](crate::counters::Leases): an instance's end, behind [`Counters`](crate::Counters).

mod redis;
pub mod room;

use std::fmt;
use std::pin::Pin;

pub use redis::RedisLeases;
pub use room::{Books, Order, Outcome, Reply};

use crate::rules::time::Timestamp;

/// How long an instance that does not say anything counts as one that lives, in milliseconds.
pub(crate) const LIVES_MILLIS: i64 = 10_000;

/// What a [`LeaseStore`] is doing.
pub type Work<'s, T> = Pin<Box<dyn Future<Output = Result<T, LeaseError>> + Send + 's>>;

/// Leases cannot be exchanged: the store is away.
#[derive(Debug)]
pub struct LeaseError(Box<dyn std::error::Error + Send + Sync>);

impl LeaseError {
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

impl fmt::Display for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store that instances share their limits in does not answer")
    }
}

impl std::error::Error for LeaseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.0.as_ref())
    }
}

/// What an instance hears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Resources whose rest somebody needs, and the number of the call.
    pub calls: Vec<(String, i64)>,
    /// How many instances live, this one included.
    pub instances: u32,
}

/// Where what is lent is written down: all instances see the same.
pub trait LeaseStore: fmt::Debug + Send + Sync {
    /// One exchange about one resource, by the rule of [`room::Room::exchange`].
    fn exchange<'s>(
        &'s self,
        instance: &'s str,
        resource: &'s str,
        order: &'s Order,
        now: Timestamp,
    ) -> Work<'s, Reply>;

    /// Says that an instance lives, and takes the calls for it.
    fn hear<'s>(&'s self, instance: &'s str, now: Timestamp) -> Work<'s, Heard>;

    /// The resources that an instance has, or had, something of.
    fn lent_to<'s>(&'s self, instance: &'s str) -> Work<'s, Vec<String>>;

    /// The instance no longer lives.
    fn leave<'s>(&'s self, instance: &'s str) -> Work<'s, ()>;
}

#[cfg(test)]
mod tests;
