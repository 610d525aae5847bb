use dialects::conversation::Usage;

use super::line::{CostLine, LineKind, Quantity};
use super::rates::{Rate, Rates};
use super::{CallKind, CostContext};

/// Appends the lines of all tokens. `true` if the output, or all there was, has been billed by tokens.
pub(super) fn lines(
    usage: &Usage,
    rates: &Rates<'_>,
    context: &CostContext<'_>,
    lines: &mut Vec<CostLine>,
) -> bool {
    let before = lines.len();
    let input = || rates.rate("input_cost_per_token");
    let output = || rates.rate("output_cost_per_token");
    let input_of = |base| rates.rate(base).or_else(input);
    let output_of = |base| rates.rate(base).or_else(output);

    let Usage { cache_read, cache_write_5m, cache_write_1h, input_audio, input_image, input_video, .. } =
        *usage;
    let parts = [cache_read, cache_write_5m, cache_write_1h, input_audio, input_image, input_video];
    let text = parts.into_iter().fold(usage.input, u64::saturating_sub);
    let Usage { reasoning, output_audio, output_image, .. } = *usage;
    let answer = [reasoning, output_audio, output_image].into_iter().fold(usage.output, u64::saturating_sub);

    // Most of these counts are zero, and then nobody looks for a price.
    let mut bill = |kind, what, count, rate: &dyn Fn() -> Option<Rate>| {
        if count > 0
            && let Some(rate) = rate()
        {
            let line = CostLine::new(kind, what, Quantity { count, per: 1 }, rate);
            lines.push(line.with_factor(rates.factor()));
        }
    };
    bill(LineKind::Input, "input tokens", text, &input);
    bill(LineKind::CacheRead, "cached input tokens", cache_read, &|| {
        rates.first(&["cache_read_input_token_cost", "input_cost_per_token_cache_hit"]).or_else(input)
    });
    const WRITTEN: &str = "cache_creation_input_token_cost";
    bill(LineKind::CacheWrite, "tokens written to the cache", cache_write_5m, &|| input_of(WRITTEN));
    bill(LineKind::CacheWrite, "tokens written to the cache for 1 hour", cache_write_1h, &|| {
        rates.rate("cache_creation_input_token_cost_above_1hr").or_else(|| input_of(WRITTEN))
    });
    for (what, count, base) in [
        ("input audio tokens", input_audio, "input_cost_per_audio_token"),
        ("input image tokens", input_image, "input_cost_per_image_token"),
        ("input video tokens", input_video, "input_cost_per_video_token"),
    ] {
        bill(LineKind::Input, what, count, &|| input_of(base));
    }
    const SPOKEN: &str = "output_cost_per_audio_token";
    const DRAWN: &str = "output_cost_per_image_token";
    // A speech model bills its sound, an image model its images, even where the provider does not say which of
    // the tokens they are.
    bill(LineKind::Output, "output tokens", answer, &|| match context.call {
        CallKind::Speech => output_of(SPOKEN),
        CallKind::Image => output_of(DRAWN),
        _ => output(),
    });
    bill(LineKind::Reasoning, "reasoning tokens", reasoning, &|| reasoning_rate(rates));
    bill(LineKind::Output, "output audio tokens", output_audio, &|| output_of(SPOKEN));
    bill(LineKind::Output, "output image tokens", output_image, &|| output_of(DRAWN));
    let of_output = |line: &CostLine| matches!(line.kind, LineKind::Output | LineKind::Reasoning);
    let billed = lines.get(before..).unwrap_or_default();
    if usage.output > 0 { billed.iter().any(of_output) } else { !billed.is_empty() }
}

/// Many models state a price for reasoning that is just their output price, but only for the standard tier: it
/// then follows the output price. Where it is a price of its own, it applies.
fn reasoning_rate(rates: &Rates<'_>) -> Option<Rate> {
    const REASONING: &str = "output_cost_per_reasoning_token";
    const OUTPUT: &str = "output_cost_per_token";
    let standard = rates.standard(REASONING);
    if standard.is_some() && standard == rates.standard(OUTPUT) {
        return rates.rate(OUTPUT);
    }
    rates.rate(REASONING).or_else(|| rates.rate(OUTPUT))
}
