use super::{Extra, Part};

/// Who speaks in a [`Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions of the application.
    System,
    /// OpenAI's newer name for [`Role::System`]; dialects without it write a system prompt.
    Developer,
    User,
    Assistant,
    /// Results of tool calls. A dialect that puts them in a user turn (Anthropic, Gemini) reads them as
    /// [`Role::User`] with [`Part::ToolResult`] parts; writers accept both.
    Tool,
}

/// One turn of the conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub role: Role,
    pub parts: Vec<Part>,
    /// The participant's name, where the dialect has one (OpenAI `name`).
    pub name: Option<String>,
    pub extra: Extra,
}

impl Message {
    #[must_use]
    pub fn new(role: Role, parts: Vec<Part>) -> Self {
        Self { role, parts, name: None, extra: Extra::new() }
    }

    /// A turn that says only `text`.
    #[must_use]
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self::new(role, vec![Part::text(text)])
    }
}
