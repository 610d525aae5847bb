//! Which of a model's many prices for the same thing applies to a call.
//!
//! A rate's field is its base name and what the call adds to it:
//! `cache_read_input_token_cost` `_above_200k_tokens` `_priority`. Where the precise field is missing the search
//! goes back step by step to the base name.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::CostContext;
use crate::model::{ModelEntry, whole_number};
use crate::provider::row_of_label;
use crate::usd::{Factor, Usd};

/// A price with the field that it was taken from.
pub(super) type Rate = (Cow<'static, str>, Usd);

/// A model's prices as they apply to one call.
#[derive(Debug)]
pub(super) struct Rates<'a> {
    pub(super) entry: &'a ModelEntry,
    /// The context steps (in thousands of tokens) that the prompt is above, the highest first.
    steps: Vec<u32>,
    /// `_priority`, `_flex`, …
    tier: Option<String>,
    batch: bool,
    /// Rates that replace the entry's: the row of `tiered_pricing` for this prompt, or off-peak prices.
    table: Option<(&'static str, Table<'a>)>,
    factor: Option<(Factor, Cow<'static, str>)>,
}

type Table<'a> = Vec<(&'a str, &'a RawValue)>;

impl<'a> Rates<'a> {
    pub(super) fn new(entry: &'a ModelEntry, prompt_tokens: u64, context: &CostContext<'_>) -> Self {
        let inclusive = entry.provider().and_then(row_of_label).is_some_and(|row| row.context_step_inclusive);
        // The lowest step there could be: below it nobody has to look.
        let fields = entry.field_names().take_while(|_| prompt_tokens >= 1000);
        let mut steps: Vec<u32> = fields.filter_map(step_of).collect();
        steps.sort_unstable_by(|a, b| b.cmp(a));
        steps.dedup();
        steps.retain(|step| {
            let bound = u64::from(*step).saturating_mul(1000);
            prompt_tokens > bound || (inclusive && prompt_tokens == bound)
        });
        let fast_factor = specific_factor(entry, "fast").filter(|_| context.service_tier == Some("fast"));
        // `fast` is OpenAI's word for priority, unless the model has a factor for it.
        let tier = match context.service_tier {
            None | Some("auto" | "default" | "standard" | "standard_only") => None,
            Some("fast") if fast_factor.is_some() => None,
            Some("fast") => Some("_priority".to_owned()),
            Some(name) => Some(format!("_{name}")),
        };
        let batch = context.batch;
        let standard = tier.is_none() && !batch;
        let table = tiered_table(entry, prompt_tokens).map(|table| ("tiered_pricing", table)).or_else(|| {
            let now = context.unix_seconds.filter(|_| standard)?;
            off_peak_table(entry, now).map(|table| ("off_peak_pricing", table))
        });
        let factor = regional_factor(entry, context.region);
        let factor = match (factor, fast_factor) {
            (Some((region, reason)), Some(fast)) => {
                Some((region.combined(fast), Cow::Owned(format!("{reason}, fast"))))
            }
            (factor, None) => factor,
            (None, Some(fast)) => Some((fast, Cow::Borrowed("fast"))),
        };
        Self { entry, steps, tier, batch, table, factor }
    }

    /// The factor on all token prices.
    pub(super) fn factor(&self) -> Option<(Factor, Cow<'static, str>)> {
        self.factor.clone()
    }

    /// The price that applies, `base` being a field such as `input_cost_per_token`.
    pub(super) fn rate(&self, base: &'static str) -> Option<Rate> {
        if let Some((origin, table)) = &self.table
            && let Some(price) =
                table.iter().find(|(name, _)| *name == base).and_then(|(_, raw)| Usd::parse(raw.get()).ok())
        {
            let price = if self.batch { price.divided_by(2) } else { price };
            return Some((format!("{origin}: {base}").into(), price));
        }
        let stepped =
            self.steps.iter().find_map(|step| self.tiered(format!("{base}_above_{step}k_tokens").into()));
        stepped.or_else(|| self.tiered(base.into()))
    }

    /// The first of several rates that the model has.
    pub(super) fn first(&self, bases: &[&'static str]) -> Option<Rate> {
        bases.iter().find_map(|base| self.rate(base))
    }

    /// A field in the call's service tier.
    fn tiered(&self, field: Cow<'static, str>) -> Option<Rate> {
        let suffix = if self.batch { Some("_batches") } else { self.tier.as_deref() };
        if let Some(suffix) = suffix {
            let full = format!("{field}{suffix}");
            if let Some(price) = self.entry.price(&full) {
                return Some((full.into(), price));
            }
        }
        let price = self.entry.price(&field)?;
        // A batch costs half of the standard price where no other is stated.
        if self.batch {
            Some((format!("half of {field}").into(), price.divided_by(2)))
        } else {
            Some((field, price))
        }
    }

    /// The standard price of `base`, whatever the call adds.
    pub(super) fn standard(&self, base: &str) -> Option<Usd> {
        self.entry.price(base)
    }
}

/// `…_above_200k_tokens…` → 200.
fn step_of(field: &str) -> Option<u32> {
    // Nearly all fields end here.
    if !field.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (_, tail) = field.rsplit_once("_above_")?;
    let (step, _) = tail.split_once("k_tokens")?;
    step.parse().ok()
}

/// A number of `provider_specific_entry`, which Anthropic's models have for `us` and `fast`.
fn specific_factor(entry: &ModelEntry, name: &str) -> Option<Factor> {
    let table: Table<'_> = object(entry.raw("provider_specific_entry")?)?;
    let (_, raw) = table.into_iter().find(|(key, _)| *key == name)?;
    Factor::parse(raw.get()).ok()
}

/// What processing in a certain region adds.
fn regional_factor(entry: &ModelEntry, region: Option<&str>) -> Option<(Factor, Cow<'static, str>)> {
    let region = region.filter(|region| *region != "global")?;
    let field = |field: &str| entry.raw(field).and_then(|text| Factor::parse(text).ok());
    let factor = specific_factor(entry, region)
        .or_else(|| field(&format!("regional_processing_uplift_multiplier_{region}")))
        .or_else(|| field("regional_endpoint_uplift_multiplier"))?;
    Some((factor, format!("processed in {region}").into()))
}

/// The row of `tiered_pricing` whose range holds the prompt. Ranges begin behind their lower bound, as Alibaba
/// states them ("0 < tokens ≤ 32K"; <https://www.alibabacloud.com/help/en/model-studio/models>).
fn tiered_table(entry: &ModelEntry, prompt_tokens: u64) -> Option<Table<'_>> {
    let rows: Vec<&RawValue> = serde_json::from_str(entry.raw("tiered_pricing")?).ok()?;
    let rows = rows.into_iter().filter_map(|row| object(row.get()));
    let mut found = None;
    for row in rows {
        let Some((_, range)) = row.iter().find(|(name, _)| *name == "range") else { continue };
        let [low, _] = serde_json::from_str::<[&RawValue; 2]>(range.get()).ok()?;
        // Beyond the last range the last row's prices go on.
        if found.is_none() || prompt_tokens > whole_number(low.get())? {
            found = Some(row);
        }
    }
    found
}

pub(super) fn object(text: &str) -> Option<Table<'_>> {
    let map: BTreeMap<&str, &RawValue> = serde_json::from_str(text).ok()?;
    Some(map.into_iter().collect())
}

#[derive(Deserialize)]
struct OffPeak<'a> {
    windows: Vec<Window>,
    #[serde(default, borrow)]
    weekday_timezone: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Window {
    hours_utc: Hours,
    /// 1 is Monday; empty means every day.
    #[serde(default)]
    weekdays: Vec<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Hours {
    One(String),
    Many(Vec<String>),
}

/// Off-peak prices, if `unix_seconds` lies in one of their windows.
fn off_peak_table(entry: &ModelEntry, unix_seconds: u64) -> Option<Table<'_>> {
    const DAY: u64 = 24 * 60;
    let raw = entry.raw("off_peak_pricing")?;
    let OffPeak { windows, weekday_timezone } = serde_json::from_str(raw).ok()?;
    let minutes = unix_seconds / 60;
    let offset = match weekday_timezone.as_deref() {
        None | Some("UTC") => 0,
        Some("Asia/Shanghai") => 8 * 60,
        // Days of an unknown zone cannot be told.
        Some(_) => return None,
    };
    // 1970-01-01 was a Thursday.
    let weekday = ((minutes + offset) / DAY + 3) % 7 + 1;
    let minute = minutes % DAY;
    let within = |span: &String| {
        let clock = |text: &str| {
            let (hours, minutes) = text.split_once(':')?;
            Some(hours.parse::<u64>().ok()? * 60 + minutes.parse::<u64>().ok()?)
        };
        let Some((from, to)) = span.split_once('-').and_then(|(a, b)| Some((clock(a)?, clock(b)?))) else {
            return false;
        };
        // A span may end at, or run over, midnight.
        if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    };
    let open = windows.iter().any(|window| {
        let day = window.weekdays.is_empty() || window.weekdays.contains(&weekday);
        day && match &window.hours_utc {
            Hours::One(span) => within(span),
            Hours::Many(spans) => spans.iter().any(within),
        }
    });
    if open { object(raw) } else { None }
}
