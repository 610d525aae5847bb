//! Models that are added at run time.

use ledger::rules::entity::RuntimeModel;
use ledger::rules::id::TeamId;
use serde_json::{Value, json};

use crate::Object;
use crate::body::parse_id;
use crate::field::{Field, Kind, field, required};
use crate::moment;
use crate::problem::Problem;

/// A new model.
pub const NEW: &[Field] = &[
    required("model_name", Kind::Text),
    required("litellm_params", Kind::Object),
    field("model_info", Kind::Object),
];

/// A changed one. It is named by `model_info.id`, or by `id` as LiteLLM's own client does.
pub const CHANGED: &[Field] = &[
    field("id", Kind::Text),
    field("model_name", Kind::Text),
    field("litellm_params", Kind::Object),
    field("model_info", Kind::Object),
];

/// The team that a model is to be for alone, if `model_info` names one.
///
/// # Errors
/// When it names what can be none.
pub fn team(info: &Object) -> Result<Option<TeamId>, Problem> {
    const FIELD: &str = "model_info.team_id";
    match info.get("team_id") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) => parse_id(FIELD, id).map(Some),
        Some(_) => Err(Problem::field(FIELD, format!("`{FIELD}` must be a text"))),
    }
}

/// A model as it is shown: no secrets.
#[must_use]
pub fn row(model: &RuntimeModel) -> Object {
    let part = |name: &str| model.data.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut params = part("litellm_params");
    params.extend(model.secrets.keys().map(|name| (name.clone(), json!("****"))));
    let mut info = part("model_info");
    info.insert("id".to_owned(), json!(model.id));
    info.insert("db_model".to_owned(), json!(true));
    let mut row = Object::new();
    row.insert("model_id".to_owned(), json!(model.id));
    row.insert("model_name".to_owned(), json!(model.name));
    row.insert("litellm_params".to_owned(), Value::Object(params));
    row.insert("model_info".to_owned(), Value::Object(info));
    row.insert("created_at".to_owned(), json!(moment::iso(model.details.created_at)));
    row.insert("created_by".to_owned(), json!(model.details.created_by));
    row.insert("updated_at".to_owned(), json!(moment::iso(model.details.updated_at)));
    row.insert("updated_by".to_owned(), json!(model.details.updated_by));
    row
}
