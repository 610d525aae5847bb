use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use catalog::NanoUsd;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::*;
use crate::booking::{Booking, Tokens};
use crate::rules::account::{Account, Scope};
use crate::rules::entity::{AccessGroup, Credential, Details, Key, Rotation, RuntimeModel, Team};
use crate::rules::id::{
    AccessGroupId, CredentialId, KeyHash, KeyId, ModelName, ProviderName, RequestId, Tag, TeamId, UserId,
};
use crate::rules::ledger::{Charge, Opening};
use crate::rules::period::Period;
use crate::rules::time::{Day, Timestamp};
use crate::vault::{Place, SaltKey, Vault};

/// A folder that goes when the test does.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("tollway-ledger-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) async fn store(folder: &Folder) -> Store {
    Store::open(&folder.path("tollway.db")).await.unwrap()
}

/// A database that is there for one test.
enum Home {
    Sqlite(Folder),
    /// The address, with a schema of its own.
    Postgres(String),
}

impl Home {
    async fn store(&self) -> Store {
        match self {
            Self::Sqlite(folder) => store(folder).await,
            Self::Postgres(url) => Store::connect(url).await.unwrap(),
        }
    }
}

async fn on_sqlite(specification: impl AsyncFnOnce(&Home)) {
    specification(&Home::Sqlite(Folder::new())).await;
}

/// With `scripts/with-postgres`.
async fn on_postgres(specification: impl AsyncFnOnce(&Home)) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let url = std::env::var("TEST_DATABASE_URL").unwrap();
    let schema = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let server = sqlx::PgPool::connect(&url).await.unwrap();
    let execute = async |sql: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&server).await.unwrap();
    };
    execute(format!("CREATE SCHEMA {schema}")).await;
    let sign = if url.contains('?') { '&' } else { '?' };
    specification(&Home::Postgres(format!("{url}{sign}schema={schema}&connection_limit=4"))).await;
    execute(format!("DROP SCHEMA {schema} CASCADE")).await;
}

macro_rules! on_both_databases {
    ($($specification:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $specification() {
                super::on_sqlite(super::$specification).await;
            })*
        }

        mod postgres {
            $(#[tokio::test]
            #[ignore = "needs PostgreSQL"]
            async fn $specification() {
                super::on_postgres(super::$specification).await;
            })*
        }
    };
}

mod booking;
mod entities;
mod instances;
mod reports;
mod retention;
mod totals;

on_both_databases! {
    a_database_is_opened_again,
}

fn key(id: &str) -> Key {
    let hash = KeyHash::of(&format!("sk-{id}"));
    serde_json::from_value(serde_json::json!({ "id": id, "hash": hash, "name": "sk-...cdef" })).unwrap()
}

fn team(id: &str) -> Team {
    serde_json::from_value(serde_json::json!({ "id": id })).unwrap()
}

pub(crate) fn booking(request: &str, cost: i64) -> Booking {
    Booking {
        request: RequestId::new(request).unwrap(),
        started_at: Timestamp(86_400_000 * 20_000),
        ended_at: Timestamp(86_400_000 * 20_000 + 1500),
        call_type: "acompletion".into(),
        failed: false,
        model: ModelName::new("gpt-4o").unwrap(),
        model_group: Some("best".into()),
        provider: ProviderName::new("openai").unwrap(),
        deployment: None,
        key: KeyId::new("k1").unwrap(),
        user: Some(UserId::new("ada").unwrap()),
        team: Some(TeamId::new("red").unwrap()),
        organization: None,
        customer: None,
        tags: vec![Tag::new("a,\"b\"").unwrap()],
        tokens: Tokens { input: 11, output: 7, cache_read: 4, cache_write: 0 },
        cost: NanoUsd(cost),
        saved: NanoUsd::ZERO,
        estimated: false,
        cache_hit: false,
        catalog: Some("2026-11-21".into()),
        session: None,
        detail: None,
        charges: Vec::new(),
    }
}

async fn assert_audited(store: &Store) {
    let found = store.audit().await.unwrap();
    assert!(found.is_empty(), "{found:#?}");
}

async fn execute(store: &Store, sql: &str) {
    let mut transaction = store.transaction().await.unwrap();
    transaction.script(sql).await.unwrap();
    transaction.commit().await.unwrap();
}

const DAY_MILLIS: i64 = 86_400_000;

#[tokio::test]
async fn an_address_that_is_none_is_told_without_its_password() {
    for address in ["mysql://root:secret@host/db", "secret", "", "postgresql://a:secret@host:port/x"] {
        let told = Store::connect(address).await.unwrap_err();
        assert!(matches!(told, StoreError::BadAddress), "{told:?}");
        assert!(!format!("{told} {told:?}").contains("secret"), "{told:?}");
    }
}

#[tokio::test]
async fn a_file_is_an_address_too() {
    let folder = Folder::new();
    let address = format!("sqlite://{}", folder.path("tollway.db").display());
    assert!(!Store::connect(&address).await.unwrap().is_shared());
    assert!(folder.path("tollway.db").exists());
}

#[tokio::test]
async fn a_backup_is_a_database() {
    let folder = Folder::new();
    let store = store(&folder).await;
    store.book(&[booking("r1", 5)]).await.unwrap();
    store.backup(&folder.path("copy.db")).await.unwrap();
    let copy = Store::open(&folder.path("copy.db")).await.unwrap();
    assert_eq!(copy.spend_log(&LogFilter::default(), 10).await.unwrap().len(), 1);
    assert_audited(&copy).await;
}

async fn a_database_is_opened_again(home: &Home) {
    let first = home.store().await;
    first.insert(&key("k1")).await.unwrap();
    first.close().await;
    assert!(
        first.key_by_hash(&KeyHash::of("sk-k1"), Timestamp(0)).await.is_err(),
        "no answer is no `unknown key`"
    );
    let again = home.store().await;
    assert!(again.get::<Key>("k1").await.unwrap().is_some());
}

fn bookings() -> impl Strategy<Value = Vec<Booking>> {
    let one = (0..60_u32, 0..3_u32, 0..3_u32, 0..3_u32, 0..1_000_000_i64, any::<bool>());
    let booking = one.prop_map(|(request, key, team, tag, cost, failed)| Booking {
        key: KeyId::new(&format!("k{key}")).unwrap(),
        team: (team > 0).then(|| TeamId::new(&format!("t{team}")).unwrap()),
        tags: (0..tag).map(|tag| Tag::new(&format!("tag {tag}")).unwrap()).collect(),
        started_at: Timestamp(i64::from(request) * 3_000_000),
        ended_at: Timestamp(i64::from(request) * 3_000_000 + 10),
        failed,
        ..booking(&format!("r{request}"), cost)
    });
    proptest::collection::vec(booking, 1..150)
}

/// Prints rows per second and bytes per row. For `cargo test -- --ignored --nocapture how_fast`.
async fn measure(home: &Home) {
    let store = home.store().await;
    let rows: i64 = 50_000;
    let all: Vec<Booking> = (0..rows)
        .map(|number| Booking {
            key: KeyId::new(&format!("{:064x}", number % 100)).unwrap(),
            team: Some(TeamId::new(&format!("team-{}", number % 10)).unwrap()),
            started_at: Timestamp(DAY_MILLIS * 20_000 + number),
            ..booking(&format!("chatcmpl-{number:032x}"), number)
        })
        .collect();
    let start = std::time::Instant::now();
    for batch in all.chunks(crate::journal::BATCH) {
        store.book(batch).await.unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    let bytes = match &store.database {
        Database::Sqlite(_) => SqliteFile::used_bytes(&mut store.reader().await.unwrap()).await.unwrap(),
        Database::Postgres(database) => {
            database.day_sizes().await.unwrap().iter().map(|(_, bytes)| bytes).sum()
        }
    };
    println!(
        "{:.0} rows/s, {} bytes per row with indexes",
        f64::from(i32::try_from(rows).unwrap()) / seconds,
        bytes / rows.unsigned_abs()
    );
}

#[tokio::test]
#[ignore = "a measurement"]
async fn how_fast_rows_are_booked_in_a_file() {
    on_sqlite(measure).await;
}

#[tokio::test]
#[ignore = "a measurement"]
async fn how_fast_rows_are_booked_on_a_server() {
    on_postgres(measure).await;
}
