//! Answers that pass from Gemini to a client of Gemini. Nothing is edited: the model's name stands in the path of
//! the request, and `modelVersion` says which model really answered. The answer is only looked at.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{error, finish, grounding, usage, wire};
use crate::Dialect;
use crate::codec::StreamRelay;
use crate::conversation::{Seal, StopReason};
use crate::error::{BadReply, ErrorReply};
use crate::exchange::Observed;
use crate::framing::sse::{SseReader, write_event};

/// What the gateway wants to know of an answer or of a chunk; the rest is skipped.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Glance<'a> {
    #[serde(borrow)]
    candidates: Vec<CandidateGlance<'a>>,
    #[serde(borrow)]
    prompt_feedback: Option<FeedbackGlance<'a>>,
    usage_metadata: Option<wire::UsageMetadata>,
    #[serde(borrow)]
    model_version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    response_id: Option<Cow<'a, str>>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CandidateGlance<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    content: Option<ContentGlance<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
    grounding_metadata: Option<GroundingGlance>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContentGlance<'a> {
    #[serde(borrow)]
    parts: Vec<PartGlance<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PartGlance<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    function_call: Option<IgnoredAny>,
    inline_data: Option<IgnoredAny>,
    executable_code: Option<IgnoredAny>,
    #[serde(borrow)]
    thought_signature: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FeedbackGlance<'a> {
    #[serde(borrow)]
    block_reason: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GroundingGlance {
    web_search_queries: Vec<String>,
}

/// The answer so far.
#[derive(Debug)]
struct Watch {
    observed: Observed,
    searches: u64,
    /// Of the first choice.
    called: bool,
    /// Per candidate seen, by index: whether it said why it ended.
    ended: Vec<(u32, bool)>,
    blocked: bool,
}

impl Watch {
    fn new() -> Self {
        Self {
            observed: Observed { dialect: Some(Dialect::Gemini), ..Observed::default() },
            searches: 0,
            called: false,
            ended: Vec::new(),
            blocked: false,
        }
    }

    fn take(&mut self, glance: Glance<'_>) {
        let observed = &mut self.observed;
        if observed.id.is_none() {
            observed.id = glance.response_id.map(Cow::into_owned);
        }
        if observed.model.is_none() {
            observed.model = glance.model_version.map(Cow::into_owned);
        }
        for (position, candidate) in glance.candidates.into_iter().enumerate() {
            let index = candidate.index.unwrap_or_else(|| u32::try_from(position).unwrap_or(u32::MAX));
            for part in candidate.content.into_iter().flat_map(|content| content.parts) {
                observed.seals.extend(part.thought_signature.as_deref().map(Seal::mark));
                let bytes = part.text.map_or(0, |text| text.len());
                observed.text_bytes =
                    observed.text_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
                let called = part.function_call.is_some();
                self.called |= called && index == 0;
                observed.has_content |=
                    bytes > 0 || called || part.inline_data.is_some() || part.executable_code.is_some();
            }
            if let Some(grounding) = candidate.grounding_metadata {
                let searches = grounding::count(&grounding.web_search_queries);
                self.searches = self.searches.saturating_add(searches);
            }
            if let Some(word) = &candidate.finish_reason
                && index == 0
            {
                observed.stop = Some(finish::read(word, self.called));
            }
            let ended = candidate.finish_reason.is_some();
            match self.ended.iter_mut().find(|(known, _)| *known == index) {
                Some((_, known)) => *known |= ended,
                None => self.ended.push((index, ended)),
            }
        }
        if glance.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some()) {
            self.blocked = true;
            observed.stop.get_or_insert(StopReason::ContentFilter);
        }
        if let Some(metadata) = glance.usage_metadata {
            observed.usage = Some(usage::read(&metadata, self.searches));
        }
    }

    fn is_complete(&self) -> bool {
        if self.ended.is_empty() { self.blocked } else { self.ended.iter().all(|(_, ended)| *ended) }
    }
}

pub(super) fn relay(body: &[u8]) -> Result<(Vec<u8>, Observed), BadReply> {
    let glance: Glance<'_> = serde_json::from_slice(body)
        .map_err(|error| BadReply::new(format!("the answer is not what generateContent gives: {error}")))?;
    let mut watch = Watch::new();
    watch.take(glance);
    if watch.ended.is_empty() && !watch.blocked {
        return Err(BadReply::new("the answer has neither `candidates` nor a `promptFeedback.blockReason`"));
    }
    watch.observed.complete = true;
    Ok((body.to_vec(), watch.observed))
}

#[derive(Debug)]
pub(super) struct GeminiRelay {
    sse: SseReader,
    watch: Watch,
}

impl GeminiRelay {
    pub(super) fn new() -> Self {
        Self { sse: SseReader::default(), watch: Watch::new() }
    }
}

fn pass(data: &str, watch: &mut Watch, out: &mut Vec<u8>) -> Result<(), BadReply> {
    if watch.observed.error.is_some() {
        return Ok(());
    }
    let glance =
        serde_json::from_str(data).or_else(|error| match serde_json::from_str::<Vec<Glance<'_>>>(data) {
            Ok(mut list) if list.len() == 1 => Ok(list.pop().unwrap_or_default()),
            _ => Err(BadReply::new(format!("an event of the stream is not an answer of Gemini: {error}"))),
        })?;
    if let Some(failure) = &glance.error {
        watch.observed.error = Some(error::read_object(failure));
        return Ok(());
    }
    watch.take(glance);
    write_event(None, data.as_bytes(), out);
    Ok(())
}

impl StreamRelay for GeminiRelay {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BadReply> {
        self.sse.push(bytes)?;
        while let Some(event) = self.sse.next_event()? {
            pass(event.data, &mut self.watch, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BadReply> {
        if let Some(event) = self.sse.finish()? {
            pass(event.data, &mut self.watch, out)?;
        }
        if self.watch.observed.error.is_some() {
            return Ok(());
        }
        if !self.watch.is_complete() {
            return Err(BadReply::new("the stream broke off before a `finishReason`"));
        }
        self.watch.observed.complete = true;
        Ok(())
    }

    fn observed(&self) -> &Observed {
        &self.watch.observed
    }

    fn write_error(&mut self, reply: &ErrorReply, out: &mut Vec<u8>) {
        write_event(None, &error::write(reply), out);
    }
}

#[cfg(test)]
mod tests;
