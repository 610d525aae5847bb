//! The machine's own identity on Google Cloud (Compute Engine, GKE, Cloud Run)
//! (<https://docs.cloud.google.com/compute/docs/access/authenticate-workloads#applications>, read 2026-11-21).

use http::HeaderValue;

use crate::Secret;
use crate::sign_in::token_client::Question;
use crate::sign_in::{Fetching, SignInError, TokenClient, TokenEndpoint, TokenSource, form};

const HOST: &str = "metadata.google.internal";

/// Where the metadata server is.
#[derive(Clone, Debug)]
pub(super) struct MetadataServer {
    endpoint: TokenEndpoint,
}

impl MetadataServer {
    /// `host` is another host than the usual one (`GCE_METADATA_HOST`).
    pub(super) fn at(host: Option<&str>) -> Result<Self, String> {
        let host = host.unwrap_or(HOST);
        let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
        let endpoint =
            TokenEndpoint::of_platform(&url).map_err(|why| format!("`GCE_METADATA_HOST`: {why}"))?;
        Ok(Self { endpoint })
    }

    pub(super) fn for_scope(&self, scope: &str) -> Tokens {
        Tokens { endpoint: self.endpoint.clone(), scope: scope.to_owned() }
    }
}

/// Its tokens for one scope. Machines whose scopes are fixed take no notice of it.
#[derive(Debug)]
pub(super) struct Tokens {
    endpoint: TokenEndpoint,
    scope: String,
}

impl TokenSource for Tokens {
    fn who(&self) -> String {
        "the service account of this machine (no Google credentials are given)".to_owned()
    }

    fn identity(&self) -> Secret {
        Secret::new(format!("{}\n{}", self.endpoint.uri(), self.scope))
    }

    fn token<'s>(&'s self, client: &'s TokenClient) -> Fetching<'s> {
        Box::pin(async move {
            let endpoint = self.endpoint.with_query(&form::encode(&[("scopes", &self.scope)]));
            let endpoint = endpoint.map_err(SignInError::lasting)?;
            let flavor = HeaderValue::from_static("Google");
            let asked = client.grant(Question::get(&endpoint).with("metadata-flavor", flavor));
            asked.await.map_err(|error| {
                error.with_hint(
                    "on a machine outside of Google Cloud set the credentials, or name a file of them in \
                     `GOOGLE_APPLICATION_CREDENTIALS`",
                )
            })
        })
    }
}
