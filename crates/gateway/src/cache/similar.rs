//! Questions that mean the same in other words. What an answer was given to is kept as a vector, beside all other
//! vectors of its context: everything about the request but the last words of its user. Only within one context is
//! anything looked for, so a question never finds the answer of another conversation, model or tenant.

mod memory;
mod qdrant;
mod redis;
mod scan;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::breaker::Breaker;
use super::guard::Guard;
use super::{Entry, Key, Store, now_ms};
use crate::config::{SemanticSettings, VectorSettings};
use crate::events::Log;
use crate::events::metrics::CacheMetrics;

use memory::Memory;
use qdrant::Qdrant;
pub use redis::Lack;
use redis::Redis;
pub use scan::Unit;

/// Questions that are made vectors of after they were answered, at a time; what comes on top is not kept.
const MAX_LATE: usize = 16;

/// See the module.
#[derive(Debug)]
pub struct Similar {
    pub settings: SemanticSettings,
    memory: Memory,
    server: Option<Server>,
    /// Of the embedding model.
    breaker: Breaker,
    late: Arc<Semaphore>,
    metrics: CacheMetrics,
}

/// What keeps vectors for all instances.
#[derive(Clone, Debug)]
enum Server {
    Qdrant(Arc<Qdrant>),
    Redis(Arc<Redis>),
}

/// Where vectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// In this process; why not in Redis, if that was asked for.
    Memory(Option<Lack>),
    Redis,
    Qdrant,
}

/// A similar question, and its answer where that is kept with it.
#[derive(Clone, Debug)]
pub struct Found {
    pub question: Match,
    pub answer: Option<Arc<Entry>>,
}

/// A question that was answered before.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Of the answer.
    pub key: Key,
    /// Cosine of the two questions.
    pub score: f32,
    /// The call that was answered with it first: its trace has the question.
    pub call: Arc<str>,
}

impl Similar {
    /// Opens what keeps the vectors; `answers` is where the cache keeps theirs.
    #[must_use]
    pub fn open(
        settings: SemanticSettings,
        answers: &Arc<dyn Store>,
        log: &Log,
        metrics: &CacheMetrics,
    ) -> Self {
        let server = match &settings.vectors {
            VectorSettings::Memory => None,
            VectorSettings::Qdrant(qdrant) => {
                let guard = Guard::new("qdrant", log.clone(), metrics.clone());
                Some(Server::Qdrant(Arc::new(Qdrant::new(qdrant.clone(), guard))))
            }
            VectorSettings::Redis(vectors) => {
                Some(Server::Redis(Redis::connect(vectors, Arc::clone(answers), log, metrics)))
            }
        };
        let late = Arc::new(Semaphore::new(MAX_LATE));
        let (memory, breaker) = (Memory::default(), Breaker::default());
        Self { settings, memory, server, breaker, late, metrics: metrics.clone() }
    }

    /// Whether there may be anything to compare with.
    pub async fn knows(&self, context: &[u8; 32]) -> bool {
        match self.server() {
            None => self.memory.knows(context),
            Some(Server::Qdrant(qdrant)) => !qdrant.leaves_alone(),
            Some(Server::Redis(redis)) => redis.knows(context).await,
        }
    }

    /// The most similar question of the context, if it is similar enough.
    pub async fn find(&self, context: [u8; 32], vector: Unit) -> Option<Found> {
        let threshold = self.settings.threshold;
        let found = match self.server() {
            None => {
                let question = self.memory.find(context, vector).await?;
                Some(Found { question, answer: None })
            }
            Some(Server::Qdrant(qdrant)) => qdrant.find(&context, &vector).await,
            Some(Server::Redis(redis)) => redis.find(&context, &vector, threshold).await,
        };
        let now = now_ms();
        found.filter(|found| {
            found.question.score >= threshold
                && found.answer.as_ref().is_none_or(|answer| answer.expires_ms > now)
        })
    }

    /// Keeps what an answer was given to.
    pub fn put(&self, context: [u8; 32], vector: Unit, found: Match, entry: Arc<Entry>) {
        let Some(server) = self.server().cloned() else {
            return self.memory.put(context, vector, found, entry.expires_ms);
        };
        let Some(leave) = self.late() else { return };
        let (memory, metrics) = (self.memory.clone(), self.metrics.clone());
        tokio::spawn(async move {
            let kept = match server {
                Server::Qdrant(qdrant) => qdrant.put(&context, &vector, &found, &entry).await.is_ok(),
                Server::Redis(redis) => {
                    let kept = redis.put(&context, &vector, &found, entry.expires_ms).await;
                    if redis.lack().is_some() {
                        memory.put(context, vector, found, entry.expires_ms);
                    }
                    kept
                }
            };
            if !kept {
                metrics.write_dropped();
            }
            drop(leave);
        });
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// When whoever keeps it does not do so.
    pub async fn clear(&self) -> Result<(), String> {
        self.memory.clear();
        match self.server() {
            None => Ok(()),
            Some(Server::Qdrant(qdrant)) => qdrant.clear().await,
            Some(Server::Redis(redis)) => redis.clear().await.map_err(|error| error.to_string()),
        }
    }

    /// Where vectors are.
    #[must_use]
    pub fn whereabouts(&self) -> Whereabouts {
        match &self.server {
            None => Whereabouts::Memory(None),
            Some(Server::Qdrant(_)) => Whereabouts::Qdrant,
            Some(Server::Redis(redis)) => {
                redis.lack().map_or(Whereabouts::Redis, |lack| Whereabouts::Memory(Some(lack)))
            }
        }
    }

    /// What keeps the vectors, if that is not this process.
    fn server(&self) -> Option<&Server> {
        self.server.as_ref().filter(|server| match server {
            Server::Qdrant(_) => true,
            Server::Redis(redis) => redis.lack().is_none(),
        })
    }

    /// Leave to make a vector of a question that has been answered already; none while it could not be kept.
    #[must_use]
    pub fn late(&self) -> Option<OwnedSemaphorePermit> {
        if self.server().is_some_and(Server::leaves_alone) {
            return None;
        }
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

impl Server {
    /// Whether it has failed several times in a row just now.
    fn leaves_alone(&self) -> bool {
        match self {
            Self::Qdrant(qdrant) => qdrant.leaves_alone(),
            Self::Redis(redis) => redis.leaves_alone(),
        }
    }
}
