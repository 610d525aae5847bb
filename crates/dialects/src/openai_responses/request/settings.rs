//! Settings that other dialects spread over fields of their own: the shape of the output and the reasoning.

use serde_json::{Value, json};

use super::super::fields::{Fields, Place};
use crate::Dialect;
use crate::conversation::{
    Effort, Extra, JsonSchema, OutputFormat, ReasoningRequest, ReasoningSummary, Request, Thinking,
};
use crate::error::Invalid;
use crate::exchange::ModelFacts;

/// `text`: the format, and what else it says (`verbosity`).
pub(super) fn read_text(text: Extra) -> Result<(Option<OutputFormat>, Extra), Invalid> {
    let place = Place::Field(&Place::Body, "text");
    let mut text = Fields::new(text, &place);
    let format = text.object("format")?.map(|format| read_format(format, &place)).transpose()?;
    Ok((format, text.rest()))
}

fn read_format(format: Extra, text: &Place<'_>) -> Result<OutputFormat, Invalid> {
    let place = Place::Field(text, "format");
    let mut format = Fields::new(format, &place);
    match format.kind() {
        Some("text") => Ok(OutputFormat::Text),
        Some("json_object") => Ok(OutputFormat::JsonObject),
        Some("json_schema") => Ok(OutputFormat::JsonSchema(JsonSchema {
            name: format.need_text("name")?,
            description: format.text("description")?,
            schema: match format.take("schema") {
                None => {
                    return Err(
                        Place::Field(&place, "schema").wrong("the field is missing; give a JSON schema")
                    );
                }
                schema => schema,
            },
            strict: format.flag("strict")?,
        })),
        Some(_) => Ok(OutputFormat::Opaque(Value::Object(format.rest()))),
        None => Err(Place::Field(&place, "type").wrong("the field is missing; give a string")),
    }
}

/// `text` as this API has it; `None` when the request says nothing about it.
pub(in crate::openai_responses) fn text_config(request: &Request) -> Option<Value> {
    let mut text = Extra::new();
    let native = request.dialect == Dialect::OpenaiResponses;
    let format = match &request.output_format {
        Some(OutputFormat::Text) => Some(json!({"type": "text"})),
        Some(OutputFormat::JsonObject) => Some(json!({"type": "json_object"})),
        Some(OutputFormat::JsonSchema(schema)) => Some(schema_format(schema)),
        Some(OutputFormat::Opaque(value)) => native.then(|| value.clone()),
        None => None,
    };
    if let Some(format) = format {
        text.insert("format".to_owned(), format);
    }
    if let Some(verbosity) = verbosity(request) {
        text.insert("verbosity".to_owned(), verbosity.clone());
    }
    if let (Dialect::OpenaiResponses, Some(Value::Object(rest))) =
        (request.dialect, request.extra.get("text"))
    {
        text.extend(rest.clone());
    }
    (!text.is_empty()).then_some(Value::Object(text))
}

fn schema_format(schema: &JsonSchema) -> Value {
    let name = if schema.name.is_empty() { "response" } else { &schema.name };
    let mut format = Extra::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            format.insert(name.to_owned(), value);
        }
    };
    put("type", Some("json_schema".into()));
    put("name", Some(name.into()));
    put("description", schema.description.as_deref().map(Value::from));
    put("schema", schema.schema.clone());
    put("strict", schema.strict.map(Value::from));
    Value::Object(format)
}

/// How wordy the answer is to be. Chat Completions has the same setting at the top of the body.
pub(in crate::openai_responses) fn verbosity(request: &Request) -> Option<&Value> {
    match request.dialect {
        Dialect::OpenaiResponses => request.extra.get("text")?.get("verbosity"),
        Dialect::OpenaiChat => request.extra.get("verbosity"),
        Dialect::AnthropicMessages | Dialect::Gemini | Dialect::OpenaiCompletions => None,
    }
}

/// `reasoning`, and what of it the model has no place for.
pub(super) fn read_reasoning(reasoning: Extra) -> Result<(ReasoningRequest, Extra), Invalid> {
    let place = Place::Field(&Place::Body, "reasoning");
    let mut fields = Fields::new(reasoning, &place);
    let effort = fields.text("effort")?.map(|name| Effort::from_name(&name));
    // `generate_summary` is the old name of `summary`.
    let old = fields.text("generate_summary")?;
    let summary = match fields.text("summary")?.or(old).as_deref() {
        None => None,
        Some("auto") => Some(ReasoningSummary::Auto),
        Some("concise") => Some(ReasoningSummary::Concise),
        Some("detailed") => Some(ReasoningSummary::Detailed),
        Some(other) => {
            let message = format!("expected `auto`, `concise` or `detailed`, found `{other}`");
            return Err(Place::Field(&place, "summary").wrong(message));
        }
    };
    Ok((ReasoningRequest { effort, summary, ..ReasoningRequest::default() }, fields.rest()))
}

/// `reasoning` as this API has it; `None` when the request says nothing about it.
pub(in crate::openai_responses) fn write_reasoning(request: &Request, facts: &ModelFacts) -> Option<Value> {
    let asked = &request.reasoning;
    let mut reasoning = Extra::new();
    let effort = asked.effort.clone().or_else(|| match asked.thinking {
        Some(Thinking::Budget(tokens)) => Some(Effort::from_budget(tokens)),
        // Models that cannot switch thinking off refuse `none`.
        Some(Thinking::Disabled) if facts.supports_none_reasoning_effort == Some(true) => Some(Effort::None),
        Some(Thinking::Disabled | Thinking::Adaptive) | None => None,
    });
    if let Some(effort) = effort {
        let effort = facts.highest_effort_below(&effort).unwrap_or(effort);
        reasoning.insert("effort".to_owned(), effort.name().into());
    }
    let summary = match asked.summary {
        Some(ReasoningSummary::Auto) => Some("auto"),
        Some(ReasoningSummary::Concise) => Some("concise"),
        Some(ReasoningSummary::Detailed) => Some("detailed"),
        Some(ReasoningSummary::Omitted) | None => None,
    };
    if let Some(summary) = summary {
        reasoning.insert("summary".to_owned(), summary.into());
    }
    if let (Dialect::OpenaiResponses, Some(Value::Object(rest))) =
        (request.dialect, request.extra.get("reasoning"))
    {
        reasoning.extend(rest.clone());
    }
    (!reasoning.is_empty()).then_some(Value::Object(reasoning))
}
