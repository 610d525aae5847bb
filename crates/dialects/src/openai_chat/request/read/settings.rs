//! How the answer is to be made: its form, how tokens are drawn, how much the model thinks.

use serde_json::{Number, Value};

use super::field;
use crate::conversation::{
    Effort, Extra, JsonSchema, Modality, OutputFormat, ReasoningRequest, ReasoningSummary, Sampling, Thinking,
};
use crate::document::Document;
use crate::error::Invalid;
use crate::openai_chat::wire;

pub(super) fn read_output_format(document: &Document<'_>) -> Result<Option<OutputFormat>, Invalid> {
    let Some(format) = field::<Extra>(document, "response_format")? else { return Ok(None) };
    let format = match format.get("type").and_then(Value::as_str) {
        Some("text") => OutputFormat::Text,
        Some("json_object") => OutputFormat::JsonObject,
        Some("json_schema") => {
            let Some(schema) = format.get("json_schema") else {
                return Err(Invalid::new("response_format.json_schema", "the schema is missing"));
            };
            let text = |name: &str| schema.get(name).and_then(Value::as_str).map(str::to_owned);
            OutputFormat::JsonSchema(JsonSchema {
                name: text("name").unwrap_or_default(),
                description: text("description"),
                schema: schema.get("schema").cloned(),
                strict: schema.get("strict").and_then(Value::as_bool),
            })
        }
        Some(_) => OutputFormat::Opaque(Value::Object(format)),
        None => {
            let message = "say which format: `text`, `json_object` or `json_schema`";
            return Err(Invalid::new("response_format.type", message));
        }
    };
    Ok(Some(format))
}

pub(super) fn read_sampling(document: &Document<'_>) -> Result<Sampling, Invalid> {
    let number = |name: &str| field::<Number>(document, name);
    let stop = match document.get("stop") {
        None | Some("null") => Vec::new(),
        Some(text) if text.starts_with('"') => field::<String>(document, "stop")?.into_iter().collect(),
        Some(_) => field(document, "stop")?.unwrap_or_default(),
    };
    Ok(Sampling {
        temperature: number("temperature")?,
        top_p: number("top_p")?,
        top_k: number("top_k")?,
        frequency_penalty: number("frequency_penalty")?,
        presence_penalty: number("presence_penalty")?,
        seed: number("seed")?,
        logit_bias: field(document, "logit_bias")?,
        stop,
        n: field(document, "n")?,
        logprobs: field(document, "logprobs")?,
        top_logprobs: field(document, "top_logprobs")?,
    })
}

pub(super) fn read_reasoning(document: &Document<'_>) -> Result<ReasoningRequest, Invalid> {
    let mut reasoning = ReasoningRequest::default();
    match document.value("reasoning_effort") {
        Some(Value::String(effort)) => reasoning.effort = Some(Effort::from_name(&effort)),
        // LiteLLM takes the object of OpenAI Responses here.
        Some(Value::Object(fields)) => {
            reasoning.effort = fields.get("effort").and_then(Value::as_str).map(Effort::from_name);
            reasoning.summary = match fields.get("summary").and_then(Value::as_str) {
                Some("auto") => Some(ReasoningSummary::Auto),
                Some("concise") => Some(ReasoningSummary::Concise),
                Some("detailed") => Some(ReasoningSummary::Detailed),
                _ => None,
            };
        }
        _ => {}
    }
    if let Some(thinking) = field::<wire::Thinking>(document, "thinking")? {
        reasoning.thinking = Some(match (thinking.kind.as_str(), thinking.budget_tokens) {
            ("", _) => {
                let message = "say how to think: `enabled`, `adaptive` or `disabled`";
                return Err(Invalid::new("thinking.type", message));
            }
            ("disabled", _) => Thinking::Disabled,
            ("adaptive", _) | (_, None) => Thinking::Adaptive,
            (_, Some(budget)) => Thinking::Budget(budget),
        });
    }
    Ok(reasoning)
}

pub(super) fn read_modalities(document: &Document<'_>) -> Result<Vec<Modality>, Invalid> {
    let names: Vec<String> = field(document, "modalities")?.unwrap_or_default();
    names
        .iter()
        .enumerate()
        .map(|(index, name)| match name.as_str() {
            "text" => Ok(Modality::Text),
            "audio" => Ok(Modality::Audio),
            "image" => Ok(Modality::Image),
            other => {
                let message = format!("expected `text`, `audio` or `image`, found `{other}`");
                Err(Invalid::new(format!("modalities[{index}]"), message))
            }
        })
        .collect()
}
