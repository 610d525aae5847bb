//! The price map: looking models up, overriding them, and what their entries say.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use catalog::model::{ImageQuery, ModelQuery, Origin, find_image_model};
use catalog::prices::{self, PriceMap};
use catalog::{ModelEntry, Usd, find_model};
use serde_json::{Value, json};

fn overrides(value: Value) -> serde_json::Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => panic!("an object"),
    }
}

#[test]
fn every_name_is_found_and_every_price_is_exact() {
    let map = prices::embedded();
    assert_eq!(map.len(), 4240);
    for name in map.names() {
        let entry = map.entry(name).unwrap_or_else(|| panic!("{name} is not found"));
        assert_eq!(entry.name, name);
        assert!(entry.provider().is_some(), "{name}");
        for (field, value) in entry.to_json() {
            if field.contains("_cost") && value.is_number() {
                let raw = entry.raw(&field).unwrap();
                assert!(Usd::parse(raw).is_ok(), "{name}: {field} is {raw}");
            }
        }
    }
}

#[test]
fn models_go_by_many_names() {
    for (provider, model, entry) in [
        ("openai", "gpt-4o", "gpt-4o"),
        ("openai", "openai/gpt-4o", "gpt-4o"),
        ("openai", "GPT-4o", "gpt-4o"),
        ("azure", "gpt-4o", "azure/gpt-4o"),
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929"),
        ("vertex_ai", "gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini", "gemini-2.5-pro", "gemini/gemini-2.5-pro"),
        (
            "bedrock",
            "converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        (
            "bedrock",
            "ca.anthropic.claude-haiku-4-5-20251001-v1:0",
            "anthropic.claude-haiku-4-5-20251001-v1:0",
        ),
        ("groq", "openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("deepseek", "deepseek-chat", "deepseek/deepseek-chat"),
        ("custom_openai", "gpt-4o", "gpt-4o"),
    ] {
        let found = find_model(provider, model).unwrap_or_else(|| panic!("{provider} {model}"));
        assert_eq!(found.name, entry, "{provider} {model}");
        assert_eq!(found.origin, Origin::PriceMap);
    }
    // Another provider's price is never taken.
    assert!(find_model("groq", "gpt-4o").is_none());
}

#[test]
fn a_base_model_outranks_the_name() {
    let query = ModelQuery {
        provider: Some("azure"),
        model: "my-deployment",
        base_model: Some("azure/gpt-4o"),
        region: None,
    };
    assert_eq!(prices::embedded().find(&query).unwrap().name, "azure/gpt-4o");
    let query = ModelQuery { base_model: Some("gpt-4o"), ..query };
    assert_eq!(prices::embedded().find(&query).unwrap().name, "azure/gpt-4o");
}

#[test]
fn regional_prices_come_first() {
    let query = ModelQuery {
        provider: Some("bedrock"),
        model: "anthropic.claude-sonnet-4-5-20250929-v1:0",
        region: Some("us-gov-east-1"),
        ..ModelQuery::default()
    };
    assert_eq!(
        prices::embedded().find(&query).unwrap().name,
        "bedrock/us-gov-east-1/anthropic.claude-sonnet-4-5-20250929-v1:0"
    );
}

#[test]
fn images_are_priced_by_size() {
    let query = ModelQuery { provider: Some("openai"), model: "gpt-image-1.5", ..ModelQuery::default() };
    let image = ImageQuery { size: Some("1024x1536"), ..ImageQuery::default() };
    let entry = find_image_model(prices::embedded(), &query, &image).unwrap();
    assert_eq!(entry.name, "1024-x-1536/gpt-image-1.5");
    let entry = find_image_model(prices::embedded(), &query, &ImageQuery::default()).unwrap();
    assert_eq!(entry.name, "gpt-image-1.5");
}

#[test]
fn unknown_models_of_known_families_have_limits_but_no_price() {
    let claude = find_model("anthropic", "claude-opus-9").unwrap();
    assert_eq!(claude.origin, Origin::Family);
    assert!(!claude.has_price());
    let facts = claude.facts();
    assert_eq!((facts.max_input_tokens, facts.max_output_tokens), (Some(200_000), Some(64_000)));
    assert_eq!(facts.supports_adaptive_thinking, Some(true));
    let old = find_model("anthropic", "claude-sonnet-4-20990101").unwrap();
    assert_eq!(old.facts().supports_adaptive_thinking, None);
    assert_eq!(find_model("openai", "o9-mini").unwrap().facts().supports_reasoning, Some(true));
    assert_eq!(find_model("gemini", "gemini-9-pro").unwrap().facts().max_input_tokens, Some(1_048_576));
    assert!(find_model("gemini", "gemini-1.0-pro").is_none());
    assert!(find_model("openai", "my-model").is_none());
}

#[test]
fn a_deployment_overrides_prices_and_limits() {
    let settings = overrides(json!({
        "input_cost_per_token": 0.000_002_5, "output_cost_per_token": "1e-05", "max_input_tokens": 1000,
        "supports_vision": false, "api_key": "not a price", "cache_read_input_token_cost": 0, "mode": null
    }));
    let entry = find_model("openai", "gpt-4o").unwrap().with_overrides(&settings).unwrap();
    assert!(entry.is_custom_priced());
    assert_eq!(entry.price("input_cost_per_token"), Usd::parse("0.0000025").ok());
    assert_eq!(entry.price("output_cost_per_token"), Usd::parse("0.00001").ok());
    assert_eq!(entry.price("cache_read_input_token_cost"), Some(Usd::ZERO));
    assert_eq!(entry.mode(), Some("chat"));
    assert_eq!(entry.facts().max_input_tokens, Some(1000));
    assert_eq!(entry.facts().supports_vision, Some(false));
    assert!(entry.raw("api_key").is_none());

    let alone = ModelEntry::empty("my-model").with_overrides(&settings).unwrap();
    assert!(alone.has_price());
    let limits = overrides(json!({"max_tokens": 5}));
    assert!(!ModelEntry::empty("my-model").with_overrides(&limits).unwrap().is_custom_priced());
}

#[test]
fn a_wrong_price_names_its_field() {
    for (value, message) in [
        (json!({"input_cost_per_token": "cheap"}), "`input_cost_per_token`: `cheap` is not a number"),
        (json!({"input_cost_per_token": -1}), "`input_cost_per_token`: a price cannot be negative: `-1`"),
    ] {
        let error = ModelEntry::empty("m").with_overrides(&overrides(value)).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn model_info_shows_every_field() {
    let info = find_model("openai", "gpt-4o").unwrap().to_json();
    assert_eq!(info["key"], "gpt-4o");
    assert_eq!(info["litellm_provider"], "openai");
    assert_eq!(info["input_cost_per_token"].to_string(), "2.5e-6");
    assert_eq!(info["supports_vision"], true);
    assert_eq!(ModelEntry::empty("m").to_json()["max_tokens"], Value::Null);
}

#[test]
fn a_provider_lists_its_models_with_its_prefix() {
    let groq = prices::embedded().models_of("groq");
    assert!(groq.contains(&"groq/openai/gpt-oss-120b".to_owned()));
    assert!(groq.iter().all(|name| name.starts_with("groq/")));
    assert!(prices::embedded().models_of("openai").contains(&"openai/gpt-4o".to_owned()));
    assert!(prices::embedded().models_of("vertex_ai").contains(&"vertex_ai/gemini-2.5-pro".to_owned()));
    assert!(prices::embedded().models_of("nobody").is_empty());
}

#[test]
fn a_map_can_be_read_at_run_time() {
    let text = r#"{"b": {"litellm_provider": "groq", "input_cost_per_token": 1e-6}, "A": {"litellm_provider": "openai"}}"#;
    let map = PriceMap::parse(text.to_owned()).unwrap();
    assert_eq!(map.names().collect::<Vec<_>>(), ["A", "b"]);
    assert_eq!(map.models_of("groq"), ["groq/b"]);
    assert_eq!(map.entry("B").unwrap().price("input_cost_per_token"), Usd::parse("0.000001").ok());
    assert!(PriceMap::parse("[]".to_owned()).is_err());
}
