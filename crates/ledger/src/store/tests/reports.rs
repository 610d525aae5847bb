//! Pages of the log, and sums as reports want them.

use super::*;

on_both_databases! {
    the_log_is_read_page_by_page,
    sums_and_pages_of_all_of_a_kind,
    the_log_tells_how_deployments_answered,
    groups_are_sums_of_single_sums,
    rows_are_found_by_tag,
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
