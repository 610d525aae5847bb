//! Changing the salt key that providers' secrets are under.

use std::collections::BTreeMap;
use std::fmt;

use super::{Filter, Record, SortBy, Sorting, Store, StoreError, Stored};
use crate::rules::entity::{Credential, RuntimeModel, Team};
use crate::vault::{Place, Sealed, Vault, VaultError};

/// Records that are read at the same time.
const PAGE: i64 = 200;

/// What a round of sealing anew did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Secrets that are under the current salt key now, and were under a former one.
    pub resealed: usize,
    /// Secrets that were under the current one already.
    pub current: usize,
    /// Records that somebody changed meanwhile: another round takes them.
    pub busy: usize,
}

/// Sealing anew stopped. What was sealed anew stays so; another round takes the rest.
#[derive(Debug)]
pub enum ResealError {
    Store(StoreError),
    /// A secret does not open.
    Vault {
        /// `credential/openai/api_key`
        what: String,
        source: VaultError,
    },
}

impl fmt::Display for ResealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(_) => f.write_str("secrets could not be sealed anew"),
            Self::Vault { what, .. } => write!(f, "`{what}` could not be sealed anew"),
        }
    }
}

impl std::error::Error for ResealError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(source) => Some(source),
            Self::Vault { source, .. } => Some(source),
        }
    }
}

impl From<StoreError> for ResealError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Whether what is sealed anew is kept.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Write,
    Count,
}

impl Store {
    /// Seals all secrets anew that are not under the vault's current salt key. Instances that know both keys read
    /// them before and after.
    ///
    /// # Errors
    /// The first secret that does not open; or the database's.
    pub async fn reseal(&self, vault: &Vault) -> Result<Resealed, ResealError> {
        self.reseal_where(vault, Mode::Write).await
    }

    /// What [`reseal`](Self::reseal) would do, without doing it.
    ///
    /// # Errors
    /// The same.
    pub async fn would_reseal(&self, vault: &Vault) -> Result<Resealed, ResealError> {
        self.reseal_where(vault, Mode::Count).await
    }

    async fn reseal_where(&self, vault: &Vault, mode: Mode) -> Result<Resealed, ResealError> {
        let mut done = Resealed::default();
        self.reseal_all(vault, mode, |record: &mut Credential| &mut record.values, &mut done).await?;
        self.reseal_all(vault, mode, |record: &mut RuntimeModel| &mut record.secrets, &mut done).await?;
        self.reseal_all(vault, mode, |record: &mut Team| &mut record.secrets, &mut done).await?;
        Ok(done)
    }

    async fn reseal_all<R: Record>(
        &self,
        vault: &Vault,
        mode: Mode,
        secrets: impl Fn(&mut R) -> &mut BTreeMap<String, Sealed>,
        done: &mut Resealed,
    ) -> Result<(), ResealError> {
        let oldest_first = Sorting { by: SortBy::CreatedAt, descending: false };
        let mut offset = 0;
        loop {
            let page = self.list::<R>(&Filter::default(), oldest_first, offset, PAGE).await?;
            if page.items.is_empty() {
                return Ok(());
            }
            for mut stored in page.items {
                let resealed = reseal_one(vault, &mut stored, &secrets, done)?;
                if resealed == 0 {
                    continue;
                }
                let written = match mode {
                    Mode::Write => self.update(&stored).await,
                    Mode::Count => Ok(()),
                };
                match written {
                    Ok(()) => done.resealed += resealed,
                    Err(StoreError::Changed) => done.busy += 1,
                    Err(error) => return Err(error.into()),
                }
            }
            offset += PAGE;
        }
    }
}

fn reseal_one<R: Record>(
    vault: &Vault,
    stored: &mut Stored<R>,
    secrets: impl Fn(&mut R) -> &mut BTreeMap<String, Sealed>,
    done: &mut Resealed,
) -> Result<usize, ResealError> {
    let id = stored.record.id();
    let mut resealed = 0;
    for (field, sealed) in secrets(&mut stored.record) {
        if vault.is_current(sealed) {
            done.current += 1;
            continue;
        }
        let place = Place { kind: R::KIND, id: &id, field };
        let anew = vault.open(sealed, place).and_then(|secret| vault.seal(&secret, place));
        *sealed = anew.map_err(|source| {
            let what = format!("{}/{id}/{field}", R::KIND);
            ResealError::Vault { what, source }
        })?;
        resealed += 1;
    }
    Ok(resealed)
}
