//! Media types, and the other words by which dialects name them: audio formats and the endings of file names.

use crate::conversation::MediaKind;

/// What to do with a file of this type; clients send sound and film as files too.
pub(crate) fn kind(media_type: &str) -> MediaKind {
    match media_type.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::File,
    }
}

/// The type behind OpenAI's `input_audio.format`.
pub(crate) fn of_audio_format(format: &str) -> String {
    if format == "mp3" { "audio/mpeg".to_owned() } else { format!("audio/{format}") }
}

/// OpenAI's `input_audio.format` for a type.
pub(crate) fn audio_format(media_type: &str) -> &str {
    match media_type {
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/x-wav" | "audio/wave" => "wav",
        other => other.split_once('/').map_or(other, |(_, format)| format),
    }
}

/// The type that the ending of a file's name or address stands for.
pub(crate) fn of_name(name: &str) -> Option<&'static str> {
    let path = name.split(['?', '#']).next()?;
    let (_, ending) = path.rsplit_once('.')?;
    let ending = ending.to_ascii_lowercase();
    ENDINGS.iter().find(|(listed, _)| *listed == ending).map(|(_, media_type)| *media_type)
}

/// The usual ending of a file of this type.
pub(crate) fn ending(media_type: &str) -> Option<&'static str> {
    ENDINGS.iter().find(|(_, listed)| *listed == media_type).map(|(ending, _)| *ending)
}

/// The usual ending of a type stands first.
const ENDINGS: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("m4a", "audio/mp4"),
    ("mp4", "video/mp4"),
    ("mov", "video/quicktime"),
    ("mpg", "video/mpeg"),
    ("mpeg", "video/mpeg"),
    ("webm", "video/webm"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("json", "application/json"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_and_types_find_each_other() {
        assert_eq!(of_name("https://x.example/a.JPEG?size=1#top"), Some("image/jpeg"));
        assert_eq!(of_name("report.docx").and_then(ending), Some("docx"));
        assert_eq!(ending("image/jpeg"), Some("jpg"));
        assert_eq!(of_name("no-ending"), None);
        assert_eq!(audio_format(&of_audio_format("mp3")), "mp3");
        assert_eq!(kind("video/mp4"), MediaKind::Video);
    }
}
