//! The part of a request that may be said in other words: what its user said last.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use dialects::Dialect;
use dialects::document::Document;
use dialects::service::Service;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Gateway;
use crate::cache::{Cache, Entry, Key, Match, Unit};
use crate::exchange::Identity;
use crate::operation::Operation;
use crate::pipeline;

/// The most text that a vector is asked for; embedding models take no more than about 8,000 tokens.
const MAX_BYTES: usize = 24 * 1024;

/// The most that is read of an embedding model's answer.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// What was asked, as far as similar questions go.
#[derive(Debug)]
pub(super) struct Wording {
    /// Everything else.
    pub context: [u8; 32],
    /// What the user said last.
    pub text: String,
    pub vector: Option<Unit>,
}

/// The last words of the user, and the document without them; `None` where there are none, or not only words.
pub(super) fn split<'d>(operation: Operation, document: &Document<'d>) -> Option<(Document<'d>, String)> {
    let Operation::Converse(dialect) = operation else { return None };
    let field = match dialect {
        Dialect::OpenaiResponses => "input",
        Dialect::Gemini => "contents",
        Dialect::OpenaiCompletions => "prompt",
        _ => "messages",
    };
    let (rest, text) = match document.value(field)? {
        Value::String(text) => (Value::Null, text),
        Value::Array(mut turns) => {
            let before = turns.iter().rposition(|turn| !is_user(turn)).map_or(0, |place| place + 1);
            let words: Option<Vec<String>> = turns.split_off(before).iter().map(words).collect();
            (Value::Array(turns), words?.join("\n"))
        }
        _ => return None,
    };
    if text.trim().is_empty() || text.len() > MAX_BYTES {
        return None;
    }
    let mut document = document.clone();
    document.set_value(field, &rest);
    Some((document, text))
}

fn is_user(turn: &Value) -> bool {
    let is_message = turn.get("type").is_none_or(|kind| kind == "message");
    // Gemini's contents without a role are the user's.
    is_message && turn.get("role").map_or(turn.get("parts").is_some(), |role| role == "user")
}

/// What a turn says; `None` if there is more to it than words.
fn words(turn: &Value) -> Option<String> {
    match turn.get("content").or_else(|| turn.get("parts"))? {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts: Option<Vec<&str>> = parts.iter().map(text).collect();
            Some(texts?.join("\n"))
        }
        _ => None,
    }
}

fn text(part: &Value) -> Option<&str> {
    let is_text = match part.get("type").and_then(Value::as_str) {
        Some(kind) => matches!(kind, "text" | "input_text"),
        None => part.as_object().is_some_and(|part| part.len() == 1),
    };
    part.get("text").filter(|_| is_text)?.as_str()
}

/// Makes a vector of a text with the gateway's own embedding model. A request of its own, in a box of its own: the
/// pipeline would contain itself otherwise.
pub(super) fn embed(
    gateway: Arc<Gateway>,
    cache: Arc<Cache>,
    text: String,
) -> Pin<Box<dyn Future<Output = Option<Unit>> + Send>> {
    Box::pin(async move {
        let similar = cache.similar()?;
        similar.embed(ask(&gateway, &similar.settings.embedding_model, &text)).await
    })
}

async fn ask(gateway: &Arc<Gateway>, model: &str, text: &str) -> Option<Unit> {
    #[derive(Deserialize)]
    struct Answer {
        data: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        embedding: Vec<f32>,
    }
    let keep_none = json!({"no-cache": true, "no-store": true});
    let body = json!({"model": model, "input": text, "encoding_format": "float", "cache": keep_none});
    let operation = Operation::Forward(Service::Embeddings);
    let body = Bytes::from(body.to_string());
    let answer = pipeline::ask_as(gateway, Identity::SemanticCache, operation, &body).await.ok()?;
    let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await.ok()?.to_bytes();
    let answer: Answer = serde_json::from_slice(&body).ok()?;
    Unit::new(&answer.data.first()?.embedding)
}

/// Keeps what an answer was given to, making a vector of it first where there is none yet.
pub(super) fn remember(
    gateway: &Arc<Gateway>,
    cache: &Arc<Cache>,
    wording: Wording,
    key: Key,
    call: &str,
    entry: Arc<Entry>,
) {
    let Some(similar) = cache.similar() else { return };
    let Wording { context, text, vector } = wording;
    let found = Match { key, score: 1.0, call: call.into() };
    if let Some(vector) = vector {
        return similar.put(context, vector, found, entry);
    }
    let Some(leave) = similar.late() else { return };
    let (gateway, cache) = (Arc::clone(gateway), Arc::clone(cache));
    tokio::spawn(async move {
        let vector = embed(gateway, Arc::clone(&cache), text).await;
        if let (Some(vector), Some(similar)) = (vector, cache.similar()) {
            similar.put(context, vector, found, entry);
        }
        drop(leave);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_of(dialect: Dialect, body: &str) -> Option<(String, String)> {
        let document = Document::of(body).unwrap();
        let (rest, text) = split(Operation::Converse(dialect), &document)?;
        Some((String::from_utf8(rest.to_bytes()).unwrap(), text))
    }

    #[test]
    fn the_users_last_words_are_taken_out() {
        let chat = r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"a"}]}"#;
        let (rest, text) = split_of(Dialect::OpenaiChat, chat).unwrap();
        assert_eq!(
            (rest.as_str(), text.as_str()),
            (r#"{"messages":[{"role":"system","content":"s"}]}"#, "a")
        );
        let table = [
            (Dialect::OpenaiResponses, r#"{"input":"a"}"#, "a"),
            (
                Dialect::OpenaiResponses,
                r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]}]}"#,
                "a",
            ),
            (
                Dialect::AnthropicMessages,
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]}"#,
                "a",
            ),
            (Dialect::Gemini, r#"{"contents":[{"parts":[{"text":"a"},{"text":"b"}]}]}"#, "a\nb"),
            (
                Dialect::OpenaiChat,
                r#"{"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}]}"#,
                "a\nb",
            ),
            (Dialect::OpenaiCompletions, r#"{"prompt":"a"}"#, "a"),
        ];
        for (dialect, body, expected) in table {
            assert_eq!(split_of(dialect, body).map(|(_, text)| text).as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn what_is_not_only_words_is_not_compared() {
        for body in [
            r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}"#,
            r#"{"messages":[{"role":"user","content":"a"},{"role":"tool","tool_call_id":"c","content":"b"}]}"#,
            r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#,
            r#"{"messages":[]}"#,
            r#"{"messages":[{"role":"user","content":" "}]}"#,
            r#"{}"#,
        ] {
            assert_eq!(split_of(Dialect::OpenaiChat, body), None, "{body}");
        }
        let file = r#"{"contents":[{"parts":[{"text":"a","thought":true}]}]}"#;
        assert_eq!(split_of(Dialect::Gemini, file), None);
    }
}
