//! What routing finds wrong with the settings, told at the places where they are written.

use routing::{Plan, Problem, ProblemKind as Wrong, Settings};

use super::{Place, Places, Role, names};
use crate::config::diagnose::{Diagnosis, Finding, ProblemKind, nearest};
use crate::config::raw::Span;
use crate::config::resolved::DeploymentConfig;

/// Makes the plan once and reports what is wrong with it; what has no place of its own is reported at `start`.
///
/// LiteLLM starts with fallbacks that lead nowhere or in a circle, so these are warnings; what only Tollway has is an
/// error.
pub(crate) fn report(
    settings: &Settings,
    deployments: &[DeploymentConfig],
    mut places: Places,
    start: &Span,
    diagnosis: &mut Diagnosis,
) {
    let members = deployments.iter().map(|deployment| deployment.routing.clone()).collect();
    let (plan, problems) = Plan::new(Settings { deployments: members, ..settings.clone() });
    for problem in problems {
        let (span, finding) = match problem.kind {
            Wrong::UnknownGroup => {
                let Some(place) = places.take(problem.setting, &problem.of, &problem.value) else { continue };
                if place.role == Role::Entry && has_provider(&plan, deployments, &problem.value) {
                    continue;
                }
                let finding = unknown(&place);
                let guess = nearest(
                    &problem.value,
                    names(deployments, settings).filter(|name| *name != problem.value),
                );
                let help = match guess {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "add a deployment with this `model_name`, or take the name out".to_owned(),
                };
                (place.span, finding.help(help))
            }
            Wrong::Cycle => {
                let back = places
                    .item(problem.setting, &problem.value, &problem.of)
                    .or_else(|| places.entry(problem.setting, &problem.of));
                let span = back.map_or(start, |place| &place.span).clone();
                (span, Finding::warning(ProblemKind::Cycle, problem.message))
            }
            Wrong::BadNumber | Wrong::DuplicateId => {
                let place = places.take(problem.setting, &problem.of, &problem.value);
                let span = place.map_or_else(|| start.clone(), |place| place.span);
                (span, bad_value(problem))
            }
        };
        diagnosis.report(&span, finding);
    }
}

/// Whether the name is that of a group without its provider: LiteLLM looks fallbacks up under both.
fn has_provider(plan: &Plan, deployments: &[DeploymentConfig], name: &str) -> bool {
    let providers = deployments.iter().filter_map(|deployment| deployment.model_name.split_once('/'));
    providers.into_iter().any(|(provider, _)| plan.group_of(&format!("{provider}/{name}")).is_some())
}

fn unknown(place: &Place) -> Finding {
    let Place { key, of, value, role, .. } = place;
    let lost = "which no `model_name` is";
    match (*key, role) {
        ("model_group_alias", _) => Finding::warning(
            ProblemKind::UnknownName,
            format!("the alias `{of}` stands for `{value}`, {lost}"),
        ),
        ("canary" | "mirror", _) => {
            Finding::error(ProblemKind::UnknownName, format!("`{key}` names `{value}`, {lost}"))
        }
        ("default_fallbacks", _) => Finding::warning(
            ProblemKind::UnknownName,
            format!("`{key}` names `{value}`, {lost}; it is passed over"),
        ),
        (_, Role::Entry) => Finding::warning(
            ProblemKind::UnknownName,
            format!("`{key}` has an entry for `{value}`, {lost}; it is not used"),
        ),
        (_, Role::Item) => Finding::warning(
            ProblemKind::UnknownName,
            format!("`{key}` of `{of}` names `{value}`, {lost}; it is passed over"),
        ),
    }
}

fn bad_value(problem: Problem) -> Finding {
    let Problem { setting, of, message, .. } = problem;
    let whose = if of.is_empty() { String::new() } else { format!(" of `{of}`") };
    Finding::error(ProblemKind::WrongValue, format!("`{setting}`{whose}: {message}"))
}
