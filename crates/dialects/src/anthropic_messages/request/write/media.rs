//! Images and documents.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Writer;
use crate::anthropic_messages::{block, wire};
use crate::conversation::{Media, MediaKind, Source};
use crate::error::CannotSay;

impl Writer<'_> {
    pub(super) fn media(&mut self, media: &Media) -> Result<Option<wire::Block>, CannotSay> {
        let block = match media.kind {
            MediaKind::Image => self.image(media),
            MediaKind::File => self.file(media),
            MediaKind::Audio => Err(("input_audio", "Anthropic does not hear")),
            MediaKind::Video => Err(("video_url", "Anthropic does not see films")),
        };
        match block {
            Ok(block) => Ok(Some(block)),
            Err((param, why)) => self.losses.cannot_carry(param, why).map(|()| None),
        }
    }

    fn image(&self, media: &Media) -> Result<wire::Block, (&'static str, &'static str)> {
        let source = match &media.source {
            Source::Base64 { media_type, data } => {
                wire::Source::Base64 { media_type: media_type.clone(), data: data.clone() }
            }
            Source::Url { url, .. } if is_web(url) => wire::Source::Url { url: url.clone() },
            Source::FileId(id) => wire::Source::File { file_id: id.clone() },
            Source::Url { .. } => {
                return Err(("image_url", "Anthropic fetches images from http and https only"));
            }
            Source::Text(_) => return Err(("image_url", "an image cannot be text")),
        };
        Ok(wire::Block::Image(wire::ImageBlock {
            source,
            cache_control: block::write_cache(media.cache),
            extra: self.extra(&media.extra),
        }))
    }

    fn file(&self, media: &Media) -> Result<wire::Block, (&'static str, &'static str)> {
        let mut extra = self.extra(&media.extra);
        let kept = extra.shift_remove("source").and_then(|source| serde_json::from_value(source).ok());
        let source = match &media.source {
            Source::Base64 { media_type, data } if media_type == "application/pdf" => {
                wire::Source::Base64 { media_type: media_type.clone(), data: data.clone() }
            }
            Source::Base64 { media_type, .. } if media_type.starts_with("image/") => {
                return self.image(media);
            }
            Source::Base64 { media_type, data } if is_text(media_type) => {
                let bytes = STANDARD.decode(data).map_err(|_| ("file", "the file's base64 is broken"))?;
                let text = String::from_utf8(bytes).map_err(|_| ("file", "a text file must be UTF-8"))?;
                plain(text)
            }
            Source::Base64 { .. } => return Err(("file", "Anthropic reads PDF and text files only")),
            Source::Url { url, .. } if is_web(url) => wire::Source::Url { url: url.clone() },
            Source::Url { .. } => return Err(("file", "Anthropic fetches files from http and https only")),
            Source::FileId(id) if self.native || is_document(media) => {
                wire::Source::File { file_id: id.clone() }
            }
            // What it is we cannot know; in the container any file is welcome.
            Source::FileId(id) => return Ok(wire::Block::ContainerUpload { file_id: id.clone() }),
            Source::Text(text) => kept.unwrap_or_else(|| plain(text.clone())),
        };
        Ok(wire::Block::Document(wire::DocumentBlock {
            source,
            title: media.name.clone(),
            cache_control: block::write_cache(media.cache),
            extra,
        }))
    }
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/") || media_type == "application/json"
}

/// Whether an uploaded file is one that can be read as a document, by its name or LiteLLM's `format`.
fn is_document(media: &Media) -> bool {
    let format = media.extra.get("format").and_then(Value::as_str);
    let named = media.name.as_deref().is_some_and(|name| name.ends_with(".pdf") || name.ends_with(".txt"));
    named || format.is_some_and(|format| format == "application/pdf" || format == "text/plain")
}

fn plain(data: String) -> wire::Source {
    wire::Source::Text { media_type: "text/plain".to_owned(), data }
}
