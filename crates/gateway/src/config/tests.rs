//! What the loader promises, from the outside: files in, reports and configurations out.

mod alerts;
mod corpus;
mod golden;
mod laws;
mod resolution;
mod routing;

use std::io;
use std::path::{Path, PathBuf};

use super::{Config, Loaded, Sources};

/// The variables that tests may name; no test reads the process's own.
fn variable(name: &str) -> Option<String> {
    let value = match name {
        "OPENAI_API_KEY" => "sk-from-the-environment",
        "ANTHROPIC_API_KEY" => "sk-ant-from-the-environment",
        "LITELLM_MASTER_KEY" => "sk-master-from-the-environment",
        "REQUEST_SECONDS" => "30",
        "REDIS_ADDRESS" => "redis.internal",
        _ => return None,
    };
    Some(value.to_owned())
}

/// A few providers, and how the real list answers for the others.
fn provider(model: &str, custom_llm_provider: Option<&str>) -> Result<(), String> {
    const KNOWN: &[&str] = &["openai", "anthropic", "azure", "bedrock", "gemini", "vertex_ai", "ollama"];
    let prefix = custom_llm_provider.or_else(|| model.split_once('/').map(|(prefix, _)| prefix));
    match prefix {
        None if model.starts_with("gpt-") || model.starts_with("claude-") => Ok(()),
        None => Err(format!("`{model}` names no provider")),
        Some(prefix) if KNOWN.contains(&prefix) => Ok(()),
        Some(prefix) => Err(match super::diagnose::nearest(prefix, KNOWN.iter().copied()) {
            Some(near) => format!("there is no provider `{prefix}`; nearest: `{near}`"),
            None => format!("there is no provider `{prefix}`"),
        }),
    }
}

fn no_files(path: &Path) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::NotFound, format!("no {} here", path.display())))
}

fn load(text: &str) -> Loaded {
    let sources = Sources { environment: &variable, file: &no_files, provider: &provider };
    Config::from_text(Path::new("config.yaml"), text, &sources)
}

/// The configuration of a text without errors.
fn config(text: &str) -> Config {
    let loaded = load(text);
    loaded.config.unwrap_or_else(|| panic!("{}", loaded.report))
}

fn crate_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
