//! Workload identity federation: who another identity provider says we are, exchanged for a Google token
//! (<https://google.aip.dev/auth/4117>, read 2026-11-21). Subject tokens come from a file or an address; those that AWS signs
//! are not known.

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use super::impersonation::act_as;
use super::{CLOUD_PLATFORM, Fields};
use crate::Secret;
use crate::sign_in::token_client::Question;
use crate::sign_in::{Fetching, Subject, TokenClient, TokenEndpoint, TokenSource};

#[derive(Clone, Debug)]
pub(super) struct ExternalAccount {
    audience: String,
    subject_type: String,
    subject: Subject,
    endpoint: TokenEndpoint,
    /// The service account that is acted as.
    acts_as: Option<TokenEndpoint>,
}

impl ExternalAccount {
    pub(super) fn of(fields: &Fields) -> Result<Self, String> {
        let source = fields.others.get("credential_source").cloned().unwrap_or_default();
        let acts_as = fields.others.contains_key("service_account_impersonation_url");
        Ok(Self {
            audience: fields.text("audience")?.to_owned(),
            subject_type: fields.text("subject_token_type")?.to_owned(),
            subject: subject(&source).map_err(|why| format!("its `credential_source` {why}"))?,
            endpoint: fields.endpoint("token_url")?,
            acts_as: acts_as.then(|| fields.endpoint("service_account_impersonation_url")).transpose()?,
        })
    }

    pub(super) fn for_scope(&self, scope: &str) -> Tokens {
        Tokens { account: self.clone(), scope: scope.to_owned() }
    }
}

fn subject(source: &Value) -> Result<Subject, String> {
    let text = |name: &str| source.get(name).and_then(Value::as_str);
    let format = source.get("format");
    let in_json = format.and_then(|format| format.get("type")).and_then(Value::as_str) == Some("json");
    let field = format.and_then(|format| format.get("subject_token_field_name")).and_then(Value::as_str);
    let field = field.filter(|_| in_json).map(str::to_owned);
    if let Some(path) = text("file") {
        return Ok(Subject::File { path: path.into(), field });
    }
    let Some(url) = text("url") else {
        return Err("names no `file` and no `url`; other sources of a subject token are not known".to_owned());
    };
    let endpoint = TokenEndpoint::of_platform(url)?;
    let mut headers = Vec::new();
    for (name, value) in source.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| format!("has a bad header `{name}`"))?;
        let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok());
        let mut value = value.ok_or_else(|| format!("has a header `{name}` that cannot be sent"))?;
        value.set_sensitive(true);
        headers.push((name, value));
    }
    Ok(Subject::Address { endpoint, headers, field })
}

/// Its tokens for one scope.
#[derive(Debug)]
pub(super) struct Tokens {
    account: ExternalAccount,
    scope: String,
}

impl TokenSource for Tokens {
    fn who(&self) -> String {
        format!("the federated identity of `{}`", self.account.audience)
    }

    fn identity(&self) -> Secret {
        let ExternalAccount { audience, subject_type, subject, endpoint, acts_as } = &self.account;
        let acts_as = acts_as.as_ref().map(TokenEndpoint::uri);
        let subject = subject.identity();
        let subject = subject.expose();
        let uri = endpoint.uri();
        Secret::new(format!("{audience}\n{subject_type}\n{subject}\n{uri}\n{acts_as:?}\n{}", self.scope))
    }

    fn token<'s>(&'s self, client: &'s TokenClient) -> Fetching<'s> {
        Box::pin(async move {
            let ExternalAccount { audience, subject_type, subject, endpoint, acts_as } = &self.account;
            let subject = subject.read(client).await?;
            // Acting as an account takes a token for everything first.
            let scope = if acts_as.is_some() { CLOUD_PLATFORM } else { &self.scope };
            let exchange = Question::form(
                endpoint,
                &[
                    ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                    ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
                    ("audience", audience),
                    ("scope", scope),
                    ("subject_token", subject.expose()),
                    ("subject_token_type", subject_type),
                ],
            );
            let grant = client.grant(exchange).await?;
            match acts_as {
                Some(endpoint) => act_as(client, endpoint, &grant.token, &self.scope, &[]).await,
                None => Ok(grant),
            }
        })
    }
}
