//! Finished requests on their way to the database: append-only files beside it.
//!
//! A request's booking is appended before the last byte of its answer goes out; [`drain`] moves bookings into the
//! store in batches and deletes files that are done. Whatever kills the process, what was appended is replayed by
//! [`Journal::open`] and `drain`; what the store has already it does not book again. While the database is away,
//! bookings wait here. `drain` is handed what this process appended, a bounded number of bookings, from memory; the
//! files are read after a restart, or when the database was away for long.
//!
//! # What survives what
//!
//! An append is one `write`. From then on it survives the end of the process, however sudden: the bytes are the
//! kernel's. A power failure is survived from the next [`Journal::sync`]; those who call it at the same time share one
//! `fsync` (group commit). Called before an answer ends it makes sure of every request; called by a task twice a second it
//! lets a power failure, and nothing else, take half a second. It blocks: give it a thread that may.
//!
//! # Records
//!
//! `length` (4 bytes, little endian), `checksum` (4 bytes: CRC-32 of length and payload), payload (a [`Booking`] in the
//! form of `compact`; JSON, which was written before, is still read). Reading ends at the first record that is not whole. At the end of a file that is a torn write, and is
//! cut off; anywhere else it is damage: the file is kept under another name and reported.

mod compact;
mod disk;
mod drain;
mod record;
mod segment;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use catalog::NanoUsd;

use crate::booking::Booking;
pub use disk::{Disk, LocalDisk};
pub use drain::{BATCH, DrainError, Drained, drain, drain_telling};

/// A file is followed by a new one when it has this many bytes.
const DEFAULT_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Bookings that wait in memory while the disk takes none.
const DEFAULT_OVERDUE: usize = 100_000;
/// Bookings that are on disk and wait in memory to be handed to the store: with those beyond, their file is read.
const DEFAULT_REMEMBERED: usize = 16_384;

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    pub folder: PathBuf,
    pub segment_bytes: u64,
    /// The most bookings that wait in memory while the disk takes none.
    pub overdue: usize,
    /// The most bookings that are kept in memory, beside the files, until the store has them.
    pub remembered: usize,
    pub when_full: WhenFull,
}

impl Settings {
    /// The defaults, in a folder.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            segment_bytes: DEFAULT_SEGMENT_BYTES,
            overdue: DEFAULT_OVERDUE,
            remembered: DEFAULT_REMEMBERED,
            when_full: WhenFull::Refuse,
        }
    }
}

/// What to do with requests while bookings cannot be written down: neither on disk nor, once memory is full, there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// New requests are refused as soon as the disk takes nothing. What runs is booked from memory.
    Refuse,
    /// Requests are served. What memory does not hold is not booked, and counted in [`Health::lost`].
    ServeUnbooked,
}

/// How the journal is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why the disk took nothing at the last attempt.
    pub trouble: Option<String>,
    /// Bookings that wait in memory for the disk or the store.
    pub overdue: usize,
    /// Requests that will never be booked, and what they cost.
    pub lost: u64,
    pub lost_cost: NanoUsd,
    /// Files with damage, by the names that they were kept under.
    pub damaged: Vec<PathBuf>,
}

/// A booking was not written to disk.
#[derive(Debug)]
pub enum AppendError {
    /// It waits in memory and will be booked, unless the process ends first.
    Overdue(io::Error),
    /// It is lost, and counted.
    Lost(io::Error),
    /// It is larger than a record can be.
    Unwritable(String),
}

impl std::fmt::Display for AppendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Overdue(_) => f.write_str("the journal's disk takes nothing; a booking waits in memory"),
            Self::Lost(_) => {
                f.write_str("the journal's disk takes nothing and memory is full; a booking is lost")
            }
            Self::Unwritable(why) => write!(f, "a booking cannot be written: {why}"),
        }
    }
}

impl std::error::Error for AppendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Overdue(error) | Self::Lost(error) => Some(error),
            Self::Unwritable(_) => None,
        }
    }
}

/// The journal of one instance.
#[derive(Debug)]
pub struct Journal<D: Disk = LocalDisk> {
    settings: Settings,
    instance: Option<String>,
    disk: D,
    state: Mutex<State<D::File>>,
    /// What a sync has made sure of; held while one runs, so that the others wait for it and share it.
    synced: Mutex<Mark>,
    /// Two processes would delete each other's files.
    _lock: D::File,
}

/// A place in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    segment: u64,
    bytes: u64,
}

/// Files by number.
type Numbered<F> = Vec<(u64, F)>;

#[derive(Debug)]
struct State<F> {
    /// The file that is written; `None` before the first append and after trouble.
    open: Option<Open<F>>,
    /// The number of the next file.
    next: u64,
    /// Files that are complete and not yet drained, oldest first.
    closed: VecDeque<Closed>,
    /// How many bookings the open file and the closed ones remember.
    remembered: usize,
    /// Files that were closed and not yet synced: that may take long, and no request should wait for it.
    unsynced: Numbered<F>,
    overdue: VecDeque<Booking>,
    health: Health,
}

impl<F> State<F> {
    /// How far the journal is written.
    fn mark(&self) -> Mark {
        self.open.as_ref().map_or(Mark { segment: self.next, bytes: 0 }, |open| Mark {
            segment: open.number,
            bytes: open.bytes,
        })
    }

    /// Ends the file that is written, if there is anything in it.
    fn close_segment(&mut self) {
        if let Some(open) = self.open.take_if(|open| open.bytes > 0) {
            self.closed.push_back(Closed { number: open.number, bookings: open.bookings });
            self.unsynced.push((open.number, open.file));
        }
    }

    /// Keeps a booking that was written to the open file, if there is room for it and all that was before it.
    fn remember(&mut self, booking: Booking, most: usize) {
        let Some(open) = &mut self.open else { return };
        let Some(bookings) = &mut open.bookings else { return };
        if self.remembered < most {
            bookings.push(booking);
            self.remembered += 1;
        } else {
            self.remembered = self.remembered.saturating_sub(bookings.len());
            open.bookings = None;
        }
    }

    /// What the oldest closed file remembers; nobody else is given it.
    fn recall(&mut self) -> Option<Vec<Booking>> {
        let bookings = self.closed.front_mut()?.bookings.take()?;
        self.remembered = self.remembered.saturating_sub(bookings.len());
        Some(bookings)
    }
}

#[derive(Debug)]
struct Open<F> {
    number: u64,
    file: F,
    /// Whole records in it, in bytes.
    bytes: u64,
    /// All that was written to it; `None`: not all of it is remembered.
    bookings: Option<Vec<Booking>>,
}

#[derive(Debug)]
struct Closed {
    number: u64,
    /// All that is in it; `None`: it has to be read.
    bookings: Option<Vec<Booking>>,
}

impl Journal<LocalDisk> {
    /// Opens the journal in its folder, made if it is missing. What is in it from before is there for [`drain`].
    ///
    /// # Errors
    /// When the folder cannot be made or listed, or another process has it.
    pub fn open(settings: Settings) -> io::Result<Self> {
        Self::open_on(LocalDisk, settings)
    }
}

impl<D: Disk> Journal<D> {
    /// Opens a journal on any disk.
    ///
    /// # Errors
    /// When the folder cannot be made or listed, or another process has it.
    pub fn open_on(disk: D, settings: Settings) -> io::Result<Self> {
        disk.make_folder(&settings.folder)?;
        let lock = disk.lock(&settings.folder.join("lock"))?;
        let closed = segment::list(&disk, &settings.folder)?;
        // Nothing is appended to a file of an earlier process: its end may be torn.
        let next = closed.back().map_or(0, |last| last.saturating_add(1));
        let closed = closed.into_iter().map(|number| Closed { number, bookings: None }).collect();
        let state = State {
            open: None,
            next,
            closed,
            remembered: 0,
            unsynced: Vec::new(),
            overdue: VecDeque::new(),
            health: Health::default(),
        };
        Ok(Self {
            settings,
            instance: None,
            disk,
            state: Mutex::new(state),
            synced: Mutex::default(),
            _lock: lock,
        })
    }

    /// Writes a booking down. It has reached the disk itself after the next [`sync`](Self::sync).
    ///
    /// # Errors
    /// When the disk does not take it; then it waits in memory, or is counted as lost.
    pub fn append(&self, booking: Booking) -> Result<(), AppendError> {
        let record = record::write(&booking).map_err(AppendError::Unwritable)?;
        let mut state = self.state();
        let Err(error) = self.write(&mut state, &record) else {
            state.remember(booking, self.settings.remembered);
            return Ok(());
        };
        state.health.trouble = Some(error.to_string());
        if state.overdue.len() < self.settings.overdue {
            state.overdue.push_back(booking);
            return Err(AppendError::Overdue(error));
        }
        state.health.lost += 1;
        state.health.lost_cost = state.health.lost_cost.saturating_add(booking.cost);
        Err(AppendError::Lost(error))
    }

    /// Makes sure that everything appended so far is on the disk itself. Blocks; calls at the same time share one
    /// `fsync`.
    ///
    /// # Errors
    /// The disk's.
    pub fn sync(&self) -> io::Result<()> {
        let wanted = self.state().mark();
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced >= wanted {
            return Ok(());
        }
        // Whoever came while the last one ran is covered by this one.
        let (reached, files) = self.unsynced()?;
        if let Err(error) = files.iter().try_for_each(|(_, file)| self.disk.sync(file)) {
            self.state().unsynced.extend(files);
            return Err(error);
        }
        *synced = reached;
        Ok(())
    }

    /// Whether a new request may be served; the reason why not. While it may not, every call tries the disk again, so
    /// that requests are served as soon as there is room.
    ///
    /// # Errors
    /// The disk's, under [`WhenFull::Refuse`].
    pub fn admits(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.health.trouble.is_none() || self.settings.when_full == WhenFull::ServeUnbooked {
            return Ok(());
        }
        self.write_overdue(&mut state)
    }

    /// How the journal is.
    #[must_use]
    pub fn health(&self) -> Health {
        let state = self.state();
        Health { overdue: state.overdue.len(), ..state.health.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State<D::File>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All files that may have to be synced, and how far the journal is synced then.
    fn unsynced(&self) -> io::Result<(Mark, Numbered<D::File>)> {
        let mut state = self.state();
        let shared = match &state.open {
            Some(open) => Some((open.number, self.disk.share(&open.file)?)),
            None => None,
        };
        let mut files = std::mem::take(&mut state.unsynced);
        files.extend(shared);
        Ok((state.mark(), files))
    }

    /// Writes what waits in memory to disk.
    fn write_overdue(&self, state: &mut State<D::File>) -> io::Result<()> {
        while let Some(booking) = state.overdue.pop_front() {
            // It was written as a record before it came to wait.
            let Ok(record) = record::write(&booking) else { continue };
            if let Err(error) = self.write_record(state, &record) {
                state.overdue.push_front(booking);
                return Err(error);
            }
            state.remember(booking, self.settings.remembered);
        }
        // Nothing waited: only a write of some sort tells whether there is room again.
        if state.open.is_none() {
            self.open_segment(state)?;
        }
        state.health.trouble = None;
        Ok(())
    }

    fn write(&self, state: &mut State<D::File>, record: &[u8]) -> io::Result<()> {
        if state.health.trouble.is_some() {
            self.write_overdue(state)?;
        }
        self.write_record(state, record)
    }

    fn write_record(&self, state: &mut State<D::File>, record: &[u8]) -> io::Result<()> {
        if state.open.as_ref().is_some_and(|open| open.bytes >= self.settings.segment_bytes) {
            state.close_segment();
        }
        if state.open.is_none() {
            self.open_segment(state)?;
        }
        let Some(open) = &mut state.open else { return Err(io::ErrorKind::NotFound.into()) };
        match self.disk.write(&mut open.file, record) {
            Ok(()) => {
                open.bytes += record.len() as u64;
                Ok(())
            }
            Err(error) => {
                // A part of the record may be in the file. Cut it off, or leave the file behind: its readers stop
                // at its torn end.
                if self.disk.truncate(&mut open.file, open.bytes).is_err()
                    && let Some(open) = state.open.take()
                {
                    state.closed.push_back(Closed { number: open.number, bookings: open.bookings });
                }
                Err(error)
            }
        }
    }

    fn open_segment(&self, state: &mut State<D::File>) -> io::Result<()> {
        let number = state.next;
        let file = self.disk.create(&segment::path(&self.settings.folder, number))?;
        state.next = number.saturating_add(1);
        state.open = Some(Open { number, file, bytes: 0, bookings: Some(Vec::new()) });
        Ok(())
    }

    /// The journal of one of several instances that share budgets: what is in it is booked under this name.
    #[must_use]
    pub fn of(self, instance: String) -> Self {
        Self { instance: Some(instance), ..self }
    }

    /// Whose it is, of several instances.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }

    fn folder(&self) -> &Path {
        &self.settings.folder
    }
}

#[cfg(test)]
mod tests;
