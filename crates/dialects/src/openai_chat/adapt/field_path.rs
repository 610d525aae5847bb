//! Paths into a request, as `additional_drop_params` names fields: `user`, `tools[*].function.strict`,
//! `messages[0].name`.

use serde_json::Value;

use crate::document::Document;

enum Step<'a> {
    Field(&'a str),
    Index(usize),
    /// `[*]`
    Each,
}

/// Removes what `path` names; says whether there was something.
pub(super) fn remove(document: &mut Document<'_>, path: &str) -> bool {
    if document.get(path).is_some() {
        return document.remove(path);
    }
    let Some(mut steps) = parse(path) else { return false };
    let Some(Step::Field(top)) = steps.first() else { return false };
    let top = *top;
    steps.remove(0);
    if steps.is_empty() {
        return false;
    }
    let Some(mut value) = document.value(top) else { return false };
    let removed = remove_in(&mut value, &steps);
    if removed {
        document.set_value(top, &value);
    }
    removed
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

fn remove_in(value: &mut Value, steps: &[Step<'_>]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return false };
    match (step, value) {
        (Step::Field(name), Value::Object(fields)) if rest.is_empty() => fields.shift_remove(*name).is_some(),
        (Step::Field(name), Value::Object(fields)) => {
            fields.get_mut(*name).is_some_and(|inner| remove_in(inner, rest))
        }
        (Step::Index(index), Value::Array(items)) if rest.is_empty() => {
            let there = *index < items.len();
            if there {
                items.remove(*index);
            }
            there
        }
        (Step::Index(index), Value::Array(items)) => {
            items.get_mut(*index).is_some_and(|inner| remove_in(inner, rest))
        }
        (Step::Each, Value::Array(items)) if rest.is_empty() => {
            let there = !items.is_empty();
            items.clear();
            there
        }
        (Step::Each, Value::Array(items)) => {
            items.iter_mut().filter_map(|inner| remove_in(inner, rest).then_some(())).count() > 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(body: &str, path: &str) -> String {
        let mut document = Document::of(body).unwrap();
        remove(&mut document, path);
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
