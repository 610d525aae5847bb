//! Telling all instances what changed, so that none goes on with a key that was revoked.
//!
//! Every change is written down in the transaction that makes it, under the next number; who follows reads on from the
//! last number it saw. It looks twice a second, and at once when its own instance changed something or PostgreSQL
//! says so (`NOTIFY`). So nothing is missed over a lost connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::session::Session;
use super::sql::Sql;
use super::{Database, Store, StoreError};
use crate::rules::account::Scope;

/// How often to look.
const PAUSE: Duration = Duration::from_millis(500);
/// How long to wait before PostgreSQL is asked again to tell changes.
const RECONNECT: Duration = Duration::from_secs(1);
/// How many changes are kept for those who were away.
const KEPT: i64 = 10_000;
const AT_ONCE: i64 = 1_000;

/// Something changed, here or on another instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An entity was made, changed or deleted: its kind ([`Record::KIND`](super::Record::KIND)) and id.
    Changed { kind: String, id: String },
    /// What somebody spent was set by an administrator: its [`kind`](Scope::kind) and [`id`](Scope::id).
    SpendSet { kind: String, id: String },
    /// Too much was missed: anything may have changed.
    Resync,
}

/// What changes from now on; see [`Store::changes_feed`].
#[derive(Debug)]
pub struct ChangesFeed {
    store: Store,
    /// The number of the last change that was told.
    seen: i64,
    waiting: VecDeque<Event>,
    changed: watch::Receiver<()>,
    /// Listens to PostgreSQL, as long as there is somebody to tell.
    listener: Option<JoinHandle<()>>,
}

impl Drop for ChangesFeed {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

impl Store {
    /// What changes from now on, on any instance. Read it before anything is cached that must not be stale.
    ///
    /// # Errors
    /// The database's.
    pub async fn changes_feed(&self) -> Result<ChangesFeed, StoreError> {
        let changed = self.changed.subscribe();
        let listener = match &self.database {
            Database::Sqlite(_) => None,
            Database::Postgres(database) => {
                let (pool, channel) = (database.pool().clone(), database.channel().to_owned());
                Some(tokio::spawn(listen(pool, channel, Arc::clone(&self.changed))))
            }
        };
        let mut feed =
            ChangesFeed { store: self.clone(), seen: 0, waiting: VecDeque::new(), changed, listener };
        feed.seen = last(&mut self.reader().await?).await?;
        Ok(feed)
    }

    /// Tells all instances about a change that the store knows nothing of.
    ///
    /// # Errors
    /// The database's.
    pub async fn announce(&self, kind: &str, id: &str) -> Result<(), StoreError> {
        let mut transaction = self.transaction().await?;
        self.note(&mut transaction, kind, id).await?;
        self.commit_noted(transaction).await
    }

    /// Writes down that an entity changed. Comes last in a transaction: the next one that changes something waits.
    pub(super) async fn note(&self, session: &mut Session, kind: &str, id: &str) -> Result<(), StoreError> {
        self.write_down(session, kind, id, 0).await
    }

    /// Writes down that spend was set.
    pub(super) async fn note_spend(&self, session: &mut Session, scope: &Scope) -> Result<(), StoreError> {
        self.write_down(session, scope.kind(), &scope.id(), 1).await
    }

    async fn write_down(
        &self,
        session: &mut Session,
        kind: &str,
        id: &str,
        is_spend: i64,
    ) -> Result<(), StoreError> {
        // Whoever is next waits here for our commit: so numbers are seen in their order, without gaps.
        let number: i64 = Sql::new("UPDATE facts SET value = value + 1 WHERE name = 'feed' RETURNING value")
            .one(session)
            .await?;
        Sql::new("INSERT INTO feed (number, kind, object_id, is_spend) VALUES ($1, $2, $3, $4)")
            .bind(number)
            .bind(kind)
            .bind(id)
            .bind(is_spend)
            .execute(session)
            .await?;
        let outdated = number.saturating_sub(KEPT);
        Sql::new("DELETE FROM feed WHERE number <= $1").bind(outdated).execute(session).await?;
        if let Database::Postgres(database) = &self.database {
            // Told when the transaction commits, and once for all that it noted.
            Sql::new("SELECT CAST(pg_notify($1, '') AS TEXT)")
                .bind(database.channel())
                .execute(session)
                .await?;
        }
        Ok(())
    }

    /// Commits a transaction in which something was noted.
    pub(super) async fn commit_noted(&self, transaction: Session) -> Result<(), StoreError> {
        transaction.commit().await?;
        self.changed.send_replace(());
        Ok(())
    }
}

impl ChangesFeed {
    /// The next event; waits for one as long as it takes, also while the database is away. May be cancelled.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return event;
            }
            // What came before this look is seen by it.
            self.changed.mark_unchanged();
            // While the database is away nothing changes; what did before will be read when it is back.
            let looked = self.look().await;
            if looked.is_err() || self.waiting.is_empty() {
                // The sender is held by our store.
                _ = tokio::time::timeout(PAUSE, self.changed.changed()).await;
            }
        }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        super::in_time(async {
            let mut session = self.store.reader().await?;
            let last = last(&mut session).await?;
            if last == self.seen {
                return Ok(());
            }
            let changes: Vec<(i64, String, String, i64)> = Sql::new(
                "SELECT number, kind, object_id, is_spend FROM feed WHERE number > $1 ORDER BY number LIMIT $2",
            )
            .bind(self.seen)
            .bind(AT_ONCE)
            .all(&mut session)
            .await?;
            let goes_on = changes.first().is_some_and(|(number, ..)| *number == self.seen.saturating_add(1));
            if !goes_on {
                // We were away for too long, or the database is an older copy of itself.
                self.seen = last;
                self.waiting.push_back(Event::Resync);
                return Ok(());
            }
            for (number, kind, id, is_spend) in changes {
                self.seen = number;
                self.waiting.push_back(match is_spend {
                    0 => Event::Changed { kind, id },
                    _ => Event::SpendSet { kind, id },
                });
            }
            Ok(())
        })
        .await
    }
}

/// The number of the last change.
async fn last(session: &mut Session) -> Result<i64, StoreError> {
    Sql::new("SELECT value FROM facts WHERE name = 'feed'").one(session).await
}

/// Hears PostgreSQL tell of changes, for ever.
async fn listen(pool: PgPool, channel: String, changed: Arc<watch::Sender<()>>) {
    loop {
        if let Ok(mut listener) = PgListener::connect_with(&pool).await
            && listener.listen(&channel).await.is_ok()
        {
            while listener.recv().await.is_ok() {
                changed.send_replace(());
            }
        }
        if pool.is_closed() {
            return;
        }
        tokio::time::sleep(RECONNECT).await;
    }
}
