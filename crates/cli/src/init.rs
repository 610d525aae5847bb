use std::fmt::Write as _;
use std::io::Write as _;

use catalog::provider::{EndpointKind, Provider};

use crate::args::InitArgs;
use crate::output::{self, Failure};

pub(crate) fn run(args: &InitArgs) -> Result<(), Failure> {
    let set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    let text = starter(&set);
    let Some(path) = &args.output else {
        output::piece(&text);
        return Ok(());
    };
    let created = std::fs::File::create_new(path);
    let mut file =
        created.map_err(|error| Failure::new(format!("`{}` cannot be created: {error}", path.display())))?;
    file.write_all(text.as_bytes())?;
    output::note(&format!("wrote {}; next: tollway --config {}", path.display(), path.display()));
    Ok(())
}

/// Models to begin with, for providers whose models people know by name; others are offered as a wildcard.
const WELL_KNOWN: &[(&str, &[&str])] = &[
    ("openai", &["gpt-4o", "gpt-4o-mini"]),
    ("anthropic", &["claude-sonnet-4-5", "claude-haiku-4-5"]),
    ("gemini", &["gemini-2.5-pro", "gemini-2.5-flash"]),
];

/// A configuration for the providers whose keys are set.
fn starter(set: &dyn Fn(&str) -> bool) -> String {
    let mut out = String::from(HEAD);
    let found = providers_with_keys(set);
    // Writing to a String cannot fail.
    for (provider, variable) in &found {
        let _ = writeln!(out, "\n  # {} (found {variable})", provider.title);
        let known = WELL_KNOWN.iter().find(|(id, _)| *id == provider.id);
        for model in known.map(|(_, models)| *models).unwrap_or_default() {
            entry(&mut out, model, &format!("{}/{model}", provider.id), provider, variable);
        }
        let _ = writeln!(out, "  # every other model of this provider, as {}/<model>", provider.id);
        let all = format!("{}/*", provider.id);
        entry(&mut out, &format!("\"{all}\""), &format!("\"{all}\""), provider, variable);
    }
    if found.is_empty() {
        out.push_str(NOTHING_FOUND);
    }
    out.push_str(TAIL);
    out
}

/// Providers whose key is set, one for each key: several rows may share a variable, and the one that is named like
/// it is meant.
fn providers_with_keys(set: &dyn Fn(&str) -> bool) -> Vec<(&'static Provider, &'static str)> {
    let mut found: Vec<(&Provider, &str)> = Vec::new();
    for provider in catalog::provider::all().iter().filter(|provider| serves_conversations(provider)) {
        let Some(variable) = provider.api_key_env.iter().copied().find(|name| set(name)) else { continue };
        let is_named_like_it = variable.to_lowercase().starts_with(provider.id);
        match found.iter_mut().find(|(_, known)| *known == variable) {
            Some(entry) if is_named_like_it => entry.0 = provider,
            Some(_) => {}
            None => found.push((provider, variable)),
        }
    }
    found
}

fn serves_conversations(provider: &Provider) -> bool {
    provider.endpoint(EndpointKind::Chat).is_some_and(|endpoint| endpoint.conversation().is_some())
}

fn entry(out: &mut String, name: &str, model: &str, provider: &Provider, variable: &str) {
    let _ = writeln!(out, "  - model_name: {name}");
    let _ = writeln!(out, "    litellm_params:");
    let _ = writeln!(out, "      model: {model}");
    let _ = writeln!(out, "      api_key: os.environ/{variable}");
    if provider.base_url.is_none() {
        let base = provider.base_url_env.first().copied().unwrap_or("API_BASE");
        let _ = writeln!(out, "      api_base: os.environ/{base}");
    }
}

const HEAD: &str = "\
# A configuration for Tollway. Check it with `tollway check`, serve it with `tollway --config`.
# Values written os.environ/NAME are read from the environment.

model_list:
  # Each entry is a deployment: the name clients ask for, and where it leads. Entries with the same model_name
  # share its load.";

const NOTHING_FOUND: &str = "
  # No provider's key was found in the environment. An entry looks like this:
  #   - model_name: gpt-4o
  #     litellm_params:
  #       model: openai/gpt-4o
  #       api_key: os.environ/OPENAI_API_KEY
  # Until then, a model that answers by itself:
  - model_name: hello
    litellm_params:
      model: openai/hello
      api_key: none
      mock_response: Hello from Tollway!
";

const TAIL: &str = "
litellm_settings:
  # Leave out parameters that a provider does not know, instead of refusing the request.
  drop_params: true

general_settings:
  # The key that clients send. Without one the gateway serves this machine only.
  # master_key: os.environ/LITELLM_MASTER_KEY
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_providers_with_a_key_are_written() {
        let text = starter(&|name| name == "GROQ_API_KEY");
        assert!(text.contains("model: \"groq/*\"\n      api_key: os.environ/GROQ_API_KEY"), "{text}");
        assert!(!text.contains("OPENAI_API_KEY"));
    }

    #[test]
    fn a_key_that_several_providers_could_use_is_its_namesakes() {
        let text = starter(&|name| name == "OPENAI_API_KEY");
        assert!(text.contains("model: openai/gpt-4o\n"), "{text}");
        assert!(!text.contains("custom_openai") && !text.contains("aiohttp_openai"), "{text}");
    }
}
