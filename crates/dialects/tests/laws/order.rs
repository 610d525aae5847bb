//! The order of events that [`Event`]'s documentation promises, checked event by event.

use std::collections::BTreeMap;

use dialects::conversation::{Delta, Event, PartStart};

#[derive(Default)]
struct Progress {
    parts: u32,
    open: BTreeMap<u32, PartStart>,
    finished: bool,
}

/// The first break of the promise, if there is one. `whole` streams ended well; of others only a beginning is
/// there.
pub(crate) fn mistake(events: &[Event], whole: bool) -> Option<String> {
    let mut choices = BTreeMap::<u32, Progress>::new();
    for (place, event) in events.iter().enumerate() {
        let wrong = |what: &str| Some(format!("event {place}, {event:?}: {what}"));
        if (place == 0) != matches!(event, Event::Start { .. }) && !matches!(event, Event::Error(_)) {
            return wrong("`Start` comes first and once");
        }
        if place + 1 < events.len() && matches!(event, Event::End | Event::Error(_)) {
            return wrong("something follows");
        }
        match event {
            Event::Start { .. } | Event::Usage(_) | Event::Error(_) => {}
            Event::PartStart { choice, part, start } => {
                let progress = choices.entry(*choice).or_default();
                if progress.finished {
                    return wrong("the choice has finished");
                }
                if *part != progress.parts {
                    return wrong("parts are counted from 0");
                }
                let is_call = |start: &PartStart| matches!(start, PartStart::ToolCall { .. });
                if progress.open.values().any(|open| !is_call(open) || !is_call(start)) {
                    return wrong("only tool calls are open at the same time");
                }
                progress.parts += 1;
                progress.open.insert(*part, start.clone());
            }
            Event::Delta { choice, part, delta } => {
                let Some(start) = choices.get(choice).and_then(|progress| progress.open.get(part)) else {
                    return wrong("the part is not open");
                };
                if !belongs(delta, start) {
                    return wrong("a delta of another kind of part");
                }
            }
            Event::PartStop { choice, part } => {
                if choices.get_mut(choice).and_then(|progress| progress.open.remove(part)).is_none() {
                    return wrong("the part is not open");
                }
            }
            Event::Logprobs { choice, .. } => {
                if choices.get(choice).is_some_and(|progress| progress.finished) {
                    return wrong("the choice has finished");
                }
            }
            Event::Finish { choice, .. } => {
                let progress = choices.entry(*choice).or_default();
                if progress.finished || !progress.open.is_empty() {
                    return wrong("once, after the parts");
                }
                progress.finished = true;
            }
            Event::End => {
                if choices.values().any(|progress| !progress.finished) {
                    return wrong("a choice has not finished");
                }
            }
        }
    }
    let ended = matches!(events.last(), Some(Event::End | Event::Error(_)));
    (whole && !ended).then(|| "the stream has no end".to_owned())
}

fn belongs(delta: &Delta, start: &PartStart) -> bool {
    match delta {
        Delta::Text(_) => matches!(start, PartStart::Text | PartStart::Refusal),
        Delta::Thinking(_) | Delta::Summary { .. } => matches!(start, PartStart::Reasoning { .. }),
        Delta::Seal(_) => {
            matches!(start, PartStart::Text | PartStart::Reasoning { .. } | PartStart::ToolCall { .. })
        }
        Delta::Arguments(_) => matches!(start, PartStart::ToolCall { .. }),
        Delta::Citation(_) => matches!(start, PartStart::Text),
        Delta::AudioData(_) | Delta::AudioTranscript(_) => matches!(start, PartStart::Audio { .. }),
    }
}
