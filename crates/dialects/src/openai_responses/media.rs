//! How the Responses API packs images, files and sounds: data URLs, addresses and file ids.

use serde_json::{Value, json};

use super::fields::{Fields, Place};
use crate::conversation::{CacheMarker, Media, MediaKind, Source};
use crate::error::Invalid;
use crate::loss::Losses;
use crate::{CannotSay, Dialect, data_url, media_type};

/// `input_image`: `image_url` (an address or a data URL) or `file_id`.
pub(super) fn read_image(mut part: Fields<'_>) -> Result<Media, Invalid> {
    let source = match (part.text("image_url")?, part.text("file_id")?) {
        (Some(url), _) => data_url::read(url, None),
        (None, Some(id)) => Source::FileId(id),
        (None, None) => return Err(part.place().wrong("an `input_image` needs `image_url` or `file_id`")),
    };
    part.take("type");
    let mut media = Media::new(MediaKind::Image, source);
    media.detail = part.text("detail")?;
    Ok(finish(media, part))
}

/// `input_file`: `file_data` (a data URL, or bare base64 with a `filename`), `file_url` or `file_id`.
pub(super) fn read_file(mut part: Fields<'_>) -> Result<Media, Invalid> {
    let name = part.text("filename")?;
    let source = match (part.text("file_data")?, part.text("file_url")?, part.text("file_id")?) {
        (Some(data), _, _) => match data_url::read(data, None) {
            // Base64 without a data URL around it.
            Source::Url { url: data, .. } => {
                let media_type = name.as_deref().and_then(media_type::of_name).unwrap_or("application/pdf");
                Source::Base64 { media_type: media_type.to_owned(), data }
            }
            source => source,
        },
        (None, Some(url), _) => data_url::read(url, None),
        (None, None, Some(id)) => Source::FileId(id),
        (None, None, None) => {
            return Err(part.place().wrong("an `input_file` needs `file_data`, `file_url` or `file_id`"));
        }
    };
    part.take("type");
    let mut media = Media::new(MediaKind::File, source);
    media.name = name;
    media.detail = part.text("detail")?;
    Ok(finish(media, part))
}

/// `input_audio`: base64 and its format.
pub(super) fn read_audio(mut part: Fields<'_>) -> Result<Media, Invalid> {
    let parent = *part.place();
    let place = Place::Field(&parent, "input_audio");
    let Some(value) = part.take("input_audio") else {
        return Err(place.wrong("the field is missing; give an object with `data` and `format`"));
    };
    let mut audio = Fields::of(value, &place)?;
    let data = audio.need_text("data")?;
    let media_type = media_type::of_audio_format(&audio.need_text("format")?);
    part.take("type");
    Ok(finish(Media::new(MediaKind::Audio, Source::Base64 { media_type, data }), part))
}

fn finish(mut media: Media, part: Fields<'_>) -> Media {
    media.extra = part.rest();
    media.cache = cache_marker(&media.extra);
    media
}

/// `prompt_cache_breakpoint` ends the part of a prompt that is to be cached. It stays in the extra fields too:
/// its time to live is not one of those that other dialects know.
pub(super) fn cache_marker(extra: &crate::conversation::Extra) -> Option<CacheMarker> {
    extra.contains_key("prompt_cache_breakpoint").then_some(CacheMarker { ttl: None })
}

/// Writes an image, file or sound as a part of a message or of a tool's output.
pub(super) fn write(media: &Media, from: Dialect, losses: &mut Losses) -> Result<Option<Value>, CannotSay> {
    let mut part = match (media.kind, &media.source) {
        (_, Source::Text(text)) => json!({"type": "input_text", "text": text}),
        (MediaKind::Image, Source::FileId(id)) => json!({"type": "input_image", "file_id": id}),
        (MediaKind::Image, Source::Url { url, .. }) => json!({"type": "input_image", "image_url": url}),
        (MediaKind::Image, Source::Base64 { media_type, data }) => {
            json!({"type": "input_image", "image_url": data_url::write(media_type, data)})
        }
        (MediaKind::File, Source::FileId(id)) => json!({"type": "input_file", "file_id": id}),
        (MediaKind::File, Source::Url { url, .. }) => json!({"type": "input_file", "file_url": url}),
        (MediaKind::File, Source::Base64 { media_type, data }) => {
            let name = media.name.clone().unwrap_or_else(|| name_of_file(media_type));
            json!({"type": "input_file", "filename": name, "file_data": data_url::write(media_type, data)})
        }
        (MediaKind::Audio, Source::Base64 { media_type, data }) => {
            let format = media_type::audio_format(media_type);
            json!({"type": "input_audio", "input_audio": {"data": data, "format": format}})
        }
        (MediaKind::Audio, _) => {
            losses
                .cannot_carry("messages", "the Responses API takes sounds as base64 only, not by address")?;
            return Ok(None);
        }
        (MediaKind::Video, _) => {
            losses.cannot_carry("messages", "the Responses API takes no videos")?;
            return Ok(None);
        }
    };
    if let Value::Object(fields) = &mut part {
        if let (MediaKind::Image | MediaKind::File, Some(detail)) = (media.kind, &media.detail) {
            fields.insert("detail".to_owned(), detail.as_str().into());
        }
        if from == Dialect::OpenaiResponses {
            if let (MediaKind::File, Some(name)) = (media.kind, &media.name) {
                fields.insert("filename".to_owned(), name.as_str().into());
            }
            fields.extend(media.extra.clone());
        }
    }
    Ok(Some(part))
}

/// The API demands a name with `file_data`.
fn name_of_file(media_type: &str) -> String {
    let ending = media_type::ending(media_type).unwrap_or("pdf");
    format!("document.{ending}")
}
