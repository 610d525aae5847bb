//! From what a client said to what a deployment is sent.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use dialects::conversation::{Request, StreamOptions};
use dialects::document::Document;
use dialects::exchange::Target;
use dialects::loss::{Losses, Note, ParameterPolicy};
use dialects::{CannotSay, Dialect, Invalid};
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::Full;

use crate::defaults;
use crate::deployment::{Deployment, Road};

/// A client's request, read as far as some deployment needs it.
#[derive(Debug)]
pub struct Ask<'a> {
    pub dialect: Dialect,
    pub document: &'a Document<'a>,
    /// The model the client asked for, wherever its dialect says so.
    pub model: &'a str,
    pub stream: bool,
    request: OnceCell<Arc<Request>>,
}

impl<'a> Ask<'a> {
    #[must_use]
    pub fn new(dialect: Dialect, document: &'a Document<'a>, model: &'a str, stream: bool) -> Self {
        Self { dialect, document, model, stream, request: OnceCell::new() }
    }

    /// Whether the client wants usage in the stream; only OpenAI's Chat Completions leave it open.
    ///
    /// # Errors
    /// When `stream_options` is not an object.
    pub fn include_usage(&self) -> Result<bool, Invalid> {
        if self.dialect != Dialect::OpenaiChat {
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
    pub headers: HeaderMap,
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
}

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::CannotSay(error) => error.fmt(f),
            Self::Unusable(why) => f.write_str(why),
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
        let Some(road) = self.road(ask.dialect) else {
            return Err(PrepareError::Unusable(format!("`{}` serves no conversations", self.model)));
        };
        let target = Target { policy: policy.unwrap_or(&self.policy), ..self.target() };
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
            let written = if self.defaults.is_empty() {
                codec.write_request(&read, &target, &mut losses)?
            } else {
                codec.write_request(&defaults::fill_request(&read, &self.defaults)?, &target, &mut losses)?
            };
            request = Some(read);
            let document = Document::parse(&written)?;
            self.finish(codec, document, &target, &mut losses)?
        };
        let mut headers = road.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Answers are read as they arrive; a compressed one would have to be inflated under a bound first.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in extra {
            merge_header(&mut headers, name, &value);
        }
        Ok(Prepared { road, body, headers, notes: losses.into_notes(), stream: ask.stream, request })
    }

    fn finish(
        &self,
        codec: &'static dyn dialects::codec::Codec,
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
    let joined = match headers.get(&name).and_then(|present| present.to_str().ok()) {
        Some(present) => {
            let mut items: Vec<&str> = present.split(',').map(str::trim).collect();
            items.extend(value.split(',').map(str::trim).filter(|item| !present.contains(*item)));
            items.join(",")
        }
        None => value.to_owned(),
    };
    if let Ok(value) = HeaderValue::from_str(&joined) {
        headers.insert(name, value);
    }
}

impl Prepared<'_> {
    /// The HTTP request.
    #[must_use]
    pub fn http_request(&mut self) -> http::Request<Full<Bytes>> {
        let mut request = http::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = if self.stream { self.road.stream_uri.clone() } else { self.road.uri.clone() };
        *request.headers_mut() = std::mem::take(&mut self.headers);
        request
    }
}
