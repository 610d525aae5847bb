//! How the caller's key stands, in LiteLLM's headers: what it has spent and may spend, and how much of its limits is
//! left.

use std::cell::RefCell;
use std::collections::HashMap;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

use crate::books::{self, booking};
use crate::exchange::Exchange;
use crate::pipeline::Admission;

const SPEND: HeaderName = HeaderName::from_static("x-litellm-key-spend");
const MAX_BUDGET: HeaderName = HeaderName::from_static("x-litellm-key-max-budget");
const TPM_LIMIT: HeaderName = HeaderName::from_static("x-litellm-key-tpm-limit");
const RPM_LIMIT: HeaderName = HeaderName::from_static("x-litellm-key-rpm-limit");

/// Spend includes this call, as far as its cost is known when the head of the answer goes out.
pub(super) fn put(headers: &mut HeaderMap, admission: &Admission, exchange: &Exchange) {
    if exchange.caller.identity.holder().is_none() {
        // The operator has no budget and no limits.
        return;
    }
    let now = books::now();
    if let Some(claim) = admission.holder_claim() {
        let terms = claim.terms();
        let spend = claim.standing(now).total.saturating_add(booking::actual(exchange).cost);
        super::put_usd(headers, SPEND, spend);
        if let Some(max) = terms.budgets.first().and_then(|budget| budget.max_at(now)) {
            super::put_usd(headers, MAX_BUDGET, max);
        }
        if let Some(tpm) = terms.limits.tpm {
            headers.insert(TPM_LIMIT, HeaderValue::from(tpm));
        }
        if let Some(rpm) = terms.limits.rpm {
            headers.insert(RPM_LIMIT, HeaderValue::from(rpm));
        }
    }
    for claim in admission.claims.iter() {
        let limits = &claim.terms().limits;
        if limits.rpm.is_none() && limits.tpm.is_none() && limits.max_parallel_requests.is_none() {
            continue;
        }
        let standing = claim.standing(now);
        let parallel = limits.max_parallel_requests.map(u64::from);
        let numbers = [
            (limits.rpm, standing.remaining_requests),
            (limits.tpm, standing.remaining_tokens),
            (parallel, standing.remaining_parallel),
        ];
        let names = Names::of(claim.account().descriptor());
        for ((limit, remaining), (limit_name, remaining_name)) in numbers.into_iter().zip(names.0) {
            for (name, number) in [(limit_name, limit), (remaining_name, remaining)] {
                if let (Some(name), Some(number)) = (name, number) {
                    headers.insert(name, HeaderValue::from(number));
                }
            }
        }
    }
}

/// The names of a limit and of what remains of it, for requests, tokens and parallel requests of one kind of account.
#[derive(Clone)]
struct Names([(Option<HeaderName>, Option<HeaderName>); 3]);

impl Names {
    /// Made once per thread: to make and check six names takes longer than the rest of the head.
    fn of(whose: &'static str) -> Self {
        thread_local! {
            static MADE: RefCell<HashMap<&'static str, Names>> = RefCell::default();
        }
        MADE.with_borrow_mut(|made| made.entry(whose).or_insert_with(|| Self::new(whose)).clone())
    }

    fn new(whose: &str) -> Self {
        let name = |what: &str, kind: &str| format!("x-ratelimit-{whose}-{what}-{kind}").try_into().ok();
        let both = |kind| (name("limit", kind), name("remaining", kind));
        Self(["requests", "tokens", "max_parallel_requests"].map(both))
    }
}
