use dialects::Dialect;
use dialects::quirk::Quirk;

use super::Rule;

/// What a provider can be asked for, one route each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndpointKind {
    Chat,
    Completions,
    Responses,
    Messages,
    CountTokens,
    Embeddings,
    Images,
    ImageEdits,
    ImageVariations,
    Transcription,
    Speech,
    Realtime,
    Video,
    Rerank,
    Moderation,
    Ocr,
    Search,
    Files,
    Batches,
    FineTuning,
    VectorStores,
    Containers,
    Skills,
    Decisions,
    Interactions,
    A2a,
    Sandbox,
    OcrDocuments,
    PassThrough,
}

impl EndpointKind {
    /// The name in data files and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::Embeddings => "embeddings",
            Self::Images => "images",
            Self::ImageEdits => "image_edits",
            Self::ImageVariations => "image_variations",
            Self::Transcription => "transcription",
            Self::Speech => "speech",
            Self::Realtime => "realtime",
            Self::Video => "video",
            Self::Rerank => "rerank",
            Self::Moderation => "moderation",
            Self::Ocr => "ocr",
            Self::Search => "search",
            Self::Files => "files",
            Self::Batches => "batches",
            Self::FineTuning => "fine_tuning",
            Self::VectorStores => "vector_stores",
            Self::Containers => "containers",
            Self::Skills => "skills",
            Self::Decisions => "decisions",
            Self::Interactions => "interactions",
            Self::A2a => "a2a",
            Self::Sandbox => "sandbox",
            Self::OcrDocuments => "ocr_documents",
            Self::PassThrough => "pass_through",
        }
    }
}

/// How a stream's frames are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As the dialect says.
    OfDialect,
    /// In frames of `application/vnd.amazon.eventstream`, whose payloads are the dialect's stream.
    AwsEventStream,
}

/// One route of a provider.
#[derive(Debug)]
pub struct Endpoint {
    pub kind: EndpointKind,
    /// The wire protocol, e.g. `openai_chat`, `cohere_rerank`.
    pub dialect: &'static str,
    /// Behind the base, or a whole URL. Parts in braces are filled from [`super::UrlParams`]: `{model}`
    /// percent-encodes all but letters, digits and `-._~`; `{:model}` also leaves colons, `{+model}` all that
    /// may stand in a path.
    pub path: &'static str,
    /// The path for streams, where it is another one.
    pub stream: Option<&'static str>,
    pub method: &'static str,
    pub websocket: bool,
    pub framing: Framing,
    /// Of endpoints other than the row's chat endpoint, whose rules are the row's.
    pub(super) rules: &'static [Rule],
}

impl Endpoint {
    /// How it departs from its dialect, where it is not the chat endpoint: see [`super::Provider::quirks`] for that.
    #[must_use]
    pub fn quirks(&self) -> Vec<Quirk> {
        self.rules.iter().filter_map(Rule::quirk).collect()
    }

    /// The dialect, where it is one of conversations that the `dialects` crate speaks.
    #[must_use]
    pub fn conversation(&self) -> Option<Dialect> {
        Dialect::from_name(self.dialect)
    }
}
