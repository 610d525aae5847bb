//! `usageMetadata`.

use serde_json::Value;

use super::wire::{ModalityTokenCount, UsageMetadata};
use crate::Dialect;
use crate::conversation::Usage;

/// Reads the counts; `web_searches` comes from the grounding.
pub(super) fn read(wire: &UsageMetadata, web_searches: u64) -> Usage {
    let thoughts = wire.thoughts_token_count.unwrap_or(0);
    let tool_use = wire.tool_use_prompt_token_count.unwrap_or(0);
    let input = wire.prompt_token_count.saturating_add(tool_use);
    let candidates = wire.candidates_token_count.unwrap_or(0);
    // Some models count thinking among the candidates' tokens; the total tells.
    let inclusive =
        thoughts > 0 && candidates >= thoughts && input.saturating_add(candidates) == wire.total_token_count;
    let of = |details: &[ModalityTokenCount], modality: &str| {
        details
            .iter()
            .filter(|count| count.modality == modality)
            .fold(0_u64, |sum, count| sum.saturating_add(count.token_count))
    };
    let in_prompt = |modality| {
        of(&wire.prompt_tokens_details, modality)
            .saturating_add(of(&wire.tool_use_prompt_tokens_details, modality))
    };
    Usage {
        input,
        cache_read: wire.cached_content_token_count.unwrap_or(0),
        input_audio: in_prompt("AUDIO"),
        input_image: in_prompt("IMAGE"),
        input_video: in_prompt("VIDEO"),
        output: if inclusive { candidates } else { candidates.saturating_add(thoughts) },
        reasoning: thoughts,
        output_audio: of(&wire.candidates_tokens_details, "AUDIO"),
        output_image: of(&wire.candidates_tokens_details, "IMAGE"),
        web_searches,
        service_tier: match wire.traffic_type.as_deref() {
            Some("ON_DEMAND_PRIORITY") => Some("priority".to_owned()),
            Some("ON_DEMAND_FLEX") => Some("flex".to_owned()),
            _ => None,
        },
        ..Usage::default()
    }
}

/// The counts as Google writes them; Google's own object where `usage` was read from it.
pub(super) fn write(usage: &Usage, read_from: Dialect) -> Value {
    if let (Some(original), Dialect::Gemini) = (&usage.original, read_from) {
        return original.clone();
    }
    let some = |count: u64| (count > 0).then_some(count);
    let media_in = usage.input_audio.saturating_add(usage.input_image).saturating_add(usage.input_video);
    let candidates = usage.output.saturating_sub(usage.reasoning);
    let media_out = usage.output_audio.saturating_add(usage.output_image);
    let wire = UsageMetadata {
        prompt_token_count: usage.input,
        cached_content_token_count: some(usage.cache_read),
        candidates_token_count: Some(candidates),
        thoughts_token_count: some(usage.reasoning),
        tool_use_prompt_token_count: None,
        total_token_count: usage.total(),
        prompt_tokens_details: details(&[
            ("TEXT", usage.input.saturating_sub(media_in)),
            ("AUDIO", usage.input_audio),
            ("IMAGE", usage.input_image),
            ("VIDEO", usage.input_video),
        ]),
        candidates_tokens_details: details(&[
            ("TEXT", candidates.saturating_sub(media_out)),
            ("AUDIO", usage.output_audio),
            ("IMAGE", usage.output_image),
        ]),
        tool_use_prompt_tokens_details: Vec::new(),
        traffic_type: match usage.service_tier.as_deref() {
            Some("priority") => Some("ON_DEMAND_PRIORITY".to_owned()),
            Some("flex") => Some("ON_DEMAND_FLEX".to_owned()),
            _ => None,
        },
    };
    serde_json::to_value(wire).unwrap_or_default()
}

fn details(counts: &[(&str, u64)]) -> Vec<ModalityTokenCount> {
    let given = counts.iter().filter(|(_, count)| *count > 0);
    given
        .map(|(modality, count)| ModalityTokenCount { modality: (*modality).to_owned(), token_count: *count })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_json(value: Value) -> Usage {
        read(&serde_json::from_value(value).unwrap(), 0)
    }

    #[test]
    fn thinking_is_added_to_the_output_unless_it_is_in_there() {
        let apart = read_json(
            json!({"promptTokenCount": 30, "candidatesTokenCount": 12, "thoughtsTokenCount": 28, "totalTokenCount": 70}),
        );
        assert_eq!((apart.input, apart.output, apart.reasoning), (30, 40, 28));
        let within = read_json(
            json!({"promptTokenCount": 30, "candidatesTokenCount": 40, "thoughtsTokenCount": 28, "totalTokenCount": 70}),
        );
        assert_eq!((within.output, within.reasoning), (40, 28));
    }

    #[test]
    fn tool_results_are_input_and_media_are_counted_apart() {
        let usage = read_json(json!({
            "promptTokenCount": 100, "cachedContentTokenCount": 60, "toolUsePromptTokenCount": 7,
            "candidatesTokenCount": 1300, "totalTokenCount": 1407,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 40}, {"modality": "AUDIO", "tokenCount": 60}],
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
            "trafficType": "ON_DEMAND_FLEX"
        }));
        assert_eq!((usage.input, usage.cache_read, usage.input_audio), (107, 60, 60));
        assert_eq!((usage.output, usage.output_image), (1300, 1290));
        assert_eq!(usage.service_tier.as_deref(), Some("flex"));
    }

    #[test]
    fn foreign_counts_are_written_in_googles_terms() {
        let usage = Usage { input: 20, cache_read: 8, output: 15, reasoning: 5, ..Usage::default() };
        assert_eq!(
            write(&usage, Dialect::OpenaiChat),
            json!({
                "promptTokenCount": 20, "cachedContentTokenCount": 8, "candidatesTokenCount": 10,
                "thoughtsTokenCount": 5, "totalTokenCount": 35,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}],
                "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 10}]
            })
        );
    }
}
