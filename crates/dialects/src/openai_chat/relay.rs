//! Answers passed on to a client of the same dialect: the hot path.
//!
//! An answer, or an event of a stream, is looked over once without building values; what has to change is cut out
//! and replaced in its text, and every other byte stays.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::response::read_stop;
use super::usage::{self, Shares};
use super::wire;
use crate::Dialect;
use crate::codec::StreamRelay;
use crate::conversation::{StopReason, Usage};
use crate::error::{BadReply, ErrorReply};
use crate::exchange::{AnswerContext, Observed};
use crate::framing::sse::{SseEvent, SseReader, write_event};
use crate::json;
use crate::openai_error;

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
    let look = Look::at(text)?;
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

/// The fields of an answer or event that matter here, as slices of its text.
#[derive(Debug, Deserialize)]
struct Look<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    choices: Choices<'a>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    x_groq: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

impl<'a> Look<'a> {
    fn at(text: &'a str) -> Result<Self, BadReply> {
        serde_json::from_str(text).map_err(|error| BadReply::new(format!("not a completion: {error}")))
    }

    fn usage(&self) -> Option<Usage> {
        #[derive(Deserialize)]
        struct Groq<'a> {
            #[serde(borrow)]
            usage: &'a RawValue,
        }

        let raw = match (self.usage, self.x_groq) {
            (Some(raw), _) => raw,
            (None, Some(groq)) => serde_json::from_str::<Groq<'_>>(groq.get()).ok()?.usage,
            (None, None) => return None,
        };
        usage::read_text(raw.get())
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

fn filled_text(raw: &RawValue) -> Option<String> {
    match parse(raw) {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn parse(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).unwrap_or_default()
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
    /// Those that a client would not understand as they are.
    odd: Vec<Said<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChoicesVisitor<'a>(PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for ChoicesVisitor<'a> {
            type Value = Choices<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of choices")
            }

            fn visit_unit<E>(self) -> Result<Choices<'a>, E> {
                Ok(Choices::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Choices<'a>, A::Error> {
                let mut all = Choices { there: true, ..Choices::default() };
                while let Some(choice) = items.next_element::<Choice<'a>>()? {
                    all.add(choice);
                }
                Ok(all)
            }
        }

        deserializer.deserialize_any(ChoicesVisitor(PhantomData))
    }
}

impl<'a> Choices<'a> {
    fn add(&mut self, choice: Choice<'a>) {
        // Perplexity repeats the message so far beside each delta.
        let said = choice.delta.or(choice.message).unwrap_or_default();
        let calls = said.calls();
        let mut shares = said.shares();
        shares.rest = shares.rest.saturating_add(choice.text.map_or(0, |raw| text_len(raw) as u64));
        self.has_content |= shares != Shares::default() || calls || said.has_media();
        self.shares.add(shares);
        self.says_something |= self.has_content || said.role.is_some();
        if let Some(reason) = choice.finish_reason.as_deref().filter(|reason| !reason.is_empty()) {
            self.says_something = true;
            self.finished = true;
            if choice.index.unwrap_or(0) == 0 {
                self.stop = Some(read_stop(Some(reason), None, calls));
            }
        }
        if said.is_odd() {
            self.odd.push(said);
        }
    }
}

#[derive(Debug, Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    message: Option<Said<'a>>,
    #[serde(borrow, default)]
    delta: Option<Said<'a>>,
    /// Of a text completion.
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

/// A message or delta.
#[derive(Debug, Default, Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    role: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<CallPiece<'a>>>,
    #[serde(borrow, default)]
    function_call: Option<FunctionPiece<'a>>,
    #[serde(borrow, default)]
    audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    images: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct CallPiece<'a> {
    #[serde(borrow, default, alias = "custom")]
    function: Option<FunctionPiece<'a>>,
}

#[derive(Debug, Deserialize)]
struct FunctionPiece<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "input")]
    arguments: Option<&'a RawValue>,
}

impl<'a> FunctionPiece<'a> {
    fn texts(&self) -> [Option<&'a RawValue>; 2] {
        [self.name, self.arguments]
    }
}

impl Said<'_> {
    /// Bytes of text as JSON writes them: close enough for an estimate.
    fn shares(&self) -> Shares {
        let functions = self.tool_calls.iter().flatten().filter_map(|call| call.function.as_ref());
        let functions = functions.chain(&self.function_call).flat_map(FunctionPiece::texts);
        let texts = [self.content, self.refusal].into_iter().chain(functions);
        let thinking = self.reasoning_content.or(self.reasoning);
        let mut shares = Shares {
            thinking: thinking.map_or(0, |raw| text_len(raw) as u64),
            rest: texts.flatten().map(|raw| text_len(raw) as u64).sum(),
        };
        if let Some(list) = self.content.filter(|content| content.get().starts_with('[')) {
            let (text, thinking) = split(list);
            shares.add(Shares { thinking: thinking.len() as u64, rest: text.len() as u64 });
        }
        shares
    }

    fn calls(&self) -> bool {
        self.function_call.is_some() || self.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty())
    }

    fn has_media(&self) -> bool {
        self.audio.is_some() || self.images.is_some_and(|images| images.get().contains('{'))
    }

    /// Whether its thinking stands where a client of this dialect does not look.
    fn is_odd(&self) -> bool {
        let is_list = self.content.is_some_and(|content| content.get().starts_with('['));
        is_list || (self.reasoning_content.is_none() && self.reasoning.is_some_and(is_text))
    }
}

fn is_text(raw: &RawValue) -> bool {
    raw.get().len() > 2 && raw.get().starts_with('"')
}

fn text_len(raw: &RawValue) -> usize {
    if raw.get().starts_with('"') { raw.get().len().saturating_sub(2) } else { 0 }
}

/// Replacements in a text.
#[derive(Debug)]
struct Edits<'t, 'w> {
    text: &'t str,
    edits: Vec<(Range<usize>, Cow<'w, str>)>,
}

impl<'t, 'w> Edits<'t, 'w> {
    fn of(text: &'t str) -> Self {
        Self { text, edits: Vec::new() }
    }

    /// Where `raw`, a slice of the text, stands in it.
    fn place(&self, raw: &RawValue) -> Range<usize> {
        let start = (raw.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        start..start.saturating_add(raw.get().len())
    }

    fn replace(&mut self, raw: &RawValue, with: impl Into<Cow<'w, str>>) {
        let place = self.place(raw);
        self.edits.push((place, with.into()));
    }

    /// `reasoning` (OpenRouter, Together, Cerebras) is repeated as `reasoning_content`; a content list (Mistral,
    /// Databricks) is split into text and `reasoning_content`.
    fn put_right(&mut self, said: &Said<'_>) {
        if let Some(content) = said.content.filter(|content| content.get().starts_with('[')) {
            let (text, thinking) = split(content);
            let mut with = if text.is_empty() { "null".to_owned() } else { Value::from(text).to_string() };
            if said.reasoning_content.is_none() && !thinking.is_empty() {
                with.push_str(r#","reasoning_content":"#);
                with.push_str(&Value::from(thinking).to_string());
            }
            self.replace(content, with);
        } else if let (None, Some(reasoning)) = (said.reasoning_content, said.reasoning) {
            let end = self.place(reasoning).end;
            self.edits.push((end..end, format!(r#","reasoning_content":{}"#, reasoning.get()).into()));
        }
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        self.edits.sort_by_key(|(place, _)| place.start);
        let mut from = 0;
        for (place, with) in &self.edits {
            out.extend_from_slice(self.text.get(from..place.start).unwrap_or_default().as_bytes());
            out.extend_from_slice(with.as_bytes());
            from = place.end;
        }
        out.extend_from_slice(self.text.get(from..).unwrap_or_default().as_bytes());
    }
}

/// Text and thinking of a content list. Mistral's thinking is a list in itself; Databricks' a `summary`.
fn split(list: &RawValue) -> (String, String) {
    let parts: Vec<wire::ContentPart> = serde_json::from_str(list.get()).unwrap_or_default();
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
        let look = Look::at(data)?;
        if let Some(error) = look.error {
            self.over = true;
            self.observed.error = Some(openai_error::read_event(&parse(error)));
            return Ok(());
        }
        look.observe(&mut self.observed);
        self.shares.add(look.choices.shares);
        self.finished |= look.choices.finished;
        let mut edits = Edits::of(data);
        if let Some(usage) = look.usage() {
            let reasoning = if usage.reasoning == 0 { self.shares.estimate(usage.output) } else { 0 };
            self.observed.usage = Some(usage);
            match look.usage {
                Some(_) if !self.include_usage && !look.choices.says_something => return Ok(()),
                Some(raw) if !self.include_usage => edits.replace(raw, "null"),
                Some(raw) if reasoning > 0 => {
                    edits.replace(raw, usage::with_reasoning(raw.get(), reasoning));
                }
                _ => {}
            }
        }
        if let Some(raw) = look.model {
            edits.replace(raw, self.model.as_str());
        }
        // Azure's first event, which tells about the prompt's filter.
        if let Some(raw) = look.object.filter(|raw| raw.get() == r#""""#) {
            edits.replace(raw, r#""chat.completion.chunk""#);
        }
        for said in &look.choices.odd {
            edits.put_right(said);
        }
        self.edited.clear();
        edits.write(&mut self.edited);
        write_event(event.name, &self.edited, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
