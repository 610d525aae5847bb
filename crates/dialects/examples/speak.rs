//! Translates exchanges from the command line: one JSON object per line in, one per line out.
//!
//! ```text
//! {"op":"request","from":"openai_chat","to":"gemini","model":"gemini-2.5-flash","body":{…},"facts":{…},"quirks":[…],"policy":{…}}
//! {"op":"answer","from":"gemini","to":"openai_chat","model":"alias","text":"{…}","request":{…}}
//! {"op":"stream","from":"gemini","to":"openai_chat","model":"alias","chunks":["data: …\n\n"],"include_usage":true}
//! {"op":"error","from":"gemini","to":"openai_chat","status":429,"text":"{…}"}
//! ```
//! `from` and `to` name the speaker and the listener; where they are equal the body is passed through.

use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::Arc;

use dialects::conversation::{Event, Request};
use dialects::document::Document;
use dialects::error::ErrorReply;
use dialects::exchange::{AnswerContext, ModelFacts, Target};
use dialects::loss::{Losses, ParameterPolicy};
use dialects::quirk::Quirk;
use dialects::{Dialect, ProviderError};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
struct Task {
    op: String,
    from: String,
    to: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    body: Value,
    #[serde(default)]
    text: String,
    #[serde(default)]
    chunks: Vec<String>,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    include_usage: bool,
    #[serde(default)]
    facts: ModelFacts,
    #[serde(default)]
    quirks: Vec<Quirk>,
    #[serde(default)]
    policy: ParameterPolicy,
    /// The client's request, for answers that repeat parts of it.
    #[serde(default)]
    request: Option<Value>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let task: Task = serde_json::from_str(&line?)?;
        let (Some(from), Some(to)) = (Dialect::from_name(&task.from), Dialect::from_name(&task.to)) else {
            return Err(format!("unknown dialect in `{}` → `{}`", task.from, task.to).into());
        };
        let result = match task.op.as_str() {
            "request" => request(&task, from, to),
            "answer" => answer(&task, from, to),
            "stream" => stream(&task, from, to),
            "error" => Ok(error(&task, from, to)),
            other => Err(format!("unknown op `{other}`").into()),
        };
        let line = result.unwrap_or_else(|error| json!({"error": error.to_string()}));
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn request(task: &Task, from: Dialect, to: Dialect) -> Result<Value, Box<dyn Error>> {
    let body = task.body.to_string();
    let mut document = Document::of(&body)?;
    let target =
        Target { model: &task.model, quirks: &task.quirks, facts: &task.facts, policy: &task.policy };
    let mut losses = Losses::new(task.policy.drop_params);
    let written;
    if from == to {
        from.codec().check_request(&document)?;
    } else {
        let request = from.codec().read_request(&document)?;
        from.codec().report_untranslatable(&request, &mut losses)?;
        written = to.codec().write_request(&request, &target, &mut losses)?;
        document = Document::parse(&written)?;
    }
    let headers = to.codec().adapt_request(&mut document, &target, &mut losses)?;
    let body: Value = serde_json::from_slice(&document.to_bytes())?;
    let notes: Vec<String> =
        losses.notes().iter().map(|n| format!("{} {}: {}", n.change.name(), n.param, n.detail)).collect();
    Ok(json!({"body": body, "headers": headers, "notes": notes}))
}

fn context(task: &Task, to: Dialect) -> Result<AnswerContext, Box<dyn Error>> {
    let request: Option<Arc<Request>> = match &task.request {
        Some(value) => Some(Arc::new(to.codec().read_request(&Document::of(&value.to_string())?)?)),
        None => None,
    };
    Ok(AnswerContext {
        model: task.model.clone(),
        seed: "0123456789abcdef".to_owned(),
        created: 1_760_000_000,
        include_usage: task.include_usage,
        request,
    })
}

fn answer(task: &Task, from: Dialect, to: Dialect) -> Result<Value, Box<dyn Error>> {
    let context = context(task, to)?;
    let body = if from == to {
        from.codec().relay_response(task.text.as_bytes(), &context)?.0
    } else {
        let response = from.codec().read_response(task.text.as_bytes(), &context.seed)?;
        to.codec().write_response(&response, &context)
    };
    Ok(json!({"text": String::from_utf8(body)?}))
}

fn stream(task: &Task, from: Dialect, to: Dialect) -> Result<Value, Box<dyn Error>> {
    let context = Arc::new(context(task, to)?);
    let mut out = Vec::new();
    let mut broken = None;
    if from == to {
        let mut relay = from.codec().stream_relay(Arc::clone(&context));
        for chunk in &task.chunks {
            relay.push(chunk.as_bytes(), &mut out)?;
        }
        let end = relay
            .finish(&mut out)
            .err()
            .map(|error| ProviderError::new(dialects::ErrorClass::Connection, 0, error.message));
        if let Some(error) = relay.observed().error.clone().or(end) {
            relay.write_error(&reply(&error), &mut out);
            broken = Some(error.message);
        }
    } else {
        let mut reader = from.codec().stream_reader(&context.seed);
        let mut writer = to.codec().stream_writer(context);
        let mut events = Vec::new();
        for chunk in &task.chunks {
            reader.push(chunk.as_bytes(), &mut events)?;
        }
        let end = reader
            .finish(&mut events)
            .err()
            .map(|error| ProviderError::new(dialects::ErrorClass::Connection, 0, error.message));
        let mut failure = None;
        for event in &events {
            match event {
                Event::Error(error) => failure = Some(error.clone()),
                event => writer.write(event, &mut out),
            }
        }
        if let Some(error) = failure.or(end) {
            writer.write_error(&reply(&error), &mut out);
            broken = Some(error.message);
        }
    }
    Ok(json!({"text": String::from_utf8(out)?, "broken": broken}))
}

fn error(task: &Task, from: Dialect, to: Dialect) -> Value {
    let error = from.codec().read_error(task.status, task.text.as_bytes());
    let body = to.codec().write_error(&reply(&error));
    json!({"class": format!("{:?}", error.class), "message": error.message, "text": String::from_utf8_lossy(&body)})
}

fn reply(error: &ProviderError) -> ErrorReply {
    ErrorReply {
        status: if error.status == 0 { 500 } else { error.status },
        message: error.message.clone(),
        kind: "internal_server_error",
        param: error.param.clone(),
        code: Some(error.status.to_string()),
    }
}
