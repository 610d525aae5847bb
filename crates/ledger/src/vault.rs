//! Providers' secrets as they are stored: sealed with AES-256-GCM under a salt key (`LITELLM_SALT_KEY`,
//! `TOLLWAY_SALT_KEY`).
//!
//! A sealed text is bound to its place (`credential/openai/api_key`): moved elsewhere in the database it does not
//! open. It says which salt key it is under, so that keys can be changed while instances with the old one run:
//! every instance is given the new key and the old one, [`Store::reseal`](crate::Store::reseal) seals everything
//! anew, then the old key is taken away.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What sealed texts begin with.
const VERSION: &str = "tw1";
/// Bytes of the name of a salt key.
const NAME_LENGTH: usize = 6;

/// What secrets are sealed under. Shows its name only.
pub struct SaltKey {
    name: String,
    key: LessSafeKey,
}

/// Why there is no salt key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptySaltKey;

impl fmt::Display for EmptySaltKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a salt key may not be empty; make one with `openssl rand -base64 32`")
    }
}

impl std::error::Error for EmptySaltKey {}

impl SaltKey {
    /// A key from a text of any length. It should hold 128 bits of chance or more: short texts can be guessed by
    /// whoever has the database.
    ///
    /// # Errors
    /// When the text is empty.
    pub fn new(text: &str) -> Result<Self, EmptySaltKey> {
        if text.is_empty() {
            return Err(EmptySaltKey);
        }
        let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tollway vault 1").extract(text.as_bytes());
        let mut name = [0; NAME_LENGTH];
        let named = derived.expand(&[b"name"], Length(NAME_LENGTH)).and_then(|out| out.fill(&mut name));
        let key = derived.expand(&[b"key"], &AES_256_GCM).map(UnboundKey::from);
        // Both are far shorter than what HKDF can give, which is its only reason to fail.
        let (Ok(()), Ok(key)) = (named, key) else { return Err(EmptySaltKey) };
        Ok(Self { name: URL_SAFE_NO_PAD.encode(name), key: LessSafeKey::new(key) })
    }
}

impl fmt::Debug for SaltKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaltKey").field("name", &self.name).finish_non_exhaustive()
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// A secret as it is stored: `tw1.<name of the salt key>.<nonce, secret and tag in base64>`. Nothing in it can be used
/// without the salt key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sealed(String);

/// A text is not a sealed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSealed;

impl fmt::Display for NotSealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a sealed secret has the form `{VERSION}.<salt key>.<bytes>`")
    }
}

impl std::error::Error for NotSealed {}

impl Sealed {
    /// Reads one back.
    ///
    /// # Errors
    /// When it has not the form of one: so that no plain secret is stored by mistake.
    pub fn parse(text: &str) -> Result<Self, NotSealed> {
        let sealed = Self(text.to_owned());
        if sealed.parts().is_some() { Ok(sealed) } else { Err(NotSealed) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the salt key, and what is under it.
    fn parts(&self) -> Option<(&str, Vec<u8>)> {
        let (name, bytes) = self.0.strip_prefix(VERSION)?.strip_prefix('.')?.split_once('.')?;
        let bytes = URL_SAFE_NO_PAD.decode(bytes).ok()?;
        (bytes.len() >= NONCE_LEN + AES_256_GCM.tag_len()).then_some((name, bytes))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Where a secret belongs: the kind and id of its record, and the field.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub kind: &'a str,
    pub id: &'a str,
    pub field: &'a str,
}

impl Place<'_> {
    /// No other place has these bytes: ids hold no control characters.
    fn bytes(&self) -> Vec<u8> {
        [self.kind, self.id, self.field].join("\u{1f}").into_bytes()
    }
}

/// A secret does not open, or cannot be sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultError {
    /// It is under a salt key that was not given.
    UnknownSaltKey { name: String },
    /// It was changed, or comes from another place.
    Damaged,
    /// The system has no random numbers to give.
    NoChance,
}

impl fmt::Display for VaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSaltKey { name } => write!(
                f,
                "a stored secret is under the salt key named `{name}`, which is not the one that is set; set the one \
                 that it was stored with, or give both to change from one to the other"
            ),
            Self::Damaged => f.write_str("a stored secret was changed, or moved from where it belongs"),
            Self::NoChance => f.write_str("the system gives no random numbers"),
        }
    }
}

impl std::error::Error for VaultError {}

/// Seals under one salt key, opens under several.
#[derive(Debug)]
pub struct Vault {
    current: SaltKey,
    former: Vec<SaltKey>,
    random: SystemRandom,
}

impl Vault {
    /// Seals under `current`; opens what is under it or under a `former` one.
    #[must_use]
    pub fn new(current: SaltKey, former: Vec<SaltKey>) -> Self {
        Self { current, former, random: SystemRandom::new() }
    }

    /// Seals a secret for one place.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn seal(&self, secret: &str, place: Place<'_>) -> Result<Sealed, VaultError> {
        let mut bytes = vec![0; NONCE_LEN];
        self.random.fill(&mut bytes).map_err(|_| VaultError::NoChance)?;
        let nonce = Nonce::try_assume_unique_for_key(&bytes).map_err(|_| VaultError::NoChance)?;
        let mut secret = secret.as_bytes().to_vec();
        // Fails for more than 64 GiB only.
        self.current
            .key
            .seal_in_place_append_tag(nonce, Aad::from(place.bytes()), &mut secret)
            .map_err(|_| VaultError::Damaged)?;
        bytes.append(&mut secret);
        Ok(Sealed(format!("{VERSION}.{}.{}", self.current.name, URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// When its salt key is not among ours, or it is not what was sealed there.
    pub fn open(&self, sealed: &Sealed, place: Place<'_>) -> Result<String, VaultError> {
        let (name, mut bytes) = sealed.parts().ok_or(VaultError::Damaged)?;
        let key = std::iter::once(&self.current)
            .chain(&self.former)
            .find(|key| key.name == name)
            .ok_or_else(|| VaultError::UnknownSaltKey { name: name.to_owned() })?;
        let (nonce, secret) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(VaultError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Damaged)?;
        let secret = key
            .key
            .open_in_place(nonce, Aad::from(place.bytes()), secret)
            .map_err(|_| VaultError::Damaged)?;
        String::from_utf8(secret.to_vec()).map_err(|_| VaultError::Damaged)
    }

    /// Whether it is under the salt key that is used now.
    #[must_use]
    pub fn is_current(&self, sealed: &Sealed) -> bool {
        sealed.parts().is_some_and(|(name, _)| name == self.current.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { kind: "credential", id: "openai", field: "api_key" };

    fn vault(current: &str, former: &[&str]) -> Vault {
        let key = |text: &str| SaltKey::new(text).unwrap();
        Vault::new(key(current), former.iter().map(|text| key(text)).collect())
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_and_nowhere_else() {
        let vault = vault("salt", &[]);
        let sealed = vault.seal("sk-secret", PLACE).unwrap();
        assert_eq!(vault.open(&sealed, PLACE), Ok("sk-secret".to_owned()));
        for elsewhere in [
            Place { kind: "runtime_model", ..PLACE },
            Place { id: "azure", ..PLACE },
            Place { field: "api_base", ..PLACE },
        ] {
            assert_eq!(vault.open(&sealed, elsewhere), Err(VaultError::Damaged));
        }
    }

    #[test]
    fn the_same_secret_is_never_sealed_alike() {
        let vault = vault("salt", &[]);
        assert_ne!(vault.seal("sk-secret", PLACE), vault.seal("sk-secret", PLACE));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let vault = vault("salt", &[]);
        let sealed = vault.seal("sk-secret", PLACE).unwrap();
        let text = sealed.as_str();
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            let mut changed = text.to_owned();
            changed.replace_range(at..=at, other);
            let Ok(changed) = Sealed::parse(&changed) else { continue };
            assert!(vault.open(&changed, PLACE).is_err(), "character {at}");
        }
    }

    #[test]
    fn salt_keys_are_changed_one_after_the_other() {
        let sealed = vault("old", &[]).seal("sk-secret", PLACE).unwrap();
        let both = vault("new", &["old"]);
        assert!(!both.is_current(&sealed));
        let opened = both.open(&sealed, PLACE).unwrap();
        let again = both.seal(&opened, PLACE).unwrap();
        assert!(both.is_current(&again));
        assert_eq!(vault("new", &[]).open(&again, PLACE), Ok(opened));
        let told = vault("new", &[]).open(&sealed, PLACE).unwrap_err().to_string();
        assert!(told.contains("set the one that it was stored with"), "{told}");
    }

    #[test]
    fn a_plain_text_is_not_stored_by_mistake() {
        for plain in ["", "sk-secret", "tw1.x", "tw1.x.y", "tw1.name.not base64"] {
            assert_eq!(Sealed::parse(plain), Err(NotSealed));
            assert!(serde_json::from_value::<Sealed>(plain.into()).is_err());
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let vault = vault("salt key", &[]);
        let sealed = vault.seal("sk-secret", PLACE).unwrap();
        let shown = format!("{vault:?} {sealed:?} {}", sealed.as_str());
        assert!(!shown.contains("salt key") && !shown.contains("sk-secret"), "{shown}");
    }

    #[test]
    fn an_empty_salt_key_is_none() {
        assert_eq!(SaltKey::new("").unwrap_err(), EmptySaltKey);
    }
}
