//! Choosing one of a group's deployments: look at all of them, then let the strategy draw among those that would do.

use crate::Moment;
use crate::chance::Rng;
use crate::limits::Limit;
use crate::plan::{DeploymentIndex, Group};
use crate::screen::{Fit, Screen, Verdict};
use crate::stop::Lack;
use crate::strategy::{self, Candidate, Circumstances};

/// One candidate of the last choice and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Considered {
    /// Which deployment.
    pub deployment: DeploymentIndex,
    /// What became of it.
    pub verdict: Verdict,
}

/// A group can be large; a trace need not be.
const MAX_CONSIDERED: usize = 32;

/// Which deployments a pick is among.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Among {
    /// Those that the request was at already, too.
    pub(crate) again: bool,
    /// Only those with a higher `order` than this.
    pub(crate) above: Option<i64>,
    /// Those that have to be probed, even if others are well.
    pub(crate) probes_first: bool,
    /// No probes at all.
    pub(crate) no_probes: bool,
}

impl Among {
    pub(crate) const FRESH: Self = Self { again: false, above: None, probes_first: true, no_probes: false };
    pub(crate) const RETRY: Self = Self { probes_first: false, ..Self::FRESH };
}

/// Why nothing was picked.
#[derive(Debug)]
pub(crate) enum Nothing {
    Cooling {
        until: Option<Moment>,
    },
    Full {
        limit: Limit,
        until: Option<Moment>,
    },
    Unfit(Lack),
    /// Those that would do have no budget for the call.
    OverBudget,
    /// The retry budget is used up.
    Budget,
}

/// What a look at all members found.
#[derive(Debug)]
pub(crate) enum Survey<'f> {
    /// This one is to be probed.
    Probe(Candidate<'f>),
    /// The strategy may choose among those with this `order` that would do.
    Choice { order: i64, marks: Marks },
}

/// Members of a group that would do, by their number in it: looking twice costs more than remembering.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks(u128);

impl Marks {
    fn set(&mut self, member: usize) {
        self.0 |= Self::bit(member).unwrap_or(0);
    }

    /// `None` for members beyond the 128th: look again.
    fn get(self, member: usize) -> Option<bool> {
        Self::bit(member).map(|bit| self.0 & bit != 0)
    }

    fn bit(member: usize) -> Option<u128> {
        1_u128.checked_shl(u32::try_from(member).ok()?)
    }
}

/// What a survey has seen so far.
#[derive(Debug)]
struct Seen<'f> {
    /// The lowest `order` that would do, and who has it.
    well: Option<(i64, Marks)>,
    /// The one to be probed with the lowest `order`.
    probe: Option<Candidate<'f>>,
    full: Option<(Limit, Option<Moment>)>,
    cooling: Option<Option<Moment>>,
    over_budget: bool,
    lack: Lack,
    has_orders: bool,
}

impl Seen<'_> {
    fn well(&mut self, member: usize, order: i64) {
        let (lowest, marks) = self.well.get_or_insert((order, Marks::default()));
        self.has_orders |= order != *lowest;
        if order < *lowest {
            (*lowest, *marks) = (order, Marks::default());
        }
        if order == *lowest {
            marks.set(member);
        }
    }

    fn full(&mut self, limit: Limit, until: Option<Moment>) {
        let known = self.full.and_then(|(_, known)| known);
        self.full = Some((limit, soonest(known, until)));
    }

    fn unfit(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::CoolingDown(until) => {
                self.cooling = Some(soonest(self.cooling.flatten(), Some(until)));
            }
            Verdict::OverBudget => self.over_budget = true,
            Verdict::Probing => self.cooling = Some(self.cooling.flatten()),
            Verdict::Tags => self.lack = Lack::Tags,
            Verdict::Region => self.lack = Lack::Region,
            Verdict::ContextWindow => self.lack = Lack::ContextWindow,
            Verdict::Chosen
            | Verdict::NotDrawn
            | Verdict::HigherOrder
            | Verdict::Tried
            | Verdict::Refused
            | Verdict::Full(_)
            | Verdict::Disabled
            | Verdict::Team
            | Verdict::NotPinned
            | Verdict::Excluded => {}
        }
    }
}

fn soonest(a: Option<Moment>, b: Option<Moment>) -> Option<Moment> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Looks at every member, notes what it found, and tells which to choose from.
pub(crate) fn survey<'f>(
    screen: &Screen<'f, '_>,
    group: &'f Group,
    among: Among,
    considered: &mut Vec<Considered>,
) -> Result<Survey<'f>, Nothing> {
    considered.clear();
    considered.reserve(group.members.len().min(MAX_CONSIDERED));
    let lack = Lack::Permission;
    let mut seen = Seen {
        well: None,
        probe: None,
        full: None,
        cooling: None,
        over_budget: false,
        lack,
        has_orders: false,
    };
    for (member, candidate) in screen.fleet.members(group).enumerate() {
        let order = candidate.planned.order;
        let verdict = match screen.fit(candidate.index, candidate.planned, candidate.live) {
            Fit::Now | Fit::AsProbe if among.above.is_some_and(|above| order <= above) => Verdict::Tried,
            Fit::Now => {
                seen.well(member, order);
                Verdict::NotDrawn
            }
            Fit::AsProbe if among.no_probes => Verdict::Probing,
            Fit::AsProbe => {
                if seen.probe.is_none_or(|probe| order < probe.planned.order) {
                    seen.probe = Some(candidate);
                }
                Verdict::NotDrawn
            }
            Fit::Full(limit, until) => {
                seen.full(limit, until);
                Verdict::Full(limit)
            }
            Fit::No(verdict) => {
                seen.unfit(verdict);
                verdict
            }
        };
        if considered.len() < MAX_CONSIDERED {
            considered.push(Considered { deployment: candidate.index, verdict });
        }
    }
    let survey = match (seen.well, seen.probe) {
        (Some((order, _)), Some(probe)) if among.probes_first && probe.planned.order <= order => {
            Survey::Probe(probe)
        }
        (Some((order, marks)), _) => Survey::Choice { order, marks },
        (None, Some(probe)) => Survey::Probe(probe),
        (None, None) => {
            return Err(match (seen.full, seen.cooling) {
                (Some((limit, until)), _) => Nothing::Full { limit, until },
                (None, Some(until)) => Nothing::Cooling { until },
                (None, None) if seen.over_budget => Nothing::OverBudget,
                (None, None) => Nothing::Unfit(seen.lack),
            });
        }
    };
    if seen.has_orders || matches!(survey, Survey::Probe(_)) {
        note_orders(screen, &survey, considered);
    }
    Ok(survey)
}

/// Tells those that were not drawn because of their `order` from those that had bad luck.
fn note_orders(screen: &Screen<'_, '_>, survey: &Survey<'_>, considered: &mut [Considered]) {
    let lowest = match survey {
        Survey::Probe(probe) => probe.planned.order,
        Survey::Choice { order, .. } => *order,
    };
    for considered in considered.iter_mut().filter(|considered| considered.verdict == Verdict::NotDrawn) {
        let planned = screen.fleet.plan().deployment(considered.deployment);
        if planned.is_some_and(|planned| planned.order > lowest) {
            considered.verdict = Verdict::HigherOrder;
        }
    }
}

/// One of those that the survey found.
pub(crate) fn draw<'f>(
    screen: &Screen<'f, '_>,
    survey: &Survey<'f>,
    preferred: Option<DeploymentIndex>,
    circumstances: &Circumstances<'f>,
    rng: Rng<'_>,
) -> Option<Candidate<'f>> {
    let (order, marks) = match survey {
        Survey::Probe(probe) => return Some(*probe),
        Survey::Choice { order, marks } => (*order, *marks),
    };
    let looks_well = |candidate: &Candidate<'_>| {
        candidate.planned.order == order
            && screen.fit(candidate.index, candidate.planned, candidate.live) == Fit::Now
    };
    let members = screen.fleet.members(circumstances.group).enumerate();
    let candidates = members
        .filter(move |(member, candidate)| marks.get(*member).unwrap_or_else(|| looks_well(candidate)))
        .map(|(_, candidate)| candidate);
    let is_preferred = |candidate: &Candidate<'_>| Some(candidate.index) == preferred;
    if preferred.is_some()
        && let Some(preferred) = candidates.clone().find(is_preferred)
    {
        return Some(preferred);
    }
    strategy::choose(candidates, circumstances, rng)
}
