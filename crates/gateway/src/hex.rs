//! Numbers in hexadecimal: ids and digests.

/// A number's hexadecimal digits. All of them are worked out at once, which the compiler does with vectors: digit by
/// digit it took a thousand instructions.
pub(crate) fn digits(number: u128) -> [u8; 32] {
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        for (digit, value) in pair.iter_mut().zip([byte >> 4, byte & 0xf]) {
            *digit = value + if value < 10 { b'0' } else { b'a' - 10 };
        }
    }
    digits
}

/// The hexadecimal digits of a SHA-256.
pub(crate) fn digest(digest: &[u8; 32]) -> String {
    let mut text = String::with_capacity(64);
    for half in digest.as_chunks::<16>().0 {
        let half = digits(u128::from_be_bytes(*half));
        text.push_str(str::from_utf8(&half).unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_the_standard_library_s() {
        for number in [0, 0x0123_4567_89ab_cdef, u128::MAX, 0xf0 << 120] {
            assert_eq!(str::from_utf8(&digits(number)).unwrap(), format!("{number:032x}"));
        }
    }
}
