//! Runs a schedule and checks the rules:
//!
//! 1. Every request ends once: answered, refused with a reason, or left by its client. None is lost.
//! 2. Nobody is sent to a deployment that is left alone, and when its time is up there is one probe at a time.
//! 3. A group without fallbacks always has a deployment that is not left alone, unless `cooldowns.last` is set.
//! 4. Extra calls stay within the retry budget.
//! 5. `rpm` and `max_parallel_requests` are kept.
//! 6. Where one deployment is always well and retries are plenty, every request of its group is answered.
//! 7. In the end nothing is in flight, and no probe is waited for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use dialects::ErrorClass;
use routing::{
    Attempt, Change, Decision, Failure, Fleet, GivenUp, Journey, Moment, Outcome, Phase, Plan, Planned,
    Request, Stop, Why,
};

use crate::schedule::{Behaviour, Client, Schedule, Spell, TIMEOUT, group_name};

const MINUTE: Duration = Duration::from_secs(60);

/// The retry budget counts in buckets: a client call may be remembered for this much longer than a minute.
const BLUR: Duration = Duration::from_secs(2);

/// What came of all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) left: u64,
    pub(crate) calls: u64,
    pub(crate) retries: u64,
    pub(crate) fallbacks: u64,
    pub(crate) cooldowns: u64,
    pub(crate) recoveries: u64,
    pub(crate) waits_for_room: u64,
    pub(crate) stopped_by_budget: u64,
    pub(crate) none_available: u64,
    /// Requests that had to be answered, by rule 6.
    pub(crate) sure: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.left += other.left;
        self.calls += other.calls;
        self.retries += other.retries;
        self.fallbacks += other.fallbacks;
        self.cooldowns += other.cooldowns;
        self.recoveries += other.recoveries;
        self.waits_for_room += other.waits_for_room;
        self.stopped_by_budget += other.stopped_by_budget;
        self.none_available += other.none_available;
        self.sure += other.sure;
    }
}

/// What the world itself knows of a deployment, beside what the fleet believes.
#[derive(Debug, Default)]
struct Site {
    weather: Vec<Spell>,
    left_alone_until: Option<Moment>,
    probing: bool,
    in_flight: u32,
    calls: VecDeque<Moment>,
}

/// One client's request.
#[derive(Debug)]
struct Visit {
    client: Client,
    journey: Option<Journey>,
    running: Option<(Attempt, Outcome)>,
    /// How it ended.
    end: Option<End>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Answered,
    Left,
    Refused(Stop),
}

/// Calls of one group's clients, for the budget.
#[derive(Debug, Default)]
struct Ledger {
    client_calls: VecDeque<Moment>,
    extra_calls: VecDeque<Moment>,
}

/// Events of one moment happen in the order in which they were planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives(usize),
    /// The number of the call is that of the visit's calls: an end that was planned for an earlier one is none.
    CallEnds(usize, u32),
    Wakes(usize),
    Leaves(usize),
}

pub(crate) struct World {
    schedule: Schedule,
    fleet: Arc<Fleet>,
    dice: fastrand::Rng,
    now: Moment,
    events: BinaryHeap<Reverse<(Moment, u64, Event)>>,
    planned: u64,
    sites: Vec<Site>,
    visits: Vec<Visit>,
    ledgers: BTreeMap<usize, Ledger>,
    tally: Tally,
}

impl World {
    pub(crate) fn new(mut schedule: Schedule) -> Self {
        let (plan, _) = Plan::new(schedule.settings.clone());
        let ids: Vec<Arc<str>> =
            schedule.settings.deployments.iter().map(|known| Arc::clone(&known.id)).collect();
        let mut sites: Vec<Site> = plan.deployments().iter().map(|_| Site::default()).collect();
        for (id, weather) in ids.iter().zip(std::mem::take(&mut schedule.weather)) {
            sites[plan.find(id).unwrap().get()].weather = weather;
        }
        let mut world = Self {
            fleet: Arc::new(Fleet::new(plan)),
            dice: fastrand::Rng::with_seed(schedule.seed ^ 0x5eed),
            now: Moment::default(),
            events: BinaryHeap::new(),
            planned: 0,
            sites,
            visits: Vec::new(),
            ledgers: BTreeMap::new(),
            tally: Tally::default(),
            schedule,
        };
        for client in world.schedule.clients.clone() {
            let visit = world.visits.len();
            world.visits.push(Visit { client, journey: None, running: None, end: None });
            world.plan(Moment::after_start(client.at), Event::Arrives(visit));
            if let Some(patience) = client.patience {
                world.plan(Moment::after_start(client.at + patience), Event::Leaves(visit));
            }
        }
        world
    }

    pub(crate) fn run(mut self) -> Result<Tally, String> {
        while let Some(Reverse((now, _, event))) = self.events.pop() {
            self.now = now;
            self.happen(event)?;
        }
        for (number, visit) in self.visits.iter().enumerate() {
            let end = visit.end.as_ref().ok_or_else(|| format!("request {number} was lost"))?;
            if self.is_sure(visit) {
                self.tally.sure += 1;
                if let End::Refused(stop) = end {
                    return Err(format!(
                        "request {number} was refused ({stop:?}) although one deployment was well"
                    ));
                }
            }
        }
        drop(std::mem::take(&mut self.visits));
        for state in self.fleet.snapshot(self.now) {
            if state.in_flight != 0 {
                return Err(format!("{} calls still in flight at {}", state.in_flight, state.id));
            }
            if state.phase == Phase::Probing {
                return Err(format!("{} waits for a probe that is over", state.id));
            }
        }
        Ok(self.tally)
    }

    fn plan(&mut self, at: Moment, event: Event) {
        self.planned += 1;
        self.events.push(Reverse((at, self.planned, event)));
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Arrives(visit) => {
                let group = self.visits[visit].client.group;
                let request =
                    Request { input_tokens: self.dice.u64(1..200), ..Request::new(group_name(group)) };
                self.visits[visit].journey = Some(Journey::new(&self.fleet, request));
                self.ledgers.entry(group).or_default().client_calls.push_back(self.now);
                self.go_on(visit)
            }
            Event::Wakes(visit) if self.visits[visit].end.is_none() => self.go_on(visit),
            Event::CallEnds(visit, call) => {
                let entry = &mut self.visits[visit];
                let is_current = entry.journey.as_ref().is_some_and(|journey| journey.calls() == call);
                match entry.running.take() {
                    Some((attempt, outcome)) if is_current && entry.end.is_none() => {
                        self.call_ended(visit, attempt, &outcome)
                    }
                    running => {
                        entry.running = running;
                        Ok(())
                    }
                }
            }
            Event::Leaves(visit) if self.visits[visit].end.is_none() => {
                if let Some((attempt, _)) = self.visits[visit].running.take() {
                    self.vacate(&attempt);
                }
                self.end(visit, End::Left)
            }
            Event::Wakes(_) | Event::Leaves(_) => Ok(()),
        }
    }

    fn go_on(&mut self, visit: usize) -> Result<(), String> {
        let Some(mut journey) = self.visits[visit].journey.take() else { return Ok(()) };
        let dice = &mut self.dice;
        let decision = journey.next(self.now, &mut || dice.u64(..));
        let calls = journey.calls();
        let is_extra = calls > 1;
        self.visits[visit].journey = Some(journey);
        match decision {
            Decision::Call(attempt) => {
                self.check_call(visit, &attempt, is_extra)?;
                let (took, outcome) = self.behave(&attempt);
                self.visits[visit].running = Some((attempt, outcome));
                self.plan(self.now + took, Event::CallEnds(visit, calls));
                Ok(())
            }
            Decision::Wait { duration, why } => {
                if duration.is_zero() {
                    return Err("a wait of no time".to_owned());
                }
                self.tally.waits_for_room += u64::from(why == Why::Room);
                self.plan(self.now + duration, Event::Wakes(visit));
                Ok(())
            }
            Decision::Stop(stop) => self.end(visit, End::Refused(stop)),
        }
    }

    fn call_ended(&mut self, visit: usize, attempt: Attempt, outcome: &Outcome) -> Result<(), String> {
        let index = attempt.deployment().get();
        self.vacate(&attempt);
        let Some(journey) = &mut self.visits[visit].journey else {
            return Err("a call of nobody".to_owned());
        };
        match journey.report(attempt, outcome, self.now) {
            Some(Change::CooledDown { until, .. }) => {
                self.tally.cooldowns += 1;
                self.sites[index].left_alone_until = Some(until);
                self.check_groups()?;
            }
            Some(Change::Recovered) => {
                self.tally.recoveries += 1;
                self.sites[index].left_alone_until = None;
            }
            None => {}
        }
        match outcome {
            Outcome::Success { .. } => self.end(visit, End::Answered),
            Outcome::Failure(_) => self.go_on(visit),
        }
    }

    fn vacate(&mut self, attempt: &Attempt) {
        let site = &mut self.sites[attempt.deployment().get()];
        site.in_flight -= 1;
        if attempt.is_probe() {
            site.probing = false;
        }
    }

    fn end(&mut self, visit: usize, end: End) -> Result<(), String> {
        match &end {
            End::Answered => self.tally.answered += 1,
            End::Left => self.tally.left += 1,
            End::Refused(stop) => {
                self.tally.failed += 1;
                self.tally.stopped_by_budget += u64::from(*stop == Stop::Failed(GivenUp::RetryBudget));
                self.tally.none_available += u64::from(matches!(stop, Stop::NoneAvailable { .. }));
            }
        }
        let entry = &mut self.visits[visit];
        if let Some(journey) = &entry.journey {
            self.tally.calls += u64::from(journey.calls());
            self.tally.retries += u64::from(journey.retries());
            self.tally.fallbacks += u64::from(journey.fallbacks());
        }
        match entry.end.replace(end) {
            None => Ok(()),
            Some(before) => Err(format!("request {visit} ended twice, first with {before:?}")),
        }
    }

    /// How the deployment takes a call that begins now.
    fn behave(&mut self, attempt: &Attempt) -> (Duration, Outcome) {
        let elapsed = self.now.since_start();
        let weather = &self.sites[attempt.deployment().get()].weather;
        let spell = weather.iter().rev().find(|spell| spell.from <= elapsed);
        let usual = Duration::from_millis(self.dice.u64(50..800));
        let success = Outcome::Success { tokens: Some(self.dice.u64(10..400)), output_tokens: Some(10) };
        let failure = |class| Outcome::Failure(Failure::new(class));
        let soon = Duration::from_millis(5);
        let (took, outcome) = match spell.map_or(Behaviour::Well, |spell| spell.behaviour) {
            Behaviour::Well => (usual, success),
            Behaviour::Slow(by) => (usual + by, success),
            Behaviour::Hangs => (TIMEOUT * 10, success),
            Behaviour::Refuses => (soon, failure(ErrorClass::Connection)),
            Behaviour::Throttles(wish) => {
                let failure = Failure::new(ErrorClass::RateLimited).with_retry_after(wish);
                (soon, Outcome::Failure(failure))
            }
            Behaviour::Fails(share, class) if self.dice.f64() < share => (soon, failure(class)),
            Behaviour::Fails(..) => (usual, success),
        };
        if took > TIMEOUT { (TIMEOUT, failure(ErrorClass::Timeout)) } else { (took, outcome) }
    }

    fn check_call(&mut self, visit: usize, attempt: &Attempt, is_extra: bool) -> Result<(), String> {
        let (id, now) = (attempt.id(), self.now);
        let limits = &self.schedule.settings.deployments;
        let limits = limits.iter().find(|known| &*known.id == id).ok_or("an unknown deployment")?;
        let site = &mut self.sites[attempt.deployment().get()];
        match site.left_alone_until {
            Some(until) if now < until => return Err(format!("{id} was called while it was left alone")),
            Some(_) if !attempt.is_probe() => return Err(format!("{id} was called without a probe")),
            Some(_) if site.probing => return Err(format!("{id} was probed twice at a time")),
            None if attempt.is_probe() => return Err(format!("{id} was probed although it was well")),
            Some(_) | None => {}
        }
        site.probing |= attempt.is_probe();
        site.in_flight += 1;
        if limits.disabled {
            return Err(format!("{id} was called although it is disabled"));
        }
        if limits.max_parallel_requests.is_some_and(|most| site.in_flight > most) {
            return Err(format!("{id} has {} calls in flight", site.in_flight));
        }
        site.calls.push_back(now);
        forget(&mut site.calls, now, MINUTE);
        if limits.rpm.is_some_and(|rpm| site.calls.len() as u64 > rpm) {
            return Err(format!("{id} got {} calls in a minute", site.calls.len()));
        }
        if is_extra {
            self.check_budget(self.visits[visit].client.group)?;
        }
        Ok(())
    }

    fn check_budget(&mut self, group: usize) -> Result<(), String> {
        let ledger = self.ledgers.entry(group).or_default();
        ledger.extra_calls.push_back(self.now);
        forget(&mut ledger.extra_calls, self.now, MINUTE);
        forget(&mut ledger.client_calls, self.now, MINUTE + BLUR);
        let Some(budget) = self.schedule.settings.retries.budget else { return Ok(()) };
        let allowed =
            ledger.client_calls.len() as u64 * u64::from(budget.percent) / 100 + u64::from(budget.floor);
        let extra = ledger.extra_calls.len() as u64;
        if extra > allowed {
            return Err(format!("{extra} extra calls for group {group} where {allowed} are allowed"));
        }
        Ok(())
    }

    fn check_groups(&self) -> Result<(), String> {
        let settings = &self.schedule.settings;
        if settings.cooldowns.last {
            return Ok(());
        }
        let states = self.fleet.snapshot(self.now);
        for state in &states {
            let has_fallbacks = settings
                .fallbacks
                .general
                .iter()
                .any(|rule| rule.group == *state.group && !rule.targets.is_empty());
            let open = |phase| matches!(phase, Phase::Open(_));
            let mut alike = states.iter().filter(|other| other.group == state.group && !other.disabled);
            if !has_fallbacks && alike.clone().next().is_some() && alike.all(|other| open(other.phase)) {
                return Err(format!("all of {} are left alone", state.group));
            }
        }
        Ok(())
    }

    /// Whether the request had to be answered.
    fn is_sure(&self, visit: &Visit) -> bool {
        let settings = &self.schedule.settings;
        let group = group_name(visit.client.group);
        let is_rock = |planned: &&Planned| {
            let settings = &planned.settings;
            let site = self.fleet.plan().find(&settings.id).map(|index| &self.sites[index.get()]);
            *settings.model_name == *group
                && !settings.disabled
                && settings.rpm.or(settings.tpm).is_none()
                && settings.max_parallel_requests.is_none()
                && site.is_some_and(|site| site.weather.len() == 1)
        };
        let members: Vec<&Planned> = self
            .fleet
            .plan()
            .deployments()
            .iter()
            .filter(|known| *known.settings.model_name == *group)
            .collect();
        let has_rock = members.iter().copied().any(|planned| is_rock(&planned));
        // A member that says that the request is wrong ends it, and rightly so.
        let honest = members.iter().all(|planned| {
            let site = self.fleet.plan().find(&planned.settings.id).map(|index| &self.sites[index.get()]);
            let wrong =
                |spell: &Spell| matches!(spell.behaviour, Behaviour::Fails(_, ErrorClass::BadRequest));
            planned.settings.num_retries.is_none() && site.is_some_and(|site| !site.weather.iter().any(wrong))
        });
        let plenty =
            settings.retries.num_retries as usize >= members.len() && settings.retries.budget.is_none();
        has_rock && honest && plenty
    }
}

/// Drops what is older than the span.
fn forget(moments: &mut VecDeque<Moment>, now: Moment, span: Duration) {
    while moments.front().is_some_and(|moment| now.since(*moment) >= span) {
        moments.pop_front();
    }
}
