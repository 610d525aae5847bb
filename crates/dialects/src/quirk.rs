//! How a provider departs from its dialect. Data from the provider's row; named for the behaviour, so that
//! any provider that behaves so can have it.

use serde::Deserialize;
use serde_json::{Number, Value};

/// One deviation. The order of a row's quirks does not matter.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub enum Quirk {
    /// The provider does not know this parameter: refused, or left out with `drop_params`.
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
    /// A behaviour that is named in the provider's row and implemented by its dialect.
    Named(NamedQuirk),
}

/// Deviations without data of their own. Each says what the provider does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum NamedQuirk {
    /// `tools[].function.strict` is refused.
    NoStrictTools,
}
