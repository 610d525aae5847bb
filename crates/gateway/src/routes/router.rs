//! What routing knows and how it is set: `/router/state`, `/router/settings`, `/model_group/info`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::Json;
use routing::settings::FallbackRule;
use routing::{DeploymentState, Phase, Settings};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::access::{Authenticated, Operator};
use crate::Gateway;
use crate::pipeline::is_for;
use crate::snapshot::{Group, Served};

/// Each deployment with what is going on there.
pub(super) async fn state(_: Operator, State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let snapshot = gateway.snapshot();
    let now = gateway.now();
    let deployments = snapshot.fleet().snapshot(now);
    let deployments = deployments.iter().map(|state| deployment(state, |until| until.since(now)));
    Json(json!({"deployments": deployments.collect::<Value>()}))
}

fn deployment(state: &DeploymentState, left: impl Fn(routing::Moment) -> Duration) -> Value {
    let milliseconds = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
    let (phase, seconds) = match state.phase {
        Phase::Closed if state.disabled => ("disabled", None),
        Phase::Closed => ("well", None),
        Phase::Open(until) => ("cooling down", Some(left(until).as_secs_f64())),
        Phase::ProbeDue => ("probe due", None),
        Phase::Probing => ("probing", None),
    };
    json!({
        "model_id": &*state.id,
        "model_group": &*state.group,
        "state": phase,
        "cooldown_left_s": seconds,
        "cooldown_reason": state.reason.as_ref().filter(|_| phase != "well").map(ToString::to_string),
        "in_flight": state.in_flight,
        "latency_ms": state.latency.map(milliseconds),
        "first_token_ms": state.first_token.map(milliseconds),
        "requests_last_minute": state.requests,
        "tokens_last_minute": state.tokens,
        "ended_last_minute": state.ended,
        "failed_last_minute": state.failed,
    })
}

/// The settings that are in effect.
pub(super) async fn settings(_: Operator, State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let snapshot = gateway.snapshot();
    let Settings { strategy, retries, cooldowns, fallbacks, tags, .. } = &snapshot.routing;
    let rules = |rules: &[FallbackRule]| -> Vec<Value> {
        let names = |rule: &FallbackRule| -> Vec<String> {
            rule.targets.iter().map(|target| target.name.to_string()).collect()
        };
        rules.iter().map(|rule| json!({rule.group.as_str(): names(rule)})).collect()
    };
    let aliases: Map<String, Value> =
        snapshot.routing.aliases.iter().map(|(alias, group)| (alias.clone(), json!(group))).collect();
    Json(json!({"current_values": {
        "routing_strategy": strategy.name(),
        "model_group_alias": aliases,
        "num_retries": retries.num_retries,
        "retry_after": retries.retry_after.as_secs_f64(),
        "allowed_fails": cooldowns.allowed_fails,
        "cooldown_time": cooldowns.time.as_secs_f64(),
        "disable_cooldowns": cooldowns.disabled,
        "fallbacks": rules(&fallbacks.general),
        "context_window_fallbacks": rules(&fallbacks.context_window),
        "content_policy_fallbacks": rules(&fallbacks.content_policy),
        "max_fallbacks": fallbacks.max_fallbacks,
        "enable_pre_call_checks": snapshot.routing.pre_call_checks,
        "enable_tag_filtering": tags.enabled,
    }}))
}

#[derive(Debug, Deserialize)]
pub(super) struct GroupQuery {
    model_group: Option<String>,
}

/// Each model group with what all its deployments together offer.
pub(super) async fn groups(
    Authenticated(caller): Authenticated,
    State(gateway): State<Arc<Gateway>>,
    Query(query): Query<GroupQuery>,
) -> Json<Value> {
    let snapshot = gateway.snapshot();
    let wanted = |group: &&Arc<Group>| query.model_group.as_ref().is_none_or(|name| **name == *group.name);
    let own = snapshot.groups().filter(wanted).filter(|group| is_for(&caller, &snapshot, &group.name));
    let data: Vec<Value> = own.map(|group| group_entry(group)).collect();
    Json(json!({"data": data}))
}

fn group_entry(group: &Group) -> Value {
    let providers: BTreeSet<&str> = group.members.iter().map(|served| served.deployment.provider).collect();
    let numbers = |name: &str| -> Vec<f64> {
        group.members.iter().filter_map(|served| served.info.get(name)?.as_f64()).collect()
    };
    // Of what differs, the best is shown, as in LiteLLM: routing finds the deployment that has it.
    let most = |name: &str| number(numbers(name).into_iter().reduce(f64::max));
    let sum = |name: &str| {
        let values: Vec<f64> =
            group.members.iter().filter_map(|served| served.shown_params.get(name)?.as_f64()).collect();
        number((!values.is_empty()).then(|| values.iter().sum()))
    };
    let mode = group.members.iter().find_map(|served| served.info.get("mode"));
    let mut entry = json!({
        "model_group": &*group.name,
        "providers": providers,
        "max_input_tokens": most("max_input_tokens"),
        "max_output_tokens": most("max_output_tokens"),
        "input_cost_per_token": most("input_cost_per_token"),
        "output_cost_per_token": most("output_cost_per_token"),
        "mode": mode,
        "tpm": sum("tpm"),
        "rpm": sum("rpm"),
        "is_public_model_group": false,
    });
    if let Value::Object(entry) = &mut entry {
        for feature in supported(&group.members) {
            entry.insert(feature.to_owned(), json!(true));
        }
    }
    entry
}

/// Whole numbers are shown as such.
fn number(value: Option<f64>) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be whole and small"
    )]
    match value {
        Some(value) if value.fract() == 0.0 && (0.0..9e15).contains(&value) => json!(value as u64),
        Some(value) => json!(value),
        None => Value::Null,
    }
}

/// `supports_…` of any member.
fn supported(members: &[Arc<Served>]) -> BTreeSet<&str> {
    let flags = members.iter().flat_map(|served| served.info.iter());
    flags
        .filter(|(name, value)| name.starts_with("supports_") && **value == Value::Bool(true))
        .map(|(name, _)| name.as_str())
        .collect()
}
