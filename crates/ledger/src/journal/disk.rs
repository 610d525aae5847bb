//! What the journal asks of a disk; another one stands in for it where tests need one that fails.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Files that can be appended to. All calls block.
pub trait Disk: fmt::Debug + Send + Sync {
    type File: fmt::Debug + Send;

    /// # Errors
    /// The system's.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// Takes a file for this process alone, until the handle is dropped or the process ends.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when another one has it; the system's.
    fn lock(&self, path: &Path) -> io::Result<Self::File>;

    /// The files of a folder.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// A new file, to be appended to.
    ///
    /// # Errors
    /// The system's, also when it exists.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Appends all of these bytes; on an error some of them may be there.
    ///
    /// # Errors
    /// The system's.
    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file to a length; later writes begin there.
    ///
    /// # Errors
    /// The system's.
    fn truncate(&self, file: &mut Self::File, length: u64) -> io::Result<()>;

    /// A second handle, to be synced while the first is written.
    ///
    /// # Errors
    /// The system's.
    fn share(&self, file: &Self::File) -> io::Result<Self::File>;

    /// Waits until what was written is on the disk itself.
    ///
    /// # Errors
    /// The system's.
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// All bytes of a file.
    ///
    /// # Errors
    /// The system's.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// # Errors
    /// The system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
}

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    type File = File;

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    fn lock(&self, path: &Path) -> io::Result<File> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                format!("another process has the journal; give each its own folder: `{}`", path.display()),
            )),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        // The name has to survive a power failure as well as the bytes.
        #[cfg(unix)]
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(file)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn truncate(&self, file: &mut File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn share(&self, file: &File) -> io::Result<File> {
        file.try_clone()
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
}
