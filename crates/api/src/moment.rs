//! Dates and times as the API writes and reads them; UTC.

use std::time::Duration;

use ledger::rules::time::{Day, Timestamp};

/// `2026-11-21T09:43:53.120000Z`
#[must_use]
pub fn iso(at: Timestamp) -> String {
    let in_day = at.0.rem_euclid(86_400_000);
    let (seconds, millis) = (in_day / 1000, in_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{}T{hour:02}:{minute:02}:{second:02}.{millis:03}000Z", at.day())
}

/// Reads `2026-11-21`, `2026-11-21 09:43:53`, `2026-11-21T09:43:53.12Z`, and times with an offset (`+01:00`).
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let (date, time) = text.split_at_checked(10)?;
    let day = day(date)?;
    if time.is_empty() {
        return Some(day.start());
    }
    let time = time.strip_prefix(['T', 't', ' '])?;
    let (time, offset_minutes) = offset(time)?;
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = whole.split(':');
    let (hour, minute) = (number(parts.next()?, 23)?, number(parts.next()?, 59)?);
    let second = parts.next().map_or(Some(0), |text| number(text, 60))?;
    if parts.next().is_some() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let seconds = (hour * 60 + minute - offset_minutes) * 60 + second;
    Some(Timestamp(day.start().0.checked_add(seconds * 1000 + millis)?))
}

/// Reads `2026-11-21`.
#[must_use]
pub fn day(text: &str) -> Option<Day> {
    let mut parts = text.split('-');
    let (year, month, date) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let (year, month, date) = (number(year, 9999)?, number(month, 12)?, number(date, 31)?);
    if month == 0 || date == 0 {
        return None;
    }
    let day = Day(Day::first_of_month(year, month).0 + date - 1);
    // The 30th of February is none.
    (day.date() == (year, month, date)).then_some(day)
}

fn offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, 0)) };
    let (time, written) = time.split_at_checked(at)?;
    let sign = if written.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = written.get(1..)?.split_once(':')?;
    Some((time, sign * (number(hours, 23)? * 60 + number(minutes, 59)?)))
}

fn number(text: &str, most: i64) -> Option<i64> {
    let number =
        if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok()? } else { return None };
    (number <= most).then_some(number)
}

/// When something ends that begins now and lasts `30s`, `24h`, `7d` or `1mo` (the same day of a later month, or its
/// last).
#[must_use]
pub fn after(now: Timestamp, duration: &str) -> Option<Timestamp> {
    // Checks the whole of it, the unit and the most that it may be included.
    ledger::rules::period::Period::parse(duration).ok()?;
    let written = match duration.trim() {
        "hourly" => "1h",
        "daily" => "24h",
        "weekly" => "7d",
        "monthly" => "30d",
        other => other,
    };
    let digits = written.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = written.split_at_checked(digits)?;
    let count: u64 = count.parse().ok()?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return months_after(now, i64::try_from(count).ok()?),
    };
    Some(now.plus(Duration::from_secs(count * seconds)))
}

fn months_after(now: Timestamp, months: i64) -> Option<Timestamp> {
    let (year, month, date) = now.day().date();
    let month = year * 12 + month - 1 + months;
    let first = |month: i64| Day::first_of_month(month.div_euclid(12), month.rem_euclid(12) + 1);
    let last = first(month + 1).0 - 1;
    let day = Day((first(month).0 + date - 1).min(last));
    Some(Timestamp(day.start().0.checked_add(now.0.rem_euclid(86_400_000))?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_254_233_120);

    #[test]
    fn what_is_written_can_be_read() {
        assert_eq!(iso(NOW), "2026-11-21T09:43:53.120000Z");
        for text in [
            "2026-11-21T09:43:53.12Z",
            "2026-11-21 09:43:53.120",
            "2026-11-21T10:43:53.12+01:00",
            "2026-11-21T04:13:53.12-05:30",
        ] {
            assert_eq!(parse(text), Some(NOW), "{text}");
        }
        assert_eq!(parse("2026-11-21"), Some(NOW.day().start()));
        for text in
            ["", "21.11.2026", "2026-02-30", "2026-13-01", "2026-11-21T25:00:00", "2026-11-21x", "éééééééééé"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn durations_end_on_the_calendar() {
        let ends = |duration: &str| iso(after(NOW, duration).unwrap());
        assert_eq!(ends("30s"), "2026-11-21T09:44:23.120000Z");
        assert_eq!(ends("7d"), "2026-11-28T09:43:53.120000Z");
        assert_eq!(ends("1mo"), "2026-12-21T09:43:53.120000Z");
        let january = parse("2026-01-31").unwrap();
        assert_eq!(iso(after(january, "1mo").unwrap()), "2026-02-28T00:00:00.000000Z");
        assert_eq!(after(NOW, "soon"), None);
    }

    proptest! {
        #[test]
        fn every_moment_reads_back(at in 0_i64..200_000_000_000_000) {
            prop_assert_eq!(parse(&iso(Timestamp(at))), Some(Timestamp(at)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
