//! A user who signed in with `gcloud auth application-default login`: a refresh token
//! (<https://developers.google.com/identity/protocols/oauth2/web-server#offline>, read 2026-11-21). What the tokens are
//! good for was decided when the user signed in.

use super::Fields;
use crate::Secret;
use crate::sign_in::token_client::Question;
use crate::sign_in::{Fetching, TokenClient, TokenEndpoint, TokenSource};

#[derive(Clone, Debug)]
pub(super) struct AuthorizedUser {
    client_id: String,
    client_secret: Secret,
    refresh_token: Secret,
    endpoint: TokenEndpoint,
}

impl AuthorizedUser {
    pub(super) fn of(fields: &Fields) -> Result<Self, String> {
        Ok(Self {
            client_id: fields.text("client_id")?.to_owned(),
            client_secret: fields.secret("client_secret")?,
            refresh_token: fields.secret("refresh_token")?,
            endpoint: fields.token_endpoint()?,
        })
    }
}

impl TokenSource for AuthorizedUser {
    fn who(&self) -> String {
        "the user of `gcloud auth application-default login`".to_owned()
    }

    fn identity(&self) -> Secret {
        let Self { client_id, client_secret, refresh_token, endpoint } = self;
        let (secret, token) = (client_secret.expose(), refresh_token.expose());
        Secret::new(format!("{client_id}\n{secret}\n{token}\n{}", endpoint.uri()))
    }

    fn token<'s>(&'s self, client: &'s TokenClient) -> Fetching<'s> {
        Box::pin(client.grant(Question::form(
            &self.endpoint,
            &[
                ("grant_type", "refresh_token"),
                ("client_id", &self.client_id),
                ("client_secret", self.client_secret.expose()),
                ("refresh_token", self.refresh_token.expose()),
            ],
        )))
    }
}
