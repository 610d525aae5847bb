//! Requests and what they cost, as LiteLLM's spend log shows them.

use std::time::Duration;

use ledger::Booking;
use serde_json::{Value, json};

use crate::Object;
use crate::moment;

/// A row of the spend log.
#[must_use]
pub fn row(booking: &Booking) -> Value {
    let tokens = &booking.tokens;
    let detail: Option<Object> =
        booking.detail.as_deref().and_then(|detail| serde_json::from_str(detail).ok());
    let mut metadata = Object::new();
    metadata.insert("user_api_key".to_owned(), json!(booking.key));
    metadata.insert("cache_read_input_tokens".to_owned(), json!(tokens.cache_read));
    metadata.insert("cache_creation_input_tokens".to_owned(), json!(tokens.cache_write));
    metadata.insert("saved_cache_cost".to_owned(), json!(booking.saved));
    metadata.insert("usage_is_estimate".to_owned(), json!(booking.estimated));
    metadata.insert("status".to_owned(), json!(status(booking)));
    let detail = detail.unwrap_or_default();
    let first_token = detail.get("first_token_ms").and_then(Value::as_u64).map(Duration::from_millis);
    if let Some(list) = &booking.catalog {
        metadata.insert("price_list".to_owned(), json!(list));
    }
    metadata.extend(detail);
    json!({
        "request_id": booking.request,
        "litellm_call_id": booking.request,
        "call_type": booking.call_type,
        "api_key": booking.key,
        "spend": booking.cost,
        "total_tokens": tokens.input.saturating_add(tokens.output),
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "startTime": moment::iso(booking.started_at),
        "endTime": moment::iso(booking.ended_at),
        "completionStartTime": first_token.map(|after| moment::iso(booking.started_at.plus(after))),
        "request_duration_ms": booking.ended_at.0.saturating_sub(booking.started_at.0),
        "model": booking.model,
        "model_id": booking.deployment,
        "model_group": booking.model_group,
        "custom_llm_provider": booking.provider,
        "user": booking.user.as_ref().map_or("", |user| user.as_str()),
        "team_id": booking.team,
        "organization_id": booking.organization,
        "end_user": booking.customer.as_ref().map_or("", |customer| customer.as_str()),
        "request_tags": booking.tags,
        "cache_hit": if booking.cache_hit { "True" } else { "False" },
        "session_id": booking.session,
        "status": status(booking),
        "metadata": metadata,
    })
}

fn status(booking: &Booking) -> &'static str {
    if booking.failed { "failure" } else { "success" }
}

/// The columns of the log as CSV.
pub const COLUMNS: [&str; 18] = [
    "request_id",
    "startTime",
    "endTime",
    "call_type",
    "status",
    "model",
    "model_group",
    "custom_llm_provider",
    "model_id",
    "api_key",
    "user",
    "team_id",
    "organization_id",
    "end_user",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "spend",
];
