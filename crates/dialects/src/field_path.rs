//! Paths into a request, as `additional_drop_params` names fields: `user`, `tools[*].function.strict`,
//! `messages[0].name`.

use serde_json::Value;

use crate::document::Document;

/// How a dialect names fields, and what it makes of a value that has lost its last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// Names are what they are; an emptied value stays, empty.
    Exact,
    /// Protobuf's JSON: `topK` may be written `top_k`. An emptied value goes too: Google refuses a tool of no kind.
    Protobuf,
}

enum Step<'a> {
    Field(&'a str),
    Index(usize),
    /// `[*]`
    Each,
}

#[derive(PartialEq, Eq)]
enum Outcome {
    /// The path led nowhere.
    Unchanged,
    Changed,
    /// The value itself has to go.
    Gone,
}

/// [`remove`] for the dialects whose names are what they are.
pub(crate) fn remove_exact(document: &mut Document<'_>, path: &str) -> bool {
    remove(document, path, Naming::Exact)
}

/// Removes what `path` names; says whether there was something.
pub(crate) fn remove(document: &mut Document<'_>, path: &str, naming: Naming) -> bool {
    if document.remove(path) {
        return true;
    }
    let Some(steps) = parse(path) else { return false };
    let Some((Step::Field(top), steps)) = steps.split_first() else { return false };
    let Some(top) = naming.spelling(top, |name| document.get(name).is_some()) else { return false };
    if steps.is_empty() {
        return document.remove(&top);
    }
    let Some(mut value) = document.value(&top) else { return false };
    match remove_in(&mut value, steps, naming) {
        Outcome::Unchanged => return false,
        Outcome::Changed => document.set_value(&top, &value),
        Outcome::Gone => _ = document.remove(&top),
    }
    true
}

fn parse(path: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    for piece in path.split('.') {
        let (name, mut rest) = piece.split_at(piece.find('[').unwrap_or(piece.len()));
        if !name.is_empty() {
            steps.push(Step::Field(name));
        }
        while let Some(inner) = rest.strip_prefix('[') {
            let (index, after) = inner.split_once(']')?;
            steps.push(if index == "*" { Step::Each } else { Step::Index(index.parse().ok()?) });
            rest = after;
        }
    }
    Some(steps)
}

fn remove_in(value: &mut Value, steps: &[Step<'_>], naming: Naming) -> Outcome {
    let Some((step, rest)) = steps.split_first() else { return Outcome::Gone };
    let changed = match (step, &mut *value) {
        (Step::Field(name), Value::Object(fields)) => {
            let spelling = naming.spelling(name, |name| fields.contains_key(name));
            spelling.is_some_and(|name| match fields.get_mut(&name) {
                None => false,
                Some(inner) => match remove_in(inner, rest, naming) {
                    Outcome::Unchanged => false,
                    Outcome::Changed => true,
                    Outcome::Gone => fields.shift_remove(&name).is_some(),
                },
            })
        }
        (Step::Index(_) | Step::Each, Value::Array(items)) => {
            let mut changed = false;
            let mut at = 0_usize;
            items.retain_mut(|item| {
                let meant = !matches!(step, Step::Index(index) if *index != at);
                at += 1;
                let outcome = if meant { remove_in(item, rest, naming) } else { Outcome::Unchanged };
                changed |= outcome != Outcome::Unchanged;
                outcome != Outcome::Gone
            });
            changed
        }
        _ => false,
    };
    match changed {
        false => Outcome::Unchanged,
        true if naming == Naming::Protobuf && is_empty(value) => Outcome::Gone,
        true => Outcome::Changed,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

impl Naming {
    /// How `name` is written where `is_there` finds it.
    fn spelling(self, name: &str, is_there: impl Fn(&str) -> bool) -> Option<String> {
        let other = || (self == Self::Protobuf).then(|| snake_case(name)).filter(|name| is_there(name));
        is_there(name).then(|| name.to_owned()).or_else(other)
    }
}

/// `topK` → `top_k`.
fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(body: &str, path: &str) -> String {
        let mut document = Document::of(body).unwrap();
        remove_exact(&mut document, path);
        String::from_utf8(document.to_bytes()).unwrap()
    }

    #[test]
    fn removes_fields_at_any_depth() {
        assert_eq!(without(r#"{"user":"u","n":1}"#, "user"), r#"{"n":1}"#);
        assert_eq!(
            without(
                r#"{"tools":[{"function":{"name":"a","strict":true}},{"x":1}]}"#,
                "tools[*].function.strict"
            ),
            r#"{"tools":[{"function":{"name":"a"}},{"x":1}]}"#
        );
        assert_eq!(without(r#"{"m":[{"a":1,"b":2},{"a":3}]}"#, "m[1].a"), r#"{"m":[{"a":1,"b":2},{}]}"#);
        assert_eq!(without(r#"{"m":[1,2]}"#, "m[0]"), r#"{"m":[2]}"#);
    }

    #[test]
    fn a_path_that_leads_nowhere_changes_no_byte() {
        for path in ["x", "a.b.c", "a[*]", "a[", "a[x].y", "", "[0]"] {
            assert_eq!(without(r#"{ "a": {"b": 1} }"#, path), r#"{ "a": {"b": 1} }"#);
        }
    }
}
