//! Prometheus metrics with LiteLLM's names and labels.

mod caller;

use std::sync::atomic::{AtomicI64, AtomicU64};

use dialects::ErrorClass;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use routing::Change;

use crate::exchange::{CacheState, Exchange, Identity, Outcome, Saved};
use crate::operation::Operation;
use caller::{CallerLabels, Callers};

/// LiteLLM's default buckets, in seconds.
const LATENCY_BUCKETS: [f64; 24] = [
    0.005, 0.00625, 0.0125, 0.025, 0.05, 0.1, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 7.5, 10.0,
    15.0, 20.0, 30.0, 60.0, 120.0, 300.0,
];

/// The labels that LiteLLM puts on most metrics; what a request does not have is the word `None`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    requested_model: String,
    model: String,
    model_id: String,
    api_provider: String,
    #[prometheus(flatten)]
    caller: CallerLabels,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProxyLabels {
    requested_model: String,
    hashed_api_key: String,
    route: &'static str,
    status_code: u16,
    exception_class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeploymentLabels {
    litellm_model_name: String,
    model_id: String,
    api_base: String,
    api_provider: String,
    requested_model: String,
}

impl DeploymentLabels {
    fn of(labels: &ServedLabels) -> Self {
        Self {
            litellm_model_name: labels.provider_model.clone(),
            model_id: labels.model_id.clone(),
            api_base: labels.api_base.clone(),
            api_provider: labels.provider.clone(),
            requested_model: labels.requested_model.clone(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CooldownLabels {
    model_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    litellm_model_name: String,
    model_id: String,
    api_base: String,
    api_provider: String,
    requested_model: String,
    exception_status: u16,
    exception_class: &'static str,
}

/// Where an alert goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlertLabels {
    channel: &'static str,
}

/// LiteLLM's labels for its cache; there is no deployment where nobody was asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    requested_model: String,
    #[prometheus(flatten)]
    caller: CallerLabels,
    route: &'static str,
}

/// What the cache did. Its copies count together.
#[derive(Clone, Debug, Default)]
pub struct CacheMetrics {
    hits: Family<CacheLabels, Counter>,
    misses: Family<CacheLabels, Counter>,
    tokens: Family<CacheLabels, Counter>,
    saved_usd: Family<CacheLabels, Dollars>,
    saved_seconds: Family<CacheLabels, Dollars>,
    failures: Counter,
    skipped: Counter,
    dropped_writes: Counter,
}

impl CacheMetrics {
    /// The store failed, or did not answer in time.
    pub(crate) fn failed(&self) {
        self.failures.inc();
    }

    /// The store was left alone, because it failed before.
    pub(crate) fn skipped(&self) {
        self.skipped.inc();
    }

    /// Answers were not stored.
    pub(crate) fn write_dropped(&self) {
        self.dropped_writes.inc();
    }

    fn count(&self, exchange: &Exchange, callers: &Callers) {
        let Some(used) = exchange.cache.as_ref() else { return };
        if let CacheState::Declined(_) = used.state {
            return;
        }
        let labels = CacheLabels {
            requested_model: exchange.group.as_deref().unwrap_or("None").to_owned(),
            caller: callers.labels(&exchange.caller.identity),
            route: exchange.operation.name(),
        };
        if !used.is_hit() {
            self.misses.get_or_create(&labels).inc();
        } else {
            self.hits.get_or_create(&labels).inc();
        }
        if used.saved != Saved::default() {
            self.tokens.get_or_create(&labels).inc_by(used.saved.tokens);
            self.saved_usd.get_or_create(&labels).inc_by(used.saved.cost.to_f64());
            self.saved_seconds.get_or_create(&labels).inc_by(used.saved.time.as_secs_f64());
        }
    }
}

#[derive(Clone)]
struct LatencyBuckets;

impl MetricConstructor<Histogram> for LatencyBuckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(LATENCY_BUCKETS)
    }
}

type Dollars = Counter<f64, AtomicU64>;
type Latency = Family<RequestLabels, Histogram, LatencyBuckets>;

/// All metrics of one gateway. Lives as long as the process: a reload of the configuration keeps the counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    callers: Callers,
    proxy_requests: Family<ProxyLabels, Counter>,
    proxy_failures: Family<ProxyLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    spend: Family<RequestLabels, Dollars>,
    total_tokens: Family<RequestLabels, Counter>,
    input_tokens: Family<RequestLabels, Counter>,
    output_tokens: Family<RequestLabels, Counter>,
    cached_tokens: Family<RequestLabels, Counter>,
    cache_creation_tokens: Family<RequestLabels, Counter>,
    reasoning_tokens: Family<RequestLabels, Counter>,
    total_latency: Latency,
    provider_latency: Latency,
    first_token: Latency,
    overhead: Latency,
    deployment_requests: Family<DeploymentLabels, Counter>,
    deployment_successes: Family<DeploymentLabels, Counter>,
    deployment_failures: Family<FailureLabels, Counter>,
    cooldowns: Family<CooldownLabels, Counter>,
    deployment_state: Family<CooldownLabels, Gauge<i64, AtomicI64>>,
    in_flight: Gauge<i64, AtomicI64>,
    shared_state_up: Gauge<i64, AtomicI64>,
    shared_state_failures: Counter,
    cache: CacheMetrics,
    alerts_sent: Family<AlertLabels, Counter>,
    alerts_failed: Family<AlertLabels, Counter>,
    alerts_left_out: Counter,
}

impl std::fmt::Debug for LatencyBuckets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LatencyBuckets")
    }
}

macro_rules! register {
    ($registry:ident, $($name:literal, $help:literal, $metric:expr;)*) => {
        $($registry.register($name, $help, $metric.clone());)*
    };
}

impl Default for Metrics {
    fn default() -> Self {
        let latency = || Latency::new_with_constructor(LatencyBuckets);
        let mut metrics = Self {
            registry: Registry::default(),
            callers: Callers::default(),
            proxy_requests: Family::default(),
            proxy_failures: Family::default(),
            requests: Family::default(),
            spend: Family::default(),
            total_tokens: Family::default(),
            input_tokens: Family::default(),
            output_tokens: Family::default(),
            cached_tokens: Family::default(),
            cache_creation_tokens: Family::default(),
            reasoning_tokens: Family::default(),
            total_latency: latency(),
            provider_latency: latency(),
            first_token: latency(),
            overhead: latency(),
            deployment_requests: Family::default(),
            deployment_successes: Family::default(),
            deployment_failures: Family::default(),
            cooldowns: Family::default(),
            deployment_state: Family::default(),
            in_flight: Gauge::default(),
            shared_state_up: Gauge::default(),
            shared_state_failures: Counter::default(),
            cache: CacheMetrics::default(),
            alerts_sent: Family::default(),
            alerts_failed: Family::default(),
            alerts_left_out: Counter::default(),
        };
        let mut registry = Registry::default();
        register! { registry,
            "litellm_proxy_total_requests_metric", "Requests of clients", metrics.proxy_requests;
            "litellm_proxy_failed_requests_metric", "Requests of clients that failed", metrics.proxy_failures;
            "litellm_requests_metric", "Requests that a model answered", metrics.requests;
            "litellm_spend_metric", "Cost of answers in USD", metrics.spend;
            "litellm_total_tokens_metric", "Input and output tokens", metrics.total_tokens;
            "litellm_input_tokens_metric", "Input tokens, cached ones included", metrics.input_tokens;
            "litellm_output_tokens_metric", "Output tokens, reasoning included", metrics.output_tokens;
            "litellm_input_cached_tokens_metric", "Input tokens from the provider's cache", metrics.cached_tokens;
            "litellm_input_cache_creation_tokens_metric", "Input tokens written to the provider's cache", metrics.cache_creation_tokens;
            "litellm_output_reasoning_tokens_metric", "Output tokens spent on reasoning", metrics.reasoning_tokens;
            "litellm_request_total_latency_metric", "Seconds from the request to the end of the answer", metrics.total_latency;
            "litellm_llm_api_latency_metric", "Seconds spent waiting for the provider", metrics.provider_latency;
            "litellm_llm_api_time_to_first_token_metric", "Seconds to the first token of streams", metrics.first_token;
            "litellm_overhead_latency_metric", "Seconds spent in the gateway itself", metrics.overhead;
            "litellm_deployment_total_requests", "Calls of a deployment", metrics.deployment_requests;
            "litellm_deployment_success_responses", "Calls of a deployment that it answered", metrics.deployment_successes;
            "litellm_deployment_failure_responses", "Calls of a deployment that failed", metrics.deployment_failures;
            "litellm_deployment_cooled_down", "Times that a deployment was left alone", metrics.cooldowns;
            "litellm_deployment_state", "0: well, 2: left alone", metrics.deployment_state;
            "litellm_in_flight_requests", "Requests being worked on", metrics.in_flight;
            "tollway_shared_state_up", "1: what is known of deployments is shared through Redis", metrics.shared_state_up;
            "tollway_shared_state_failures", "Rounds in which Redis did not answer", metrics.shared_state_failures;
            "litellm_cache_hits_metric", "Requests answered from the cache", metrics.cache.hits;
            "litellm_cache_misses_metric", "Requests that the cache had no answer for", metrics.cache.misses;
            "litellm_cached_tokens_metric", "Tokens of answers from the cache", metrics.cache.tokens;
            "tollway_cache_saved_usd", "What answers from the cache cost when they were made", metrics.cache.saved_usd;
            "tollway_cache_saved_seconds", "How long answers from the cache took when they were made", metrics.cache.saved_seconds;
            "tollway_cache_store_failures", "Calls of the cache's store that failed or took too long", metrics.cache.failures;
            "tollway_cache_store_skipped", "Calls of the cache's store that were left out because it failed before", metrics.cache.skipped;
            "tollway_cache_dropped_writes", "Batches of answers that could not be stored", metrics.cache.dropped_writes;
            "tollway_alerts_sent", "Alerts that arrived, by channel", metrics.alerts_sent;
            "tollway_alerts_failed", "Alerts that did not arrive, by channel", metrics.alerts_failed;
            "tollway_alerts_left_out", "Alerts that were not sent since too many waited", metrics.alerts_left_out;
        }
        metrics.registry = registry;
        metrics
    }
}

impl Metrics {
    /// The text that Prometheus reads.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }

    pub fn request_began(&self) {
        self.in_flight.inc();
    }

    /// Requests being worked on.
    #[must_use]
    pub fn running(&self) -> usize {
        usize::try_from(self.in_flight.get()).unwrap_or_default()
    }

    pub(super) fn request_finished(&self, exchange: &Exchange) {
        self.in_flight.dec();
        self.cache.count(exchange, &self.callers);
        if exchange.is_cache_hit() {
            return self.count_hit(exchange);
        }
        let Some(served) = exchange.served() else { return self.count_refused(exchange) };
        match &exchange.outcome {
            Outcome::Failed { status, class, .. } => {
                self.count_failed(exchange, &served.labels, *status, *class);
            }
            Outcome::Answered | Outcome::ClientGone | Outcome::Running => {
                match exchange.caller.identity.holder() {
                    Some(holder) => {
                        let new = || self.handles(&served.labels, &exchange.caller.identity);
                        holder.handles(&served.deployment.id, new).count_answer(exchange);
                    }
                    None => served.handles(self).count_answer(exchange),
                }
            }
        }
    }

    /// For the cache's own use.
    #[must_use]
    pub fn cache(&self) -> CacheMetrics {
        self.cache.clone()
    }

    /// Answered without any deployment, and without spending anything.
    fn count_hit(&self, exchange: &Exchange) {
        let labels = ProxyLabels {
            requested_model: exchange.group.as_deref().unwrap_or("None").to_owned(),
            hashed_api_key: self.callers.name(&exchange.caller.identity),
            route: exchange.operation.name(),
            status_code: exchange.outcome.status(),
            exception_class: "None",
        };
        self.proxy_requests.get_or_create(&labels).inc();
    }

    /// Failed before any deployment was asked. The model is not a label here: clients can make up any.
    fn count_refused(&self, exchange: &Exchange) {
        let labels = ProxyLabels {
            requested_model: "None".to_owned(),
            hashed_api_key: self.callers.name(&exchange.caller.identity),
            route: exchange.operation.name(),
            status_code: exchange.outcome.status(),
            exception_class: match &exchange.outcome {
                Outcome::Failed { class: Some(class), .. } => class.exception_name(),
                _ => "None",
            },
        };
        self.proxy_failures.get_or_create(&labels).inc();
        self.proxy_requests.get_or_create(&labels).inc();
    }

    fn count_failed(
        &self,
        exchange: &Exchange,
        labels: &ServedLabels,
        status: u16,
        class: Option<ErrorClass>,
    ) {
        let exception_class = class.map_or("None", ErrorClass::exception_name);
        let proxy = ProxyLabels {
            requested_model: labels.requested_model.clone(),
            hashed_api_key: self.callers.name(&exchange.caller.identity),
            route: exchange.operation.name(),
            status_code: status,
            exception_class,
        };
        self.proxy_failures.get_or_create(&proxy).inc();
        self.proxy_requests.get_or_create(&proxy).inc();
    }

    /// One call of a deployment failed.
    pub(super) fn attempt_failed(&self, labels: &ServedLabels, status: u16, class: Option<ErrorClass>) {
        let exception_class = class.map_or("None", ErrorClass::exception_name);
        self.deployment_requests.get_or_create(&DeploymentLabels::of(labels)).inc();
        let failure = FailureLabels {
            litellm_model_name: labels.provider_model.clone(),
            model_id: labels.model_id.clone(),
            api_base: labels.api_base.clone(),
            api_provider: labels.provider.clone(),
            requested_model: labels.requested_model.clone(),
            exception_status: status,
            exception_class,
        };
        self.deployment_failures.get_or_create(&failure).inc();
    }

    /// A deployment is left alone, or is well again.
    pub(super) fn deployment_changed(&self, id: &str, change: &Change) {
        let labels = CooldownLabels { model_id: id.to_owned() };
        match change {
            Change::CooledDown { .. } => {
                self.cooldowns.get_or_create(&labels).inc();
                self.deployment_state.get_or_create(&labels).set(2);
            }
            Change::Recovered => {
                self.deployment_state.get_or_create(&labels).set(0);
            }
        }
    }

    pub(super) fn alert_sent(&self, channel: &'static str) {
        self.alerts_sent.get_or_create(&AlertLabels { channel }).inc();
    }

    pub(super) fn alert_failed(&self, channel: &'static str) {
        self.alerts_failed.get_or_create(&AlertLabels { channel }).inc();
    }

    pub(super) fn alert_left_out(&self) {
        self.alerts_left_out.inc();
    }

    /// Other gateways were heard.
    pub(crate) fn shared_state_works(&self) {
        self.shared_state_up.set(1);
    }

    /// They were not.
    pub(crate) fn shared_state_failed(&self) {
        self.shared_state_up.set(0);
        self.shared_state_failures.inc();
    }

    /// The metrics of one caller at one deployment, looked up once instead of at every request.
    pub(crate) fn handles(&self, labels: &ServedLabels, identity: &Identity) -> Handles {
        let request = RequestLabels {
            requested_model: labels.requested_model.clone(),
            model: labels.provider_model.clone(),
            model_id: labels.model_id.clone(),
            api_provider: labels.provider.clone(),
            caller: self.callers.labels(identity),
        };
        let deployment = DeploymentLabels::of(labels);
        let tokens = [
            &self.total_tokens,
            &self.input_tokens,
            &self.output_tokens,
            &self.cached_tokens,
            &self.cache_creation_tokens,
            &self.reasoning_tokens,
        ];
        Handles {
            proxy: Operation::ALL.map(|operation| {
                let labels = ProxyLabels {
                    requested_model: labels.requested_model.clone(),
                    hashed_api_key: self.callers.name(identity),
                    route: operation.name(),
                    status_code: 200,
                    exception_class: "None",
                };
                (operation, self.proxy_requests.get_or_create(&labels).clone())
            }),
            requests: self.requests.get_or_create(&request).clone(),
            spend: self.spend.get_or_create(&request).clone(),
            tokens: tokens.map(|family| family.get_or_create(&request).clone()),
            total_latency: self.total_latency.get_or_create(&request).clone(),
            provider_latency: self.provider_latency.get_or_create(&request).clone(),
            first_token: self.first_token.get_or_create(&request).clone(),
            overhead: self.overhead.get_or_create(&request).clone(),
            deployment_requests: self.deployment_requests.get_or_create(&deployment).clone(),
            deployment_successes: self.deployment_successes.get_or_create(&deployment).clone(),
        }
    }
}

/// What metrics call a deployment.
#[derive(Clone, Debug)]
pub struct ServedLabels {
    pub requested_model: String,
    pub provider_model: String,
    pub model_id: String,
    pub api_base: String,
    pub provider: String,
}

/// The metrics that a successful call of one deployment moves.
#[derive(Debug)]
pub struct Handles {
    proxy: [(Operation, Counter); Operation::ALL.len()],
    requests: Counter,
    spend: Dollars,
    tokens: [Counter; 6],
    total_latency: Histogram,
    provider_latency: Histogram,
    first_token: Histogram,
    overhead: Histogram,
    deployment_requests: Counter,
    deployment_successes: Counter,
}

impl Handles {
    fn count_answer(&self, exchange: &Exchange) {
        if let Some((_, counter)) = self.proxy.iter().find(|(operation, _)| *operation == exchange.operation)
        {
            counter.inc();
        }
        self.deployment_requests.inc();
        self.deployment_successes.inc();
        self.requests.inc();
        self.total_latency.observe(exchange.duration.as_secs_f64());
        self.provider_latency.observe(exchange.upstream_time.as_secs_f64());
        self.overhead.observe(exchange.duration.saturating_sub(exchange.upstream_time).as_secs_f64());
        if let Some(first) = exchange.first_token {
            self.first_token.observe(first.as_secs_f64());
        }
        if let Some(cost) = &exchange.answer.cost {
            self.spend.inc_by(cost.total().to_f64());
        }
        if let Some(usage) = &exchange.answer.usage {
            let counts = [
                usage.total(),
                usage.input,
                usage.output,
                usage.cache_read,
                usage.cache_write(),
                usage.reasoning,
            ];
            for (counter, count) in self.tokens.iter().zip(counts) {
                counter.inc_by(count);
            }
        }
    }
}
