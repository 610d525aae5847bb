//! Numbers into decimal text, without the formatting machinery: a request's headers, log line and invoice hold dozens.

use std::fmt;
use std::time::Duration;

/// A number as text, on the stack. It is written from its end to its beginning.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    text: [u8; Self::LONGEST],
    start: usize,
    end: usize,
}

impl Decimal {
    /// A sign, the 20 digits of a 64-bit number, a point, and 30 decimal places.
    const LONGEST: usize = 52;

    /// A whole number.
    #[must_use]
    pub fn of(number: u64) -> Self {
        let mut text = Self::empty();
        text.put_before(number, 1);
        text
    }

    /// A number with `places` decimals (at most 30), of which `fraction` are the last: `fixed(12, 3, 3)` is `12.003`.
    #[must_use]
    pub fn fixed(whole: u64, fraction: u128, places: usize) -> Self {
        /// Dividing 128 bits is slow: once for many digits.
        const CHUNK: u128 = 10_u128.pow(18);
        const CHUNK_PLACES: usize = 18;
        let mut text = Self::empty();
        let (mut rest, mut width) = (fraction, places);
        while rest > u128::from(u64::MAX) {
            text.put_before(u64::try_from(rest % CHUNK).unwrap_or_default(), CHUNK_PLACES);
            (rest, width) = (rest / CHUNK, width.saturating_sub(CHUNK_PLACES));
        }
        text.put_before(u64::try_from(rest).unwrap_or_default(), width);
        text.put_byte_before(b'.');
        text.put_before(whole, 1);
        text
    }

    /// A duration in milliseconds, with three decimals.
    #[must_use]
    pub fn milliseconds(duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self::fixed(micros / 1000, u128::from(micros % 1000), 3)
    }

    /// Without zeros at the end, but for one behind the point.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        while let Some([before, b'0']) = self.text.get(self.end.saturating_sub(2)..self.end)
            && *before != b'.'
        {
            self.end -= 1;
        }
        self
    }

    /// With a minus in front.
    #[must_use]
    pub fn negative(mut self) -> Self {
        self.put_byte_before(b'-');
        self
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(self.start..self.end).unwrap_or_default()
    }

    fn empty() -> Self {
        Self { text: [b'0'; Self::LONGEST], start: Self::LONGEST, end: Self::LONGEST }
    }

    /// Puts `number` before what is there, with zeros before it up to `width` digits.
    fn put_before(&mut self, number: u64, width: usize) {
        let (mut rest, behind) = (number, self.start);
        while rest > 0 || behind - self.start < width {
            self.put_byte_before(b'0' + u8::try_from(rest % 10).unwrap_or_default());
            rest /= 10;
        }
    }

    fn put_byte_before(&mut self, byte: u8) {
        self.start = self.start.saturating_sub(1);
        if let Some(place) = self.text.get_mut(self.start) {
            *place = byte;
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(self.as_bytes()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whole_numbers_are_written_as_the_standard_library_does(number: u64) {
            prop_assert_eq!(Decimal::of(number).to_string(), number.to_string());
        }

        #[test]
        fn so_are_decimals_of_any_width(whole: u64, places in 1_usize..=30, digits: u128) {
            let fraction = digits % 10_u128.pow(u32::try_from(places).unwrap());
            let text = Decimal::fixed(whole, fraction, places);
            prop_assert_eq!(text.to_string(), format!("{whole}.{fraction:0places$}"));
            prop_assert_eq!(text.negative().to_string(), format!("-{whole}.{fraction:0places$}"));
        }
    }

    #[test]
    fn durations_have_three_decimals() {
        let text = |duration| Decimal::milliseconds(duration).to_string();
        assert_eq!(text(Duration::from_nanos(12_003_456)), "12.003");
        assert_eq!(text(Duration::from_micros(1_000_070)), "1000.070");
        assert_eq!(text(Duration::ZERO), "0.000");
        assert_eq!(text(Duration::MAX), "18446744073709551.615");
    }

    #[test]
    fn zeros_at_the_end_go_but_for_the_first_place() {
        for (fraction, text) in [(0, "7.0"), (100, "7.1"), (120, "7.12"), (3, "7.003"), (10, "7.01")] {
            assert_eq!(Decimal::fixed(7, fraction, 3).trimmed().to_string(), text);
        }
        assert_eq!(Decimal::fixed(100, 0, 9).trimmed().to_string(), "100.0");
    }
}
