use std::fmt;
use std::path::PathBuf;

use http::{HeaderName, HeaderValue};

use super::token_client::Question;
use super::{SignInError, TokenClient, TokenEndpoint, Variables, form, text_of};
use crate::Secret;

/// The most that is read of a file with a token.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Where a token lies with which another identity provider says who we are. It is read anew each time: whoever puts it
/// there replaces it.
#[derive(Clone)]
pub enum Subject {
    /// It does not change.
    Fixed(Secret),
    /// In a file, or in a field of the JSON in it.
    File { path: PathBuf, field: Option<String> },
    /// At an address, or in a field of the JSON there.
    Address { endpoint: TokenEndpoint, headers: Vec<(HeaderName, HeaderValue)>, field: Option<String> },
}

impl Subject {
    /// From LiteLLM's `oidc/<provider>/<audience>`; `reference` is what stands behind `oidc/`.
    ///
    /// # Errors
    /// In words, when there is no such provider, or it lacks a variable.
    pub fn of_reference(reference: &str, variables: Variables<'_>) -> Result<Self, String> {
        let (provider, rest) = reference.split_once('/').unwrap_or((reference, ""));
        let needed = |name: &str| {
            text_of(variables, name).ok_or_else(|| {
                format!("`oidc/{provider}/…` needs the environment variable `{name}`, which is not set")
            })
        };
        let file = |path: String| Self::File { path: path.into(), field: None };
        match provider {
            "azure" => needed("AZURE_FEDERATED_TOKEN_FILE").map(file),
            "circleci" => Ok(Self::Fixed(Secret::new(needed("CIRCLE_OIDC_TOKEN")?))),
            "circleci_v2" => Ok(Self::Fixed(Secret::new(needed("CIRCLE_OIDC_TOKEN_V2")?))),
            "env" => Ok(Self::Fixed(Secret::new(needed(rest)?))),
            "env_path" => needed(rest).map(file),
            "file" if rest.is_empty() => Err("`oidc/file/…` names no file".to_owned()),
            "file" => Ok(file(rest.to_owned())),
            "github" => {
                let token = Secret::new(needed("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?);
                let endpoint = TokenEndpoint::remote(&needed("ACTIONS_ID_TOKEN_REQUEST_URL")?)?;
                let endpoint = endpoint.with_query(&form::encode(&[("audience", rest)]))?;
                let Some(header) = token.header("Bearer ") else {
                    return Err("`ACTIONS_ID_TOKEN_REQUEST_TOKEN` cannot be sent".to_owned());
                };
                let headers = vec![(http::header::AUTHORIZATION, header)];
                Ok(Self::Address { endpoint, headers, field: Some("value".to_owned()) })
            }
            "google" => {
                let host = text_of(variables, "GCE_METADATA_HOST");
                let host = host.as_deref().unwrap_or("metadata.google.internal");
                let url =
                    format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/identity");
                let endpoint = TokenEndpoint::of_platform(&url)?;
                let endpoint = endpoint.with_query(&form::encode(&[("audience", rest)]))?;
                let flavor = (HeaderName::from_static("metadata-flavor"), HeaderValue::from_static("Google"));
                Ok(Self::Address { endpoint, headers: vec![flavor], field: None })
            }
            other => Err(format!(
                "`oidc/{other}/…` is not known; known are `azure`, `circleci`, `circleci_v2`, `env`, `env_path`, \
                 `file`, `github` and `google`"
            )),
        }
    }

    /// Everything that the token depends on.
    pub(super) fn identity(&self) -> Secret {
        Secret::new(match self {
            Self::Fixed(token) => token.expose().to_owned(),
            Self::File { path, field } => format!("{path:?} {field:?}"),
            Self::Address { endpoint, headers, field } => {
                let values: Vec<_> = headers.iter().map(|(name, value)| (name, value.as_bytes())).collect();
                format!("{} {values:?} {field:?}", endpoint.uri())
            }
        })
    }

    /// The token as it is now.
    pub(super) async fn read(&self, client: &TokenClient) -> Result<Secret, SignInError> {
        let (text, field, place) = match self {
            Self::Fixed(token) => return Ok(token.clone()),
            Self::File { path, field } => {
                let place = format!("the file `{}`", path.display());
                let unreadable =
                    |why: String| SignInError::lasting(format!("{place} of its subject token: {why}"));
                // A small file on this machine: it is there at once.
                let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
                if size > MAX_FILE_BYTES {
                    return Err(unreadable(format!("it has {size} bytes")));
                }
                let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
                (text, field, place)
            }
            Self::Address { endpoint, headers, field } => {
                let mut question = Question::get(endpoint);
                question.headers.clone_from(headers);
                let body = client.ask(question).await?;
                (String::from_utf8_lossy(&body).into_owned(), field, format!("`{}`", endpoint.shown()))
            }
        };
        let token = match field {
            None => text.trim().to_owned(),
            Some(field) => {
                let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                json.get(field).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
            }
        };
        if token.is_empty() {
            return Err(SignInError::lasting(format!("{place} holds no subject token")));
        }
        Ok(Secret::new(token))
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(_) => f.write_str("Fixed(…)"),
            Self::File { path, field } => {
                f.debug_struct("File").field("path", path).field("field", field).finish()
            }
            Self::Address { endpoint, field, .. } => {
                f.debug_struct("Address").field("endpoint", endpoint).field("field", field).finish()
            }
        }
    }
}
