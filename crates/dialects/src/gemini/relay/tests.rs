use proptest::prelude::*;

use super::*;

fn golden(kind: &str, case: &str) -> Vec<u8> {
    std::fs::read(format!("{}/golden/{kind}/gemini/{case}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn relay_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Observed, bool) {
    let (mut relay, mut out) = (GeminiRelay::new(), Vec::new());
    for chunk in chunks {
        if relay.push(chunk, &mut out).is_err() {
            return (out, relay.observed().clone(), false);
        }
    }
    let ended = relay.finish(&mut out).is_ok();
    (out, relay.observed().clone(), ended)
}

#[test]
fn an_answer_passes_byte_for_byte() {
    let body = b"{ \"candidates\": [{\"content\": {\"parts\": [{\"text\": \"a\\u0062\", \"new\": 1.0}]},\n\"finishReason\": \"STOP\"}], \"modelVersion\": \"gemini-2.5-flash-001\", \"responseId\": \"r\", \"usageMetadata\": {\"promptTokenCount\": 3, \"totalTokenCount\": 3}, \"newField\": [1e2] }";
    let (out, observed) = relay(body).unwrap();
    assert_eq!(out, body);
    assert_eq!(observed.model.as_deref(), Some("gemini-2.5-flash-001"));
    assert_eq!(observed.id.as_deref(), Some("r"));
    assert_eq!((observed.stop, observed.text_bytes), (Some(StopReason::EndTurn), 2));
    assert!(observed.has_content && observed.complete);
    assert!(relay(b"{}").is_err());
}

#[test]
fn what_is_observed_is_what_the_reader_reads() {
    for case in ["text", "thinking-then-call", "max-tokens", "blocked-prompt", "grounded", "image"] {
        let body = golden("answers", &format!("{case}.json"));
        let (_, observed) = relay(&body).unwrap();
        let response = crate::gemini::response::read(&body, "seed").unwrap();
        let usage = response.usage.map(|usage| crate::conversation::Usage { original: None, ..usage });
        assert_eq!(observed.usage, usage, "{case}");
        assert_eq!(observed.stop.as_ref(), Some(&response.choices[0].stop), "{case}");
        assert_eq!(observed.model, response.model, "{case}");
    }
}

#[test]
fn events_pass_as_they_are() {
    let stream = golden("streams", "thinking-then-call.sse");
    let (out, observed, ended) = relay_chunks([stream.as_slice()]);
    assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8(stream).unwrap().replace("\r\n", "\n"));
    assert!(ended && observed.complete && observed.has_content);
    assert_eq!(observed.stop, Some(StopReason::ToolCalls));
    assert_eq!(observed.usage.map(|usage| (usage.input, usage.output, usage.reasoning)), Some((70, 50, 30)));
}

#[test]
fn an_error_is_reported_not_passed_on() {
    let (out, observed, ended) = relay_chunks([golden("streams", "error-midway.sse").as_slice()]);
    assert!(!String::from_utf8(out).unwrap().contains("error"));
    assert!(ended && !observed.complete);
    assert_eq!(observed.error.map(|error| error.status), Some(503));
}

#[test]
fn a_cut_stream_is_broken() {
    let stream = golden("streams", "text.sse");
    let (_, observed, ended) = relay_chunks([&stream[..stream.len() / 2]]);
    assert!(!ended && !observed.complete && observed.has_content);
}

proptest! {
    #[test]
    fn cuts_do_not_matter(cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let stream = golden("streams", "two-candidates.sse");
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        let chunks = places.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        prop_assert_eq!(relay_chunks(chunks), relay_chunks([stream.as_slice()]));
    }

    #[test]
    fn no_bytes_panic(at in any::<prop::sample::Index>(), noise in prop::collection::vec(any::<u8>(), 1..5)) {
        let mut stream = golden("streams", "grounded.sse");
        let at = at.index(stream.len());
        stream.splice(at..at, noise);
        let _ = relay_chunks([stream.as_slice()]);
    }
}
