use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::*;
use crate::store::tests::{Folder, booking, store};
use crate::store::{LogFilter, Store};

/// A disk in memory that can be made to fail: all survives that was written, nothing that was not.
#[derive(Clone, Debug, Default)]
struct FakeDisk {
    files: Arc<Mutex<BTreeMap<PathBuf, Vec<u8>>>>,
    /// Operations until it fails.
    fuse: Arc<AtomicI64>,
    full: Arc<AtomicBool>,
    syncs: Arc<AtomicI64>,
    reads: Arc<AtomicI64>,
}

impl FakeDisk {
    fn sound() -> Self {
        let disk = Self::default();
        disk.fuse.store(i64::MAX, Ordering::Relaxed);
        disk
    }

    /// The same files after a restart.
    fn repaired(&self) -> Self {
        Self { files: Arc::clone(&self.files), ..Self::sound() }
    }

    fn step(&self) -> io::Result<()> {
        if self.fuse.fetch_sub(1, Ordering::Relaxed) > 0 {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Vec<u8>>> {
        self.files.lock().unwrap()
    }
}

impl Disk for FakeDisk {
    type File = PathBuf;

    fn make_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        self.step()?;
        Ok(self.files().keys().cloned().collect())
    }

    fn create(&self, path: &Path) -> io::Result<PathBuf> {
        self.step()?;
        if self.full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        assert!(self.files().insert(path.to_owned(), Vec::new()).is_none(), "no file is written over");
        Ok(path.to_owned())
    }

    fn write(&self, file: &mut PathBuf, bytes: &[u8]) -> io::Result<()> {
        let outcome = self.step();
        let full = self.full.load(Ordering::Relaxed);
        let written = if outcome.is_err() || full { &bytes[..bytes.len() / 2] } else { bytes };
        self.files().get_mut(file).unwrap().extend_from_slice(written);
        if full { Err(io::ErrorKind::StorageFull.into()) } else { outcome }
    }

    fn truncate(&self, file: &mut PathBuf, length: u64) -> io::Result<()> {
        self.step()?;
        self.files().get_mut(file).unwrap().truncate(usize::try_from(length).unwrap());
        Ok(())
    }

    fn share(&self, file: &PathBuf) -> io::Result<PathBuf> {
        Ok(file.clone())
    }

    fn sync(&self, _: &PathBuf) -> io::Result<()> {
        self.step()?;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.step()?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.files().get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.files().remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let bytes = self.files().remove(from).unwrap();
        self.files().insert(to.to_owned(), bytes);
        Ok(())
    }
}

/// Two records a file.
fn small() -> Settings {
    Settings { segment_bytes: 150, overdue: 2, ..Settings::new(PathBuf::from("journal")) }
}

fn journal(disk: &FakeDisk) -> Journal<FakeDisk> {
    Journal::open_on(disk.clone(), small()).unwrap()
}

async fn booked(store: &Store) -> Vec<String> {
    let mut requests: Vec<String> = store
        .spend_log(&LogFilter::default(), 1000)
        .await
        .unwrap()
        .iter()
        .map(|row| row.request.to_string())
        .collect();
    requests.sort();
    let found = store.audit().await.unwrap();
    assert!(found.is_empty(), "{found:#?}");
    requests
}

#[tokio::test]
async fn what_was_appended_is_booked_after_a_restart() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let settings = || Settings { segment_bytes: 150, ..Settings::new(folder.path("journal")) };
    let journal = Journal::open(settings()).unwrap();
    for number in 0..5 {
        journal.append(booking(&format!("r{number}"), 1)).unwrap();
    }
    journal.sync().unwrap();
    drop(journal);
    let journal = Journal::open(settings()).unwrap();
    journal.append(booking("r5", 1)).unwrap();
    let drained = drain(&journal, &store).await.unwrap();
    assert_eq!(drained, Drained { booked: 6, ..Drained::default() });
    assert_eq!(booked(&store).await.len(), 6);
    let left: Vec<PathBuf> = LocalDisk.list(&folder.path("journal")).unwrap();
    assert_eq!(left, [folder.path("journal").join("lock")], "what is done is deleted");
}

#[test]
fn a_journal_belongs_to_one_process() {
    let folder = Folder::new();
    let settings = || Settings::new(folder.path("journal"));
    let first = Journal::open(settings()).unwrap();
    assert_eq!(Journal::open(settings()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(first);
    assert!(Journal::open(settings()).is_ok());
}

/// A torn last record is never acknowledged: what comes before it is booked, whatever is left of it.
#[tokio::test]
async fn a_file_may_end_at_any_byte_of_its_last_record() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let records: Vec<Vec<u8>> =
        (0..3).map(|number| record::write(&booking(&format!("r{number}"), 1)).unwrap()).collect();
    let whole = records[0].len() + records[1].len();
    let bytes = records.concat();
    for cut in whole..bytes.len() {
        let disk = FakeDisk::sound();
        disk.files().insert(segment::path(Path::new("journal"), 7), bytes[..cut].to_vec());
        let drained = drain(&journal(&disk), &store).await.unwrap();
        assert_eq!(drained.booked + drained.known, 2);
        assert_eq!((drained.torn, drained.damaged), (usize::from(cut > whole), 0));
        assert!(disk.files().is_empty());
    }
    assert_eq!(booked(&store).await, ["r0", "r1"]);
}

#[tokio::test]
async fn damage_within_a_file_is_kept_and_told() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let records: Vec<Vec<u8>> =
        (0..3).map(|number| record::write(&booking(&format!("r{number}"), 1)).unwrap()).collect();
    let mut bytes = records.concat();
    bytes[records[0].len() + 20] ^= 1;
    let disk = FakeDisk::sound();
    disk.files().insert(segment::path(Path::new("journal"), 7), bytes);
    let journal = journal(&disk);
    let drained = drain(&journal, &store).await.unwrap();
    assert_eq!((drained.booked, drained.damaged), (1, 1));
    let kept = PathBuf::from("journal/0000000000000007.damaged");
    assert_eq!(journal.health().damaged, std::slice::from_ref(&kept));
    assert!(disk.files().contains_key(&kept));
}

/// The process dies at every operation on the disk in turn. Afterwards everything that was acknowledged is booked, and
/// nothing twice.
#[tokio::test]
async fn the_process_may_die_at_every_step() {
    let mut has_survived = false;
    for fuse in 1.. {
        if has_survived {
            break;
        }
        let folder = Folder::new();
        let store = store(&folder).await;
        let disk = FakeDisk::sound();
        disk.fuse.store(fuse, Ordering::Relaxed);
        let journal = journal(&disk);
        let mut acknowledged = Vec::new();
        has_survived = true;
        for number in 0..9 {
            let name = format!("r{number}");
            if journal.append(booking(&name, 1)).is_err() {
                has_survived = false;
                break;
            }
            acknowledged.push(name);
            if number % 4 == 3 && drain(&journal, &store).await.is_err() {
                has_survived = false;
                break;
            }
        }
        drop(journal);
        let journal = self::journal(&disk.repaired());
        drain(&journal, &store).await.unwrap();
        assert_eq!(booked(&store).await, acknowledged, "died at step {fuse}");
    }
}

#[tokio::test]
async fn bookings_wait_while_the_database_is_away() {
    let folder = Folder::new();
    let away = store(&folder).await;
    away.close().await;
    let journal = journal(&FakeDisk::sound());
    for number in 0..5 {
        journal.append(booking(&format!("r{number}"), 1)).unwrap();
        assert!(drain(&journal, &away).await.is_err());
    }
    let back = store(&folder).await;
    assert_eq!(drain(&journal, &back).await.unwrap().booked, 5);
    assert_eq!(booked(&back).await.len(), 5);
}

/// What this process appended it does not read, as long as there is not too much of it.
#[tokio::test]
async fn files_are_read_for_what_memory_does_not_hold() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let disk = FakeDisk::sound();
    let settings = Settings { segment_bytes: u64::MAX, remembered: 3, ..small() };
    let journal = Journal::open_on(disk.clone(), settings).unwrap();
    for (round, (bookings, reads)) in [(3, 0), (4, 1), (2, 1)].into_iter().enumerate() {
        for number in 0..bookings {
            journal.append(booking(&format!("r{round}-{number}"), 1)).unwrap();
        }
        assert_eq!(drain(&journal, &store).await.unwrap().booked, bookings);
        assert_eq!(disk.reads.load(Ordering::Relaxed), reads, "round {round}");
        assert!(disk.files().is_empty());
    }
    assert_eq!(booked(&store).await.len(), 9);
}

#[tokio::test]
async fn a_full_disk_refuses_and_books_from_memory() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let disk = FakeDisk::sound();
    let journal = journal(&disk);
    journal.append(booking("r0", 1)).unwrap();
    disk.full.store(true, Ordering::Relaxed);
    assert!(matches!(journal.append(booking("r1", 1)), Err(AppendError::Overdue(_))));
    assert!(journal.admits().is_err());
    assert_eq!(drain(&journal, &store).await.unwrap().booked, 2);
    assert!(matches!(journal.append(booking("r2", 1)), Err(AppendError::Overdue(_))));
    disk.full.store(false, Ordering::Relaxed);
    assert!(journal.admits().is_ok(), "served as soon as there is room");
    assert_eq!(journal.health(), Health::default());
    journal.append(booking("r3", 1)).unwrap();
    drop(journal);
    drain(&self::journal(&disk), &store).await.unwrap();
    assert_eq!(booked(&store).await, ["r0", "r1", "r2", "r3"]);
}

#[tokio::test]
async fn what_is_served_unbooked_is_counted() {
    let disk = FakeDisk::sound();
    disk.full.store(true, Ordering::Relaxed);
    let settings = Settings { when_full: WhenFull::ServeUnbooked, ..small() };
    let journal = Journal::open_on(disk.clone(), settings).unwrap();
    for number in 0..2 {
        assert!(matches!(journal.append(booking(&format!("r{number}"), 1)), Err(AppendError::Overdue(_))));
    }
    for number in 2..5 {
        assert!(journal.admits().is_ok());
        assert!(matches!(journal.append(booking(&format!("r{number}"), 10)), Err(AppendError::Lost(_))));
    }
    let health = journal.health();
    assert_eq!((health.overdue, health.lost, health.lost_cost), (2, 3, NanoUsd(30)));
    assert!(health.trouble.is_some());
}

#[test]
fn a_sync_is_shared_by_those_who_need_no_other() {
    let disk = FakeDisk::sound();
    let journal = journal(&disk);
    journal.append(booking("r0", 1)).unwrap();
    journal.append(booking("r1", 1)).unwrap();
    journal.sync().unwrap();
    journal.sync().unwrap();
    assert_eq!(disk.syncs.load(Ordering::Relaxed), 1);
    journal.append(booking("r2", 1)).unwrap();
    journal.append(booking("r3", 1)).unwrap();
    journal.sync().unwrap();
    assert_eq!(disk.syncs.load(Ordering::Relaxed), 3, "the closed file and the open one");
}

/// Prints how long an append takes. For `cargo test -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn how_long_an_append_takes() {
    let folder = Folder::new();
    let journal = Journal::open(Settings::new(folder.path("journal"))).unwrap();
    let rounds = 100_000;
    let booking = booking("chatcmpl-0123456789abcdef0123456789abcdef", 1);
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        journal.append(booking.clone()).unwrap();
    }
    println!("{} ns per append", start.elapsed().as_nanos() / rounds);
}
