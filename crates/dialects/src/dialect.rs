use std::fmt;

use crate::codec::Codec;
use crate::{anthropic_messages, gemini, openai_chat, openai_completions, openai_responses};

/// One wire protocol for conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// OpenAI Chat Completions: `POST /v1/chat/completions`.
    OpenaiChat,
    /// OpenAI Responses: `POST /v1/responses`.
    OpenaiResponses,
    /// Anthropic Messages: `POST /v1/messages`.
    AnthropicMessages,
    /// Google Gemini: `POST /v1beta/models/{model}:generateContent`, also on Vertex AI.
    Gemini,
    /// OpenAI Completions, the legacy text protocol: `POST /v1/completions`.
    OpenaiCompletions,
}

impl Dialect {
    pub const ALL: [Self; 5] = [
        Self::OpenaiChat,
        Self::OpenaiResponses,
        Self::AnthropicMessages,
        Self::Gemini,
        Self::OpenaiCompletions,
    ];

    /// The name in data files, traces and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::OpenaiResponses => "openai_responses",
            Self::AnthropicMessages => "anthropic_messages",
            Self::Gemini => "gemini",
            Self::OpenaiCompletions => "openai_completions",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }

    /// The module that reads and writes it.
    #[must_use]
    pub fn codec(self) -> &'static Codec {
        match self {
            Self::OpenaiChat => &openai_chat::CODEC,
            Self::OpenaiResponses => &openai_responses::CODEC,
            Self::AnthropicMessages => &anthropic_messages::CODEC,
            Self::Gemini => &gemini::CODEC,
            Self::OpenaiCompletions => &openai_completions::CODEC,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
