//! Buckets that are signed in to with an access token.

use std::sync::Arc;

use http::Request;
use http::header::AUTHORIZATION;
use tollway::sign_in::{Account, TokenClient, TokenEndpoint, TokenSource};
use tollway::transport::TransportOptions;

use crate::cache::store::StoreError;

/// Who signs in; or nobody, at an emulator.
#[derive(Debug)]
pub(super) struct Tokens(Result<Option<Arc<Account>>, StoreError>);

impl Tokens {
    /// Tokens for the server at `address`; what is wrong is told when they are needed.
    pub(super) fn of(source: Result<Box<dyn TokenSource>, String>, address: &str) -> Self {
        let sound = TokenEndpoint::remote(address).and(source);
        let account = sound.map(|source| {
            let client = Arc::new(TokenClient::new(TransportOptions::default()));
            Some(Arc::new(Account::new(source, client)))
        });
        Self(account.map_err(StoreError::new))
    }

    /// None.
    pub(super) fn nobody() -> Self {
        Self(Ok(None))
    }

    pub(super) async fn sign<B>(&self, request: &mut Request<B>) -> Result<(), StoreError> {
        if let Some(account) = self.0.as_ref().map_err(Clone::clone)? {
            let header = account.authorization().await;
            let header = header.map_err(|error| StoreError::new(error.to_string()))?;
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        Ok(())
    }

    /// The server did not take the token that a request had.
    pub(super) fn refused<B>(&self, request: &Request<B>) {
        if let (Ok(Some(account)), Some(header)) = (&self.0, request.headers().get(AUTHORIZATION)) {
            account.reject(header);
        }
    }
}
