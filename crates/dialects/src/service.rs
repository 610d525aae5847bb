//! Endpoints beside conversations that OpenAI-shaped providers share: embeddings, moderations, speech, transcriptions,
//! images; and rerank, whose shape is Cohere's. They are passed on, not translated: a request is edited where the
//! provider needs it, an answer is looked at for what it cost.

mod adapt;
mod answer;
mod form;

pub use adapt::adapt;
pub use answer::{Asked, Metered, asked, read_event, relay};
pub use form::{Form, boundary};

/// One of these endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// <https://platform.openai.com/docs/api-reference/embeddings>.
    Embeddings,
    /// <https://platform.openai.com/docs/api-reference/moderations>.
    Moderations,
    /// Text in, sound out: <https://platform.openai.com/docs/api-reference/audio/createSpeech>.
    Speech,
    /// A form with a sound in, its text out:
    /// <https://platform.openai.com/docs/api-reference/audio/createTranscription>.
    Transcriptions,
    /// As [`Service::Transcriptions`], the text in English.
    Translations,
    /// <https://docs.cohere.com/reference/rerank>; Jina's, vLLM's and Infinity's have the same fields.
    Rerank,
    /// <https://platform.openai.com/docs/api-reference/images/create>.
    Images,
}

impl Service {
    pub const ALL: [Self; 7] = [
        Self::Embeddings,
        Self::Moderations,
        Self::Speech,
        Self::Transcriptions,
        Self::Translations,
        Self::Rerank,
        Self::Images,
    ];

    /// OpenAI's path behind `/v1`.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Embeddings => "/embeddings",
            Self::Moderations => "/moderations",
            Self::Speech => "/audio/speech",
            Self::Transcriptions => "/audio/transcriptions",
            Self::Translations => "/audio/translations",
            Self::Rerank => "/rerank",
            Self::Images => "/images/generations",
        }
    }

    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.path() == path)
    }

    /// What it is called in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::Moderations => "moderations",
            Self::Speech => "speech",
            Self::Transcriptions => "transcriptions",
            Self::Translations => "translations",
            Self::Rerank => "rerank",
            Self::Images => "images",
        }
    }

    /// Whether requests are forms (`multipart/form-data`) instead of JSON.
    #[must_use]
    pub fn takes_form(self) -> bool {
        matches!(self, Self::Transcriptions | Self::Translations)
    }
}

#[cfg(test)]
mod tests;
