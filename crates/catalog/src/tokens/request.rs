//! Counting whole requests by OpenAI's rules
//! (<https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken>): every message has
//! three tokens around it, a name one more, the answer begins with three; functions are written out in a compact
//! form.

use dialects::conversation::{
    FunctionTool, Media, MediaKind, Message, Part, Request, Role, Source, Tool, ToolCall, ToolChoice,
    ToolResult,
};
use serde_json::Value;

use super::family::{Encoding, Family};
use super::image;

const PER_MESSAGE: u64 = 3;
const PER_NAME: u64 = 1;
const REPLY: u64 = 3;

#[derive(Debug)]
pub(super) struct Counted {
    pub(super) tokens: u64,
    /// Nothing but text messages.
    pub(super) exact: bool,
}

pub(super) fn count(family: &Family, request: &Request) -> Counted {
    let mut counter = Counter { family, tokens: 0, exact: true };
    for message in &request.messages {
        counter.message(message);
    }
    counter.tools(&request.tools);
    counter.tool_choice(request.tool_choice.as_ref());
    Counted { tokens: counter.tokens + REPLY, exact: counter.exact }
}

struct Counter<'a> {
    family: &'a Family,
    tokens: u64,
    exact: bool,
}

impl Counter<'_> {
    fn text(&mut self, text: &str) {
        self.tokens += self.family.text(text);
    }

    fn message(&mut self, message: &Message) {
        self.tokens += PER_MESSAGE;
        self.text(match message.role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        });
        if let Some(name) = &message.name {
            self.tokens += PER_NAME;
            self.text(name);
        }
        // Parts of text are joined before they are encoded.
        let texts: Vec<&str> = message.parts.iter().filter_map(text_of).collect();
        if texts.len() > 1 {
            self.text(&texts.concat());
        } else if let Some(text) = texts.first() {
            self.text(text);
        }
        message.parts.iter().filter(|part| text_of(part).is_none()).for_each(|part| self.part(part));
    }

    fn part(&mut self, part: &Part) {
        match part {
            Part::Text(text) => self.text(&text.text),
            Part::Refusal(text) => self.text(text),
            Part::Media(media) => self.media(media),
            Part::ToolCall(ToolCall { name, arguments, .. }) => {
                self.exact = false;
                self.text(name);
                self.text(arguments);
            }
            Part::ToolResult(ToolResult { parts, .. }) => {
                self.exact = false;
                parts.iter().for_each(|part| self.part(part));
            }
            Part::Reasoning(reasoning) => {
                self.exact = false;
                self.text(&reasoning.readable());
            }
            Part::Opaque(opaque) => {
                self.exact = false;
                self.text(&opaque.value.to_string());
            }
        }
    }

    fn media(&mut self, media: &Media) {
        self.exact = false;
        match (media.kind, &media.source) {
            (_, Source::Text(text)) => self.text(text),
            (MediaKind::Image, Source::Base64 { data, .. }) => {
                self.tokens +=
                    image::tokens(self.family.image, image::dimensions(data), media.detail.as_deref());
            }
            (MediaKind::Image, Source::Url { .. } | Source::FileId(_)) => {
                self.tokens += image::tokens(self.family.image, None, media.detail.as_deref());
            }
            // Their length is not known without decoding them. Assumed: PDFs of 50 kB and 1,500 tokens a page
            // (Anthropic states 1,500 to 3,000), sound of 16 kB and 32 tokens a second, video of 250 kB and 258 tokens
            // a second (Google's figures).
            (kind @ (MediaKind::File | MediaKind::Audio | MediaKind::Video), Source::Base64 { data, .. }) => {
                let bytes = data.len() as u64 / 4 * 3;
                self.tokens += match kind {
                    MediaKind::Audio => bytes / 500,
                    MediaKind::Video => bytes / 1000,
                    MediaKind::File | MediaKind::Image => bytes / 33,
                };
            }
            (
                MediaKind::File | MediaKind::Audio | MediaKind::Video,
                Source::Url { .. } | Source::FileId(_),
            ) => {}
        }
    }

    fn tools(&mut self, tools: &[Tool]) {
        if tools.is_empty() {
            return;
        }
        self.exact = false;
        for tool in tools {
            match tool {
                Tool::Function(function) => self.function(function),
                Tool::Custom(custom) => {
                    self.text(&custom.name);
                    self.text(custom.description.as_deref().unwrap_or_default());
                }
                Tool::Opaque(value) => self.text(&value.to_string()),
                // Run by the provider, which adds its own prompt; not known in advance.
                Tool::WebSearch(_) | Tool::CodeExecution(_) | Tool::UrlFetch(_) => {}
            }
        }
        self.tokens += 12;
    }

    fn function(&mut self, function: &FunctionTool) {
        self.tokens += if self.family.encoding == Encoding::Cl100k { 10 } else { 7 };
        let description = function.description.as_deref().unwrap_or_default();
        self.text(&format!("{}:{}", function.name, description.strip_suffix('.').unwrap_or(description)));
        if let Some(schema) = &function.parameters {
            self.properties(schema);
        }
    }

    fn properties(&mut self, schema: &Value) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        if properties.is_empty() {
            return;
        }
        self.tokens += 3;
        for (name, property) in properties {
            self.tokens += 3;
            let word = |field: &str| property.get(field).and_then(Value::as_str).unwrap_or_default();
            if let Some(choices) = property.get("enum").and_then(Value::as_array) {
                // The brackets are counted with the choices, which have three each.
                self.tokens = self.tokens.saturating_sub(3);
                for choice in choices {
                    self.tokens += 3;
                    self.text(choice.as_str().unwrap_or_default());
                }
            }
            let (kind, description) = (word("type"), word("description"));
            self.text(&format!("{name}:{kind}:{}", description.strip_suffix('.').unwrap_or(description)));
            // The published rule stops at the first level; objects and lists within are counted alike.
            self.properties(property);
            if let Some(items) = property.get("items") {
                self.properties(items);
            }
        }
    }

    fn tool_choice(&mut self, choice: Option<&ToolChoice>) {
        match choice {
            Some(ToolChoice::None) => self.tokens += 1,
            Some(ToolChoice::Function(name) | ToolChoice::Custom(name)) => {
                self.tokens += 4;
                self.text(name);
            }
            Some(
                ToolChoice::Auto | ToolChoice::Required | ToolChoice::Allowed { .. } | ToolChoice::Opaque(_),
            )
            | None => {}
        }
    }
}

fn text_of(part: &Part) -> Option<&str> {
    match part {
        Part::Text(text) => Some(&text.text),
        Part::Media(_)
        | Part::ToolCall(_)
        | Part::ToolResult(_)
        | Part::Reasoning(_)
        | Part::Refusal(_)
        | Part::Opaque(_) => None,
    }
}
