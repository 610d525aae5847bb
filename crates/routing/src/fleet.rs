//! A plan and what is going on at its deployments: what all requests share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::Moment;
use crate::budget::Spending;
use crate::chance::{self, Rng};
use crate::cooldown::{self, CooldownReason, Phase, Record};
use crate::live::Live;
use crate::outcome::Failure;
use crate::plan::{DeploymentIndex, Group, GroupIndex, Plan};
use crate::settings::FailureClass;

/// See the module. Cheap to share behind an [`Arc`]; a reload makes another with [`Fleet::reload`].
#[derive(Debug)]
pub struct Fleet {
    plan: Plan,
    /// At the deployments' indexes.
    live: Vec<Arc<Live>>,
    /// At the groups' indexes.
    groups: Vec<Arc<GroupLive>>,
}

/// What is going on in one group.
#[derive(Debug, Default)]
pub(crate) struct GroupLive {
    spending: Mutex<Spending>,
    /// Held while a cooldown is decided on, so that two deployments cannot both find that the other is still available.
    pub(crate) cooling: Mutex<()>,
}

impl GroupLive {
    pub(crate) fn spending(&self) -> MutexGuard<'_, Spending> {
        self.spending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a call's end changed for everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The deployment is left alone until then.
    CooledDown {
        /// When it will be probed.
        until: Moment,
        /// Why.
        reason: CooldownReason,
    },
    /// The probe was answered: the deployment is back.
    Recovered,
}

impl Fleet {
    /// A fleet of which nothing is known yet.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let live = plan.deployments().iter().map(|_| Arc::default()).collect();
        let groups = plan.groups().iter().map(|_| Arc::default()).collect();
        Self { plan, live, groups }
    }

    /// The same fleet under another plan: see [`Fleet::take_over`].
    #[must_use]
    pub fn reload(&self, plan: Plan) -> Self {
        let mut next = Self::new(plan);
        next.take_over(self);
        next
    }

    /// Goes on where another fleet is: deployments keep their state by id, groups by name. Requests that run in the other
    /// go on counting in both.
    pub fn take_over(&mut self, from: &Self) {
        let known = from.plan.deployments().iter().zip(&from.live);
        let known: HashMap<&str, &Arc<Live>> =
            known.map(|(planned, live)| (&*planned.settings.id, live)).collect();
        let known_groups = from.plan.groups().iter().zip(&from.groups);
        let known_groups: HashMap<&str, &Arc<GroupLive>> =
            known_groups.map(|(group, live)| (&*group.name, live)).collect();
        for (planned, live) in self.plan.deployments().iter().zip(&mut self.live) {
            if let Some(known) = known.get(&*planned.settings.id) {
                *live = Arc::clone(known);
            }
        }
        for (group, live) in self.plan.groups().iter().zip(&mut self.groups) {
            if let Some(known) = known_groups.get(&*group.name) {
                *live = Arc::clone(known);
            }
        }
    }

    /// The plan that this fleet follows.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Leaves a deployment alone because of something that its calls do not show, such as a health check.
    pub fn cool_down(&self, index: DeploymentIndex, until: Moment, reason: CooldownReason) {
        if let Some(live) = self.live(index) {
            live.breaker.open(until, reason);
        }
    }

    /// Ends a cooldown.
    pub fn recover(&self, index: DeploymentIndex) {
        if let Some(live) = self.live(index) {
            live.recover();
        }
    }

    /// Takes a deployment out until it is put back: an administrator's wish, a spent budget.
    pub fn pause(&self, index: DeploymentIndex, paused: bool) {
        if let Some(live) = self.live(index) {
            live.pause(paused);
        }
    }

    /// The group that should get a copy of a request to this one, if it is this request's turn.
    pub fn mirror(&self, group: &str, rng: Rng<'_>) -> Option<&str> {
        let split = self.plan.mirrors.iter().find(|split| split.group == group)?;
        (chance::fraction(rng) * 100.0 < split.percent).then_some(&*split.to)
    }

    /// What is going on, deployment by deployment in the plan's order.
    #[must_use]
    pub fn snapshot(&self, now: Moment) -> Vec<DeploymentState> {
        let deployments = self.plan.deployments().iter().zip(&self.live);
        let state = |(planned, live): (&crate::plan::Planned, &Arc<Live>)| {
            let mut books = live.books();
            let phase = live.breaker.phase(now);
            DeploymentState {
                id: Arc::clone(&planned.settings.id),
                group: Arc::clone(&planned.settings.model_name),
                in_flight: live.in_flight(),
                latency: live.latency.get(now),
                first_token: live.first_token.get(now),
                requests: books.requests.sum(now),
                tokens: books.tokens.sum(now),
                ended: books.ended.sum(now),
                failed: books.failures.iter_mut().map(|window| window.sum(now)).sum(),
                phase,
                reason: live.breaker.reason().filter(|_| phase != Phase::Closed),
                disabled: planned.settings.disabled || live.is_paused(),
            }
        };
        deployments.map(state).collect()
    }

    /// Client calls and extra calls of a group in the last minute, for the retry budget's metrics.
    #[must_use]
    pub fn calls(&self, group: &str, now: Moment) -> Option<(u64, u64)> {
        let live = self.group_live(self.plan.resolve(group)?)?;
        Some(live.spending().sums(now))
    }

    pub(crate) fn live(&self, index: DeploymentIndex) -> Option<&Arc<Live>> {
        self.live.get(index.get())
    }

    pub(crate) fn group_live(&self, index: GroupIndex) -> Option<&Arc<GroupLive>> {
        self.groups.get(index.get())
    }

    /// Members of a group with plan and state.
    pub(crate) fn members<'f>(
        &'f self,
        group: &'f Group,
    ) -> impl Iterator<Item = crate::strategy::Candidate<'f>> + Clone {
        let range = group.members.start as usize..group.members.end as usize;
        let live = self.live.get(range).unwrap_or_default();
        self.plan.members(group).zip(live).map(|((index, planned), live)| crate::strategy::Candidate {
            index,
            planned,
            live,
        })
    }

    /// Books a failed call and decides on a cooldown. A probe's failure ends the probe.
    pub(crate) fn failed(
        &self,
        index: DeploymentIndex,
        is_probe: bool,
        failure: &Failure,
        now: Moment,
    ) -> Option<Change> {
        let planned = self.plan.deployment(index)?;
        let group = self.plan.group(planned.group)?;
        let live = self.live(index)?;
        let is_sickness = failure.counts && cooldown::is_sickness(failure.class, group.is_pattern);
        let (calls, failed, failed_alike) = {
            let mut books = live.books();
            books.ended.add(1, now);
            let class = FailureClass::of(failure.class) as usize;
            if is_sickness && let Some(window) = books.failures.get_mut(class) {
                window.add(1, now);
            }
            let failed = books.failures.iter_mut().map(|window| window.sum(now)).sum();
            let alike = books.failures.get_mut(class).map_or(0, |window| window.sum(now));
            (books.ended.sum(now), failed, alike)
        };
        if !is_sickness {
            if is_probe {
                if failure.counts {
                    // The provider is well enough to say what is wrong with the request.
                    live.recover();
                    return Some(Change::Recovered);
                }
                live.breaker.give_probe_back();
            }
            return None;
        }
        let settings = &self.plan.cooldowns;
        let length = cooldown::length(settings, &planned.settings, failure);
        if is_probe {
            let reason = CooldownReason::Probe(failure.class);
            let until = now + length.max(Duration::from_millis(1));
            live.breaker.open(until, reason.clone());
            live.breaker.give_probe_back();
            return Some(Change::CooledDown { until, reason });
        }
        let _deciding =
            self.group_live(planned.group)?.cooling.lock().unwrap_or_else(PoisonError::into_inner);
        if live.breaker.phase(now) != Phase::Closed || length.is_zero() {
            return None;
        }
        let record = Record {
            calls,
            failed,
            failed_alike,
            has_others: self.has_others(group, index, now),
            has_fallbacks: group.has_fallbacks,
            is_pattern: group.is_pattern,
        };
        let reason = cooldown::diagnose(settings, &planned.settings, failure.class, &record)?;
        let until = now + length;
        live.breaker.open(until, reason.clone());
        Some(Change::CooledDown { until, reason })
    }

    /// Whether another deployment of the group is available. To decide by it, hold [`GroupLive::cooling`].
    pub(crate) fn has_others(&self, group: &Group, index: DeploymentIndex, now: Moment) -> bool {
        self.members(group).any(|other| {
            other.index != index
                && !other.planned.settings.disabled
                && !other.live.is_paused()
                && other.live.breaker.phase(now) == Phase::Closed
        })
    }
}

/// What is going on at one deployment, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct DeploymentState {
    /// Its id.
    pub id: Arc<str>,
    /// Its group.
    pub group: Arc<str>,
    /// Calls that have not ended.
    pub in_flight: u32,
    /// Peak moving average of whole answers.
    pub latency: Option<Duration>,
    /// The same of streams' first tokens.
    pub first_token: Option<Duration>,
    /// Calls that began in the last minute.
    pub requests: u64,
    /// Tokens of the last minute.
    pub tokens: u64,
    /// Calls that ended in the last minute, or since the deployment recovered.
    pub ended: u64,
    /// Of these, the failed ones.
    pub failed: u64,
    /// Whether and until when it is left alone.
    pub phase: Phase,
    /// Why.
    pub reason: Option<CooldownReason>,
    /// Blocked or paused.
    pub disabled: bool,
}
