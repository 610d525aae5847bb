//! Content parts: what a turn says beside plain text.

use serde_json::Value;

use super::wire;
use crate::Dialect;
use crate::conversation::{
    CacheMarker, CacheTtl, Extra, Media, MediaKind, Opaque, Part, Reasoning, Source, Text,
};
use crate::error::Invalid;
use crate::{data_url, media_type};

/// Reads a part; the error's path is relative to the part.
pub(super) fn read_part(part: wire::ContentPart) -> Result<Part, Invalid> {
    let missing =
        |field: &str| Invalid::new(field, format!("a part of type `{}` needs `{field}`", part.kind));
    let cache = part.cache_control.as_ref().and_then(read_cache);
    let mut media = match part.kind.as_str() {
        "" => return Err(Invalid::new("type", "a content part needs `type`")),
        "text" | "input_text" | "output_text" => {
            let Some(text) = part.text else { return Err(missing("text")) };
            return Ok(Part::Text(Text { text, cache, extra: part.extra, ..Text::default() }));
        }
        "refusal" => {
            let Some(text) = part.refusal else { return Err(missing("refusal")) };
            return Ok(Part::Refusal(text));
        }
        "thinking" => {
            let text = part.thinking.map(|thinking| read_plain_text(&thinking)).unwrap_or_default();
            return Ok(Part::Reasoning(Reasoning { text, ..Reasoning::default() }));
        }
        "image_url" => {
            let Some(image) = part.image_url else { return Err(missing("image_url")) };
            read_media_url(MediaKind::Image, image)
        }
        "video_url" => {
            let Some(video) = part.video_url else { return Err(missing("video_url")) };
            read_media_url(MediaKind::Video, video)
        }
        "input_audio" => {
            let Some(audio) = part.input_audio else { return Err(missing("input_audio")) };
            let media_type = media_type::of_audio_format(audio.format.as_deref().unwrap_or("wav"));
            Media::new(MediaKind::Audio, Source::Base64 { media_type, data: audio.data })
        }
        "file" => {
            let Some(file) = part.file else { return Err(missing("file")) };
            read_file(file)?
        }
        _ => {
            let value = serde_json::to_value(part).unwrap_or_default();
            return Ok(Part::Opaque(Opaque { dialect: Dialect::OpenaiChat, value }));
        }
    };
    media.cache = cache;
    media.extra = part.extra;
    Ok(Part::Media(media))
}

/// The text of a content without looking at its structure.
fn read_plain_text(content: &wire::Content) -> String {
    match content {
        wire::Content::Text(text) => text.clone(),
        wire::Content::Parts(parts) => parts.iter().filter_map(|part| part.text.as_deref()).collect(),
    }
}

fn read_media_url(kind: MediaKind, media: wire::MediaUrl) -> Media {
    let source = data_url::read(media.url, media.format);
    Media { detail: media.detail, ..Media::new(kind, source) }
}

fn read_file(file: wire::File) -> Result<Media, Invalid> {
    let source = match (file.file_data, file.file_id) {
        (Some(data), _) => match data_url::read(data, file.format.clone()) {
            // Base64 without a data URL around it.
            Source::Url { url, media_type } if !url.contains("://") => Source::Base64 {
                media_type: media_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
                data: url,
            },
            source => source,
        },
        (None, Some(id)) if id.contains("://") || id.starts_with("data:") => data_url::read(id, file.format),
        (None, Some(id)) => Source::FileId(id),
        (None, None) => {
            return Err(Invalid::new("file", "a file needs `file_data` or `file_id`"));
        }
    };
    let kind = match &source {
        Source::Base64 { media_type, .. } | Source::Url { media_type: Some(media_type), .. } => {
            media_type::kind(media_type)
        }
        _ => MediaKind::File,
    };
    Ok(Media { name: file.filename, ..Media::new(kind, source) })
}

pub(super) fn read_cache(mark: &wire::CacheControl) -> Option<CacheMarker> {
    let ttl = match mark.ttl.as_deref() {
        Some("5m") => Some(CacheTtl::FiveMinutes),
        Some("1h") => Some(CacheTtl::OneHour),
        _ => None,
    };
    (mark.kind == "ephemeral").then_some(CacheMarker { ttl })
}

pub(super) fn write_cache(mark: CacheMarker) -> wire::CacheControl {
    let ttl = mark.ttl.map(|ttl| match ttl {
        CacheTtl::FiveMinutes => "5m".to_owned(),
        CacheTtl::OneHour => "1h".to_owned(),
    });
    wire::CacheControl { kind: "ephemeral".to_owned(), ttl }
}

/// Writes a text, refusal, media or opaque part; `None` for what has no place in a content.
pub(super) fn write_part(part: &Part, own_extra: bool) -> Option<wire::ContentPart> {
    match part {
        Part::Text(text) => Some(wire::ContentPart {
            cache_control: text.cache.map(write_cache),
            extra: if own_extra { text.extra.clone() } else { Extra::new() },
            ..wire::ContentPart::text(&text.text)
        }),
        Part::Refusal(text) => Some(wire::ContentPart {
            kind: "refusal".to_owned(),
            refusal: Some(text.clone()),
            ..wire::ContentPart::default()
        }),
        Part::Media(media) => Some(wire::ContentPart {
            cache_control: media.cache.map(write_cache),
            extra: if own_extra { media.extra.clone() } else { Extra::new() },
            ..write_media(media)
        }),
        Part::Opaque(Opaque { dialect: Dialect::OpenaiChat, value }) => {
            serde_json::from_value(value.clone()).ok()
        }
        Part::Opaque(_) | Part::ToolCall(_) | Part::ToolResult(_) | Part::Reasoning(_) => None,
    }
}

/// Whether a part is a file that stands at a web address. The API takes files by the id of an upload or as data; an
/// address is LiteLLM's extension, which few servers know.
pub(super) fn is_file_by_address(part: &Part) -> bool {
    matches!(
        part,
        Part::Media(Media { kind: MediaKind::File | MediaKind::Audio, source: Source::Url { .. }, .. })
    )
}

fn write_media(media: &Media) -> wire::ContentPart {
    let base = wire::ContentPart::default();
    match (media.kind, &media.source) {
        (_, Source::Text(text)) => wire::ContentPart::text(text),
        (MediaKind::Image, Source::Url { .. } | Source::Base64 { .. }) => wire::ContentPart {
            kind: "image_url".to_owned(),
            image_url: Some(write_media_url(media)),
            ..base
        },
        (MediaKind::Video, Source::Url { .. } | Source::Base64 { .. }) => wire::ContentPart {
            kind: "video_url".to_owned(),
            video_url: Some(write_media_url(media)),
            ..base
        },
        (MediaKind::Audio, Source::Base64 { media_type, data }) => wire::ContentPart {
            kind: "input_audio".to_owned(),
            input_audio: Some(wire::InputAudio {
                data: data.clone(),
                format: Some(media_type::audio_format(media_type).to_owned()),
            }),
            ..base
        },
        (_, source) => {
            let mut file = wire::File { filename: media.name.clone(), ..wire::File::default() };
            match source {
                Source::Url { url, media_type } => {
                    file.file_id = Some(url.clone());
                    file.format.clone_from(media_type);
                }
                Source::Base64 { media_type, data } => {
                    // The API refuses a file without a name.
                    let name = if media_type == "application/pdf" { "file.pdf" } else { "file" };
                    file.filename.get_or_insert_with(|| name.to_owned());
                    file.file_data = Some(data_url::write(media_type, data));
                }
                Source::FileId(id) | Source::Text(id) => file.file_id = Some(id.clone()),
            }
            wire::ContentPart { kind: "file".to_owned(), file: Some(file), ..base }
        }
    }
}

fn write_media_url(media: &Media) -> wire::MediaUrl {
    let (url, format) = match &media.source {
        Source::Url { url, media_type } => (url.clone(), media_type.clone()),
        Source::Base64 { media_type, data } => (data_url::write(media_type, data), None),
        Source::FileId(id) | Source::Text(id) => (id.clone(), None),
    };
    wire::MediaUrl { url, detail: media.detail.clone(), format }
}

/// A generated image as answers have it (`images` of LiteLLM and OpenRouter).
pub(super) fn write_image(media: &Media, index: usize) -> wire::ContentPart {
    let mut part = wire::ContentPart {
        kind: "image_url".to_owned(),
        image_url: Some(write_media_url(media)),
        ..wire::ContentPart::default()
    };
    part.extra.insert("index".to_owned(), Value::from(index));
    part
}
