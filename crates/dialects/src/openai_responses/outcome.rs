//! How an answer ended: `status` and `incomplete_details` on the wire, a [`StopReason`] in the conversation.

use crate::conversation::StopReason;

/// The word for an answer of which all is there.
pub(super) const COMPLETED: &str = "completed";

/// Reads `status` and the reason in `incomplete_details`.
pub(super) fn read(status: Option<&str>, reason: Option<&str>, has_calls: bool) -> StopReason {
    match (status, reason) {
        (Some("incomplete"), Some("max_output_tokens")) => StopReason::MaxTokens,
        (Some("incomplete"), Some("content_filter")) => StopReason::ContentFilter,
        (Some("incomplete"), reason) => StopReason::Other(reason.unwrap_or("incomplete").to_owned()),
        (Some("failed" | "cancelled"), _) => StopReason::Error,
        (None | Some(COMPLETED), _) if has_calls => StopReason::ToolCalls,
        (None | Some(COMPLETED), _) => StopReason::EndTurn,
        (Some(other), _) => StopReason::Other(other.to_owned()),
    }
}

/// `status` and the reason in `incomplete_details`.
pub(super) fn write(stop: &StopReason) -> (&'static str, Option<&'static str>) {
    match stop {
        StopReason::MaxTokens => ("incomplete", Some("max_output_tokens")),
        StopReason::ContentFilter => ("incomplete", Some("content_filter")),
        StopReason::Error => ("failed", None),
        StopReason::EndTurn
        | StopReason::StopSequence(_)
        | StopReason::ToolCalls
        | StopReason::Pause
        | StopReason::Other(_) => (COMPLETED, None),
    }
}
