//! `rpm`, `tpm` and `max_parallel_requests`: respected before a call is made.

use crate::Moment;
use crate::live::Live;
use crate::settings::DeploymentSettings;

/// Which limit leaves no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `max_parallel_requests`.
    Parallel,
    /// `rpm`.
    Requests,
    /// `tpm`.
    Tokens,
}

impl Limit {
    /// The setting's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Parallel => "max_parallel_requests",
            Self::Requests => "rpm",
            Self::Tokens => "tpm",
        }
    }
}

/// The limit that a call of this size would break, and when there may be room again.
pub(crate) fn broken(
    limits: &DeploymentSettings,
    live: &Live,
    tokens: u64,
    now: Moment,
) -> Option<(Limit, Option<Moment>)> {
    if limits.max_parallel_requests.is_some_and(|most| live.in_flight() >= most) {
        return Some((Limit::Parallel, None));
    }
    if limits.rpm.is_none() && limits.tpm.is_none() {
        return None;
    }
    let mut books = live.books();
    if limits.rpm.is_some_and(|rpm| books.requests.sum(now) >= rpm) {
        return Some((Limit::Requests, Some(books.requests.next_change())));
    }
    if limits.tpm.is_some_and(|tpm| books.tokens.sum(now).saturating_add(tokens) > tpm) {
        return Some((Limit::Tokens, Some(books.tokens.next_change())));
    }
    None
}

/// Takes room for a call; `false` if another request was quicker.
pub(crate) fn reserve(limits: &DeploymentSettings, live: &Live, tokens: u64, now: Moment) -> bool {
    if !live.enter(limits.max_parallel_requests) {
        return false;
    }
    let mut books = live.books();
    let has_requests = limits.rpm.is_none_or(|rpm| books.requests.sum(now) < rpm);
    let has_tokens = limits.tpm.is_none_or(|tpm| books.tokens.sum(now).saturating_add(tokens) <= tpm);
    if has_requests && has_tokens {
        books.spend(1, tokens, now);
        return true;
    }
    drop(books);
    live.leave();
    false
}
