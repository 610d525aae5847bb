//! Items, of which inputs and outputs consist: how each becomes a [`Part`] and is written back.

use serde_json::{Value, json};

use super::fields::{Fields, Place};
use super::media;
use crate::Dialect;
use crate::conversation::{
    Citation, Extra, Opaque, Part, Reasoning, Seal, SealKind, Text, TokenLogprob, ToolCall, ToolCallKind,
};
use crate::error::Invalid;

/// A message's content: a string, or parts.
pub(super) fn read_content(content: Value, place: &Place<'_>) -> Result<Vec<Part>, Invalid> {
    match content {
        Value::String(text) => Ok(vec![Part::text(text)]),
        Value::Array(parts) => parts
            .into_iter()
            .enumerate()
            .map(|(index, part)| read_part(part, &Place::Item(place, index)))
            .collect(),
        other => Err(place.unexpected("a string or an array", &other)),
    }
}

fn read_part(part: Value, place: &Place<'_>) -> Result<Part, Invalid> {
    let mut part = Fields::of(part, place)?;
    match part.kind() {
        Some("input_text" | "output_text" | "text") => {
            part.take("type");
            let mut text = Text { text: part.need_text("text")?, ..Text::default() };
            text.citations =
                part.list("annotations")?.unwrap_or_default().into_iter().map(read_citation).collect();
            part.take("logprobs");
            text.extra = part.rest();
            text.cache = media::cache_marker(&text.extra);
            Ok(Part::Text(text))
        }
        Some("refusal") => Ok(Part::Refusal(part.need_text("refusal")?)),
        Some("input_image") => media::read_image(part).map(Part::Media),
        Some("input_file") => media::read_file(part).map(Part::Media),
        Some("input_audio") => media::read_audio(part).map(Part::Media),
        Some(_) => Ok(opaque(Value::Object(part.rest()))),
        None => Err(Place::Field(place, "type").wrong("the field is missing; give a string")),
    }
}

pub(super) fn opaque(value: Value) -> Part {
    Part::Opaque(Opaque { dialect: Dialect::OpenaiResponses, value })
}

/// A `function_call` or `custom_tool_call`.
pub(super) fn read_call(mut item: Fields<'_>) -> Result<ToolCall, Invalid> {
    let (kind, arguments) = match item.kind() {
        Some("custom_tool_call") => (ToolCallKind::Custom, "input"),
        _ => (ToolCallKind::Function, "arguments"),
    };
    item.take("type");
    let mut call = ToolCall::function(item.need_text("call_id")?, item.need_text("name")?, "");
    call.kind = kind;
    call.arguments = item.text(arguments)?.unwrap_or_default();
    item.take("status");
    call.extra = item.rest();
    Ok(call)
}

/// A `reasoning` item.
pub(super) fn read_reasoning(mut item: Fields<'_>) -> Result<Reasoning, Invalid> {
    let mut reasoning = Reasoning { id: item.text("id")?, ..Reasoning::default() };
    reasoning.summary = paragraphs(&mut item, "summary")?;
    reasoning.text = paragraphs(&mut item, "content")?.concat();
    reasoning.seal = item
        .text("encrypted_content")?
        .map(|text| Seal::from_slot(Dialect::OpenaiResponses, SealKind::Encrypted, &text));
    item.take("type");
    item.take("status");
    reasoning.extra = item.rest();
    Ok(reasoning)
}

fn paragraphs(item: &mut Fields<'_>, name: &str) -> Result<Vec<String>, Invalid> {
    let list = Place::Field(item.place(), name);
    let mut texts = Vec::new();
    for (index, part) in item.list(name)?.unwrap_or_default().into_iter().enumerate() {
        let place = Place::Item(&list, index);
        texts.push(Fields::of(part, &place)?.need_text("text")?);
    }
    Ok(texts)
}

/// An annotation of an `output_text`. Kinds that have no address (files, containers) keep their original.
pub(super) fn read_citation(annotation: Value) -> Citation {
    let text = |name: &str| annotation.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| annotation.get(name).and_then(Value::as_u64);
    Citation {
        url: text("url"),
        title: text("title").or_else(|| text("filename")),
        quote: None,
        start: number("start_index"),
        end: number("end_index"),
        original: Some(annotation),
    }
}

/// The annotation for a citation; `None` where this API has none for it: all but web addresses belong to files
/// that only OpenAI has. `length` is that of the text, in characters: what is cited when no span is given.
pub(super) fn write_citation(citation: &Citation, length: usize) -> Option<Value> {
    if let Some(original) = citation.original.as_ref().filter(|original| is_annotation(original)) {
        return Some(original.clone());
    }
    let url = citation.url.as_deref()?;
    Some(json!({
        "type": "url_citation",
        "start_index": citation.start.unwrap_or(0),
        "end_index": citation.end.map_or_else(|| json!(length), Value::from),
        "url": url,
        "title": citation.title.as_deref().unwrap_or(url),
    }))
}

/// Whether a citation's original is one of this API's; Chat Completions nests the fields of its own.
fn is_annotation(original: &Value) -> bool {
    match original.get("type").and_then(Value::as_str) {
        Some("url_citation") => original.get("url").is_some(),
        Some("file_citation" | "container_file_citation" | "file_path") => original.get("file_id").is_some(),
        _ => false,
    }
}

pub(super) fn read_logprobs(value: &Value) -> Vec<TokenLogprob> {
    let read = |item: &Value| {
        Some(TokenLogprob {
            token: item.get("token")?.as_str()?.to_owned(),
            logprob: item.get("logprob")?.as_f64()?,
            bytes: item.get("bytes").filter(|bytes| !bytes.is_null()).cloned(),
            top: item.get("top_logprobs").map(read_logprobs).unwrap_or_default(),
        })
    };
    value.as_array().map(|items| items.iter().filter_map(read).collect()).unwrap_or_default()
}

/// Log probabilities as this API lists them; `bytes` are the token's own where the provider gave none.
pub(super) fn write_logprobs(tokens: &[TokenLogprob]) -> Value {
    let own = |token: &TokenLogprob| {
        let bytes = token.bytes.clone().unwrap_or_else(|| token.token.as_bytes().into());
        json!({"token": token.token, "bytes": bytes, "logprob": token.logprob})
    };
    tokens
        .iter()
        .map(|token| {
            let mut value = own(token);
            if let Value::Object(fields) = &mut value {
                fields.insert("top_logprobs".to_owned(), token.top.iter().map(own).collect());
            }
            value
        })
        .collect()
}

/// The fields of a reasoning item but for its id and status.
///
/// Thinking of another dialect goes into the summary, since that is where clients look for something to show;
/// an item that has an id was this API's, and its `content` stays what it was.
pub(super) fn reasoning_fields(reasoning: &Reasoning) -> Extra {
    let native = reasoning.id.is_some();
    let text = Some(&reasoning.text).filter(|text| !text.is_empty());
    let summary: Vec<Value> = text
        .filter(|_| !native)
        .into_iter()
        .chain(&reasoning.summary)
        .map(|text| json!({"type": "summary_text", "text": text}))
        .collect();
    let mut fields = Extra::new();
    fields.insert("type".to_owned(), "reasoning".into());
    fields.insert("summary".to_owned(), summary.into());
    if let Some(text) = text.filter(|_| native) {
        fields.insert("content".to_owned(), json!([{"type": "reasoning_text", "text": text}]));
    }
    fields
}
