//! An application of a directory: with a secret or another provider's word for it
//! (<https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>), or for a user whose password it
//! has (<https://learn.microsoft.com/entra/identity-platform/v2-oauth-ropc>); both read 2026-11-21.

use crate::Secret;
use crate::sign_in::token_client::Question;
use crate::sign_in::{Fetching, Subject, TokenClient, TokenEndpoint, TokenSource};

#[derive(Debug)]
pub(super) struct Application {
    pub(super) endpoint: TokenEndpoint,
    pub(super) client: String,
    pub(super) scope: String,
    pub(super) proof: Proof,
}

/// How it shows who it is.
#[derive(Debug)]
pub(super) enum Proof {
    Secret(Secret),
    /// A JWT of another provider, such as Kubernetes.
    Assertion(Subject),
    Password {
        user: String,
        password: Secret,
    },
}

impl TokenSource for Application {
    fn who(&self) -> String {
        match &self.proof {
            Proof::Secret(_) | Proof::Assertion(_) => {
                format!("the Microsoft Entra application `{}`", self.client)
            }
            Proof::Password { user, .. } => format!("the Microsoft Entra user `{user}`"),
        }
    }

    fn identity(&self) -> Secret {
        let Self { endpoint, client, scope, proof } = self;
        let proof = match proof {
            Proof::Secret(secret) => format!("secret\n{}", secret.expose()),
            Proof::Assertion(subject) => format!("assertion\n{}", subject.identity().expose()),
            Proof::Password { user, password } => format!("password\n{user}\n{}", password.expose()),
        };
        Secret::new(format!("{}\n{client}\n{scope}\n{proof}", endpoint.uri()))
    }

    fn token<'s>(&'s self, client: &'s TokenClient) -> Fetching<'s> {
        Box::pin(async move {
            let assertion;
            let mut fields = vec![("client_id", self.client.as_str()), ("scope", self.scope.as_str())];
            match &self.proof {
                Proof::Secret(secret) => {
                    fields.extend([("grant_type", "client_credentials"), ("client_secret", secret.expose())]);
                }
                Proof::Assertion(subject) => {
                    assertion = subject.read(client).await?;
                    fields.extend([
                        ("grant_type", "client_credentials"),
                        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                        ("client_assertion", assertion.expose()),
                    ]);
                }
                Proof::Password { user, password } => {
                    fields.extend([
                        ("grant_type", "password"),
                        ("username", user.as_str()),
                        ("password", password.expose()),
                    ]);
                }
            }
            client.grant(Question::form(&self.endpoint, &fields)).await
        })
    }
}
