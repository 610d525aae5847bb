use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Account, TokenClient, TokenSource};
use crate::transport::TransportOptions;

/// One [`Account`] for each identity: deployments that sign in alike share a token.
#[derive(Debug)]
pub struct Accounts {
    client: Arc<TokenClient>,
    /// By [`Account::identity`].
    known: Mutex<HashMap<[u8; 32], Arc<Account>>>,
}

impl Accounts {
    /// None yet.
    #[must_use]
    pub fn new(options: TransportOptions) -> Self {
        Self { client: Arc::new(TokenClient::new(options)), known: Mutex::default() }
    }

    /// The account of this source; the same one for the same identity.
    #[must_use]
    pub fn of(&self, source: Box<dyn TokenSource>) -> Arc<Account> {
        let account = Arc::new(Account::new(source, Arc::clone(&self.client)));
        Arc::clone(self.known().entry(account.identity()).or_insert(account))
    }

    /// Takes over the tokens that `earlier` has for the same identities.
    pub fn continue_from(&self, earlier: &Self) {
        let known = self.known();
        for (identity, account) in earlier.known().iter() {
            if let Some(same) = known.get(identity) {
                same.continue_from(account);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Account>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
