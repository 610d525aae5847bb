//! Notices that configuration files changed.
//!
//! By looking at them every two seconds: what replaces a file differs too much (editors rename, Kubernetes swaps a
//! symbolic link above it, network file systems report nothing) for change notifications to be relied on.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

const INTERVAL: Duration = Duration::from_secs(2);

/// The files of a configuration, as they were when it was read.
#[derive(Debug)]
pub(crate) struct Watch {
    seen: Vec<(PathBuf, Option<Stamp>)>,
}

type Stamp = (SystemTime, u64);

impl Watch {
    pub(crate) fn new(files: &[PathBuf]) -> Self {
        Self { seen: files.iter().map(|file| (file.clone(), stamp(file))).collect() }
    }

    /// Returns when one of the files is no longer what it was; never, if there are none.
    pub(crate) async fn changed(&mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let mut changed = false;
            for (file, seen) in &mut self.seen {
                let now = stamp(file);
                // A file that is missing is most likely being replaced: the next look will find it.
                if now.is_some() && now != *seen {
                    *seen = now;
                    changed = true;
                }
            }
            if changed {
                return;
            }
        }
    }
}

fn stamp(file: &PathBuf) -> Option<Stamp> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
