//! Which account of a provider has what the provider keeps for its clients, or what only it can read: stored responses,
//! uploaded files, its own reasoning.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use dialects::conversation::Seal;

/// Marks that are remembered; the oldest are forgotten first. A request that refers to something forgotten is tried at
/// one account after the other, since those that do not know it say so.
const CAPACITY: usize = 100_000;

/// What stands for an id or for sealed reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark(u64);

impl Mark {
    pub(crate) fn of_response(id: &str) -> Self {
        Self(Seal::mark(id).wrapping_add(1))
    }

    pub(crate) fn of_file(id: &str) -> Self {
        Self(Seal::mark(id).wrapping_add(2))
    }

    pub(crate) fn of_seal(mark: u64) -> Self {
        Self(mark)
    }
}

/// A provider's address together with the key to it: deployments that have these in common know each other's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Account(pub(crate) u64);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Whereabouts {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    accounts: HashMap<Mark, Account>,
    order: VecDeque<Mark>,
}

impl Whereabouts {
    /// That account has it.
    pub(crate) fn remember(&self, mark: Mark, account: Account) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.accounts.insert(mark, account).is_none() {
            known.order.push_back(mark);
        }
        if known.order.len() > CAPACITY
            && let Some(oldest) = known.order.pop_front()
        {
            known.accounts.remove(&oldest);
        }
    }

    /// Who has it.
    #[must_use]
    pub(crate) fn of(&self, mark: Mark) -> Option<Account> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).accounts.get(&mark).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let whereabouts = Whereabouts::default();
        let (east, west) = (Account(1), Account(2));
        let mark = |number: usize| Mark::of_response(&number.to_string());
        whereabouts.remember(mark(0), east);
        for number in 1..CAPACITY {
            whereabouts.remember(mark(number), west);
        }
        assert_eq!(whereabouts.of(mark(0)), Some(east));
        whereabouts.remember(mark(CAPACITY), west);
        assert_eq!(whereabouts.of(mark(0)), None);
        assert_eq!(whereabouts.of(mark(1)), Some(west));
    }

    #[test]
    fn a_file_is_no_response() {
        assert_ne!(Mark::of_file("a"), Mark::of_response("a"));
    }
}
