//! Which provider a model string names.

use std::fmt;

use super::{Provider, all, find};
use crate::{pattern, prices};

/// No provider could be told from a model string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownProvider {
    pub model: String,
    /// The nearest string that would do.
    pub suggestion: Option<String>,
}

impl fmt::Display for UnknownProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model `{}` names no known provider; ", self.model)?;
        match &self.suggestion {
            Some(nearest) => write!(f, "nearest: `{nearest}`"),
            None => write!(
                f,
                "write `<provider>/{0}`, or `openai/{0}` with `api_base` for a server that speaks OpenAI's API",
                self.model
            ),
        }
    }
}

impl std::error::Error for UnknownProvider {}

/// Names without a prefix whose maker is known by their form, for models younger than the price map.
const FAMILIES: [(&str, &str); 21] = [
    ("claude-*", "anthropic"),
    ("anthropic.claude-*", "bedrock"),
    ("*.anthropic.claude-*", "bedrock"),
    ("gemini-*", "vertex_ai"),
    ("gpt-*", "openai"),
    ("chatgpt-*", "openai"),
    ("o#", "openai"),
    ("o#-*", "openai"),
    ("ft:*", "openai"),
    ("codex-*", "openai"),
    ("computer-use-*", "openai"),
    ("text-embedding-3-*", "openai"),
    ("text-embedding-ada-*", "openai"),
    ("omni-moderation-*", "openai"),
    ("text-moderation-*", "openai"),
    ("dall-e-*", "openai"),
    ("whisper-*", "openai"),
    ("tts-*", "openai"),
    ("sora-*", "openai"),
    ("command-*", "cohere_chat"),
    ("rerank-*", "cohere"),
];

/// Splits a model string such as `groq/llama-3.1-8b` into the provider's row and the provider's name of the
/// model.
///
/// In this order: `custom_llm_provider` if given; the prefix; a known server in `api_base`; the price map; the
/// form of the name. `openai/<anything>` with `api_base` is any server that speaks OpenAI's API.
///
/// # Errors
/// When none of them tells the provider.
pub fn split_model<'a>(
    model: &'a str,
    custom_llm_provider: Option<&str>,
    api_base: Option<&str>,
) -> Result<(&'static Provider, &'a str), UnknownProvider> {
    let prefix = model.split_once('/');
    if let Some(name) = custom_llm_provider {
        let provider = find(name).ok_or_else(|| UnknownProvider {
            model: model.to_owned(),
            suggestion: nearest(name).map(|id| format!("custom_llm_provider: {id}")),
        })?;
        let rest = prefix.filter(|(id, _)| *id == name).map_or(model, |(_, rest)| rest);
        return Ok((provider, rest));
    }
    if let Some((id, rest)) = prefix
        && let Some(provider) = find(id)
    {
        return Ok((provider, rest));
    }
    let by_server = || api_base.and_then(row_of_server);
    let by_price_map = || prices::embedded().entry(model).and_then(|entry| row_of_label(entry.provider()?));
    let by_form = || {
        // A deployment for every model that a client may name is one of OpenAI's, as LiteLLM has it.
        let every = (model == "*").then_some("openai");
        let family = || FAMILIES.iter().find(|(form, _)| pattern::matches(form, model)).map(|(_, id)| *id);
        every.or_else(family).and_then(find)
    };
    by_server().or_else(by_price_map).or_else(by_form).map(|provider| (provider, model)).ok_or_else(|| {
        UnknownProvider {
            model: model.to_owned(),
            suggestion: prefix.and_then(|(id, rest)| Some(format!("{}/{rest}", nearest(id)?))),
        }
    })
}

/// The row that a `litellm_provider` of the price map belongs to: `vertex_ai-language-models` is `vertex_ai`.
#[must_use]
pub fn row_of_label(label: &str) -> Option<&'static Provider> {
    let mut name = label;
    loop {
        if let Some(row) = find(name) {
            return Some(row);
        }
        name = name.get(..name.rfind(['-', '_'])?)?;
    }
}

/// The row whose own server `api_base` names.
fn row_of_server(api_base: &str) -> Option<&'static Provider> {
    let host = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.split(['/', '?', ':']).next().map(str::to_ascii_lowercase)
    };
    let wanted = host(api_base).filter(|name| name.contains('.') && !name.starts_with("127."))?;
    let serves = |row: &&Provider| {
        row.alias_of.is_none()
            && row.endpoint(super::EndpointKind::Chat).is_some()
            && row.base_url.and_then(host).as_ref() == Some(&wanted)
    };
    all().iter().find(serves)
}

/// The id most like `name`, if one is near enough to be meant.
fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let near = all().iter().map(|row| (distance(&name, &row.id.replace('-', "_")), row.id)).min()?;
    (near.0 <= 1 + name.len() / 4).then_some(near.1)
}

/// Levenshtein distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (above, x) in a.bytes().enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        for (cell, y) in row.iter_mut().zip(std::iter::once(None).chain(b.bytes().map(Some))) {
            let Some(y) = y else {
                *cell = left;
                continue;
            };
            let value = (diagonal + usize::from(x != y)).min(*cell + 1).min(left + 1);
            diagonal = std::mem::replace(cell, value);
            left = value;
        }
    }
    row.last().copied().unwrap_or_default()
}
