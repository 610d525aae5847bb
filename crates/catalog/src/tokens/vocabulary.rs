//! The vocabularies, as tables that are used where they lie in the binary.
//!
//! Made by the build script from `data/*.tiktoken`, OpenAI's own files
//! (<https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken>, SHA-256 446a9538…fb1a2d, and
//! `cl100k_base.tiktoken`, 223921b7…865b2a7).

use super::hash;

pub(super) static O200K_BASE: Vocabulary = Vocabulary {
    bytes: include_bytes!(concat!(env!("OUT_DIR"), "/o200k_base.bytes")),
    starts: include_bytes!(concat!(env!("OUT_DIR"), "/o200k_base.starts")),
    slots: include_bytes!(concat!(env!("OUT_DIR"), "/o200k_base.slots")),
};

pub(super) static CL100K_BASE: Vocabulary = Vocabulary {
    bytes: include_bytes!(concat!(env!("OUT_DIR"), "/cl100k_base.bytes")),
    starts: include_bytes!(concat!(env!("OUT_DIR"), "/cl100k_base.starts")),
    slots: include_bytes!(concat!(env!("OUT_DIR"), "/cl100k_base.slots")),
};

/// Tokens by their bytes. Numbers are `u32` in little endian.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// All tokens, in the order of their ranks.
    bytes: &'static [u8],
    /// Where each token begins in `bytes`; one more for the end.
    starts: &'static [u8],
    /// Open-addressed hash table, a power of two long; see [`hash`] for a slot's content. 0 is empty.
    slots: &'static [u8],
}

impl Vocabulary {
    /// The rank of the token that is exactly these bytes.
    pub(super) fn rank(&self, token: &[u8]) -> Option<u32> {
        let hash = hash::hash(token);
        let tag = hash::tag(hash);
        let size = self.slots.len() / 4;
        let mut slot = hash::first_slot(hash, size);
        loop {
            let content = number(self.slots, slot)?;
            if content == 0 {
                return None;
            }
            if hash::slot_tag(content) == tag {
                let rank = hash::rank(content);
                if self.token(rank) == Some(token) {
                    return Some(rank);
                }
            }
            slot = (slot + 1) & (size - 1);
        }
    }

    fn token(&self, rank: u32) -> Option<&'static [u8]> {
        let rank = rank as usize;
        let (start, end) = (number(self.starts, rank)?, number(self.starts, rank + 1)?);
        self.bytes.get(start as usize..end as usize)
    }
}

fn number(table: &[u8], index: usize) -> Option<u32> {
    let bytes = table.get(index * 4..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}
