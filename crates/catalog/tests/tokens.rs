//! Token counts against known figures, and the encodings against another implementation of tiktoken.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use catalog::tokens::image::{self, Dimensions};
use catalog::tokens::{count, count_text, family};
use dialects::Dialect;
use dialects::conversation::{FunctionTool, Message, Part, Request, Role, Tool};
use proptest::prelude::*;
use serde_json::json;

fn check(model: &str, text: &str, expected: u64) {
    let counted = count_text(model, text);
    assert!(counted.exact, "{model}");
    assert_eq!(counted.tokens, expected, "{model}: {text:?}");
}

/// Of OpenAI's cookbook (<https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken>).
#[test]
fn the_cookbooks_texts() {
    for (text, cl100k, o200k) in [
        ("tiktoken is great!", 6, 6),
        ("antidisestablishmentarianism", 6, 6),
        ("2 + 2 = 4", 7, 7),
        ("お誕生日おめでとう", 9, 8),
    ] {
        check("gpt-4", text, cl100k);
        check("gpt-4o", text, o200k);
    }
}

/// The cookbook's example conversation: 129 prompt tokens on GPT-4, 124 on GPT-4o, as the API counts them.
#[test]
fn the_cookbooks_conversation() {
    let message = |role, name: Option<&str>, text: &str| {
        let mut message = Message::text(role, text);
        message.name = name.map(ToOwned::to_owned);
        message
    };
    let messages = vec![
        message(
            Role::System,
            None,
            "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
        ),
        message(Role::System, Some("example_user"), "New synergies will help drive top-line growth."),
        message(
            Role::System,
            Some("example_assistant"),
            "Things working well together will increase revenue.",
        ),
        message(
            Role::System,
            Some("example_user"),
            "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
        ),
        message(
            Role::System,
            Some("example_assistant"),
            "Let's talk later when we're less busy about how to do better.",
        ),
        message(
            Role::User,
            None,
            "This late pivot means we don't have time to boil the ocean for the client deliverable.",
        ),
    ];
    let request = Request::new(Dialect::OpenaiChat, "gpt-4o", messages);
    for (model, expected) in
        [("gpt-4-0613", 129), ("gpt-3.5-turbo", 129), ("gpt-4o", 124), ("gpt-4o-mini", 124)]
    {
        let counted = count(model, &request);
        assert_eq!((counted.tokens, counted.exact), (expected, true), "{model}");
    }
}

/// The cookbook's function: 105 prompt tokens on GPT-4, 101 on GPT-4o.
#[test]
fn the_cookbooks_function() {
    let messages = vec![
        Message::text(
            Role::System,
            "You are a helpful assistant that can answer to questions about the weather.",
        ),
        Message::text(Role::User, "What's the weather like in San Francisco?"),
    ];
    let mut request = Request::new(Dialect::OpenaiChat, "gpt-4o", messages);
    request.tools = vec![Tool::Function(FunctionTool {
        name: "get_current_weather".to_owned(),
        description: Some("Get the current weather in a given location".to_owned()),
        parameters: Some(json!({
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {
                    "type": "string",
                    "description": "The unit of temperature to return",
                    "enum": ["celsius", "fahrenheit"],
                },
            },
            "required": ["location"],
        })),
        ..FunctionTool::default()
    })];
    for (model, expected) in [("gpt-4", 105), ("gpt-4o", 101)] {
        let counted = count(model, &request);
        assert_eq!((counted.tokens, counted.exact), (expected, false), "{model}");
    }
}

/// Observed at LiteLLM: "hello" of a user on gpt-4o counts 8.
#[test]
fn a_short_message() {
    let request = Request::new(Dialect::OpenaiChat, "m", vec![Message::text(Role::User, "hello")]);
    assert_eq!(count("openai/gpt-4o", &request).tokens, 8);
    let parts = vec![Part::text("hel"), Part::text("lo")];
    let request = Request::new(Dialect::OpenaiChat, "m", vec![Message::new(Role::User, parts)]);
    assert_eq!(count("gpt-4o", &request).tokens, 8);
}

#[test]
fn models_have_their_encoding() {
    for (model, tokenizer, exact) in [
        ("gpt-4o-2024-08-06", "o200k_base", true),
        ("azure/gpt-4.1", "o200k_base", true),
        ("o3-mini", "o200k_base", true),
        ("gpt-5.1", "o200k_base", true),
        ("groq/openai/gpt-oss-120b", "o200k_base", true),
        ("gpt-4-turbo", "cl100k_base", true),
        ("gpt-3.5-turbo", "cl100k_base", true),
        ("text-embedding-3-small", "cl100k_base", true),
        ("anthropic/claude-opus-5", "o200k_base (estimate for claude)", false),
        ("gemini/gemini-2.5-pro", "o200k_base (estimate for gemini)", false),
        ("meta-llama/Llama-3.3-70B-Instruct", "cl100k_base (estimate for llama)", false),
        ("mistral-large-latest", "o200k_base (estimate)", false),
    ] {
        let counted = count_text(model, "a");
        assert_eq!((counted.tokenizer, counted.exact), (tokenizer, exact), "{model}");
    }
    assert_eq!(family::of("claude-sonnet-4-5-20250929").percent, 120);
    assert_eq!(family::of("claude-sonnet-5").percent, 145);
}

/// OpenAI's examples (<https://platform.openai.com/docs/guides/images-vision#calculating-costs>).
#[test]
fn pictures_by_openais_rules() {
    let size = |width, height| Some(Dimensions { width, height });
    let tokens = |model, size, detail| image::tokens(family::of(model).image, size, detail);
    assert_eq!(tokens("gpt-4o", size(1024, 1024), Some("high")), 765);
    assert_eq!(tokens("gpt-4o", size(2048, 4096), Some("high")), 1105);
    assert_eq!(tokens("gpt-4o", size(4096, 8192), Some("low")), 85);
    assert_eq!(tokens("gpt-4o", None, None), 765);
    // Patches: 32 × 32 of them, times 1.62.
    assert_eq!(tokens("gpt-4.1-mini", size(1024, 1024), None), 1659);
    // Anthropic: 1092 × 1092 is about 1,590 (<https://docs.anthropic.com/en/docs/build-with-claude/vision>).
    assert_eq!(tokens("claude-sonnet-4-5", size(1092, 1092), None), 1590);
    assert_eq!(tokens("gemini-2.5-pro", size(300, 300), None), 258);
}

#[test]
fn sizes_are_read_from_the_file() {
    // The first bytes of files, in base64.
    for (base64, width, height) in [
        ("iVBORw0KGgoAAAANSUhEUgAAAAIAAAADCAYAAAA=", 2, 3),
        ("R0lGODlhBQAGAIAAAAAAAP///w==", 5, 6),
        ("/9j/4AAQSkZJRgABAQAAAQABAAD/wAARCAAHAAkDASIAAhEB", 9, 7),
    ] {
        assert_eq!(image::dimensions(base64), Some(Dimensions { width, height }), "{base64}");
    }
    for broken in ["", "////", "iVBORw0KGgo=", "/9j/4AAQ", "not base64"] {
        assert_eq!(image::dimensions(broken), None);
    }
}

/// A long text of one letter must not take quadratic time.
#[test]
fn long_pieces_are_counted_in_time() {
    for text in ["a".repeat(200_000), "\u{4e2d}".repeat(100_000), "=".repeat(200_000)] {
        assert!(count_text("gpt-4o", &text).tokens > 1000);
    }
}

fn reference(text: &str) -> (u64, u64) {
    let count = |encoder: &tiktoken_rs::CoreBPE| encoder.encode_ordinary(text).len() as u64;
    (count(tiktoken_rs::o200k_base_singleton()), count(tiktoken_rs::cl100k_base_singleton()))
}

fn ours(text: &str) -> (u64, u64) {
    (count_text("gpt-4o", text).tokens, count_text("gpt-4", text).tokens)
}

#[test]
fn difficult_texts_count_as_in_tiktoken() {
    for text in [
        "",
        " ",
        "\n",
        "\n  ",
        "  \n ",
        "a\n\n\nb",
        "I'll we'RE you'ſ O'Neil's",
        "don't DON'T d'accord",
        "123456789 ١٢٣٤ ½ Ⅷ",
        "École ÉCOLE éCole ǅungla",
        "e\u{301}te\u{301} \u{301}x",
        "中文A混Bc排",
        "a/b//c/\n/d",
        "\t\tif (x) {\r\n\t\t}\r\n",
        "👩‍👩‍👧‍👦 🇩🇪",
        "\u{a0}\u{3000}x",
        "    return x;    ",
        "ᾼ ᾳ ʰa ªb",
        "<|endoftext|>",
        "\u{200d}\u{fe0f}a",
    ] {
        assert_eq!(ours(text), reference(text), "{text:?}");
    }
    let long = ["ab".repeat(400), "x".repeat(700), "éé\u{301}".repeat(90), "= -".repeat(99), "0".repeat(101)]
        .concat();
    assert_eq!(ours(&long), reference(&long));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_counts_as_in_tiktoken(text in "(?s).{0,60}") {
        prop_assert_eq!(ours(&text), reference(&text));
    }

    /// Signs that the pre-tokenizers treat differently, thrown together.
    #[test]
    fn any_mixture_counts_as_in_tiktoken(text in "[a-cA-Cſéǅ中ʰ\u{301}0-9½ \t\r\n'/!=tsrevmld\u{a0}]{0,80}") {
        prop_assert_eq!(ours(&text), reference(&text));
    }

    #[test]
    fn long_words_count_as_in_tiktoken(text in "[a-e]{40,200}") {
        prop_assert_eq!(ours(&text), reference(&text));
    }
}
