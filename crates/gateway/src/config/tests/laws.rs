//! What holds for every text.

use std::path::Path;

use proptest::prelude::*;

use super::super::keys;
use super::super::{Config, Loaded};
use super::load;

/// A place is inside the text, and the message says something.
fn places_are_valid(text: &str, loaded: &Loaded) {
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in &loaded.report.problems {
        assert_eq!(problem.file, Path::new("config.yaml"));
        assert!(problem.line >= 1 && problem.line <= lines.len(), "{problem}");
        let width = lines[problem.line - 1].chars().count();
        assert!(problem.column >= 1 && problem.column <= width + 1, "{problem}");
        assert!(text.get(problem.span.clone()).is_some(), "{problem}");
        assert!(!problem.message.is_empty());
        assert!(!problem.to_string().is_empty());
    }
    assert_eq!(loaded.config.is_some(), !loaded.report.has_errors());
    let sorted = loaded.report.problems.is_sorted_by_key(|problem| problem.span.start);
    assert!(sorted, "{}", loaded.report);
}

fn known_name() -> impl Strategy<Value = String> {
    let names: Vec<String> = keys::all().map(|key| key.name.to_owned()).collect();
    prop_oneof![
        4 => prop::sample::select(names),
        1 => "[a-z_]{1,12}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("os.environ/OPENAI_API_KEY".to_owned()),
        Just("os.environ/NOT_SET".to_owned()),
        Just("${SHELL}".to_owned()),
        Just("simple-shuffle".to_owned()),
        Just("openai/gpt-4o".to_owned()),
        Just("~".to_owned()),
        Just(".nan".to_owned()),
        Just("-.inf".to_owned()),
        "-?[0-9]{1,25}(\\.[0-9]{1,3})?(e[0-9]{1,4})?",
        "\"[a-zäß ]{0,8}\"",
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((known_name(), inner), 0..4).prop_map(|pairs| {
                let pairs: Vec<String> =
                    pairs.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
                format!("{{{}}}", pairs.join(", "))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_reported_at_valid_places(text in "(?s).{0,200}") {
        places_are_valid(&text, &load(&text));
    }

    #[test]
    fn any_yaml_like_text_is_reported_at_valid_places(
        text in "([ ]{0,4}[-?:&*!|>'\"%@`{}\\[\\],#a-z\t]{0,6}(: |\n|\r\n)?){0,30}",
    ) {
        places_are_valid(&text, &load(&text));
    }

    #[test]
    fn any_tree_of_known_keys_is_reported_at_valid_places(
        sections in prop::collection::vec((known_name(), value()), 0..5),
        params in prop::collection::vec((known_name(), value()), 0..5),
    ) {
        let mut text: String = sections.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        text.push_str("model_list:\n  - model_name: a\n    litellm_params:\n      model: openai/a\n");
        for (name, value) in &params {
            text.push_str(&format!("      {name}: {value}\n"));
        }
        places_are_valid(&text, &load(&text));
    }

    /// What a secret key holds is in no report, wherever the mistake is.
    #[test]
    fn no_secret_is_shown(position in 0..5_usize, junk in "[ -~]{0,12}") {
        let mut lines = vec![
            "model_list:",
            "  - model_name: a",
            "    litellm_params:",
            "      api_key: TOPSECRETVALUE",
            "      extra_headers: {X: TOPSECRETVALUE}",
            "general_settings: {master_key: \"TOPSECRETVALUE\", database_url: \"db://u:TOPSECRETVALUE@h\"}",
        ];
        lines.insert(position, &junk);
        let text = lines.join("\n");
        let report = load(&text).report;
        prop_assert!(!report.to_string().contains("TOPSECRETVALUE"), "{}", report);
        prop_assert!(!report.to_json().to_string().contains("TOPSECRETVALUE"));
    }
}

#[test]
fn a_duplicate_among_thousands_of_keys_is_found() {
    let mut text = String::from("environment_variables:\n");
    for number in 0..5000 {
        text.push_str(&format!("  NAME_{}: x\n", number % 4999));
    }
    let loaded = load(&text);
    let duplicates =
        loaded.report.problems.iter().filter(|problem| problem.message.contains("twice")).count();
    assert_eq!(duplicates, 1);
}

#[test]
fn a_file_that_is_too_large_is_not_parsed() {
    let text = " ".repeat((8 << 20) + 1);
    let loaded = load(&text);
    assert!(loaded.report.has_errors());
    assert!(loaded.report.problems[0].message.contains("8388609 bytes"));
}

#[test]
fn a_file_that_is_not_there_is_an_error_with_its_name() {
    let sources =
        super::Sources { environment: &super::variable, file: &super::no_files, provider: &super::provider };
    let loaded = Config::load(Path::new("nowhere.yaml"), &sources);
    assert!(loaded.config.is_none());
    assert_eq!(loaded.files, [Path::new("nowhere.yaml")]);
    let problem = &loaded.report.problems[0];
    assert_eq!((problem.file.as_path(), problem.line, problem.column), (Path::new("nowhere.yaml"), 1, 1));
}
