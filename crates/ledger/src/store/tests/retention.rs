//! What is old goes, and its sums stay.

use super::*;

on_both_databases! {
    sums_outlive_rows,
    old_rows_are_deleted_and_their_sums_stay,
    a_log_that_grew_too_large_loses_its_oldest_days_but_never_today,
}

async fn sums_outlive_rows(home: &Home) {
    let store = home.store().await;
    store.book(&[booking("r1", 5), booking("r2", 7)]).await.unwrap();
    assert_eq!(store.forget_rows(Day(20_001), 100).await.unwrap(), 2);
    assert_eq!(store.spend_log(&LogFilter::default(), 10).await.unwrap(), []);
    assert_eq!(store.daily(&Scope::Gateway, Day(0), Day(30_000)).await.unwrap().len(), 1);
    assert_audited(&store).await;
}

/// One row on each of these days.
pub(super) async fn book_days(store: &Store, days: std::ops::Range<i64>) {
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
