//! Keys, budgets and spend as a running gateway keeps them: the store, the live counters, and the journal between them.
//!
//! [`people`] knows who a key belongs to, [`admission`] holds what a request may cost, [`booking`] writes down what it
//! did. All is in one data folder; several gateways may share it, each with a journal of its own.

pub mod booking;
pub mod guesses;
pub mod people;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ledger::counters::{KEEP, LeaseHealth};
use ledger::journal::{self, Settings as JournalSettings, WhenFull};
use ledger::rules::entity::{AccessGroup, Credential, RuntimeModel, SharedBudget};
use ledger::rules::id::KeyHash;
use ledger::rules::time::Timestamp;
use ledger::shared::{LeaseError, LeaseStore, RedisLeases};
use ledger::store::{ChangesFeed, Event, Record, Retention, StoreError, Tally};
use ledger::{Counters, Journal, Leases, Store};
use tokio::sync::{Notify, watch};
use tollway::Secret;

use crate::config::RedisSettings;
use crate::events::{self, Log};
use crate::exchange::Identity;
use crate::{pipeline, redis};
use guesses::{GuessLimits, Guesses};
use people::{Holder, People};

/// How often what was journalled is moved into the database.
const DRAIN_EVERY: Duration = Duration::from_secs(1);
/// How often what nobody uses is forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// To Redis, for what is lent: one exchange waits for no other.
const LEASE_CONNECTIONS: usize = 2;
/// Gateways that may share a data folder.
const MAX_INSTANCES: usize = 64;

/// How often the database is relieved of what is old.
const RETAIN_EVERY: Duration = Duration::from_secs(3600);

/// Where and how the books are kept.
#[derive(Clone, Debug)]
pub struct BooksSettings {
    /// The journals, and the database if it is SQLite.
    pub folder: PathBuf,
    /// PostgreSQL, where there is one.
    pub database_url: Option<Secret>,
    /// Where instances that share a database lend each other parts of limits; else they do it in the database.
    pub redis: Option<RedisSettings>,
    /// What to do while the journal's disk is full.
    pub when_full: WhenFull,
    /// How long what is booked is kept.
    pub retention: Retention,
}

impl BooksSettings {
    /// SQLite in a folder, and defaults.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            database_url: None,
            redis: None,
            when_full: WhenFull::Refuse,
            retention: Retention::default(),
        }
    }

    /// The database, where it is SQLite.
    #[must_use]
    pub fn database_file(&self) -> PathBuf {
        self.folder.join("tollway.db")
    }

    /// Opens the database alone; [`Books::open`] opens everything.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open_store(&self) -> Result<Store, OpenError> {
        match &self.database_url {
            Some(url) => Store::connect(url.expose()).await.map_err(OpenError::Database),
            None => {
                let file = self.database_file();
                Store::open(&file).await.map_err(|error| OpenError::File(file, error))
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Books {
    store: Store,
    counters: Counters,
    journal: Arc<Journal>,
    /// Of one of several instances: its parts of limits.
    leases: Option<Arc<Leases>>,
    retention: Retention,
    people: People,
    guesses: Guesses,
    /// The operator, who has no terms but the gateway's.
    master: Option<Arc<Holder>>,
    /// The gateway itself.
    health_checks: Option<Arc<Holder>>,
    semantic_cache: Option<Arc<Holder>>,
    /// Models of run time, or their credentials, have changed.
    models: Notify,
    /// The database takes no bookings, and why.
    behind: watch::Sender<Option<String>>,
    /// Who moves bookings at the moment: one at a time, since a round deletes the files that it has read.
    draining: tokio::sync::Mutex<()>,
    log: Log,
}

/// Nobody can say whose key it is.
#[derive(Debug)]
pub enum NotKnown {
    /// The database does not answer.
    StoreAway(StoreError),
    /// Its address has presented too many wrong keys, and has to wait this long.
    TooManyGuesses(Duration),
}

/// Why there are no books.
#[derive(Debug)]
pub enum OpenError {
    /// The folder cannot be made or written.
    Folder(PathBuf, io::Error),
    /// The database's file cannot be opened.
    File(PathBuf, StoreError),
    /// The database of `general_settings.database_url` cannot be opened.
    Database(StoreError),
    /// The settings of Redis make no client.
    Redis(String),
    /// Nothing can be borrowed.
    Leases(LeaseError),
    /// What an earlier process left in its journal could not be moved into the database.
    Journal(journal::DrainError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path, error) => {
                write!(f, "the data folder `{}` cannot be used: {error}", path.display())
            }
            Self::File(path, error) => {
                write!(f, "the database `{}` cannot be opened: {error}", path.display())
            }
            Self::Database(error) => {
                write!(
                    f,
                    "the database of `general_settings.database_url` cannot be opened: {}",
                    causes(error)
                )
            }
            Self::Redis(why) => write!(f, "limits cannot be shared through Redis: {why}"),
            Self::Leases(error) => {
                write!(f, "limits cannot be shared with other instances: {}", causes(error))
            }
            Self::Journal(error) => write!(f, "the journal cannot be booked: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// An error with what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

impl Books {
    /// Opens the books, and books what earlier processes left in their journals.
    ///
    /// # Errors
    /// When the folder cannot be written, or the database not be opened.
    pub async fn open(settings: &BooksSettings, log: Log) -> Result<Arc<Self>, OpenError> {
        let folder = &settings.folder;
        let in_folder = |error| OpenError::Folder(folder.clone(), error);
        std::fs::create_dir_all(folder).map_err(in_folder)?;
        let store = settings.open_store().await?;
        let journal = Arc::new(own_journal(settings, &store).map_err(in_folder)?);
        // Ledgers are opened with what the store knows, so it has to know all.
        drain(Arc::clone(&journal), store.clone(), None).await.map_err(OpenError::Journal)?;
        for left in left_behind(folder, &store).map_err(in_folder)? {
            drain(Arc::new(left), store.clone(), None).await.map_err(OpenError::Journal)?;
        }
        let leases = match journal.instance() {
            Some(instance) => Some(lend(instance, &store, settings.redis.as_ref()).await?),
            None => None,
        };
        Ok(Arc::new(Self {
            counters: leases.clone().map_or_else(Counters::default, Counters::shared),
            store,
            journal,
            leases,
            retention: settings.retention,
            people: People::default(),
            guesses: Guesses::default(),
            master: Holder::unbounded(Identity::Master.name()).map(Arc::new),
            health_checks: Holder::unbounded(Identity::HealthCheck.name()).map(Arc::new),
            semantic_cache: Holder::unbounded(Identity::SemanticCache.name()).map(Arc::new),
            models: Notify::new(),
            behind: watch::Sender::new(None),
            draining: tokio::sync::Mutex::default(),
            log,
        }))
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    #[must_use]
    pub fn people(&self) -> &People {
        &self.people
    }

    /// Who owns a presented key; `None` if there is no such key. A known one costs no look at the database.
    ///
    /// # Errors
    /// [`NotKnown`]
    pub async fn holder(
        &self,
        hash: &KeyHash,
        address: IpAddr,
        limits: GuessLimits,
    ) -> Result<Option<Arc<Holder>>, NotKnown> {
        if let Some(holder) = self.people.known(hash) {
            return Ok(Some(holder));
        }
        if !self.people.knows(hash) {
            self.guesses.may_try(address, limits, Instant::now()).map_err(NotKnown::TooManyGuesses)?;
        }
        // What asks a database is large, and every request would carry it along.
        let holder = Box::pin(self.people.holder(&self.store, hash)).await.map_err(NotKnown::StoreAway)?;
        if holder.is_none() {
            self.guesses.was_wrong(address, limits, Instant::now());
        }
        Ok(holder)
    }

    /// On whose books a request is; `None` if it is on nobody's.
    #[must_use]
    pub fn holder_of(&self, identity: &Identity) -> Option<Arc<Holder>> {
        match identity {
            Identity::Key(holder) => Some(Arc::clone(holder)),
            Identity::Master => self.master.clone(),
            Identity::HealthCheck => self.health_checks.clone(),
            Identity::SemanticCache => self.semantic_cache.clone(),
            Identity::Local | Identity::Unknown => None,
        }
    }

    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Parts of limits that are lent to this instance, where there are others.
    #[must_use]
    pub fn leases(&self) -> Option<&Arc<Leases>> {
        self.leases.as_ref()
    }

    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Waits until models of run time have changed, here or at another instance.
    pub async fn models_changed(&self) {
        self.models.notified().await;
    }

    /// Whether the database takes no bookings at the moment; they wait in the journal.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind.borrow().is_some()
    }

    /// Tells whenever the database begins to take no bookings, or takes them again: why not.
    #[must_use]
    pub fn watch_behind(&self) -> watch::Receiver<Option<String>> {
        self.behind.subscribe()
    }

    /// Moves everything that was journalled until now into the database.
    ///
    /// # Errors
    /// The database's; then it stays in the journal.
    pub async fn drain_now(&self) -> Result<(), journal::DrainError> {
        let _turn = self.draining.lock().await;
        drain(Arc::clone(&self.journal), self.store.clone(), self.leases.clone()).await
    }

    /// Keeps the books for as long as they are there: moves bookings into the database, hears what other instances
    /// changed, and forgets what is idle or old.
    ///
    /// # Errors
    /// When the database does not tell what changes; nothing is kept then.
    pub async fn keep(self: &Arc<Self>) -> Result<(), StoreError> {
        let feed = self.store.changes_feed().await?;
        tokio::spawn(Self::keep_booking(Arc::downgrade(self)));
        tokio::spawn(Self::keep_up(Arc::downgrade(self), feed));
        tokio::spawn(Self::keep_small(Arc::downgrade(self)));
        if let Some(leases) = self.leases.clone() {
            tokio::spawn(keep_lending(Arc::downgrade(&leases), self.log.clone()));
        }
        Ok(())
    }

    async fn keep_booking(books: Weak<Self>) {
        let mut tidied = tokio::time::Instant::now();
        loop {
            let Some(books) = books.upgrade() else { return };
            match books.drain_now().await {
                Ok(()) => {
                    if books.behind.send_replace(None).is_some() {
                        events::books_recovered(&books.log);
                    }
                }
                Err(error) => {
                    if books.behind.send_replace(Some(error.to_string())).is_none() {
                        events::books_behind(&books.log, &error);
                    }
                }
            }
            if !books.is_behind() && tidied.elapsed() >= TIDY_EVERY {
                tidied = tokio::time::Instant::now();
                books.counters.forget_idle(now());
            }
            drop(books);
            tokio::time::sleep(DRAIN_EVERY).await;
        }
    }

    /// What anybody changed holds here at once.
    async fn keep_up(books: Weak<Self>, mut feed: ChangesFeed) {
        loop {
            let event = feed.next().await;
            let Some(books) = books.upgrade() else { return };
            match event {
                Event::Changed { kind, .. } => {
                    const OF_MODELS: [&str; 3] = [RuntimeModel::KIND, Credential::KIND, AccessGroup::KIND];
                    let is_budget = kind == SharedBudget::KIND;
                    if is_budget || OF_MODELS.contains(&kind.as_str()) {
                        books.models.notify_one();
                    }
                    if is_budget || !OF_MODELS.contains(&kind.as_str()) {
                        books.people.changed();
                    }
                }
                Event::Resync => {
                    books.people.changed();
                    books.models.notify_one();
                }
                Event::SpendSet { kind, id } => books.respend(&kind, &id).await,
            }
        }
    }

    /// An administrator, perhaps at another instance, has set what somebody spent.
    async fn respend(&self, kind: &str, id: &str) {
        if self.drain_now().await.is_err() {
            return;
        }
        for account in self.counters.accounts_of(kind, id) {
            if let Ok(openings) = self.store.openings(&account).await {
                self.counters.respend(&account, &openings);
            }
        }
    }

    async fn keep_small(books: Weak<Self>) {
        loop {
            let Some(books) = books.upgrade() else { return };
            let more = match books.store.retain(&books.retention, now()).await {
                Ok(retained) => retained.more,
                Err(error) => {
                    events::trouble(&books.log, "old rows of spend could not be deleted", &error);
                    false
                }
            };
            drop(books);
            tokio::time::sleep(if more { DRAIN_EVERY } else { RETAIN_EVERY }).await;
        }
    }

    /// Books what is left and closes the database.
    pub async fn close(&self) {
        if let Err(error) = self.drain_now().await {
            events::books_behind(&self.log, &error);
        }
        if let Some(leases) = &self.leases
            && let Err(error) = leases.stop(now()).await
        {
            events::trouble(&self.log, "what was lent could not be given back; it returns by itself", &error);
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
async fn drain(
    journal: Arc<Journal>,
    store: Store,
    leases: Option<Arc<Leases>>,
) -> Result<(), journal::DrainError> {
    let runtime = tokio::runtime::Handle::current();
    let told = move |tallies: &[Tally]| leases.iter().for_each(|leases| leases.booked(tallies));
    let draining = move || runtime.block_on(journal::drain_telling(&journal, &store, told));
    match tokio::task::spawn_blocking(draining).await {
        Ok(result) => result.map(drop),
        // The runtime is going down; the journal keeps what is in it.
        Err(_) => Ok(()),
    }
}

/// Parts of limits for this instance, from Redis or the database.
async fn lend(
    instance: &str,
    store: &Store,
    redis: Option<&RedisSettings>,
) -> Result<Arc<Leases>, OpenError> {
    let from: Box<dyn LeaseStore> = match redis {
        Some(settings) => {
            let pool = redis::connect(settings, LEASE_CONNECTIONS);
            Box::new(RedisLeases::new(pool.map_err(|error| OpenError::Redis(error.to_string()))?))
        }
        None => Box::new(store.clone()),
    };
    Leases::start(instance, from, store.clone(), now()).await.map_err(OpenError::Leases)
}

/// Says, as it changes, whether limits hold across instances.
async fn keep_lending(leases: Weak<Leases>, log: Log) {
    let mut alone = false;
    loop {
        let Some(leases) = leases.upgrade() else { return };
        leases.keep(now()).await;
        match leases.health() {
            LeaseHealth::Shared { instances } if alone => {
                alone = false;
                events::limits_shared_again(&log, instances);
            }
            LeaseHealth::Alone { instances, why, .. } if !alone => {
                alone = true;
                events::limits_alone(&log, instances, &why);
            }
            LeaseHealth::Shared { .. } | LeaseHealth::Alone { .. } => {}
        }
        drop(leases);
        tokio::time::sleep(KEEP).await;
    }
}

/// The name under which an instance borrows and books: it belongs to its journal, so that its next life is known by
/// it.
fn instance(folder: &Path) -> io::Result<String> {
    let file = folder.join("instance");
    match std::fs::read_to_string(&file) {
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        _ => {
            let name = pipeline::random_uuid();
            std::fs::write(&file, &name)?;
            Ok(name)
        }
    }
}

/// A journal that no other process has.
fn own_journal(settings: &BooksSettings, store: &Store) -> io::Result<Journal> {
    let mut taken = io::Error::other("there is no free journal");
    for number in 0..MAX_INSTANCES {
        let folder = journal_folder(&settings.folder, number);
        let own = JournalSettings { when_full: settings.when_full, ..JournalSettings::new(folder.clone()) };
        match Journal::open(own) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => taken = error,
            result => return named(result?, &folder, store),
        }
    }
    Err(taken)
}

/// Journals of processes that have ended.
fn left_behind(folder: &Path, store: &Store) -> io::Result<Vec<Journal>> {
    let mut left = Vec::new();
    for number in 0..MAX_INSTANCES {
        let folder = journal_folder(folder, number);
        if !folder.is_dir() {
            continue;
        }
        match Journal::open(JournalSettings::new(folder.clone())) {
            Ok(journal) => left.push(named(journal, &folder, store)?),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(left)
}

/// Where instances share a store, each books under its name.
fn named(journal: Journal, folder: &Path, store: &Store) -> io::Result<Journal> {
    if !store.is_shared() {
        return Ok(journal);
    }
    Ok(journal.of(instance(folder)?))
}

fn journal_folder(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("journal-{number}"))
}
