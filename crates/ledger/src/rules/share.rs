//! What one of several instances may use of a limit without asking: a part that was lent to it.
//!
//! What is lent covers what the instance holds, what it used and has not told yet, and what is free. So all that is
//! lent, and all that was told, together never exceed the limit, whatever the instances do meanwhile.

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::leased::Leased;
use super::ledger::Charge;

/// What is lent a part of. Its JSON names it for all instances.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Nano-dollars of a budget's window.
    Spend(Charge),
    /// Requests of any minute.
    Requests(Account),
    /// Tokens of any minute.
    Tokens(Account),
    /// Requests at the same time.
    Parallel(Account),
}

/// How what is used of a resource comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Return {
    /// Never: it is another resource in the next window.
    Never,
    /// After a minute.
    AfterAMinute,
    /// When it is released.
    AtOnce,
}

impl Resource {
    #[must_use]
    pub fn returns(&self) -> Return {
        match self {
            Self::Spend(_) => Return::Never,
            Self::Requests(_) | Self::Tokens(_) => Return::AfterAMinute,
            Self::Parallel(_) => Return::AtOnce,
        }
    }
}

/// This instance's part of a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) lent: i64,
    /// Used, and not told yet; of spend, not booked yet.
    pub(crate) untold: i64,
    /// Of spend: what the database has of this instance's; the rest of it is in `untold`. `None`: that is not known yet.
    pub(crate) booked: Option<i64>,
    /// How often something had been held or let go when that was last told.
    pub(crate) told_moves: u64,
    /// What is known of all instances: told, and lent to nobody. `None`: nobody asked yet.
    pub(crate) known: Option<Known>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) used: i64,
    pub(crate) room: i64,
}

impl Share {
    pub(crate) fn standing(&self, max: i64, held: &Leased, used: i64) -> Standing {
        Standing {
            max,
            lent: self.lent,
            untold: self.untold,
            held: held.total(),
            moves: held.moves(),
            used,
            booked: self.booked,
        }
    }

    /// The database has `more` of what this instance spent, `sum` in all: that needs no lease any more.
    pub(crate) fn book(&mut self, more: i64, sum: i64) {
        let told = more.min(self.untold).max(0);
        self.untold -= told;
        let since = match self.booked {
            None => told,
            // Less than before: the sum began anew, since the former was old.
            Some(before) if sum < before => more,
            Some(before) => sum.saturating_sub(before),
        };
        self.lent = self.lent.saturating_sub(since).max(0);
        self.booked = Some(sum);
    }

    /// What may be used beside what is held.
    pub(crate) fn free(&self, held: i64) -> i64 {
        self.lent.saturating_sub(self.untold).saturating_sub(held)
    }
}

/// How a resource stands on this instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) max: i64,
    pub(crate) lent: i64,
    pub(crate) untold: i64,
    pub(crate) held: i64,
    /// How often something was held or let go.
    pub(crate) moves: u64,
    /// As this instance knows it.
    pub(crate) used: i64,
    /// As in [`Share`].
    pub(crate) booked: Option<i64>,
}

impl Standing {
    pub(crate) fn busy(&self) -> i64 {
        self.untold.saturating_add(self.held).max(0)
    }
}
