//! Conversations that every dialect can say: text, images, tools, their calls and results, system prompts and
//! sampling.

use dialects::Dialect;
use dialects::conversation::{
    Choice, Delta, Event, Extra, FunctionTool, Media, MediaKind, Message, Part, Reasoning, Request, Response,
    Role, Source, StopReason, Tool, ToolCall, ToolChoice, ToolResult, Usage, replay,
};
use proptest::prelude::*;
use serde_json::{Number, Value, json};

const TOOLS: [&str; 3] = ["get_weather", "get_time", "draw"];

/// Visible text. It neither begins nor ends with a space, since providers refuse answers that do.
pub(crate) fn text() -> impl Strategy<Value = String> {
    "[a-zA-Zé東\"\\\\{}<&]{1,6}( [a-z\n\t]{0,4}[a-z.])?"
}

fn image() -> impl Strategy<Value = Part> {
    let source = prop_oneof![
        "[A-Za-z0-9+/]{8}".prop_map(|data| Source::Base64 { media_type: "image/png".to_owned(), data }),
        "[a-z]{1,5}".prop_map(|name| Source::Url {
            url: format!("https://example.com/{name}.png"),
            media_type: None
        }),
    ];
    source.prop_map(|source| Part::Media(Media::new(MediaKind::Image, source)))
}

fn arguments() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        text().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        prop::collection::vec(text(), 0..3).prop_map(Value::from),
        text().prop_map(|text| json!({"nested": text})),
    ];
    prop::collection::btree_map("[a-z]{1,5}", value, 0..3)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

fn calls() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    prop::collection::vec((prop::sample::select(TOOLS.to_vec()), arguments()), 0..3)
}

#[derive(Clone, Debug)]
struct Round {
    asked: Vec<Part>,
    said: Option<String>,
    calls: Vec<(&'static str, Value)>,
    results: Vec<(String, Option<Part>)>,
}

fn round() -> impl Strategy<Value = Round> {
    let asked = prop::collection::vec(prop_oneof![3 => text().prop_map(Part::text), 1 => image()], 1..3);
    let results = prop::collection::vec((text(), prop::option::weighted(0.2, image())), 3);
    (asked, prop::option::of(text()), calls(), results).prop_map(|(asked, said, calls, results)| Round {
        asked,
        said,
        calls,
        results,
    })
}

fn tool(name: &str, description: Option<String>, field: &str) -> Tool {
    Tool::Function(FunctionTool {
        name: name.to_owned(),
        description,
        parameters: Some(json!({
            "type": "object",
            "properties": {field: {"type": "string", "description": "A field."}, "n": {"type": "integer"}},
            "required": [field],
        })),
        ..FunctionTool::default()
    })
}

/// A request as a client of `dialect` sends it.
pub(crate) fn request(dialect: Dialect) -> impl Strategy<Value = Request> {
    let settings = (
        prop::option::of(1..10_u32),
        prop::option::of(1..10_u32),
        1024_u64..9000,
        prop::option::of(prop::sample::select(vec![
            ToolChoice::Auto,
            ToolChoice::Required,
            ToolChoice::None,
            ToolChoice::Function(TOOLS[1].to_owned()),
        ])),
    );
    let tools = prop::collection::vec((prop::option::of(text()), "[a-m]{1,5}"), 3);
    (prop::option::of(text()), prop::collection::vec(round(), 0..3), text(), tools, settings).prop_map(
        move |(system, rounds, last, tools, (temperature, top_p, max, choice))| {
            let mut messages: Vec<Message> =
                system.map(|text| Message::text(Role::System, text)).into_iter().collect();
            let mut made = 0;
            for round in rounds {
                say(round, dialect, &mut made, &mut messages);
            }
            messages.push(Message::text(Role::User, last));
            let mut request = Request::new(dialect, "model", messages);
            let tools = TOOLS.iter().zip(tools);
            request.tools = tools.map(|(name, (text, field))| tool(name, text, &field)).collect();
            request.tool_choice = choice;
            let tenths = |tenths: u32| Number::from_f64(f64::from(tenths) / 10.0);
            request.sampling.temperature = temperature.and_then(tenths);
            // Newer Claude models take one of the two.
            if request.sampling.temperature.is_none() {
                request.sampling.top_p = top_p.and_then(tenths);
            }
            request.max_output_tokens = Some(max);
            request
        },
    )
}

fn say(round: Round, dialect: Dialect, made: &mut usize, messages: &mut Vec<Message>) {
    messages.push(Message::new(Role::User, round.asked));
    let mut parts: Vec<Part> = round.said.map(Part::text).into_iter().collect();
    let mut results = Vec::new();
    for ((name, arguments), (text, image)) in round.calls.into_iter().zip(round.results) {
        *made += 1;
        let id = format!("call_{made}");
        results.push(Part::ToolResult(ToolResult {
            call_id: id.clone(),
            name: None,
            parts: std::iter::once(Part::text(text)).chain(image).collect(),
            is_error: false,
            cache: None,
            extra: Extra::new(),
        }));
        parts.push(Part::ToolCall(ToolCall::function(id, name, arguments.to_string())));
    }
    if parts.is_empty() {
        parts.push(Part::text("Yes."));
    }
    messages.push(Message::new(Role::Assistant, parts));
    if !results.is_empty() {
        let in_user_turn = matches!(dialect, Dialect::AnthropicMessages | Dialect::Gemini);
        messages.push(Message::new(if in_user_turn { Role::User } else { Role::Tool }, results));
    }
}

/// A complete answer as it was read from `dialect`.
pub(crate) fn response(dialect: Dialect) -> impl Strategy<Value = Response> {
    let stop =
        prop::sample::select(vec![StopReason::EndTurn, StopReason::MaxTokens, StopReason::ContentFilter]);
    let counts = (1_u64..1000, 0_u64..1000, 1_u64..1000, 0_u64..1000);
    (prop::option::of(text()), prop::option::of(text()), calls(), stop, counts).prop_map(
        move |(thought, said, calls, stop, (read, fresh, thinking, speaking))| {
            let mut parts: Vec<Part> = Vec::new();
            let thinking = if thought.is_some() { thinking } else { 0 };
            parts.extend(thought.map(|text| Part::Reasoning(Reasoning { text, ..Reasoning::default() })));
            parts.extend(said.map(Part::text));
            let stop = if calls.is_empty() { stop } else { StopReason::ToolCalls };
            for (number, (name, arguments)) in calls.into_iter().enumerate() {
                let call = ToolCall::function(format!("call_{number}"), name, arguments.to_string());
                parts.push(Part::ToolCall(call));
            }
            let mut response = Response::new(dialect);
            response.id = Some("answer_1".to_owned());
            response.model = Some("model".to_owned());
            response.choices = vec![Choice { index: 0, parts, stop, logprobs: None, extra: Extra::new() }];
            response.usage = Some(Usage {
                input: read + fresh,
                cache_read: read,
                output: thinking + speaking,
                reasoning: thinking,
                ..Usage::default()
            });
            response
        },
    )
}

/// The events of such an answer, its texts in pieces.
pub(crate) fn stream(response: Response) -> Vec<Event> {
    replay(response).into_iter().flat_map(halves).collect()
}

fn halves(event: Event) -> Vec<Event> {
    let Event::Delta { choice, part, delta } = event else { return vec![event] };
    let wrap: fn(String) -> Delta = match &delta {
        Delta::Text(_) => Delta::Text,
        Delta::Thinking(_) => Delta::Thinking,
        Delta::Arguments(_) => Delta::Arguments,
        _ => return vec![Event::Delta { choice, part, delta }],
    };
    let (Delta::Text(text) | Delta::Thinking(text) | Delta::Arguments(text)) = delta else {
        return Vec::new();
    };
    let middle = text.char_indices().map(|(at, _)| at).nth(text.chars().count() / 2).unwrap_or(0);
    let (first, second) = text.split_at(middle);
    [first, second]
        .into_iter()
        .filter(|piece| !piece.is_empty())
        .map(|piece| Event::Delta { choice, part, delta: wrap(piece.to_owned()) })
        .collect()
}
