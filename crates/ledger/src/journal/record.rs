//! A booking as bytes: length, checksum, payload.

use super::compact;
use crate::booking::Booking;

/// Length and checksum.
const HEAD: usize = 8;
/// The largest payload: what is larger was not written by us.
const MAX_PAYLOAD: usize = 16 * 1024 * 1024;

/// What most bookings need.
const USUAL_BYTES: usize = 512;

pub(super) fn write(booking: &Booking) -> Result<Vec<u8>, String> {
    let mut record = Vec::with_capacity(USUAL_BYTES);
    record.resize(HEAD, 0);
    compact::write(booking, &mut record);
    let payload = record.len() - HEAD;
    if payload > MAX_PAYLOAD {
        return Err(format!("it has {payload} bytes, {MAX_PAYLOAD} are the most"));
    }
    let length = u32::try_from(payload).map_err(|error| error.to_string())?.to_le_bytes();
    let (head, payload) = record.split_at_mut(HEAD);
    let (length_field, checksum_field) = head.split_at_mut(length.len());
    length_field.copy_from_slice(&length);
    checksum_field.copy_from_slice(&checksum(length, payload).to_le_bytes());
    Ok(record)
}

/// What stands at the beginning of some bytes.
#[derive(Debug)]
pub(super) enum Read<'a> {
    /// A whole booking, and what follows.
    Booking(Box<Booking>, &'a [u8]),
    /// Nothing more.
    End,
    /// No whole record.
    Broken,
}

pub(super) fn read(bytes: &[u8]) -> Read<'_> {
    if bytes.is_empty() {
        return Read::End;
    }
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Read::Broken };
    let Some((stored, rest)) = rest.split_first_chunk::<4>() else { return Read::Broken };
    let payload = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if payload > MAX_PAYLOAD {
        return Read::Broken;
    }
    let Some((payload, rest)) = rest.split_at_checked(payload) else { return Read::Broken };
    if u32::from_le_bytes(*stored) != checksum(*length, payload) {
        return Read::Broken;
    }
    let booking = match payload.first() {
        Some(&compact::VERSION) => compact::read(payload),
        // As it was written before there was a version.
        _ => serde_json::from_slice(payload).ok(),
    };
    booking.map_or(Read::Broken, |booking| Read::Booking(Box::new(booking), rest))
}

/// Of length and payload, so that a row of zeros is no record.
fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::booking;

    #[test]
    fn a_journal_of_the_first_format_is_still_read() {
        let booking = booking("r1", 7);
        let payload = serde_json::to_vec(&booking).unwrap();
        let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
        let record = [&length[..], &checksum(length, &payload).to_le_bytes(), &payload].concat();
        let Read::Booking(found, []) = read(&record) else { panic!("no booking") };
        assert_eq!(*found, booking);
    }
}
