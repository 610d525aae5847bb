//! What is done with any bytes that a client or a provider may send. Nothing here may panic, whatever the bytes.
//!
//! Plain functions, so that both the fuzz targets and the laws of `tollway-dialects` (`tests/laws/noise.rs`)
//! call them.

use std::sync::Arc;

use dialects::Dialect;
use dialects::conversation::Event;
use dialects::document::Document;
use dialects::error::ErrorReply;
use dialects::exchange::{AnswerContext, ModelFacts, Target};
use dialects::framing::sse::SseReader;
use dialects::loss::{Losses, ParameterPolicy};

/// A body that is read and edited in place.
pub fn document(bytes: &[u8]) {
    let Ok(mut document) = Document::parse(bytes) else { return };
    assert_eq!(document.to_bytes(), bytes, "a document that was not edited is the same bytes");
    let names: Vec<String> = document.names().map(str::to_owned).collect();
    for (number, name) in names.iter().enumerate() {
        match number % 3 {
            0 => document.set(name, "[1]"),
            1 => _ = document.remove(name),
            _ => _ = document.rename(name, "renamed"),
        }
    }
    document.set("added", "true");
    let edited = document.to_bytes();
    assert!(Document::parse(&edited).is_ok(), "an edited document is one still");
}

/// Server-sent events: however they are cut, they are the same.
pub fn sse(bytes: &[u8]) {
    let whole = sse_events([bytes]);
    let pieces = sse_events(bytes.chunks(3));
    assert_eq!(whole, pieces);
}

fn sse_events<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<(Option<String>, String)>> {
    let mut reader = SseReader::default();
    let mut events = Vec::new();
    for chunk in chunks {
        reader.push(chunk).ok()?;
        while let Some(event) = reader.next_event().ok()? {
            events.push((event.name.map(str::to_owned), event.data.to_owned()));
        }
    }
    if let Some(event) = reader.finish().ok()? {
        events.push((event.name.map(str::to_owned), event.data.to_owned()));
    }
    Some(events)
}

/// A client's request: checked, passed through, and translated into every dialect.
pub fn request(from: Dialect, bytes: &[u8]) {
    let Ok(mut document) = Document::parse(bytes) else { return };
    let (facts, policy) =
        (ModelFacts::default(), ParameterPolicy { drop_params: true, ..Default::default() });
    let target = Target { model: "model", quirks: &[], facts: &facts, policy: &policy };
    let checked = from.codec().check_request(&document);
    if let Ok(request) = from.codec().read_request(&document) {
        assert!(checked.is_ok(), "what is read passes the quick check: {checked:?}");
        for to in Dialect::ALL {
            let mut losses = Losses::new(true);
            let _ = from.codec().report_untranslatable(&request, &mut losses);
            if let Ok(written) = to.codec().write_request(&request, &target, &mut losses) {
                let mut document = Document::parse(&written).expect("a writer writes a JSON object");
                let _ = to.codec().adapt_request(&mut document, &target, &mut losses);
            }
        }
    }
    let _ = from.codec().adapt_request(&mut document, &target, &mut Losses::new(true));
}

/// A provider's complete answer: passed through, and translated into every dialect.
pub fn response(from: Dialect, bytes: &[u8]) {
    let context = context();
    let _ = from.codec().relay_response(bytes, &context);
    if let Ok(response) = from.codec().read_response(bytes, "5eed") {
        for to in Dialect::ALL {
            let _ = to.codec().write_response(&response, &context);
        }
    }
}

/// A provider's event stream: passed through, and translated into every dialect.
pub fn stream(from: Dialect, bytes: &[u8]) {
    let context = Arc::new(context());
    let reply =
        ErrorReply { status: 500, message: "broken".to_owned(), kind: "api_error", param: None, code: None };
    let mut relay = from.codec().stream_relay(Arc::clone(&context));
    let mut out = Vec::new();
    let mut broken = false;
    for chunk in bytes.chunks(7) {
        if relay.push(chunk, &mut out).is_err() {
            broken = true;
            break;
        }
    }
    if broken || relay.finish(&mut out).is_err() {
        relay.write_error(&reply, &mut out);
    }
    let events = read_stream(from, bytes.chunks(7));
    for to in Dialect::ALL {
        let mut writer = to.codec().stream_writer(Arc::clone(&context));
        let mut out = Vec::new();
        for event in &events {
            match event {
                Event::Error(_) => writer.write_error(&reply, &mut out),
                event => writer.write(event, &mut out),
            }
        }
    }
}

/// The events of a stream, up to the first mistake.
pub fn read_stream<'a>(from: Dialect, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let mut reader = from.codec().stream_reader("5eed");
    let mut events = Vec::new();
    for chunk in chunks {
        if reader.push(chunk, &mut events).is_err() {
            return events;
        }
    }
    let _ = reader.finish(&mut events);
    events
}

/// A provider's answer with an error status, whose first byte decides which.
pub fn error(from: Dialect, bytes: &[u8]) {
    let status = 400 + u16::from(bytes.first().copied().unwrap_or(0)) % 200;
    let error = from.codec().read_error(status, bytes);
    let reply = ErrorReply {
        status: error.status,
        message: error.message,
        kind: "api_error",
        param: error.param,
        code: error.code,
    };
    for to in Dialect::ALL {
        let _ = to.codec().write_error(&reply);
    }
}

fn context() -> AnswerContext {
    AnswerContext {
        model: "alias".to_owned(),
        seed: "5eed".to_owned(),
        created: 1_760_000_000,
        include_usage: true,
        request: None,
    }
}
