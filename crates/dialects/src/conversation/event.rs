use super::{Citation, Extra, Part, StopReason, TokenLogprob, ToolCallKind, Usage};
use crate::ProviderError;

/// One step of a streamed answer.
///
/// Order, which every reader keeps and every writer may rely on: `Start` first and once; then, per choice,
/// parts one after the other as `PartStart`, any number of `Delta`s, `PartStop` (readers of dialects without
/// such marks put them in; parallel tool calls whose deltas interleave are the one exception: several parts
/// of a choice are then open at once); `Finish` once per choice, after its parts; `Usage` any number of times, each
/// replacing the one before; `End` last. After `Error` nothing follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Start {
        id: Option<String>,
        model: Option<String>,
        created: Option<u64>,
        extra: Extra,
    },
    PartStart {
        choice: u32,
        /// Counts the parts of the choice from 0.
        part: u32,
        start: PartStart,
    },
    Delta {
        choice: u32,
        part: u32,
        delta: Delta,
    },
    PartStop {
        choice: u32,
        part: u32,
    },
    Logprobs {
        choice: u32,
        tokens: Vec<TokenLogprob>,
    },
    Finish {
        choice: u32,
        reason: StopReason,
    },
    Usage(Usage),
    /// The provider broke off, and says why.
    Error(ProviderError),
    End,
}

/// What kind of part begins.
#[derive(Clone, Debug, PartialEq)]
pub enum PartStart {
    Text,
    Refusal,
    Reasoning {
        id: Option<String>,
    },
    ToolCall {
        id: String,
        name: String,
        kind: ToolCallKind,
        extra: Extra,
    },
    Audio {
        id: Option<String>,
    },
    /// A part that comes in one piece: images, opaque parts, redacted reasoning. No deltas follow.
    Whole(Part),
}

/// More of a part.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// Of [`PartStart::Text`] and [`PartStart::Refusal`].
    Text(String),
    /// Of [`PartStart::Reasoning`]: the thinking itself.
    Thinking(String),
    /// Of [`PartStart::Reasoning`]: text of the summary's paragraph `index`.
    Summary {
        index: u32,
        text: String,
    },
    /// Seals a text, reasoning or tool call part; comes whole, and before the arguments of a tool call where the
    /// provider lets us choose.
    Seal(super::Seal),
    /// Of [`PartStart::ToolCall`]: the next piece of the arguments' JSON text, or of a custom tool's input.
    Arguments(String),
    /// Of [`PartStart::Text`].
    Citation(Citation),
    /// Of [`PartStart::Audio`]: base64.
    AudioData(String),
    AudioTranscript(String),
}
