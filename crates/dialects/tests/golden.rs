//! What every dialect makes of every other: `golden/<kind>/<dialect>/<case>` is said by one side, and
//! `<case>.to-<dialect>` beside it is what the other side hears.
//!
//! - `requests/*.json`: a client's request, and what a provider is sent. The snapshot holds the `body`, the
//!   `headers` that belong to it, and `notes` of what was changed or lost. A request that is refused has
//!   `refused` instead, and under `with_drop_params` what is sent if the operator allows to drop parameters.
//! - `answers/*.json`: a provider's answer, and what a client gets.
//! - `streams/*.sse`: the same, streamed.
//!
//! Where both sides speak the same dialect, the pair shows what passing through changes.
//!
//! `TOLLWAY_GOLDEN=write cargo test -p tollway-dialects --test golden` writes the snapshots; read the diff.

#![allow(clippy::unwrap_used, reason = "a test that is surprised fails")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dialects::conversation::Event;
use dialects::document::Document;
use dialects::error::{CannotSay, ErrorReply, ProviderError};
use dialects::exchange::{AnswerContext, ModelFacts, Target};
use dialects::loss::{Losses, ParameterPolicy};
use dialects::{Dialect, ErrorClass};
use serde_json::{Map, Value, json};

/// The model that requests are written for: one of the dialect's home provider that has most of what the
/// dialect can say.
fn target_model(dialect: Dialect) -> (&'static str, ModelFacts) {
    let common = ModelFacts {
        supports_reasoning: Some(true),
        supports_function_calling: Some(true),
        supports_tool_choice: Some(true),
        supports_response_schema: Some(true),
        supports_vision: Some(true),
        supports_pdf_input: Some(true),
        supports_prompt_caching: Some(true),
        supports_web_search: Some(true),
        ..ModelFacts::default()
    };
    match dialect {
        // Answers without thinking unless it is asked for, so it takes both `temperature` and `reasoning_effort`.
        Dialect::OpenaiChat | Dialect::OpenaiResponses => (
            "gpt-5.1",
            ModelFacts {
                max_input_tokens: Some(272_000),
                max_output_tokens: Some(128_000),
                supports_parallel_function_calling: Some(true),
                supports_system_messages: Some(true),
                supports_none_reasoning_effort: Some(true),
                supports_minimal_reasoning_effort: Some(false),
                supports_xhigh_reasoning_effort: Some(false),
                ..common
            },
        ),
        Dialect::OpenaiCompletions => (
            "gpt-3.5-turbo-instruct",
            ModelFacts {
                max_input_tokens: Some(8_192),
                max_output_tokens: Some(4_096),
                ..ModelFacts::default()
            },
        ),
        Dialect::AnthropicMessages => (
            "claude-sonnet-4-5",
            ModelFacts { max_input_tokens: Some(200_000), max_output_tokens: Some(64_000), ..common },
        ),
        Dialect::Gemini => (
            "gemini-2.5-flash",
            ModelFacts {
                max_input_tokens: Some(1_048_576),
                max_output_tokens: Some(65_536),
                supports_parallel_function_calling: Some(true),
                supports_system_messages: Some(true),
                supports_audio_input: Some(true),
                ..common
            },
        ),
    }
}

#[test]
fn requests() {
    check("requests", "json", translate_request);
}

#[test]
fn answers() {
    check("answers", "json", translate_answer);
}

#[test]
fn streams() {
    check("streams", "sse", translate_stream);
}

/// Compares what `translate` makes of every input in `golden/<kind>` with its snapshots, or writes them.
fn check(kind: &str, ending: &str, translate: fn(&str, Dialect, Dialect) -> String) {
    let write = std::env::var("TOLLWAY_GOLDEN").is_ok_and(|mode| mode == "write");
    let mut wrong = String::new();
    for from in Dialect::ALL {
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "golden", kind, from.name()].iter().collect();
        let (inputs, mut snapshots) = files(&folder, ending);
        assert!(inputs.len() >= 3, "{}: only {} inputs", folder.display(), inputs.len());
        for case in inputs {
            let input = std::fs::read_to_string(folder.join(format!("{case}.{ending}"))).unwrap();
            for to in Dialect::ALL {
                let name = format!("{case}.to-{to}.{ending}");
                let path = folder.join(&name);
                snapshots.remove(&name);
                let found = translate(&input, from, to);
                let expected = std::fs::read_to_string(&path).ok();
                if expected.as_deref() == Some(&found) {
                    continue;
                }
                if write {
                    std::fs::write(&path, &found).unwrap();
                } else {
                    writeln!(
                        wrong,
                        "golden/{kind}/{from}/{name}: {}",
                        difference(expected.as_deref(), &found)
                    )
                    .unwrap();
                }
            }
        }
        for stale in snapshots {
            if write {
                std::fs::remove_file(folder.join(stale)).unwrap();
            } else {
                writeln!(wrong, "golden/{kind}/{from}/{stale}: no input or dialect of that name").unwrap();
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{wrong}\nIf this is right, accept it with `TOLLWAY_GOLDEN=write cargo test -p tollway-dialects \
         --test golden`, and read the diff."
    );
}

/// The names of the cases in a folder, and of the snapshots beside them.
fn files(folder: &Path, ending: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut cases, mut snapshots) = (BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.contains(".to-") {
            snapshots.insert(name);
        } else {
            cases.insert(name.strip_suffix(&format!(".{ending}")).unwrap_or(&name).to_owned());
        }
    }
    (cases, snapshots)
}

/// The first line that differs.
fn difference(expected: Option<&str>, found: &str) -> String {
    let Some(expected) = expected else { return "there is no snapshot".to_owned() };
    let (mut old, mut new) = (expected.lines(), found.lines());
    for number in 1.. {
        match (old.next(), new.next()) {
            (Some(before), Some(now)) if before == now => {}
            (None, None) => break,
            (before, now) => {
                let line = |text: Option<&str>| text.unwrap_or("(end of file)").to_owned();
                return format!("line {number}\n  expected {}\n  found    {}", line(before), line(now));
            }
        }
    }
    "other line ends".to_owned()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

fn translate_request(input: &str, from: Dialect, to: Dialect) -> String {
    let shown = match sent(input, from, to, false) {
        Ok(shown) => shown,
        Err(CannotSay { param, message }) => {
            let mut shown = Map::new();
            shown.insert("refused".to_owned(), json!({"param": param, "message": message}));
            if let Ok(sent) = sent(input, from, to, true) {
                shown.insert("with_drop_params".to_owned(), Value::Object(sent));
            }
            shown
        }
    };
    pretty(&Value::Object(shown))
}

/// What the provider is sent: read, write, adapt; of its own dialect only adapt.
fn sent(input: &str, from: Dialect, to: Dialect, drop_params: bool) -> Result<Map<String, Value>, CannotSay> {
    let (model, facts) = target_model(to);
    let policy = ParameterPolicy { drop_params, ..ParameterPolicy::default() };
    let target = Target { model, quirks: &[], facts: &facts, policy: &policy };
    let mut losses = Losses::new(drop_params);
    let mut document = Document::of(input).unwrap();
    let written;
    if from == to {
        from.codec().check_request(&document).unwrap();
    } else {
        let request = from.codec().read_request(&document).unwrap();
        from.codec().report_untranslatable(&request, &mut losses)?;
        written = to.codec().write_request(&request, &target, &mut losses)?;
        document = Document::parse(&written).unwrap();
    }
    let headers = to.codec().adapt_request(&mut document, &target, &mut losses)?;
    let mut sent = Map::new();
    sent.insert("body".to_owned(), serde_json::from_slice(&document.to_bytes()).unwrap());
    if !headers.is_empty() {
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
        sent.insert("headers".to_owned(), Value::Object(headers.collect()));
    }
    let notes: Vec<Value> = losses
        .notes()
        .iter()
        .map(|note| Value::from(format!("{} {}: {}", note.change.name(), note.param, note.detail)))
        .collect();
    if !notes.is_empty() {
        sent.insert("notes".to_owned(), notes.into());
    }
    Ok(sent)
}

/// The request that an answer belongs to. OpenAI Responses repeats its settings; the others need nothing of it.
const ASKED: &str = r#"{"model":"alias","instructions":"Be terse.","input":"What is the weather in Oslo?",
    "temperature":0.5,"tools":[{"type":"function","name":"get_weather","parameters":{"type":"object",
    "properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false},"strict":true}]}"#;

fn context() -> AnswerContext {
    let asked = Dialect::OpenaiResponses.codec().read_request(&Document::of(ASKED).unwrap()).unwrap();
    AnswerContext {
        model: "alias".to_owned(),
        seed: "5eed".to_owned(),
        created: 1_760_000_000,
        include_usage: true,
        request: Some(Arc::new(asked)),
    }
}

fn translate_answer(input: &str, from: Dialect, to: Dialect) -> String {
    let context = context();
    let told = if from == to {
        from.codec().relay_response(input.as_bytes(), &context).unwrap().0
    } else {
        let response = from.codec().read_response(input.as_bytes(), &context.seed).unwrap();
        to.codec().write_response(&response, &context)
    };
    pretty(&serde_json::from_slice(&told).unwrap())
}

fn translate_stream(input: &str, from: Dialect, to: Dialect) -> String {
    let context = Arc::new(context());
    let mut told = Vec::new();
    if from == to {
        let mut relay = from.codec().stream_relay(context);
        relay.push(input.as_bytes(), &mut told).unwrap();
        let end = relay.finish(&mut told);
        let broken = end.err().map(|error| ProviderError::new(ErrorClass::Connection, 0, error.message));
        if let Some(error) = relay.observed().error.clone().or(broken) {
            relay.write_error(&reply(error), &mut told);
        }
    } else {
        let mut reader = from.codec().stream_reader(&context.seed);
        let mut writer = to.codec().stream_writer(context);
        let mut events = Vec::new();
        reader.push(input.as_bytes(), &mut events).unwrap();
        let end = reader.finish(&mut events);
        let mut broken = end.err().map(|error| ProviderError::new(ErrorClass::Connection, 0, error.message));
        for event in events {
            match event {
                Event::Error(error) => broken = Some(error),
                event => writer.write(&event, &mut told),
            }
        }
        if let Some(error) = broken {
            writer.write_error(&reply(error), &mut told);
        }
    }
    String::from_utf8(told).unwrap()
}

/// What the gateway tells a client of a provider's error.
fn reply(error: ProviderError) -> ErrorReply {
    ErrorReply {
        status: if error.status == 0 { 500 } else { error.status },
        message: error.message,
        kind: "internal_server_error",
        param: error.param,
        code: error.code,
    }
}
