use serde_json::json;

use super::*;
use crate::conversation::{Media, MediaKind, Source};

fn read(text: &str) -> Response {
    CODEC.read_response(text.as_bytes(), "5eed").unwrap()
}

fn write(response: &Response, request: Option<Request>) -> Value {
    json(&CODEC.write_response(response, &context(request)))
}

#[test]
fn what_is_read_is_written_and_read_again() {
    for (name, text) in golden("answers") {
        let first = read(&text);
        let second = read(&write(&first, None).to_string());
        assert_eq!(second.choices, first.choices, "{name}");
        assert_eq!(second.id, first.id, "{name}");
        let (mut usage, mut original) = (second.usage.unwrap(), first.usage.unwrap());
        usage.original = None;
        original.original = None;
        assert_eq!(usage, original, "{name}");
    }
}

#[test]
fn an_answer_has_all_fields_and_repeats_the_request() {
    let request = read_request(
        r#"{"model":"alias","instructions":"Be terse.","input":"Weather?","max_output_tokens":100,
            "temperature":0.5,"reasoning":{"effort":"low"},"metadata":{"k":"v"},"user":"u",
            "tools":[{"type":"function","name":"f","parameters":{},"strict":true}],
            "tool_choice":{"type":"function","name":"f"},"parallel_tool_calls":false,
            "text":{"verbosity":"low"}}"#,
    );
    let mut response = Response::new(Dialect::AnthropicMessages);
    response.id = Some("msg_01".to_owned());
    response.choices.push(Choice {
        index: 0,
        parts: vec![Part::text("Cold.")],
        stop: StopReason::MaxTokens,
        logprobs: None,
        extra: Extra::new(),
    });
    response.usage = Some(Usage { input: 5, cache_read: 2, output: 3, reasoning: 1, ..Usage::default() });
    assert_eq!(
        write(&response, Some(request)),
        json!({
            "id": "resp_5eed",
            "object": "response",
            "created_at": 1_760_000_000,
            "status": "incomplete",
            "background": false,
            "error": null,
            "incomplete_details": {"reason": "max_output_tokens"},
            "instructions": "Be terse.",
            "max_output_tokens": 100,
            "max_tool_calls": null,
            "model": "alias",
            "output": [{
                "id": "msg_5eed00",
                "type": "message",
                "status": "incomplete",
                "role": "assistant",
                "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "Cold."}],
            }],
            "parallel_tool_calls": false,
            "previous_response_id": null,
            "prompt_cache_key": null,
            "reasoning": {"effort": "low", "summary": null},
            "safety_identifier": null,
            "service_tier": null,
            "store": false,
            "temperature": 0.5,
            "text": {"format": {"type": "text"}, "verbosity": "low"},
            "tool_choice": {"type": "function", "name": "f"},
            "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": true}],
            "top_logprobs": 0,
            "top_p": null,
            "truncation": "disabled",
            "usage": {
                "input_tokens": 5,
                "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
                "output_tokens": 3,
                "output_tokens_details": {"reasoning_tokens": 1},
                "total_tokens": 8,
            },
            "user": "u",
            "metadata": {"k": "v"},
        })
    );
}

#[test]
fn thinking_of_another_provider_is_a_summary_with_its_seal() {
    let seal = Seal::new(Dialect::AnthropicMessages, SealKind::Signature, "c2ln");
    let thinking = Reasoning { text: "Hm.".to_owned(), seal: Some(seal.clone()), ..Reasoning::default() };
    let mut response = Response::new(Dialect::AnthropicMessages);
    response.choices.push(Choice {
        index: 0,
        parts: vec![Part::Reasoning(thinking)],
        stop: StopReason::EndTurn,
        logprobs: None,
        extra: Extra::new(),
    });
    let output = write(&response, None)["output"].clone();
    assert_eq!(
        output,
        json!([{
            "id": "rs_5eed00",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": "tollway-seal-1:anthropic_messages:s:c2ln",
        }])
    );
    let back = read_request(&json!({"input": output}).to_string());
    let [Part::Reasoning(reasoning)] = back.messages[0].parts.as_slice() else { panic!("{back:?}") };
    assert_eq!((reasoning.readable(), reasoning.seal.clone()), ("Hm.".to_owned(), Some(seal)));
}

#[test]
fn a_seal_on_a_call_comes_back_to_the_call() {
    let seal = Some(Seal::new(Dialect::Gemini, SealKind::Signature, "Q2lR"));
    let parts = vec![
        Part::ToolCall(ToolCall { seal: seal.clone(), ..ToolCall::function("call_1", "f", "{}") }),
        Part::ToolCall(ToolCall::function("call_2", "f", "{}")),
    ];
    let mut response = Response::new(Dialect::Gemini);
    response.choices.push(Choice {
        index: 0,
        parts,
        stop: StopReason::ToolCalls,
        logprobs: None,
        extra: Extra::new(),
    });
    let back = read_request(&json!({"input": write(&response, None)["output"]}).to_string());
    let [Part::ToolCall(first), Part::ToolCall(second)] = back.messages[0].parts.as_slice() else {
        panic!("{back:?}")
    };
    assert_eq!((&first.seal, &second.seal), (&seal, &None));
}

#[test]
fn an_image_is_the_result_of_an_image_tool() {
    let source = Source::Base64 { media_type: "image/png".to_owned(), data: "iVBO".to_owned() };
    let mut response = Response::new(Dialect::Gemini);
    response.choices.push(Choice {
        index: 0,
        parts: vec![Part::Media(Media::new(MediaKind::Image, source))],
        stop: StopReason::EndTurn,
        logprobs: None,
        extra: Extra::new(),
    });
    let item = &write(&response, None)["output"][0];
    assert_eq!((&item["type"], &item["result"]), (&json!("image_generation_call"), &json!("iVBO")));
}

#[test]
fn searches_are_counted_and_the_reason_is_read() {
    let response = read(&golden_file("answers", "web-search"));
    assert_eq!(response.usage.unwrap().web_searches, 1);
    let choice = &response.choices[0];
    assert!(matches!(choice.parts[0], Part::Opaque(_)));
    let Part::Text(text) = &choice.parts[1] else { panic!("{choice:?}") };
    assert_eq!(text.citations[0].url.as_deref(), Some("https://nrk.no/tram"));
    assert_eq!(read(&golden_file("answers", "incomplete")).choices[0].stop, StopReason::MaxTokens);
    assert_eq!(read(&golden_file("answers", "tool-calls")).choices[0].stop, StopReason::ToolCalls);
}

#[test]
fn what_is_no_answer_is_refused() {
    let message = |text: &str| CODEC.read_response(text.as_bytes(), "5eed").unwrap_err().message;
    assert_eq!(message("<html>"), "the answer is not JSON: expected value at line 1 column 1");
    assert_eq!(message("{}"), "the answer has no `output`");
    assert_eq!(message(r#"{"error":{"message":"no luck"},"output":[]}"#), "no luck");
    assert_eq!(
        message(r#"{"output":[{"type":"function_call"}]}"#),
        "the answer cannot be read: `output[0].name`: the field is missing; give a string"
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(index in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let files = golden("answers");
        let mut bytes = files[index.index(files.len())].1.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = CODEC.read_response(&bytes, "5eed");
        let _ = CODEC.relay_response(&bytes, &context(None));
    }
}
