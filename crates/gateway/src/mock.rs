//! Answers that are made here: `mock_response` of a deployment, and the built-in model `demo`.

use std::time::Duration;

use dialects::conversation::{
    Choice, Delta, Event, FunctionTool, Message, Part, Request, Response, Role, StopReason, Tool, ToolCall,
    ToolChoice, Usage, replay,
};
use dialects::{Dialect, ErrorClass, ProviderError};
use serde_json::{Map, Value, json};

use crate::refusal::Refusal;

/// A deployment without a provider.
#[derive(Clone, Debug)]
pub struct Mock {
    pub says: Says,
    /// Before the answer.
    pub delay: Duration,
    /// Between two pieces of a streamed answer.
    pub pause: Duration,
}

#[derive(Clone, Debug)]
pub enum Says {
    /// A fixed text (`mock_response: "…"`), with LiteLLM's fixed usage of 10 input and 20 output tokens.
    Text(String),
    /// An error, by the name of LiteLLM's exception (`mock_response: "litellm.RateLimitError"`).
    Failure { class: ErrorClass, message: String },
    /// Talks about what it was asked, calls the tools it is given, counts tokens.
    Demo,
}

impl Mock {
    /// The demo model: paced, so that a stream is seen to stream.
    #[must_use]
    pub fn demo() -> Self {
        Self { says: Says::Demo, delay: Duration::ZERO, pause: Duration::from_millis(15) }
    }

    /// `mock_response` as LiteLLM understands it.
    #[must_use]
    pub fn text(text: &str, delay: Duration) -> Self {
        let failure = |class, what: &str| Says::Failure { class, message: format!("mocked: {what}") };
        let says = match text.trim_start_matches("litellm.") {
            "RateLimitError" => failure(ErrorClass::RateLimited, "the rate limit is reached"),
            "ContextWindowExceededError" => {
                failure(ErrorClass::ContextWindowExceeded, "the prompt is longer than the context window")
            }
            "InternalServerError" => failure(ErrorClass::Internal, "the provider failed"),
            "Exception: content_filter_policy" => {
                failure(ErrorClass::ContentPolicy, "the content filter refused")
            }
            _ => Says::Text(text.to_owned()),
        };
        Self { says, delay, pause: Duration::ZERO }
    }

    /// The answer.
    pub(crate) fn answer(&self, request: &Request, seed: &str) -> Result<Response, Refusal> {
        let (parts, usage) = match &self.says {
            // As if a provider had said it, so that retries, fallbacks and cooldowns can be tried with it.
            Says::Failure { class, message } => {
                return Err(Refusal::from_provider("Mock", &ProviderError::new(*class, 0, message.as_str())));
            }
            Says::Text(text) => (vec![Part::text(text)], Usage { input: 10, output: 20, ..Usage::default() }),
            Says::Demo => {
                let parts = demo_parts(request, seed);
                let usage = Usage {
                    input: catalog::tokens::count("gpt-4o", request).tokens,
                    output: parts.iter().map(part_tokens).sum(),
                    ..Usage::default()
                };
                (parts, usage)
            }
        };
        let calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
        let stop = if calls { StopReason::ToolCalls } else { StopReason::EndTurn };
        let choices = (0..u32::try_from(request.sampling.n.unwrap_or(1).clamp(1, 128)).unwrap_or(1))
            .map(|index| Choice {
                index,
                parts: parts.clone(),
                stop: stop.clone(),
                logprobs: None,
                extra: Map::new(),
            })
            .collect();
        Ok(Response {
            model: Some(request.model.clone()),
            choices,
            usage: Some(usage),
            ..Response::new(Dialect::OpenaiChat)
        })
    }

    /// The answer as a stream of small pieces.
    pub(crate) fn events(&self, response: Response) -> Vec<Event> {
        let mut events = Vec::new();
        for event in replay(response) {
            match event {
                Event::Delta { choice, part, delta: Delta::Text(text) } => {
                    events.extend(self.pieces(&text).map(|piece| Event::Delta {
                        choice,
                        part,
                        delta: Delta::Text(piece),
                    }));
                }
                other => events.push(other),
            }
        }
        events
    }

    /// LiteLLM streams mocks in pieces of three characters; the demo speaks in words.
    fn pieces<'t>(&self, text: &'t str) -> Box<dyn Iterator<Item = String> + 't> {
        if matches!(self.says, Says::Demo) {
            return Box::new(text.split_inclusive(' ').map(str::to_owned));
        }
        let characters: Vec<char> = text.chars().collect();
        let pieces: Vec<String> = characters.chunks(3).map(|piece| piece.iter().collect()).collect();
        Box::new(pieces.into_iter())
    }
}

fn part_tokens(part: &Part) -> u64 {
    match part {
        Part::Text(text) => catalog::tokens::count_text("gpt-4o", &text.text).tokens,
        Part::ToolCall(call) => catalog::tokens::count_text("gpt-4o", &call.arguments).tokens + 4,
        _ => 0,
    }
}

fn demo_parts(request: &Request, seed: &str) -> Vec<Part> {
    if let Some(results) = tool_results(request) {
        return vec![Part::text(format!("Your tool answered: {results}"))];
    }
    if let Some(tool) = wanted_tool(request) {
        let arguments = example(tool.parameters.as_ref().unwrap_or(&Value::Null)).to_string();
        return vec![Part::ToolCall(ToolCall::function(format!("call_{seed}"), &tool.name, arguments))];
    }
    if let Some(schema) = answer_schema(request) {
        return vec![Part::text(example(schema).to_string())];
    }
    let question = last_text(request);
    vec![Part::text(format!(
        "This is Tollway's built-in demo model; it understands nothing, but the road works. You said: “{}”. \
         To reach a real model, set a provider's key (for example OPENAI_API_KEY) and run `tollway init`.",
        question.trim()
    ))]
}

fn answer_schema(request: &Request) -> Option<&Value> {
    match request.output_format.as_ref()? {
        dialects::conversation::OutputFormat::JsonSchema(schema) => schema.schema.as_ref(),
        dialects::conversation::OutputFormat::JsonObject => Some(&Value::Null),
        dialects::conversation::OutputFormat::Text | dialects::conversation::OutputFormat::Opaque(_) => None,
    }
}

/// The tool that the demo calls: the named one, else the first.
fn wanted_tool(request: &Request) -> Option<&FunctionTool> {
    let mut functions = request.tools.iter().filter_map(|tool| match tool {
        Tool::Function(function) => Some(function),
        _ => None,
    });
    match &request.tool_choice {
        Some(ToolChoice::None) => None,
        Some(ToolChoice::Function(name)) => functions.find(|function| function.name == *name),
        _ => functions.next(),
    }
}

fn tool_results(request: &Request) -> Option<String> {
    let last = request.messages.last()?;
    let texts: Vec<String> = last
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::ToolResult(result) => Some(result.parts.iter().map(plain_text).collect()),
            _ => None,
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

fn last_text(request: &Request) -> String {
    let said = |message: &&Message| message.role == Role::User;
    let message = request.messages.iter().rev().find(said);
    message.map(|message| message.parts.iter().map(plain_text).collect()).unwrap_or_default()
}

fn plain_text(part: &Part) -> String {
    match part {
        Part::Text(text) => text.text.clone(),
        Part::Media(_) => "[media]".to_owned(),
        _ => String::new(),
    }
}

/// A small value that a JSON schema accepts.
fn example(schema: &Value) -> Value {
    if let Some(value) = schema.get("const").or_else(|| schema.get("default")) {
        return value.clone();
    }
    if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    if let Some(first) = ["anyOf", "oneOf"].iter().find_map(|word| schema.get(word)?.get(0)) {
        return example(first);
    }
    let kind = schema.get("type").and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str()));
    match kind {
        Some("string") => json!("example"),
        Some("integer") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1.5)),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("array") => schema.get("items").map_or_else(|| json!([]), |items| json!([example(items)])),
        _ => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let fields = properties.into_iter().flatten().map(|(name, field)| (name.clone(), example(field)));
            Value::Object(fields.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_follow_their_schema() {
        let schema = json!({"type": "object", "properties": {
            "city": {"type": "string"}, "unit": {"enum": ["c", "f"]}, "days": {"type": ["integer", "null"]},
            "tags": {"type": "array", "items": {"type": "boolean"}}
        }});
        assert_eq!(example(&schema), json!({"city": "example", "unit": "c", "days": 1, "tags": [true]}));
    }

    #[test]
    fn mock_texts_may_name_errors() {
        let request = Request::new(Dialect::OpenaiChat, "m", vec![Message::text(Role::User, "hi")]);
        let failure = Mock::text("litellm.RateLimitError", Duration::ZERO).answer(&request, "s").unwrap_err();
        assert_eq!(failure.status, 429);
        let answer = Mock::text("fixed", Duration::ZERO).answer(&request, "s").unwrap();
        assert_eq!(answer.choices[0].parts, [Part::text("fixed")]);
    }
}
