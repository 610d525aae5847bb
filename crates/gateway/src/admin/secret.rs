//! New keys and ids, from the system's source of randomness.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};

use crate::refusal::Refusal;

fn bytes() -> Result<[u8; 16], Refusal> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| {
        Refusal::misconfigured(500, "the system gives no random numbers, so no key can be made")
    })?;
    Ok(bytes)
}

/// A virtual key: `sk-` and 128 bits as 22 letters, as LiteLLM makes them.
pub(crate) fn key() -> Result<String, Refusal> {
    Ok(format!("sk-{}", URL_SAFE_NO_PAD.encode(bytes()?)))
}

/// A UUID (version 4).
pub(crate) fn unique_id() -> Result<String, Refusal> {
    let number = u128::from_be_bytes(bytes()?) & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let digits = format!("{number:032x}");
    let mut id = String::with_capacity(36);
    for (place, digit) in digits.chars().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            id.push('-');
        }
        id.push(digit);
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_litellms_form_and_differ() {
        let (one, other) = (key().unwrap(), key().unwrap());
        assert!(one.starts_with("sk-") && one.len() == 25, "{one}");
        assert_ne!(one, other);
        let id = unique_id().unwrap();
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'), "{id}");
    }
}
