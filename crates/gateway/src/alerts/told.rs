//! What was told already: the same thing is told again only after its time.

use std::collections::HashMap;
use std::time::Duration;

use ledger::rules::time::Timestamp;

/// What this instance told. What it cannot remember any more it would tell again.
#[derive(Debug)]
pub(super) struct Told {
    most: usize,
    /// By what it was: until when it is not told again.
    until: HashMap<String, Timestamp>,
}

impl Told {
    /// Remembers so many things.
    pub(super) fn new(most: usize) -> Self {
        Self { most, until: HashMap::new() }
    }

    /// Whether it is to be told: it was not, or its time is over. Then it counts as told for `length`.
    pub(super) fn is_news(&mut self, what: &str, length: Duration, now: Timestamp) -> bool {
        if self.until.get(what).is_some_and(|until| now < *until) {
            return false;
        }
        if self.until.len() >= self.most {
            self.make_room(now);
        }
        self.until.insert(what.to_owned(), now.plus(length));
        true
    }

    /// It could not be told after all.
    pub(super) fn forget(&mut self, what: &str) {
        self.until.remove(what);
    }

    /// Forgets what may be told again, else what may be so first.
    fn make_room(&mut self, now: Timestamp) {
        self.until.retain(|_, until| now < *until);
        if self.until.len() < self.most {
            return;
        }
        let first = self.until.iter().min_by_key(|(_, until)| **until).map(|(what, _)| what.clone());
        if let Some(what) = first {
            self.until.remove(&what);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the rule itself: since it was last told, its time has passed.
        #[test]
        fn a_thing_is_told_once_in_its_time(
            steps in prop::collection::vec((0_usize..4, 1_u64..500, 0_i64..300), 1..200),
        ) {
            let (mut told, mut now) = (Told::new(100), Timestamp(0));
            let mut last: HashMap<usize, (Timestamp, Duration)> = HashMap::new();
            for (what, length, passed) in steps {
                now = Timestamp(now.0 + passed);
                let length = Duration::from_millis(length);
                let is_due = last.get(&what).is_none_or(|(at, length)| now >= at.plus(*length));
                prop_assert_eq!(told.is_news(&what.to_string(), length, now), is_due);
                if is_due {
                    last.insert(what, (now, length));
                }
            }
        }

        /// Each has a memory of its own and asks the others before it tells.
        #[test]
        fn of_several_instances_one_tells(
            steps in prop::collection::vec((0_usize..3, 0_usize..3, 0_i64..300), 1..200),
        ) {
            let length = Duration::from_millis(250);
            let mut instances = [0, 1, 2].map(|_| Told::new(100));
            // The rule of a claim: until its time is over nobody else has it.
            let mut claims: HashMap<usize, Timestamp> = HashMap::new();
            let mut last: HashMap<usize, Timestamp> = HashMap::new();
            let mut now = Timestamp(0);
            for (instance, what, passed) in steps {
                now = Timestamp(now.0 + passed);
                let tells = instances[instance].is_news(&what.to_string(), length, now)
                    && claims.get(&what).is_none_or(|until| *until <= now);
                if tells {
                    claims.insert(what, now.plus(length));
                    if let Some(before) = last.insert(what, now) {
                        prop_assert!(before.plus(length) <= now, "told twice within its time");
                    }
                }
            }
        }

        #[test]
        fn memory_is_bounded(things in prop::collection::vec(0_u32..10_000, 1..300)) {
            let mut told = Told::new(10);
            for (at, what) in things.iter().enumerate() {
                let now = Timestamp(i64::try_from(at).unwrap());
                told.is_news(&what.to_string(), Duration::from_secs(60), now);
                prop_assert!(told.until.len() <= 10);
                prop_assert!(!told.is_news(&what.to_string(), Duration::from_secs(60), now), "the newest is known");
            }
        }
    }

    #[test]
    fn what_could_not_be_told_is_told_the_next_time() {
        let mut told = Told::new(10);
        assert!(told.is_news("a", Duration::from_secs(1), Timestamp(0)));
        told.forget("a");
        assert!(told.is_news("a", Duration::from_secs(1), Timestamp(0)));
    }
}
