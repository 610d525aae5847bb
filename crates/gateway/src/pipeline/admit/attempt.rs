//! What one attempt may cost is held when its deployment has been chosen: on the budgets of the deployment and its
//! provider, and, where it may cost more than was held when the request was let in, on those of the caller.

use std::fmt;
use std::sync::{Arc, MutexGuard, PoisonError};

use catalog::cost::{CallKind, Counts};
use catalog::{Cost, NanoUsd};
use dialects::conversation::{Extra, Usage};
use dialects::document::Document;
use ledger::rules::account::Scope;
use ledger::rules::ledger::{Actual, Charge, Demand, Hold};
use ledger::rules::refusal::{OverBudget, Refusal as Denied};
use ledger::{Claims, Reservation};

use super::extent::Extent;
use super::{Admission, LEASE};
use crate::books::{self, people};
use crate::exchange::RouteStep;
use crate::operation::Operation;
use crate::pipeline::{Running, forward, receive};
use crate::refusal::Refusal;
use crate::snapshot::{Served, ServedBudgets, Snapshot, Upstream};
use crate::{Gateway, events};

/// What is held for a request, and what its attempts have cost so far.
#[derive(Debug, Default)]
pub struct Purse {
    /// On the caller's accounts; ends with the request.
    pub reservation: Option<Reservation>,
    /// Part of it that is for attempts under way.
    under_way: NanoUsd,
    /// What attempts that did not answer have cost.
    pub billed: Vec<Bill>,
}

/// What a provider bills for an attempt that did not answer, as far as that can be told: an estimate.
#[derive(Debug)]
pub struct Bill {
    pub served: Arc<Served>,
    pub usage: Usage,
    pub cost: Cost,
    /// The budget windows of the deployment and its provider that pay.
    pub charges: Vec<Charge>,
}

/// What is held for one attempt.
#[derive(Debug)]
pub struct AttemptHold {
    /// How much of the request's hold it may use.
    most: NanoUsd,
    /// On the deployment's accounts.
    reservation: Option<Reservation>,
    served: Arc<Served>,
}

/// An attempt that is not made.
pub(in crate::pipeline) enum Declined {
    /// The caller has not enough left.
    Caller(Refusal),
    /// The deployment or its provider has not.
    Deployment(OverDeployment),
    /// Something else stands in the way.
    Refused(Refusal),
}

/// A deployment's budget, or its provider's, does not have enough left.
pub(in crate::pipeline) struct OverDeployment {
    pub over: Box<OverBudget>,
    group: Arc<str>,
    model: String,
}

impl fmt::Display for OverDeployment {
    /// As LiteLLM tells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { over, group, model } = self;
        let OverBudget { account, spend, held, asked, max, .. } = &**over;
        match &account.scope {
            Scope::Deployment(id) => write!(
                f,
                "Exceeded budget for deployment model_name: {group}, litellm_params.model: {model}, model_id: {id}: "
            )?,
            _ => write!(f, "Exceeded budget for {} {account}: ", account.scope.kind())?,
        }
        if spend >= max {
            return write!(f, "{spend} >= {max}");
        }
        write!(f, "{spend} of {max} (running calls hold {held}, this one may cost {asked})")
    }
}

impl Admission {
    pub(in crate::pipeline) fn purse(&self) -> MutexGuard<'_, Purse> {
        // Nothing panics while it is open.
        self.purse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, as long as nobody else has it.
    pub(in crate::pipeline) fn own_purse(&mut self) -> &mut Purse {
        self.purse.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what was held when the request was let in is for this deployment as well, and for nothing else.
    fn covers(&self, served: &Served) -> bool {
        let purse = self.purse();
        *served.deployment.group == *self.model.as_str()
            && purse.under_way == NanoUsd::ZERO
            && purse.billed.is_empty()
    }
}

impl Purse {
    fn billed(&self) -> NanoUsd {
        self.billed.iter().fold(NanoUsd::ZERO, |sum, bill| sum.saturating_add(bill.cost.total()))
    }
}

/// Whether something has to be held for attempts there.
pub(in crate::pipeline) fn is_bounded(running: &Running, served: &Served) -> bool {
    let Some(admission) = &running.admission else { return false };
    served.budgets.is_some() || matches!(admission.hold, Hold::AtMost(_))
}

/// Holds what an attempt may cost. `params` are those that a fallback's entry sets.
pub(in crate::pipeline) async fn hold(
    running: &mut Running,
    snapshot: &Snapshot,
    served: &Arc<Served>,
    params: Option<&Extra>,
    document: &Document<'_>,
) -> Result<(), Declined> {
    let Some(admission) = running.admission.clone() else { return Ok(()) };
    if served.budgets.is_none() && params.is_none() && admission.covers(served) {
        let most = admission.hold.amount();
        admission.purse().under_way = most;
        running.attempt = Some(Box::new(AttemptHold { most, reservation: None, served: Arc::clone(served) }));
        return Ok(());
    }
    let mut overlaid = None;
    if let Some(params) = params {
        let document = overlaid.insert(document.clone());
        for (name, value) in params.iter().filter(|(name, _)| !receive::is_ours(name)) {
            document.set_value(name, value);
        }
    }
    let more = params.map_or(0, |params| serde_json::to_string(params).map_or(0, |text| text.len()));
    let extent = Extent {
        operation: running.exchange.operation,
        document: overlaid.as_ref().unwrap_or(document),
        input: admission.input.saturating_add(more as u64),
    };
    let output = extent.declared().filter(|_| extent.is_bounded());
    let most = output.and_then(|output| extent.most(served, output));
    let reservation = match &served.budgets {
        Some(budgets) => Some(on_deployment(&admission, snapshot, served, budgets, most).await?),
        None => None,
    };
    let most = on_caller(running, &admission, snapshot, served, most).await?;
    running.attempt = Some(Box::new(AttemptHold { most, reservation, served: Arc::clone(served) }));
    Ok(())
}

/// Has the caller's budgets hold enough for this attempt beside what the request has cost and what is under way. Returns
/// how much is for this one.
async fn on_caller(
    running: &mut Running,
    admission: &Admission,
    snapshot: &Snapshot,
    served: &Served,
    most: Option<NanoUsd>,
) -> Result<NanoUsd, Declined> {
    let Hold::AtMost(held) = admission.hold else { return Ok(NanoUsd::ZERO) };
    let most = match most {
        Some(most) => most,
        None => match admission.unknown_price(snapshot).hold(&admission.model, NanoUsd::ZERO) {
            Ok(Hold::AtMost(stated)) => stated,
            Ok(Hold::About(_) | Hold::Free) => held,
            Err(refusal) => return Err(Declined::Refused(refusal)),
        },
    };
    let (to, mut taken) = {
        let mut purse = admission.purse();
        let to = purse.billed().saturating_add(purse.under_way).saturating_add(most);
        let needs_more = purse.reservation.as_ref().is_some_and(|held| held.held() < to);
        if !needs_more {
            purse.under_way = purse.under_way.saturating_add(most);
            return Ok(most);
        }
        (to, Taken { admission, reservation: purse.reservation.take() })
    };
    let raised = match &mut taken.reservation {
        Some(reservation) => reservation.raise(to, books::now()).await,
        None => Ok(()),
    };
    drop(taken);
    match raised {
        Ok(()) => {
            let mut purse = admission.purse();
            purse.under_way = purse.under_way.saturating_add(most);
            drop(purse);
            let after = running.exchange.started.elapsed();
            let model = &served.deployment.model;
            let note =
                format!("{to} USD are held now, the most that `{model}` can cost beside what was spent");
            running.exchange.route.push(RouteStep::Noted { after, note });
            Ok(most)
        }
        Err(denied) => Err(Declined::Caller(Refusal::denied(&denied, snapshot.over_budget_status))),
    }
}

/// A request's reservation, out of its purse while it is raised. A client that leaves meanwhile does not take it along: what
/// its attempts have cost is booked with it.
struct Taken<'a> {
    admission: &'a Admission,
    reservation: Option<Reservation>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.admission.purse().reservation = self.reservation.take();
    }
}

async fn on_deployment(
    admission: &Admission,
    snapshot: &Snapshot,
    served: &Served,
    budgets: &ServedBudgets,
    most: Option<NanoUsd>,
) -> Result<Reservation, Declined> {
    let claims = match budgets.claims.get() {
        Some(claims) => claims,
        None => {
            let (counters, store) = (admission.books.counters(), admission.books.store());
            let opened = people::claims(counters, store, budgets.accounts.clone()).await;
            let opened = opened.map_err(|error| Declined::Refused(Refusal::store_away(&error)))?;
            budgets.claims.get_or_init(|| Claims::new(opened))
        }
    };
    let known = || {
        let known = claims.iter().map(|claim| claim.history(&admission.model).expected_cost());
        known.max().unwrap_or_default()
    };
    let hold = match most {
        Some(most) => Hold::AtMost(most),
        None if served.has_price() => Hold::About(known()),
        None => {
            admission.unknown_price(snapshot).hold(&admission.model, known()).map_err(Declined::Refused)?
        }
    };
    let demand = Demand { hold, tokens: 0, lease: LEASE };
    claims.admit_shared(&demand, books::now()).await.map_err(|denied| match denied {
        Denied::OverBudget(over) => Declined::Deployment(OverDeployment {
            over: Box::new(over),
            group: Arc::clone(&served.deployment.group),
            model: served.deployment.model.clone(),
        }),
        other => Declined::Refused(Refusal::denied(&other, snapshot.over_budget_status)),
    })
}

/// An attempt is over without an answer. If its provider bills it all the same, the request pays for it.
pub(in crate::pipeline) fn over(running: &mut Running, is_billed: bool) {
    let hold = running.attempt.take();
    let Some(admission) = running.admission.clone() else { return };
    if let Some(hold) = &hold {
        let mut purse = admission.purse();
        purse.under_way = purse.under_way.saturating_sub(hold.most);
    }
    let exchange = &mut running.exchange;
    let Some(attempt) = exchange.attempts.last_mut().filter(|_| is_billed) else { return };
    if attempt.billed.is_some() || !matches!(attempt.served.upstream, Upstream::Provider) {
        return;
    }
    // That it has read its input is certain; how much it said before it was cut off nobody tells.
    let usage = Usage { input: exchange.input_estimate, ..Usage::default() };
    let kind = match exchange.operation {
        Operation::Forward(service) => forward::call_kind(service),
        Operation::Converse(_) | Operation::CountTokens(_) => CallKind::Chat,
    };
    let cost = attempt.served.cost_of(&usage, kind, Counts::default());
    let Some(cost) = cost.filter(|cost| cost.total() > NanoUsd::ZERO) else { return };
    let total = cost.total();
    attempt.billed = Some(total);
    let served = Arc::clone(&attempt.served);
    let charges = hold.map_or_else(Vec::new, |hold| settle(&running.gateway, *hold, &admission, total, 0));
    admission.purse().billed.push(Bill { served, usage, cost, charges });
}

/// Ends what is held on the accounts of an attempt's deployment; tells the windows that pay.
pub(in crate::pipeline) fn settle(
    gateway: &Gateway,
    mut hold: AttemptHold,
    admission: &Admission,
    cost: NanoUsd,
    output: u64,
) -> Vec<Charge> {
    let Some(reservation) = hold.reservation.take() else { return Vec::new() };
    if cost > NanoUsd::ZERO {
        let claims = hold.served.budgets.as_ref().and_then(|budgets| budgets.claims.get());
        claims
            .into_iter()
            .flat_map(Claims::iter)
            .for_each(|claim| claim.learn(&admission.model, cost, output));
    }
    let settlement = reservation.settle(Actual { cost, tokens: 0 }, books::now());
    for crossing in &settlement.crossings {
        events::budget_crossed(gateway, crossing);
    }
    settlement.charges
}
