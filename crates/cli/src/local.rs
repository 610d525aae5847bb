//! Configurations on this machine.

use std::fmt::Write as _;
use std::path::Path;

use gateway::config::{Config, Loaded, Sources};
use gateway::snapshot::Snapshot;
use serde_json::json;

use crate::output::Failure;

/// Reads a configuration with everything that is wrong with it.
pub(crate) fn load(file: &Path) -> Loaded {
    Config::load(file, &Sources::system(&known_provider))
}

fn known_provider(model: &str, provider: Option<&str>) -> Result<(), String> {
    catalog::split_model(model, provider, None).map(|_| ()).map_err(|unknown| unknown.to_string())
}

/// A configuration, ready to serve, and its warnings.
pub(crate) type Ready = (Config, Snapshot, String);

pub(crate) fn from_file(file: &Path) -> Result<Ready, Failure> {
    ready(load(file), &format!("`{}`", file.display()))
}

fn ready(loaded: Loaded, what: &str) -> Result<Ready, Failure> {
    let report = loaded.report.to_string();
    let Some(config) = loaded.config else {
        return Err(Failure::config(format!("{what} cannot be used\n\n{report}")));
    };
    let snapshot = Snapshot::build(&config, loaded.files);
    Ok((config, snapshot, report))
}

/// One deployment per model named on the command line. Each is served under its full name and its bare one.
pub(crate) fn from_models(models: &[String], api_base: Option<&str>) -> Result<Ready, Failure> {
    let mut text = String::from("model_list:\n");
    for model in models {
        let bare = model.split_once('/').map_or(model.as_str(), |(_, name)| name);
        for name in [model.as_str(), bare].into_iter().take(if bare == model { 1 } else { 2 }) {
            // JSON is YAML, and its strings need no care about quoting. Writing to a String cannot fail.
            let params = match api_base {
                Some(base) => json!({"model": model, "api_base": base}),
                None => json!({"model": model}),
            };
            let _ = writeln!(text, "- {}", json!({"model_name": name, "litellm_params": params}));
        }
    }
    ready(Config::from_text(Path::new("--model"), text, &Sources::system(&known_provider)), "--model")
}

/// The built-in model.
pub(crate) fn demo() -> Result<Ready, Failure> {
    let loaded = Config::from_text(Path::new("demo"), "model_list: []\n", &Sources::system(&known_provider));
    let (config, _, report) = ready(loaded, "the built-in configuration")?;
    drop(report);
    let snapshot = Snapshot::demo(&config);
    // Its one warning, that there is no master key, is said by the address it listens on.
    Ok((config, snapshot, String::new()))
}
