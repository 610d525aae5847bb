//! Google Cloud Storage by its XML interface
//! (<https://docs.cloud.google.com/storage/docs/xml-api/reference-methods>, read 2026-11-21).

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;
use tollway::sign_in::google::Credentials;

use super::Bucket;
use super::tokens::Tokens;
use crate::cache::store::StoreError;
use crate::config::GcsSettings;

/// Objects may be read, written and removed.
const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";
const USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

#[derive(Debug)]
pub(crate) struct Gcs {
    settings: GcsSettings,
    tokens: Tokens,
    /// Who pays, where the credentials say so.
    project: Option<HeaderValue>,
}

impl Gcs {
    pub(crate) fn new(settings: GcsSettings) -> Self {
        let found = credentials(&settings);
        let project = found.as_ref().ok().and_then(|found| found.quota_project.as_deref());
        let project = project.and_then(|project| HeaderValue::from_str(project).ok());
        let tokens = if settings.anonymous {
            Tokens::nobody()
        } else {
            Tokens::of(found.map(|found| found.token_source(SCOPE)), &settings.endpoint)
        };
        Self { settings, tokens, project }
    }

    /// Why nobody can sign in, as far as that can be known beforehand.
    pub(crate) fn problem(settings: &GcsSettings) -> Option<String> {
        if settings.anonymous { None } else { credentials(settings).err() }
    }
}

fn credentials(settings: &GcsSettings) -> Result<Credentials, String> {
    let variable = |name: &str| settings.variables.get(name).cloned();
    Credentials::find(settings.credentials.as_ref(), &variable)
}

impl Bucket for Gcs {
    const NAME: &'static str = "gcs";
    const TITLE: &'static str = "Google Cloud Storage";
    const LISTED: &'static str = "Key";

    fn path(&self) -> &str {
        &self.settings.path
    }

    fn address(&self, object: &str) -> String {
        format!("{}/{}/{object}", self.settings.endpoint, self.settings.bucket)
    }

    fn list(&self, prefix: &str, most: Option<u32>) -> String {
        let most = most.map(|most| format!("&max-keys={most}")).unwrap_or_default();
        format!("list-type=2&prefix={prefix}{most}")
    }

    async fn sign(&self, request: &mut Request<Full<Bytes>>, _: &[u8]) -> Result<(), StoreError> {
        if let Some(project) = &self.project {
            request.headers_mut().insert(USER_PROJECT, project.clone());
        }
        self.tokens.sign(request).await
    }

    fn refused(&self, request: &Request<Full<Bytes>>) {
        self.tokens.refused(request);
    }
}
