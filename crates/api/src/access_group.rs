//! Models under one name, which keys, teams, users and organizations are given together.

use ledger::rules::entity::AccessGroup;
use ledger::rules::id::AccessGroupId;
use ledger::rules::zone::Clock;
use serde_json::json;

use crate::Object;
use crate::body::{Body, Patch, parse_id};
use crate::field::{Field, Kind, field, required};
use crate::moment;
use crate::problem::Problem;
use crate::terms;

/// A group as `/access_group` makes it: by its name.
pub const NAMED: &[Field] = &[required("access_group", Kind::Text)];

/// The models of it.
pub const MODELS: &[Field] = &[field("model_names", Kind::Texts), field("model_ids", Kind::Texts)];

/// A group as `/v1/access_group` makes it: with an id, and with who is given it.
pub const FIELDS: &[Field] = &[
    field("access_group_name", Kind::Text),
    field("access_model_names", Kind::Texts),
    field("assigned_team_ids", Kind::Texts),
    field("assigned_key_ids", Kind::Texts),
    field("description", Kind::Text),
    field("access_mcp_server_ids", Kind::Texts),
    field("access_agent_ids", Kind::Texts),
];

/// Those of [`FIELDS`] that are kept as they were given.
fn kept() -> &'static [Field] {
    let from = FIELDS.iter().position(|field| field.name == "description").unwrap_or(FIELDS.len());
    FIELDS.get(from..).unwrap_or_default()
}

/// The longest name; a list of models holds it.
const LONGEST: usize = 255;

/// Checks the name of a group.
///
/// # Errors
/// When a list of models could not hold it, or would mean something else by it.
pub fn check_name(field: &str, name: &str) -> Result<(), Problem> {
    use ledger::rules::access::{ALL_PROXY_MODELS, ALL_TEAM_MODELS, NO_DEFAULT_MODELS};
    let means_more =
        name.contains('*') || [ALL_PROXY_MODELS, ALL_TEAM_MODELS, NO_DEFAULT_MODELS].contains(&name);
    if means_more || name.trim().is_empty() || name.len() > LONGEST {
        let told = format!(
            "`{field}` is `{name}`; a group's name has 1 to {LONGEST} bytes and no `*`, and lists of models know no \
             other meaning of it"
        );
        return Err(Problem::field(field, told));
    }
    Ok(())
}

/// Takes over what a request says, who is given it apart.
///
/// # Errors
/// A field that makes no sense.
pub fn apply(body: &Body, group: &mut AccessGroup) -> Result<(), Problem> {
    if let Some(name) = body.text("access_group_name") {
        check_name("access_group_name", name)?;
        group.details.alias = Some(name.to_owned());
    }
    match body.patch("access_model_names", Body::texts) {
        Patch::Set(models) => group.models = models,
        Patch::Clear => group.models.clear(),
        Patch::Keep => {}
    }
    terms::keep(body, kept(), &mut group.details);
    Ok(())
}

/// The groups that a field names.
///
/// # Errors
/// The first that cannot be one.
pub fn ids(body: &Body, name: &str) -> Result<Patch<Vec<AccessGroupId>>, Problem> {
    Ok(match body.patch(name, Body::texts) {
        Patch::Set(ids) => {
            let mut seen = std::collections::BTreeSet::new();
            let ids: Vec<AccessGroupId> =
                ids.iter().map(|id| parse_id(name, id)).collect::<Result<_, _>>()?;
            Patch::Set(ids.into_iter().filter(|id| seen.insert(id.clone())).collect())
        }
        Patch::Clear => Patch::Set(Vec::new()),
        Patch::Keep => Patch::Keep,
    })
}

/// What a group is called.
#[must_use]
pub fn name(group: &AccessGroup) -> &str {
    group.details.alias.as_deref().unwrap_or(group.id.as_str())
}

/// A group with who is given it.
#[must_use]
pub fn row(group: &AccessGroup, teams: &[String], keys: &[String]) -> Object {
    let mut row = Object::new();
    row.insert("access_group_id".to_owned(), json!(group.id));
    row.insert("access_group_name".to_owned(), json!(name(group)));
    row.insert("access_model_names".to_owned(), json!(group.models));
    row.insert("assigned_team_ids".to_owned(), json!(teams));
    row.insert("assigned_key_ids".to_owned(), json!(keys));
    terms::show_kept(&group.details, kept(), &mut row);
    row.insert("created_at".to_owned(), json!(moment::iso(group.details.created_at)));
    row.insert("created_by".to_owned(), json!(group.details.created_by));
    row.insert("updated_at".to_owned(), json!(moment::iso(group.details.updated_at)));
    row.insert("updated_by".to_owned(), json!(group.details.updated_by));
    row
}

/// The budget of a group, and what was spent under it: what its models cost before it had one is in no account of it.
#[must_use]
pub fn budget_row(group: &AccessGroup, spend: terms::Spend, clock: &Clock) -> Object {
    let mut row = Object::new();
    row.insert("access_group".to_owned(), json!(name(group)));
    row.insert("spend".to_owned(), json!(spend.current));
    row.extend(terms::show(&group.details, clock));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_nothing_else_in_a_list_of_models() {
        assert_eq!(check_name("access_group", "beta models"), Ok(()));
        for name in ["", " ", "gpt-*", "all-proxy-models", "no-default-models", &"x".repeat(256)] {
            assert_eq!(
                check_name("access_group", name).unwrap_err().param.as_deref(),
                Some("access_group"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_group_is_given_once() {
        let of = |text: &str| {
            let body = Body::read(text.as_bytes(), &[&[field("access_group_ids", Kind::Texts)]]).unwrap();
            ids(&body, "access_group_ids").map(|patch| patch.set().map(|ids| ids.len()))
        };
        assert_eq!(of(r#"{"access_group_ids":["a","a","b"]}"#), Ok(Some(2)));
        assert_eq!(of(r#"{"access_group_ids":null}"#), Ok(Some(0)));
        assert_eq!(of("{}"), Ok(None));
        assert_eq!(
            of(r#"{"access_group_ids":[""]}"#).unwrap_err().param.as_deref(),
            Some("access_group_ids")
        );
    }
}
