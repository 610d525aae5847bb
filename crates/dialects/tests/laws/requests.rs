//! Writing and reading requests: what is said stays said.

use std::collections::HashMap;

use dialects::Dialect;
use dialects::conversation::{Media, Message, Part, Request, Role, Source, Tool, ToolChoice};
use dialects::document::Document;
use dialects::exchange::{ModelFacts, Target};
use dialects::loss::{Losses, ParameterPolicy};
use proptest::prelude::*;
use serde_json::{Number, Value};

use crate::{any_dialect, generate, golden};

/// A model that has whatever its dialect can say.
fn model(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => "gpt-5.1",
        Dialect::OpenaiCompletions => "gpt-3.5-turbo-instruct",
        Dialect::AnthropicMessages => "claude-sonnet-4-5",
        Dialect::Gemini => "gemini-2.5-flash",
    }
}

fn write(request: &Request, to: Dialect) -> Vec<u8> {
    let (facts, policy) =
        (ModelFacts::default(), ParameterPolicy { drop_params: true, ..Default::default() });
    let target = Target { model: model(to), quirks: &[], facts: &facts, policy: &policy };
    to.codec().write_request(request, &target, &mut Losses::new(true)).unwrap()
}

fn read(body: &[u8], from: Dialect) -> Request {
    let read = Document::parse(body).and_then(|document| from.codec().read_request(&document));
    read.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
}

fn written_and_read(request: &Request, dialect: Dialect) -> Request {
    read(&write(request, dialect), dialect)
}

/// What a dialect can say is what it reads of what it wrote; said again, nothing changes.
#[test]
fn golden_requests_are_a_fixed_point_from_the_second_time_on() {
    for input in golden::inputs("requests") {
        for dialect in Dialect::ALL {
            let once = written_and_read(&read(input.text.as_bytes(), input.dialect), dialect);
            let twice = written_and_read(&once, dialect);
            assert_eq!(twice, once, "{} in {dialect}", input.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_dialect_can_say_the_common_core(
        (request, dialect) in any_dialect().prop_flat_map(|from| (generate::request(from), any_dialect())),
    ) {
        let once = written_and_read(&request, dialect);
        prop_assert_eq!(Core::of(&once), Core::of(&request));
        prop_assert_eq!(written_and_read(&once, dialect), once);
    }
}

/// What every dialect can say of a request, without how it groups it into messages or names its calls.
#[derive(Debug, PartialEq)]
struct Core {
    said: Vec<Said>,
    tools: Vec<(String, Option<String>, Option<Value>)>,
    choice: Option<ToolChoice>,
    temperature: Option<Number>,
    top_p: Option<Number>,
    max_output_tokens: Option<u64>,
}

#[derive(Debug, PartialEq)]
enum Said {
    Text(Speaker, String),
    Image(Speaker, Result<String, String>),
    /// The number of the call in the conversation stands for its id.
    Call(usize, String, Value),
    Result(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Speaker {
    System,
    User,
    Assistant,
    Tool,
}

impl Core {
    fn of(request: &Request) -> Self {
        let mut said = Vec::new();
        let mut calls = HashMap::new();
        for Message { role, parts, .. } in &request.messages {
            let speaker = match role {
                Role::System | Role::Developer => Speaker::System,
                Role::User => Speaker::User,
                Role::Assistant => Speaker::Assistant,
                Role::Tool => Speaker::Tool,
            };
            parts.iter().for_each(|part| say(part, speaker, &mut calls, &mut said));
        }
        let tools = request.tools.iter().map(|tool| match tool {
            Tool::Function(tool) => (tool.name.clone(), tool.description.clone(), tool.parameters.clone()),
            other => panic!("{other:?}"),
        });
        Self {
            said,
            tools: tools.collect(),
            choice: request.tool_choice.clone(),
            temperature: request.sampling.temperature.clone(),
            top_p: request.sampling.top_p.clone(),
            max_output_tokens: request.max_output_tokens,
        }
    }
}

fn say<'a>(part: &'a Part, speaker: Speaker, calls: &mut HashMap<&'a str, usize>, said: &mut Vec<Said>) {
    match part {
        Part::Text(text) => said.push(Said::Text(speaker, text.text.clone())),
        Part::Media(Media { source: Source::Base64 { data, .. }, .. }) => {
            said.push(Said::Image(speaker, Ok(data.clone())));
        }
        Part::Media(Media { source: Source::Url { url, .. }, .. }) => {
            said.push(Said::Image(speaker, Err(url.clone())));
        }
        Part::ToolCall(call) => {
            let number = calls.len();
            calls.insert(&call.id, number);
            let arguments = serde_json::from_str(&call.arguments).unwrap();
            said.push(Said::Call(number, call.name.clone(), arguments));
        }
        Part::ToolResult(result) => {
            said.push(Said::Result(calls[result.call_id.as_str()]));
            result.parts.iter().for_each(|part| say(part, Speaker::Tool, calls, said));
        }
        other => panic!("{other:?}"),
    }
}
