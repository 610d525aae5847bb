//! Leaving a sick deployment alone, and finding out whether it is well again.
//!
//! ```text
//!           too many failures                    time is up
//!  closed ─────────────────────▶ open (until) ─────────────▶ half-open: the next request is the probe
//!     ▲                             ▲                                 │
//!     │                             └──────── the probe failed ───────┤
//!     └────────────────────────── the probe was answered ─────────────┘
//! ```
//!
//! While a probe is under way nobody else is sent there. A probe of which nothing is known (the client left) leaves
//! the deployment half-open, and the next request is a probe again.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dialects::ErrorClass;

use crate::Moment;
use crate::outcome::Failure;
use crate::settings::{CooldownSettings, DeploymentSettings, FailureClass};
use crate::share::Health;

/// The longest cooldown that a provider's `retry-after` brings about: a wrong header must not take a deployment out for
/// good, and where it is right, asking again costs one probe.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// LiteLLM's `DEFAULT_FAILURE_THRESHOLD_MINIMUM_REQUESTS`.
const MIN_CALLS: u64 = 5;

/// Why a deployment is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CooldownReason {
    /// One failure of a kind that does not pass by itself, or a rate limit.
    AtOnce(ErrorClass),
    /// More than half of the calls of the last minute failed.
    FailureRate {
        /// Failed calls.
        failed: u64,
        /// All calls.
        calls: u64,
    },
    /// More failures in a minute than `allowed_fails` or its policy allow.
    AllowedFails {
        /// The last one.
        class: ErrorClass,
        /// How many there were.
        failed: u64,
    },
    /// The probe of a deployment that was left alone before failed.
    Probe(ErrorClass),
    /// Said by a health check.
    HealthCheck,
    /// Said by another instance, with its reason in words.
    Elsewhere(Arc<str>),
}

impl fmt::Display for CooldownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce(class) => write!(f, "{}", class.exception_name()),
            Self::FailureRate { failed, calls } => {
                write!(f, "{failed} of {calls} calls failed in the last minute")
            }
            Self::AllowedFails { class, failed } => {
                write!(f, "{failed} failures in the last minute, the last a {}", class.exception_name())
            }
            Self::Probe(class) => write!(f, "the probe failed: {}", class.exception_name()),
            Self::HealthCheck => f.write_str("the health check failed"),
            Self::Elsewhere(reason) => write!(f, "seen by another instance: {reason}"),
        }
    }
}

/// Where a deployment is in the picture above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It gets its share of requests.
    Closed,
    /// It gets none before this moment.
    Open(Moment),
    /// The next request is a probe.
    ProbeDue,
    /// A probe is under way.
    Probing,
}

/// The state machine of one deployment.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// Milliseconds of the moment at which the cooldown ends; 0: closed.
    until: AtomicU64,
    /// The `until` that the other instances know of, because they were told it or told it themselves.
    told: AtomicU64,
    probing: AtomicBool,
    reason: Mutex<Option<CooldownReason>>,
}

impl Breaker {
    pub(crate) fn phase(&self, now: Moment) -> Phase {
        match self.until.load(Ordering::Acquire) {
            0 => Phase::Closed,
            until if now.millis() < until => Phase::Open(Moment::of_millis(until)),
            _ if self.probing.load(Ordering::Acquire) => Phase::Probing,
            _ => Phase::ProbeDue,
        }
    }

    /// Whether the caller is the one that may probe.
    pub(crate) fn take_probe(&self, now: Moment) -> bool {
        if self.probing.swap(true, Ordering::AcqRel) {
            return false;
        }
        // Another probe may have ended between the look at the phase and now.
        let until = self.until.load(Ordering::Acquire);
        let due = until != 0 && now.millis() >= until;
        if !due {
            self.probing.store(false, Ordering::Release);
        }
        due
    }

    pub(crate) fn give_probe_back(&self) {
        self.probing.store(false, Ordering::Release);
    }

    pub(crate) fn close(&self) {
        self.until.store(0, Ordering::Release);
        self.probing.store(false, Ordering::Release);
    }

    /// Leaves the deployment alone until then, or longer if that was said before.
    pub(crate) fn open(&self, until: Moment, reason: CooldownReason) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        self.until.fetch_max(until.millis_up().max(1), Ordering::AcqRel);
    }

    /// Why it was opened last.
    pub(crate) fn reason(&self) -> Option<CooldownReason> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the other instances have not been told yet; it counts as told from now on.
    pub(crate) fn take_news(&self, now: Moment) -> Option<Health> {
        let until = self.until.load(Ordering::Acquire);
        if self.told.swap(until, Ordering::AcqRel) == until {
            return None;
        }
        if until == 0 {
            return Some(Health::Well);
        }
        let reason = self.reason()?;
        (until > now.millis()).then(|| Health::Sick { until: Moment::of_millis(until), reason })
    }

    /// As [`open`](Self::open), at another instance's word.
    pub(crate) fn open_as_told(&self, until: Moment, reason: CooldownReason) {
        self.told.fetch_max(until.millis_up().max(1), Ordering::AcqRel);
        self.open(until, reason);
    }

    /// Whether what this instance found out itself is known to the others. If not, their word is the older one.
    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire) == self.until.load(Ordering::Acquire)
    }

    /// What was told did not arrive.
    pub(crate) fn forget_told(&self) {
        self.told.store(0, Ordering::Release);
    }

    /// As [`close`](Self::close), at another instance's word.
    pub(crate) fn close_as_told(&self) {
        self.told.store(0, Ordering::Release);
        self.close();
    }
}

/// What is known of a deployment when one more of its calls has failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// Calls that ended in the last minute.
    pub(crate) calls: u64,
    /// Of these, the failed ones that say something about the deployment.
    pub(crate) failed: u64,
    /// Of these, the ones of the same [`FailureClass`].
    pub(crate) failed_alike: u64,
    /// Another deployment of the group is available.
    pub(crate) has_others: bool,
    /// The group has fallbacks.
    pub(crate) has_fallbacks: bool,
    /// The group's name is a pattern: the caller chose the model's name.
    pub(crate) is_pattern: bool,
}

/// Whether a failure of this class says something about the deployment rather than about the request.
pub(crate) fn is_sickness(class: ErrorClass, is_pattern: bool) -> bool {
    match class {
        // Behind a pattern, the caller made up the name that was not found.
        ErrorClass::NotFound => !is_pattern,
        ErrorClass::Authentication
        | ErrorClass::PaymentRequired
        | ErrorClass::Timeout
        | ErrorClass::RateLimited
        | ErrorClass::Internal
        | ErrorClass::BadGateway
        | ErrorClass::Unavailable
        | ErrorClass::Overloaded
        | ErrorClass::Connection => true,
        ErrorClass::BadRequest
        | ErrorClass::UnsupportedParameter
        | ErrorClass::ContextWindowExceeded
        | ErrorClass::ContentPolicy
        | ErrorClass::PermissionDenied
        | ErrorClass::Conflict
        | ErrorClass::PayloadTooLarge
        | ErrorClass::Unprocessable => false,
    }
}

/// Whether the deployment is to be left alone now, and why. LiteLLM's rules (docs.litellm.ai/docs/routing, "Cooldowns"):
/// 401, 404, 408 and 429 at once, else more than half of at least 5 calls in a minute; with `allowed_fails` or a policy
/// these counts alone. The last available deployment is spared: with fallbacks to go to it takes more than one failure,
/// without any it never cools down unless that is set.
pub(crate) fn diagnose(
    settings: &CooldownSettings,
    deployment: &DeploymentSettings,
    class: ErrorClass,
    record: &Record,
) -> Option<CooldownReason> {
    if settings.disabled || !is_sickness(class, record.is_pattern) {
        return None;
    }
    let Record { calls, failed, .. } = *record;
    let is_spared = !record.has_others && !settings.last;
    if is_spared && !record.has_fallbacks {
        return None;
    }
    if let Some((allowed, failed)) = allowed_fails(settings, deployment, class, record) {
        return (failed > u64::from(allowed)).then_some(CooldownReason::AllowedFails { class, failed });
    }
    let stays = matches!(
        class,
        ErrorClass::Authentication
            | ErrorClass::PaymentRequired
            | ErrorClass::NotFound
            | ErrorClass::Timeout
            | ErrorClass::RateLimited
    );
    if stays && !is_spared {
        return Some(CooldownReason::AtOnce(class));
    }
    let is_rate = calls >= MIN_CALLS && failed.saturating_mul(2) > calls;
    is_rate.then_some(CooldownReason::FailureRate { failed, calls })
}

/// The nearest number that is set for this failure, and the count to compare with it.
fn allowed_fails(
    settings: &CooldownSettings,
    deployment: &DeploymentSettings,
    class: ErrorClass,
    record: &Record,
) -> Option<(u32, u64)> {
    let class = FailureClass::of(class);
    let policies = [&deployment.allowed_fails_policy, &settings.policy];
    let own = |class: FailureClass| policies.iter().find_map(|policy| policy.get(class));
    if let Some(allowed) = own(class) {
        return Some((allowed, record.failed_alike));
    }
    let general = deployment.allowed_fails.or(settings.allowed_fails).or(own(FailureClass::Default));
    general.map(|allowed| (allowed, record.failed))
}

/// For how long. LiteLLM's order: the deployment's own time, the provider's wish, the router's time.
pub(crate) fn length(
    settings: &CooldownSettings,
    deployment: &DeploymentSettings,
    failure: &Failure,
) -> Duration {
    let wish = failure.retry_after.map(|wish| wish.min(MAX_RETRY_AFTER)).filter(|wish| !wish.is_zero());
    deployment.cooldown_time.or(wish).unwrap_or(settings.time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::PerClass;

    const AMONG_OTHERS: Record = Record {
        calls: 1,
        failed: 1,
        failed_alike: 1,
        has_others: true,
        has_fallbacks: false,
        is_pattern: false,
    };

    fn diagnosis(class: ErrorClass, record: Record) -> Option<CooldownReason> {
        diagnose(&CooldownSettings::default(), &DeploymentSettings::default(), class, &record)
    }

    #[test]
    fn what_does_not_pass_by_itself_cools_down_at_once() {
        for status in [401, 402, 404, 408, 429] {
            let class = ErrorClass::from_status(status);
            assert_eq!(diagnosis(class, AMONG_OTHERS), Some(CooldownReason::AtOnce(class)), "{status}");
        }
        for status in [400, 403, 409, 413, 422, 500, 503] {
            assert_eq!(diagnosis(ErrorClass::from_status(status), AMONG_OTHERS), None, "{status}");
        }
    }

    #[test]
    fn half_of_the_calls_may_fail() {
        let of = |failed, calls| Record { failed, calls, ..AMONG_OTHERS };
        assert_eq!(diagnosis(ErrorClass::Internal, of(5, 10)), None);
        assert_eq!(
            diagnosis(ErrorClass::Internal, of(6, 10)),
            Some(CooldownReason::FailureRate { failed: 6, calls: 10 })
        );
        assert_eq!(diagnosis(ErrorClass::Internal, of(4, 4)), None, "four calls say too little");
    }

    #[test]
    fn the_last_deployment_is_spared() {
        let last = Record { calls: 100, failed: 100, has_others: false, ..AMONG_OTHERS };
        assert_eq!(diagnosis(ErrorClass::Internal, last), None);
        assert_eq!(diagnosis(ErrorClass::RateLimited, last), None);
        let settings = CooldownSettings { last: true, ..CooldownSettings::default() };
        let deployment = DeploymentSettings::default();
        assert!(diagnose(&settings, &deployment, ErrorClass::RateLimited, &last).is_some());
    }

    #[test]
    fn the_last_deployment_with_fallbacks_cools_down_by_rate_alone() {
        let last = Record { has_others: false, has_fallbacks: true, ..AMONG_OTHERS };
        assert_eq!(diagnosis(ErrorClass::RateLimited, last), None);
        let often = Record { calls: 10, failed: 10, ..last };
        assert!(diagnosis(ErrorClass::RateLimited, often).is_some());
    }

    #[test]
    fn allowed_fails_replaces_the_other_rules() {
        let settings = CooldownSettings { allowed_fails: Some(2), ..CooldownSettings::default() };
        let diagnosis = |failed| {
            let record = Record { calls: failed, failed, ..AMONG_OTHERS };
            diagnose(&settings, &DeploymentSettings::default(), ErrorClass::RateLimited, &record)
        };
        assert_eq!(diagnosis(2), None);
        let reason = CooldownReason::AllowedFails { class: ErrorClass::RateLimited, failed: 3 };
        assert_eq!(diagnosis(3), Some(reason));
    }

    #[test]
    fn a_policy_counts_its_own_class() {
        let mut policy = PerClass::default();
        policy.set(FailureClass::Timeout, 1);
        let settings = CooldownSettings { policy, allowed_fails: Some(100), ..CooldownSettings::default() };
        let diagnosis = |class, failed_alike| {
            let record = Record { calls: 50, failed: 50, failed_alike, ..AMONG_OTHERS };
            diagnose(&settings, &DeploymentSettings::default(), class, &record).is_some()
        };
        assert!(diagnosis(ErrorClass::Timeout, 2));
        assert!(!diagnosis(ErrorClass::Timeout, 1));
        assert!(!diagnosis(ErrorClass::Internal, 50));
    }

    #[test]
    fn behind_a_pattern_an_unknown_name_is_the_callers() {
        let record = Record { is_pattern: true, ..AMONG_OTHERS };
        assert_eq!(diagnosis(ErrorClass::NotFound, record), None);
    }

    #[test]
    fn the_deployments_own_time_wins_over_the_providers_wish() {
        let settings = CooldownSettings::default();
        let failure = Failure::new(ErrorClass::RateLimited).with_retry_after(Some(Duration::from_secs(20)));
        let plain = DeploymentSettings::default();
        let own = DeploymentSettings { cooldown_time: Some(Duration::from_secs(1)), ..plain.clone() };
        assert_eq!(length(&settings, &plain, &Failure::new(ErrorClass::Internal)), settings.time);
        assert_eq!(length(&settings, &plain, &failure), Duration::from_secs(20));
        assert_eq!(length(&settings, &own, &failure), Duration::from_secs(1));
    }

    #[test]
    fn one_request_probes() {
        let breaker = Breaker::default();
        let at = |seconds| Moment::after_start(Duration::from_secs(seconds));
        breaker.open(at(5), CooldownReason::HealthCheck);
        assert_eq!(breaker.phase(at(4)), Phase::Open(at(5)));
        assert!(!breaker.take_probe(at(4)));
        assert_eq!(breaker.phase(at(5)), Phase::ProbeDue);
        assert!(breaker.take_probe(at(5)));
        assert!(!breaker.take_probe(at(5)));
        assert_eq!(breaker.phase(at(5)), Phase::Probing);
        breaker.give_probe_back();
        assert_eq!(breaker.phase(at(6)), Phase::ProbeDue);
        assert!(breaker.take_probe(at(6)));
        breaker.close();
        assert_eq!(breaker.phase(at(6)), Phase::Closed);
    }
}
