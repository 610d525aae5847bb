//! Time as an argument: nothing in this crate reads a clock.

use std::time::Duration;

/// A point in time on the caller's monotonic clock, counted from any fixed beginning (the start of the process).
///
/// All moments given to one [`Fleet`](crate::Fleet) must come from the same clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The moment this long after the clock's beginning.
    #[must_use]
    pub const fn after_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// Time since the clock's beginning.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// Time since `earlier`; zero if that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    pub(crate) fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// The first whole millisecond that is not before this moment.
    pub(crate) fn millis_up(self) -> u64 {
        let is_whole = self.0.subsec_nanos().is_multiple_of(1_000_000);
        self.millis().saturating_add(u64::from(!is_whole))
    }

    pub(crate) fn of_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(length))
    }
}
