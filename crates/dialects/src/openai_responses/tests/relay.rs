use super::*;
use crate::error::{ErrorClass, ErrorReply};
use crate::exchange::Observed;

const DONE: &str = "data: [DONE]\n\n";

fn relay(chunks: &[&[u8]]) -> (String, Observed) {
    let mut relay = CODEC.stream_relay(context(None));
    let mut out = Vec::new();
    for chunk in chunks {
        relay.push(chunk, &mut out).unwrap();
    }
    relay.finish(&mut out).unwrap();
    (String::from_utf8(out).unwrap(), relay.observed().clone())
}

#[test]
fn an_answer_keeps_every_byte_but_the_models_name() {
    for (name, text) in golden("answers") {
        let (relayed, observed) = CODEC.relay_response(text.as_bytes(), &context(None)).unwrap();
        let restored = String::from_utf8(relayed).unwrap().replacen("\"alias\"", "\"gpt-5.1-2025-11-13\"", 1);
        assert_eq!(restored, text, "{name}");
        let read = CODEC.read_response(text.as_bytes(), "5eed").unwrap();
        assert_eq!(observed.usage, read.usage, "{name}");
        assert_eq!(observed.stop, Some(read.choices[0].stop.clone()), "{name}");
        assert_eq!((observed.id, observed.model), (read.id, read.model), "{name}");
        assert!(observed.complete && observed.has_content && observed.error.is_none(), "{name}");
    }
}

#[test]
fn a_stream_keeps_every_byte_but_the_models_name() {
    for (name, text) in golden("streams") {
        let (relayed, observed) = relay(&[text.as_bytes()]);
        let restored = relayed.replace("\"alias\"", "\"gpt-5.1-2025-11-13\"");
        assert_eq!(restored, text.clone() + DONE, "{name}");
        assert!(observed.complete && observed.has_content && observed.text_bytes > 0, "{name}");
        let answer = golden_file("answers", &name);
        let read = CODEC.read_response(answer.as_bytes(), "5eed").unwrap();
        assert_eq!(observed.usage, read.usage, "{name}");
        assert_eq!(observed.stop, Some(read.choices[0].stop.clone()), "{name}");
    }
}

#[test]
fn a_delta_is_content_however_it_is_spaced() {
    for delta in ["\"delta\":\"a\\\"b\"", "\"delta\": \"a\\\"b\""] {
        let event =
            format!("data: {{\"type\":\"response.output_text.delta\",{delta},\"item_id\":\"x\"}}\n\n");
        let mut relay = CODEC.stream_relay(context(None));
        relay.push(event.as_bytes(), &mut Vec::new()).unwrap();
        assert!(relay.observed().has_content, "{delta}");
        assert_eq!(relay.observed().text_bytes, 4, "{delta}");
    }
}

#[test]
fn unknown_fields_comments_and_line_ends_pass() {
    let text = concat!(
        ": hello\r\n\r\n",
        "id: 1\r\nevent: response.created\r\ndata:{\"new\":[1.50], \"type\":\"response.created\",\"response\":{\"model\" : \"gpt\", \"x\":\"\\u0041\"}}\r\n\r\n",
        "event: response.new.thing\ndata: {\"type\":\"response.new.thing\",\"model\":\"gpt\"}\n\n",
        "data: {\"sequence_number\":3,\"delta\":\"a\\\"b\",\"type\":\"response.output_text.delta\"}\n\n",
        "data: {\"type\":\"response.completed\",\"response\":{\"output\":[],\"model\":\"gpt\"}}\n\n",
        "data: [DONE]\n\n",
    );
    let (relayed, observed) = relay(&[text.as_bytes()]);
    let expected = text
        .replace("\"model\" : \"gpt\"", "\"model\" : \"alias\"")
        .replace("[],\"model\":\"gpt\"", "[],\"model\":\"alias\"");
    assert_eq!(relayed, expected);
    assert_eq!(observed.model.as_deref(), Some("gpt"));
}

#[test]
fn data_in_several_lines_is_understood() {
    let text = "event: response.completed\ndata: {\"type\":\"response.completed\",\ndata: \"response\":{\"model\":\"gpt\",\"output\":[]}}\n\n";
    let (relayed, observed) = relay(&[text.as_bytes()]);
    assert_eq!(relayed, text.replace("gpt", "alias") + DONE);
    assert!(observed.complete);
}

#[test]
fn an_error_is_reported_and_not_passed_on() {
    let text = golden_file("streams", "text");
    let begun = &text[..text.find("event: response.output_text.done").unwrap()];
    for error in [
        "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"Oops.\",\"param\":null}\n\n",
        "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"Oops.\"}}}\n\n",
        "data: {\"error\":{\"code\":\"server_error\",\"message\":\"Oops.\"}}\n\n",
    ] {
        let mut relay = CODEC.stream_relay(context(None));
        let mut out = Vec::new();
        relay.push(begun.as_bytes(), &mut out).unwrap();
        relay.push(error.as_bytes(), &mut out).unwrap();
        relay.finish(&mut out).unwrap();
        let seen = relay.observed().error.clone().unwrap();
        assert_eq!((seen.class, seen.message.as_str()), (ErrorClass::Internal, "Oops."));
        let reply = ErrorReply {
            status: 500,
            message: seen.message,
            kind: "internal_server_error",
            param: None,
            code: None,
        };
        relay.write_error(&reply, &mut out);
        let events = frames(&out);
        let (name, last) = events.last().unwrap();
        assert_eq!(name, "response.failed");
        assert_eq!(last["sequence_number"], events.len() - 1);
        // The object with which the stream began, so that it is the same answer for the client.
        assert_eq!(last["response"]["id"], "resp_68f0c1");
        assert_eq!(last["response"]["model"], "alias");
        assert_eq!(last["response"]["status"], "failed");
        assert_eq!(last["response"]["error"]["message"], "Oops.");
    }
}

#[test]
fn a_stream_that_breaks_off_is_not_complete() {
    let text = golden_file("streams", "text");
    let mut relay = CODEC.stream_relay(context(None));
    let mut out = Vec::new();
    relay.push(&text.as_bytes()[..text.len() / 2], &mut out).unwrap();
    assert!(relay.finish(&mut out).is_err());
    assert!(!out.ends_with(DONE.as_bytes()));
}

#[test]
fn a_failed_answer_is_seen() {
    let body = r#"{"id":"resp_1","object":"response","status":"failed","error":{"code":"server_error","message":"Oops."},"output":[],"model":"gpt"}"#;
    let (_, observed) = CODEC.relay_response(body.as_bytes(), &context(None)).unwrap();
    assert_eq!(observed.error.unwrap().message, "Oops.");
}

proptest! {
    #[test]
    fn cuts_do_not_matter(
        index in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        crlf in any::<bool>(),
    ) {
        let files = golden("streams");
        let text = &files[index.index(files.len())].1;
        let text = if crlf { text.replace('\n', "\r\n") } else { text.clone() };
        prop_assert_eq!(relay(&pieces(text.as_bytes(), &cuts)), relay(&[text.as_bytes()]));
    }

    #[test]
    fn no_bytes_panic(index in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let files = golden("streams");
        let mut bytes = files[index.index(files.len())].1.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let mut relay = CODEC.stream_relay(context(None));
        let mut out = Vec::new();
        let _ = relay.push(&bytes, &mut out).and_then(|()| relay.finish(&mut out));
    }
}
