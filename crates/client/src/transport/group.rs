//! Which connections a thread uses.
//!
//! A socket wakes the thread of the runtime that it was opened on. Where every thread has a runtime of its own, a
//! connection that another thread opened would work, but each piece of an answer would be handed over. So threads can
//! keep their connections to themselves.

use std::cell::Cell;

thread_local! {
    static GROUP: Cell<usize> = const { Cell::new(0) };
}

/// From now on the calling thread uses its own connections, which it shares with threads that give the same number.
/// Threads that never call this share number 0. Numbers should be small and without gaps.
pub fn keep_own_connections(number: usize) {
    GROUP.set(number);
}

pub(super) fn group() -> usize {
    GROUP.get()
}
