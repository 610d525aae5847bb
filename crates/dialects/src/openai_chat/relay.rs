//! Answers passed on to a client of the same dialect: the hot path.
//!
//! An answer, or an event of a stream, is looked over once without building values; what has to change is cut out
//! and replaced in its text, and every other byte stays.

mod repeat;

use std::borrow::Cow;
use std::ops::Range;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::response::read_stop;
use super::usage::{self, Shares};
use super::wire;
use crate::Dialect;
use crate::codec::StreamRelay;
use crate::conversation::{StopReason, Usage};
use crate::document::Document;
use crate::error::{BadReply, ErrorReply};
use crate::exchange::{AnswerContext, Observed};
use crate::framing::sse::{SseEvent, SseReader, write_event};
use crate::json;
use crate::json::scan::{Malformed, Scan, string};
use crate::openai_error;
use repeat::{Hole, Repeats};

/// What ends a stream.
pub(crate) const DONE: &str = "[DONE]";

/// See [`Codec::relay_response`](crate::codec::Codec::relay_response). Text completions (`dialect`) differ only in that
/// a choice has a `text` in place of a message.
pub(crate) fn relay_response(
    body: &[u8],
    answer: &AnswerContext,
    dialect: Dialect,
) -> Result<(Vec<u8>, Observed), BadReply> {
    let text = std::str::from_utf8(body).map_err(|_| BadReply::new("the answer is not UTF-8"))?;
    let mut look = Look::at(text)?;
    if let Some(error) = look.error {
        return Err(BadReply::new(openai_error::read_event(&parse(error)).message));
    }
    if !look.choices.there {
        return Err(BadReply::new("not a completion: there are no `choices`"));
    }
    let mut observed = Observed { dialect: Some(dialect), complete: true, ..Observed::default() };
    look.observe(&mut observed);
    observed.stop.get_or_insert(StopReason::EndTurn);
    observed.usage = look.usage();
    let mut edits = Edits::of(text);
    if let Some(raw) = look.model {
        edits.replace(raw, json::write_text(&answer.model));
    }
    for said in &look.choices.odd {
        edits.put_right(said);
    }
    let mut out = Vec::with_capacity(body.len() + 64);
    edits.write(&mut out);
    Ok((out, observed))
}

/// The fields of an answer or event that matter here, as slices of its text. What is `null` is not there.
#[derive(Debug, Default)]
struct Look<'a> {
    id: Option<&'a str>,
    object: Option<&'a str>,
    model: Option<&'a str>,
    choices: Choices<'a>,
    usage: Option<&'a str>,
    /// What `usage` says.
    counts: Option<Usage>,
    x_groq: Option<&'a str>,
    /// `obfuscation`
    padding: Option<&'a str>,
    error: Option<&'a str>,
}

impl<'a> Look<'a> {
    fn at(text: &'a str) -> Result<Self, BadReply> {
        let mut look = Self::default();
        let mut scan = Scan::of(text);
        let walked = scan.object(|scan, name| {
            match name {
                "id" => look.id = scan.given()?,
                "object" => look.object = scan.given()?,
                "model" => look.model = scan.given()?,
                "choices" => look.choices = Choices::read(scan)?,
                "usage" => {
                    let counts;
                    (look.usage, counts) = usage::scan(scan, text)?;
                    look.counts = counts;
                }
                "obfuscation" => look.padding = scan.given()?,
                "x_groq" => look.x_groq = scan.given()?,
                "error" => look.error = scan.given()?,
                _ => scan.skip()?,
            }
            Ok(())
        });
        walked.and_then(|()| scan.end()).map(|()| look).map_err(|_| not_a_completion(text))
    }

    fn usage(&mut self) -> Option<Usage> {
        match (self.usage, self.x_groq) {
            (Some(_), _) => self.counts.take(),
            (None, Some(groq)) => usage::read_text(Document::of(groq).ok()?.get("usage")?),
            (None, None) => None,
        }
    }

    /// What every answer and event tells.
    fn observe(&self, observed: &mut Observed) {
        let choices = &self.choices;
        if observed.id.is_none() {
            observed.id = self.id.and_then(filled_text);
        }
        if observed.model.is_none() {
            observed.model = self.model.and_then(filled_text);
        }
        let bytes = choices.shares.thinking.saturating_add(choices.shares.rest);
        observed.text_bytes = observed.text_bytes.saturating_add(bytes);
        observed.has_content |= choices.has_content;
        if observed.stop.is_none() {
            observed.stop.clone_from(&choices.stop);
        }
    }
}

#[cold]
fn not_a_completion(text: &str) -> BadReply {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => BadReply::new("not a completion: a field has another type than completions have there"),
        Err(error) => BadReply::new(format!("not a completion: {error}")),
    }
}

fn filled_text(json: &str) -> Option<String> {
    string(json).filter(|text| !text.is_empty()).map(Cow::into_owned)
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

/// What the choices of an answer or event say, all taken together.
#[derive(Debug, Default)]
struct Choices<'a> {
    there: bool,
    /// Some choice has a role, words or an end.
    says_something: bool,
    shares: Shares,
    has_content: bool,
    /// Of the first choice.
    stop: Option<StopReason>,
    finished: bool,
    count: usize,
    /// Some choice calls tools or has sound or pictures.
    calls_or_shows: bool,
    /// The text that the last choice says, if it is text: its words, else its thinking.
    words: Option<(&'a str, Hole)>,
    /// Those that a client would not understand as they are.
    odd: Vec<Said<'a>>,
}

impl<'a> Choices<'a> {
    fn read(scan: &mut Scan<'a>) -> Result<Self, Malformed> {
        let mut all = Self::default();
        if scan.null()? {
            return Ok(all);
        }
        all.there = true;
        scan.array(|scan| Choice::read(scan).map(|choice| all.add(choice)))?;
        Ok(all)
    }

    fn add(&mut self, choice: Choice<'a>) {
        // Perplexity repeats the message so far beside each delta.
        let said = choice.delta.or(choice.message).unwrap_or_default();
        let mut shares = said.shares();
        shares.rest = shares.rest.saturating_add(choice.text.map_or(0, |json| text_len(json) as u64));
        self.count += 1;
        self.calls_or_shows |= said.calls || said.has_media();
        let words = said.content.or(choice.text).filter(|json| is_text(json)).map(|json| (json, Hole::Words));
        let thinking =
            || said.reasoning_content.filter(|json| is_text(json)).map(|json| (json, Hole::Thinking));
        self.words = words.or_else(thinking);
        self.has_content |= shares != Shares::default() || self.calls_or_shows;
        self.shares.add(shares);
        self.says_something |= self.has_content || said.role.is_some();
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            self.says_something = true;
            self.finished = true;
            if choice.is_first {
                self.stop = Some(read_stop(Some(&reason), None, said.calls));
            }
        }
        if said.is_odd() {
            self.odd.push(said);
        }
    }
}

#[derive(Debug)]
struct Choice<'a> {
    is_first: bool,
    message: Option<Said<'a>>,
    delta: Option<Said<'a>>,
    /// Of a text completion.
    text: Option<&'a str>,
    finish_reason: Option<Cow<'a, str>>,
}

impl<'a> Choice<'a> {
    fn read(scan: &mut Scan<'a>) -> Result<Self, Malformed> {
        let mut choice = Self { is_first: true, message: None, delta: None, text: None, finish_reason: None };
        scan.object(|scan, name| {
            match name {
                "index" => {
                    let index = scan.given()?.map_or(Ok(0), str::parse::<u32>);
                    choice.is_first = index.map_err(|_| Malformed)? == 0;
                }
                "message" => choice.message = Said::read(scan)?,
                "delta" => choice.delta = Said::read(scan)?,
                "text" => choice.text = scan.given()?,
                "finish_reason" => {
                    let reason = scan.given()?.map(|reason| string(reason).ok_or(Malformed));
                    choice.finish_reason = reason.transpose()?;
                }
                _ => scan.skip()?,
            }
            Ok(())
        })?;
        Ok(choice)
    }
}

/// A message or delta.
#[derive(Debug, Default)]
struct Said<'a> {
    role: Option<&'a str>,
    content: Option<&'a str>,
    reasoning_content: Option<&'a str>,
    reasoning: Option<&'a str>,
    refusal: Option<&'a str>,
    /// It calls tools.
    calls: bool,
    /// Bytes of the names and arguments of its calls.
    call_bytes: u64,
    audio: bool,
    images: Option<&'a str>,
}

impl<'a> Said<'a> {
    /// `None` for a `null`.
    fn read(scan: &mut Scan<'a>) -> Result<Option<Self>, Malformed> {
        if scan.null()? {
            return Ok(None);
        }
        let mut said = Self::default();
        scan.object(|scan, name| {
            match name {
                "role" => said.role = scan.given()?,
                "content" => said.content = scan.given()?,
                "reasoning_content" => said.reasoning_content = scan.given()?,
                "reasoning" => said.reasoning = scan.given()?,
                "refusal" => said.refusal = scan.given()?,
                "tool_calls" => said.tool_calls(scan)?,
                "function_call" => {
                    if !scan.null()? {
                        said.calls = true;
                        said.function(scan)?;
                    }
                }
                "audio" => said.audio = scan.given()?.is_some(),
                "images" => said.images = scan.given()?,
                _ => scan.skip()?,
            }
            Ok(())
        })?;
        Ok(Some(said))
    }

    fn tool_calls(&mut self, scan: &mut Scan<'a>) -> Result<(), Malformed> {
        if scan.null()? {
            return Ok(());
        }
        scan.array(|scan| {
            self.calls = true;
            scan.object(|scan, name| match name {
                "function" | "custom" if !scan.null()? => self.function(scan),
                "function" | "custom" => Ok(()),
                _ => scan.skip(),
            })
        })
    }

    fn function(&mut self, scan: &mut Scan<'a>) -> Result<(), Malformed> {
        scan.object(|scan, name| {
            match name {
                "name" | "arguments" | "input" => {
                    let bytes = scan.given()?.map_or(0, text_len);
                    self.call_bytes = self.call_bytes.saturating_add(bytes as u64);
                }
                _ => scan.skip()?,
            }
            Ok(())
        })
    }

    /// Bytes of text as JSON writes them: close enough for an estimate.
    fn shares(&self) -> Shares {
        let texts = [self.content, self.refusal].into_iter().flatten();
        let thinking = self.reasoning_content.or(self.reasoning);
        let mut shares = Shares {
            thinking: thinking.map_or(0, |json| text_len(json) as u64),
            rest: texts.map(|json| text_len(json) as u64).sum::<u64>().saturating_add(self.call_bytes),
        };
        if let Some(list) = self.content.filter(|content| content.starts_with('[')) {
            let (text, thinking) = split(list);
            shares.add(Shares { thinking: thinking.len() as u64, rest: text.len() as u64 });
        }
        shares
    }

    fn has_media(&self) -> bool {
        self.audio || self.images.is_some_and(|images| images.contains('{'))
    }

    /// Whether its thinking stands where a client of this dialect does not look.
    fn is_odd(&self) -> bool {
        let is_list = self.content.is_some_and(|content| content.starts_with('['));
        is_list || (self.reasoning_content.is_none() && self.reasoning.is_some_and(is_text))
    }
}

fn is_text(json: &str) -> bool {
    json.len() > 2 && json.starts_with('"')
}

fn text_len(json: &str) -> usize {
    if json.starts_with('"') { json.len().saturating_sub(2) } else { 0 }
}

/// Replacements in a text.
#[derive(Debug)]
struct Edits<'t, 'w> {
    text: &'t str,
    /// Nearly always the only one: the model's name. So an event needs no allocation for its edits.
    first: Option<Edit<'w>>,
    others: Vec<Edit<'w>>,
}

type Edit<'w> = (Range<usize>, Cow<'w, str>);

impl<'t, 'w> Edits<'t, 'w> {
    fn of(text: &'t str) -> Self {
        Self { text, first: None, others: Vec::new() }
    }

    /// A range of the text, with the edits in it, if there is at most one edit.
    fn written(&self, range: Range<usize>) -> String {
        let text = |range: Range<usize>| self.text.get(range).unwrap_or_default();
        match &self.first {
            Some((place, with)) if range.start <= place.start && place.end <= range.end => {
                [text(range.start..place.start), with, text(place.end..range.end)].concat()
            }
            _ => text(range).to_owned(),
        }
    }

    /// Where `slice`, a part of the text, stands in it.
    fn place(&self, slice: &str) -> Range<usize> {
        let start = (slice.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        start..start.saturating_add(slice.len())
    }

    fn replace(&mut self, slice: &str, with: impl Into<Cow<'w, str>>) {
        let place = self.place(slice);
        self.add((place, with.into()));
    }

    fn add(&mut self, edit: Edit<'w>) {
        match &self.first {
            None => self.first = Some(edit),
            Some(_) => self.others.push(edit),
        }
    }

    /// `reasoning` (OpenRouter, Together, Cerebras) is repeated as `reasoning_content`; a content list (Mistral,
    /// Databricks) is split into text and `reasoning_content`.
    fn put_right(&mut self, said: &Said<'_>) {
        if let Some(content) = said.content.filter(|content| content.starts_with('[')) {
            let (text, thinking) = split(content);
            let mut with = if text.is_empty() { "null".to_owned() } else { Value::from(text).to_string() };
            if said.reasoning_content.is_none() && !thinking.is_empty() {
                with.push_str(r#","reasoning_content":"#);
                with.push_str(&Value::from(thinking).to_string());
            }
            self.replace(content, with);
        } else if let (None, Some(reasoning)) = (said.reasoning_content, said.reasoning) {
            let end = self.place(reasoning).end;
            self.add((end..end, format!(r#","reasoning_content":{reasoning}"#).into()));
        }
    }

    fn write(mut self, out: &mut Vec<u8>) {
        let edits = if self.others.is_empty() {
            self.first.as_slice()
        } else {
            self.others.extend(self.first.take());
            self.others.sort_by_key(|(place, _)| place.start);
            &self.others
        };
        let mut from = 0;
        for (place, with) in edits {
            out.extend_from_slice(self.text.get(from..place.start).unwrap_or_default().as_bytes());
            out.extend_from_slice(with.as_bytes());
            from = place.end;
        }
        out.extend_from_slice(self.text.get(from..).unwrap_or_default().as_bytes());
    }
}

/// Text and thinking of a content list. Mistral's thinking is a list in itself; Databricks' a `summary`.
fn split(list: &str) -> (String, String) {
    let parts: Vec<wire::ContentPart> = serde_json::from_str(list).unwrap_or_default();
    let mut text = String::new();
    let mut thinking = String::new();
    for part in &parts {
        match (part.kind.as_str(), &part.thinking) {
            (_, Some(wire::Content::Text(piece))) => thinking.push_str(piece),
            (_, Some(wire::Content::Parts(pieces))) => {
                thinking.extend(pieces.iter().filter_map(|piece| piece.text.as_deref()));
            }
            ("reasoning", None) => {
                let summary = part.extra.get("summary").and_then(Value::as_array).into_iter().flatten();
                thinking.extend(summary.filter_map(|piece| piece.get("text")?.as_str()));
            }
            _ => text.push_str(part.text.as_deref().unwrap_or_default()),
        }
    }
    (text, thinking)
}

/// See [`Codec::stream_relay`](crate::codec::Codec::stream_relay).
#[derive(Debug)]
pub(crate) struct Relay {
    reader: SseReader,
    passage: Passage,
}

/// The state of a relay beside its reader, whose events borrow from it.
#[derive(Debug)]
struct Passage {
    /// The model's name as JSON.
    model: String,
    include_usage: bool,
    observed: Observed,
    shares: Shares,
    /// Some choice has ended.
    finished: bool,
    /// `[DONE]` was passed on, or the provider broke off.
    over: bool,
    edited: Vec<u8>,
    repeats: Repeats,
}

impl Relay {
    pub(crate) fn new(answer: &AnswerContext, dialect: Dialect) -> Self {
        Self {
            reader: SseReader::default(),
            passage: Passage {
                model: json::write_text(&answer.model),
                include_usage: answer.include_usage,
                observed: Observed { dialect: Some(dialect), ..Observed::default() },
                shares: Shares::default(),
                finished: false,
                over: false,
                edited: Vec::new(),
                repeats: Repeats::default(),
            },
        }
    }
}

impl StreamRelay for Relay {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BadReply> {
        self.reader.push(bytes)?;
        while let Some(event) = self.reader.next_event()? {
            self.passage.pass(event, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BadReply> {
        if let Some(event) = self.reader.finish()? {
            self.passage.pass(event, out)?;
        }
        let passage = &mut self.passage;
        if passage.over {
            return Ok(());
        }
        if !passage.finished {
            return Err(BadReply::new("the stream broke off before a `finish_reason` or `[DONE]`"));
        }
        passage.over = true;
        passage.observed.complete = true;
        write_event(None, DONE.as_bytes(), out);
        Ok(())
    }

    fn observed(&self) -> &Observed {
        &self.passage.observed
    }

    fn write_error(&mut self, error: &ErrorReply, out: &mut Vec<u8>) {
        write_event(None, &openai_error::write(error), out);
    }
}

impl Passage {
    fn pass(&mut self, event: SseEvent<'_>, out: &mut Vec<u8>) -> Result<(), BadReply> {
        let data = event.data.trim();
        if self.over || data.is_empty() {
            return Ok(());
        }
        if data == DONE {
            self.over = true;
            self.observed.complete = true;
            write_event(event.name, data.as_bytes(), out);
            return Ok(());
        }
        self.edited.clear();
        if let Some(shares) = self.repeats.pass(data, &mut self.edited) {
            self.repeats.hit();
            self.observe_text(shares);
            write_event(event.name, &self.edited, out);
            return Ok(());
        }
        let mut look = Look::at(data)?;
        if let Some(error) = look.error {
            self.over = true;
            self.observed.error = Some(openai_error::read_event(&parse(error)));
            return Ok(());
        }
        look.observe(&mut self.observed);
        self.shares.add(look.choices.shares);
        self.finished |= look.choices.finished;
        let mut edits = Edits::of(data);
        let usage = look.usage();
        let has_usage = usage.is_some();
        if let Some(usage) = usage {
            let reasoning = if usage.reasoning == 0 { self.shares.estimate(usage.output) } else { 0 };
            self.observed.usage = Some(usage);
            match look.usage {
                Some(_) if !self.include_usage && !look.choices.says_something => return Ok(()),
                Some(raw) if !self.include_usage => edits.replace(raw, "null"),
                Some(raw) if reasoning > 0 => {
                    edits.replace(raw, usage::with_reasoning(raw, reasoning));
                }
                _ => {}
            }
        }
        if let Some(raw) = look.model {
            edits.replace(raw, self.model.as_str());
        }
        // Azure's first event, which tells about the prompt's filter.
        if let Some(raw) = look.object.filter(|object| *object == r#""""#) {
            edits.replace(raw, r#""chat.completion.chunk""#);
        }
        for said in &look.choices.odd {
            edits.put_right(said);
        }
        if !has_usage {
            self.repeats.learn(data, &look, &edits);
        }
        self.edited.clear();
        edits.write(&mut self.edited);
        write_event(event.name, &self.edited, out);
        Ok(())
    }

    /// What an event of text tells that the one before has not.
    fn observe_text(&mut self, shares: Shares) {
        let bytes = shares.thinking.saturating_add(shares.rest);
        self.observed.text_bytes = self.observed.text_bytes.saturating_add(bytes);
        self.observed.has_content |= bytes > 0;
        self.shares.add(shares);
    }
}

#[cfg(test)]
mod tests;
