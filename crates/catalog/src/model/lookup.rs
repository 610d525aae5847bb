//! Finding a model in the price map by the many names it goes by.

use std::borrow::Cow;

use super::{ModelEntry, Origin, defaults};
use crate::prices::{self, PriceMap};
use crate::provider::{find, row_of_label, split_model};

/// What a look-up may go by.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelQuery<'a> {
    /// A provider row's id, if known.
    pub provider: Option<&'a str>,
    /// The provider's name of the model, with or without the provider's prefix.
    pub model: &'a str,
    /// `model_info.base_model`: the model behind a name of the user's choice. Outranks `model`.
    pub base_model: Option<&'a str>,
    /// Where the model runs, for providers with regional prices (Bedrock, Azure).
    pub region: Option<&'a str>,
}

/// Looks a model up in the embedded price map, see [`PriceMap::find`].
#[must_use]
pub fn find_model(provider: &str, model: &str) -> Option<ModelEntry> {
    prices::embedded().find(&ModelQuery { provider: Some(provider), model, ..ModelQuery::default() })
}

impl PriceMap {
    /// Looks a model up: `base_model` before `model`; each in its region, with the provider's prefix, as it is,
    /// without routing words and geographies. An entry of another provider is never taken, except that a
    /// `base_model` may name the model it stands for with that one's own prefix. For unknown models of a known
    /// family (Claude, OpenAI's reasoning models, Gemini) limits and capabilities are derived; prices are not.
    #[must_use]
    pub fn find(&self, query: &ModelQuery<'_>) -> Option<ModelEntry> {
        let base = query.base_model.and_then(|base| self.named(query, base).or_else(|| self.entry(base)));
        let names = || [query.base_model, Some(query.model)].into_iter().flatten();
        base.or_else(|| self.named(query, query.model))
            .or_else(|| names().find_map(|model| defaults::of_family(query.provider, model)))
    }

    fn named(&self, query: &ModelQuery<'_>, model: &str) -> Option<ModelEntry> {
        let Some(provider) = query.provider else {
            return self.entry(model).or_else(|| {
                let (row, rest) = split_model(model, None, None).ok()?;
                self.named(&ModelQuery { provider: Some(row.id), ..*query }, rest)
            });
        };
        let bare = model.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/')).unwrap_or(model);
        let alias_of = find(provider).and_then(|row| row.alias_of);
        candidates(bare).into_iter().find_map(|name| {
            [Some(provider), alias_of].into_iter().flatten().find_map(|id| {
                let regional = query.region.and_then(|region| self.entry(&format!("{id}/{region}/{name}")));
                regional
                    .or_else(|| self.entry(&format!("{id}/{name}")))
                    .or_else(|| self.entry(&name).filter(|entry| belongs(entry, id)))
            })
        })
    }
}

/// The entry is this provider's own, or stands in the map under another row for the same vendor's API: an alias,
/// or its text completions (`text-completion-openai`).
fn belongs(entry: &ModelEntry, provider: &str) -> bool {
    let Some(row) = entry.provider().and_then(row_of_label) else { return false };
    let root = |id| find(id).and_then(|row| row.alias_of.or(Some(row.id)));
    root(row.id) == root(provider)
        || row.id.strip_prefix("text-completion-") == Some(provider)
        || (provider == "text-completion-openai" && row.id == "openai")
        || (provider == "custom_openai" && row.id == "openai")
}

/// Words at the beginning of a model's name that only choose a route.
const ROUTES: [&str; 10] = [
    "converse/",
    "invoke/",
    "converse_like/",
    "chat_completions/",
    "responses/",
    "o_series/",
    "gpt5_series/",
    "gemini/",
    "v1/",
    "v2/",
];

/// Of Bedrock's cross-region profiles: `us.anthropic.claude-…`.
const GEOGRAPHIES: [&str; 9] = ["us", "eu", "apac", "au", "ca", "jp", "in", "global", "us-gov"];

/// The names a model may have in the map, the most specific first.
fn candidates(model: &str) -> Vec<Cow<'_, str>> {
    let mut names = vec![Cow::Borrowed(model)];
    let mut bare = model;
    while let Some(rest) = ROUTES.iter().find_map(|route| bare.strip_prefix(route)) {
        names.push(Cow::Borrowed(rest));
        bare = rest;
    }
    if let Some((geography, rest)) = bare.split_once('.')
        && GEOGRAPHIES.contains(&geography)
    {
        names.push(Cow::Borrowed(rest));
    }
    // A region as path segment: `us-east-1/anthropic.claude-…`.
    if let Some((region, rest)) = bare.split_once('/')
        && region.contains('-')
        && region.ends_with(|last: char| last.is_ascii_digit())
    {
        names.push(Cow::Borrowed(rest));
    }
    // A version on Vertex AI: `claude-opus-4@20250514`.
    if let Some((name, _)) = bare.split_once('@') {
        names.push(Cow::Borrowed(name));
    }
    // Fine-tuned at OpenAI: `ft:gpt-4o-2024-08-06:org:name:id`.
    if let Some((base, _)) = bare.strip_prefix("ft:").and_then(|rest| rest.split_once(':')) {
        names.push(Cow::Owned(format!("ft:{base}")));
    } else if let Some((name, _)) = bare.rsplit_once(':') {
        // A size or tag: `llama3.1:8b`, `…:free`.
        names.push(Cow::Borrowed(name));
    }
    names
}

/// An image whose price depends on its making.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageQuery<'a> {
    /// `1024x1024`.
    pub size: Option<&'a str>,
    /// `low`, `medium`, `high`, `standard`, `hd`.
    pub quality: Option<&'a str>,
    pub steps: Option<u64>,
}

/// Looks an image model up by quality and size (`high/1024-x-1536/gpt-image-1.5`), then by size, then alone.
#[must_use]
pub fn find_image_model(
    prices: &PriceMap,
    query: &ModelQuery<'_>,
    image: &ImageQuery<'_>,
) -> Option<ModelEntry> {
    let model = query.base_model.unwrap_or(query.model);
    let size = image.size.map(|size| size.replace('x', "-x-"));
    let names = size.iter().flat_map(|size| {
        let quality = image.quality.map(|quality| format!("{quality}/{size}/{model}"));
        let steps = image.steps.map(|steps| format!("{size}/{steps}-steps/{model}"));
        quality.into_iter().chain(steps).chain([format!("{size}/{model}")])
    });
    let of_map = |name: String| {
        let found = prices.find(&ModelQuery { model: &name, base_model: None, ..*query });
        found.filter(|entry| entry.origin == Origin::PriceMap)
    };
    names.into_iter().find_map(of_map).or_else(|| prices.find(query))
}
