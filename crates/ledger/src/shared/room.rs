//! What is lent of one resource, and to whom: the rule of every [`LeaseStore`](super::LeaseStore). Pure.
//!
//! What was told as used, and all that is lent, never exceed the most there is. An instance that asks for more than
//! is left has the others asked to give back what they do not need; only when all of them have, it is told that there
//! is nothing.
//!
//! They answer one after the other, and meanwhile what one has counted may be let go and what another has not counted
//! yet be held. So a call for what does not return counts only if nobody held or let go anything between it and their
//! answers: then these are what was held when it went out, by all at the same moment. Else there is another.
//!
//! # What does not return
//!
//! What was spent is read from the database, and what an instance has booked there may still be part of what it is
//! lent. So that it does not count twice, the database also tells how much of a window's spend each instance booked,
//! and an instance says how much of its own that was when it worked out what it needs: what it booked since is no
//! longer out. Booking moves both figures in one transaction, so the room stays what it was: nobody has to tell of
//! it, what was read may be of any age, and it does not matter at what moment an instance dies.

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub returns: Return,
    /// The most there is.
    pub max: i64,
    /// What the instance wants to keep of what it was lent: the rest it gives back.
    pub lent: i64,
    /// The part of it that it needs for what it holds and has not told.
    pub busy: i64,
    /// What was used for good, as the instance knows it.
    pub used: i64,
    pub books: Books,
    /// Whether what was read is to be believed even if it is less than before: an administrator set it.
    pub resets: bool,
    /// What the database had of this instance's own spend when it worked out what it keeps and needs. `None`: it
    /// does not know, and all that it is lent counts.
    pub booked: Option<i64>,
    /// What was used since the last time, of what comes back after a minute.
    pub report: i64,
    /// What it needs more.
    pub need: i64,
    /// The call for others' rests that it waits for; 0: none yet.
    pub waits_for: i64,
    /// The last call for rests that it has heard before it looked what it can give back.
    pub heard: i64,
    /// Whether it held or let go something since it last said so.
    pub moved: bool,
}

/// Whether what was used for good was read from the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Books {
    /// Not for this exchange; it can be.
    Closed,
    /// The database does not answer.
    Away,
    /// It was, after the order's moment. So much of it was booked by each instance.
    Read(BTreeMap<String, i64>),
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
    /// That depends on what the database says: ask again with its [`Books`].
    Unread,
}

/// A resource and its leases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// As it was read last, of what does not return.
    used: i64,
    /// How much of that each instance had booked. `None`: it was not read yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    booked: Option<BTreeMap<String, i64>>,
    /// Time never goes back.
    latest: i64,
    /// The number of the last call for rests, and when it was.
    call: i64,
    called_at: i64,
    /// The last call after which somebody held or let go something, or was lent more.
    #[serde(default)]
    moved: i64,
    leases: BTreeMap<String, Lease>,
    ticks: BTreeMap<i64, i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    lent: i64,
    until: i64,
    heard: i64,
    /// What the database had of this instance's spend when it was lent this. `None`: a version that does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    booked: Option<i64>,
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
        let returns = order.returns;
        // What somebody who is gone had booked has to be read before what they were lent is forgotten.
        if returns != Return::Never || matches!(order.books, Books::Read(_)) {
            self.leases.retain(|_, lease| lease.until > now);
        }
        let before = self.leases.remove(instance);
        // What is in use is a fact, also of somebody who was forgotten, or used more than it was lent.
        let lent = before.map_or(0, |lease| lease.left(order.booked).min(order.lent)).max(order.busy).max(0);
        let heard = before.map_or(self.call, |lease| lease.heard).max(order.heard.min(self.call));
        let booked = order.booked.or(before.filter(|_| lent == 0).and_then(|lease| lease.booked));
        let mut mine = Lease { lent, until: now.saturating_add(lease_millis(returns)), heard, booked };
        self.use_up(order, now);
        if order.moved {
            self.moved = self.call;
        }
        let others: i64 = self.leases.iter().map(|(name, lease)| self.outstanding(name, lease)).sum();
        let mut room = order
            .max
            .saturating_sub(self.used)
            .saturating_sub(others)
            .saturating_sub(self.outstanding(instance, &mine));

        let could_read = returns == Return::Never && order.books == Books::Closed;
        let can_answer = |lease: &Lease| lease.lent > 0 && lease.until > now;
        let is_waiting = self.leases.values().any(|lease| can_answer(lease) && lease.heard < order.waits_for);
        // What some let go while others had answered already nobody has counted.
        let is_unsettled = returns == Return::Never && !is_waiting && self.moved >= order.waits_for;
        let mut called = Vec::new();
        let outcome = if order.need <= 0 {
            Outcome::Lent
        } else if could_read && self.booked.is_none() {
            Outcome::Unread
        } else if order.need <= room {
            let is_tight = self.call > 0 && now < self.called_at.saturating_add(TIGHT_MILLIS);
            let part = if is_tight { 0 } else { room / instances.max(1).saturating_mul(2) };
            let more = order.need.max(part);
            mine.lent += more;
            room -= more;
            self.moved = self.call;
            Outcome::Lent
        } else if could_read && self.leases.values().any(|lease| lease.until <= now) {
            Outcome::Unread
        } else if !self.leases.values().any(can_answer) {
            Outcome::Nothing
        } else if order.waits_for == 0 || (order.waits_for == self.call && is_unsettled) {
            self.call += 1;
            self.called_at = now;
            let can_answer = self.leases.iter().filter(|(_, lease)| can_answer(lease));
            called.extend(can_answer.map(|(name, _)| name.clone()));
            Outcome::Asked(self.call)
        } else if is_waiting {
            self.called_at = now;
            Outcome::Asked(order.waits_for)
        } else if is_unsettled {
            Outcome::Asked(self.call)
        } else {
            Outcome::Nothing
        };
        let lent = mine.lent;
        // What it booked and nobody has read yet is used, also when nothing is lent to it any more.
        if lent > 0 || self.outstanding(instance, &mine) > 0 {
            self.leases.insert(instance.to_owned(), mine);
        }
        let unread: i64 = self.leases.iter().map(|(name, lease)| self.unread(name, lease)).sum();
        (Reply { lent, used: self.used.saturating_add(unread), room, outcome }, called)
    }

    /// What is lent and not in `used`.
    fn outstanding(&self, instance: &str, lease: &Lease) -> i64 {
        lease.left(lease.booked.and_then(|_| self.booked_by(instance)))
    }

    /// What an instance said that it booked, and `used` does not hold yet.
    fn unread(&self, instance: &str, lease: &Lease) -> i64 {
        let since = lease.booked.zip(self.booked_by(instance));
        since.map_or(0, |(said, read)| said.saturating_sub(read).max(0))
    }

    fn booked_by(&self, instance: &str) -> Option<i64> {
        self.booked.as_ref().map(|booked| booked.get(instance).copied().unwrap_or(0))
    }

    fn use_up(&mut self, order: &Order, now: i64) {
        match order.returns {
            Return::Never => match &order.books {
                Books::Read(booked) => {
                    if order.resets || self.booked.is_none() || order.used >= self.used {
                        self.used = order.used;
                        self.booked = Some(booked.clone());
                    }
                }
                Books::Closed | Books::Away if self.booked.is_none() => {
                    self.used = self.used.max(order.used);
                }
                Books::Closed | Books::Away => {}
            },
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

impl Lease {
    /// What is left of it when the database has so much of the instance's spend.
    fn left(&self, booked: Option<i64>) -> i64 {
        let since = booked.zip(self.booked).map_or(0, |(now, then)| now.saturating_sub(then));
        self.lent.saturating_sub(since).max(0)
    }
}
