//! Assistant turns, which requests (as history) and answers write alike.

use serde_json::{Map, Value};

use super::{media, wire};
use crate::Dialect;
use crate::conversation::{
    Citation, Extra, Media, MediaKind, Part, Reasoning, Seal, SealKind, Source, Text, ToolCall, ToolCallKind,
};
use crate::error::Invalid;

/// LiteLLM hides Gemini's thought signature behind the id of a tool call, since that is all that every client of this
/// dialect sends back.
pub(super) const SIGNATURE_IN_ID: &str = "__thought__";

/// Reads what the assistant said; ids of tool calls that have none are made from `seed`.
///
/// # Errors
/// Names the part that is wrong, relative to the message.
pub(super) fn read_assistant(message: wire::Message, seed: &str) -> Result<Vec<Part>, Invalid> {
    let mut parts = Vec::new();
    read_reasoning(&message, &mut parts);
    let mut texts = read_content(message.content)?;
    let citations = message.annotations.unwrap_or_default().into_iter().map(read_annotation);
    attach_citations(&mut texts, citations.collect());
    parts.append(&mut texts);
    if let Some(refusal) = message.refusal.filter(|text| !text.is_empty()) {
        parts.push(Part::Refusal(refusal));
    }
    for image in message.images.unwrap_or_default() {
        let mut part = media::read_part(image).map_err(|error| error.under("images"))?;
        if let Part::Media(image) = &mut part {
            image.extra.shift_remove("index");
        }
        parts.push(part);
    }
    if let Some(audio) = message.audio {
        parts.push(Part::Media(read_audio(audio)));
    }
    let first_call = parts.len();
    for (index, call) in message.tool_calls.unwrap_or_default().into_iter().enumerate() {
        let call = read_tool_call(call, || format!("call_{seed}_{index}"));
        parts.push(Part::ToolCall(call.map_err(|error| error.under(&format!("tool_calls[{index}]")))?));
    }
    if let Some(call) = message.function_call {
        let id = format!("call_{seed}_{}", parts.len() - first_call);
        parts.push(Part::ToolCall(ToolCall::function(
            id,
            call.name.unwrap_or_default(),
            call.arguments.unwrap_or_default(),
        )));
    }
    if let Some(fields) = &message.provider_specific_fields {
        read_loose_seals(fields, &mut parts);
    }
    if let Some(cache) = message.cache_control.as_ref().and_then(media::read_cache) {
        mark(&mut parts, cache);
    }
    Ok(parts)
}

/// What must be there in a history, and what answers of providers may lack.
///
/// # Errors
/// Names the field that is missing, relative to the message.
pub(super) fn check_history(message: &wire::Message) -> Result<(), Invalid> {
    let missing = |path: String| Err(Invalid::new(path, "the field is missing; give a string"));
    for (index, call) in message.tool_calls.iter().flatten().enumerate() {
        let path = |field: &str| format!("tool_calls[{index}].{field}");
        if call.id.as_deref().is_none_or(str::is_empty) {
            return missing(path("id"));
        }
        match (&call.function, &call.custom) {
            (Some(function), _) if function.name.is_none() => return missing(path("function.name")),
            (Some(function), _) if function.arguments.is_none() => {
                return missing(path("function.arguments"));
            }
            (None, Some(custom)) if custom.name.is_none() => return missing(path("custom.name")),
            (None, Some(custom)) if custom.input.is_none() => return missing(path("custom.input")),
            _ => {}
        }
    }
    if message.function_call.as_ref().is_some_and(|call| call.name.is_none()) {
        return missing("function_call.name".to_owned());
    }
    if message.audio.as_ref().is_some_and(|audio| audio.id.is_none() && audio.data.is_none()) {
        return missing("audio.id".to_owned());
    }
    Ok(())
}

/// Puts a message's cache mark on its last part that can hold one.
pub(super) fn mark(parts: &mut [Part], cache: crate::conversation::CacheMarker) {
    for part in parts.iter_mut().rev() {
        let slot = match part {
            Part::Text(text) => &mut text.cache,
            Part::Media(media) => &mut media.cache,
            Part::ToolCall(call) => &mut call.cache,
            Part::ToolResult(result) => &mut result.cache,
            Part::Reasoning(_) | Part::Refusal(_) | Part::Opaque(_) => continue,
        };
        *slot = Some(cache);
        return;
    }
}

/// Reads a content; no text where there is none.
pub(super) fn read_content(content: Option<wire::Content>) -> Result<Vec<Part>, Invalid> {
    match content {
        None => Ok(Vec::new()),
        Some(wire::Content::Text(text)) if text.is_empty() => Ok(Vec::new()),
        Some(wire::Content::Text(text)) => Ok(vec![Part::text(text)]),
        Some(wire::Content::Parts(parts)) => parts
            .into_iter()
            .enumerate()
            .map(|(index, part)| {
                media::read_part(part).map_err(|error| error.under(&format!("content[{index}]")))
            })
            .collect(),
    }
}

fn read_reasoning(message: &wire::Message, parts: &mut Vec<Part>) {
    let before = parts.len();
    for block in message.thinking_blocks.iter().flatten() {
        parts.push(Part::Reasoning(read_thinking_block(block)));
    }
    for item in message.reasoning_items.iter().flatten() {
        parts.push(Part::Reasoning(read_reasoning_item(item)));
    }
    let said = |part: &Part| matches!(part, Part::Reasoning(reasoning) if !reasoning.readable().is_empty());
    if parts.iter().skip(before).any(said) {
        return;
    }
    let text = message.reasoning_content.as_ref().or(message.reasoning.as_ref());
    let seal = message.reasoning_details.as_deref().and_then(seal_of_details);
    let text = match text {
        Some(text) => text.clone(),
        None => message.reasoning_details.iter().flatten().filter_map(detail_text).collect(),
    };
    if !text.is_empty() || seal.is_some() {
        parts.insert(before, Part::Reasoning(Reasoning { text, seal, ..Reasoning::default() }));
    }
}

pub(super) fn detail_text(detail: &Extra) -> Option<&str> {
    detail.get("text").or_else(|| detail.get("summary")).and_then(Value::as_str)
}

/// OpenRouter wants `reasoning_details` back as they were. They matter where they hold a proof; then the whole list
/// is kept as one seal of this dialect.
pub(super) fn seal_of_details(details: &[Extra]) -> Option<Seal> {
    let holds = |detail: &Extra, field: &str| detail.get(field).is_some_and(|value| !value.is_null());
    let sealed = details.iter().any(|detail| holds(detail, "signature") || holds(detail, "data"));
    let json = serde_json::to_string(details).ok()?;
    sealed.then(|| Seal::new(Dialect::OpenaiChat, SealKind::Encrypted, json))
}

pub(super) fn read_thinking_block(block: &wire::ThinkingBlock) -> Reasoning {
    let slot = |kind, text: &String| Seal::from_slot(Dialect::AnthropicMessages, kind, text);
    let seal = match (&block.signature, &block.data) {
        (Some(signature), _) if !signature.is_empty() => Some(slot(SealKind::Signature, signature)),
        (_, Some(data)) if block.kind == "redacted_thinking" => Some(slot(SealKind::Redacted, data)),
        _ => None,
    };
    Reasoning { text: block.thinking.clone().unwrap_or_default(), seal, ..Reasoning::default() }
}

fn read_reasoning_item(item: &wire::ReasoningItem) -> Reasoning {
    let seal = |text: &String| Seal::from_slot(Dialect::OpenaiResponses, SealKind::Encrypted, text);
    Reasoning {
        id: item.id.clone(),
        text: String::new(),
        summary: item.summary.iter().map(|paragraph| paragraph.text.clone()).collect(),
        seal: item.encrypted_content.as_ref().map(seal),
        extra: item.extra.clone(),
    }
}

fn attach_citations(parts: &mut Vec<Part>, citations: Vec<Citation>) {
    if citations.is_empty() {
        return;
    }
    let last_text = parts.iter_mut().rev().find_map(|part| match part {
        Part::Text(text) => Some(text),
        _ => None,
    });
    match last_text {
        Some(text) => text.citations = citations,
        None => parts.push(Part::Text(Text { citations, ..Text::default() })),
    }
}

pub(super) fn read_annotation(annotation: wire::Annotation) -> Citation {
    let original = serde_json::to_value(&annotation).ok();
    let Some(url) = annotation.url_citation else { return Citation { original, ..Citation::default() } };
    Citation {
        url: url.url,
        title: url.title,
        quote: url.content,
        start: url.start_index,
        end: url.end_index,
        original,
    }
}

pub(super) fn read_audio(audio: wire::Audio) -> Media {
    let mut extra = audio.extra;
    let source = match (audio.data, audio.id) {
        (Some(data), id) => {
            if let Some(id) = id {
                extra.insert("id".to_owned(), Value::from(id));
            }
            // The format is the request's; the answer does not repeat it.
            Source::Base64 { media_type: "audio/wav".to_owned(), data }
        }
        (None, id) => Source::FileId(id.unwrap_or_default()),
    };
    Media { transcript: audio.transcript, extra, ..Media::new(MediaKind::Audio, source) }
}

/// Reads a call of a history or a complete answer.
fn read_tool_call(call: wire::ToolCall, make_id: impl FnOnce() -> String) -> Result<ToolCall, Invalid> {
    let seal = tool_call_seal(&call);
    let mut extra = call.extra;
    extra.shift_remove("extra_content");
    let (id, id_seal) = match call.id.as_deref() {
        Some(id) if !id.is_empty() => split_id(id),
        _ => (make_id(), None),
    };
    let (kind, name, arguments) = match (call.function, call.custom) {
        (Some(function), _) => (ToolCallKind::Function, function.name, function.arguments),
        (None, Some(custom)) => (ToolCallKind::Custom, custom.name, custom.input),
        (None, None) => {
            return Err(Invalid::new("function", "a tool call needs `function` or `custom`"));
        }
    };
    Ok(ToolCall {
        id,
        name: name.unwrap_or_default(),
        arguments: arguments.unwrap_or_default(),
        kind,
        seal: seal.or(id_seal),
        cache: call.cache_control.as_ref().and_then(media::read_cache),
        extra,
    })
}

/// The id under which a client gets a call, with the proof of another dialect behind it.
pub(super) fn sign_id(id: &str, seal: Option<&Seal>) -> String {
    match seal.filter(|seal| seal.dialect != Dialect::OpenaiChat) {
        Some(seal) => {
            format!("{id}{SIGNATURE_IN_ID}{}", seal.to_slot(Dialect::Gemini, SealKind::Signature))
        }
        None => id.to_owned(),
    }
}

/// Signs the ids of calls in an answer; providers get them as they were, see [`split_id`].
pub(super) fn sign_ids(parts: &[Part], message: &mut wire::Message) {
    let calls = parts.iter().filter_map(|part| match part {
        Part::ToolCall(call) => Some(call),
        _ => None,
    });
    for (call, written) in calls.zip(message.tool_calls.iter_mut().flatten()) {
        written.id = Some(sign_id(&call.id, call.seal.as_ref()));
    }
}

/// Takes the signature off an id that carries one.
pub(super) fn split_id(id: &str) -> (String, Option<Seal>) {
    match id.split_once(SIGNATURE_IN_ID) {
        Some((id, signature)) => {
            (id.to_owned(), Some(Seal::from_slot(Dialect::Gemini, SealKind::Signature, signature)))
        }
        None => (id.to_owned(), None),
    }
}

/// The proof of reasoning that a call carries: LiteLLM's field for Gemini's, or the one of Google's own OpenAI
/// surface (<https://ai.google.dev/gemini-api/docs/openai>).
pub(super) fn tool_call_seal(call: &wire::ToolCall) -> Option<Seal> {
    let own = call.provider_specific_fields.as_ref();
    let of_function = call.function.as_ref().and_then(|function| function.provider_specific_fields.as_ref());
    let signature = [own, of_function]
        .into_iter()
        .flatten()
        .find_map(|fields| fields.get("thought_signature").and_then(Value::as_str));
    if let Some(signature) = signature {
        return Some(Seal::from_slot(Dialect::Gemini, SealKind::Signature, signature));
    }
    let signature = call.extra.get("extra_content")?.get("google")?.get("thought_signature")?.as_str()?;
    Some(Seal::new(Dialect::OpenaiChat, SealKind::Signature, signature))
}

/// Signatures that LiteLLM keeps beside the message belong to its text, or else to its first call.
fn read_loose_seals(fields: &Extra, parts: &mut [Part]) {
    let Some(Value::Array(signatures)) = fields.get("thought_signatures") else { return };
    let Some(signature) = signatures.last().and_then(Value::as_str) else { return };
    if parts.iter().any(|part| matches!(part, Part::ToolCall(ToolCall { seal: Some(_), .. }))) {
        return;
    }
    let slots = parts.iter_mut().filter_map(|part| match part {
        Part::ToolCall(call) => Some((0, &mut call.seal)),
        Part::Text(text) => Some((1, &mut text.seal)),
        _ => None,
    });
    if let Some((_, seal)) = slots.max_by_key(|(rank, _)| *rank) {
        *seal = Some(Seal::from_slot(Dialect::Gemini, SealKind::Signature, signature));
    }
}

/// What of an assistant turn has no place in a message.
pub(super) type Homeless<'a> = Vec<&'a Part>;

/// Writes an assistant turn. `own_extra`: the turn comes from this dialect, so its unknown fields go back.
pub(super) fn write_assistant(parts: &[Part], own_extra: bool) -> (wire::Message, Homeless<'_>) {
    let mut homeless = Vec::new();
    let mut content: Vec<wire::ContentPart> = Vec::new();
    let mut message = wire::Message { role: Some("assistant".to_owned()), ..wire::Message::default() };
    let mut signatures = Vec::new();
    let mut foreign_citations = Vec::new();
    // Citations count from the beginning of the content, in which texts stand one behind the other.
    let mut said = 0;
    for part in parts {
        match part {
            Part::Text(text) => {
                for citation in &text.citations {
                    match write_citation(citation, own_extra, said) {
                        Ok(annotation) => message.annotations.get_or_insert_default().push(annotation),
                        Err(original) => foreign_citations.push(original),
                    }
                }
                if let Some(seal) = &text.seal {
                    signatures.push(Value::from(seal.to_slot(Dialect::Gemini, SealKind::Signature)));
                }
                said += characters(&text.text);
                if !text.text.is_empty() || text.cache.is_some() {
                    content.extend(media::write_part(part, own_extra));
                }
            }
            Part::Refusal(text) => message.refusal.get_or_insert_default().push_str(text),
            Part::Reasoning(reasoning) => write_reasoning(reasoning, own_extra, &mut message),
            Part::ToolCall(call) => {
                if let Some(seal) = &call.seal
                    && seal.dialect != Dialect::OpenaiChat
                {
                    signatures.push(Value::from(seal.to_slot(Dialect::Gemini, SealKind::Signature)));
                }
                message.tool_calls.get_or_insert_default().push(write_tool_call(call, own_extra));
            }
            Part::Media(media) if media.kind == MediaKind::Image => {
                let images = message.images.get_or_insert_default();
                images.push(media::write_image(media, images.len()));
            }
            Part::Media(media) if media.kind == MediaKind::Audio => message.audio = Some(write_audio(media)),
            Part::Opaque(opaque) if opaque.dialect == Dialect::OpenaiChat => {
                content.extend(media::write_part(part, own_extra));
            }
            Part::Media(_) | Part::Opaque(_) | Part::ToolResult(_) => homeless.push(part),
        }
    }
    message.content = join_texts(content);
    if !signatures.is_empty() {
        let fields = message.provider_specific_fields.get_or_insert_default();
        fields.insert("thought_signatures".to_owned(), Value::Array(signatures));
    }
    if !foreign_citations.is_empty() {
        let fields = message.provider_specific_fields.get_or_insert_default();
        fields.insert("citations".to_owned(), Value::Array(foreign_citations));
    }
    (message, homeless)
}

/// Plain texts as one string, so that every client understands them; parts only where one has more to say.
fn join_texts(content: Vec<wire::ContentPart>) -> Option<wire::Content> {
    if content.is_empty() {
        return None;
    }
    let plain = |part: &wire::ContentPart| {
        part.kind == "text" && part.cache_control.is_none() && part.extra.is_empty()
    };
    if content.iter().all(plain) {
        return Some(wire::Content::Text(content.into_iter().filter_map(|part| part.text).collect()));
    }
    Some(wire::Content::Parts(content))
}

fn write_reasoning(reasoning: &Reasoning, own_extra: bool, message: &mut wire::Message) {
    let readable = reasoning.readable();
    if !readable.is_empty() {
        let text = message.reasoning_content.get_or_insert_default();
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str(&readable);
    }
    match &reasoning.seal {
        Some(Seal { dialect: Dialect::OpenaiChat, kind: SealKind::Encrypted, value }) => {
            let details: Vec<Extra> = serde_json::from_str(value).unwrap_or_default();
            message.reasoning_details.get_or_insert_default().extend(details);
        }
        Some(Seal { dialect: Dialect::OpenaiResponses, .. }) => {
            message.reasoning_items.get_or_insert_default().push(write_reasoning_item(reasoning, own_extra));
        }
        None if reasoning.id.is_some() || !reasoning.summary.is_empty() => {
            message.reasoning_items.get_or_insert_default().push(write_reasoning_item(reasoning, own_extra));
        }
        _ => message.thinking_blocks.get_or_insert_default().push(write_thinking_block(reasoning)),
    }
}

pub(super) fn write_thinking_block(reasoning: &Reasoning) -> wire::ThinkingBlock {
    let slot = |seal: &Seal, kind| Some(seal.to_slot(Dialect::AnthropicMessages, kind));
    match &reasoning.seal {
        Some(seal) if seal.kind == SealKind::Redacted && reasoning.text.is_empty() => wire::ThinkingBlock {
            kind: "redacted_thinking".to_owned(),
            data: slot(seal, SealKind::Redacted),
            ..wire::ThinkingBlock::default()
        },
        seal => wire::ThinkingBlock {
            kind: "thinking".to_owned(),
            thinking: Some(reasoning.readable()),
            signature: seal.as_ref().and_then(|seal| slot(seal, SealKind::Signature)),
            ..wire::ThinkingBlock::default()
        },
    }
}

pub(super) fn write_reasoning_item(reasoning: &Reasoning, own_extra: bool) -> wire::ReasoningItem {
    let paragraph = |text: &String| wire::SummaryText { kind: "summary_text".to_owned(), text: text.clone() };
    let mut summary: Vec<wire::SummaryText> = reasoning.summary.iter().map(paragraph).collect();
    if summary.is_empty() && !reasoning.text.is_empty() {
        summary.push(paragraph(&reasoning.text));
    }
    let slot = |seal: &Seal| seal.to_slot(Dialect::OpenaiResponses, SealKind::Encrypted);
    wire::ReasoningItem {
        kind: "reasoning".to_owned(),
        id: reasoning.id.clone(),
        encrypted_content: reasoning.seal.as_ref().map(slot),
        summary,
        extra: if own_extra { reasoning.extra.clone() } else { Extra::new() },
    }
}

/// How long a text is, as annotations count.
pub(super) fn characters(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

/// An annotation, or the citation itself where it points to no address. `before` is how many characters of the content
/// stand before the text that it is about.
pub(super) fn write_citation(citation: &Citation, own: bool, before: u64) -> Result<wire::Annotation, Value> {
    if own && let Some(original) = &citation.original {
        return serde_json::from_value(original.clone()).map_err(|_| original.clone());
    }
    if citation.url.is_none() {
        return Err(citation.original.clone().unwrap_or_else(|| {
            Value::from(citation.quote.clone().or_else(|| citation.title.clone()).unwrap_or_default())
        }));
    }
    Ok(wire::Annotation {
        kind: "url_citation".to_owned(),
        url_citation: Some(wire::UrlCitation {
            start_index: citation.start.map(|start| before.saturating_add(start)),
            end_index: citation.end.map(|end| before.saturating_add(end)),
            title: citation.title.clone(),
            url: citation.url.clone(),
            content: citation.quote.clone(),
        }),
        extra: Extra::new(),
    })
}

fn write_tool_call(call: &ToolCall, own_extra: bool) -> wire::ToolCall {
    let mut wire = wire::ToolCall {
        id: Some(call.id.clone()),
        cache_control: call.cache.map(media::write_cache),
        extra: if own_extra { call.extra.clone() } else { Extra::new() },
        ..wire::ToolCall::default()
    };
    match call.kind {
        ToolCallKind::Function => {
            wire.kind = Some("function".to_owned());
            wire.function = Some(wire::FunctionCall {
                name: Some(call.name.clone()),
                arguments: Some(call.arguments.clone()),
                provider_specific_fields: None,
            });
        }
        ToolCallKind::Custom => {
            wire.kind = Some("custom".to_owned());
            wire.custom =
                Some(wire::CustomCall { name: Some(call.name.clone()), input: Some(call.arguments.clone()) });
        }
    }
    if let Some(seal) = &call.seal {
        write_tool_call_seal(seal, &mut wire);
    }
    wire
}

/// The counterpart of [`tool_call_seal`].
pub(super) fn write_tool_call_seal(seal: &Seal, call: &mut wire::ToolCall) {
    if let Some(signature) = seal.value_for(Dialect::OpenaiChat, SealKind::Signature) {
        let google =
            Value::Object(Map::from_iter([("thought_signature".to_owned(), Value::from(signature))]));
        let content = Value::Object(Map::from_iter([("google".to_owned(), google)]));
        call.extra.insert("extra_content".to_owned(), content);
        return;
    }
    let fields = call.provider_specific_fields.get_or_insert_default();
    let signature = seal.to_slot(Dialect::Gemini, SealKind::Signature);
    fields.insert("thought_signature".to_owned(), Value::from(signature));
}

fn write_audio(media: &Media) -> wire::Audio {
    let mut extra = media.extra.clone();
    let own_id = match extra.shift_remove("id") {
        Some(Value::String(id)) => Some(id),
        _ => None,
    };
    let (id, data) = match &media.source {
        Source::Base64 { data, .. } => (own_id, Some(data.clone())),
        Source::FileId(id) | Source::Text(id) | Source::Url { url: id, .. } => (Some(id.clone()), None),
    };
    wire::Audio { id, data, transcript: media.transcript.clone(), extra }
}
