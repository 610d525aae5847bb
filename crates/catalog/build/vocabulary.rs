//! A `.tiktoken` file (base64 of a token, its rank; one a line) → a read-only hash table that is used where it
//! lies, without loading.

use std::error::Error;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hash;

/// See `tokens::vocabulary` for the layout.
pub(crate) struct Table {
    pub(crate) bytes: Vec<u8>,
    pub(crate) starts: Vec<u8>,
    pub(crate) slots: Vec<u8>,
}

pub(crate) fn generate(text: &str) -> Result<Table, Box<dyn Error>> {
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (token, rank) = line.split_once(' ').ok_or("a line without a rank")?;
        if rank.parse::<usize>()? != number {
            return Err(format!("line {} has rank {rank}: ranks must be consecutive", number + 1).into());
        }
        bytes.extend(STANDARD.decode(token)?);
        ends.push(bytes.len());
    }
    let count = ends.len();
    let size = (count + count / 4).next_power_of_two();
    let mut slots = vec![0_u32; size];
    let mut start = 0;
    for (rank, end) in ends.iter().copied().enumerate() {
        let hash = hash::hash(bytes.get(start..end).unwrap_or_default());
        let first = hash::first_slot(hash, size);
        let entry = hash::entry(hash, u32::try_from(rank)?).ok_or("more tokens than a slot can number")?;
        let (before, from) = slots.split_at_mut(first);
        let free = from.iter_mut().chain(before).find(|slot| **slot == 0);
        *free.ok_or("the table is full")? = entry;
        start = end;
    }
    let starts = std::iter::once(0).chain(ends).map(u32::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(Table {
        bytes,
        starts: starts.into_iter().flat_map(u32::to_le_bytes).collect(),
        slots: slots.into_iter().flat_map(u32::to_le_bytes).collect(),
    })
}
