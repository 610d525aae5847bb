//! How the caller's key stands, in LiteLLM's headers: what it has spent and may spend, and how much of its limits is
//! left.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

use crate::books::{self, booking};
use crate::exchange::Exchange;
use crate::pipeline::Admission;

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
        super::put(headers, "x-litellm-key-spend", &spend.to_string());
        if let Some(max) = terms.budgets.first().and_then(|budget| budget.max_at(now)) {
            super::put(headers, "x-litellm-key-max-budget", &max.to_string());
        }
        if let Some(tpm) = terms.limits.tpm {
            headers.insert(HeaderName::from_static("x-litellm-key-tpm-limit"), HeaderValue::from(tpm));
        }
        if let Some(rpm) = terms.limits.rpm {
            headers.insert(HeaderName::from_static("x-litellm-key-rpm-limit"), HeaderValue::from(rpm));
        }
    }
    for claim in admission.claims.iter() {
        let limits = &claim.terms().limits;
        if limits.rpm.is_none() && limits.tpm.is_none() && limits.max_parallel_requests.is_none() {
            continue;
        }
        let standing = claim.standing(now);
        let kinds = [
            ("requests", limits.rpm, standing.remaining_requests),
            ("tokens", limits.tpm, standing.remaining_tokens),
            (
                "max_parallel_requests",
                limits.max_parallel_requests.map(u64::from),
                standing.remaining_parallel,
            ),
        ];
        let whose = claim.account().descriptor();
        for (kind, limit, remaining) in kinds {
            for (what, number) in [("limit", limit), ("remaining", remaining)] {
                let name = HeaderName::try_from(format!("x-ratelimit-{whose}-{what}-{kind}"));
                if let (Ok(name), Some(number)) = (name, number) {
                    headers.insert(name, HeaderValue::from(number));
                }
            }
        }
    }
}
