//! The rows of `data/providers.json`: one per provider, all facts that are needed to reach it.
//!
//! A row is data, checked when the crate is built. Sign-in and protocols that no row can express are code
//! elsewhere; the row then names them ([`Auth`], [`Endpoint::dialect`]).

mod endpoint;
mod split;
mod url;

use std::sync::OnceLock;

use dialects::quirk::{NamedQuirk, Quirk};

pub use endpoint::{Endpoint, EndpointKind, Framing};
pub use split::{UnknownProvider, row_of_label, split_model};
pub use url::{Route, Unroutable, UrlParams, endpoint_url};

include!(concat!(env!("OUT_DIR"), "/providers.rs"));

/// One provider.
#[derive(Debug)]
pub struct Provider {
    /// The name before the slash in a model string, e.g. `groq` in `groq/llama-3.1-8b`.
    pub id: &'static str,
    pub title: &'static str,
    pub kind: Kind,
    pub status: Status,
    /// The row that this one is another name of.
    pub alias_of: Option<&'static str>,
    /// Where its API is; may hold parts in braces such as `{region}`. `None`: the user must give `api_base`.
    pub base_url: Option<&'static str>,
    /// Locations whose base is another one than `base_url`.
    pub base_url_by_location: &'static [(&'static str, &'static str)],
    /// Environment variables for the base, the first that is set wins.
    pub base_url_env: &'static [&'static str],
    /// A base given by the user may already hold the beginning of the path (`…/v1`), which is then not repeated.
    pub merges_base: bool,
    /// Environment variables for parts of the URL, by part.
    pub url_env: &'static [(&'static str, &'static [&'static str])],
    /// Values for parts of the URL that are not given.
    pub url_defaults: &'static [(&'static str, &'static str)],
    pub auth: Auth,
    /// Environment variables for the key, the first that is set wins. No other provider's key is ever used.
    pub api_key_env: &'static [&'static str],
    /// Environment variables whose value is sent as `Authorization: Bearer`, whatever `auth` says.
    pub bearer_env: &'static [&'static str],
    /// Calls without a key make sense (a server of one's own).
    pub key_optional: bool,
    /// Further variables that sign-in or set-up read.
    pub other_env: &'static [&'static str],
    /// Headers that every request carries.
    pub headers: &'static [Header],
    pub endpoints: &'static [Endpoint],
    /// Other endpoints for some models or servers; the first that fits wins.
    pub variants: &'static [Variant],
    /// Prices "above 200k tokens" begin at 200,000 tokens, not after them.
    pub context_step_inclusive: bool,
    /// The endpoint that serves clients of Anthropic Messages where there is none of that dialect; otherwise the
    /// chat endpoint does.
    pub messages_via: Option<EndpointKind>,
    rules: &'static [Rule],
    quirks: OnceLock<Vec<Quirk>>,
}

/// What a provider is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Llm,
    SelfHosted,
    Aggregator,
    Agent,
    Embedding,
    Audio,
    ImageVideo,
    Ocr,
    VectorStore,
    Decision,
    Search,
    Sandbox,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Active,
    /// Another name for a row, see [`Provider::alias_of`].
    Alias,
    /// Winding down, or superseded by another route.
    Legacy,
}

/// How requests are signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    None,
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `Authorization: Basic KEY`, the key being `user:password` in base64.
    Basic,
    /// The key in a header, behind `prefix`.
    Header {
        name: &'static str,
        prefix: &'static str,
    },
    /// The key in the query string.
    Query {
        name: &'static str,
    },
    /// The key in the header `name`, or a Microsoft Entra ID token for `scope` as bearer.
    Azure {
        name: &'static str,
        scope: &'static str,
    },
    /// AWS Signature Version 4; a key from `bearer_env` (or the user's `api_key`) as bearer instead.
    AwsSignature {
        service: &'static str,
    },
    /// A Google access token for `scope` as bearer.
    GoogleOauth {
        scope: &'static str,
    },
    /// A token of Google Distributed Cloud whose audience is the base's scheme and host.
    GdchServiceAccount,
    /// An IBM Cloud token, got for an API key at `token_url`.
    IbmIam {
        token_url: &'static str,
    },
    /// Oracle's HTTP request signature (rsa-sha256).
    OciSignature,
    /// OAuth client credentials, as SAP AI Core's service key describes them.
    OauthClientCredentials,
    /// A short-lived token, got for the credentials at `token_url`.
    OauthExchange {
        token_url: &'static str,
    },
    OpenaiDeviceFlow {
        token_url: &'static str,
    },
    GithubDeviceFlow {
        token_url: &'static str,
    },
    GrpcMetadata {
        name: &'static str,
        prefix: &'static str,
    },
    MongodbUri,
    /// The password in the server's address.
    Redis,
}

impl Auth {
    /// The header that carries `key`, where a plain key is all that is needed.
    #[must_use]
    pub fn key_header(self, key: &str) -> Option<(&'static str, String)> {
        match self {
            Self::Bearer | Self::AwsSignature { .. } => Some(bearer(key)),
            Self::Basic => Some(("authorization", format!("Basic {key}"))),
            Self::Header { name, prefix } => Some((name, format!("{prefix}{key}"))),
            Self::Azure { name, .. } => Some((name, key.to_owned())),
            Self::None
            | Self::Query { .. }
            | Self::GoogleOauth { .. }
            | Self::GdchServiceAccount
            | Self::IbmIam { .. }
            | Self::OciSignature
            | Self::OauthClientCredentials
            | Self::OauthExchange { .. }
            | Self::OpenaiDeviceFlow { .. }
            | Self::GithubDeviceFlow { .. }
            | Self::GrpcMetadata { .. }
            | Self::MongodbUri
            | Self::Redis => None,
        }
    }
}

/// `Authorization: Bearer TOKEN`.
#[must_use]
pub fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

/// A header of every request to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// In lower case.
    pub name: &'static str,
    pub value: &'static str,
    /// An environment variable that overrides the value.
    pub env: Option<&'static str>,
}

/// Endpoints that some of a provider's models or servers have instead of the row's own.
#[derive(Debug)]
pub struct Variant {
    /// The variant is taken when one of these holds.
    when: &'static [When],
    /// Endpoints that it does not name are the row's.
    pub endpoints: &'static [Endpoint],
    pub auth: Option<Auth>,
    /// In addition to the row's.
    pub headers: &'static [Header],
}

/// A condition; all parts that are not empty must hold.
#[derive(Debug)]
struct When {
    /// Patterns for the model's name behind the provider's prefix.
    model: &'static [&'static str],
    /// Patterns for the user's `api_base`.
    base: &'static [&'static str],
    api_version: &'static [&'static str],
    base_given: Option<bool>,
}

/// A [`Quirk`] as a constant. JSON texts have been checked by the build script.
#[derive(Debug)]
enum Rule {
    Lacks(&'static str),
    Renames(&'static str, &'static str),
    Accepts(&'static str),
    Injects(&'static str, &'static str),
    Clamps(&'static str, Option<&'static str>, Option<&'static str>),
    MapsValue(&'static str, &'static str, &'static str),
    PrefixesModel(&'static str, &'static str),
    SearchesByTool(&'static str),
    ReasonsByPromptMode(&'static str),
    SeveralAnswersNeedTemperature(&'static str),
    Plain(Quirk),
}

impl Rule {
    fn quirk(&self) -> Option<Quirk> {
        Some(match *self {
            Self::Lacks(name) => Quirk::Lacks(name.to_owned()),
            Self::Renames(from, to) => Quirk::Renames { from: from.to_owned(), to: to.to_owned() },
            Self::Accepts(name) => Quirk::Accepts(name.to_owned()),
            Self::Injects(name, json) => {
                Quirk::Injects { name: name.to_owned(), value: serde_json::from_str(json).ok()? }
            }
            Self::Clamps(name, min, max) => Quirk::Clamps {
                name: name.to_owned(),
                min: min.map(serde_json::from_str).transpose().ok()?,
                max: max.map(serde_json::from_str).transpose().ok()?,
            },
            Self::MapsValue(name, from, to) => Quirk::MapsValue {
                name: name.to_owned(),
                from: from.into(),
                to: serde_json::from_str(to).ok()?,
            },
            Self::PrefixesModel(prefix, unless) => {
                Quirk::PrefixesModel { prefix: prefix.to_owned(), unless: unless.to_owned() }
            }
            Self::SearchesByTool(json) => Quirk::SearchesByTool(serde_json::from_str(json).ok()?),
            Self::ReasonsByPromptMode(models) => Quirk::ReasonsByPromptMode { models: models.to_owned() },
            Self::SeveralAnswersNeedTemperature(number) => {
                Quirk::SeveralAnswersNeedTemperature(serde_json::from_str(number).ok()?)
            }
            Self::Plain(ref quirk) => quirk.clone(),
        })
    }
}

impl Provider {
    /// How the row's own chat endpoint departs from its dialect; [`Route::quirks`] knows those of every endpoint.
    pub fn quirks(&self) -> &[Quirk] {
        self.quirks.get_or_init(|| self.rules.iter().filter_map(Rule::quirk).collect())
    }

    /// The row's own endpoint of a kind; [`Provider::route`] also looks at the variants.
    #[must_use]
    pub fn endpoint(&self, kind: EndpointKind) -> Option<&'static Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.kind == kind)
    }
}

/// All rows, sorted by id.
#[must_use]
pub fn all() -> &'static [Provider] {
    &PROVIDERS
}

/// The row with this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Provider> {
    let at = PROVIDERS.binary_search_by(|row| row.id.cmp(id)).ok()?;
    PROVIDERS.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The simplest text that a pattern fits.
    fn sample(pattern: &str) -> String {
        let mut text = String::new();
        for (number, piece) in pattern.split(['{', '}']).enumerate() {
            let held = if piece.starts_with('#') { "7" } else { "x" };
            let literal = piece.replace(['*', '?'], "x").replace('#', "7");
            text.push_str(if number % 2 == 1 { held } else { &literal });
        }
        text
    }

    #[test]
    fn every_variant_is_reached_and_has_addresses() {
        for row in all() {
            for (variant, when) in row.variants.iter().flat_map(|v| v.when.iter().map(move |when| (v, when)))
            {
                let model = when.model.first().map_or("m".to_owned(), |pattern| sample(pattern));
                let base = when.base.first().map(|pattern| {
                    let base = sample(pattern);
                    if base.contains("://") {
                        base
                    } else {
                        format!("https://{}", base.trim_start_matches('/'))
                    }
                });
                let given = row.base_url.is_none().then_some("https://x.example".to_owned());
                let params = UrlParams {
                    model: &model,
                    api_base: base.as_deref().or(given.as_deref()),
                    api_version: when.api_version.first().copied().or(Some("v")),
                    project: Some("p"),
                    account_id: Some("a"),
                    ..UrlParams::default()
                };
                for endpoint in variant.endpoints {
                    let route = row.route(endpoint.kind, &params).unwrap();
                    assert_eq!(route.endpoint.path, endpoint.path, "{}: {when:?}", row.id);
                    assert!(route.url(true).unwrap().contains("://"), "{}", row.id);
                }
            }
        }
    }

    /// A quirk whose JSON cannot be read would be left out: none may be.
    #[test]
    fn every_rule_is_a_quirk() {
        for row in all() {
            let of_endpoints = row.endpoints.iter().flat_map(|endpoint| endpoint.rules);
            for rule in row.rules.iter().chain(of_endpoints) {
                assert!(rule.quirk().is_some(), "{}: {rule:?}", row.id);
            }
        }
    }
}
