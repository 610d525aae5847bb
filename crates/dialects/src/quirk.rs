//! How a provider departs from its dialect. Data from the provider's row; named for the behaviour, so that
//! any provider that behaves so can have it.

use serde::Deserialize;
use serde_json::{Number, Value};

/// One deviation. The order of a row's quirks does not matter.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub enum Quirk {
    /// The provider does not know this parameter: refused, or left out with `drop_params`. `name.value` is only
    /// that value, or the object with that `type` (`response_format.json_schema`, `tool_choice.required`).
    Lacks(String),
    /// The provider has the parameter under another name.
    Renames { from: String, to: String },
    /// A parameter that is otherwise sent only to models known to take it is always sent.
    Accepts(String),
    /// The provider wants this top-level field in every request.
    Injects { name: String, value: Value },
    /// The number is brought into the range.
    Clamps { name: String, min: Option<Number>, max: Option<Number> },
    /// One value of a parameter has another name.
    MapsValue { name: String, from: Value, to: Value },
    /// Messages hold a string, not parts: text parts are joined.
    ContentIsText,
    /// No images in messages.
    NoImages,
    /// `developer` is sent as it is; otherwise it becomes `system`.
    KeepsDeveloperRole,
    /// `cache_control` marks are sent; otherwise they are removed.
    KeepsCacheControl,
    /// Images inside tool results are sent as they are; otherwise they move to a user turn behind them.
    KeepsToolResultImages,
    /// Images inside tool results are left out.
    DropsToolResultImages,
    /// Earlier reasoning is sent back as `reasoning_content`.
    WantsReasoningHistory,
    /// Earlier reasoning is left out.
    StripsReasoningHistory,
    /// No `name` on messages other than tool results.
    StripsMessageName,
    /// The model's name goes out behind `prefix`, unless `unless` stands somewhere in it.
    PrefixesModel { prefix: String, unless: String },
    /// `web_search_options` are unknown; this entry of `tools` asks for a search. Their details are lost.
    SearchesByTool(Value),
    /// Models whose names begin with `models` always reason: `prompt_mode: "reasoning"` stands for
    /// `reasoning_effort` and `thinking`, and nothing switches the reasoning off.
    ReasonsByPromptMode { models: String },
    /// Several answers (`n` > 1) are refused below this temperature; a lower one is raised.
    SeveralAnswersNeedTemperature(Number),
    /// A behaviour without data of its own.
    Named(NamedQuirk),
}

/// Deviations without data of their own. Each says what the provider does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum NamedQuirk {
    /// Images and files that are named by a web address are not fetched; whoever sends the request has to put
    /// their content into it.
    MediaMustBeInline,
    /// The address names the model; a `model` in the body is refused.
    NoModelInBody,
    /// `tools[].function.strict` is refused.
    NoStrictTools,
    /// `additionalProperties: false` in the schemas of tools is refused.
    NoClosedToolSchemas,
    /// Documents are parts of type `document_url`, which name a web address or a data URL; uploaded ones stand by
    /// their id in the `file` part itself.
    DocumentsAreAddresses,
    /// Documents (`file` parts) are refused.
    NoFiles,
    /// Reasoning is switched by `thinking: {type: enabled | disabled}`, without a budget; `reasoning_effort` is
    /// turned into that switch.
    ReasoningIsSwitch,
    /// `thinking` is unknown; its budget becomes a `reasoning_effort`.
    ThinkingBecomesEffort,
    /// `tool_choice: required` is unknown; a user turn asks for a tool instead.
    RequiredToolChoiceIsAsked,
    /// Models that are not known to take `json_schema` take `json_object`; the schema is written into a system
    /// prompt.
    SchemaIsPrompted,
    /// Assistant turns that say nothing are refused; they are left out.
    NoEmptyAssistantTurns,
    /// Reasoning models refuse an assistant turn with tool calls but no `reasoning_content`; a blank stands in.
    ToolCallsNeedReasoningContent,
    /// Ids of tool calls keep the signature of another provider that Tollway and LiteLLM put behind them, and messages
    /// their `provider_specific_fields`; otherwise both are taken off.
    KeepsSignedCallIds,
    /// Web searches are offered on the Responses endpoint only; requests that ask for one go there.
    SearchesByResponses,
    /// The speed of an answer is chosen by `metadata.completion_window` instead of `service_tier`.
    ServiceTierIsCompletionWindow,
    /// `input` of embeddings is a list, also for one text.
    EmbeddingInputIsList,
    /// `input` of embeddings is text; tokens are refused.
    NoTokensAsInput,
    /// Embeddings are floats unless `encoding_format` says otherwise; to ask for `float` is refused.
    FloatsGoUnasked,
}
