//! Why an answer ended: `finishReason` (<https://ai.google.dev/api/generate-content#FinishReason>).

use crate::conversation::StopReason;

/// `called`: the answer holds function calls, for which Google has no reason of its own.
pub(super) fn read(word: &str, called: bool) -> StopReason {
    match word {
        "STOP" if called => StopReason::ToolCalls,
        // The model made a call that cannot be used, or no image although it should have. It is done all the same.
        "STOP"
        | "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE"
        | "NO_IMAGE" => StopReason::EndTurn,
        "MAX_TOKENS" => StopReason::MaxTokens,
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE" | "OTHER"
        | "MODEL_ARMOR" => StopReason::ContentFilter,
        word if word.starts_with("IMAGE_") => StopReason::ContentFilter,
        word => StopReason::Other(word.to_owned()),
    }
}

pub(super) fn write(reason: &StopReason) -> &'static str {
    match reason {
        StopReason::EndTurn | StopReason::StopSequence(_) | StopReason::ToolCalls | StopReason::Pause => {
            "STOP"
        }
        StopReason::MaxTokens => "MAX_TOKENS",
        StopReason::ContentFilter => "SAFETY",
        StopReason::Error | StopReason::Other(_) => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        for (word, called, expected) in [
            ("STOP", false, StopReason::EndTurn),
            ("STOP", true, StopReason::ToolCalls),
            ("MAX_TOKENS", true, StopReason::MaxTokens),
            ("IMAGE_SAFETY", false, StopReason::ContentFilter),
            ("SPII", false, StopReason::ContentFilter),
            ("MALFORMED_FUNCTION_CALL", false, StopReason::EndTurn),
            ("ESCALATION", false, StopReason::Other("ESCALATION".to_owned())),
        ] {
            assert_eq!(read(word, called), expected, "{word}");
        }
    }
}
