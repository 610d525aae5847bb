//! Tools that the provider ran.

use std::borrow::Cow;

use dialects::conversation::Usage;

use super::CostContext;
use super::line::{CostLine, LineKind, Quantity};
use super::rates::{Rate, Rates, object};
use crate::usd::Usd;

pub(super) fn lines(usage: &Usage, rates: &Rates<'_>, context: &CostContext<'_>, lines: &mut Vec<CostLine>) {
    let counts = &context.counts;
    let mut bill = |what: &'static str, count, per, rate: &dyn Fn() -> Option<Rate>| {
        if count > 0
            && let Some(rate) = rate()
        {
            lines.push(CostLine::new(LineKind::Tool, what, Quantity { count, per }, rate));
        }
    };
    if usage.web_searches > 0 {
        let rate = || web_search(rates, context.search_context_size.unwrap_or("medium"));
        if bills_grounded_prompts(rates) {
            bill("prompts with web search", 1, 1, &rate);
        } else {
            bill("web searches", usage.web_searches, 1, &rate);
        }
    }
    for (what, count, per, base) in [
        ("Google Maps queries", counts.map_queries, 1, "google_maps_grounding_cost_per_query"),
        ("code interpreter sessions", counts.code_sessions, 1, "code_interpreter_cost_per_session"),
        ("thousand file searches", counts.file_searches, 1000, "file_search_cost_per_1k_calls"),
        ("citation tokens", counts.citation_tokens, 1, "citation_cost_per_token"),
    ] {
        bill(what, count, per, &|| rates.rate(base));
    }
}

fn web_search(rates: &Rates<'_>, size: &str) -> Option<Rate> {
    let prices = object(rates.entry.raw("search_context_cost_per_query")?)?;
    let name = format!("search_context_size_{size}");
    let (_, raw) = prices.into_iter().find(|(key, _)| *key == name)?;
    let price = Usd::parse(raw.get()).ok()?;
    Some((Cow::Owned(format!("search_context_cost_per_query: {name}")), price))
}

/// Gemini 2.x pays once for a prompt that was grounded in a search, however many queries it took; from Gemini 3
/// on queries are paid (<https://ai.google.dev/gemini-api/docs/pricing>).
fn bills_grounded_prompts(rates: &Rates<'_>) -> bool {
    rates.entry.name.contains("gemini") && rates.entry.raw("web_search_billing_unit").is_none()
}
