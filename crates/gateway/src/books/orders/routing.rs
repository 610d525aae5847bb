//! `router_settings` of a key or a team.

use std::collections::BTreeMap;
use std::time::Duration;

use dialects::Invalid;
use routing::Overrides;
use routing::settings::{PerClass, Strategy};
use serde_json::{Map, Value};

use crate::config::nearest;
use crate::pipeline::as_seconds;
use crate::routing_json::{self, Fallbacks, whole_number, wrong};

/// How the requests of a key or a team are routed, where they say nothing of it themselves.
#[derive(Clone, Debug, Default)]
pub struct RoutingOrders {
    num_retries: Option<u32>,
    retry_policy: Option<PerClass>,
    /// `model_group_retry_policy`
    policies: BTreeMap<String, PerClass>,
    /// `fallbacks`, `context_window_fallbacks` and `content_policy_fallbacks`.
    fallbacks: [Option<Fallbacks>; 3],
    strategy: Option<Strategy>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// `model_group_alias`: names for models.
    pub aliases: BTreeMap<String, String>,
}

const FALLBACKS: [&str; 3] = ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"];

/// What is followed, beside [`FALLBACKS`].
const FOLLOWED: [&str; 7] = [
    "num_retries",
    "max_retries",
    "retry_policy",
    "model_group_retry_policy",
    "routing_strategy",
    "timeout",
    "model_group_alias",
];

/// What is about deployments, whose state all callers share: it is kept, and holds in the configuration alone.
const OF_ALL: [&str; 10] = [
    "allowed_fails",
    "cooldown_time",
    "enable_tag_filtering",
    "model_group_affinity_config",
    "optional_pre_call_checks",
    "retry_after",
    "routing_groups",
    "routing_strategy_args",
    "tag_routing_prefix",
    "weights",
];

const FIELD: &str = "router_settings";

impl RoutingOrders {
    /// Reads `router_settings`.
    ///
    /// # Errors
    /// The first setting that there is not, or that is of a wrong type.
    pub fn read(settings: &Map<String, Value>) -> Result<Self, Invalid> {
        let known = || FALLBACKS.into_iter().chain(FOLLOWED).chain(OF_ALL);
        if let Some(name) = settings.keys().find(|name| !known().any(|known| known == name.as_str())) {
            let near = nearest(name, known());
            let hint = near.map(|near| format!("; nearest: `{near}`")).unwrap_or_default();
            return Err(Invalid::new(place(name), format!("keys and teams have no such setting{hint}")));
        }
        let of = |name: &str| settings.get(name).filter(|value| !value.is_null());
        let number = |name: &str| of(name).map(|value| whole_number(&place(name), value)).transpose();
        let [general, window, policy] = FALLBACKS
            .map(|name| of(name).map(|value| Fallbacks::read(&place(name), value.clone())).transpose());
        let policies = match of("model_group_retry_policy") {
            Some(value) => of_groups("model_group_retry_policy", value, routing_json::retry_policy)?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            // As in a request, a `max_retries` of 0 is about something else.
            num_retries: number("num_retries")?.or(number("max_retries")?.filter(|retries| *retries > 0)),
            retry_policy: of("retry_policy")
                .map(|value| routing_json::retry_policy(&place("retry_policy"), value))
                .transpose()?,
            policies,
            fallbacks: [general?, window?, policy?],
            strategy: of("routing_strategy").map(strategy).transpose()?,
            timeout: of("timeout").map(timeout).transpose()?,
            aliases: of("model_group_alias")
                .map_or(Ok(BTreeMap::new()), |value| of_groups("model_group_alias", value, alias))?,
        })
    }

    /// These, and where they say nothing those of the team.
    #[must_use]
    pub fn or(mut self, team: Self) -> Self {
        for (group, policy) in team.policies {
            self.policies.entry(group).or_insert(policy);
        }
        for (name, model) in team.aliases {
            self.aliases.entry(name).or_insert(model);
        }
        for (own, of_team) in self.fallbacks.iter_mut().zip(team.fallbacks) {
            *own = own.take().or(of_team);
        }
        Self {
            num_retries: self.num_retries.or(team.num_retries),
            retry_policy: self.retry_policy.or(team.retry_policy),
            strategy: self.strategy.or(team.strategy),
            timeout: self.timeout.or(team.timeout),
            ..self
        }
    }

    /// Fills in what a request for a model leaves open.
    pub fn fill(&self, overrides: &mut Overrides, model: &str) {
        let Overrides {
            num_retries,
            retry_policy,
            fallbacks,
            context_window_fallbacks,
            content_policy_fallbacks,
            strategy,
            disable_fallbacks: _,
        } = overrides;
        *num_retries = num_retries.or(self.num_retries);
        *retry_policy = retry_policy.or_else(|| self.policies.get(model).copied()).or(self.retry_policy);
        *strategy = strategy.or(self.strategy);
        let lists = [fallbacks, context_window_fallbacks, content_policy_fallbacks];
        for (list, own) in lists.into_iter().zip(&self.fallbacks) {
            if list.is_none() {
                *list = own.as_ref().and_then(|own| own.of(model)).map(<[_]>::to_vec);
            }
        }
    }
}

fn place(name: &str) -> String {
    format!("{FIELD}.{name}")
}

/// `{group: …}`
fn of_groups<T>(
    name: &str,
    value: &Value,
    read: impl Fn(&str, &Value) -> Result<T, Invalid>,
) -> Result<BTreeMap<String, T>, Invalid> {
    let Value::Object(groups) = value else { return Err(wrong(&place(name), "an object", value)) };
    let groups = groups.iter();
    groups.map(|(group, own)| Ok((group.clone(), read(&place(&format!("{name}.{group}")), own)?))).collect()
}

/// A model's name, or an object with a `model`.
fn alias(path: &str, value: &Value) -> Result<String, Invalid> {
    let name = value.as_str().or_else(|| value.get("model")?.as_str());
    name.map(str::to_owned).ok_or_else(|| wrong(path, "a model's name", value))
}

fn strategy(value: &Value) -> Result<Strategy, Invalid> {
    let path = place("routing_strategy");
    let name = value.as_str().ok_or_else(|| wrong(&path, "a strategy's name", value))?;
    routing_json::strategy(&path, name)
}

fn timeout(value: &Value) -> Result<Duration, Invalid> {
    let seconds = value.is_number().then(|| as_seconds(&value.to_string())).flatten();
    seconds.ok_or_else(|| wrong(&place("timeout"), "a positive number of seconds", value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(settings: &Value) -> Result<RoutingOrders, Invalid> {
        RoutingOrders::read(settings.as_object().unwrap())
    }

    fn names(list: Option<&[routing::settings::Target]>) -> Option<Vec<&str>> {
        list.map(|list| list.iter().map(|target| &*target.name).collect())
    }

    #[test]
    fn they_fill_in_what_a_request_leaves_open() {
        let orders = read(&json!({
            "num_retries": 3, "fallbacks": [{"a": ["b"]}, {"*": ["c"]}], "context_window_fallbacks": [{"a": ["d"]}],
            "routing_strategy": "least-busy", "model_group_retry_policy": {"a": {"TimeoutErrorRetries": 5}},
            "cooldown_time": 30, "model_group_alias": {"best": "a", "other": {"model": "b", "hidden": true}},
        }))
        .unwrap();
        let mut left_open = Overrides::default();
        orders.fill(&mut left_open, "a");
        assert_eq!((left_open.num_retries, left_open.strategy), (Some(3), Some(Strategy::LeastBusy)));
        assert_eq!(names(left_open.fallbacks.as_deref()), Some(vec!["b"]));
        assert_eq!(names(left_open.context_window_fallbacks.as_deref()), Some(vec!["d"]));
        assert!(left_open.retry_policy.is_some() && left_open.content_policy_fallbacks.is_none());
        assert_eq!((orders.aliases["best"].as_str(), orders.aliases["other"].as_str()), ("a", "b"));

        let mut said =
            Overrides { num_retries: Some(0), fallbacks: Some(Vec::new()), ..Overrides::default() };
        orders.fill(&mut said, "z");
        assert_eq!((said.num_retries, names(said.fallbacks.as_deref())), (Some(0), Some(Vec::new())));
        assert!(said.retry_policy.is_none() && said.context_window_fallbacks.is_none());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (settings, path) in [
            (json!({"num_retries": -1}), "router_settings.num_retries"),
            (json!({"fallbacks": {"a": ["b"]}}), "router_settings.fallbacks"),
            (json!({"fallbacks": [{"a": [1]}]}), "router_settings.fallbacks[0].a[0]"),
            (
                json!({"fallbacks": [{"model": "a", "api_base": "http://x"}]}),
                "router_settings.fallbacks[0].api_base",
            ),
            (json!({"routing_strategy": "best"}), "router_settings.routing_strategy"),
            (json!({"timeout": 0}), "router_settings.timeout"),
            (json!({"timeout": "5"}), "router_settings.timeout"),
            (json!({"model_group_alias": {"a": 1}}), "router_settings.model_group_alias.a"),
            (json!({"retry_policy": {"x": 1}}), "router_settings.retry_policy.x"),
            (json!({"fallback": []}), "router_settings.fallback"),
        ] {
            assert_eq!(read(&settings).unwrap_err().param.as_deref(), Some(path), "{settings}");
        }
        let told = read(&json!({"fallback": []})).unwrap_err().message;
        assert!(told.ends_with("nearest: `fallbacks`"), "{told}");
    }
}
