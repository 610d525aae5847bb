//! Keys, teams, users and budgets of a running gateway, through its management API.

use api::field::Kind;
use api::route;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::args::{Action, ManageArgs};
use crate::output::{self, Failure};
use crate::remote::{Remote, block_on};
use crate::table;

/// How the API speaks about one kind of thing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entity {
    /// `/key`
    root: &'static str,
    new: &'static str,
    /// The field that names one.
    id: &'static str,
    /// The path of its list, and where in the answer that is.
    list: (&'static str, &'static str),
    /// The path that shows one.
    info: Info,
    /// The field that names those to delete, and whether it is a list.
    delete: (&'static str, bool),
    columns: &'static [&'static str],
}

#[derive(Clone, Copy, Debug)]
enum Info {
    /// GET with the id in the query, and where in the answer the row is.
    Query(&'static str),
    /// POST with a list of ids.
    Listed(&'static str),
}

pub(crate) const KEYS: Entity = Entity {
    root: "/key",
    new: "/key/generate",
    id: "key",
    list: ("/key/list?return_full_object=true&size=", "/keys"),
    info: Info::Query("/info"),
    delete: ("keys", true),
    columns: &[
        "key_name",
        "key_alias",
        "team_id",
        "user_id",
        "spend",
        "max_budget",
        "models",
        "status",
        "token",
    ],
};

pub(crate) const TEAMS: Entity = Entity {
    root: "/team",
    new: "/team/new",
    id: "team_id",
    list: ("/v2/team/list?page_size=", "/teams"),
    info: Info::Query("/team_info"),
    delete: ("team_ids", true),
    columns: &["team_alias", "team_id", "organization_id", "spend", "max_budget", "models", "blocked"],
};

pub(crate) const USERS: Entity = Entity {
    root: "/user",
    new: "/user/new",
    id: "user_id",
    list: ("/user/list?page_size=", "/users"),
    info: Info::Query("/user_info"),
    delete: ("user_ids", true),
    columns: &["user_id", "user_email", "user_role", "spend", "max_budget", "key_count"],
};

pub(crate) const BUDGETS: Entity = Entity {
    root: "/budget",
    new: "/budget/new",
    id: "budget_id",
    list: ("/budget/list?limit=", ""),
    info: Info::Listed("budgets"),
    delete: ("id", false),
    columns: &["budget_id", "max_budget", "budget_duration", "rpm_limit", "tpm_limit", "budget_reset_at"],
};

pub(crate) fn run(entity: Entity, args: &ManageArgs) -> Result<(), Failure> {
    let remote = Remote::new(&args.remote);
    let answer = block_on(ask(entity, &args.action, &remote))??;
    if args.json {
        output::line(&answer.to_string());
        return Ok(());
    }
    match (&args.action, &answer) {
        (Action::List { .. }, Value::Array(rows)) => {
            for line in list_lines(entity, rows) {
                output::line(&line);
            }
        }
        (Action::Delete { ids }, _) => output::line(&format!("deleted {}", ids.join(", "))),
        (_, Value::Object(row)) => {
            for line in row_lines(row) {
                output::line(&line);
            }
        }
        (_, other) => output::line(&other.to_string()),
    }
    Ok(())
}

async fn ask(entity: Entity, action: &Action, remote: &Remote) -> Result<Value, Failure> {
    let Entity { root, id: name, .. } = entity;
    Ok(match action {
        Action::List { limit } => {
            let (path, place) = entity.list;
            let mut answer = remote.get(&format!("{path}{limit}")).await?;
            answer.pointer_mut(place).map(Value::take).unwrap_or_default()
        }
        Action::New { fields } => remote.post(entity.new, &body(entity.new, fields)?).await?,
        Action::Info { id } => match entity.info {
            Info::Query(place) => {
                let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
                let mut answer = remote.get(&format!("{root}/info?{name}={id}")).await?;
                answer.pointer_mut(place).map(Value::take).unwrap_or_default()
            }
            Info::Listed(field) => {
                let mut answer = remote.post(&format!("{root}/info"), &json!({(field): [id]})).await?;
                let found = answer.get_mut(0).map(Value::take);
                found.ok_or_else(|| Failure::new(format!("there is no `{id}`")))?
            }
        },
        Action::Update { id, fields } => {
            let path = format!("{root}/update");
            let mut body = body(&path, fields)?;
            if let Value::Object(body) = &mut body {
                body.insert(name.to_owned(), json!(id));
            }
            remote.post(&path, &body).await?
        }
        Action::Delete { ids } => {
            let (field, is_list) = entity.delete;
            let path = format!("{root}/delete");
            if is_list {
                remote.post(&path, &json!({(field): ids})).await?
            } else {
                let mut answer = Value::Null;
                for id in ids {
                    answer = remote.post(&path, &json!({(field): id})).await?;
                }
                answer
            }
        }
        Action::Block { id } => remote.post(&format!("{root}/block"), &json!({(name): id})).await?,
        Action::Unblock { id } => remote.post(&format!("{root}/unblock"), &json!({(name): id})).await?,
    })
}

/// `max_budget=10 models=a,b` as the API's fields. What the API does not know is sent as it is: the gateway says what
/// is wrong with it.
fn body(path: &str, fields: &[String]) -> Result<Value, Failure> {
    let known = route::find("POST", path).map(|route| route.body).unwrap_or_default();
    let mut body = Map::new();
    for field in fields {
        let Some((name, text)) = field.split_once('=') else {
            return Err(Failure::new(format!("`{field}` is not `field=value`")));
        };
        let kind = known.iter().copied().flatten().find(|field| field.name == name).map(|field| field.kind);
        body.insert(name.to_owned(), value(kind, text));
    }
    Ok(Value::Object(body))
}

fn value(kind: Option<Kind>, text: &str) -> Value {
    let json = || serde_json::from_str(text).ok();
    match kind {
        _ if text == "null" => Value::Null,
        Some(Kind::Text | Kind::Duration | Kind::Moment | Kind::OneOf(_)) => json!(text),
        Some(Kind::Texts) if !text.starts_with('[') => {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
        }
        _ => json().unwrap_or_else(|| json!(text)),
    }
}

fn list_lines(entity: Entity, rows: &[Value]) -> Vec<String> {
    let header = entity.columns.iter().map(|column| (*column).to_owned()).collect();
    let row = |row: &Value| entity.columns.iter().map(|column| cell(row.get(*column))).collect();
    table::lines(&std::iter::once(header).chain(rows.iter().map(row)).collect::<Vec<Vec<String>>>())
}

/// One to a line; what says nothing is left out.
fn row_lines(row: &Map<String, Value>) -> Vec<String> {
    let says = |value: &&Value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    };
    let rows = row.iter().filter(|(_, value)| says(value));
    table::lines(&rows.map(|(name, value)| vec![name.clone(), cell(Some(value))]).collect::<Vec<_>>())
}

fn cell(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
            list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        }
        None | Some(Value::Null) => "–".to_owned(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_the_api_means_them() {
        let fields = [
            "models=a,b",
            "max_budget=1.5",
            "key_alias=7",
            "blocked=true",
            "metadata={\"a\":1}",
            "duration=30d",
            "team_id=null",
        ];
        let fields: Vec<String> = fields.into_iter().map(str::to_owned).collect();
        assert_eq!(
            body("/key/generate", &fields).unwrap(),
            json!({
                "models": ["a", "b"], "max_budget": 1.5, "key_alias": "7", "blocked": true, "metadata": {"a": 1},
                "duration": "30d", "team_id": null,
            })
        );
        assert!(body("/key/generate", &["nonsense".to_owned()]).is_err());
    }

    #[test]
    fn every_path_is_one_of_the_api() {
        for entity in [KEYS, TEAMS, USERS, BUDGETS] {
            for (method, path) in [
                ("POST", entity.new.to_owned()),
                ("POST", format!("{}/update", entity.root)),
                ("POST", format!("{}/delete", entity.root)),
                ("GET", entity.list.0.split('?').next().unwrap().to_owned()),
            ] {
                assert!(route::find(method, &path).is_some(), "{method} {path}");
            }
        }
    }
}
