//! The identity that Azure gave this machine: a virtual machine's or a cluster's by the instance metadata service
//! (<https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>), App Service's and
//! Container Apps' by `IDENTITY_ENDPOINT` (<https://learn.microsoft.com/azure/app-service/overview-managed-identity>); both
//! read 2026-11-21.

use http::HeaderValue;

use crate::Secret;
use crate::sign_in::token_client::Question;
use crate::sign_in::{Fetching, TokenClient, TokenEndpoint, TokenSource, Variables, form, text_of};

const METADATA_SERVICE: &str = "http://169.254.169.254";

#[derive(Debug)]
pub(super) struct ManagedIdentity {
    endpoint: TokenEndpoint,
    /// App Service's `X-IDENTITY-HEADER`; without it the metadata service is asked.
    header: Option<Secret>,
    client: Option<String>,
}

impl ManagedIdentity {
    /// `client` is the id of a user-assigned identity.
    pub(super) fn find(
        client: Option<String>,
        scope: &str,
        variables: Variables<'_>,
    ) -> Result<Self, String> {
        // Managed identities know resources, not scopes.
        let resource = scope.strip_suffix("/.default").unwrap_or(scope);
        let header = variables("IDENTITY_HEADER").filter(|value| !value.is_empty());
        let (url, version, header) = match (text_of(variables, "IDENTITY_ENDPOINT"), header) {
            (Some(url), Some(header)) => (url, "2019-08-01", Some(header)),
            (Some(_), None) => {
                return Err("`IDENTITY_ENDPOINT` is set and `IDENTITY_HEADER` is not".to_owned());
            }
            (None, _) => {
                let host = text_of(variables, "AZURE_POD_IDENTITY_AUTHORITY_HOST");
                let host = host.as_deref().unwrap_or(METADATA_SERVICE).trim_end_matches('/');
                (format!("{host}/metadata/identity/oauth2/token"), "2018-02-01", None)
            }
        };
        let mut query = vec![("api-version", version), ("resource", resource)];
        if let Some(client) = &client {
            query.push(("client_id", client));
        }
        let endpoint = TokenEndpoint::of_platform(&url)?.with_query(&form::encode(&query))?;
        Ok(Self { endpoint, header, client })
    }
}

impl TokenSource for ManagedIdentity {
    fn who(&self) -> String {
        match &self.client {
            Some(client) => format!("the managed identity `{client}`"),
            None => "the managed identity of this machine".to_owned(),
        }
    }

    fn identity(&self) -> Secret {
        let header = self.header.as_ref().map(Secret::expose);
        Secret::new(format!("{}\n{header:?}", self.endpoint.uri()))
    }

    fn token<'s>(&'s self, client: &'s TokenClient) -> Fetching<'s> {
        Box::pin(async move {
            let question = Question::get(&self.endpoint);
            let question = match self.header.as_ref().and_then(|header| header.header("")) {
                Some(header) => question.with("x-identity-header", header),
                None => question.with("metadata", HeaderValue::from_static("true")),
            };
            client.grant(question).await.map_err(|error| {
                error.with_hint(
                    "outside of Azure set `tenant_id`, `client_id` and `client_secret`, or Azure's variables for them",
                )
            })
        })
    }
}
