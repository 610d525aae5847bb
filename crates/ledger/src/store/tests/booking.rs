//! Rows, sums and windows, each request once.

use super::*;

on_both_databases! {
    nothing_is_booked_twice,
    a_ledger_opens_with_its_latest_windows,
    the_audit_finds_what_is_wrong,
    sums_are_those_of_the_rows,
    instances_book_at_the_same_time,
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
        ("DELETE FROM daily_spend WHERE kind = 'user'", "SELECT 1", 3),
    ] {
        execute(&store, damage).await;
        assert_eq!(store.audit().await.unwrap().len(), sums, "{damage}");
        execute(&store, repair).await;
    }
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
