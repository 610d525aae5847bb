//! Several instances with one database.

use super::*;

on_both_databases! {
    who_claims_first_has_it_until_its_time_is_over,
    instances_start_at_the_same_time,
    other_instances_hear_what_changed_in_order,
    a_change_is_heard_within_a_second,
    whoever_missed_too_much_is_told_to_look_at_everything,
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

async fn instances_start_at_the_same_time(home: &Home) {
    let opened = async || home.store().await.get::<Key>("k1").await.unwrap();
    let (one, two, three) = tokio::join!(opened(), opened(), opened());
    assert_eq!((one, two, three), (None, None, None));
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
