/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Public,
    /// Any valid key.
    Key,
    /// The master key, or the key of an administrator.
    Operator,
}

/// One route, as the documentation shows it. `GET /routes`, `/openapi.json` and `/docs` are made from this table, and
/// a test holds it against the server.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    /// Other paths that do the same.
    pub aliases: &'static [&'static str],
    pub access: Access,
    pub tag: &'static str,
    pub summary: &'static str,
    /// The body: a schema's name in the vendor's own specification, or the fields.
    pub body: Option<&'static str>,
}

impl Route {
    /// Whether a request's path is this route's, or one of its other paths.
    #[must_use]
    pub fn is_at(&self, path: &str) -> bool {
        let fits = |pattern: &str| {
            let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
            loop {
                match (wanted.next(), given.next()) {
                    (None, None) => return true,
                    (Some(name), Some(_)) if name.starts_with('{') => {}
                    (Some(name), Some(own)) if name == own => {}
                    _ => return false,
                }
            }
        };
        fits(self.path) || self.aliases.iter().any(|alias| fits(alias))
    }
}

const fn get(path: &'static str, access: Access, tag: &'static str, summary: &'static str) -> Route {
    Route { method: "GET", path, aliases: &[], access, tag, summary, body: None }
}

const fn post(path: &'static str, tag: &'static str, summary: &'static str, body: &'static str) -> Route {
    Route { method: "POST", path, aliases: &[], access: Access::Key, tag, summary, body: Some(body) }
}

/// All routes.
pub const ROUTES: &[Route] = &[
    Route {
        aliases: &[
            "/chat/completions",
            "/engines/{model}/chat/completions",
            "/openai/deployments/{model}/chat/completions",
        ],
        ..post(
            "/v1/chat/completions",
            "models",
            "Chat with a model (OpenAI Chat Completions)",
            "OpenAI CreateChatCompletionRequest: model*, messages*, stream, tools, …",
        )
    },
    Route {
        aliases: &["/completions", "/engines/{model}/completions", "/openai/deployments/{model}/completions"],
        ..post(
            "/v1/completions",
            "models",
            "Complete a text (OpenAI Completions, legacy)",
            "OpenAI CreateCompletionRequest: model*, prompt*, stream, …",
        )
    },
    Route {
        aliases: &["/responses", "/openai/v1/responses"],
        ..post(
            "/v1/responses",
            "models",
            "Ask a model (OpenAI Responses)",
            "OpenAI CreateResponse: model*, input*, stream, tools, …",
        )
    },
    Route {
        aliases: &["/messages"],
        ..post(
            "/v1/messages",
            "models",
            "Chat with a model (Anthropic Messages)",
            "Anthropic MessageCreateParams: model*, messages*, max_tokens*, stream, …",
        )
    },
    Route {
        aliases: &["/messages/count_tokens"],
        ..post(
            "/v1/messages/count_tokens",
            "models",
            "Count the tokens of a request (Anthropic)",
            "Anthropic MessageCountTokensParams: model*, messages*, tools, …",
        )
    },
    Route {
        aliases: &["/models/{model}:generateContent"],
        ..post(
            "/v1beta/models/{model}:generateContent",
            "models",
            "Ask a model (Google Gemini)",
            "Gemini GenerateContentRequest: contents*, tools, generationConfig, …",
        )
    },
    Route {
        aliases: &["/models/{model}:streamGenerateContent"],
        ..post(
            "/v1beta/models/{model}:streamGenerateContent",
            "models",
            "Ask a model, streamed; `?alt=sse` for server-sent events (Google Gemini)",
            "Gemini GenerateContentRequest: contents*, tools, generationConfig, …",
        )
    },
    Route {
        aliases: &["/models/{model}:countTokens"],
        ..post(
            "/v1beta/models/{model}:countTokens",
            "models",
            "Count the tokens of a request (Google Gemini)",
            "Gemini CountTokensRequest: contents, generateContentRequest",
        )
    },
    Route {
        aliases: &["/embeddings", "/engines/{model}/embeddings", "/openai/deployments/{model}/embeddings"],
        ..post(
            "/v1/embeddings",
            "models",
            "Embed texts (OpenAI Embeddings)",
            "OpenAI CreateEmbeddingRequest: model*, input*, encoding_format, dimensions, …",
        )
    },
    Route {
        aliases: &["/moderations"],
        ..post(
            "/v1/moderations",
            "models",
            "Look for harmful content (OpenAI Moderations)",
            "OpenAI CreateModerationRequest: model*, input*",
        )
    },
    Route {
        aliases: &["/audio/speech", "/openai/deployments/{model}/audio/speech"],
        ..post(
            "/v1/audio/speech",
            "models",
            "Speak a text; the answer is sound as it is made (OpenAI Audio)",
            "OpenAI CreateSpeechRequest: model*, input*, voice*, response_format, speed, …",
        )
    },
    Route {
        aliases: &["/audio/transcriptions", "/openai/deployments/{model}/audio/transcriptions"],
        ..post(
            "/v1/audio/transcriptions",
            "models",
            "Write down what is said; the body is a form (OpenAI Audio)",
            "OpenAI CreateTranscriptionRequest, as multipart/form-data: model*, file*, response_format, …",
        )
    },
    Route {
        aliases: &["/audio/translations", "/openai/deployments/{model}/audio/translations"],
        ..post(
            "/v1/audio/translations",
            "models",
            "Write down in English what is said; the body is a form (OpenAI Audio)",
            "OpenAI CreateTranslationRequest, as multipart/form-data: model*, file*, response_format, …",
        )
    },
    Route {
        aliases: &["/rerank", "/v2/rerank"],
        ..post(
            "/v1/rerank",
            "models",
            "Order documents by their relevance to a query (Cohere Rerank)",
            "Cohere RerankRequest: model*, query*, documents*, top_n, return_documents, …",
        )
    },
    Route {
        aliases: &["/images/generations", "/openai/deployments/{model}/images/generations"],
        ..post(
            "/v1/images/generations",
            "models",
            "Make images (OpenAI Images)",
            "OpenAI CreateImageRequest: model*, prompt*, n, size, quality, …",
        )
    },
    Route { aliases: &["/models"], ..get("/v1/models", Access::Key, "model management", "List the models") },
    Route {
        aliases: &["/models/{id}"],
        ..get("/v1/models/{id}", Access::Key, "model management", "Show one model")
    },
    get("/v1beta/models", Access::Key, "model management", "List the models in Google's shape"),
    get("/v1beta/models/{id}", Access::Key, "model management", "Show one model in Google's shape"),
    Route {
        aliases: &["/model/info"],
        ..get(
            "/v1/model/info",
            Access::Key,
            "model management",
            "Each deployment with its settings, prices and limits; `?litellm_model_id=` for one",
        )
    },
    get(
        "/v2/model/info",
        Access::Key,
        "model management",
        "The same page by page; `?search=`, `?access_group=`, `?modelId=`, `?sortBy=`",
    ),
    get(
        "/public/litellm_model_cost_map",
        Access::Public,
        "model management",
        "All models that this build knows, with prices and capabilities",
    ),
    get("/model/cost_map/source", Access::Operator, "model management", "Where prices come from"),
    get(
        "/model_group/info",
        Access::Key,
        "model management",
        "Each group with what its deployments offer; `?model_group=` for one",
    ),
    get(
        "/router/settings",
        Access::Operator,
        "routing",
        "How deployments are chosen, retried and left alone",
    ),
    get("/router/state", Access::Operator, "routing", "Each deployment: in flight, latency, usage, cooldown"),
    get("/utils/model_info", Access::Key, "utilities", "What is known of a model; `?model=`"),
    post(
        "/utils/token_counter",
        "utilities",
        "Count tokens",
        "model*, and one of prompt, messages, contents; tools, system",
    ),
    post(
        "/utils/transform_request",
        "utilities",
        "Show what a provider would be sent, without sending it",
        "call_type*: completion | text_completion | responses | anthropic_messages | generate_content; request_body*",
    ),
    get("/cache/ping", Access::Operator, "cache", "Whether the cache of answers works"),
    Route {
        access: Access::Operator,
        ..post(
            "/cache/delete",
            "cache",
            "Forget answers by their `x-litellm-cache-key`",
            "keys*: a list of keys",
        )
    },
    Route {
        access: Access::Operator,
        body: None,
        ..post("/cache/flushall", "cache", "Forget all cached answers", "")
    },
    get("/cache/redis/info", Access::Operator, "cache", "What the cache's Redis says about itself"),
    get("/trace", Access::Operator, "traces", "The latest requests, newest first; `?limit=`"),
    get("/trace/{id}", Access::Operator, "traces", "Everything that happened to one request"),
    get("/health", Access::Key, "health", "Which deployments can be called; `?model=` for one group"),
    Route {
        aliases: &["/health/liveness"],
        ..get("/health/liveliness", Access::Public, "health", "Whether the process answers")
    },
    get("/health/readiness", Access::Public, "health", "Whether the gateway takes requests"),
    get("/health/readiness/details", Access::Operator, "health", "What readiness is made of"),
    get("/health/backlog", Access::Operator, "health", "How many requests are being worked on"),
    get("/health/latest", Access::Operator, "health", "What deployments' last background checks came to"),
    get("/health/license", Access::Operator, "health", "That nothing needs a licence"),
    Route {
        aliases: &["/active/callbacks"],
        ..get("/settings", Access::Operator, "health", "Where requests are logged and alerts go")
    },
    get(
        "/health/services",
        Access::Operator,
        "health",
        "Send a test alert; `?service=` slack, webhook, email or ms_teams",
    ),
    get("/alerting/settings", Access::Operator, "health", "The settings of alerts that are in effect"),
    Route { aliases: &["/metrics/"], ..get("/metrics", Access::Key, "health", "Metrics for Prometheus") },
    get("/", Access::Public, "documentation", "What this is"),
    get("/routes", Access::Public, "documentation", "All routes"),
    get("/openapi.json", Access::Public, "documentation", "This API as OpenAPI 3.1"),
    get("/docs", Access::Public, "documentation", "This API as a page"),
];
