//! Passing answers through: every byte that was not meant to change stays, known or not.

use dialects::Dialect;
use proptest::prelude::*;

use crate::{context, golden, pieces};

fn relay_answer(dialect: Dialect, body: &[u8]) -> String {
    String::from_utf8(dialect.codec().relay_response(body, &context()).unwrap().0).unwrap()
}

fn relay_stream<'a>(dialect: Dialect, chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut relay = dialect.codec().stream_relay(context());
    let mut out = Vec::new();
    for chunk in chunks {
        relay.push(chunk, &mut out).unwrap();
    }
    relay.finish(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Cases of which not everything is passed on: what a provider says of its failure is for the gateway, and
/// `content` as a list (Mistral's thinking) becomes the text and `reasoning_content` that clients know.
const NOT_ALL_PASSES: [&str; 5] = [
    "answers/openai_chat/content-list.json",
    "streams/anthropic_messages/overloaded.sse",
    "streams/gemini/error-midway.sse",
    "streams/openai_chat/content-list.sse",
    "streams/openai_chat/error-event.sse",
];

/// Where the objects of a JSON text begin: behind their `{`.
fn objects(text: &str) -> Vec<usize> {
    let (mut places, mut in_string, mut escaped) = (Vec::new(), false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' if !in_string => places.push(at + 1),
            _ => {}
        }
    }
    places
}

/// A field of tomorrow, as odd as JSON allows, as the first of the object that begins at `place`.
fn with_unknown_field(text: &str, place: usize) -> (String, &'static str) {
    let empty = text[place..].trim_start().starts_with('}');
    let field =
        if empty { r#""x_new":{"a" :[1.50,"\u0041"]}"# } else { r#""x_new":{"a" :[1.50,"\u0041"]},"# };
    (format!("{}{field}{}", &text[..place], &text[place..]), field)
}

#[test]
fn unknown_fields_of_an_answer_pass() {
    for input in golden::inputs("answers") {
        let plain = relay_answer(input.dialect, input.text.as_bytes());
        for place in objects(&input.text) {
            let (text, field) = with_unknown_field(&input.text, place);
            let relayed = relay_answer(input.dialect, text.as_bytes());
            assert_eq!(relayed.replacen(field, "", 1), plain, "{} at {place}", input.name);
            if !NOT_ALL_PASSES.contains(&input.name.as_str()) {
                assert_ne!(relayed, plain, "{} at {place}", input.name);
            }
        }
    }
}

#[test]
fn unknown_fields_of_a_stream_pass() {
    for input in golden::inputs("streams") {
        let plain = relay_stream(input.dialect, [input.text.as_bytes()]);
        for place in objects(&input.text) {
            let (text, field) = with_unknown_field(&input.text, place);
            let relayed = relay_stream(input.dialect, [text.as_bytes()]);
            assert_eq!(relayed.replacen(field, "", 1), plain, "{} at {place}", input.name);
            if !NOT_ALL_PASSES.contains(&input.name.as_str()) {
                assert_ne!(relayed, plain, "{} at {place}", input.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn cuts_do_not_matter(
        which in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        crlf in any::<bool>(),
    ) {
        let inputs = golden::inputs("streams");
        let input = which.get(&inputs);
        let text = if crlf { input.text.replace('\n', "\r\n") } else { input.text.clone() };
        let whole = relay_stream(input.dialect, [text.as_bytes()]);
        prop_assert_eq!(relay_stream(input.dialect, pieces(text.as_bytes(), &cuts)), whole);
    }
}
