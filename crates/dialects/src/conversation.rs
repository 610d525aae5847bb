//! The typed conversation in which all dialects meet: a superset of what the chat APIs can say.
//!
//! Rules that hold everywhere:
//! - Requests and responses remember the [`Dialect`](crate::Dialect) they were read from. Fields that the
//!   model has no place for are kept in `extra`, verbatim, and are written back only where the other side
//!   speaks that dialect (or the provider's row says that unknown fields pass).
//! - JSON numbers stay [`serde_json::Number`]s, so that `1` does not become `1.0` on the way through.
//! - Token counts are totals with parts: see [`Usage`].

mod event;
mod message;
mod part;
mod replay;
mod request;
mod response;
mod seal;
mod tool;
mod usage;

pub use event::{Delta, Event, PartStart};
pub use message::{Message, Role};
pub use part::{
    CacheMarker, CacheTtl, Citation, Media, MediaKind, Opaque, Part, Reasoning, Source, Text, ToolCall,
    ToolCallKind, ToolResult,
};
pub use replay::replay;
pub use request::{
    AudioOutput, Effort, JsonSchema, Modality, OutputFormat, ReasoningRequest, ReasoningSummary, Request,
    Sampling, StreamOptions, Thinking,
};
pub use response::{Choice, Response, StopReason, TokenLogprob};
pub use seal::{Seal, SealKind};
pub use tool::{CustomTool, FunctionTool, Tool, ToolChoice, WebSearch};
pub use usage::Usage;

/// Fields that the conversation model has no place for, as they were written.
pub type Extra = serde_json::Map<String, serde_json::Value>;
