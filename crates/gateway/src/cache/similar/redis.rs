//! Vectors in Redis or Valkey, so that all instances find them and a restart loses none. It takes the search commands:
//! Redis 8, Redis Stack, or Valkey with valkey-search.
//!
//! Each question is a hash that expires with its answer, and an index covers all hashes whose vectors have the same number
//! of dimensions: another embedding model gets an index of its own. What the index filters by is the question's context
//! alone, which covers the tenant and the namespace too. Contexts that have any questions are known by a key each: most of
//! them, such as the later turns of a conversation, have none, and then nobody waits for a vector.
//!
//! ```text
//! FT.CREATE tollway:similar:default:1536 ON HASH PREFIX 1 tollway:similar:default:1536: SCHEMA
//!     scope TAG  vector VECTOR HNSW 8 TYPE FLOAT32 DIM 1536 DISTANCE_METRIC COSINE EF_RUNTIME 64
//! HSET tollway:similar:default:1536:KEY scope … vector … key … call …
//! PEXPIRE tollway:similar:default:1536:KEY …
//! SET tollway:similar:default:context:… "" PX …
//! FT.SEARCH tollway:similar:default:1536 "(@scope:{…})=>[KNN 1 @vector $vector AS distance]"
//!     PARAMS 2 vector … RETURN 3 distance key call LIMIT 0 1 TIMEOUT 50 DIALECT 2
//! ```
//!
//! These are words that both servers know: redis.io/docs/latest/commands/ft.create, …/ft.search and
//! …/develop/ai/search-and-query/vectors; valkey.io/commands/ft.create, …/ft.search and valkey.io/topics/search-query (all
//! read 2026-11-22). A tag's value would need escapes for punctuation; ours has none.

use std::fmt;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use fred::error::Error;
use fred::interfaces::{ClientLike, KeysInterface, TransactionInterface};
use fred::types::{ClusterHash, CustomCommand, Expiration, Value};

use super::{Found, Guard, Match, Unit};
use crate::cache::redis::Connections;
use crate::cache::{Cache, Key, Store, StoreError, now_ms};
use crate::config::RedisVectorSettings;
use crate::events::metrics::CacheMetrics;
use crate::events::{self, Log};
use crate::hex;

/// What the names of all our keys and indexes begin with.
const PREFIX: &str = "tollway:similar:";

/// Nobody waits for a write.
const WRITING: Duration = Duration::from_millis(500);

/// How many neighbours are looked at for the nearest one; the servers' default of 10 misses some.
const EF_RUNTIME: &str = "64";

/// See the module.
#[derive(Debug)]
pub(super) struct Redis {
    connections: Connections,
    answers: Arc<dyn Store>,
    /// Of searches alone: they may be slow where all else is quick.
    searches: Guard,
    /// Of everything else.
    keys: Guard,
    patience: Duration,
    log: Log,
    index: String,
    /// Dimensions of the vectors whose index was there; 0 at first.
    ready: AtomicUsize,
    lack: OnceLock<Lack>,
}

/// Why a server cannot keep vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    Commands,
    Vectors,
    Permission,
    Database,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Commands => {
                "the server has no FT.SEARCH; Redis 8, Redis Stack and Valkey with valkey-search have it"
            }
            Self::Vectors => "the server's search is too old for vectors; RediSearch 2.4 has them",
            Self::Permission => "the user may not use FT.CREATE or FT.SEARCH; allow `+@search`",
            Self::Database => "the server has indexes in database 0 only; set `db: 0`",
        })
    }
}

impl Redis {
    /// Begins to connect, and to find out whether the server can search.
    pub(super) fn connect(
        settings: &RedisVectorSettings,
        answers: Arc<dyn Store>,
        log: &Log,
        metrics: &CacheMetrics,
    ) -> Arc<Self> {
        // One connection of its own: lookups of answers do not wait behind searches.
        let redis = Arc::new(Self {
            connections: Connections::open(&settings.server, 1),
            answers,
            searches: Guard::new("redis search", log.clone(), metrics.clone()),
            keys: Guard::new("redis vectors", log.clone(), metrics.clone()),
            patience: settings.server.timeout.min(Cache::PATIENCE),
            log: log.clone(),
            index: format!("{PREFIX}{}", settings.index),
            ready: AtomicUsize::new(0),
            lack: OnceLock::new(),
        });
        let looking = Arc::clone(&redis);
        // Without an answer, the first command that needs the search tells.
        tokio::spawn(async move { looking.look().await });
        redis
    }

    /// What the server lacks, as far as that is known.
    pub(super) fn lack(&self) -> Option<Lack> {
        self.lack.get().copied()
    }

    /// Whether a search now would be left out.
    pub(super) fn leaves_alone(&self) -> bool {
        self.searches.leaves_alone() || self.keys.leaves_alone()
    }

    /// Whether there may be a question of the context; none where the server does not answer in time.
    pub(super) async fn knows(&self, context: &[u8; 32]) -> bool {
        let looking = async { Ok(self.connections.client()?.exists(self.context(context)).await?) };
        !self.searches.leaves_alone() && self.keys.within(self.patience, looking).await.unwrap_or(false)
    }

    /// The most similar question of the context, with its answer, if it is similar enough; nothing where the server does
    /// not answer in time.
    pub(super) async fn find(&self, context: &[u8; 32], vector: &Unit, threshold: f32) -> Option<Found> {
        let looking = async {
            let nearest = match self.nearest(context, vector).await {
                Ok(nearest) => nearest,
                Err(error) => {
                    // Who flushed the server took the index, too. A new one covers what has come since.
                    if self.excused(error)? == Trouble::NoIndex
                        && let Err(error) = self.prepare(vector.len()).await
                    {
                        self.excused(error)?;
                    }
                    None
                }
            };
            let Some(question) = nearest.filter(|question| question.score >= threshold) else {
                return Ok(None);
            };
            let answer = self.answers.get(slice::from_ref(&question.key)).await?.pop().flatten();
            Ok(answer.map(|answer| Found { question, answer: Some(answer) }))
        };
        self.searches.within(self.patience, looking).await.flatten()
    }

    /// Keeps a question until its answer expires, and tells whether it did. A failure costs a later hit, no more.
    pub(super) async fn put(
        &self,
        context: &[u8; 32],
        vector: &Unit,
        found: &Match,
        expires_ms: u64,
    ) -> bool {
        let left = expires_ms.saturating_sub(now_ms());
        let Some(left) = i64::try_from(left).ok().filter(|left| *left > 0) else { return true };
        let writing = async {
            if self.ready.load(Ordering::Relaxed) != vector.len()
                && let Err(error) = self.prepare(vector.len()).await
            {
                return self.excused(error).map(drop);
            }
            self.ready.store(vector.len(), Ordering::Relaxed);
            let name = format!("{}:{}", self.index_of(vector.len()), found.key);
            let fields: Vec<Value> = vec![
                name.as_str().into(),
                "scope".into(),
                scope(context).into(),
                "vector".into(),
                blob(vector).into(),
                "key".into(),
                found.key.to_string().into(),
                "call".into(),
                (&*found.call).into(),
            ];
            // Both or none: a hash without an end would stay for ever.
            let both = self.connections.client()?.multi();
            let hset = CustomCommand::new_static("HSET", ClusterHash::FirstKey, false);
            let _: () = both.custom(hset, fields).await?;
            let _: () = both.pexpire(name, left, None).await?;
            let _: () = both.exec(true).await?;
            let ends = Some(Expiration::PX(left));
            Ok(self.connections.client()?.set(self.context(context), "", ends, None, false).await?)
        };
        self.keys.within(WRITING, writing).await.is_some()
    }

    /// Takes out what is ours. The indexes stay, and are empty.
    pub(super) async fn clear(&self) -> Result<(), StoreError> {
        self.connections.unlink_all(PREFIX).await
    }

    /// Asks the server whether it knows the commands.
    async fn look(&self) {
        let command = CustomCommand::new_static("COMMAND", ClusterHash::Random, false);
        let Ok(client) = self.connections.client() else { return };
        let known: Result<Value, Error> = client.custom(command, vec!["INFO", "FT.SEARCH"]).await;
        if let Ok(Value::Array(known)) = known
            && known.iter().all(Value::is_null)
        {
            self.lacks(Lack::Commands);
        }
    }

    async fn nearest(&self, context: &[u8; 32], vector: &Unit) -> Result<Option<Match>, Error> {
        let Ok(client) = self.connections.client() else { return Ok(None) };
        let command = CustomCommand::new_static("FT.SEARCH", ClusterHash::Random, false);
        let query = format!("(@scope:{{{}}})=>[KNN 1 @vector $vector AS distance]", scope(context));
        let mut words: Vec<Value> = vec![self.index_of(vector.len()).into(), query.into()];
        words.extend(["PARAMS", "2", "vector"].map(Value::from));
        words.push(blob(vector).into());
        words.extend(["RETURN", "3", "distance", "key", "call", "LIMIT", "0", "1"].map(Value::from));
        words.extend(["TIMEOUT", "50", "DIALECT", "2"].map(Value::from));
        Ok(read(&client.custom(command, words).await?))
    }

    /// Makes the index of vectors of this many dimensions, if it is not there.
    async fn prepare(&self, width: usize) -> Result<(), Error> {
        let Ok(client) = self.connections.client() else { return Ok(()) };
        let command = CustomCommand::new_static("FT.CREATE", ClusterHash::Random, false);
        let index = self.index_of(width);
        let prefix = format!("{index}:");
        let mut words: Vec<Value> = vec![index.into()];
        words.extend(["ON", "HASH", "PREFIX", "1"].map(Value::from));
        words.push(prefix.into());
        words.extend(["SCHEMA", "scope", "TAG", "vector", "VECTOR", "HNSW", "8"].map(Value::from));
        words.extend(["TYPE", "FLOAT32", "DIM"].map(Value::from));
        words.push(width.to_string().into());
        words.extend(["DISTANCE_METRIC", "COSINE", "EF_RUNTIME", EF_RUNTIME].map(Value::from));
        match client.custom(command, words).await {
            Err(error) if !error.details().contains("already exists") => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// An error after which nothing is found, but nothing is wrong either.
    fn excused(&self, error: Error) -> Result<Trouble, StoreError> {
        let trouble = Trouble::of(error.details()).ok_or(error)?;
        if let Trouble::Lack(lack) = trouble {
            self.lacks(lack);
        }
        Ok(trouble)
    }

    fn lacks(&self, lack: Lack) {
        if self.lack.set(lack).is_ok() {
            events::vectors_not_shared(&self.log, &lack);
        }
    }

    /// The key by which a context with questions is known.
    fn context(&self, context: &[u8; 32]) -> String {
        format!("{}:context:{}", self.index, hex::digest(context))
    }

    fn index_of(&self, width: usize) -> String {
        format!("{}:{width}", self.index)
    }
}

/// An error that is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    NoIndex,
    Lack(Lack),
}

impl Trouble {
    /// Servers and versions word the same errors differently.
    fn of(details: &str) -> Option<Self> {
        let text = details.to_ascii_lowercase();
        if text.starts_with("err unknown command") {
            return Some(Self::Lack(Lack::Commands));
        }
        if text.starts_with("noperm") {
            return Some(Self::Lack(Lack::Permission));
        }
        if text.contains("on db != 0") {
            return Some(Self::Lack(Lack::Database));
        }
        // RediSearch 1 and 2.0.
        if text.contains("field spec") || text.contains("field type") {
            return Some(Self::Lack(Lack::Vectors));
        }
        let is_missing =
            ["no such index", "unknown index", "not found"].iter().any(|word| text.contains(word));
        (text.contains("index") && is_missing).then_some(Self::NoIndex)
    }
}

/// A context as a tag. It begins with a letter: what might be read as a number is none.
fn scope(context: &[u8; 32]) -> String {
    format!("c{}", hex::digest(context))
}

/// A vector as FLOAT32 is sent: little-endian, one number behind the other.
fn blob(vector: &Unit) -> Bytes {
    vector.to_floats().into_iter().flat_map(f32::to_le_bytes).collect()
}

/// The nearest of `[count, name, [field, value, …], …]`; a hash that has just expired has no fields.
fn read(answer: &Value) -> Option<Match> {
    let Value::Array(rows) = answer else { return None };
    let Value::Array(pairs) = rows.get(2)? else { return None };
    let field = |name: &str| {
        let pair = pairs
            .chunks_exact(2)
            .find(|pair| pair.first().and_then(Value::as_str).as_deref() == Some(name))?;
        pair.get(1)?.as_string()
    };
    let distance: f32 = field("distance")?.parse().ok()?;
    Some(Match { key: Key::parse(&field("key")?)?, score: 1.0 - distance, call: field("call")?.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::tests::redis_at;
    use crate::cache::{KeyWriter, store};
    use crate::config::{CacheMode, CacheSettings, StoreSettings};
    use crate::events::log::{Format, Level};

    #[test]
    fn errors_of_all_servers_are_understood() {
        let lacks = |lack| Some(Trouble::Lack(lack));
        let table = [
            ("ERR unknown command 'FT.SEARCH', with args beginning with: 'x' ", lacks(Lack::Commands)),
            ("ERR unknown command `FT.CREATE`, with args beginning with: ", lacks(Lack::Commands)),
            ("NOPERM User x has no permissions to run the 'ft.create' command", lacks(Lack::Permission)),
            ("Cannot create index on db != 0", lacks(Lack::Database)),
            ("Could not parse field spec", lacks(Lack::Vectors)),
            ("Invalid field type for field `vector`", lacks(Lack::Vectors)),
            ("Unknown Index name", Some(Trouble::NoIndex)),
            ("tollway:similar:default:4: no such index", Some(Trouble::NoIndex)),
            ("No such index tollway:similar:default:4", Some(Trouble::NoIndex)),
            ("SEARCH_INDEX_NOT_FOUND Index not found", Some(Trouble::NoIndex)),
            ("Index with name 'tollway:similar:default:4' not found in database 0", Some(Trouble::NoIndex)),
            ("Timeout limit was reached", None),
            ("LOADING Redis is loading the dataset in memory", None),
            ("OOM command not allowed when used memory > 'maxmemory'.", None),
        ];
        for (details, expected) in table {
            assert_eq!(Trouble::of(details), expected, "{details}");
        }
    }

    #[test]
    fn a_context_is_a_tag_without_punctuation() {
        let tag = scope(&[0x0e; 32]);
        assert_eq!(tag, format!("c{}", "0e".repeat(32)));
    }

    #[test]
    fn the_nearest_is_read_and_what_is_none_is_not() {
        let hex = "ab".repeat(32);
        let array = |values: &[&str]| Value::Array(values.iter().map(|value| Value::from(*value)).collect());
        let answer = |fields: Value| Value::Array(vec![1.into(), "name".into(), fields]);
        let found = read(&answer(array(&["distance", "0.25", "key", &format!("ns:{hex}"), "call", "c-1"])));
        let key = Key::parse(&format!("ns:{hex}")).unwrap();
        assert_eq!(found, Some(Match { key, score: 0.75, call: "c-1".into() }));
        for nothing in [
            Value::Array(vec![0.into()]),
            answer(Value::Null),
            answer(array(&["distance", "nearly", "key", &hex, "call", "c"])),
            answer(array(&["key", &hex, "call"])),
            Value::Null,
        ] {
            assert_eq!(read(&nothing), None, "{nothing:?}");
        }
    }

    #[tokio::test]
    #[ignore = "needs a Redis: `make test` starts one and sets TEST_REDIS_URL"]
    async fn a_question_is_a_hash_with_an_end() {
        let url = std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL names a Redis");
        let log = Log::to_stdout(Level::Error, Format::Json);
        let settings = RedisVectorSettings { server: redis_at(&url), index: "tests".to_owned() };
        let answers = store::open(&CacheSettings {
            store: StoreSettings::Memory { max_entries: None },
            ttl: Duration::from_secs(60),
            namespace: None,
            mode: CacheMode::DefaultOn,
            call_types: None,
            max_messages: None,
            semantic: None,
            max_bytes: 1000,
            max_entry_bytes: 1000,
        });
        let redis = Redis::connect(&settings, answers, &log, &CacheMetrics::default());
        redis.look().await;
        assert_eq!(redis.lack(), Some(Lack::Commands), "a Redis without modules");
        // As if the index had been made.
        redis.ready.store(2, Ordering::Relaxed);
        let key = KeyWriter::default().finish(Some("space"));
        let found = Match { key: key.clone(), score: 1.0, call: "c-1".into() };
        let vector = Unit::new(&[3.0, 4.0]).unwrap();
        assert!(!redis.knows(&[7; 32]).await);
        assert!(redis.put(&[7; 32], &vector, &found, now_ms() + 60_000).await);
        let client = redis.connections.client().unwrap();
        let name = format!("tollway:similar:tests:2:{key}");
        let left: i64 = client.pttl(&*name).await.unwrap();
        assert!((1..=60_000).contains(&left), "{left}");
        let hash = CustomCommand::new_static("HMGET", ClusterHash::FirstKey, false);
        let words = vec![&*name, "scope", "vector", "key", "call"];
        let fields: Vec<Bytes> = client.custom(hash, words).await.unwrap();
        let expected = [Bytes::from(scope(&[7; 32])), blob(&vector), key.to_string().into(), "c-1".into()];
        assert_eq!(fields, expected);
        assert!(redis.knows(&[7; 32]).await && !redis.knows(&[8; 32]).await);
        redis.clear().await.unwrap();
        assert!(!redis.knows(&[7; 32]).await);
        assert!(!client.exists::<bool, _>(&*name).await.unwrap());
    }
}
