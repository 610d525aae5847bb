//! Google: OAuth 2.0 access tokens, found as Google's own libraries find what gives them ("Application Default
//! Credentials", <https://docs.cloud.google.com/docs/authentication/application-default-credentials>, read 2026-11-21).

mod authorized_user;
mod external_account;
mod impersonation;
mod metadata_server;
mod service_account;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use authorized_user::AuthorizedUser;
use external_account::ExternalAccount;
use impersonation::Impersonation;
use metadata_server::MetadataServer;
use serde::Deserialize;
use service_account::ServiceAccount;

use super::{TokenEndpoint, TokenSource, Variables, text_of};
use crate::Secret;

/// What every Google Cloud interface takes.
pub const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The variables that [`Credentials::find`] looks at.
pub const VARIABLES: &[&str] =
    &["GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "HOME", "GCE_METADATA_HOST"];

/// The most that is read of a file of credentials.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// What gives tokens, whatever they are for.
#[derive(Clone, Debug)]
pub struct Credentials {
    kind: Kind,
    /// The project that they belong to, where they say so.
    pub project: Option<String>,
    /// The project that is billed and whose quota counts (`x-goog-user-project`), where they say so.
    pub quota_project: Option<String>,
}

#[derive(Clone, Debug)]
enum Kind {
    ServiceAccount(Arc<ServiceAccount>),
    AuthorizedUser(AuthorizedUser),
    Impersonation(Box<Impersonation>),
    External(Box<ExternalAccount>),
    Machine(MetadataServer),
}

/// What stands in a file of credentials, whichever kind it is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    #[serde(rename = "type")]
    kind: Option<String>,
    project_id: Option<String>,
    quota_project_id: Option<String>,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

impl Fields {
    fn text(&self, name: &'static str) -> Result<&str, String> {
        let text = self.others.get(name).and_then(serde_json::Value::as_str);
        text.filter(|text| !text.is_empty()).ok_or_else(|| format!("it has no `{name}`"))
    }

    fn secret(&self, name: &'static str) -> Result<Secret, String> {
        self.text(name).map(Secret::new)
    }

    fn endpoint(&self, name: &'static str) -> Result<TokenEndpoint, String> {
        let url = self.text(name)?;
        TokenEndpoint::remote(url).map_err(|why| format!("its `{name}`: {why}"))
    }

    /// `token_uri`, else Google's.
    fn token_endpoint(&self) -> Result<TokenEndpoint, String> {
        if self.others.contains_key("token_uri") {
            return self.endpoint("token_uri");
        }
        TokenEndpoint::remote("https://oauth2.googleapis.com/token")
    }
}

impl Credentials {
    /// Those that are `given` (a path, or the JSON itself), else Google's defaults: the file that
    /// `GOOGLE_APPLICATION_CREDENTIALS` names, the one that `gcloud auth application-default login` wrote, and the
    /// metadata server of the machine, which is not asked before a token is needed.
    ///
    /// # Errors
    /// In words, where something is given that cannot be used.
    pub fn find(given: Option<&Secret>, variables: Variables<'_>) -> Result<Self, String> {
        if let Some(given) = given {
            let text = given.expose().trim();
            return if text.starts_with('{') {
                Self::from_json(text).map_err(|why| format!("the Google credentials cannot be used: {why}"))
            } else {
                Self::from_file(Path::new(text))
            };
        }
        if let Some(path) = text_of(variables, "GOOGLE_APPLICATION_CREDENTIALS") {
            return Self::from_file(Path::new(&path))
                .map_err(|why| format!("{why} (`GOOGLE_APPLICATION_CREDENTIALS`)"));
        }
        if let Some(path) = gcloud_file(variables).filter(|path| path.is_file()) {
            return Self::from_file(&path);
        }
        let server = MetadataServer::at(text_of(variables, "GCE_METADATA_HOST").as_deref())?;
        Ok(Self { kind: Kind::Machine(server), project: None, quota_project: None })
    }

    fn from_file(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let unusable =
            |why: String| format!("the file of Google credentials `{shown}` cannot be used: {why}");
        let size = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?.len();
        if size > MAX_FILE_BYTES {
            return Err(unusable(format!("it has {size} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        Self::from_json(&text).map_err(unusable)
    }

    /// # Errors
    /// In words, when it is not one of the kinds of credentials, or lacks something.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let fields: serde_json::Result<Fields> = serde_json::from_str(text);
        // serde's message may hold a part of the text.
        let fields = fields.map_err(|error| {
            format!("it is no JSON object (line {}, column {})", error.line(), error.column())
        })?;
        Self::of(&fields)
    }

    fn of(fields: &Fields) -> Result<Self, String> {
        let kind = match fields.kind.as_deref() {
            Some("service_account") => Kind::ServiceAccount(Arc::new(ServiceAccount::of(fields)?)),
            Some("authorized_user") => Kind::AuthorizedUser(AuthorizedUser::of(fields)?),
            Some("impersonated_service_account") => Kind::Impersonation(Box::new(Impersonation::of(fields)?)),
            Some("external_account") => Kind::External(Box::new(ExternalAccount::of(fields)?)),
            Some(other) => {
                return Err(format!(
                    "its `type` is `{other}`; known are `service_account`, `authorized_user`, \
                     `impersonated_service_account` and `external_account`"
                ));
            }
            None => return Err("it has no `type`, such as `service_account`".to_owned()),
        };
        let (project, quota_project) = (fields.project_id.clone(), fields.quota_project_id.clone());
        Ok(Self { kind, project, quota_project })
    }

    /// What gets tokens that are good for `scope`.
    #[must_use]
    pub fn token_source(&self, scope: &str) -> Box<dyn TokenSource> {
        match &self.kind {
            Kind::ServiceAccount(account) => {
                Box::new(service_account::Tokens::new(Arc::clone(account), scope))
            }
            Kind::AuthorizedUser(user) => Box::new(user.clone()),
            Kind::Impersonation(impersonation) => Box::new(impersonation.for_scope(scope)),
            Kind::External(external) => Box::new(external.for_scope(scope)),
            Kind::Machine(server) => Box::new(server.for_scope(scope)),
        }
    }
}

/// Where `gcloud` leaves a user's credentials.
fn gcloud_file(variables: Variables<'_>) -> Option<PathBuf> {
    let folder = text_of(variables, "CLOUDSDK_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(Path::new(&text_of(variables, "HOME")?).join(".config/gcloud")));
    folder.map(|folder| folder.join("application_default_credentials.json"))
}

#[cfg(test)]
mod tests;
