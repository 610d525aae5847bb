//! What a call costs, line by line.
//!
//! ```
//! use catalog::{CostContext, cost, find_model};
//! use dialects::conversation::Usage;
//!
//! let model = find_model("openai", "gpt-4o").unwrap();
//! let usage = Usage { input: 11, cache_read: 4, output: 7, ..Usage::default() };
//! let cost = cost(&usage, Some(&model), &CostContext::default());
//! assert_eq!(cost.total().to_string(), "0.0000925");
//! assert_eq!(cost.lines[0].to_string(), "7 input tokens × $0.0000025 = $0.0000175");
//! ```
//!
//! Amounts are exact; only the total is rounded, once ([`Cost::total`]). A line names the price that it was made
//! with, so that a trace can show where the figure comes from.

mod line;
mod media;
mod rates;
mod tokens;
mod tools;

use dialects::conversation::Usage;

pub use line::{CostLine, LineKind, Quantity};

use crate::model::ModelEntry;
use crate::usd::{BadAmount, Factor, NanoUsd, Usd};
use rates::Rates;

/// What a call was, beyond the tokens it used.
#[derive(Clone, Debug, Default)]
pub struct CostContext<'a> {
    pub call: CallKind,
    /// The tier that served the call, else the one that was asked for: `flex`, `priority`, `fast`, `balanced`, …
    pub service_tier: Option<&'a str>,
    /// The call was part of a batch job.
    pub batch: bool,
    /// Where the call had to be processed: OpenAI's data residency (`eu`, `us`), Anthropic's `inference_geo`,
    /// Vertex AI's location.
    pub region: Option<&'a str>,
    /// When the call was made, in seconds since 1970; decides about off-peak prices.
    pub unix_seconds: Option<u64>,
    pub counts: Counts<'a>,
    /// Of a web search: `low`, `medium`, `high`; `None` is `medium`.
    pub search_context_size: Option<&'a str>,
    /// `480p`, `720p`, `1080p`, `4k`, of video; `512`, `1K`, `2K`, `4K`, of images priced by class.
    pub resolution: Option<&'a str>,
    /// Part of the price that the user's `cost_discount_config` takes off.
    pub discount: Option<Factor>,
    /// What `cost_margin_config` adds.
    pub margin: Option<Margin>,
}

/// The kind of a call: which of a model's prices it is billed by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallKind {
    /// Anything that generates text: chat, completions, responses, messages.
    #[default]
    Chat,
    Embedding,
    /// Making, editing or varying images.
    Image,
    Transcription,
    Speech,
    Video,
    Rerank,
    Search,
    Ocr,
    Guardrail,
    /// Everything else: tokens and a price per request, if any.
    Other,
}

/// What is counted beside tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts<'a> {
    /// Images that were made.
    pub images: u64,
    /// Pixels of all images that were made.
    pub pixels: u64,
    /// Images in the prompt.
    pub input_images: u64,
    /// Length of a video in the prompt, in milliseconds.
    pub input_video_ms: u64,
    /// Length of the video or sound that was made, in milliseconds.
    pub output_ms: u64,
    /// How long the provider took, in milliseconds; for models billed by time.
    pub duration_ms: u64,
    /// Search units (rerank) or queries (search).
    pub queries: u64,
    /// Results asked for, for searches priced by them.
    pub results: u64,
    pub pages: u64,
    /// Pages with annotations, in addition to their price as pages.
    pub annotated_pages: u64,
    pub ocr_credits: u64,
    /// Containers of the code interpreter.
    pub code_sessions: u64,
    pub file_searches: u64,
    /// Queries to Google Maps.
    pub map_queries: u64,
    pub citation_tokens: u64,
    /// Units of a guardrail, by their name in `guardrail_cost_per_unit`.
    pub guardrail_units: &'a [(&'a str, u64)],
}

/// An operator's surcharge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margin {
    /// Part of the cost: 0.1 is ten percent.
    pub share: Factor,
    /// Per call.
    pub fixed: Usd,
}

/// What a call costs.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    pub lines: Vec<CostLine>,
    /// No price was known for anything that the call used: the total is 0 for want of knowledge.
    pub unpriced: bool,
}

impl Cost {
    /// Exact.
    #[must_use]
    pub fn sum(&self) -> Usd {
        self.lines.iter().map(|line| line.amount).sum()
    }

    /// What is stored: rounded once, half to even.
    #[must_use]
    pub fn total(&self) -> NanoUsd {
        self.sum().to_nano()
    }

    /// The exact sum of the lines of a kind.
    #[must_use]
    pub fn part(&self, kind: LineKind) -> Usd {
        self.lines.iter().filter(|line| line.kind == kind).map(|line| line.amount).sum()
    }
}

/// Computes what a call costs.
///
/// A provider that says itself what a call cost is believed, unless the user set a price for the deployment. A
/// model without an entry, or whose entry has no price for what was used, costs nothing and says so.
#[must_use]
pub fn cost(usage: &Usage, entry: Option<&ModelEntry>, context: &CostContext<'_>) -> Cost {
    let custom = entry.is_some_and(ModelEntry::is_custom_priced);
    let mut lines = Vec::new();
    let said = usage.cost.as_ref().filter(|_| !custom).and_then(|cost| Usd::parse(&cost.to_string()).ok());
    if let Some(amount) = said {
        lines.push(CostLine::stated(amount));
    } else if let Some(entry) = entry {
        let rates = Rates::new(entry, usage.input, context);
        let by_tokens = tokens::lines(usage, &rates, context, &mut lines);
        media::lines(usage, &rates, context, by_tokens, &mut lines);
        tools::lines(usage, &rates, context, &mut lines);
    }
    let unpriced = lines.is_empty() && !entry.is_some_and(ModelEntry::has_price);
    adjust(context, &mut lines);
    Cost { lines, unpriced }
}

/// Discount first, then margin.
fn adjust(context: &CostContext<'_>, lines: &mut Vec<CostLine>) {
    let sum = |lines: &[CostLine]| lines.iter().map(|line| line.amount).sum::<Usd>();
    if let Some(discount) = context.discount {
        let amount = Usd::ZERO - sum(lines).scaled(discount);
        lines.push(CostLine::adjustment(format!("discount of {discount} of the price"), amount));
    }
    if let Some(Margin { share, fixed }) = context.margin {
        let amount = sum(lines).scaled(share);
        if !amount.is_zero() {
            lines.push(CostLine::adjustment(format!("margin of {share} of the price"), amount));
        }
        if !fixed.is_zero() {
            lines.push(CostLine::adjustment("margin per request".to_owned(), fixed));
        }
    }
}

impl Margin {
    /// Reads LiteLLM's `cost_margin_config`: a share, and an amount per request.
    ///
    /// # Errors
    /// When one of the texts is not a number that can be held exactly.
    pub fn parse(share: &str, fixed: &str) -> Result<Self, BadAmount> {
        Ok(Self { share: Factor::parse(share)?, fixed: Usd::parse(fixed)? })
    }
}
