//! Writes a stream for a client.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use super::super::relay::DONE;
use super::super::response::{write_logprobs, write_stop};
use super::super::usage::{self, Shares};
use super::super::{media, message, wire};
use crate::Dialect;
use crate::codec::StreamWriter;
use crate::conversation::{
    Delta, Event, MediaKind, Part, PartStart, Reasoning, Seal, SealKind, StopReason, ToolCallKind, Usage,
};
use crate::error::ErrorReply;
use crate::exchange::AnswerContext;
use crate::framing::sse::write_event;
use crate::json;
use crate::openai_error;

/// See [`Codec::stream_writer`](crate::codec::Codec::stream_writer).
#[derive(Debug)]
pub(in super::super) struct Writer {
    answer: Arc<AnswerContext>,
    /// The fields that every chunk begins with, up to `choices`, as JSON without the closing brace.
    head: String,
    usage: Option<Usage>,
    shares: Shares,
    choices: Vec<ChoiceState>,
    /// The chunk being written; kept for its memory.
    chunk: Vec<u8>,
}

#[derive(Debug)]
struct ChoiceState {
    index: u32,
    /// Nothing has been said yet: the role goes with the first words.
    fresh: bool,
    parts: Vec<OpenPart>,
    /// Characters of the content so far.
    said: u64,
    tool_calls: u64,
    images: usize,
}

#[derive(Debug)]
struct OpenPart {
    part: u32,
    kind: OpenKind,
}

#[derive(Debug)]
enum OpenKind {
    Text {
        /// Characters of the content before it.
        before: u64,
    },
    Refusal,
    /// The thinking so far, since a signed block goes out whole.
    Reasoning(Reasoning),
    ToolCall {
        index: u64,
        kind: ToolCallKind,
        silent: bool,
        /// Its id and name, which wait for the next event: a signature goes out with the id.
        opening: Option<Box<wire::ToolCall>>,
    },
    Audio {
        id: Option<String>,
    },
}

#[derive(Serialize)]
struct Choice<'a, D: Serialize> {
    index: u32,
    delta: D,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<wire::Logprobs>,
    finish_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_specific_fields: Option<Value>,
}

impl Writer {
    pub(in super::super) fn new(answer: Arc<AnswerContext>) -> Self {
        let mut writer = Self {
            answer,
            head: String::new(),
            usage: None,
            shares: Shares::default(),
            choices: Vec::new(),
            chunk: Vec::new(),
        };
        writer.write_head(None, None);
        writer
    }

    fn write_head(&mut self, id: Option<&str>, created: Option<u64>) {
        let id = id.map_or_else(|| format!("chatcmpl-{}", self.answer.seed), str::to_owned);
        self.head = format!(
            r#"{{"id":{},"object":"chat.completion.chunk","created":{},"model":{}"#,
            Value::from(id),
            created.unwrap_or(self.answer.created),
            Value::from(self.answer.model.as_str()),
        );
    }

    fn state(&mut self, index: u32) -> Option<&mut ChoiceState> {
        let place = match self.choices.iter().position(|state| state.index == index) {
            Some(place) => place,
            None => {
                let parts = Vec::new();
                self.choices.push(ChoiceState {
                    index,
                    fresh: true,
                    parts,
                    said: 0,
                    tool_calls: 0,
                    images: 0,
                });
                self.choices.len() - 1
            }
        };
        self.choices.get_mut(place)
    }

    fn choice<D: Serialize>(&mut self, choice: &Choice<'_, D>, out: &mut Vec<u8>) {
        self.chunk.clear();
        self.chunk.extend_from_slice(self.head.as_bytes());
        self.chunk.extend_from_slice(br#","choices":["#);
        // Writing to memory; maps have text keys: this cannot fail.
        if serde_json::to_writer(&mut self.chunk, choice).is_ok() {
            self.chunk.extend_from_slice(b"]}");
            write_event(None, &self.chunk, out);
        }
    }

    /// Writes a delta, with the role if it is the choice's first.
    fn delta(&mut self, index: u32, mut delta: wire::Message, out: &mut Vec<u8>) {
        if let Some(state) = self.state(index)
            && std::mem::take(&mut state.fresh)
        {
            delta.role = Some("assistant".to_owned());
        }
        let choice =
            Choice { index, delta, logprobs: None, finish_reason: None, provider_specific_fields: None };
        self.choice(&choice, out);
    }

    fn start_part(&mut self, index: u32, part: u32, start: &PartStart, out: &mut Vec<u8>) {
        self.open_calls(index, out);
        let Some(state) = self.state(index) else { return };
        let kind = match start {
            PartStart::Text => OpenKind::Text { before: state.said },
            PartStart::Refusal => OpenKind::Refusal,
            PartStart::Reasoning { id } => {
                OpenKind::Reasoning(Reasoning { id: id.clone(), ..Reasoning::default() })
            }
            PartStart::Audio { id } => OpenKind::Audio { id: id.clone() },
            PartStart::ToolCall { id, name, kind, .. } => {
                let call = state.tool_calls;
                state.tool_calls += 1;
                let mut piece = call_piece(call, *kind, String::new());
                piece.id = Some(id.clone());
                match (&mut piece.function, &mut piece.custom) {
                    (Some(function), _) => function.name = Some(name.clone()),
                    (None, Some(custom)) => custom.name = Some(name.clone()),
                    (None, None) => {}
                }
                let word = if *kind == ToolCallKind::Function { "function" } else { "custom" };
                piece.kind = Some(word.to_owned());
                OpenKind::ToolCall { index: call, kind: *kind, silent: true, opening: Some(Box::new(piece)) }
            }
            PartStart::Whole(whole) => return self.write_whole(index, whole, out),
        };
        state.parts.push(OpenPart { part, kind });
    }

    /// Tells the client of the calls that wait.
    fn open_calls(&mut self, index: u32, out: &mut Vec<u8>) {
        let Some(state) = self.state(index) else { return };
        let openings = state.parts.iter_mut().filter_map(|open| match &mut open.kind {
            OpenKind::ToolCall { opening, .. } => opening.take().map(|opening| *opening),
            _ => None,
        });
        let openings: Vec<wire::ToolCall> = openings.collect();
        if !openings.is_empty() {
            self.delta(index, wire::Message { tool_calls: Some(openings), ..blank() }, out);
        }
    }

    fn write_whole(&mut self, index: u32, part: &Part, out: &mut Vec<u8>) {
        let Some(state) = self.state(index) else { return };
        let shares = Shares::of(std::slice::from_ref(part));
        // What only another dialect knows has no place here.
        let (mut delta, _) = message::write_assistant(std::slice::from_ref(part), false);
        message::sign_ids(std::slice::from_ref(part), &mut delta);
        delta.role = None;
        if let Part::Media(image) = part
            && image.kind == MediaKind::Image
        {
            delta.images = Some(vec![media::write_image(image, state.images)]);
            state.images += 1;
        }
        for call in delta.tool_calls.iter_mut().flatten() {
            call.index = Some(state.tool_calls);
            state.tool_calls += 1;
        }
        if delta != blank() {
            self.shares.add(shares);
            self.delta(index, delta, out);
        }
    }

    fn write_delta(&mut self, index: u32, part: u32, delta: &Delta, out: &mut Vec<u8>) {
        let Some(state) = self.state(index) else { return };
        let Some(open) = state.parts.iter_mut().rfind(|open| open.part == part) else { return };
        let shares = shares_of(delta);
        let mut message = blank();
        match (delta, &mut open.kind) {
            (Delta::Text(text), OpenKind::Refusal) => message.refusal = Some(text.clone()),
            (Delta::Text(text), _) => {
                state.said = state.said.saturating_add(message::characters(text));
                message.content = Some(wire::Content::Text(text.clone()));
            }
            (Delta::Thinking(text), OpenKind::Reasoning(so_far)) => {
                so_far.text.push_str(text);
                message.reasoning_content = Some(text.clone());
            }
            (Delta::Summary { index, text }, OpenKind::Reasoning(so_far)) => {
                let place = usize::try_from(*index).unwrap_or(usize::MAX).min(so_far.summary.len());
                // Paragraphs are set apart where the text is shown in one piece.
                let apart = place == so_far.summary.len() && place > 0;
                match so_far.summary.get_mut(place) {
                    Some(paragraph) => paragraph.push_str(text),
                    None => so_far.summary.push(text.clone()),
                }
                message.reasoning_content = Some(if apart { format!("\n\n{text}") } else { text.clone() });
            }
            (Delta::Seal(seal), OpenKind::Reasoning(so_far)) => {
                so_far.seal = Some(seal.clone());
                write_sealed(so_far, &mut message);
            }
            (Delta::Seal(seal), OpenKind::ToolCall { index, kind, opening, .. }) => {
                let mut piece = match opening.take() {
                    Some(opening) => *opening,
                    None => call_piece(*index, *kind, String::new()),
                };
                piece.id = piece.id.map(|id| message::sign_id(&id, Some(seal)));
                message::write_tool_call_seal(seal, &mut piece);
                message.tool_calls = Some(vec![piece]);
                if seal.dialect == Dialect::Gemini {
                    message.provider_specific_fields = Some(loose_seal(seal));
                }
            }
            (Delta::Seal(seal), OpenKind::Text { .. }) => {
                message.provider_specific_fields = Some(loose_seal(seal));
            }
            (Delta::Arguments(text), OpenKind::ToolCall { index, kind, silent, opening }) => {
                *silent = false;
                let piece = call_piece(*index, *kind, text.clone());
                message.tool_calls = Some(vec![match opening.take() {
                    Some(opening) => with_arguments(*opening, piece),
                    None => piece,
                }]);
            }
            (Delta::Citation(citation), OpenKind::Text { before }) => {
                match message::write_citation(citation, false, *before) {
                    Ok(annotation) => message.annotations = Some(vec![annotation]),
                    Err(original) => {
                        let fields = Map::from_iter([("citation".to_owned(), original)]);
                        message.provider_specific_fields = Some(fields);
                    }
                }
            }
            (Delta::AudioData(data), OpenKind::Audio { id }) => {
                message.audio =
                    Some(wire::Audio { id: id.take(), data: Some(data.clone()), ..wire::Audio::default() });
            }
            (Delta::AudioTranscript(text), OpenKind::Audio { id }) => {
                message.audio = Some(wire::Audio {
                    id: id.take(),
                    transcript: Some(text.clone()),
                    ..wire::Audio::default()
                });
            }
            _ => return,
        }
        self.shares.add(shares);
        self.delta(index, message, out);
    }

    fn stop_part(&mut self, index: u32, part: u32, out: &mut Vec<u8>) {
        let Some(state) = self.state(index) else { return };
        let Some(place) = state.parts.iter().rposition(|open| open.part == part) else { return };
        let open = state.parts.remove(place);
        match open.kind {
            // Clients parse the arguments, and no text is no JSON.
            OpenKind::ToolCall { index: call, kind: ToolCallKind::Function, silent: true, opening } => {
                let piece = call_piece(call, ToolCallKind::Function, "{}".to_owned());
                let piece = match opening {
                    Some(opening) => with_arguments(*opening, piece),
                    None => piece,
                };
                self.delta(index, wire::Message { tool_calls: Some(vec![piece]), ..blank() }, out);
            }
            OpenKind::ToolCall { opening: Some(opening), .. } => {
                self.delta(index, wire::Message { tool_calls: Some(vec![*opening]), ..blank() }, out);
            }
            OpenKind::Reasoning(reasoning) if reasoning.seal.is_none() && reasoning.id.is_some() => {
                let item = message::write_reasoning_item(&reasoning, false);
                self.delta(index, wire::Message { reasoning_items: Some(vec![item]), ..blank() }, out);
            }
            OpenKind::ToolCall { .. }
            | OpenKind::Reasoning(_)
            | OpenKind::Text { .. }
            | OpenKind::Refusal
            | OpenKind::Audio { .. } => {}
        }
    }

    fn finish(&mut self, index: u32, reason: &StopReason, out: &mut Vec<u8>) {
        if self.state(index).is_some_and(|state| state.fresh) {
            let content = Some(wire::Content::Text(String::new()));
            self.delta(index, wire::Message { content, ..blank() }, out);
        }
        let (reason, native) = write_stop(reason);
        let native = native.map(|native| serde_json::json!({"native_finish_reason": native}));
        let choice = Choice {
            index,
            delta: blank(),
            logprobs: None,
            finish_reason: Some(reason),
            provider_specific_fields: native,
        };
        self.choice(&choice, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(usage) = self.usage.take()
            && self.answer.include_usage
        {
            self.chunk.clear();
            self.chunk.extend_from_slice(self.head.as_bytes());
            self.chunk.extend_from_slice(br#","choices":[],"usage":"#);
            self.chunk.extend_from_slice(&json::write(&usage::write(&usage, self.shares, false)));
            self.chunk.push(b'}');
            write_event(None, &self.chunk, out);
        }
        write_event(None, DONE.as_bytes(), out);
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, created, .. } => self.write_head(id.as_deref(), *created),
            Event::PartStart { choice, part, start } => self.start_part(*choice, *part, start, out),
            Event::Delta { choice, part, delta } => self.write_delta(*choice, *part, delta, out),
            Event::PartStop { choice, part } => self.stop_part(*choice, *part, out),
            Event::Logprobs { choice, tokens } => {
                let logprobs = Some(write_logprobs(tokens));
                let choice = Choice {
                    index: *choice,
                    delta: blank(),
                    logprobs,
                    finish_reason: None,
                    provider_specific_fields: None,
                };
                self.choice(&choice, out);
            }
            Event::Finish { choice, reason } => self.finish(*choice, reason, out),
            Event::Usage(usage) => self.usage = Some(usage.clone()),
            Event::End => self.end(out),
            Event::Error(_) => {}
        }
    }

    fn write_error(&mut self, error: &ErrorReply, out: &mut Vec<u8>) {
        write_event(None, &openai_error::write(error), out);
    }
}

fn shares_of(delta: &Delta) -> Shares {
    match delta {
        Delta::Thinking(text) | Delta::Summary { text, .. } => {
            Shares { thinking: text.len() as u64, rest: 0 }
        }
        Delta::Text(text) | Delta::Arguments(text) => Shares { thinking: 0, rest: text.len() as u64 },
        Delta::Seal(_) | Delta::Citation(_) | Delta::AudioData(_) | Delta::AudioTranscript(_) => {
            Shares::default()
        }
    }
}

fn blank() -> wire::Message {
    wire::Message::default()
}

/// The beginning of a call together with the first piece of its arguments.
fn with_arguments(opening: wire::ToolCall, piece: wire::ToolCall) -> wire::ToolCall {
    let mut call = opening;
    if let (Some(function), Some(first)) = (&mut call.function, piece.function) {
        function.arguments = first.arguments;
    }
    if let (Some(custom), Some(first)) = (&mut call.custom, piece.custom) {
        custom.input = first.input;
    }
    call
}

fn call_piece(index: u64, kind: ToolCallKind, text: String) -> wire::ToolCall {
    let mut piece = wire::ToolCall { index: Some(index), ..wire::ToolCall::default() };
    match kind {
        ToolCallKind::Function => {
            piece.function =
                Some(wire::FunctionCall { arguments: Some(text), ..wire::FunctionCall::default() });
        }
        ToolCallKind::Custom => {
            piece.custom = Some(wire::CustomCall { input: Some(text), ..wire::CustomCall::default() });
        }
    }
    piece
}

/// The proof of a reasoning part whose text has gone out already: Anthropic's clients want text and signature in one
/// block.
fn write_sealed(reasoning: &Reasoning, message: &mut wire::Message) {
    match &reasoning.seal {
        Some(Seal { dialect: Dialect::OpenaiResponses, .. }) => {
            message.reasoning_items = Some(vec![message::write_reasoning_item(reasoning, false)]);
        }
        _ => message.thinking_blocks = Some(vec![message::write_thinking_block(reasoning)]),
    }
}

fn loose_seal(seal: &Seal) -> Map<String, Value> {
    let signature = seal.to_slot(Dialect::Gemini, SealKind::Signature);
    Map::from_iter([("thought_signatures".to_owned(), Value::from(vec![signature]))])
}
