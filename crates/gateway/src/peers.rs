//! The other gateways before the same deployments. Through one stream in Redis each tells the others whom it leaves alone,
//! who is well again, what it uses of `rpm` and `tpm`, and what its health checks found.
//!
//! ```text
//!  Fleet ── what is new ──▶ XADD ─┐                       ┌─ XRANGE, from where it was ──▶ Fleet
//!                                 └──▶ tollway:fleet:news ┘        (all but its own)
//! ```
//!
//! Requests have no part in it: a task of its own does one such exchange every [`TICK`]. While Redis does not answer,
//! each gateway goes by what it knows itself; what is missed meanwhile is read when it is back, as far as it still
//! matters. An entry's age is taken from Redis's clock, so the gateways' clocks need not agree.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use fred::clients::Pool;
use fred::error::Error;
use fred::interfaces::{ClientLike, KeysInterface, StreamsInterface};
use fred::types::streams::{XCap, XReadValue};
use fred::types::{CustomCommand, Expiration, SetOptions};
use routing::{Fleet, Health, Moment};
use serde::{Deserialize, Serialize};

use crate::config::RedisSettings;
use crate::redis::{self, NoClient};
use crate::snapshot::Snapshot;
use crate::{Gateway, events};

/// From one exchange to the next.
const TICK: Duration = Duration::from_millis(200);

/// The same while Redis does not answer, and while there is none.
const AWAY: Duration = Duration::from_secs(1);

/// The longest that an exchange may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where the news is.
const NEWS: &str = "tollway:fleet:news";
/// Who checks health for all with the same deployments.
const CHECKER: &str = "tollway:fleet:checker:";

/// Entries that are kept, about: those of a minute from 30 busy gateways.
const MAX_ENTRIES: i64 = 10_000;
/// Entries that are read at a time.
const PAGE: u64 = 500;
/// How far back a gateway reads that has just begun: the longest cooldown that a provider can ask for.
const HISTORY: Duration = Duration::from_secs(600);
/// Use that is older limits nobody any more.
const MINUTE: Duration = Duration::from_secs(60);

/// How long a gateway that has gone without a word keeps the others from checking health, and how often one that
/// has not says so.
const LEASE: Duration = Duration::from_secs(15);
const RENEWAL: Duration = Duration::from_secs(3);

/// What is known of the others.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    checker: AtomicU8,
}

impl Peers {
    const UNKNOWN: u8 = 0;
    const OURSELVES: u8 = 1;
    const ANOTHER: u8 = 2;

    /// Whether this gateway is to check its deployments' health, or another one does that for all.
    pub(crate) fn may_check(&self, snapshot: &Snapshot) -> bool {
        snapshot.shared_state.is_none() || self.checker.load(Ordering::Relaxed) == Self::OURSELVES
    }

    fn set_checker(&self, checker: u8) {
        self.checker.store(checker, Ordering::Relaxed);
    }
}

/// One entry of the stream.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Entry {
    /// Requests and tokens by deployment.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    used: HashMap<Arc<str>, (u64, u64)>,
    /// Deployments that are left alone, with the milliseconds that were left when it was written and the reason.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    sick: HashMap<Arc<str>, (u64, String)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    well: Vec<Arc<str>>,
    /// What health checks found: an error, or none.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    checked: HashMap<Arc<str>, Option<String>>,
}

impl Entry {
    /// What there is to tell.
    fn take(gateway: &Gateway, fleet: &Fleet, now: Moment) -> Option<Self> {
        let mut entry =
            Self { checked: gateway.last_checks().take_news().into_iter().collect(), ..Self::default() };
        for news in fleet.take_news(now) {
            let Some(planned) = fleet.plan().deployment(news.deployment) else { continue };
            let id = &planned.settings.id;
            if news.requests > 0 || news.tokens > 0 {
                entry.used.insert(Arc::clone(id), (news.requests, news.tokens));
            }
            match news.health {
                Some(Health::Sick { until, reason }) => {
                    let left = u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX);
                    entry.sick.insert(Arc::clone(id), (left, reason.to_string()));
                }
                Some(Health::Well) => entry.well.push(Arc::clone(id)),
                None => {}
            }
        }
        let Self { used, sick, well, checked } = &entry;
        let is_empty = used.is_empty() && sick.is_empty() && well.is_empty() && checked.is_empty();
        (!is_empty).then_some(entry)
    }

    /// Takes note of what another gateway wrote a while ago.
    fn hear(self, gateway: &Gateway, fleet: &Fleet, age: Duration, now: Moment) {
        let find = |id: &Arc<str>| fleet.plan().find(id);
        if age < MINUTE {
            let at = Moment::after_start(now.since_start().saturating_sub(age));
            for (id, (requests, tokens)) in &self.used {
                if let Some(index) = find(id) {
                    fleet.hear_usage(index, *requests, *tokens, at);
                }
            }
        }
        for (id, (left, reason)) in &self.sick {
            let left = Duration::from_millis(*left).saturating_sub(age);
            if let Some(index) = find(id).filter(|_| !left.is_zero()) {
                let change = fleet.hear_sick(index, now + left, reason, now);
                events::deployment_changed(gateway, id, change);
            }
        }
        for id in &self.well {
            if let Some(index) = find(id) {
                events::deployment_changed(gateway, id, fleet.hear_well(index, now));
            }
        }
        for (id, error) in self.checked {
            if find(&id).is_some() {
                gateway.last_checks().hear(&id, error);
            }
        }
    }
}

/// Exchanges news for as long as the gateway is there.
pub(crate) async fn watch(gateway: Weak<Gateway>) {
    let mut link: Option<Link> = None;
    loop {
        let Some(gateway) = gateway.upgrade() else { return };
        let snapshot = gateway.snapshot();
        let settings = snapshot.shared_state.as_ref();
        if link.as_ref().map(|link| &link.settings) != settings {
            gateway.peers().set_checker(Peers::UNKNOWN);
            link = settings.map(Link::open);
            // What was used before there was anybody to tell is nobody's business.
            drop(snapshot.fleet().take_news(gateway.now()));
            snapshot.fleet().tell_again();
        }
        let pause = match &mut link {
            Some(link) => link.exchange(&gateway, &snapshot).await,
            None => AWAY,
        };
        drop((gateway, snapshot));
        tokio::time::sleep(pause).await;
    }
}

/// The way to Redis.
struct Link {
    settings: RedisSettings,
    pool: Result<Pool, NoClient>,
    /// This gateway, among the others.
    name: String,
    /// The last entry that was read: milliseconds of Redis's clock, and a number within them.
    cursor: Option<(u64, u64)>,
    state: State,
    lease_asked: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Up,
    Down,
}

type Read = XReadValue<String, String, String>;

impl Link {
    fn open(settings: &RedisSettings) -> Self {
        Self {
            settings: settings.clone(),
            pool: redis::connect(settings, 1),
            name: format!("{:032x}", fastrand::u128(..)),
            cursor: None,
            state: State::New,
            lease_asked: None,
        }
    }

    /// Tells and hears what is new; says when to do it again.
    async fn exchange(&mut self, gateway: &Gateway, snapshot: &Snapshot) -> Duration {
        let fleet = snapshot.fleet();
        let entry = Entry::take(gateway, fleet, gateway.now());
        let entry = entry.and_then(|entry| serde_json::to_string(&entry).ok());
        let due = self.lease_asked.is_none_or(|asked| asked.elapsed() >= RENEWAL);
        let lease = (due && snapshot.health_checks.is_some()).then(|| lease_of(fleet));
        let outcome = match tokio::time::timeout(PATIENCE, self.speak(entry, lease)).await {
            Ok(Ok(heard)) => Ok(heard),
            Ok(Err(cause)) => Err(cause),
            Err(_) => Err(format!("it did not answer within {} ms", PATIENCE.as_millis())),
        };
        match outcome {
            Ok(Heard { entries, time, checker }) => {
                if self.state != State::Up {
                    self.state = State::Up;
                    events::shared_state_back(&gateway.log);
                }
                gateway.metrics.shared_state_works();
                if let Some(checker) = checker {
                    gateway.peers().set_checker(checker);
                }
                let now = gateway.now();
                for (written, entry) in entries {
                    entry.hear(gateway, fleet, Duration::from_millis(time.saturating_sub(written)), now);
                }
                TICK
            }
            Err(cause) => {
                if self.state != State::Down {
                    self.state = State::Down;
                    events::shared_state_lost(&gateway.log, &cause);
                }
                gateway.metrics.shared_state_failed();
                gateway.peers().set_checker(Peers::OURSELVES);
                fleet.tell_again();
                AWAY
            }
        }
    }

    /// `lease`: the one to be asked for, if it is time to.
    async fn speak(&mut self, entry: Option<String>, lease: Option<String>) -> Result<Heard, String> {
        let pool = self.pool.as_ref().map_err(ToString::to_string)?.clone();
        let told = self.tell(&pool, entry);
        // Sent together, answered in this order.
        let (told, time) = tokio::join!(told, time(&pool));
        told.and(time.as_ref().map(|_| ()).map_err(Clone::clone)).map_err(|error| error.to_string())?;
        let time = time.unwrap_or_default();
        let entries = self.read(&pool, time).await.map_err(|error| error.to_string())?;
        let mut checker = None;
        if let Some(lease) = lease {
            let mine = self.ask_for(&lease, &pool).await.map_err(|error| error.to_string())?;
            self.lease_asked = Some(Instant::now());
            checker = Some(if mine { Peers::OURSELVES } else { Peers::ANOTHER });
        }
        Ok(Heard { entries, time, checker })
    }

    async fn tell(&self, pool: &Pool, entry: Option<String>) -> Result<(), Error> {
        let Some(entry) = entry else { return Ok(()) };
        let most: XCap = ("MAXLEN", "~", MAX_ENTRIES, None).try_into()?;
        let fields = vec![("from", self.name.as_str()), ("news", entry.as_str())];
        let () = pool.xadd(NEWS, false, most, "*", fields).await?;
        // Nobody's news is of use after that.
        pool.expire(NEWS, i64::try_from(HISTORY.as_secs()).unwrap_or(i64::MAX), None).await
    }

    /// What the others wrote since the last time, in its order, each with the time of its writing.
    async fn read(&mut self, pool: &Pool, time: u64) -> Result<Vec<(u64, Entry)>, Error> {
        let history = u64::try_from(HISTORY.as_millis()).unwrap_or(u64::MAX);
        let mut cursor = self.cursor.unwrap_or((time.saturating_sub(history), 0));
        if cursor.0 > time + CLOCK_STEP {
            // Another server, whose clock is behind: what it is told from now on has smaller numbers.
            cursor = (time, 0);
        }
        let mut entries = Vec::new();
        loop {
            let from = format!("{}-{}", cursor.0, cursor.1 + 1);
            let page: Vec<Read> = pool.xrange_values(NEWS, from, "+", Some(PAGE)).await?;
            let is_last = (page.len() as u64) < PAGE;
            for (id, fields) in page {
                let Some(place) = place(&id) else { continue };
                cursor = place;
                if fields.get("from") == Some(&self.name) {
                    continue;
                }
                // What a later version writes is left out where it is not understood.
                if let Some(entry) = fields.get("news").and_then(|news| serde_json::from_str(news).ok()) {
                    entries.push((place.0, entry));
                }
            }
            if is_last {
                break;
            }
        }
        self.cursor = Some(cursor);
        Ok(entries)
    }

    /// Whether this gateway checks health for all; it does for [`LEASE`] from now on.
    async fn ask_for(&self, lease: &str, pool: &Pool) -> Result<bool, Error> {
        let length = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
        let set: Option<String> = pool
            .set(lease, self.name.as_str(), Some(Expiration::PX(length)), Some(SetOptions::NX), false)
            .await?;
        if set.is_some() {
            return Ok(true);
        }
        let holder: Option<String> = pool.get(lease).await?;
        if holder.as_deref() != Some(self.name.as_str()) {
            return Ok(false);
        }
        // Should it have passed to another in this moment, that one only keeps it a little longer.
        let () = pool.pexpire(lease, length, None).await?;
        Ok(true)
    }
}

/// What an exchange brought.
struct Heard {
    /// With the time of their writing.
    entries: Vec<(u64, Entry)>,
    /// Redis's.
    time: u64,
    /// Who checks health, if that was asked.
    checker: Option<u8>,
}

/// By how many milliseconds a server's clock may step back without being taken for another one.
const CLOCK_STEP: u64 = 5000;

/// Gateways with other deployments may use the same Redis, and check those.
fn lease_of(fleet: &Fleet) -> String {
    let mut hasher = DefaultHasher::new();
    fleet.plan().deployments().iter().for_each(|planned| planned.settings.id.hash(&mut hasher));
    format!("{CHECKER}{:016x}", hasher.finish())
}

/// Redis's clock, in milliseconds. In a cluster, that of the server that has the news.
async fn time(pool: &Pool) -> Result<u64, Error> {
    let command = CustomCommand::new_static("TIME", NEWS, false);
    let (seconds, micros): (u64, u64) = pool.next().custom(command, Vec::<String>::new()).await?;
    Ok(seconds * 1000 + micros / 1000)
}

/// An entry's id.
fn place(id: &str) -> Option<(u64, u64)> {
    let (time, number) = id.split_once('-')?;
    Some((time.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_short_and_those_of_later_versions_are_read() {
        assert_eq!(serde_json::to_string(&Entry::default()).unwrap(), "{}");
        let entry: Entry =
            serde_json::from_str(r#"{"sick": {"a": [5000, "RateLimitError"]}, "unheard_of": 1}"#).unwrap();
        assert_eq!(entry.sick["a"], (5000, "RateLimitError".to_owned()));
        assert!(entry.used.is_empty() && entry.well.is_empty() && entry.checked.is_empty());
    }

    #[test]
    fn ids_are_times_and_numbers() {
        assert_eq!(place("1700000000000-3"), Some((1_700_000_000_000, 3)));
        for wrong in ["", "1", "1-", "a-1"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }
}
