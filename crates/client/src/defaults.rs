//! A deployment's own parameters (`litellm_params: {temperature: 0, …}`), with OpenAI's names, for requests that do
//! not set them.

use dialects::conversation::{Extra, Request};
use dialects::document::Document;
use dialects::loss::{Change, Losses};
use dialects::{Dialect, Invalid};
use serde_json::{Map, Value, json};

/// Puts defaults into a body of `dialect` that goes through unread.
pub(crate) fn fill_document(
    document: &mut Document<'_>,
    dialect: Dialect,
    defaults: &Extra,
    losses: &mut Losses,
) {
    for (name, value) in defaults {
        let Some((field, value)) = in_dialect(dialect, name, value) else {
            losses.note(
                name.as_str(),
                Change::Dropped,
                format!("the deployment's default has no place in {dialect}"),
            );
            continue;
        };
        if dialect == Dialect::Gemini {
            fill_generation_config(document, field, value);
        } else if !sets(document, field) {
            document.set_value(field, &value);
        }
    }
}

/// `max_tokens` and `max_completion_tokens` are two names of one thing.
fn sets(document: &Document<'_>, field: &str) -> bool {
    let twin = match field {
        "max_tokens" => "max_completion_tokens",
        "max_completion_tokens" => "max_tokens",
        _ => field,
    };
    document.has(field) || document.has(twin)
}

fn fill_generation_config(document: &mut Document<'_>, field: &str, value: Value) {
    let name = if document.has("generation_config") { "generation_config" } else { "generationConfig" };
    let mut config = match document.value(name) {
        Some(Value::Object(config)) => config,
        _ => Map::new(),
    };
    if !config.contains_key(field) {
        config.insert(field.to_owned(), value);
        document.set_value(name, &Value::Object(config));
    }
}

/// What OpenAI's parameter is called in `dialect`, and its value there.
fn in_dialect<'n>(dialect: Dialect, name: &'n str, value: &Value) -> Option<(&'n str, Value)> {
    let list = || if value.is_array() { value.clone() } else { json!([value]) };
    let (field, value) = match (dialect, name) {
        (Dialect::OpenaiChat, _) => (name, value.clone()),
        (Dialect::OpenaiResponses, "max_tokens" | "max_completion_tokens") => {
            ("max_output_tokens", value.clone())
        }
        (Dialect::OpenaiCompletions, "max_completion_tokens") => ("max_tokens", value.clone()),
        (
            Dialect::OpenaiCompletions,
            "max_tokens" | "temperature" | "top_p" | "top_k" | "n" | "stop" | "seed" | "user" | "suffix"
            | "echo" | "best_of" | "presence_penalty" | "frequency_penalty" | "logit_bias",
        ) => (name, value.clone()),
        (Dialect::OpenaiResponses, "reasoning_effort") => ("reasoning", json!({"effort": value})),
        (
            Dialect::OpenaiResponses,
            "temperature"
            | "top_p"
            | "user"
            | "metadata"
            | "store"
            | "service_tier"
            | "parallel_tool_calls"
            | "safety_identifier"
            | "prompt_cache_key"
            | "truncation"
            | "max_output_tokens"
            | "reasoning",
        )
        | (
            Dialect::AnthropicMessages,
            "max_tokens" | "temperature" | "top_p" | "top_k" | "thinking" | "stop_sequences" | "service_tier"
            | "output_config" | "context_management",
        ) => (name, value.clone()),
        (Dialect::AnthropicMessages, "max_completion_tokens") => ("max_tokens", value.clone()),
        (Dialect::AnthropicMessages, "stop") => ("stop_sequences", list()),
        (Dialect::Gemini, "max_tokens" | "max_completion_tokens") => ("maxOutputTokens", value.clone()),
        (Dialect::Gemini, "temperature" | "seed") => (name, value.clone()),
        (Dialect::Gemini, "top_p") => ("topP", value.clone()),
        (Dialect::Gemini, "top_k") => ("topK", value.clone()),
        (Dialect::Gemini, "stop") => ("stopSequences", list()),
        (Dialect::Gemini, "n") => ("candidateCount", value.clone()),
        _ => return None,
    };
    Some((field, value))
}

/// `request` with the defaults for what it leaves open.
pub(crate) fn fill_request(request: &Request, defaults: &Extra) -> Result<Request, Invalid> {
    let mut body = defaults.clone();
    body.entry("model").or_insert_with(|| json!(""));
    body.entry("messages").or_insert_with(|| json!([]));
    let text = Value::Object(body).to_string();
    let ours = Dialect::OpenaiChat.codec().read_request(&Document::of(&text)?)?;
    let mut filled = request.clone();
    macro_rules! fill {
        ($($field:ident).+) => {
            if filled.$($field).+.is_none() {
                filled.$($field).+ = ours.$($field).+;
            }
        };
    }
    fill!(max_output_tokens);
    fill!(tool_choice);
    fill!(parallel_tool_calls);
    fill!(output_format);
    fill!(audio);
    fill!(user);
    fill!(metadata);
    fill!(service_tier);
    fill!(prompt_cache_key);
    fill!(sampling.temperature);
    fill!(sampling.top_p);
    fill!(sampling.top_k);
    fill!(sampling.frequency_penalty);
    fill!(sampling.presence_penalty);
    fill!(sampling.seed);
    fill!(sampling.logit_bias);
    fill!(sampling.n);
    fill!(sampling.logprobs);
    fill!(sampling.top_logprobs);
    if filled.sampling.stop.is_empty() {
        filled.sampling.stop = ours.sampling.stop;
    }
    if filled.reasoning.is_empty() {
        filled.reasoning = ours.reasoning;
    }
    if filled.tools.is_empty() {
        filled.tools = ours.tools;
    }
    if filled.modalities.is_empty() {
        filled.modalities = ours.modalities;
    }
    for (name, value) in ours.extra {
        filled.extra.entry(name).or_insert(value);
    }
    Ok(filled)
}
