//! Vectors in this process's memory: gone with it, and found by nobody else.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use super::scan::Matrix;
use super::{Match, Unit};
use crate::cache::now_ms;

/// Vectors that are kept, of all contexts together; the oldest go first. Of 1536 numbers each they take 30 MB, and 10,000
/// of one context are walked through in 2 to 5 ms.
const CAPACITY: usize = 10_000;

/// See the module. Its copies are the same memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<RwLock<Vectors>>);

impl Memory {
    /// Whether there may be anything to compare with.
    pub(super) fn knows(&self, context: &[u8; 32]) -> bool {
        match self.0.try_read() {
            Ok(vectors) => vectors.contexts.contains_key(context),
            Err(TryLockError::Poisoned(vectors)) => vectors.into_inner().contexts.contains_key(context),
            // Who looks for certain is not to wait on a request's thread.
            Err(TryLockError::WouldBlock) => true,
        }
    }

    /// The most similar question of the context.
    pub(super) async fn find(&self, context: [u8; 32], vector: Unit) -> Option<Match> {
        let memory = self.clone();
        // Milliseconds of work have no place among requests.
        let looking = tokio::task::spawn_blocking(move || memory.read().nearest(&context, &vector));
        looking.await.ok().flatten()
    }

    /// Keeps a question until its answer expires.
    pub(super) fn put(&self, context: [u8; 32], vector: Unit, found: Match, expires_ms: u64) {
        let row = Row { found, expires_ms, number: 0 };
        if let Ok(mut vectors) = self.0.try_write() {
            return vectors.put(context, &vector, row);
        }
        // Somebody is looking for something, which is not to be waited for on a request's thread.
        let memory = self.clone();
        tokio::task::spawn_blocking(move || memory.write().put(context, &vector, row));
    }

    pub(super) fn clear(&self) {
        *self.write() = Vectors::default();
    }

    fn read(&self) -> RwLockReadGuard<'_, Vectors> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vectors> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Vectors {
    contexts: HashMap<[u8; 32], Context>,
    /// The oldest first.
    order: VecDeque<([u8; 32], u64)>,
    next: u64,
}

#[derive(Debug, Default)]
struct Context {
    matrix: Matrix,
    /// Of each row of the matrix.
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    found: Match,
    expires_ms: u64,
    number: u64,
}

impl Vectors {
    fn nearest(&self, context: &[u8; 32], vector: &Unit) -> Option<Match> {
        let Context { matrix, rows } = self.contexts.get(context)?;
        let now = now_ms();
        let lives = |row: usize| rows.get(row).is_some_and(|row| row.expires_ms > now);
        let (row, score) = matrix.nearest(vector, lives)?;
        Some(Match { score, ..rows.get(row)?.found.clone() })
    }

    fn put(&mut self, context: [u8; 32], vector: &Unit, mut row: Row) {
        let Context { matrix, rows } = self.contexts.entry(context).or_default();
        if let Some(known) = rows.iter_mut().find(|known| known.found.key == row.found.key) {
            known.expires_ms = row.expires_ms;
            return;
        }
        if !matrix.push(vector) {
            return;
        }
        row.number = self.next;
        rows.push(row);
        self.order.push_back((context, self.next));
        self.next += 1;
        if self.order.len() > CAPACITY
            && let Some((context, number)) = self.order.pop_front()
        {
            self.remove(context, number);
        }
    }

    fn remove(&mut self, context: [u8; 32], number: u64) {
        let Some(Context { matrix, rows }) = self.contexts.get_mut(&context) else { return };
        if let Some(place) = rows.iter().position(|row| row.number == number) {
            matrix.swap_remove(place);
            rows.swap_remove(place);
        }
        if rows.is_empty() {
            self.contexts.remove(&context);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::KeyWriter;

    fn row(name: &str, expires_ms: u64) -> Row {
        let mut writer = KeyWriter::default();
        writer.part("name", name.as_bytes());
        let found = Match { key: writer.finish(None), score: 0.0, call: name.into() };
        Row { found, expires_ms, number: 0 }
    }

    fn unit(values: &[f32]) -> Unit {
        Unit::new(values).unwrap()
    }

    #[test]
    fn only_the_same_context_is_looked_at_and_only_what_has_not_expired() {
        let mut vectors = Vectors::default();
        vectors.put([1; 32], &unit(&[1.0, 0.0]), row("here", u64::MAX));
        vectors.put([1; 32], &unit(&[0.0, 1.0]), row("expired", 1));
        vectors.put([2; 32], &unit(&[0.0, 1.0]), row("there", u64::MAX));
        let found = vectors.nearest(&[1; 32], &unit(&[0.1, 1.0])).unwrap();
        assert_eq!(&*found.call, "here");
        assert!(found.score < 0.2);
        assert!(vectors.nearest(&[3; 32], &unit(&[1.0, 0.0])).is_none());
    }

    #[test]
    fn the_oldest_goes_first_and_empty_contexts_with_it() {
        let mut vectors = Vectors::default();
        vectors.put([0; 32], &unit(&[1.0, 0.0]), row("first", u64::MAX));
        for number in 1..=CAPACITY {
            vectors.put([1; 32], &unit(&[1.0, 0.0]), row(&number.to_string(), u64::MAX));
        }
        assert!(!vectors.contexts.contains_key(&[0; 32]));
        assert_eq!(vectors.contexts[&[1; 32]].rows.len(), CAPACITY);
    }

    #[test]
    fn the_same_answer_is_kept_once() {
        let mut vectors = Vectors::default();
        vectors.put([0; 32], &unit(&[1.0, 0.0]), row("a", 1));
        vectors.put([0; 32], &unit(&[1.0, 0.0]), row("a", u64::MAX));
        assert_eq!(vectors.contexts[&[0; 32]].rows.len(), 1);
        assert!(vectors.nearest(&[0; 32], &unit(&[1.0, 0.0])).is_some());
    }
}
