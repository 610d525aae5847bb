//! Reading. Deltas are passed on as they come; what a `done` event or the final Response object has beyond them
//! is made up for, so that servers which send less than OpenAI are read completely too.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::super::fields::Place;
use super::super::wire::{self, EventIn};
use super::super::{error, item, outcome, response, usage};
use crate::codec::StreamReader;
use crate::conversation::{Delta, Event, Extra, Part, PartStart, Reasoning, ToolCall, Usage};
use crate::error::BadReply;
use crate::framing::sse::{SseEvent, SseReader};
use crate::json;

#[derive(Debug)]
pub(in crate::openai_responses) struct Reader {
    sse: SseReader,
    state: State,
}

#[derive(Debug)]
struct State {
    seed: String,
    started: bool,
    ended: bool,
    next_part: u32,
    has_calls: bool,
    /// Items by their place in the output.
    items: BTreeMap<u64, Item>,
}

#[derive(Debug)]
enum Item {
    /// Its parts by their place in the content.
    Message(BTreeMap<u64, Content>),
    Reasoning(Thoughts),
    Call(Call),
    /// Comes whole when it is done.
    Other,
    Done,
}

/// A part of a message: what has been passed on of it.
#[derive(Clone, Copy, Debug)]
struct Content {
    part: u32,
    sent: usize,
    citations: usize,
    logprobs: usize,
    open: bool,
}

#[derive(Debug)]
struct Thoughts {
    part: u32,
    text_sent: usize,
    summary_sent: Vec<usize>,
}

#[derive(Debug)]
struct Call {
    part: u32,
    sent: usize,
}

impl Reader {
    pub(in crate::openai_responses) fn new(seed: &str) -> Self {
        let state = State {
            seed: seed.to_owned(),
            started: false,
            ended: false,
            next_part: 0,
            has_calls: false,
            items: BTreeMap::new(),
        };
        Self { sse: SseReader::default(), state }
    }
}

impl StreamReader for Reader {
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), BadReply> {
        self.sse.push(bytes)?;
        while let Some(event) = self.sse.next_event()? {
            self.state.read(event, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), BadReply> {
        if let Some(event) = self.sse.finish()? {
            self.state.read(event, events)?;
        }
        if self.state.ended {
            return Ok(());
        }
        Err(BadReply::new("the stream ended before `response.completed`"))
    }
}

impl State {
    fn read(&mut self, sse: SseEvent<'_>, events: &mut Vec<Event>) -> Result<(), BadReply> {
        if self.ended || sse.data.is_empty() || sse.data == wire::DONE {
            return Ok(());
        }
        let event: EventIn<'_> = serde_json::from_str(sse.data)
            .map_err(|error| BadReply::new(format!("an event cannot be read: {error}")))?;
        self.read_event(&event, sse.data, events)
    }

    fn read_event(
        &mut self,
        event: &EventIn<'_>,
        data: &str,
        events: &mut Vec<Event>,
    ) -> Result<(), BadReply> {
        match event.kind.as_str() {
            wire::CREATED | wire::QUEUED | wire::IN_PROGRESS => self.start(event.response, events),
            wire::FAILED | wire::ERROR => {
                self.ended = true;
                events.push(Event::Error(error::read_event(data)));
            }
            wire::COMPLETED | wire::INCOMPLETE => return self.end(event.response, events),
            wire::ITEM_ADDED => {
                self.start(None, events);
                self.add_item(event.output_index, tree(event.item), events)?;
            }
            wire::ITEM_DONE => {
                self.start(None, events);
                self.finish_item(event.output_index, tree(event.item), events)?;
            }
            wire::CONTENT_ADDED => {
                let start = match tree(event.part).get("type").and_then(Value::as_str) {
                    Some("output_text") => PartStart::Text,
                    Some("refusal") => PartStart::Refusal,
                    _ => return Ok(()),
                };
                self.content(event, start, events);
            }
            wire::TEXT_DELTA => {
                let mut content = self.content(event, PartStart::Text, events);
                grow(content.as_deref_mut(), string(event.delta), events);
                grow_logprobs(content, event.logprobs, events);
            }
            wire::REFUSAL_DELTA => {
                let content = self.content(event, PartStart::Refusal, events);
                grow(content, string(event.delta), events);
            }
            wire::TEXT_DONE => {
                let content = self.content(event, PartStart::Text, events);
                make_up(content, &string(event.text), events);
            }
            wire::REFUSAL_DONE => {
                let content = self.content(event, PartStart::Refusal, events);
                make_up(content, &string(event.refusal), events);
            }
            wire::ANNOTATION_ADDED => {
                let content = self.content(event, PartStart::Text, events);
                if let Some(content) = content
                    && let Some(annotation) = event.annotation
                {
                    content.citations += 1;
                    let citation = item::read_citation(tree(Some(annotation)));
                    events.push(delta(content.part, Delta::Citation(citation)));
                }
            }
            wire::CONTENT_DONE => self.finish_content(event, &tree(event.part), events),
            wire::SUMMARY_TEXT_DELTA => {
                if let Some(thoughts) = self.thoughts(event.output_index, events) {
                    thoughts.grow_summary(event.summary_index, string(event.delta), events);
                }
            }
            wire::SUMMARY_TEXT_DONE => {
                if let Some(thoughts) = self.thoughts(event.output_index, events) {
                    thoughts.make_up_summary(event.summary_index, &string(event.text), events);
                }
            }
            wire::REASONING_TEXT_DELTA => {
                if let Some(thoughts) = self.thoughts(event.output_index, events) {
                    thoughts.grow_text(string(event.delta), events);
                }
            }
            wire::ARGUMENTS_DELTA | wire::INPUT_DELTA => {
                if let Some(Item::Call(call)) = self.items.get_mut(&event.output_index) {
                    call.grow(string(event.delta), events);
                }
            }
            wire::ARGUMENTS_DONE | wire::INPUT_DONE => {
                if let Some(Item::Call(call)) = self.items.get_mut(&event.output_index) {
                    call.make_up(&string(event.arguments.or(event.input)), events);
                }
            }
            // Progress of hosted tools, whose items come whole when they are done; and what is not known yet.
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, response: Option<&RawValue>, events: &mut Vec<Event>) {
        if self.started {
            return;
        }
        self.started = true;
        let response = tree(response);
        let text = |name: &str| response.get(name).and_then(Value::as_str).map(str::to_owned);
        events.push(Event::Start {
            id: text("id"),
            model: text("model"),
            created: response.get("created_at").and_then(Value::as_number).and_then(json::whole),
            extra: Extra::new(),
        });
    }

    fn part(&mut self) -> u32 {
        let part = self.next_part;
        self.next_part += 1;
        part
    }

    fn add_item(&mut self, index: u64, value: Value, events: &mut Vec<Event>) -> Result<(), BadReply> {
        if self.items.contains_key(&index) {
            return Ok(());
        }
        let item = match value.get("type").and_then(Value::as_str) {
            Some("message") => Item::Message(BTreeMap::new()),
            Some("reasoning") => {
                let id = value.get("id").and_then(Value::as_str).map(str::to_owned);
                Item::Reasoning(self.start_thoughts(id, events))
            }
            Some("function_call" | "custom_tool_call") => {
                // What it has of the arguments comes again in deltas, or else when it is done.
                let Some(call) = self.read_call(index, value)? else { return Ok(()) };
                Item::Call(self.start_call(call, events))
            }
            _ => Item::Other,
        };
        self.items.insert(index, item);
        Ok(())
    }

    fn read_call(&self, index: u64, value: Value) -> Result<Option<ToolCall>, BadReply> {
        let output = Place::Field(&Place::Body, "output");
        let place = Place::Item(&output, usize::try_from(index).unwrap_or(usize::MAX));
        let parts = response::read_item(value, &place, &self.seed).map_err(|error| response::bad(&error))?;
        Ok(parts.into_iter().find_map(|part| match part {
            Part::ToolCall(call) => Some(call),
            _ => None,
        }))
    }

    /// Items follow one another, and only calls may be open together: ends what a provider forgot to end before
    /// a part begins.
    fn make_room(&mut self, before_call: bool, events: &mut Vec<Event>) {
        let in_the_way = |item: &Item| match item {
            Item::Message(contents) => contents.values().any(|content| content.open),
            Item::Reasoning(_) => true,
            Item::Call(_) => !before_call,
            Item::Other | Item::Done => false,
        };
        while let Some(index) = self.items.iter().find_map(|(index, item)| in_the_way(item).then_some(*index))
        {
            self.close(index, events);
        }
    }

    fn start_call(&mut self, call: ToolCall, events: &mut Vec<Event>) -> Call {
        self.make_room(true, events);
        self.has_calls = true;
        let part = self.part();
        let ToolCall { id, name, kind, extra, .. } = call;
        events.push(Event::PartStart {
            choice: 0,
            part,
            start: PartStart::ToolCall { id, name, kind, extra },
        });
        Call { part, sent: 0 }
    }

    fn start_thoughts(&mut self, id: Option<String>, events: &mut Vec<Event>) -> Thoughts {
        self.make_room(false, events);
        let part = self.part();
        events.push(Event::PartStart { choice: 0, part, start: PartStart::Reasoning { id } });
        Thoughts { part, text_sent: 0, summary_sent: Vec::new() }
    }

    fn thoughts(&mut self, index: u64, events: &mut Vec<Event>) -> Option<&mut Thoughts> {
        self.start(None, events);
        if !self.items.contains_key(&index) {
            let thoughts = self.start_thoughts(None, events);
            self.items.insert(index, Item::Reasoning(thoughts));
        }
        match self.items.get_mut(&index) {
            Some(Item::Reasoning(thoughts)) => Some(thoughts),
            _ => None,
        }
    }

    /// The part of a message that an event is about; begun if it was not.
    fn content(
        &mut self,
        event: &EventIn<'_>,
        start: PartStart,
        events: &mut Vec<Event>,
    ) -> Option<&mut Content> {
        self.content_at(event.output_index, event.content_index, start, events)
    }

    fn content_at(
        &mut self,
        index: u64,
        content: u64,
        start: PartStart,
        events: &mut Vec<Event>,
    ) -> Option<&mut Content> {
        self.start(None, events);
        let known = match self.items.get(&index) {
            None => false,
            Some(Item::Message(contents)) => contents.contains_key(&content),
            Some(_) => return None,
        };
        if !known {
            self.begin_content(index, content, start, events);
        }
        match self.items.get_mut(&index) {
            Some(Item::Message(contents)) => contents.get_mut(&content),
            _ => None,
        }
    }

    fn begin_content(&mut self, index: u64, content: u64, start: PartStart, events: &mut Vec<Event>) {
        if let Some(Item::Message(contents)) = self.items.get_mut(&index) {
            for earlier in contents.values_mut().filter(|earlier| earlier.open) {
                earlier.open = false;
                events.push(stop(earlier.part));
            }
        }
        self.make_room(false, events);
        let part = self.part();
        events.push(Event::PartStart { choice: 0, part, start });
        let item = self.items.entry(index).or_insert_with(|| Item::Message(BTreeMap::new()));
        if let Item::Message(contents) = item {
            contents.insert(content, Content { part, sent: 0, citations: 0, logprobs: 0, open: true });
        }
    }

    fn finish_content(&mut self, event: &EventIn<'_>, part: &Value, events: &mut Vec<Event>) {
        self.complete_content(event.output_index, event.content_index, part, events);
    }

    /// Passes on what is missing of a message's part, and ends it.
    fn complete_content(&mut self, index: u64, content: u64, part: &Value, events: &mut Vec<Event>) {
        let (start, field) = match part.get("type").and_then(Value::as_str) {
            Some("output_text") => (PartStart::Text, "text"),
            Some("refusal") => (PartStart::Refusal, "refusal"),
            _ => return,
        };
        let Some(content) = self.content_at(index, content, start, events) else { return };
        if !content.open {
            return;
        }
        let text = part.get(field).and_then(Value::as_str).unwrap_or_default();
        make_up(Some(content), text, events);
        let annotations = part.get("annotations").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for annotation in annotations.iter().skip(content.citations) {
            content.citations += 1;
            events.push(delta(content.part, Delta::Citation(item::read_citation(annotation.clone()))));
        }
        let mut tokens = part.get("logprobs").map(item::read_logprobs).unwrap_or_default();
        tokens.drain(..content.logprobs.min(tokens.len()));
        if !tokens.is_empty() {
            events.push(Event::Logprobs { choice: 0, tokens });
        }
        content.open = false;
        events.push(stop(content.part));
    }

    /// Passes on what is missing of an item, and ends it.
    fn finish_item(&mut self, index: u64, value: Value, events: &mut Vec<Event>) -> Result<(), BadReply> {
        self.add_item(index, value.clone(), events)?;
        match value.get("type").and_then(Value::as_str) {
            Some("message") => {
                let parts = value.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                for (content, part) in (0..).zip(parts) {
                    self.complete_content(index, content, part, events);
                }
            }
            Some("reasoning") => {
                let place = Place::Field(&Place::Body, "item");
                let parts =
                    response::read_item(value, &place, &self.seed).map_err(|error| response::bad(&error))?;
                let complete = parts.into_iter().find_map(|part| match part {
                    Part::Reasoning(reasoning) => Some(reasoning),
                    _ => None,
                });
                if let (Some(Item::Reasoning(thoughts)), Some(complete)) =
                    (self.items.get_mut(&index), complete)
                {
                    thoughts.make_up(complete, events);
                }
            }
            Some("function_call" | "custom_tool_call") => {
                if let Some(Item::Call(call)) = self.items.get_mut(&index) {
                    let arguments = value.get("arguments").or_else(|| value.get("input"));
                    call.make_up(arguments.and_then(Value::as_str).unwrap_or_default(), events);
                }
            }
            _ => {
                if let Some(Item::Other) = self.items.get(&index) {
                    self.make_room(false, events);
                    let part = self.part();
                    let start = PartStart::Whole(item::opaque(value));
                    events.push(Event::PartStart { choice: 0, part, start });
                    events.push(stop(part));
                }
            }
        }
        self.close(index, events);
        Ok(())
    }

    /// Ends the parts of an item.
    fn close(&mut self, index: u64, events: &mut Vec<Event>) {
        match self.items.insert(index, Item::Done) {
            Some(Item::Message(contents)) => {
                events.extend(
                    contents.values().filter(|content| content.open).map(|content| stop(content.part)),
                );
            }
            Some(Item::Reasoning(Thoughts { part, .. }) | Item::Call(Call { part, .. })) => {
                events.push(stop(part));
            }
            Some(Item::Other | Item::Done) | None => {}
        }
    }

    fn end(&mut self, response: Option<&RawValue>, events: &mut Vec<Event>) -> Result<(), BadReply> {
        self.start(response, events);
        let mut response = tree(response);
        let output = match response.get_mut("output").map(Value::take) {
            Some(Value::Array(output)) => output,
            _ => Vec::new(),
        };
        let searches = response::count_searches(&output);
        for (index, value) in (0..).zip(output) {
            if !matches!(self.items.get(&index), Some(Item::Done)) {
                self.finish_item(index, value, events)?;
            }
        }
        let left: Vec<u64> = self.items.keys().copied().collect();
        for index in left {
            self.close(index, events);
        }
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let status = text(response.get("status"));
        let reason = text(response.get("incomplete_details").and_then(|details| details.get("reason")));
        let reason = outcome::read(status.as_deref(), reason.as_deref(), self.has_calls);
        events.push(Event::Finish { choice: 0, reason });
        if let Some(usage) = response.get("usage").and_then(|usage| usage::read(&usage.to_string())) {
            let service_tier = text(response.get("service_tier"));
            events.push(Event::Usage(Usage { web_searches: searches, service_tier, ..usage }));
        }
        events.push(Event::End);
        self.ended = true;
        Ok(())
    }
}

impl Thoughts {
    fn grow_text(&mut self, text: String, events: &mut Vec<Event>) {
        if !text.is_empty() {
            self.text_sent += text.len();
            events.push(delta(self.part, Delta::Thinking(text)));
        }
    }

    fn grow_summary(&mut self, index: u32, text: String, events: &mut Vec<Event>) {
        let at = index as usize;
        if text.is_empty() || at > self.summary_sent.len() {
            return;
        }
        if at == self.summary_sent.len() {
            self.summary_sent.push(0);
        }
        if let Some(sent) = self.summary_sent.get_mut(at) {
            *sent += text.len();
        }
        events.push(delta(self.part, Delta::Summary { index, text }));
    }

    fn make_up_summary(&mut self, index: u32, whole: &str, events: &mut Vec<Event>) {
        let sent = self.summary_sent.get(index as usize).copied().unwrap_or(0);
        self.grow_summary(index, whole.get(sent..).unwrap_or_default().to_owned(), events);
    }

    fn make_up(&mut self, whole: Reasoning, events: &mut Vec<Event>) {
        for (index, text) in (0..).zip(&whole.summary) {
            self.make_up_summary(index, text, events);
        }
        self.grow_text(whole.text.get(self.text_sent..).unwrap_or_default().to_owned(), events);
        if let Some(seal) = whole.seal {
            events.push(delta(self.part, Delta::Seal(seal)));
        }
    }
}

impl Call {
    fn grow(&mut self, text: String, events: &mut Vec<Event>) {
        if !text.is_empty() {
            self.sent += text.len();
            events.push(delta(self.part, Delta::Arguments(text)));
        }
    }

    fn make_up(&mut self, whole: &str, events: &mut Vec<Event>) {
        self.grow(whole.get(self.sent..).unwrap_or_default().to_owned(), events);
    }
}

fn grow(content: Option<&mut Content>, text: String, events: &mut Vec<Event>) {
    if let Some(content) = content.filter(|content| content.open && !text.is_empty()) {
        content.sent += text.len();
        events.push(delta(content.part, Delta::Text(text)));
    }
}

fn make_up(content: Option<&mut Content>, whole: &str, events: &mut Vec<Event>) {
    if let Some(content) = content {
        let missing = whole.get(content.sent..).unwrap_or_default().to_owned();
        grow(Some(content), missing, events);
    }
}

fn grow_logprobs(content: Option<&mut Content>, logprobs: Option<&RawValue>, events: &mut Vec<Event>) {
    let Some(content) = content.filter(|content| content.open) else { return };
    // The field is there in every delta, and almost always empty.
    let Some(raw) = logprobs.filter(|raw| raw.get().len() > 4) else { return };
    let tokens = item::read_logprobs(&tree(Some(raw)));
    if !tokens.is_empty() {
        content.logprobs += tokens.len();
        events.push(Event::Logprobs { choice: 0, tokens });
    }
}

fn delta(part: u32, delta: Delta) -> Event {
    Event::Delta { choice: 0, part, delta }
}

fn stop(part: u32) -> Event {
    Event::PartStop { choice: 0, part }
}

/// A string; empty where there is none.
fn string(raw: Option<&RawValue>) -> String {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

fn tree(raw: Option<&RawValue>) -> Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}
