//! Keys, teams and all else that the management API keeps.

use super::*;

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
    changes_are_told_newest_first,
    a_batch_holds_as_a_whole_with_its_entry_in_the_log,
    names_are_known_of_what_was_deleted_too,
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
