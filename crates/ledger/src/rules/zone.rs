//! Where days begin: budgets with windows of days, weeks and months begin anew at midnight by the clocks of a place.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::time::{Day, Timestamp};

/// A time zone of IANA's database, which is part of the program: no file of the machine is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone(Option<TimeZone>);

/// A text is not the name of a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadZone(String);

impl fmt::Display for BadZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a time zone; write a name such as `Europe/Berlin` or `UTC`", self.0)
    }
}

impl std::error::Error for BadZone {}

/// A moment, and whose clocks tell the day that it is on.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    pub now: Timestamp,
    pub zone: Zone,
}

impl Zone {
    pub const UTC: Self = Self(None);

    /// The zone of this name: `Europe/Berlin`.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Self, BadZone> {
        if name.eq_ignore_ascii_case("utc") {
            return Ok(Self::UTC);
        }
        let zone = jiff::tz::db().get(name);
        zone.map(|zone| Self(Some(zone))).map_err(|_| BadZone(name.chars().take(40).collect()))
    }

    #[must_use]
    pub fn is_utc(&self) -> bool {
        self.0.is_none()
    }

    /// The day that a moment is on. Days follow each other without gap or overlap, also where clocks are put back over
    /// midnight: then the later day begins when midnight first strikes.
    #[must_use]
    pub fn day(&self, at: Timestamp) -> Day {
        let Some(zone) = &self.0 else { return at.day() };
        let Ok(instant) = jiff::Timestamp::from_millisecond(at.0) else { return at.day() };
        let ahead = i64::from(zone.to_offset(instant).seconds()) * 1000;
        let mut day = Timestamp(at.0.saturating_add(ahead)).day();
        while at < self.start(day) {
            day.0 -= 1;
        }
        while self.start(Day(day.0 + 1)) <= at {
            day.0 += 1;
        }
        day
    }

    /// A day's first moment.
    #[must_use]
    pub fn start(&self, day: Day) -> Timestamp {
        self.midnight(day).unwrap_or_else(|| day.start())
    }

    /// `None`: in UTC, or beyond the years that clocks know.
    fn midnight(&self, day: Day) -> Option<Timestamp> {
        let zone = self.0.as_ref()?;
        let (year, month, day) = day.date();
        let date =
            Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
        // Where midnight is left out the day begins as soon as it can, where it comes twice at the first.
        let midnight = zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0)).compatible().ok()?;
        Some(Timestamp(midnight.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(Zone::named("UTC"), Ok(Zone::UTC));
        assert!(Zone::named("Europe/Berlin").is_ok() && Zone::named("US/Pacific").is_ok());
        let error = Zone::named("Mars/Olympus").unwrap_err().to_string();
        assert!(error.contains("`Mars/Olympus`") && error.contains("`Europe/Berlin`"), "{error}");
    }

    #[test]
    fn midnight_that_is_left_out_comes_as_soon_as_it_can() {
        // In Cairo clocks went from 00:00 to 01:00 on 2026-04-24, which is 22:00 UTC of the day before.
        let cairo = Zone::named("Africa/Cairo").unwrap();
        let day = Day(Day::first_of_month(2026, 4).0 + 23);
        assert_eq!(cairo.start(day).to_string(), "2026-04-23 22:00:00 UTC");
        assert_eq!(cairo.day(cairo.start(day)), day);
        assert_eq!(cairo.day(Timestamp(cairo.start(day).0 - 1)), Day(day.0 - 1));
    }
}
