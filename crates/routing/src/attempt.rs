//! One call of a provider, from the decision to make it until its end.

use std::sync::Arc;
use std::time::Duration;

use dialects::conversation::Extra;

use crate::Moment;
use crate::fleet::{Change, Fleet};
use crate::outcome::Outcome;
use crate::plan::{DeploymentIndex, GroupIndex};

/// What kind of call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptKind {
    /// The request's first.
    First,
    /// Another try in the same group.
    Retry,
    /// The first try in a group that was fallen back to.
    Fallback,
    /// A second call beside one that is slow.
    Hedge,
}

/// A call that was decided on: make it, then give it to [`Journey::report`](crate::Journey::report), or to
/// [`Attempt::finish`] when the request's answer depends on it no more.
///
/// While it exists the call counts as in flight. Dropped, it says nothing about the deployment: the client left.
#[derive(Debug)]
#[must_use = "dropped, the call is not in flight any more"]
pub struct Attempt {
    fleet: Arc<Fleet>,
    pub(crate) index: DeploymentIndex,
    group: GroupIndex,
    name: Arc<str>,
    params: Option<Arc<Extra>>,
    kind: AttemptKind,
    is_probe: bool,
    stream: bool,
    reserved_tokens: u64,
    started: Moment,
    first_token: Option<Duration>,
    is_over: bool,
}

/// What an attempt is made from; the deployment has been entered.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) index: DeploymentIndex,
    pub(crate) group: GroupIndex,
    pub(crate) name: Arc<str>,
    pub(crate) params: Option<Arc<Extra>>,
    pub(crate) kind: AttemptKind,
    pub(crate) is_probe: bool,
    pub(crate) stream: bool,
    pub(crate) reserved_tokens: u64,
    pub(crate) now: Moment,
}

impl Attempt {
    pub(crate) fn begin(fleet: &Arc<Fleet>, start: Start) -> Self {
        let Start { index, group, name, params, kind, is_probe, stream, reserved_tokens, now } = start;
        let fleet = Arc::clone(fleet);
        let (started, first_token, is_over) = (now, None, false);
        Self {
            fleet,
            index,
            group,
            name,
            params,
            kind,
            is_probe,
            stream,
            reserved_tokens,
            started,
            first_token,
            is_over,
        }
    }

    /// The deployment to call, in the plan of the journey's fleet.
    #[must_use]
    pub fn deployment(&self) -> DeploymentIndex {
        self.index
    }

    /// The deployment's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.fleet.plan().deployment(self.index).map_or("", |planned| &planned.settings.id)
    }

    /// The name that led here, aliases resolved: the group's, or what a pattern's `*` is to be read from.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The `model_name` of the deployment's group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.fleet.plan().group(self.group).map_or("", |group| &group.name)
    }

    /// Parameters that the fallback's entry sets.
    #[must_use]
    pub fn params(&self) -> Option<&Arc<Extra>> {
        self.params.as_ref()
    }

    /// What kind of call it is.
    #[must_use]
    pub fn kind(&self) -> AttemptKind {
        self.kind
    }

    /// Whether it finds out if the deployment is well again.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// Call it when a stream delivers its first content. The deployment has answered then: a probe is over.
    pub fn first_token(&mut self, now: Moment) -> Option<Change> {
        if self.first_token.is_some() {
            return None;
        }
        let after = now.since(self.started);
        self.first_token = Some(after);
        let live = self.fleet.live(self.index)?;
        {
            let mut books = live.books();
            live.first_token.add(after, now);
            if let Some(group) = self.fleet.plan().group(self.group) {
                books.first_tokens.add(after.as_secs_f64(), &group.strategy_args, now);
            }
        }
        if let Some(group) = self.fleet.group_live(self.group) {
            group.spending().answered(after);
        }
        std::mem::take(&mut self.is_probe).then(|| {
            live.recover();
            Change::Recovered
        })
    }

    /// Books the call's end.
    pub fn finish(mut self, outcome: &Outcome, now: Moment) -> Option<Change> {
        self.end(outcome, now)
    }

    /// Whoever asked has left before the answer's end. What it has used until then counts for `tpm`; nothing is said of how
    /// well the deployment is.
    pub fn left(self, tokens: Option<u64>, now: Moment) {
        if let Some(live) = self.fleet.live(self.index) {
            live.books().spend(0, tokens.unwrap_or(0).saturating_sub(self.reserved_tokens), now);
        }
    }

    pub(crate) fn end(&mut self, outcome: &Outcome, now: Moment) -> Option<Change> {
        if std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        let fleet = Arc::clone(&self.fleet);
        let live = fleet.live(self.index)?;
        live.leave();
        let group = fleet.plan().group(self.group)?;
        let took = now.since(self.started);
        match outcome {
            Outcome::Success { tokens, output_tokens } => {
                let mut books = live.books();
                books.ended.add(1, now);
                // What was reserved counts already; an estimate that was too high stays for its minute.
                books.spend(0, tokens.unwrap_or(0).saturating_sub(self.reserved_tokens), now);
                if !self.stream {
                    live.latency.add(took, now);
                    let per_token = took.as_secs_f64() / output_tokens.unwrap_or(1).max(1) as f64;
                    books.latencies.add(per_token, &group.strategy_args, now);
                }
                drop(books);
                if !self.stream
                    && let Some(group) = fleet.group_live(self.group)
                {
                    group.spending().answered(took);
                }
                std::mem::take(&mut self.is_probe).then(|| {
                    live.recover();
                    Change::Recovered
                })
            }
            Outcome::Failure(failure) => {
                if failure.counts && crate::cooldown::is_sickness(failure.class, group.is_pattern) {
                    self.slow_down(took, failure.class, now);
                }
                let was_probe = std::mem::take(&mut self.is_probe);
                fleet.failed(self.index, was_probe, failure, now)
            }
        }
    }

    /// A failure counts as a slow answer: a deployment that fails fast must not look fast.
    fn slow_down(&self, took: Duration, class: dialects::ErrorClass, now: Moment) {
        let (Some(live), Some(group)) = (self.fleet.live(self.index), self.fleet.plan().group(self.group))
        else {
            return;
        };
        let mut books = live.books();
        for ewma in [&live.latency, &live.first_token] {
            let doubled = ewma.get(now).unwrap_or_default().saturating_mul(2).min(MAX_PENALTY);
            ewma.add(took.max(doubled).max(MIN_PENALTY), now);
        }
        if class == dialects::ErrorClass::Timeout {
            // LiteLLM's penalty for latency-based routing.
            books.latencies.add(1000.0, &group.strategy_args, now);
            books.first_tokens.add(1000.0, &group.strategy_args, now);
        }
    }
}

/// What a failure counts for at least, and what repeated ones grow to.
const MIN_PENALTY: Duration = Duration::from_secs(1);
const MAX_PENALTY: Duration = Duration::from_secs(60);

impl Drop for Attempt {
    fn drop(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        if let Some(live) = self.fleet.live(self.index) {
            live.leave();
            if self.is_probe {
                live.breaker.give_probe_back();
            }
        }
    }
}
