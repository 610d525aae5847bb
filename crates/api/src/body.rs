//! A request's fields, checked: of the right kinds, none missing, none unknown.

use std::collections::BTreeMap;

use catalog::NanoUsd;
use ledger::rules::period::Period;
use ledger::rules::time::Timestamp;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Object;
use crate::field::{self, Field};
use crate::moment;
use crate::problem::Problem;

/// What a request says about one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patch<T> {
    /// Nothing: it stays as it is.
    Keep,
    /// `null`: it is taken away.
    Clear,
    Set(T),
}

impl<T> Patch<T> {
    /// Does what the request says.
    pub fn apply(self, to: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *to = None,
            Self::Set(value) => *to = Some(value),
        }
    }

    /// The new value, where there is one.
    #[must_use]
    pub fn set(self) -> Option<T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }
}

/// The fields of a request whose kinds were checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    fields: Object,
}

impl Body {
    /// Reads and checks a JSON object; an empty body is an empty object.
    ///
    /// # Errors
    /// The first field that is unknown, missing or wrong.
    pub fn read(bytes: &[u8], known: &[&[Field]]) -> Result<Self, Problem> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Self::of(Object::new(), known);
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => Self::of(fields, known),
            Ok(_) => Err(Problem::field("request_body", "the body must be a JSON object")),
            Err(error) => Err(unreadable(bytes, &error)),
        }
    }

    /// Checks an object.
    ///
    /// # Errors
    /// The first field that is unknown, missing or wrong.
    pub fn of(fields: Object, known: &[&[Field]]) -> Result<Self, Problem> {
        for (name, value) in &fields {
            let Some(field) = known.iter().copied().flatten().find(|field| field.name == name) else {
                return Err(unknown(name, known));
            };
            field.kind.check(value).map_err(|told| Problem::field(name, format!("`{name}` {told}")))?;
        }
        let mut needed = known.iter().copied().flatten().filter(|field| field.required);
        match needed.find(|field| fields.get(field.name).is_none_or(Value::is_null)) {
            Some(field) => Err(Problem::field(field.name, format!("`{}` is missing", field.name))),
            None => Ok(Self { fields }),
        }
    }

    /// Whether a field is there, if only as `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    #[must_use]
    pub fn bool(&self, name: &str) -> Option<bool> {
        self.get(name)?.as_bool()
    }

    #[must_use]
    pub fn count(&self, name: &str) -> Option<u64> {
        field::count(self.get(name)?).ok()
    }

    #[must_use]
    pub fn amount(&self, name: &str) -> Option<NanoUsd> {
        field::amount(self.get(name)?).ok()
    }

    #[must_use]
    pub fn moment(&self, name: &str) -> Option<Timestamp> {
        moment::parse(self.text(name)?)
    }

    /// The texts of a list; none, if it is not there.
    #[must_use]
    pub fn texts(&self, name: &str) -> Option<Vec<String>> {
        let list = self.get(name)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    #[must_use]
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.get(name)?.as_object()
    }

    #[must_use]
    pub fn list(&self, name: &str) -> Option<&Vec<Value>> {
        self.get(name)?.as_array()
    }

    /// What the request says about a field, as `read` understands it.
    pub fn patch<'b, T>(&'b self, name: &str, read: impl FnOnce(&'b Self, &str) -> Option<T>) -> Patch<T> {
        match self.fields.get(name) {
            None => Patch::Keep,
            Some(Value::Null) => Patch::Clear,
            // Its kind was checked.
            Some(_) => read(self, name).map_or(Patch::Keep, Patch::Set),
        }
    }

    /// `-1` and `null` take a period away.
    #[must_use]
    pub fn period(&self, name: &str) -> Patch<Period> {
        match self.patch(name, |body, name| body.text(name).map(str::to_owned)) {
            Patch::Set(text) => Period::parse(&text).map_or(Patch::Clear, Patch::Set),
            Patch::Clear => Patch::Clear,
            Patch::Keep => Patch::Keep,
        }
    }

    /// An id, where one is named; an empty text names none.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn id<I>(&self, name: &str) -> Result<Patch<I>, Problem>
    where
        I: std::str::FromStr,
        I::Err: std::fmt::Display,
    {
        match self.patch(name, |body, name| body.text(name).map(str::to_owned)) {
            Patch::Set(text) if text.is_empty() => Ok(Patch::Clear),
            Patch::Set(text) => parse_id(name, &text).map(Patch::Set),
            Patch::Clear => Ok(Patch::Clear),
            Patch::Keep => Ok(Patch::Keep),
        }
    }

    /// Fills in what the request leaves open.
    pub fn fill(&mut self, name: &str, value: impl FnOnce() -> Option<Value>) {
        if self.get(name).is_none()
            && let Some(value) = value()
        {
            self.fields.insert(name.to_owned(), value);
        }
    }

    /// Sets a field, whatever the request says.
    pub fn set(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_owned(), value);
    }

    /// Takes a field out.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name)
    }

    #[must_use]
    pub fn fields(&self) -> &Object {
        &self.fields
    }
}

/// An id from a text.
///
/// # Errors
/// The field, and why it cannot be one.
pub fn parse_id<I>(name: &str, text: &str) -> Result<I, Problem>
where
    I: std::str::FromStr,
    I::Err: std::fmt::Display,
{
    text.parse().map_err(|error: I::Err| Problem::field(name, format!("`{name}`: {error}")))
}

/// A body that cannot be read; the field, where it is JSON and one of its numbers is out of range.
fn unreadable(bytes: &[u8], error: &serde_json::Error) -> Problem {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(bytes).unwrap_or_default();
    let wrong = fields.iter().find_map(|(name, value)| {
        let told = serde_json::from_str::<Value>(value.get()).err()?.to_string();
        let told = told.split(" at line ").next().unwrap_or_default();
        Some(Problem::field(name, format!("`{name}`: {told}")))
    });
    let mut problem =
        wrong.unwrap_or_else(|| Problem::field("request_body", format!("Invalid JSON payload: {error}")));
    problem.kind = "invalid_request_error";
    problem
}

fn unknown(name: &str, known: &[&[Field]]) -> Problem {
    let near = nearest(name, known.iter().copied().flatten().map(|field| field.name));
    let hint = near.map(|known| format!("; nearest: `{known}`")).unwrap_or_default();
    Problem::field(name, format!("unknown field `{name}`{hint}"))
}

/// The one of these names that is spelled most like what was written, if one is.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|known| (strsim::normalized_damerau_levenshtein(known, name), known))
        .filter(|(likeness, _)| *likeness > 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{Kind, field, required};

    const FIELDS: &[Field] = &[
        required("team_id", Kind::Text),
        field("max_budget", Kind::Amount),
        field("duration", Kind::Duration),
    ];

    fn problem(body: &str) -> (String, String) {
        let problem = Body::read(body.as_bytes(), &[FIELDS]).unwrap_err();
        assert_eq!(problem.status, 400);
        (problem.param.unwrap_or_default(), problem.message)
    }

    fn told(param: &str, message: &str) -> (String, String) {
        (param.to_owned(), message.to_owned())
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        assert_eq!(
            problem(r#"{"team_id":"red","max_bugdet":1}"#),
            told("max_bugdet", "unknown field `max_bugdet`; nearest: `max_budget`")
        );
        assert_eq!(problem(r#"{"team_id":"red","zzz":1}"#), told("zzz", "unknown field `zzz`"));
        assert_eq!(problem("{}"), told("team_id", "`team_id` is missing"));
        assert_eq!(problem(r#"{"team_id":null}"#), told("team_id", "`team_id` is missing"));
        assert_eq!(problem(r#"{"team_id":7}"#), told("team_id", "`team_id` must be a text"));
        assert_eq!(problem("[]"), told("request_body", "the body must be a JSON object"));
        assert!(problem("{").1.starts_with("Invalid JSON payload"));
        assert_eq!(
            problem(r#"{"team_id":"red","max_budget":1e999}"#),
            told("max_budget", "`max_budget`: number out of range")
        );
    }

    #[test]
    fn absent_null_and_set_are_three_things() {
        let body = Body::read(br#"{"team_id":"red","max_budget":null,"duration":"7d"}"#, &[FIELDS]).unwrap();
        assert_eq!(body.patch("max_budget", Body::amount), Patch::Clear);
        assert_eq!(body.patch("nothing", Body::amount), Patch::Keep);
        assert_eq!(body.period("duration"), Patch::Set(Period::parse("7d").unwrap()));
    }
}
