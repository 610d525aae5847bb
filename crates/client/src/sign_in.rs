//! Signing in where a fixed key is not enough: a token that lives for an hour or so is got from the provider's token
//! server and sent along.
//!
//! Each way to get one is a [`TokenSource`], one file each. An [`Account`] holds the token of one of them, gets the next
//! one ahead of time and never twice at a time; [`Accounts`] has one account for all deployments that sign in alike.
//!
//! ```no_run
//! use tollway::Secret;
//! use tollway::sign_in::{Accounts, google};
//! use tollway::transport::TransportOptions;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let variables = |name: &str| std::env::var(name).ok().map(Secret::new);
//! let credentials = google::Credentials::find(None, &variables)?;
//! let accounts = Accounts::new(TransportOptions::default());
//! let account = accounts.of(credentials.token_source(google::CLOUD_PLATFORM));
//! let authorization = account.authorization().await?;
//! # drop(authorization);
//! # Ok(())
//! # }
//! ```

mod account;
mod accounts;
mod endpoint;
pub mod entra;
mod error;
#[cfg(test)]
mod fake;
mod form;
pub mod google;
mod subject;
mod token_client;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

pub use account::Account;
pub use accounts::Accounts;
pub use endpoint::TokenEndpoint;
pub use error::SignInError;
pub use subject::Subject;
pub use token_client::TokenClient;

use crate::Secret;

/// One way to get tokens for one identity.
pub trait TokenSource: fmt::Debug + Send + Sync {
    /// Who signs in, in words for messages; holds no secret.
    fn who(&self) -> String;

    /// Everything that the tokens depend on, secrets included. Two sources that say the same share an [`Account`].
    fn identity(&self) -> Secret;

    /// Gets a token.
    fn token<'s>(&'s self, client: &'s TokenClient) -> Fetching<'s>;
}

/// A token that is on its way.
pub type Fetching<'s> = Pin<Box<dyn Future<Output = Result<Grant, SignInError>> + Send + 's>>;

/// What a token server gave.
#[derive(Clone, Debug)]
pub struct Grant {
    /// An access token, which goes out as `authorization: Bearer`.
    pub token: Secret,
    /// How long it is good, from the moment at which it was asked for.
    pub lifetime: Duration,
}

/// Where settings are looked up that a scheme's own conventions name: the environment, as the caller sees it.
pub type Variables<'v> = &'v dyn Fn(&str) -> Option<Secret>;

/// A variable that is set, as text.
fn text_of(variables: Variables<'_>, name: &str) -> Option<String> {
    variables(name).filter(|value| !value.is_empty()).map(|value| value.expose().to_owned())
}
