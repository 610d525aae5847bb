//! Keys that get new secrets by themselves (`auto_rotate`, `rotation_interval`). A secret is shown to nobody but its
//! owner, so only those keys rotate whose owner can be written to: the letter with the new secret goes out first, and only
//! when a mail server has taken it does the old secret end.

use std::sync::{Arc, Weak};
use std::time::Duration;

use api::moment;
use ledger::rules::entity::{Key, User};
use ledger::rules::id::KeyHash;
use ledger::rules::time::Timestamp;
use ledger::store::{Change, Record, StoreError, Stored};

use crate::admin::change::masked;
use crate::admin::secret;
use crate::alerts::settings::MailSettings;
use crate::alerts::{Alerts, Letter};
use crate::books::Books;
use crate::{Gateway, books, events};

/// While nothing rotates: how often the configuration is looked at for a change of that.
const IDLE: Duration = Duration::from_secs(10);

/// What one of all instances does.
const LOOK: &str = "look:rotation";
/// When it is tried again after mail or the database failed.
const AGAIN_AFTER: Duration = Duration::from_secs(900);

/// Who is noted as the author of a rotation.
const AUTHOR: &str = "key_rotation";

/// LiteLLM's variables for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationSettings {
    /// `LITELLM_KEY_ROTATION_ENABLED`
    pub enabled: bool,
    /// `LITELLM_KEY_ROTATION_CHECK_INTERVAL_SECONDS`: from one look for keys that are due to the next.
    pub check_every: Duration,
    /// `LITELLM_KEY_ROTATION_GRACE_PERIOD`: how long the old secret stays good; as keys' durations are written.
    pub grace: Option<String>,
    /// `EMAIL_INCLUDE_API_KEY`: secrets may be mailed.
    pub mail_secrets: bool,
}

impl Default for RotationSettings {
    fn default() -> Self {
        Self { enabled: false, check_every: Duration::from_secs(86_400), grace: None, mail_secrets: true }
    }
}

/// Why a key that is to rotate does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    Disabled,
    SecretsAreNotMailed,
    NoMail,
    NoReader,
}

impl Obstacle {
    /// For whoever asked for rotation, and for the log.
    pub(crate) fn tell(self) -> &'static str {
        match self {
            Self::Disabled => {
                "`auto_rotate` is kept, and nothing rotates: LITELLM_KEY_ROTATION_ENABLED is not set to true"
            }
            Self::SecretsAreNotMailed => {
                "`auto_rotate` is kept, and nothing rotates: a new secret could reach nobody, since \
                 EMAIL_INCLUDE_API_KEY is false"
            }
            Self::NoMail => {
                "`auto_rotate` is kept, and nothing rotates: a new secret could reach nobody, since no mail is set up \
                 (SMTP_HOST and SMTP_SENDER_EMAIL)"
            }
            Self::NoReader => {
                "`auto_rotate` is kept, and this key does not rotate: a new secret could reach nobody, since the key \
                 has no `user_id` of a user with a `user_email`"
            }
        }
    }
}

/// The address of a key's owner, and the way there; or why the key cannot rotate.
pub(crate) async fn way_to_owner(
    gateway: &Gateway,
    books: &Books,
    key: &Key,
) -> Result<Result<(String, MailSettings), Obstacle>, StoreError> {
    let snapshot = gateway.snapshot();
    if !snapshot.rotation.enabled {
        return Ok(Err(Obstacle::Disabled));
    }
    if !snapshot.rotation.mail_secrets {
        return Ok(Err(Obstacle::SecretsAreNotMailed));
    }
    let Some(mail) = snapshot.alerts.mail.clone() else { return Ok(Err(Obstacle::NoMail)) };
    let Some(user) = &key.user else { return Ok(Err(Obstacle::NoReader)) };
    let user = books.store().get::<User>(user.as_str()).await?;
    let address = user.and_then(|user| user.record.email).filter(|address| !address.is_empty());
    Ok(address.map(|address| (address, mail)).ok_or(Obstacle::NoReader))
}

/// Looks for keys that are due for as long as the gateway is there; of all instances one does.
pub(crate) async fn watch(gateway: Weak<Gateway>) {
    loop {
        let Some(gateway) = gateway.upgrade() else { return };
        let settings = gateway.snapshot().rotation.clone();
        let pause = match gateway.books().filter(|_| settings.enabled) {
            None => IDLE,
            Some(books) => {
                let now = books::now();
                // A little less, so that whoever looked may look the next time.
                let length = settings.check_every.mul_f64(0.9);
                let ours = gateway.claims().claim(&gateway, LOOK, length, now).await;
                if !ours || rotate_due(&gateway, books, &settings, now).await {
                    settings.check_every
                } else {
                    gateway.claims().give_up(&gateway, LOOK).await;
                    settings.check_every.min(AGAIN_AFTER)
                }
            }
        };
        drop(gateway);
        tokio::time::sleep(pause).await;
    }
}

/// `false`: not all that can rotate did, and may do so soon.
async fn rotate_due(
    gateway: &Arc<Gateway>,
    books: &Books,
    settings: &RotationSettings,
    now: Timestamp,
) -> bool {
    let keys = match books.store().rotating_keys().await {
        Ok(keys) => keys,
        Err(error) => {
            events::trouble(&gateway.log, "keys that are due for rotation could not be looked for", &error);
            return false;
        }
    };
    let mut all_did = true;
    for stored in keys {
        let key = &stored.record;
        let is_due = key.rotation.due_at.is_some_and(|due| due <= now);
        if !is_due || key.details.blocked || key.expires_at.is_some_and(|end| end <= now) {
            continue;
        }
        let why = match way_to_owner(gateway, books, key).await {
            Ok(Err(obstacle)) => obstacle.tell().to_owned(),
            Ok(Ok((address, mail))) => {
                match rotate(gateway, books, settings, &mail, &address, &stored, now).await {
                    Ok(()) => continue,
                    Err(why) => {
                        all_did = false;
                        why
                    }
                }
            }
            Err(error) => {
                all_did = false;
                error.to_string()
            }
        };
        events::not_rotated(gateway, key.id.as_str(), &why);
    }
    all_did
}

/// Gives a key a new secret: first its owner gets it, then it counts.
async fn rotate(
    gateway: &Arc<Gateway>,
    books: &Books,
    settings: &RotationSettings,
    mail: &MailSettings,
    address: &str,
    before: &Stored<Key>,
    now: Timestamp,
) -> Result<(), String> {
    let secret = secret::key().map_err(|refusal| refusal.tell)?;
    let mut stored = before.clone();
    let key = &mut stored.record;
    key.hash = KeyHash::of(&secret);
    key.name = api::key::short_name(&secret);
    api::key::rotated(key, now);
    api::terms::touch(&mut key.details, AUTHOR, now);
    let until = settings.grace.as_deref().and_then(|grace| moment::after(now, grace));
    let letter = letter(address, &before.record, &secret, until, key.rotation.due_at);
    Alerts::write_to(gateway, mail, &letter).await?;
    let change = change(&before.record, key, now).map_err(|refusal| refusal.tell)?;
    let replaced = async {
        let mut batch = books.store().begin().await?;
        batch.regenerate_key(&stored, until.unwrap_or(now)).await?;
        batch.log(&change).await?;
        batch.commit().await
    };
    replaced.await.map_err(|error| {
        format!("{error}; its owner has got a letter with a secret that does not count, and will get another")
    })?;
    books.people().changed();
    events::rotated(gateway, &change);
    Ok(())
}

fn letter(
    address: &str,
    key: &Key,
    secret: &str,
    until: Option<Timestamp>,
    next: Option<Timestamp>,
) -> Letter {
    let name = key.details.alias.as_deref().unwrap_or(&key.name);
    let end = match until {
        Some(until) => format!("is good until {until}"),
        None => "is not good any more".to_owned(),
    };
    let mut text = format!(
        "Your API key `{name}` ({}) has got a new secret:\n\n{secret}\n\nUse it from now on: the old one {end}.\n",
        key.name
    );
    if let Some(next) = next {
        text.push_str(&format!("The next one comes on {}.\n", next.day()));
    }
    Letter { to: address.to_owned(), subject: format!("API Key Rotated: {name}"), text }
}

fn change(before: &Key, after: &Key, now: Timestamp) -> Result<Change, crate::refusal::Refusal> {
    let text = |key: &Key| serde_json::to_value(key).ok().map(|value| masked(value).to_string());
    Ok(Change {
        id: secret::unique_id()?,
        at: now,
        by: AUTHOR.to_owned(),
        by_key: None,
        action: "rotated".to_owned(),
        kind: Key::KIND.to_owned(),
        object: before.id.to_string(),
        before: text(before),
        after: text(after),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letter_says_what_its_reader_needs() {
        let key = api::key::empty("sk-old-secret-0123");
        let day = Timestamp(86_400_000);
        let text = |until, next| letter("a@example.com", &key, "sk-new", until, next).text;
        let told = text(Some(day), Some(Timestamp(31 * 86_400_000)));
        assert!(told.contains("\nsk-new\n") && told.contains("(sk-...0123)"), "{told}");
        assert!(
            told.contains("good until 1970-01-02 00:00:00 UTC") && told.contains("on 1970-02-01"),
            "{told}"
        );
        assert!(text(None, None).contains("is not good any more"));
        assert!(!told.contains("old-secret"), "{told}");
    }
}
