//! Which endpoint a path names.

use std::borrow::Cow;

use dialects::Dialect;
use dialects::service::Service;
use percent_encoding::percent_decode_str;

/// What a client wants done. Each runs through the same pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A conversation, in the client's dialect.
    Converse(Dialect),
    /// How many tokens a conversation has.
    CountTokens(Dialect),
    /// What needs no conversation model: it is passed on to a provider that has the same endpoint.
    Forward(Service),
}

impl Operation {
    pub const ALL: [Self; 14] = [
        Self::Converse(Dialect::OpenaiChat),
        Self::Converse(Dialect::OpenaiResponses),
        Self::Converse(Dialect::AnthropicMessages),
        Self::Converse(Dialect::Gemini),
        Self::Converse(Dialect::OpenaiCompletions),
        Self::CountTokens(Dialect::AnthropicMessages),
        Self::CountTokens(Dialect::Gemini),
        Self::Forward(Service::Embeddings),
        Self::Forward(Service::Moderations),
        Self::Forward(Service::Speech),
        Self::Forward(Service::Transcriptions),
        Self::Forward(Service::Translations),
        Self::Forward(Service::Rerank),
        Self::Forward(Service::Images),
    ];

    /// LiteLLM's `call_type`, in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Converse(Dialect::OpenaiChat) => "acompletion",
            Self::Converse(Dialect::OpenaiResponses) => "aresponses",
            Self::Converse(Dialect::AnthropicMessages) => "anthropic_messages",
            Self::Converse(Dialect::Gemini) => "agenerate_content",
            Self::Converse(Dialect::OpenaiCompletions) => "atext_completion",
            Self::CountTokens(_) => "acount_tokens",
            Self::Forward(Service::Embeddings) => "aembedding",
            Self::Forward(Service::Moderations) => "amoderation",
            Self::Forward(Service::Speech) => "aspeech",
            Self::Forward(Service::Transcriptions | Service::Translations) => "atranscription",
            Self::Forward(Service::Rerank) => "arerank",
            Self::Forward(Service::Images) => "aimage_generation",
        }
    }

    /// Whether its answers can be given again.
    #[must_use]
    pub fn is_cacheable(self) -> bool {
        match self {
            Self::Converse(_) => true,
            Self::Forward(service) => matches!(
                service,
                Service::Embeddings | Service::Transcriptions | Service::Translations | Service::Rerank
            ),
            Self::CountTokens(_) => false,
        }
    }

    /// Whose clients call it: the dialect of its errors.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Converse(dialect) | Self::CountTokens(dialect) => dialect,
            Self::Forward(_) => Dialect::OpenaiChat,
        }
    }
}

/// A path that names an operation, and what else it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint<'a> {
    pub operation: Operation,
    /// The model, where it is part of the path.
    pub model: Option<Cow<'a, str>>,
    /// Whether to stream, where the path says so.
    pub stream: Option<bool>,
}

impl<'a> Endpoint<'a> {
    pub(crate) const fn new(operation: Operation) -> Self {
        Self { operation, model: None, stream: None }
    }

    /// The operation that `path` names; `None` if it is not one of the pipeline's.
    #[must_use]
    pub fn of(path: &'a str) -> Option<Self> {
        let bare = path.strip_prefix("/openai").filter(|rest| rest.starts_with("/v1/")).unwrap_or(path);
        let bare = bare.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(bare);
        match bare {
            "/chat/completions" => return Some(Self::new(Operation::Converse(Dialect::OpenaiChat))),
            "/responses" => return Some(Self::new(Operation::Converse(Dialect::OpenaiResponses))),
            "/messages" => return Some(Self::new(Operation::Converse(Dialect::AnthropicMessages))),
            "/messages/count_tokens" => {
                return Some(Self::new(Operation::CountTokens(Dialect::AnthropicMessages)));
            }
            "/completions" => return Some(Self::new(Operation::Converse(Dialect::OpenaiCompletions))),
            // Jina's and Cohere's clients.
            "/v2/rerank" => return Some(Self::new(Operation::Forward(Service::Rerank))),
            _ => {}
        }
        if let Some(service) = Service::of_path(bare) {
            return Some(Self::new(Operation::Forward(service)));
        }
        Self::of_deployment_path(path).or_else(|| Self::of_google_path(path))
    }

    /// Azure's and the oldest OpenAI paths name the model.
    fn of_deployment_path(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/openai/deployments/").or_else(|| path.strip_prefix("/engines/"))?;
        let (model, operation) = match rest.strip_suffix("/completions") {
            Some(model) => match model.strip_suffix("/chat") {
                Some(model) => (model, Operation::Converse(Dialect::OpenaiChat)),
                None => (model, Operation::Converse(Dialect::OpenaiCompletions)),
            },
            None => Service::ALL.into_iter().find_map(|service| {
                Some((rest.strip_suffix(service.path())?, Operation::Forward(service)))
            })?,
        };
        Some(Self { model: Some(decoded(model)?), ..Self::new(operation) })
    }

    fn of_google_path(path: &'a str) -> Option<Self> {
        let rest = ["/v1beta/models/", "/v1/models/", "/models/"]
            .iter()
            .find_map(|prefix| path.strip_prefix(prefix))?;
        let (model, method) = rest.rsplit_once(':')?;
        let (operation, stream) = match method {
            "generateContent" => (Operation::Converse(Dialect::Gemini), Some(false)),
            "streamGenerateContent" => (Operation::Converse(Dialect::Gemini), Some(true)),
            "countTokens" => (Operation::CountTokens(Dialect::Gemini), None),
            _ => return None,
        };
        Some(Self { operation, model: Some(decoded(model)?), stream })
    }
}

fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(segment).decode_utf8().ok().filter(|model| !model.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_is_understood() {
        let chat = Operation::Converse(Dialect::OpenaiChat);
        let gemini = Operation::Converse(Dialect::Gemini);
        for (path, operation, model, stream) in [
            ("/v1/chat/completions", chat, None, None),
            ("/chat/completions", chat, None, None),
            ("/engines/gpt-4o/chat/completions", chat, Some("gpt-4o"), None),
            ("/openai/deployments/a/b/chat/completions", chat, Some("a/b"), None),
            ("/v1/completions", Operation::Converse(Dialect::OpenaiCompletions), None, None),
            ("/completions", Operation::Converse(Dialect::OpenaiCompletions), None, None),
            (
                "/engines/davinci-002/completions",
                Operation::Converse(Dialect::OpenaiCompletions),
                Some("davinci-002"),
                None,
            ),
            ("/v1/embeddings", Operation::Forward(Service::Embeddings), None, None),
            ("/engines/a/embeddings", Operation::Forward(Service::Embeddings), Some("a"), None),
            (
                "/openai/deployments/a/audio/transcriptions",
                Operation::Forward(Service::Transcriptions),
                Some("a"),
                None,
            ),
            ("/rerank", Operation::Forward(Service::Rerank), None, None),
            ("/v1/rerank", Operation::Forward(Service::Rerank), None, None),
            ("/v2/rerank", Operation::Forward(Service::Rerank), None, None),
            ("/v1/images/generations", Operation::Forward(Service::Images), None, None),
            ("/openai/v1/responses", Operation::Converse(Dialect::OpenaiResponses), None, None),
            ("/v1/messages", Operation::Converse(Dialect::AnthropicMessages), None, None),
            ("/v1/messages/count_tokens", Operation::CountTokens(Dialect::AnthropicMessages), None, None),
            ("/v1beta/models/gemini-2.5-pro:generateContent", gemini, Some("gemini-2.5-pro"), Some(false)),
            ("/models/x%2Fy:streamGenerateContent", gemini, Some("x/y"), Some(true)),
            ("/v1beta/models/ft:a:countTokens", Operation::CountTokens(Dialect::Gemini), Some("ft:a"), None),
        ] {
            let endpoint = Endpoint::of(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(
                (endpoint.operation, endpoint.model.as_deref(), endpoint.stream),
                (operation, model, stream),
                "{path}"
            );
        }
        for path in
            ["/", "/v1/models", "/v1/models/gpt-4o", "/v1chat/completions", "/v1beta/models/:generateContent"]
        {
            assert_eq!(Endpoint::of(path), None, "{path}");
        }
    }
}
