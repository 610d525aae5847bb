use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::response::Json;
use dialects::Dialect;
use dialects::conversation::{Message, Part, Request, Role};
use dialects::document::Document;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tollway::ask::Ask;

use super::access::Authenticated;
use crate::Gateway;
use crate::pipeline::is_for;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;

#[derive(Debug, Deserialize)]
pub(super) struct ModelQuery {
    model: String,
    custom_llm_provider: Option<String>,
}

/// What is known of a model: of one that this gateway serves, else of one of the price map.
pub(super) async fn model_info(
    Authenticated(caller): Authenticated,
    State(gateway): State<Arc<Gateway>>,
    Query(query): Query<ModelQuery>,
) -> Result<Json<Value>, Refusal> {
    let snapshot = gateway.snapshot();
    let served = snapshot.group(&query.model).filter(|_| is_for(&caller, &snapshot, &query.model));
    let served = served.and_then(|group| group.members.first()?.prices.clone());
    let prices = catalog::prices::embedded();
    let of_provider = query.custom_llm_provider.map(|provider| format!("{provider}/{}", query.model));
    let entry = served
        .or_else(|| of_provider.and_then(|name| prices.entry(&name)))
        .or_else(|| prices.entry(&query.model));
    match entry {
        Some(entry) => Ok(Json(Value::Object(entry.to_json()))),
        None => {
            let told = format!("nothing is known of the model `{}`", query.model);
            Err(Refusal::of_kind(404, "not_found_error", told).about("model"))
        }
    }
}

/// Counts tokens the way the model's own tokenizer does, where it is known.
pub(super) async fn token_counter(
    _: Authenticated,
    State(gateway): State<Arc<Gateway>>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let document = Document::parse(&body)?;
    let name = document.text("model")?.ok_or_else(|| missing("model"))?;
    let request = counted_request(&document, &name)?;
    let group = gateway.snapshot().group(&name);
    let used = group.and_then(|group| group.members.first().map(|served| served.deployment.model.clone()));
    let model = used.unwrap_or_else(|| name.clone().into_owned());
    let count = catalog::tokens::count(&model, &request);
    Ok(Json(json!({
        "total_tokens": count.tokens,
        "request_model": name,
        "model_used": model,
        "tokenizer_type": count.tokenizer,
        "count_source": if count.exact { "local_tokenizer" } else { "local_estimate" },
        "original_response": null,
        "error": false,
        "error_message": null,
        "status_code": null,
    })))
}

/// The tokens of a request's text, as the model's own tokenizer counts them where it is known.
pub(crate) fn count_tokens(snapshot: &Snapshot, model: &str, request: &str) -> Result<u64, Refusal> {
    let document = Document::parse(request.as_bytes())?;
    let request = counted_request(&document, model)?;
    let group = snapshot.group(model);
    let used = group.and_then(|group| group.members.first().map(|served| served.deployment.model.clone()));
    Ok(catalog::tokens::count(used.as_deref().unwrap_or(model), &request).tokens)
}

/// What is to be counted, in whichever shape it came.
fn counted_request(document: &Document<'_>, model: &str) -> Result<Request, Refusal> {
    if let Some(prompt) = document.text("prompt")? {
        let message = Message::new(Role::User, vec![Part::text(prompt)]);
        return Ok(Request::new(Dialect::OpenaiChat, model, vec![message]));
    }
    let dialect = if document.has("contents") {
        Dialect::Gemini
    } else if document.has("system") {
        Dialect::AnthropicMessages
    } else if document.has("messages") {
        Dialect::OpenaiChat
    } else {
        return Err(Refusal::bad_request("one of `prompt`, `messages` and `contents` is needed"));
    };
    let mut document = document.clone();
    if dialect == Dialect::AnthropicMessages && !document.has("max_tokens") {
        document.set("max_tokens", "1");
    }
    Ok(dialect.codec().read_request(&document)?)
}

/// Shows what a deployment would be sent, without sending it. Sign-in headers are masked.
pub(super) async fn transform_request(
    _: Authenticated,
    State(gateway): State<Arc<Gateway>>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let document = Document::parse(&body)?;
    let call_type = document.text("call_type")?.ok_or_else(|| missing("call_type"))?;
    let dialect = match &*call_type {
        "completion" | "acompletion" => Dialect::OpenaiChat,
        "text_completion" | "atext_completion" => Dialect::OpenaiCompletions,
        "responses" | "aresponses" => Dialect::OpenaiResponses,
        "anthropic_messages" => Dialect::AnthropicMessages,
        "generate_content" | "agenerate_content" => Dialect::Gemini,
        other => {
            return Err(Refusal::bad_request(format!(
                "`call_type`: `{other}` is not one of completion, text_completion, responses, anthropic_messages, \
                 generate_content"
            )));
        }
    };
    let inner = document.get("request_body").ok_or_else(|| missing("request_body"))?;
    let inner = Document::of(inner)?;
    let model = inner.text("model")?.ok_or_else(|| missing("request_body.model"))?.into_owned();
    let stream = inner.flag("stream")?.unwrap_or(false);
    let snapshot = gateway.snapshot();
    let group =
        snapshot.group(&model).ok_or_else(|| Refusal::unknown_model(&model, snapshot.nearest(&model)))?;
    let served = group.members.first().ok_or_else(|| Refusal::unknown_model(&model, None))?;
    let ask = Ask::new(dialect, &inner, &model, stream);
    Ok(Json(match served.deployment.prepare(&ask, None) {
        Ok(prepared) => {
            json!({
                "raw_request_api_base": prepared.address().uri.to_string(),
                "raw_request_body": serde_json::from_slice::<Value>(&prepared.body).unwrap_or(Value::Null),
                "raw_request_headers": shown_headers(&prepared.headers),
                "error": null,
            })
        }
        Err(error) => json!({
            "raw_request_api_base": null,
            "raw_request_body": null,
            "raw_request_headers": {},
            "error": error.to_string(),
        }),
    }))
}

fn shown_headers(headers: &HeaderMap) -> Map<String, Value> {
    let shown = headers.iter().map(|(name, value)| {
        let text = match value.to_str() {
            Ok(text) if !value.is_sensitive() => text.to_owned(),
            _ => "****".to_owned(),
        };
        (name.to_string(), Value::from(text))
    });
    shown.collect()
}

fn missing(field: &str) -> Refusal {
    Refusal::bad_request(format!("Missing required parameter: '{field}'.")).about(field)
}
