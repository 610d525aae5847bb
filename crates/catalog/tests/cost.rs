//! What calls cost. Expected amounts are worked out by hand from the providers' price pages or
//! from observed LiteLLM figures; the prices themselves are the price map's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use catalog::cost::{CallKind, CostContext, Counts, LineKind, Margin};
use catalog::usd::Factor;
use catalog::{Cost, ModelEntry, NanoUsd, Usd, cost, find_model};
use dialects::conversation::Usage;
use proptest::prelude::*;
use serde_json::{Value, json};

fn model(provider: &str, name: &str) -> ModelEntry {
    find_model(provider, name).unwrap_or_else(|| panic!("{provider}/{name} is not in the price map"))
}

fn priced(fields: Value) -> ModelEntry {
    let Value::Object(fields) = fields else { panic!("an object") };
    ModelEntry::empty("test-model").with_overrides(&fields).unwrap()
}

fn total(usage: &Usage, entry: &ModelEntry, context: &CostContext<'_>) -> String {
    cost(usage, Some(entry), context).total().to_string()
}

fn tokens(input: u64, output: u64) -> Usage {
    Usage { input, output, ..Usage::default() }
}

fn chat() -> CostContext<'static> {
    CostContext::default()
}

fn told(cost: &Cost) -> Vec<String> {
    cost.lines.iter().map(ToString::to_string).collect()
}

/// Observed: 7 × 2.5e-6 + 4 × 1.25e-6 + 7 × 1e-5.
#[test]
fn openai_with_cached_tokens() {
    let usage = Usage { cache_read: 4, ..tokens(11, 7) };
    let cost = cost(&usage, Some(&model("openai", "gpt-4o")), &chat());
    assert_eq!(cost.total(), NanoUsd(92_500));
    assert_eq!(
        told(&cost),
        [
            "7 input tokens × $0.0000025 = $0.0000175",
            "4 cached input tokens × $0.00000125 = $0.000005",
            "7 output tokens × $0.00001 = $0.00007",
        ]
    );
    assert_eq!(cost.lines[1].price_key, "cache_read_input_token_cost");
    assert_eq!(cost.part(LineKind::Output).to_string(), "0.00007");
}

/// Observed: 10 input + 5 read + 3 written + 7 output; and Anthropic's page for the 1-hour cache: 2 × input.
#[test]
fn anthropic_with_both_caches() {
    let sonnet = model("anthropic", "claude-sonnet-4-5-20250929");
    let usage = Usage { cache_read: 5, cache_write_5m: 3, ..tokens(18, 7) };
    assert_eq!(total(&usage, &sonnet, &chat()), "0.00014775");
    let usage = Usage { cache_write_1h: 1_000_000, ..tokens(1_000_000, 0) };
    assert_eq!(total(&usage, &sonnet, &chat()), "6.0");
}

#[test]
fn a_missing_cache_price_is_the_input_price_and_zero_is_a_price() {
    let usage = Usage { cache_read: 40, cache_write_5m: 10, cache_write_1h: 10, ..tokens(100, 0) };
    let plain = priced(json!({"input_cost_per_token": 1e-6}));
    assert_eq!(total(&usage, &plain, &chat()), "0.0001");
    let free = priced(json!({"input_cost_per_token": 1e-6, "cache_read_input_token_cost": 0}));
    assert_eq!(total(&usage, &free, &chat()), "0.00006");
    // Without a price of their own, 1-hour writes cost what other writes cost.
    let writes = priced(json!({"input_cost_per_token": 1e-6, "cache_creation_input_token_cost": 2e-6}));
    assert_eq!(total(&usage, &writes, &chat()), "0.00012");
}

/// Gemini 2.5 Pro: $1.25 / $10 up to 200k tokens of prompt, $2.50 / $15 above, all tokens alike
/// (<https://ai.google.dev/gemini-api/docs/pricing>).
#[test]
fn long_prompts_are_billed_at_the_higher_rate_throughout() {
    let gemini = model("gemini", "gemini-2.5-pro");
    assert_eq!(total(&tokens(200_000, 1000), &gemini, &chat()), "0.26");
    assert_eq!(total(&tokens(200_001, 1000), &gemini, &chat()), "0.5150025");
    let long = cost(&tokens(200_001, 0), Some(&gemini), &chat());
    assert_eq!(long.lines[0].price_key, "input_cost_per_token_above_200k_tokens");
    // Thinking follows the output's price.
    let usage = Usage { reasoning: 900, ..tokens(300_000, 1000) };
    assert_eq!(total(&usage, &gemini, &chat()), "0.765");
}

#[test]
fn steps_begin_behind_their_bound_except_at_xai() {
    let fields = json!({
        "input_cost_per_token": 1e-6, "input_cost_per_token_above_128k_tokens": 2e-6,
        "input_cost_per_token_above_512k_tokens": 4e-6
    });
    let entry = priced(fields.clone());
    for (input, expected) in [(128_000, "0.128"), (128_001, "0.256002"), (512_001, "2.048004")] {
        assert_eq!(total(&tokens(input, 0), &entry, &chat()), expected);
    }
    let Value::Object(fields) = fields else { panic!("an object") };
    let xai = ModelEntry::empty("grok").with_overrides(&fields).unwrap();
    let xai = xai.with_overrides(&json!({"litellm_provider": "xai"}).as_object().unwrap().clone()).unwrap();
    assert_eq!(total(&tokens(128_000, 0), &xai, &chat()), "0.256");
}

/// OpenAI's o3: flex is half, priority 1.75 × (<https://platform.openai.com/docs/pricing>).
#[test]
fn service_tiers_have_prices_of_their_own() {
    let o3 = model("openai", "o3");
    let usage = tokens(1_000_000, 1_000_000);
    for (tier, expected) in [
        (None, "10.0"),
        (Some("default"), "10.0"),
        (Some("flex"), "5.0"),
        (Some("priority"), "17.5"),
        (Some("fast"), "17.5"),
        (Some("unheard_of"), "10.0"),
    ] {
        let context = CostContext { service_tier: tier, ..chat() };
        assert_eq!(total(&usage, &o3, &context), expected, "{tier:?}");
    }
}

#[test]
fn batches_cost_their_own_rate_or_half() {
    let context = CostContext { batch: true, ..chat() };
    let usage = tokens(1_000_000, 1_000_000);
    assert_eq!(total(&usage, &model("openai", "o3"), &context), "5.0");
    let entry = priced(json!({"input_cost_per_token": 2e-6, "output_cost_per_token": 6e-6}));
    let cost = cost(&usage, Some(&entry), &context);
    assert_eq!(cost.total().to_string(), "4.0");
    assert_eq!(cost.lines[0].price_key, "half of input_cost_per_token");
}

/// Alibaba's Qwen3 Coder Plus: the tier of the prompt's length is due for the whole call
/// (<https://www.alibabacloud.com/help/en/model-studio/models>).
#[test]
fn tiered_pricing_tables() {
    let qwen = model("dashscope", "qwen3-coder-plus");
    for (input, expected) in
        [(32_000, "0.037"), (32_001, "0.0666018"), (200_000, "0.615"), (2_000_000, "12.06")]
    {
        assert_eq!(total(&tokens(input, 1000), &qwen, &chat()), expected, "{input}");
    }
    let cached = Usage { cache_read: 10_000, ..tokens(10_000, 0) };
    assert_eq!(total(&cached, &qwen, &chat()), "0.001");
}

/// A reasoning price of its own: Qwen Plus thinks at $4 and answers at $1.20 a million.
#[test]
fn reasoning_can_have_a_price_of_its_own() {
    let qwen = model("dashscope", "qwen-plus-latest");
    let usage = Usage { reasoning: 600, ..tokens(0, 1000) };
    assert_eq!(total(&usage, &qwen, &chat()), "0.00288");
}

/// `DeepSeek`'s off-peak hours; 2026-11-21 was a Saturday, 2026-11-23 a Monday.
#[test]
fn off_peak_hours() {
    const SATURDAY_NOON: u64 = 1_795_262_400;
    const MONDAY_0030: u64 = SATURDAY_NOON + 36 * 3600 + 1800;
    const MONDAY_0200: u64 = MONDAY_0030 + 5400;
    const MONDAY_2330: u64 = MONDAY_0030 + 23 * 3600;
    let flash = model("deepseek", "deepseek-v4-flash");
    let usage = tokens(1_000_000, 0);
    for (when, expected) in [
        (None, "0.3"),
        (Some(SATURDAY_NOON), "0.15"),
        (Some(MONDAY_0030), "0.15"),
        (Some(MONDAY_0200), "0.3"),
        (Some(MONDAY_2330), "0.15"),
    ] {
        let context = CostContext { unix_seconds: when, ..chat() };
        assert_eq!(total(&usage, &flash, &context), expected, "{when:?}");
    }
    // Monday 20:00 UTC is Tuesday in Shanghai, Friday 20:00 already Saturday.
    let tencent = model("tencent", "deepseek-v4.1-flash");
    let context = CostContext { unix_seconds: Some(MONDAY_0200 + 3 * 86400 + 86400 + 18 * 3600), ..chat() };
    assert_eq!(total(&usage, &tencent, &context), "0.15");
}

#[test]
fn regions_and_speed_are_factors_that_explain_themselves() {
    let context = CostContext { region: Some("eu"), ..chat() };
    let regional = cost(&tokens(1000, 0), Some(&model("openai", "gpt-5.4")), &context);
    let plain = cost(&tokens(1000, 0), Some(&model("openai", "gpt-5.4")), &chat());
    assert_eq!(regional.sum(), plain.sum().times(11).divided_by(10));
    assert!(regional.lines[0].to_string().contains("× 1.1 (processed in eu)"), "{}", regional.lines[0]);

    // Anthropic: `inference_geo: us` 1.1 ×, fast mode 2 ×.
    let opus = model("anthropic", "claude-opus-5");
    let base = cost(&tokens(1000, 0), Some(&opus), &chat()).sum();
    let both = CostContext { region: Some("us"), service_tier: Some("fast"), ..chat() };
    assert_eq!(cost(&tokens(1000, 0), Some(&opus), &both).sum(), base.times(22).divided_by(10));

    let vertex = model("vertex_ai", "claude-opus-5-5");
    let base = cost(&tokens(1000, 0), Some(&vertex), &CostContext { region: Some("global"), ..chat() }).sum();
    let europe = CostContext { region: Some("europe-west1"), ..chat() };
    assert_eq!(cost(&tokens(1000, 0), Some(&vertex), &europe).sum(), base.times(11).divided_by(10));
}

/// gpt-realtime: text $4, audio $32 in; text $16, audio $64 out per million (<https://platform.openai.com/docs/pricing>).
#[test]
fn audio_tokens() {
    let usage = Usage { input_audio: 600, output_audio: 300, ..tokens(1000, 400) };
    assert_eq!(total(&usage, &model("openai", "gpt-realtime"), &chat()), "0.0416");
}

/// Gemini 2.5 Flash Image: 1,290 tokens a picture at $30 a million: $0.0387; or $0.039 a piece.
#[test]
fn images_by_token_or_by_piece() {
    let flash = model("gemini", "gemini-2.5-flash-image");
    let usage = Usage { output_image: 1290, ..tokens(10, 1290) };
    assert_eq!(total(&usage, &flash, &chat()), "0.038703");
    let image =
        CostContext { call: CallKind::Image, counts: Counts { images: 2, ..Counts::default() }, ..chat() };
    assert_eq!(total(&Usage::default(), &flash, &image), "0.078");
    let gpt = model("openai", "1024-x-1536/gpt-image-1.5");
    assert_eq!(total(&Usage::default(), &gpt, &image), "0.026");
    // gpt-image-1: text $5, image $10 in, image $40 out; the output's kind is not said.
    let usage = Usage { input_image: 200, ..tokens(210, 1056) };
    assert_eq!(total(&usage, &model("openai", "gpt-image-1"), &image), "0.04429");
}

/// Whisper is $0.006 a minute (<https://platform.openai.com/docs/pricing>), due once; GPT-4o Transcribe is billed by
/// tokens where they are reported.
#[test]
fn sound_by_the_second() {
    let context = CostContext { call: CallKind::Transcription, ..chat() };
    let minute = Usage { audio_ms: 60_000, ..Usage::default() };
    let cost = cost(&minute, Some(&model("openai", "whisper-1")), &context);
    assert_eq!(told(&cost), ["60 seconds of audio × $0.0001 = $0.006"]);
    let bit = Usage { audio_ms: 1500, ..Usage::default() };
    assert_eq!(total(&bit, &model("deepgram", "nova-3"), &context), "0.000107505");
    let counted = Usage { input_audio: 90, audio_ms: 60_000, ..tokens(100, 20) };
    assert_eq!(total(&counted, &model("openai", "gpt-4o-transcribe"), &context), "0.00045");
}

/// tts-1: $15 a million characters.
#[test]
fn speech_by_the_character() {
    let context = CostContext { call: CallKind::Speech, ..chat() };
    let usage = Usage { characters: 1000, ..Usage::default() };
    assert_eq!(total(&usage, &model("openai", "tts-1"), &context), "0.015");
    // gpt-4o-mini-tts: sound at $12 a million tokens.
    assert_eq!(total(&tokens(100, 1000), &model("openai", "gpt-4o-mini-tts"), &context), "0.01206");
}

#[test]
fn pages_queries_videos_and_requests() {
    let context = |call, counts| CostContext { call, counts, ..chat() };
    let nothing = Usage::default();
    let ocr = context(CallKind::Ocr, Counts { pages: 3, annotated_pages: 1, ..Counts::default() });
    assert_eq!(total(&nothing, &model("mistral", "mistral-ocr-latest"), &ocr), "0.017");
    let batch = CostContext { batch: true, ..ocr };
    assert_eq!(total(&nothing, &model("mistral", "mistral-ocr-latest"), &batch), "0.0085");

    let search = |results| context(CallKind::Search, Counts { queries: 1, results, ..Counts::default() });
    assert_eq!(total(&nothing, &model("tavily", "tavily/search"), &search(5)), "0.008");
    assert_eq!(total(&nothing, &model("exa_ai", "search"), &search(25)), "0.005");
    assert_eq!(total(&nothing, &model("exa_ai", "search"), &search(26)), "0.025");

    let video = context(CallKind::Video, Counts { output_ms: 8000, ..Counts::default() });
    assert_eq!(total(&nothing, &model("openai", "sora-2"), &video), "0.8");
    let sized = priced(json!({"output_cost_per_second": 0.1, "output_cost_per_second_1080p": 0.3}));
    assert_eq!(total(&nothing, &sized, &CostContext { resolution: Some("1080p"), ..video }), "2.4");

    let rerank = context(CallKind::Rerank, Counts { queries: 2, ..Counts::default() });
    assert_eq!(total(&nothing, &priced(json!({"input_cost_per_query": 0.002})), &rerank), "0.004");
    let request = priced(json!({"input_cost_per_request": 0.005, "input_cost_per_token": 1e-6}));
    assert_eq!(total(&tokens(1000, 0), &request, &chat()), "0.006");
    // A server of one's own, hired by the second.
    let hired = priced(json!({"input_cost_per_second": 0.0002}));
    let took = context(CallKind::Chat, Counts { duration_ms: 2500, ..Counts::default() });
    assert_eq!(total(&tokens(10, 10), &hired, &took), "0.0005");
}

#[test]
fn tools_that_the_provider_ran() {
    let searched = Usage { web_searches: 3, ..Usage::default() };
    // Anthropic: $10 per 1,000 searches. Perplexity by context size. Gemini 2.5 per grounded prompt, 3 per query.
    assert_eq!(total(&searched, &model("anthropic", "claude-sonnet-4-5-20250929"), &chat()), "0.03");
    let sonar = model("perplexity", "sonar");
    let once = Usage { web_searches: 1, ..Usage::default() };
    for (size, expected) in [(None, "0.008"), (Some("low"), "0.005"), (Some("high"), "0.012")] {
        let context = CostContext { search_context_size: size, ..chat() };
        assert_eq!(total(&once, &sonar, &context), expected);
    }
    assert_eq!(total(&searched, &model("gemini", "gemini-2.5-flash"), &chat()), "0.035");
    assert_eq!(total(&searched, &model("gemini", "gemini-3-flash-preview"), &chat()), "0.042");

    let sandbox = CostContext { counts: Counts { code_sessions: 2, ..Counts::default() }, ..chat() };
    assert_eq!(total(&Usage::default(), &model("openai", "openai/container"), &sandbox), "0.06");
    let files = priced(json!({"file_search_cost_per_1k_calls": 2.5}));
    let context = CostContext { counts: Counts { file_searches: 2, ..Counts::default() }, ..chat() };
    assert_eq!(total(&Usage::default(), &files, &context), "0.005");
    let guard = CostContext {
        call: CallKind::Guardrail,
        counts: Counts {
            guardrail_units: &[("topicPolicyUnits", 2), ("wordPolicyUnits", 9)],
            ..Counts::default()
        },
        ..chat()
    };
    assert_eq!(total(&Usage::default(), &model("bedrock", "guardrails"), &guard), "0.0003");
}

#[test]
fn a_provider_that_states_the_cost_is_believed_unless_the_user_set_a_price() {
    let usage = Usage { cost: serde_json::from_str("0.00123").ok(), ..tokens(10, 10) };
    let stated = cost(&usage, None, &chat());
    assert_eq!(told(&stated), ["cost as the provider states it: $0.00123"]);
    let own = priced(json!({"input_cost_per_token": 1e-6}));
    assert_eq!(total(&usage, &own, &chat()), "0.00001");
}

#[test]
fn what_has_no_price_is_free_and_says_so() {
    let unknown = cost(&tokens(10, 10), None, &chat());
    assert_eq!((unknown.total(), unknown.unpriced), (NanoUsd::ZERO, true));
    assert!(cost(&tokens(10, 10), find_model("anthropic", "claude-opus-99").as_ref(), &chat()).unpriced);
    let free = cost(&tokens(10, 10), Some(&priced(json!({"input_cost_per_token": 0}))), &chat());
    assert_eq!((free.total(), free.unpriced), (NanoUsd::ZERO, false));
}

#[test]
fn discount_first_then_margin() {
    let entry = priced(json!({"input_cost_per_token": 1e-6}));
    let context = CostContext {
        discount: Factor::parse("0.05").ok(),
        margin: Margin::parse("0.1", "0.001").ok(),
        ..chat()
    };
    let cost = cost(&tokens(1000, 0), Some(&entry), &context);
    assert_eq!(cost.total().to_string(), "0.002045");
    assert_eq!(
        told(&cost),
        [
            "1,000 input tokens × $0.000001 = $0.001",
            "discount of 0.05 of the price: $-0.00005",
            "margin of 0.1 of the price: $0.000095",
            "margin per request: $0.001",
        ]
    );
}

#[test]
fn amounts_are_rounded_once() {
    // Three prices of 0.4 nano-dollars each: together 1.2.
    let entry = priced(json!({
        "input_cost_per_token": 4e-10, "cache_read_input_token_cost": 4e-10, "output_cost_per_token": 4e-10
    }));
    let usage = Usage { cache_read: 1, ..tokens(2, 1) };
    assert_eq!(cost(&usage, Some(&entry), &chat()).total(), NanoUsd(1));
}

proptest! {
    /// The lines are the whole, and every input token is billed on exactly one of them.
    #[test]
    fn lines_cover_the_usage(
        text in 0_u64..300_000, read in 0_u64..300_000, written in 0_u64..10_000, hour in 0_u64..10_000,
        answer in 0_u64..10_000, reasoning in 0_u64..10_000, at in any::<prop::sample::Index>(),
    ) {
        let names = ["gpt-4o", "o3", "gpt-5.1"];
        let entry = model("openai", names[at.index(names.len())]);
        let usage = Usage {
            input: text + read + written + hour, cache_read: read, cache_write_5m: written, cache_write_1h: hour,
            output: answer + reasoning, reasoning, ..Usage::default()
        };
        let cost = cost(&usage, Some(&entry), &chat());
        let count = |kinds: &[LineKind]| -> u64 {
            cost.lines.iter().filter(|line| kinds.contains(&line.kind)).map(|line| line.quantity.count).sum()
        };
        prop_assert_eq!(count(&[LineKind::Input, LineKind::CacheRead, LineKind::CacheWrite]), usage.input);
        prop_assert_eq!(count(&[LineKind::Output, LineKind::Reasoning]), usage.output);
        let kinds = [LineKind::Input, LineKind::CacheRead, LineKind::CacheWrite, LineKind::Output, LineKind::Reasoning];
        prop_assert_eq!(kinds.into_iter().map(|kind| cost.part(kind)).sum::<Usd>(), cost.sum());
    }

    /// No usage that a provider may report brings it down, and more tokens never cost less on a flat price.
    #[test]
    fn any_usage_has_a_cost(input: u64, output: u64, cache_read: u64, reasoning: u64, input_audio: u64) {
        let usage = Usage { input, output, cache_read, reasoning, input_audio, ..Usage::default() };
        let cost = cost(&usage, Some(&model("openai", "gpt-4o")), &chat());
        prop_assert!(cost.total() >= NanoUsd::ZERO);
    }
}
