//! What makes two requests the same: everything that changes the answer, and who asks.

use std::fmt;
use std::sync::Arc;

use dialects::document::Document;
use ring::digest::{Context, SHA256};

use super::canonical;
use crate::hex;

/// Part of every key: answers of a version that writes them differently are not found.
const SALT: &[u8] = b"tollway cache 1";

/// A question, as 256 bits of SHA-256. Two questions never have the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    digest: [u8; 32],
    namespace: Option<Arc<str>>,
}

impl Key {
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The key that `x-litellm-cache-key` showed; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, hex) = match text.rsplit_once(':') {
            Some((namespace, hex)) => (Some(namespace.into()), hex),
            None => (None, text),
        };
        if hex.len() != 64 {
            return None;
        }
        let mut digest = [0; 32];
        for (place, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * place..2 * place + 2)?, 16).ok()?;
        }
        Some(Self { digest, namespace })
    }

    /// The digest alone, as it names a file.
    pub(super) fn hex(&self) -> String {
        hex::digest(&self.digest)
    }
}

/// LiteLLM's form: `namespace:` if there is one, and 64 hexadecimal digits.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}:")?;
        }
        f.write_str(&self.hex())
    }
}

/// Collects what a key covers. Each part has a name and a length, so that no two lists of parts give the same bytes.
///
/// Small parts are joined before they are hashed: each call of the hash costs as much as fifty bytes.
#[derive(Clone)]
pub struct KeyWriter {
    hasher: Context,
    /// What is not hashed yet.
    pending: Vec<u8>,
}

/// So much is joined; larger values are not copied for it.
const MAX_PENDING: usize = 4096;

impl fmt::Debug for KeyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyWriter")
    }
}

impl Default for KeyWriter {
    fn default() -> Self {
        let mut writer = Self { hasher: Context::new(&SHA256), pending: Vec::with_capacity(1024) };
        writer.part("salt", SALT);
        writer
    }
}

impl KeyWriter {
    /// Adds a part.
    pub fn part(&mut self, name: &str, value: &[u8]) {
        self.begin(name);
        self.pending.extend_from_slice(&(value.len() as u64).to_le_bytes());
        if value.len() > MAX_PENDING {
            self.flush();
            self.hasher.update(value);
        } else {
            self.pending.extend_from_slice(value);
        }
    }

    /// Adds a part that is JSON; its spelling does not matter.
    pub fn json(&mut self, name: &str, json: &str) {
        self.begin(name);
        let place = self.pending.len();
        self.pending.extend_from_slice(&[0; 8]);
        canonical::write(json, &mut self.pending);
        let length = (self.pending.len() - place - 8) as u64;
        if let Some(place) = self.pending.get_mut(place..place + 8) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    fn begin(&mut self, name: &str) {
        if self.pending.len() > MAX_PENDING {
            self.flush();
        }
        self.pending.extend_from_slice(&(name.len() as u64).to_le_bytes());
        self.pending.extend_from_slice(name.as_bytes());
    }

    fn flush(&mut self) {
        self.hasher.update(&self.pending);
        self.pending.clear();
    }

    /// Adds all fields of a document but those that are `left_out`; their order does not matter.
    pub fn document(&mut self, document: &Document<'_>, left_out: impl Fn(&str) -> bool) {
        let mut names: Vec<&str> = document.names().filter(|name| !left_out(name)).collect();
        names.sort_unstable();
        for name in names {
            if let Some(value) = document.get(name) {
                self.json(name, value);
            }
        }
    }

    /// The key, in a namespace: what is stored in one is not found in another.
    #[must_use]
    pub fn finish(mut self, namespace: Option<&str>) -> Key {
        self.part("namespace", namespace.unwrap_or_default().as_bytes());
        self.flush();
        let digest = self.hasher.finish();
        Key { digest: digest.as_ref().try_into().unwrap_or_default(), namespace: namespace.map(Arc::from) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[(&str, &str)], namespace: Option<&str>) -> Key {
        let mut writer = KeyWriter::default();
        for (name, value) in parts {
            writer.part(name, value.as_bytes());
        }
        writer.finish(namespace)
    }

    #[test]
    fn no_two_lists_of_parts_are_the_same() {
        let keys = [
            key(&[], None),
            key(&[("a", "b")], None),
            key(&[("ab", "")], None),
            key(&[("", "ab")], None),
            key(&[("a", ""), ("b", "")], None),
            key(&[("a", "b")], Some("n")),
            key(&[("a", "b"), ("namespace", "n")], None),
        ];
        for (place, left) in keys.iter().enumerate() {
            for right in keys.iter().skip(place + 1) {
                assert_ne!(left.digest(), right.digest());
            }
        }
    }

    #[test]
    fn the_order_of_fields_does_not_matter_and_some_do_not_count() {
        let of = |json: &str| {
            let mut writer = KeyWriter::default();
            writer.document(&Document::of(json).unwrap(), |name| name == "user");
            writer.finish(None)
        };
        assert_eq!(of(r#"{"model":"m","n":[1, 2]}"#), of(r#"{ "n":[1,2],"user":"u","model":"m"}"#));
        assert_ne!(of(r#"{"model":"m"}"#), of(r#"{"model":"n"}"#));
        assert_ne!(of(r#"{"model":"m"}"#), of(r#"{"model":"m","n":1}"#));
    }

    #[test]
    fn a_key_that_was_shown_is_found_again() {
        for namespace in [None, Some("team"), Some("a:b")] {
            let key = key(&[("a", "b")], namespace);
            assert_eq!(Key::parse(&key.to_string()), Some(key));
        }
        for wrong in ["", "a", "team:", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(Key::parse(wrong), None, "{wrong}");
        }
    }
}
