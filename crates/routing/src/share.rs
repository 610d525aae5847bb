//! What several instances in front of the same deployments tell one another: what they use of `rpm` and `tpm`, and whom
//! they leave alone. How the news travels is the caller's business.

use std::sync::{Arc, PoisonError};

use crate::Moment;
use crate::cooldown::{CooldownReason, Phase};
use crate::fleet::{Change, Fleet};
use crate::plan::DeploymentIndex;

/// What happened at one deployment since the others were told last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Where, in the fleet's plan.
    pub deployment: DeploymentIndex,
    /// Calls that began.
    pub requests: u64,
    /// Tokens that they used.
    pub tokens: u64,
    /// Whether it is left alone, if that has changed.
    pub health: Option<Health>,
}

/// Whether a deployment is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is.
    Sick {
        /// When it will be probed.
        until: Moment,
        /// Why.
        reason: CooldownReason,
    },
    /// It was, and has answered since.
    Well,
}

impl Fleet {
    /// What the other instances are to be told; it counts as told from now on.
    pub fn take_news(&self, now: Moment) -> Vec<News> {
        let deployments = self.plan().deployments();
        let indexes =
            (0..deployments.len()).filter_map(|index| u32::try_from(index).ok()).map(DeploymentIndex);
        let news = |deployment: DeploymentIndex| {
            let live = self.live(deployment)?;
            let (requests, tokens) = std::mem::take(&mut live.books().untold);
            let health = live.breaker.take_news(now);
            let is_new = requests > 0 || tokens > 0 || health.is_some();
            is_new.then_some(News { deployment, requests, tokens, health })
        };
        indexes.filter_map(news).collect()
    }

    /// The last news did not arrive: whom this instance leaves alone is news again. What it used is not, for it may have
    /// arrived in part and must not count twice.
    pub fn tell_again(&self) {
        let indexes = (0..self.plan().deployments().len()).filter_map(|index| u32::try_from(index).ok());
        for live in indexes.filter_map(|index| self.live(DeploymentIndex(index))) {
            live.breaker.forget_told();
        }
    }

    /// Counts what another instance used of a deployment's `rpm` and `tpm` at a moment, at most a minute ago.
    pub fn hear_usage(&self, index: DeploymentIndex, requests: u64, tokens: u64, at: Moment) {
        if let Some(live) = self.live(index) {
            let mut books = live.books();
            books.requests.add(requests, at);
            books.tokens.add(tokens, at);
        }
    }

    /// Leaves a deployment alone at another instance's word, unless this one has no other to ask instead: each spares
    /// the last one of a group, but two instances may have left different ones alone at the same time.
    pub fn hear_sick(
        &self,
        index: DeploymentIndex,
        until: Moment,
        reason: &str,
        now: Moment,
    ) -> Option<Change> {
        let planned = self.plan().deployment(index)?;
        let group = self.plan().group(planned.group)?;
        let live = self.live(index)?;
        let settings = &self.plan().cooldowns;
        if settings.disabled || until <= now {
            return None;
        }
        let _deciding =
            self.group_live(planned.group)?.cooling.lock().unwrap_or_else(PoisonError::into_inner);
        let was = live.breaker.phase(now);
        let is_spared = was == Phase::Closed
            && !settings.last
            && !group.has_fallbacks
            && !self.has_others(group, index, now);
        if is_spared || matches!(was, Phase::Open(before) if before >= until) {
            return None;
        }
        let reason = CooldownReason::Elsewhere(Arc::from(reason));
        live.breaker.open_as_told(until, reason.clone());
        Some(Change::CooledDown { until, reason })
    }

    /// Ends a cooldown at another instance's word, unless this one has found out more since.
    pub fn hear_well(&self, index: DeploymentIndex, now: Moment) -> Option<Change> {
        let live = self.live(index)?;
        if live.breaker.phase(now) == Phase::Closed || !live.breaker.is_told() {
            return None;
        }
        live.recover_as_told();
        Some(Change::Recovered)
    }
}
