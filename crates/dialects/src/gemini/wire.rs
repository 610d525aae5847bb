//! The JSON of `generateContent`, field by field, as Google documents it
//! (<https://ai.google.dev/api/generate-content> and
//! <https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference>).
//!
//! Requests may spell their fields in `camelCase` or in `snake_case`, as Protobuf's JSON mapping has it; answers are
//! `camelCase`. Fields that are not listed land in `extra`.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value};

use crate::conversation::Extra;

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Request {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    pub(super) contents: Vec<Content>,
    #[serde(alias = "system_instruction", skip_serializing_if = "Option::is_none")]
    pub(super) system_instruction: Option<Content>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub(super) tools: Vec<Tool>,
    #[serde(alias = "tool_config", skip_serializing_if = "Option::is_none")]
    pub(super) tool_config: Option<ToolConfig>,
    #[serde(alias = "generation_config", skip_serializing_if = "Option::is_none")]
    pub(super) generation_config: Option<GenerationConfig>,
    /// Vertex AI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) labels: Option<Extra>,
    #[serde(alias = "service_tier", skip_serializing_if = "Option::is_none")]
    pub(super) service_tier: Option<String>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Content {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Part {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    /// The text is the model's thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thought: Option<bool>,
    /// Base64.
    #[serde(alias = "thought_signature", skip_serializing_if = "Option::is_none")]
    pub(super) thought_signature: Option<String>,
    #[serde(alias = "inline_data", skip_serializing_if = "Option::is_none")]
    pub(super) inline_data: Option<Blob>,
    #[serde(alias = "file_data", skip_serializing_if = "Option::is_none")]
    pub(super) file_data: Option<FileData>,
    #[serde(alias = "function_call", skip_serializing_if = "Option::is_none")]
    pub(super) function_call: Option<FunctionCall>,
    #[serde(alias = "function_response", skip_serializing_if = "Option::is_none")]
    pub(super) function_response: Option<FunctionResponse>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob {
    #[serde(default, alias = "mime_type")]
    pub(super) mime_type: String,
    /// Base64; Google's SDKs write the URL-safe alphabet.
    pub(super) data: String,
    #[serde(alias = "display_name", skip_serializing_if = "Option::is_none")]
    pub(super) display_name: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FileData {
    #[serde(alias = "mime_type", skip_serializing_if = "Option::is_none")]
    pub(super) mime_type: Option<String>,
    #[serde(alias = "file_uri")]
    pub(super) file_uri: String,
    #[serde(alias = "display_name", skip_serializing_if = "Option::is_none")]
    pub(super) display_name: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct FunctionCall {
    /// Gemini 3 and later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) args: Option<Extra>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct FunctionResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    pub(super) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) response: Extra,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<Part>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

/// One object may hold several kinds of tools.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Tool {
    #[serde(
        alias = "function_declarations",
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(super) function_declarations: Vec<FunctionDeclaration>,
    #[serde(alias = "google_search", skip_serializing_if = "Option::is_none")]
    pub(super) google_search: Option<Extra>,
    #[serde(alias = "code_execution", skip_serializing_if = "Option::is_none")]
    pub(super) code_execution: Option<Extra>,
    #[serde(alias = "url_context", skip_serializing_if = "Option::is_none")]
    pub(super) url_context: Option<Extra>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FunctionDeclaration {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    /// In Google's `Schema`, a subset of `OpenAPI` 3.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameters: Option<Value>,
    #[serde(alias = "parameters_json_schema", skip_serializing_if = "Option::is_none")]
    pub(super) parameters_json_schema: Option<Value>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ToolConfig {
    #[serde(alias = "function_calling_config", skip_serializing_if = "Option::is_none")]
    pub(super) function_calling_config: Option<FunctionCallingConfig>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FunctionCallingConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<String>,
    #[serde(
        alias = "allowed_function_names",
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(super) allowed_function_names: Vec<String>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GenerationConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<Number>,
    #[serde(alias = "top_p", skip_serializing_if = "Option::is_none")]
    pub(super) top_p: Option<Number>,
    #[serde(alias = "top_k", skip_serializing_if = "Option::is_none")]
    pub(super) top_k: Option<Number>,
    #[serde(alias = "candidate_count", skip_serializing_if = "Option::is_none")]
    pub(super) candidate_count: Option<u64>,
    #[serde(alias = "max_output_tokens", skip_serializing_if = "Option::is_none")]
    pub(super) max_output_tokens: Option<u64>,
    #[serde(
        alias = "stop_sequences",
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(super) stop_sequences: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seed: Option<Number>,
    #[serde(alias = "presence_penalty", skip_serializing_if = "Option::is_none")]
    pub(super) presence_penalty: Option<Number>,
    #[serde(alias = "frequency_penalty", skip_serializing_if = "Option::is_none")]
    pub(super) frequency_penalty: Option<Number>,
    #[serde(alias = "response_logprobs", skip_serializing_if = "Option::is_none")]
    pub(super) response_logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs: Option<u64>,
    #[serde(alias = "response_mime_type", skip_serializing_if = "Option::is_none")]
    pub(super) response_mime_type: Option<String>,
    /// In Google's `Schema`.
    #[serde(alias = "response_schema", skip_serializing_if = "Option::is_none")]
    pub(super) response_schema: Option<Value>,
    #[serde(alias = "response_json_schema", skip_serializing_if = "Option::is_none")]
    pub(super) response_json_schema: Option<Value>,
    #[serde(
        alias = "response_modalities",
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(super) response_modalities: Vec<String>,
    #[serde(alias = "speech_config", skip_serializing_if = "Option::is_none")]
    pub(super) speech_config: Option<Value>,
    #[serde(alias = "thinking_config", skip_serializing_if = "Option::is_none")]
    pub(super) thinking_config: Option<ThinkingConfig>,
    #[serde(alias = "media_resolution", skip_serializing_if = "Option::is_none")]
    pub(super) media_resolution: Option<String>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ThinkingConfig {
    #[serde(alias = "include_thoughts", skip_serializing_if = "Option::is_none")]
    pub(super) include_thoughts: Option<bool>,
    /// Tokens; 0 switches thinking off, -1 leaves the amount to the model.
    #[serde(alias = "thinking_budget", skip_serializing_if = "Option::is_none")]
    pub(super) thinking_budget: Option<i64>,
    #[serde(alias = "thinking_level", skip_serializing_if = "Option::is_none")]
    pub(super) thinking_level: Option<String>,
}

/// An answer, or one chunk of a streamed answer.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Response {
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub(super) candidates: Vec<Candidate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt_feedback: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage_metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_id: Option<String>,
    /// In streams: the provider broke off.
    #[serde(skip_serializing)]
    pub(super) error: Option<Value>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Candidate {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<Content>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finish_reason: Option<String>,
    pub(super) index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs_result: Option<LogprobsResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) grounding_metadata: Option<Value>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LogprobsResult {
    pub(super) top_candidates: Vec<TopCandidates>,
    pub(super) chosen_candidates: Vec<TokenCandidate>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct TopCandidates {
    pub(super) candidates: Vec<TokenCandidate>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TokenCandidate {
    pub(super) token: String,
    pub(super) log_probability: f64,
}

/// What an answer's grounding says, as far as citations need it.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GroundingMetadata {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) web_search_queries: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) grounding_chunks: Vec<GroundingChunk>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) grounding_supports: Vec<GroundingSupport>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GroundingChunk {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) web: Option<GroundingSource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retrieved_context: Option<GroundingSource>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct GroundingSource {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GroundingSupport {
    pub(super) segment: Segment,
    pub(super) grounding_chunk_indices: Vec<usize>,
}

/// A span of a text part, counted in bytes.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Segment {
    /// Which of the content's parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) part_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UsageMetadata {
    /// Includes cached tokens.
    pub(super) prompt_token_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cached_content_token_count: Option<u64>,
    /// Excludes thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) candidates_token_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thoughts_token_count: Option<u64>,
    /// Results of the provider's own tools, read as input beside the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_use_prompt_token_count: Option<u64>,
    pub(super) total_token_count: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) prompt_tokens_details: Vec<ModalityTokenCount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) candidates_tokens_details: Vec<ModalityTokenCount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_use_prompt_tokens_details: Vec<ModalityTokenCount>,
    /// Vertex AI: `ON_DEMAND`, `ON_DEMAND_PRIORITY`, `ON_DEMAND_FLEX`, `PROVISIONED_THROUGHPUT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) traffic_type: Option<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ModalityTokenCount {
    /// `TEXT`, `IMAGE`, `VIDEO`, `AUDIO`, `DOCUMENT`.
    pub(super) modality: String,
    pub(super) token_count: u64,
}

/// Protobuf's JSON mapping reads `null` as "not set", for lists and objects too.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
