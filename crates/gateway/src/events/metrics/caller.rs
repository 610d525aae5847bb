//! Who calls, as labels of metrics.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use ledger::rules::id::{TeamId, UserId};
use prometheus_client::encoding::EncodeLabelSet;

use crate::exchange::Identity;

/// Keys that are counted apart; each has some two hundred series per deployment. What others do is counted together.
const MAX_KEYS: usize = 1000;

/// LiteLLM's labels for the caller; what there is not is the word `None`.
#[derive(Clone, Debug, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct CallerLabels {
    hashed_api_key: String,
    api_key_alias: String,
    team: String,
    team_alias: String,
    user: String,
    end_user: &'static str,
}

/// By the key alone, which decides about nearly all of the rest: what the cache counts is looked up by its labels at every
/// request.
impl Hash for CallerLabels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hashed_api_key.hash(state);
    }
}

/// The keys that are counted apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Callers(Arc<Mutex<HashSet<String>>>);

impl Callers {
    /// The labels of a caller.
    pub(super) fn labels(&self, identity: &Identity) -> CallerLabels {
        let mut labels = CallerLabels::named(identity.name());
        let Some(holder) = identity.holder() else { return labels };
        if !self.admits(identity.name()) {
            return CallerLabels::named("other");
        }
        let own = |text: Option<&str>| text.unwrap_or("None").to_owned();
        labels.api_key_alias = own(holder.key.details.alias.as_deref());
        labels.team = own(holder.key.team.as_ref().map(TeamId::as_str));
        labels.team_alias = own(holder.team.as_ref().and_then(|team| team.details.alias.as_deref()));
        labels.user = own(holder.key.user.as_ref().map(UserId::as_str));
        labels
    }

    /// The name alone, for metrics that have no other label of the caller's.
    pub(super) fn name(&self, identity: &Identity) -> String {
        let name = identity.name();
        if identity.holder().is_none() || self.admits(name) { name.to_owned() } else { "other".to_owned() }
    }

    fn admits(&self, name: &str) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(name) || (known.len() < MAX_KEYS && known.insert(name.to_owned()))
    }
}

impl CallerLabels {
    fn named(name: &str) -> Self {
        let none = || "None".to_owned();
        Self {
            hashed_api_key: name.to_owned(),
            api_key_alias: none(),
            team: none(),
            team_alias: none(),
            user: none(),
            end_user: "None",
        }
    }
}
