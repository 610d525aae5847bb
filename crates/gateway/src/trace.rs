//! The last requests, each with everything that happened to it (`GET /trace/{id}`, `tollway explain ID`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use catalog::Cost;
use dialects::conversation::Usage;
use ledger::rules::ledger::Hold;
use routing::Why;
use serde_json::{Map, Value, json};

use crate::cache::Key;
use crate::events::log::timestamp;
use crate::events::{outcome_name, stop_name};
use crate::exchange::{Attempt, Bodies, CacheState, CacheUse, Exchange, Held, Outcome, RouteStep, Saved};

/// A bounded memory of finished requests: the newest push out the oldest.
#[derive(Debug)]
pub struct Traces {
    kept: Mutex<VecDeque<Arc<Exchange>>>,
    capacity: usize,
}

impl Traces {
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { kept: Mutex::default(), capacity }
    }

    pub fn keep(&self, exchange: Exchange) {
        if self.capacity == 0 {
            return;
        }
        let exchange = Arc::new(exchange);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = if kept.len() >= self.capacity { kept.pop_front() } else { None };
        kept.push_back(exchange);
        drop(kept);
        // Freed outside the lock.
        drop(oldest);
    }

    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The trace of a request by its call id, or by the id of its answer.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<Exchange>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().rev().find(|trace| trace.id == id || trace.answer.id.as_deref() == Some(id)).cloned()
    }

    /// The newest `count` traces, newest first.
    #[must_use]
    pub fn latest(&self, count: usize) -> Vec<Arc<Exchange>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().rev().take(count).cloned().collect()
    }
}

impl Exchange {
    /// The trace as `GET /trace/{id}` shows it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut trace = self.summary();
        trace.insert("path".into(), json!(self.path));
        trace.insert(
            "caller".into(),
            json!({
                "identity": self.caller.identity.name(),
                "ip": self.caller.ip.to_string(),
                "user_agent": self.caller.user_agent,
            }),
        );
        trace.insert("admission".into(), self.held.as_deref().map(held_json).into());
        trace.insert("cache".into(), self.cache.as_deref().map(cache_json).into());
        trace.insert("route".into(), self.route.iter().map(route_step).collect());
        trace.insert("retries".into(), json!(self.retries));
        trace.insert("fallbacks".into(), json!(self.fallbacks));
        trace.insert("attempts".into(), self.attempts.iter().map(attempt).collect());
        let notes = self
            .notes
            .iter()
            .map(|note| json!({"param": note.param, "change": note.change.name(), "detail": note.detail}));
        trace.insert("parameters".into(), notes.collect());
        trace.insert("answer".into(), self.answer_json());
        if let Some(bodies) = &self.bodies {
            trace.insert("bodies".into(), bodies_json(bodies));
        }
        Value::Object(trace)
    }

    /// The trace in one line, for lists.
    #[must_use]
    pub fn summary(&self) -> Map<String, Value> {
        let mut summary = Map::new();
        summary.insert("id".into(), json!(self.id));
        summary.insert("received_at".into(), json!(timestamp(self.received_at)));
        summary.insert("operation".into(), json!(self.operation.name()));
        summary.insert("client_dialect".into(), json!(self.operation.dialect().name()));
        summary.insert("stream".into(), json!(self.stream));
        summary.insert("requested_model".into(), json!(self.requested_model));
        summary.insert("model_group".into(), json!(self.group.as_deref()));
        if let Some(of) = &self.mirror_of {
            summary.insert("mirror_of".into(), json!(&**of));
        }
        summary.insert("outcome".into(), json!(outcome_name(&self.outcome)));
        summary.insert("status".into(), json!(self.outcome.status()));
        if let Outcome::Failed { class, message, log, .. } = &self.outcome {
            summary.insert(
                "error".into(),
                json!({
                    "class": class.map(dialects::ErrorClass::exception_name),
                    "message": message,
                    "cause": (!log.is_empty()).then_some(log),
                }),
            );
        }
        summary.insert(
            "time_ms".into(),
            json!({
                "total": milliseconds(self.duration),
                "upstream": milliseconds(self.upstream_time),
                "gateway": milliseconds(self.duration.saturating_sub(self.upstream_time)),
                "first_token": self.first_token.map(milliseconds),
            }),
        );
        summary
    }

    fn answer_json(&self) -> Value {
        json!({
            "id": self.answer.id,
            "model": self.answer.model,
            "stop": self.answer.stop.as_ref().map(stop_name),
            "usage": self.answer.usage.as_ref().map(usage_json),
            "usage_is_estimate": self.answer.usage_is_estimate,
            "cost": self.answer.cost.as_ref().map(cost_json),
        })
    }
}

fn cache_json(used: &CacheUse) -> Value {
    let saved = (used.saved != Saved::default()).then(|| {
        json!({
            "tokens": used.saved.tokens,
            "usd": used.saved.cost.to_string(),
            "seconds": used.saved.time.as_secs_f64(),
        })
    });
    json!({
        "state": used.state.name(),
        "why": match used.state {
            CacheState::Declined(why) => Some(why.name()),
            _ => None,
        },
        "key": used.key.as_ref().map(Key::to_string),
        "age_s": used.age.map(|age| age.as_secs_f64()),
        "similar": used.similar.as_ref().map(|found| json!({"score": found.score, "call_id": &*found.call})),
        "items": used.items.map(|(known, all)| json!({"known": known, "all": all})),
        "saved": saved,
    })
}

fn route_step(step: &RouteStep) -> Value {
    match step {
        RouteStep::Considered { after, group, candidates } => {
            let candidates = candidates.iter().map(|candidate| {
                json!({
                    "deployment": &*candidate.deployment,
                    "verdict": candidate.verdict.reason(),
                    "left_ms": candidate.left.map(milliseconds),
                })
            });
            json!({
                "after_ms": milliseconds(*after),
                "group": &**group,
                "candidates": candidates.collect::<Value>(),
            })
        }
        RouteStep::Waited { after, duration, why } => {
            let why = match why {
                Why::Room => "all deployments were at their limits",
                Why::BackOff => "before the same deployment was asked again",
            };
            json!({"after_ms": milliseconds(*after), "waited_ms": milliseconds(*duration), "why": why})
        }
        RouteStep::Noted { after, note } => json!({"after_ms": milliseconds(*after), "note": note}),
        RouteStep::Stopped { after, why } => json!({"after_ms": milliseconds(*after), "stopped": why}),
    }
}

fn attempt(attempt: &Attempt) -> Value {
    let deployment = &attempt.served.deployment;
    json!({
        "deployment": &*deployment.id,
        "provider": deployment.provider,
        "model": deployment.model,
        "dialect": attempt.dialect.name(),
        "url": &*attempt.url,
        "after_ms": milliseconds(attempt.after),
        "head_ms": attempt.head.map(milliseconds),
        "status": attempt.status,
        "error": attempt.error,
        "billed": attempt.billed.map(|billed| billed.to_string()),
        "provider_request_id": attempt.provider_request_id,
    })
}

/// The totals, and the parts that are not zero.
fn usage_json(usage: &Usage) -> Value {
    let parts = [
        ("cache_read_tokens", usage.cache_read),
        ("cache_write_5m_tokens", usage.cache_write_5m),
        ("cache_write_1h_tokens", usage.cache_write_1h),
        ("input_audio_tokens", usage.input_audio),
        ("input_image_tokens", usage.input_image),
        ("input_video_tokens", usage.input_video),
        ("reasoning_tokens", usage.reasoning),
        ("output_audio_tokens", usage.output_audio),
        ("output_image_tokens", usage.output_image),
        ("web_searches", usage.web_searches),
        ("audio_ms", usage.audio_ms),
        ("characters", usage.characters),
    ];
    let totals = [("input_tokens", usage.input), ("output_tokens", usage.output)];
    let shown = totals.into_iter().chain(parts.into_iter().filter(|(_, count)| *count > 0));
    Value::Object(shown.map(|(name, count)| (name.to_owned(), json!(count))).collect())
}

/// The bill: each line as a sentence and in numbers.
fn held_json(held: &Held) -> Value {
    let (amount, why) = match held.cost {
        None | Some(Hold::Free) => (None, "no budget had to be looked at"),
        Some(Hold::AtMost(amount)) => (Some(amount), "the most that it can cost"),
        Some(Hold::About(amount)) => (Some(amount), "what such calls cost before"),
    };
    let accounts = held.accounts.iter().map(|(account, standing)| {
        let budgets = standing.budgets.iter().filter(|budget| budget.max.is_some()).map(|budget| {
            json!({
                "max": budget.max.map(|max| max.to_string()),
                "spend": budget.spend.to_string(),
                "held": budget.held.to_string(),
                "resets_at": budget.resets_at.map(|at| at.to_string()),
            })
        });
        json!({
            "of": account.descriptor(),
            "id": account.to_string(),
            "budgets": budgets.collect::<Value>(),
            "remaining_requests": standing.remaining_requests,
            "remaining_tokens": standing.remaining_tokens,
            "remaining_parallel": standing.remaining_parallel,
        })
    });
    json!({
        "held": amount.map(|amount| amount.to_string()),
        "why": why,
        "fit": held.fit.map(|tokens| json!({
            "max_output_tokens": tokens,
            "why": "what is left of the tightest budget pays for an answer of so many tokens",
        })),
        "tokens": held.tokens,
        "accounts": accounts.collect::<Value>(),
    })
}

fn cost_json(cost: &Cost) -> Value {
    let lines = cost.lines.iter().map(|line| {
        json!({
            "text": line.to_string(),
            "what": line.what,
            "count": line.quantity.count,
            "unit_price": line.unit_price.to_string(),
            "amount": line.amount.to_string(),
        })
    });
    json!({"total": cost.total().to_string(), "lines": lines.collect::<Value>()})
}

fn bodies_json(bodies: &Bodies) -> Value {
    let show = |bytes: Option<&[u8]>| {
        bytes.map(|bytes| {
            serde_json::from_slice::<Value>(bytes)
                .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(bytes).into_owned()))
        })
    };
    let filled = |bytes: &Vec<u8>| (!bytes.is_empty()).then(|| bytes.clone());
    json!({
        "client_request": show(bodies.client_request.as_deref()),
        "provider_request": show(bodies.provider_request.as_deref()),
        "provider_response": show(filled(&bodies.provider_response).as_deref()),
        "client_response": show(filled(&bodies.client_response).as_deref()),
    })
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}
