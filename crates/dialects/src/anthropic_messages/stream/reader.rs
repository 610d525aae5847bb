use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::response::{ANSWER_TOOL, read_stop};
use super::super::{block, error, usage, wire};
use crate::Dialect;
use crate::codec;
use crate::conversation::{Delta, Event, Extra, Opaque, Part, PartStart, ToolCallKind};
use crate::error::BadReply;
use crate::framing::sse::SseReader;

/// Reads a provider's stream.
#[derive(Debug)]
pub(in super::super) struct Reader {
    seed: String,
    sse: SseReader,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    stage: Stage,
    /// The parts so far.
    parts: u32,
    open: Vec<Open>,
    usage: wire::Usage,
    /// Bytes of the thinking that was shown.
    thinking_bytes: usize,
    /// The model answered by [`ANSWER_TOOL`].
    answered: bool,
    /// The model called a tool of the client.
    called: bool,
    /// The answer's reason to end is told.
    finished: bool,
}

#[derive(Debug, Default, PartialEq)]
enum Stage {
    #[default]
    Waiting,
    Running,
    Over,
}

/// A content block that has begun.
#[derive(Debug)]
struct Open {
    /// The provider's number of the block.
    index: u64,
    part: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text {
        /// Characters so far.
        length: usize,
        /// They are about the whole text, and told when its length is known.
        citations: Vec<Value>,
    },
    Thinking,
    /// A tool call. `input` is what stood in the start; it is sent if no delta brings another.
    Call {
        input: String,
    },
    /// A call of [`ANSWER_TOOL`], which is text.
    Answer {
        input: String,
    },
    /// Reported in one piece when it ends.
    Hosted {
        block: Map<String, Value>,
        input: String,
    },
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    index: u64,
    #[serde(default, borrow)]
    message: Option<&'a RawValue>,
    #[serde(default, borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(default, borrow)]
    delta: Option<&'a RawValue>,
    #[serde(default, borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Start {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    usage: Option<wire::Usage>,
}

#[derive(Default, Deserialize)]
struct End {
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    stop_sequence: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum BlockDelta {
    TextDelta {
        text: String,
    },
    InputJsonDelta {
        partial_json: String,
    },
    ThinkingDelta {
        thinking: String,
    },
    SignatureDelta {
        signature: String,
    },
    CitationsDelta {
        citation: Value,
    },
    #[serde(other)]
    Unknown,
}

impl Reader {
    pub(in super::super) fn new(seed: &str) -> Self {
        Self { seed: seed.to_owned(), sse: SseReader::default(), state: State::default() }
    }
}

impl codec::StreamReader for Reader {
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), BadReply> {
        self.sse.push(bytes)?;
        while let Some(event) = self.sse.next_event()? {
            self.state.read(event.data, &self.seed, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), BadReply> {
        if let Some(event) = self.sse.finish()? {
            self.state.read(event.data, &self.seed, events)?;
        }
        match self.state.stage {
            Stage::Over => Ok(()),
            Stage::Waiting | Stage::Running => {
                Err(BadReply::new("the provider's stream ended before `message_stop`"))
            }
        }
    }
}

/// Reads a piece of an event.
fn piece<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>, what: &str) -> Result<T, BadReply> {
    let raw = raw.ok_or_else(|| BadReply::new(format!("an event of the stream has no `{what}`")))?;
    serde_json::from_str(raw.get())
        .map_err(|error| BadReply::new(format!("`{what}` of a stream event is not understood: {error}")))
}

impl State {
    fn read(&mut self, data: &str, seed: &str, events: &mut Vec<Event>) -> Result<(), BadReply> {
        if self.stage == Stage::Over {
            return Ok(());
        }
        let message: Message<'_> = serde_json::from_str(data)
            .map_err(|error| BadReply::new(format!("an event of the stream is not understood: {error}")))?;
        match &*message.kind {
            "message_start" if self.stage == Stage::Waiting => {
                self.start(piece(message.message, "message")?, events);
            }
            "error" => {
                self.stage = Stage::Over;
                events.push(Event::Error(error::of_event(piece(message.error, "error")?)));
            }
            "content_block_start"
            | "content_block_delta"
            | "content_block_stop"
            | "message_delta"
            | "message_stop"
                if self.stage == Stage::Waiting =>
            {
                return Err(BadReply::new(format!("`{}` came before `message_start`", message.kind)));
            }
            "content_block_start" => {
                self.begin(message.index, piece(message.content_block, "content_block")?, seed, events);
            }
            "content_block_delta" => self.delta(message.index, message.delta, events)?,
            "content_block_stop" => self.stop(message.index, events),
            "message_delta" => {
                let later: Option<wire::Usage> =
                    message.usage.map(|raw| piece(Some(raw), "usage")).transpose()?;
                self.end(&piece(message.delta, "delta")?, later, events);
            }
            "message_stop" => {
                self.stage = Stage::Over;
                self.finish(&End::default(), events);
                events.push(Event::End);
            }
            // `ping`, and what came after this was written.
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, start: Start, events: &mut Vec<Event>) {
        self.stage = Stage::Running;
        events.push(Event::Start { id: start.id, model: start.model, created: None, extra: Extra::new() });
        if let Some(usage) = start.usage {
            self.usage = usage;
            events.push(Event::Usage(usage::read(&usage)));
        }
    }

    fn end(&mut self, end: &End, later: Option<wire::Usage>, events: &mut Vec<Event>) {
        if let Some(later) = later {
            usage::merge(&mut self.usage, &later);
        }
        if end.stop_reason.is_some() {
            self.finish(end, events);
        }
        let mut usage = usage::read(&self.usage);
        usage::estimate_reasoning(&mut usage, self.thinking_bytes);
        events.push(Event::Usage(usage));
    }

    /// Tells why the answer ended, once.
    fn finish(&mut self, end: &End, events: &mut Vec<Event>) {
        if self.finished {
            return;
        }
        self.finished = true;
        self.stop_all(events);
        let answered = self.answered && !self.called;
        let reason = read_stop(end.stop_reason.as_deref(), end.stop_sequence.clone(), answered);
        events.push(Event::Finish { choice: 0, reason });
    }

    fn begin(&mut self, index: u64, block: wire::Block, seed: &str, events: &mut Vec<Event>) {
        if self.finished {
            return;
        }
        // Anthropic's blocks never overlap; others that speak its dialect forget to stop one. Only calls may be
        // open together.
        let is_call = matches!(&block, wire::Block::ToolUse(call) if call.name != ANSWER_TOOL);
        if is_call && self.open.iter().all(|open| matches!(open.kind, Kind::Call { .. })) {
            self.stop(index, events);
        } else {
            self.stop_all(events);
        }
        let part = self.parts;
        let mut first = Vec::new();
        let (start, kind) = match block {
            wire::Block::Text(text) => {
                let length = text.text.chars().count();
                if length > 0 {
                    first.push(Delta::Text(text.text));
                }
                (PartStart::Text, Kind::Text { length, citations: text.citations.unwrap_or_default() })
            }
            wire::Block::Thinking(thinking) => {
                if !thinking.thinking.is_empty() {
                    first.push(Delta::Thinking(thinking.thinking));
                }
                first.extend(block::read_signature(&thinking.signature).map(Delta::Seal));
                (PartStart::Reasoning { id: None }, Kind::Thinking)
            }
            wire::Block::ToolUse(call) => {
                let input = block::read_input(&call.input);
                if call.name == ANSWER_TOOL {
                    self.answered = true;
                    (PartStart::Text, Kind::Answer { input })
                } else {
                    self.called = true;
                    let id = if call.id.is_empty() { format!("toolu_{seed}{part}") } else { call.id };
                    let start = PartStart::ToolCall {
                        id,
                        name: call.name,
                        kind: ToolCallKind::Function,
                        extra: call.extra,
                    };
                    (start, Kind::Call { input })
                }
            }
            wire::Block::Other(Value::Object(block)) => {
                self.parts += 1;
                self.open.push(Open { index, part, kind: Kind::Hosted { block, input: String::new() } });
                return;
            }
            whole => {
                self.parts += 1;
                events.push(Event::PartStart {
                    choice: 0,
                    part,
                    start: PartStart::Whole(block::read(whole)),
                });
                events.push(Event::PartStop { choice: 0, part });
                return;
            }
        };
        self.parts += 1;
        self.open.push(Open { index, part, kind });
        events.push(Event::PartStart { choice: 0, part, start });
        events.extend(first.into_iter().map(|delta| Event::Delta { choice: 0, part, delta }));
    }

    fn delta(&mut self, index: u64, raw: Option<&RawValue>, events: &mut Vec<Event>) -> Result<(), BadReply> {
        // A block that came whole has nothing to add.
        let Some(open) = self.open.iter_mut().find(|open| open.index == index) else { return Ok(()) };
        let delta = match (&mut open.kind, piece(raw, "delta")?) {
            (Kind::Hosted { input, .. }, BlockDelta::InputJsonDelta { partial_json }) => {
                input.push_str(&partial_json);
                return Ok(());
            }
            (Kind::Hosted { block, .. }, _) => {
                grow(block, piece(raw, "delta")?);
                return Ok(());
            }
            (Kind::Text { length, .. }, BlockDelta::TextDelta { text }) => {
                *length += text.chars().count();
                Delta::Text(text)
            }
            (Kind::Text { citations, .. }, BlockDelta::CitationsDelta { citation }) => {
                citations.push(citation);
                return Ok(());
            }
            (Kind::Thinking, BlockDelta::ThinkingDelta { thinking }) => {
                self.thinking_bytes += thinking.len();
                Delta::Thinking(thinking)
            }
            (Kind::Thinking, BlockDelta::SignatureDelta { signature }) => {
                match block::read_signature(&signature) {
                    Some(seal) => Delta::Seal(seal),
                    None => return Ok(()),
                }
            }
            (Kind::Call { .. } | Kind::Answer { .. }, BlockDelta::InputJsonDelta { partial_json })
                if partial_json.is_empty() =>
            {
                return Ok(());
            }
            (Kind::Call { input }, BlockDelta::InputJsonDelta { partial_json }) => {
                input.clear();
                Delta::Arguments(partial_json)
            }
            (Kind::Answer { input }, BlockDelta::InputJsonDelta { partial_json }) => {
                input.clear();
                Delta::Text(partial_json)
            }
            _ => return Ok(()),
        };
        events.push(Event::Delta { choice: 0, part: open.part, delta });
        Ok(())
    }

    fn stop_all(&mut self, events: &mut Vec<Event>) {
        while let Some(open) = self.open.first() {
            self.stop(open.index, events);
        }
    }

    fn stop(&mut self, index: u64, events: &mut Vec<Event>) {
        let Some(place) = self.open.iter().position(|open| open.index == index) else { return };
        let open = self.open.remove(place);
        let part = open.part;
        match open.kind {
            Kind::Thinking => {}
            Kind::Text { length, citations } => {
                let citations = block::read_citations(citations, length).into_iter().map(Delta::Citation);
                events.extend(citations.map(|delta| Event::Delta { choice: 0, part, delta }));
            }
            Kind::Call { input } if input.is_empty() => {}
            Kind::Call { input } => {
                events.push(Event::Delta { choice: 0, part, delta: Delta::Arguments(input) });
            }
            Kind::Answer { input } if input.is_empty() => {}
            Kind::Answer { input } => {
                events.push(Event::Delta { choice: 0, part, delta: Delta::Text(input) });
            }
            Kind::Hosted { mut block, input } => {
                if let Ok(input) = serde_json::from_str(&input) {
                    block.insert("input".to_owned(), input);
                }
                let value = Value::Object(block);
                let whole = Part::Opaque(Opaque { dialect: Dialect::AnthropicMessages, value });
                events.push(Event::PartStart { choice: 0, part, start: PartStart::Whole(whole) });
            }
        }
        events.push(Event::PartStop { choice: 0, part });
    }
}

/// Adds a delta of a kind that we do not know to its block: texts grow, everything else is replaced.
fn grow(block: &mut Map<String, Value>, delta: Map<String, Value>) {
    for (name, value) in delta {
        if name == "type" {
            continue;
        }
        match (block.get_mut(&name), value) {
            (Some(Value::String(text)), Value::String(more)) => text.push_str(&more),
            (_, value) => {
                block.insert(name, value);
            }
        }
    }
}
