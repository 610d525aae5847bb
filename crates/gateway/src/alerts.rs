//! Alerts: somebody is told that a budget comes to its end, a deployment is out, a key expires.
//!
//! Requests only [`raise`](Alerts::raise) them: what is new to this instance goes into a bounded queue. Beside the
//! requests [`watch`] takes them out, asks whether another instance has told them already (`claims.rs`), finds out whom
//! they are about ([`subject`]), and has them sent ([`courier`], [`channels`]).

mod channels;
mod courier;
mod event;
pub mod expiring;
pub mod kind;
mod outage;
pub mod settings;
mod subject;
mod told;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use ledger::rules::ledger::Crossing;
use ledger::rules::refusal::OverBudget;
use ledger::store::Change;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::{Gateway, books, events};
use channels::Channel;
pub(crate) use channels::Letter;
use event::Alert;
use kind::AlertKind;
use outage::{Bounds, Outages};
use settings::{AlertSettings, ChannelKind, MailSettings};
use told::Told;

/// Alerts that may wait; what comes on top is counted and left out.
const MAX_WAITING: usize = 1000;
/// Alerts that are being sent at a time.
const AT_A_TIME: usize = 16;
/// Things that are remembered as told.
const MAX_TOLD: usize = 10_000;

/// See the module.
#[derive(Debug)]
pub struct Alerts {
    settings: ArcSwap<AlertSettings>,
    told: Mutex<Told>,
    outages: Mutex<Outages>,
    queue: mpsc::Sender<Alert>,
    /// For [`watch`] to take.
    waiting: Mutex<Option<mpsc::Receiver<Alert>>>,
    /// How many are on their way.
    under_way: watch::Sender<usize>,
}

/// Why no test alert was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTried {
    /// `alerting` does not name it, or it lacks an address.
    NotConfigured,
    /// It did not take it.
    Failed(String),
}

impl Alerts {
    pub(crate) fn new(settings: AlertSettings) -> Self {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        Self {
            settings: ArcSwap::from_pointee(settings),
            told: Mutex::new(Told::new(MAX_TOLD)),
            outages: Mutex::default(),
            queue,
            waiting: Mutex::new(Some(waiting)),
            under_way: watch::Sender::new(0),
        }
    }

    /// How it is done now.
    #[must_use]
    pub fn settings(&self) -> Arc<AlertSettings> {
        self.settings.load_full()
    }

    /// From now on it is done so.
    pub(crate) fn set(&self, settings: AlertSettings) {
        self.settings.store(Arc::new(settings));
    }

    /// How long a request may take before somebody is told that it was too slow.
    pub(crate) fn slow_after(&self) -> Option<Duration> {
        let settings = self.settings.load();
        settings.slow_after.filter(|_| settings.wants(AlertKind::LlmTooSlow))
    }

    /// Has somebody told, if they want to know and do not know yet. Never waits.
    fn raise(gateway: &Gateway, kind: AlertKind, alert: impl FnOnce(&AlertSettings) -> Option<Alert>) {
        let alerts = gateway.alerts();
        let settings = alerts.settings.load();
        if !settings.wants(kind) {
            return;
        }
        let Some(alert) = alert(&settings) else { return };
        let (name, again_after) = (&alert.once.name, alert.once.again_after);
        if !alerts.told().is_news(name, again_after, books::now()) {
            return;
        }
        alerts.under_way.send_modify(|under_way| *under_way += 1);
        if let Err(mpsc::error::TrySendError::Full(alert) | mpsc::error::TrySendError::Closed(alert)) =
            alerts.queue.try_send(alert)
        {
            alerts.told().forget(&alert.once.name);
            alerts.done();
            events::alert_left_out(gateway, kind.name());
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self) {
        self.under_way.send_modify(|under_way| *under_way = under_way.saturating_sub(1));
    }

    /// Waits until everything that was raised has been told or given up, at most for `patience`.
    pub async fn finish(&self, patience: Duration) {
        let mut under_way = self.under_way.subscribe();
        // Whoever stops the process has waited long enough.
        _ = tokio::time::timeout(patience, under_way.wait_for(|under_way| *under_way == 0)).await;
    }

    /// Sends a letter, once, and waits for what comes of it.
    ///
    /// # Errors
    /// Why it was not taken.
    pub(crate) async fn write_to(
        gateway: &Gateway,
        mail: &MailSettings,
        letter: &Letter,
    ) -> Result<(), String> {
        letter.send(mail, gateway.transport()).await.map_err(|not_sent| not_sent.to_string())
    }

    /// Sends a test alert to a channel, and waits for what comes of it.
    ///
    /// # Errors
    /// [`NotTried`]
    pub async fn test(gateway: &Gateway, channel: ChannelKind) -> Result<(), NotTried> {
        let settings = gateway.alerts().settings.load_full();
        let places = Channel::of(&settings, AlertKind::BudgetAlerts, settings.test_mail_to.as_deref());
        let places: Vec<Channel> = places.into_iter().filter(|place| place.kind() == channel).collect();
        if places.is_empty() {
            return Err(NotTried::NotConfigured);
        }
        for place in places {
            let alert = Alert::test(&crate::pipeline::random_uuid());
            let sent = courier::try_out(gateway, &place, alert).await;
            sent.map_err(|not_sent| NotTried::Failed(not_sent.to_string()))?;
        }
        Ok(())
    }
}

/// What is told about; all of it happens in [`events`].
impl Alerts {
    pub(crate) fn crossed(gateway: &Gateway, crossing: &Crossing) {
        Self::raise(gateway, AlertKind::BudgetAlerts, |settings| Alert::crossing(crossing, settings));
    }

    pub(crate) fn over_budget(gateway: &Gateway, over: &OverBudget) {
        Self::raise(gateway, AlertKind::BudgetAlerts, |settings| Some(Alert::over_budget(over, settings)));
    }

    pub(crate) fn cooled_down(gateway: &Gateway, deployment: &str, length: Duration, reason: &str) {
        Self::raise(gateway, AlertKind::CooldownDeployment, |_| {
            Some(Alert::cooled_down(deployment, length, reason))
        });
    }

    /// A call of a deployment failed. Those that no deployment would have answered are nobody's alert.
    pub(crate) fn call_failed(gateway: &Gateway, deployment: &str, group: &str, status: u16, error: &str) {
        if matches!(status, 400..=407 | 409..=428 | 430..=499) && !matches!(status, 401 | 403) {
            return;
        }
        Self::raise(gateway, AlertKind::LlmExceptions, |_| {
            Some(Alert::call_failed(deployment, group, status, error))
        });
        Self::raise(gateway, AlertKind::OutageAlerts, |settings| {
            let &AlertSettings { outage_window: window, minor_outage: minor, major_outage: major, .. } =
                settings;
            let mut outages = gateway.alerts().outages.lock().unwrap_or_else(PoisonError::into_inner);
            let found = outages.failed(deployment, Bounds { window, minor, major }, books::now());
            found.map(|(outage, failures)| Alert::outage(deployment, outage, failures, window))
        });
    }

    pub(crate) fn too_slow(gateway: &Gateway, group: &str, took: Duration, bound: Duration) {
        Self::raise(gateway, AlertKind::LlmTooSlow, |_| Some(Alert::too_slow(group, took, bound)));
    }

    pub(crate) fn database_away(gateway: &Gateway, cause: &str) {
        Self::raise(gateway, AlertKind::DbExceptions, |_| Some(Alert::database_away(cause)));
    }

    pub(crate) fn not_booked(gateway: &Gateway, cause: &str) {
        Self::raise(gateway, AlertKind::FailedTrackingSpend, |_| Some(Alert::not_booked(cause)));
    }

    /// Somebody changed an entity: `change` is the entry in the log of changes.
    pub(crate) fn changed(gateway: &Gateway, change: &Change) {
        let Some(kind) = AlertKind::of_change(&change.kind, &change.action) else { return };
        Self::raise(gateway, kind, |_| Some(Alert::change(kind, change)));
    }
}

/// Tells what is raised for as long as the gateway is there.
pub(crate) async fn watch(gateway: Weak<Gateway>) {
    let Some(mut queue) = gateway
        .upgrade()
        .and_then(|gateway| gateway.alerts().waiting.lock().unwrap_or_else(PoisonError::into_inner).take())
    else {
        return;
    };
    let mut telling = JoinSet::new();
    // The sender is the gateway's, so the queue ends with it.
    while let Some(alert) = queue.recv().await {
        while telling.len() >= AT_A_TIME {
            telling.join_next().await;
        }
        while telling.try_join_next().is_some() {}
        let Some(gateway) = gateway.upgrade() else { return };
        telling.spawn(tell(gateway, alert));
    }
}

/// Tells when the database takes no bookings, for as long as the gateway is there.
pub(crate) async fn follow_books(gateway: Weak<Gateway>) {
    let behind = gateway.upgrade().and_then(|gateway| gateway.books().map(|books| books.watch_behind()));
    let Some(mut behind) = behind else { return };
    while behind.changed().await.is_ok() {
        let Some(gateway) = gateway.upgrade() else { return };
        let cause = behind.borrow_and_update().clone();
        if let Some(cause) = cause {
            Alerts::database_away(&gateway, &cause);
        }
    }
}

async fn tell(gateway: Arc<Gateway>, alert: Alert) {
    let alerts = gateway.alerts();
    let once = alert.once.clone();
    if gateway.claims().claim(&gateway, &once.name, once.again_after, books::now()).await {
        let settings = alerts.settings.load_full();
        if !courier::deliver(&gateway, &settings, alert).await {
            // The next time that it happens it is tried again.
            alerts.told().forget(&once.name);
            gateway.claims().give_up(&gateway, &once.name).await;
        }
    }
    alerts.done();
}
