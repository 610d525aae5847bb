//! Content blocks as parts of the conversation, and the pieces that requests and answers write alike.

use serde_json::{Map, Value, json};

use crate::Dialect;
use crate::conversation::{
    CacheMarker, CacheTtl, Citation, CustomTool, Extra, Media, MediaKind, Opaque, Part, Reasoning, Seal,
    SealKind, Source, Text, ToolCall, ToolCallKind, ToolResult,
};

use super::wire;

const DIALECT: Dialect = Dialect::AnthropicMessages;

pub(super) fn read_content(content: wire::Content) -> Vec<Part> {
    match content {
        wire::Content::Text(text) => vec![Part::text(text)],
        wire::Content::Blocks(blocks) => {
            let mut parts = Vec::with_capacity(blocks.len());
            for block in blocks {
                let part = read(block);
                if let Some(part) = give_back_seal(&mut parts, part) {
                    parts.push(part);
                }
            }
            parts
        }
    }
}

/// Gemini signs texts and tool calls. For want of a slot of their own these signatures reach our clients in an
/// empty thinking block behind the block they belong to (see [`sealed_after`]); here they find home.
fn give_back_seal(parts: &mut [Part], part: Part) -> Option<Part> {
    let Part::Reasoning(reasoning) = part else { return Some(part) };
    let foreign =
        matches!(&reasoning.seal, Some(seal) if seal.dialect != DIALECT && seal.kind == SealKind::Signature);
    if foreign
        && reasoning.text.is_empty()
        && let Some(
            Part::ToolCall(ToolCall { seal: slot @ None, .. }) | Part::Text(Text { seal: slot @ None, .. }),
        ) = parts.last_mut()
    {
        *slot = reasoning.seal;
        return None;
    }
    Some(Part::Reasoning(reasoning))
}

/// The block that carries the seal of the text or tool call before it.
pub(super) fn sealed_after(seal: &Seal) -> wire::Block {
    thinking(String::new(), Some(seal))
}

pub(super) fn thinking(text: String, seal: Option<&Seal>) -> wire::Block {
    let signature = seal.map(|seal| seal.to_slot(DIALECT, SealKind::Signature)).unwrap_or_default();
    wire::Block::Thinking(wire::ThinkingBlock { thinking: text, signature, extra: Extra::new() })
}

/// `None` for the empty signature that stands where there is none.
pub(super) fn read_signature(signature: &str) -> Option<Seal> {
    (!signature.is_empty()).then(|| Seal::from_slot(DIALECT, SealKind::Signature, signature))
}

pub(super) fn read(block: wire::Block) -> Part {
    match block {
        wire::Block::Text(block) => Part::Text(Text {
            citations: read_citations(block.citations.unwrap_or_default(), block.text.chars().count()),
            text: block.text,
            cache: read_cache(block.cache_control.as_ref()),
            seal: None,
            extra: block.extra,
        }),
        wire::Block::Image(block) => read_image(block),
        wire::Block::Document(block) => read_document(block),
        wire::Block::ToolUse(block) => Part::ToolCall(ToolCall {
            arguments: read_input(&block.input),
            cache: read_cache(block.cache_control.as_ref()),
            extra: block.extra,
            ..ToolCall::function(block.id, block.name, "")
        }),
        wire::Block::ToolResult(block) => Part::ToolResult(ToolResult {
            call_id: block.tool_use_id,
            name: None,
            parts: block.content.map(read_content).unwrap_or_default(),
            is_error: block.is_error.unwrap_or(false),
            cache: read_cache(block.cache_control.as_ref()),
            extra: block.extra,
        }),
        wire::Block::Thinking(block) => Part::Reasoning(Reasoning {
            seal: read_signature(&block.signature),
            text: block.thinking,
            extra: block.extra,
            ..Reasoning::default()
        }),
        wire::Block::RedactedThinking(block) => Part::Reasoning(Reasoning {
            seal: Some(Seal::from_slot(DIALECT, SealKind::Redacted, &block.data)),
            extra: block.extra,
            ..Reasoning::default()
        }),
        wire::Block::ContainerUpload { file_id } => {
            opaque(json!({"type": "container_upload", "file_id": file_id}))
        }
        wire::Block::Other(value) => opaque(value),
    }
}

fn opaque(value: Value) -> Part {
    Part::Opaque(Opaque { dialect: DIALECT, value })
}

fn read_image(block: wire::ImageBlock) -> Part {
    let source = match block.source {
        wire::Source::Base64 { media_type, data } => Source::Base64 { media_type, data },
        wire::Source::Url { url } => Source::Url { url, media_type: None },
        wire::Source::File { file_id } => Source::FileId(file_id),
        source @ (wire::Source::Text { .. } | wire::Source::Content { .. }) => {
            return opaque(json!(wire::Block::Image(wire::ImageBlock { source, ..block })));
        }
    };
    Part::Media(Media {
        cache: read_cache(block.cache_control.as_ref()),
        extra: block.extra,
        ..Media::new(MediaKind::Image, source)
    })
}

fn read_document(block: wire::DocumentBlock) -> Part {
    let mut extra = block.extra;
    let source = match block.source {
        wire::Source::Base64 { media_type, data } => Source::Base64 { media_type, data },
        wire::Source::Url { url } => Source::Url { url, media_type: None },
        wire::Source::File { file_id } => Source::FileId(file_id),
        wire::Source::Text { data, .. } => Source::Text(data),
        wire::Source::Content { content } => match plain_text(&content) {
            // How it was cut into citable pieces is kept for Anthropic, the text is for everyone.
            Some(text) => {
                extra.insert("source".to_owned(), json!(wire::Source::Content { content }));
                Source::Text(text)
            }
            None => {
                let source = wire::Source::Content { content };
                let block = wire::DocumentBlock {
                    source,
                    title: block.title,
                    cache_control: block.cache_control,
                    extra,
                };
                return opaque(json!(wire::Block::Document(block)));
            }
        },
    };
    Part::Media(Media {
        name: block.title,
        cache: read_cache(block.cache_control.as_ref()),
        extra,
        ..Media::new(MediaKind::File, source)
    })
}

fn plain_text(content: &wire::Content) -> Option<String> {
    match content {
        wire::Content::Text(text) => Some(text.clone()),
        wire::Content::Blocks(blocks) => {
            let texts: Option<Vec<&str>> = blocks
                .iter()
                .map(|block| match block {
                    wire::Block::Text(text) => Some(text.text.as_str()),
                    _ => None,
                })
                .collect();
            texts.map(|texts| texts.join("\n\n"))
        }
    }
}

/// The input of a tool call as JSON text; a call without one has an empty object.
pub(super) fn read_input(input: &Value) -> String {
    if input.is_null() { "{}".to_owned() } else { input.to_string() }
}

/// The input of a tool call. The API takes objects only: the free text of a custom tool, and arguments that a
/// model failed to write as JSON, go under `input`.
pub(super) fn write_input(arguments: &str, kind: ToolCallKind) -> Value {
    let object = match kind {
        ToolCallKind::Function if arguments.trim().is_empty() => Some(Map::new()),
        ToolCallKind::Function => serde_json::from_str(arguments).ok(),
        ToolCallKind::Custom => None,
    };
    object.map_or_else(|| json!({CustomTool::INPUT: arguments}), Value::Object)
}

pub(super) fn read_cache(cache: Option<&wire::CacheControl>) -> Option<CacheMarker> {
    cache.map(|cache| CacheMarker {
        ttl: match cache.ttl.as_deref() {
            Some("5m") => Some(CacheTtl::FiveMinutes),
            Some("1h") => Some(CacheTtl::OneHour),
            _ => None,
        },
    })
}

pub(super) fn write_cache(cache: Option<CacheMarker>) -> Option<wire::CacheControl> {
    cache.map(|marker| wire::CacheControl {
        kind: "ephemeral".to_owned(),
        ttl: marker.ttl.map(|ttl| {
            match ttl {
                CacheTtl::FiveMinutes => "5m",
                CacheTtl::OneHour => "1h",
            }
            .to_owned()
        }),
    })
}

/// The citations of a text of that many characters. They support the whole of it: the offsets that Anthropic gives are
/// in the source, not in the answer.
pub(super) fn read_citations(citations: Vec<Value>, characters: usize) -> Vec<Citation> {
    let read = |original: Value| {
        let text = |name: &str| original.get(name).and_then(Value::as_str).map(str::to_owned);
        Citation {
            url: text("url").or_else(|| text("source")),
            title: text("title").or_else(|| text("document_title")),
            quote: text("cited_text"),
            start: Some(0),
            end: u64::try_from(characters).ok(),
            original: Some(original),
        }
    };
    citations.into_iter().map(read).collect()
}

/// A citation as Anthropic wrote it; one of another dialect in the form that Anthropic has for the web.
pub(super) fn write_citation(citation: &Citation) -> Value {
    if let Some(original) = &citation.original
        && original.get("type").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("_location"))
    {
        return original.clone();
    }
    json!({
        "type": "web_search_result_location",
        "cited_text": citation.quote.as_deref().unwrap_or_default(),
        "title": citation.title,
        "url": citation.url.as_deref().unwrap_or_default(),
        "encrypted_index": "",
    })
}

/// A text block without attachments.
pub(super) fn text(text: impl Into<String>) -> wire::Block {
    wire::Block::Text(wire::TextBlock { text: text.into(), ..wire::TextBlock::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(value: Value) -> Vec<Part> {
        read_content(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_block_keeps_what_the_model_has_no_name_for() {
        let value = json!([{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}}]);
        let parts = parts(value);
        let [Part::ToolCall(call)] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!(call.arguments, r#"{"a":1}"#);
        assert_eq!(call.extra.get("caller"), Some(&json!({"type": "direct"})));
    }

    #[test]
    fn a_document_in_pieces_is_text_for_everyone_else() {
        let source = json!({"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]});
        let parts = parts(json!([{"type": "document", "source": source, "title": "T"}]));
        let [Part::Media(media)] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!(media.source, Source::Text("a\n\nb".into()));
        assert_eq!(media.extra.get("source"), Some(&source));
    }

    #[test]
    fn a_foreign_signature_finds_the_call_it_belongs_to() {
        let seal = Seal::new(Dialect::Gemini, SealKind::Signature, "sig");
        let blocks = json!([
            {"type": "tool_use", "id": "t", "name": "f", "input": {}},
            serde_json::to_value(sealed_after(&seal)).unwrap(),
        ]);
        let parts = parts(blocks);
        let [Part::ToolCall(call)] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!(call.seal, Some(seal));
    }

    #[test]
    fn encrypted_reasoning_stays_a_part_of_its_own() {
        let seal = Seal::new(Dialect::OpenaiResponses, SealKind::Encrypted, "gAAA");
        let blocks = json!([
            {"type": "tool_use", "id": "t", "name": "f", "input": {}},
            serde_json::to_value(thinking(String::new(), Some(&seal))).unwrap(),
        ]);
        assert!(matches!(parts(blocks).as_slice(), [Part::ToolCall(_), Part::Reasoning(_)]));
    }

    #[test]
    fn input_is_always_an_object() {
        assert_eq!(write_input("", ToolCallKind::Function), json!({}));
        assert_eq!(write_input("{\"a\":1}", ToolCallKind::Function), json!({"a": 1}));
        assert_eq!(write_input("[1]", ToolCallKind::Function), json!({"input": "[1]"}));
        assert_eq!(write_input("ls", ToolCallKind::Custom), json!({"input": "ls"}));
    }
}
