//! Crates depend downwards only, and the pure ones on nothing that does I/O.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

/// The crates from the ground up. Each may depend on those before it.
const LAYERS: [&str; 8] = [
    "tollway-dialects",
    "tollway-catalog",
    "tollway-routing",
    "tollway",
    "tollway-ledger",
    "tollway-api",
    "tollway-gateway",
    "tollway-cli",
];

/// Crates that do no I/O, and all that they may depend on beside the layers below them: no runtime, HTTP client,
/// clock or random numbers. Dependencies of tests are free.
const PURE: [(&str, &[&str]); 3] = [
    ("tollway-dialects", &["base64", "memchr", "serde", "serde_json", "serde_path_to_error"]),
    ("tollway-catalog", &["base64", "regex-syntax", "serde", "serde_json"]),
    ("tollway-routing", &[]),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or none.
    kind: Option<String>,
}

pub(super) fn check(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err(format!("`cargo metadata`: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    Ok(metadata.packages.iter().flat_map(mistakes).collect())
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| *layer == name)
}

fn mistakes(package: &Package) -> Vec<String> {
    let name = &package.name;
    let mut mistakes = Vec::new();
    let own = layer(name);
    let pure = PURE.iter().find(|(pure, _)| pure == name).map(|(_, allowed)| allowed);
    let used = package.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev"));
    for Dependency { name: used, .. } in used {
        match (own, layer(used)) {
            (Some(own), Some(below)) if below >= own => {
                mistakes.push(format!("crates: `{name}` may not depend on `{used}`, which is above it"));
            }
            (_, Some(_)) => {}
            (_, None) if pure.is_some_and(|allowed| !allowed.contains(&used.as_str())) => {
                mistakes.push(format!(
                    "crates: `{name}` is pure and may not depend on `{used}`; if that does no I/O, allow it in \
                     xtask/src/tidy/layers.rs"
                ));
            }
            (_, None) => {}
        }
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, uses: &[(&str, Option<&str>)]) -> Vec<String> {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(str::to_owned),
        };
        mistakes(&Package { name: name.to_owned(), dependencies: uses.iter().map(dependency).collect() })
    }

    #[test]
    fn crates_depend_downwards() {
        assert!(package("tollway-gateway", &[("tollway", None), ("tokio", None)]).is_empty());
        assert_eq!(package("tollway-catalog", &[("tollway", None)]).len(), 1);
        assert_eq!(package("tollway", &[("tollway", None)]).len(), 1);
    }

    #[test]
    fn pure_crates_list_what_they_use() {
        assert!(package("tollway-dialects", &[("serde", None), ("tokio", Some("dev"))]).is_empty());
        assert_eq!(package("tollway-dialects", &[("tokio", None)]).len(), 1);
        assert_eq!(package("tollway-catalog", &[("chrono", Some("build"))]).len(), 1);
    }
}
