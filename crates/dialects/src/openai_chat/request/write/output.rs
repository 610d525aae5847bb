//! The form of the answer.

use serde_json::{Map, Value};

use crate::Dialect;
use crate::conversation::{AudioOutput, Modality, OutputFormat, Request};
use crate::error::CannotSay;
use crate::exchange::Target;
use crate::loss::Losses;
use crate::openai_chat::adapt::is_openai_model;
use crate::openai_chat::wire;

pub(super) fn write_modalities(request: &Request) -> Vec<String> {
    let name = |modality: &Modality| match modality {
        Modality::Text => "text",
        Modality::Audio => "audio",
        Modality::Image => "image",
    };
    let mut names: Vec<String> =
        request.modalities.iter().map(|modality| name(modality).to_owned()).collect();
    // OpenAI's models speak and write at once, Gemini's only speak.
    if request.dialect == Dialect::Gemini && names == ["audio"] {
        names.insert(0, "text".to_owned());
    }
    names
}

/// The voices of OpenAI's models: <https://platform.openai.com/docs/guides/text-to-speech#voice-options>.
const VOICES: [&str; 13] = [
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer",
    "verse",
];

/// How spoken answers sound. Gemini names no format, since it knows one, and has voices of its own.
pub(super) fn write_audio(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Option<wire::AudioOutput>, CannotSay> {
    let foreign = request.dialect == Dialect::Gemini;
    let speaks = request.modalities.contains(&Modality::Audio);
    let audio = match &request.audio {
        Some(audio) => audio,
        None if foreign && speaks => &AudioOutput::default(),
        None => return Ok(None),
    };
    let mut written = wire::AudioOutput { voice: audio.voice.clone(), format: audio.format.clone() };
    if foreign {
        written.format.get_or_insert_with(|| "pcm16".to_owned());
        if let Some(voice) = &audio.voice
            && is_openai_model(target.model)
            && !voice.as_str().is_some_and(|voice| VOICES.contains(&voice))
        {
            let why = format!("OpenAI has no voice {voice}; its voices are `{}`", VOICES.join("`, `"));
            losses.cannot_carry("generationConfig.speechConfig", why)?;
            written.voice = None;
        }
        written.voice.get_or_insert_with(|| Value::from("alloy"));
    }
    Ok(Some(written))
}

pub(super) fn write_format(
    request: &Request,
    own: bool,
    losses: &mut Losses,
) -> Result<Option<Value>, CannotSay> {
    Ok(match &request.output_format {
        None => None,
        Some(OutputFormat::Text) => own.then(|| serde_json::json!({"type": "text"})),
        Some(OutputFormat::JsonObject) => Some(serde_json::json!({"type": "json_object"})),
        Some(OutputFormat::JsonSchema(schema)) => {
            let mut inner = Map::new();
            let name = if schema.name.is_empty() { "response" } else { &schema.name };
            inner.insert("name".to_owned(), Value::from(name));
            if let Some(description) = &schema.description {
                inner.insert("description".to_owned(), Value::from(description.as_str()));
            }
            if let Some(schema) = &schema.schema {
                inner.insert("schema".to_owned(), schema.clone());
            }
            if let Some(strict) = schema.strict {
                inner.insert("strict".to_owned(), Value::from(strict));
            }
            Some(serde_json::json!({"type": "json_schema", "json_schema": inner}))
        }
        Some(OutputFormat::Opaque(value)) if own => Some(value.clone()),
        Some(OutputFormat::Opaque(_)) => {
            let why = format!("only {} has this output format", request.dialect);
            losses.cannot_carry("response_format", why)?;
            None
        }
    })
}
