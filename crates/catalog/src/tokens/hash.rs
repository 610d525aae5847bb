//! The hash table of a vocabulary. Shared with the build script, which fills it.

/// Bits of a slot that hold rank + 1; the others hold part of the hash, so that most wrong slots are passed over
/// without looking at the token.
const RANK_BITS: u32 = 18;

pub(crate) fn hash(token: &[u8]) -> u64 {
    // FNV-1a over eight bytes at a time, with a final mix so that the upper bits depend on all of them.
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325 ^ token.len() as u64;
    for chunk in token.chunks(8) {
        let mut word = 0_u64;
        for byte in chunk {
            word = word << 8 | u64::from(*byte);
        }
        hash = (hash ^ word).wrapping_mul(PRIME);
        hash ^= hash >> 29;
    }
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 32
}

pub(crate) fn first_slot(hash: u64, size: usize) -> usize {
    usize::try_from(hash % size as u64).unwrap_or_default()
}

/// The slot's content for a token; `None` when the rank is too large.
#[allow(dead_code, reason = "only the build script fills the table")]
pub(crate) fn entry(hash: u64, rank: u32) -> Option<u32> {
    let number = rank + 1;
    (number < 1 << RANK_BITS).then(|| tag(hash) | number)
}

pub(crate) fn tag(hash: u64) -> u32 {
    let upper = u32::try_from(hash >> 40 & 0xffff_ffff).unwrap_or_default();
    upper << RANK_BITS
}

/// The rank in a slot that is not empty.
#[allow(dead_code, reason = "only the library reads the table")]
pub(crate) fn rank(slot: u32) -> u32 {
    (slot & ((1 << RANK_BITS) - 1)).wrapping_sub(1)
}

/// The part of the hash in a slot, to compare with [`tag`].
#[allow(dead_code, reason = "only the library reads the table")]
pub(crate) fn slot_tag(slot: u32) -> u32 {
    slot & !((1 << RANK_BITS) - 1)
}
