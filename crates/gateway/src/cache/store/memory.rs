//! Answers in this process's memory, bounded in bytes; the least useful go first (moka's W-TinyLFU).

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;

use super::{Store, Work, Write};
use crate::cache::{Entry, Key, now_ms};

#[derive(Debug)]
pub(super) struct Memory {
    entries: Cache<[u8; 32], Arc<Entry>>,
}

impl Memory {
    /// `max_entries` is kept by giving each entry at least its share of the bytes.
    pub(super) fn new(max_bytes: u64, max_entries: Option<u64>) -> Self {
        let least = max_entries.map_or(0, |entries| max_bytes.div_ceil(entries.max(1)));
        let weigh = move |_: &[u8; 32], entry: &Arc<Entry>| {
            u32::try_from(entry.size().max(least)).unwrap_or(u32::MAX)
        };
        let entries =
            Cache::builder().max_capacity(max_bytes).weigher(weigh).expire_after(UntilExpired).build();
        Self { entries }
    }
}

/// Each entry says itself how long it is kept.
struct UntilExpired;

impl UntilExpired {
    fn left(entry: &Entry) -> Duration {
        Duration::from_millis(entry.expires_ms.saturating_sub(now_ms()))
    }
}

impl Expiry<[u8; 32], Arc<Entry>> for UntilExpired {
    fn expire_after_create(&self, _: &[u8; 32], entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(Self::left(entry))
    }

    fn expire_after_update(
        &self,
        _: &[u8; 32],
        entry: &Arc<Entry>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(Self::left(entry))
    }
}

impl Store for Memory {
    fn name(&self) -> &'static str {
        "local"
    }

    fn is_instant(&self) -> bool {
        true
    }

    fn get<'s>(&'s self, keys: &'s [Key]) -> Work<'s, Vec<Option<Arc<Entry>>>> {
        Box::pin(async move { Ok(keys.iter().map(|key| self.entries.get(&key.digest())).collect()) })
    }

    fn put<'s>(&'s self, writes: &'s [Write]) -> Work<'s, ()> {
        Box::pin(async move {
            for write in writes {
                self.entries.insert(write.key.digest(), Arc::clone(&write.entry));
            }
            Ok(())
        })
    }

    fn delete<'s>(&'s self, keys: &'s [Key]) -> Work<'s, ()> {
        Box::pin(async move {
            for key in keys {
                self.entries.invalidate(&key.digest());
            }
            Ok(())
        })
    }

    fn clear(&self) -> Work<'_, ()> {
        Box::pin(async move {
            self.entries.invalidate_all();
            Ok(())
        })
    }

    fn ping(&self) -> Work<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Facts, KeyWriter};
    use super::*;

    fn key(number: u32) -> Key {
        let mut writer = KeyWriter::default();
        writer.part("number", &number.to_le_bytes());
        writer.finish(None)
    }

    fn entry(bytes: usize) -> Arc<Entry> {
        Entry::new(Facts::default(), vec![b'x'; bytes].into(), Duration::from_secs(60))
    }

    #[test]
    fn bytes_and_entries_are_bounded() {
        let fill = |memory: &Memory| {
            for number in 0..1000 {
                memory.entries.insert(key(number).digest(), entry(744));
            }
            memory.entries.run_pending_tasks();
            memory.entries.entry_count()
        };
        assert_eq!(fill(&Memory::new(100_000, None)), 100);
        assert_eq!(fill(&Memory::new(100_000, Some(7))), 6, "the share is rounded up");
    }

    #[test]
    fn an_entry_lives_as_long_as_it_says() {
        let left = |ttl| UntilExpired::left(&Entry::new(Facts::default(), "x".into(), ttl));
        assert!(left(Duration::from_secs(60)) > Duration::from_secs(59));
        assert_eq!(left(Duration::ZERO), Duration::ZERO);
    }
}
