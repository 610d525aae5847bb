//! From the journal into the store.

use std::collections::HashSet;
use std::fmt;
use std::io;

use super::disk::Disk;
use super::record::{self, Read};
use super::{Journal, segment};
use crate::booking::Booking;
use crate::rules::id::RequestId;
use crate::store::{Store, StoreError, Tally};

/// The most bookings of a transaction. The more there are, the more of them are part of the same sums, and the fewer pages
/// of the database are written for each; so many are written in about a second, and others wait no longer for their turn.
pub const BATCH: usize = 8192;

/// What a round of draining did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Bookings that the store took.
    pub booked: usize,
    /// Bookings that it had already.
    pub known: usize,
    /// Torn ends of files that were passed over: requests whose append never returned.
    pub torn: usize,
    /// Damaged files; see [`Health::damaged`](super::Health).
    pub damaged: usize,
}

/// Draining stopped. Nothing is lost: the next round begins where this one did.
#[derive(Debug)]
pub enum DrainError {
    Store(StoreError),
    Disk(io::Error),
}

impl fmt::Display for DrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Store(_) => "the journal could not be moved into the database",
            Self::Disk(_) => "the journal could not be read",
        })
    }
}

impl std::error::Error for DrainError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Disk(error) => Some(error),
        }
    }
}

impl From<StoreError> for DrainError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for DrainError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Moves everything that was appended before into the store, and deletes the files it was in.
///
/// One task of the process calls this, at start before anything is served (ledgers are opened with what the store
/// knows), and then again and again: not too often, since a thousand bookings at once cost far less than a thousand
/// by themselves. Deletes files, and reads files of bounded size in one go, so give it a thread that may block.
///
/// # Errors
/// The store's or the disk's.
pub async fn drain<D: Disk>(journal: &Journal<D>, store: &Store) -> Result<Drained, DrainError> {
    drain_telling(journal, store, |_| {}).await
}

/// As [`drain`]; tells what came of every batch in the windows of budgets as soon as the store has it, where the
/// journal is [an instance's](Journal::of): as [`Leases::booked`](crate::Leases::booked) needs it.
///
/// # Errors
/// As [`drain`].
pub async fn drain_telling<D: Disk>(
    journal: &Journal<D>,
    store: &Store,
    told: impl Fn(&[Tally]),
) -> Result<Drained, DrainError> {
    let mut drained = Drained::default();
    // Memory first: with the disk full this is the only way out.
    loop {
        let batch: Vec<Booking> = journal.state().overdue.iter().take(BATCH).cloned().collect();
        if batch.is_empty() {
            break;
        }
        book(journal, store, &batch, &mut drained, &told).await?;
        let mut state = journal.state();
        // Those at the front may have found their way to disk meanwhile, and will then be known already.
        let booked: HashSet<&RequestId> = batch.iter().map(|booked| &booked.request).collect();
        state.overdue.retain(|waiting| !booked.contains(&waiting.request));
    }
    journal.state().close_segment();
    loop {
        let (number, remembered) = {
            let mut state = journal.state();
            let Some(number) = state.closed.front().map(|closed| closed.number) else { break };
            (number, state.recall())
        };
        match remembered {
            // If the store does not take them, the next round finds them in the file.
            Some(bookings) => {
                for batch in bookings.chunks(BATCH) {
                    book(journal, store, batch, &mut drained, &told).await?;
                }
                remove(journal, number)?;
            }
            None => drain_segment(journal, store, number, &mut drained, &told).await?,
        }
        let mut state = journal.state();
        // Another round may have been quicker.
        if state.closed.front().is_some_and(|closed| closed.number == number) {
            state.closed.pop_front();
        }
        // What is in the store needs no sync.
        state.unsynced.retain(|(unsynced, _)| *unsynced != number);
    }
    Ok(drained)
}

/// Deletes a file that is done.
fn remove<D: Disk>(journal: &Journal<D>, number: u64) -> io::Result<()> {
    match journal.disk.remove(&segment::path(journal.folder(), number)) {
        // Deleted by a round at the same time.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

async fn drain_segment<D: Disk>(
    journal: &Journal<D>,
    store: &Store,
    number: u64,
    drained: &mut Drained,
    told: &impl Fn(&[Tally]),
) -> Result<(), DrainError> {
    let path = segment::path(journal.folder(), number);
    let bytes = match journal.disk.read(&path) {
        Ok(bytes) => bytes,
        // Deleted by a round that ended between that and here.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut rest = bytes.as_slice();
    let mut batch = Vec::with_capacity(BATCH);
    let end = loop {
        match record::read(rest) {
            Read::Booking(booking, after) => {
                batch.push(*booking);
                rest = after;
            }
            end @ (Read::End | Read::Broken) => break end,
        }
        if batch.len() == BATCH {
            book(journal, store, &batch, drained, told).await?;
            batch.clear();
        }
    };
    book(journal, store, &batch, drained, told).await?;
    match end {
        Read::Broken if has_record_after(rest) => {
            let kept = path.with_extension("damaged");
            journal.disk.rename(&path, &kept)?;
            journal.state().health.damaged.push(kept);
            drained.damaged += 1;
            return Ok(());
        }
        Read::Broken => drained.torn += 1,
        Read::Booking(..) | Read::End => {}
    }
    Ok(remove(journal, number)?)
}

/// Whether a whole record follows a broken one somewhere: then this is no torn end.
fn has_record_after(bytes: &[u8]) -> bool {
    (1..bytes.len())
        .any(|at| bytes.get(at..).is_some_and(|rest| matches!(record::read(rest), Read::Booking(..))))
}

async fn book<D: Disk>(
    journal: &Journal<D>,
    store: &Store,
    batch: &[Booking],
    drained: &mut Drained,
    told: &impl Fn(&[Tally]),
) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    let new = store.book_by(journal.instance(), batch).await?;
    told(&new.tallies);
    drained.booked += new.bookings.len();
    drained.known += batch.len() - new.bookings.len();
    Ok(())
}
