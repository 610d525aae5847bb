use super::{Delta, Event, Part, PartStart, Response, TokenLogprob};

/// Tells a complete answer as a stream: for clients that asked for one where the provider (or a cache, or a mock)
/// gave the whole at once. Each text comes in one piece.
#[must_use]
pub fn replay(mut response: Response) -> Vec<Event> {
    if let Some(usage) = &mut response.usage
        && usage.service_tier.is_none()
    {
        usage.service_tier = response.service_tier;
    }
    let mut events = vec![Event::Start {
        id: response.id,
        model: response.model,
        created: response.created,
        extra: response.extra,
    }];
    for mut choice in response.choices {
        for (part, content) in (0..).zip(choice.parts) {
            // They come with the text that they are about.
            let logprobs = if matches!(content, Part::Text(_)) { choice.logprobs.take() } else { None };
            replay_part(choice.index, part, content, logprobs, &mut events);
        }
        if let Some(tokens) = choice.logprobs {
            events.push(Event::Logprobs { choice: choice.index, tokens });
        }
        events.push(Event::Finish { choice: choice.index, reason: choice.stop });
    }
    events.extend(response.usage.map(Event::Usage));
    events.push(Event::End);
    events
}

fn replay_part(
    choice: u32,
    part: u32,
    content: Part,
    logprobs: Option<Vec<TokenLogprob>>,
    events: &mut Vec<Event>,
) {
    let (start, deltas) = match content {
        Part::Text(text) => {
            let mut deltas = vec![Delta::Text(text.text)];
            deltas.extend(text.citations.into_iter().map(Delta::Citation));
            deltas.extend(text.seal.map(Delta::Seal));
            (PartStart::Text, deltas)
        }
        Part::Refusal(text) => (PartStart::Refusal, vec![Delta::Text(text)]),
        Part::Reasoning(reasoning) => {
            let mut deltas = Vec::new();
            for (index, text) in (0..).zip(reasoning.summary) {
                deltas.push(Delta::Summary { index, text });
            }
            if !reasoning.text.is_empty() {
                deltas.push(Delta::Thinking(reasoning.text));
            }
            deltas.extend(reasoning.seal.map(Delta::Seal));
            (PartStart::Reasoning { id: reasoning.id }, deltas)
        }
        Part::ToolCall(call) => {
            // The seal first: some writers have no place for it behind the call's beginning.
            let mut deltas: Vec<Delta> = call.seal.map(Delta::Seal).into_iter().collect();
            deltas.push(Delta::Arguments(call.arguments));
            (PartStart::ToolCall { id: call.id, name: call.name, kind: call.kind, extra: call.extra }, deltas)
        }
        whole @ (Part::Media(_) | Part::ToolResult(_) | Part::Opaque(_)) => {
            (PartStart::Whole(whole), Vec::new())
        }
    };
    events.push(Event::PartStart { choice, part, start });
    events.extend(deltas.into_iter().map(|delta| Event::Delta { choice, part, delta }));
    events.extend(logprobs.map(|tokens| Event::Logprobs { choice, tokens }));
    events.push(Event::PartStop { choice, part });
}
