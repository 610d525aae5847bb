//! One question is asked once at a time: who asks it first leads, the others wait for that answer.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{Entry, Key};

/// The questions that are being asked.
#[derive(Debug, Default)]
pub struct Flights {
    aloft: Mutex<HashMap<Key, watch::Receiver<Landing>>>,
    landed: AtomicU64,
}

/// How far a question has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landing {
    /// It is being asked.
    Aloft,
    /// This is the answer.
    Answered(Arc<Entry>),
    /// There was an answer that is not for others (cut off, filtered, too large): each asks for itself.
    Released,
    /// There was none: the next leads.
    Failed,
}

/// What someone with a question gets.
#[derive(Debug)]
pub enum Seat {
    /// Nobody else is asking: ask.
    Lead(Lease),
    /// Somebody is.
    Follow(Follower),
}

impl Flights {
    /// How many flights have ended with an answer. Who looked in vain, then leads, and sees that the number has grown
    /// looks again: the answer may have been stored in between.
    pub(super) fn landed(&self) -> u64 {
        self.landed.load(Ordering::Acquire)
    }

    pub(super) fn board(self: &Arc<Self>, key: &Key) -> Seat {
        let mut aloft = self.lock();
        match aloft.entry(key.clone()) {
            Slot::Occupied(slot) => Seat::Follow(Follower { landing: slot.get().clone() }),
            Slot::Vacant(slot) => {
                let (landing, waiting) = watch::channel(Landing::Aloft);
                slot.insert(waiting);
                Seat::Lead(Lease { flights: Arc::clone(self), key: key.clone(), landing })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<Landing>>> {
        self.aloft.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right and the duty to ask. Dropped without [`Lease::land`], it passes to one of those who wait.
#[derive(Debug)]
pub struct Lease {
    flights: Arc<Flights>,
    key: Key,
    landing: watch::Sender<Landing>,
}

impl Lease {
    /// Gives the answer to all who wait, and to all who come until the lease is dropped.
    pub fn land(&self, entry: Arc<Entry>) {
        self.landing.send_replace(Landing::Answered(entry));
    }

    /// Lets all who wait ask for themselves, at once.
    pub fn release(self) {
        self.landing.send_replace(Landing::Released);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut aloft = self.flights.lock();
        // Before anybody else can lead.
        if matches!(*self.landing.borrow(), Landing::Answered(_)) {
            self.flights.landed.fetch_add(1, Ordering::Release);
        }
        aloft.remove(&self.key);
    }
}

/// Waits for somebody else's answer.
#[derive(Debug)]
pub struct Follower {
    landing: watch::Receiver<Landing>,
}

impl Follower {
    /// What became of it.
    pub async fn wait(mut self) -> Landing {
        let landed = self.landing.wait_for(|landing| *landing != Landing::Aloft).await;
        landed.map_or(Landing::Failed, |landing| landing.clone())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use std::time::Duration;

    use super::super::{Facts, KeyWriter};
    use super::*;

    fn key(name: &str) -> Key {
        let mut writer = KeyWriter::default();
        writer.part("name", name.as_bytes());
        writer.finish(None)
    }

    fn entry() -> Arc<Entry> {
        Entry::new(Facts::default(), Bytes::from_static(b"answer"), Duration::from_secs(1))
    }

    fn lead(seat: Seat) -> Lease {
        match seat {
            Seat::Lead(lease) => lease,
            Seat::Follow(_) => panic!("somebody else leads"),
        }
    }

    fn follow(seat: Seat) -> Follower {
        match seat {
            Seat::Follow(follower) => follower,
            Seat::Lead(_) => panic!("nobody leads"),
        }
    }

    #[tokio::test]
    async fn all_who_wait_get_the_leaders_answer() {
        let flights = Arc::<Flights>::default();
        let lease = lead(flights.board(&key("a")));
        let waiting = [follow(flights.board(&key("a"))), follow(flights.board(&key("a")))];
        lead(flights.board(&key("b")));
        lease.land(entry());
        let late = follow(flights.board(&key("a")));
        for follower in waiting.into_iter().chain([late]) {
            let Landing::Answered(entry) = follower.wait().await else { panic!("no answer") };
            assert_eq!(entry.body, "answer");
        }
        assert_eq!(flights.landed(), 0, "until it is stored, it is still aloft");
        drop(lease);
        assert_eq!(flights.landed(), 1);
        lead(flights.board(&key("a")));
        assert_eq!(flights.landed(), 1, "nothing was answered");
    }

    #[tokio::test]
    async fn a_leader_that_fails_frees_the_question() {
        let flights = Arc::<Flights>::default();
        let lease = lead(flights.board(&key("a")));
        let (first, second) = (follow(flights.board(&key("a"))), follow(flights.board(&key("a"))));
        drop(lease);
        assert_eq!(first.wait().await, Landing::Failed);
        let next = lead(flights.board(&key("a")));
        assert_eq!(second.wait().await, Landing::Failed);
        let again = follow(flights.board(&key("a")));
        next.land(entry());
        assert!(matches!(again.wait().await, Landing::Answered(_)));
    }

    #[tokio::test]
    async fn an_answer_that_is_not_for_others_frees_all_at_once() {
        let flights = Arc::<Flights>::default();
        let lease = lead(flights.board(&key("a")));
        let waiting = [follow(flights.board(&key("a"))), follow(flights.board(&key("a")))];
        lease.release();
        for follower in waiting {
            assert_eq!(follower.wait().await, Landing::Released);
        }
    }
}
