//! Questions that mean the same in other words. What an answer was given to is kept as a vector, beside all other
//! vectors of its context: everything about the request but the last words of its user. Only within one context is
//! anything looked for, so a question never finds the answer of another conversation, model or tenant.

mod qdrant;
mod scan;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::breaker::Breaker;
use super::{Entry, Key, now_ms};
use crate::config::SemanticSettings;

use qdrant::Qdrant;
use scan::Matrix;
pub use scan::Unit;

/// Vectors that are kept, of all contexts together; the oldest go first. Of 1536 numbers each they take 30 MB, and 10,000
/// of one context are walked through in 2 to 5 ms.
const CAPACITY: usize = 10_000;

/// Questions that are made vectors of after they were answered, at a time; what comes on top is not kept.
const MAX_LATE: usize = 16;

/// See the module.
#[derive(Debug)]
pub struct Similar {
    pub settings: SemanticSettings,
    index: Index,
    /// Of the embedding model.
    breaker: Breaker,
    late: Arc<Semaphore>,
}

/// Where vectors are.
#[derive(Debug)]
enum Index {
    Here(Arc<RwLock<Vectors>>),
    Qdrant(Arc<Qdrant>),
}

/// A similar question, and its answer where that is kept with it.
#[derive(Clone, Debug)]
pub struct Found {
    pub question: Match,
    pub answer: Option<Arc<Entry>>,
}

/// A question that was answered before.
#[derive(Clone, Debug)]
pub struct Match {
    /// Of the answer.
    pub key: Key,
    /// Cosine of the two questions.
    pub score: f32,
    /// The call that was answered with it first: its trace has the question.
    pub call: Arc<str>,
}

impl Similar {
    #[must_use]
    pub fn new(settings: SemanticSettings) -> Self {
        let late = Arc::new(Semaphore::new(MAX_LATE));
        let index = match settings.qdrant.clone() {
            Some(qdrant) => Index::Qdrant(Arc::new(Qdrant::new(qdrant))),
            None => Index::Here(Arc::default()),
        };
        Self { settings, index, breaker: Breaker::default(), late }
    }

    /// Whether there may be anything to compare with.
    #[must_use]
    pub fn knows(&self, context: &[u8; 32]) -> bool {
        match &self.index {
            Index::Here(vectors) => match vectors.try_read() {
                Ok(vectors) => vectors.contexts.contains_key(context),
                Err(TryLockError::Poisoned(vectors)) => vectors.into_inner().contexts.contains_key(context),
                // Who looks for certain is not to wait on a request's thread.
                Err(TryLockError::WouldBlock) => true,
            },
            Index::Qdrant(_) => true,
        }
    }

    /// The most similar question of the context, if it is similar enough.
    pub async fn find(&self, context: [u8; 32], vector: Unit) -> Option<Found> {
        let found = match &self.index {
            Index::Here(vectors) => {
                let vectors = Arc::clone(vectors);
                // Milliseconds of work have no place among requests.
                let looking = tokio::task::spawn_blocking(move || read(&vectors).nearest(&context, &vector));
                looking.await.ok().flatten().map(|question| Found { question, answer: None })
            }
            Index::Qdrant(qdrant) => qdrant.find(&context, &vector).await,
        };
        found.filter(|found| found.question.score >= self.settings.threshold)
    }

    /// Keeps what an answer was given to.
    pub fn put(&self, context: [u8; 32], vector: Unit, found: Match, entry: Arc<Entry>) {
        match &self.index {
            Index::Here(vectors) => {
                let row = Row { found, expires_ms: entry.expires_ms, number: 0 };
                if let Ok(mut vectors) = vectors.try_write() {
                    return vectors.put(context, &vector, row);
                }
                // Somebody is looking for something, which is not to be waited for on a request's thread.
                let vectors = Arc::clone(vectors);
                tokio::task::spawn_blocking(move || write(&vectors).put(context, &vector, row));
            }
            Index::Qdrant(qdrant) => {
                let Some(leave) = self.late() else { return };
                let qdrant = Arc::clone(qdrant);
                tokio::spawn(async move {
                    qdrant.put(&context, &vector, &found, &entry).await;
                    drop(leave);
                });
            }
        }
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// When whoever keeps it does not do so.
    pub async fn clear(&self) -> Result<(), String> {
        match &self.index {
            Index::Here(vectors) => {
                *write(vectors) = Vectors::default();
                Ok(())
            }
            Index::Qdrant(qdrant) => qdrant.clear().await,
        }
    }

    /// Leave to make a vector of a question that has been answered already.
    #[must_use]
    pub fn late(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.late).try_acquire_owned().ok()
    }

    /// Asks for a vector, unless the model has failed several times in a row just now. Who does not wait for it to the
    /// end says nothing about it.
    pub async fn embed(&self, asking: impl Future<Output = Option<Unit>>) -> Option<Unit> {
        if !self.breaker.allows(Instant::now()) {
            return None;
        }
        let trial = self.breaker.trial();
        match tokio::time::timeout(self.settings.timeout, asking).await.ok().flatten() {
            Some(vector) => {
                trial.succeeded();
                Some(vector)
            }
            None => {
                trial.failed(Instant::now());
                None
            }
        }
    }
}

fn read(vectors: &RwLock<Vectors>) -> RwLockReadGuard<'_, Vectors> {
    vectors.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(vectors: &RwLock<Vectors>) -> RwLockWriteGuard<'_, Vectors> {
    vectors.write().unwrap_or_else(PoisonError::into_inner)
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
    use super::super::KeyWriter;
    use super::*;

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
