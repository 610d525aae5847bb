//! From what a provider answered to what the client reads, in whichever dialects the two speak.

use std::sync::Arc;

use dialects::codec::{StreamReader, StreamRelay, StreamWriter};
use dialects::conversation::{Delta, Event, Part, PartStart, Response, Seal};
use dialects::error::ErrorReply;
use dialects::exchange::{AnswerContext, Observed};
use dialects::{BadReply, Dialect};

/// A complete answer for the client, and what it told the gateway.
///
/// # Errors
/// When the provider's body is not an answer in its dialect.
pub fn whole(
    provider: Dialect,
    client: Dialect,
    body: &[u8],
    answer: &AnswerContext,
) -> Result<(Vec<u8>, Observed), BadReply> {
    if provider == client {
        return client.codec().relay_response(body, answer);
    }
    let response = provider.codec().read_response(body, &answer.seed)?;
    let bytes = client.codec().write_response(&response, answer);
    Ok((bytes, observe(response)))
}

fn observe(response: Response) -> Observed {
    let parts = || response.choices.iter().flat_map(|choice| &choice.parts);
    Observed {
        dialect: Some(response.dialect),
        stop: response.choices.first().map(|choice| choice.stop.clone()),
        has_content: parts().next().is_some(),
        text_bytes: parts().map(text_bytes).sum(),
        complete: true,
        seals: parts().filter_map(Part::seal).map(|seal| Seal::mark(&seal.value)).collect(),
        id: response.id.clone(),
        model: response.model.clone(),
        error: None,
        usage: response.usage,
    }
}

fn text_bytes(part: &Part) -> u64 {
    let bytes = match part {
        Part::Text(text) => text.text.len(),
        Part::Refusal(text) => text.len(),
        Part::Reasoning(reasoning) => {
            reasoning.text.len() + reasoning.summary.iter().map(String::len).sum::<usize>()
        }
        Part::ToolCall(call) => call.name.len() + call.arguments.len(),
        Part::Media(_) | Part::ToolResult(_) | Part::Opaque(_) => 0,
    };
    bytes as u64
}

/// A streamed answer on its way to the client.
#[derive(Debug)]
pub enum AnswerStream {
    /// Both sides speak the same dialect: events go through, edited only where they must be.
    Relay(Box<dyn StreamRelay>),
    Translate(Box<Translation>),
}

/// Events of one dialect, written in another.
#[derive(Debug)]
pub struct Translation {
    reader: Box<dyn StreamReader>,
    writer: Box<dyn StreamWriter>,
    events: Vec<Event>,
    observed: Observed,
}

impl AnswerStream {
    #[must_use]
    pub fn new(provider: Dialect, client: Dialect, answer: Arc<AnswerContext>) -> Self {
        if provider == client {
            return Self::Relay(client.codec().stream_relay(answer));
        }
        Self::Translate(Box::new(Translation {
            reader: provider.codec().stream_reader(&answer.seed),
            writer: client.codec().stream_writer(answer),
            events: Vec::new(),
            observed: Observed { dialect: Some(provider), ..Observed::default() },
        }))
    }

    /// Feeds bytes of the provider; appends what the client gets. A provider's error is not written: see
    /// [`Observed::error`].
    ///
    /// # Errors
    /// When the bytes are not the provider's dialect.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BadReply> {
        match self {
            Self::Relay(relay) => relay.push(bytes, out),
            Self::Translate(translation) => {
                let read = translation.reader.push(bytes, &mut translation.events);
                translation.forward(out);
                read
            }
        }
    }

    /// The provider closed the connection.
    ///
    /// # Errors
    /// When the answer is not complete.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BadReply> {
        match self {
            Self::Relay(relay) => relay.finish(out),
            Self::Translate(translation) => {
                let read = translation.reader.finish(&mut translation.events);
                translation.forward(out);
                read
            }
        }
    }

    #[must_use]
    pub fn observed(&self) -> &Observed {
        match self {
            Self::Relay(relay) => relay.observed(),
            Self::Translate(translation) => &translation.observed,
        }
    }

    /// Ends the stream with an error, in the client's dialect.
    pub fn write_error(&mut self, error: &ErrorReply, out: &mut Vec<u8>) {
        match self {
            Self::Relay(relay) => relay.write_error(error, out),
            Self::Translate(translation) => translation.writer.write_error(error, out),
        }
    }
}

impl Translation {
    fn forward(&mut self, out: &mut Vec<u8>) {
        for event in &self.events {
            note(&mut self.observed, event);
            if self.observed.error.is_some() {
                break;
            }
            self.writer.write(event, out);
        }
        self.events.clear();
    }
}

/// Keeps what `event` tells the gateway.
pub fn note(observed: &mut Observed, event: &Event) {
    match event {
        Event::Start { id, model, .. } => {
            observed.id.clone_from(id);
            observed.model.clone_from(model);
        }
        Event::PartStart { start: PartStart::ToolCall { name, .. }, .. } => {
            observed.has_content = true;
            observed.text_bytes = observed.text_bytes.saturating_add(name.len() as u64);
        }
        Event::PartStart { start: PartStart::Whole(part), .. } => {
            observed.has_content = true;
            observed.seals.extend(part.seal().map(|seal| Seal::mark(&seal.value)));
        }
        Event::Delta { delta, .. } => {
            let bytes = match delta {
                Delta::Text(text)
                | Delta::Thinking(text)
                | Delta::Arguments(text)
                | Delta::Summary { text, .. } => text.len(),
                Delta::AudioData(data) => {
                    observed.has_content |= !data.is_empty();
                    0
                }
                Delta::Seal(seal) => {
                    observed.seals.push(Seal::mark(&seal.value));
                    0
                }
                Delta::Citation(_) | Delta::AudioTranscript(_) => 0,
            };
            observed.has_content |= bytes > 0;
            observed.text_bytes = observed.text_bytes.saturating_add(bytes as u64);
        }
        Event::Finish { choice: 0, reason } => observed.stop = Some(reason.clone()),
        Event::Usage(usage) => observed.usage = Some(usage.clone()),
        Event::Error(error) => observed.error = Some(error.clone()),
        Event::End => observed.complete = true,
        Event::PartStart { .. } | Event::PartStop { .. } | Event::Logprobs { .. } | Event::Finish { .. } => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use dialects::conversation::replay;

    use super::*;

    /// An estimate of usage hangs on the bytes, so it must not depend on how the answer came.
    #[test]
    fn an_answer_and_its_stream_tell_the_gateway_the_same() {
        let body = r#"{"id":"resp_1","model":"m","status":"completed","output":[
            {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Thought."}],
             "content":[{"type":"reasoning_text","text":"Long."}]},
            {"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{\"a\":1}"},
            {"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi","annotations":[]}]}],
            "usage":{"input_tokens":1,"output_tokens":2}}"#;
        let response = Dialect::OpenaiResponses.codec().read_response(body.as_bytes(), "5eed").unwrap();
        let mut streamed = Observed { dialect: Some(Dialect::OpenaiResponses), ..Observed::default() };
        for event in replay(response.clone()) {
            note(&mut streamed, &event);
        }
        let whole = observe(response);
        assert_eq!(whole.text_bytes, 8 + 5 + 1 + 7 + 2);
        assert_eq!(streamed, whole);
    }
}
