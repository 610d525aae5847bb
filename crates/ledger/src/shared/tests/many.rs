//! Instances that share a budget, with every step of theirs in any order: each may be killed between any two.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::super::room::{Room, lease_millis};
use super::super::{Books, Order, Outcome};
use super::INSTANCES;
use crate::rules::share::{Known, Return, Share};

const MAX: i64 = 100;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A request comes, if none is waiting.
    Ask(usize, i64),
    /// The waiting request tries, and asks for what is lacking.
    Try(usize),
    /// Answers a call, if there was one.
    Hear(usize),
    /// A request ends, at so many percent of what it held.
    End(usize, i64),
    /// What ended is booked.
    Book(usize),
    /// The instance learns that it is booked.
    Learn(usize),
    Look(usize),
    /// Says what it saw when it looked.
    Tell(usize),
    Kill(usize),
    Start(usize),
    /// All that live renew their leases; what the dead were lent ends.
    Pass,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = || 0..3_usize;
    let hold = || prop_oneof![2 => Just(MAX / 2), 1 => 1..MAX];
    let percent = || prop_oneof![3 => Just(0_i64), 1 => 0..=100_i64];
    let step = prop_oneof![
        6 => (who(), hold()).prop_map(|(who, hold)| Step::Ask(who, hold)),
        16 => who().prop_map(Step::Try),
        12 => who().prop_map(Step::Hear),
        6 => (who(), percent()).prop_map(|(who, percent)| Step::End(who, percent)),
        4 => who().prop_map(Step::Book),
        3 => who().prop_map(Step::Learn),
        2 => who().prop_map(Step::Look),
        2 => who().prop_map(Step::Tell),
        1 => who().prop_map(Step::Kill),
        2 => who().prop_map(Step::Start),
        1 => Just(Step::Pass),
    ];
    proptest::collection::vec(step, 1..250)
}

/// A request that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    hold: i64,
    waits_for: i64,
    /// There was a moment since it came at which it did not fit.
    did_not_fit: bool,
}

#[derive(Debug, Default)]
struct Instance {
    is_dead: bool,
    share: Share,
    moves: u64,
    holds: Vec<i64>,
    waiting: Option<Waiting>,
    /// Ended, and not booked.
    journal: i64,
    /// Booked, and not learned: how much, and what it came to.
    news: VecDeque<(i64, i64)>,
    call: Option<i64>,
    saw: Option<BTreeMap<String, i64>>,
}

impl Instance {
    fn held(&self) -> i64 {
        self.holds.iter().sum()
    }

    /// What nobody else can have: what a dead one was lent, until that ends.
    fn taken(&self) -> i64 {
        if self.is_dead { self.share.free(0) } else { self.held() }
    }
}

#[derive(Debug)]
struct World {
    room: Room,
    now: i64,
    booked: BTreeMap<String, i64>,
    instances: [Instance; 3],
}

impl World {
    fn new() -> Self {
        let instances = std::array::from_fn(|_| Instance::default());
        Self { room: Room::default(), now: 0, booked: BTreeMap::new(), instances }
    }

    fn spent(&self) -> i64 {
        self.booked.values().sum::<i64>() + self.instances.iter().map(|one| one.journal).sum::<i64>()
    }

    fn step(&mut self, step: Step) {
        self.now += 1;
        match step {
            Step::Ask(who, hold) if self.lives(who) => {
                let new = Waiting { hold, waits_for: 0, did_not_fit: false };
                self.instances[who].waiting.get_or_insert(new);
            }
            Step::Try(who) if self.lives(who) => self.try_waiting(who),
            Step::Hear(who) if self.lives(who) => {
                if let Some(number) = self.instances[who].call.take() {
                    let one = &self.instances[who];
                    let busy = one.share.untold + one.held();
                    self.exchange(who, busy, 0, 0, number, Books::Closed);
                }
            }
            Step::End(who, percent) if self.lives(who) => {
                let one = &mut self.instances[who];
                if let Some(hold) = one.holds.pop() {
                    one.moves += 1;
                    one.share.untold += hold * percent / 100;
                    one.journal += hold * percent / 100;
                }
            }
            Step::Book(who) if self.lives(who) => self.book(who),
            Step::Learn(who) if self.lives(who) => {
                let one = &mut self.instances[who];
                if let Some((more, sum)) = one.news.pop_front() {
                    one.share.book(more, sum);
                }
            }
            Step::Look(who) if self.lives(who) => self.instances[who].saw = Some(self.booked.clone()),
            Step::Tell(who) if self.lives(who) => {
                let one = &mut self.instances[who];
                let lent = one.share.lent;
                if let Some(saw) = one.saw.take() {
                    self.exchange(who, lent, 0, 0, 0, Books::Read(saw));
                }
            }
            Step::Kill(who) => {
                let one = &mut self.instances[who];
                one.is_dead = true;
                one.waiting = None;
                one.saw = None;
            }
            Step::Start(who) if !self.lives(who) => {
                self.book(who);
                self.instances[who] = Instance::default();
                let own = self.own(who);
                let order = Order { booked: Some(own), books: Books::Read(self.booked.clone()), ..order() };
                self.room.exchange(
                    INSTANCES[who],
                    3,
                    &Order { used: self.spent_in_books(), ..order },
                    self.now,
                );
            }
            Step::Pass => self.pass(),
            _ => {}
        }
    }

    fn lives(&self, who: usize) -> bool {
        !self.instances[who].is_dead
    }

    fn spent_in_books(&self) -> i64 {
        self.booked.values().sum()
    }

    fn own(&self, who: usize) -> i64 {
        self.booked.get(INSTANCES[who]).copied().unwrap_or(0)
    }

    fn book(&mut self, who: usize) {
        let more = std::mem::take(&mut self.instances[who].journal);
        let sum = self.booked.entry(INSTANCES[who].to_owned()).or_default();
        *sum += more;
        self.instances[who].news.push_back((more, *sum));
    }

    fn try_waiting(&mut self, who: usize) {
        let Some(waiting) = self.instances[who].waiting else { return };
        for books in [Books::Closed, Books::Read(self.booked.clone())] {
            let one = &self.instances[who];
            let lacking = waiting.hold - one.share.free(one.held());
            if lacking <= 0 {
                break;
            }
            if one.share.booked.is_none() && books == Books::Closed {
                continue;
            }
            match self.exchange(who, one.share.lent, lacking, waiting.waits_for, 0, books) {
                Outcome::Lent => break,
                Outcome::Unread => {}
                Outcome::Asked(number) => {
                    let waiting = Waiting { waits_for: number, ..waiting };
                    self.instances[who].waiting = Some(waiting);
                    return;
                }
                Outcome::Nothing => {
                    assert!(waiting.did_not_fit, "refused with room");
                    self.instances[who].waiting = None;
                    return;
                }
            }
        }
        let one = &mut self.instances[who];
        assert!(one.share.free(one.held()) >= waiting.hold, "lent too little");
        one.holds.push(waiting.hold);
        one.moves += 1;
        one.waiting = None;
    }

    /// As [`Leases`](crate::Leases) does it.
    fn exchange(
        &mut self,
        who: usize,
        lent: i64,
        need: i64,
        waits_for: i64,
        heard: i64,
        books: Books,
    ) -> Outcome {
        let one = &mut self.instances[who];
        one.share.lent = lent.max(0);
        let used = match &books {
            Books::Read(booked) => {
                one.share.booked.get_or_insert(booked.get(INSTANCES[who]).copied().unwrap_or(0));
                booked.values().sum()
            }
            Books::Closed | Books::Away => 0,
        };
        let order = Order {
            lent: one.share.lent,
            busy: one.share.untold + one.held(),
            used,
            books,
            booked: one.share.booked,
            need,
            waits_for,
            heard,
            moved: one.share.told_moves != one.moves,
            ..order()
        };
        one.share.told_moves = one.moves;
        let (reply, called) = self.room.exchange(INSTANCES[who], 3, &order, self.now);
        one.share.lent = reply.lent;
        one.share.known = Some(Known { used: reply.used, room: reply.room });
        assert!(reply.used <= self.spent_in_books(), "more than was spent");
        if let Outcome::Asked(number) = reply.outcome {
            for (name, instance) in INSTANCES.iter().zip(&mut self.instances) {
                if called.iter().any(|called| called == name) {
                    instance.call = Some(number);
                }
            }
        }
        reply.outcome
    }

    /// What the dead had not booked is booked by somebody who finds their journal.
    fn pass(&mut self) {
        for who in 0..3 {
            self.instances[who].saw = None;
            if !self.lives(who) {
                self.book(who);
            }
        }
        for _ in 0..3 {
            self.now += lease_millis(Return::Never) / 2;
            for who in 0..3 {
                let one = &self.instances[who];
                if self.lives(who) && one.share.booked.is_some() {
                    self.exchange(who, one.share.lent, 0, 0, 0, Books::Closed);
                }
            }
        }
        for dead in self.instances.iter_mut().filter(|one| one.is_dead) {
            dead.share = Share::default();
        }
    }

    fn check(&mut self) {
        let spent = self.spent();
        let held: i64 = self.instances.iter().filter(|one| !one.is_dead).map(Instance::held).sum();
        assert!(spent + held <= MAX, "overshot: {spent} and {held}");
        let taken = spent + self.instances.iter().map(Instance::taken).sum::<i64>();
        for waiting in self.instances.iter_mut().filter_map(|one| one.waiting.as_mut()) {
            waiting.did_not_fit |= taken + waiting.hold > MAX;
        }
    }
}

/// Keeps nothing, and asks for nothing.
fn order() -> Order {
    Order {
        returns: Return::Never,
        max: MAX,
        lent: 0,
        busy: 0,
        used: 0,
        books: Books::Closed,
        resets: false,
        booked: None,
        report: 0,
        need: 0,
        waits_for: 0,
        heard: 0,
        moved: true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Never is more spent and held than there is, and nobody is refused who would have fitted at every moment.
    #[test]
    fn a_shared_budget_is_neither_overshot_nor_refused_too_early(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check();
        }
    }
}
