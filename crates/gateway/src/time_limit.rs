//! A time limit on what is mostly there already.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::error::Elapsed;

/// [`tokio::time::timeout`] that makes its timer, and looks at the clock, only when there is something to wait for. A
/// request's body and a short answer are usually read together with their heads.
///
/// # Errors
/// When the time is up.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let at_once = poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    });
    match at_once.await {
        Some(output) => Ok(output),
        None => tokio::time::timeout(limit, future).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_is_given_up() {
        assert_eq!(within(Duration::ZERO, async { 7 }).await, Ok(7));
        let slow = tokio::time::sleep(Duration::from_secs(2));
        assert!(within(Duration::from_secs(3), slow).await.is_ok());
        assert!(within(Duration::from_secs(1), std::future::pending::<()>()).await.is_err());
    }
}
