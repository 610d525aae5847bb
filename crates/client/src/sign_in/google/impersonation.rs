//! Acting as a service account on the strength of other credentials
//! (<https://docs.cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>,
//! read 2026-11-21).

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::{CLOUD_PLATFORM, Credentials, Fields};
use crate::Secret;
use crate::sign_in::token_client::Question;
use crate::sign_in::{Fetching, Grant, SignInError, TokenClient, TokenEndpoint, TokenSource};

/// How long its tokens are asked to be good, in seconds: the most without a special permission.
const LIFETIME: u64 = 3600;

#[derive(Clone, Debug)]
pub(super) struct Impersonation {
    by: Credentials,
    endpoint: TokenEndpoint,
    delegates: Vec<String>,
}

impl Impersonation {
    pub(super) fn of(fields: &Fields) -> Result<Self, String> {
        let by = fields.others.get("source_credentials").cloned().unwrap_or_default();
        let by: Fields =
            serde_json::from_value(by).map_err(|_| "its `source_credentials` are no object".to_owned())?;
        let delegates = fields.others.get("delegates").and_then(|list| list.as_array());
        let delegates = delegates.into_iter().flatten().filter_map(|name| name.as_str()).map(str::to_owned);
        Ok(Self {
            by: Credentials::of(&by).map_err(|why| format!("its `source_credentials`: {why}"))?,
            endpoint: fields.endpoint("service_account_impersonation_url")?,
            delegates: delegates.collect(),
        })
    }

    pub(super) fn for_scope(&self, scope: &str) -> Tokens {
        Tokens {
            by: self.by.token_source(CLOUD_PLATFORM),
            endpoint: self.endpoint.clone(),
            delegates: self.delegates.clone(),
            scope: scope.to_owned(),
        }
    }
}

/// Its tokens for one scope.
#[derive(Debug)]
pub(super) struct Tokens {
    by: Box<dyn TokenSource>,
    endpoint: TokenEndpoint,
    delegates: Vec<String>,
    scope: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    access_token: String,
}

impl TokenSource for Tokens {
    fn who(&self) -> String {
        format!("{}, which acts as another service account,", self.by.who())
    }

    fn identity(&self) -> Secret {
        let by = self.by.identity();
        let Self { endpoint, delegates, scope, .. } = self;
        Secret::new(format!("{}\n{}\n{delegates:?}\n{scope}", by.expose(), endpoint.uri()))
    }

    fn token<'s>(&'s self, client: &'s TokenClient) -> Fetching<'s> {
        Box::pin(async move {
            let own = self.by.token(client).await?;
            act_as(client, &self.endpoint, &own.token, &self.scope, &self.delegates).await
        })
    }
}

/// Exchanges a token for one of the service account that `endpoint` names.
pub(super) async fn act_as(
    client: &TokenClient,
    endpoint: &TokenEndpoint,
    own: &Secret,
    scope: &str,
    delegates: &[String],
) -> Result<Grant, SignInError> {
    let Some(header) = own.header("Bearer ") else {
        return Err(SignInError::lasting("its own token has characters that no header can hold"));
    };
    let mut body = json!({"scope": [scope], "lifetime": format!("{LIFETIME}s")});
    if let Some(body) = body.as_object_mut().filter(|_| !delegates.is_empty()) {
        body.insert("delegates".to_owned(), json!(delegates));
    }
    let question = Question::json(endpoint, &body).with("authorization", header);
    let answer: Bytes = client.ask(question).await?;
    let answer: Answer = serde_json::from_slice(&answer)
        .map_err(|_| SignInError::lasting(format!("`{}` gave no `accessToken`", endpoint.shown())))?;
    Ok(Grant { token: Secret::new(answer.access_token), lifetime: Duration::from_secs(LIFETIME) })
}
