//! What is edited, what passes, what is counted.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::CannotSay;
use crate::document::Document;
use crate::exchange::{ModelFacts, Target};
use crate::loss::{Losses, ParameterPolicy};
use crate::quirk::{NamedQuirk, Quirk};

fn adapted(
    service: Service,
    body: &str,
    quirks: &[Quirk],
    policy: &ParameterPolicy,
) -> Result<String, CannotSay> {
    let mut document = Document::of(body).unwrap();
    let target = Target { model: "m", quirks, facts: &ModelFacts::default(), policy };
    adapt(service, &mut document, &target, &mut Losses::new(policy.drop_params))?;
    Ok(String::from_utf8(document.to_bytes()).unwrap())
}

fn embedded(body: &str, quirks: &[Quirk]) -> Result<String, CannotSay> {
    adapted(Service::Embeddings, body, quirks, &ParameterPolicy::default())
}

fn relayed(service: Service, body: &Value, asked: &Asked) -> (Value, Metered) {
    let (bytes, metered) = relay(service, body.to_string().as_bytes(), "alias", asked).unwrap();
    (serde_json::from_slice(&bytes).unwrap(), metered)
}

#[test]
fn only_the_model_changes_where_a_provider_has_no_quirks() {
    let body = r#"{"input": [1,  2], "model": "alias", "unknown": {"a": 1.0}}"#;
    assert_eq!(embedded(body, &[]).unwrap(), body.replace(r#""model": "alias""#, r#""model":"m""#));
}

#[test]
fn quirks_are_followed() {
    let list = Quirk::Named(NamedQuirk::EmbeddingInputIsList);
    assert_eq!(
        embedded(r#"{"input":"a"}"#, std::slice::from_ref(&list)).unwrap(),
        r#"{"input":["a"],"model":"m"}"#
    );
    assert_eq!(
        embedded(r#"{"input":[[1]]}"#, &[list]).unwrap(),
        r#"{"input":[[1]],"model":"m"}"#,
        "tokens stay"
    );
    let text = [Quirk::Named(NamedQuirk::NoTokensAsInput)];
    assert_eq!(embedded(r#"{"input":[1]}"#, &text).unwrap_err().param, "input");
    assert!(embedded(r#"{"input":["a"]}"#, &text).is_ok());
    let unasked = [Quirk::Named(NamedQuirk::FloatsGoUnasked)];
    assert_eq!(
        embedded(r#"{"input":"a","encoding_format":"float"}"#, &unasked).unwrap(),
        r#"{"input":"a","model":"m"}"#
    );
    assert!(embedded(r#"{"input":"a","encoding_format":"base64"}"#, &unasked).unwrap().contains("base64"));
    let rename = Quirk::Renames { from: "dimensions".into(), to: "output_dimension".into() };
    assert_eq!(
        embedded(r#"{"input":"a","dimensions":4}"#, &[rename]).unwrap(),
        r#"{"input":"a","output_dimension":4,"model":"m"}"#
    );
    let inject = [Quirk::Injects { name: "encoding_format".into(), value: json!("base64") }];
    assert!(embedded(r#"{"input":"a"}"#, &inject).unwrap().contains(r#""encoding_format":"base64""#));
    assert!(embedded(r#"{"input":"a","encoding_format":"float"}"#, &inject).unwrap().contains("float"));
}

#[test]
fn what_a_provider_lacks_is_refused_dropped_or_allowed() {
    let lacks = [Quirk::Lacks("user".into()), Quirk::Lacks("response_format.srt".into())];
    let with = |body: &str, policy: ParameterPolicy| adapted(Service::Transcriptions, body, &lacks, &policy);
    let strict = ParameterPolicy::default;
    assert_eq!(with(r#"{"user":"u"}"#, strict()).unwrap_err().param, "user");
    assert_eq!(with(r#"{"response_format":"srt"}"#, strict()).unwrap_err().param, "response_format.srt");
    assert!(with(r#"{"response_format":"text"}"#, strict()).unwrap().contains("text"));
    let drop = ParameterPolicy { drop_params: true, ..strict() };
    assert_eq!(with(r#"{"user":"u"}"#, drop).unwrap(), r#"{"model":"m"}"#);
    let allow = ParameterPolicy { allowed_params: vec!["user".into()], ..strict() };
    assert!(with(r#"{"user":"u"}"#, allow).unwrap().contains(r#""user":"u""#));
    let remove = ParameterPolicy { additional_drop_params: vec!["user".into()], ..strict() };
    assert_eq!(with(r#"{"user":"u"}"#, remove).unwrap(), r#"{"model":"m"}"#);
}

#[test]
fn what_is_missing_is_named() {
    let missing = |service| asked(service, &Document::of("{}").unwrap()).unwrap_err().param.unwrap();
    assert_eq!(missing(Service::Embeddings), "input");
    assert_eq!(missing(Service::Rerank), "query");
    assert_eq!(missing(Service::Images), "prompt");
    let speech = Document::of(r#"{"input":"größer"}"#).unwrap();
    assert_eq!(asked(Service::Speech, &speech).unwrap().characters, 6);
}

#[test]
fn embeddings_come_in_the_form_that_was_asked_for() {
    let answer = json!({"object": "list", "model": "theirs", "data": [
        {"object": "embedding", "index": 0, "embedding": "8IVJPAAAAL8AAIA+AACAPw=="},
        {"object": "embedding", "index": 1, "embedding": [0.5, 0.25]},
    ], "usage": {"prompt_tokens": 8, "total_tokens": 8}});
    let (numbers, metered) = relayed(Service::Embeddings, &answer, &Asked::default());
    assert_eq!(numbers["data"][0]["embedding"], json!([0.0123, -0.5, 0.25, 1.0]));
    assert_eq!(numbers["data"][0]["index"], 0);
    assert_eq!(numbers["data"][1], answer["data"][1]);
    assert_eq!(numbers["model"], "alias");
    assert_eq!(metered.model.as_deref(), Some("theirs"));
    assert_eq!(metered.usage.unwrap().input, 8);
    let (text, _) = relayed(Service::Embeddings, &answer, &Asked { base64: true, ..Asked::default() });
    assert_eq!(text["data"], answer["data"]);
}

#[test]
fn every_service_is_metered() {
    let meter = |service, body: Value| relayed(service, &body, &Asked::default()).1;
    let cohere = meter(
        Service::Rerank,
        json!({"id": "r", "results": [],
        "meta": {"billed_units": {"search_units": 2}, "tokens": {"input_tokens": 5}}}),
    );
    assert_eq!((cohere.search_units, cohere.usage.unwrap().input), (2, 5));
    let vllm = meter(Service::Rerank, json!({"results": [], "usage": {"total_tokens": 26}}));
    assert_eq!(vllm.usage.unwrap().input, 26);
    let seconds =
        meter(Service::Transcriptions, json!({"text": "x", "usage": {"type": "duration", "seconds": 2}}));
    assert_eq!(seconds.usage.unwrap().audio_ms, 2000);
    let verbose = meter(Service::Transcriptions, json!({"text": "x", "duration": 1.5001}));
    assert_eq!(verbose.usage.unwrap().audio_ms, 1501, "a begun millisecond counts");
    let tokens = meter(
        Service::Transcriptions,
        json!({"text": "x", "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 4,
            "total_tokens": 18, "input_token_details": {"text_tokens": 0, "audio_tokens": 14}}}),
    );
    let tokens = tokens.usage.unwrap();
    assert_eq!((tokens.input, tokens.input_audio, tokens.output), (14, 14, 4));
    let images = meter(
        Service::Images,
        json!({"created": 1, "data": [{"b64_json": "x"}, {"b64_json": "y"}], "usage": {"input_tokens": 50,
            "output_tokens": 50, "total_tokens": 100, "input_tokens_details": {"image_tokens": 40}}}),
    );
    assert_eq!((images.images, images.usage.unwrap().input_image), (2, 40));
    let event =
        r#"{"type":"speech.audio.done","usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}"#;
    assert_eq!(read_event(Service::Speech, event).unwrap().output, 2);
    assert_eq!(read_event(Service::Speech, "[DONE]"), None);
}

#[test]
fn an_error_with_a_good_status_is_an_error() {
    assert_eq!(
        relay(Service::Embeddings, br#"{"error":{"message":"no"}}"#, "m", &Asked::default())
            .unwrap_err()
            .message,
        "no"
    );
    assert!(relay(Service::Embeddings, b"[]", "m", &Asked::default()).is_err());
}

const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a;b.wav\"\r\n\
    Content-Type: audio/wav\r\n\r\n\u{1}RIFF--b\r\n\r\n\r\n\
    --b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nalias\r\n\
    --b\r\nContent-Disposition: form-data; name=\"t[]\"\r\n\r\nword\r\n\
    --b\r\nContent-Disposition: form-data; name=\"t[]\"\r\n\r\nsegment\r\n\
    --b\r\nContent-Disposition: form-data; name=\"temperature\"\r\n\r\n0.10\r\n--b--\r\n";

#[test]
fn a_form_that_is_not_edited_keeps_every_byte() {
    let form = Form::parse(FORM.as_bytes(), "b").unwrap();
    assert_eq!(form.fields(), r#"{"model":"alias","temperature":0.10}"#);
    assert!(form.has("file"));
    let fields = form.fields();
    assert_eq!(form.write(&Document::of(&fields).unwrap()), FORM.as_bytes());
}

#[test]
fn fields_of_a_form_are_edited_by_name() {
    let form = Form::parse(FORM.as_bytes(), "b").unwrap();
    let fields = form.fields();
    let mut fields = Document::of(&fields).unwrap();
    fields.set_text("model", "whisper-1");
    fields.remove("temperature");
    fields.set("language", "\"de\"");
    let expected = FORM
        .replace(
            "content-disposition: form-data; name=\"model\"\r\n\r\nalias",
            "Content-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1",
        )
        .replace("name=\"temperature\"\r\n\r\n0.10", "name=\"language\"\r\n\r\nde");
    assert_eq!(String::from_utf8(form.write(&fields)).unwrap(), expected);
}

#[test]
fn broken_forms_are_refused() {
    for body in
        ["", "x", "--b", "--b\r\n", "--b\r\nx\r\n--b--", "--b\r\nA: b\r\n\r\nx\r\n--b--", "--b\r\n\r\n"]
    {
        assert!(Form::parse(body.as_bytes(), "b").is_err(), "{body:?}");
    }
    let part = "Content-Disposition: form-data; name=\"a\"\r\n\r\nx";
    let many = format!("--b\r\n{}\r\n--b--", vec![part; 300].join("\r\n--b\r\n"));
    assert!(Form::parse(many.as_bytes(), "b").unwrap_err().message.contains("more than"));
}

#[test]
fn boundaries_are_found_in_content_types() {
    assert_eq!(boundary("multipart/form-data; boundary=x"), Some("x"));
    assert_eq!(boundary("Multipart/Form-Data; charset=utf-8; Boundary=\"x y\""), Some("x y"));
    assert_eq!(boundary("application/json"), None);
    assert_eq!(boundary("multipart/form-data"), None);
}

proptest! {
    #[test]
    fn no_form_panics(body in prop::collection::vec(prop::sample::select(b"-b\r\n:;=\"a".to_vec()), 0..80)) {
        let _ = Form::parse(&body, "b");
    }

    #[test]
    fn no_answer_panics(text in "[\\[\\]{}\":,a-z0-9 ]{0,60}") {
        for service in Service::ALL {
            let body = format!(r#"{{"data":{text},"usage":{text},"meta":{text},"duration":{text}}}"#);
            let _ = relay(service, body.as_bytes(), "m", &Asked::default());
        }
    }
}
