//! What a call can cost at most, from what it says of its size.

use std::sync::{Arc, LazyLock};

use catalog::cost::{CallKind, Counts};
use catalog::{CostContext, NanoUsd};
use dialects::conversation::Usage;
use dialects::document::Document;
use dialects::service::Service;
use memchr::memmem::Finder;
use serde_json::Value;

use crate::operation::Operation;
use crate::pipeline::forward;
use crate::snapshot::Served;

/// The size of a call.
#[derive(Clone, Copy)]
pub(super) struct Extent<'d> {
    pub(super) operation: Operation,
    pub(super) document: &'d Document<'d>,
    /// Tokens of the input, or more.
    pub(super) input: u64,
}

/// Signs that a body is not text alone: what pictures, sound, hosted tools and writing to a provider's cache cost is not
/// in the request. To prepare a search takes longer than the search of a small body.
static BEYOND_TEXT: LazyLock<[Finder<'static>; 18]> = LazyLock::new(|| {
    [
        "\"image",
        "_image\"",
        "\"input_audio",
        "\"audio\"",
        "\"file",
        "_file\"",
        "\"document\"",
        "inlineData",
        "fileData",
        "web_search",
        "web_fetch",
        "googleSearch",
        "urlContext",
        "codeExecution",
        "code_interpreter",
        "code_execution",
        "\"mcp",
        "cache_control",
    ]
    .map(Finder::new)
});

/// Where that would be.
const BODIES: [&str; 6] = ["messages", "input", "contents", "tools", "system", "prompt"];

/// Fields with which a request brings in what is not in it, or asks for what is not text.
const FROM_ELSEWHERE: [&str; 8] = [
    "previous_response_id",
    "conversation",
    "cachedContent",
    "web_search_options",
    "audio",
    "container",
    "mcp_servers",
    "cache_control",
];

impl Extent<'_> {
    /// The most tokens that each answer may have, if the request says so.
    pub(super) fn declared(&self) -> Option<u64> {
        if self.operation == Operation::Forward(Service::Embeddings) {
            // Vectors have no tokens.
            return Some(0);
        }
        let fields = ["max_completion_tokens", "max_tokens", "max_output_tokens"];
        let most = fields.iter().filter_map(|name| number(self.document.get(name))).max();
        most.or_else(|| self.generation_config("maxOutputTokens"))
    }

    /// Whether the request's own size is all that decides about its cost.
    pub(super) fn is_bounded(&self) -> bool {
        let has = |name: &&str| self.document.get(name).is_some_and(|value| value != "null");
        let starts =
            |name: &str, with: char| self.document.get(name).is_some_and(|value| value.starts_with(with));
        let makes_media =
            self.document.get("generationConfig").is_some_and(|config| config.contains("Modalities"));
        // A prompt that is an object stands for one that the provider keeps.
        if makes_media || starts("prompt", '{') || FROM_ELSEWHERE.iter().any(has) {
            return false;
        }
        BODIES
            .iter()
            .filter_map(|name| self.document.get(name))
            .all(|body| !BEYOND_TEXT.iter().any(|word| word.find(body.as_bytes()).is_some()))
    }

    /// The most that the call can cost at a deployment, with so many tokens in each answer. `None` where something else
    /// is billed as well, or prices are unknown.
    pub(super) fn most(&self, served: &Served, output: u64) -> Option<NanoUsd> {
        let kind = match self.operation {
            Operation::Converse(_) => CallKind::Chat,
            Operation::Forward(service @ Service::Embeddings) => forward::call_kind(service),
            Operation::Forward(_) | Operation::CountTokens(_) => return None,
        };
        let usage = Usage {
            input: self.input,
            output: output.saturating_mul(self.answers(served)),
            ..Usage::default()
        };
        // The provider may serve it in the tier that was asked for, or in the usual one.
        let tiers = ["service_tier", "speed"].map(|name| self.text(served, name));
        let tiers = std::iter::once(None).chain(tiers.into_iter().flatten().map(Some));
        let costs = tiers.map(|tier| {
            let context = CostContext {
                call: kind,
                service_tier: tier.as_deref(),
                counts: Counts::default(),
                ..CostContext::default()
            };
            let cost = catalog::cost(&usage, served.prices.as_ref(), &context);
            (!cost.unpriced).then(|| cost.total())
        });
        costs.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// The same at the dearest of several.
    pub(super) fn most_among(&self, members: &[Arc<Served>], output: u64) -> Option<NanoUsd> {
        members.iter().map(|served| self.most(served, output)).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// How many answers are asked for.
    pub(super) fn answers(&self, served: &Served) -> u64 {
        let fields = ["n", "best_of"].into_iter();
        let own = fields.filter_map(|name| {
            number(self.document.get(name)).or_else(|| served.deployment.defaults.get(name)?.as_u64())
        });
        own.chain(self.generation_config("candidateCount")).max().unwrap_or(1).max(1)
    }

    fn text(&self, served: &Served, name: &str) -> Option<String> {
        let own = self.document.text(name).ok().flatten().map(std::borrow::Cow::into_owned);
        own.or_else(|| Some(served.deployment.defaults.get(name)?.as_str()?.to_owned()))
    }

    fn generation_config(&self, field: &str) -> Option<u64> {
        let config: Value = serde_json::from_str(self.document.get("generationConfig")?).ok()?;
        config.get(field)?.as_u64()
    }
}

fn number(text: Option<&str>) -> Option<u64> {
    text.and_then(|text| text.trim().parse().ok())
}
