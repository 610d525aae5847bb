use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use catalog::NanoUsd;
use proptest::prelude::*;

use super::*;
use crate::booking::{Booking, Tokens};
use crate::rules::account::{Account, Scope};
use crate::rules::entity::{AccessGroup, Credential, Details, Key, RuntimeModel, Team};
use crate::rules::id::{
    CredentialId, KeyHash, KeyId, ModelName, ProviderName, RequestId, Tag, TeamId, UserId,
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

fn key(id: &str) -> Key {
    let hash = KeyHash::of(&format!("sk-{id}"));
    serde_json::from_value(serde_json::json!({ "id": id, "hash": hash, "name": "sk-...cdef" })).unwrap()
}

pub(crate) fn booking(request: &str, cost: i64) -> Booking {
    Booking {
        request: RequestId::new(request).unwrap(),
        started_at: Timestamp(86_400_000 * 20_000),
        ended_at: Timestamp(86_400_000 * 20_000 + 1500),
        call_type: "acompletion".to_owned(),
        failed: false,
        model: ModelName::new("gpt-4o").unwrap(),
        model_group: Some("best".to_owned()),
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
        catalog: Some("2026-11-21".to_owned()),
        session: None,
        detail: None,
        charges: Vec::new(),
    }
}

async fn assert_audited(store: &Store) {
    let found = store.audit().await.unwrap();
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn a_key_is_found_by_its_hash_and_by_nothing_else() {
    let folder = Folder::new();
    let store = store(&folder).await;
    store.insert(&key("k1")).await.unwrap();
    let found = store.key_by_hash(&KeyHash::of("sk-k1"), Timestamp(0)).await.unwrap().unwrap();
    assert_eq!(found, Stored { record: key("k1"), version: 1, spend: NanoUsd::ZERO });
    assert_eq!(store.key_by_hash(&KeyHash::of("sk-k2"), Timestamp(0)).await.unwrap(), None);
    assert_eq!(store.get::<Key>("k1").await.unwrap(), Some(found));
}

#[tokio::test]
async fn a_key_that_is_taken_is_named() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let with_alias =
        |id: &str| Key { details: Details { alias: Some("ci".to_owned()), ..Details::default() }, ..key(id) };
    store.insert(&with_alias("k1")).await.unwrap();
    let taken = |error: StoreError| error.to_string();
    assert_eq!(taken(store.insert(&key("k1")).await.unwrap_err()), "`keys.id` is taken; choose another");
    assert_eq!(
        taken(store.insert(&with_alias("k2")).await.unwrap_err()),
        "`keys.alias` is taken; choose another"
    );
    let same_hash = Key { hash: KeyHash::of("sk-k1"), ..key("k3") };
    assert_eq!(
        taken(store.insert(&same_hash).await.unwrap_err()),
        "`key_hashes.hash` is taken; choose another"
    );
    assert_eq!(store.get::<Key>("k3").await.unwrap(), None, "nothing of it is left");
}

#[tokio::test]
async fn the_second_of_two_changes_is_told() {
    let folder = Folder::new();
    let store = store(&folder).await;
    store.insert(&key("k1")).await.unwrap();
    let mut first = store.get::<Key>("k1").await.unwrap().unwrap();
    let second = first.clone();
    first.record.details.blocked = true;
    store.update(&first).await.unwrap();
    assert!(matches!(store.update(&second).await, Err(StoreError::Changed)));
    assert!(store.get::<Key>("k1").await.unwrap().unwrap().record.details.blocked);
}

#[tokio::test]
async fn the_old_secret_is_good_while_its_grace_lasts() {
    let folder = Folder::new();
    let store = store(&folder).await;
    store.insert(&key("k1")).await.unwrap();
    let mut stored = store.get::<Key>("k1").await.unwrap().unwrap();
    stored.record.hash = KeyHash::of("sk-new");
    store.regenerate_key(&stored, Timestamp(100)).await.unwrap();
    let found = async |secret: &str, now| {
        store.key_by_hash(&KeyHash::of(secret), Timestamp(now)).await.unwrap().map(|stored| stored.record.id)
    };
    let id = Some(KeyId::new("k1").unwrap());
    assert_eq!(found("sk-k1", 99).await, id);
    assert_eq!(found("sk-k1", 100).await, None);
    assert_eq!(found("sk-new", 100).await, id);
}

#[tokio::test]
async fn what_is_deleted_is_gone_with_its_hashes_and_can_be_made_again() {
    let folder = Folder::new();
    let store = store(&folder).await;
    store.insert(&key("k1")).await.unwrap();
    let deleted = store.delete::<Key>(&["k1", "k2"], Some("admin"), Timestamp(5)).await.unwrap();
    assert_eq!(deleted, ["k1"]);
    assert_eq!(store.key_by_hash(&KeyHash::of("sk-k1"), Timestamp(6)).await.unwrap(), None);
    store.insert(&key("k1")).await.unwrap();
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let folder = Folder::new();
    let store = store(&folder).await;
    for (number, (id, team)) in
        [("k1", "red"), ("k2", "blue"), ("k3", "red"), ("k_4", "red")].into_iter().enumerate()
    {
        let mut key = key(id);
        key.team = Some(TeamId::new(team).unwrap());
        key.details.created_at = Timestamp(i64::try_from(number).unwrap());
        key.details.blocked = id == "k3";
        store.insert(&key).await.unwrap();
    }
    store.book(&[booking("r1", 5)]).await.unwrap();
    let list = async |filter: Filter, by, offset| {
        let page = store.list::<Key>(&filter, Sorting { by, descending: true }, offset, 2).await.unwrap();
        let ids: Vec<String> = page.items.iter().map(|stored| stored.record.id.to_string()).collect();
        (ids.join(" "), page.total)
    };
    let red = || Filter { team: Some(TeamId::new("red").unwrap()), ..Filter::default() };
    assert_eq!(list(red(), SortBy::CreatedAt, 0).await, ("k_4 k3".to_owned(), 3));
    assert_eq!(list(red(), SortBy::CreatedAt, 2).await, ("k1".to_owned(), 3));
    assert_eq!(list(red(), SortBy::Spend, 0).await, ("k1 k3".to_owned(), 3));
    assert_eq!(store.get::<Key>("k1").await.unwrap().map(|stored| stored.spend), Some(NanoUsd(5)));
    let blocked = Filter { blocked: Some(true), ..red() };
    assert_eq!(list(blocked, SortBy::Alias, 0).await, ("k3".to_owned(), 1));
    let search = Filter { search: Some("K_".to_owned()), ..Filter::default() };
    assert_eq!(list(search, SortBy::Alias, 0).await, ("k_4".to_owned(), 1));
}

#[tokio::test]
async fn other_entities_have_tables_too() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let team: Team = serde_json::from_value(serde_json::json!({ "id": "red" })).unwrap();
    store.insert(&team).await.unwrap();
    assert_eq!(store.get::<Team>("red").await.unwrap().map(|stored| stored.record), Some(team));
}

#[tokio::test]
async fn models_of_run_time_are_records_too() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let group: AccessGroup =
        serde_json::from_value(serde_json::json!({ "id": "beta", "models": ["gpt-5*"] })).unwrap();
    store.insert(&group).await.unwrap();
    assert_eq!(store.get::<AccessGroup>("beta").await.unwrap().map(|stored| stored.record), Some(group));

    let model = |id: &str| {
        let json = serde_json::json!({ "id": id, "name": "best", "team": "red", "data": { "model": "openai/gpt-5" } });
        serde_json::from_value::<RuntimeModel>(json).unwrap()
    };
    for id in ["m1", "m2"] {
        store.insert(&model(id)).await.unwrap();
    }
    let of_red = Filter { team: Some(TeamId::new("red").unwrap()), ..Filter::default() };
    let named = Filter { alias: Some("best".to_owned()), ..of_red };
    let found = store.list::<RuntimeModel>(&named, Sorting::default(), 0, 10).await.unwrap();
    assert_eq!(found.total, 2, "several may have one name");
    assert_eq!(found.items.first().map(|stored| &stored.record), Some(&model("m1")));
}

#[tokio::test]
async fn secrets_are_sealed_anew_under_another_salt_key() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let salt = |text: &str| SaltKey::new(text).unwrap();
    let place = Place { kind: Credential::KIND, id: "openai", field: "api_key" };
    let old = Vault::new(salt("old"), Vec::new());
    let credential = Credential {
        id: CredentialId::new("openai").unwrap(),
        values: [("api_key".to_owned(), old.seal("sk-secret", place).unwrap())].into(),
        data: serde_json::Map::new(),
        details: Details::default(),
    };
    store.insert(&credential).await.unwrap();

    let told = store.reseal(&Vault::new(salt("new"), Vec::new())).await.unwrap_err().to_string();
    assert_eq!(told, "`credential/openai/api_key` could not be sealed anew");
    let both = Vault::new(salt("new"), vec![salt("old")]);
    assert_eq!(store.reseal(&both).await.unwrap(), Resealed { resealed: 1, current: 0, busy: 0 });
    assert_eq!(store.reseal(&both).await.unwrap(), Resealed { resealed: 0, current: 1, busy: 0 });

    let new = Vault::new(salt("new"), Vec::new());
    let stored = store.get::<Credential>("openai").await.unwrap().unwrap();
    let sealed = stored.record.values.get("api_key").unwrap();
    assert_eq!(new.open(sealed, place), Ok("sk-secret".to_owned()));
}

#[tokio::test]
async fn nothing_is_booked_twice() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let batch = [booking("r1", 5), booking("r2", 7), booking("r1", 5)];
    assert_eq!(store.book(&batch).await.unwrap(), Booked { new: 2, known: 1 });
    assert_eq!(store.book(&batch).await.unwrap(), Booked { new: 0, known: 3 });
    let day = Day(20_000);
    let team = Scope::Team(TeamId::new("red").unwrap());
    let sums = store.daily(&team, day, day).await.unwrap();
    assert_eq!(sums.iter().map(|sum| (sum.requests, sum.cost)).collect::<Vec<_>>(), [(2, NanoUsd(12))]);
    assert_audited(&store).await;
}

#[tokio::test]
async fn a_ledger_opens_with_its_latest_windows() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let account = Account::of(Scope::Key(KeyId::new("k1").unwrap()));
    let day = Period::parse("1d").unwrap();
    let charged = |request: &str, cost, window| Booking {
        charges: vec![Charge { account: account.clone(), period: Some(day), window: Timestamp(window) }],
        ..booking(request, cost)
    };
    store
        .book(&[charged("r1", 5, 0), charged("r2", 7, 86_400_000), charged("r3", 1, 86_400_000)])
        .await
        .unwrap();
    let mut openings = store.openings(&account).await.unwrap();
    openings.sort_by_key(|opening| opening.period);
    let opening =
        |period, window, spend| Opening { period, window: Timestamp(window), spend: NanoUsd(spend) };
    assert_eq!(openings, [opening(None, 0, 13), opening(Some(day), 86_400_000, 8)]);
    assert_eq!(store.forget_windows(Timestamp::MAX).await.unwrap(), 1);
    assert_eq!(store.openings(&account).await.unwrap().len(), 2);
    let before = store.set_spend(&account, None, Timestamp(0), NanoUsd(2)).await.unwrap();
    assert_eq!(before, NanoUsd(13));
    assert_audited(&store).await;
}

#[tokio::test]
async fn the_log_is_read_page_by_page() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let bookings: Vec<Booking> = (0..5).map(|number| booking(&format!("r{number}"), number)).collect();
    store.book(&bookings).await.unwrap();
    let mut filter = LogFilter { key: Some(KeyId::new("k1").unwrap()), ..LogFilter::default() };
    let mut read = Vec::new();
    loop {
        let page = store.spend_log(&filter, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some((last.started_at, last.request.clone()));
        read.extend(page);
    }
    read.reverse();
    assert_eq!(read, bookings);
}

#[tokio::test]
async fn sums_outlive_rows() {
    let folder = Folder::new();
    let store = store(&folder).await;
    store.book(&[booking("r1", 5), booking("r2", 7)]).await.unwrap();
    assert_eq!(store.forget_rows(Day(20_001), 100).await.unwrap(), 2);
    assert_eq!(store.spend_log(&LogFilter::default(), 10).await.unwrap(), []);
    assert_eq!(store.daily(&Scope::Gateway, Day(0), Day(30_000)).await.unwrap().len(), 1);
    assert_audited(&store).await;
}

#[tokio::test]
async fn the_audit_finds_what_is_wrong() {
    let folder = Folder::new();
    let store = store(&folder).await;
    store.book(&[booking("r1", 5)]).await.unwrap();
    for (damage, repair, sums) in [
        ("UPDATE spend SET cost_nano = 6", "UPDATE spend SET cost_nano = 5", 5),
        (
            "UPDATE daily_spend SET cost_nano = 6 WHERE kind = 'key'",
            "UPDATE daily_spend SET cost_nano = 5 WHERE kind = 'key'",
            2,
        ),
        (
            "UPDATE window_spend SET spend_nano = 6 WHERE kind = 'tag'",
            "UPDATE window_spend SET spend_nano = 5 WHERE kind = 'tag'",
            1,
        ),
        ("DELETE FROM daily_spend WHERE kind = 'user'", "SELECT 1", 2),
    ] {
        sqlx::query(damage).execute(&store.writer).await.unwrap();
        assert_eq!(store.audit().await.unwrap().len(), sums, "{damage}");
        sqlx::query(repair).execute(&store.writer).await.unwrap();
    }
}

#[tokio::test]
async fn changes_are_told_newest_first() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let change = |id: &str, object: &str, at| Change {
        id: id.to_owned(),
        at: Timestamp(at),
        by: "ada".to_owned(),
        by_key: None,
        action: "updated".to_owned(),
        kind: "key".to_owned(),
        object: object.to_owned(),
        before: None,
        after: Some("{}".to_owned()),
    };
    let changes = [change("c1", "k1", 1), change("c2", "k2", 2), change("c3", "k1", 3)];
    for change in &changes {
        store.log_change(change).await.unwrap();
    }
    let [first, second, third] = changes;
    assert_eq!(store.changes(None, 0, 2).await.unwrap(), [third.clone(), second]);
    assert_eq!(store.changes(Some(("key", "k1")), 0, 9).await.unwrap(), [third, first]);
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

#[tokio::test]
async fn a_database_is_opened_again() {
    let folder = Folder::new();
    let first = store(&folder).await;
    first.insert(&key("k1")).await.unwrap();
    first.close().await;
    assert!(
        first.key_by_hash(&KeyHash::of("sk-k1"), Timestamp(0)).await.is_err(),
        "no answer is no `unknown key`"
    );
    let again = store(&folder).await;
    assert!(again.get::<Key>("k1").await.unwrap().is_some());
}

fn bookings() -> impl Strategy<Value = Vec<Booking>> {
    let one = (0..60_u32, 0..3_u32, 0..3_u32, 0..3_u32, 0..200_000_000_i64, 0..1_000_000_i64, any::<bool>());
    let booking = one.prop_map(|(request, key, team, tag, at, cost, failed)| Booking {
        key: KeyId::new(&format!("k{key}")).unwrap(),
        team: (team > 0).then(|| TeamId::new(&format!("t{team}")).unwrap()),
        tags: (0..tag).map(|tag| Tag::new(&format!("tag {tag}")).unwrap()).collect(),
        started_at: Timestamp(at),
        ended_at: Timestamp(at + 10),
        failed,
        ..booking(&format!("r{request}"), cost)
    });
    proptest::collection::vec(booking, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn sums_are_those_of_the_rows(bookings in bookings(), size in 1_usize..100) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = Folder::new();
            let store = store(&folder).await;
            let mut new = 0;
            for batch in bookings.chunks(size) {
                new += store.book(batch).await.unwrap().new;
            }
            let requests: std::collections::BTreeSet<&RequestId> =
                bookings.iter().map(|booking| &booking.request).collect();
            assert_eq!(new, requests.len());
            assert_audited(&store).await;
        });
    }
}

/// Prints rows per second and bytes per row. For `cargo test -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn how_fast_rows_are_booked() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let rows: i64 = 50_000;
    let start = std::time::Instant::now();
    let all: Vec<Booking> = (0..rows)
        .map(|number| Booking {
            key: KeyId::new(&format!("{:064x}", number % 100)).unwrap(),
            team: Some(TeamId::new(&format!("team-{}", number % 10)).unwrap()),
            started_at: Timestamp(86_400_000 * 20_000 + number),
            ..booking(&format!("chatcmpl-{number:032x}"), number)
        })
        .collect();
    for batch in all.chunks(1024) {
        store.book(batch).await.unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    let bytes: i64 =
        sqlx::query_scalar("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
            .fetch_one(&store.readers)
            .await
            .unwrap();
    println!(
        "{:.0} rows/s, {} bytes per row with indexes",
        f64::from(i32::try_from(rows).unwrap()) / seconds,
        bytes / rows
    );
}
