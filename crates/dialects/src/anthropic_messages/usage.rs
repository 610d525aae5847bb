//! Anthropic counts cached tokens beside `input_tokens`; [`Usage::input`] counts them in.

use crate::conversation::Usage;

use super::wire;

/// Lays the counts of a later report over those of an earlier one.
pub(super) fn merge(earlier: &mut wire::Usage, later: &wire::Usage) {
    earlier.input_tokens = later.input_tokens.or(earlier.input_tokens);
    earlier.cache_creation_input_tokens =
        later.cache_creation_input_tokens.or(earlier.cache_creation_input_tokens);
    earlier.cache_read_input_tokens = later.cache_read_input_tokens.or(earlier.cache_read_input_tokens);
    earlier.cache_creation = later.cache_creation.or(earlier.cache_creation);
    // Running totals never fall; some hosts end with 0.
    earlier.output_tokens = later.output_tokens.max(earlier.output_tokens);
    earlier.output_tokens_details = later.output_tokens_details.or(earlier.output_tokens_details);
    earlier.server_tool_use = later.server_tool_use.or(earlier.server_tool_use);
    earlier.service_tier = later.service_tier.or(earlier.service_tier);
}

pub(super) fn read(usage: &wire::Usage) -> Usage {
    let written = usage.cache_creation_input_tokens.unwrap_or(0);
    let by_ttl = usage.cache_creation.unwrap_or_default();
    let cache_write_1h = by_ttl.ephemeral_1h_input_tokens;
    let cache_write_5m = written.saturating_sub(cache_write_1h).max(by_ttl.ephemeral_5m_input_tokens);
    let cache_read = usage.cache_read_input_tokens.unwrap_or(0);
    Usage {
        input: usage
            .input_tokens
            .unwrap_or(0)
            .saturating_add(cache_read)
            .saturating_add(cache_write_5m)
            .saturating_add(cache_write_1h),
        cache_read,
        cache_write_5m,
        cache_write_1h,
        output: usage.output_tokens.unwrap_or(0),
        reasoning: usage.output_tokens_details.map_or(0, |details| details.thinking_tokens),
        web_searches: usage.server_tool_use.map_or(0, |tools| tools.web_search_requests),
        service_tier: usage.service_tier.and_then(tier_name).map(str::to_owned),
        ..Usage::default()
    }
}

/// Puts an estimate of the thinking tokens where the provider did not count them apart: a token for every four
/// bytes of the thinking that it showed. They are billed like all output, so no cost hangs on it.
pub(super) fn estimate_reasoning(usage: &mut Usage, thinking_bytes: usize) {
    if usage.reasoning == 0 && thinking_bytes > 0 {
        let tokens = u64::try_from(thinking_bytes / 4).unwrap_or(u64::MAX).max(1);
        usage.reasoning = tokens.min(usage.output);
    }
}

pub(super) fn write(usage: &Usage) -> wire::Usage {
    let cached = usage.cache_read.saturating_add(usage.cache_write());
    wire::Usage {
        input_tokens: Some(usage.input.saturating_sub(cached)),
        cache_creation_input_tokens: Some(usage.cache_write()),
        cache_read_input_tokens: Some(usage.cache_read),
        cache_creation: (usage.cache_write() > 0).then_some(wire::CacheCreation {
            ephemeral_5m_input_tokens: usage.cache_write_5m,
            ephemeral_1h_input_tokens: usage.cache_write_1h,
        }),
        output_tokens: Some(usage.output),
        output_tokens_details: (usage.reasoning > 0)
            .then_some(wire::OutputTokensDetails { thinking_tokens: usage.reasoning }),
        server_tool_use: (usage.web_searches > 0).then_some(wire::ServerToolUse {
            web_search_requests: usage.web_searches,
            web_fetch_requests: 0,
        }),
        service_tier: usage.service_tier.as_deref().and_then(tier_of_name),
    }
}

fn tier_name(tier: wire::ServiceTier) -> Option<&'static str> {
    match tier {
        wire::ServiceTier::Standard => Some("standard"),
        wire::ServiceTier::Priority => Some("priority"),
        wire::ServiceTier::Batch => Some("batch"),
        wire::ServiceTier::Unknown => None,
    }
}

fn tier_of_name(name: &str) -> Option<wire::ServiceTier> {
    match name {
        "standard" => Some(wire::ServiceTier::Standard),
        "priority" => Some(wire::ServiceTier::Priority),
        "batch" => Some(wire::ServiceTier::Batch),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cached_tokens_are_added_to_the_input_and_taken_out_again() {
        let wire: wire::Usage = serde_json::from_value(json!({
            "input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3,
            "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
            "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 4},
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0}, "service_tier": "priority",
        }))
        .unwrap();
        let usage = read(&wire);
        assert_eq!((usage.input, usage.cache_read), (18, 5));
        assert_eq!((usage.cache_write_5m, usage.cache_write_1h), (1, 2));
        assert_eq!((usage.output, usage.reasoning, usage.web_searches), (7, 4, 2));
        assert_eq!(write(&usage), wire);
    }

    #[test]
    fn cache_writes_without_a_breakdown_are_of_five_minutes() {
        let wire =
            wire::Usage { cache_creation_input_tokens: Some(9), input_tokens: Some(1), ..Default::default() };
        assert_eq!(read(&wire).cache_write_5m, 9);
        assert_eq!(read(&wire).input, 10);
    }

    #[test]
    fn thinking_that_is_not_counted_is_estimated() {
        let estimated = |usage: Usage, bytes| {
            let mut usage = usage;
            estimate_reasoning(&mut usage, bytes);
            usage.reasoning
        };
        let usage = Usage { output: 40, ..Usage::default() };
        assert_eq!(estimated(usage.clone(), 80), 20);
        assert_eq!(estimated(usage.clone(), 4000), 40);
        assert_eq!(estimated(usage.clone(), 0), 0);
        assert_eq!(estimated(Usage { reasoning: 28, ..usage }, 80), 28);
    }

    #[test]
    fn a_running_total_does_not_fall() {
        let mut usage = wire::Usage { output_tokens: Some(1), ..Default::default() };
        merge(&mut usage, &wire::Usage { output_tokens: Some(0), ..Default::default() });
        assert_eq!(usage.output_tokens, Some(1));
    }
}
