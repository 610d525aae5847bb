//! The `usage` object (<https://platform.openai.com/docs/api-reference/chat/object#chat/object-usage>),
//! with what providers of this dialect add to it.

use serde::Serialize;
use serde_json::{Number, Value};

use crate::conversation::{Part, Usage};
use crate::document::Document;
use crate::json::{
    self,
    scan::{Malformed, Scan, string},
};

/// Reads a usage object, and keeps it.
pub(crate) fn read(value: &Value) -> Usage {
    Usage { original: Some(value.clone()), ..Wire::of(value).read() }
}

/// Reads the text of a usage object without building a tree of values; `None` if it is none.
pub(super) fn read_text(text: &str) -> Option<Usage> {
    scan(&mut Scan::of(text), text).ok()?.1
}

/// Reads a usage object where it stands in `text`; gives its own text, unless it is `null`, and what it says.
pub(super) fn scan<'a>(
    scan: &mut Scan<'a>,
    text: &'a str,
) -> Result<(Option<&'a str>, Option<Usage>), Malformed> {
    if scan.ahead() != b'{' {
        return scan.given().map(|other| (other, None));
    }
    let start = scan.place();
    let usage = Wire::scan(scan)?.read();
    Ok((text.get(start..scan.place()), Some(usage)))
}

/// Something of a usage object. What is missing, `null` or of another type is nothing.
trait Counted: Default {
    fn of(value: &Value) -> Self;

    fn scan(scan: &mut Scan<'_>) -> Result<Self, Malformed>;
}

/// Makes structs whose fields are read by their names, be it from values or from text.
macro_rules! counted {
    ($($(#[$doc:meta])* struct $name:ident { $($field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default)]
        struct $name {
            $($field: $kind,)*
        }

        impl Counted for $name {
            fn of(value: &Value) -> Self {
                let field = |name: &str| value.get(name).unwrap_or(&Value::Null);
                Self { $($field: Counted::of(field(stringify!($field))),)* }
            }

            fn scan(scan: &mut Scan<'_>) -> Result<Self, Malformed> {
                let mut counts = Self::default();
                if scan.ahead() != b'{' {
                    return scan.skip().map(|()| counts);
                }
                scan.object(|scan, name| {
                    match name {
                        $(stringify!($field) => counts.$field = Counted::scan(scan)?,)*
                        _ => scan.skip()?,
                    }
                    Ok(())
                })?;
                Ok(counts)
            }
        }
    )*};
}

counted! {
    /// Every count that some provider of this dialect gives.
    struct Wire {
        prompt_tokens: Scalar,
        completion_tokens: Scalar,
        total_tokens: Scalar,
        prompt_tokens_details: InputDetails,
        completion_tokens_details: OutputDetails,
        prompt_cache_hit_tokens: Scalar,
        cached_tokens: Scalar,
        cache_read_input_tokens: Scalar,
        cache_creation_input_tokens: Scalar,
        num_search_queries: Scalar,
        server_tool_use: ServerTools,
        service_tier: Scalar,
        cost: Scalar,
    }

    struct InputDetails {
        cached_tokens: Scalar,
        audio_tokens: Scalar,
        image_tokens: Scalar,
        video_tokens: Scalar,
        cache_creation_tokens: Scalar,
        cache_write_tokens: Scalar,
        cache_creation_token_details: CacheWrites,
    }

    struct CacheWrites {
        ephemeral_1h_input_tokens: Scalar,
    }

    struct OutputDetails {
        reasoning_tokens: Scalar,
        audio_tokens: Scalar,
        image_tokens: Scalar,
        accepted_prediction_tokens: Scalar,
        rejected_prediction_tokens: Scalar,
    }

    struct ServerTools {
        web_search_requests: Scalar,
    }
}

impl Wire {
    fn read(self) -> Usage {
        let input = self.prompt_tokens_details;
        let output = self.completion_tokens_details;
        let prompt = self.prompt_tokens.count();
        let mut completion = self.completion_tokens.count();
        let reasoning = output.reasoning_tokens.count();
        // xAI counts thinking beside the completion, and only the total says so
        // (https://docs.x.ai/docs/guides/reasoning).
        let all = prompt.saturating_add(completion).saturating_add(reasoning);
        if reasoning > 0 && self.total_tokens.count() == all {
            completion = completion.saturating_add(reasoning);
        }
        let hour = input.cache_creation_token_details.ephemeral_1h_input_tokens.count();
        let written = first([
            &input.cache_creation_tokens,
            &input.cache_write_tokens,
            &self.cache_creation_input_tokens,
        ]);
        Usage {
            input: prompt,
            // OpenAI; DeepSeek; Moonshot; Anthropic's name, which LiteLLM repeats.
            cache_read: first([
                &input.cached_tokens,
                &self.prompt_cache_hit_tokens,
                &self.cached_tokens,
                &self.cache_read_input_tokens,
            ]),
            cache_write_5m: written.saturating_sub(hour),
            cache_write_1h: hour,
            input_audio: input.audio_tokens.count(),
            input_image: input.image_tokens.count(),
            input_video: input.video_tokens.count(),
            output: completion,
            reasoning: reasoning.min(completion),
            output_audio: output.audio_tokens.count(),
            output_image: output.image_tokens.count(),
            accepted_prediction: output.accepted_prediction_tokens.count(),
            rejected_prediction: output.rejected_prediction_tokens.count(),
            // Perplexity; Anthropic's field, which LiteLLM repeats.
            web_searches: first([&self.num_search_queries, &self.server_tool_use.web_search_requests]),
            audio_ms: 0,
            characters: 0,
            service_tier: self.service_tier.text(),
            cost: self.cost.number(),
            original: None,
        }
    }
}

/// A number or a text; anything else is nothing.
#[derive(Debug, Default)]
enum Scalar {
    #[default]
    Nothing,
    Number(Number),
    Text(String),
}

impl Scalar {
    /// Some servers count in floats.
    fn count(&self) -> u64 {
        match self {
            Self::Number(number) => json::whole(number).unwrap_or(0),
            Self::Nothing | Self::Text(_) => 0,
        }
    }

    fn number(self) -> Option<Number> {
        match self {
            Self::Number(number) => Some(number),
            Self::Nothing | Self::Text(_) => None,
        }
    }

    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing | Self::Number(_) => None,
        }
    }
}

impl Counted for Scalar {
    fn of(value: &Value) -> Self {
        match value {
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Self::Nothing,
        }
    }

    fn scan(scan: &mut Scan<'_>) -> Result<Self, Malformed> {
        let json = scan.value()?;
        if let Ok(count) = json.parse::<u64>() {
            return Ok(Self::Number(count.into()));
        }
        if let Some(text) = string(json) {
            return Ok(Self::Text(text.into_owned()));
        }
        Ok(serde_json::from_str(json).map_or(Self::Nothing, Self::Number))
    }
}

/// How much of an answer was thinking and how much was said, in bytes of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) thinking: u64,
    pub(crate) rest: u64,
}

impl Shares {
    pub(crate) fn of(parts: &[Part]) -> Self {
        let mut shares = Self::default();
        for part in parts {
            match part {
                Part::Reasoning(reasoning) => shares.thinking += len(&reasoning.readable()),
                Part::Text(text) => shares.rest += len(&text.text),
                Part::Refusal(text) => shares.rest += len(text),
                Part::ToolCall(call) => shares.rest += len(&call.name) + len(&call.arguments),
                Part::Media(_) | Part::ToolResult(_) | Part::Opaque(_) => {}
            }
        }
        shares
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.thinking = self.thinking.saturating_add(other.thinking);
        self.rest = self.rest.saturating_add(other.rest);
    }

    pub(crate) fn less(self, other: Self) -> Self {
        Self {
            thinking: self.thinking.saturating_sub(other.thinking),
            rest: self.rest.saturating_sub(other.rest),
        }
    }

    /// The share of `output` tokens that was thinking. Anthropic and many servers of open models show their thinking
    /// but do not count it; LiteLLM's clients get an estimate then, and so do ours. Never used for costs.
    pub(super) fn estimate(self, output: u64) -> u64 {
        if self.thinking == 0 {
            return 0;
        }
        let all = u128::from(self.thinking) + u128::from(self.rest);
        let share = u128::from(output) * u128::from(self.thinking) / all;
        u64::try_from(share).unwrap_or(output).max(1).min(output)
    }
}

fn len(text: &str) -> u64 {
    text.len() as u64
}

/// The first count that is there at all.
fn first<const N: usize>(counts: [&Scalar; N]) -> u64 {
    counts.into_iter().map(Scalar::count).find(|count| *count > 0).unwrap_or(0)
}

/// The usage object of an answer. `own`: it was read from this dialect, so the original goes back.
pub(crate) fn write(usage: &Usage, shares: Shares, own: bool) -> Written<'_> {
    if own && let Some(original) = &usage.original {
        return Written::Original(original);
    }
    // LiteLLM's names for what is written to a cache.
    let cache_write = Some(usage.cache_write()).filter(|tokens| *tokens > 0);
    let counted = |tokens: u64| Some(tokens).filter(|tokens| *tokens > 0);
    Written::Counts(Box::new(Counts {
        prompt_tokens: usage.input,
        completion_tokens: usage.output,
        total_tokens: usage.total(),
        cache_creation_input_tokens: cache_write,
        cache_read_input_tokens: cache_write.map(|_| usage.cache_read),
        prompt_tokens_details: WrittenInput {
            cached_tokens: usage.cache_read,
            audio_tokens: usage.input_audio,
            cache_creation_tokens: cache_write,
            cache_creation_token_details: cache_write.map(|_| WrittenCache {
                ephemeral_5m_input_tokens: usage.cache_write_5m,
                ephemeral_1h_input_tokens: usage.cache_write_1h,
            }),
            image_tokens: counted(usage.input_image),
            video_tokens: counted(usage.input_video),
        },
        completion_tokens_details: WrittenOutput {
            reasoning_tokens: if usage.reasoning > 0 {
                usage.reasoning
            } else {
                shares.estimate(usage.output)
            },
            audio_tokens: usage.output_audio,
            accepted_prediction_tokens: usage.accepted_prediction,
            rejected_prediction_tokens: usage.rejected_prediction,
            image_tokens: counted(usage.output_image),
        },
        server_tool_use: counted(usage.web_searches)
            .map(|web_search_requests| WrittenServerTools { web_search_requests }),
        service_tier: usage.service_tier.as_deref(),
        cost: usage.cost.as_ref(),
    }))
}

/// A usage object as it is written.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Written<'a> {
    Original(&'a Value),
    Counts(Box<Counts<'a>>),
}

#[derive(Serialize)]
pub(crate) struct Counts<'a> {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read_input_tokens: Option<u64>,
    prompt_tokens_details: WrittenInput,
    completion_tokens_details: WrittenOutput,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_tool_use: Option<WrittenServerTools>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<&'a Number>,
}

#[derive(Serialize)]
struct WrittenInput {
    cached_tokens: u64,
    audio_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation_token_details: Option<WrittenCache>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    video_tokens: Option<u64>,
}

#[derive(Serialize)]
struct WrittenCache {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

#[derive(Serialize)]
struct WrittenOutput {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_tokens: Option<u64>,
}

#[derive(Serialize)]
struct WrittenServerTools {
    web_search_requests: u64,
}

/// A provider's usage object with the estimated count of thinking put in; every other byte of it stays.
pub(super) fn with_reasoning(usage: &str, reasoning: u64) -> String {
    let with = |object: &str, name: &str, value: String| {
        let mut document = Document::of(object).ok()?;
        document.set(name, value);
        String::from_utf8(document.to_bytes()).ok()
    };
    let document = Document::of(usage);
    let details = document.as_ref().ok().and_then(|usage| usage.get("completion_tokens_details"));
    let details = details
        .and_then(|details| with(details, "reasoning_tokens", reasoning.to_string()))
        .unwrap_or_else(|| format!(r#"{{"reasoning_tokens":{reasoning}}}"#));
    with(usage, "completion_tokens_details", details).unwrap_or_else(|| usage.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_its_values_are() {
        let texts = [
            r#"{}"#,
            r#"{"prompt_tokens":11,"completion_tokens":7.0,"total_tokens":18,"cost":0.0125,"service_tier":"flex"}"#,
            r#"{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":2,"text_tokens":3},
                "prompt_cache_hit_tokens":4,"completion_tokens_details":{"reasoning_tokens":9}}"#,
            r#"{"prompt_tokens":30,"cache_creation_input_tokens":20,"server_tool_use":{"web_search_requests":2},
                "prompt_tokens_details":{"cache_creation_token_details":{"ephemeral_1h_input_tokens":15}}}"#,
            r#"{"prompt_tokens":"many","completion_tokens":[1],"total_tokens":{"a":1},"prompt_tokens_details":[1,2],
                "completion_tokens_details":"none","server_tool_use":true,"cost":null,"service_tier":3}"#,
        ];
        for text in texts {
            let read = read(&serde_json::from_str(text).unwrap());
            assert!(read.original.is_some());
            assert_eq!(read_text(text), Some(Usage { original: None, ..read }), "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_no_usage() {
        for text in ["null", "7", "[]", r#""usage""#] {
            assert_eq!(read_text(text), None);
        }
    }
}
