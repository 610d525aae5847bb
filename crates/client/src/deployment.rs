//! One place where a model can be asked: a provider, its name for the model, a key, and the operator's settings.

use std::sync::Arc;
use std::time::Duration;

use dialects::Dialect;
use dialects::conversation::Extra;
use dialects::exchange::{ModelFacts, Target};
use dialects::loss::ParameterPolicy;
use dialects::quirk::{NamedQuirk, Quirk};
use dialects::service::Service;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Uri};

use crate::sign_in::Account;

/// A deployment, worked out completely when the configuration is read: a request only picks from it.
#[derive(Debug)]
pub struct Deployment {
    /// Stable over restarts; stands in headers, metrics and traces.
    pub id: Arc<str>,
    /// The name clients ask for (`model_name`).
    pub group: Arc<str>,
    /// The provider's id, e.g. `openai`.
    pub provider: &'static str,
    /// The provider's name in messages, e.g. `OpenAI`.
    pub provider_title: &'static str,
    /// The provider's own name of the model.
    pub model: String,
    /// `api_base` as shown to clients: no query, no credentials.
    pub shown_base: String,
    /// By which dialects it can be asked.
    pub roads: Vec<Road>,
    /// What it can be asked beside conversations.
    pub services: Vec<ServiceRoad>,
    /// Why it cannot be called, e.g. a key that is not set; said to every caller.
    pub unusable: Option<String>,
    pub timeouts: Timeouts,
    /// Parameters, with OpenAI's names, for requests that do not set them.
    pub defaults: Extra,
    /// Put into every body (`extra_body`).
    pub extra_body: Extra,
    pub policy: ParameterPolicy,
    pub facts: ModelFacts,
    /// The dialect for clients of Anthropic Messages where the provider does not speak theirs; otherwise the first
    /// road's. With Responses typed reasoning survives, which Chat Completions cannot say.
    pub anthropic_clients_by: Option<Dialect>,
    /// Whether the server's certificate is checked.
    pub verify_tls: bool,
}

/// One way to ask a deployment: a dialect at an address.
#[derive(Clone, Debug)]
pub struct Road {
    pub dialect: Dialect,
    pub address: Address,
    pub stream_address: Address,
    /// All headers of a usual request: sign-in by key, the provider's fixed ones and the operator's extra ones.
    pub headers: HeaderMap,
    /// Who signs in, where that takes a token that does not live long.
    pub account: Option<Arc<Account>>,
    /// How this endpoint departs from its dialect.
    pub quirks: Vec<Quirk>,
}

impl Road {
    /// A road with the headers that all requests have.
    #[must_use]
    pub fn new(
        dialect: Dialect,
        address: Address,
        stream_address: Address,
        mut headers: HeaderMap,
        quirks: Vec<Quirk>,
    ) -> Self {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Answers are read as they arrive; a compressed one would have to be inflated under a bound first.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Self { dialect, address, stream_address, headers, account: None, quirks }
    }
}

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Address {
    pub uri: Uri,
    /// Without query: it may hold a key.
    pub shown: Arc<str>,
}

impl From<Uri> for Address {
    fn from(uri: Uri) -> Self {
        let text = uri.to_string();
        let shown = text.split_once('?').map_or(&*text, |(bare, _)| bare).into();
        Self { uri, shown }
    }
}

/// One way to ask a deployment for what is no conversation.
#[derive(Clone, Debug)]
pub struct ServiceRoad {
    pub service: Service,
    /// The provider's own name of the model at this endpoint.
    pub model: String,
    /// Where it is. Its dialect is the one of its errors.
    pub road: Road,
    /// How the provider departs from OpenAI's (for rerank: Cohere's) endpoint.
    pub quirks: Vec<Quirk>,
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The whole call, and in streams the head of the answer unless `stream` says otherwise.
    pub total: Duration,
    /// Streams: until the head of the answer, and between any two pieces of it.
    pub stream: Option<Duration>,
    /// Until a stream has said something: content, not a role or a keep-alive.
    pub first_token: Option<Duration>,
    /// Between two pieces of a stream's content.
    pub next_token: Option<Duration>,
}

impl Timeouts {
    /// One limit for everything.
    #[must_use]
    pub fn of(total: Duration) -> Self {
        Self { total, stream: None, first_token: None, next_token: None }
    }
}

impl Deployment {
    /// The road for a client of `dialect`: the same dialect if the provider speaks it, else the first, unless
    /// [`Deployment::anthropic_clients_by`] names another.
    #[must_use]
    pub fn road(&self, dialect: Dialect) -> Option<&Road> {
        let by = |wanted: Dialect| self.roads.iter().find(move |road| road.dialect == wanted);
        let named = self.anthropic_clients_by.filter(|_| dialect == Dialect::AnthropicMessages);
        by(dialect).or_else(|| named.and_then(by)).or_else(|| self.roads.first())
    }

    /// Whether a client of `dialect` that names media by address has to be helped: the provider only takes them
    /// inside the request.
    #[must_use]
    pub fn inlines_media_for(&self, dialect: Dialect) -> bool {
        let inline = Quirk::Named(NamedQuirk::MediaMustBeInline);
        self.road(dialect).is_some_and(|road| road.dialect != dialect && road.quirks.contains(&inline))
    }

    /// What a request on one of its roads is written for.
    #[must_use]
    pub fn target<'a>(&'a self, road: &'a Road) -> Target<'a> {
        Target { model: &self.model, quirks: &road.quirks, facts: &self.facts, policy: &self.policy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_their_query() {
        let address = Address::from(Uri::from_static("https://host/v1/models/x:generateContent?key=secret"));
        assert_eq!(&*address.shown, "https://host/v1/models/x:generateContent");
    }
}
