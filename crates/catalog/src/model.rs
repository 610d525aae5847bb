//! What is known about a model: prices, limits, capabilities.

mod defaults;
mod lookup;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use dialects::exchange::ModelFacts;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::usd::Usd;

pub use lookup::{ImageQuery, ModelQuery, find_image_model, find_model};

/// One model's entry in the price map, with what the deployment's configuration overrides.
///
/// Field names are LiteLLM's (`input_cost_per_token`, `max_input_tokens`, `supports_vision`, …). Numbers are kept
/// as their digits.
#[derive(Clone, Debug)]
pub struct ModelEntry {
    /// Its name in the price map; for an entry made from the configuration alone, the deployment's.
    pub name: String,
    /// Where the entry comes from.
    pub origin: Origin,
    fields: BTreeMap<Box<str>, Field>,
    custom_priced: bool,
}

/// A field's JSON text, and the amount that it says: prices are asked for with every call.
#[derive(Clone, Debug)]
struct Field {
    text: Box<RawValue>,
    price: Option<Usd>,
}

impl From<Box<RawValue>> for Field {
    fn from(text: Box<RawValue>) -> Self {
        let price = Usd::parse(text.get()).ok();
        Self { text, price }
    }
}

/// See [`ModelEntry::origin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    PriceMap,
    /// The model is not in the price map; limits and capabilities follow from its family, prices are unknown.
    Family,
    /// Only the configuration says anything.
    Configuration,
}

/// A field of the configuration is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadField {
    pub field: String,
    pub why: String,
}

impl fmt::Display for BadField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.field, self.why)
    }
}

impl std::error::Error for BadField {}

impl ModelEntry {
    pub(crate) fn parse(name: &str, entry: &str) -> Result<Self, serde_json::Error> {
        let fields: BTreeMap<Box<str>, Box<RawValue>> = serde_json::from_str(entry)?;
        let fields = fields.into_iter().map(|(name, text)| (name, text.into())).collect();
        Ok(Self { name: name.to_owned(), origin: Origin::PriceMap, fields, custom_priced: false })
    }

    /// An entry that says nothing yet, to be filled with [`ModelEntry::with_overrides`].
    #[must_use]
    pub fn empty(name: impl Into<String>) -> Self {
        let fields = BTreeMap::new();
        Self { name: name.into(), origin: Origin::Configuration, fields, custom_priced: false }
    }

    /// Takes pricing keys, limits and capabilities from a deployment's `litellm_params` or `model_info`; other
    /// keys are left alone. Call it with `litellm_params` first and `model_info` second if the latter shall win.
    ///
    /// Numbers that were read as floats are taken at their shortest digits, which are the ones that were written
    /// when there were at most 15.
    ///
    /// # Errors
    /// When a price is negative or no number that can be held exactly.
    pub fn with_overrides(mut self, settings: &Map<String, Value>) -> Result<Self, BadField> {
        for (field, value) in settings {
            if value.is_null() || !(is_pricing_key(field) || is_fact_key(field)) {
                continue;
            }
            if is_pricing_key(field) {
                check_prices(field, value)?;
                self.custom_priced = true;
            }
            // YAML users quote numbers.
            let digits = value.as_str().filter(|text| Usd::parse(text).is_ok()).map(ToOwned::to_owned);
            let text = digits.unwrap_or_else(|| value.to_string());
            let raw = RawValue::from_string(text)
                .map_err(|error| BadField { field: field.clone(), why: error.to_string() })?;
            self.fields.insert(field.as_str().into(), raw.into());
        }
        Ok(self)
    }

    /// The user set a price for this deployment, which then outranks what a provider says a call cost.
    #[must_use]
    pub fn is_custom_priced(&self) -> bool {
        self.custom_priced
    }

    /// Any price is known; `false` is what `block_requests_for_models_without_pricing` refuses.
    #[must_use]
    pub fn has_price(&self) -> bool {
        self.fields.keys().any(|field| is_pricing_key(field))
    }

    /// A field as JSON text.
    #[must_use]
    pub fn raw(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(|field| field.text.get()).filter(|text| *text != "null")
    }

    /// A price, e.g. `input_cost_per_token`. An explicit 0 is a price.
    #[must_use]
    pub fn price(&self, field: &str) -> Option<Usd> {
        self.fields.get(field)?.price
    }

    #[must_use]
    pub fn text(&self, field: &str) -> Option<Cow<'_, str>> {
        let raw = self.raw(field)?;
        let plain = raw.strip_prefix('"')?.strip_suffix('"')?;
        if plain.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(plain.into()) }
    }

    #[must_use]
    pub fn flag(&self, field: &str) -> Option<bool> {
        match self.raw(field)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A whole number; one that is written as a float (`128000.0`) counts if it is whole.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<u64> {
        whole_number(self.raw(field)?)
    }

    /// `litellm_provider`: the price map's label, see [`crate::provider::row_of_label`].
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.raw("litellm_provider")?.strip_prefix('"')?.strip_suffix('"')
    }

    /// What the model is for: `chat`, `embedding`, `responses`, …
    #[must_use]
    pub fn mode(&self) -> Option<&str> {
        self.raw("mode")?.strip_prefix('"')?.strip_suffix('"')
    }

    pub(crate) fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(|field| &**field)
    }

    pub(crate) fn set_default(&mut self, field: &str, json: &str) {
        if !self.fields.contains_key(field)
            && let Ok(raw) = RawValue::from_string(json.to_owned())
        {
            self.fields.insert(field.into(), raw.into());
        }
    }

    /// What the dialects need to know.
    #[must_use]
    pub fn facts(&self) -> ModelFacts {
        ModelFacts {
            max_output_tokens: self.number("max_output_tokens").or_else(|| self.number("max_tokens")),
            max_input_tokens: self.number("max_input_tokens"),
            supports_reasoning: self.flag("supports_reasoning"),
            supports_function_calling: self.flag("supports_function_calling"),
            supports_parallel_function_calling: self.flag("supports_parallel_function_calling"),
            supports_tool_choice: self.flag("supports_tool_choice"),
            supports_response_schema: self.flag("supports_response_schema"),
            supports_system_messages: self.flag("supports_system_messages"),
            supports_vision: self.flag("supports_vision"),
            supports_pdf_input: self.flag("supports_pdf_input"),
            supports_audio_input: self.flag("supports_audio_input"),
            supports_prompt_caching: self.flag("supports_prompt_caching"),
            supports_web_search: self.flag("supports_web_search"),
            supports_none_reasoning_effort: self.flag("supports_none_reasoning_effort"),
            supports_minimal_reasoning_effort: self.flag("supports_minimal_reasoning_effort"),
            supports_xhigh_reasoning_effort: self.flag("supports_xhigh_reasoning_effort"),
            supports_max_reasoning_effort: self.flag("supports_max_reasoning_effort"),
            supports_adaptive_thinking: self.flag("supports_adaptive_thinking"),
        }
    }

    /// All fields, as LiteLLM's `/model/info` shows them: those that every entry has are null where unknown.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let mut out = Map::new();
        out.insert("key".to_owned(), self.name.as_str().into());
        for field in [
            "max_tokens",
            "max_input_tokens",
            "max_output_tokens",
            "input_cost_per_token",
            "output_cost_per_token",
            "litellm_provider",
            "mode",
        ] {
            out.insert(field.to_owned(), Value::Null);
        }
        for (field, Field { text, .. }) in &self.fields {
            let value = serde_json::from_str(text.get()).unwrap_or(Value::Null);
            out.insert(field.to_string(), value);
        }
        out
    }
}

/// Reads `128000`, `128000.0` or `1.28e5`.
pub(crate) fn whole_number(text: &str) -> Option<u64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let exact = Usd::parse(text).ok()?.to_string();
    exact.strip_suffix(".0")?.parse().ok()
}

/// Whether a key of `litellm_params` or `model_info` is a price.
#[must_use]
pub fn is_pricing_key(field: &str) -> bool {
    field.contains("_cost")
        || field.starts_with("cost_per_")
        || field.ends_with("_uplift_multiplier")
        || matches!(
            field,
            "tiered_pricing" | "off_peak_pricing" | "web_search_billing_unit" | "search_free_requests"
        )
}

fn is_fact_key(field: &str) -> bool {
    field.starts_with("supports_")
        || field.starts_with("max_")
        || field.starts_with("supported_")
        || matches!(field, "mode" | "litellm_provider" | "output_vector_size" | "provider_specific_entry")
}

/// Every number below a pricing key must be a price.
fn check_prices(field: &str, value: &Value) -> Result<(), BadField> {
    let bad = |why: String| BadField { field: field.to_owned(), why };
    let number = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) if field.contains("_cost") => text.clone(),
        Value::Array(values) => return values.iter().try_for_each(|value| check_prices(field, value)),
        Value::Object(map) => return map.values().try_for_each(|value| check_prices(field, value)),
        Value::String(_) | Value::Null | Value::Bool(_) => return Ok(()),
    };
    match Usd::parse(&number) {
        Ok(price) if price < Usd::ZERO => Err(bad(format!("a price cannot be negative: `{number}`"))),
        Ok(_) => Ok(()),
        Err(why) => Err(bad(format!("`{number}` is {why}"))),
    }
}
