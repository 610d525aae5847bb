//! How requests, keys and teams speak of routing, in LiteLLM's JSON. A value of a wrong type is told with its place.

use std::fmt::Display;
use std::sync::Arc;

use dialects::Invalid;
use dialects::conversation::Extra;
use routing::settings::{FailureClass, PerClass, Strategy, Target, UnknownStrategy};
use serde_json::Value;

use crate::pipeline::is_for_operators;

/// A list of fallbacks: names and objects with a `model`; or, as in the settings, objects from a group to such a list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fallbacks {
    /// Whatever the group is.
    targets: Vec<Target>,
    /// By group; `*` is any other one.
    rules: Vec<(String, Vec<Target>)>,
}

impl Fallbacks {
    pub(crate) fn read(field: &str, value: Value) -> Result<Self, Invalid> {
        let Value::Array(items) = value else { return Err(wrong(field, "a list", &value)) };
        let mut fallbacks = Self::default();
        for (place, item) in items.into_iter().enumerate() {
            let path = format!("{field}[{place}]");
            match item {
                Value::Object(fields) if !fields.contains_key("model") => {
                    fallbacks.rules.push(rule(&path, fields)?);
                }
                item => fallbacks.targets.push(target(&path, item)?),
            }
        }
        Ok(fallbacks)
    }

    /// The list for a model, if there is one. The same search as in the settings: the group, its name without the
    /// provider, any.
    pub(crate) fn of(&self, model: &str) -> Option<&[Target]> {
        if !self.targets.is_empty() {
            return Some(&self.targets);
        }
        let bare = model.split_once('/').map(|(_, bare)| bare);
        let of = |name: &str| self.rules.iter().find(|(group, _)| group == name);
        let found = of(model).or_else(|| of(bare?)).or_else(|| of("*"));
        found.map(|(_, targets)| targets.as_slice())
    }
}

/// `{group: [other, …]}`.
fn rule(path: &str, fields: Extra) -> Result<(String, Vec<Target>), Invalid> {
    let mut fields = fields.into_iter();
    match (fields.next(), fields.next()) {
        (Some((group, Value::Array(items))), None) => {
            let target = |(place, item)| target(&format!("{path}.{group}[{place}]"), item);
            let targets = items.into_iter().enumerate().map(target).collect::<Result<_, _>>()?;
            Ok((group, targets))
        }
        _ => Err(Invalid::new(
            format!("{path}.model"),
            "the field is missing; an item is a name, `{\"model\": name, …}` or `{group: [name, …]}`",
        )),
    }
}

/// A name, or an object with a `model` and the parameters that are other ones there.
fn target(path: &str, item: Value) -> Result<Target, Invalid> {
    let mut params = match item {
        Value::String(name) => return Ok(Target { name: name.into(), params: None }),
        Value::Object(params) => params,
        other => return Err(wrong(path, "a model's name, or an object with a `model`", &other)),
    };
    let name = match params.shift_remove("model") {
        Some(Value::String(name)) => name.into(),
        Some(other) => return Err(wrong(&format!("{path}.model"), "a string", &other)),
        None => return Err(Invalid::new(format!("{path}.model"), "the field is missing")),
    };
    // What a caller may not say of the request it may not say of its fallbacks.
    if let Some(name) = params.keys().find(|name| is_for_operators(name)) {
        let why = "the field is not allowed in a request; the gateway's operator sets it";
        return Err(Invalid::new(format!("{path}.{name}"), why));
    }
    let params = Some(params).filter(|params| !params.is_empty()).map(Arc::new);
    Ok(Target { name, params })
}

/// `{TimeoutErrorRetries: 3, …}`
pub(crate) fn retry_policy(field: &str, value: &Value) -> Result<PerClass, Invalid> {
    let Value::Object(fields) = value else { return Err(wrong(field, "an object", value)) };
    let mut policy = PerClass::default();
    for (name, number) in fields {
        let path = format!("{field}.{name}");
        let class = FailureClass::of_setting(name).filter(|_| name.ends_with("Retries"));
        let class = class.ok_or_else(|| {
            Invalid::new(&path, "there is no such class of errors; one is `TimeoutErrorRetries`")
        })?;
        if !number.is_null() {
            policy.set(class, whole_number(&path, number)?);
        }
    }
    Ok(policy)
}

pub(crate) fn strategy(field: &str, name: &str) -> Result<Strategy, Invalid> {
    name.parse().map_err(|unknown: UnknownStrategy| Invalid::new(field, unknown.to_string()))
}

pub(crate) const WHOLE_NUMBER: &str = "a whole number, 0 or more";

pub(crate) fn whole_number(path: &str, value: &Value) -> Result<u32, Invalid> {
    let number = value.as_u64().and_then(|number| number.try_into().ok());
    number.ok_or_else(|| wrong(path, WHOLE_NUMBER, value))
}

pub(crate) fn wrong(path: &str, expected: &str, found: &impl Display) -> Invalid {
    let found: String = found.to_string().chars().take(40).collect();
    Invalid::new(path, format!("expected {expected}, found `{found}`"))
}
