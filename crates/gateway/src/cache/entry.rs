//! One stored answer: what the client was sent, and what is needed to book it again.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use catalog::usd::NanoUsd;
use dialects::conversation::StopReason;
use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub facts: Facts,
    /// Milliseconds since 1970.
    pub stored_ms: u64,
    pub expires_ms: u64,
    /// As the client was sent it; a stream with all its events.
    pub body: Bytes,
}

/// What a stored answer said about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    pub form: Form,
    /// The type of an answer that was passed on as its provider gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    pub stop: Stop,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// What it cost when it was made, in nano-dollars.
    pub cost_nano: i64,
    /// How long its provider took.
    pub took_ms: u64,
}

/// How the client was sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    #[default]
    Whole,
    /// Server-sent events.
    Events,
    /// A JSON array that grew (Gemini without `alt=sse`).
    Array,
    /// One item of an embeddings answer.
    Item,
}

/// The ends with which an answer may be given again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The answer is no conversation.
    #[default]
    None,
    EndTurn,
    StopSequence,
    ToolCalls,
}

impl Stop {
    /// `None` for an answer that is cut off, filtered, or whose end is not known.
    #[must_use]
    pub fn of(reason: &StopReason) -> Option<Self> {
        match reason {
            StopReason::EndTurn => Some(Self::EndTurn),
            StopReason::StopSequence(_) => Some(Self::StopSequence),
            StopReason::ToolCalls => Some(Self::ToolCalls),
            StopReason::MaxTokens
            | StopReason::ContentFilter
            | StopReason::Pause
            | StopReason::Error
            | StopReason::Other(_) => None,
        }
    }

    #[must_use]
    pub fn reason(self) -> Option<StopReason> {
        match self {
            Self::None => None,
            Self::EndTurn => Some(StopReason::EndTurn),
            Self::StopSequence => Some(StopReason::StopSequence(None)),
            Self::ToolCalls => Some(StopReason::ToolCalls),
        }
    }
}

/// The first byte of a stored entry; another one is of another version, and as if it were not there.
const VERSION: u8 = 1;

impl Entry {
    #[must_use]
    pub fn new(facts: Facts, body: Bytes, ttl: Duration) -> Arc<Self> {
        let stored_ms = now_ms();
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        Arc::new(Self { facts, stored_ms, expires_ms: stored_ms.saturating_add(ttl_ms), body })
    }

    #[must_use]
    pub fn age(&self) -> Duration {
        Duration::from_millis(now_ms().saturating_sub(self.stored_ms))
    }

    #[must_use]
    pub fn cost(&self) -> NanoUsd {
        NanoUsd(self.facts.cost_nano)
    }

    /// Bytes that it takes, about.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.body.len() as u64 + 256
    }

    /// Version, times, length of the facts, the facts as JSON, the body.
    pub(super) fn encode(&self) -> Vec<u8> {
        let facts = serde_json::to_vec(&self.facts).unwrap_or_default();
        let mut out = Vec::with_capacity(self.body.len() + facts.len() + 21);
        out.push(VERSION);
        out.extend_from_slice(&self.stored_ms.to_le_bytes());
        out.extend_from_slice(&self.expires_ms.to_le_bytes());
        out.extend_from_slice(&u32::try_from(facts.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&facts);
        out.extend_from_slice(&self.body);
        out
    }

    /// `None` for what some other program or version wrote.
    pub(super) fn decode(bytes: &Bytes) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (stored, rest) = rest.split_first_chunk::<8>()?;
        let (expires, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let facts = rest.get(..length)?;
        if *version != VERSION {
            return None;
        }
        Some(Self {
            facts: serde_json::from_slice(facts).ok()?,
            stored_ms: u64::from_le_bytes(*stored),
            expires_ms: u64::from_le_bytes(*expires),
            body: bytes.slice(bytes.len() - (rest.len() - length)..),
        })
    }
}

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(body: Vec<u8>) -> Entry {
        let facts = Facts {
            form: Form::Events,
            content_type: Some("text/plain".to_owned()),
            id: Some("id".to_owned()),
            model: None,
            stop: Stop::ToolCalls,
            input_tokens: 1,
            output_tokens: 2,
            cost_nano: 3,
            took_ms: 4,
        };
        Entry { facts, stored_ms: 5, expires_ms: 6, body: body.into() }
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let entry = entry(body);
            prop_assert_eq!(Entry::decode(&entry.encode().into()), Some(entry));
        }

        #[test]
        fn foreign_bytes_are_no_entry_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            Entry::decode(&bytes.into());
        }
    }

    #[test]
    fn another_version_or_half_an_entry_is_none() {
        let mut bytes = entry(Vec::new()).encode();
        assert_eq!(Entry::decode(&Bytes::copy_from_slice(bytes.get(..30).unwrap())), None);
        bytes[0] = VERSION + 1;
        assert_eq!(Entry::decode(&bytes.into()), None);
    }

    #[test]
    fn cut_and_filtered_answers_have_no_end_to_store() {
        for reason in [StopReason::MaxTokens, StopReason::ContentFilter, StopReason::Pause, StopReason::Error]
        {
            assert_eq!(Stop::of(&reason), None);
        }
        assert_eq!(Stop::of(&StopReason::Other("new".to_owned())), None);
        for stop in [Stop::EndTurn, Stop::StopSequence, Stop::ToolCalls] {
            assert_eq!(Stop::of(&stop.reason().unwrap()), Some(stop));
        }
    }
}
