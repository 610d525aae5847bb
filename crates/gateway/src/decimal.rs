//! Whole numbers into text, without the formatting machinery: a request's log line and headers hold a dozen.

use std::time::Duration;

use catalog::NanoUsd;

/// A number as text, on the stack. It is written from its end to its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    text: [u8; 24],
    start: usize,
}

impl Decimal {
    /// A number in decimal.
    #[must_use]
    pub(crate) fn of(number: u64) -> Self {
        Self::empty().before(number, 1)
    }

    /// A duration in milliseconds with three decimals.
    #[must_use]
    pub(crate) fn milliseconds(duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self::empty().before(micros % 1000, 3).byte_before(b'.').before(micros / 1000, 1)
    }

    /// An amount in USD, as it shows itself everywhere: with as many decimals as it needs, and at least one.
    #[must_use]
    pub(crate) fn usd(amount: NanoUsd) -> Self {
        const NANO: u64 = 1_000_000_000;
        let units = amount.0.unsigned_abs();
        let (mut fraction, mut places) = (units % NANO, 9);
        while places > 1 && fraction % 10 == 0 {
            fraction /= 10;
            places -= 1;
        }
        let text = Self::empty().before(fraction, places).byte_before(b'.').before(units / NANO, 1);
        if amount.0 < 0 { text.byte_before(b'-') } else { text }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.text.get(self.start..).unwrap_or_default()
    }

    fn empty() -> Self {
        Self { text: [b'0'; 24], start: 24 }
    }

    /// Puts `number` before what is there, with zeros before it up to `width` digits.
    fn before(mut self, number: u64, width: usize) -> Self {
        let (mut rest, end) = (number, self.start);
        while rest > 0 || end - self.start < width {
            self = self.byte_before(b'0' + u8::try_from(rest % 10).unwrap_or_default());
            rest /= 10;
        }
        self
    }

    fn byte_before(mut self, byte: u8) -> Self {
        self.start = self.start.saturating_sub(1);
        if let Some(place) = self.text.get_mut(self.start) {
            *place = byte;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for number in [0, 7, 10, 999, 1000, 4_294_967_296, u64::MAX] {
            assert_eq!(Decimal::of(number).as_bytes(), number.to_string().as_bytes());
        }
    }

    #[test]
    fn amounts_are_written_as_they_show_themselves() {
        for units in [0, 1, -1, 10, 123_456_789, 1_000_000_000, -20_500_000_000, i64::MAX, i64::MIN] {
            let amount = NanoUsd(units);
            assert_eq!(Decimal::usd(amount).as_bytes(), amount.to_string().as_bytes());
        }
    }

    #[test]
    fn durations_have_three_decimals() {
        let text = |duration| String::from_utf8(Decimal::milliseconds(duration).as_bytes().to_vec()).unwrap();
        assert_eq!(text(Duration::from_nanos(12_003_456)), "12.003");
        assert_eq!(text(Duration::from_micros(1_000_070)), "1000.070");
        assert_eq!(text(Duration::ZERO), "0.000");
        assert_eq!(text(Duration::MAX), "18446744073709551.615");
    }
}
