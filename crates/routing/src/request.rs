//! What routing has to know about one request.

use std::sync::Arc;

use crate::Moment;
use crate::settings::{PerClass, Predicate, Strategy, Target};
use dialects::ErrorClass;

/// The facts of one request. Make it with [`Request::new`] and set what is known.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The name that the caller asked for: a group, an alias or a name that a pattern stands for.
    pub model: Arc<str>,
    /// The answer is streamed: time to the first token counts, not to the last.
    pub stream: bool,
    /// Estimated tokens of the input, for context windows and `tpm`.
    pub input_tokens: u64,
    /// The caller's tags; `!tag` excludes deployments with it, `&tag` requires it.
    pub tags: Vec<String>,
    /// What `tag_regex` is matched with: `User-Agent: …`.
    pub tag_lines: Vec<String>,
    /// `allowed_model_region`: `eu`, `us`, or the beginning of a region's name.
    pub region: Option<Arc<str>>,
    /// The caller's team. A team with deployments of its own in a group uses those alone.
    pub team: Option<Arc<str>>,
    /// Who belongs together: a session, a user, a prompt's beginning. Canaries stick to it, with
    /// [`affinity`](crate::Settings::affinity) deployments too.
    pub sticky: Option<Arc<str>>,
    /// Only these deployments will do, by id, because they hold state of the conversation.
    pub pinned: Vec<Arc<str>>,
    /// This deployment, by id, if it is available.
    pub preferred: Option<Arc<str>>,
    /// None of these deployments, by id.
    pub excluded: Vec<Arc<str>>,
    /// Whether the caller may use a group; asked for every group that the request is about to fall back to.
    pub permit: Option<Predicate>,
    /// No wait goes beyond this.
    pub deadline: Option<Moment>,
    /// What this request, or the caller's key or team, says instead of the settings.
    pub overrides: Overrides,
    /// `mock_testing_fallbacks` and its like: the first group counts as failed with this, and is not called.
    pub mock_failure: Option<ErrorClass>,
}

impl Request {
    /// A plain request.
    #[must_use]
    pub fn new(model: impl Into<Arc<str>>) -> Self {
        Self { model: model.into(), ..Self::default() }
    }
}

/// What one request says instead of the settings; `None` where it says nothing.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `num_retries`, or `x-litellm-num-retries`.
    pub num_retries: Option<u32>,
    /// `retry_policy`.
    pub retry_policy: Option<PerClass>,
    /// `fallbacks`.
    pub fallbacks: Option<Vec<Target>>,
    /// `context_window_fallbacks`, or the entry of `context_window_fallback_dict`.
    pub context_window_fallbacks: Option<Vec<Target>>,
    /// `content_policy_fallbacks`.
    pub content_policy_fallbacks: Option<Vec<Target>>,
    /// `disable_fallbacks`.
    pub disable_fallbacks: bool,
    /// `routing_strategy`.
    pub strategy: Option<Strategy>,
}
