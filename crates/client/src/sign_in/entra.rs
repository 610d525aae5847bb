//! Microsoft Entra ID: access tokens for Azure's interfaces.

mod application;
mod managed_identity;

use std::fmt;

use application::{Application, Proof};
use managed_identity::ManagedIdentity;
use percent_encoding::utf8_percent_encode;

use super::form::ENCODED;
use super::{Subject, TokenEndpoint, TokenSource, Variables, text_of};
use crate::Secret;

/// Where Entra is, unless `AZURE_AUTHORITY_HOST` says otherwise (a national cloud).
const AUTHORITY: &str = "https://login.microsoftonline.com";

/// The variables that [`Settings::token_source`] looks at.
pub const VARIABLES: &[&str] = &[
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_USERNAME",
    "AZURE_PASSWORD",
    "AZURE_AUTHORITY_HOST",
    "AZURE_FEDERATED_TOKEN_FILE",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
];

/// What a deployment says about its sign-in; what it does not say is looked for in Azure's own variables.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The directory, an id or a domain.
    pub tenant_id: Option<String>,
    /// The application, or the user-assigned managed identity.
    pub client_id: Option<String>,
    /// The application's secret.
    pub client_secret: Option<Secret>,
    /// A user, for whom the application signs in with a password.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// A token of another identity provider that vouches for the application.
    pub subject: Option<Subject>,
    /// What the token is for, ending in `/.default`.
    pub scope: String,
    /// Whether Azure itself is asked who this machine is, where nothing else says it.
    pub asks_platform: bool,
}

/// Why there is no way to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Nothing says how: no setting and no variable.
    Nothing,
    /// Something does, but it lacks a part, or has an impossible one.
    Wrong(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str(
                "nothing says how to sign in to Microsoft Entra: set `tenant_id`, `client_id` and `client_secret`, or \
                 Azure's variables for them",
            ),
            Self::Wrong(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Unusable {}

/// A setting, else its variable.
struct Known<'v> {
    settings: &'v Settings,
    variables: Variables<'v>,
}

impl Known<'_> {
    fn tenant(&self) -> Option<String> {
        self.settings.tenant_id.clone().or_else(|| text_of(self.variables, "AZURE_TENANT_ID"))
    }

    fn client(&self) -> Option<String> {
        self.settings.client_id.clone().or_else(|| text_of(self.variables, "AZURE_CLIENT_ID"))
    }

    fn secret(&self) -> Option<Secret> {
        let variable = || (self.variables)("AZURE_CLIENT_SECRET");
        self.settings.client_secret.clone().or_else(variable).filter(|secret| !secret.is_empty())
    }

    fn user(&self) -> Option<(String, Secret)> {
        let name = self.settings.username.clone().or_else(|| text_of(self.variables, "AZURE_USERNAME"))?;
        let password = self.settings.password.clone().or_else(|| (self.variables)("AZURE_PASSWORD"))?;
        Some((name, password)).filter(|(_, password)| !password.is_empty())
    }

    /// An application that proves who it is by `proof`.
    fn application(&self, proof: Proof) -> Result<Box<dyn TokenSource>, Unusable> {
        let missing = |key: &str, variable: &str| {
            Unusable::Wrong(format!(
                "sign-in to Microsoft Entra lacks `{key}`: set it, or the environment variable `{variable}`"
            ))
        };
        let tenant = self.tenant();
        let tenant = match (&proof, tenant) {
            (_, Some(tenant)) => tenant,
            // A user belongs to a directory of its own.
            (Proof::Password { .. }, None) => "organizations".to_owned(),
            (_, None) => return Err(missing("tenant_id", "AZURE_TENANT_ID")),
        };
        let client = self.client().ok_or_else(|| missing("client_id", "AZURE_CLIENT_ID"))?;
        let authority = text_of(self.variables, "AZURE_AUTHORITY_HOST");
        let authority = authority.as_deref().unwrap_or(AUTHORITY).trim_end_matches('/');
        let authority =
            if authority.contains("://") { authority.to_owned() } else { format!("https://{authority}") };
        let tenant = utf8_percent_encode(&tenant, ENCODED);
        let endpoint = TokenEndpoint::remote(&format!("{authority}/{tenant}/oauth2/v2.0/token"));
        let endpoint = endpoint.map_err(|why| Unusable::Wrong(format!("`AZURE_AUTHORITY_HOST`: {why}")))?;
        Ok(Box::new(Application { endpoint, client, scope: self.settings.scope.clone(), proof }))
    }
}

impl Settings {
    /// What gets the tokens. The settings come before the environment: a subject token, a client secret, a user's
    /// password; then the variables `AZURE_CLIENT_SECRET`, `AZURE_FEDERATED_TOKEN_FILE` (workload identity), `AZURE_USERNAME`;
    /// then this machine's managed identity.
    ///
    /// # Errors
    /// When there is no way, or one lacks a part.
    pub fn token_source(&self, variables: Variables<'_>) -> Result<Box<dyn TokenSource>, Unusable> {
        let known = Known { settings: self, variables };
        if let Some(subject) = &self.subject {
            return known.application(Proof::Assertion(subject.clone()));
        }
        if self.client_secret.is_none()
            && self.password.is_some()
            && let Some((user, password)) = known.user()
        {
            return known.application(Proof::Password { user, password });
        }
        // A secret alone in the environment belongs to whoever says the rest.
        let is_named = known.tenant().is_some() && known.client().is_some();
        if let Some(secret) = known.secret().filter(|_| is_named || self.client_secret.is_some()) {
            return known.application(Proof::Secret(secret));
        }
        if let Some(path) = text_of(variables, "AZURE_FEDERATED_TOKEN_FILE").filter(|_| is_named) {
            return known.application(Proof::Assertion(Subject::File { path: path.into(), field: None }));
        }
        if let Some((user, password)) = known.user().filter(|_| known.client().is_some()) {
            return known.application(Proof::Password { user, password });
        }
        let named = text_of(variables, "IDENTITY_ENDPOINT").is_some();
        if self.asks_platform || named {
            let identity = ManagedIdentity::find(known.client(), &self.scope, variables);
            return identity
                .map(|identity| Box::new(identity) as Box<dyn TokenSource>)
                .map_err(Unusable::Wrong);
        }
        if self.tenant_id.is_some() || self.client_id.is_some() {
            return Err(Unusable::Wrong(
                "sign-in to Microsoft Entra lacks `client_secret`: set it, or the environment variable \
                 `AZURE_CLIENT_SECRET` or `AZURE_FEDERATED_TOKEN_FILE`"
                    .to_owned(),
            ));
        }
        Err(Unusable::Nothing)
    }
}

#[cfg(test)]
mod tests;
