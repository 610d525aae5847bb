//! How a call of a provider ended.

use std::time::Duration;

use dialects::ErrorClass;

/// How a call ended. A call of which nothing is known (the client left) has no outcome: drop its
/// [`Attempt`](crate::Attempt).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider answered; of a stream: to its end.
    Success {
        /// Tokens of input and output together; `None` where nobody counted, and the estimate stays.
        tokens: Option<u64>,
        /// Tokens of the output.
        output_tokens: Option<u64>,
    },
    /// It did not.
    Failure(Failure),
}

impl Outcome {
    /// An answer whose tokens nobody counted.
    pub const SUCCESS: Self = Self::Success { tokens: None, output_tokens: None };
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure it is.
    pub class: ErrorClass,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
    /// It says something about the deployment. Not so where the caller's own tiny timeout ran out, or where the failure
    /// was made up for a test.
    pub counts: bool,
}

impl Failure {
    /// A failure that counts, without a wish to wait.
    #[must_use]
    pub const fn new(class: ErrorClass) -> Self {
        Self { class, retry_after: None, counts: true }
    }

    /// The same with the provider's wish.
    #[must_use]
    pub const fn with_retry_after(self, wait: Option<Duration>) -> Self {
        Self { retry_after: wait, ..self }
    }
}
