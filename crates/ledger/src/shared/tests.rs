use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::room::Room;
use super::*;
use crate::rules::share::Return;

const INSTANCES: [&str; 3] = ["a", "b", "c"];

/// One exchange of somebody, a while after the last one.
#[derive(Clone, Debug)]
struct Step {
    instance: usize,
    pause: i64,
    need: i64,
    keep_percent: i64,
    busy_percent: i64,
    use_percent: i64,
    hears: bool,
    waits: bool,
    reads: Reads,
    tells: bool,
    moves: bool,
    resets: bool,
}

/// What somebody looked up before.
#[derive(Clone, Copy, Debug)]
enum Reads {
    Nothing,
    InVain,
    Now,
    /// As it was some steps ago.
    Then(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pause = prop_oneof![8 => 0..300_i64, 1 => 5_000..25_000_i64, 1 => Just(70_000)];
    let percent = || prop_oneof![2 => Just(100_i64), 1 => 0..=100_i64];
    let reads = prop_oneof![
        3 => Just(Reads::Nothing),
        1 => Just(Reads::InVain),
        3 => Just(Reads::Now),
        1 => (1..6_usize).prop_map(Reads::Then),
    ];
    let says = (any::<bool>(), any::<bool>(), reads, prop::bool::weighted(0.9), any::<bool>());
    let one = (0..3_usize, pause, 0..60_i64, percent(), 0..=100_i64, percent(), says);
    let step = one.prop_map(|(instance, pause, need, keep_percent, busy_percent, use_percent, says)| Step {
        instance,
        pause,
        need,
        keep_percent,
        busy_percent,
        use_percent,
        hears: says.0,
        waits: says.1,
        reads: says.2,
        tells: says.3,
        moves: says.4,
        resets: matches!(says.2, Reads::Then(1)) && pause > 5_000,
    });
    proptest::collection::vec(step, 1..80)
}

/// What instances believe that they have, and what they used.
struct World {
    returns: Return,
    now: i64,
    lent: BTreeMap<usize, i64>,
    /// What each has spent, from the first moment on.
    booked: Vec<BTreeMap<String, i64>>,
    call: i64,
}

const MAX: i64 = 200;

impl World {
    fn new(returns: Return) -> Self {
        let booked = vec![BTreeMap::new()];
        Self { returns, now: 1_795_254_233_000, lent: BTreeMap::new(), booked, call: 0 }
    }

    /// What a well-behaved instance says.
    fn order(&mut self, step: &Step) -> Order {
        self.now += step.pause;
        let had = self.lent.get(&step.instance).copied().unwrap_or(0);
        let keep = had * step.keep_percent / 100;
        let spent = (keep * step.use_percent / 100) / 4;
        let lent = keep - spent;
        let mut booked = self.booked.last().cloned().unwrap_or_default();
        let own = booked.entry(INSTANCES[step.instance].to_owned()).or_default();
        if self.returns == Return::Never {
            *own += spent;
        }
        let own = *own;
        self.booked.push(booked);
        let read = match step.reads {
            Reads::Then(steps) => self.booked.len().saturating_sub(1 + steps),
            Reads::Nothing | Reads::InVain | Reads::Now => self.booked.len() - 1,
        };
        let read = self.booked[read].clone();
        Order {
            returns: self.returns,
            max: MAX,
            lent,
            busy: lent * step.busy_percent / 100,
            used: read.values().sum(),
            books: match step.reads {
                Reads::Nothing => Books::Closed,
                Reads::InVain => Books::Away,
                Reads::Now | Reads::Then(_) => Books::Read(read),
            },
            resets: step.resets,
            booked: step.tells.then_some(own),
            report: if self.returns == Return::AfterAMinute { spent } else { 0 },
            need: step.need,
            waits_for: if step.waits { self.call } else { 0 },
            heard: if step.hears { self.call } else { 0 },
            moved: step.moves,
        }
    }

    fn told(&mut self, step: &Step, reply: &Reply) {
        self.lent.insert(step.instance, reply.lent);
        if let Outcome::Asked(call) = reply.outcome {
            self.call = self.call.max(call);
        }
    }
}

fn all_returns() -> impl Strategy<Value = Return> {
    prop_oneof![Just(Return::Never), Just(Return::AfterAMinute), Just(Return::AtOnce)]
}

proptest! {
    #[test]
    fn what_is_used_and_what_is_lent_is_never_more_than_there_is(returns in all_returns(), steps in steps()) {
        let mut world = World::new(returns);
        let mut room = Room::default();
        for step in &steps {
            let order = world.order(step);
            let (reply, called) = room.exchange(INSTANCES[step.instance], 3, &order, world.now);
            world.told(step, &reply);
            // Somebody who was away so long that its lease ended claims what it is using: nothing is lent meanwhile.
            prop_assert!(reply.room >= 0 || reply.outcome != Outcome::Lent || step.need <= 0);
            prop_assert!(reply.outcome != Outcome::Unread || matches!(step.reads, Reads::Nothing));
            prop_assert!(!called.contains(&INSTANCES[step.instance].to_owned()));
            if step.need > 0 && reply.outcome == Outcome::Lent {
                prop_assert!(reply.lent >= step.need);
            }
        }
    }

    /// Alone, whatever is left is lent, to the last.
    #[test]
    fn nothing_is_refused_that_is_there(needs in proptest::collection::vec(1..40_i64, 1..50)) {
        let mut room = Room::default();
        let mut lent = 0;
        for need in needs {
            let order = Order {
                max: MAX, ..order(lent, lent, need)
            };
            let (reply, _) = room.exchange("a", 1, &order, 0);
            prop_assert_eq!(reply.outcome == Outcome::Lent, lent + need <= MAX);
            lent = reply.lent;
        }
    }
}

fn order(lent: i64, busy: i64, need: i64) -> Order {
    Order {
        returns: Return::Never,
        max: 100,
        lent,
        busy,
        used: 0,
        books: Books::Read(BTreeMap::new()),
        resets: false,
        booked: Some(0),
        report: 0,
        need,
        waits_for: 0,
        heard: 0,
        moved: false,
    }
}

#[test]
fn the_rest_of_others_is_called_for_before_anybody_is_refused() {
    let mut room = Room::default();
    let (first, _) = room.exchange("a", 2, &order(0, 0, 80), 0);
    assert_eq!((first.lent, first.outcome), (80, Outcome::Lent));
    let (second, called) = room.exchange("b", 2, &order(0, 0, 30), 0);
    assert_eq!((second.outcome, called), (Outcome::Asked(1), vec!["a".to_owned()]));
    // `a` needs ten, and gives back the rest.
    let (rest, _) = room.exchange("a", 2, &Order { heard: 1, ..order(10, 10, 0) }, 1);
    assert_eq!((rest.lent, rest.room), (10, 90));
    let (again, _) = room.exchange("b", 2, &Order { waits_for: 1, ..order(0, 0, 30) }, 2);
    assert_eq!((again.lent, again.outcome), (30, Outcome::Lent), "as little as it needs: it is tight");
    // Something was lent since that call went out: what `a` said then may no longer be so.
    let (asks_again, called) = room.exchange("b", 2, &Order { waits_for: 1, ..order(30, 30, 61) }, 3);
    assert_eq!((asks_again.outcome, called), (Outcome::Asked(2), vec!["a".to_owned()]));
    room.exchange("a", 2, &Order { heard: 2, ..order(10, 10, 0) }, 4);
    let (refused, _) = room.exchange("b", 2, &Order { waits_for: 2, ..order(30, 30, 61) }, 5);
    assert_eq!(refused.outcome, Outcome::Nothing);
}

#[test]
fn a_call_counts_if_nobody_moved_while_it_went_round() {
    let mut room = Room::default();
    room.exchange("a", 3, &order(0, 0, 50), 0);
    room.exchange("b", 3, &order(0, 0, 50), 0);
    let (asked, _) = room.exchange("c", 3, &order(0, 0, 50), 1);
    assert_eq!(asked.outcome, Outcome::Asked(1));
    // `a` held 50 when it answered. Then it let go of them, and `b` held as much when it answered: never both.
    room.exchange("a", 3, &Order { heard: 1, ..order(50, 50, 0) }, 2);
    room.exchange("b", 3, &Order { heard: 1, moved: true, ..order(50, 50, 0) }, 3);
    let (asked, _) = room.exchange("c", 3, &Order { waits_for: 1, ..order(0, 0, 50) }, 4);
    assert_eq!(asked.outcome, Outcome::Asked(2));
    room.exchange("a", 3, &Order { heard: 2, moved: true, ..order(0, 0, 0) }, 5);
    let (lent, _) = room.exchange("c", 3, &Order { waits_for: 2, ..order(0, 0, 50) }, 6);
    assert_eq!(lent.outcome, Outcome::Lent);
}

#[test]
fn a_lease_ends_when_its_instance_is_silent() {
    let mut room = Room::default();
    room.exchange("a", 2, &order(0, 0, 100), 0);
    let (waiting, _) = room.exchange("b", 2, &order(0, 0, 1), 19_999);
    assert_eq!(waiting.outcome, Outcome::Asked(1));
    let (lent, _) = room.exchange("b", 2, &Order { waits_for: 1, ..order(0, 0, 1) }, 20_000);
    assert_eq!(lent.outcome, Outcome::Lent);
    // It was only away: what it is using counts, and the rest it has lost.
    let (back, _) = room.exchange("a", 2, &order(100, 7, 0), 20_001);
    assert_eq!(back.lent, 7);
}

mod many;

mod redis {
    use fred::interfaces::ClientLike as _;
    use fred::types::Builder;
    use fred::types::config::Config;

    use super::*;
    use crate::rules::time::Timestamp;

    /// The script and the rule are two texts of one thing.
    #[tokio::test]
    #[ignore = "needs Redis"]
    async fn the_script_does_what_the_rule_does() {
        let url = std::env::var("TEST_REDIS_URL").unwrap();
        let pool = Builder::from_config(Config::from_url(&url).unwrap()).build_pool(1).unwrap();
        pool.init().await.unwrap();
        let leases = RedisLeases::new(pool);
        for instance in INSTANCES {
            leases.hear(instance, Timestamp(1_795_254_233_000 + 1_000_000_000)).await.unwrap();
        }
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        for round in 0..60 {
            let resource = format!("{}-{round}", std::process::id());
            let returns = all_returns().new_tree(&mut runner).unwrap().current();
            let steps = steps().new_tree(&mut runner).unwrap().current();
            let (mut world, mut room) = (World::new(returns), Room::default());
            for step in &steps {
                let order = world.order(step);
                let instance = INSTANCES[step.instance];
                let (expected, called) = room.exchange(instance, 3, &order, world.now);
                let now = Timestamp(world.now);
                let reply = leases.exchange(instance, &resource, &order, now).await.unwrap();
                assert_eq!(reply, expected, "{order:?}");
                world.told(step, &expected);
                for other in INSTANCES.iter().filter(|other| called.contains(&(**other).to_owned())) {
                    let heard =
                        leases.hear(other, Timestamp(1_795_254_233_000 + 1_000_000_000)).await.unwrap();
                    assert!(heard.calls.contains(&(resource.clone(), world.call)), "{heard:?}");
                }
            }
        }
    }
}
