use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Collected, Full, Limited};
use serde::Deserialize;

use super::{Grant, SignInError, TokenEndpoint, form};
use crate::Secret;
use crate::transport::{Transport, TransportOptions};

/// For one exchange with a token server.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that is read of its answer.
const MAX_BYTES: usize = 256 * 1024;
/// The most that is told of its reason.
const MAX_REASON: usize = 400;

/// Speaks to token servers. As everywhere, redirects are not followed: a credential goes where it is meant to go.
#[derive(Debug)]
pub struct TokenClient {
    remote: Transport,
    /// For servers that no proxy reaches.
    local: Transport,
}

/// A question to a token server. It holds credentials, so it cannot be printed.
pub(super) struct Question<'q> {
    pub(super) method: Method,
    pub(super) endpoint: &'q TokenEndpoint,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

impl<'q> Question<'q> {
    pub(super) fn get(endpoint: &'q TokenEndpoint) -> Self {
        Self { method: Method::GET, endpoint, headers: Vec::new(), body: Bytes::new() }
    }

    pub(super) fn form(endpoint: &'q TokenEndpoint, fields: &[(&str, &str)]) -> Self {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        Self {
            method: Method::POST,
            endpoint,
            headers: vec![(CONTENT_TYPE, kind)],
            body: form::encode(fields).into(),
        }
    }

    pub(super) fn json(endpoint: &'q TokenEndpoint, body: &serde_json::Value) -> Self {
        let kind = HeaderValue::from_static("application/json");
        Self {
            method: Method::POST,
            endpoint,
            headers: vec![(CONTENT_TYPE, kind)],
            body: body.to_string().into(),
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.push((HeaderName::from_static(name), value));
        self
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.endpoint.uri().clone();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.extend(self.headers.iter().cloned());
        request
    }
}

/// OAuth 2.0's answer (RFC 6749, section 5.1).
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    /// Seconds; Azure's managed identities write them as text.
    #[serde(default)]
    expires_in: serde_json::Value,
    /// App Service's: seconds since 1970.
    #[serde(default)]
    expires_on: serde_json::Value,
}

/// OAuth 2.0's error (RFC 6749, section 5.2), or that of Google's other interfaces.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Failure {
    error: Option<serde_json::Value>,
    error_description: Option<String>,
}

/// A token server that does not say how long a token is good is asked again after this (RFC 6749 leaves it open).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(5 * 60);

impl TokenClient {
    /// A client with connections of its own.
    #[must_use]
    pub fn new(options: TransportOptions) -> Self {
        let local = Transport::new(TransportOptions { direct: true, ..options.clone() });
        Self { remote: Transport::new(options), local }
    }

    /// Asks for a token in OAuth 2.0's way.
    pub(super) async fn grant(&self, question: Question<'_>) -> Result<Grant, SignInError> {
        let shown = question.endpoint.shown();
        let body = self.ask(question).await?;
        let unreadable = || SignInError::lasting(format!("`{shown}` gave no `access_token`"));
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| unreadable())?;
        if answer.access_token.is_empty() {
            return Err(unreadable());
        }
        let seconds = number(&answer.expires_in).or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Some(number(&answer.expires_on)? - now.as_secs_f64())
        });
        let lifetime = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(Grant { token: Secret::new(answer.access_token), lifetime: lifetime.unwrap_or(DEFAULT_LIFETIME) })
    }

    /// Asks, once more where the server was only indisposed; gives the body of a success.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Bytes, SignInError> {
        match self.once(&question).await {
            Err(error) if error.is_passing() => self.once(&question).await,
            other => other,
        }
    }

    async fn once(&self, question: &Question<'_>) -> Result<Bytes, SignInError> {
        let shown = question.endpoint.shown();
        let transport = if question.endpoint.is_local() { &self.local } else { &self.remote };
        let asked = async {
            let response = transport.send(|| question.request(), true, PATIENCE).await;
            let response = response.map_err(|error| SignInError::passing(format!("`{shown}`: {error}")))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
            let body = body.map(Collected::to_bytes).map_err(|error| {
                SignInError::passing(format!("the answer of `{shown}` broke off: {error}"))
            })?;
            if status.is_success() { Ok(body) } else { Err(refused(&shown, status, &body)) }
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(outcome) => outcome,
            Err(_) => {
                Err(SignInError::passing(format!("`{shown}` did not answer within {} s", PATIENCE.as_secs())))
            }
        }
    }
}

/// A number, also one that is written as text.
fn number(said: &serde_json::Value) -> Option<f64> {
    said.as_f64().or_else(|| said.as_str()?.trim().parse().ok())
}

/// A status that is no success, in the server's own words as far as they are an OAuth error: nothing else of its answer
/// is repeated, since it may repeat what it was sent.
fn refused(shown: &str, status: StatusCode, body: &[u8]) -> SignInError {
    let failure: Failure = serde_json::from_slice(body).unwrap_or_default();
    let (code, inner) = match failure.error {
        Some(serde_json::Value::String(code)) => (Some(code), None),
        Some(serde_json::Value::Object(fields)) => {
            let text = |name: &str| fields.get(name).and_then(|value| value.as_str()).map(str::to_owned);
            (text("status"), text("message"))
        }
        _ => (None, None),
    };
    let mut message = format!("`{shown}` answered {}", status.as_u16());
    if let Some(code) = &code {
        message.push_str(&format!(" `{}`", first_line(code)));
    }
    if let Some(reason) = failure.error_description.or(inner) {
        message.push_str(&format!(": {}", first_line(&reason)));
    }
    if status.is_redirection() {
        message.push_str(", and redirects are not followed");
    }
    match code.as_deref() {
        Some("invalid_grant") => {
            message.push_str("; the credential is expired or revoked, or the clock is wrong");
        }
        Some("invalid_client" | "unauthorized_client") => {
            message.push_str("; check the client's id and secret");
        }
        _ => {}
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        SignInError::passing(message)
    } else {
        SignInError::lasting(message)
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign_in::fake::TokenServer;

    fn client() -> TokenClient {
        TokenClient::new(TransportOptions::default())
    }

    /// What a server that answers so gives.
    async fn granted(answers: &[(u16, &str)]) -> (Result<Grant, SignInError>, usize) {
        let server = TokenServer::start(answers).await;
        let endpoint = server.endpoint("/token");
        let granted = client().grant(Question::form(&endpoint, &[("a", "b")])).await;
        (granted, server.seen().len())
    }

    #[tokio::test]
    async fn a_token_is_good_as_long_as_the_server_says() {
        for (body, seconds) in [
            (r#"{"access_token":"t","expires_in":3599,"token_type":"Bearer"}"#, 3599),
            (r#"{"access_token":"t","expires_in":"86399","resource":"x"}"#, 86399),
            (r#"{"access_token":"t"}"#, 300),
            (r#"{"access_token":"t","expires_in":-1}"#, 300),
            (r#"{"access_token":"t","expires_on":"1"}"#, 300),
            (r#"{"access_token":"t","expires_on":"9/14/2017 00:00:00 AM +00:00"}"#, 300),
        ] {
            let grant = granted(&[(200, body)]).await.0.unwrap();
            assert_eq!((grant.token.expose(), grant.lifetime.as_secs()), ("t", seconds), "{body}");
        }
    }

    #[tokio::test]
    async fn a_server_may_name_the_end_instead() {
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 7200;
        let body = format!(r#"{{"access_token":"t","expires_on":"{end}"}}"#);
        let grant = granted(&[(200, &body)]).await.0.unwrap();
        let lifetime = grant.lifetime.as_secs();
        assert!((7000..=7200).contains(&lifetime), "{lifetime}");
    }

    #[tokio::test]
    async fn an_answer_without_a_token_is_an_error() {
        for body in ["", "{}", r#"{"access_token":""}"#, r#"{"access_token":7}"#, "<html>"] {
            let error = granted(&[(200, body)]).await.0.unwrap_err();
            assert!(error.to_string().ends_with("/token` gave no `access_token`"), "{error}");
            assert!(!error.is_passing());
        }
    }

    #[tokio::test]
    async fn a_server_that_is_indisposed_is_asked_once_more() {
        let good = (200, r#"{"access_token":"t","expires_in":60}"#);
        assert_eq!(granted(&[(503, ""), good]).await.0.unwrap().token.expose(), "t");
        let (twice, asked) = granted(&[(503, ""), (429, ""), good]).await;
        assert!(twice.unwrap_err().is_passing());
        assert_eq!(asked, 2);
        let (refused, asked) = granted(&[(400, r#"{"error":"invalid_client"}"#), good]).await;
        assert!(refused.unwrap_err().to_string().contains("check the client's id and secret"));
        assert_eq!(asked, 1);
    }

    #[tokio::test]
    async fn a_credential_does_not_follow_a_redirect() {
        let elsewhere = TokenServer::start(&[(200, r#"{"access_token":"t"}"#)]).await;
        let server = TokenServer::redirecting_to(&elsewhere.url("/")).await;
        let endpoint = server.endpoint("/token");
        let error = client().grant(Question::form(&endpoint, &[("secret", "s")])).await.unwrap_err();
        assert!(error.to_string().ends_with("answered 302, and redirects are not followed"), "{error}");
        assert!(elsewhere.seen().is_empty());
    }

    #[tokio::test]
    async fn nobody_there_is_told() {
        let server = TokenServer::start(&[]).await;
        let endpoint = server.endpoint("/token");
        drop(server);
        let error = client().grant(Question::get(&endpoint)).await.unwrap_err();
        assert!(error.is_passing());
        assert!(error.to_string().contains("/token`: connection"), "{error}");
    }

    #[test]
    fn a_server_s_reason_is_told() {
        let shown = "https://h/token";
        for (status, body, expected, passing) in [
            (
                400,
                r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature.\nmore"}"#,
                "`https://h/token` answered 400 `invalid_grant`: Invalid JWT Signature.; the credential is expired or \
                 revoked, or the clock is wrong",
                false,
            ),
            (
                403,
                r#"{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}"#,
                "`https://h/token` answered 403 `PERMISSION_DENIED`: no",
                false,
            ),
            (302, "", "`https://h/token` answered 302, and redirects are not followed", false),
            (503, "<html>you sent assertion=x</html>", "`https://h/token` answered 503", true),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = refused(shown, status, body.as_bytes());
            assert_eq!((error.to_string().as_str(), error.is_passing()), (expected, passing));
        }
    }
}
