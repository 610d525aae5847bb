//! What an operator can say about routing. Names in the documentation are LiteLLM's, of `router_settings` unless
//! another section is named.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use dialects::ErrorClass;
use dialects::conversation::Extra;

/// Everything that a [`Plan`](crate::Plan) is made from. `Settings::default()` is LiteLLM's behaviour without settings,
/// but for the strategy.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `model_list`. Deployments with the same `model_name` form a group.
    pub deployments: Vec<DeploymentSettings>,
    /// `model_group_alias`: a name and the group that it stands for.
    pub aliases: Vec<(String, String)>,
    /// `routing_strategy`.
    pub strategy: Strategy,
    /// `routing_strategy_args`.
    pub strategy_args: StrategyArgs,
    /// `routing_groups`: another strategy for these groups.
    pub group_strategies: Vec<(String, Strategy, StrategyArgs)>,
    /// How failures are tried again in the same group.
    pub retries: RetrySettings,
    /// When a deployment is left alone.
    pub cooldowns: CooldownSettings,
    /// Where a request goes when its group fails.
    pub fallbacks: FallbackSettings,
    /// Routing by tags.
    pub tags: TagSettings,
    /// `enable_pre_call_checks`: leave out deployments whose context window is too small for the request.
    pub pre_call_checks: bool,
    /// `enable_weighted_failover`: try every deployment of the group before it is left, whatever `num_retries` says.
    pub weighted_failover: bool,
    /// How long a request may wait for room when all deployments are at their limits; `None`: it fails at once.
    pub max_queue_wait: Option<Duration>,
    /// `deployment_affinity`, `session_affinity`, `prompt_caching`: requests with the same
    /// [`sticky`](crate::Request::sticky) key go to the same deployment as long as it is available.
    pub affinity: bool,
    /// Shares of a group's traffic that another group answers.
    pub canaries: Vec<Split>,
    /// Shares of a group's traffic that are copied to another group.
    pub mirrors: Vec<Split>,
    /// Second attempts for slow requests; `None`: never.
    pub hedging: Option<Hedging>,
}

/// One entry of `model_list`, as far as routing looks at it.
#[derive(Clone, Debug, Default)]
pub struct DeploymentSettings {
    /// `model_info.id`: unique; live state is kept under it across reloads.
    pub id: Arc<str>,
    /// `model_name`: the group, or a pattern with `*`.
    pub model_name: Arc<str>,
    /// `order`: lower is tried first. Without one: after those that have one.
    pub order: Option<i64>,
    /// `weight`: share of the group's traffic.
    pub weight: Option<f64>,
    /// `rpm`: requests per minute; a limit, and a weight where no `weight` is given.
    pub rpm: Option<u64>,
    /// `tpm`: tokens per minute; a limit, and a weight where neither `weight` nor `rpm` is given.
    pub tpm: Option<u64>,
    /// `max_parallel_requests`.
    pub max_parallel_requests: Option<u32>,
    /// `tags`.
    pub tags: Vec<String>,
    /// `tag_regex`, compiled: each is asked about every [`tag_lines`](crate::Request::tag_lines).
    pub tag_patterns: Vec<Predicate>,
    /// `region_name`, or where the provider's own settings say that it is.
    pub region: Option<Arc<str>>,
    /// `model_info.max_input_tokens`, or the price map's.
    pub max_input_tokens: Option<u64>,
    /// USD of one input and one output token together, for cost-based routing only; never booked. `None`: not known.
    pub token_price: Option<f64>,
    /// `model_info.team_id`: serves this team alone.
    pub team: Option<Arc<str>>,
    /// `model_info.blocked`.
    pub disabled: bool,
    /// `num_retries` of the deployment.
    pub num_retries: Option<u32>,
    /// `cooldown_time` of the deployment.
    pub cooldown_time: Option<Duration>,
    /// `allowed_fails` of the deployment.
    pub allowed_fails: Option<u32>,
    /// `allowed_fails_policy` of the deployment.
    pub allowed_fails_policy: PerClass,
}

/// How one of several deployments is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Shares by weight where weights are given, else the better of two drawn at random: the one with less in flight
    /// times its peak latency. What counts when no strategy is named.
    #[default]
    Balanced,
    /// By chance, weighted by the first of `weight`, `rpm`, `tpm` that is given in the group.
    SimpleShuffle,
    /// The one with the fewest requests in flight.
    LeastBusy,
    /// The one with the fewest tokens used in the last minute. LiteLLM's two versions differ in races alone.
    UsageBased,
    /// One of those whose latency is near the lowest.
    LatencyBased,
    /// The cheapest.
    CostBased,
}

/// Not a strategy's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownStrategy(pub String);

impl fmt::Display for UnknownStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a routing strategy; write one of `balanced`, `simple-shuffle`, `least-busy`, \
             `usage-based-routing-v2`, `latency-based-routing`, `cost-based-routing`",
            self.0
        )
    }
}

impl std::error::Error for UnknownStrategy {}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        Ok(match name {
            "balanced" => Self::Balanced,
            "simple-shuffle" => Self::SimpleShuffle,
            "least-busy" => Self::LeastBusy,
            "usage-based-routing" | "usage-based-routing-v2" => Self::UsageBased,
            "latency-based-routing" => Self::LatencyBased,
            "cost-based-routing" => Self::CostBased,
            _ => return Err(UnknownStrategy(name.to_owned())),
        })
    }
}

impl Strategy {
    /// The name in configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::SimpleShuffle => "simple-shuffle",
            Self::LeastBusy => "least-busy",
            Self::UsageBased => "usage-based-routing-v2",
            Self::LatencyBased => "latency-based-routing",
            Self::CostBased => "cost-based-routing",
        }
    }
}

/// `routing_strategy_args` of latency-based routing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StrategyArgs {
    /// `ttl`: how long measured latencies count (1 h).
    pub ttl: Duration,
    /// `lowest_latency_buffer`: how much slower than the fastest is as good as it, as a share of it (0).
    pub lowest_latency_buffer: f64,
    /// `max_latency_list_size`: how many latencies are remembered (10, at most 100).
    pub max_latency_list_size: usize,
}

impl Default for StrategyArgs {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(3600), lowest_latency_buffer: 0.0, max_latency_list_size: 10 }
    }
}

/// How failures are tried again in the same group.
#[derive(Clone, Debug)]
pub struct RetrySettings {
    /// `num_retries` (2).
    pub num_retries: u32,
    /// `retry_after`: the shortest wait before the same deployment is asked again (0).
    pub retry_after: Duration,
    /// `retry_policy`.
    pub policy: PerClass,
    /// `model_group_retry_policy`.
    pub group_policies: Vec<(String, PerClass)>,
    /// How many calls beyond the clients' own providers may get; `None`: any number.
    pub budget: Option<RetryBudget>,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            num_retries: 2,
            retry_after: Duration::ZERO,
            policy: PerClass::default(),
            group_policies: Vec::new(),
            budget: Some(RetryBudget::default()),
        }
    }
}

/// How many retries, fallbacks and hedges a group's requests may cause: in every minute `percent` of the clients' calls
/// and `floor` more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Extra calls per hundred client calls (20).
    pub percent: u32,
    /// Extra calls per minute that are always allowed, so that low traffic can retry (100).
    pub floor: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { percent: 20, floor: 100 }
    }
}

/// When a deployment is left alone, and for how long.
#[derive(Clone, Debug)]
pub struct CooldownSettings {
    /// `disable_cooldowns`.
    pub disabled: bool,
    /// `cooldown_time` (5 s). Zero: no cooldown.
    pub time: Duration,
    /// `allowed_fails`: failures in a minute that do not yet count as sick. Setting it, or the policy, replaces the
    /// rules that cool down at once or by failure rate.
    pub allowed_fails: Option<u32>,
    /// `allowed_fails_policy`.
    pub policy: PerClass,
    /// Also the last available deployment of a group may cool down, although there is nowhere else to go.
    pub last: bool,
}

impl Default for CooldownSettings {
    fn default() -> Self {
        Self {
            disabled: false,
            time: Duration::from_secs(5),
            allowed_fails: None,
            policy: PerClass::default(),
            last: false,
        }
    }
}

/// The classes of failure that `retry_policy` and `allowed_fails_policy` tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum FailureClass {
    BadRequest,
    Authentication,
    Timeout,
    RateLimit,
    ContentPolicy,
    InternalServer,
    ServiceUnavailable,
    NotFound,
    /// Whatever has no entry of its own.
    Default,
}

impl FailureClass {
    /// How many there are.
    pub const COUNT: usize = 9;

    /// The class that an error belongs to.
    #[must_use]
    pub fn of(class: ErrorClass) -> Self {
        match class {
            ErrorClass::BadRequest
            | ErrorClass::UnsupportedParameter
            | ErrorClass::ContextWindowExceeded
            | ErrorClass::PayloadTooLarge
            | ErrorClass::Unprocessable => Self::BadRequest,
            ErrorClass::ContentPolicy => Self::ContentPolicy,
            ErrorClass::Authentication => Self::Authentication,
            ErrorClass::NotFound => Self::NotFound,
            ErrorClass::Timeout => Self::Timeout,
            ErrorClass::RateLimited => Self::RateLimit,
            ErrorClass::Internal
            | ErrorClass::BadGateway
            | ErrorClass::Overloaded
            | ErrorClass::Connection => Self::InternalServer,
            ErrorClass::Unavailable => Self::ServiceUnavailable,
            ErrorClass::PaymentRequired | ErrorClass::PermissionDenied | ErrorClass::Conflict => {
                Self::Default
            }
        }
    }

    /// The class that a key of `retry_policy` or `allowed_fails_policy` names: `TimeoutErrorRetries`,
    /// `RateLimitErrorAllowedFails`, `DefaultRetries`.
    #[must_use]
    pub fn of_setting(key: &str) -> Option<Self> {
        let name = key.strip_suffix("Retries").or_else(|| key.strip_suffix("AllowedFails"))?;
        Some(match name {
            "BadRequestError" => Self::BadRequest,
            "AuthenticationError" => Self::Authentication,
            "TimeoutError" => Self::Timeout,
            "RateLimitError" => Self::RateLimit,
            "ContentPolicyViolationError" => Self::ContentPolicy,
            "InternalServerError" => Self::InternalServer,
            "ServiceUnavailableError" => Self::ServiceUnavailable,
            "NotFoundError" => Self::NotFound,
            "Default" => Self::Default,
            _ => return None,
        })
    }
}

/// A number for each class of failure that has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerClass([Option<u32>; FailureClass::COUNT]);

impl PerClass {
    /// Sets the number of one class.
    pub fn set(&mut self, class: FailureClass, number: u32) {
        if let Some(slot) = self.0.get_mut(class as usize) {
            *slot = Some(number);
        }
    }

    /// The number of this very class.
    #[must_use]
    pub fn get(&self, class: FailureClass) -> Option<u32> {
        self.0.get(class as usize).copied().flatten()
    }

    /// Whether no class has a number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

/// Where a request goes when its group fails.
#[derive(Clone, Debug)]
pub struct FallbackSettings {
    /// `fallbacks`; `default_fallbacks` is the rule for `*`.
    pub general: Vec<FallbackRule>,
    /// `context_window_fallbacks`.
    pub context_window: Vec<FallbackRule>,
    /// `content_policy_fallbacks`.
    pub content_policy: Vec<FallbackRule>,
    /// `max_fallbacks`: how deep fallbacks of fallbacks go (5).
    pub max_fallbacks: u32,
}

impl Default for FallbackSettings {
    fn default() -> Self {
        Self { general: Vec::new(), context_window: Vec::new(), content_policy: Vec::new(), max_fallbacks: 5 }
    }
}

/// One entry of a list of fallbacks.
#[derive(Clone, Debug)]
pub struct FallbackRule {
    /// The group that failed; `*`: any that has no entry of its own.
    pub group: String,
    /// The names to turn to, in this order.
    pub targets: Vec<Target>,
}

/// A name to turn to.
#[derive(Clone, Debug)]
pub struct Target {
    /// A group, an alias or a name that a pattern stands for.
    pub name: Arc<str>,
    /// Parameters of the request that are other ones there (`{"model": …, "messages": …, "temperature": …}` without
    /// `model`). Opaque to routing.
    pub params: Option<Arc<Extra>>,
}

impl Target {
    /// A name without parameters of its own.
    #[must_use]
    pub fn name(name: &str) -> Self {
        Self { name: name.into(), params: None }
    }
}

/// Routing by tags.
#[derive(Clone, Debug)]
pub struct TagSettings {
    /// `enable_tag_filtering` (false).
    pub enabled: bool,
    /// `tag_filtering_match_any` (true): one common tag is enough; false: the deployment must have all.
    pub match_any: bool,
    /// `tag_routing_prefix`: tags of requests that begin otherwise are not for routing.
    pub prefix: String,
    /// `allow_fail_open`: if no deployment has the tags, any will do.
    pub allow_fail_open: bool,
}

impl Default for TagSettings {
    fn default() -> Self {
        Self { enabled: false, match_any: true, prefix: String::new(), allow_fail_open: false }
    }
}

/// A share of one group's traffic that another group gets.
#[derive(Clone, Debug)]
pub struct Split {
    /// The group that callers name.
    pub group: String,
    /// The group that gets the share.
    pub to: String,
    /// How much of it, 0 to 100.
    pub percent: f64,
}

/// Second attempts for slow requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hedging {
    /// Hedges per hundred calls, at most (5).
    pub max_percent: u32,
    /// No hedge before this, however fast the group is (100 ms).
    pub min_delay: Duration,
}

impl Default for Hedging {
    fn default() -> Self {
        Self { max_percent: 5, min_delay: Duration::from_millis(100) }
    }
}

/// A question about a text that only the caller can answer: a compiled regular expression, a key's list of models.
#[derive(Clone)]
pub struct Predicate(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl Predicate {
    /// Asks `test`.
    pub fn new(test: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(test))
    }

    /// What the test says about `text`.
    #[must_use]
    pub fn holds(&self, text: &str) -> bool {
        (self.0)(text)
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Predicate(…)")
    }
}
