use serde_json::Value;

/// What a provider bills for, each count apart. Unit: tokens, where the name says nothing else.
///
/// `input` and `output` are totals; the other token counts say how much of a total is of which kind, so that
/// `input` ≥ `cache_read` + `cache_write_5m` + `cache_write_1h` and `output` ≥ `reasoning`. Dialects that count
/// cached or thinking tokens beside the total (Anthropic, Gemini) are added up when they are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// All tokens of the prompt.
    pub input: u64,
    /// Part of `input` that came from the provider's prompt cache.
    pub cache_read: u64,
    /// Part of `input` that was written to a cache of 5 minutes (or of the provider's only lifetime).
    pub cache_write_5m: u64,
    /// Part of `input` that was written to a cache of one hour.
    pub cache_write_1h: u64,
    pub input_audio: u64,
    pub input_image: u64,
    pub input_video: u64,
    /// All generated tokens.
    pub output: u64,
    /// Part of `output` that was thinking.
    pub reasoning: u64,
    pub output_audio: u64,
    pub output_image: u64,
    /// OpenAI's predicted outputs.
    pub accepted_prediction: u64,
    pub rejected_prediction: u64,
    /// Web searches that the provider ran: requests.
    pub web_searches: u64,
    /// Length of the sound that was read or made: milliseconds.
    pub audio_ms: u64,
    /// Characters, for models billed by them.
    pub characters: u64,
    /// The tier that served the request, where the provider reports it with the usage.
    pub service_tier: Option<String>,
    /// What the provider itself says the call cost in USD (aggregators do), digit for digit.
    pub cost: Option<serde_json::Number>,
    /// The provider's own usage object, for sides that speak the same dialect.
    pub original: Option<Value>,
}

impl Usage {
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    #[must_use]
    pub fn cache_write(&self) -> u64 {
        self.cache_write_5m.saturating_add(self.cache_write_1h)
    }
}
