//! Which tokenizer stands for a model, and how well.

use crate::pattern;

/// One of OpenAI's encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// GPT-4o and later.
    O200k,
    /// GPT-3.5, GPT-4, embeddings.
    Cl100k,
}

/// Models that count alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    pub encoding: Encoding,
    /// The encoding is the models' own.
    pub exact: bool,
    /// Tokens of the model per hundred tokens of the encoding.
    pub percent: u64,
    pub tokenizer: &'static str,
    /// What an image counts, see [`super::image`].
    pub image: Image,
}

/// How a family counts images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// OpenAI: scaled to fit, then so much per picture and per tile of 512 × 512 pixels.
    Tiles { base: u64, tile: u64 },
    /// OpenAI: patches of 32 × 32 pixels, at most 1,536, times a factor in hundredths.
    Patches { percent: u64 },
    /// Anthropic: an area of 750 pixels a token, after scaling to 1,568 pixels at most.
    Area,
    /// Google: 258 tokens per tile of 768 × 768 pixels, once for small pictures.
    Crops,
}

const O200K: Family = Family {
    encoding: Encoding::O200k,
    exact: true,
    percent: 100,
    tokenizer: "o200k_base",
    image: Image::Tiles { base: 85, tile: 170 },
};

const CL100K: Family = Family { encoding: Encoding::Cl100k, tokenizer: "cl100k_base", ..O200K };

const fn estimate(tokenizer: &'static str, percent: u64, encoding: Encoding, image: Image) -> Family {
    Family { encoding, exact: false, percent, tokenizer, image }
}

const TILES: Image = Image::Tiles { base: 85, tile: 170 };

const OTHER: Family = estimate("o200k_base (estimate)", 105, Encoding::O200k, TILES);

/// Patterns for a model's name, in lower case and without the provider; the first that fits wins.
///
/// OpenAI's rows are tiktoken's own (`tiktoken/model.py`). How images count is from
/// <https://platform.openai.com/docs/guides/images-vision>.
///
/// The factors of the estimates, in percent of `o200k_base` (of `cl100k_base` for Llama 3 and Qwen, whose
/// vocabularies are made from it):
/// - Claude 120: English texts were measured at 116 %, formulas at 121 %, Python code at 130 %
///   (<https://venturebeat.com/ai/hidden-costs-in-ai-deployment-why-claude-models-may-be-20-30-more-expensive-than-gpt-in-enterprise-settings>);
///   so the error is about +4 % on prose and −8 % on code. From Opus 4.7 on Anthropic states that the same text takes up
///   to 35 % more tokens than before: 145.
/// - Gemini 100: Google gives 4 characters a token, as OpenAI does; prose is within ±10 %.
/// - Llama 3, Qwen 100: more tokens for Western languages only by their few missing merges; within ±5 % on English.
/// - Mistral, `DeepSeek`, Cohere, Grok and others 105: vocabularies of 100,000 to 150,000 tokens; within ±15 %.
const FAMILIES: &[(&[&str], Family)] = &[
    (&["gpt-4o-mini*"], Family { image: Image::Tiles { base: 2833, tile: 5667 }, ..O200K }),
    (&["gpt-4.1-mini*", "gpt-5-mini*"], Family { image: Image::Patches { percent: 162 }, ..O200K }),
    (&["gpt-4.1-nano*", "gpt-5-nano*"], Family { image: Image::Patches { percent: 246 }, ..O200K }),
    (&["o4-mini*"], Family { image: Image::Patches { percent: 172 }, ..O200K }),
    (&["gpt-5*"], Family { image: Image::Tiles { base: 70, tile: 140 }, ..O200K }),
    (&["o#", "o#-*"], Family { image: Image::Tiles { base: 75, tile: 150 }, ..O200K }),
    (&["computer-use-*"], Family { image: Image::Tiles { base: 65, tile: 129 }, ..O200K }),
    (&["gpt-4o*", "gpt-4.1*", "gpt-4.5-*", "chatgpt-4o-*", "gpt-oss-*", "ft:gpt-4o*", "ft:gpt-4.1*"], O200K),
    (
        &[
            "gpt-4",
            "gpt-4-*",
            "gpt-3.5*",
            "gpt-35-*",
            "ft:gpt-4*",
            "ft:gpt-3.5*",
            "text-embedding-ada-002",
            "text-embedding-3-*",
        ],
        CL100K,
    ),
    (&["gpt-#*"], estimate("o200k_base (estimate for a newer GPT)", 100, Encoding::O200k, TILES)),
    (
        &["*claude-opus-4-7*", "*claude-opus-4-8*", "*claude-*-5", "*claude-*-5-*", "*claude-*-5@*"],
        estimate("o200k_base (estimate for claude)", 145, Encoding::O200k, Image::Area),
    ),
    (&["*claude*"], estimate("o200k_base (estimate for claude)", 120, Encoding::O200k, Image::Area)),
    (
        &["*gemini*", "*gemma*"],
        estimate("o200k_base (estimate for gemini)", 100, Encoding::O200k, Image::Crops),
    ),
    (
        &["*llama-3*", "*llama3*", "*llama-4*"],
        estimate("cl100k_base (estimate for llama)", 100, Encoding::Cl100k, TILES),
    ),
    (&["*qwen*", "qwq*"], estimate("cl100k_base (estimate for qwen)", 100, Encoding::Cl100k, TILES)),
];

/// The family of a model; `model` may have a provider's prefix.
#[must_use]
pub fn of(model: &str) -> Family {
    let name = model.to_ascii_lowercase();
    let bare = name.rsplit('/').next().unwrap_or(&name);
    let dated_four = bare.contains("claude") && is_claude_four(bare);
    FAMILIES
        .iter()
        .filter(|(_, family)| !(dated_four && family.percent == 145))
        .find(|(patterns, _)| pattern::any(patterns, bare).is_some())
        .map_or(OTHER, |(_, family)| *family)
}

/// `claude-sonnet-4-5`: the 5 is a minor version.
fn is_claude_four(name: &str) -> bool {
    pattern::any(&["*claude-*-4-5*", "*claude-*-3-5*", "*claude-3-5-*"], name).is_some()
}
