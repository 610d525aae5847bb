//! `thoughtSignature`, the slot in which Gemini keeps its proof of thinking.
//!
//! Google's SDKs read the field as bytes, so it must be valid base64. Seals of other dialects are therefore
//! wrapped once more: base64 of what [`Seal::to_slot`] gives.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::Dialect;
use crate::conversation::{Seal, SealKind};

/// Google documents this value for function calls that lost their signature or never had one, because another
/// model made them (<https://ai.google.dev/gemini-api/docs/thought-signatures>).
pub(super) const DUMMY: &str = "skip_thought_signature_validator";

/// Base64 of `tollway-seal-1:` and of `litellm_encrypted_reasoning`, with one of which every wrapped seal begins.
const WRAPPED: [&str; 2] = ["dG9sbHdheS1zZWFsLTE6", "bGl0ZWxsbV9lbmNyeXB0ZWRfcmVhc29uaW5n"];

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads a signature; one that we wrapped is unwrapped.
pub(super) fn read(signature: &str) -> Seal {
    if WRAPPED.iter().any(|mark| signature.starts_with(mark)) {
        let standard = standard_alphabet(signature.to_owned());
        if let Some(text) = BASE64.decode(standard).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
            return Seal::from_slot(Dialect::Gemini, SealKind::Signature, &text);
        }
    }
    Seal::new(Dialect::Gemini, SealKind::Signature, signature)
}

/// The signature for a client: Gemini's own as it is, others wrapped.
pub(super) fn write(seal: &Seal) -> String {
    match native(seal) {
        Some(value) => value.to_owned(),
        None => BASE64.encode(seal.to_slot(Dialect::Gemini, SealKind::Signature)),
    }
}

/// The signature for Google, which knows only its own.
pub(super) fn native(seal: &Seal) -> Option<&str> {
    seal.value_for(Dialect::Gemini, SealKind::Signature)
}

/// Brings base64 of either alphabet into the standard one.
pub(super) fn standard_alphabet(base64: String) -> String {
    if base64.bytes().any(|byte| byte == b'-' || byte == b'_') {
        base64.replace('-', "+").replace('_', "/")
    } else {
        base64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_seal_is_valid_base64_and_comes_back() {
        for seal in [
            Seal::new(Dialect::AnthropicMessages, SealKind::Redacted, "Eq\u{e9}QBCk>?~:x=="),
            Seal::new(Dialect::OpenaiResponses, SealKind::Encrypted, "gAAAAAx>?~"),
        ] {
            let slot = write(&seal);
            assert!(BASE64.decode(&slot).is_ok());
            assert_eq!(read(&slot), seal);
            // Google's Python SDK sends bytes back in the URL-safe alphabet.
            assert_eq!(read(&slot.replace('+', "-").replace('/', "_")), seal);
        }
    }

    #[test]
    fn geminis_own_signature_is_not_touched() {
        let seal = read("CpcBAR/+_-x=");
        assert_eq!(native(&seal), Some("CpcBAR/+_-x="));
        assert_eq!(write(&seal), "CpcBAR/+_-x=");
    }
}
