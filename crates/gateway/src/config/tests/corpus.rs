//! Configurations as people write them, where a folder of them is at hand.

use std::path::PathBuf;

use super::super::{Config, Loaded, Severity, Sources};
use super::{crate_folder, no_files};

/// The folder: `TOLLWAY_CONFIGS`, or `../shared/configs` beside the repository.
fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("TOLLWAY_CONFIGS").map(PathBuf::from);
    let beside = crate_folder().join("../../../shared/configs");
    named.or(Some(beside)).filter(|folder| folder.is_dir())
}

/// Those that LiteLLM does not start with, the line of its reason or of ours, and a word of the message.
const REFUSED: &[(&str, &str, &str)] = &[
    ("018", "type: gptcache", "`type`"),
    ("044", "guardrail_name: nemo-policy", "guardrail"),
    ("048", "model_name: gemini-pro\t", "tab"),
    ("053", "llama3.2:", "`fallbacks`"),
    ("069", "connection_pool_kwargs:", "Redis client"),
    ("077", "cache: true", "Redis"),
    ("088", "path_prefix: /eliza", "`path`"),
    ("093", "}", "YAML"),
    ("095", "model_name: gpt-4", "`fallbacks`"),
    ("102", "routing_strategy: rate_limit_aware_v2", "`routing_strategy`"),
    ("103", "routing_strategy: llmrouter-knn", "`routing_strategy`"),
];

fn load(name: &str, text: &str) -> Loaded {
    // Every variable that a file refers to is set; those that LiteLLM would look for by itself are not.
    let environment = |variable: &str| {
        let referred = text.contains(&format!("os.environ/{variable}"));
        referred.then(|| if variable.contains("MODEL") { "openai/gpt-4o".into() } else { "1".to_owned() })
    };
    let provider = |_: &str, _: Option<&str>| Ok(());
    let sources = Sources { environment: &environment, file: &no_files, provider: &provider };
    Config::from_text(name.as_ref(), text, &sources)
}

#[test]
fn configurations_load_where_litellm_loads_them_and_are_refused_where_it_refuses_them() {
    let Some(folder) = folder() else {
        println!("skipped: no folder of configurations (TOLLWAY_CONFIGS)");
        return;
    };
    let mut read = 0;
    let mut wrong = Vec::new();
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        read += 1;
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let loaded = load(&name, &text);
        let errors: Vec<String> = loaded
            .report
            .problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(|problem| {
                let line = text.lines().nth(problem.line - 1).unwrap_or_default();
                format!("{name}:{}: {} [{line}]", problem.line, problem.message)
            })
            .collect();
        match REFUSED.iter().find(|(number, ..)| name.starts_with(number)) {
            Some((_, line, word)) => {
                if !errors.iter().any(|error| error.contains(line) && error.contains(word)) {
                    wrong.push(format!("{name}: not refused at `{line}` for {word}: {errors:#?}"));
                }
            }
            None if errors.is_empty() && loaded.config.is_some() => {}
            None => wrong.push(format!("{name}: refused: {errors:#?}")),
        }
    }
    println!("{read} configurations read");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
