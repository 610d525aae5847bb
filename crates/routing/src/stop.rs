//! Why a journey ends without an answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why no (further) call is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A call was answered; there is nothing more to do.
    Answered,
    /// The calls failed. The caller is told the first failure.
    Failed(GivenUp),
    /// All deployments that would do are cooling down: 429.
    NoneAvailable {
        /// The name that was asked for.
        model: Arc<str>,
        /// When one of them will be tried again.
        retry_after: Duration,
        /// `enable_pre_call_checks`, which the message tells.
        pre_call_checks: bool,
        /// The ids of some of them.
        cooling: Vec<Arc<str>>,
    },
    /// All deployments that would do are at their limits: 429.
    Busy {
        /// The name that was asked for.
        model: Arc<str>,
        /// When there may be room.
        retry_after: Duration,
        /// The limit that one of them has reached, as the setting is called.
        limit: &'static str,
    },
    /// No deployment that would do has a budget for the call: 429.
    OverBudget {
        /// The name that was asked for.
        model: Arc<str>,
    },
    /// No deployment has what the request asks for.
    NothingFits {
        /// The name that was asked for.
        model: Arc<str>,
        /// What they lack.
        lack: Lack,
    },
    /// No deployment answers to the name: 400.
    UnknownModel(Arc<str>),
    /// The attempt was dropped without an outcome.
    Abandoned,
}

/// Why failed calls are not followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// What was allowed has been tried.
    Exhausted,
    /// Retries and fallbacks of this group's requests have used up the retry budget.
    RetryBudget,
    /// The request's time would be over before the next call.
    Deadline,
}

/// What no deployment of a group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The request's tags.
    Tags,
    /// A place in the allowed region.
    Region,
    /// A context window for the input.
    ContextWindow,
    /// Permission to be used: disabled, excluded, of another team, or the state of the conversation is elsewhere.
    Permission,
}

impl Stop {
    /// The HTTP status that goes with it; `None` if the failure that the caller saw has its own.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        Some(match self {
            Self::Answered | Self::Failed(_) | Self::Abandoned => return None,
            Self::NoneAvailable { .. } | Self::Busy { .. } | Self::OverBudget { .. } => 429,
            Self::NothingFits { lack: Lack::Tags, .. } => 401,
            Self::NothingFits { .. } | Self::UnknownModel(_) => 400,
        })
    }

    /// When another request makes sense.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoneAvailable { retry_after, .. } | Self::Busy { retry_after, .. } => Some(*retry_after),
            Self::Answered
            | Self::Failed(_)
            | Self::OverBudget { .. }
            | Self::NothingFits { .. }
            | Self::UnknownModel(_)
            | Self::Abandoned => None,
        }
    }
}

/// In LiteLLM's words where it has some; clients compare them.
impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered => f.write_str("answered"),
            Self::Failed(GivenUp::Exhausted) => f.write_str("no more retries or fallbacks"),
            Self::Failed(GivenUp::RetryBudget) => f.write_str(
                "not tried again: retries of this model group have used up `tollway.retry_budget` for this minute",
            ),
            Self::Failed(GivenUp::Deadline) => {
                f.write_str("not tried again: the request's time would be over before")
            }
            Self::NoneAvailable { model, retry_after, pre_call_checks, cooling } => {
                let checks = if *pre_call_checks { "True" } else { "False" };
                let cooling: Vec<String> = cooling.iter().map(|id| format!("'{id}'")).collect();
                write!(
                    f,
                    "No deployments available for selected model, Try again in {} seconds. Passed model={model}. \
                     pre-call-checks={checks}, cooldown_list=[{}]",
                    seconds(*retry_after),
                    cooling.join(", ")
                )
            }
            Self::Busy { model, retry_after, limit } => write!(
                f,
                "No deployments available for selected model, Try again in {} seconds. Passed model={model}. All \
                 deployments have reached `{limit}`",
                seconds(*retry_after)
            ),
            Self::OverBudget { model } => {
                write!(f, "No deployments available - crossed budget: all deployments of `{model}` are over budget")
            }
            Self::NothingFits { model, lack } => match lack {
                Lack::Tags => {
                    write!(f, "Not allowed to access model due to tags configuration. Passed model={model}")
                }
                Lack::Region => {
                    write!(f, "no deployment of `{model}` is in the region that `allowed_model_region` allows")
                }
                Lack::ContextWindow => {
                    write!(f, "the input is longer than the context window of every deployment of `{model}`")
                }
                Lack::Permission => {
                    write!(
                        f,
                        "You passed in model={model}. There are no healthy deployments for this model"
                    )
                }
            },
            Self::UnknownModel(model) => {
                write!(f, "You passed in model={model}. There are no healthy deployments for this model")
            }
            Self::Abandoned => f.write_str("the call was given up"),
        }
    }
}

/// Whole seconds, at least one: `retry-after` knows no fractions.
fn seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}
