//! Reading a configuration's files: the one that was named and those that it includes, into one tree.

use std::io;
use std::path::{Path, PathBuf};

use super::diagnose::{Diagnosis, Finding, ProblemKind, holds_secrets, is_secret_name};
use super::raw::{self, FileId, Flaw, Limits, Mapping, Node, Origin, Pair, Span, Value};

/// Files may include files, but not without end.
const MAX_FILES: usize = 100;

/// Reads the files and notes what is wrong with them.
pub(crate) struct Files<'a> {
    read: &'a dyn Fn(&Path) -> io::Result<String>,
    limits: Limits,
    root_folder: PathBuf,
    /// Files whose includes are being read, outermost first.
    reading: Vec<PathBuf>,
    /// Every path that was tried, for watching.
    pub(crate) tried: Vec<PathBuf>,
}

impl<'a> Files<'a> {
    pub(crate) fn new(read: &'a dyn Fn(&Path) -> io::Result<String>, root: &Path) -> Self {
        let root_folder = root.parent().map(Path::to_path_buf).unwrap_or_default();
        Self { read, limits: Limits::default(), root_folder, reading: Vec::new(), tried: Vec::new() }
    }

    /// The tree of a file and of what it includes; `None` where it can't be read.
    pub(crate) fn load(&mut self, path: &Path, diagnosis: &mut Diagnosis) -> Option<Node> {
        self.tried.push(path.to_path_buf());
        match (self.read)(path) {
            Ok(text) => self.load_text(path, text, diagnosis),
            Err(error) => {
                let file = diagnosis.add_file(path.to_path_buf(), String::new());
                diagnosis.report(
                    &Span { file, bytes: 0..0 },
                    Finding::error(ProblemKind::File, format!("can't read `{}`: {error}", path.display()))
                        .help("name the configuration with `--config` or `CONFIG_FILE_PATH`"),
                );
                None
            }
        }
    }

    /// The same for a text that is there already.
    pub(crate) fn load_text(&mut self, path: &Path, text: String, diagnosis: &mut Diagnosis) -> Option<Node> {
        let size = text.len();
        let file = diagnosis.add_file(path.to_path_buf(), text);
        if size > self.limits.bytes {
            diagnosis.report(
                &Span { file, bytes: 0..0 },
                Finding::error(ProblemKind::File, format!("`{}` has {size} bytes", path.display()))
                    .expected(format!("at most {} bytes", self.limits.bytes)),
            );
            return None;
        }
        let (tree, flaws) = raw::parse(diagnosis.text(file), file, self.limits);
        for flaw in flaws {
            report_flaw(flaw, diagnosis);
        }
        let mut tree = tree?;
        hide_secrets(file, &tree, diagnosis);
        let (kind, span) = (tree.kind(), tree.span.clone());
        if tree.is_null() {
            tree.value = Value::Mapping(Mapping::default());
        }
        let Value::Mapping(mapping) = &mut tree.value else {
            diagnosis.report(
                &span,
                Finding::error(ProblemKind::WrongType, "a configuration is a mapping of sections")
                    .expected("sections such as `model_list:` and `general_settings:`")
                    .found(kind),
            );
            return None;
        };
        self.reading.push(path.to_path_buf());
        self.include(path, mapping, diagnosis);
        self.reading.pop();
        Some(tree)
    }

    /// Merges the files under `include:`: lists are appended, other values replaced, as in LiteLLM.
    fn include(&mut self, path: &Path, mapping: &mut Mapping, diagnosis: &mut Diagnosis) {
        let Some(include) = mapping.get("include").cloned() else { return };
        // A wrong type of `include` is the checks' to report; one name without a list is read as one.
        let items = match &include.value {
            Value::Sequence(items) => items.clone(),
            Value::Scalar(_) => vec![include],
            Value::Mapping(_) => return,
        };
        for item in items {
            let Some(name) = item.scalar().map(|scalar| scalar.text.clone()) else { continue };
            let Some((included_path, text)) = self.find(path, &name, &item.span, diagnosis) else { continue };
            let Some(tree) = self.load_text(&included_path, text, diagnosis) else { continue };
            let Value::Mapping(included) = tree.value else { continue };
            for pair in included.pairs {
                if pair.key.name != "include" {
                    merge(mapping, pair, diagnosis);
                }
            }
        }
    }

    /// Finds an included file beside the one that names it, or, as LiteLLM used to, beside the first.
    fn find(
        &mut self,
        from: &Path,
        name: &str,
        at: &Span,
        diagnosis: &mut Diagnosis,
    ) -> Option<(PathBuf, String)> {
        let beside = from.parent().unwrap_or(Path::new("")).join(name);
        if self.reading.contains(&beside) {
            let chain: Vec<String> =
                self.reading.iter().chain([&beside]).map(|path| path.display().to_string()).collect();
            diagnosis.report(
                at,
                Finding::error(ProblemKind::File, format!("`{name}` includes itself: {}", chain.join(" → "))),
            );
            return None;
        }
        if self.tried.len() >= MAX_FILES {
            diagnosis.report(
                at,
                Finding::error(ProblemKind::File, format!("more than {MAX_FILES} included files"))
                    .help("include fewer files, or join some"),
            );
            return None;
        }
        self.tried.push(beside.clone());
        let error = match (self.read)(&beside) {
            Ok(text) => return Some((beside, text)),
            Err(error) => error,
        };
        let beside_root = self.root_folder.join(name);
        if beside_root != beside && !self.reading.contains(&beside_root) {
            self.tried.push(beside_root.clone());
            if let Ok(text) = (self.read)(&beside_root) {
                diagnosis.report(
                    at,
                    Finding::warning(
                        ProblemKind::File,
                        format!("there is no `{}`; `{}` is read", beside.display(), beside_root.display()),
                    )
                    .help("name included files relative to the file that includes them"),
                );
                return Some((beside_root, text));
            }
        }
        diagnosis.report(
            at,
            Finding::error(ProblemKind::File, format!("can't read `{}`: {error}", beside.display()))
                .help("included files are named relative to the file that includes them"),
        );
        None
    }
}

fn merge(mapping: &mut Mapping, pair: Pair, diagnosis: &mut Diagnosis) {
    let Some(own) = mapping.pairs.iter_mut().find(|own| own.key.name == pair.key.name) else {
        mapping.pairs.push(pair);
        return;
    };
    match (&mut own.value.value, pair.value.value) {
        (Value::Sequence(items), Value::Sequence(more)) => items.extend(more),
        (_, value) => {
            if !own.value.is_null() {
                let by = diagnosis.whereabouts(&pair.key.span);
                diagnosis.report(
                    &own.key.span,
                    Finding::warning(
                        ProblemKind::Replaced,
                        format!("all of `{}` is replaced by an included file's ({by})", own.key.name),
                    )
                    .help("only lists are appended; keep a section in one file"),
                );
            }
            own.key = pair.key;
            own.value = Node { span: pair.value.span, value };
        }
    }
}

fn report_flaw(flaw: Flaw, diagnosis: &mut Diagnosis) {
    match flaw {
        Flaw::Syntax { at, message, help } => {
            let mut finding = Finding::error(ProblemKind::Syntax, message);
            if let Some(help) = help {
                finding = finding.help(help);
            }
            diagnosis.report(&at, finding);
        }
        Flaw::Duplicate { name, first, second } => {
            let before = diagnosis.whereabouts(&first);
            diagnosis.report(
                &second,
                Finding::warning(
                    ProblemKind::DuplicateKey,
                    format!("`{name}` is here twice; the value at {before} is not used"),
                )
                .help("remove one of them"),
            );
        }
    }
}

/// Tells the file which of its bytes no excerpt may show.
fn hide_secrets(file: FileId, tree: &Node, diagnosis: &mut Diagnosis) {
    let mut secrets = Vec::new();
    collect_secrets(tree, false, &mut secrets);
    // What an anchor holds is written once, in this file.
    secrets.retain(|span| span.file == file);
    if let Some(source) = diagnosis.file_mut(file) {
        source.hide(secrets.into_iter().map(|span| span.bytes).collect());
    }
}

fn collect_secrets(node: &Node, secret: bool, found: &mut Vec<Span>) {
    match &node.value {
        Value::Scalar(scalar) => {
            let shown = scalar.text.starts_with("os.environ/")
                || super::references::is_foreign_reference(&scalar.text)
                || scalar.origin != Origin::Written
                || node.is_null();
            if secret && !shown {
                found.push(node.span.clone());
            }
        }
        Value::Sequence(items) => items.iter().for_each(|item| collect_secrets(item, secret, found)),
        Value::Mapping(mapping) => {
            for Pair { key, value } in &mapping.pairs {
                let named = is_secret_name(&key.name) || holds_secrets(&key.name);
                collect_secrets(value, secret || named, found);
            }
        }
    }
}
