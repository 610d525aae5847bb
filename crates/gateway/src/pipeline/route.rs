//! Which deployment answers, and which one after it has failed?

use std::sync::Arc;
use std::time::{Duration, Instant};

use dialects::conversation::Extra;
use dialects::document::Document;
use dialects::loss::{Change as LossChange, Note};
use dialects::{ErrorClass, Invalid};
use http::HeaderMap;
use routing::{Attempt, Considered, Decision, Failure, Journey, Outcome, Request, Stop, Verdict, Why};

use super::admit::attempt::{self as budget, Declined, OverDeployment};
use super::receive::routing::{routing_wishes, tag_lines};
use super::receive::{self, Wishes, names};
use super::{Running, admit, settle};
use tollway::ask::Ask;

use crate::events;
use crate::exchange::{Candidate, RouteStep};
use crate::refusal::Refusal;
use crate::snapshot::{Served, Snapshot};

/// What routing has to know about a request; `document` still has the fields that speak to the gateway.
///
/// # Errors
/// When one of those fields has a wrong type.
pub(super) fn request(
    snapshot: &Snapshot,
    model: &str,
    document: &Document<'_>,
    headers: &HeaderMap,
    body_bytes: usize,
) -> Result<Request, Invalid> {
    let wishes = routing_wishes(document, headers, model, snapshot.allow_mock_testing)?;
    let tag_lines = if snapshot.routing.tags.enabled { tag_lines(headers) } else { Vec::new() };
    Ok(Request {
        input_tokens: receive::rough_tokens(body_bytes),
        tags: wishes.tags,
        tag_lines,
        region: wishes.region,
        sticky: sticky(snapshot, document, headers),
        overrides: wishes.overrides,
        mock_failure: wishes.mock_failure,
        ..Request::new(model)
    })
}

/// Fills in what the caller's key and team say of routing, where the request says nothing.
pub(super) fn follow_orders(running: &Running, model: &str, request: &mut Request, wishes: &mut Wishes) {
    let Some(orders) = admit::orders(running) else { return };
    orders.routing.fill(&mut request.overrides, model);
    wishes.timeout = wishes.timeout.or(orders.routing.timeout);
}

/// Whose requests belong together: a session's, else a user's, else those with the same beginning.
fn sticky(snapshot: &Snapshot, document: &Document<'_>, headers: &HeaderMap) -> Option<Arc<str>> {
    if !snapshot.routing.affinity && snapshot.routing.canaries.is_empty() {
        return None;
    }
    if let Some(session) = receive::header(headers, &names::SESSION_ID) {
        return Some(session.into());
    }
    let fields = ["litellm_session_id", "user", "prompt_cache_key"];
    fields.into_iter().find_map(|name| document.text(name).ok().flatten()).map(|key| key.as_ref().into())
}

/// Counts the input's tokens where a deployment may be too small for it; elsewhere a rough number will do.
///
/// # Errors
/// When the request cannot be read.
pub(super) fn count_input(request: &mut Request, snapshot: &Snapshot, ask: &Ask<'_>) -> Result<(), Invalid> {
    if snapshot.routing.pre_call_checks {
        let group = snapshot.group(&request.model);
        let model = group.as_ref().and_then(|group| group.members.first());
        let model = model.map_or(&*request.model, |served| served.deployment.model.as_str());
        request.input_tokens = catalog::tokens::count(model, ask.request()?).tokens;
    }
    Ok(())
}

/// The deployments that a request goes to, one after the other until one answers.
pub(super) struct Tries<'s> {
    snapshot: &'s Snapshot,
    journey: Journey,
    /// Why the first attempt failed, and the provider's headers: what the caller is told if no other succeeds.
    first: Option<(Refusal, HeaderMap)>,
    /// Attempts that were not made for want of budget.
    declined: Vec<OverDeployment>,
    /// The caller has not enough left for an attempt.
    short: Option<Box<Refusal>>,
    /// The caller set the time-out itself, so running out of it says nothing about a deployment.
    own_timeout: bool,
}

/// One attempt that is to be made.
pub(super) struct Try {
    pub served: Arc<Served>,
    pub attempt: Attempt,
}

impl<'s> Tries<'s> {
    /// For a request whose model the caller names so.
    pub(super) fn new(snapshot: &'s Snapshot, mut request: Request, own_timeout: bool) -> Self {
        let fleet = snapshot.fleet();
        let plan = fleet.plan();
        // A deployment's id comes before the patterns, its name for its model after them.
        let is_group = plan
            .group_of(&request.model)
            .is_some_and(|group| !group.contains('*') || plan.find(&request.model).is_none());
        if !is_group && let Some(served) = snapshot.deployment(&request.model) {
            request.model = Arc::clone(&served.deployment.group);
            request.pinned = vec![Arc::clone(&served.deployment.id)];
        }
        Self {
            snapshot,
            journey: Journey::new(fleet, request),
            first: None,
            declined: Vec::new(),
            short: None,
            own_timeout,
        }
    }

    /// The next deployment to ask. `document`: what it is asked.
    ///
    /// # Errors
    /// When there is none any more: the first failure, or why there was none in the first place.
    pub(super) async fn next(
        &mut self,
        running: &mut Running,
        document: &Document<'_>,
    ) -> Result<Try, Refusal> {
        loop {
            let at = Instant::now();
            let decision = self.journey.next(running.gateway.moment(at), &mut || fastrand::u64(..));
            for passed in self.journey.take_passed_over() {
                self.note_candidates(running, &passed.group, &passed.considered, at);
            }
            match decision {
                Decision::Call(attempt) => {
                    let Some(served) = self.snapshot.served(attempt.deployment(), attempt.name()) else {
                        // The plan and its places are made together.
                        return Err(Refusal::misconfigured(500, "the deployment is gone"));
                    };
                    let Some(attempt) = self.afford(running, attempt, &served, document).await? else {
                        continue;
                    };
                    self.note_candidates(running, attempt.name(), self.journey.considered(), at);
                    let exchange = &mut running.exchange;
                    exchange.group = Some(Arc::clone(attempt.name()));
                    exchange.retries = self.journey.retries();
                    exchange.fallbacks = self.journey.fallbacks();
                    // What an attempt did to the request says nothing about the next.
                    running.provider_headers.clear();
                    exchange.notes.clear();
                    if let Some(bodies) = &mut exchange.bodies {
                        bodies.provider_response.clear();
                    }
                    return Ok(Try { served, attempt });
                }
                Decision::Wait { duration, why } => {
                    note_wait(running, duration, why);
                    tokio::time::sleep(duration).await;
                }
                Decision::Stop(stop) => return Err(self.stopped(running, &stop)),
            }
        }
    }

    /// Holds what an attempt may cost; `None`: there is no budget for it, and the journey goes on without it.
    async fn afford(
        &mut self,
        running: &mut Running,
        attempt: Attempt,
        served: &Arc<Served>,
        document: &Document<'_>,
    ) -> Result<Option<Attempt>, Refusal> {
        if !budget::is_bounded(running, served) {
            return Ok(Some(attempt));
        }
        let params = attempt.params().map(|params| &**params);
        // Seldom needed, and every request would carry it along.
        match Box::pin(budget::hold(running, self.snapshot, served, params, document)).await {
            Ok(()) => Ok(Some(attempt)),
            Err(declined) => {
                let why = match declined {
                    Declined::Refused(refusal) => return Err(refusal),
                    Declined::Caller(refusal) => {
                        let why = refusal.tell.clone();
                        self.short.get_or_insert_with(|| Box::new(refusal));
                        why
                    }
                    Declined::Deployment(over) => {
                        let why = over.to_string();
                        self.declined.push(over);
                        why
                    }
                };
                let exchange = &mut running.exchange;
                let note = format!("`{}` is passed over: {why}", attempt.id());
                exchange.route.push(RouteStep::Noted { after: exchange.started.elapsed(), note });
                self.journey.decline(attempt, running.gateway.now());
                Ok(None)
            }
        }
    }

    /// Takes note that an attempt failed.
    ///
    /// # Errors
    /// The failure itself, when it is the caller's and no deployment would say otherwise.
    pub(super) fn failed(
        &mut self,
        running: &mut Running,
        attempt: Attempt,
        refusal: Refusal,
    ) -> Result<(), Refusal> {
        if !refusal.may_pass_elsewhere() {
            return Err(refusal);
        }
        self.note_failure(running, attempt, refusal);
        Ok(())
    }

    /// Takes note that an attempt failed, and that it may succeed elsewhere.
    pub(super) fn note_failure(&mut self, running: &mut Running, attempt: Attempt, refusal: Refusal) {
        let now = running.gateway.now();
        let id: Arc<str> = attempt.id().into();
        let mut outcome = failure(&refusal, self.own_timeout);
        if let Outcome::Failure(failure) = &mut outcome
            && failure.class == ErrorClass::BadRequest
            && running.exchange.seeks_state
        {
            // It may be what this account does not know and another does.
            *failure = Failure { class: ErrorClass::NotFound, counts: false, ..*failure };
        }
        let change = self.journey.report(attempt, &outcome, now);
        events::deployment_changed(&running.gateway, &id, change);
        // Where nothing could be sent there is no attempt to blame.
        if running.exchange.served().is_some_and(|served| served.deployment.id == id) {
            settle::attempt_failed(running, &refusal);
        }
        // Who has begun to answer has worked.
        let attempt = running.exchange.attempts.last().filter(|attempt| *attempt.served.deployment.id == *id);
        let has_begun = attempt.and_then(|attempt| attempt.status).is_some_and(|status| status < 300);
        budget::over(running, has_begun);
        self.first.get_or_insert_with(|| (refusal, std::mem::take(&mut running.provider_headers)));
    }

    /// After which time a second attempt beside the running one makes sense; `None`: never.
    pub(super) fn hedge_delay(&self) -> Option<Duration> {
        self.journey.hedge_delay()
    }

    /// A second attempt beside the running one, if there is another deployment and it is not too dear.
    pub(super) async fn hedge(&mut self, aside: &mut Running, document: &Document<'_>) -> Option<Try> {
        let at = Instant::now();
        let attempt = self.journey.hedge(aside.gateway.moment(at), &mut || fastrand::u64(..))?;
        let served = self.snapshot.served(attempt.deployment(), attempt.name())?;
        let attempt = self.afford(aside, attempt, &served, document).await.ok()??;
        self.note_candidates(aside, attempt.name(), self.journey.considered(), at);
        Some(Try { served, attempt })
    }

    fn stopped(&mut self, running: &mut Running, stop: &Stop) -> Refusal {
        let exchange = &mut running.exchange;
        exchange.retries = self.journey.retries();
        exchange.fallbacks = self.journey.fallbacks();
        exchange.route.push(RouteStep::Stopped { after: exchange.started.elapsed(), why: stop.to_string() });
        let refusal = match stop {
            Stop::UnknownModel(model) => Refusal::unknown_model(model, self.snapshot.nearest(model)),
            Stop::OverBudget { .. } => self.over_budget(stop),
            stop => Refusal::from_stop(stop),
        };
        let (refusal, headers) = self.first.take().unwrap_or_else(|| (refusal, HeaderMap::new()));
        running.provider_headers = headers;
        refusal
    }

    /// There was no budget for any deployment: the caller's own comes first, for it needs no operator.
    fn over_budget(&mut self, stop: &Stop) -> Refusal {
        if let Some(refusal) = self.short.take() {
            return *refusal;
        }
        let told: Vec<String> = self.declined.iter().map(ToString::to_string).collect();
        let told = format!("No deployments available - crossed budget: {}", told.join("\n"));
        let mut refusal = Refusal::misconfigured(stop.status().unwrap_or(429), told);
        refusal.retry_after = self.declined.iter().filter_map(|declined| declined.over.retry_after).min();
        refusal
    }

    /// `at`: when they were considered.
    fn note_candidates(
        &self,
        running: &mut Running,
        group: &Arc<str>,
        considered: &[Considered],
        at: Instant,
    ) {
        let now = running.gateway.moment(at);
        let plan = self.snapshot.fleet().plan();
        let candidates = considered.iter().filter_map(|considered| {
            let planned = plan.deployments().get(considered.deployment.get())?;
            let left = match considered.verdict {
                Verdict::CoolingDown(until) => Some(until.since(now)),
                _ => None,
            };
            let deployment = Arc::clone(&planned.settings.id);
            Some(Candidate { deployment, verdict: considered.verdict, left })
        });
        let candidates = candidates.collect();
        let exchange = &mut running.exchange;
        let after = at.saturating_duration_since(exchange.started);
        let group = Arc::clone(group);
        // There is seldom another one, and traces are kept.
        exchange.route.reserve_exact(1);
        exchange.route.push(RouteStep::Considered { after, group, candidates });
    }
}

/// How an attempt failed, in routing's words.
pub(super) fn failure(refusal: &Refusal, own_timeout: bool) -> Outcome {
    let class = refusal.class.unwrap_or(ErrorClass::Internal);
    let counts = !(own_timeout && class == ErrorClass::Timeout);
    Outcome::Failure(Failure { class, retry_after: refusal.retry_after, counts })
}

/// How an attempt succeeded.
pub(super) fn success(running: &Running) -> Outcome {
    let usage = running.exchange.answer.usage.as_ref();
    Outcome::Success {
        tokens: usage.map(dialects::conversation::Usage::total),
        output_tokens: usage.map(|usage| usage.output),
    }
}

/// Books that a streamed answer has brought its first content.
pub(super) fn began(running: &Running, attempt: &mut Attempt) {
    let change = attempt.first_token(running.gateway.now());
    events::deployment_changed(&running.gateway, attempt.id(), change);
}

/// Books what an attempt has used whose client has left.
pub(super) fn left(running: &Running, attempt: Attempt) {
    let usage = running.exchange.answer.usage.as_ref();
    attempt.left(usage.map(dialects::conversation::Usage::total), running.gateway.now());
}

/// Books the end of an attempt that the answer came from.
pub(super) fn ended(running: &Running, attempt: Attempt, outcome: &Outcome) {
    let change = attempt.finish(outcome, running.gateway.now());
    // The attempt that answered is the last one.
    if let Some(served) = running.exchange.served() {
        events::deployment_changed(&running.gateway, &served.deployment.id, change);
    }
}

/// The request with what a fallback's entry says instead. What of the entry speaks to the gateway is followed where it is
/// about this one call; the rest comes too late and is noted.
pub(super) fn with_params<'d>(
    document: &Document<'d>,
    wishes: &Wishes,
    params: &Extra,
    notes: &mut Vec<Note>,
) -> Result<(Document<'d>, Wishes), Refusal> {
    let mut document = document.clone();
    for (name, value) in params {
        if receive::is_ours(name) && !Wishes::of_one_call(name) {
            let detail = "a fallback's entry cannot set it".to_owned();
            notes.push(Note { param: name.clone(), change: LossChange::Dropped, detail });
        } else {
            document.set_value(name, value);
        }
    }
    let own = receive::wishes(&mut document, &HeaderMap::new())?;
    Ok((document, wishes.with(own)))
}

/// Leaves out those of a group's deployments that cannot do what is asked, if others can.
pub(super) fn leave_out(request: &mut Request, snapshot: &Snapshot, can: impl Fn(&Served) -> bool) {
    let Some(group) = snapshot.group(&request.model) else { return };
    if group.members.iter().any(|served| can(served)) {
        let cannot = group.members.iter().filter(|served| !can(served));
        request.excluded.extend(cannot.map(|served| Arc::clone(&served.deployment.id)));
    }
}

fn note_wait(running: &mut Running, duration: Duration, why: Why) {
    let exchange = &mut running.exchange;
    let after = exchange.started.elapsed();
    // A request that waits for room looks for it often.
    match exchange.route.last_mut() {
        Some(RouteStep::Waited { duration: so_far, why: last, .. }) if *last == why => *so_far += duration,
        _ => exchange.route.push(RouteStep::Waited { after, duration, why }),
    }
}
