//! Byte-pair encoding, counting only: the pair of neighbours that forms the token of the lowest rank is merged
//! until none does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::vocabulary::Vocabulary;

/// Longest piece that is merged by looking at all pairs each time; beyond it a heap finds the next pair, so that a
/// megabyte of one letter takes no quadratic time.
const SHORT: usize = 48;

/// No pair here forms a token.
const NONE: u32 = u32::MAX;

/// Counts tokens; keeps its buffers from piece to piece.
#[derive(Debug, Default)]
pub(super) struct Counter {
    /// Start of each part, and the rank of the token that it forms with the next one.
    parts: Vec<(usize, u32)>,
    /// For long pieces: by start of a part, where its neighbours start.
    links: Vec<Link>,
    heap: BinaryHeap<Reverse<(u32, usize)>>,
}

/// A part of a long piece, found under its first byte.
#[derive(Clone, Copy, Debug)]
struct Link {
    previous: usize,
    /// One past the part's last byte; where the next one starts.
    end: usize,
    /// Rank of the pair with the next part; entries of the heap with another rank are out of date.
    rank: u32,
}

impl Counter {
    pub(super) fn count(&mut self, vocabulary: &Vocabulary, piece: &[u8]) -> u64 {
        if piece.len() <= 1 || vocabulary.rank(piece).is_some() {
            return u64::from(!piece.is_empty());
        }
        if piece.len() <= SHORT {
            self.merge_short(vocabulary, piece)
        } else {
            self.merge_long(vocabulary, piece)
        }
    }

    fn merge_short(&mut self, vocabulary: &Vocabulary, piece: &[u8]) -> u64 {
        let rank = |start: usize, end: usize| piece.get(start..end).and_then(|pair| vocabulary.rank(pair));
        let parts = &mut self.parts;
        parts.clear();
        // Two more starts than parts, so that the end of every pair can be looked up.
        parts.extend((0..=piece.len()).map(|start| (start, rank(start, start + 2).unwrap_or(NONE))));
        loop {
            let pairs = parts.iter().map(|(_, rank)| *rank).enumerate();
            let Some((at, _)) = pairs.filter(|(_, rank)| *rank != NONE).min_by_key(|(at, rank)| (*rank, *at))
            else {
                break;
            };
            // Part `at` takes in the one behind it; ranks of the pairs on both sides change.
            parts.remove(at + 1);
            let start_of = |parts: &[(usize, u32)], at: usize| parts.get(at).map(|(start, _)| *start);
            for pair in [Some(at), at.checked_sub(1)].into_iter().flatten() {
                let new = start_of(parts, pair)
                    .zip(start_of(parts, pair + 2))
                    .and_then(|(start, end)| rank(start, end))
                    .unwrap_or(NONE);
                if let Some((_, rank)) = parts.get_mut(pair) {
                    *rank = new;
                }
            }
        }
        (parts.len() - 1) as u64
    }

    fn merge_long(&mut self, vocabulary: &Vocabulary, piece: &[u8]) -> u64 {
        let rank = |start: usize, end: usize| piece.get(start..end).and_then(|pair| vocabulary.rank(pair));
        let Self { links, heap, .. } = self;
        heap.clear();
        links.clear();
        for start in 0..piece.len() {
            let rank = rank(start, start + 2).unwrap_or(NONE);
            links.push(Link { previous: start.wrapping_sub(1), end: start + 1, rank });
            if rank != NONE {
                heap.push(Reverse((rank, start)));
            }
        }
        let mut count = piece.len() as u64;
        while let Some(Reverse((lowest, start))) = heap.pop() {
            let Some(first) = links.get(start).copied().filter(|link| link.rank == lowest) else { continue };
            let Some(second) = links.get(first.end).copied() else { continue };
            count -= 1;
            // The second part disappears; no entry of the heap may find it.
            if let Some(link) = links.get_mut(first.end) {
                link.rank = NONE;
            }
            if let Some(link) = links.get_mut(start) {
                link.end = second.end;
            }
            if let Some(link) = links.get_mut(second.end) {
                link.previous = start;
            }
            for part in [start, first.previous] {
                let next = links.get(part).map(|link| link.end);
                let end = next.and_then(|next| links.get(next)).map(|link| link.end);
                let new = end.and_then(|end| rank(part, end)).unwrap_or(NONE);
                if let Some(link) = links.get_mut(part) {
                    link.rank = new;
                    if new != NONE {
                        heap.push(Reverse((new, part)));
                    }
                }
            }
        }
        count
    }
}
