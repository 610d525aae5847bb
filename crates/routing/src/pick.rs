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
    Cooling { until: Option<Moment> },
    Full { limit: Limit, until: Option<Moment> },
    Unfit(Lack),
    Budget,
}

/// What a look at all members found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Survey {
    /// The `order` to choose from.
    pub(crate) order: i64,
    /// Choose among those to be probed.
    pub(crate) probe: bool,
}

/// Looks at every member, notes what it found, and tells which to choose from.
pub(crate) fn survey(
    screen: &Screen<'_, '_>,
    group: &Group,
    among: Among,
    considered: &mut Vec<Considered>,
) -> Result<Survey, Nothing> {
    considered.clear();
    let (mut well, mut probes) = (None::<i64>, None::<i64>);
    let (mut full, mut cooling) = (None::<(Limit, Option<Moment>)>, None::<Option<Moment>>);
    let mut lack = Lack::Permission;
    let lower = |order: &mut Option<i64>, new: i64| *order = Some(order.map_or(new, |old| old.min(new)));
    let soonest = |a: Option<Moment>, b: Option<Moment>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    for candidate in screen.fleet.members(group) {
        let order = candidate.planned.order;
        let verdict = match screen.fit(candidate.index, candidate.planned, candidate.live) {
            Fit::Now | Fit::AsProbe if among.above.is_some_and(|above| order <= above) => Verdict::Tried,
            Fit::Now => {
                lower(&mut well, order);
                Verdict::NotDrawn
            }
            Fit::AsProbe if among.no_probes => Verdict::Probing,
            Fit::AsProbe => {
                lower(&mut probes, order);
                Verdict::NotDrawn
            }
            Fit::Full(limit, until) => {
                let known = full.map_or(until, |(_, known)| soonest(known, until));
                full = Some((limit, known));
                Verdict::Full(limit)
            }
            Fit::No(verdict) => {
                match verdict {
                    Verdict::CoolingDown(until) => {
                        cooling = Some(soonest(cooling.flatten(), Some(until)));
                    }
                    Verdict::Probing => cooling = Some(cooling.flatten()),
                    Verdict::Tags => lack = Lack::Tags,
                    Verdict::Region => lack = Lack::Region,
                    Verdict::ContextWindow => lack = Lack::ContextWindow,
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
                verdict
            }
        };
        if considered.len() < MAX_CONSIDERED {
            considered.push(Considered { deployment: candidate.index, verdict });
        }
    }
    let survey = match (well, probes) {
        (Some(well), Some(probes)) if among.probes_first && probes <= well => {
            Survey { order: probes, probe: true }
        }
        (Some(order), _) => Survey { order, probe: false },
        (None, Some(order)) => Survey { order, probe: true },
        (None, None) => {
            return Err(match (full, cooling) {
                (Some((limit, until)), _) => Nothing::Full { limit, until },
                (None, Some(until)) => Nothing::Cooling { until },
                (None, None) => Nothing::Unfit(lack),
            });
        }
    };
    for considered in considered.iter_mut().filter(|considered| considered.verdict == Verdict::NotDrawn) {
        let planned = screen.fleet.plan().deployment(considered.deployment);
        if planned.is_some_and(|planned| planned.order > survey.order) {
            considered.verdict = Verdict::HigherOrder;
        }
    }
    Ok(survey)
}

/// One of those that the survey found; `None` if they are gone meanwhile.
pub(crate) fn draw<'f>(
    screen: &Screen<'f, '_>,
    survey: &Survey,
    preferred: Option<DeploymentIndex>,
    circumstances: &Circumstances<'f>,
    among: Among,
    rng: Rng<'_>,
) -> Option<Candidate<'f>> {
    let wanted = if survey.probe { Fit::AsProbe } else { Fit::Now };
    let candidates = screen.fleet.members(circumstances.group).filter(move |candidate| {
        candidate.planned.order == survey.order
            && among.above.is_none_or(|above| candidate.planned.order > above)
            && screen.fit(candidate.index, candidate.planned, candidate.live) == wanted
    });
    if survey.probe {
        return candidates.clone().next();
    }
    let is_preferred = |candidate: &Candidate<'_>| Some(candidate.index) == preferred;
    if preferred.is_some()
        && let Some(preferred) = candidates.clone().find(is_preferred)
    {
        return Some(preferred);
    }
    strategy::choose(candidates, circumstances, rng)
}
