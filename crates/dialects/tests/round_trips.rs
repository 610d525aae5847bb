//! Reasoning that has to come back. A provider signs or encrypts what its model thought before it called a tool, and
//! wants it back with the tool's result; the client in between may never have heard of that provider. Here a client
//! of every dialect gets such an answer, whole and as a stream, and sends back only the fields that its own dialect
//! documents.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use dialects::Dialect;
use dialects::conversation::replay;
use dialects::document::Document;
use dialects::exchange::{AnswerContext, ModelFacts, Target};
use dialects::loss::{Losses, ParameterPolicy};
use dialects::quirk::Quirk;
use serde_json::{Map, Value, json};

/// A provider's answer that ends in calls of a tool, and what of it must stand in the next request, at the place
/// that `pointer` names.
struct Thought {
    provider: Dialect,
    model: &'static str,
    quirks: &'static [Quirk],
    answer: Value,
    /// The history in the provider's next request, from the assistant's turn on.
    pointer: &'static str,
    expected: Value,
}

fn anthropic() -> Thought {
    let thinking =
        json!({"type": "thinking", "thinking": "I need the tool.", "signature": "EuABCkYIBRgCKkA="});
    let hidden = json!({"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3p"});
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}});
    Thought {
        provider: Dialect::AnthropicMessages,
        model: "claude-sonnet-4-5",
        quirks: &[],
        answer: json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
            "content": [thinking, hidden, call],
            "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 9}
        }),
        pointer: "/messages/1/content",
        expected: json!([thinking, hidden, call]),
    }
}

fn gemini() -> Thought {
    let call = |id: &str, city: &str| json!({"id": id, "name": "weather", "args": {"city": city}});
    // Of calls made at once only the first is signed.
    let parts = json!([
        {"functionCall": call("c1", "Oslo"), "thoughtSignature": "CiQB0e2Kb1tv/w=="},
        {"functionCall": call("c2", "Rome")},
    ]);
    Thought {
        provider: Dialect::Gemini,
        model: "gemini-3-pro-preview",
        quirks: &[],
        answer: json!({
            "responseId": "r1", "modelVersion": "gemini-3-pro-preview",
            "candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": parts}}],
            "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 9, "totalTokenCount": 18}
        }),
        pointer: "/contents/1/parts",
        expected: parts,
    }
}

fn openai_responses() -> Thought {
    let reasoning = json!({
        "type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "I need the tool."}],
        "encrypted_content": "gAAAAABo"
    });
    let call = json!({
        "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather",
        "arguments": "{\"city\":\"Oslo\"}", "status": "completed"
    });
    Thought {
        provider: Dialect::OpenaiResponses,
        model: "gpt-5",
        quirks: &[],
        answer: json!({
            "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-5",
            "output": [reasoning, call], "usage": {"input_tokens": 9, "output_tokens": 9, "total_tokens": 18}
        }),
        pointer: "/input/1/encrypted_content",
        expected: json!("gAAAAABo"),
    }
}

fn openai_chat() -> Thought {
    Thought {
        provider: Dialect::OpenaiChat,
        model: "deepseek-reasoner",
        quirks: &[Quirk::WantsReasoningHistory],
        answer: json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "deepseek-reasoner",
            "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": null, "reasoning_content": "I need the tool.",
                "tool_calls": [{"id": "call_1", "type": "function",
                    "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"}}]
            }}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        }),
        pointer: "/messages/1/reasoning_content",
        expected: json!("I need the tool."),
    }
}

impl Thought {
    /// What stands at the pointer in the second request, when the client got the answer whole and as a stream.
    fn comes_back(&self, client: Dialect, echo: Echo) -> [Option<Value>; 2] {
        let body = self.answer.to_string();
        let read = || self.provider.codec().read_response(body.as_bytes(), "5eed").unwrap();
        let context = Arc::new(AnswerContext {
            model: "alias".to_owned(),
            seed: "5eed".to_owned(),
            created: 1,
            include_usage: true,
            request: None,
        });
        let whole = client.codec().write_response(&read(), &context);
        let mut stream = Vec::new();
        let mut writer = client.codec().stream_writer(context);
        for event in replay(read()) {
            writer.write(&event, &mut stream);
        }
        let answers = [
            serde_json::from_slice(&whole).unwrap(),
            accumulate(client, std::str::from_utf8(&stream).unwrap()),
        ];
        answers.map(|answer| self.next_request(client, &echo(&answer)).pointer(self.pointer).cloned())
    }

    fn next_request(&self, client: Dialect, request: &Value) -> Value {
        let facts = ModelFacts { supports_reasoning: Some(true), ..ModelFacts::default() };
        let policy = ParameterPolicy::default();
        let target = Target { model: self.model, quirks: self.quirks, facts: &facts, policy: &policy };
        let mut losses = Losses::new(false);
        let text = request.to_string();
        let read = client.codec().read_request(&Document::of(&text).unwrap()).unwrap();
        let written = self.provider.codec().write_request(&read, &target, &mut losses).unwrap();
        let mut document = Document::parse(&written).unwrap();
        self.provider.codec().adapt_request(&mut document, &target, &mut losses).unwrap();
        serde_json::from_slice(&document.to_bytes()).unwrap()
    }
}

/// From an answer to the client's next request.
type Echo = fn(&Value) -> Value;

fn pick(value: &Value, names: &[&str]) -> Value {
    let fields = names.iter().filter_map(|name| Some(((*name).to_owned(), value.get(*name)?.clone())));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn list<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn echo_chat_with(answer: &Value, known: &[&str]) -> Value {
    let message = &answer["choices"][0]["message"];
    let mut turn = pick(message, known);
    let calls = list(message, "/tool_calls").map(|call| {
        json!({"id": call["id"], "type": "function", "function": pick(&call["function"], &["name", "arguments"])})
    });
    turn["tool_calls"] = calls.collect();
    let results = list(message, "/tool_calls")
        .map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "4C"}));
    let mut messages = vec![json!({"role": "user", "content": "Weather?"}), turn];
    messages.extend(results);
    json!({"model": "alias", "messages": messages, "tools": [{"type": "function", "function": {"name": "weather"}}]})
}

/// OpenAI's own fields: no reasoning at all.
fn echo_chat(answer: &Value) -> Value {
    echo_chat_with(answer, &["role", "content"])
}

/// A client that knows LiteLLM's fields.
fn echo_chat_with_reasoning(answer: &Value) -> Value {
    echo_chat_with(answer, &["role", "content", "reasoning_content", "thinking_blocks", "reasoning_items"])
}

fn echo_responses(answer: &Value) -> Value {
    let mut input = vec![json!({"role": "user", "content": "Weather?"})];
    let known: &[&str] = &[
        "type",
        "id",
        "role",
        "content",
        "summary",
        "encrypted_content",
        "call_id",
        "name",
        "arguments",
        "status",
    ];
    input.extend(list(answer, "/output").map(|item| pick(item, known)));
    let calls = list(answer, "/output").filter(|item| item["type"] == "function_call");
    input.extend(
        calls.map(|call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "4C"})),
    );
    json!({"model": "alias", "input": input, "tools": [{"type": "function", "name": "weather"}]})
}

fn echo_anthropic(answer: &Value) -> Value {
    let known = ["type", "text", "thinking", "signature", "data", "id", "name", "input"];
    let blocks: Vec<Value> = list(answer, "/content").map(|block| pick(block, &known)).collect();
    let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
    let results: Vec<Value> = calls
        .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "4C"}))
        .collect();
    json!({
        "model": "alias", "max_tokens": 2048, "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": blocks},
            {"role": "user", "content": results},
        ]
    })
}

fn echo_gemini(answer: &Value) -> Value {
    let known = ["text", "thought", "thoughtSignature", "functionCall"];
    let parts: Vec<Value> =
        list(answer, "/candidates/0/content/parts").map(|part| pick(part, &known)).collect();
    let calls = parts.iter().filter_map(|part| part.get("functionCall"));
    let results: Vec<Value> = calls
        .map(|call| {
            json!({"functionResponse": {"id": call["id"], "name": call["name"], "response": {"output": "4C"}}})
        })
        .collect();
    json!({
        "model": "alias", "tools": [{"functionDeclarations": [{"name": "weather"}]}],
        "contents": [
            {"role": "user", "parts": [{"text": "Weather?"}]},
            {"role": "model", "parts": parts},
            {"role": "user", "parts": results},
        ]
    })
}

/// What a client's SDK makes of a stream: the answer as it would have come whole.
fn accumulate(client: Dialect, stream: &str) -> Value {
    let events: Vec<Value> = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter_map(|data| serde_json::from_str(data).ok())
        .collect();
    match client {
        Dialect::OpenaiChat => accumulate_chat(&events),
        Dialect::OpenaiCompletions => panic!("text completions have no tools to come back from"),
        Dialect::OpenaiResponses => events
            .iter()
            .find(|event| event["type"] == "response.completed")
            .map(|event| event["response"].clone())
            .unwrap(),
        Dialect::AnthropicMessages => accumulate_anthropic(&events),
        Dialect::Gemini => {
            let parts: Vec<Value> =
                events.iter().flat_map(|chunk| list(chunk, "/candidates/0/content/parts")).cloned().collect();
            json!({"candidates": [{"content": {"parts": parts}}]})
        }
    }
}

fn append(slot: &mut Value, text: &Value) {
    *slot = format!("{}{}", slot.as_str().unwrap_or_default(), text.as_str().unwrap_or_default()).into();
}

fn accumulate_chat(events: &[Value]) -> Value {
    let mut message = json!({"role": "assistant", "content": null});
    let mut calls: Vec<Value> = Vec::new();
    for delta in events.iter().flat_map(|event| list(event, "/choices")).map(|choice| &choice["delta"]) {
        for name in ["content", "reasoning_content"] {
            if delta[name].is_string() {
                append(&mut message[name], &delta[name]);
            }
        }
        for name in ["thinking_blocks", "reasoning_items"] {
            for block in list(delta, &format!("/{name}")) {
                if message[name].is_null() {
                    message[name] = json!([]);
                }
                message[name].as_array_mut().unwrap().push(block.clone());
            }
        }
        for call in list(delta, "/tool_calls") {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if calls.len() <= index {
                calls.push(json!({"id": call["id"], "function": {"name": call["function"]["name"]}}));
            }
            append(&mut calls[index]["function"]["arguments"], &call["function"]["arguments"]);
        }
    }
    message["tool_calls"] = calls.into();
    json!({"choices": [{"message": message}]})
}

fn accumulate_anthropic(events: &[Value]) -> Value {
    let mut blocks: Vec<Value> = Vec::new();
    for event in events {
        if event["type"] == "content_block_start" {
            let mut block = event["content_block"].clone();
            if block["type"] == "tool_use" {
                block["input"] = json!("");
            }
            blocks.push(block);
        }
        let (Some(block), delta) = (blocks.last_mut(), &event["delta"]) else { continue };
        match delta["type"].as_str() {
            Some("text_delta") => append(&mut block["text"], &delta["text"]),
            Some("thinking_delta") => append(&mut block["thinking"], &delta["thinking"]),
            Some("signature_delta") => append(&mut block["signature"], &delta["signature"]),
            Some("input_json_delta") => append(&mut block["input"], &delta["partial_json"]),
            _ => {}
        }
    }
    for block in blocks.iter_mut().filter(|block| block["type"] == "tool_use") {
        block["input"] = serde_json::from_str(block["input"].as_str().unwrap()).unwrap();
    }
    json!({"content": blocks})
}

#[test]
fn reasoning_survives_clients_that_know_nothing_of_it() {
    let clients: [(Dialect, Echo); 3] = [
        (Dialect::OpenaiResponses, echo_responses),
        (Dialect::AnthropicMessages, echo_anthropic),
        (Dialect::Gemini, echo_gemini),
    ];
    let mut lost = Vec::new();
    for thought in [anthropic(), gemini(), openai_responses(), openai_chat()] {
        for (client, echo) in clients.into_iter().filter(|(client, _)| *client != thought.provider) {
            for (way, found) in ["whole", "stream"].iter().zip(thought.comes_back(client, echo)) {
                if found.as_ref() != Some(&thought.expected) {
                    let found = found.map_or("nothing".to_owned(), |found| found.to_string());
                    lost.push(format!("{client:?} → {:?}, {way}: {found}", thought.provider));
                }
            }
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

/// Chat Completions documents no place for reasoning. Gemini's signature of a call rides on the call's id.
#[test]
fn a_plain_chat_client_brings_back_what_its_calls_carry() {
    let thought = gemini();
    for found in thought.comes_back(Dialect::OpenaiChat, echo_chat) {
        assert_eq!(found.as_ref(), Some(&thought.expected));
    }
}

#[test]
fn a_chat_client_that_keeps_litellms_fields_brings_back_everything() {
    for thought in [anthropic(), gemini(), openai_responses()] {
        for found in thought.comes_back(Dialect::OpenaiChat, echo_chat_with_reasoning) {
            assert_eq!(found.as_ref(), Some(&thought.expected), "{:?}", thought.provider);
        }
    }
}

/// What a plain chat client cannot keep is left out, not made up: the request still stands.
#[test]
fn without_its_proof_no_thinking_is_sent() {
    for found in anthropic().comes_back(Dialect::OpenaiChat, echo_chat) {
        let kinds: Vec<Value> =
            found.unwrap().as_array().unwrap().iter().map(|block| block["type"].clone()).collect();
        assert_eq!(kinds, ["tool_use"]);
    }
    let after_the_question = Thought { pointer: "/input/1/type", ..openai_responses() };
    for found in after_the_question.comes_back(Dialect::OpenaiChat, echo_chat) {
        assert_eq!(found.unwrap(), "function_call");
    }
}
