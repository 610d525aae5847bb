//! Sums over all keys are those of the single sums, whoever books.

use super::*;

on_both_databases! {
    another_versions_bookings_are_in_the_totals,
    what_was_booked_before_there_were_totals_is_added_up_by_and_by,
    the_audit_finds_wrong_totals,
}

/// What a team spent: summed from the totals, and from the sums of each key.
async fn spent(store: &Store, days: std::ops::Range<i64>) -> [Vec<(Day, i64, NanoUsd)>; 2] {
    let team = Scope::Team(TeamId::new("red").unwrap());
    let query = SumQuery::of(&team, Day(days.start), Day(days.end - 1));
    let read = async |query: SumQuery| {
        let sums = store.sums(&query).await.unwrap();
        sums.into_iter().map(|(_, sum)| (sum.day, sum.requests, sum.cost)).collect()
    };
    let every_key = Some(BTreeSet::from(["k1".to_owned(), "k2".to_owned()]));
    [read(query.clone().by(By::DAY)).await, read(SumQuery { keys: every_key, ..query }.by(By::DAY)).await]
}

async fn another_versions_bookings_are_in_the_totals(home: &Home) {
    let store = home.store().await;
    store.book(&[booking("r1", 5)]).await.unwrap();
    // As a version books that knows nothing of totals.
    for key in ["k1", "k2"] {
        execute(
            &store,
            &format!(
                "INSERT INTO daily_spend (kind, id, day, key_id, model, provider, requests, failed, input_tokens,
                     output_tokens, cache_read_tokens, cache_write_tokens, cost_nano, duration_ms)
                 VALUES ('team', 'red', 20000, '{key}', 'gpt-4o', 'openai', 2, 0, 0, 0, 0, 0, 7, 0),
                     ('key', '{key}', 20000, '{key}', 'gpt-4o', 'openai', 2, 0, 0, 0, 0, 0, 7, 0)
                 ON CONFLICT (kind, id, day, key_id, model, provider) DO UPDATE SET
                     requests = daily_spend.requests + excluded.requests,
                     cost_nano = daily_spend.cost_nano + excluded.cost_nano"
            ),
        )
        .await;
    }
    store.book(&[booking("r2", 5)]).await.unwrap();
    let [totals, singles] = spent(&store, 20_000..20_001).await;
    assert_eq!(totals, [(Day(20_000), 6, NanoUsd(24))]);
    assert_eq!(singles, totals);
    let wrong = store.audit().await.unwrap();
    assert!(wrong.iter().all(|found| !found.what.starts_with("total of")), "{wrong:#?}");
}

/// Makes the database one of the version before totals.
async fn forget_totals(home: &Home, store: &Store) {
    let undo = match home {
        Home::Sqlite(_) => "DROP TRIGGER daily_spend_inserted; DROP TRIGGER daily_spend_updated;",
        Home::Postgres(_) => {
            "DROP FUNCTION queue_for_daily_sums CASCADE; DROP FUNCTION add_inserted_to_daily_totals CASCADE;
             DROP FUNCTION add_updated_to_daily_totals CASCADE;"
        }
    };
    let more = "DROP TABLE daily_totals; DELETE FROM facts WHERE name = 'totals_from';
         DELETE FROM migrations WHERE number >= 6";
    execute(store, &format!("{undo} {more}")).await;
}

async fn what_was_booked_before_there_were_totals_is_added_up_by_and_by(home: &Home) {
    let before = home.store().await;
    before.book(&[booking("r0", 1)]).await.unwrap();
    retention::book_days(&before, 20_001..20_004).await;
    forget_totals(home, &before).await;
    before.close().await;

    let store = home.store().await;
    let late = Booking { key: KeyId::new("k2").unwrap(), ..booking("r1", 5) };
    store.book(&[late, Booking { started_at: Day(20_006).start(), ..booking("r2", 5) }]).await.unwrap();
    let [sums, singles] = spent(&store, 20_000..20_009).await;
    assert_eq!(sums.first(), Some(&(Day(20_000), 2, NanoUsd(6))));
    assert_eq!((sums.len(), &sums), (5, &singles));
    assert!(!store.has_totals_from(Day(20_003)) && store.has_totals_from(Day(20_004)));

    assert!(!store.fill_totals().await.unwrap(), "nothing is left to add up");
    assert!(store.has_totals_from(Day(0)));
    assert_eq!(spent(&store, 20_000..20_009).await, [sums, singles]);
    assert_audited(&store).await;
}

async fn the_audit_finds_wrong_totals(home: &Home) {
    let store = home.store().await;
    store.book(&[booking("r1", 5), booking("r2", 5)]).await.unwrap();
    for damage in [
        "UPDATE daily_totals SET failed = 1 WHERE kind = 'tag'",
        "DELETE FROM daily_totals WHERE kind = 'user'",
    ] {
        assert_audited(&store).await;
        execute(&store, damage).await;
        let found = store.audit().await.unwrap();
        assert!(matches!(&found[..], [one] if one.what.starts_with("total of")), "{damage}: {found:#?}");
        execute(&store, "UPDATE facts SET value = 20001 WHERE name = 'totals_from'").await;
        assert!(!store.fill_totals().await.unwrap());
    }
}
