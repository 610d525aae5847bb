//! YAML as it was written: a tree in which every key and value knows its place.
//!
//! The tree is built from parser events (not through serde) because three things that a configuration's reader
//! must know get lost on the way through a data model: how a scalar was spelled (`30` or `"30"`), the place of a
//! key that is there twice, and LiteLLM's reading of plain scalars, which is `PyYAML`'s (YAML 1.1: `yes` and `on` are
//! booleans, merge keys are honoured). Nothing here knows what a key means.

mod build;
mod scalar;

use std::ops::Range;

pub(crate) use build::{Limits, parse};
pub(crate) use scalar::{Meaning, Origin, Scalar};

/// A number for one of the files that were read; index into the loader's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileId(pub(crate) usize);

/// Where something is written: a file and a range of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) file: FileId,
    pub(crate) bytes: Range<usize>,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What a value is, before anyone asks what it should be.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Mapping),
}

/// Keys and values in the order in which they are written; each key once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mapping {
    pub(crate) pairs: Vec<Pair>,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) key: Key,
    pub(crate) value: Node,
}

/// A mapping's key: always text, whatever YAML would make of it.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) span: Span,
}

/// Something that the text says and YAML forbids or ignores.
#[derive(Clone, Debug)]
pub(crate) enum Flaw {
    /// The text can't be read past this place.
    Syntax { at: Span, message: String, help: Option<String> },
    /// The same key twice in one mapping; the later one counts, as in LiteLLM.
    Duplicate { name: String, first: Span, second: Span },
}

impl Node {
    pub(crate) fn is_null(&self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.meaning() == Meaning::Null)
    }

    pub(crate) fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    pub(crate) fn sequence(&self) -> Option<&[Self]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            Value::Scalar(_) | Value::Mapping(_) => None,
        }
    }

    pub(crate) fn mapping(&self) -> Option<&Mapping> {
        match &self.value {
            Value::Mapping(mapping) => Some(mapping),
            Value::Scalar(_) | Value::Sequence(_) => None,
        }
    }

    /// What stands here, in words for a message: never the value of a string, which may be a secret.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Scalar(scalar) => match scalar.meaning() {
                Meaning::Null => "nothing (null)",
                Meaning::Bool(_) => "a boolean",
                Meaning::Integer(_) => "an integer",
                Meaning::Float(_) => "a number",
                Meaning::Text => "a string",
            },
        }
    }

    /// The value as JSON, as a request to a provider would carry it.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Scalar(scalar) => scalar.to_json(),
            Value::Sequence(items) => items.iter().map(Self::to_json).collect(),
            Value::Mapping(mapping) => serde_json::Value::Object(
                mapping.pairs.iter().map(|pair| (pair.key.name.clone(), pair.value.to_json())).collect(),
            ),
        }
    }
}

impl Mapping {
    /// The pair under this name.
    pub(crate) fn pair(&self, name: &str) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.key.name == name)
    }

    /// The value under this name; a null counts as absent, as in LiteLLM.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        self.pair(name).map(|pair| &pair.value).filter(|node| !node.is_null())
    }
}
