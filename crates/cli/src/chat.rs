use std::io::{BufRead, IsTerminal};

use dialects::Dialect;
use dialects::conversation::{Delta, Event};
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::args::ChatArgs;
use crate::output::{self, Failure};
use crate::remote::{Remote, block_on};

pub(crate) fn run(args: &ChatArgs) -> Result<(), Failure> {
    block_on(chat(args))?
}

async fn chat(args: &ChatArgs) -> Result<(), Failure> {
    let remote = Remote::new(&args.remote);
    let model = match &args.model {
        Some(model) => model.clone(),
        None => first_model(&remote).await?,
    };
    let mut messages = Vec::new();
    messages.extend(args.system.as_ref().map(|system| json!({"role": "system", "content": system})));
    if !args.question.is_empty() {
        messages.push(json!({"role": "user", "content": args.question.join(" ")}));
        ask(&remote, &model, &messages).await?;
        return Ok(());
    }
    let interactive = std::io::stdin().is_terminal();
    if interactive {
        output::note(&format!("Chatting with {model}; end with Ctrl-D."));
        output::piece("> ");
    }
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if !line.trim().is_empty() {
            messages.push(json!({"role": "user", "content": line}));
            let answer = ask(&remote, &model, &messages).await?;
            messages.push(json!({"role": "assistant", "content": answer}));
        }
        if interactive {
            output::piece("> ");
        }
    }
    Ok(())
}

async fn first_model(remote: &Remote) -> Result<String, Failure> {
    let models = remote.get("/v1/models").await?;
    let first = models.pointer("/data/0/id").and_then(Value::as_str);
    first.map(str::to_owned).ok_or_else(|| Failure::new("the gateway has no models"))
}

/// Asks and prints the answer as it arrives; returns it.
async fn ask(remote: &Remote, model: &str, messages: &[Value]) -> Result<String, Failure> {
    let body = json!({"model": model, "messages": messages, "stream": true});
    let response = remote.send(Method::POST, "/v1/chat/completions", Some(&body)).await?;
    let mut reader = Dialect::OpenaiChat.codec().stream_reader("chat");
    let mut body = response.into_body();
    let (mut events, mut answer) = (Vec::new(), String::new());
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            reader.push(data, &mut events)?;
        }
        show(&mut events, &mut answer)?;
    }
    reader.finish(&mut events)?;
    show(&mut events, &mut answer)?;
    output::line("");
    Ok(answer)
}

fn show(events: &mut Vec<Event>, answer: &mut String) -> Result<(), Failure> {
    for event in events.drain(..) {
        match event {
            Event::Delta { delta: Delta::Text(text), .. } => {
                output::piece(&text);
                answer.push_str(&text);
            }
            Event::Error(error) => return Err(Failure::new(error.message)),
            _ => {}
        }
    }
    Ok(())
}
