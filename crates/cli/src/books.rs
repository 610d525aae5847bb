//! The books of a configuration: where they are, and an operator's work on them. It is done on the database itself, so no
//! gateway has to run; one that does goes on.

use std::path::{Path, PathBuf};

use gateway::books::BooksSettings;
use gateway::config::{Config, MasterKey};
use ledger::Store;
use ledger::vault::{SaltKey, Vault};

use crate::args::{BackupArgs, BooksArgs};
use crate::local;
use crate::output::{self, Failure};
use crate::remote::block_on;

/// Where the books of a configuration are; `file` is the configuration.
pub(crate) fn settings(config: &Config, file: Option<&Path>) -> BooksSettings {
    let beside = || file.and_then(Path::parent).unwrap_or(Path::new("")).join("tollway-data");
    BooksSettings {
        folder: config.books.folder.clone().unwrap_or_else(beside),
        database_url: config.books.database_url.clone(),
        redis: config.router.redis.clone(),
        when_full: config.books.when_full,
        retention: config.books.retention,
    }
}

/// What secrets in the database are sealed with: our variable, or LiteLLM's, else the master key. Those before it, which
/// `TOLLWAY_FORMER_SALT_KEYS` names, still open what they sealed.
pub(crate) fn vault(config: &Config) -> Result<Option<Vault>, Failure> {
    let variable = |name: &str| std::env::var(name).ok().filter(|salt| !salt.is_empty());
    let master = match &config.general.master_key {
        MasterKey::Set(key) | MasterKey::Weak(key) => key.expose().to_owned(),
        MasterKey::Unset => return Ok(None),
    };
    let salt = variable("TOLLWAY_SALT_KEY").or_else(|| variable("LITELLM_SALT_KEY")).unwrap_or(master);
    let former = variable("TOLLWAY_FORMER_SALT_KEYS").unwrap_or_default();
    let former = former.split(',').map(str::trim).filter(|salt| !salt.is_empty()).map(SaltKey::new);
    Ok(Some(Vault::new(SaltKey::new(&salt)?, former.collect::<Result<_, _>>()?)))
}

/// Compares every sum with what it is the sum of.
pub(crate) fn audit(args: &BooksArgs) -> Result<(), Failure> {
    block_on(async {
        let (_, store) = open(args).await?;
        let found = store.audit().await?;
        store.close().await;
        for discrepancy in &found {
            output::line(&discrepancy.to_string());
        }
        match found.len() {
            0 => {
                output::line("all sums agree with their rows");
                Ok(())
            }
            1 => Err(Failure::new("a sum is not that of its rows")),
            many => Err(Failure::new(format!("{many} sums are not those of their rows"))),
        }
    })?
}

/// Writes a copy of the database.
pub(crate) fn backup(args: &BackupArgs) -> Result<(), Failure> {
    block_on(async {
        let (_, store) = open(&args.books).await?;
        let done = store.backup(&args.to).await;
        store.close().await;
        done.map_err(|error| {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            Failure::new(format!("`{}` could not be written: {error}{cause}", args.to.display()))
        })?;
        output::line(&format!("copied to `{}`", args.to.display()));
        Ok(())
    })?
}

/// Puts all secrets under the current salt key.
pub(crate) fn reseal(args: &BooksArgs) -> Result<(), Failure> {
    /// A record that somebody changes at the same moment is taken by the next round.
    const ROUNDS: usize = 5;
    block_on(async {
        let (config, store) = open(args).await?;
        let vault =
            vault(&config)?.ok_or_else(|| Failure::config("there is no master key, so no secrets"))?;
        let mut resealed = 0;
        for _ in 0..ROUNDS {
            let round = store.reseal(&vault).await.map_err(|error| {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                Failure::new(format!(
                    "{error}: {cause} (TOLLWAY_SALT_KEY is the key to come, TOLLWAY_FORMER_SALT_KEYS those before it)"
                ))
            })?;
            resealed += round.resealed;
            if round.busy == 0 {
                store.close().await;
                output::line(&format!("{resealed} sealed anew"));
                return Ok(());
            }
        }
        Err(Failure::new("some records are being changed all the time; try again"))
    })?
}

/// The database of a configuration. It has to be there: a mistaken folder must not look like books without an entry.
async fn open(args: &BooksArgs) -> Result<(Config, Store), Failure> {
    let file = args.config.as_deref();
    let Some(file) = file else {
        return Err(Failure::config("whose books? Name the gateway's configuration with --config"));
    };
    let (config, _, _) = local::from_file(file)?;
    let settings = settings(&config, Some(file));
    let database: PathBuf = settings.database_file();
    if settings.database_url.is_none() && !database.is_file() {
        return Err(Failure::config(format!(
            "there is no database `{}`; the gateway makes it when it starts with a master key (TOLLWAY_DATA or \
             `tollway.data_folder` say where)",
            database.display()
        )));
    }
    let store = settings.open_store().await.map_err(|error| Failure::new(error.to_string()))?;
    Ok((config, store))
}
