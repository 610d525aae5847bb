use serde_json::{Value, json};

use super::*;
use crate::conversation::{Citation, Seal, SealKind, Text, ToolCall};

fn golden(case: &str) -> Vec<u8> {
    std::fs::read(format!("{}/golden/answers/gemini/{case}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn read_golden(case: &str) -> Response {
    read(&golden(case), "seed").unwrap()
}

fn context() -> AnswerContext {
    AnswerContext {
        model: "alias".to_owned(),
        seed: "seed".to_owned(),
        created: 0,
        include_usage: true,
        request: None,
    }
}

#[test]
fn every_golden_answer_survives_being_written() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/answers/gemini");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name.contains('.') {
            continue;
        }
        seen += 1;
        let response = read_golden(&name);
        assert_eq!(read(&write(&response, &context()), "seed").unwrap(), response, "{name}");
    }
    assert!(seen >= 7);
}

#[test]
fn thinking_calls_and_signatures() {
    let response = read_golden("thinking-then-call");
    let [choice] = response.choices.as_slice() else { panic!() };
    let [Part::Reasoning(thought), Part::ToolCall(call)] = choice.parts.as_slice() else {
        panic!("{choice:?}")
    };
    assert_eq!(thought.text, "I need the tool.");
    assert_eq!((call.id.as_str(), call.arguments.as_str()), ("call_seed_0", r#"{"city":"Oslo","unit":"c"}"#));
    assert!(call.seal.as_ref().is_some_and(|seal| seal.value.starts_with("Cpc")));
    assert_eq!(choice.stop, StopReason::ToolCalls);
    let usage = response.usage.unwrap();
    assert_eq!((usage.input, usage.output, usage.reasoning), (70, 50, 30));
}

#[test]
fn blocked_prompts_and_answers_are_filtered_content() {
    for case in ["blocked-prompt", "safety"] {
        let response = read_golden(case);
        assert_eq!(response.choices[0].stop, StopReason::ContentFilter, "{case}");
        assert!(response.choices[0].parts.is_empty());
    }
    let written: Value = serde_json::from_slice(&write(&read_golden("blocked-prompt"), &context())).unwrap();
    assert_eq!(written["promptFeedback"]["blockReason"], "PROHIBITED_CONTENT");
    assert_eq!(written.get("candidates"), None);
}

#[test]
fn sources_are_cited_in_characters() {
    let response = read_golden("grounded");
    let [Part::Text(text)] = response.choices[0].parts.as_slice() else { panic!() };
    let cited = |citation: &Citation| -> String {
        let place = |at: Option<u64>| usize::try_from(at.unwrap()).unwrap();
        let (start, end) = (place(citation.start), place(citation.end));
        text.text.chars().skip(start).take(end - start).collect()
    };
    let quotes: Vec<String> = text.citations.iter().map(cited).collect();
    assert_eq!(
        quotes,
        ["Tadej Pogačar won the 2026 Tour.", "Tadej Pogačar won the 2026 Tour.", "It was his fifth."]
    );
    let usage = response.usage.unwrap();
    assert_eq!((usage.input, usage.web_searches), (170, 2));
}

#[test]
fn media_and_code_are_parts() {
    let image = read_golden("image");
    assert!(matches!(image.choices[0].parts.as_slice(), [Part::Text(_), Part::Media(_)]));
    assert_eq!(image.usage.unwrap().output_image, 1290);
    let code = read_golden("code-execution");
    assert!(matches!(code.choices[0].parts.as_slice(), [Part::Opaque(_), Part::Opaque(_), Part::Text(_)]));
}

#[test]
fn logprobs_are_paired_with_their_rivals() {
    let response = read_golden("two-candidates-with-logprobs");
    let tokens = response.choices[0].logprobs.as_ref().unwrap();
    assert_eq!((tokens[0].token.as_str(), tokens[0].top.len(), tokens[1].top.len()), ("The", 2, 1));
    assert_eq!(response.choices[1].index, 1);
}

#[test]
fn what_is_no_answer_is_refused() {
    for body in ["", "{}", "[]", r#"{"candidates":5}"#, "<html>"] {
        assert!(read(body.as_bytes(), "seed").is_err(), "{body}");
    }
}

#[test]
fn answers_of_other_dialects_are_written_for_googles_sdks() {
    let mut response = Response::new(Dialect::AnthropicMessages);
    response.id = Some("msg_1".to_owned());
    let mut call = ToolCall::function("toolu_1", "f", r#"{"n": 1}"#);
    call.extra.insert("caller".to_owned(), json!("direct"));
    response.choices.push(Choice {
        index: 0,
        parts: vec![
            Part::Reasoning(crate::conversation::Reasoning {
                text: "Hm.".to_owned(),
                seal: Some(Seal::new(Dialect::AnthropicMessages, SealKind::Signature, "EqQB")),
                ..Default::default()
            }),
            Part::Text(Text {
                text: "Größe: 5 m.".to_owned(),
                citations: vec![Citation {
                    url: Some("https://a.example".to_owned()),
                    start: Some(0),
                    end: Some(11),
                    ..Citation::default()
                }],
                ..Text::default()
            }),
            Part::ToolCall(call),
        ],
        stop: StopReason::ToolCalls,
        logprobs: None,
        extra: Extra::new(),
    });
    response.usage = Some(Usage { input: 20, output: 15, ..Usage::default() });
    let written: Value = serde_json::from_slice(&write(&response, &context())).unwrap();
    let wrapped = "dG9sbHdheS1zZWFsLTE6YW50aHJvcGljX21lc3NhZ2VzOnM6RXFRQg==";
    assert_eq!(
        written,
        json!({
            "candidates": [{
                "content": {"role": "model", "parts": [
                    {"text": "Hm.", "thought": true, "thoughtSignature": wrapped},
                    {"text": "Größe: 5 m."},
                    {"functionCall": {"id": "toolu_1", "name": "f", "args": {"n": 1}}}
                ]},
                "finishReason": "STOP",
                "index": 0,
                "groundingMetadata": {
                    "groundingChunks": [{"web": {"uri": "https://a.example"}}],
                    "groundingSupports": [{
                        "segment": {"partIndex": 1, "startIndex": 0, "endIndex": 13, "text": "Größe: 5 m."},
                        "groundingChunkIndices": [0]
                    }]
                }
            }],
            "usageMetadata": {
                "promptTokenCount": 20, "candidatesTokenCount": 15, "totalTokenCount": 35,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}],
                "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 15}]
            },
            "modelVersion": "alias",
            "responseId": "msg_1"
        })
    );
}

#[test]
fn sources_without_a_part_are_those_of_the_first_text() {
    let body = json!({"candidates": [{
        "content": {"role": "model", "parts": [{"text": "Hm.", "thought": true}, {"text": "Tiefe: 3 m."}]},
        "finishReason": "STOP",
        "groundingMetadata": {
            "groundingChunks": [{"web": {"uri": "https://a.example"}}],
            "groundingSupports": [{"segment": {"endIndex": 11, "text": "Tiefe: 3 m."}, "groundingChunkIndices": [0]}]
        },
    }]});
    let response = read(body.to_string().as_bytes(), "seed").unwrap();
    let [Part::Reasoning(_), Part::Text(text)] = response.choices[0].parts.as_slice() else { panic!() };
    let [citation] = text.citations.as_slice() else { panic!("{text:?}") };
    assert_eq!((citation.start, citation.end, citation.quote.as_deref()), (Some(0), Some(11), None));
}
