//! Answers: passed on as they are but for the model's name, and metered.

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Service, adapt};
use crate::conversation::Usage;
use crate::document::Document;
use crate::error::{BadReply, Invalid};
use crate::json;
use crate::openai_error;

/// What a call has to be paid for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metered {
    pub id: Option<String>,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    pub usage: Option<Usage>,
    /// Images that were made.
    pub images: u64,
    /// Cohere's search units.
    pub search_units: u64,
}

/// What a request asks for that decides about its answer or its price.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// Embeddings as base64 (`encoding_format`), which else is put back into numbers.
    pub base64: bool,
    /// Of the text to be spoken.
    pub characters: u64,
}

/// Looks at a client's request, before it is adapted.
///
/// # Errors
/// Names the first field that every request of the service has, and this one lacks.
pub fn asked(service: Service, document: &Document<'_>) -> Result<Asked, Invalid> {
    adapt::check(service, document)?;
    let mut asked = Asked { base64: document.get("encoding_format") == Some(r#""base64""#), characters: 0 };
    if service == Service::Speech
        && let Some(text) = document.text("input")?
    {
        asked.characters = text.chars().count() as u64;
    }
    Ok(asked)
}

/// Passes on a complete answer in JSON.
///
/// # Errors
/// When the body is not a JSON object, or is an error in spite of its status.
pub fn relay(
    service: Service,
    body: &[u8],
    model: &str,
    asked: &Asked,
) -> Result<(Vec<u8>, Metered), BadReply> {
    let mut document = Document::parse(body).map_err(|error| BadReply::new(error.to_string()))?;
    if let Some(error) = document.value("error").filter(|error| !error.is_null()) {
        return Err(BadReply::new(openai_error::read_event(&error).message));
    }
    let metered = meter(service, &document);
    if document.has("model") {
        document.set_text("model", model);
    }
    if service == Service::Embeddings
        && !asked.base64
        && let Some(data) = document.get("data").and_then(with_numbers)
    {
        document.set("data", data);
    }
    Ok((document.to_bytes(), metered))
}

/// Reads usage from an event of a streamed answer (`transcript.text.done`, `speech.audio.done`,
/// `image_generation.completed`); `None` where there is none.
#[must_use]
pub fn read_event(service: Service, data: &str) -> Option<Usage> {
    let document = Document::of(data).ok()?;
    document.has("usage").then(|| meter(service, &document).usage).flatten()
}

fn meter(service: Service, document: &Document<'_>) -> Metered {
    let text = |name: &str| document.text(name).ok().flatten().map(Cow::into_owned);
    let mut metered = Metered { id: text("id"), model: text("model"), ..Metered::default() };
    let usage = document.value("usage").filter(Value::is_object);
    let meta = document.value("meta").unwrap_or_default();
    let billed = |name: &str| count(meta.get("billed_units").and_then(|units| units.get(name)));
    metered.search_units = billed("search_units");
    if service == Service::Images {
        metered.images = document
            .get("data")
            .and_then(|data| serde_json::from_str::<Vec<serde::de::IgnoredAny>>(data).ok())
            .map_or(0, |images| images.len() as u64);
    }
    metered.usage = usage.as_ref().map(read_usage);
    if metered.usage.is_none() {
        let tokens = count(meta.get("tokens").and_then(|tokens| tokens.get("input_tokens")));
        let seconds = document.value("duration").and_then(|value| milliseconds(&value));
        metered.usage = match (tokens.max(billed("input_tokens")), seconds) {
            (0, None) => None,
            (input, seconds) => Some(Usage { input, audio_ms: seconds.unwrap_or(0), ..Usage::default() }),
        };
    }
    metered
}

/// `prompt_tokens` (embeddings), `input_tokens` (images, transcriptions), `seconds` (transcriptions).
fn read_usage(usage: &Value) -> Usage {
    let top = |name: &str| count(usage.get(name));
    let detail = |names: [&str; 2], name: &str| {
        names.iter().map(|details| count(usage.get(*details).and_then(|d| d.get(name)))).max().unwrap_or(0)
    };
    let inputs = ["input_tokens_details", "input_token_details"];
    let outputs = ["output_tokens_details", "output_token_details"];
    let output = top("output_tokens").max(top("completion_tokens"));
    let input = top("prompt_tokens").max(top("input_tokens"));
    // Some (vLLM's and Jina's rerank) count the total only.
    let input = if input == 0 { top("total_tokens").saturating_sub(output) } else { input };
    Usage {
        input,
        output,
        input_audio: detail(inputs, "audio_tokens"),
        input_image: detail(inputs, "image_tokens"),
        output_image: detail(outputs, "image_tokens"),
        audio_ms: usage.get("seconds").and_then(milliseconds).unwrap_or(0),
        cost: usage.get("cost").and_then(Value::as_number).cloned(),
        original: Some(usage.clone()),
        ..Usage::default()
    }
}

fn count(value: Option<&Value>) -> u64 {
    value.and_then(Value::as_number).and_then(json::whole).unwrap_or(0)
}

/// Seconds, read from their digits; a begun millisecond counts.
fn milliseconds(seconds: &Value) -> Option<u64> {
    let text = match seconds {
        Value::Number(number) => number.to_string(),
        // `verbose_json` of some versions of Whisper.
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole: u64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let more = fraction.chars().skip(3).any(|digit| digit != '0');
    let part: u64 = digits.parse().ok()?;
    whole.checked_mul(1000)?.checked_add(part)?.checked_add(u64::from(more))
}

/// Embeddings that came as base64 as lists of numbers; `None` if there is nothing to do.
fn with_numbers(data: &str) -> Option<String> {
    if !has_text_vectors(data) {
        return None;
    }
    let mut items: Vec<Value> = serde_json::from_str(data).ok()?;
    let mut out = String::with_capacity(data.len() * 2);
    out.push('[');
    for (place, item) in items.iter_mut().enumerate() {
        if place > 0 {
            out.push(',');
        }
        let vector = item.get("embedding").and_then(Value::as_str).and_then(decode);
        let Some(vector) = vector else {
            out.push_str(&item.to_string());
            continue;
        };
        let Value::Object(fields) = item else { return None };
        fields.shift_remove("embedding");
        out.push('{');
        for (name, value) in fields.iter() {
            let _ = write!(out, "{}:{value},", Value::from(name.as_str()));
        }
        out.push_str(r#""embedding":["#);
        for (place, number) in vector.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let _ = write!(out, "{comma}{number:?}");
        }
        out.push_str("]}");
    }
    out.push(']');
    Some(out)
}

/// Whether the first vector is text; lists of numbers are not built only to be left as they are.
fn has_text_vectors(data: &str) -> bool {
    let behind = data.split_once(r#""embedding":"#).map(|(_, behind)| behind.trim_start());
    let spaced = data.split_once(r#""embedding" :"#).map(|(_, behind)| behind.trim_start());
    behind.or(spaced).is_some_and(|value| value.starts_with('"'))
}

/// Little-endian 32-bit floats in base64.
fn decode(text: &str) -> Option<Vec<f32>> {
    let bytes = STANDARD.decode(text).ok()?;
    let (words, rest) = bytes.as_chunks::<4>();
    let numbers: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    // JSON has no word for the others.
    (rest.is_empty() && numbers.iter().all(|number| number.is_finite())).then_some(numbers)
}
