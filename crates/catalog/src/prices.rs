//! The price map: `data/model_prices.json`, or a newer one read at run time.
//!
//! The embedded map is never parsed as a whole: the build script has written down where each entry stands, sorted
//! by name, so that a look-up is a binary search and the parsing of one entry.

mod index;

use std::borrow::Cow;
use std::fmt;

use index::{Place, folded_order, places};
use serde::Deserialize;

use crate::model::ModelEntry;

include!(concat!(env!("OUT_DIR"), "/price_index.rs"));

static TEXT: &str = include_str!("../data/model_prices.json");
static EMBEDDED: PriceMap = PriceMap { text: Cow::Borrowed(TEXT), places: Cow::Borrowed(&PLACES) };

/// Models with their prices and capabilities, by name.
pub struct PriceMap {
    text: Cow<'static, str>,
    places: Cow<'static, [Place]>,
}

/// Tells the list that this build carries from those of others: 16 hexadecimal digits, of its content alone.
#[must_use]
pub fn embedded_version() -> &'static str {
    VERSION
}

/// The map that this build carries.
#[must_use]
pub fn embedded() -> &'static PriceMap {
    &EMBEDDED
}

/// A text is not a price map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPriceMap(String);

impl fmt::Display for BadPriceMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a price map: {}", self.0)
    }
}

impl std::error::Error for BadPriceMap {}

impl fmt::Debug for PriceMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriceMap").field("models", &self.len()).finish_non_exhaustive()
    }
}

impl PriceMap {
    /// Reads a map fetched at run time: one JSON object, names to entries.
    ///
    /// # Errors
    /// When the text is no such object.
    pub fn parse(text: String) -> Result<Self, BadPriceMap> {
        let places = places(&text).map_err(BadPriceMap)?;
        Ok(Self { text: Cow::Owned(text), places: Cow::Owned(places) })
    }

    /// The whole map as JSON.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The entry of exactly this name; where there is none, of the name in other letter case.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<ModelEntry> {
        let start = self.places.partition_point(|place| folded_order(place.name(&self.text), name).is_lt());
        let alike = self.places.get(start..)?;
        let alike = alike.iter().take_while(|place| folded_order(place.name(&self.text), name).is_eq());
        let exact = alike.clone().find(|place| place.name(&self.text) == name);
        let place = exact.or_else(|| alike.clone().next())?;
        ModelEntry::parse(place.name(&self.text), place.entry(&self.text)).ok()
    }

    /// All names, sorted without regard to letter case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(|place| place.name(&self.text))
    }

    /// The names of a provider's models as clients write them, with the provider's prefix; for wildcards such as
    /// `anthropic/*` in model lists. `provider` is a row's id.
    #[must_use]
    pub fn models_of(&self, provider: &str) -> Vec<String> {
        let Some(row) = crate::provider::find(provider) else { return Vec::new() };
        let belongs = |label: &str| crate::provider::row_of_label(label).is_some_and(|it| it.id == row.id);
        let mut names: Vec<&str> = if matches!(self.text, Cow::Borrowed(_)) {
            let numbers =
                BY_PROVIDER.iter().filter(|(label, _)| belongs(label)).flat_map(|(_, numbers)| *numbers);
            numbers
                .filter_map(|number| self.places.get(usize::from(*number)))
                .map(|p| p.name(&self.text))
                .collect()
        } else {
            let of_row = |place: &&Place| {
                let label = serde_json::from_str::<Label<'_>>(place.entry(&self.text)).ok();
                label.is_some_and(|label| belongs(&label.litellm_provider))
            };
            self.places.iter().filter(of_row).map(|place| place.name(&self.text)).collect()
        };
        names.sort_unstable();
        let prefix = format!("{provider}/");
        let with_prefix = |name: &str| {
            if name.starts_with(&prefix) { name.to_owned() } else { format!("{prefix}{name}") }
        };
        names.into_iter().map(with_prefix).collect()
    }
}

#[derive(Deserialize)]
struct Label<'a> {
    #[serde(borrow)]
    litellm_provider: Cow<'a, str>,
}
