//! What is billed by the piece, the second, the character, the page.

use std::borrow::Cow;

use dialects::conversation::Usage;
use serde_json::value::RawValue;

use super::line::{CostLine, LineKind, Quantity};
use super::rates::{Rate, Rates, object};
use super::{CallKind, CostContext};
use crate::model::whole_number;
use crate::usd::Usd;

/// Appends the lines of a call's units. `by_tokens`: what was made is paid by tokens already.
pub(super) fn lines(
    usage: &Usage,
    rates: &Rates<'_>,
    context: &CostContext<'_>,
    by_tokens: bool,
    lines: &mut Vec<CostLine>,
) {
    let counts = &context.counts;
    let mut bill = |kind, what: Cow<'static, str>, count, per, rate: Option<Rate>| {
        if let (Some(rate), true) = (rate, count > 0) {
            lines.push(CostLine::new(kind, what, Quantity { count, per }, rate));
        }
    };
    match context.call {
        CallKind::Chat | CallKind::Embedding | CallKind::Other => {
            let (images, audio) = (counts.input_images, usage.audio_ms);
            if usage.input_image == 0 && images > 0 {
                bill(LineKind::Input, "input images".into(), images, 1, rates.rate("input_cost_per_image"));
            }
            if usage.input_audio == 0 && audio > 0 {
                let rate = rates.rate("input_cost_per_audio_per_second");
                bill(LineKind::Input, "seconds of input audio".into(), audio, 1000, rate);
            }
            if usage.input_video == 0 && counts.input_video_ms > 0 {
                let rate = rates.rate("input_cost_per_video_per_second");
                bill(LineKind::Input, "seconds of input video".into(), counts.input_video_ms, 1000, rate);
            }
            if !by_tokens {
                let rate = rates.rate("input_cost_per_character");
                bill(LineKind::Input, "characters".into(), usage.characters, 1, rate);
                // A model that is hired by time: a GPU of one's own, provisioned throughput.
                let rate = per_second(rates).or_else(|| rates.rate("cost_per_second"));
                bill(LineKind::Request, "seconds".into(), counts.duration_ms, 1000, rate);
            }
        }
        CallKind::Image if !by_tokens => {
            let sized =
                context.resolution.and_then(|size| named(rates, format!("output_cost_per_image_{size}")));
            let per_image = sized.or_else(|| rates.first(&["output_cost_per_image", "input_cost_per_image"]));
            let per_pixel = rates.first(&["output_cost_per_pixel", "input_cost_per_pixel"]);
            if per_image.is_some() {
                bill(LineKind::Output, "images".into(), counts.images, 1, per_image);
            } else {
                bill(LineKind::Output, "pixels".into(), counts.pixels, 1, per_pixel);
            }
        }
        CallKind::Transcription if !by_tokens => {
            bill(LineKind::Input, "seconds of audio".into(), usage.audio_ms, 1000, per_second(rates));
        }
        CallKind::Speech if !by_tokens => {
            let per_character = rates.first(&["input_cost_per_character", "output_cost_per_character"]);
            if per_character.is_some() {
                bill(LineKind::Input, "characters".into(), usage.characters, 1, per_character);
            } else {
                let length = counts.output_ms.max(usage.audio_ms);
                bill(LineKind::Output, "seconds of audio".into(), length, 1000, per_second(rates));
            }
        }
        CallKind::Video if !by_tokens => {
            let sized =
                context.resolution.and_then(|size| named(rates, format!("output_cost_per_second_{size}")));
            let rate = sized
                .or_else(|| rates.first(&["output_cost_per_video_per_second", "output_cost_per_second"]));
            bill(LineKind::Output, "seconds of video".into(), counts.output_ms, 1000, rate);
        }
        CallKind::Image | CallKind::Transcription | CallKind::Speech | CallKind::Video => {}
        CallKind::Rerank => {
            bill(
                LineKind::Input,
                "search units".into(),
                counts.queries,
                1,
                rates.rate("input_cost_per_query"),
            );
        }
        CallKind::Search => {
            let rate = by_results(rates, counts.results).or_else(|| rates.rate("input_cost_per_query"));
            bill(LineKind::Request, "searches".into(), counts.queries, 1, rate);
        }
        CallKind::Ocr => {
            bill(LineKind::Input, "pages".into(), counts.pages, 1, rates.rate("ocr_cost_per_page"));
            let rate = rates.rate("annotation_cost_per_page");
            bill(LineKind::Output, "annotated pages".into(), counts.annotated_pages, 1, rate);
            bill(LineKind::Input, "credits".into(), counts.ocr_credits, 1, rates.rate("ocr_cost_per_credit"));
        }
        CallKind::Guardrail => {
            let prices = rates.entry.raw("guardrail_cost_per_unit").and_then(object).unwrap_or_default();
            for (unit, count) in counts.guardrail_units {
                let price = prices.iter().find(|(name, _)| name == unit);
                let rate = price.and_then(|(_, raw)| Usd::parse(raw.get()).ok());
                let rate = rate.map(|price| (Cow::Borrowed("guardrail_cost_per_unit"), price));
                bill(LineKind::Request, (*unit).to_owned().into(), *count, 1, rate);
            }
        }
    }
    bill(
        LineKind::Request,
        "requests".into(),
        1,
        1,
        rates.first(&["input_cost_per_request", "cost_per_request"]),
    );
}

/// Price maps state a second's price for input and output alike; it is due once.
fn per_second(rates: &Rates<'_>) -> Option<Rate> {
    let output = rates.rate("output_cost_per_second").filter(|(_, price)| !price.is_zero());
    output.or_else(|| rates.rate("input_cost_per_second"))
}

fn named(rates: &Rates<'_>, field: String) -> Option<Rate> {
    let price = rates.entry.price(&field)?;
    Some((field.into(), price))
}

/// The row of `tiered_pricing` for this number of results (`max_results_range` is inclusive).
fn by_results(rates: &Rates<'_>, results: u64) -> Option<Rate> {
    let rows: Vec<&RawValue> = serde_json::from_str(rates.entry.raw("tiered_pricing")?).ok()?;
    let of_row = |row: &RawValue| {
        let row = object(row.get())?;
        let field = |name: &str| row.iter().find(|(key, _)| *key == name).map(|(_, raw)| *raw);
        let [_, high] = serde_json::from_str::<[&RawValue; 2]>(field("max_results_range")?.get()).ok()?;
        let price = Usd::parse(field("input_cost_per_query")?.get()).ok()?;
        Some((whole_number(high.get())?, price))
    };
    let priced: Vec<(u64, Usd)> = rows.into_iter().filter_map(of_row).collect();
    let (_, price) = priced.iter().find(|(high, _)| results <= *high).or(priced.last())?;
    Some(("tiered_pricing: input_cost_per_query".into(), *price))
}
