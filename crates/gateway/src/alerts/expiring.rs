//! Keys that end soon: looked for now and then, by one of all instances.

use std::sync::{Arc, Weak};
use std::time::Duration;

use ledger::rules::account::Scope;
use ledger::rules::entity::Key;
use ledger::rules::time::Timestamp;
use ledger::store::{Filter, SortBy, Sorting, StoreError};

use super::Alerts;
use super::event::Alert;
use super::kind::AlertKind;
use crate::books::Books;
use crate::{Gateway, books, events};

/// While nobody wants to know: how often the configuration is looked at for a change of that.
const IDLE: Duration = Duration::from_secs(10);
/// Keys that are read at a time.
const PAGE: i64 = 500;

/// Looks for as long as the gateway is there.
pub(crate) async fn watch(gateway: Weak<Gateway>) {
    loop {
        let Some(gateway) = gateway.upgrade() else { return };
        let settings = gateway.alerts().settings.load_full();
        let wanted = settings.wants(AlertKind::ExpiringKeys) && !settings.expiry_notice.is_zero();
        let pause = match gateway.books().filter(|_| wanted) {
            None => IDLE,
            Some(books) => {
                let every = settings.expiry_check;
                let now = books::now();
                // A little less, so that whoever looked may look the next time.
                let length = every.mul_f64(0.9);
                if gateway.claims().claim(&gateway, "look:expiring_keys", length, now).await
                    && let Err(error) = look(&gateway, books, settings.expiry_notice, now).await
                {
                    events::trouble(&gateway.log, "keys that end soon could not be looked for", &error);
                }
                every
            }
        };
        drop(gateway);
        tokio::time::sleep(pause).await;
    }
}

/// Those that end last come first, up to those that have ended.
async fn look(
    gateway: &Arc<Gateway>,
    books: &Books,
    notice: Duration,
    now: Timestamp,
) -> Result<(), StoreError> {
    let filter = Filter { expires_before: Some(now.plus(notice)), blocked: Some(false), ..Filter::default() };
    let sorting = Sorting { by: SortBy::ExpiresAt, descending: true };
    for page in 0.. {
        let keys = books.store().list::<Key>(&filter, sorting, page * PAGE, PAGE).await?.items;
        let is_last = i64::try_from(keys.len()).unwrap_or(i64::MAX) < PAGE;
        for key in keys {
            let key = key.record;
            let Some(at) = key.expires_at.filter(|at| *at > now) else { return Ok(()) };
            let name = key.details.alias.unwrap_or(key.name);
            Alerts::raise(gateway, AlertKind::ExpiringKeys, |_| {
                Some(Alert::expiring(Scope::Key(key.id), &name, at, now))
            });
        }
        if is_last {
            break;
        }
    }
    Ok(())
}
