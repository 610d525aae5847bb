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

on_both_databases! {
    a_key_is_found_by_its_hash_and_by_nothing_else,
    a_key_that_is_taken_is_named,
    the_second_of_two_changes_is_told,
    the_old_secret_is_good_while_its_grace_lasts,
    keys_that_rotate_are_found,
    what_is_deleted_is_gone_with_its_hashes_and_can_be_made_again,
    lists_are_filtered_sorted_and_paged,
    other_entities_have_tables_too,
    models_of_run_time_are_records_too,
    secrets_are_sealed_anew_under_another_salt_key,
    nothing_is_booked_twice,
    a_ledger_opens_with_its_latest_windows,
    the_log_is_read_page_by_page,
    sums_outlive_rows,
    the_log_tells_how_deployments_answered,
    the_audit_finds_what_is_wrong,
    changes_are_told_newest_first,
    a_batch_holds_as_a_whole_with_its_entry_in_the_log,
    sums_and_pages_of_all_of_a_kind,
    groups_are_sums_of_single_sums,
    names_are_known_of_what_was_deleted_too,
    a_database_is_opened_again,
    who_claims_first_has_it_until_its_time_is_over,
    sums_are_those_of_the_rows,
    instances_start_at_the_same_time,
    rows_are_found_by_tag,
    old_rows_are_deleted_and_their_sums_stay,
    a_log_that_grew_too_large_loses_its_oldest_days_but_never_today,
    other_instances_hear_what_changed_in_order,
    a_change_is_heard_within_a_second,
    whoever_missed_too_much_is_told_to_look_at_everything,
    instances_book_at_the_same_time,
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

async fn a_key_is_found_by_its_hash_and_by_nothing_else(home: &Home) {
    let store = home.store().await;
    store.insert(&key("k1")).await.unwrap();
    let found = store.key_by_hash(&KeyHash::of("sk-k1"), Timestamp(0)).await.unwrap().unwrap();
    assert_eq!(found, Stored { record: key("k1"), version: 1, spend: NanoUsd::ZERO });
    assert_eq!(store.key_by_hash(&KeyHash::of("sk-k2"), Timestamp(0)).await.unwrap(), None);
    assert_eq!(store.get::<Key>("k1").await.unwrap(), Some(found));
}

async fn a_key_that_is_taken_is_named(home: &Home) {
    let store = home.store().await;
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

async fn the_second_of_two_changes_is_told(home: &Home) {
    let store = home.store().await;
    store.insert(&key("k1")).await.unwrap();
    let mut first = store.get::<Key>("k1").await.unwrap().unwrap();
    let second = first.clone();
    first.record.details.blocked = true;
    store.update(&first).await.unwrap();
    assert!(matches!(store.update(&second).await, Err(StoreError::Changed)));
    assert!(store.get::<Key>("k1").await.unwrap().unwrap().record.details.blocked);
}

async fn the_old_secret_is_good_while_its_grace_lasts(home: &Home) {
    let store = home.store().await;
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

async fn keys_that_rotate_are_found(home: &Home) {
    let store = home.store().await;
    let rotating =
        Key { rotation: Rotation { due_at: Some(Timestamp(5)), ..Rotation::default() }, ..key("k1") };
    let rotated =
        Key { rotation: Rotation { last_at: Some(Timestamp(5)), count: 1, due_at: None }, ..key("k2") };
    let mut talkative = key("k3");
    talkative.details.extra.insert("metadata".to_owned(), serde_json::json!({"rotation_due_at": 5}));
    for key in [&rotating, &rotated, &talkative, &key("k4")] {
        store.insert(key).await.unwrap();
    }
    let found = store.rotating_keys().await.unwrap();
    assert_eq!(found.iter().map(|stored| &stored.record).collect::<Vec<_>>(), [&rotating]);
}

async fn what_is_deleted_is_gone_with_its_hashes_and_can_be_made_again(home: &Home) {
    let store = home.store().await;
    store.insert(&key("k1")).await.unwrap();
    let deleted = store.delete::<Key>(&["k1", "k2"], Some("admin"), Timestamp(5)).await.unwrap();
    assert_eq!(deleted, ["k1"]);
    assert_eq!(store.key_by_hash(&KeyHash::of("sk-k1"), Timestamp(6)).await.unwrap(), None);
    store.insert(&key("k1")).await.unwrap();
}

async fn lists_are_filtered_sorted_and_paged(home: &Home) {
    let store = home.store().await;
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

async fn other_entities_have_tables_too(home: &Home) {
    let store = home.store().await;
    let team: Team = serde_json::from_value(serde_json::json!({ "id": "red" })).unwrap();
    store.insert(&team).await.unwrap();
    assert_eq!(store.get::<Team>("red").await.unwrap().map(|stored| stored.record), Some(team));
}

async fn models_of_run_time_are_records_too(home: &Home) {
    let store = home.store().await;
    let group: AccessGroup =
        serde_json::from_value(serde_json::json!({ "id": "beta", "models": ["gpt-5*"] })).unwrap();
    store.insert(&group).await.unwrap();
    assert_eq!(store.get::<AccessGroup>("beta").await.unwrap().map(|stored| stored.record), Some(group));

    let mut red = team("red");
    red.access_groups = vec![AccessGroupId::new("beta").unwrap()];
    red.details.alias = Some("\"access_groups\":[\"gamma\"]".to_owned());
    for team in [&red, &team("blue")] {
        store.insert(team).await.unwrap();
    }
    for (group, found) in [("beta", 1), ("bet", 0), ("b_ta", 0), ("gamma", 0)] {
        let filter = Filter { access_group: AccessGroupId::new(group).ok(), ..Filter::default() };
        assert_eq!(
            store.list::<Team>(&filter, Sorting::default(), 0, 10).await.unwrap().total,
            found,
            "{group}"
        );
    }

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

async fn secrets_are_sealed_anew_under_another_salt_key(home: &Home) {
    let store = home.store().await;
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

async fn who_claims_first_has_it_until_its_time_is_over(home: &Home) {
    let (one, other) = (home.store().await, home.store().await);
    let (now, until) = (Timestamp(1000), Timestamp(2000));
    assert!(one.claim("a", now, until).await.unwrap());
    assert!(!other.claim("a", now, until).await.unwrap());
    assert!(!one.claim("a", Timestamp(1999), until).await.unwrap(), "not even the same one, again");
    assert!(other.claim("b", now, until).await.unwrap(), "another thing");
    assert!(other.claim("a", until, Timestamp(3000)).await.unwrap(), "its time is over");
    other.give_up_claim("a").await.unwrap();
    assert!(one.claim("a", Timestamp(2500), Timestamp(9000)).await.unwrap(), "it was given up");
    one.retain(&Retention::default(), Timestamp(8999)).await.unwrap();
    assert!(
        !other.claim("a", Timestamp(8999), Timestamp(9500)).await.unwrap(),
        "what is old is forgotten, this is not"
    );
}

async fn nothing_is_booked_twice(home: &Home) {
    let store = home.store().await;
    let batch = [booking("r1", 5), booking("r2", 7), booking("r1", 5)];
    assert_eq!(store.book(&batch).await.unwrap(), Booked { new: 2, known: 1 });
    assert_eq!(store.book(&batch).await.unwrap(), Booked { new: 0, known: 3 });
    let day = Day(20_000);
    let team = Scope::Team(TeamId::new("red").unwrap());
    let sums = store.daily(&team, day, day).await.unwrap();
    assert_eq!(sums.iter().map(|sum| (sum.requests, sum.cost)).collect::<Vec<_>>(), [(2, NanoUsd(12))]);
    assert_audited(&store).await;
}

async fn a_ledger_opens_with_its_latest_windows(home: &Home) {
    let store = home.store().await;
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

async fn the_log_is_read_page_by_page(home: &Home) {
    let store = home.store().await;
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

async fn sums_outlive_rows(home: &Home) {
    let store = home.store().await;
    store.book(&[booking("r1", 5), booking("r2", 7)]).await.unwrap();
    assert_eq!(store.forget_rows(Day(20_001), 100).await.unwrap(), 2);
    assert_eq!(store.spend_log(&LogFilter::default(), 10).await.unwrap(), []);
    assert_eq!(store.daily(&Scope::Gateway, Day(0), Day(30_000)).await.unwrap().len(), 1);
    assert_audited(&store).await;
}

async fn execute(store: &Store, sql: &str) {
    let mut transaction = store.transaction().await.unwrap();
    transaction.script(sql).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn the_audit_finds_what_is_wrong(home: &Home) {
    let store = home.store().await;
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
        execute(&store, damage).await;
        assert_eq!(store.audit().await.unwrap().len(), sums, "{damage}");
        execute(&store, repair).await;
    }
}

async fn changes_are_told_newest_first(home: &Home) {
    let store = home.store().await;
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

fn change(id: &str, action: &str) -> Change {
    Change {
        id: id.to_owned(),
        at: Timestamp(7),
        by: "ada".to_owned(),
        by_key: None,
        action: action.to_owned(),
        kind: "key".to_owned(),
        object: "k1".to_owned(),
        before: None,
        after: None,
    }
}

async fn a_batch_holds_as_a_whole_with_its_entry_in_the_log(home: &Home) {
    let store = home.store().await;
    let mut batch = store.begin().await.unwrap();
    batch.insert(&key("k1")).await.unwrap();
    batch.log(&change("c1", "created")).await.unwrap();
    drop(batch);
    assert_eq!(store.get::<Key>("k1").await.unwrap(), None, "dropped uncommitted");

    let mut batch = store.begin().await.unwrap();
    batch.insert(&key("k1")).await.unwrap();
    batch.insert(&key("k2")).await.unwrap();
    batch.log(&change("c1", "created")).await.unwrap();
    batch.commit().await.unwrap();
    let mut stored = store.get::<Key>("k1").await.unwrap().unwrap();
    stored.record.hash = KeyHash::of("sk-new");
    let mut batch = store.begin().await.unwrap();
    batch.regenerate_key(&stored, Timestamp(1000)).await.unwrap();
    assert!(batch.delete::<Key>("k2", Some("ada"), Timestamp(8)).await.unwrap());
    assert!(!batch.delete::<Key>("k3", None, Timestamp(8)).await.unwrap());
    batch.log(&change("c2", "rotated")).await.unwrap();
    batch.commit().await.unwrap();
    let found = |hash: &'static str, now| {
        let store = store.clone();
        async move { store.key_by_hash(&KeyHash::of(hash), Timestamp(now)).await.unwrap().is_some() }
    };
    assert!(found("sk-new", 2000).await && found("sk-k1", 999).await);
    assert!(!found("sk-k1", 1001).await && !found("sk-k2", 0).await);

    let mut batch = store.begin().await.unwrap();
    assert!(matches!(batch.update(&stored).await, Err(StoreError::Changed)), "it was regenerated since");
    drop(batch);
    let all = store.audit_log(&ChangeFilter::default(), false, 0, 10).await.unwrap();
    assert_eq!(all.items.iter().map(|change| change.id.as_str()).collect::<Vec<_>>(), ["c1", "c2"]);
    let rotated = ChangeFilter {
        action: Some("rotated".to_owned()),
        by: Some("ada".to_owned()),
        ..ChangeFilter::default()
    };
    assert_eq!(store.audit_log(&rotated, true, 0, 10).await.unwrap().total, 1);
    let later = ChangeFilter { from: Some(Timestamp(8)), ..ChangeFilter::default() };
    assert_eq!(store.audit_log(&later, true, 0, 10).await.unwrap().total, 0);
}

async fn the_log_tells_how_deployments_answered(home: &Home) {
    let store = home.store().await;
    let of = |number: u8, detail: Option<&str>, cache_hit: bool| Booking {
        deployment: Some("east".into()),
        failed: detail.is_some_and(|detail| detail.contains("status")),
        detail: detail.map(Into::into),
        cache_hit,
        ..booking(&format!("r{number}"), 10)
    };
    let rows = [
        of(1, None, false),
        of(2, Some(r#"{"first_token_ms":250}"#), true),
        of(3, Some(r#"{"status":429}"#), false),
        booking("r4", 10),
    ];
    store.book(&rows).await.unwrap();
    let answers = store.answers(&LogFilter::default(), 1000).await.unwrap();
    let told: Vec<_> =
        answers.iter().map(|own| (own.status, own.requests, own.output_tokens, own.slow)).collect();
    assert_eq!(told, [(200, 2, 14, 2), (429, 1, 7, 1)], "without the one that no deployment answered");
    let first = &answers[0];
    assert_eq!((first.day, &*first.group, &*first.deployment), (Day(20_000), "best", "east"));
    assert_eq!((first.duration_ms, first.streamed, first.first_token_ms), (3000, 1, 250));
    assert_eq!(store.answers(&LogFilter::default(), 2000).await.unwrap()[0].slow, 0);

    let used = store.cache_use(&LogFilter::default()).await.unwrap();
    let [used] = used.as_slice() else { panic!("{used:?}") };
    assert_eq!((used.requests, used.hits, used.cached_output, used.generated_output), (4, 1, 7, 21));
    let later = LogFilter { from: Some(Day(20_001).start()), ..LogFilter::default() };
    assert!(store.cache_use(&later).await.unwrap().is_empty());
    assert!(store.answers(&later, 0).await.unwrap().is_empty());
}

async fn sums_and_pages_of_all_of_a_kind(home: &Home) {
    let store = home.store().await;
    let bookings: Vec<Booking> = (0..5).map(|number| booking(&format!("r{number}"), 10)).collect();
    store.book(&bookings).await.unwrap();
    let day = Day(20_000);
    let sums = store.sums(&SumQuery::of_kind("team", day, day).by(By::ALL)).await.unwrap();
    assert_eq!(sums.len(), 1);
    assert_eq!((sums[0].0.as_str(), sums[0].1.requests, sums[0].1.cost), ("red", 5, NanoUsd(50)));
    for by in [By::ALL, By::NOTHING] {
        let of_customers = SumQuery::of_kind("customer", day, day).by(by);
        assert!(store.sums(&of_customers).await.unwrap().is_empty());
    }
    let filter = LogFilter { key: Some(KeyId::new("k1").unwrap()), ..LogFilter::default() };
    let page = store.spend_log_page(&filter, 3, 10).await.unwrap();
    assert_eq!(page.iter().map(|row| row.request.as_str()).collect::<Vec<_>>(), ["r1", "r0"]);
    assert_eq!(store.spend_log_count(&filter, 100).await.unwrap(), 5);
    assert_eq!(store.spend_log_count(&filter, 3).await.unwrap(), 3, "no more are counted than asked for");
}

async fn instances_start_at_the_same_time(home: &Home) {
    let opened = async || home.store().await.get::<Key>("k1").await.unwrap();
    let (one, two, three) = tokio::join!(opened(), opened(), opened());
    assert_eq!((one, two, three), (None, None, None));
}

async fn rows_are_found_by_tag(home: &Home) {
    let store = home.store().await;
    let tagged = |request: &str, tags: &[&str]| Booking {
        tags: tags.iter().map(|tag| Tag::new(tag).unwrap()).collect(),
        ..booking(request, 1)
    };
    store.book(&[tagged("r1", &["a"]), tagged("r2", &["a b", "\"c\""]), tagged("r3", &[])]).await.unwrap();
    let found = async |tag: &str| {
        let filter = LogFilter { tag: Some(Tag::new(tag).unwrap()), ..LogFilter::default() };
        let rows = store.spend_log(&filter, 10).await.unwrap();
        rows.iter().map(|row| row.request.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found("a").await, "r1");
    assert_eq!(found("\"c\"").await, "r2");
    assert_eq!(found("b").await, "");
    let of_tags = SumQuery::of_kind("tag", Day(20_000), Day(20_000)).by(By::ID);
    let sums = store.sums(&of_tags).await.unwrap();
    assert_eq!(sums.into_iter().map(|(tag, _)| tag).collect::<Vec<_>>(), ["\"c\"", "a", "a b"]);
}

const DAY_MILLIS: i64 = 86_400_000;

/// One row on each of these days.
async fn book_days(store: &Store, days: std::ops::Range<i64>) {
    let on = |day: i64| Booking { started_at: Day(day).start(), ..booking(&format!("on-{day}"), 1) };
    store.book(&days.map(on).collect::<Vec<_>>()).await.unwrap();
}

async fn days_of_rows(store: &Store) -> Vec<i64> {
    let rows = store.spend_log(&LogFilter::default(), 1000).await.unwrap();
    rows.iter().map(|row| row.started_at.day().0).rev().collect()
}

async fn old_rows_are_deleted_and_their_sums_stay(home: &Home) {
    let store = home.store().await;
    book_days(&store, 20_000..20_010).await;
    let retention = Retention { rows_for: Duration::from_secs(3 * 86_400), ..Retention::default() };
    let now = Timestamp(DAY_MILLIS * 20_009 + 1000);
    let done = store.retain(&retention, now).await.unwrap();
    assert_eq!((done.rows, done.more), (6, false));
    assert_eq!(days_of_rows(&store).await, [20_006, 20_007, 20_008, 20_009]);
    assert_eq!(store.daily(&Scope::Gateway, Day(0), Day(30_000)).await.unwrap().len(), 10);
    assert_audited(&store).await;
    // A booking that was long on its way still finds its place.
    book_days(&store, 20_001..20_002).await;
    assert_audited(&store).await;
    assert_eq!(store.retain(&retention, now).await.unwrap().rows, 1);
    assert_eq!(store.retain(&retention, now).await.unwrap(), Retained::default());
}

async fn a_log_that_grew_too_large_loses_its_oldest_days_but_never_today(home: &Home) {
    let store = home.store().await;
    book_days(&store, 20_000..20_005).await;
    let retention = Retention { rows_bytes: 0, rows_for: Duration::MAX, ..Retention::default() };
    store.retain(&retention, Timestamp(DAY_MILLIS * 20_004)).await.unwrap();
    assert_eq!(days_of_rows(&store).await, [20_004]);
    let retention = Retention { rows_bytes: u64::MAX, ..retention };
    book_days(&store, 20_000..20_001).await;
    assert_eq!(store.retain(&retention, Timestamp(DAY_MILLIS * 20_004)).await.unwrap().rows, 0);
    assert_audited(&store).await;
}

async fn other_instances_hear_what_changed_in_order(home: &Home) {
    let here = home.store().await;
    here.insert(&key("before")).await.unwrap();
    let there = home.store().await;
    let mut feed = there.changes_feed().await.unwrap();

    here.insert(&key("k1")).await.unwrap();
    let mut stored = here.get::<Key>("k1").await.unwrap().unwrap();
    stored.record.details.blocked = true;
    here.update(&stored).await.unwrap();
    let team = Account::of(Scope::Team(TeamId::new("red").unwrap()));
    here.set_spend(&team, None, Timestamp(0), NanoUsd::ZERO).await.unwrap();
    here.delete::<Key>(&["before", "k1"], None, Timestamp(5)).await.unwrap();
    here.announce("config", "router_settings").await.unwrap();

    let changed = |kind: &str, id: &str| Event::Changed { kind: kind.to_owned(), id: id.to_owned() };
    for expected in [
        changed("key", "k1"),
        changed("key", "k1"),
        Event::SpendSet { kind: "team".to_owned(), id: "red".to_owned() },
        changed("key", "before"),
        changed("key", "k1"),
        changed("config", "router_settings"),
    ] {
        assert_eq!(feed.next().await, expected);
    }
}

/// Real time is the subject.
async fn a_change_is_heard_within_a_second(home: &Home) {
    let (here, there) = (home.store().await, home.store().await);
    let mut feed = there.changes_feed().await.unwrap();
    for round in 0..3 {
        let start = std::time::Instant::now();
        here.announce("key", &round.to_string()).await.unwrap();
        assert_eq!(feed.next().await, Event::Changed { kind: "key".to_owned(), id: round.to_string() });
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
}

async fn whoever_missed_too_much_is_told_to_look_at_everything(home: &Home) {
    let store = home.store().await;
    let mut feed = store.changes_feed().await.unwrap();
    for sql in ["UPDATE facts SET value = 99 WHERE name = 'feed'", "DELETE FROM feed"] {
        execute(&store, sql).await;
    }
    assert_eq!(feed.next().await, Event::Resync);
    // An older copy of the database was put in its place.
    execute(&store, "UPDATE facts SET value = 5 WHERE name = 'feed'").await;
    assert_eq!(feed.next().await, Event::Resync);
    store.announce("key", "k1").await.unwrap();
    assert_eq!(feed.next().await, Event::Changed { kind: "key".to_owned(), id: "k1".to_owned() });
}

/// Budget windows are named in the same order by all, so that none waits for another in a circle.
async fn instances_book_at_the_same_time(home: &Home) {
    let stores = [home.store().await, home.store().await, home.store().await];
    let batch = |instance: usize, round: i64| -> Vec<Booking> {
        let one = |at: i64| Booking {
            key: KeyId::new(&format!("k{}", (at * 7 + round) % 5)).unwrap(),
            ..booking(&format!("r{instance}-{round}-{at}"), at)
        };
        (0..30).map(one).collect()
    };
    let book = async |instance: usize| {
        for round in 0..10 {
            stores[instance].book(&batch(instance, round)).await.unwrap();
        }
    };
    tokio::join!(book(0), book(1), book(2));
    let all = stores[0].daily(&Scope::Gateway, Day(0), Day(30_000)).await.unwrap();
    assert_eq!(all.iter().map(|sum| sum.requests).sum::<i64>(), 900);
    assert_audited(&stores[0]).await;
}

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

/// Some batches of bookings, over three days, with repetitions.
async fn sums_are_those_of_the_rows(home: &Home) {
    let store = home.store().await;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut known = BTreeSet::new();
    for _ in 0..12 {
        let bookings = bookings().new_tree(&mut runner).unwrap().current();
        let size = (1_usize..100).new_tree(&mut runner).unwrap().current();
        let before = known.len();
        known.extend(bookings.iter().map(|booking| booking.request.clone()));
        let mut new = 0;
        for batch in bookings.chunks(size) {
            new += store.book(batch).await.unwrap().new;
        }
        assert_eq!(new, known.len() - before);
        assert_audited(&store).await;
    }
}

/// What the database sums is what single sums sum up to, by whatever, of whomever.
async fn groups_are_sums_of_single_sums(home: &Home) {
    let store = home.store().await;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..3 {
        store.book(&bookings().new_tree(&mut runner).unwrap().current()).await.unwrap();
    }
    let some = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let lists =
        [None, Some(some(&["k1", "t1", "tag 0"])), Some(some(&["k0", "k2", "t2", "tag 1"])), Some(some(&[]))];
    let list = || proptest::sample::select(lists.to_vec());
    let by = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let kinds = proptest::sample::select(vec!["gateway", "team", "key", "tag"]);
    let cases = (kinds, 0..3_i64, 0..3_i64, list(), list(), list(), by, proptest::option::of(0..4_i64));
    for _ in 0..100 {
        let (kind, from, days, ids, keys, not_ids, by, dearest) =
            cases.new_tree(&mut runner).unwrap().current();
        let by = By { day: by.0, id: by.1, key: by.2, model: by.3, provider: by.4 };
        let all = SumQuery::of_kind(kind, Day(from), Day(from + days)).by(By::ALL);
        let either = not_ids.clone().map(|ids| (ids, some(&["k2"])));
        let not_ids = not_ids.unwrap_or_default();
        let query = SumQuery { ids, keys, not_ids, either, by, dearest, ..all.clone() };
        let mut expected: BTreeMap<_, DailySum> = BTreeMap::new();
        for (id, single) in store.sums(&all).await.unwrap() {
            if query.ids.as_ref().is_some_and(|ids| !ids.contains(&id))
                || query.keys.as_ref().is_some_and(|keys| !keys.contains(&single.key))
                || query.not_ids.contains(&id)
                || query
                    .either
                    .as_ref()
                    .is_some_and(|(ids, keys)| !ids.contains(&id) && !keys.contains(&single.key))
            {
                continue;
            }
            let kept = |wanted: bool, name: &String| if wanted { name.clone() } else { String::new() };
            let day = if by.day { single.day } else { Day(0) };
            let (id, key) = (kept(by.id, &id), kept(by.key, &single.key));
            let (model, provider) = (kept(by.model, &single.model), kept(by.provider, &single.provider));
            let group = (day, id, key.clone(), model.clone(), provider.clone());
            match expected.entry(group) {
                Entry::Vacant(entry) => _ = entry.insert(DailySum { day, key, model, provider, ..single }),
                Entry::Occupied(entry) => {
                    let sum = entry.into_mut();
                    sum.requests += single.requests;
                    sum.failed += single.failed;
                    sum.input_tokens += single.input_tokens;
                    sum.output_tokens += single.output_tokens;
                    sum.cache_read_tokens += single.cache_read_tokens;
                    sum.cache_write_tokens += single.cache_write_tokens;
                    sum.cost = sum.cost.saturating_add(single.cost);
                    sum.duration_ms += single.duration_ms;
                }
            }
        }
        let mut expected: Vec<_> = expected.into_iter().map(|((_, id, ..), sum)| (id, sum)).collect();
        if let Some(most) = dearest {
            expected.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.cost));
            expected.truncate(usize::try_from(most).unwrap());
        }
        assert_eq!(store.sums(&query).await.unwrap(), expected, "{query:?}");
    }
}

async fn names_are_known_of_what_was_deleted_too(home: &Home) {
    let store = home.store().await;
    for id in ["k1", "k2", "k3"] {
        store.insert(&key(id)).await.unwrap();
    }
    store.delete::<Key>(&["k1"], None, Timestamp(5)).await.unwrap();
    let ids = ["k1", "k2", "nobody"].map(str::to_owned).into();
    let known = store.known::<Key>(&ids).await.unwrap();
    assert_eq!(known.keys().collect::<Vec<_>>(), ["k1", "k2"]);
    assert!(store.known::<Key>(&BTreeSet::new()).await.unwrap().is_empty());
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
    for batch in all.chunks(1024) {
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
