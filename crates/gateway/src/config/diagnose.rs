//! What is wrong with a configuration: every problem with its place, shown as text for people and as JSON for tools.

mod mask;
mod nearest;
mod render;

use std::ops::Range;
use std::path::PathBuf;

use serde::Serialize;

use super::raw::{FileId, Span};

pub(crate) use mask::{holds_secrets, is_secret_name};
use mask::{secrets_by_line, secrets_by_looks};
pub(crate) use nearest::nearest;

/// Whether the gateway may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// No configuration comes out.
    Error,
    /// The configuration works, but not everything in it does what it says.
    Warning,
}

/// The sort of a problem; stable, for tools that filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// A file can't be read, or includes itself.
    File,
    /// The text is not YAML that LiteLLM reads.
    Syntax,
    /// A key twice in one mapping.
    DuplicateKey,
    /// A key that neither LiteLLM nor Tollway knows.
    UnknownKey,
    /// A known key in a section where it does nothing.
    MisplacedKey,
    /// A known key that this version accepts and does not act on.
    NotYetEffective,
    /// A known key that has no meaning in Tollway.
    NoEffect,
    /// A key that must be there and is not.
    MissingKey,
    /// A value of another type than the key takes.
    WrongType,
    /// A value of the right type that means nothing.
    WrongValue,
    /// A value spelled as another type than the key takes, read as it is meant.
    Spelling,
    /// `${NAME}`, `$NAME` or `env/NAME` where `os.environ/NAME` is meant.
    ShellReference,
    /// `os.environ/NAME` of a variable that is not set.
    UnsetVariable,
    /// A deployment that can't be served and is left out.
    SkippedDeployment,
    /// A name that nothing else in the file defines.
    UnknownName,
    /// Fallbacks that lead in a circle.
    Cycle,
    /// A master key that is unset or publicly known.
    WeakMasterKey,
    /// A value that another file or key replaces.
    Replaced,
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// Whether it keeps the gateway from starting.
    pub severity: Severity,
    /// Its sort.
    pub kind: ProblemKind,
    /// The file, as it was named on the command line or resolved from `include`.
    pub file: PathBuf,
    /// Line of the first character, from 1.
    pub line: usize,
    /// Column of the first character in characters, from 1.
    pub column: usize,
    /// The bytes of the file that it is about; may be empty.
    pub span: Range<usize>,
    /// What is wrong: lower case, no period.
    pub message: String,
    /// What would have been right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What is there instead; never a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(skip)]
    excerpt: render::Excerpt,
}

/// Everything that was found wrong, sorted by file and place.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The problems.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether a configuration may be made of this.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many problems weigh this much.
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    /// The report as JSON: `{"problems": [{severity, kind, file, line, column, span, message, …}]}`.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// A file that was read, kept while problems may still be found in it.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    text: String,
    line_starts: Vec<usize>,
    /// Byte ranges that no message may show.
    secrets: Vec<Range<usize>>,
}

impl SourceFile {
    pub(crate) fn new(path: PathBuf, text: String) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let secrets = secrets_by_line(&text);
        Self { path, text, line_starts, secrets }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Takes what the tree knows to be secret, in place of what the names at the start of lines say.
    pub(crate) fn hide(&mut self, ranges: Vec<Range<usize>>) {
        self.secrets = secrets_by_looks(&self.text);
        self.secrets.extend(ranges);
    }

    /// Line and column of a byte, both from 1.
    fn place(&self, byte: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|&start| start <= byte).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..byte).map_or(0, |before| before.chars().count());
        (line, column + 1)
    }

    fn line(&self, line: usize) -> Range<usize> {
        let start = self.line_starts.get(line - 1).copied().unwrap_or(self.text.len());
        let end = self.line_starts.get(line).copied().unwrap_or(self.text.len());
        let text = self.text.get(start..end).unwrap_or_default();
        start..start + text.trim_end_matches(['\n', '\r']).len()
    }
}

/// A problem being written down; `Diagnosis::place` gives it its file.
#[derive(Debug)]
pub(crate) struct Finding {
    severity: Severity,
    kind: ProblemKind,
    message: String,
    expected: Option<String>,
    found: Option<String>,
    help: Option<String>,
}

impl Finding {
    pub(crate) fn error(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, kind, message)
    }

    pub(crate) fn warning(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, kind, message)
    }

    pub(crate) fn new(severity: Severity, kind: ProblemKind, message: impl Into<String>) -> Self {
        Self { severity, kind, message: message.into(), expected: None, found: None, help: None }
    }

    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(crate) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The files read so far and what is wrong in them.
#[derive(Debug, Default)]
pub(crate) struct Diagnosis {
    files: Vec<SourceFile>,
    findings: Vec<(Span, Finding)>,
}

impl Diagnosis {
    pub(crate) fn add_file(&mut self, path: PathBuf, text: String) -> FileId {
        self.files.push(SourceFile::new(path, text));
        FileId(self.files.len() - 1)
    }

    pub(crate) fn file_mut(&mut self, file: FileId) -> Option<&mut SourceFile> {
        self.files.get_mut(file.0)
    }

    pub(crate) fn text(&self, file: FileId) -> &str {
        self.files.get(file.0).map_or("", SourceFile::text)
    }

    /// A place in words, for messages about two places.
    pub(crate) fn whereabouts(&self, span: &Span) -> String {
        let Some(file) = self.files.get(span.file.0) else { return String::new() };
        format!("{}:{}", file.path.display(), file.place(span.bytes.start).0)
    }

    pub(crate) fn report(&mut self, at: &Span, finding: Finding) {
        self.findings.push((at.clone(), finding));
    }

    /// All findings with their places, in the order of the files and of their lines.
    pub(crate) fn into_report(mut self) -> Report {
        self.findings.sort_by_key(|(span, finding)| (span.file, span.bytes.start, finding.severity));
        // The checks of types and those of shapes may find the same thing; the severer finding says it.
        self.findings.dedup_by(|later, earlier| later.0 == earlier.0 && later.1.kind == earlier.1.kind);
        let files = self.files;
        let problems = self
            .findings
            .into_iter()
            .filter_map(|(span, finding)| {
                let file = files.get(span.file.0)?;
                let (line, column) = file.place(span.bytes.start);
                Some(Problem {
                    severity: finding.severity,
                    kind: finding.kind,
                    file: file.path.clone(),
                    line,
                    column,
                    message: finding.message,
                    expected: finding.expected,
                    found: finding.found,
                    help: finding.help,
                    excerpt: render::Excerpt::of(file, line, &span.bytes),
                    span: span.bytes,
                })
            })
            .collect();
        Report { problems }
    }
}
