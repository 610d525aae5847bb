//! Nobody gives what they do not have.

use catalog::NanoUsd;
use ledger::rules::access::{AccessGroups, ModelList, RouteList};
use ledger::rules::budget::Allowance;
use ledger::rules::limit::Limits;

use crate::problem::Problem;

/// What somebody has, or is to be given.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    pub models: &'a ModelList,
    pub allowance: &'a Allowance,
    /// What the giver's key may call; keys only.
    pub routes: Option<&'a RouteList>,
}

/// Whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Giver<'a> {
    /// For the message: ``team `red` ``.
    pub name: &'a str,
    pub has: Grant<'a>,
    /// What is given is counted on the giver too, so that what is left open is bounded there: a key of a team. A key
    /// that makes another key is not.
    pub bounds: bool,
}

impl Giver<'_> {
    /// Whether this giver can give this.
    ///
    /// # Errors
    /// The first field with more than the giver has.
    pub fn can_give(&self, wanted: &Grant<'_>, groups: &AccessGroups) -> Result<(), Problem> {
        let has = &self.has;
        let left_open = self.bounds && wanted.models.0.is_empty();
        let all_of_team = |entry: &String| entry == ledger::rules::access::ALL_TEAM_MODELS;
        let of_team = self.bounds && !wanted.models.0.is_empty() && wanted.models.0.iter().all(all_of_team);
        let own = ModelList(wanted.models.0.iter().filter(|entry| !all_of_team(entry)).cloned().collect());
        let within = if self.bounds {
            own.is_within(has.models, groups)
        } else {
            wanted.models.is_within(has.models, groups)
        };
        if !left_open && !of_team && !within {
            return Err(self.too_much("models", &shown(&wanted.models.0), &shown(&has.models.0)));
        }
        self.budget(wanted.allowance)?;
        self.limits(&wanted.allowance.limits)?;
        match (has.routes, wanted.routes) {
            (Some(own), Some(wanted)) if !routes_within(wanted, own) => {
                Err(self.too_much("allowed_routes", &shown(&wanted.0), &shown(&own.0)))
            }
            _ => Ok(()),
        }
    }

    fn budget(&self, wanted: &Allowance) -> Result<(), Problem> {
        let Some(most) = self.has.allowance.budget.max else { return Ok(()) };
        let Some(max) = wanted.budget.max else {
            return if self.bounds {
                Ok(())
            } else {
                Err(self.too_much("max_budget", "none", &most.to_string()))
            };
        };
        if max > most {
            return Err(self.too_much("max_budget", &max.to_string(), &most.to_string()));
        }
        // What is spent within the giver's own window cannot come back earlier than there.
        if !self.bounds
            && wanted.budget.period.is_some()
            && wanted.budget.period != self.has.allowance.budget.period
        {
            let shown = |period: Option<ledger::rules::period::Period>| {
                period.map_or_else(|| "for good".to_owned(), |period| period.to_string())
            };
            return Err(self.too_much(
                "budget_duration",
                &shown(wanted.budget.period),
                &shown(self.has.allowance.budget.period),
            ));
        }
        Ok(())
    }

    fn limits(&self, wanted: &Limits) -> Result<(), Problem> {
        let has = &self.has.allowance.limits;
        let parallel = |limits: &Limits| limits.max_parallel_requests.map(u64::from);
        for (name, wanted, most) in [
            ("tpm_limit", wanted.tpm, has.tpm),
            ("rpm_limit", wanted.rpm, has.rpm),
            ("max_parallel_requests", parallel(wanted), parallel(has)),
        ] {
            let Some(most) = most else { continue };
            let fits = wanted.map_or(self.bounds, |wanted| wanted <= most);
            if !fits {
                let wanted = wanted.map_or_else(|| "none".to_owned(), |wanted| wanted.to_string());
                return Err(self.too_much(name, &wanted, &most.to_string()));
            }
        }
        Ok(())
    }

    fn too_much(&self, field: &str, wanted: &str, has: &str) -> Problem {
        let name = self.name;
        Problem::forbidden(
            Some(field),
            format!("`{field}` is {wanted}, but {name} has {has}: nobody gives what they do not have"),
        )
    }
}

fn routes_within(wanted: &RouteList, own: &RouteList) -> bool {
    own.0.is_empty()
        || (!wanted.0.is_empty()
            && wanted
                .0
                .iter()
                .all(|entry| own.0.contains(entry) || (!entry.ends_with('*') && own.allows(entry, &[]))))
}

fn shown(list: &[String]) -> String {
    if list.is_empty() { "all".to_owned() } else { format!("`{}`", list.join("`, `")) }
}

/// What a key that makes a key without saying more passes on: its own bounds.
pub fn inherit(wanted: &mut Allowance, models: &mut ModelList, routes: &mut RouteList, has: &Grant<'_>) {
    let own = has.allowance;
    if wanted.budget.max.is_none() && own.budget.max.is_some() {
        wanted.budget.max = own.budget.max;
        wanted.budget.period = own.budget.period;
    }
    wanted.limits = wanted.limits.or(own.limits);
    if models.0.is_empty() {
        models.0.clone_from(&has.models.0);
    }
    if let Some(own) = has.routes
        && routes.0.is_empty()
    {
        routes.0.clone_from(&own.0);
    }
}

/// The most that `upperbound_key_generate_params` allows for an amount.
///
/// # Errors
/// LiteLLM's words for more than that.
pub fn check_upper_bound(field: &str, wanted: NanoUsd, most: NanoUsd) -> Result<(), Problem> {
    if wanted <= most {
        return Ok(());
    }
    Err(over(field, &wanted.to_string(), &most.to_string()))
}

/// More than `upperbound_key_generate_params` allows.
#[must_use]
pub fn over(field: &str, wanted: &str, most: &str) -> Problem {
    let message = format!("{field} is over max limit set in config - user_value={wanted}; max_value={most}");
    Problem::field(field, message)
}

#[cfg(test)]
mod tests {
    use ledger::rules::budget::Budget;
    use ledger::rules::period::Period;

    use super::*;

    fn models(names: &[&str]) -> ModelList {
        ModelList(names.iter().map(|&name| name.to_owned()).collect())
    }

    fn allowance(max: Option<i64>, period: Option<&str>, rpm: Option<u64>) -> Allowance {
        Allowance {
            budget: Budget {
                max: max.map(NanoUsd),
                period: period.map(|text| Period::parse(text).unwrap()),
                ..Budget::default()
            },
            limits: Limits { rpm, ..Limits::default() },
            ..Allowance::default()
        }
    }

    fn refused(
        bounds: bool,
        has: (&ModelList, &Allowance),
        wanted: (&ModelList, &Allowance),
    ) -> Option<String> {
        let has = Grant { models: has.0, allowance: has.1, routes: None };
        let wanted = Grant { models: wanted.0, allowance: wanted.1, routes: None };
        let giver = Giver { name: "the giver", has, bounds };
        giver.can_give(&wanted, &AccessGroups::default()).err().and_then(|problem| problem.param)
    }

    #[test]
    fn nobody_gives_what_they_do_not_have() {
        let (all, one, two) = (models(&[]), models(&["a"]), models(&["a", "b"]));
        let (free, ten) = (allowance(None, None, None), allowance(Some(10), Some("1d"), Some(5)));
        for (bounds, has, wanted, field) in [
            (true, (&all, &free), (&all, &free), None),
            (true, (&one, &free), (&two, &free), Some("models")),
            (true, (&one, &free), (&all, &free), None),
            (false, (&one, &free), (&all, &free), Some("models")),
            (true, (&one, &free), (&models(&["all-team-models"]), &free), None),
            (true, (&one, &free), (&models(&["all-team-models", "b"]), &free), Some("models")),
            (true, (&one, &free), (&models(&["all-proxy-models"]), &free), Some("models")),
            (true, (&all, &ten), (&all, &free), None),
            (false, (&all, &ten), (&all, &free), Some("max_budget")),
            (true, (&all, &ten), (&all, &allowance(Some(11), None, None)), Some("max_budget")),
            (true, (&all, &ten), (&all, &allowance(Some(10), None, Some(6))), Some("rpm_limit")),
            (false, (&all, &ten), (&all, &allowance(Some(10), Some("1h"), Some(5))), Some("budget_duration")),
            (false, (&all, &ten), (&all, &allowance(Some(10), Some("1d"), Some(5))), None),
            (false, (&all, &ten), (&all, &allowance(Some(10), None, Some(5))), None),
        ] {
            assert_eq!(refused(bounds, has, wanted).as_deref(), field, "{has:?} {wanted:?}");
        }
    }

    #[test]
    fn what_is_left_open_is_inherited_and_then_fits() {
        let (own_models, own) = (models(&["a"]), allowance(Some(10), Some("1d"), Some(5)));
        let own_routes = RouteList(vec!["llm_api_routes".to_owned()]);
        let has = Grant { models: &own_models, allowance: &own, routes: Some(&own_routes) };
        let (mut wanted, mut models, mut routes) =
            (Allowance::default(), ModelList::default(), RouteList::default());
        inherit(&mut wanted, &mut models, &mut routes, &has);
        let given = Grant { models: &models, allowance: &wanted, routes: Some(&routes) };
        let giver = Giver { name: "the giver", has, bounds: false };
        assert_eq!(giver.can_give(&given, &AccessGroups::default()), Ok(()));
    }
}
