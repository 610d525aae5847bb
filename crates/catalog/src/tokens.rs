//! How many tokens a text or a request has.
//!
//! OpenAI's encodings are exact: `o200k_base` and `cl100k_base` with the pre-tokenizers of tiktoken. For models of
//! other makers, whose tokenizers are not public or need a file of their own, the count is an estimate (see
//! [`family`] for how good) and says so.
//!
//! Costs nothing until used and little then: the vocabularies are read-only tables in the binary (3.3 MB and
//! 1.6 MB), of which only the touched pages are loaded.

mod bpe;
pub mod family;
mod hash;
pub mod image;
mod pretokenize;
mod request;
mod unicode;
mod vocabulary;

use dialects::conversation::Request;

use family::{Encoding, Family};

/// A number of tokens, and how it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCount {
    pub tokens: u64,
    /// The provider counts the same.
    pub exact: bool,
    /// What counted: `o200k_base`, `cl100k_base`; for estimates, `o200k_base (estimate for claude)` and the like.
    pub tokenizer: &'static str,
}

/// Counts the tokens of a plain text for a model. `model` may have a provider's prefix.
#[must_use]
pub fn count_text(model: &str, text: &str) -> TokenCount {
    let family = family::of(model);
    TokenCount {
        tokens: family.scaled(family.encoding.count(text)),
        exact: family.exact,
        tokenizer: family.tokenizer,
    }
}

/// Counts the tokens that a request will be billed as input: messages, tools, images.
///
/// Exact for OpenAI's models when the request holds plain text messages only; tools and images follow OpenAI's
/// published rules, but their exactness is not promised by OpenAI.
#[must_use]
pub fn count(model: &str, request: &Request) -> TokenCount {
    let family = family::of(model);
    let counted = request::count(&family, request);
    TokenCount { tokens: counted.tokens, exact: family.exact && counted.exact, tokenizer: family.tokenizer }
}

impl Encoding {
    fn count(self, text: &str) -> u64 {
        let vocabulary = match self {
            Self::O200k => &vocabulary::O200K_BASE,
            Self::Cl100k => &vocabulary::CL100K_BASE,
        };
        let mut counter = bpe::Counter::default();
        pretokenize::pieces(self, text).map(|piece| counter.count(vocabulary, piece.as_bytes())).sum()
    }
}

impl Family {
    fn text(&self, text: &str) -> u64 {
        if text.is_empty() { 0 } else { self.scaled(self.encoding.count(text)) }
    }

    fn scaled(&self, tokens: u64) -> u64 {
        if self.percent == 100 { tokens } else { tokens.saturating_mul(self.percent).div_ceil(100) }
    }
}
