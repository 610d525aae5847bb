//! How amounts are kept: as whole nano-dollars, in JSON and in the database.
//!
//! For `#[serde(with = "nano")]`. What clients see is written by the management API, in dollars.

use catalog::NanoUsd;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(amount: &NanoUsd, serializer: S) -> Result<S::Ok, S::Error> {
    amount.0.serialize(serializer)
}

/// # Errors
/// When it is not a whole number.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NanoUsd, D::Error> {
    i64::deserialize(deserializer).map(NanoUsd)
}

/// The same for an amount that may be missing.
pub mod option {
    use super::{Deserialize, Deserializer, NanoUsd, Serialize, Serializer};

    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(amount: &Option<NanoUsd>, serializer: S) -> Result<S::Ok, S::Error> {
        amount.map(|amount| amount.0).serialize(serializer)
    }

    /// # Errors
    /// When it is neither missing nor a whole number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NanoUsd>, D::Error> {
        Ok(Option::<i64>::deserialize(deserializer)?.map(NanoUsd))
    }
}
