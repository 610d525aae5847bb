//! Leases in Redis or Valkey: one script per exchange.

use fred::clients::Pool;
use fred::interfaces::{KeysInterface as _, LuaInterface as _, SetsInterface as _, SortedSetsInterface as _};
use fred::types::Value;
use tokio::sync::OnceCell;

use super::room::{Books, Order, Outcome, Reply, lease_millis};
use super::{Heard, LIVES_MILLIS, LeaseError, LeaseStore, Work};
use crate::rules::share::Return;
use crate::rules::time::Timestamp;

/// What our keys begin with. In a cluster all of them are in one place, since scripts touch several.
const PREFIX: &str = "{tollway:leases}:";
/// Numbers in scripts are exact up to here: nine million dollars.
const MOST: i64 = 1 << 53;

const EXCHANGE: &str = include_str!("exchange.lua");
const HEAR: &str = include_str!("hear.lua");

/// Leases in a Redis whose connections somebody else has set up.
#[derive(Debug)]
pub struct RedisLeases {
    pool: Pool,
    exchange: Script,
    hear: Script,
}

/// A script that the server keeps.
#[derive(Debug)]
struct Script {
    text: &'static str,
    hash: OnceCell<String>,
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, hash: OnceCell::new() }
    }

    async fn run(&self, pool: &Pool, keys: Vec<String>, arguments: Vec<String>) -> Result<Value, LeaseError> {
        let client = pool.next();
        let load = || async { client.script_load::<String, _>(self.text).await };
        let hash = self.hash.get_or_try_init(load).await.map_err(LeaseError::new)?;
        match client.evalsha(hash.as_str(), keys.clone(), arguments.clone()).await {
            // The server was started anew.
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                client.eval(self.text, keys, arguments).await.map_err(LeaseError::new)
            }
            result => result.map_err(LeaseError::new),
        }
    }
}

impl RedisLeases {
    /// Leases in this Redis. The pool should have a timeout for commands of a fraction of a second: requests wait.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool, exchange: Script::new(EXCHANGE), hear: Script::new(HEAR) }
    }

    async fn run_exchange(
        &self,
        instance: &str,
        resource: &str,
        order: &Order,
        now: Timestamp,
    ) -> Result<Reply, LeaseError> {
        let keys = vec![key("room:", resource), key("instances", ""), key("lent:", instance)];
        let returns = match order.returns {
            Return::Never => "never",
            Return::AfterAMinute => "after_a_minute",
            Return::AtOnce => "at_once",
        };
        let number = |number: i64| number.clamp(-MOST, MOST).to_string();
        let books = match &order.books {
            Books::Closed => "closed",
            Books::Away => "away",
            Books::Read(_) => "read",
        };
        let mut arguments = vec![
            instance.to_owned(),
            number(now.0),
            number(lease_millis(order.returns)),
            returns.to_owned(),
            number(order.max),
            number(order.lent),
            number(order.busy),
            number(order.used),
            i64::from(order.resets).to_string(),
            number(order.report),
            number(order.need),
            number(order.waits_for),
            number(order.heard),
            resource.to_owned(),
            key("calls:", ""),
            books.to_owned(),
            order.booked.map(number).unwrap_or_default(),
            i64::from(order.moved).to_string(),
        ];
        if let Books::Read(booked) = &order.books {
            arguments.extend(booked.iter().flat_map(|(instance, sum)| [instance.clone(), number(*sum)]));
        }
        let reply = self.exchange.run(&self.pool, keys, arguments).await?;
        read_reply(reply).ok_or_else(|| LeaseError::new("Redis answered something else than the script does"))
    }
}

fn key(kind: &str, name: &str) -> String {
    format!("{PREFIX}{kind}{name}")
}

fn read_reply(reply: Value) -> Option<Reply> {
    let texts: Vec<String> = reply.convert().ok()?;
    let [lent, used, room, outcome] = texts.as_slice() else { return None };
    let outcome = match outcome.as_str() {
        "lent" => Outcome::Lent,
        "nothing" => Outcome::Nothing,
        "unread" => Outcome::Unread,
        call => Outcome::Asked(call.parse().ok()?),
    };
    Some(Reply { lent: lent.parse().ok()?, used: used.parse().ok()?, room: room.parse().ok()?, outcome })
}

impl LeaseStore for RedisLeases {
    fn exchange<'s>(
        &'s self,
        instance: &'s str,
        resource: &'s str,
        order: &'s Order,
        now: Timestamp,
    ) -> Work<'s, Reply> {
        Box::pin(self.run_exchange(instance, resource, order, now))
    }

    fn hear<'s>(&'s self, instance: &'s str, now: Timestamp) -> Work<'s, Heard> {
        Box::pin(async move {
            let keys = vec![key("instances", ""), key("calls:", instance)];
            let until = now.0.saturating_add(LIVES_MILLIS);
            let arguments = vec![instance.to_owned(), now.0.to_string(), until.to_string()];
            let reply = self.hear.run(&self.pool, keys, arguments).await?;
            let (instances, calls): (String, Vec<String>) = reply.convert().map_err(LeaseError::new)?;
            let calls = calls.chunks_exact(2).filter_map(|pair| match pair {
                [resource, number] => Some((resource.clone(), number.parse().ok()?)),
                _ => None,
            });
            Ok(Heard { calls: calls.collect(), instances: instances.parse().map_err(LeaseError::new)? })
        })
    }

    fn lent_to<'s>(&'s self, instance: &'s str) -> Work<'s, Vec<String>> {
        Box::pin(async move { self.pool.smembers(key("lent:", instance)).await.map_err(LeaseError::new) })
    }

    fn leave<'s>(&'s self, instance: &'s str) -> Work<'s, ()> {
        Box::pin(async move {
            let client = self.pool.next();
            let _: () = client.zrem(key("instances", ""), instance).await.map_err(LeaseError::new)?;
            client.del(vec![key("lent:", instance), key("calls:", instance)]).await.map_err(LeaseError::new)
        })
    }
}
