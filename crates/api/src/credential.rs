//! What providers ask for, under a name.

use ledger::rules::entity::Credential;
use serde_json::{Value, json};

use crate::field::{Field, Kind, field, required};

/// A new credential.
pub const NEW: &[Field] = &[
    required("credential_name", Kind::Text),
    field("display_name", Kind::Text),
    field("credential_info", Kind::Object),
    field("credential_values", Kind::Object),
];

/// A changed one.
pub const CHANGED: &[Field] = &[
    field("credential_name", Kind::Text),
    field("display_name", Kind::Text),
    field("credential_info", Kind::Object),
    field("credential_values", Kind::Object),
    field("credential_values_to_delete", Kind::Texts),
];

/// A credential as it is shown: which values it has, not what they are.
#[must_use]
pub fn row(credential: &Credential) -> Value {
    let values: crate::Object =
        credential.values.keys().map(|field| (field.clone(), json!("****"))).collect();
    json!({
        "credential_name": credential.id,
        "display_name": credential.details.alias,
        "credential_info": credential.data,
        "credential_values": values,
    })
}
