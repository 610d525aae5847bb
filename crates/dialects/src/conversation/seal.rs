use std::hash::{DefaultHasher, Hash, Hasher};

use crate::Dialect;

/// What a [`Seal`] is to the provider that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SealKind {
    /// A signature over visible thinking (Anthropic `signature`, Gemini `thoughtSignature`).
    Signature,
    /// The whole thinking, encrypted (OpenAI `encrypted_content`).
    Encrypted,
    /// Thinking that the provider hid for safety (Anthropic `redacted_thinking`).
    Redacted,
}

/// A provider's proof of its own reasoning. It means something only to the dialect that made it, and has to
/// come back unchanged in the next turn.
///
/// A client of another dialect gets it in that dialect's own slot for such proofs, wrapped so that it is
/// recognised when it returns ([`Seal::to_slot`], [`Seal::from_slot`]). So it survives a round trip through a
/// client that knows nothing of it, and no state has to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    pub dialect: Dialect,
    pub kind: SealKind,
    pub value: String,
}

const WRAPPED: &str = "tollway-seal-1:";

/// LiteLLM's wrapping of OpenAI's encrypted reasoning. Used for that one, so that conversations that were begun
/// through LiteLLM go on here, and the other way round.
const LITELLM_WRAPPED: &str = "litellm_encrypted_reasoning:";

impl Seal {
    #[must_use]
    pub fn new(dialect: Dialect, kind: SealKind, value: impl Into<String>) -> Self {
        Self { dialect, kind, value: value.into() }
    }

    /// A short stand-in for a seal's value, to recognise it when it comes back. Good within one process.
    #[must_use]
    pub fn mark(value: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }

    /// The text for a slot of `dialect` that natively holds seals of `kind`.
    #[must_use]
    pub fn to_slot(&self, dialect: Dialect, kind: SealKind) -> String {
        if self.dialect == dialect && self.kind == kind {
            return self.value.clone();
        }
        if self.dialect == Dialect::OpenaiResponses && self.kind == SealKind::Encrypted {
            return format!("{LITELLM_WRAPPED}{}", self.value);
        }
        let own = match self.kind {
            SealKind::Signature => 's',
            SealKind::Encrypted => 'e',
            SealKind::Redacted => 'r',
        };
        format!("{WRAPPED}{}:{own}:{}", self.dialect.name(), self.value)
    }

    /// Reads a slot of `dialect` that natively holds seals of `kind`; a wrapped seal is unwrapped.
    #[must_use]
    pub fn from_slot(dialect: Dialect, kind: SealKind, text: &str) -> Self {
        Self::unwrap(text).unwrap_or_else(|| Self::new(dialect, kind, text))
    }

    /// The value, if a provider that speaks `dialect` will recognise it.
    #[must_use]
    pub fn value_for(&self, dialect: Dialect, kind: SealKind) -> Option<&str> {
        (self.dialect == dialect && self.kind == kind).then_some(self.value.as_str())
    }

    /// Whether a wrapped seal may stand somewhere in `text`. A quick look before a long one.
    #[must_use]
    pub fn is_wrapped_in(text: &str) -> bool {
        [WRAPPED, LITELLM_WRAPPED]
            .iter()
            .any(|mark| memchr::memmem::find(text.as_bytes(), mark.as_bytes()).is_some())
    }

    fn unwrap(text: &str) -> Option<Self> {
        if let Some(value) = text.strip_prefix(LITELLM_WRAPPED) {
            return Some(Self::new(Dialect::OpenaiResponses, SealKind::Encrypted, value));
        }
        let mut fields = text.strip_prefix(WRAPPED)?.splitn(3, ':');
        let dialect = Dialect::from_name(fields.next()?)?;
        let kind = match fields.next()? {
            "s" => SealKind::Signature,
            "e" => SealKind::Encrypted,
            "r" => SealKind::Redacted,
            _ => return None,
        };
        Some(Self::new(dialect, kind, fields.next()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_seal_survives_a_slot_of_any_dialect() {
        for home in Dialect::ALL {
            for slot in Dialect::ALL {
                for kind in [SealKind::Signature, SealKind::Encrypted, SealKind::Redacted] {
                    let seal = Seal::new(home, kind, "a:b==");
                    let text = seal.to_slot(slot, SealKind::Signature);
                    assert_eq!(Seal::from_slot(slot, SealKind::Signature, &text), seal);
                }
            }
        }
    }

    #[test]
    fn a_native_seal_is_written_as_it_is() {
        let seal = Seal::new(Dialect::Gemini, SealKind::Signature, "abc");
        assert_eq!(seal.to_slot(Dialect::Gemini, SealKind::Signature), "abc");
    }
}
