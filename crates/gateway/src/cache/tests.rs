//! What every store promises, and what the cache makes of stores that break their promises.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use super::breaker::Breaker;
use super::*;
use crate::config::{RedisSettings, RedisTarget, StoreSettings};
use crate::events::log::{Format, Level};

fn settings(store: StoreSettings) -> CacheSettings {
    CacheSettings {
        store,
        ttl: Duration::from_secs(60),
        namespace: None,
        mode: CacheMode::DefaultOn,
        call_types: None,
        max_messages: None,
        max_bytes: 100_000,
        max_entry_bytes: 10_000,
        semantic: None,
    }
}

fn key(name: &str, namespace: Option<&str>) -> Key {
    let mut writer = KeyWriter::default();
    writer.part("name", name.as_bytes());
    writer.finish(namespace)
}

fn write(name: &str, body: &str, ttl: Duration) -> Write {
    let facts = Facts { id: Some(format!("id of {name}")), cost_nano: 7, ..Facts::default() };
    Write {
        key: key(name, Some("space")),
        entry: Entry::new(facts, Bytes::copy_from_slice(body.as_bytes()), ttl),
    }
}

async fn bodies(store: &dyn Store, names: &[&str]) -> Vec<Option<String>> {
    let keys: Vec<Key> = names.iter().map(|name| key(name, Some("space"))).collect();
    let found = store.get(&keys).await.unwrap();
    found
        .iter()
        .map(|entry| entry.as_ref().map(|entry| String::from_utf8_lossy(&entry.body).into_owned()))
        .collect()
}

/// What every store promises.
async fn keeps_its_promises(store: &dyn Store) {
    let hour = Duration::from_secs(3600);
    let some = |text: &str| Some(text.to_owned());
    store.ping().await.unwrap();
    store.clear().await.unwrap();
    assert_eq!(bodies(store, &["a", "b"]).await, [None, None]);
    store.put(&[write("a", "first", hour), write("b", "second", hour)]).await.unwrap();
    assert_eq!(bodies(store, &["b", "x", "a"]).await, [some("second"), None, some("first")]);
    assert_eq!(bodies(store, &["a"]).await, [some("first")]);
    let entry = store.get(&[key("a", Some("space"))]).await.unwrap().pop().flatten().unwrap();
    assert_eq!((entry.facts.id.as_deref(), entry.facts.cost_nano), (Some("id of a"), 7));
    store.put(&[write("a", "third", hour)]).await.unwrap();
    assert_eq!(bodies(store, &["a"]).await, [some("third")]);
    // Other namespaces are other questions.
    assert!(store.get(&[key("a", None)]).await.unwrap().pop().flatten().is_none());
    store.delete(&[key("a", Some("space")), key("nothing", None)]).await.unwrap();
    assert_eq!(bodies(store, &["a", "b"]).await, [None, some("second")]);
    store.put(&[]).await.unwrap();
    store.delete(&[]).await.unwrap();
    store.clear().await.unwrap();
    assert_eq!(bodies(store, &["b"]).await, [None]);
}

#[tokio::test]
async fn memory_keeps_its_promises() {
    let store = store::open(&settings(StoreSettings::Memory { max_entries: None }));
    keeps_its_promises(&*store).await;
}

/// A folder that is removed when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tollway-cache-{name}-{}", std::process::id()));
        Self(folder)
    }

    fn disk(&self, max_bytes: u64) -> Arc<dyn Store> {
        let store = StoreSettings::Disk { folder: self.0.clone() };
        store::open(&CacheSettings { max_bytes, ..settings(store) })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_disk_keeps_its_promises() {
    let folder = Folder::new("promises");
    keeps_its_promises(&*folder.disk(100_000)).await;
}

#[tokio::test]
async fn a_disk_remembers_over_restarts_and_drops_the_oldest() {
    let folder = Folder::new("restart");
    let hour = Duration::from_secs(3600);
    let body = "x".repeat(1000);
    let disk = folder.disk(3500);
    for name in ["a", "b"] {
        disk.put(&[write(name, &body, hour)]).await.unwrap();
    }
    drop(disk);
    let foreign = folder.0.join("README");
    std::fs::write(&foreign, "not ours").unwrap();
    let disk = folder.disk(3500);
    assert_eq!(bodies(&*disk, &["a", "b"]).await, [Some(body.clone()), Some(body.clone())]);
    for name in ["c", "d"] {
        disk.put(&[write(name, &body, hour)]).await.unwrap();
    }
    let left = bodies(&*disk, &["c", "d"]).await;
    assert_eq!(left, [Some(body.clone()), Some(body.clone())], "the newest stay");
    let old = bodies(&*disk, &["a", "b"]).await;
    assert_eq!(old.iter().flatten().count(), 1, "one of the old ones had to go");
    disk.clear().await.unwrap();
    assert!(foreign.exists(), "what is not ours stays");
}

fn redis(url: &str) -> Arc<dyn Store> {
    store::open(&settings(StoreSettings::Redis(Box::new(redis_at(url)))))
}

pub(super) fn redis_at(url: &str) -> RedisSettings {
    RedisSettings {
        target: RedisTarget::Url(tollway::Secret::new(url)),
        username: None,
        password: None,
        database: None,
        tls: None,
        connections: 2,
        timeout: Duration::from_millis(50),
        connect_timeout: Duration::from_secs(2),
    }
}

#[tokio::test]
#[ignore = "needs a Redis: `make test` starts one and sets TEST_REDIS_URL"]
async fn a_real_redis_keeps_its_promises() {
    let url = std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL names a Redis");
    let store = redis(&url);
    keeps_its_promises(&*store).await;
    let info = store.info().await.unwrap().expect("Redis tells about itself");
    assert!(info.info.contains("redis_version") && info.clients.contains("addr="));
    // What expires in Redis is gone there, too.
    store.put(&[write("short", "x", Duration::from_millis(1))]).await.unwrap();
    let gone = async { while bodies(&*store, &["short"]).await != [None] {} };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("Redis forgets what has expired");
}

#[tokio::test]
async fn an_address_that_is_none_is_an_error_without_its_password() {
    let error = redis("nonsense:hunter2").ping().await.unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

/// A store that does as it is told.
#[derive(Debug, Default)]
struct Puppet {
    hangs: AtomicBool,
    fails: AtomicBool,
    calls: AtomicU64,
    writes: Mutex<Vec<Key>>,
}

impl Puppet {
    async fn act(&self) -> Result<(), StoreError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if self.fails.load(Ordering::Relaxed) { Err(StoreError::new("broken")) } else { Ok(()) }
    }
}

impl Store for Puppet {
    fn name(&self) -> &'static str {
        "puppet"
    }

    fn get<'s>(&'s self, keys: &'s [Key]) -> Work<'s, Vec<Option<Arc<Entry>>>> {
        Box::pin(async move {
            self.act().await?;
            Ok(keys.iter().map(|_| Some(write("a", "known", Duration::from_secs(60)).entry)).collect())
        })
    }

    fn put<'s>(&'s self, writes: &'s [Write]) -> Work<'s, ()> {
        Box::pin(async move {
            self.act().await?;
            self.writes.lock().unwrap().extend(writes.iter().map(|write| write.key.clone()));
            Ok(())
        })
    }

    fn delete<'s>(&'s self, _: &'s [Key]) -> Work<'s, ()> {
        Box::pin(self.act())
    }

    fn clear(&self) -> Work<'_, ()> {
        Box::pin(self.act())
    }

    fn ping(&self) -> Work<'_, ()> {
        Box::pin(self.act())
    }
}

fn cache_of(store: Arc<dyn Store>) -> Cache {
    let log = Log::to_stdout(Level::Error, Format::Json);
    Cache::with_store(
        settings(StoreSettings::Memory { max_entries: None }),
        store,
        log,
        CacheMetrics::default(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_fifty_milliseconds_and_soon_nothing() {
    let puppet = Arc::new(Puppet::default());
    let cache = cache_of(puppet.clone());
    let keys = [key("a", None)];
    assert!(cache.get(&keys).await[0].is_some());
    puppet.hangs.store(true, Ordering::Relaxed);
    let began = tokio::time::Instant::now();
    for _ in 0..Breaker::FAILURES {
        assert!(cache.get(&keys).await[0].is_none());
    }
    assert_eq!(began.elapsed(), Cache::PATIENCE * Breaker::FAILURES);
    let calls = puppet.calls.load(Ordering::Relaxed);
    let began = tokio::time::Instant::now();
    for _ in 0..1000 {
        assert!(cache.get(&keys).await[0].is_none());
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(puppet.calls.load(Ordering::Relaxed), calls, "it is left alone");
}

#[tokio::test]
async fn a_store_that_fails_is_as_if_it_were_empty() {
    let puppet = Arc::new(Puppet { fails: true.into(), ..Puppet::default() });
    let cache = cache_of(puppet.clone());
    assert!(cache.is_well());
    assert_eq!(cache.get(&[key("a", None), key("b", None)]).await, [None, None]);
    assert!(!cache.is_well());
    assert!(cache.ping().await.is_err());
}

#[tokio::test]
async fn a_lease_ends_when_its_answer_is_stored() {
    let puppet = Arc::new(Puppet::default());
    let cache = cache_of(puppet.clone());
    let write = write("a", "answer", Duration::from_secs(60));
    let Seat::Lead(lease) = cache.board(&write.key) else { panic!("nobody else asks") };
    lease.land(Arc::clone(&write.entry));
    cache.keep(vec![write.clone()], Some(lease));
    while let Seat::Follow(follower) = cache.board(&write.key) {
        assert!(
            matches!(follower.wait().await, Landing::Answered(_)),
            "it is given from hand to hand until then"
        );
        tokio::task::yield_now().await;
    }
    assert_eq!(*puppet.writes.lock().unwrap(), [write.key]);
}

#[tokio::test]
async fn an_expired_answer_is_not_given() {
    let cache = cache_of(store::open(&settings(StoreSettings::Memory { max_entries: None })));
    let stale = write("a", "old", Duration::ZERO);
    cache.keep(vec![stale.clone()], None);
    assert_eq!(cache.get(&[stale.key]).await, [None]);
}

#[test]
fn operations_are_listed_with_and_without_their_a() {
    use dialects::Dialect;
    use dialects::service::Service;
    let lists = |words: &[&str], operation| {
        let call_types = Some(words.iter().map(|word| (*word).to_owned()).collect());
        CacheSettings { call_types, ..settings(StoreSettings::Memory { max_entries: None }) }.lists(operation)
    };
    let chat = Operation::Converse(Dialect::OpenaiChat);
    assert!(lists(&["acompletion"], chat) && lists(&["completion"], chat));
    assert!(!lists(&["embedding", "atext_completion"], chat));
    assert!(lists(&["embedding"], Operation::Forward(Service::Embeddings)));
    assert!(lists(&["anthropic_messages"], Operation::Converse(Dialect::AnthropicMessages)));
}
