//! The files of a journal: `0000000000000007.journal`, by age.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::Disk;

const ENDING: &str = "journal";

pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016}.{ENDING}"))
}

/// The numbers of all files, oldest first.
pub(super) fn list<D: Disk>(disk: &D, folder: &Path) -> io::Result<VecDeque<u64>> {
    let number = |path: &PathBuf| {
        let is_ours = path.extension().is_some_and(|ending| ending == ENDING);
        if is_ours { path.file_stem()?.to_str()?.parse().ok() } else { None }
    };
    let mut numbers: Vec<u64> = disk.list(folder)?.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers.into())
}
