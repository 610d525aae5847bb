//! `os.environ/NAME`: values that come from the environment, and the spellings that people take for it.

use std::collections::BTreeMap;

use super::diagnose::{Diagnosis, Finding, ProblemKind};
use super::raw::{Mapping, Node, Origin, Value};

const PREFIX: &str = "os.environ/";

/// The process's variables under those that the file sets; the file's win, as in LiteLLM.
pub(crate) struct Environment<'a> {
    process: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) set_by_file: BTreeMap<String, String>,
}

impl<'a> Environment<'a> {
    pub(crate) fn new(process: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { process, set_by_file: BTreeMap::new() }
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.set_by_file.get(name).cloned().or_else(|| (self.process)(name))
    }

    /// A variable that is set and not empty, as a boolean.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|text| {
            matches!(text.trim().to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on")
        })
    }

    /// Sets what `environment_variables` says, before anything else of the file is read.
    pub(crate) fn set_from(&mut self, root: &Mapping, diagnosis: &mut Diagnosis) {
        let Some(variables) = root.get("environment_variables").and_then(Node::mapping) else { return };
        for pair in &variables.pairs {
            match &pair.value.value {
                Value::Scalar(scalar) => {
                    let text = match scalar.text.strip_prefix(PREFIX) {
                        Some(name) => (self.process)(name.trim()),
                        None => Some(scalar.text.clone()),
                    };
                    if let Some(text) = text.filter(|_| !pair.value.is_null()) {
                        self.set_by_file.insert(pair.key.name.clone(), text);
                    }
                }
                Value::Sequence(_) | Value::Mapping(_) => diagnosis.report(
                    &pair.value.span,
                    Finding::error(
                        ProblemKind::WrongType,
                        format!("the variable `{}` needs a text", pair.key.name),
                    )
                    .expected("a text")
                    .found(pair.value.kind()),
                ),
            }
        }
    }

    /// Puts the variables' values in place of their names, everywhere in the tree.
    pub(crate) fn substitute(&self, node: &mut Node, diagnosis: &mut Diagnosis) {
        match &mut node.value {
            Value::Sequence(items) => items.iter_mut().for_each(|item| self.substitute(item, diagnosis)),
            Value::Mapping(mapping) => {
                mapping.pairs.iter_mut().for_each(|pair| self.substitute(&mut pair.value, diagnosis));
            }
            Value::Scalar(scalar) => {
                if scalar.origin != Origin::Written {
                    return;
                }
                if let Some(name) = scalar.text.strip_prefix(PREFIX) {
                    let name = name.trim().to_owned();
                    match self.get(&name) {
                        Some(value) => {
                            scalar.text = value;
                            scalar.plain = false;
                            scalar.origin = Origin::Variable(name);
                        }
                        None => scalar.origin = Origin::Unset(name),
                    }
                } else if let Some(reference) = foreign_reference(&scalar.text) {
                    diagnosis.report(&node.span, foreign_finding(&reference));
                }
            }
        }
    }
}

/// A reference to a variable that is not spelled as LiteLLM spells it.
#[derive(Debug, PartialEq, Eq)]
struct ForeignReference {
    written: String,
    name: String,
    /// Whether text stands around it: then there is no right spelling.
    embedded: bool,
    default: bool,
}

/// Whether a text is, or holds, a reference in another tool's spelling.
pub(crate) fn is_foreign_reference(text: &str) -> bool {
    foreign_reference(text).is_some()
}

fn foreign_finding(reference: &ForeignReference) -> Finding {
    let ForeignReference { written, name, embedded, default } = reference;
    let mut help = if *embedded {
        format!(
            "a value is a variable or it is not: put the whole text into one variable and write `os.environ/{name}`"
        )
    } else {
        format!("write `os.environ/{name}`")
    };
    if *default {
        help.push_str("; there is no default value, set the variable instead");
    }
    Finding::warning(
        ProblemKind::ShellReference,
        format!("`{written}` is not replaced by the variable's value"),
    )
    .expected(format!("`os.environ/{name}`"))
    .found("this text as it is")
    .help(help)
}

fn foreign_reference(text: &str) -> Option<ForeignReference> {
    let trimmed = text.trim();
    if let Some(at) = trimmed.find("${") {
        let inner = trimmed.get(at + 2..)?;
        let inner = inner.get(..inner.find('}')?)?;
        let name = leading_name(inner)?;
        let rest = inner.get(name.len()..)?;
        // `${{ secrets.X }}` and `${var.x}` belong to other templates.
        if !(rest.is_empty() || rest.starts_with(':') || rest.starts_with('-')) {
            return None;
        }
        let written = format!("${{{inner}}}");
        return Some(ForeignReference {
            embedded: written.len() != trimmed.len(),
            default: !rest.is_empty(),
            name: name.to_owned(),
            written,
        });
    }
    if let Some(name) = trimmed.strip_prefix('$').filter(|name| is_upper_name(name)) {
        return Some(whole(trimmed, name));
    }
    for prefix in ["env/", "env:", "os.environ.", "os.getenv/", "os.env/"] {
        if let Some(name) = trimmed.strip_prefix(prefix).filter(|name| is_upper_name(name)) {
            return Some(whole(trimmed, name));
        }
    }
    let at = trimmed.find(PREFIX)?;
    let name = leading_name(trimmed.get(at + PREFIX.len()..)?)?;
    Some(ForeignReference {
        written: format!("{PREFIX}{name}"),
        name: name.to_owned(),
        embedded: true,
        default: false,
    })
}

fn whole(written: &str, name: &str) -> ForeignReference {
    ForeignReference { written: written.to_owned(), name: name.to_owned(), embedded: false, default: false }
}

fn leading_name(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.get(..end).filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
}

fn is_upper_name(text: &str) -> bool {
    leading_name(text) == Some(text) && !text.contains(|c: char| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_are_recognized() {
        let table = [
            ("${OPENAI_API_KEY}", Some("OPENAI_API_KEY")),
            ("${OPENAI_API_KEY:-}", Some("OPENAI_API_KEY")),
            ("$OPENAI_API_KEY", Some("OPENAI_API_KEY")),
            ("env/OPENAI_API_KEY", Some("OPENAI_API_KEY")),
            ("Bearer os.environ/TOKEN", Some("TOKEN")),
            ("postgresql://u:${DB_PASSWORD}@host", Some("DB_PASSWORD")),
            ("$5 a month", None),
            ("pa$$word", None),
            ("${{ secrets.KEY }}", None),
            ("gpt-4o", None),
        ];
        for (text, name) in table {
            assert_eq!(foreign_reference(text).map(|found| found.name).as_deref(), name, "{text}");
        }
    }
}
