//! How often a budget begins anew: `30s`, `5m`, `24h`, `7d`, `1mo`.
//!
//! The window that a moment is in follows from the clock alone, so no job has to run for a budget to begin anew.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::time::{Day, Timestamp};
use super::zone::Zone;

/// The longest period: a hundred years.
const MOST_SECONDS: u64 = 100 * 366 * 86_400;
const MILLIS_PER_DAY: i64 = 86_400_000;

/// A budget's period as it was written. Windows begin where LiteLLM's do, by the clocks of a [`Zone`]:
///
/// | written | a window begins |
/// |---|---|
/// | `s`, `m`, `h` | at multiples, counted from midnight where a day holds a whole number of them; where clocks are
/// | | put forward or back that day, the last window of the day is as much shorter or longer |
/// | `1d` | at midnight |
/// | `7d`, `1w` | on Monday |
/// | `30d`, `1mo` | on the first of the month |
/// | other `d`, `w` | at midnight, counted from the day the budget was made |
/// | other `mo` | on the first of a month, counted from January of year 0: `3mo` are quarters |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    count: u32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
}

impl Unit {
    fn letter(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
            Self::Day => "d",
            Self::Week => "w",
            Self::Month => "mo",
        }
    }

    fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
            Self::Week => 7 * 86_400,
            Self::Month => 31 * 86_400,
        }
    }
}

/// From `start` to just before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    pub start: Timestamp,
    pub end: Timestamp,
}

impl Span {
    /// All times: the window of a budget without a period.
    pub const ALWAYS: Self = Self { start: Timestamp(0), end: Timestamp::MAX };

    #[must_use]
    pub fn contains(self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

/// A text is not a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPeriod(String);

impl fmt::Display for BadPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a duration; write a whole number and one of s, m, h, d, w, mo: `30s`, `24h`, `7d`, `1mo`",
            self.0
        )
    }
}

impl std::error::Error for BadPeriod {}

impl Period {
    /// Reads `<number><unit>`, or `hourly`, `daily`, `weekly`, `monthly`.
    ///
    /// # Errors
    /// When it is neither, is zero, or is longer than a hundred years.
    pub fn parse(text: &str) -> Result<Self, BadPeriod> {
        let bad = || BadPeriod(text.chars().take(40).collect());
        let written = match text.trim() {
            "hourly" => "1h",
            "daily" => "24h",
            "weekly" => "7d",
            "monthly" => "30d",
            other => other,
        };
        let digits = written.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = written.split_at_checked(digits).ok_or_else(bad)?;
        let unit = match unit {
            "s" => Unit::Second,
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            "d" => Unit::Day,
            "w" => Unit::Week,
            "mo" => Unit::Month,
            _ => return Err(bad()),
        };
        let count: u32 = count.parse().map_err(|_| bad())?;
        if count == 0 || u64::from(count) * unit.seconds() > MOST_SECONDS {
            return Err(bad());
        }
        Ok(Self { count, unit })
    }

    /// The window that `at` is in. `made` is when the budget was made: some windows are counted from that day.
    #[must_use]
    pub fn window(self, at: Timestamp, made: Timestamp, zone: &Zone) -> Span {
        match self.calendar() {
            Calendar::Millis(length) => {
                if !zone.is_utc() && MILLIS_PER_DAY % length == 0 {
                    return part_of_day(at, length, zone);
                }
                let start = at.0.div_euclid(length).saturating_mul(length);
                Span { start: Timestamp(start), end: Timestamp(start.saturating_add(length)) }
            }
            Calendar::Weeks => {
                // 1970-01-05 was a Monday.
                days(at, Day(4), 7, zone)
            }
            Calendar::Days(length) => days(at, zone.day(made), length, zone),
            Calendar::Months(length) => {
                let (year, month, _) = zone.day(at).date();
                let first = (year * 12 + month - 1).div_euclid(length) * length;
                let start_of = |months: i64| {
                    zone.start(Day::first_of_month(months.div_euclid(12), months.rem_euclid(12) + 1))
                };
                Span { start: start_of(first), end: start_of(first + length) }
            }
        }
    }

    fn calendar(self) -> Calendar {
        let count = i64::from(self.count);
        let days = |days: i64| match days {
            7 => Calendar::Weeks,
            30 => Calendar::Months(1),
            days => Calendar::Days(days),
        };
        match self.unit {
            Unit::Second => Calendar::Millis(count * 1000),
            Unit::Minute => Calendar::Millis(count * 60_000),
            Unit::Hour => Calendar::Millis(count * 3_600_000),
            Unit::Day => days(count),
            Unit::Week => days(count * 7),
            Unit::Month => Calendar::Months(count),
        }
    }
}

enum Calendar {
    Millis(i64),
    Weeks,
    Days(i64),
    Months(i64),
}

fn days(at: Timestamp, from: Day, length: i64, zone: &Zone) -> Span {
    let start = zone.day(at).0.saturating_sub(from.0).div_euclid(length) * length + from.0;
    Span { start: zone.start(Day(start)), end: zone.start(Day(start.saturating_add(length))) }
}

/// One of the windows of this length that the day of `at` is divided into.
fn part_of_day(at: Timestamp, length: i64, zone: &Zone) -> Span {
    let day = zone.day(at);
    let (midnight, next) = (zone.start(day).0, zone.start(Day(day.0 + 1)).0);
    // A day on which clocks change is an hour longer or shorter; half a window or more is one of its own.
    let parts = ((next - midnight + length / 2) / length).max(1);
    let part = ((at.0 - midnight) / length).clamp(0, parts - 1);
    let end = if part == parts - 1 { next } else { midnight + (part + 1) * length };
    Span { start: Timestamp(midnight + part * length), end: Timestamp(end) }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, self.unit.letter())
    }
}

impl std::str::FromStr for Period {
    type Err = BadPeriod;

    fn from_str(text: &str) -> Result<Self, BadPeriod> {
        Self::parse(text)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Saturday.
    const NOW: Timestamp = Timestamp(1_795_254_233_999);

    fn window(period: &str) -> String {
        let made = Timestamp(NOW.0 - 3 * 86_400_000);
        let span = Period::parse(period).unwrap().window(NOW, made, &Zone::UTC);
        format!("{} – {}", span.start, span.end).replace(" UTC", "").replace(":00:00", ":00")
    }

    #[test]
    fn windows_begin_where_litellms_do() {
        assert_eq!(window("30s"), "2026-11-21 09:43:30 – 2026-11-21 09:44:00");
        assert_eq!(window("5m"), "2026-11-21 09:40:00 – 2026-11-21 09:45:00");
        assert_eq!(window("1h"), "2026-11-21 09:00 – 2026-11-21 10:00");
        assert_eq!(window("24h"), "2026-11-21 00:00 – 2026-11-22 00:00");
        assert_eq!(window("1d"), "2026-11-21 00:00 – 2026-11-22 00:00");
        assert_eq!(window("7d"), "2026-11-16 00:00 – 2026-11-23 00:00");
        assert_eq!(window("1w"), "2026-11-16 00:00 – 2026-11-23 00:00");
        assert_eq!(window("30d"), "2026-11-01 00:00 – 2026-12-01 00:00");
        assert_eq!(window("1mo"), "2026-11-01 00:00 – 2026-12-01 00:00");
        assert_eq!(window("3mo"), "2026-10-01 00:00 – 2027-01-01 00:00");
        assert_eq!(window("14d"), "2026-11-18 00:00 – 2026-12-02 00:00");
        assert_eq!(window("2d"), "2026-11-20 00:00 – 2026-11-22 00:00");
    }

    #[test]
    fn what_is_no_period_says_what_to_write() {
        for text in ["", "5", "d", "0d", "-1d", "1.5h", "1y", "30 d", "99999999999d", "4000000000s", "1é"] {
            let error = Period::parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("`1mo`"), "{error}");
        }
    }

    #[test]
    fn windows_begin_where_the_zones_days_do() {
        // In New York it is 04:43 of the same Saturday, five hours behind UTC; in India 15:13.
        for (zone, period, expected) in [
            ("America/New_York", "1d", "2026-11-21 05:00 – 2026-11-22 05:00"),
            ("America/New_York", "24h", "2026-11-21 05:00 – 2026-11-22 05:00"),
            ("America/New_York", "7d", "2026-11-16 05:00 – 2026-11-23 05:00"),
            // Summer time ended on the first of November.
            ("America/New_York", "1mo", "2026-11-01 04:00 – 2026-12-01 05:00"),
            ("America/New_York", "14d", "2026-11-18 05:00 – 2026-12-02 05:00"),
            ("America/New_York", "12h", "2026-11-21 05:00 – 2026-11-21 17:00"),
            ("Asia/Kolkata", "1h", "2026-11-21 09:30 – 2026-11-21 10:30"),
            ("Asia/Kolkata", "7m", "2026-11-21 09:38 – 2026-11-21 09:45"),
            // Thirteen hours ahead: 22:43.
            ("Pacific/Auckland", "1d", "2026-11-20 11:00 – 2026-11-21 11:00"),
        ] {
            let made = Timestamp(NOW.0 - 3 * 86_400_000);
            let span = Period::parse(period).unwrap().window(NOW, made, &Zone::named(zone).unwrap());
            let text = format!("{} – {}", span.start, span.end).replace(":00 UTC", "");
            assert_eq!(text, expected, "{zone} {period}");
        }
    }

    #[test]
    fn a_day_on_which_clocks_change_has_whole_windows() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        // 2026-10-25 has 25 hours: 22:00 UTC of the 24th to 23:00 UTC.
        let noon = Timestamp(Day::first_of_month(2026, 10).start().0 + 24 * 86_400_000 + 12 * 3_600_000);
        let hours = |period: &str| {
            let span = Period::parse(period).unwrap().window(noon, Timestamp(0), &berlin);
            (span.end.0 - span.start.0) / 3_600_000
        };
        assert_eq!([hours("24h"), hours("1d"), hours("12h"), hours("1h")], [25, 25, 13, 1]);
    }

    proptest! {
        #[test]
        fn windows_cover_all_times_without_overlap(
            text in "[1-9][0-9]?(s|m|h|d|w|mo)",
            at in -1_000_000_000_000_i64..4_000_000_000_000,
            made in 0..2_000_000_000_000_i64,
            // Half an hour of summer time, at midnight, a skipped day, and none of this.
            zone in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe",
                "America/Sao_Paulo", "America/St_Johns", "Pacific/Apia", "Africa/Cairo",
            ]),
        ) {
            let period = Period::parse(&text).unwrap();
            let zone = Zone::named(zone).unwrap();
            prop_assert_eq!(period.to_string(), text);
            let made = Timestamp(made);
            let span = period.window(Timestamp(at), made, &zone);
            prop_assert!(span.contains(Timestamp(at)));
            prop_assert_eq!(period.window(span.start, made, &zone), span);
            prop_assert_eq!(period.window(span.end, made, &zone).start, span.end);
            prop_assert_eq!(period.window(Timestamp(span.start.0 - 1), made, &zone).end, span.start);
        }
    }
}
