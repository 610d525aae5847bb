//! The provider's side of a connection.

use std::error::Error;
use std::future::poll_fn;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::body::{Canned as Body, Step};
use super::canned::{Canned, Dialect};
use super::fault::{Escape, Fault};
use super::plan::Plan;

/// Answers the requests of one connection until it ends or a plan breaks it.
pub async fn converse(stream: TcpStream) {
    let service = service_fn(|request| Box::pin(answer(request)));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Without shutdown: how the connection ends is for the plan to say.
    let Err(error) = poll_fn(|cx| connection.poll_without_shutdown(cx)).await else { return };
    let Some(escape) = error.source().and_then(|source| source.downcast_ref::<Escape>()) else { return };
    let mut stream = connection.into_parts().io.into_inner();
    // The client may be gone already; then there is nothing left to break.
    match escape {
        Escape::Close => {}
        Escape::Reset => drop(stream.set_zero_linger()),
        Escape::Garbage => drop(stream.write_all(b"\x16\x03\x01 this is no HTTP \r\n\r\n\0\xff").await),
    }
}

/// What a request said about itself, as far as the mock cares.
struct Ask {
    dialect: Dialect,
    plan: Plan,
    stream: bool,
    include_usage: bool,
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Escape> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Err(Escape::Close) };
    let header = head.headers.get("x-mock").and_then(|value| value.to_str().ok());
    let path = head.uri.path();
    let Some(dialect) = Dialect::at(path) else {
        return Ok(plain(StatusCode::NOT_FOUND, "no provider of this mock lives at this path\n"));
    };
    match ask(dialect, path, header, &body.to_bytes()) {
        Ok(ask) => perform(&ask).await,
        Err(mistake) => {
            let body = dialect.error(StatusCode::BAD_REQUEST, "", &mistake);
            Ok(respond(StatusCode::BAD_REQUEST, JSON, Body::from(body)))
        }
    }
}

/// Reads the plan and what the body asks for. The body is searched, not parsed: 100 KB of prompt must not
/// cost the mock more than the proxy under measurement. In a JSON text, `"key"` followed by a colon can
/// only be a key, because quotes inside strings are escaped.
fn ask(dialect: Dialect, path: &str, header: Option<&str>, body: &[u8]) -> Result<Ask, String> {
    let mut plan = Plan::default();
    let (_, gemini_model) = path.rsplit_once('/').unwrap_or_default();
    let (model, stream) = match dialect {
        Dialect::Gemini => gemini_model
            .split_once(':')
            .map_or(("", false), |(model, method)| (model, method == "streamGenerateContent")),
        Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::AnthropicMessages => {
            (string_after(body, b"\"model\""), is_true(body, b"\"stream\""))
        }
    };
    if let Some(text) = model.strip_prefix("mock-") {
        plan.apply(text)?;
    }
    if let Some((text, _)) = path.strip_prefix("/with/").and_then(|rest| rest.split_once('/')) {
        plan.apply(text)?;
    }
    if let Some(text) = header {
        plan.apply(text)?;
    }
    Ok(Ask { dialect, plan, stream, include_usage: stream && is_true(body, b"\"include_usage\"") })
}

fn value_after<'a>(body: &'a [u8], key: &[u8]) -> &'a [u8] {
    memmem::find_iter(body, key)
        .filter_map(|at| body.get(at + key.len()..)?.trim_ascii_start().strip_prefix(b":"))
        .next()
        .unwrap_or_default()
        .trim_ascii_start()
}

fn is_true(body: &[u8], key: &[u8]) -> bool {
    value_after(body, key).starts_with(b"true")
}

fn string_after<'a>(body: &'a [u8], key: &[u8]) -> &'a str {
    let string = value_after(body, key).strip_prefix(b"\"").unwrap_or_default();
    let end = memchr::memchr(b'"', string).unwrap_or_default();
    string.get(..end).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
}

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream; charset=utf-8";

fn respond(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    respond(status, "text/plain", Bytes::from_static(text.as_bytes()).into())
}

async fn perform(ask: &Ask) -> Result<Response<Body>, Escape> {
    if !ask.plan.wait.is_zero() {
        tokio::time::sleep(ask.plan.wait).await;
    }
    if let Some(fault) = ask.plan.fault {
        return fail(ask, fault).await;
    }
    let canned = ask.dialect.canned();
    Ok(if ask.stream {
        respond(StatusCode::OK, SSE, stream(ask, canned))
    } else {
        respond(StatusCode::OK, JSON, canned.with_text(ask.plan.text).into())
    })
}

/// The good stream, with the plan's bursts and pauses.
fn stream(ask: &Ask, canned: &'static Canned) -> Body {
    let Plan { chunks, burst, delay, .. } = ask.plan;
    let opening = canned.opening.len();
    let deltas = opening + chunks as usize;
    let tail = [&canned.usage, &canned.done];
    let include_usage = ask.include_usage;
    let closing = move || {
        let usage = tail.into_iter().enumerate().filter(move |(at, _)| *at != 0 || include_usage);
        canned.closing.iter().chain(usage.filter_map(|(_, event)| event.as_ref()))
    };
    let (mut at, mut in_burst) = (0, 0);
    let mut closing_at = closing();
    Body::script(move || {
        if in_burst == burst {
            in_burst = 0;
            return if delay.is_zero() { Step::Flush } else { Step::Wait(delay) };
        }
        let event = match at {
            _ if at >= deltas => closing_at.next(),
            _ if at >= opening => Some(&canned.delta),
            _ => canned.opening.get(at),
        };
        at += 1;
        in_burst += 1;
        event.map_or(Step::End, |event| Step::Send(event.clone()))
    })
}

/// The events up to the middle of the text, for the faults that strike there.
fn half(ask: &Ask, canned: &Canned) -> Bytes {
    if !ask.stream {
        return canned.whole.slice(..canned.whole.len() / 2);
    }
    let deltas = std::iter::repeat_n(&canned.delta, ask.plan.chunks as usize / 2);
    canned.opening.iter().chain(deltas).flatten().copied().collect()
}

async fn fail(ask: &Ask, fault: Fault) -> Result<Response<Body>, Escape> {
    let canned = ask.dialect.canned();
    let content_type = if ask.stream { SSE } else { JSON };
    let ok = |body: Body| Ok(respond(StatusCode::OK, content_type, body));
    let half = || Step::Send(half(ask, canned));
    // Long enough for what was sent to be read before the connection breaks.
    let read = || Step::Wait(Duration::from_millis(20));
    let error = |status: StatusCode, code: &str, message: &str| {
        let body = ask.dialect.error(status, code, message);
        Ok(respond(status, JSON, body.into()))
    };
    match fault {
        Fault::Reset => Err(Escape::Reset),
        Fault::Close => Err(Escape::Close),
        Fault::Garbage => Err(Escape::Garbage),
        Fault::Hang => std::future::pending().await,
        Fault::ResetBody => ok(Body::steps([half(), read(), Step::Break(Escape::Reset)])),
        Fault::Cut => ok(Body::steps([half(), read(), Step::Break(Escape::Close)])),
        Fault::HangBody => ok(Body::steps([half(), Step::Hang])),
        Fault::Unfinished => ok(Body::steps([half()])),
        Fault::ErrorEvent => ok(Body::steps([half(), Step::Send(canned.error.clone())])),
        Fault::Empty => ok(Bytes::new().into()),
        Fault::GarbageBody => ok(Bytes::from_static(b"<<< \xff\xfe neither JSON nor SSE >>>").into()),
        Fault::WrongType => Ok(respond(
            StatusCode::OK,
            "text/html",
            Bytes::from_static(b"<!doctype html><title>Sign in</title><p>Please sign in.").into(),
        )),
        Fault::Slow => {
            let delay = if ask.plan.delay.is_zero() { Duration::from_millis(100) } else { ask.plan.delay };
            let whole = if ask.stream {
                canned.opening.iter().flatten().copied().collect()
            } else {
                canned.whole.clone()
            };
            let pieces: Vec<_> = (0..whole.len())
                .step_by(16)
                .flat_map(|at| [Step::Send(whole.slice(at..whole.len().min(at + 16))), Step::Wait(delay)])
                .collect();
            ok(Body::steps(pieces))
        }
        Fault::Endless => {
            let piece = Bytes::from(vec![b' '; 16 << 10]);
            Ok(respond(StatusCode::OK, JSON, Body::script(move || Step::Send(piece.clone()))))
        }
        Fault::EndlessStream => {
            let mut events = canned.opening.iter();
            let next = move || Step::Send(events.next().unwrap_or(&canned.delta).clone());
            Ok(respond(StatusCode::OK, SSE, Body::script(next)))
        }
        Fault::GzipBomb => {
            let mut response = respond(StatusCode::OK, JSON, canned.bomb.clone().into());
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Ok(response)
        }
        Fault::ContextWindow => {
            let message = match ask.dialect {
                Dialect::OpenAiChat | Dialect::OpenAiResponses => {
                    "This model's maximum context length is 8192 tokens. However, your messages resulted in \
                     9000 tokens. Please reduce the length of the messages."
                }
                Dialect::AnthropicMessages => "prompt is too long: 9000 tokens > 8192 maximum",
                Dialect::Gemini => {
                    "The input token count (9000) exceeds the maximum number of tokens allowed (8192)."
                }
            };
            error(StatusCode::BAD_REQUEST, "context_length_exceeded", message)
        }
        Fault::ContentFilter => error(
            StatusCode::BAD_REQUEST,
            "content_policy_violation",
            "Your request was rejected as a result of our safety system.",
        ),
        Fault::Status(status) => {
            let mut response = error(status, "", &format!("the mock was asked to answer {status}"))?;
            if [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&status) {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Ok(response)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str, body: &str) -> Ask {
        ask(Dialect::at(path).unwrap(), path, None, body.as_bytes()).unwrap()
    }

    /// How a request ends for a client that speaks raw TCP: the answer's first line and what ended it.
    async fn ending(plan: &str) -> (String, &'static str) {
        use tokio::io::AsyncReadExt;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tokio::spawn(converse(listener.accept().await.unwrap().0));
        let request = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: mock\r\nconnection: close\r\nx-mock: {plan}\r\n\
             content-length: 15\r\n\r\n{{\"stream\":true}}"
        );
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let end = client.read_to_end(&mut answer).await;
        let line = answer.split(|byte| *byte == b'\r').next().unwrap();
        let end = match end {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => "reset",
            Err(_) => "another error",
            Ok(_) if answer.ends_with(b"0\r\n\r\n") => "complete",
            Ok(_) => "cut",
        };
        (String::from_utf8_lossy(line).into_owned(), end)
    }

    #[tokio::test]
    async fn connections_end_as_the_plan_says() {
        let ok = "HTTP/1.1 200 OK";
        for (plan, line, end) in [
            ("stream-3", ok, "complete"),
            ("stream-3-fault-unfinished", ok, "complete"),
            ("fault-reset", "", "reset"),
            ("fault-close", "", "cut"),
            ("fault-reset-body", ok, "reset"),
            ("fault-cut", ok, "cut"),
            ("fault-garbage", "\u{16}\u{3}\u{1} this is no HTTP ", "cut"),
        ] {
            assert_eq!(ending(plan).await, (line.to_owned(), end), "{plan}");
        }
    }

    #[test]
    fn the_body_says_whether_to_stream_and_with_usage() {
        let body = r#"{"model": "mock-stream-3", "stream" : true, "stream_options":{"include_usage": true}}"#;
        let ask = asked("/v1/chat/completions", body);
        assert!(ask.stream && ask.include_usage);
        assert_eq!(ask.plan.chunks, 3);
    }

    #[test]
    fn keys_inside_a_prompt_are_not_taken_for_keys() {
        let body = r#"{"messages":[{"content":"\"stream\":true, \"model\":\"mock-stream-9\""}],"model":"m"}"#;
        let ask = asked("/v1/chat/completions", body);
        assert!(!ask.stream);
        assert_eq!(ask.plan, Plan::default());
    }

    #[test]
    fn gemini_says_it_in_the_path_and_a_prefix_adds_to_it() {
        let ask = asked("/with/fault-429/v1beta/models/mock-stream-2:streamGenerateContent", "{}");
        assert!(ask.stream);
        assert_eq!(ask.plan.chunks, 2);
        assert_eq!(ask.plan.fault, Some(Fault::Status(StatusCode::TOO_MANY_REQUESTS)));
    }
}
