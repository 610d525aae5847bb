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
    let input = rates.rate("input_cost_per_token");
    let or_input = |rate: Option<Rate>| rate.or_else(|| input.clone());

    let Usage { cache_read, cache_write_5m, cache_write_1h, input_audio, input_image, input_video, .. } =
        *usage;
    let parts = [cache_read, cache_write_5m, cache_write_1h, input_audio, input_image, input_video];
    let text = parts.into_iter().fold(usage.input, u64::saturating_sub);

    let cached = rates.first(&["cache_read_input_token_cost", "input_cost_per_token_cache_hit"]);
    let written = rates.rate("cache_creation_input_token_cost");
    let written_1h = rates.rate("cache_creation_input_token_cost_above_1hr").or_else(|| written.clone());

    let output = rates.rate("output_cost_per_token");
    let Usage { reasoning, output_audio, output_image, .. } = *usage;
    let answer = [reasoning, output_audio, output_image].into_iter().fold(usage.output, u64::saturating_sub);
    let or_output = |rate: Option<Rate>| rate.or_else(|| output.clone());
    let spoken = rates.rate("output_cost_per_audio_token");
    let drawn = rates.rate("output_cost_per_image_token");
    // A speech model bills its sound, an image model its images, even where the provider does not say which of
    // the tokens they are.
    let plain = match context.call {
        CallKind::Speech => spoken.clone().or_else(|| output.clone()),
        CallKind::Image => drawn.clone().or_else(|| output.clone()),
        _ => output.clone(),
    };

    for (kind, what, count, rate) in [
        (LineKind::Input, "input tokens", text, input.clone()),
        (LineKind::CacheRead, "cached input tokens", cache_read, or_input(cached)),
        (LineKind::CacheWrite, "tokens written to the cache", cache_write_5m, or_input(written)),
        (
            LineKind::CacheWrite,
            "tokens written to the cache for 1 hour",
            cache_write_1h,
            or_input(written_1h),
        ),
        (
            LineKind::Input,
            "input audio tokens",
            input_audio,
            or_input(rates.rate("input_cost_per_audio_token")),
        ),
        (
            LineKind::Input,
            "input image tokens",
            input_image,
            or_input(rates.rate("input_cost_per_image_token")),
        ),
        (
            LineKind::Input,
            "input video tokens",
            input_video,
            or_input(rates.rate("input_cost_per_video_token")),
        ),
        (LineKind::Output, "output tokens", answer, plain),
        (LineKind::Reasoning, "reasoning tokens", reasoning, reasoning_rate(rates, output.clone())),
        (LineKind::Output, "output audio tokens", output_audio, or_output(spoken)),
        (LineKind::Output, "output image tokens", output_image, or_output(drawn)),
    ] {
        if let (Some(rate), true) = (rate, count > 0) {
            let line = CostLine::new(kind, what, Quantity { count, per: 1 }, rate);
            lines.push(line.with_factor(rates.factor()));
        }
    }
    let of_output = |line: &CostLine| matches!(line.kind, LineKind::Output | LineKind::Reasoning);
    let billed = lines.get(before..).unwrap_or_default();
    if usage.output > 0 { billed.iter().any(of_output) } else { !billed.is_empty() }
}

/// Many models state a price for reasoning that is just their output price, but only for the standard tier: it
/// then follows the output price. Where it is a price of its own, it applies.
fn reasoning_rate(rates: &Rates<'_>, output: Option<Rate>) -> Option<Rate> {
    const REASONING: &str = "output_cost_per_reasoning_token";
    let standard = rates.standard(REASONING);
    if standard.is_some() && standard == rates.standard("output_cost_per_token") {
        return output;
    }
    rates.rate(REASONING).or(output)
}
