//! The only place that logs and counts: one function per thing that happens.

pub mod log;
pub mod metrics;

use std::time::Duration;

use dialects::conversation::StopReason;
use ledger::rules::ledger::{Crossing, Line};
use ledger::rules::refusal::OverBudget;
use routing::Change;
use serde_json::json;

use crate::Gateway;
use crate::alerts::Alerts;
use crate::exchange::{Attempt, Exchange, Outcome};
use crate::refusal::Refusal;
pub use log::{Level, Log};
pub use metrics::Metrics;

/// A request is over.
pub fn request_finished(gateway: &Gateway, exchange: &Exchange) {
    gateway.metrics.request_finished(exchange);
    gateway.log.request(exchange);
    if let Some(bound) = gateway.alerts().slow_after()
        && exchange.duration > bound
        && let Some(group) = &exchange.group
    {
        Alerts::too_slow(gateway, group, exchange.duration, bound);
    }
}

/// An attempt failed; what the request comes to is told when it is over.
pub fn attempt_failed(gateway: &Gateway, exchange: &Exchange, attempt: &Attempt, refusal: &Refusal) {
    gateway.metrics.attempt_failed(&attempt.served.labels, refusal.status, refusal.class);
    let deployment = &attempt.served.deployment;
    gateway.log.line(
        Level::Info,
        "attempt failed",
        &[
            ("call_id", json!(exchange.id)),
            ("deployment", json!(&*deployment.id)),
            ("group", json!(&*deployment.group)),
            ("status", json!(refusal.status)),
            ("error", json!(refusal.tell)),
        ],
    );
    Alerts::call_failed(gateway, &deployment.id, &deployment.group, refusal.status, &refusal.tell);
}

/// A deployment is left alone for a while, or is well again.
pub fn deployment_changed(gateway: &Gateway, id: &str, change: Option<Change>) {
    let Some(change) = change else { return };
    gateway.metrics.deployment_changed(id, &change);
    match change {
        Change::CooledDown { until, reason } => {
            let (length, reason) = (until.since(gateway.now()), reason.to_string());
            gateway.log.line(
                Level::Warn,
                "deployment cooled down",
                &[
                    ("deployment", json!(id)),
                    ("seconds", json!(length.as_secs_f64())),
                    ("reason", json!(reason)),
                ],
            );
            Alerts::cooled_down(gateway, id, length, &reason);
        }
        Change::Recovered => {
            gateway.log.line(Level::Info, "deployment recovered", &[("deployment", json!(id))]);
        }
    }
}

/// A deployment did not answer its health check.
pub fn health_check_failed(log: &Log, deployment: &str, error: &str) {
    let fields = [("deployment", json!(deployment)), ("error", json!(error))];
    log.line(Level::Warn, "health check failed", &fields);
}

/// The gateway listens.
pub fn listening(log: &Log, address: &str, models: usize) {
    log.line(Level::Info, "listening", &[("address", json!(address)), ("models", json!(models))]);
}

/// Stopping: no new connections, running requests go on.
pub fn stopping(log: &Log, running: usize) {
    log.line(Level::Info, "stopping; running requests finish first", &[("running", json!(running))]);
}

/// The time to finish was up.
pub fn stopped_early(log: &Log, running: usize) {
    log.line(Level::Warn, "stopped before all requests were finished", &[("running", json!(running))]);
}

/// A new configuration serves from now on.
pub fn config_reloaded(log: &Log, models: usize, warnings: usize) {
    log.line(
        Level::Info,
        "configuration reloaded",
        &[("models", json!(models)), ("warnings", json!(warnings))],
    );
}

/// The changed configuration is wrong; the old one keeps serving.
pub fn config_refused(log: &Log, report: &str) {
    log.line(
        Level::Error,
        "the changed configuration is refused, the old one keeps serving",
        &[("report", json!(report))],
    );
}

/// Something could not be done, and nobody is waiting for an answer.
pub fn trouble(log: &Log, what: &str, cause: &dyn std::fmt::Display) {
    log.line(Level::Warn, what, &[("cause", json!(cause.to_string()))]);
}

/// The database takes no bookings; they wait in the journal.
pub fn books_behind(log: &Log, cause: &dyn std::fmt::Display) {
    let cause = json!(cause.to_string());
    log.line(Level::Warn, "the database takes no bookings; they wait in the journal", &[("cause", cause)]);
}

/// It does again, and has got all that waited.
pub fn books_recovered(log: &Log) {
    log.line(Level::Info, "the database takes bookings again", &[]);
}

/// Limits are no longer shared with other instances: this one takes its part.
pub fn limits_alone(log: &Log, instances: u32, cause: &dyn std::fmt::Display) {
    let fields = [("instances", json!(instances)), ("cause", json!(cause.to_string()))];
    log.line(
        Level::Warn,
        "budgets and limits are not shared at the moment; this instance takes its part",
        &fields,
    );
}

/// They are again.
pub fn limits_shared_again(log: &Log, instances: u32) {
    log.line(Level::Info, "budgets and limits are shared again", &[("instances", json!(instances))]);
}

/// A request could not be journalled.
pub fn not_journalled(gateway: &Gateway, cause: &dyn std::fmt::Display) {
    let cause = cause.to_string();
    gateway.log.line(
        Level::Error,
        "a request could not be written into the journal",
        &[("cause", json!(cause))],
    );
    Alerts::not_booked(gateway, &cause);
}

/// Spend crossed a line of a budget.
pub fn budget_crossed(gateway: &Gateway, crossing: &Crossing) {
    Alerts::crossed(gateway, crossing);
    let line = match crossing.line {
        Line::Soft => "soft_budget",
        Line::Max => "max_budget",
        // Worth a message to somebody, and no line of the log.
        Line::Half | Line::Percent(_) => return,
    };
    let fields = [
        ("of", json!(crossing.account.scope.kind())),
        ("id", json!(crossing.account.to_string())),
        ("line", json!(line)),
        ("amount_usd", json!(crossing.amount)),
        ("spend_usd", json!(crossing.spend)),
    ];
    gateway.log.line(Level::Warn, "a budget was crossed", &fields);
}

/// A request was refused since a budget has not enough left. The request's own line tells of that.
pub fn over_budget(gateway: &Gateway, over: &OverBudget) {
    Alerts::over_budget(gateway, over);
}

/// Something was changed through the management API. The log of changes has it.
pub fn changed(gateway: &Gateway, change: &ledger::store::Change) {
    Alerts::changed(gateway, change);
}

/// A key has got a new secret by itself.
pub fn rotated(gateway: &Gateway, change: &ledger::store::Change) {
    gateway.log.line(Level::Info, "a key has got a new secret", &[("key", json!(change.object))]);
    Alerts::changed(gateway, change);
}

/// A key is due for a new secret, and keeps its old one.
pub fn not_rotated(gateway: &Gateway, key: &str, why: &str) {
    let fields = [("key", json!(key)), ("cause", json!(why))];
    gateway.log.line(Level::Warn, "a key that is due for rotation keeps its secret", &fields);
}

/// An alert arrived.
pub fn alert_sent(gateway: &Gateway, channel: &'static str) {
    gateway.metrics.alert_sent(channel);
}

/// An alert did not arrive, also not when it was tried again.
pub fn alert_not_sent(
    gateway: &Gateway,
    channel: &'static str,
    alert: &'static str,
    cause: &dyn std::fmt::Display,
) {
    gateway.metrics.alert_failed(channel);
    let fields =
        [("channel", json!(channel)), ("alert_type", json!(alert)), ("cause", json!(cause.to_string()))];
    gateway.log.line(Level::Warn, "an alert could not be sent", &fields);
}

/// So many alerts wait that this one is not sent.
pub fn alert_left_out(gateway: &Gateway, alert: &'static str) {
    gateway.metrics.alert_left_out();
    let fields = [("alert_type", json!(alert))];
    gateway.log.line(Level::Warn, "too many alerts wait; this one is left out", &fields);
}

/// The cache's store failed several times in a row.
pub fn cache_left_alone(log: &Log, store: &str, cause: &dyn std::fmt::Display, pause: Duration) {
    log.line(
        Level::Warn,
        "the cache fails; requests go on without it, and it is tried again after a pause",
        &[("store", json!(store)), ("cause", json!(cause.to_string())), ("pause_s", json!(pause.as_secs()))],
    );
}

/// It works again.
pub fn cache_recovered(log: &Log, store: &str) {
    log.line(Level::Info, "the cache works again", &[("store", json!(store))]);
}

/// Vectors of questions cannot be kept in Redis, where all instances would find them.
pub fn vectors_not_shared(log: &Log, cause: &dyn std::fmt::Display) {
    log.line(
        Level::Warn,
        "Redis cannot search vectors; each instance finds only what is similar to its own questions",
        &[("cause", json!(cause.to_string()))],
    );
}

/// Other instances are not heard of any more.
pub fn shared_state_lost(log: &Log, cause: &dyn std::fmt::Display) {
    log.line(
        Level::Warn,
        "the Redis of the router fails; this instance goes by what it knows itself until it is back",
        &[("cause", json!(cause.to_string()))],
    );
}

/// They are again.
pub fn shared_state_back(log: &Log) {
    log.line(Level::Info, "cooldowns, rpm and tpm are shared through Redis", &[]);
}

pub(crate) fn stop_name(stop: &StopReason) -> &str {
    match stop {
        StopReason::EndTurn => "end_turn",
        StopReason::StopSequence(_) => "stop_sequence",
        StopReason::MaxTokens => "max_tokens",
        StopReason::ToolCalls => "tool_calls",
        StopReason::ContentFilter => "content_filter",
        StopReason::Pause => "pause",
        StopReason::Error => "error",
        StopReason::Other(name) => name,
    }
}

pub(crate) fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Running => "running",
        Outcome::Answered => "success",
        Outcome::ClientGone => "client_gone",
        Outcome::Failed { .. } => "failure",
    }
}
