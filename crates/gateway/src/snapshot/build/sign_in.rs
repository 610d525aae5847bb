//! How a deployment signs in: what its settings say, then what the environment says, never another provider's key.

use catalog::provider::{Auth, Provider, Route, bearer};
use tollway::Secret;
use tollway::sign_in::{Subject, TokenSource, entra, google};

use super::Common;
use crate::config::{AzureCredentials, DeploymentConfig};

/// What Azure's interfaces take, where the provider's row says nothing else.
const AZURE_SCOPE: &str = "https://cognitiveservices.azure.com/.default";

/// How a deployment signs in.
#[derive(Debug)]
pub(super) enum SignIn {
    /// Not at all.
    Open,
    /// With the same header on every request.
    Key { header: String, value: Secret },
    /// With a token that this gets.
    Account(Box<dyn TokenSource>),
}

impl SignIn {
    fn key((header, value): (&str, String)) -> Self {
        Self::Key { header: header.to_owned(), value: Secret::new(value) }
    }
}

/// Google credentials, where the provider takes them and nobody has fetched a token already.
pub(super) fn google(
    provider: &'static Provider,
    config: &DeploymentConfig,
    common: &Common,
) -> Result<Option<google::Credentials>, String> {
    let is_google = matches!(provider.auth, Auth::GoogleOauth { .. });
    if !is_google || config.connection.api_key.is_some() || has_own_header(config) {
        return Ok(None);
    }
    let given = config.vertex.credentials.clone().or_else(|| common.first_variable(provider.other_env));
    google::Credentials::find(given.as_ref(), &|name| common.variable(name)).map(Some)
}

/// How requests on a road are signed in.
pub(super) fn sign_in(
    route: &Route<'_>,
    config: &DeploymentConfig,
    google: Option<&google::Credentials>,
    common: &Common,
) -> Result<SignIn, String> {
    let provider = route.provider;
    let auth = route.auth();
    if let Some(token) = &config.azure.azure_ad_token {
        return azure_token(token, auth, config, common);
    }
    if let (Auth::GoogleOauth { scope }, Some(credentials)) = (auth, google) {
        return Ok(SignIn::Account(credentials.token_source(scope)));
    }
    if config.connection.api_key.is_none() && names_entra(&config.azure, auth) {
        let settings = entra_settings(auth, config, None, common);
        let source = settings.token_source(&|name| common.variable(name));
        return source.map(SignIn::Account).map_err(|why| why.to_string());
    }
    let key = config.connection.api_key.clone().or_else(|| common.first_variable(provider.api_key_env));
    if let Some(key) = key {
        let header = match auth {
            // A token that somebody else fetched.
            Auth::GoogleOauth { .. } => Some(bearer(key.expose())),
            auth => auth.key_header(key.expose()),
        };
        return match header {
            Some(header) => Ok(SignIn::key(header)),
            None if auth == Auth::None => Ok(SignIn::Open),
            None => Err(format!("sign-in to provider `{}` is not supported in this version", provider.id)),
        };
    }
    if let Some(token) = common.first_variable(provider.bearer_env) {
        return azure_token(&token, auth, config, common);
    }
    if provider.key_optional || auth == Auth::None || has_own_header(config) {
        return Ok(SignIn::Open);
    }
    let mut also = "";
    if matches!(auth, Auth::Azure { .. }) {
        let settings = entra_settings(auth, config, None, common);
        match settings.token_source(&|name| common.variable(name)) {
            Ok(source) => return Ok(SignIn::Account(source)),
            Err(entra::Unusable::Wrong(why)) => return Err(why),
            Err(entra::Unusable::Nothing) => {
                also = "; or sign in to Microsoft Entra with `tenant_id`, `client_id` and `client_secret`";
            }
        }
    }
    let variables: Vec<String> = provider.api_key_env.iter().map(|name| format!("`{name}`")).collect();
    Err(format!(
        "the key for provider `{}` is missing: set `api_key` of the deployment or the environment variable {}{also}",
        provider.id,
        variables.join(" or ")
    ))
}

/// The operator signs in by a header of their own.
fn has_own_header(config: &DeploymentConfig) -> bool {
    config.connection.headers.contains_key("authorization")
}

/// A token as it is, or a reference to another identity provider's, which Entra exchanges for one.
fn azure_token(
    token: &Secret,
    auth: Auth,
    config: &DeploymentConfig,
    common: &Common,
) -> Result<SignIn, String> {
    let Some(reference) = token.expose().strip_prefix("oidc/").filter(|_| takes_entra(auth)) else {
        return Ok(SignIn::key(bearer(token.expose())));
    };
    let variables = |name: &str| common.variable(name);
    let subject = Subject::of_reference(reference, &variables)?;
    let settings = entra_settings(auth, config, Some(subject), common);
    settings.token_source(&variables).map(SignIn::Account).map_err(|why| why.to_string())
}

/// Whether the settings of the deployment itself name somebody. Others have a `client_id` too; a tenant is Azure's.
fn names_entra(azure: &AzureCredentials, auth: Auth) -> bool {
    let is_entra = azure.tenant_id.is_some() || azure.azure_password.is_some();
    let named = is_entra || azure.client_id.is_some() || azure.client_secret.is_some();
    takes_entra(auth) && if matches!(auth, Auth::Azure { .. }) { named } else { is_entra }
}

/// Whether a token of Entra may be what a provider takes: not where a scheme of its own uses the same settings.
fn takes_entra(auth: Auth) -> bool {
    matches!(auth, Auth::Azure { .. } | Auth::Bearer | Auth::Header { .. })
}

fn entra_settings(
    auth: Auth,
    config: &DeploymentConfig,
    subject: Option<Subject>,
    common: &Common,
) -> entra::Settings {
    let azure = &config.azure;
    let own = match auth {
        Auth::Azure { scope, .. } => scope,
        _ => AZURE_SCOPE,
    };
    let scope = azure.azure_scope.clone().or_else(|| common.text_variable(&["AZURE_SCOPE"]));
    entra::Settings {
        tenant_id: azure.tenant_id.clone(),
        client_id: azure.client_id.clone(),
        client_secret: azure.client_secret.clone(),
        username: azure.azure_username.clone(),
        password: azure.azure_password.clone(),
        subject,
        scope: scope.unwrap_or_else(|| own.to_owned()),
        asks_platform: common.azure_platform,
    }
}
