use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;
use crate::Secret;
use crate::sign_in::{Accounts, Fetching};
use crate::transport::TransportOptions;

const HOUR: Duration = Duration::from_secs(3600);

fn grant(token: &str, lifetime: Duration) -> Result<Grant, SignInError> {
    Ok(Grant { token: Secret::new(token), lifetime })
}

fn refused() -> Result<Grant, SignInError> {
    Err(SignInError::lasting("no"))
}

/// What a request at `now` finds.
fn at(held: &Held, now: Instant) -> String {
    let text = |header: HeaderValue| header.to_str().unwrap().to_owned();
    match held.look(now) {
        Found::Good(header) => text(header),
        Found::Due(header) => format!("{}, due", text(header)),
        Found::Refused(error) => format!("refused: {error}"),
        Found::Nothing => "nothing".to_owned(),
    }
}

#[test]
fn a_token_is_replaced_ahead_of_its_end() {
    let began = Instant::now();
    let mut held = Held::default();
    assert_eq!(at(&held, began), "nothing");
    _ = held.take(began, began, grant("a", HOUR));
    assert_eq!(at(&held, began), "Bearer a");
    assert_eq!(at(&held, began + HOUR - AHEAD - Duration::from_secs(1)), "Bearer a");
    assert_eq!(at(&held, began + HOUR - AHEAD), "Bearer a, due");
    assert_eq!(at(&held, began + HOUR - LAST), "nothing");
    _ = held.take(began + HOUR - AHEAD, began + HOUR - AHEAD, grant("b", HOUR));
    assert_eq!(at(&held, began + HOUR), "Bearer b");
}

#[test]
fn a_short_token_is_used_for_half_of_its_life() {
    let began = Instant::now();
    let mut held = Held::default();
    let minute = Duration::from_secs(60);
    _ = held.take(began, began, grant("a", minute));
    assert_eq!(at(&held, began + minute / 2 - Duration::from_secs(1)), "Bearer a");
    assert_eq!(at(&held, began + minute / 2), "Bearer a, due");
}

#[test]
fn a_failure_ahead_of_time_leaves_the_old_token_and_is_not_repeated_at_once() {
    let began = Instant::now();
    let mut held = Held::default();
    _ = held.take(began, began, grant("a", HOUR));
    let due = began + HOUR - AHEAD;
    _ = held.take(due, due, refused());
    assert_eq!(at(&held, due), "Bearer a");
    assert_eq!(at(&held, due + PAUSE), "Bearer a, due");
}

#[test]
fn a_refusal_is_the_answer_for_a_moment() {
    let began = Instant::now();
    let mut held = Held::default();
    _ = held.take(began, began, refused());
    assert_eq!(at(&held, began), "refused: no");
    assert_eq!(at(&held, began + SULK), "nothing");
}

#[test]
fn a_token_that_no_header_can_hold_is_an_error() {
    let began = Instant::now();
    let mut held = Held::default();
    _ = held.take(began, began, grant("a\nx-evil: 1", HOUR));
    assert_eq!(at(&held, began), "refused: the access token has characters that no header can hold");
}

/// Gives numbered tokens, each when it is told to.
#[derive(Debug)]
struct Numbers {
    asked: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
    name: &'static str,
}

impl TokenSource for Numbers {
    fn who(&self) -> String {
        format!("`{}`", self.name)
    }

    fn identity(&self) -> Secret {
        Secret::new(self.name)
    }

    fn token<'s>(&'s self, _: &'s TokenClient) -> Fetching<'s> {
        Box::pin(async {
            let number = self.asked.fetch_add(1, Ordering::SeqCst);
            self.permits.acquire().await.unwrap().forget();
            if self.name == "nobody" { refused() } else { grant(&number.to_string(), HOUR) }
        })
    }
}

struct Bench {
    account: Arc<Account>,
    accounts: Accounts,
    asked: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
}

fn bench(name: &'static str) -> Bench {
    let (asked, permits) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let accounts = Accounts::new(TransportOptions::default());
    let account = accounts.of(Box::new(Numbers { asked: asked.clone(), permits: permits.clone(), name }));
    Bench { account, accounts, asked, permits }
}

#[tokio::test]
async fn many_requests_fetch_once() {
    let Bench { account, asked, permits, .. } = bench("a");
    let ask = || {
        let account = account.clone();
        tokio::spawn(async move { account.authorization().await })
    };
    let requests: Vec<_> = (0..20).map(|_| ask()).collect();
    permits.add_permits(20);
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap(), "Bearer 0");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn many_requests_are_refused_once() {
    let Bench { account, asked, permits, .. } = bench("nobody");
    let ask = || {
        let account = account.clone();
        tokio::spawn(async move { account.authorization().await })
    };
    let requests: Vec<_> = (0..20).map(|_| ask()).collect();
    permits.add_permits(20);
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap_err().to_string(), "`nobody` got no access token: no");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_request_goes_out_with_the_old_token_while_the_new_one_is_fetched() {
    let Bench { account, asked, permits, .. } = bench("a");
    permits.add_permits(1);
    assert_eq!(account.authorization().await.unwrap(), "Bearer 0");
    let make_due = || account.held().token.as_mut().unwrap().due = Instant::now();
    make_due();
    for _ in 0..3 {
        assert_eq!(account.authorization().await.unwrap(), "Bearer 0");
    }
    while asked.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    permits.add_permits(1);
    let fetching = account.held().fetching.clone();
    if let Some(mut fetch) = fetching {
        fetch.wait_for(Option::is_some).await.unwrap();
    }
    assert_eq!(account.authorization().await.unwrap(), "Bearer 1");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn who_goes_away_does_not_stop_the_fetching() {
    let Bench { account, asked, permits, .. } = bench("a");
    let gone = tokio::spawn({
        let account = account.clone();
        async move { account.authorization().await }
    });
    while asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    permits.add_permits(1);
    assert_eq!(account.authorization().await.unwrap(), "Bearer 0");
}

#[tokio::test]
async fn a_token_that_the_provider_refuses_is_not_used_again() {
    let Bench { account, permits, .. } = bench("a");
    permits.add_permits(2);
    let first = account.authorization().await.unwrap();
    account.reject(&first);
    let second = account.authorization().await.unwrap();
    assert_eq!(second, "Bearer 1");
    // A late refusal of the first one says nothing about the second.
    account.reject(&first);
    assert_eq!(account.authorization().await.unwrap(), "Bearer 1");
}

/// Token servers give out the same token until its end comes near.
#[tokio::test]
async fn a_crowd_gets_through_while_the_provider_refuses_the_only_token_there_is() {
    #[derive(Debug)]
    struct Same;
    impl TokenSource for Same {
        fn who(&self) -> String {
            "same".to_owned()
        }
        fn identity(&self) -> Secret {
            Secret::new("same")
        }
        fn token<'s>(&'s self, _: &'s TokenClient) -> Fetching<'s> {
            Box::pin(async {
                tokio::task::yield_now().await;
                grant("same", HOUR)
            })
        }
    }
    let account = bench("a").accounts.of(Box::new(Same));
    let request = || {
        let account = account.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                let header = account.authorization().await.unwrap();
                tokio::task::yield_now().await;
                account.reject(&header);
            }
        })
    };
    for request in (0..20).map(|_| request()).collect::<Vec<_>>() {
        request.await.unwrap();
    }
}

#[tokio::test]
async fn deployments_that_sign_in_alike_share_a_token_also_after_a_reload() {
    let before = bench("a");
    before.permits.add_permits(1);
    assert_eq!(before.account.authorization().await.unwrap(), "Bearer 0");
    let source = |name| Numbers { asked: before.asked.clone(), permits: before.permits.clone(), name };
    assert!(Arc::ptr_eq(&before.account, &before.accounts.of(Box::new(source("a")))));
    let after = bench("a");
    after.accounts.continue_from(&before.accounts);
    assert_eq!(after.account.authorization().await.unwrap(), "Bearer 0");
    let other = bench("b");
    other.accounts.continue_from(&before.accounts);
    other.permits.add_permits(1);
    assert_eq!(other.account.authorization().await.unwrap(), "Bearer 0");
    assert_eq!(other.asked.load(Ordering::SeqCst), 1);
}

#[test]
fn an_account_shows_no_secret() {
    let shown = format!("{:?}", bench("a").account);
    assert_eq!(shown, "Account { who: \"`a`\", .. }");
}
