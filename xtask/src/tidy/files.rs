//! What may stand in no tracked file, or in none of a crate.

use std::error::Error;
use std::path::Path;
use std::process::Command;

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 5] = ["/home/", "/root/", "/Users/", "/work/", "C:\\Users\\"];

/// Crates that know providers as rows of the catalog, never by name.
const GENERIC: [&str; 2] = ["crates/gateway/src/", "crates/client/src/"];

/// How a comparison with a provider's name begins.
const COMPARED_PROVIDERS: [&str; 6] = [
    "provider == \"",
    "provider != \"",
    "provider.id == \"",
    "provider.id != \"",
    "provider() == \"",
    "provider.name == \"",
];

pub(super) fn check(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut mistakes = Vec::new();
    for name in tracked(root)? {
        // Data of others: vocabularies. And this file, which has to name what it looks for.
        if name.ends_with(".tiktoken") || name == "xtask/src/tidy/files.rs" {
            continue;
        }
        // A symbolic link, or a file that is deleted but not yet committed, has nothing to say.
        let Ok(bytes) = std::fs::read(root.join(&name)) else { continue };
        if let Ok(text) = String::from_utf8(bytes) {
            mistakes.extend(in_file(&name, &text));
        }
    }
    Ok(mistakes)
}

/// The files that git knows or would add.
fn tracked(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err(format!("`git ls-files`: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let names = String::from_utf8(output.stdout)?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

fn in_file(name: &str, text: &str) -> Vec<String> {
    let is_generic = GENERIC.iter().any(|folder| name.starts_with(folder));
    let mut mistakes = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(path) = MACHINE_PATHS.iter().find(|path| has_path(line, path)) {
            mistakes.push(format!("{name}:{number}: `{path}…` is a path of one machine"));
        }
        if is_generic && COMPARED_PROVIDERS.iter().any(|comparison| line.contains(comparison)) {
            mistakes.push(format!(
                "{name}:{number}: code that knows a provider by name; its row lacks a column or a quirk"
            ));
        }
    }
    mistakes
}

/// Whether an absolute path begins here, not merely a later part of a path or an address.
fn has_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        before.is_none_or(|before| {
            !before.is_alphanumeric() && !matches!(before, '/' | '.' | '-' | '_' | '}' | '*')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_one_machine_are_found() {
        let found = |line: &str| in_file("README.md", line).len();
        assert_eq!(found("see /home/ada/notes"), 1);
        assert_eq!(found("\"/work/x\""), 1);
        assert_eq!(found("https://example.com/home/page and ./work/x and $HOME/work/"), 0);
    }

    #[test]
    fn providers_are_not_compared_by_name_in_generic_code() {
        let line = "if provider == \"openai\" {";
        assert_eq!(in_file("crates/gateway/src/pipeline/call.rs", line).len(), 1);
        assert_eq!(in_file("crates/catalog/src/provider.rs", line).len(), 0);
    }
}
