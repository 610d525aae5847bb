//! Whole numbers into text, without the formatting machinery: a request's log line and headers hold a dozen.

use std::time::Duration;

/// Appends `number` in decimal, with zeros before it up to `width` digits.
pub(crate) fn push(text: &mut String, number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let (mut rest, mut length) = (number, 0);
    for digit in digits.iter_mut().rev() {
        if rest == 0 && length >= width.max(1) {
            break;
        }
        *digit += u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        length += 1;
    }
    let written = digits.get(digits.len() - length..).unwrap_or_default();
    text.push_str(std::str::from_utf8(written).unwrap_or_default());
}

/// Appends a duration in milliseconds with three decimals.
pub(crate) fn push_milliseconds(text: &mut String, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    push(text, micros / 1000, 1);
    text.push('.');
    push(text, micros % 1000, 3);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for number in [0, 7, 10, 999, 1000, 4_294_967_296, u64::MAX] {
            for width in [0, 1, 3, 4] {
                let mut text = String::new();
                push(&mut text, number, width);
                assert_eq!(text, format!("{number:0width$}"));
            }
        }
    }

    #[test]
    fn durations_have_three_decimals() {
        let mut text = String::new();
        push_milliseconds(&mut text, Duration::from_nanos(12_003_456));
        assert_eq!(text, "12.003");
    }
}
