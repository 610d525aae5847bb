//! Brings alerts to where they go, and tries again what did not arrive.

use std::sync::Arc;
use std::time::Duration;

use super::channels::{Channel, NotSent, Notice};
use super::event::Alert;
use super::settings::AlertSettings;
use super::subject::Subject;
use crate::{Gateway, books, events};

/// How long it is waited before each further attempt; then it is given up.
const AGAIN_AFTER: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];

/// Tells an alert everywhere where it goes. `false`: it arrived nowhere.
pub(super) async fn deliver(gateway: &Arc<Gateway>, settings: &AlertSettings, alert: Alert) -> bool {
    let store = gateway.books().map(|books| books.store());
    let subject = Subject::find(&alert.about, store).await;
    let places = Channel::of(settings, alert.kind, subject.user_email.as_deref());
    if places.is_empty() {
        return true;
    }
    let notice = Notice { alert, subject, at: books::now(), gateway_url: settings.gateway_url.clone() };
    let notice = Arc::new(notice);
    let mut sending = tokio::task::JoinSet::new();
    for place in places {
        let (gateway, notice) = (Arc::clone(gateway), Arc::clone(&notice));
        sending.spawn(async move { send(&gateway, &place, &notice).await });
    }
    sending.join_all().await.contains(&true)
}

async fn send(gateway: &Gateway, place: &Channel, notice: &Notice) -> bool {
    let mut waits = AGAIN_AFTER.into_iter();
    loop {
        let not_sent = match place.send(notice, gateway.transport()).await {
            Ok(()) => {
                events::alert_sent(gateway, place.kind().name());
                return true;
            }
            Err(not_sent) => not_sent,
        };
        let wait = waits.next().filter(|_| not_sent.is_passing && !gateway.is_stopping());
        let Some(wait) = wait else {
            events::alert_not_sent(gateway, place.kind().name(), notice.alert.kind.name(), &not_sent);
            return false;
        };
        tokio::time::sleep(wait).await;
    }
}

/// Sends something to one channel, once, while somebody waits for what comes of it.
pub(super) async fn try_out(gateway: &Gateway, place: &Channel, alert: Alert) -> Result<(), NotSent> {
    let url = gateway.alerts().settings().gateway_url.clone();
    let subject =
        Subject { group: "user", user_id: Some("default_user_id".to_owned()), ..Subject::default() };
    let notice = Notice { alert, subject, at: books::now(), gateway_url: url };
    place.send(&notice, gateway.transport()).await
}
