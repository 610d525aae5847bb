//! Takes a JSON object apart field by field. What nobody asked for is left over as [`Extra`], and a mistake is
//! named with its place.

use std::fmt;

use serde_json::{Number, Value};

use crate::conversation::Extra;
use crate::error::Invalid;

/// Where a value stands in the body. Costs nothing until it is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    Body,
    Field(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => Ok(()),
            Self::Field(Self::Body, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

impl Place<'_> {
    pub(super) fn wrong(&self, message: impl Into<String>) -> Invalid {
        match self {
            Self::Body => Invalid::body(message),
            _ => Invalid::new(self.to_string(), message),
        }
    }

    pub(super) fn unexpected(&self, expected: &str, found: &Value) -> Invalid {
        self.wrong(format!("expected {expected}, found `{}`", shortened(found)))
    }
}

/// The beginning of a value, for messages.
fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// An object whose fields are taken out one after the other. `null` counts as absent.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    map: Extra,
    place: &'a Place<'a>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(map: Extra, place: &'a Place<'a>) -> Self {
        Self { map, place }
    }

    pub(super) fn of(value: Value, place: &'a Place<'a>) -> Result<Self, Invalid> {
        match value {
            Value::Object(map) => Ok(Self { map, place }),
            other => Err(place.unexpected("an object", &other)),
        }
    }

    pub(super) fn place(&self) -> &'a Place<'a> {
        self.place
    }

    /// The `type` field, without taking it out.
    pub(super) fn kind(&self) -> Option<&str> {
        self.map.get("type").and_then(Value::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.shift_remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Invalid> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.field(name).unexpected("a string", &other)),
        }
    }

    pub(super) fn need_text(&mut self, name: &str) -> Result<String, Invalid> {
        let place = self.place;
        self.text(name)?.ok_or_else(|| Place::Field(place, name).wrong("the field is missing; give a string"))
    }

    /// Gives the field a value where it has none.
    pub(super) fn default_text(&mut self, name: &str, value: impl FnOnce() -> String) {
        if !self.has(name) {
            self.map.insert(name.to_owned(), Value::String(value()));
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Invalid> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.field(name).unexpected("a boolean", &other)),
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<Number>, Invalid> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(other) => Err(self.field(name).unexpected("a number", &other)),
        }
    }

    pub(super) fn count(&mut self, name: &str) -> Result<Option<u64>, Invalid> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_u64() {
            Some(count) => Ok(Some(count)),
            None => Err(self.field(name).unexpected("a whole number that is not negative", &value)),
        }
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, Invalid> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.field(name).unexpected("an array", &other)),
        }
    }

    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, Invalid> {
        let place = self.field(name);
        let mut texts = Vec::new();
        for (index, item) in self.list(name)?.unwrap_or_default().into_iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text),
                other => return Err(Place::Item(&place, index).unexpected("a string", &other)),
            }
        }
        Ok(texts)
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Extra>, Invalid> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(self.field(name).unexpected("an object", &other)),
        }
    }

    /// Fields that were not taken, `null`s left out.
    pub(super) fn rest(self) -> Extra {
        self.map.into_iter().filter(|(_, value)| !value.is_null()).collect()
    }

    fn field<'n>(&self, name: &'n str) -> Place<'n>
    where
        'a: 'n,
    {
        Place::Field(self.place, name)
    }
}
