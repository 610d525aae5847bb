//! Answers as files of one folder, `ab/abcd….answer`, bounded in bytes: the longest stored go first.
//!
//! What is in the folder is looked up once, at the first use; from then on the folder is this process's own. A file is
//! written beside its place and moved there, so that nobody reads half of one.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::{Store, StoreError, Work, Write};
use crate::cache::{Entry, Key};

/// File operations at a time: a disk that hangs must not take all of the runtime's threads.
const AT_A_TIME: usize = 8;

const EXTENSION: &str = "answer";

#[derive(Debug)]
pub(super) struct Disk {
    inner: Arc<Inner>,
    places: Arc<Semaphore>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    max_bytes: u64,
    /// `None` until the folder was read.
    index: Mutex<Option<Index>>,
}

impl Disk {
    pub(super) fn new(folder: PathBuf, max_bytes: u64) -> Self {
        let inner = Arc::new(Inner { folder, max_bytes, index: Mutex::default() });
        Self { inner, places: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// Runs file operations on a thread that may wait.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> io::Result<T> + Send + 'static,
    ) -> Work<'_, T> {
        let inner = Arc::clone(&self.inner);
        let places = Arc::clone(&self.places);
        Box::pin(async move {
            let place = places.acquire_owned().await.map_err(|_| StoreError::new("the cache is closed"))?;
            let running = tokio::task::spawn_blocking(move || {
                // Given back when the work is done, even if nobody waits for it any more.
                let _place = place;
                work(&inner).map_err(|error| StoreError::new(format!("{}: {error}", inner.folder.display())))
            });
            running.await.map_err(|error| StoreError::new(error.to_string()))?
        })
    }
}

impl Inner {
    fn path(&self, hex: &str) -> PathBuf {
        let shelf = hex.get(..2).unwrap_or_default();
        self.folder.join(shelf).join(hex).with_extension(EXTENSION)
    }

    fn read(&self, hex: &str) -> io::Result<Option<Entry>> {
        match fs::read(self.path(hex)) {
            Ok(bytes) => Ok(Entry::decode(&Bytes::from(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, hex: &str, entry: &Entry) -> io::Result<()> {
        let bytes = entry.encode();
        let path = self.path(hex);
        let beside = path.with_extension("new");
        if let Some(shelf) = path.parent() {
            fs::create_dir_all(shelf)?;
        }
        fs::write(&beside, &bytes)?;
        fs::rename(&beside, &path)?;
        let mut index = self.index()?;
        let index = index.get_or_insert_default();
        index.add(hex.to_owned(), bytes.len() as u64);
        while index.bytes > self.max_bytes {
            let Some(oldest) = index.take_oldest() else { break };
            remove(&self.path(&oldest))?;
        }
        Ok(())
    }

    fn delete(&self, hex: &str) -> io::Result<()> {
        remove(&self.path(hex))?;
        self.index()?.get_or_insert_default().remove(hex);
        Ok(())
    }

    fn clear(&self) -> io::Result<()> {
        let mut index = self.index()?;
        let index = index.get_or_insert_default();
        while let Some(oldest) = index.take_oldest() {
            remove(&self.path(&oldest))?;
        }
        Ok(())
    }

    /// What is in the folder, read at the first call.
    fn index(&self) -> io::Result<MutexGuard<'_, Option<Index>>> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if index.is_none() {
            fs::create_dir_all(&self.folder)?;
            *index = Some(Index::of(&self.folder)?);
        }
        Ok(index)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The files, in the order in which they were written.
#[derive(Debug, Default)]
struct Index {
    files: HashMap<String, (u64, u64)>,
    order: BTreeMap<u64, String>,
    next: u64,
    bytes: u64,
}

impl Index {
    fn of(folder: &Path) -> io::Result<Self> {
        let mut found = Vec::new();
        for shelf in fs::read_dir(folder)? {
            let shelf = shelf?.path();
            if !shelf.is_dir() {
                continue;
            }
            for file in fs::read_dir(&shelf)? {
                let file = file?;
                let path = file.path();
                // Files that are not ours stay as they are.
                if path.extension().is_none_or(|extension| extension != EXTENSION) {
                    continue;
                }
                let (Some(name), Ok(about)) =
                    (path.file_stem().and_then(|name| name.to_str()), file.metadata())
                else {
                    continue;
                };
                let written = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                found.push((written.unwrap_or_default(), name.to_owned(), about.len()));
            }
        }
        found.sort();
        let mut index = Self::default();
        for (_, name, bytes) in found {
            index.add(name, bytes);
        }
        Ok(index)
    }

    fn add(&mut self, name: String, bytes: u64) {
        self.remove(&name);
        self.order.insert(self.next, name.clone());
        self.files.insert(name, (self.next, bytes));
        self.next += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn remove(&mut self, name: &str) {
        if let Some((place, bytes)) = self.files.remove(name) {
            self.order.remove(&place);
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    fn take_oldest(&mut self) -> Option<String> {
        let (_, name) = self.order.first_key_value()?;
        let name = name.clone();
        self.remove(&name);
        Some(name)
    }
}

impl Store for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn get<'s>(&'s self, keys: &'s [Key]) -> Work<'s, Vec<Option<Arc<Entry>>>> {
        let names: Vec<String> = keys.iter().map(Key::hex).collect();
        self.run(move |inner| names.iter().map(|name| Ok(inner.read(name)?.map(Arc::new))).collect())
    }

    fn put<'s>(&'s self, writes: &'s [Write]) -> Work<'s, ()> {
        let writes: Vec<(String, Arc<Entry>)> =
            writes.iter().map(|write| (write.key.hex(), Arc::clone(&write.entry))).collect();
        self.run(move |inner| writes.iter().try_for_each(|(name, entry)| inner.write(name, entry)))
    }

    fn delete<'s>(&'s self, keys: &'s [Key]) -> Work<'s, ()> {
        let names: Vec<String> = keys.iter().map(Key::hex).collect();
        self.run(move |inner| names.iter().try_for_each(|name| inner.delete(name)))
    }

    fn clear(&self) -> Work<'_, ()> {
        self.run(Inner::clear)
    }

    fn ping(&self) -> Work<'_, ()> {
        self.run(|inner| inner.index().map(drop))
    }
}
