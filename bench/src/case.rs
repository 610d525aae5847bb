//! What is measured: the requests, and the load under which each is sent.

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use hyper::http::Method;
use hyper::http::uri::{PathAndQuery, Uri};
use serde_json::json;

use crate::mock::canned::{DELTA, Dialect, TEXT};
use crate::shot::Shot;

/// The gateway's master key in every run.
pub const KEY: &str = "sk-bench-0123456789";

/// When an answer counts as having come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// With its last byte.
    Whole,
    /// With the first byte of its body; for streams that last as long as the mock wants them to.
    FirstByte,
}

/// One kind of request.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// For `--only` and the table.
    pub name: &'static str,
    /// For `--help`.
    pub about: &'static str,
    /// Whose protocol the mock speaks: OpenAI Chat or Anthropic Messages. A gateway's client always speaks
    /// OpenAI Chat.
    pub provider: Dialect,
    /// The provider's model, which is a plan for the mock.
    pub model: &'static str,
    /// The plan of a second deployment of the same group, which the gateway has to pass over.
    pub sick: Option<&'static str>,
    /// The gateway has given this answer before.
    pub cached: bool,
    /// Text deltas, where the answer is a stream.
    pub chunks: Option<usize>,
    /// Length of the prompt in bytes.
    pub prompt: usize,
    /// Requests under way in a closed loop.
    pub connections: u32,
    /// Requests a second in an open loop: well below what any subject can do, so that latency is not queueing.
    pub rate: f64,
    /// What latency means here.
    pub until: Until,
}

/// Every case, in the order of the table.
pub const CASES: &[Case] = &[
    Case {
        name: "small",
        about: "a small chat, OpenAI to OpenAI",
        provider: Dialect::OpenAiChat,
        model: "mock",
        sick: None,
        cached: false,
        chunks: None,
        prompt: 60,
        connections: 32,
        rate: 1000.0,
        until: Until::Whole,
    },
    Case {
        name: "prompt-100k",
        about: "a chat with a prompt of 100 KB",
        provider: Dialect::OpenAiChat,
        model: "mock",
        sick: None,
        cached: false,
        chunks: None,
        prompt: 100_000,
        connections: 32,
        rate: 200.0,
        until: Until::Whole,
    },
    Case {
        name: "stream-100",
        about: "a stream of 100 text chunks, each written by itself and as fast as it goes",
        provider: Dialect::OpenAiChat,
        model: "mock-stream-100",
        sick: None,
        cached: false,
        chunks: Some(100),
        prompt: 60,
        connections: 32,
        rate: 50.0,
        until: Until::Whole,
    },
    Case {
        name: "stream-paced",
        about: "a stream of 100 text chunks, 5 ms apart, as a model writes them",
        provider: Dialect::OpenAiChat,
        model: "mock-stream-100-delay-5",
        sick: None,
        cached: false,
        chunks: Some(100),
        prompt: 60,
        connections: 48,
        rate: 20.0,
        until: Until::FirstByte,
    },
    Case {
        name: "cross",
        about: "a small chat, OpenAI client to Anthropic provider",
        provider: Dialect::AnthropicMessages,
        model: "mock",
        sick: None,
        cached: false,
        chunks: None,
        prompt: 60,
        connections: 32,
        rate: 500.0,
        until: Until::Whole,
    },
    Case {
        name: "cross-stream",
        about: "a stream of 100 text chunks, OpenAI client to Anthropic provider",
        provider: Dialect::AnthropicMessages,
        model: "mock-stream-100",
        sick: None,
        cached: false,
        chunks: Some(100),
        prompt: 60,
        connections: 32,
        rate: 50.0,
        until: Until::Whole,
    },
    Case {
        name: "cache-hit",
        about: "a small chat that the gateway answers from its memory",
        provider: Dialect::OpenAiChat,
        model: "mock",
        sick: None,
        cached: true,
        chunks: None,
        prompt: 60,
        connections: 32,
        rate: 1000.0,
        until: Until::Whole,
    },
    Case {
        name: "half-hangs",
        about: "a stream of 99 text chunks from one of two deployments; the other never answers",
        provider: Dialect::OpenAiChat,
        model: "mock-stream-99",
        sick: Some("mock-stream-99-fault-hang"),
        cached: false,
        chunks: Some(99),
        prompt: 60,
        connections: 32,
        rate: 50.0,
        until: Until::Whole,
    },
];

/// Streams that last a second, so that as many are open at once as there are connections. For memory.
pub const CROWD: Case = Case {
    name: "crowd",
    about: "256 streams at once",
    provider: Dialect::OpenAiChat,
    model: "mock-stream-100-delay-10",
    sick: None,
    cached: false,
    chunks: Some(100),
    prompt: 60,
    connections: 256,
    rate: 1.0,
    until: Until::FirstByte,
};

impl Case {
    /// The request as the provider's own client sends it: to the mock, or through a proxy that does not
    /// know what it forwards.
    pub fn to_provider(&self, port: u16) -> Shot {
        let name = |name| HeaderName::from_static(name);
        let headers = match self.provider {
            Dialect::AnthropicMessages => vec![
                (name("x-api-key"), HeaderValue::from_static(KEY)),
                (name("anthropic-version"), HeaderValue::from_static("2023-06-01")),
            ],
            Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::Gemini => vec![bearer()],
        };
        self.shot(port, self.provider, self.model, headers.into_iter().collect(), false)
    }

    /// The request as a gateway's client sends it.
    pub fn to_gateway(&self, port: u16) -> Shot {
        let headers = [bearer()].into_iter().collect();
        self.shot(port, Dialect::OpenAiChat, &self.gateway_model(), headers, self.cached)
    }

    fn shot(&self, port: u16, dialect: Dialect, model: &str, headers: HeaderMap, cached: bool) -> Shot {
        const WORDS: &str = "Why is a toll road called a toll road, and who was first to pay? ";
        let prompt: String = WORDS.chars().cycle().take(self.prompt).collect();
        let mut body = json!({
            "model": model, "max_tokens": 256, "temperature": 0.5,
            "messages": [{"role": "user", "content": prompt}]
        });
        if let (Some(_), Some(body)) = (self.chunks, body.as_object_mut()) {
            body.insert("stream".to_owned(), true.into());
            if dialect == Dialect::OpenAiChat {
                body.insert("stream_options".to_owned(), json!({"include_usage": true}));
            }
        }
        if let (true, Some(body)) = (cached, body.as_object_mut()) {
            body.insert("cache".to_owned(), json!({"use-cache": true}));
        }
        let path = match dialect {
            Dialect::AnthropicMessages => "/v1/messages",
            Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::Gemini => "/v1/chat/completions",
        };
        Shot {
            method: Method::POST,
            port,
            path: Uri::from(PathAndQuery::from_static(path)),
            headers,
            body: body.to_string().into(),
        }
    }

    /// The model's name in the gateway's configuration. A name of a plan stays one, so that the mock or a
    /// bare proxy can stand in for the gateway.
    fn gateway_model(&self) -> String {
        match self.provider {
            Dialect::AnthropicMessages => format!("claude-{}", self.model),
            Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::Gemini => self.model.to_owned(),
        }
    }

    /// The case's deployments as entries of a LiteLLM `model_list`. Who has a sick one waits a second for it.
    pub fn deployments(&self, mock_port: u16) -> String {
        let (provider, version) = match self.provider {
            Dialect::AnthropicMessages => ("anthropic", ""),
            Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::Gemini => ("openai", "/v1"),
        };
        let patience =
            if self.sick.is_some() { "      stream_timeout: 1\n      first_token_timeout: 1\n" } else { "" };
        let entry = |model| {
            format!(
                "  - model_name: {}\n    litellm_params:\n      model: {provider}/{model}\n      \
                 api_base: http://127.0.0.1:{mock_port}{version}\n      api_key: sk-mock\n{patience}",
                self.gateway_model(),
            )
        };
        [Some(self.model), self.sick].into_iter().flatten().map(entry).collect()
    }

    /// Whether a body is the mock's answer, in whatever dialect it arrives.
    pub fn is_answer(&self, body: &[u8]) -> bool {
        let count = |text: &str| memchr::memmem::find_iter(body, text).count();
        match self.chunks {
            None => count(TEXT) == 1,
            Some(chunks) => count(&format!("\"{DELTA}\"")) == chunks,
        }
    }
}

fn bearer() -> (HeaderName, HeaderValue) {
    let value = format!("Bearer {KEY}").parse().expect("a key of letters and digits");
    (AUTHORIZATION, value)
}
