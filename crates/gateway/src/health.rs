//! Background health checks: every deployment is asked something tiny now and then, so that a sick one is known before
//! a caller meets it. Off unless `general_settings.background_health_checks` is set: the calls cost money, and live
//! traffic tells as much.

#![allow(clippy::indexing_slicing, reason = "a field of a JSON object is set, which cannot panic")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use dialects::Dialect;
use dialects::service::Service;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::operation::Operation;
use crate::snapshot::{Served, Upstream};
use crate::{Gateway, events, pipeline};

/// How health is checked.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthChecks {
    /// `health_check_interval`: from the end of one round to the next.
    pub interval: Duration,
    /// `health_check_concurrency`: checks at a time.
    pub concurrency: usize,
    /// `background_health_check_model_groups`: only these groups; none named: all.
    pub groups: Vec<String>,
}

/// What a deployment's last check came to.
#[derive(Clone, Debug)]
pub struct Checked {
    pub at: SystemTime,
    pub error: Option<String>,
    /// The other gateways know of it.
    told: bool,
}

/// The last checks, by deployment.
#[derive(Debug, Default)]
pub struct LastChecks {
    known: Mutex<HashMap<Arc<str>, Checked>>,
}

impl LastChecks {
    #[must_use]
    pub fn of(&self, deployment: &str) -> Option<Checked> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(deployment).cloned()
    }

    /// What other gateways have not been told yet; it counts as told from now on.
    pub(crate) fn take_news(&self) -> Vec<(Arc<str>, Option<String>)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let untold = known.iter_mut().filter(|(_, checked)| !checked.told);
        let news = untold.map(|(deployment, checked)| {
            checked.told = true;
            (Arc::clone(deployment), checked.error.clone())
        });
        news.collect()
    }

    /// What another gateway has found out just now.
    pub(crate) fn hear(&self, deployment: &Arc<str>, error: Option<String>) {
        self.set(deployment, Checked { at: SystemTime::now(), error, told: true });
    }

    fn note(&self, deployment: &Arc<str>, error: Option<String>) {
        self.set(deployment, Checked { at: SystemTime::now(), error, told: false });
    }

    fn set(&self, deployment: &Arc<str>, checked: Checked) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(Arc::clone(deployment), checked);
    }
}

/// While nothing is to be checked: how often the configuration is looked at for a change of that.
const IDLE: Duration = Duration::from_secs(10);

/// While another gateway checks: how often it is looked whether it still does.
const STANDBY: Duration = Duration::from_secs(1);

/// Checks for as long as the gateway is there.
pub async fn watch(gateway: Weak<Gateway>) {
    loop {
        let Some(gateway) = gateway.upgrade().filter(|gateway| !gateway.is_stopping()) else { return };
        let snapshot = gateway.snapshot();
        let pause = match &snapshot.health_checks {
            None => IDLE,
            Some(_) if !gateway.peers().may_check(&snapshot) => STANDBY,
            Some(checks) => {
                round(&gateway, checks).await;
                checks.interval
            }
        };
        drop((gateway, snapshot));
        tokio::time::sleep(pause).await;
    }
}

async fn round(gateway: &Arc<Gateway>, checks: &HealthChecks) {
    let snapshot = gateway.snapshot();
    let wanted = |served: &&Arc<Served>| {
        let group = &*served.deployment.group;
        matches!(served.upstream, Upstream::Provider)
            && served.deployment.unusable.is_none()
            && (checks.groups.is_empty() || checks.groups.iter().any(|name| name == group))
    };
    let mut checking = JoinSet::new();
    for served in snapshot.members().filter(wanted) {
        if checking.len() >= checks.concurrency.max(1) {
            checking.join_next().await;
        }
        checking.spawn(check(Arc::clone(gateway), Arc::clone(served)));
    }
    checking.join_all().await;
}

async fn check(gateway: Arc<Gateway>, served: Arc<Served>) {
    let Some((operation, body)) = question(&served) else { return };
    let id = &served.deployment.id;
    let error = pipeline::ask_for_ourselves(&gateway, operation, &body.to_string().into()).await.err();
    if let Some(error) = &error {
        events::health_check_failed(&gateway.log, id, &error.tell);
    }
    gateway.last_checks().note(id, error.map(|error| error.tell));
}

/// Something tiny that costs next to nothing; `None` where there is no such thing (images, speech, …).
fn question(served: &Served) -> Option<(Operation, Value)> {
    let info = |name: &str| served.info.get(name);
    let timeout = info("health_check_timeout").and_then(Value::as_f64).unwrap_or(60.0);
    if info("disable_background_health_check") == Some(&Value::Bool(true)) {
        return None;
    }
    let (operation, mut asked) = match info("mode").and_then(Value::as_str).unwrap_or("chat") {
        "chat" | "responses" | "completion" => {
            let most = info("health_check_max_tokens").and_then(Value::as_u64).unwrap_or(1);
            let asked = json!({"max_tokens": most, "messages": [{"role": "user", "content": "hi"}]});
            (Operation::Converse(Dialect::OpenaiChat), asked)
        }
        "embedding" => (Operation::Forward(Service::Embeddings), json!({"input": "hi"})),
        _ => return None,
    };
    // This deployment, now, and no other in its place.
    asked["model"] = json!(&*served.deployment.id);
    asked["timeout"] = json!(timeout);
    asked["num_retries"] = json!(0);
    asked["disable_fallbacks"] = json!(true);
    asked["cache"] = json!({"no-cache": true, "no-store": true});
    Some((operation, asked))
}
