//! Names of people and things. Ids of different things are different types.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The longest id, in bytes: it is part of keys of the database.
pub const MAX_ID_LENGTH: usize = 256;

/// A text cannot be an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadId {
    /// There is nothing in it.
    Empty,
    /// Longer than [`MAX_ID_LENGTH`].
    TooLong,
    /// It holds a control character.
    ControlCharacter,
}

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an id may not be empty"),
            Self::TooLong => write!(f, "an id may have at most {MAX_ID_LENGTH} bytes"),
            Self::ControlCharacter => f.write_str("an id may not hold control characters"),
        }
    }
}

impl std::error::Error for BadId {}

fn checked(text: &str) -> Result<Arc<str>, BadId> {
    if text.is_empty() {
        return Err(BadId::Empty);
    }
    if text.len() > MAX_ID_LENGTH {
        return Err(BadId::TooLong);
    }
    if text.chars().any(char::is_control) {
        return Err(BadId::ControlCharacter);
    }
    Ok(text.into())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a text.
            ///
            /// # Errors
            /// When it is empty, too long or holds control characters.
            pub fn new(text: &str) -> Result<Self, BadId> {
                checked(text).map(Self)
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&$name> for Arc<str> {
            fn from(id: &$name) -> Self {
                Arc::clone(&id.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A virtual key, also after it was regenerated: the hash of its first secret, so that LiteLLM's keys and
    /// their logs keep their names.
    KeyId;
    /// A team.
    TeamId;
    /// Somebody who owns keys.
    UserId;
    /// An organization: teams and users under one roof.
    OrganizationId;
    /// An end user of somebody's product, named by requests.
    CustomerId;
    /// A label on requests that budgets and reports know.
    Tag;
    /// A model as clients name it.
    ModelName;
    /// A provider, as the catalog names it.
    ProviderName;
    /// A deployment of a model (`model_info.id`).
    DeploymentId;
    /// A budget that several entities share the terms of.
    BudgetId;
    /// Models under one name, for lists of models.
    AccessGroupId;
    /// What a provider asks for, under one name.
    CredentialId;
    /// A model that was added at run time.
    RuntimeModelId;
    /// A request, across all instances; makes sure that it is booked once.
    RequestId;
}

impl From<&KeyHash> for KeyId {
    fn from(hash: &KeyHash) -> Self {
        Self(hash.to_string().into())
    }
}

/// SHA-256 of a virtual key's text: what is stored and looked up, never the key itself. Its text is lower-case hex,
/// as in LiteLLM's tables.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash([u8; 32]);

/// A text is not the hash of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHash;

impl fmt::Display for BadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the hash of a key has 64 hexadecimal digits")
    }
}

impl std::error::Error for BadHash {}

impl KeyHash {
    /// The hash of a key as its holder presents it, `sk-` included.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// A hash that was computed before.
    #[must_use]
    pub fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// When there are not 64 of them.
    pub fn parse(text: &str) -> Result<Self, BadHash> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(BadHash);
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = pair else { return Err(BadHash) };
            *byte = (digit(*high)? << 4) | digit(*low)?;
        }
        Ok(Self(hash))
    }
}

fn digit(byte: u8) -> Result<u8, BadHash> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(BadHash),
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({self})")
    }
}

impl Serialize for KeyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_hashed_as_litellm_hashes_it() {
        // printf 'sk-1234' | sha256sum
        let hash = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b";
        assert_eq!(KeyHash::of("sk-1234").to_string(), hash);
        assert_eq!(KeyHash::parse(&hash.to_uppercase()), Ok(KeyHash::of("sk-1234")));
        assert_eq!(KeyHash::parse("sk-1234"), Err(BadHash));
        assert_eq!(KeyHash::parse(&"é".repeat(32)), Err(BadHash));
    }

    #[test]
    fn ids_are_checked() {
        assert_eq!(TeamId::new(""), Err(BadId::Empty));
        assert_eq!(TeamId::new("a\u{1f}b"), Err(BadId::ControlCharacter));
        assert_eq!(TeamId::new(&"x".repeat(257)), Err(BadId::TooLong));
        assert!(serde_json::from_str::<TeamId>("\"\"").is_err());
    }
}
