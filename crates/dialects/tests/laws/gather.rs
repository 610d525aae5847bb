//! The answer that a stream's events add up to: the reverse of [`dialects::conversation::replay`].

use std::collections::BTreeMap;

use dialects::Dialect;
use dialects::conversation::{
    Choice, Delta, Event, Extra, Media, MediaKind, Part, PartStart, Reasoning, Response, Source, StopReason,
    ToolCall,
};

pub(crate) fn gather(dialect: Dialect, events: &[Event]) -> Response {
    let mut response = Response::new(dialect);
    let mut choices = BTreeMap::<u32, Choice>::new();
    for event in events {
        match event {
            Event::Start { id, model, created, extra } => {
                response.id.clone_from(id);
                response.model.clone_from(model);
                response.created = *created;
                response.extra.clone_from(extra);
            }
            Event::PartStart { choice, start, .. } => {
                choice_of(&mut choices, *choice).parts.push(begin(start));
            }
            Event::Delta { choice, part, delta } => {
                let part = usize::try_from(*part).unwrap();
                grow(&mut choice_of(&mut choices, *choice).parts[part], delta);
            }
            Event::PartStop { .. } | Event::End => {}
            Event::Logprobs { choice, tokens } => {
                let logprobs = &mut choice_of(&mut choices, *choice).logprobs;
                logprobs.get_or_insert_default().extend(tokens.iter().cloned());
            }
            Event::Finish { choice, reason } => choice_of(&mut choices, *choice).stop = reason.clone(),
            Event::Usage(usage) => response.usage = Some(usage.clone()),
            Event::Error(error) => panic!("{error}"),
        }
    }
    response.choices = choices.into_values().collect();
    response
}

fn choice_of(choices: &mut BTreeMap<u32, Choice>, index: u32) -> &mut Choice {
    choices.entry(index).or_insert_with(|| Choice {
        index,
        parts: Vec::new(),
        stop: StopReason::Error,
        logprobs: None,
        extra: Extra::new(),
    })
}

fn begin(start: &PartStart) -> Part {
    match start {
        PartStart::Text => Part::text(""),
        PartStart::Refusal => Part::Refusal(String::new()),
        PartStart::Reasoning { id } => Part::Reasoning(Reasoning { id: id.clone(), ..Reasoning::default() }),
        PartStart::ToolCall { id, name, kind, extra } => {
            Part::ToolCall(ToolCall { kind: *kind, extra: extra.clone(), ..ToolCall::function(id, name, "") })
        }
        PartStart::Audio { id: _ } => {
            let source = Source::Base64 { media_type: String::new(), data: String::new() };
            Part::Media(Media::new(MediaKind::Audio, source))
        }
        PartStart::Whole(part) => part.clone(),
    }
}

fn grow(part: &mut Part, delta: &Delta) {
    match (part, delta) {
        (Part::Text(text), Delta::Text(more)) => text.text.push_str(more),
        (Part::Text(text), Delta::Citation(citation)) => text.citations.push(citation.clone()),
        (Part::Text(text), Delta::Seal(seal)) => text.seal = Some(seal.clone()),
        (Part::Refusal(text), Delta::Text(more)) => text.push_str(more),
        (Part::Reasoning(reasoning), Delta::Thinking(more)) => reasoning.text.push_str(more),
        (Part::Reasoning(reasoning), Delta::Summary { index, text }) => {
            let index = usize::try_from(*index).unwrap();
            if reasoning.summary.len() <= index {
                reasoning.summary.resize(index + 1, String::new());
            }
            reasoning.summary[index].push_str(text);
        }
        (Part::Reasoning(reasoning), Delta::Seal(seal)) => reasoning.seal = Some(seal.clone()),
        (Part::ToolCall(call), Delta::Arguments(more)) => call.arguments.push_str(more),
        (Part::ToolCall(call), Delta::Seal(seal)) => call.seal = Some(seal.clone()),
        (Part::Media(Media { source: Source::Base64 { data, .. }, .. }), Delta::AudioData(more)) => {
            data.push_str(more);
        }
        (Part::Media(media), Delta::AudioTranscript(more)) => {
            media.transcript.get_or_insert_default().push_str(more);
        }
        (part, delta) => panic!("{delta:?} does not belong to {part:?}"),
    }
}
