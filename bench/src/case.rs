//! What is measured: the requests, and the load under which each is sent.

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use hyper::http::Method;
use hyper::http::uri::{PathAndQuery, Uri};
use serde_json::json;

use crate::mock::canned::{DELTA, Dialect, TEXT};
use crate::shot::Shot;

/// The master key of a gateway with keys; without keys any will do.
pub const KEY: &str = "sk-bench-0123456789";

/// When an answer counts as having come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// With its last byte.
    Whole,
    /// With the first byte of its body; for streams that last as long as the mock wants them to.
    FirstByte,
}

/// What a gateway is set up with beside the cases' deployments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Setup {
    /// Nothing: no master key, so nobody is known and nothing is booked.
    Bare,
    /// A master key, and callers with a virtual key that has a budget and limits, none of which is ever reached.
    Keys,
    /// As `Bare`, with 20 deployments in each case's group and 49 more groups of as many.
    Fleet,
}

impl Setup {
    /// Every set-up, the one that the others are compared with first.
    pub const ALL: [Self; 3] = [Self::Bare, Self::Keys, Self::Fleet];

    /// What follows a gateway's name in the table.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Bare => "",
            Self::Keys => "+keys",
            Self::Fleet => "+fleet",
        }
    }

    fn deployments_per_group(self) -> usize {
        match self {
            Self::Bare | Self::Keys => 1,
            Self::Fleet => 20,
        }
    }

    /// The `model_list` of a LiteLLM `config.yaml` that serves all cases from the mock.
    pub fn model_list(self, mock_port: u16) -> String {
        let mut groups: Vec<_> =
            CASES.iter().chain([&CROWD]).map(|case| case.group(mock_port, self)).collect();
        groups.sort();
        groups.dedup();
        if self == Self::Fleet {
            let other = CASES.first().expect("there are cases");
            groups.extend((1..50).map(|number| {
                let named =
                    |text: String| text.replace("model_name: mock", &format!("model_name: other-{number}"));
                named(other.group(mock_port, self))
            }));
        }
        format!("model_list:\n{}", groups.concat())
    }

    /// The whole `config.yaml`.
    pub fn config(self, mock_port: u16) -> String {
        let general = if self == Self::Keys {
            format!("general_settings:\n  master_key: {KEY}\n")
        } else {
            String::new()
        };
        format!(
            "{}{general}litellm_settings:\n  cache: true\n  cache_params: {{type: local, mode: default_off}}\n",
            self.model_list(mock_port)
        )
    }
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
    /// How gateways are set up for it.
    pub setups: &'static [Setup],
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
        setups: &Setup::ALL,
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
        setups: &[Setup::Bare],
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
        setups: &[Setup::Bare, Setup::Keys],
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
        setups: &[Setup::Bare],
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
        setups: &[Setup::Bare, Setup::Keys],
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
        setups: &[Setup::Bare],
    },
    Case {
        name: "cache-hit",
        about: "an answer of 1 KB that the gateway has in its memory",
        provider: Dialect::OpenAiChat,
        model: "mock-text-500",
        sick: None,
        cached: true,
        chunks: None,
        prompt: 60,
        connections: 32,
        rate: 1000.0,
        until: Until::Whole,
        setups: &[Setup::Bare, Setup::Keys],
    },
    Case {
        name: "cache-hit-100k",
        about: "an answer of 100 KB that the gateway has in its memory",
        provider: Dialect::OpenAiChat,
        model: "mock-text-100000",
        sick: None,
        cached: true,
        chunks: None,
        prompt: 60,
        connections: 32,
        rate: 500.0,
        until: Until::Whole,
        setups: &[Setup::Bare],
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
        setups: &[Setup::Bare],
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
    setups: &Setup::ALL,
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
            Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::Gemini => vec![bearer(KEY)],
        };
        self.shot(port, self.provider, self.model, headers.into_iter().collect(), false)
    }

    /// The request as a gateway's client sends it.
    pub fn to_gateway(&self, port: u16, key: &str) -> Shot {
        let headers = [bearer(key)].into_iter().collect();
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

    /// The case's group as entries of a LiteLLM `model_list`. Who has a sick deployment waits a second for it.
    fn group(&self, mock_port: u16, setup: Setup) -> String {
        let (provider, version) = match self.provider {
            Dialect::AnthropicMessages => ("anthropic", ""),
            Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::Gemini => ("openai", "/v1"),
        };
        let patience =
            if self.sick.is_some() { "      stream_timeout: 1\n      first_token_timeout: 1\n" } else { "" };
        let name = self.gateway_model();
        // By its key one deployment is told from another.
        let entry = |(number, model): (usize, &str)| {
            format!(
                "  - model_name: {name}\n    litellm_params:\n      model: {provider}/{model}\n      \
                 api_base: http://127.0.0.1:{mock_port}{version}\n      api_key: sk-mock-{number}\n{patience}",
            )
        };
        let healthy = (0..setup.deployments_per_group()).map(|number| (number, self.model));
        healthy.chain(self.sick.map(|model| (0, model))).map(entry).collect()
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

/// How a key is presented.
pub fn bearer(key: &str) -> (HeaderName, HeaderValue) {
    let value = format!("Bearer {key}").parse().expect("a key of letters and digits");
    (AUTHORIZATION, value)
}
