use serde_json::{Value, json};

use super::{CacheMarker, Extra};

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub enum Tool {
    /// Run by the client.
    Function(FunctionTool),
    /// Run by the client, takes free text (OpenAI `custom`).
    Custom(CustomTool),
    /// Run by the provider: a web search before or during the answer.
    WebSearch(WebSearch),
    /// Run by the provider: code in a sandbox (Anthropic `code_execution`, OpenAI `code_interpreter`, Gemini
    /// `codeExecution`). The fields of the original beside its type are in `extra`.
    CodeExecution(Extra),
    /// Run by the provider: reads addresses named in the prompt (Gemini `urlContext`, Anthropic `web_fetch`).
    UrlFetch(Extra),
    /// A hosted tool that only the request's own dialect knows, verbatim.
    Opaque(Value),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FunctionTool {
    pub name: String,
    pub description: Option<String>,
    /// JSON schema of the arguments; `None` where the client gave none.
    pub parameters: Option<Value>,
    /// Arguments must match the schema exactly.
    pub strict: Option<bool>,
    pub cache: Option<CacheMarker>,
    pub extra: Extra,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct CustomTool {
    pub name: String,
    pub description: Option<String>,
    /// OpenAI `format`: text, or a grammar.
    pub format: Option<Value>,
    pub extra: Extra,
}

impl CustomTool {
    /// The one argument of the function that stands for a custom tool.
    pub const INPUT: &str = "input";

    /// The function that stands for the tool where a dialect knows functions only: the free text is an argument.
    #[must_use]
    pub fn as_function(&self) -> FunctionTool {
        FunctionTool {
            name: self.name.clone(),
            description: self.description.clone(),
            parameters: Some(json!({
                "type": "object",
                "properties": {Self::INPUT: {"type": "string"}},
                "required": [Self::INPUT],
            })),
            ..FunctionTool::default()
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebSearch {
    /// How often it may search in one answer.
    pub max_uses: Option<u64>,
    /// `low`, `medium` or `high` (OpenAI).
    pub context_size: Option<String>,
    pub allowed_domains: Vec<String>,
    pub blocked_domains: Vec<String>,
    /// `{city, country, region, timezone}`, as OpenAI (`approximate`) and Anthropic have it.
    pub location: Option<Extra>,
    /// The versioned tool type the client named, e.g. `web_search_20250305`.
    pub version: Option<String>,
    pub cache: Option<CacheMarker>,
    pub extra: Extra,
}

/// Which tool the model must, may or must not call.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolChoice {
    Auto,
    /// Any tool, but one.
    Required,
    None,
    Function(String),
    Custom(String),
    /// One of these functions; `required` says that one must be called.
    Allowed {
        names: Vec<String>,
        required: bool,
    },
    /// What only the request's own dialect knows (a hosted tool by type), verbatim.
    Opaque(Value),
}
