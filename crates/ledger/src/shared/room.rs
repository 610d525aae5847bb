//! What is lent of one resource, and to whom: the rule of every [`LeaseStore`](super::LeaseStore). Pure.
//!
//! What was told as used, and all that is lent, never exceed the most there is. An instance that asks for more than
//! is left has the others asked to give back what they do not need; only when all of them have, it is told that there
//! is nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::rules::share::Return;

/// Uses of a minute are summed in steps of this.
const TICK_MILLIS: i64 = 250;
/// A minute, and the tick that is only partly in it.
const TICKS: i64 = 60_000 / TICK_MILLIS + 1;
/// After somebody lacked something no more is lent than is asked for, for so long.
const TIGHT_MILLIS: i64 = 2_000;

/// What an instance says and asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub returns: Return,
    /// The most there is.
    pub max: i64,
    /// What the instance wants to keep of what it was lent: the rest it gives back.
    pub lent: i64,
    /// The part of it that it needs for what it holds and has not told.
    pub busy: i64,
    /// What was used for good, as the database knows it.
    pub used: i64,
    /// Whether that is to be believed even if it is less than before: an administrator set it.
    pub resets: bool,
    /// What was used since the last time, of what comes back after a minute.
    pub report: i64,
    /// What it needs more.
    pub need: i64,
    /// The call for others' rests that it waits for; 0: none yet.
    pub waits_for: i64,
    /// The last call for rests that it has heard before it looked what it can give back.
    pub heard: i64,
}

/// What it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What it is lent now.
    pub lent: i64,
    /// What all used, as far as it was told.
    pub used: i64,
    /// What is lent to nobody.
    pub room: i64,
    pub outcome: Outcome,
}

/// What came of a need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was lent.
    Lent,
    /// Others were asked under this number: ask again, soon.
    Asked(i64),
    /// Nobody has anything to spare.
    Nothing,
}

/// A resource and its leases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    used: i64,
    /// Time never goes back.
    latest: i64,
    /// The number of the last call for rests, and when it was.
    call: i64,
    called_at: i64,
    leases: BTreeMap<String, Lease>,
    ticks: BTreeMap<i64, i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    lent: i64,
    until: i64,
    heard: i64,
}

/// How long an instance that does not say anything keeps what it was lent, in milliseconds. What comes back after a
/// minute is kept for as long: then nothing that it may have used counts any more.
#[must_use]
pub fn lease_millis(returns: Return) -> i64 {
    match returns {
        Return::AfterAMinute => 61_000,
        Return::Never | Return::AtOnce => 20_000,
    }
}

impl Room {
    /// One exchange with an instance, of so many. Returns the reply, and who has to be called to give back its rest.
    pub fn exchange(
        &mut self,
        instance: &str,
        instances: i64,
        order: &Order,
        now: i64,
    ) -> (Reply, Vec<String>) {
        self.latest = self.latest.max(now);
        let now = self.latest;
        self.leases.retain(|_, lease| lease.until > now);
        let mine = self.leases.remove(instance);
        // What is in use is a fact, also of somebody who was forgotten, or used more than it was lent.
        let mut lent = mine.map_or(0, |lease| lease.lent.min(order.lent)).max(order.busy).max(0);
        let heard = mine.map_or(self.call, |lease| lease.heard).max(order.heard.min(self.call));
        self.use_up(order, now);
        let others: i64 = self.leases.values().map(|lease| lease.lent).sum();
        let mut room = order.max.saturating_sub(self.used).saturating_sub(others).saturating_sub(lent);

        let mut called = Vec::new();
        let outcome = if order.need <= 0 {
            Outcome::Lent
        } else if order.need <= room {
            let is_tight = self.call > 0 && now < self.called_at.saturating_add(TIGHT_MILLIS);
            let part = if is_tight { 0 } else { room / instances.max(1).saturating_mul(2) };
            let more = order.need.max(part);
            lent += more;
            room -= more;
            Outcome::Lent
        } else if order.waits_for == 0 && !self.leases.is_empty() {
            self.call += 1;
            self.called_at = now;
            called.extend(self.leases.keys().cloned());
            Outcome::Asked(self.call)
        } else if self.leases.values().any(|lease| lease.heard < order.waits_for) {
            self.called_at = now;
            Outcome::Asked(order.waits_for)
        } else {
            Outcome::Nothing
        };
        if lent > 0 {
            let until = now.saturating_add(lease_millis(order.returns));
            self.leases.insert(instance.to_owned(), Lease { lent, until, heard });
        }
        (Reply { lent, used: self.used, room, outcome }, called)
    }

    fn use_up(&mut self, order: &Order, now: i64) {
        match order.returns {
            Return::Never if order.resets => self.used = order.used,
            Return::Never => self.used = self.used.max(order.used),
            Return::AtOnce => self.used = 0,
            Return::AfterAMinute => {
                let tick = now.div_euclid(TICK_MILLIS);
                self.ticks.retain(|then, _| *then > tick - TICKS);
                if order.report > 0 {
                    *self.ticks.entry(tick).or_default() += order.report;
                }
                // Used less than was told before: of the last first.
                let mut less = order.report.min(0).saturating_neg();
                while less > 0
                    && let Some(mut last) = self.ticks.last_entry()
                {
                    let taken = less.min(*last.get());
                    less -= taken;
                    *last.get_mut() -= taken;
                    if *last.get() == 0 {
                        last.remove();
                    }
                }
                self.used = self.ticks.values().sum();
            }
        }
    }
}
