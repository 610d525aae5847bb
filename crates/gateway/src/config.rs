//! The configuration: LiteLLM's `config.yaml`, read, checked and resolved.
//!
//! A file becomes a [`Config`] in three steps. `raw` is the YAML with the place of every key; `check` compares it
//! with the table of known keys ([`keys`]); `resolve` makes the typed, immutable [`Config`] of it. Every problem is
//! reported, not only the first, with its place and what to write instead ([`Report`]). Nothing here starts, listens
//! or logs; environment, files and the list of providers are passed in ([`Sources`]).

mod check;
mod diagnose;
mod files;
pub mod keys;
mod raw;
mod references;
mod resolve;
mod resolved;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

pub use diagnose::{Problem, ProblemKind, Report, Severity};
pub use resolved::{
    AwsCredentials, AzureBlobSettings, AzureCredentials, BooksConfig, CacheMode, CacheSettings, Config,
    Connection, DeploymentConfig, DeploymentId, GcsSettings, GeneralSettings, LitellmSettings, LogFormat,
    LogLevel, MasterKey, MissingVariable, ModelAlias, ModelInfo, ParameterPolicy, QdrantSettings,
    Quantization, RedisSettings, RedisTarget, RedisVectorSettings, RequiredParams, RouterSettings, S3Key,
    S3Settings, SemanticSettings, StoreSettings, TlsVerify, TollwaySettings, UnknownPrice, VectorSettings,
    VertexCredentials,
};
pub use tollway::Secret;

use diagnose::Diagnosis;
use files::Files;
use raw::{Node, Span, Value};
use references::Environment;

/// Whether a deployment's `model` (and its `custom_llm_provider`, if it has one) belongs to a known provider; the
/// error says why not, and which provider is nearest.
pub type ProviderCheck<'a> = &'a dyn Fn(&str, Option<&str>) -> Result<(), String>;

/// Where a configuration comes from, besides its own text.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// A variable of the environment.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The text of a file.
    pub file: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Whether a model's provider is known.
    pub provider: ProviderCheck<'a>,
}

impl<'a> Sources<'a> {
    /// The process's environment and the file system.
    pub fn system(provider: ProviderCheck<'a>) -> Self {
        Self { environment: &system_variable, file: &system_file, provider }
    }
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

fn system_variable(name: &str) -> Option<String> {
    // `std` takes no name with these, and a reference may hold anything.
    if name.is_empty() || name.contains(['=', '\0']) {
        return None;
    }
    std::env::var(name).ok()
}

/// Reads no more than the loader would accept.
fn system_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let bound = u64::try_from(raw::Limits::default().bytes).unwrap_or(u64::MAX);
    std::fs::File::open(path)?.take(bound.saturating_add(1)).read_to_string(&mut text)?;
    Ok(text)
}

/// What came of loading.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration; none if the report has an error.
    pub config: Option<Config>,
    /// Everything that is wrong with it.
    pub report: Report,
    /// The files that were read or looked for: a change of one of them may change the configuration.
    pub files: Vec<PathBuf>,
}

impl Config {
    /// Reads a file and what it includes.
    pub fn load(path: &Path, sources: &Sources<'_>) -> Loaded {
        let mut diagnosis = Diagnosis::default();
        let mut files = Files::new(sources.file, path);
        let tree = files.load(path, &mut diagnosis);
        finish(tree, files.tried, sources, diagnosis)
    }

    /// Reads a text as if it were this file; what it includes is read from [`Sources::file`].
    pub fn from_text(path: &Path, text: impl Into<String>, sources: &Sources<'_>) -> Loaded {
        let mut diagnosis = Diagnosis::default();
        let mut files = Files::new(sources.file, path);
        let tree = files.load_text(path, text.into(), &mut diagnosis);
        finish(tree, files.tried, sources, diagnosis)
    }
}

fn finish(
    tree: Option<Node>,
    files: Vec<PathBuf>,
    sources: &Sources<'_>,
    mut diagnosis: Diagnosis,
) -> Loaded {
    let config = tree.and_then(|mut tree| {
        let mut environment = Environment::new(sources.environment);
        if let Value::Mapping(root) = &tree.value {
            environment.set_from(root, &mut diagnosis);
        }
        environment.substitute(&mut tree, &mut diagnosis);
        let Value::Mapping(root) = &tree.value else { return None };
        check::check(root, &environment, &mut diagnosis);
        let start = Span { file: tree.span.file, bytes: 0..0 };
        Some(resolve::resolve(root, &start, &environment, sources.provider, &mut diagnosis))
    });
    let report = diagnosis.into_report();
    let config = config.filter(|_| !report.has_errors());
    Loaded { config, report, files }
}
