//! One request on its way: which deployment to call now, and what to do when that fails.
//!
//! ```text
//!  enter group ──▶ pick ──▶ call ──▶ answered
//!       ▲           │ ▲       │ failed
//!       │      busy │ │       ▼
//!       │           ▼ │     may it be tried again in this group?
//!       │          wait      │ elsewhere: pick      │ there alone: back off, pick     │ no
//!       │                                                                              ▼
//!       └────────────────────────────────────────────────────────────────── next fallback, or stop
//! ```

use std::sync::Arc;
use std::time::Duration;

use dialects::ErrorClass;
use dialects::conversation::Extra;

use crate::Moment;
use crate::attempt::{Attempt, AttemptKind, Start};
use crate::chance::{self, Rng};
use crate::fallback::{self, Ahead};
use crate::fleet::{Change, Fleet, GroupLive};
use crate::limits::{self, Limit};
use crate::outcome::{Failure, Outcome};
use crate::pick::{Among, Considered, Nothing, Survey, draw, survey};
use crate::plan::{DeploymentIndex, GroupIndex};
use crate::request::Request;
use crate::retry::{self, Place};
use crate::screen::{Screen, Verdict, Wants, has_own_deployments};
use crate::settings::Target;
use crate::stop::{GivenUp, Lack, Stop};
use crate::strategy::Circumstances;
use crate::tags::{TagRule, Tags};

/// What to do now.
#[derive(Debug)]
pub enum Decision {
    /// Call this deployment.
    Call(Attempt),
    /// Ask again after this time. The journey stays where it is if it is asked earlier.
    Wait {
        /// How long.
        duration: Duration,
        /// What for.
        why: Why,
    },
    /// Make no (further) call.
    Stop(Stop),
}

/// What a wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// For room at a deployment, up to `max_queue_wait`.
    Room,
    /// Before the deployment that failed is asked again.
    BackOff,
}

/// A group that was left without a call there.
#[derive(Clone, Debug)]
pub struct PassedOver {
    /// The name that led there.
    pub group: Arc<str>,
    /// Why each of its deployments was no choice, at most 32, in the order of the configuration.
    pub considered: Vec<Considered>,
}

/// How often a request that waits for room looks for it: at first, and at the most.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_millis(250);

/// See the module. Ask [`next`](Self::next) what to do, do it, [`report`](Self::report) how it went, and so on until it
/// says [`Decision::Stop`].
#[derive(Debug)]
pub struct Journey {
    fleet: Arc<Fleet>,
    request: Request,
    wants: Wants,
    tags: Tags,
    step: Step,
    stage: Option<Stage>,
    /// The group whose budget pays.
    origin: Option<GroupIndex>,
    ahead: Ahead,
    /// Names that were tried, so that each is tried once.
    names: Vec<Arc<str>>,
    considered: Vec<Considered>,
    /// What the caller has not been told yet.
    passed_over: Vec<PassedOver>,
    running: u32,
    calls: u32,
    retries: u32,
    fallbacks: u32,
    queued: Queued,
    /// Why the first group gave no answer: what the caller is told in the end.
    end: Option<Stop>,
    /// Where the journey was before its last call.
    before: Before,
}

/// Where a journey was before it decided on a call, to go back there if the call is not made.
#[derive(Clone, Copy, Debug)]
struct Before {
    turn: Turn,
    retries: u32,
    stage_retries: u32,
    order: i64,
    probed: bool,
}

/// What led to a call.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Pick(AttemptKind),
    Failed(DeploymentIndex, Failure),
    Again(Moment, Failure),
}

impl Before {
    const BEGIN: Self = Self {
        turn: Turn::Pick(AttemptKind::First),
        retries: 0,
        stage_retries: 0,
        order: i64::MIN,
        probed: false,
    };
}

/// What the next decision is about.
#[derive(Debug)]
enum Step {
    /// Nothing has happened yet.
    Begin,
    /// Call one of the group's deployments.
    Pick(AttemptKind),
    /// Calls are under way.
    Running,
    /// The last call, there, failed.
    Failed(DeploymentIndex, Failure),
    /// Ask the same deployment again, not before the moment.
    Again(Moment, Failure),
    /// It is over.
    Over(Stop),
}

/// The group where the request is.
#[derive(Debug)]
struct Stage {
    group: GroupIndex,
    name: Arc<str>,
    params: Option<Arc<Extra>>,
    /// How many fallbacks led here.
    depth: u32,
    retries: u32,
    /// Where the request was, and whether it was refused there.
    tried: Vec<(DeploymentIndex, bool)>,
    /// The highest `order` that was tried.
    order: i64,
    /// The last call was a probe: it failing costs the request no retry.
    probed: bool,
    tags: TagRule,
    own_team: bool,
}

/// Waiting for room.
#[derive(Clone, Copy, Debug, Default)]
struct Queued {
    since: Option<Moment>,
    next_look: Moment,
    looks: u32,
}

impl Journey {
    /// A request at its beginning.
    #[must_use]
    pub fn new(fleet: &Arc<Fleet>, request: Request) -> Self {
        let plan = fleet.plan();
        let index = |id: &Arc<str>| plan.find(id);
        let pinned = (!request.pinned.is_empty()).then(|| request.pinned.iter().filter_map(index).collect());
        let wants = Wants {
            pinned,
            preferred: request.preferred.as_ref().and_then(index),
            excluded: request.excluded.iter().filter_map(index).collect(),
            region: request.region.clone(),
            team: request.team.clone(),
            input_tokens: request.input_tokens,
            larger_window: None,
            over_budget: Vec::new(),
        };
        let tags = if plan.tags.enabled {
            Tags::new(&request.tags, &request.tag_lines, &plan.tags)
        } else {
            Tags::default()
        };
        Self {
            fleet: Arc::clone(fleet),
            request,
            wants,
            tags,
            step: Step::Begin,
            stage: None,
            origin: None,
            ahead: Ahead::default(),
            names: Vec::new(),
            considered: Vec::new(),
            passed_over: Vec::new(),
            running: 0,
            calls: 0,
            retries: 0,
            fallbacks: 0,
            queued: Queued::default(),
            end: None,
            before: Before::BEGIN,
        }
    }

    /// What to do now.
    pub fn next(&mut self, now: Moment, rng: Rng<'_>) -> Decision {
        loop {
            let step = std::mem::replace(&mut self.step, Step::Over(Stop::Abandoned));
            let decision = match step {
                Step::Begin => {
                    self.begin(now, rng);
                    None
                }
                Step::Pick(kind) => {
                    self.before.turn = Turn::Pick(kind);
                    self.pick_or_leave(kind, now, rng)
                }
                Step::Failed(failed, failure) => {
                    self.before.turn = Turn::Failed(failed, failure);
                    self.after(failed, failure, now, rng)
                }
                Step::Again(at, failure) if now < at => {
                    self.step = Step::Again(at, failure);
                    Some(Decision::Wait { duration: at.since(now), why: Why::BackOff })
                }
                Step::Again(at, failure) => {
                    self.before.turn = Turn::Again(at, failure);
                    self.again(failure, now, rng)
                }
                Step::Running => Some(Decision::Stop(Stop::Abandoned)),
                Step::Over(stop) => {
                    self.step = Step::Over(stop.clone());
                    Some(Decision::Stop(stop))
                }
            };
            if let Some(decision) = decision {
                return decision;
            }
        }
    }

    /// Tells how a call ended.
    pub fn report(&mut self, mut attempt: Attempt, outcome: &Outcome, now: Moment) -> Option<Change> {
        let was_probe = attempt.is_probe();
        let change = attempt.end(outcome, now);
        self.running = self.running.saturating_sub(1);
        match outcome {
            Outcome::Success { .. } => self.step = Step::Over(Stop::Answered),
            Outcome::Failure(failure) => {
                let refused = self.rule(attempt.index, failure.class).place != Place::Anywhere;
                if let Some(stage) = &mut self.stage {
                    stage.probed = was_probe;
                    let tried = stage.tried.iter_mut().find(|(tried, _)| *tried == attempt.index);
                    if let Some((_, was_refused)) = tried {
                        *was_refused |= refused;
                    }
                }
                if self.running == 0 && !matches!(self.step, Step::Over(_)) {
                    self.step = Step::Failed(attempt.index, *failure);
                }
            }
        }
        change
    }

    /// The last call that was decided on is not made: there is no budget for it. The journey goes on as if it had not been
    /// decided on, and does not choose this deployment again.
    pub fn decline(&mut self, attempt: Attempt, now: Moment) {
        self.wants.over_budget.push(attempt.index);
        self.calls = self.calls.saturating_sub(1);
        if self.calls > 0
            && let Some(origin) = self.origin.and_then(|origin| self.group_live(origin))
        {
            origin.spending().no_extra_call(now);
        }
        self.running = self.running.saturating_sub(1);
        let Before { turn, retries, stage_retries, order, probed } = self.before;
        if let Some(stage) = &mut self.stage {
            stage.tried.retain(|(tried, _)| *tried != attempt.index);
            stage.order = order;
            if attempt.kind() != AttemptKind::Hedge {
                (stage.retries, stage.probed) = (stage_retries, probed);
            }
        }
        let is_hedge = attempt.kind() == AttemptKind::Hedge;
        // It is not in flight any more.
        drop(attempt);
        if is_hedge {
            return;
        }
        self.retries = retries;
        self.step = match turn {
            Turn::Pick(kind) => Step::Pick(kind),
            Turn::Failed(failed, failure) => Step::Failed(failed, failure),
            Turn::Again(at, failure) => Step::Again(at, failure),
        };
    }

    /// When a second call beside the running one makes sense, counted from that one's beginning: hedging is on, and the
    /// group's answers usually come sooner. `None`: never.
    #[must_use]
    pub fn hedge_delay(&self) -> Option<Duration> {
        let hedging = self.fleet.plan().hedging?;
        let p95 = self.group_live(self.stage.as_ref()?.group)?.spending().p95()?;
        Some(p95.max(hedging.min_delay))
    }

    /// A second call beside the running one, on another deployment; the first answer counts, and the other call is to be
    /// dropped. `None` if there is no other, or if hedging has cost enough.
    pub fn hedge(&mut self, now: Moment, rng: Rng<'_>) -> Option<Attempt> {
        let hedging = self.fleet.plan().hedging?;
        let group = self.stage.as_ref()?.group;
        if self.running != 1 || !self.group_live(group)?.spending().may_hedge(&hedging, now) {
            return None;
        }
        let among = Among { no_probes: true, ..Among::RETRY };
        let attempt = self.pick(AttemptKind::Hedge, among, now, rng).ok()?;
        self.group_live(group)?.spending().hedged(now);
        self.step = Step::Running;
        Some(attempt)
    }

    /// The candidates of the last choice, at most 32, in the order of the configuration.
    #[must_use]
    pub fn considered(&self) -> &[Considered] {
        &self.considered
    }

    /// Groups where nothing could be called, since this was asked last.
    pub fn take_passed_over(&mut self) -> Vec<PassedOver> {
        std::mem::take(&mut self.passed_over)
    }

    /// The fleet that the journey is in; deployments' indexes are those of its plan.
    #[must_use]
    pub fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// Retries so far: `x-litellm-attempted-retries`.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// Groups fallen back to so far: `x-litellm-attempted-fallbacks`.
    #[must_use]
    pub fn fallbacks(&self) -> u32 {
        self.fallbacks
    }

    /// Calls so far, hedges included.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.calls
    }

    fn begin(&mut self, now: Moment, rng: Rng<'_>) {
        let asked = Arc::clone(&self.request.model);
        let name = self.fleet.plan().behind(&asked).map_or(asked, Arc::clone);
        let Some(group) = self.fleet.plan().resolve(&name) else {
            self.names.push(Arc::clone(&name));
            self.end = Some(Stop::UnknownModel(Arc::clone(&self.request.model)));
            self.push_fallbacks(&name, 0, ErrorClass::NotFound);
            self.fall_back(now);
            return;
        };
        self.origin = Some(group);
        if let Some(live) = self.group_live(group) {
            live.spending().client_call(now);
        }
        let canary = self.canary(&name, rng);
        match canary.as_ref().and_then(|canary| Some((canary, self.fleet.plan().resolve(canary)?))) {
            Some((canary, group)) => {
                self.ahead.push([Target { name, params: None }].into(), 0);
                self.enter(Arc::clone(canary), group, None, 0);
            }
            None => self.enter(name, group, None, 0),
        }
        self.step = Step::Pick(AttemptKind::First);
        if let Some(class) = self.request.mock_failure {
            self.leave(class, Stop::Failed(GivenUp::Exhausted), now);
        }
    }

    /// The group that answers instead, if the request belongs to its share. Who belongs together stays together.
    fn canary(&self, name: &str, rng: Rng<'_>) -> Option<Arc<str>> {
        let split = self.fleet.plan().canaries.iter().find(|split| split.group == name)?;
        let place = match &self.request.sticky {
            Some(key) => {
                let hash = chance::hash(key, &split.to);
                chance::fraction(&mut || hash)
            }
            None => chance::fraction(rng),
        };
        let to = || self.fleet.plan().behind(&split.to).map_or_else(|| split.to.as_str().into(), Arc::clone);
        (place * 100.0 < split.percent).then(to)
    }

    fn enter(&mut self, name: Arc<str>, index: GroupIndex, params: Option<Arc<Extra>>, depth: u32) {
        let plan = self.fleet.plan();
        let (mut tags, mut own_team) = (TagRule::Any, false);
        if let Some(group) = plan.group(index) {
            if plan.tags.enabled {
                let members = plan.members(group).map(|(_, planned)| &planned.settings);
                tags = TagRule::of(members, &self.tags, &plan.tags);
            }
            own_team = has_own_deployments(&self.fleet, group, self.wants.team.as_ref());
        }
        self.wants.larger_window = None;
        self.names.push(Arc::clone(&name));
        self.queued = Queued::default();
        self.stage = Some(Stage {
            group: index,
            name,
            params,
            depth,
            retries: 0,
            tried: Vec::new(),
            order: i64::MIN,
            probed: false,
            tags,
            own_team,
        });
    }

    fn pick_or_leave(&mut self, kind: AttemptKind, now: Moment, rng: Rng<'_>) -> Option<Decision> {
        let nothing = match self.pick(kind, Among::FRESH, now, rng) {
            Ok(attempt) => return Some(self.call(attempt)),
            Err(nothing) => nothing,
        };
        let model = self.stage.as_ref().map_or_else(Arc::default, |stage| Arc::clone(&stage.name));
        let passed = Arc::clone(&model);
        let wait = |until: Option<Moment>| until.map_or(Duration::from_secs(1), |until| until.since(now));
        let (class, stop) = match nothing {
            Nothing::Full { limit, until } => {
                if let Some(duration) = self.queue(until, now) {
                    self.step = Step::Pick(kind);
                    return Some(Decision::Wait { duration, why: Why::Room });
                }
                let limit = limit.name();
                (ErrorClass::RateLimited, Stop::Busy { model, retry_after: wait(until), limit })
            }
            Nothing::Cooling { until } => {
                let is_cooling = |considered: &&Considered| {
                    matches!(considered.verdict, Verdict::CoolingDown(_) | Verdict::Probing)
                };
                let id = |considered: &Considered| {
                    let planned = self.fleet.plan().deployment(considered.deployment)?;
                    Some(Arc::clone(&planned.settings.id))
                };
                let cooling = self.considered.iter().filter(is_cooling).filter_map(id).collect();
                let pre_call_checks = self.fleet.plan().pre_call_checks;
                let retry_after = wait(until);
                (
                    ErrorClass::RateLimited,
                    Stop::NoneAvailable { model, retry_after, pre_call_checks, cooling },
                )
            }
            Nothing::OverBudget => (ErrorClass::RateLimited, Stop::OverBudget { model }),
            Nothing::Unfit(lack) => {
                let class = match lack {
                    Lack::ContextWindow => ErrorClass::ContextWindowExceeded,
                    Lack::Tags => ErrorClass::Authentication,
                    Lack::Region | Lack::Permission => ErrorClass::BadRequest,
                };
                (class, Stop::NothingFits { model, lack })
            }
            Nothing::Budget => {
                self.finish(Stop::Failed(GivenUp::RetryBudget));
                return None;
            }
        };
        self.passed_over.push(PassedOver { group: passed, considered: self.considered.clone() });
        self.leave(class, stop, now);
        None
    }

    /// After a failed call.
    fn after(
        &mut self,
        failed: DeploymentIndex,
        failure: Failure,
        now: Moment,
        rng: Rng<'_>,
    ) -> Option<Decision> {
        let stage = self.stage.as_ref()?;
        let rule = self.rule(failed, failure.class);
        let may_retry = stage.retries < rule.retries;
        let may_go_on = may_retry || stage.probed || self.fleet.plan().weighted_failover;
        let above = (!may_go_on).then_some(stage.order);
        if rule.place == Place::LargerWindow {
            let failed = self.fleet.plan().deployment(failed);
            self.wants.larger_window = failed.and_then(|planned| planned.settings.max_input_tokens);
        }
        let helps = match rule.place {
            Place::Anywhere | Place::Elsewhere => true,
            Place::LargerWindow => self.wants.larger_window.is_some(),
            Place::Nowhere => false,
        };
        if helps {
            match self.pick(AttemptKind::Retry, Among { above, ..Among::RETRY }, now, rng) {
                Ok(attempt) => return Some(self.call(attempt)),
                Err(Nothing::Budget) => {
                    self.finish(Stop::Failed(GivenUp::RetryBudget));
                    return None;
                }
                Err(_) => {}
            }
        }
        if may_retry && rule.place == Place::Anywhere && !self.is_better_elsewhere(&failure) {
            if let Some(stage) = &mut self.stage {
                stage.probed = false;
            }
            let retry = self.stage.as_ref().map_or(0, |stage| stage.retries);
            let shortest = self.fleet.plan().retries.retry_after;
            let wait = retry::wait(shortest, retry, failure.retry_after, rng);
            if let Some(at) = wait.map(|wait| now + wait).filter(|at| self.is_back_by(*at, now)) {
                if self.request.deadline.is_some_and(|deadline| at >= deadline) {
                    self.leave(failure.class, Stop::Failed(GivenUp::Deadline), now);
                } else {
                    self.step = Step::Again(at, failure);
                }
                return None;
            }
        }
        self.leave(failure.class, Stop::Failed(GivenUp::Exhausted), now);
        None
    }

    /// Whether some deployment of the group can be asked again then.
    fn is_back_by(&mut self, at: Moment, now: Moment) -> bool {
        let Some(stage) = &self.stage else { return false };
        let Some(group) = self.fleet.plan().group(stage.group) else { return false };
        let among = Among { again: true, ..Among::RETRY };
        let screen = screen(&self.fleet, &self.wants, stage, among, now);
        match survey(&screen, group, among, &mut self.considered) {
            Ok(_) | Err(Nothing::Full { .. }) => true,
            Err(Nothing::Cooling { until }) => until.is_some_and(|until| until <= at),
            Err(Nothing::Unfit(_) | Nothing::OverBudget | Nothing::Budget) => false,
        }
    }

    /// After a back-off.
    fn again(&mut self, failure: Failure, now: Moment, rng: Rng<'_>) -> Option<Decision> {
        match self.pick(AttemptKind::Retry, Among { again: true, ..Among::RETRY }, now, rng) {
            Ok(attempt) => return Some(self.call(attempt)),
            Err(Nothing::Budget) => self.finish(Stop::Failed(GivenUp::RetryBudget)),
            Err(_) => self.leave(failure.class, Stop::Failed(GivenUp::Exhausted), now),
        }
        None
    }

    /// A deployment that throttles is not asked again where there are fallbacks.
    fn is_better_elsewhere(&self, failure: &Failure) -> bool {
        failure.class == ErrorClass::RateLimited
            && !self.request.overrides.disable_fallbacks
            && self.stage.as_ref().is_some_and(|stage| {
                let overrides = &self.request.overrides;
                fallback::targets(self.fleet.plan(), overrides, &stage.name, failure.class)
                    .is_some_and(|targets| targets.iter().any(|target| self.is_open(target)))
            })
    }

    fn rule(&self, failed: DeploymentIndex, class: ErrorClass) -> retry::Rule {
        let plan = self.fleet.plan();
        let group = self.stage.as_ref().and_then(|stage| plan.group(stage.group));
        let Some(group) = group else { return retry::Rule { place: Place::Nowhere, retries: 0 } };
        retry::rule(plan, group, plan.deployment(failed), &self.request.overrides, class)
    }

    fn call(&mut self, attempt: Attempt) -> Decision {
        self.step = Step::Running;
        Decision::Call(attempt)
    }

    /// How long to wait for room; `None` if it has waited long enough.
    fn queue(&mut self, until: Option<Moment>, now: Moment) -> Option<Duration> {
        let most = self.fleet.plan().max_queue_wait?;
        let since = *self.queued.since.get_or_insert(now);
        let end = self.request.deadline.map_or(since + most, |deadline| deadline.min(since + most));
        if now >= end {
            return None;
        }
        if now >= self.queued.next_look {
            let looks = FIRST_LOOK.saturating_mul(2_u32.saturating_pow(self.queued.looks)).min(LAST_LOOK);
            // Where the moment is known there is no use in looking before, unless somebody gives room back.
            let pause = until.map_or(looks, |until| looks.max(until.since(now).min(LAST_LOOK)));
            self.queued.next_look = (now + pause).min(end);
            self.queued.looks += 1;
        }
        Some(self.queued.next_look.since(now))
    }

    /// The group has given no answer: on to the next, or the end.
    fn leave(&mut self, class: ErrorClass, stop: Stop, now: Moment) {
        let Some(stage) = &self.stage else { return };
        let (name, depth) = (Arc::clone(&stage.name), stage.depth);
        if self.end.is_none() {
            self.end = Some(stop);
        }
        self.push_fallbacks(&name, depth, class);
        self.fall_back(now);
    }

    fn push_fallbacks(&mut self, name: &str, depth: u32, class: ErrorClass) {
        let overrides = &self.request.overrides;
        if overrides.disable_fallbacks || depth >= self.fleet.plan().max_fallbacks {
            return;
        }
        if let Some(targets) = fallback::targets(self.fleet.plan(), overrides, name, class) {
            self.ahead.push(targets, depth);
        }
    }

    fn fall_back(&mut self, now: Moment) {
        if self.request.deadline.is_some_and(|deadline| now >= deadline) {
            self.finish(Stop::Failed(GivenUp::Deadline));
            return;
        }
        while let Some((target, depth)) = self.ahead.pop() {
            if !self.is_open(&target) {
                continue;
            }
            let name = self.fleet.plan().behind(&target.name).map_or(target.name, Arc::clone);
            if let Some(group) = self.fleet.plan().resolve(&name) {
                self.origin.get_or_insert(group);
                self.fallbacks += 1;
                self.enter(name, group, target.params, depth);
                self.step = Step::Pick(AttemptKind::Fallback);
                return;
            }
        }
        self.finish(Stop::Failed(GivenUp::Exhausted));
    }

    /// Whether a fallback is a group that the request was not at and may use.
    fn is_open(&self, target: &Target) -> bool {
        let name = self.fleet.plan().behind(&target.name).unwrap_or(&target.name);
        !self.names.contains(name)
            && self.request.permit.as_ref().is_none_or(|permit| permit.holds(&target.name))
    }

    /// The end; why the first group gave no answer is told, unless it was just a failure.
    fn finish(&mut self, stop: Stop) {
        let told = match self.end.take() {
            None | Some(Stop::Failed(GivenUp::Exhausted)) => stop,
            Some(end) => end,
        };
        self.step = Step::Over(told);
    }

    /// Chooses a deployment of the group and takes room there.
    fn pick(
        &mut self,
        kind: AttemptKind,
        among: Among,
        now: Moment,
        rng: Rng<'_>,
    ) -> Result<Attempt, Nothing> {
        let fleet = Arc::clone(&self.fleet);
        let Some(stage) = &mut self.stage else { return Err(Nothing::Unfit(Lack::Permission)) };
        let Some(group) = fleet.plan().group(stage.group) else {
            return Err(Nothing::Unfit(Lack::Permission));
        };
        let screen = screen(&fleet, &self.wants, stage, among, now);
        let affinity = fleet.plan().affinity;
        let circumstances = Circumstances {
            group,
            strategy: self.request.overrides.strategy.unwrap_or(group.strategy),
            sticky: self.request.sticky.as_deref().filter(|_| affinity),
            stream: self.request.stream,
            now,
        };
        let mut is_paid = self.calls == 0;
        // Whoever loses a race for the last room chooses again; each loss means that another request went ahead.
        for _ in 0..MAX_RACES {
            let survey = survey(&screen, group, among, &mut self.considered)?;
            let chosen = draw(&screen, &survey, self.wants.preferred, &circumstances, rng);
            let Some(chosen) = chosen else { continue };
            if !is_paid {
                let budget = fleet.plan().retries.budget;
                let origin = self.origin.and_then(|origin| fleet.group_live(origin));
                if !origin.is_none_or(|origin| origin.spending().extra_call(budget, now)) {
                    return Err(Nothing::Budget);
                }
                is_paid = true;
            }
            let is_probe = matches!(survey, Survey::Probe(_));
            if is_probe && !chosen.live.breaker.take_probe(now) {
                continue;
            }
            let tokens = self.wants.input_tokens;
            if !limits::reserve(&chosen.planned.settings, chosen.live, tokens, now) {
                if is_probe {
                    chosen.live.breaker.give_probe_back();
                }
                continue;
            }
            for considered in &mut self.considered {
                if considered.deployment == chosen.index {
                    considered.verdict = Verdict::Chosen;
                }
            }
            self.before = Before {
                retries: self.retries,
                stage_retries: stage.retries,
                order: stage.order,
                probed: stage.probed,
                ..self.before
            };
            stage.order = stage.order.max(chosen.planned.order);
            stage.tried.retain(|(tried, _)| *tried != chosen.index);
            stage.tried.push((chosen.index, false));
            match kind {
                AttemptKind::Retry => {
                    self.retries += 1;
                    stage.retries += u32::from(!std::mem::take(&mut stage.probed));
                }
                AttemptKind::First | AttemptKind::Fallback | AttemptKind::Hedge => {}
            }
            self.calls += 1;
            self.running += 1;
            self.queued = Queued::default();
            let start = Start {
                index: chosen.index,
                group: stage.group,
                name: Arc::clone(&stage.name),
                params: stage.params.clone(),
                kind,
                is_probe,
                stream: self.request.stream,
                reserved_tokens: tokens,
                now,
            };
            return Ok(Attempt::begin(&fleet, start));
        }
        Err(Nothing::Full { limit: Limit::Requests, until: None })
    }

    fn group_live(&self, index: GroupIndex) -> Option<&GroupLive> {
        self.fleet.group_live(index).map(|live| &**live)
    }
}

/// Lost races after which a request takes the group for full.
const MAX_RACES: u32 = 16;

fn screen<'f, 's>(
    fleet: &'f Fleet,
    wants: &'s Wants,
    stage: &'s Stage,
    among: Among,
    now: Moment,
) -> Screen<'f, 's> {
    let Stage { tags, own_team, tried, .. } = stage;
    let is_plain = wants.is_nothing() && tried.is_empty() && !own_team && matches!(tags, TagRule::Any);
    Screen { fleet, wants, tags, own_team: *own_team, tried, again: among.again, is_plain, now }
}
