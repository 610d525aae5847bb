//! Whether a failure is tried again in the same group, how often, and after what wait.

use std::time::Duration;

use dialects::ErrorClass;

use crate::chance::{self, Rng};
use crate::plan::{Group, Plan, Planned};
use crate::request::Overrides;
use crate::settings::{FailureClass, PerClass};

/// Where another try of the same request can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Also where it failed.
    Anywhere,
    /// On another deployment alone.
    Elsewhere,
    /// On another deployment with a larger context window alone.
    LargerWindow,
    /// Nowhere in this group.
    Nowhere,
}

/// What is left to try after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) place: Place,
    /// Retries in this group, those made already included.
    pub(crate) retries: u32,
}

/// The longest wait for a provider's `retry-after`; LiteLLM's.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// LiteLLM's `INITIAL_RETRY_DELAY` and `MAX_RETRY_DELAY`.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// LiteLLM's rule with two changes: 402 and 404 are tried elsewhere too, for another deployment may have what this one
/// lacks, and so is an input that is too long, where the window is larger.
pub(crate) fn rule(
    plan: &Plan,
    group: &Group,
    failed: Option<&Planned>,
    overrides: &Overrides,
    class: ErrorClass,
) -> Rule {
    let place = match class {
        ErrorClass::Timeout
        | ErrorClass::Conflict
        | ErrorClass::RateLimited
        | ErrorClass::Internal
        | ErrorClass::BadGateway
        | ErrorClass::Unavailable
        | ErrorClass::Overloaded
        | ErrorClass::Connection => Place::Anywhere,
        ErrorClass::Authentication
        | ErrorClass::PermissionDenied
        | ErrorClass::PaymentRequired
        | ErrorClass::NotFound => Place::Elsewhere,
        ErrorClass::ContextWindowExceeded => Place::LargerWindow,
        ErrorClass::BadRequest
        | ErrorClass::UnsupportedParameter
        | ErrorClass::ContentPolicy
        | ErrorClass::PayloadTooLarge
        | ErrorClass::Unprocessable => Place::Nowhere,
    };
    let number = || {
        let deployment = failed.and_then(|planned| planned.settings.num_retries);
        overrides.num_retries.or(deployment).unwrap_or(plan.retries.num_retries)
    };
    if place == Place::LargerWindow || overrides.num_retries == Some(0) {
        return Rule { place, retries: number() };
    }
    let of = |class: FailureClass| {
        let own: Option<&PerClass> = overrides.retry_policy.as_ref();
        let policies = own.into_iter().chain([&group.retry_policy, &plan.retries.policy]);
        policies.filter_map(|policy| policy.get(class)).next()
    };
    match (of(FailureClass::of(class)), of(FailureClass::Default)) {
        // Whoever names the class wants it retried.
        (Some(retries), _) if retries > 0 => Rule { place: Place::Anywhere, retries },
        (Some(retries), _) | (None, Some(retries)) => Rule { place, retries },
        (None, None) => Rule { place, retries: number() },
    }
}

/// How long to wait before the same deployment is asked for the `retry`-th time again (counted from 0): the provider's
/// wish and up to 0.75 s, else exponential with full jitter. `None`: longer than anybody should wait.
pub(crate) fn wait(
    shortest: Duration,
    retry: u32,
    retry_after: Option<Duration>,
    rng: Rng<'_>,
) -> Option<Duration> {
    if let Some(wish) = retry_after.filter(|wish| !wish.is_zero()) {
        let jitter = Duration::from_millis(750).mul_f64(chance::fraction(rng));
        return (wish <= MAX_RETRY_AFTER).then(|| wish.max(shortest) + jitter);
    }
    let ceiling = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(retry)).min(LONGEST_WAIT);
    Some(ceiling.mul_f64(chance::fraction(rng)).max(shortest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{DeploymentSettings, Settings};

    fn of(settings: Settings, overrides: &Overrides, status: u16) -> Rule {
        let deployments = vec![DeploymentSettings { model_name: "m".into(), ..Default::default() }];
        let (plan, _) = Plan::new(Settings { deployments, ..settings });
        let group = plan.resolve("m").and_then(|group| plan.group(group)).unwrap();
        rule(&plan, group, plan.deployments().first(), overrides, ErrorClass::from_status(status))
    }

    #[test]
    fn what_would_fail_again_is_not_tried_in_the_same_place() {
        let place = |status| of(Settings::default(), &Overrides::default(), status).place;
        for status in [408, 409, 429, 500, 502, 503, 504, 529] {
            assert_eq!(place(status), Place::Anywhere, "{status}");
        }
        for status in [401, 402, 403, 404] {
            assert_eq!(place(status), Place::Elsewhere, "{status}");
        }
        for status in [400, 413, 422] {
            assert_eq!(place(status), Place::Nowhere, "{status}");
        }
    }

    #[test]
    fn the_nearest_number_counts() {
        assert_eq!(of(Settings::default(), &Overrides::default(), 500).retries, 2);
        let own = Overrides { num_retries: Some(7), ..Overrides::default() };
        assert_eq!(of(Settings::default(), &own, 500).retries, 7);
    }

    #[test]
    fn a_policy_has_its_class_retried_whatever_it_is() {
        let mut settings = Settings::default();
        settings.retries.policy.set(FailureClass::BadRequest, 3);
        assert_eq!(
            of(settings.clone(), &Overrides::default(), 400),
            Rule { place: Place::Anywhere, retries: 3 }
        );
        let none = Overrides { num_retries: Some(0), ..Overrides::default() };
        assert_eq!(of(settings, &none, 400), Rule { place: Place::Nowhere, retries: 0 });
    }

    #[test]
    fn waits_grow_to_a_bound() {
        let most = |retry| wait(Duration::ZERO, retry, None, &mut || u64::MAX).unwrap();
        assert!(most(0) > Duration::from_millis(499) && most(0) <= Duration::from_millis(500));
        assert!(most(2) > Duration::from_millis(1999));
        assert!(most(50) <= LONGEST_WAIT);
        let least = wait(Duration::from_secs(1), 0, None, &mut || 0);
        assert_eq!(least, Some(Duration::from_secs(1)), "`retry_after` of the settings");
    }

    #[test]
    fn the_providers_wish_is_granted_up_to_a_minute() {
        let after = |seconds| wait(Duration::ZERO, 0, Some(Duration::from_secs(seconds)), &mut || 0);
        assert_eq!(after(7), Some(Duration::from_secs(7)));
        assert_eq!(after(61), None);
    }
}
