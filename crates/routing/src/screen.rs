//! Which deployments of a group would do for a request, and why the others would not.

use std::sync::Arc;

use crate::Moment;
use crate::cooldown::Phase;
use crate::fleet::Fleet;
use crate::limits::{self, Limit};
use crate::live::Live;
use crate::plan::{DeploymentIndex, Group, Planned};
use crate::region;
use crate::tags::TagRule;

/// What became of one candidate, for the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is called.
    Chosen,
    /// It would have done; the strategy took another.
    NotDrawn,
    /// Another has a lower `order`.
    HigherOrder,
    /// This request was there already.
    Tried,
    /// This request was refused there.
    Refused,
    /// It is left alone until then.
    CoolingDown(Moment),
    /// It was left alone, and another request is finding out whether it is well again.
    Probing,
    /// No room for another call.
    Full(Limit),
    /// Blocked by the configuration or by an administrator.
    Disabled,
    /// For another team, or this team has others of its own.
    Team,
    /// Its tags do not fit.
    Tags,
    /// In another region than allowed.
    Region,
    /// Its context window is smaller than the input.
    ContextWindow,
    /// A budget has no room for the call: the provider's, the deployment's, or the caller's.
    OverBudget,
    /// State of the conversation is elsewhere.
    NotPinned,
    /// Excluded by the caller.
    Excluded,
}

impl Verdict {
    /// The reason in words.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::NotDrawn => "another was drawn",
            Self::HigherOrder => "another has a lower `order`",
            Self::Tried => "already tried by this request",
            Self::Refused => "refused this request",
            Self::CoolingDown(_) => "cooling down",
            Self::Probing => "a probe is under way",
            Self::Full(Limit::Parallel) => "`max_parallel_requests` reached",
            Self::Full(Limit::Requests) => "`rpm` reached",
            Self::Full(Limit::Tokens) => "`tpm` reached",
            Self::Disabled => "disabled",
            Self::Team => "not for this team",
            Self::Tags => "tags do not fit",
            Self::Region => "not in the allowed region",
            Self::ContextWindow => "context window too small",
            Self::OverBudget => "over budget",
            Self::NotPinned => "the conversation's state is elsewhere",
            Self::Excluded => "excluded",
        }
    }
}

/// How a candidate stands at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Now,
    AsProbe,
    /// Not now, perhaps at the moment.
    Full(Limit, Option<Moment>),
    No(Verdict),
}

/// What a request wants of deployments, with names resolved to places in the plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wants {
    pub(crate) pinned: Option<Vec<DeploymentIndex>>,
    pub(crate) preferred: Option<DeploymentIndex>,
    pub(crate) excluded: Vec<DeploymentIndex>,
    pub(crate) region: Option<Arc<str>>,
    pub(crate) team: Option<Arc<str>>,
    pub(crate) input_tokens: u64,
    /// Only windows larger than this will do: one of this size was too small.
    pub(crate) larger_window: Option<u64>,
    /// There is no budget for a call there.
    pub(crate) over_budget: Vec<DeploymentIndex>,
}

impl Wants {
    /// Whether any deployment will do that serves everybody.
    pub(crate) fn is_nothing(&self) -> bool {
        self.pinned.is_none()
            && self.excluded.is_empty()
            && self.region.is_none()
            && self.larger_window.is_none()
            && self.over_budget.is_empty()
    }
}

/// A request's view of one group.
#[derive(Debug)]
pub(crate) struct Screen<'f, 's> {
    pub(crate) fleet: &'f Fleet,
    pub(crate) wants: &'s Wants,
    pub(crate) tags: &'s TagRule,
    pub(crate) own_team: bool,
    /// Deployments that this request was at, and whether it was refused there.
    pub(crate) tried: &'s [(DeploymentIndex, bool)],
    /// Those may be asked again, unless they refused.
    pub(crate) again: bool,
    /// The request wants nothing particular.
    pub(crate) is_plain: bool,
    pub(crate) now: Moment,
}

impl Screen<'_, '_> {
    pub(crate) fn fit(&self, index: DeploymentIndex, planned: &Planned, live: &Live) -> Fit {
        if !(self.is_plain && planned.is_plain && !live.is_paused())
            && let Some(verdict) = self.unfit(index, planned, live)
        {
            return Fit::No(verdict);
        }
        let phase = live.breaker.phase(self.now);
        match phase {
            Phase::Open(until) => return Fit::No(Verdict::CoolingDown(until)),
            Phase::Probing => return Fit::No(Verdict::Probing),
            Phase::Closed | Phase::ProbeDue => {}
        }
        if planned.is_limited
            && let Some((limit, when)) =
                limits::broken(&planned.settings, live, self.wants.input_tokens, self.now)
        {
            return Fit::Full(limit, when);
        }
        if phase == Phase::ProbeDue { Fit::AsProbe } else { Fit::Now }
    }

    /// Why the deployment is none for this request, whatever its state.
    fn unfit(&self, index: DeploymentIndex, planned: &Planned, live: &Live) -> Option<Verdict> {
        let (wants, settings) = (self.wants, &planned.settings);
        if settings.disabled || live.is_paused() {
            return Some(Verdict::Disabled);
        }
        if wants.excluded.contains(&index) {
            return Some(Verdict::Excluded);
        }
        if wants.pinned.as_ref().is_some_and(|pinned| !pinned.contains(&index)) {
            return Some(Verdict::NotPinned);
        }
        if self.own_team != settings.team.is_some() || self.own_team && settings.team != wants.team {
            return Some(Verdict::Team);
        }
        if !self.tags.admits(settings) {
            return Some(Verdict::Tags);
        }
        if let Some(allowed) = &wants.region
            && !settings.region.as_ref().is_some_and(|region| region::is_within(region, allowed))
        {
            return Some(Verdict::Region);
        }
        let window = settings.max_input_tokens;
        let checked = self.fleet.plan().pre_call_checks;
        if checked && window.is_some_and(|window| window < wants.input_tokens)
            || wants.larger_window.is_some_and(|small| window.is_none_or(|window| window <= small))
        {
            return Some(Verdict::ContextWindow);
        }
        if wants.over_budget.contains(&index) {
            return Some(Verdict::OverBudget);
        }
        match self.tried.iter().find(|(tried, _)| *tried == index) {
            Some((_, true)) => Some(Verdict::Refused),
            Some((_, false)) if !self.again => Some(Verdict::Tried),
            _ => None,
        }
    }
}

/// Whether the team has deployments of its own in the group.
pub(crate) fn has_own_deployments(fleet: &Fleet, group: &Group, team: Option<&Arc<str>>) -> bool {
    let own = |planned: &Planned| team.is_some() && planned.settings.team.as_ref() == team;
    group.has_teams && fleet.plan().members(group).any(|(_, planned)| own(planned))
}
