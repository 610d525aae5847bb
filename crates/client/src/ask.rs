//! From what a client said to what a deployment is sent.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use dialects::conversation::{Request, StreamOptions, Tool};
use dialects::document::Document;
use dialects::exchange::Target;
use dialects::loss::{Losses, Note, ParameterPolicy};
use dialects::quirk::{NamedQuirk, Quirk};
use dialects::{CannotSay, Dialect, Invalid};
use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::Full;

use crate::defaults;
use crate::deployment::{Address, Deployment, Road};
use crate::sign_in::SignInError;

/// A client's request, read as far as some deployment needs it.
#[derive(Debug)]
pub struct Ask<'a> {
    pub dialect: Dialect,
    pub document: &'a Document<'a>,
    /// The model the client asked for, wherever its dialect says so.
    pub model: &'a str,
    pub stream: bool,
    request: OnceLock<Arc<Request>>,
}

impl<'a> Ask<'a> {
    #[must_use]
    pub fn new(dialect: Dialect, document: &'a Document<'a>, model: &'a str, stream: bool) -> Self {
        Self { dialect, document, model, stream, request: OnceLock::new() }
    }

    /// Whether the client wants usage in the stream; only OpenAI's (Chat) Completions leave it open.
    ///
    /// # Errors
    /// When `stream_options` is not an object.
    pub fn include_usage(&self) -> Result<bool, Invalid> {
        if !matches!(self.dialect, Dialect::OpenaiChat | Dialect::OpenaiCompletions) {
            return Ok(true);
        }
        let Some(options) = self.document.get("stream_options").filter(|options| *options != "null") else {
            return Ok(false);
        };
        Document::of(options)
            .and_then(|options| options.flag("include_usage"))
            .map(Option::unwrap_or_default)
            .map_err(|error| Invalid::new("stream_options", error.to_string()))
    }

    /// The same with `request`, an improved copy of what [`Ask::request`] gave.
    #[must_use]
    pub fn with_request(&self, request: Arc<Request>) -> Self {
        Self {
            request: OnceLock::from(request),
            ..Self::new(self.dialect, self.document, self.model, self.stream)
        }
    }

    /// The same with another document.
    #[must_use]
    pub fn of<'d>(&'d self, document: &'d Document<'d>) -> Ask<'d> {
        Ask::new(self.dialect, document, self.model, self.stream)
    }

    /// Whether the provider is asked to search the web.
    ///
    /// # Errors
    /// As [`Ask::request`].
    fn searches_the_web(&self) -> Result<bool, Invalid> {
        // Every dialect's name of such a tool has the word; without it the request need not be read.
        let may = self.document.has("web_search_options")
            || self.document.get("tools").is_some_and(|tools| tools.contains("earch"));
        Ok(may && self.request()?.tools.iter().any(|tool| matches!(tool, Tool::WebSearch(_))))
    }

    /// The request in full; read at most once, however many deployments are tried.
    ///
    /// # Errors
    /// When it is not what its dialect says it should be.
    pub fn request(&self) -> Result<&Arc<Request>, Invalid> {
        if let Some(request) = self.request.get() {
            return Ok(request);
        }
        let mut request = self.dialect.codec().read_request(self.document)?;
        self.model.clone_into(&mut request.model);
        if !self.stream {
            request.stream = None;
        } else if request.stream.is_none() {
            request.stream = Some(StreamOptions { include_usage: true, ..StreamOptions::default() });
        }
        Ok(self.request.get_or_init(|| Arc::new(request)))
    }
}

/// A request as the deployment gets it.
#[derive(Debug)]
pub struct Prepared<'d> {
    pub road: &'d Road,
    pub body: Bytes,
    /// Those of the road, unless this request has others: they are copied where they are sent.
    pub headers: Cow<'d, HeaderMap>,
    /// What [`Prepared::sign_in`] got.
    pub authorization: Option<HeaderValue>,
    /// What was left out, renamed or changed on the way.
    pub notes: Vec<Note>,
    pub stream: bool,
    /// The request, where it had to be read.
    pub request: Option<Arc<Request>>,
}

/// Why a request cannot be put to a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrepareError {
    Invalid(Invalid),
    CannotSay(CannotSay),
    /// The deployment lacks something its operator has to provide.
    Unusable(String),
    /// The provider has no such endpoint for this model.
    Unserved(String),
}

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::CannotSay(error) => error.fmt(f),
            Self::Unusable(why) | Self::Unserved(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for PrepareError {}

impl From<Invalid> for PrepareError {
    fn from(error: Invalid) -> Self {
        Self::Invalid(error)
    }
}

impl From<CannotSay> for PrepareError {
    fn from(error: CannotSay) -> Self {
        Self::CannotSay(error)
    }
}

impl Deployment {
    /// Writes `ask` for this deployment. Where both sides speak the same dialect the client's bytes go through,
    /// edited only where they must be. `policy` is the caller's own wish about parameters, if it has one.
    ///
    /// # Errors
    /// When the request cannot be understood, or says what this deployment cannot be told.
    pub fn prepare(
        &self,
        ask: &Ask<'_>,
        policy: Option<&ParameterPolicy>,
    ) -> Result<Prepared<'_>, PrepareError> {
        if let Some(why) = &self.unusable {
            return Err(PrepareError::Unusable(why.clone()));
        }
        let Some(road) = self.road_for(ask)? else {
            return Err(PrepareError::Unserved(format!("`{}` serves no conversations", self.model)));
        };
        let target = Target { policy: policy.unwrap_or(&self.policy), ..self.target(road) };
        let mut losses = Losses::new(target.policy.drop_params);
        let codec = road.dialect.codec();
        let mut request = None;
        let (body, extra) = if road.dialect == ask.dialect {
            codec.check_request(ask.document)?;
            let mut document = ask.document.clone();
            defaults::fill_document(&mut document, road.dialect, &self.defaults, &mut losses);
            self.finish(codec, document, &target, &mut losses)?
        } else {
            let read = Arc::clone(ask.request()?);
            ask.dialect.codec().report_untranslatable(&read, &mut losses)?;
            let written = if self.defaults.is_empty() {
                codec.write_request(&read, &target, &mut losses)?
            } else {
                codec.write_request(&defaults::fill_request(&read, &self.defaults)?, &target, &mut losses)?
            };
            request = Some(read);
            let document = Document::parse(&written)?;
            self.finish(codec, document, &target, &mut losses)?
        };
        let mut headers = Cow::Borrowed(&road.headers);
        for (name, value) in extra {
            merge_header(headers.to_mut(), name, &value);
        }
        Ok(Prepared {
            road,
            body,
            headers,
            authorization: None,
            notes: losses.into_notes(),
            stream: ask.stream,
            request,
        })
    }

    /// The road for a request: [`Deployment::road`], unless it asks for what only another endpoint has.
    fn road_for(&self, ask: &Ask<'_>) -> Result<Option<&Road>, Invalid> {
        let road = self.road(ask.dialect);
        let elsewhere = Quirk::Named(NamedQuirk::SearchesByResponses);
        if road.is_some_and(|road| road.quirks.contains(&elsewhere)) && ask.searches_the_web()? {
            let responses = self.roads.iter().find(|road| road.dialect == Dialect::OpenaiResponses);
            return Ok(responses.or(road));
        }
        Ok(road)
    }

    fn finish(
        &self,
        codec: &dialects::codec::Codec,
        mut document: Document<'_>,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<(Bytes, Vec<dialects::exchange::Header>), PrepareError> {
        for (name, value) in &self.extra_body {
            document.set_value(name, value);
        }
        let headers = codec.adapt_request(&mut document, target, losses)?;
        Ok((Bytes::from(document.to_bytes()), headers))
    }
}

/// List-valued headers (`anthropic-beta`) are joined, so that the operator's or client's values and ours both hold.
pub fn merge_header(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let name = HeaderName::from_static(name);
    let present = headers.get_all(&name).iter().filter_map(|line| line.to_str().ok());
    let mut items: Vec<&str> = Vec::new();
    for item in present.chain([value]).flat_map(|line| line.split(',')).map(str::trim) {
        if !item.is_empty() && !items.contains(&item) {
            items.push(item);
        }
    }
    if let Ok(value) = HeaderValue::from_str(&items.join(",")) {
        headers.insert(name, value);
    }
}

impl Prepared<'_> {
    /// Where it goes.
    #[must_use]
    pub fn address(&self) -> &Address {
        if self.stream { &self.road.stream_address } else { &self.road.address }
    }

    /// Signs the request in, where that takes more than a key: gets a token, if there is no good one.
    ///
    /// # Errors
    /// When no token can be had.
    pub async fn sign_in(&mut self) -> Result<(), SignInError> {
        if let Some(account) = &self.road.account {
            self.authorization = Some(account.authorization().await?);
        }
        Ok(())
    }

    /// The provider did not take the token: the next request gets another one.
    pub fn token_refused(&self) {
        if let (Some(account), Some(header)) = (&self.road.account, &self.authorization) {
            account.reject(header);
        }
    }

    /// The HTTP request.
    #[must_use]
    pub fn http_request(&self) -> http::Request<Full<Bytes>> {
        let mut request = http::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.address().uri.clone();
        *request.headers_mut() = HeaderMap::clone(&self.headers);
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        request
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use dialects::conversation::Extra;
    use dialects::exchange::ModelFacts;
    use http::Uri;

    use super::*;
    use crate::deployment::Timeouts;

    fn road(dialect: Dialect, quirks: &[Quirk]) -> Road {
        let uri = Uri::from_static("https://provider.example/v1");
        Road::new(dialect, uri.clone().into(), uri.into(), HeaderMap::new(), quirks.to_vec())
    }

    fn deployment(roads: Vec<Road>, anthropic_clients_by: Option<Dialect>) -> Deployment {
        Deployment {
            id: "id".into(),
            group: "group".into(),
            provider: "provider",
            provider_title: "Provider",
            model: "model".to_owned(),
            shown_base: String::new(),
            roads,
            services: Vec::new(),
            unusable: None,
            timeouts: Timeouts::of(Duration::from_secs(1)),
            defaults: Extra::new(),
            extra_body: Extra::new(),
            policy: ParameterPolicy::default(),
            facts: ModelFacts::default(),
            anthropic_clients_by,
            verify_tls: true,
        }
    }

    /// The dialect in which a client's request goes out.
    fn goes_by(deployment: &Deployment, client: Dialect, body: &str) -> Result<Dialect, String> {
        let document = Document::of(body).unwrap();
        let prepared = deployment.prepare(&Ask::new(client, &document, "group", false), None);
        prepared.map(|prepared| prepared.road.dialect).map_err(|error| error.to_string())
    }

    const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;
    const MESSAGES: &str = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;

    #[test]
    fn a_provider_s_row_says_how_anthropics_clients_are_served() {
        let roads = || vec![road(Dialect::OpenaiChat, &[]), road(Dialect::OpenaiResponses, &[])];
        let anthropic = Dialect::AnthropicMessages;
        let by_chat = deployment(roads(), None);
        assert_eq!(goes_by(&by_chat, anthropic, MESSAGES), Ok(Dialect::OpenaiChat));
        let by_responses = deployment(roads(), Some(Dialect::OpenaiResponses));
        assert_eq!(goes_by(&by_responses, anthropic, MESSAGES), Ok(Dialect::OpenaiResponses));
        assert_eq!(goes_by(&by_responses, Dialect::OpenaiChat, CHAT), Ok(Dialect::OpenaiChat));
    }

    #[test]
    fn lists_in_headers_are_joined_item_by_item() {
        let mut headers = HeaderMap::new();
        headers.append("anthropic-beta", HeaderValue::from_static("ultrafast-1, files-1"));
        headers.append("anthropic-beta", HeaderValue::from_static("skills-1"));
        merge_header(&mut headers, "anthropic-beta", "fast-1,files-1");
        let lines: Vec<_> = headers.get_all("anthropic-beta").iter().collect();
        assert_eq!(lines, ["ultrafast-1,files-1,skills-1,fast-1"]);
    }

    #[test]
    fn a_quirk_holds_on_its_own_road() {
        let lacks = [Quirk::Lacks("store".to_owned())];
        let roads = vec![road(Dialect::OpenaiChat, &lacks), road(Dialect::OpenaiResponses, &[])];
        let deployment = deployment(roads, None);
        let responses = r#"{"model":"m","input":"Hi","store":true}"#;
        assert_eq!(goes_by(&deployment, Dialect::OpenaiResponses, responses), Ok(Dialect::OpenaiResponses));
        let chat = CHAT.replace("\"m\",", "\"m\",\"store\":true,");
        assert!(goes_by(&deployment, Dialect::OpenaiChat, &chat).unwrap_err().contains("`store`"));
    }

    #[test]
    fn searches_go_where_the_provider_has_them() {
        let quirks = [Quirk::Named(NamedQuirk::SearchesByResponses)];
        let roads = vec![road(Dialect::OpenaiChat, &quirks), road(Dialect::OpenaiResponses, &[])];
        let deployment = deployment(roads, None);
        assert_eq!(goes_by(&deployment, Dialect::OpenaiChat, CHAT), Ok(Dialect::OpenaiChat));
        let chat = CHAT.replace("\"m\",", "\"m\",\"web_search_options\":{},");
        assert_eq!(goes_by(&deployment, Dialect::OpenaiChat, &chat), Ok(Dialect::OpenaiResponses));
        let tool = "\"m\",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}],";
        let messages = MESSAGES.replace("\"m\",", tool);
        assert_eq!(goes_by(&deployment, Dialect::AnthropicMessages, &messages), Ok(Dialect::OpenaiResponses));
    }

    #[test]
    fn an_answer_kept_by_another_provider_cannot_be_meant() {
        let deployment = deployment(vec![road(Dialect::OpenaiChat, &[])], None);
        let body = r#"{"model":"m","input":"Hi","previous_response_id":"resp_1"}"#;
        let refused = goes_by(&deployment, Dialect::OpenaiResponses, body).unwrap_err();
        assert!(refused.contains("`previous_response_id`"), "{refused}");
    }
}
