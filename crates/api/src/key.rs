//! Virtual keys.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ledger::rules::access::{AddressList, ModelList, RouteList};
use ledger::rules::entity::{Key, Rotation};
use ledger::rules::id::Tag;
use ledger::rules::time::Timestamp;
use ledger::rules::zone::Clock;
use serde_json::{Value, json};

use crate::Object;
use crate::access_group;
use crate::body::{self, Body, Patch, parse_id};
use crate::caller;
use crate::condition;
use crate::field::{Field, Kind, field};
use crate::moment;
use crate::problem::Problem;
use crate::route;
use crate::terms::{self, Spend};

/// What a key is made of and what can be changed about it, its terms apart.
pub const FIELDS: &[Field] = &[
    field("key_alias", Kind::Text),
    field("duration", Kind::Duration),
    field("models", Kind::Texts),
    field("access_group_ids", Kind::Texts),
    field("aliases", Kind::TextMap),
    field("spend", Kind::Amount),
    field("user_id", Kind::Text),
    field("team_id", Kind::Text),
    field("organization_id", Kind::Text),
    field("tags", Kind::Texts),
    field("blocked", Kind::Bool),
    field("allowed_routes", Kind::Texts),
    field("key_type", Kind::OneOf(&["default", "llm_api", "management", "read_only"])),
    field("allowed_ips", Kind::Texts),
    field("metadata", Kind::Object),
    field("config", Kind::Object),
    field("permissions", Kind::Object),
    field("router_settings", Kind::Object),
    field("object_permission", Kind::Object),
    field("allowed_cache_controls", Kind::Texts),
    field("guardrails", Kind::Texts),
    field("policies", Kind::Texts),
    field("prompts", Kind::Texts),
    field("enforced_params", Kind::Texts),
    field("disable_global_guardrails", Kind::Bool),
    field("tpd_limit", Kind::Count),
    field("tpm_limit_type", Kind::Text),
    field("rpm_limit_type", Kind::Text),
    field("mcp_rpm_limit", Kind::CountMap),
    field("tag_rpm_limit", Kind::CountMap),
    field("default_estimated_output_tokens", Kind::Count),
    field("default_estimated_output_tokens_per_model", Kind::CountMap),
    field("budget_fallbacks", Kind::Object),
    field("unknown_price", Kind::Any),
    field("end_user_budget_id", Kind::Text),
    field("project_id", Kind::Text),
    field("agent_id", Kind::Text),
    field("allowed_passthrough_routes", Kind::Texts),
    field("denied_passthrough_routes", Kind::Texts),
    field("allowed_vector_store_indexes", Kind::List),
    field("auto_rotate", Kind::Bool),
    field("rotation_interval", Kind::Duration),
    field("throttle_on_budget_exceeded", Kind::Bool),
    field("enable_prompt_caching", Kind::Bool),
];

/// Of a new key only.
pub const NEW: &[Field] = &[field("key", Kind::Text), field("send_invite_email", Kind::Bool)];

/// Of a change only.
pub const CHANGED: &[Field] = &[];

/// Of a regeneration only.
pub const REGENERATED: &[Field] = &[field("new_key", Kind::Text), field("grace_period", Kind::Duration)];

/// Those of [`FIELDS`] that are kept as they were given.
fn kept() -> &'static [Field] {
    let from = FIELDS.iter().position(|field| field.name == "metadata").unwrap_or(FIELDS.len());
    FIELDS.get(from..).unwrap_or_default()
}

/// The shortest key that a caller may choose; LiteLLM's bound.
const SHORTEST: usize = 16;

/// Checks a key that the caller chose.
///
/// # Errors
/// When it is too easy to guess, or no key at all.
pub fn check_chosen(field: &str, key: &str) -> Result<(), Problem> {
    let letters = key.bytes().all(|byte| byte.is_ascii_graphic());
    if key.starts_with("sk-") && key.len() >= SHORTEST && letters && key.len() <= 512 {
        return Ok(());
    }
    let told = format!(
        "`{field}` must start with `sk-` and have {SHORTEST} to 512 characters, none of them a space; leave it out to have one made"
    );
    Err(Problem::field(field, told))
}

/// How a key is shown: `sk-...` and its last four characters.
#[must_use]
pub fn short_name(key: &str) -> String {
    let letters: Vec<char> = key.chars().collect();
    let last = letters.iter().skip(letters.len().saturating_sub(4));
    std::iter::once("sk-...".to_owned()).chain(last.map(char::to_string)).collect()
}

/// Takes over what a request says.
///
/// # Errors
/// A field that makes no sense.
pub fn apply(body: &Body, key: &mut Key, now: Timestamp) -> Result<(), Problem> {
    let text = |body: &Body, name: &str| body.text(name).map(str::to_owned);
    body.patch("key_alias", text).apply(&mut key.details.alias);
    key.details.alias = key.details.alias.take().filter(|alias| !alias.is_empty());
    body.id("user_id")?.apply(&mut key.user);
    body.id("team_id")?.apply(&mut key.team);
    body.id("organization_id")?.apply(&mut key.organization);
    lists(body, key)?;
    if let Some(blocked) = body.bool("blocked") {
        key.details.blocked = blocked;
    }
    match body.patch("duration", text) {
        Patch::Set(duration) => key.expires_at = moment::after(now, &duration),
        Patch::Clear => key.expires_at = None,
        Patch::Keep => {}
    }
    terms::apply(body, &mut key.details, now)?;
    terms::keep(body, kept(), &mut key.details);
    plan_rotation(body, key, now)?;
    // What has a place of its own has it here too.
    if let Some(Value::Object(metadata)) = key.details.extra.get_mut("metadata") {
        metadata.remove("tags");
    }
    Ok(())
}

/// `auto_rotate` and `rotation_interval` say when the next secret is due.
fn plan_rotation(body: &Body, key: &mut Key, now: Timestamp) -> Result<(), Problem> {
    let extra = &key.details.extra;
    if extra.get("auto_rotate") != Some(&Value::Bool(true)) {
        key.rotation.due_at = None;
        return Ok(());
    }
    let Some(interval) = extra.get("rotation_interval").and_then(Value::as_str) else {
        let told = "`auto_rotate` needs a `rotation_interval`, such as `30d`";
        return Err(Problem::field("rotation_interval", told));
    };
    let is_given = ["auto_rotate", "rotation_interval"].iter().any(|name| body.fields().contains_key(*name));
    if is_given || key.rotation.due_at.is_none() {
        key.rotation.due_at = moment::after(now, interval);
    }
    Ok(())
}

/// Notes that a key got a new secret; the next one is due an interval from now.
pub fn rotated(key: &mut Key, now: Timestamp) {
    key.rotation.last_at = Some(now);
    key.rotation.count = key.rotation.count.saturating_add(1);
    if key.rotation.due_at.is_some() {
        let interval = key.details.extra.get("rotation_interval").and_then(Value::as_str);
        key.rotation.due_at = interval.and_then(|interval| moment::after(now, interval));
    }
}

fn lists(body: &Body, key: &mut Key) -> Result<(), Problem> {
    let or_none = |patch: Patch<Vec<String>>, list: &mut Vec<String>| match patch {
        Patch::Set(names) => *list = names,
        Patch::Clear => list.clear(),
        Patch::Keep => {}
    };
    or_none(body.patch("models", Body::texts), &mut key.models.0);
    if let Patch::Set(groups) = access_group::ids(body, "access_group_ids")? {
        key.access_groups = groups;
    }
    or_none(body.patch("allowed_ips", Body::texts), &mut key.addresses.0);
    check_addresses(&key.addresses)?;
    or_none(body.patch("allowed_routes", Body::texts), &mut key.routes.0);
    check_routes(&key.routes)?;
    if let Some(controls) = body.texts("allowed_cache_controls") {
        condition::check_cache_controls(&controls)?;
    }
    if let (Some(kind), None) =
        (body.text("key_type"), body.texts("allowed_routes").filter(|list| !list.is_empty()))
    {
        key.routes = routes_of_type(kind);
    }
    match body.patch("aliases", |body, name| body.object(name).map(text_map)) {
        Patch::Set(aliases) => key.aliases = aliases,
        Patch::Clear => key.aliases.clear(),
        Patch::Keep => {}
    }
    // LiteLLM keeps tags in the metadata, and callers give them there too.
    let in_metadata =
        body.object("metadata").and_then(|metadata| metadata.get("tags")).and_then(Value::as_array);
    let in_metadata =
        in_metadata.map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    if let Some(tags) = body.texts("tags").or(in_metadata) {
        let mut read: Vec<Tag> = tags.iter().map(|tag| parse_id("tags", tag)).collect::<Result<_, _>>()?;
        let mut seen = std::collections::BTreeSet::new();
        read.retain(|tag| seen.insert(tag.clone()));
        key.tags = read;
    }
    Ok(())
}

/// Texts by name.
#[must_use]
pub(crate) fn text_map(object: &Object) -> BTreeMap<String, String> {
    object.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn check_addresses(addresses: &AddressList) -> Result<(), Problem> {
    let is_address = |entry: &&String| {
        let (network, prefix) = entry.split_once('/').unwrap_or((entry, "0"));
        let most = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.parse::<u32>().ok();
        network.parse().is_ok_and(|address| prefix.is_some_and(|prefix| prefix <= most(address)))
    };
    match addresses.0.iter().find(|entry| !is_address(entry)) {
        Some(entry) => Err(Problem::field(
            "allowed_ips",
            format!("`allowed_ips` has `{entry}`; write addresses (`10.0.0.7`) or networks (`10.0.0.0/8`)"),
        )),
        None => Ok(()),
    }
}

/// A path, or the name of a group of routes.
fn check_routes(routes: &RouteList) -> Result<(), Problem> {
    let is_known = |entry: &&String| entry.starts_with('/') || route::GROUPS.contains(&entry.as_str());
    match routes.0.iter().find(|entry| !is_known(entry)) {
        Some(entry) => {
            let near = body::nearest(entry, route::GROUPS.iter().copied());
            let hint = near.map(|near| format!("; nearest: `{near}`")).unwrap_or_default();
            let told = format!(
                "`allowed_routes` has `{entry}`, which is no path (`/chat/completions`, `/v1/files*`) and no group of \
                 routes{hint}"
            );
            Err(Problem::field("allowed_routes", told))
        }
        None => Ok(()),
    }
}

/// The routes that a kind of key may call.
fn routes_of_type(kind: &str) -> RouteList {
    RouteList(match kind {
        "llm_api" => vec!["llm_api_routes".to_owned()],
        "management" => vec!["management_routes".to_owned()],
        "read_only" => vec!["info_routes".to_owned()],
        _ => Vec::new(),
    })
}

/// A key as `/key/info` and `/key/list` show it.
#[must_use]
pub fn row(key: &Key, spend: Spend, clock: &Clock) -> Object {
    let mut row = Object::new();
    row.insert("token".to_owned(), json!(key.id));
    row.insert("key_name".to_owned(), json!(key.name));
    row.insert("key_alias".to_owned(), json!(key.details.alias));
    row.insert("spend".to_owned(), json!(spend.current));
    row.insert("total_spend".to_owned(), json!(spend.total));
    row.insert("expires".to_owned(), json!(key.expires_at.map(moment::iso)));
    row.insert("models".to_owned(), json!(key.models.0));
    row.insert("access_group_ids".to_owned(), json!(key.access_groups));
    row.insert("aliases".to_owned(), json!(key.aliases));
    row.insert("user_id".to_owned(), json!(key.user));
    row.insert("team_id".to_owned(), json!(key.team));
    row.insert("organization_id".to_owned(), json!(key.organization));
    row.insert("blocked".to_owned(), json!(key.details.blocked));
    row.insert("allowed_routes".to_owned(), json!(key.routes.0));
    row.insert("allowed_ips".to_owned(), json!(key.addresses.0));
    row.extend(terms::show(&key.details, clock));
    terms::show_kept(&key.details, kept(), &mut row);
    row.insert("rotation_count".to_owned(), json!(key.rotation.count));
    row.insert("last_rotation_at".to_owned(), json!(key.rotation.last_at.map(moment::iso)));
    row.insert("key_rotation_at".to_owned(), json!(key.rotation.due_at.map(moment::iso)));
    row.insert("tags".to_owned(), json!(key.tags));
    if let Some(Value::Object(metadata)) = row.get_mut("metadata")
        && !key.tags.is_empty()
    {
        metadata.insert("tags".to_owned(), json!(key.tags));
    }
    terms::show_history(&key.details, &mut row);
    row.insert("status".to_owned(), json!(status(key, clock.now)));
    row.insert("model_spend".to_owned(), json!({}));
    row.insert("litellm_budget_table".to_owned(), Value::Null);
    row
}

/// `active`, `blocked` or `expired`.
#[must_use]
pub fn status(key: &Key, now: Timestamp) -> &'static str {
    match key {
        key if key.details.blocked => "blocked",
        key if key.expires_at.is_some_and(|at| at <= now) => "expired",
        _ => "active",
    }
}

/// What a key is to those who ask about it.
#[must_use]
pub fn object(key: &Key) -> caller::Object {
    caller::Object {
        key: Some(key.id.clone()),
        user: key.user.clone(),
        team: key.team.clone(),
        organization: key.organization.clone(),
    }
}

/// Nothing yet; see [`apply`].
#[must_use]
pub fn empty(secret: &str) -> Key {
    let hash = ledger::rules::id::KeyHash::of(secret);
    Key {
        id: (&hash).into(),
        hash,
        name: short_name(secret),
        user: None,
        team: None,
        organization: None,
        models: ModelList::default(),
        access_groups: Vec::new(),
        aliases: BTreeMap::new(),
        routes: RouteList::default(),
        addresses: AddressList::default(),
        tags: Vec::new(),
        expires_at: None,
        rotation: Rotation::default(),
        details: ledger::rules::entity::Details::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_254_233_000);

    fn applied(text: &str) -> Result<Key, Problem> {
        let mut key = empty("sk-1234567890abcdef");
        let body = Body::read(text.as_bytes(), &[FIELDS, NEW, terms::TERMS, terms::MORE_TERMS])?;
        apply(&body, &mut key, NOW)?;
        Ok(key)
    }

    #[test]
    fn what_is_given_is_shown_and_the_secret_is_not() {
        let key = applied(
            r#"{"key_alias":"ci","models":["gpt-4o"],"duration":"30d","metadata":{"a":1,"tags":["x"]},"max_budget":5,
                "key_type":"llm_api","guardrails":["g"],"key":"sk-1234567890abcdef"}"#,
        )
        .unwrap();
        let row = Value::Object(row(&key, Spend::default(), &Clock { now: NOW, ..Clock::default() }));
        assert_eq!(row["key_name"], "sk-...cdef");
        assert_eq!(row["expires"], "2026-12-21T09:43:53.000000Z");
        assert_eq!(row["metadata"], json!({"a": 1, "tags": ["x"]}));
        assert_eq!(row["allowed_routes"], json!(["llm_api_routes"]));
        assert_eq!(row["guardrails"], json!(["g"]));
        assert_eq!(row["status"], "active");
        assert!(!row.to_string().contains("1234567890"), "{row}");
    }

    #[test]
    fn a_key_that_rotates_knows_when() {
        let mut key = applied(r#"{"auto_rotate":true,"rotation_interval":"30d"}"#).unwrap();
        let shown =
            |key: &Key| Value::Object(row(key, Spend::default(), &Clock { now: NOW, ..Clock::default() }));
        assert_eq!(shown(&key)["key_rotation_at"], "2026-12-21T09:43:53.000000Z");
        assert_eq!(
            (&shown(&key)["rotation_count"], &shown(&key)["last_rotation_at"]),
            (&json!(0), &Value::Null)
        );
        let later = Timestamp(NOW.0 + 86_400_000);
        let change =
            |text: &str, key: &mut Key| apply(&Body::read(text.as_bytes(), &[FIELDS]).unwrap(), key, later);
        change(r#"{"key_alias":"ci"}"#, &mut key).unwrap();
        assert_eq!(
            shown(&key)["key_rotation_at"],
            "2026-12-21T09:43:53.000000Z",
            "another change moves nothing"
        );
        rotated(&mut key, later);
        assert_eq!(shown(&key)["key_rotation_at"], "2026-12-22T09:43:53.000000Z");
        assert_eq!(shown(&key)["last_rotation_at"], "2026-11-22T09:43:53.000000Z");
        assert_eq!(shown(&key)["rotation_count"], 1);
        change(r#"{"auto_rotate":false}"#, &mut key).unwrap();
        assert_eq!(shown(&key)["key_rotation_at"], Value::Null);
        assert_eq!(
            applied(r#"{"auto_rotate":true}"#).unwrap_err().param.as_deref(),
            Some("rotation_interval")
        );
    }

    #[test]
    fn a_chosen_key_must_be_one() {
        assert_eq!(check_chosen("key", "sk-1234567890abc"), Ok(()));
        for key in ["sk-short", "1234567890abcdef", "sk-1234567890 abcdef", "sk-é23456789012345", ""] {
            assert_eq!(check_chosen("key", key).unwrap_err().param.as_deref(), Some("key"), "{key}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (body, param) in [
            (r#"{"allowed_ips":["10.0.0.0/33"]}"#, "allowed_ips"),
            (r#"{"allowed_ips":["here"]}"#, "allowed_ips"),
            (r#"{"user_id":"a\u0007b"}"#, "user_id"),
            (r#"{"duration":"soon"}"#, "duration"),
            (r#"{"max_budget":-1}"#, "max_budget"),
            (r#"{"tags":[""]}"#, "tags"),
            (r#"{"allowed_routes":["llm_api_route"]}"#, "allowed_routes"),
            (r#"{"allowed_cache_controls":["no-cash"]}"#, "allowed_cache_controls"),
        ] {
            assert_eq!(applied(body).unwrap_err().param.as_deref(), Some(param), "{body}");
        }
    }
}
