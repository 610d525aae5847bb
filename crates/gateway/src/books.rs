//! Keys, budgets and spend as a running gateway keeps them: the store, the live counters, and the journal between them.
//!
//! [`people`] knows who a key belongs to, [`admission`] holds what a request may cost, [`booking`] writes down what it
//! did. All is in one data folder; several gateways may share it, each with a journal of its own.

pub mod booking;
pub mod people;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ledger::journal::{self, Settings as JournalSettings, WhenFull};
use ledger::rules::time::Timestamp;
use ledger::store::StoreError;
use ledger::{Counters, Journal, Store};
use tokio::sync::Notify;

use crate::events::{self, Log};
use crate::exchange::Identity;
use people::{Holder, People};

/// How often what was journalled is moved into the database.
const DRAIN_EVERY: Duration = Duration::from_secs(1);
/// How often what nobody uses is forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// Gateways that may share a data folder.
const MAX_INSTANCES: usize = 64;

/// Where and how the books are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BooksSettings {
    /// The database, if it is SQLite, and the journals.
    pub folder: PathBuf,
    /// What to do while the journal's disk is full.
    pub when_full: WhenFull,
}

/// See the module.
#[derive(Debug)]
pub struct Books {
    store: Store,
    counters: Counters,
    journal: Arc<Journal>,
    people: People,
    /// The operator, who has no terms but the gateway's.
    master: Option<Arc<Holder>>,
    /// The gateway itself.
    health_checks: Option<Arc<Holder>>,
    /// Somebody waits for the journal to be drained.
    drain: Notify,
    /// Who moves bookings at the moment: one at a time, since a round deletes the files that it has read.
    draining: tokio::sync::Mutex<()>,
    log: Log,
}

/// Why there are no books.
#[derive(Debug)]
pub enum OpenError {
    /// The folder cannot be made or written.
    Folder(PathBuf, io::Error),
    /// The database cannot be opened.
    Store(PathBuf, StoreError),
    /// What an earlier process left in its journal could not be moved into the database.
    Journal(journal::DrainError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path, error) => {
                write!(f, "the data folder `{}` cannot be used: {error}", path.display())
            }
            Self::Store(path, error) => {
                write!(f, "the database `{}` cannot be opened: {error}", path.display())
            }
            Self::Journal(error) => write!(f, "the journal cannot be booked: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl Books {
    /// Opens the books, and books what earlier processes left in their journals.
    ///
    /// # Errors
    /// When the folder cannot be written, or the database not be opened.
    pub async fn open(settings: &BooksSettings, log: Log) -> Result<Arc<Self>, OpenError> {
        let folder = &settings.folder;
        let in_folder = |error| OpenError::Folder(folder.clone(), error);
        std::fs::create_dir_all(folder).map_err(in_folder)?;
        let file = folder.join("tollway.db");
        let store = Store::open(&file).await.map_err(|error| OpenError::Store(file, error))?;
        let journal = own_journal(settings).map_err(in_folder)?;
        let books = Arc::new(Self {
            store,
            counters: Counters::default(),
            journal: Arc::new(journal),
            people: People::default(),
            master: Holder::unbounded(Identity::Master.name()).map(Arc::new),
            health_checks: Holder::unbounded(Identity::HealthCheck.name()).map(Arc::new),
            drain: Notify::new(),
            draining: tokio::sync::Mutex::default(),
            log,
        });
        // Ledgers are opened with what the store knows, so it has to know all.
        books.drain_now().await.map_err(OpenError::Journal)?;
        for left in left_behind(folder).map_err(in_folder)? {
            drain(Arc::new(left), books.store.clone()).await.map_err(OpenError::Journal)?;
        }
        Ok(books)
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    #[must_use]
    pub fn people(&self) -> &People {
        &self.people
    }

    /// On whose books a request is; `None` if it is on nobody's.
    #[must_use]
    pub fn holder_of(&self, identity: &Identity) -> Option<Arc<Holder>> {
        match identity {
            Identity::Key(holder) => Some(Arc::clone(holder)),
            Identity::Master => self.master.clone(),
            Identity::HealthCheck => self.health_checks.clone(),
            Identity::Local | Identity::Unknown => None,
        }
    }

    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Moves everything that was journalled until now into the database.
    ///
    /// # Errors
    /// The database's; then it stays in the journal.
    pub async fn drain_now(&self) -> Result<(), journal::DrainError> {
        let _turn = self.draining.lock().await;
        drain(Arc::clone(&self.journal), self.store.clone()).await
    }

    /// Keeps the books for as long as they are there: moves bookings into the database and forgets what is idle.
    pub async fn keep(books: Weak<Self>) {
        let mut trouble = false;
        let mut tidied = tokio::time::Instant::now();
        loop {
            let Some(books) = books.upgrade() else { return };
            match books.drain_now().await {
                Ok(()) if trouble => {
                    trouble = false;
                    events::books_recovered(&books.log);
                }
                Ok(()) => {}
                Err(error) if !trouble => {
                    trouble = true;
                    events::books_behind(&books.log, &error);
                }
                Err(_) => {}
            }
            if !trouble && tidied.elapsed() >= TIDY_EVERY {
                tidied = tokio::time::Instant::now();
                books.counters.forget_idle(now());
            }
            let _ = tokio::time::timeout(DRAIN_EVERY, books.drain.notified()).await;
        }
    }

    /// Books what is left and closes the database.
    pub async fn close(&self) {
        if let Err(error) = self.drain_now().await {
            events::books_behind(&self.log, &error);
        }
        self.store.close().await;
    }
}

/// Now, as the ledger counts time.
#[must_use]
pub fn now() -> Timestamp {
    timestamp(SystemTime::now())
}

pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Reading the journal's files blocks.
async fn drain(journal: Arc<Journal>, store: Store) -> Result<(), journal::DrainError> {
    let runtime = tokio::runtime::Handle::current();
    let drained =
        tokio::task::spawn_blocking(move || runtime.block_on(journal::drain(&journal, &store))).await;
    match drained {
        Ok(result) => result.map(drop),
        // The runtime is going down; the journal keeps what is in it.
        Err(_) => Ok(()),
    }
}

/// A journal that no other process has.
fn own_journal(settings: &BooksSettings) -> io::Result<Journal> {
    let mut taken = io::Error::other("there is no free journal");
    for number in 0..MAX_INSTANCES {
        let folder = journal_folder(&settings.folder, number);
        match Journal::open(JournalSettings { when_full: settings.when_full, ..JournalSettings::new(folder) })
        {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => taken = error,
            result => return result,
        }
    }
    Err(taken)
}

/// Journals of processes that have ended.
fn left_behind(folder: &Path) -> io::Result<Vec<Journal>> {
    let mut left = Vec::new();
    for number in 0..MAX_INSTANCES {
        let folder = journal_folder(folder, number);
        if !folder.is_dir() {
            continue;
        }
        match Journal::open(JournalSettings::new(folder)) {
            Ok(journal) => left.push(journal),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(left)
}

fn journal_folder(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("journal-{number}"))
}
