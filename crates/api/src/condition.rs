//! What a key demands of the requests that are made with it, and what it gives beside models and routes.

use ledger::rules::entity::Key;
use serde_json::Value;

use crate::Object;
use crate::problem::Problem;

/// What a key demands of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Parameters that a request's body must have: `user`, or `metadata.generation_name`.
    pub required_params: Vec<String>,
    /// What requests may say in `cache`; empty: anything.
    pub cache_controls: Vec<String>,
    /// Whether the configuration's demands on service accounts hold for it.
    pub is_service_account: bool,
}

/// What `cache` of a request may hold.
pub const CACHE_CONTROLS: [&str; 7] =
    ["ttl", "s-maxage", "s-max-age", "no-cache", "no-store", "namespace", "use-cache"];

/// By these fields a key gets more than models and routes. They are for administrators of the gateway to give.
pub const RIGHTS: [&str; 6] = [
    "permissions",
    "object_permission",
    "allowed_passthrough_routes",
    "denied_passthrough_routes",
    "allowed_vector_store_indexes",
    "unknown_price",
];

impl Conditions {
    /// Those of a key; LiteLLM keeps `enforced_params` in its metadata, and callers give them there too.
    #[must_use]
    pub fn of(key: &Key) -> Self {
        let extra = &key.details.extra;
        let metadata = extra.get("metadata").and_then(Value::as_object);
        let list = |object: &Object, name: &str| -> Vec<String> {
            let list = object.get(name).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut required_params = list(extra, "enforced_params");
        required_params.extend(metadata.map(|own| list(own, "enforced_params")).unwrap_or_default());
        Self {
            required_params,
            cache_controls: list(extra, "allowed_cache_controls"),
            is_service_account: metadata.is_some_and(|own| own.contains_key("service_account_id")),
        }
    }

    /// Whether they ask for at least as much as another key's.
    ///
    /// # Errors
    /// The field by which they ask for less.
    pub fn at_least(&self, other: &Self, name: &str) -> Result<(), Problem> {
        let less = |field: &str| {
            let told =
                format!("`{field}` asks for less than {name} does: nobody gives what they do not have");
            Err(Problem::forbidden(Some(field), told))
        };
        if other.required_params.iter().any(|param| !self.required_params.contains(param)) {
            return less("enforced_params");
        }
        let is_part = !self.cache_controls.is_empty()
            && self.cache_controls.iter().all(|control| other.cache_controls.contains(control));
        if !other.cache_controls.is_empty() && !is_part {
            return less("allowed_cache_controls");
        }
        if other.is_service_account && !self.is_service_account {
            return less("metadata");
        }
        Ok(())
    }
}

/// Checks what a key says of cache controls.
///
/// # Errors
/// The first that there is not.
pub fn check_cache_controls(controls: &[String]) -> Result<(), Problem> {
    match controls.iter().find(|control| !CACHE_CONTROLS.contains(&control.as_str())) {
        Some(control) => Err(Problem::field(
            "allowed_cache_controls",
            format!("`allowed_cache_controls` has `{control}`; there are {}", CACHE_CONTROLS.join(", ")),
        )),
        None => Ok(()),
    }
}

/// A key's own conditions and rights pass on to a key that is made with it, where that says nothing.
pub fn inherit(wanted: &mut Key, has: &Key) {
    for field in RIGHTS.into_iter().chain(["enforced_params", "allowed_cache_controls"]) {
        if !is_given(wanted.details.extra.get(field))
            && let Some(own) = has.details.extra.get(field)
        {
            wanted.details.extra.insert(field.to_owned(), own.clone());
        }
    }
    let of_metadata = has.details.extra.get("metadata").and_then(|metadata| metadata.get("enforced_params"));
    if let Some(params) = of_metadata {
        let own = wanted.details.extra.entry("enforced_params").or_insert_with(|| Value::Array(Vec::new()));
        if let (Value::Array(own), Value::Array(params)) = (own, params) {
            own.extend(params.iter().filter(|param| !own.contains(param)).cloned().collect::<Vec<_>>());
        }
    }
}

/// Whether a key has no rights but those of another one; `defaults` are what all new keys get.
///
/// # Errors
/// The first right that the other has not.
pub fn check_rights(wanted: &Key, has: &Key, defaults: &Object) -> Result<(), Problem> {
    let own = |field: &str| wanted.details.extra.get(field).filter(|value| is_given(Some(value)));
    let theirs = |field: &str| has.details.extra.get(field).filter(|value| is_given(Some(value)));
    let gained = RIGHTS.into_iter().find(|field| {
        own(field) != theirs(field) && (own(field).is_none() || own(field) != defaults.get(*field))
    });
    match gained {
        Some(field) => Err(Problem::forbidden(
            Some(field),
            format!("`{field}` is for administrators of the gateway to give and to take"),
        )),
        None => Ok(()),
    }
}

/// Empty is as good as nothing.
fn is_given(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => true,
    }
}

/// Whether a key's `permissions` grant something.
#[must_use]
pub fn permits(key: &Key, permission: &str) -> bool {
    let permissions = key.details.extra.get("permissions");
    permissions.and_then(|own| own.get(permission)).and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn key(extra: &Value) -> Key {
        let mut key = crate::key::empty("sk-1234567890abcdef");
        key.details.extra = extra.as_object().cloned().unwrap();
        key
    }

    #[test]
    fn enforced_params_are_read_from_both_places() {
        let key = key(&json!({
            "enforced_params": ["user"],
            "metadata": {"enforced_params": ["metadata.team"], "service_account_id": "ci"},
        }));
        let conditions = Conditions::of(&key);
        assert_eq!(conditions.required_params, ["user", "metadata.team"]);
        assert!(conditions.is_service_account);
    }

    #[test]
    fn less_is_told_with_its_field() {
        let has = Conditions::of(&key(&json!({
            "enforced_params": ["user"], "allowed_cache_controls": ["ttl"], "metadata": {"service_account_id": "ci"},
        })));
        for (extra, field) in [
            (json!({}), Some("enforced_params")),
            (json!({"enforced_params": ["user"]}), Some("allowed_cache_controls")),
            (
                json!({"enforced_params": ["user"], "allowed_cache_controls": ["ttl", "no-store"]}),
                Some("allowed_cache_controls"),
            ),
            (json!({"enforced_params": ["user"], "allowed_cache_controls": ["ttl"]}), Some("metadata")),
            (
                json!({
                    "enforced_params": ["a", "user"], "allowed_cache_controls": ["ttl"],
                    "metadata": {"service_account_id": "x"},
                }),
                None,
            ),
        ] {
            let told =
                Conditions::of(&key(&extra)).at_least(&has, "it").err().and_then(|problem| problem.param);
            assert_eq!(told.as_deref(), field, "{extra}");
        }
    }

    fn some_extra() -> impl Strategy<Value = Value> {
        let params =
            || prop::collection::vec(prop::sample::select(vec!["user", "metadata.a", "tools"]), 0..3);
        let controls = prop::collection::vec(prop::sample::select(CACHE_CONTROLS.to_vec()), 0..3);
        let permissions =
            prop::sample::select(vec![json!({}), json!({"get_spend_routes": true}), Value::Null]);
        (params(), params(), controls, permissions).prop_map(|(own, inner, controls, permissions)| {
            json!({
                "enforced_params": own, "allowed_cache_controls": controls, "permissions": permissions,
                "metadata": {"enforced_params": inner},
            })
        })
    }

    proptest! {
        /// Whatever a key says, what it leaves open it gets from the key that makes it; and where nothing is left open
        /// it either fits or is refused.
        #[test]
        fn what_is_inherited_fits(has in some_extra()) {
            let has = key(&has);
            let mut made = key(&json!({}));
            inherit(&mut made, &has);
            prop_assert_eq!(Conditions::of(&made).at_least(&Conditions::of(&has), "it"), Ok(()));
            prop_assert_eq!(check_rights(&made, &has, &Object::new()), Ok(()));
        }

        #[test]
        fn rights_are_never_gained_by_inheriting(wanted in some_extra(), has in some_extra()) {
            let (mut made, has) = (key(&wanted), key(&has));
            inherit(&mut made, &has);
            if check_rights(&made, &has, &Object::new()).is_ok() {
                prop_assert_eq!(permits(&made, "get_spend_routes"), permits(&has, "get_spend_routes"));
            }
        }
    }
}
