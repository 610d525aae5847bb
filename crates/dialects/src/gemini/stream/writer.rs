//! A stream for a client that speaks to us as to Gemini.

use std::sync::Arc;

use serde_json::Value;

use crate::Dialect;
use crate::codec::StreamWriter;
use crate::conversation::{
    Citation, Delta, Event, Part, PartStart, StopReason, TokenLogprob, ToolCall, Usage,
};
use crate::error::ErrorReply;
use crate::exchange::AnswerContext;
use crate::framing::sse::write_event;
use crate::gemini::part::Reader;
use crate::gemini::{error, finish, grounding, part, response, seal, usage, wire};

#[derive(Debug)]
pub(in crate::gemini) struct Writer {
    answer: Arc<AnswerContext>,
    id: String,
    model: String,
    open: Vec<OpenPart>,
    /// Texts with citations, by choice: sources are told in the last chunk.
    cited: Vec<(u32, String, Vec<Citation>)>,
    finished: Vec<(u32, StopReason)>,
    usage: Option<Usage>,
}

#[derive(Debug)]
struct OpenPart {
    choice: u32,
    part: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text {
        text: String,
        citations: Vec<Citation>,
    },
    Reasoning {
        /// Paragraph of the summary that was last written to.
        paragraph: Option<u32>,
    },
    /// Google's clients know function calls only as a whole.
    Call(ToolCall),
    Audio,
}

impl Writer {
    pub(in crate::gemini) fn new(answer: Arc<AnswerContext>) -> Self {
        Self {
            id: answer.seed.clone(),
            model: answer.model.clone(),
            answer,
            open: Vec::new(),
            cited: Vec::new(),
            finished: Vec::new(),
            usage: None,
        }
    }

    fn send(&self, candidates: Vec<wire::Candidate>, usage_metadata: Option<Value>, out: &mut Vec<u8>) {
        let chunk = wire::Response {
            candidates,
            usage_metadata,
            model_version: Some(self.model.clone()),
            response_id: Some(self.id.clone()),
            ..wire::Response::default()
        };
        if let Ok(json) = serde_json::to_vec(&chunk) {
            write_event(None, &json, out);
        }
    }

    fn send_part(&self, choice: u32, part: wire::Part, out: &mut Vec<u8>) {
        self.send(vec![candidate(choice, vec![part])], None, out);
    }

    fn start(&mut self, choice: u32, part: u32, start: &PartStart, out: &mut Vec<u8>) {
        let kind = match start {
            PartStart::Text | PartStart::Refusal => Kind::Text { text: String::new(), citations: Vec::new() },
            PartStart::Reasoning { .. } => Kind::Reasoning { paragraph: None },
            PartStart::ToolCall { id, name, kind, .. } => {
                Kind::Call(ToolCall { kind: *kind, ..ToolCall::function(id, name, "") })
            }
            PartStart::Audio { .. } => Kind::Audio,
            PartStart::Whole(whole) => {
                // A stream's opaque parts and extra fields come from the dialect that made the part.
                let read_from = match whole {
                    Part::Opaque(opaque) => opaque.dialect,
                    _ => Dialect::OpenaiChat,
                };
                if let Some(written) = part::write(whole, read_from, Reader::Client) {
                    self.send_part(choice, written, out);
                }
                return;
            }
        };
        self.open.push(OpenPart { choice, part, kind });
    }

    fn delta(&mut self, choice: u32, part: u32, delta: &Delta, out: &mut Vec<u8>) {
        let audio_type = part::audio_type(&self.answer);
        let Some(open) = self.open.iter_mut().find(|open| open.choice == choice && open.part == part) else {
            return;
        };
        let thinking = matches!(open.kind, Kind::Reasoning { .. });
        let written = match (&mut open.kind, delta) {
            (Kind::Text { text, .. }, Delta::Text(piece)) => {
                text.push_str(piece);
                text_part(piece.clone(), false)
            }
            (Kind::Text { citations, .. }, Delta::Citation(citation)) => {
                citations.push(citation.clone());
                return;
            }
            (Kind::Reasoning { .. }, Delta::Thinking(piece)) => text_part(piece.clone(), true),
            (Kind::Reasoning { paragraph }, Delta::Summary { index, text }) => {
                let is_next = paragraph.is_some_and(|last| last != *index);
                *paragraph = Some(*index);
                text_part(if is_next { format!("\n\n{text}") } else { text.clone() }, true)
            }
            (Kind::Call(call), Delta::Arguments(piece)) => {
                call.arguments.push_str(piece);
                return;
            }
            (Kind::Call(call), Delta::Seal(seal)) => {
                call.seal = Some(seal.clone());
                return;
            }
            (Kind::Text { .. } | Kind::Reasoning { .. }, Delta::Seal(given)) => wire::Part {
                thought_signature: Some(seal::write(given)),
                ..text_part(String::new(), thinking)
            },
            (Kind::Audio, Delta::AudioData(data)) => wire::Part {
                inline_data: Some(wire::Blob {
                    mime_type: audio_type.to_owned(),
                    data: data.clone(),
                    display_name: None,
                }),
                ..wire::Part::default()
            },
            (Kind::Audio, Delta::AudioTranscript(text)) => text_part(text.clone(), false),
            // Deltas that no part of this kind has.
            _ => return,
        };
        self.send_part(choice, written, out);
    }

    fn stop(&mut self, choice: u32, part: u32, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|open| open.choice == choice && open.part == part) else {
            return;
        };
        match self.open.remove(at).kind {
            Kind::Call(call) => {
                if let Some(written) = part::write(&Part::ToolCall(call), Dialect::OpenaiChat, Reader::Client)
                {
                    self.send_part(choice, written, out);
                }
            }
            Kind::Text { text, citations } if !citations.is_empty() => {
                self.cited.push((choice, text, citations));
            }
            Kind::Text { .. } | Kind::Reasoning { .. } | Kind::Audio => {}
        }
    }

    fn logprobs(&self, choice: u32, tokens: &[TokenLogprob], out: &mut Vec<u8>) {
        let result = wire::Candidate {
            logprobs_result: Some(response::write_logprobs(tokens)),
            ..candidate(choice, vec![text_part(String::new(), false)])
        };
        self.send(vec![result], None, out);
    }

    /// The last chunk: why each candidate ended, its sources, and the usage.
    fn end(&mut self, out: &mut Vec<u8>) {
        let finished = std::mem::take(&mut self.finished);
        let candidates = finished
            .into_iter()
            .map(|(choice, reason)| {
                let texts = self.cited.iter().filter(|(of, _, _)| *of == choice);
                wire::Candidate {
                    finish_reason: Some(finish::write(&reason).to_owned()),
                    grounding_metadata: grounding::write(
                        texts.map(|(_, text, citations)| (0, text.as_str(), citations.as_slice())),
                    ),
                    ..candidate(choice, vec![text_part(String::new(), false)])
                }
            })
            .collect();
        let usage = self.usage.take().map(|usage| usage::write(&usage, Dialect::OpenaiChat));
        self.send(candidates, usage, out);
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, .. } => {
                if let Some(id) = id {
                    self.id.clone_from(id);
                }
                if let Some(model) = model {
                    self.model.clone_from(model);
                }
            }
            Event::PartStart { choice, part, start } => self.start(*choice, *part, start, out),
            Event::Delta { choice, part, delta } => self.delta(*choice, *part, delta, out),
            Event::PartStop { choice, part } => self.stop(*choice, *part, out),
            Event::Logprobs { choice, tokens } => self.logprobs(*choice, tokens, out),
            Event::Finish { choice, reason } => self.finished.push((*choice, reason.clone())),
            Event::Usage(usage) => self.usage = Some(usage.clone()),
            Event::Error(_) => {}
            Event::End => self.end(out),
        }
    }

    fn write_error(&mut self, reply: &ErrorReply, out: &mut Vec<u8>) {
        write_event(None, &error::write(reply), out);
    }
}

fn candidate(index: u32, parts: Vec<wire::Part>) -> wire::Candidate {
    wire::Candidate {
        content: Some(wire::Content { role: Some("model".to_owned()), parts }),
        index: Some(index),
        ..wire::Candidate::default()
    }
}

fn text_part(text: String, thinking: bool) -> wire::Part {
    wire::Part { text: Some(text), thought: thinking.then_some(true), ..wire::Part::default() }
}
